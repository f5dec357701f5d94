"""Disks that fail on demand and clocks that stand still, for tests of what is promised when things go wrong."""

from __future__ import annotations

import errno
import hashlib
import os

from enforcer.ports import SystemDisk


class FaultyDisk(SystemDisk):
    """The real disk, until the nth call of one kind: that call fails, or writes only its first bytes.

    `counts` tells how often each kind was called, so a test can fail every call of an operation in turn.
    """

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.read_bytes = 0
        self._faults: dict[tuple[str, int], tuple[int, int | None]] = {}

    def fail(self, call: str, *, nth: int = 1, error: int = errno.EIO, short: int | None = None) -> None:
        """Let the `nth` call from now on fail; a write has put down `short` bytes by then, where that is given."""
        self._faults[call, self.counts.get(call, 0) + nth] = (error, short)

    def open(self, path: str, flags: int, mode: int = 0o644) -> int:
        self._meet("open")
        return super().open(path, flags, mode)

    def read(self, fd: int, size: int, offset: int) -> bytes:
        self._meet("read")
        data = super().read(fd, size, offset)
        self.read_bytes += len(data)
        return data

    def append(self, fd: int, data: bytes) -> None:
        self._meet("append", fd, data)
        super().append(fd, data)

    def overwrite(self, fd: int, data: bytes) -> None:
        self._meet("overwrite", fd, data)
        super().overwrite(fd, data)

    def datasync(self, fd: int) -> None:
        self._meet("datasync")
        super().datasync(fd)

    def sync(self, fd: int) -> None:
        self._meet("sync")
        super().sync(fd)

    def sync_folder(self, path: str) -> None:
        self._meet("sync_folder")
        super().sync_folder(path)

    def rename(self, source: str, target: str) -> None:
        self._meet("rename")
        super().rename(source, target)

    def lock(self, fd: int) -> None:
        self._meet("lock")
        super().lock(fd)

    def _meet(self, call: str, fd: int = -1, data: bytes = b"") -> None:
        self.counts[call] = self.counts.get(call, 0) + 1
        fault = self._faults.pop((call, self.counts[call]), None)
        if fault is None:
            return
        error, short = fault
        if short is not None:
            os.write(fd, data[:short])
        raise OSError(error, os.strerror(error))


class ManualClock:
    """A clock that moves when it is told to. Wall time in µs, time since boot in ns."""

    def __init__(self, now: int = 1_700_000_000_000_000, boot_ns: int = 5_000_000_000_000) -> None:
        self.time = now
        self.boot_ns = boot_ns
        self.boot_id = "0b6cbd1e-6bb1-4a3a-9e8c-6d9e0e0d4a11"

    def now(self) -> int:
        return self.time

    def boot(self) -> tuple[str, int]:
        return self.boot_id, self.boot_ns

    def pass_us(self, microseconds: int) -> None:
        """Time goes by, for both clocks alike."""
        self.time += microseconds
        self.boot_ns += microseconds * 1000


class CountingEntropy:
    """Different bytes every time, and the same ones in every run."""

    def __init__(self, seed: int = 0) -> None:
        self._count = seed << 32

    def token(self, size: int) -> bytes:
        self._count += 1
        return hashlib.shake_128(self._count.to_bytes(16, "big")).digest(size)
