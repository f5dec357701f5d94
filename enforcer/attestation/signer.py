"""Signs the tree heads of one ledger, and never two that contradict each other.

A signer remembers the last head it signed, beside its key and outside the project, and signs another one only after
it has been shown that the new tree extends that one (RFC 9162, section 2.1.4). So whoever rewrites a ledger without
reach to the user's folder gets no signature for it, and a signer that was asked twice gives one history its word.

    <user folder>/<ledger id>/signing-key.pem         the key in force
                              head                    the last note that was signed; a checkpoint's one durable write
                              signer.lock             one signer at a time; compare-and-set on `head` and on the keys
                              rotations.json          the changes of keys: those that are done, and one that is promised
                              next-key.pem            the new key of a change that is not done
                              retiring-<seq>.pem      the old key of the change in entry <seq>, up to its cap
                              compromised-<name>      what was given up; nothing reads it

A change of keys is promised here before its entry is written, so whoever signs next can tell from the ledger what a
crash has left: the entry stands, and the change is finished; another entry stands in its place, and it is forgotten;
none does yet, and the old key goes on signing what comes before.
"""

from __future__ import annotations

import binascii
import json
import os
from contextlib import contextmanager

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from enforcer.attestation.keys import load_private, parse_private, private_pem
from enforcer.errors import DamagedError, InternalError, UnavailableError
from enforcer.ledger.checkpoint import Checkpoint, format_checkpoint, parse_checkpoint
from enforcer.ledger.merkle import ProofFault, check_consistency
from enforcer.ledger.note import NoteFault, Signature, VerifierKey, format_note, format_vkey, key_id, parse_note
from enforcer.ports import read_file, write_durably
from enforcer.userstate import SIGNING_KEY_NAME, is_ledger_id, read_secret, unwritable
from enforcer.workflow.events import KeyRotated
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from typing import ClassVar

    from enforcer.ports import Disk, Entropy
    from enforcer.workflow.events import Event

HEAD, LOCK, ROTATIONS = "head", "signer.lock", "rotations.json"
NEXT, CURRENT = "next-key.pem", SIGNING_KEY_NAME
RETIRING, COMPROMISED = "retiring-", "compromised-"  # What the names of such keys begin with.

_SEED_SIZE = 32


class Rotation(Record, kw_only=True):
    """A change of keys that was prepared: what its entry on the ledger says, as far as the signer needs it."""

    old: str
    new: str
    seq: int
    cap: int


class Rotations(Record, kw_only=True):
    """The changes of keys that were made here, oldest first, and the one that is promised and not settled yet."""

    done: tuple[Rotation, ...] = ()
    promised: Rotation | None = None

    nested: ClassVar[Mapping[str, type[Record]]] = {"done": Rotation, "promised": Rotation}


class Key:
    """A private key under the name of its ledger's origin."""

    def __init__(self, origin: str, private: Ed25519PrivateKey) -> None:
        self.origin, self._private = origin, private
        self.public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    @property
    def vkey(self) -> str:
        return format_vkey(self.origin, self.public)

    @property
    def verifier(self) -> VerifierKey:
        return VerifierKey(name=self.origin, public=self.public)

    def sign(self, message: bytes) -> bytes:
        """The raw 64-byte Ed25519 signature."""
        return self._private.sign(message)

    def note_signature(self, text: bytes) -> Signature:
        return Signature(name=self.origin, key_id=key_id(self.origin, self.public), value=self.sign(text))


