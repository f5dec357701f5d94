"""What the user's own folder holds besides signing keys: cache keys, and which ledger was last seen where.

The folder lies outside every project, where whoever can write to a project's `state/` need not be able to write. It
is read without any cryptographic library, because every command that reads a snapshot needs the cache key.

    <user folder>/<ledger id>/signing-key.pem, cache-key    written by `attestation.keys`
    <user folder>/<ledger id>/seen                          {"root": …, "size": …}, the largest head that was seen whole
    <user folder>/<ledger id>/home                          {"path": …}, the state folder in which it is sealed
    <user folder>/paths/<SHA-256 of a path>                 {"id": …, "path": …}
"""

from __future__ import annotations

import hashlib
import json
import os
import stat

from enforcer.errors import DamagedError, InternalError, UnavailableError
from enforcer.ports import read_file, write_durably

TYPE_CHECKING = False
if TYPE_CHECKING:
    from enforcer.ports import Disk, Entropy

SIGNING_KEY_NAME = "signing-key.pem"
CACHE_KEY_NAME = "cache-key"
CACHE_KEY_SIZE = 32

_PATHS_NAME = "paths"
_SEEN_NAME = "seen"
_HOME_NAME = "home"
_ROOT_SIZE = 32
_SECRET_LIMIT = 65_536
_ID_LENGTH = 32
_HEX_DIGITS = frozenset("0123456789abcdef")


class UserState:
    """The user's folder. A user without one loses seals and caches, never an answer."""

    def __init__(self, folder: str, disk: Disk, entropy: Entropy) -> None:
        self._folder = folder
        self._disk = disk
        self._entropy = entropy

    def cache_key(self, ledger_id: str) -> bytes | None:
        """The 32-byte HMAC key for a ledger's caches; None where it is absent, unreadable, exposed or malformed."""
        if not is_ledger_id(ledger_id):
            return None
        try:
            key = read_secret(os.path.join(self._folder, ledger_id, CACHE_KEY_NAME))
        except (OSError, UnavailableError):
            return None
        return key if len(key) == CACHE_KEY_SIZE else None

    def ledger_of(self, state_path: str) -> str | None:
        """The id of the ledger last seen in a project's state folder; None where none was, or it cannot be read.

        Raises `DamagedError` `user_state_damaged` where something else stands in the file's place.
        """
        place = _place(state_path)
        file = self._path_file(place)
        try:
            data = read_file(self._disk, file)
        except OSError:
            return None
        return _parse_mark(data, place, file)

    def remember(self, state_path: str, ledger_id: str) -> None:
        """Note durably which ledger a state folder holds. Raises `UnavailableError` `user_state_unwritable`."""
        if not is_ledger_id(ledger_id):
            raise InternalError("bad_ledger_id", f"{ledger_id!a} is no ledger id.")
        place = _place(state_path)
        file = self._path_file(place)
        data = _format_mark(place, ledger_id)
        try:
            if self._disk.exists(file) and read_file(self._disk, file) == data:
                return
            make_private_folder(self._disk, self._folder)
            make_private_folder(self._disk, os.path.dirname(file))
            write_durably(self._disk, file, data, entropy=self._entropy, mode=0o600)
        except OSError as error:
            raise unwritable(self._folder, error) from error

    def seen(self, ledger_id: str) -> tuple[int, bytes] | None:
        """The largest head of a ledger that this user saw: size and root; None where none was, or it cannot be read.

        Raises `DamagedError` `user_state_damaged` where something else stands in the file's place.
        """
        file = self._seen_file(ledger_id)
        try:
            data = read_file(self._disk, file)
        except OSError:
            return None
        try:
            mark = json.loads(data)
            size, root = mark["size"], bytes.fromhex(mark["root"])
            if type(size) is int and size > 0 and len(root) == _ROOT_SIZE:
                return size, root
        except (ValueError, TypeError, KeyError, RecursionError):
            pass
        message = "The note of the largest head that was seen of this ledger is damaged."
        fix = "Delete the file once the ledger is known to be whole."
        raise DamagedError("user_state_damaged", message, where=file, fix=fix)

    def other_home(self, ledger_id: str, state_path: str) -> str | None:
        """Another state folder in which this ledger is at home and still stands: the one at `state_path` is a copy.

        None where this one is its home, or nobody knows of one.
        """
        try:
            home = json.loads(read_file(self._disk, self._home_file(ledger_id)))["path"]
            if home == _place(state_path):
                return None
            identity = json.loads(read_file(self._disk, f"{home}/ledger/ledger.json"))
            return str(home) if identity["id"] == ledger_id else None
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return None

    def settle_home(self, ledger_id: str, state_path: str) -> None:
        """Remember where a ledger is at home. Raises `UnavailableError` `user_state_unwritable`."""
        data = json.dumps({"path": _place(state_path)}, sort_keys=True).encode() + b"\n"
        file = self._home_file(ledger_id)
        try:
            if not self._disk.exists(file) or read_file(self._disk, file) != data:
                write_durably(self._disk, file, data, entropy=self._entropy, mode=0o600)
        except OSError as error:
            raise unwritable(self._folder, error) from error

    def saw(self, ledger_id: str, size: int, root: bytes, *, state_path: str) -> None:
        """Remember a head that was verified, unless a larger one was. A user without a folder remembers nothing.

        What a copy has become says nothing of the ledger that was copied, and is not remembered.
        """
        try:
            if self.other_home(ledger_id, state_path) is not None:
                return
            before = self.seen(ledger_id)
            if before is not None and before[0] >= size:
                return
            make_private_folder(self._disk, self._folder)
            make_private_folder(self._disk, os.path.dirname(self._seen_file(ledger_id)))
            data = json.dumps({"root": root.hex(), "size": size}, sort_keys=True).encode() + b"\n"
            write_durably(self._disk, self._seen_file(ledger_id), data, entropy=self._entropy, mode=0o600)
        except (OSError, DamagedError):
            return

    def writable(self) -> bool:
        """Whether the folder could be written, told from permissions alone: nothing is created by asking."""
        folder = os.path.abspath(self._folder)
        while not os.path.lexists(folder):
            folder = os.path.dirname(folder)
        return os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK)

    def _seen_file(self, ledger_id: str) -> str:
        if not is_ledger_id(ledger_id):
            raise InternalError("bad_ledger_id", f"{ledger_id!a} is no ledger id.")
        return os.path.join(self._folder, ledger_id, _SEEN_NAME)

    def _home_file(self, ledger_id: str) -> str:
        if not is_ledger_id(ledger_id):
            raise InternalError("bad_ledger_id", f"{ledger_id!a} is no ledger id.")
        return os.path.join(self._folder, ledger_id, _HOME_NAME)

    def _path_file(self, place: str) -> str:
        return os.path.join(self._folder, _PATHS_NAME, hashlib.sha256(os.fsencode(place)).hexdigest())


