"""Clocks and disks of the test's own, given to the library in place of the machine's."""

from __future__ import annotations

import errno
import os

from enforcer.ports import SystemDisk

SECOND = 1_000_000
START = 4_102_444_800 * SECOND  # the year 2100: later than anything that the machine's own clock has dated


class ManualClock:
    """A clock that stands still until it is told to move. The wall clock can be set apart from the boot clock."""

    def __init__(self, now: int = START) -> None:
        self.wall = now
        self.elapsed = 3_600 * SECOND

    def now(self) -> int:
        return self.wall

    def boot(self) -> tuple[str, int]:
        return "boot-1", self.elapsed * 1_000

    def passing(self, seconds: float) -> None:
        self.wall += int(seconds * SECOND)
        self.elapsed += int(seconds * SECOND)


class QuickDisk(SystemDisk):
    """The real disk without its waits: for histories that never lose power."""

    def datasync(self, fd: int) -> None: ...

    def sync(self, fd: int) -> None: ...

    def sync_folder(self, path: str) -> None: ...


class CountingDisk(QuickDisk):
    """A disk that counts what is read."""

    def __init__(self) -> None:
        self.read_bytes = 0

    def read(self, fd: int, size: int, offset: int) -> bytes:
        data = super().read(fd, size, offset)
        self.read_bytes += len(data)
        return data


class FailingDisk(SystemDisk):
    """A disk on which, once armed, one kind of call fails."""

    def __init__(self, call: str) -> None:
        self.call = call
        self.armed = False

    def _fail(self, call: str) -> None:
        if self.armed and self.call == call:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def append(self, fd: int, data: bytes) -> None:
        self._fail("append")
        super().append(fd, data)

    def datasync(self, fd: int) -> None:
        self._fail("datasync")
        super().datasync(fd)

    def lock(self, fd: int) -> None:
        self._fail("lock")
        super().lock(fd)


class ReadOnlyDisk(SystemDisk):
    """A disk on which everything can be read and nothing written, whoever asks."""

    def open(self, path: str, flags: int, mode: int = 0o644) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            self._refuse(path)
        return super().open(path, flags, mode)

    def rename(self, source: str, target: str) -> None:
        self._refuse(target)

    def unlink(self, path: str) -> None:
        self._refuse(path)

    def make_folder(self, path: str) -> None:
        self._refuse(path)

    def _refuse(self, path: str) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