class FileSigner:
    """The signer of one ledger in the user's folder. Raises `key_missing`, `key_exposed`, … as it is made."""

    def __init__(self, folder: str, ledger_id: str, *, disk: Disk, entropy: Entropy) -> None:
        if not is_ledger_id(ledger_id):
            raise InternalError("bad_ledger_id", f"{ledger_id!a} is no ledger id.")
        self._folder = os.path.join(folder, ledger_id)
        self._origin, self._disk, self._entropy = f"enforcer/{ledger_id}", disk, entropy
        self.key = Key(self._origin, load_private(folder, ledger_id))

    # Heads -----------------------------------------------------------------------------------------------------------

    def last(self) -> tuple[Checkpoint, bytes] | None:
        """The last head that was signed here, and its note; None before the first.

        Raises `DamagedError` `signer_head_damaged`: a signer that does not know what it signed must not sign.
        """
        path = self._path(HEAD)
        try:
            data = read_file(self._disk, path)
            head = parse_checkpoint(parse_note(data).text)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreadable(path, error) from error
        except NoteFault as fault:
            raise self._head_damaged(str(fault)) from fault
        if head.origin != self._origin:
            raise self._head_damaged("it is of another ledger")
        return head, data

    def sign(self, size: int, root: bytes, prove: Callable[[int], Sequence[bytes]]) -> tuple[Checkpoint, bytes]:
        """The newest signed head that covers `size`, and its note; durable here before it is given away.

        `prove` gives the consistency proof from a smaller size. Raises `DamagedError` `ledger_rolled_back` (more was
        signed than there is), `history_rewritten` (what was signed is not the beginning of this tree); and
        `UnavailableError` `signer_busy`, …
        """
        head = Checkpoint(origin=self._origin, size=size, root=root)
        with self._locked():
            rotations = self._read_rotations()
            self._check_in_force(rotations, size)
            last = self.last()
            if last is not None and last[0].size >= size:
                self._check_same(last[0], head)
                return last
            if last is not None:
                self._check_extends(last[0], head, prove)
            text = format_checkpoint(head)
            note = format_note(text, [key.note_signature(text) for key in self._keys_for(rotations, size)])
            self._write(HEAD, note)
        return head, note

    def _head_damaged(self, why: str) -> DamagedError:
        message = f"What the signer remembers to have signed last is damaged: {why}."
        fix = "Restore the file from a copy, or change the key: enforcer key compromised"
        return DamagedError("signer_head_damaged", message, where=self._path(HEAD), fix=fix)

    def _check_same(self, last: Checkpoint, head: Checkpoint) -> None:
        if last.size > head.size:
            message = f"{last.size} entries were signed for, and the ledger has {head.size}: its end was cut off."
            raise self._contradicted("ledger_rolled_back", message)
        if last.root != head.root:
            raise self._contradicted("history_rewritten", f"Other {head.size} entries than these were signed before.")

    def _check_extends(self, last: Checkpoint, head: Checkpoint, prove: Callable[[int], Sequence[bytes]]) -> None:
        try:
            check_consistency(last.size, head.size, last.root, head.root, prove(last.size))
        except ProofFault as fault:
            message = f"The first {last.size} entries are not the ones that were signed before: {fault}."
            raise self._contradicted("history_rewritten", message) from fault

    def _contradicted(self, code: str, message: str) -> DamagedError:
        fix = "Nothing was signed. Look at it with: enforcer verify"
        return DamagedError(code, message, where=self._path(HEAD), fix=fix)

    # Keys ------------------------------------------------------------------------------------------------------------

    def check_belongs(self, first: str | None) -> None:
        """Raises `UnavailableError` `key_foreign` unless this key is the ledger's first or came by a rotation here."""
        rotations = self._read_rotations()
        newest = rotations.done[-1].new if rotations.done else first
        known = (newest, rotations.promised.new if rotations.promised is not None else None)
        if self.key.vkey not in known:
            self.key = self._load(CURRENT)  # The key changes hands before the note of it does.
        if self.key.vkey not in known:
            message = "The key in the user's folder is not the one that signs for this ledger."
            fix = "Restore the ledger's own key, or go on unsealed."
            raise UnavailableError("key_foreign", message, where=self._path(CURRENT), fix=fix)

    @contextmanager
    def changing(self) -> Iterator[Key]:
        """The new key of a change, durable before anything names it; nobody signs or changes keys meanwhile.

        A key that an interrupted change left behind is used: no entry names it, or `settle` would have taken it.
        Raises `UnavailableError` `signer_busy`.
        """
        with self._locked():
            self._check_in_force(self._read_rotations(), 0)
            if not self._disk.exists(self._path(NEXT)):
                private = Ed25519PrivateKey.from_private_bytes(self._entropy.token(_SEED_SIZE))
                self._write(NEXT, private_pem(private))
            yield self._load(NEXT)

    def promise(self, rotation: Rotation) -> None:
        """Keep what the entry is going to say, while `changing`: a crash before it can then be told from one after.

        Raises `UnavailableError` `signer_busy` where the entry of a change before this one may stand already: that one
        has to be settled first.
        """
        rotations = self._read_rotations()
        if rotations.promised is not None and rotations.promised.seq < rotation.seq:
            raise _busy(self._path(ROTATIONS))
        self._write_rotations(rotations.replace(promised=rotation))

    def settle(self, standing: Callable[[int], Event | None]) -> None:
        """Finish a change of keys that stands on the ledger, or forget one in whose place another entry stands.

        `standing` gives the entry with a number once it is on stable storage, None where there is none yet. Raises
        `UnavailableError` `signer_busy` where somebody is changing keys at this moment.
        """
        if self._read_rotations().promised is None:
            return
        with self._locked():
            rotations = self._read_rotations()  # Somebody may have settled it meanwhile.
            promised = rotations.promised
            event = standing(promised.seq) if promised is not None else None
            if promised is not None and event is not None:
                stands = isinstance(event, KeyRotated) and (event.old, event.new) == (promised.old, promised.new)
                done = (*rotations.done, promised) if stands else rotations.done
                if stands:
                    self._take_over(promised)
                self._write_rotations(Rotations(done=done))
            self.key = self._load(CURRENT)

    def _take_over(self, change: Rotation) -> None:
        """Put the new key in force. Whatever a crash leaves of this is done again, and comes to the same."""
        current = self._load(CURRENT)
        if current.vkey == change.new:
            return
        if not self._disk.exists(self._path(NEXT)) or self._load(NEXT).vkey != change.new:
            message = f"The ledger hands over to another key in entry {change.seq}, and that key is not here."
            fix = "Restore the folder from a copy, or begin anew under another key: enforcer key compromised"
            raise DamagedError("rotation_damaged", message, where=self._path(NEXT), fix=fix)
        self._write(f"{RETIRING}{change.seq}.pem", read_secret(self._path(CURRENT)))
        try:
            self._disk.rename(self._path(NEXT), self._path(CURRENT))
            self._disk.sync_folder(self._folder)
        except OSError as error:
            raise unwritable(self._folder, error) from error

    def _check_in_force(self, rotations: Rotations, size: int) -> None:
        """Raises unless this key may sign a tree of `size` entries. Only under the lock: keys change, and are given up.

        A signer that was made before a change and is used after it has to be made anew: `signer_busy`.
        """
        if not self._disk.exists(self._path(CURRENT)):
            load_private(os.path.dirname(self._folder), os.path.basename(self._folder))  # Which says what is wrong.
        outdated = rotations.done and rotations.done[-1].new != self.key.vkey
        if outdated or (rotations.promised is not None and size > rotations.promised.seq):
            raise _busy(self._path(ROTATIONS))

    def _keys_for(self, rotations: Rotations, size: int) -> list[Key]:
        """The keys that sign a tree of this size: the one in force, and those whose overlap has not ended."""
        keys = [self.key]
        for change in reversed(rotations.done):
            name = f"{RETIRING}{change.seq}.pem"
            if not self._disk.exists(self._path(name)):
                continue
            if size > change.cap:
                self._forget(name)
            else:
                keys.append(self._load(name))
        return keys

    def _read_rotations(self) -> Rotations:
        path = self._path(ROTATIONS)
        try:
            return Rotations.unpack(json.loads(read_file(self._disk, path)))
        except FileNotFoundError:
            return Rotations()
        except OSError as error:
            raise _unreadable(path, error) from error
        except (ValueError, RecursionError) as error:
            message, fix = "The note of the changes of keys is damaged.", "Restore the file from a copy."
            raise DamagedError("rotation_damaged", message, where=path, fix=fix) from error

    def _write_rotations(self, rotations: Rotations) -> None:
        self._write(ROTATIONS, json.dumps(rotations.pack(), sort_keys=True).encode() + b"\n")

    def _load(self, name: str) -> Key:
        path = self._path(name)
        try:
            return Key(self._origin, parse_private(read_secret(path), path))
        except OSError as error:
            raise _unreadable(path, error) from error

    # Files -----------------------------------------------------------------------------------------------------------

    def _locked(self) -> AbstractContextManager[None]:
        return _locked(self._folder, self._disk)

    def _write(self, name: str, data: bytes) -> None:
        try:
            write_durably(self._disk, self._path(name), data, entropy=self._entropy, mode=0o600)
        except OSError as error:
            raise unwritable(self._folder, error) from error

    def _forget(self, name: str) -> None:
        try:
            self._disk.unlink(self._path(name))
        except FileNotFoundError:
            return
        except OSError as error:
            raise unwritable(self._folder, error) from error

    def _path(self, name: str) -> str:
        return os.path.join(self._folder, name)


