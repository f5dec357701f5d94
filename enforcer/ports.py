"""The three doors to the outside world that a simulation replaces: the clock, the disk and entropy.

Everything that decides takes time and randomness as values. Everything that stores takes a `Disk`, so that a
test can drop unsynced writes, tear the last one, fail a sync or stop a process at any call.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sys
import time

if sys.platform == "darwin":
    import ctypes

from enforcer.errors import UnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol
else:
    Protocol = object


class Clock(Protocol):
    def now(self) -> int:
        """UTC wall-clock time in integer microseconds since 1970. May jump either way."""
        ...

    def boot(self) -> tuple[str, int]:
        """The id of this boot and the nanoseconds since it, suspend included. Never goes backwards within a boot."""
        ...


class Entropy(Protocol):
    def token(self, size: int) -> bytes:
        """`size` unpredictable bytes."""
        ...


class Disk(Protocol):
    """The file operations that durable storage needs. Paths are absolute. `OSError` passes through unchanged."""

    def open(self, path: str, flags: int, mode: int = 0o644) -> int: ...
    def close(self, fd: int) -> None: ...
    def size(self, fd: int) -> int: ...
    def identify(self, fd: int) -> tuple[int, int]:
        """Device and inode of an open file: what stays the same when the file gets another name."""
        ...

    def look(self, path: str) -> tuple[int, int, int]:
        """Device, inode and size of what stands under a name, links not followed."""
        ...

    def read(self, fd: int, size: int, offset: int) -> bytes:
        """Exactly `size` bytes from `offset`, fewer only at the end of the file."""
        ...

    def append(self, fd: int, data: bytes) -> None:
        """One write at the end of a file opened with `O_APPEND`. A short write raises `OSError` (ENOSPC)."""
        ...

    def overwrite(self, fd: int, data: bytes) -> None:
        """Write `data` at offset 0 and cut the file to its length."""
        ...

    def replace(self, fd: int, data: bytes, offset: int) -> None:
        """One write at `offset` of a file opened without `O_APPEND`. A short write raises `OSError` (ENOSPC)."""
        ...

    def truncate(self, fd: int, size: int) -> None:
        """Cut the file to `size` bytes."""
        ...

    def datasync(self, fd: int) -> None:
        """Returns once the file's bytes are on stable storage. After an error nothing may be assumed of them."""
        ...

    def sync(self, fd: int) -> None: ...
    def sync_folder(self, path: str) -> None:
        """Returns once the names in the folder are on stable storage."""
        ...

    def rename(self, source: str, target: str) -> None: ...
    def unlink(self, path: str) -> None: ...
    def make_folder(self, path: str) -> None:
        """Create the folder and its missing parents, each synced into its parent. Existing ones are left alone."""
        ...

    def listing(self, path: str) -> list[str]:
        """The names in a folder, sorted; empty when there is no such folder."""
        ...

    def exists(self, path: str) -> bool: ...
    def lock(self, fd: int) -> None:
        """Wait for the exclusive `flock` on `fd`."""
        ...

    def try_lock(self, fd: int) -> bool:
        """Take the exclusive `flock` on `fd` if nobody holds it; False where somebody does."""
        ...

    def await_unlock(self, fd: int) -> None:
        """Wait until nobody holds the exclusive `flock` on `fd`. All who wait go on at once; none of them holds it."""
        ...

    def unlock(self, fd: int) -> None: ...


class SystemClock:
    """The clock of this machine."""

    def __init__(self) -> None:
        self._boot_id = ""

    def now(self) -> int:
        return time.time_ns() // 1000

    def boot(self) -> tuple[str, int]:
        if not self._boot_id:
            self._boot_id = _boot_id()
        source = time.CLOCK_BOOTTIME if sys.platform == "linux" else time.CLOCK_MONOTONIC
        return self._boot_id, time.clock_gettime_ns(source)


def _boot_id() -> str:
    if sys.platform == "darwin":
        libc = ctypes.CDLL(None)
        size = ctypes.c_size_t(64)
        value = ctypes.create_string_buffer(size.value)
        if libc.sysctlbyname(b"kern.bootsessionuuid", value, ctypes.byref(size), None, 0) != 0:
            raise UnavailableError("boot_id_unavailable", "The system does not tell which boot this is.")
        return value.value.decode("ascii")
    else:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()


class SystemEntropy:
    """The operating system's randomness."""

    def token(self, size: int) -> bytes:
        return os.urandom(size)


