"""A governed project whose keys a test changes, and disks on which a process dies or fails at any call."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from enforcer.enforcer import Enforcer
from enforcer.initialize import initialize
from enforcer.ports import SystemDisk, SystemEntropy
from enforcer.userstate import UserState

_CALLS = (
    *("open", "append", "overwrite", "replace", "truncate", "datasync", "sync", "sync_folder", "rename", "unlink"),
    *("make_folder", "lock", "try_lock"),
)


_HARMLESS = ("open", "lock", "try_lock")


class Killed(BaseException):
    """The process is no more. Nothing of ours may catch it."""


class QuickDisk(SystemDisk):
    """The disk without its syncs: what is tested here is what is done in which order, and not what a device loses."""

    def datasync(self, fd: int) -> None:
        pass

    def sync(self, fd: int) -> None:
        pass

    def sync_folder(self, path: str) -> None:
        pass


class DoomedDisk(QuickDisk):
    """A disk on which the `nth` call that changes or opens something fails with EIO, or is where the process dies.

    A process that is dead does nothing more. `bury` gives back what it held, as the system does.
    """

    def __init__(self, nth: int, *, dies: bool) -> None:
        """It counts from `arm` on; for one who dies, only what changes something: before that is as good as after."""
        self._left, self._nth, self._dies, self._dead = 0, nth, dies, False
        self._open: set[int] = set()
        for name in _CALLS:
            setattr(self, name, self._doomed(name, getattr(super(), name)))

    def arm(self) -> None:
        self._left = self._nth

    @property
    def spared(self) -> bool:
        """Whether the fault was never met."""
        return self._left > 0

    def close(self, fd: int) -> None:
        # What is buried is closed again by whoever is left of the process, when its number is somebody else's.
        if fd in self._open:
            self._open.discard(fd)
            super().close(fd)

    def bury(self) -> None:
        self._dead = True
        for fd in [*self._open]:
            self.close(fd)

    def _doomed(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **named: Any) -> Any:
            counts = self._left > 0 and not (self._dies and name in _HARMLESS)
            self._left -= counts
            met = counts and self._left == 0
            if self._dead or (met and self._dies):
                self._dead = True
                raise Killed
            if met:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            answer = call(*args, **named)
            if name == "open":
                self._open.add(answer)
            return answer

        return called


class Place:
    """A project and its user's folder below one folder."""

    def __init__(self, base: Path) -> None:
        self.base, self.root, self.home = base, base / "project", base / "home"

    @property
    def environ(self) -> dict[str, str]:
        return {"ENFORCER_HOME": str(self.home), "ENFORCER_ACTOR": "ada"}

    @property
    def state(self) -> Path:
        return self.root / "state"

    def begin(self, *tasks: str) -> Place:
        self.root.mkdir(parents=True)
        initialize(str(self.root), process="lean", environ=self.environ, disk=QuickDisk())
        with self.open() as enforcer:
            for task in tasks:
                enforcer.open_task(task)
            enforcer.sealer.seal()
        return self

    def copy(self, base: Path) -> Place:
        """The same project somewhere else, which its user takes for the one place in which the ledger is at home."""
        other = Place(base)
        shutil.copytree(self.base, base, ignore=shutil.ignore_patterns(".cache"))
        ledger = next(path.name for path in other.home.iterdir() if path.name != "paths")
        user = UserState(str(other.home), QuickDisk(), SystemEntropy())
        user.remember(str(other.state), ledger)
        user.settle_home(ledger, str(other.state))
        return other

    def open(self, **ports: Any) -> Enforcer:
        return Enforcer.open(root=str(self.root), environ=self.environ, **{"disk": QuickDisk(), **ports})

    def keys(self, ledger: str) -> set[str]:
        """The names of the key files of a ledger."""
        return {path.name for path in (self.home / ledger).glob("*.pem")}