def condemn(folder: str, ledger_id: str, disk: Disk) -> None:
    """Take every key of a ledger out of use for good: nothing is ever signed with one of them here again.

    That a key is unfit for use, or that there is none, is no hindrance. Raises `UnavailableError` `signer_busy`,
    `user_state_unwritable`.
    """
    if not is_ledger_id(ledger_id):
        raise InternalError("bad_ledger_id", f"{ledger_id!a} is no ledger id.")
    own = os.path.join(folder, ledger_id)
    if not disk.exists(own):
        return
    with _locked(own, disk):
        try:
            for name in disk.listing(own):
                if name in (CURRENT, NEXT) or (name.startswith(RETIRING) and name.endswith(".pem")):
                    disk.rename(os.path.join(own, name), os.path.join(own, COMPROMISED + name))
            disk.sync_folder(own)
        except OSError as error:
            raise unwritable(own, error) from error


@contextmanager
def _locked(folder: str, disk: Disk) -> Iterator[None]:
    path = os.path.join(folder, LOCK)
    try:
        fd = disk.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise unwritable(folder, error) from error
    try:
        # Never waited for: a process that was stopped in here must not stop the others as well.
        if not disk.try_lock(fd):
            raise _busy(path)
        yield
    finally:
        disk.close(fd)


def encode_signature(signature: bytes) -> str:
    """Base64, as in entries."""
    return binascii.b2a_base64(signature, newline=False).decode()


def _busy(where: str) -> UnavailableError:
    """Another process signs; what it signs covers what was asked for, or the next checkpoint will."""
    message = "Another process signs, or changes keys, at this moment."
    return UnavailableError("signer_busy", message, where=where, fix="Ask again.")


def _unreadable(path: str, error: OSError) -> UnavailableError:
    fix = "Sign as the user who owns the key."
    return UnavailableError("key_unreadable", f"It cannot be read: {error.strerror}.", where=path, fix=fix)