def is_ledger_id(text: str) -> bool:
    """Whether `text` is 32 lower-case hex digits. An id names a folder here, and may come from a forged file."""
    return len(text) == _ID_LENGTH and _HEX_DIGITS.issuperset(text)


def read_secret(path: str) -> bytes:
    """The bytes of a secret file that only its owner can read.

    Raises `UnavailableError` `key_exposed` if group or others have any permission on it, or if it is no regular
    file of its own name; `OSError` passes through. Permissions are those of the very file that is read.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_mode & 0o077:
            raise UnavailableError(
                "key_exposed",
                f"Others than its owner may use this key (mode {stat.S_IMODE(status.st_mode):04o}).",
                fix=f"chmod 600 {path}; if others had access, replace the key",
                where=path,
            )
        return os.read(fd, _SECRET_LIMIT)
    finally:
        os.close(fd)


def make_private_folder(disk: Disk, path: str) -> None:
    """Create a folder, and its missing parents, that only its owner can enter. An existing one is left as it is.

    The mode is set through the operating system: `Disk` stands for durability, and permissions are no part of that.
    """
    if not disk.exists(path):
        disk.make_folder(path)
        os.chmod(path, 0o700)


def unwritable(folder: str, error: OSError) -> UnavailableError:
    """The answer to every failure to write to the user's folder."""
    return UnavailableError(
        "user_state_unwritable",
        f"The user's state folder cannot be written: {error.strerror or error}.",
        fix="make it writable, or set ENFORCER_HOME to another folder outside the project",
        where=folder,
    )


def _place(state_path: str) -> str:
    """The real folder around `state`, and the name as it is: a symlink put in its place is still the same place."""
    around, name = os.path.split(os.path.abspath(state_path))
    return os.path.join(os.path.realpath(around), name)


def _format_mark(place: str, ledger_id: str) -> bytes:
    # Escaped to ASCII: a path that is no UTF-8 still has a form, by its surrogate escapes.
    return json.dumps({"id": ledger_id, "path": place}, sort_keys=True).encode() + b"\n"


def _parse_mark(data: bytes, place: str, file: str) -> str:
    try:
        mark = json.loads(data)
        if mark["path"] == place and is_ledger_id(mark["id"]):
            return str(mark["id"])
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    raise DamagedError(
        "user_state_damaged",
        f"The note of which ledger belongs to {place} is damaged.",
        fix="delete the file once the project's ledger is known to be there and whole",
        where=file,
    )
