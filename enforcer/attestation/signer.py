"""Signs the tree heads of one ledger, and never two that contradict each other.

A signer remembers the last head it signed, beside its key and outside the project, and signs another one only after
it has been shown that the new tree extends that one (RFC 9162, section 2.1.4). So whoever rewrites a ledger without
reach to the user's folder gets no signature for it, and a signer that was asked twice gives one history its word.

    <user folder>/<ledger id>/signing-key.pem         the key in force
                              head                    the last note that was signed; a checkpoint's one durable write
                              signer.lock             one signer at a time; compare-and-set on `head`
                              rotation.json           the last change of keys
                              next-key.pem            the new key of a change that is not on the ledger yet
                              retiring-key.pem        the old key, until trees grow past its cap
"""

from __future__ import annotations

import binascii
import json
import os
from contextlib import contextmanager

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from enforcer.attestation.keys import load_private, parse_private, private_pem
from enforcer.errors import DamagedError, UnavailableError
from enforcer.ledger.checkpoint import Checkpoint, format_checkpoint, parse_checkpoint
from enforcer.ledger.merkle import ProofFault, check_consistency
from enforcer.ledger.note import NoteFault, Signature, VerifierKey, format_note, format_vkey, key_id, parse_note
from enforcer.ports import read_file, write_durably
from enforcer.userstate import is_ledger_id, read_secret, unwritable
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from enforcer.ports import Disk, Entropy
    from enforcer.workflow.events import KeyRotated

HEAD, LOCK, ROTATION = "head", "signer.lock", "rotation.json"
NEXT, RETIRING, CURRENT = "next-key.pem", "retiring-key.pem", "signing-key.pem"
COMPROMISED = "compromised-key.pem"

_SEED_SIZE = 32


class Rotation(Record, kw_only=True):
    """A change of keys that was prepared: what its entry on the ledger says, as far as the signer needs it."""

    old: str
    new: str
    seq: int
    cap: int


class Busy(UnavailableError):
    """Another process signs at this moment; what it signs covers what was asked for, or the next checkpoint will."""

    def __init__(self, where: str) -> None:
        super().__init__("signer_busy", "Another process signs at this moment.", where=where, fix="Ask again.")


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
            raise DamagedError("bad_ledger_id", f"{ledger_id!a} is no ledger id.")
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

        `prove` gives the consistency proof from a smaller size. Raises `Busy`, `DamagedError` `ledger_rolled_back`
        (more was signed than there is), `history_rewritten` (what was signed is not the beginning of this tree),
        `UnavailableError`.
        """
        head = Checkpoint(origin=self._origin, size=size, root=root)
        with self._locked():
            last = self.last()
            if last is not None and last[0].size >= size:
                self._check_same(last[0], head)
                return last
            if last is not None:
                self._check_extends(last[0], head, prove)
            text = format_checkpoint(head)
            note = format_note(text, [key.note_signature(text) for key in self._keys_for(size)])
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

    def pending(self) -> Rotation | None:
        """The last change of keys that was prepared here, on the ledger or not; None where there is none to mind."""
        try:
            return Rotation.unpack(json.loads(read_file(self._disk, self._path(ROTATION))))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreadable(self._path(ROTATION), error) from error
        except ValueError as error:
            message, fix = "The note of the last change of keys is damaged.", "Restore the file from a copy."
            raise DamagedError("rotation_damaged", message, where=self._path(ROTATION), fix=fix) from error

    def check_belongs(self, first: str | None) -> None:
        """Raises `UnavailableError` `key_foreign` unless this key is the ledger's first or came by a rotation here."""
        rotation = self.pending()
        if self.key.vkey not in (first, rotation.new if rotation is not None else None):
            message = "The key in the user's folder is not the one that this ledger names."
            fix = "Restore the ledger's own key, or go on unsealed."
            raise UnavailableError("key_foreign", message, where=self._path(CURRENT), fix=fix)

    def prepare(self) -> Key:
        """A new key, durable before anything names it. One that an interrupted change left behind is used."""
        path = self._path(NEXT)
        if not self._disk.exists(path):
            private = Ed25519PrivateKey.from_private_bytes(self._entropy.token(_SEED_SIZE))
            self._write(NEXT, private_pem(private))
        return Key(self._origin, parse_private(read_secret(path), path))

    def promise(self, rotation: Rotation) -> None:
        """Keep what the entry is going to say, so that a crash beside its writing can be told from one after it."""
        self._write(ROTATION, json.dumps(rotation.pack(), sort_keys=True).encode() + b"\n")

    def settle(self, written: Callable[[int], KeyRotated | None]) -> None:
        """Finish a change of keys that stands on the ledger, or forget one that never came there.

        `written` gives the `key.rotated` entry with a number, None where another entry or none stands there.
        """
        rotation = self.pending()
        if rotation is None or not self._disk.exists(self._path(NEXT)):
            return
        event = written(rotation.seq)
        if event is None or (event.old, event.new) != (rotation.old, rotation.new):
            self._forget(ROTATION)
            return
        with self._locked():
            if self._disk.exists(self._path(NEXT)):
                # In this order a crash in between leaves the same change to be finished.
                if self.key.vkey == rotation.old:
                    self._write(RETIRING, read_secret(self._path(CURRENT)))
                self._disk.rename(self._path(NEXT), self._path(CURRENT))
                self._disk.sync_folder(self._folder)
        self.key = Key(self._origin, parse_private(read_secret(self._path(CURRENT)), self._path(CURRENT)))

    def condemn(self) -> None:
        """Take the key out of use for good: nothing is ever signed with it here again."""
        with self._locked():
            try:
                self._disk.rename(self._path(CURRENT), self._path(COMPROMISED))
                self._disk.sync_folder(self._folder)
            except OSError as error:
                raise unwritable(self._folder, error) from error

    def _keys_for(self, size: int) -> list[Key]:
        """The keys that sign a tree of this size: the one in force, and in an overlap the one before it as well."""
        rotation, path = self.pending(), self._path(RETIRING)
        if rotation is None or self.key.vkey != rotation.new or not self._disk.exists(path):
            return [self.key]
        if size > rotation.cap:
            self._forget(RETIRING)
            return [self.key]
        return [self.key, Key(self._origin, parse_private(read_secret(path), path))]

    # Files -----------------------------------------------------------------------------------------------------------

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            fd = self._disk.open(self._path(LOCK), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise unwritable(self._folder, error) from error
        try:
            # Never waited for: a process that was stopped in here must not stop the others as well.
            if not self._disk.try_lock(fd):
                raise Busy(self._path(LOCK))
            yield
        finally:
            self._disk.close(fd)

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


def rotation_statement(origin: str, rotation: Rotation) -> bytes:
    """What both keys sign when one takes over from the other. See `docs/format.md`."""
    lines = ("enforcer/key-rotation/v1", origin, rotation.old, rotation.new, str(rotation.seq), str(rotation.cap))
    return "".join(f"{line}\n" for line in lines).encode()


def encode_signature(signature: bytes) -> str:
    """Base64, as in entries."""
    return binascii.b2a_base64(signature, newline=False).decode()


def _unreadable(path: str, error: OSError) -> UnavailableError:
    fix = "Sign as the user who owns the key."
    return UnavailableError("key_unreadable", f"It cannot be read: {error.strerror}.", where=path, fix=fix)
