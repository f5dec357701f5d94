"""Where a ledger is tampered with and verified: a copy of the honest project, put back after each case.

A view is what a verifier has besides the project's `state/`. What it must notice follows from what a case has left
intact and from nothing that the verifier says:

    alone       nothing. The attacker is the same user and has been everywhere                                   T0
    memory      the user's folder: which ledger belongs here, the largest head seen, the signer's last head      T0
    pinned      the memory, and the key by other means; neither is in the attacker's reach                       T1
    anchored    the key, and a head that was kept elsewhere                                                      T2
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from acceptance.tampering_base import ANCHORED as ANCHOR_SIZE
from acceptance.tampering_base import SEALED as SEALED_AT
from acceptance.tampering_base import Ground, belong, environment
from enforcer import Enforcer, EnforcerError
from enforcer.ports import SystemDisk, SystemEntropy
from enforcer.project import Project
from enforcer.verification import Asked, verify_project

OWN, OTHER, NOBODY = "own", "other", "nobody"
DETECTED, HARMLESS, DECLARED = "detected", "harmless", "declared"
SILENT, MISNAMED, CRASHED = "silent", "misnamed", "crashed"
FAILURES = (SILENT, MISNAMED, CRASHED)

SEEN, SIGNED, PATH = "seen", "signed", "path"


class View(NamedTuple):
    """What a verifier has."""

    name: str
    memory: tuple[str, ...] = ()
    pinned: bool = False
    anchored: bool = False

    def vouched(self, seen: int) -> int:
        """How many entries it knows of by other means, of a ledger that was seen at `seen`."""
        sizes = {SEEN: seen, SIGNED: SEALED_AT[-1]}
        return max([sizes.get(part, 0) for part in self.memory] + [ANCHOR_SIZE * self.anchored])


WHOLE = (PATH, SEEN, SIGNED)
ALONE = View("alone")
MEMORY = View("memory", WHOLE)
PINNED = View("pinned", WHOLE, pinned=True)
ANCHORED = View("anchored", pinned=True, anchored=True)
TIERS = (ALONE, MEMORY, PINNED, ANCHORED)
COMBINED = (
    *TIERS,
    View("what was seen", (SEEN,)),
    View("what was signed", (SIGNED,)),
    View("key alone", pinned=True),
    View("anchor alone", anchored=True),
    View("memory, anchor", WHOLE, anchored=True),
    View("memory, key, anchor", WHOLE, pinned=True, anchored=True),
)


class Case(NamedTuple):
    """One thing that is done to the files, and what is left of the truth then.

    `intact` first entries are as they were; `sealed` of them are still under a checkpoint that was made of them.
    `plausible`: it is a history that could have been, by itself. `signed`: by whose key its checkpoints are. `same`:
    it goes by the id of the ledger that was there. `at` is the entry to be named. `advisory`: no line was touched.
    """

    name: str
    change: Callable[[Bench], None]
    intact: int = 0
    at: int | None = None
    plausible: bool = False
    sealed: int = SEALED_AT[-1]
    signed: str = OWN
    same: bool = True
    advisory: bool = False

    def must_be_noticed(self, view: View, seen: int) -> bool:
        """Whether nobody who has this view may take it for the ledger that was there."""
        return (
            not self.plausible
            or self.intact < max(self.sealed, view.vouched(seen))
            or (view.pinned and self.signed != OWN)
            or (PATH in view.memory and not self.same)
        )


class Outcome(NamedTuple):
    """How a case ended; `codes` are those of the findings, `named` whether one names the entry."""

    kind: str
    codes: tuple[str, ...] = ()
    named: bool = False
    detail: str = ""


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
        self.anchor = folder / "kept" / "anchor"
        self.anchor.parent.mkdir()
        self.anchor.write_bytes(ground.anchor)
        self.project = Project(str(self.root))
        self.lines = ground.later if longer else ground.lines
        self._segment = self.ledger / "seg" / f"{0:020}.jsonl"
        self._data = self._segment.read_bytes()
        self._disk, self._entropy = SystemDisk(), SystemEntropy()
        self._users = {memory: self._make_user(memory) for memory in {view.memory for view in COMBINED}}
        self._undo: list[Callable[[], Any]] = []
        self._honest: dict[View, dict[str, Any]] = {}

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

    # What is asked then ----------------------------------------------------------------------------------------------

    def verify(self, view: View, *, incremental: bool = False) -> dict[str, Any]:
        """What the library's `verify` answers whoever has this view. Its memory is put back afterwards."""
        user, kept = self._users[view.memory]
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
            for path, data in kept.items():
                if not path.exists() or path.read_bytes() != data:
                    path.write_bytes(data)
        return report.pack(complete=True)

    def honest(self, view: View) -> dict[str, Any]:
        """The same, of the ledger as it was."""
        if view not in self._honest:
            self._honest[view] = self.verify(view)
            assert self._honest[view]["verdict"] == "verified", self._honest[view]
        return self._honest[view]

    def try_case(self, case: Case, views: tuple[View, ...]) -> dict[View, Outcome]:
        """Do it, ask every view, and put everything back."""
        for view in views:
            self.honest(view)
        try:
            case.change(self)
            return {view: self._judge(case, view) for view in views}
        finally:
            self.restore()

    def answers(self) -> dict[str, Any]:
        """What reading commands say: every task, the head, and what `verify --incremental` finds."""
        environ = environment(self.folder / "home")
        with Enforcer.open(root=str(self.root), actor="a", environ=environ) as enforcer:
            states = {state.task: state.pack(complete=True) for state in enforcer.states()}
            head = (enforcer.ledger.head.size, enforcer.ledger.head.hash, enforcer.ledger.root().hex())
            settings = enforcer.settings.pack(complete=True)
        whole = View("whole", ("whole",))
        report = {**self.verify(whole, incremental=True), "checked_from": None}
        report["findings"] = [one for one in report["findings"] if one["code"] != "checked_fully"]
        return {"states": states, "head": head, "settings": settings, "report": report}

    # Inside ----------------------------------------------------------------------------------------------------------

    def _judge(self, case: Case, view: View) -> Outcome:
        try:
            report = self.verify(view)
        except EnforcerError as error:
            return Outcome(DETECTED, (error.code,))
        except Exception as error:  # whatever else is raised is a fault of the verifier
            return Outcome(CRASHED, detail=f"{type(error).__name__}: {error}")
        found = report["findings"]
        codes = tuple(dict.fromkeys(one["code"] for one in found))
        named = case.at is not None and any(
            one["seq"] is not None and abs(one["seq"] - case.at) <= 1 for one in found
        )
        if report["verdict"] != "verified":
            if not found:
                return Outcome(MISNAMED, detail="it accuses and names nothing")
            misnamed = case.at is not None and not named and view.name == ALONE.name
            return Outcome(MISNAMED if misnamed else DETECTED, codes, named)
        if case.advisory:
            fault = self._misled(report, self.honest(view))
            return Outcome(SILENT if fault else HARMLESS, codes, named, fault)
        if case.must_be_noticed(view, len(self.lines)):
            return Outcome(SILENT, codes, named, "verified")
        if (report["anchored_to"] or 0) > case.intact:
            return Outcome(SILENT, codes, named, f"said to be anchored to {report['anchored_to']}")
        return Outcome(DECLARED, codes, named)

    def _misled(self, report: dict[str, Any], honest: dict[str, Any]) -> str:
        """What of a report about untouched lines is not so; empty where all is."""
        for member in ("entries", "head", "root", "anchored_to", "unanchored", "key"):
            if report[member] != honest[member]:
                return f"{member} is {report[member]}, and was {honest[member]}"
        if report["sealed_to"] not in (None, *self.ground.checkpoints, honest["sealed_to"]):
            return f"sealed_to is {report['sealed_to']}"
        return ""

    def _make_user(self, memory: tuple[str, ...]) -> tuple[str, dict[Path, bytes]]:
        """A user's folder with these parts of the memory, and what its files hold."""
        if not memory:
            return os.devnull + "/none", {}  # A folder that can be neither read nor made.
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
        kept = folder / ledger / "seen"
        return str(folder), {kept: kept.read_bytes()} if kept.exists() else {}
