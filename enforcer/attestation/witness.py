"""A witness: another user, or another host, that puts its name to the heads of a log, and never to two that contradict.

It remembers the last head that it cosigned of each log (C2SP tlog-cosignature, `cosignature/v1`) and cosigns another
one only after it has made both trees from the lines itself. So a log that shows two histories to two readers has to
do without the cosignature on one of them, whatever its own key signs.

    <user folder>/witness/key.pem              the key, PKCS #8 in PEM
                          name                 the witness's name, which its vkey begins with
                          <SHA-256>.json       {"key", "note", "origin"}: of the log whose origin has that digest, the
                                               key that was pinned first, and the last note that was given away
                          <SHA-256>.lock       one cosignature of a log at a time; compare-and-set on the file beside
                          lock                 the same for making the key
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from enforcer.attestation.holding import (
    check_extends,
    check_given,
    given_key,
    read_head,
    read_tree,
    signers_of,
    terms_from,
)
from enforcer.attestation.keys import parse_private, private_pem
from enforcer.attestation.signatures import verify_ed25519
from enforcer.errors import DamagedError, RequestError, UnavailableError
from enforcer.ledger.checkpoint import parse_checkpoint
from enforcer.ledger.note import (
    COSIGNATURE,
    Signature,
    VerifierKey,
    cosignature_value,
    cosigned_message,
    format_note,
    format_vkey,
    key_id,
    parse_note,
    parse_vkey,
    verified_by,
)
from enforcer.ports import read_file, write_durably
from enforcer.userstate import make_private_folder, read_secret, unwritable
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from enforcer.ledger.checkpoint import Checkpoint
    from enforcer.ledger.note import Note
    from enforcer.ports import Clock, Disk, Entropy

FOLDER = "witness"
KEY, NAME, LOCK = "key.pem", "name", "lock"
SUFFIX = ".json"

_SEED_SIZE = 32
_MEMBERS = {"key", "note", "origin"}
_MICRO = 1_000_000


class Witnessed(Record):
    """A head that carries this witness's cosignature: `time` in seconds since 1970, and the note as it was given away.

    `key` is the vkey of the log that the witness pinned when it first saw it.
    """

    origin: str
    size: int
    root: bytes
    time: int
    key: str
    note: bytes


class Witness:
    """The witness of one user. `folder` is the user's; raises `UnavailableError` `witness_missing`, `key_exposed`, …"""

    def __init__(self, folder: str, *, disk: Disk, entropy: Entropy, clock: Clock) -> None:
        self._folder = os.path.join(folder, FOLDER)
        self._disk, self._entropy, self._clock = disk, entropy, clock
        self._private, self.name = self._load()
        self._public = self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.vkey = format_vkey(self.name, self._public, COSIGNATURE)

    @classmethod
    def create(cls, folder: str, name: str = "", *, disk: Disk, entropy: Entropy, clock: Clock) -> Witness:
        """Make the key of this user's witness; without a name it gets a random one.

        Raises `RequestError` `key_exists` (a key is never overwritten) or `bad_vkey` (the name is none), and
        `UnavailableError` `user_state_unwritable`.
        """
        place = os.path.join(folder, FOLDER)
        name = name or f"witness/{entropy.token(8).hex()}"
        private = Ed25519PrivateKey.from_private_bytes(entropy.token(_SEED_SIZE))
        format_vkey(name, private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw), COSIGNATURE)
        try:
            make_private_folder(disk, folder)
            make_private_folder(disk, place)
            with _locked(disk, os.path.join(place, LOCK)):
                if disk.exists(os.path.join(place, KEY)):
                    message = "This user has a witness, and its key is never overwritten."
                    raise RequestError("key_exists", message, where=place, fix="enforcer witness show")
                # The key comes last: where there is one there is all of it.
                write_durably(disk, os.path.join(place, NAME), name.encode() + b"\n", entropy=entropy, mode=0o600)
                write_durably(disk, os.path.join(place, KEY), private_pem(private), entropy=entropy, mode=0o600)
        except OSError as error:
            raise unwritable(place, error) from error
        return cls(folder, disk=disk, entropy=entropy, clock=clock)

    def logs(self) -> tuple[Witnessed, ...]:
        """Every log that this witness knows, with the last head it cosigned, by origin."""
        names = [name for name in self._disk.listing(self._folder) if name.endswith(SUFFIX)]
        known = [self._recall(os.path.join(self._folder, name)) for name in names]
        return tuple(sorted((one for one in known if one is not None), key=lambda one: one.origin))

    def cosign(
        self, data: bytes, batches: Iterable[tuple[Sequence[bytes], Sequence[bytes]]], keys: Sequence[VerifierKey] = ()
    ) -> Witnessed:
        """Put this witness's name to a head that was found, if all holds; durable here before it is given away.

        `data` is the note, `batches` the log's lines with their leaf hashes, in order, and `keys` those that the log
        may be known by: one is needed at the first head of a log, and its rotations are followed from then on.

        Raises `RequestError` `log_key_needed`, `log_key_conflict`; `DamagedError` `checkpoint_malformed`,
        `lines_missing`, `checkpoint_contradicted`, `rotation_invalid`, `checkpoint_forged`, `log_key_changed`,
        `rolled_back`, `history_rewritten`, `witness_memory_damaged`; `UnavailableError` `witness_busy`, …
        """
        note, head = read_head(data)
        path = self._path_of(head.origin)
        with _locked(self._disk, path.removesuffix(SUFFIX) + ".lock"):
            last = self._recall(path)
            pinned = last.key if last is not None else given_key(head.origin, keys)
            read = read_tree(batches, head, () if last is None else (last.size,))
            terms = terms_from(head.origin, pinned, read)
            check_given(head.origin, keys, terms)
            signers = signers_of(note, head, terms)
            if last is not None:
                check_extends(last.size, last.root, head, read)
            return self._sign(path, note, head, pinned, signers)

    def _sign(
        self, path: str, note: Note, head: Checkpoint, pinned: str, signers: tuple[VerifierKey, ...]
    ) -> Witnessed:
        time = self._clock.now() // _MICRO
        value = cosignature_value(time, self._private.sign(cosigned_message(note.text, time)))
        own = Signature(name=self.name, key_id=key_id(self.name, self._public, COSIGNATURE), value=value)
        # Lines of others are not passed on: this witness has not looked at what they say.
        ids = {(key.name, key_id(key.name, key.public)) for key in signers}
        theirs = [each for each in note.signatures if (each.name, each.key_id) in ids]
        data = format_note(note.text, [*theirs, own])
        memory = {"key": pinned, "note": data.decode(), "origin": head.origin}
        try:
            written = json.dumps(memory, sort_keys=True).encode() + b"\n"
            write_durably(self._disk, path, written, entropy=self._entropy, mode=0o600)
        except OSError as error:
            raise unwritable(self._folder, error) from error
        return Witnessed(head.origin, head.size, head.root, time, pinned, data)

    # Memory ----------------------------------------------------------------------------------------------------------

    def _recall(self, path: str) -> Witnessed | None:
        """What is remembered of a log; None where nothing is.

        A witness that does not know what it signed must not sign.

        Raises `DamagedError` `witness_memory_damaged`, `UnavailableError` `witness_unreadable`.
        """
        try:
            data = read_file(self._disk, path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreadable(path, error) from error
        try:
            memory = json.loads(data)
            if not isinstance(memory, dict) or memory.keys() != _MEMBERS:
                raise ValueError("it has other members")
            return self._remembered(memory["key"], memory["note"].encode(), path)
        except (ValueError, AttributeError, RecursionError, RequestError) as error:
            message = f"What the witness remembers of a log is damaged: {error}."
            fix = "Restore the file from a copy: without it a rewritten history could not be told from this one."
            raise DamagedError("witness_memory_damaged", message, where=path, fix=fix) from error

    def _remembered(self, key: str, data: bytes, path: str) -> Witnessed:
        """Raises `ValueError` or `RequestError` unless the note is one that this witness gave away."""
        note = parse_note(data)
        head = parse_checkpoint(note.text)
        own = VerifierKey(self.name, self._public, COSIGNATURE)
        if self._path_of(head.origin) != path or parse_vkey(key).name != head.origin:
            raise ValueError("it is of another log")
        if not verified_by(note, (own,), verify_ed25519):
            raise ValueError("the note is not signed by this witness")
        signed = next(each for each in note.signatures if (each.name, each.key_id) == (self.name, self._own_id))
        return Witnessed(head.origin, head.size, head.root, int.from_bytes(signed.value[:8]), key, data)

    @property
    def _own_id(self) -> bytes:
        return key_id(self.name, self._public, COSIGNATURE)

    def _load(self) -> tuple[Ed25519PrivateKey, str]:
        path = os.path.join(self._folder, KEY)
        try:
            private = parse_private(read_secret(path), path)
            return private, read_file(self._disk, os.path.join(self._folder, NAME)).decode().strip()
        except FileNotFoundError as error:
            message, fix = "This user has no witness.", "enforcer witness init"
            raise UnavailableError("witness_missing", message, where=self._folder, fix=fix) from error
        except OSError as error:
            raise _unreadable(path, error) from error
        except UnicodeDecodeError as error:
            fix = "Restore the file from a copy."
            raise DamagedError("witness_memory_damaged", "Its name is no text.", where=self._folder, fix=fix) from error

    def _path_of(self, origin: str) -> str:
        """Named by a digest: an origin comes out of a file that may be anybody's."""
        return os.path.join(self._folder, sha256(origin.encode()).hexdigest() + SUFFIX)


# Files ---------------------------------------------------------------------------------------------------------------


@contextmanager
def _locked(disk: Disk, path: str) -> Iterator[None]:
    try:
        fd = disk.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise unwritable(os.path.dirname(path), error) from error
    try:
        # Never waited for: a process that was stopped in here must not stop the others as well.
        if not disk.try_lock(fd):
            raise UnavailableError("witness_busy", "Another process cosigns at this moment.", fix="Ask again.")
        yield
    finally:
        disk.close(fd)


def _unreadable(path: str, error: OSError) -> UnavailableError:
    message = f"It cannot be read: {error.strerror or error}."
    return UnavailableError("witness_unreadable", message, where=path, fix="Run it as the user whose witness it is.")
