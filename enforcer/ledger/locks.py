"""A lock that everybody who uses a name shares: `flock` on the file that stands under it.

`flock` binds an open file, not a name. Whoever deletes or replaces a lock file that is held lets a second holder in,
each with a file of its own; so after the lock is taken it is asked whether the name still leads to this file, and if
not, the file that is there now is locked instead. `lockf` would be lost with any descriptor of the file that closes.
"""

from __future__ import annotations

import os

from enforcer.errors import UnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from enforcer.ports import Disk

_TRIES = 100
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK


class FileLock:
    """An exclusive lock between processes; threads of one process need another one besides.

    `fd` is its open file, and `place` the device and inode of that.
    """

    def __init__(self, path: str, *, disk: Disk) -> None:
        self.path, self._disk = path, disk
        self.fd = -1
        self.place = (0, 0)

    def acquire(self) -> None:
        """Wait for the lock. Raises `UnavailableError`: `ledger_not_writable` or `ledger_not_lockable`."""
        for _ in range(_TRIES):
            if self.fd < 0:
                self.open()
            try:
                self._disk.lock(self.fd)
            except OSError as error:
                raise self._unlockable(error.strerror) from error
            if self._stands():
                return
            self.close()
        raise self._unlockable("it is replaced again and again")

    def try_acquire(self) -> bool:
        """Take the lock if nobody has it; else wait until nobody has it any more, and leave it. Raises as `acquire`.

        It does not ask whether the name still leads to this file: a second holder may be there.
        """
        fd = self.open()
        try:
            if self._disk.try_lock(fd):
                return True
            self._disk.await_unlock(fd)
        except OSError as error:
            raise self._unlockable(error.strerror) from error
        return False

    def release(self) -> None:
        """Give the lock back. What cannot be given back is, with its file."""
        try:
            self._disk.unlock(self.fd)
        except OSError:
            self.close()

    def renew(self) -> None:
        """Open the file that stands under the name now, where that is another one. A lock on the old one is lost."""
        if self.fd >= 0 and not self._stands():
            self.close()
        self.open()

    def open(self) -> int:
        """The file, opened without being locked; made where there is none."""
        if self.fd < 0:
            try:
                fd = self._disk.open(self.path, _FLAGS)
                try:
                    self.place = self._disk.identify(fd)
                except OSError:
                    self._disk.close(fd)
                    raise
            except OSError as error:
                message = f"The ledger cannot be used: {error.strerror}: {self.path}."
                fix = "Make the disk writable and sound again; what was acknowledged is still on the ledger."
                raise UnavailableError("ledger_not_writable", message, where=self.path, fix=fix) from error
            self.fd = fd
        return self.fd

    def close(self) -> None:
        """Close the file, and give back the lock with it."""
        if self.fd >= 0:
            fd, self.fd = self.fd, -1
            self._disk.close(fd)

    def _stands(self) -> bool:
        try:
            return self._disk.look(self.path)[:2] == self.place
        except FileNotFoundError:
            return False
        except OSError as error:
            self.close()
            raise self._unlockable(error.strerror) from error

    def _unlockable(self, why: str | None) -> UnavailableError:
        message = f"The append lock cannot be taken: {why}."
        fix = "Use a disk that has `flock`, and make the lock file accessible."
        return UnavailableError("ledger_not_lockable", message, where=self.path, fix=fix)
