"""When a lease ends: one small file a task, rewritten in place and never synced.

The ledger owns who holds a lease and its token; this file owns only the expiry of that token. Lost or forged, it can
end a lease early or stretch it, but an old token stays old: the token is compared under the append lock with the
ledger's newest. Time is nanoseconds since boot, suspend included, with the id of the boot, so a wall clock that
jumps changes nothing, and after a reboot every lease has ended.

    <token> <boot id> <nanoseconds since boot at which it ends>, filled up with spaces

The file is written under the append lock, before the line that claims: a claim is never visible without its expiry,
and an expiry whose claim was not written names a token that the ledger does not know, which counts as ended.
"""

from __future__ import annotations

import os

from enforcer.errors import UnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from enforcer.ports import Clock, Disk

WIDTH = 159  # Every rewrite has the same length, so a reader without the lock never sees the end of an older one.


class FileLeases:
    """Expiry files in `folder`. `ttl_us` is how long a lease lives without a sign of its holder."""

    def __init__(self, folder: str, *, disk: Disk, clock: Clock, ttl_us: int) -> None:
        self._folder, self._disk, self._clock, self.ttl_us = folder, disk, clock, ttl_us

    def remaining_us(self, task: str, token: int) -> int:
        """How long the lease with that token still lives; 0 when it has ended, or the file is gone or unreadable."""
        boot, now = self._clock.boot()
        written = self._read(task).split()
        if len(written) != 3 or written[:2] != [b"%d" % token, boot.encode()] or not written[2].isdigit():
            return 0
        # Nobody is granted more than one lifetime, so a longer one was forged or written under another setting.
        return max(0, min(int(written[2]) - now, self.ttl_us * 1000)) // 1000

    def grant(self, task: str, token: int) -> None:
        """Let the token live for a whole lifetime from now. Only under the append lock.

        Raises `UnavailableError` where the file cannot be written: a lease that nobody can see the end of is none.
        """
        boot, now = self._clock.boot()
        line = f"{token} {boot} {now + self.ttl_us * 1000}".encode().ljust(WIDTH) + b"\n"
        try:
            self._write(f"{self._folder}/{task}", line)
        except OSError as error:
            message = f"The lease of {task} cannot be written: {error.strerror}."
            fix = "Make state/leases writable again, then try again."
            raise UnavailableError("lease_unwritable", message, where=f"{self._folder}/{task}", fix=fix) from error

    def due(self, remaining_us: int) -> bool:
        """Whether a sign of life is due: less than two thirds of the lifetime remain."""
        return remaining_us * 3 < self.ttl_us * 2

    def _write(self, path: str, data: bytes) -> None:
        # O_NONBLOCK: a pipe that somebody left under the name is an error, and not a wait.
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            fd = self._disk.open(path, flags)
        except FileNotFoundError:
            self._disk.make_folder(self._folder)
            fd = self._disk.open(path, flags)
        try:
            self._disk.overwrite(fd, data)
        finally:
            self._disk.close(fd)

    def _read(self, task: str) -> bytes:
        """What the file says; nothing where it cannot be read."""
        try:
            fd = self._disk.open(f"{self._folder}/{task}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return b""
        try:
            return self._disk.read(fd, WIDTH + 1, 0)
        except OSError:
            return b""
        finally:
            self._disk.close(fd)