class SystemDisk:
    """The disk of this machine."""

    def open(self, path: str, flags: int, mode: int = 0o644) -> int:
        return os.open(path, flags | os.O_CLOEXEC, mode)

    def close(self, fd: int) -> None:
        os.close(fd)

    def size(self, fd: int) -> int:
        return os.fstat(fd).st_size

    def identify(self, fd: int) -> tuple[int, int]:
        found = os.fstat(fd)
        return found.st_dev, found.st_ino

    def look(self, path: str) -> tuple[int, int, int]:
        found = os.lstat(path)
        return found.st_dev, found.st_ino, found.st_size

    def read(self, fd: int, size: int, offset: int) -> bytes:
        data = os.pread(fd, size, offset)
        if len(data) == size or not data:
            return data
        parts = [data]
        missing = size - len(data)
        while missing and (data := os.pread(fd, missing, offset + size - missing)):
            parts.append(data)
            missing -= len(data)
        return b"".join(parts)

    def append(self, fd: int, data: bytes) -> None:
        written = os.write(fd, data)
        if written != len(data):
            raise OSError(errno.ENOSPC, f"short write: {written} of {len(data)} bytes")

    def overwrite(self, fd: int, data: bytes) -> None:
        written = os.pwrite(fd, data, 0)
        if written != len(data):
            raise OSError(errno.ENOSPC, f"short write: {written} of {len(data)} bytes")
        os.ftruncate(fd, len(data))

    def replace(self, fd: int, data: bytes, offset: int) -> None:
        written = os.pwrite(fd, data, offset)
        if written != len(data):
            raise OSError(errno.ENOSPC, f"short write: {written} of {len(data)} bytes")

    def truncate(self, fd: int, size: int) -> None:
        os.ftruncate(fd, size)

    def datasync(self, fd: int) -> None:
        if sys.platform == "darwin":
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
        else:
            os.fdatasync(fd)

    def sync(self, fd: int) -> None:
        if sys.platform == "darwin":
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
        else:
            os.fsync(fd)

    def sync_folder(self, path: str) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def rename(self, source: str, target: str) -> None:
        os.rename(source, target)

    def unlink(self, path: str) -> None:
        os.unlink(path)

    def make_folder(self, path: str) -> None:
        if os.path.isdir(path):
            return
        parent = os.path.dirname(path)
        self.make_folder(parent)
        try:
            os.mkdir(path)
        except FileExistsError:
            if not os.path.isdir(path):
                raise
        self.sync_folder(parent)

    def listing(self, path: str) -> list[str]:
        try:
            return sorted(os.listdir(path))
        except FileNotFoundError:
            return []

    def exists(self, path: str) -> bool:
        return os.path.exists(path)

    def lock(self, fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX)

    def try_lock(self, fd: int) -> bool:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def await_unlock(self, fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_SH)
        fcntl.flock(fd, fcntl.LOCK_UN)

    def unlock(self, fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_UN)


def read_file(disk: Disk, path: str) -> bytes:
    """All bytes of a file. Neither a pipe nor a device is waited for: `OSError`."""
    fd = disk.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        return disk.read(fd, disk.size(fd) or 1, 0)
    finally:
        disk.close(fd)


def write_durably(disk: Disk, path: str, data: bytes, *, entropy: Entropy, mode: int = 0o644) -> None:
    """Put a whole file in place: written beside it, synced, renamed, and the folder synced.

    When this returns the new content is on stable storage; if it raises, `path` holds what it held before.
    """
    _put(disk, path, data, entropy=entropy, mode=mode, synced=True)
    disk.sync_folder(os.path.dirname(path))


def write_whole(disk: Disk, path: str, data: bytes, *, entropy: Entropy) -> None:
    """The same, unsynced: for what is made again where it is lost. Nobody ever reads a part of it."""
    _put(disk, path, data, entropy=entropy, mode=0o644, synced=False)


def _put(disk: Disk, path: str, data: bytes, *, entropy: Entropy, mode: int, synced: bool) -> None:
    temporary = f"{path}.{entropy.token(8).hex()}.new"
    fd = disk.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, mode)
    try:
        try:
            disk.append(fd, data)
            if synced:
                disk.sync(fd)
        finally:
            disk.close(fd)
        disk.rename(temporary, path)
    except OSError:
        if disk.exists(temporary):
            disk.unlink(temporary)
        raise
