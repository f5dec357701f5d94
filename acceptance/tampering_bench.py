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

from acceptance.doubles import SECOND, START, ManualClock, QuickDisk
from acceptance.tampering_base import ANCHORED as ANCHOR_SIZE
from acceptance.tampering_base import SEALED as SEALED_AT
from acceptance.tampering_base import Ground, belong, environment
from enforcer import Enforcer, EnforcerError
from enforcer.enforcer import locate
from enforcer.ports import SystemDisk, SystemEntropy
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

    @property
    def anchor(self) -> int:
        """How many entries are anchored."""
        return ANCHOR_SIZE if self.anchored else 0

    def remembered(self, seen: int) -> int:
        """How many entries the user knows of, of a ledger that was seen at `seen`."""
        sizes = {SEEN: seen, SIGNED: SEALED_AT[-1]}
        return max([sizes.get(part, 0) for part in self.memory], default=0)


LATER = START + 86_400 * SECOND  # A day after the honest history ends.

WHOLE = (PATH, SEEN, SIGNED)
ALONE = View("alone")
MEMORY = View("memory", WHOLE)
PINNED = View("pinned", WHOLE, pinned=True)
ANCHORED = View("anchored", pinned=True, anchored=True)
CACHED = View("the user", ("whole",))  # With the key of the caches, that is.
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
        """Whether nobody who has this view may take it for the ledger that was there. `seen`: how long that was."""
        # The memory goes by the ledger's id, and an anchor is a head signed by the ledger's key.
        vouched = max(view.anchor, view.remembered(seen) if self.same else 0)
        signed = self.signed == OWN or (self.signed == NOBODY and 0 < view.anchor <= self.intact)
        return (
            not self.plausible
            or self.intact < max(self.sealed, vouched)
            or (view.pinned and not signed)
            or (PATH in view.memory and not self.same)
        )


class Outcome(NamedTuple):
    """How a case ended; `codes` are those of the findings, `named` whether one names the entry."""

    kind: str
    codes: tuple[str, ...] = ()
    named: bool = False
    detail: str = ""

    @property
    def failed(self) -> bool:
        return self.kind in FAILURES


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
        self.project, _ = locate(root=str(self.root), environ=environment(folder / "home"))
        self.lines = ground.later if longer else ground.lines
        self._segment = self.ledger / "seg" / f"{0:020}.jsonl"
        self._data = self._segment.read_bytes()
        self._disk, self._entropy = SystemDisk(), SystemEntropy()
        self._users = {memory: self._make_user(memory) for memory in {*(view.memory for view in COMBINED), CACHED.memory}}
        self._undo: list[Callable[[], Any]] = []
        self._honest: dict[View, dict[str, Any]] = {}
        self._answers: dict[str, Any] | None = None
        self._rejected: tuple[str, ...] = ()
        shutil.copytree(self.ledger / ".cache", folder / "kept-cache")

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

    def try_reading(self, case: Case, views: tuple[View, ...]) -> dict[View, Outcome]:
        """Do it, let somebody read who has the key of the caches, and put everything back."""
        if self._answers is None:
            self._answers = self._read()
            self._clean()
        try:
            case.change(self)
            answers = self._read()
            differing = [name for name in answers if answers[name] != self._answers[name]]
            outcome = Outcome(SILENT if differing else HARMLESS, self._rejected, detail=", ".join(differing))
        except Exception as error:  # a cache that does not hold is as good as absent, and stops nobody
            outcome = Outcome(CRASHED, detail=f"{type(error).__name__}: {error}")
        finally:
            self.restore()
            self._clean()
        return dict.fromkeys(views, outcome)

    def try_writing(self, case: Case, views: tuple[View, ...]) -> dict[View, Outcome]:
        """Do it, let somebody write the next entry, and put everything back.

        Nothing that was acknowledged may be lost: the entry is written behind all others, or it is refused.
        """
        kept = self.folder / "kept-state"
        if not kept.exists():
            shutil.copytree(self.state, kept)
        try:
            case.change(self)
            code = self._write_next()
            report = self.verify(ALONE)
            lines = self._segment.read_bytes().splitlines()
            whole = lines[: len(self.lines)] == self.lines and report["verdict"] == "verified"
            written = len(lines) > len(self.lines)
            fine = whole and written != bool(code)
            kind = (DETECTED if code else HARMLESS) if fine else SILENT
            outcome = Outcome(kind, (code,) if code else (), detail="" if fine else f"{len(lines)} {report['verdict']}")
        except Exception as error:  # whatever else is raised is a fault of the writer
            outcome = Outcome(CRASHED, detail=f"{type(error).__name__}: {error}")
        finally:
            self._undo.clear()
            shutil.rmtree(self.state)
            shutil.copytree(kept, self.state)
        return dict.fromkeys(views, outcome)

    # Inside ----------------------------------------------------------------------------------------------------------

    def _open(self) -> Enforcer:
        environ = environment(self.folder / "home")
        return Enforcer.open(root=str(self.root), actor="a", environ=environ, disk=QuickDisk(), clock=ManualClock(LATER))

    def _read(self) -> dict[str, Any]:
        """What reading commands say: every task, the head, and what `verify --incremental` finds."""
        with self._open() as enforcer:
            states = {state.task: state.pack(complete=True) for state in enforcer.states()}
            head = (enforcer.ledger.head.size, enforcer.ledger.head.hash, enforcer.ledger.root().hex())
            settings = enforcer.settings.pack(complete=True)
            rejected = ("cache_rejected",) if enforcer.ledger.cache_rejected else ()
        report = {**self.verify(CACHED, incremental=True), "checked_from": None}
        found = [one for one in report.pop("findings") if one["code"] != "checked_fully"]
        self._rejected = rejected
        return {"states": states, "head": head, "settings": settings, "report": report, "findings": found}

    def _write_next(self) -> str:
        """Open a task; why not, in a word, where that is refused."""
        try:
            with self._open() as enforcer:
                enforcer.open_task("next", title="Next")
        except EnforcerError as error:
            return error.code
        return ""

    def _clean(self) -> None:
        """Put the caches back, and nothing else beside them."""
        caches = self.ledger / ".cache"
        shutil.rmtree(caches, ignore_errors=True)
        shutil.copytree(self.folder / "kept-cache", caches)

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
