"""Where a ledger is tampered with and verified: a copy of the honest project, put back after each case."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from acceptance.doubles import SECOND, START, ManualClock, QuickDisk
from acceptance.tampering_base import Ground, belong
from acceptance.tampering_scribe import environment
from acceptance.tampering_views import CACHED, COMBINED, PATH, SEEN, SIGNED, View
from enforcer import Enforcer
from enforcer.enforcer import locate
from enforcer.ports import SystemDisk, SystemEntropy
from enforcer.verification import Asked, verify_project

LATER = START + 86_400 * SECOND  # A day after the honest history ends.


class Bench:
    """One copy of a prepared project. `longer`: of the later one, with tiles and snapshots."""

    def __init__(self, folder: Path, ground: Ground, *, longer: bool = False) -> None:
        self.ground, self.folder = ground, folder
        self.root, self.state = folder / "project", folder / "project" / "state"
        self.ledger = self.state / "ledger"
        shutil.copytree(ground.longer if longer else ground.root, self.root)
        home = ground.folder / ("home-longer" if longer else "home")
        self.user = folder / "home" / "enforcer"
        shutil.copytree(home / "enforcer", self.user)
        belong(self.root, folder / "home")
        shutil.copytree(self.user, folder / "kept-home")
        self.anchor = folder / "kept" / "anchor"
        self.anchor.parent.mkdir()
        self.anchor.write_bytes(ground.anchor)
        self.project, _ = locate(root=str(self.root), environ=environment(folder / "home"))
        self.lines = ground.later if longer else ground.lines
        self._segment = self.ledger / "seg" / f"{0:020}.jsonl"
        self._data = self._segment.read_bytes()
        self._disk, self._entropy = SystemDisk(), SystemEntropy()
        self._users = {
            memory: self._make_user(memory) for memory in {*(view.memory for view in COMBINED), CACHED.memory}
        }
        self._undo: list[Callable[[], Any]] = []
        self.known: dict[Any, Any] = {}  # What trials have found of the ledger as it was.
        shutil.copytree(self.ledger / ".cache", folder / "kept-cache")
        shutil.copytree(self.state, folder / "kept-state")

    # What a case does ------------------------------------------------------------------------------------------------

    def poke(self, offset: int, data: bytes) -> None:
        """Put bytes into the lines."""
        fd = os.open(self._segment, os.O_WRONLY)
        try:
            os.pwrite(fd, data, offset)
        finally:
            os.close(fd)
        self._undo.append(lambda: self._poke_back(offset, len(data)))

    def _poke_back(self, offset: int, size: int) -> None:
        fd = os.open(self._segment, os.O_WRONLY)
        try:
            os.pwrite(fd, self._data[offset : offset + size], offset)
        finally:
            os.close(fd)

    def put_lines(self, lines: list[bytes], tail: bytes = b"") -> None:
        self.put("ledger/seg/" + self._segment.name, b"".join(line + b"\n" for line in lines) + tail)

    def put(self, name: str, data: bytes | None) -> None:
        """Let a file below `state/` hold these bytes; None: take it away, whatever stands there."""
        path = self.state / name
        before = path.read_bytes() if path.is_file() else None
        if before is None and path.exists():
            self.move(name, path.with_name(path.name + ".gone"))
            return
        if data is None:
            path.unlink(missing_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        self._undo.append(lambda: path.unlink(missing_ok=True) if before is None else self._write(path, before))

    def _write(self, path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def move(self, name: str, to: Path) -> None:
        """Take a file or folder below `state/` away."""
        path = self.state / name
        path.rename(to)

        def back() -> None:
            if path.is_symlink() or path.is_file():
                path.unlink()
            elif path.is_dir():
                shutil.rmtree(path)
            to.rename(path)

        self._undo.append(back)

    def swap(self, name: str, other: Path) -> None:
        """Put a copy of another folder in the place of one below `state/`."""
        self.move(name, self.folder / "swapped")
        shutil.copytree(other, self.state / name)

    def link(self, name: str, to: Path) -> None:
        """Put a symbolic link in the place of something."""
        self.move(name, self.folder / "linked")
        (self.state / name).symlink_to(to)

    def restore(self) -> None:
        """Put everything back."""
        while self._undo:
            self._undo.pop()()

    def restore_caches(self) -> None:
        """Put the caches back, which reading and verifying may have written to, and nothing else beside them."""
        shutil.rmtree(self.ledger / ".cache", ignore_errors=True)
        shutil.copytree(self.folder / "kept-cache", self.ledger / ".cache")

    def restore_all(self) -> None:
        """Put back the whole of `state/` and of the user's folder, after somebody has written."""
        self._undo.clear()
        shutil.rmtree(self.state)
        shutil.copytree(self.folder / "kept-state", self.state)
        shutil.copytree(self.folder / "kept-home", self.user, dirs_exist_ok=True)

    # What is asked then ----------------------------------------------------------------------------------------------

    def verify(self, view: View, *, incremental: bool = False) -> dict[str, Any]:
        """What the library's `verify` answers whoever has this view. Its memory is put back afterwards."""
        user, seen = self._users[view.memory]
        asked = Asked(
            keys=(self.ground.identity["key"],) if view.pinned else (),
            require_key=view.pinned,
            anchors=(str(self.anchor),) if view.anchored else (),
            require_anchor=view.anchored,
            incremental=incremental,
            cores=1,
        )
        try:
            report = verify_project(self.project, user, asked, disk=self._disk, entropy=self._entropy)
        finally:
            self._forget(Path(user), seen)
        return report.pack(complete=True)

    def open(self) -> Enforcer:
        """The library, as the next user of the ledger opens it."""
        environ, clock = environment(self.folder / "home"), ManualClock(LATER)
        return Enforcer.open(root=str(self.root), actor="a", environ=environ, disk=QuickDisk(), clock=clock)

    def stored(self) -> list[bytes]:
        """The lines as they stand there now."""
        return self._segment.read_bytes().splitlines()

    # Inside ----------------------------------------------------------------------------------------------------------

    def _make_user(self, memory: tuple[str, ...]) -> tuple[str, bytes | None]:
        """A user's folder with these parts of the memory, and what it has seen."""
        if not memory:
            return os.devnull + "/none", None  # A folder that can be neither read nor made.
        folder = self.folder / "users" / "-".join(memory)
        ledger = self.ground.identity["id"]
        names = {PATH: "paths", SEEN: f"{ledger}/seen", SIGNED: f"{ledger}/head", "whole": "."}
        for part in memory:
            source, target = self.user / names[part], folder / names[part]
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target)
            else:
                shutil.copy(source, target)
        seen = folder / ledger / "seen"
        return str(folder), seen.read_bytes() if seen.exists() else None

    def _forget(self, user: Path, seen: bytes | None) -> None:
        """Let the user have seen what was seen before, and nothing else."""
        if not user.is_dir():
            return
        ledger = self.ground.identity["id"]
        for folder in user.iterdir():
            if folder.name not in (ledger, "paths", self.ground.other_id):
                shutil.rmtree(folder)
        for name, data in ((ledger, seen), (self.ground.other_id, None)):
            path = user / name / "seen"
            if data is None:
                path.unlink(missing_ok=True)
            elif not path.exists() or path.read_bytes() != data:
                path.write_bytes(data)
