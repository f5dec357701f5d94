"""Content-addressed copies of what was judged: `state/objects/<first 2 hex digits>/<the other 62>`.

The name of an object is the SHA-256 of its bytes, so whoever reads one proves it again, and a stored object is never
changed. An entry of the ledger names objects by digest; for that to hold after a power failure, the object has to be on
stable storage before the entry is written. `put` and `put_many` return only then.

A process that dies in between leaves at most a file whose name ends in `.new`, which nothing ever reads.
"""

from __future__ import annotations

import errno
import hashlib
import os

from enforcer.errors import DamagedError, RequestError, UnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from enforcer.ports import Disk, Entropy

MAX_OBJECT = 64 << 20
"""The largest object, in bytes: what stands under a name is read whole, and a name can be planted."""

_HEX = frozenset("0123456789abcdef")
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_NOT_A_FILE = frozenset({errno.ELOOP, errno.EMLINK, errno.ENXIO, errno.ESPIPE, errno.EISDIR, errno.ENOTDIR})


class Objects:
    """The object store of one project below the absolute path `root`, usable by many processes at once.

    It remembers which digests this process has made durable, so storing the same bytes again costs no system call.
    """

    def __init__(self, root: str, disk: Disk, entropy: Entropy) -> None:
        self._root = root
        self._disk = disk
        self._entropy = entropy
        self._durable: set[str] = set()
        self._doubted: set[str] = set()
        self._folders: set[str] = set()

    def put(self, data: bytes) -> str:
        """Store `data`; its digest. When this returns, the object is on stable storage."""
        return self.put_many((data,))[0]

    def put_many(self, contents: Iterable[bytes]) -> list[str]:
        """Store all of `contents`; their digests in the same order. All are on stable storage when this returns.

        Bytes found under a name are compared, and replaced if they are not the object. Raises `UnavailableError`
        (`objects_unwritable`) when the disk refuses; some of the objects may then be stored, none is said to be.
        """
        named = [(hashlib.sha256(data).hexdigest(), data) for data in contents]
        missing = {digest: data for digest, data in named if digest not in self._durable}
        if missing:
            try:
                self._store(missing)
            except OSError as error:
                # A sync that fails once may succeed the next time without having written, so these are written anew.
                self._doubted.update(missing)
                raise self._failed("objects_unwritable", "store objects", self._root, error) from error
            self._durable.update(missing)
            self._doubted.difference_update(missing)
        return [digest for digest, _ in named]

    def get(self, digest: str) -> bytes:
        """The bytes of an object, proven to be the ones named.

        Raises `UnavailableError` (`object_missing`, `object_unreadable`) or `DamagedError` (`object_damaged`).
        """
        path = self._path(digest)
        try:
            self._check_folder(os.path.dirname(path))
            data = self._read(path)
        except FileNotFoundError:
            fix = "Restore `state/objects` from a copy of the project's state."
            raise UnavailableError("object_missing", f"Object {digest} is gone.", where=path, fix=fix) from None
        except OSError as error:
            if error.errno not in _NOT_A_FILE:
                raise self._failed("object_unreadable", f"read object {digest}", path, error) from error
            data = None
        if data is None or hashlib.sha256(data).hexdigest() != digest:
            message = f"The bytes stored as object {digest} are not the ones of that digest."
            fix = "Restore the file from a copy; storing the true bytes again replaces it as well."
            raise DamagedError("object_damaged", message, where=path, fix=fix)
        return data

    def has(self, digest: str) -> bool:
        """Whether the object is there with the bytes of its digest. It does not promise that it is durable."""
        if digest in self._durable:
            return True
        try:
            self.get(digest)
        except DamagedError:
            return False
        except UnavailableError as error:
            if error.code != "object_missing":
                raise
            return False
        return True

    def names(self) -> Iterator[str]:
        """The digests that have a file, sorted; their bytes are not looked at. For audits."""
        for prefix in self._disk.listing(self._root):
            if len(prefix) == 2 and _HEX.issuperset(prefix):
                for rest in self._disk.listing(f"{self._root}/{prefix}"):
                    if _is_digest(prefix + rest):
                        yield prefix + rest

    def _store(self, missing: dict[str, bytes]) -> None:
        folders = {os.path.dirname(self._path(digest)) for digest in missing}
        for folder in sorted(folders):
            self._disk.make_folder(folder)
            self._check_folder(folder)
        written: dict[str, str] = {}
        try:
            for digest, data in missing.items():
                path = self._path(digest)
                if digest in self._doubted or not self._keep(path, data):
                    self._write_beside(path, data, written)
            for path, temporary in list(written.items()):
                self._disk.rename(temporary, path)
                del written[path]
        finally:
            for temporary in written.values():
                self._disk.unlink(temporary)
        for folder in sorted(folders):
            self._disk.sync_folder(folder)

    def _keep(self, path: str, data: bytes) -> bool:
        """Whether `path` holds `data` already; its bytes are then on stable storage, whoever wrote them."""
        try:
            fd = self._disk.open(path, _READ)
        except OSError as error:
            if error.errno == errno.ENOENT or error.errno in _NOT_A_FILE:
                return False
            raise
        try:
            if self._disk.size(fd) != len(data) or self._disk.read(fd, len(data) + 1, 0) != data:
                return False
            self._disk.sync(fd)
            return True
        except OSError as error:
            if error.errno in _NOT_A_FILE:
                return False
            raise
        finally:
            self._disk.close(fd)

    def _write_beside(self, path: str, data: bytes, written: dict[str, str]) -> None:
        """Write and sync `data` next to `path`; its temporary name stands in `written` also if this fails half way."""
        if len(data) > MAX_OBJECT:
            message = f"An object of {len(data)} bytes; the limit is {MAX_OBJECT}."
            raise RequestError("object_too_large", message, fix="Store its digest and keep the bytes elsewhere.")
        temporary = f"{path}.{self._entropy.token(8).hex()}.new"
        fd = self._disk.open(temporary, _WRITE, 0o444)
        written[path] = temporary
        try:
            if data:
                self._disk.append(fd, data)
            self._disk.sync(fd)
        finally:
            self._disk.close(fd)

    def _read(self, path: str) -> bytes | None:
        """The bytes of a file; None if it is larger than any object."""
        fd = self._disk.open(path, _READ)
        try:
            size = self._disk.size(fd)
            return self._disk.read(fd, size + 1, 0) if size <= MAX_OBJECT else None
        finally:
            self._disk.close(fd)

    def _check_folder(self, folder: str) -> None:
        """Raises `OSError` (ELOOP or ENOTDIR) if the store or one of its folders is a symbolic link."""
        for path in (self._root, folder):
            if path not in self._folders:
                self._disk.close(self._disk.open(path, _FOLDER))
                self._folders.add(path)

    def _path(self, digest: str) -> str:
        if not _is_digest(digest):
            raise RequestError("digest_invalid", f"{digest[:80]!a} is not a SHA-256 digest in lower-case hex.")
        return f"{self._root}/{digest[:2]}/{digest[2:]}"

    def _failed(self, code: str, action: str, where: str, error: OSError) -> UnavailableError:
        message = f"Cannot {action}: {os.strerror(error.errno or 0)}."
        return UnavailableError(code, message, where=error.filename or where, fix="Check the disk, then try again.")


def _is_digest(text: str) -> bool:
    return len(text) == 64 and _HEX.issuperset(text)
