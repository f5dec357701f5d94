"""When a lease ends: one small file a task, rewritten in place and never synced.

The ledger owns who holds a lease and its token; this file owns only the expiry of that token. Lost or forged, it can
end a lease early or stretch it, but an old token stays old: the token is compared under the append lock with the
ledger's newest. Time is nanoseconds since boot, suspend included, with the id of the boot, so a wall clock that
jumps changes nothing, and after a reboot every lease has ended.

The file is written under the append lock, before the line that claims: a claim is never visible without its expiry,
and an expiry whose claim was not written names a token that the ledger does not know, which counts as ended.
"""

from __future__ import annotations

import json
import os

from enforcer.errors import UnavailableError
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from enforcer.ports import Clock, Disk

MAX_FILE = 4096
WIDTH = 159  # Every rewrite has the same length, so a reader without the lock never sees the end of an older one.


class Expiry(Record):
    """The token that lives until `expires_ns` of the boot `boot`."""

    token: int
    boot: str
    expires_ns: int


class FileLeases:
    """Expiry files in `folder`. `ttl_us` is how long a lease lives without a sign of its holder."""

    def __init__(self, folder: str, *, disk: Disk, clock: Clock, ttl_us: int) -> None:
        self._folder, self._disk, self._clock, self.ttl_us = folder, disk, clock, ttl_us

    def remaining_us(self, task: str, token: int) -> int:
        """How long the lease with that token still lives; 0 when it has ended, or the file is gone or unreadable."""
        expiry = self._read(task)
        boot, now = self._clock.boot()
        if expiry is None or expiry.token != token or expiry.boot != boot:
            return 0
        # Nobody is granted more than one lifetime, so a longer one was forged or written under another setting.
        return max(0, min(expiry.expires_ns - now, self.ttl_us * 1000)) // 1000

    def grant(self, task: str, token: int) -> None:
        """Let the token live for a whole lifetime from now. Only under the append lock.

        Raises `UnavailableError` where the file cannot be written: a lease that nobody can see the end of is none.
        """
        boot, now = self._clock.boot()
        expiry = Expiry(token, boot, now + self.ttl_us * 1000)
        try:
            self._write(f"{self._folder}/{task}", json.dumps(expiry.pack()).encode().ljust(WIDTH) + b"\n")
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

    def _read(self, task: str) -> Expiry | None:
        try:
            fd = self._disk.open(f"{self._folder}/{task}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return None
        try:
            return Expiry.unpack(json.loads(self._disk.read(fd, MAX_FILE, 0)))
        except (ValueError, OSError, RecursionError):
            return None
        finally:
            self._disk.close(fd)
