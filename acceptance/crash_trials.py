"""One case: a scene is put in place, a real process plays it, something happens to one of its system calls, and what is
left is looked at.

A first run under `strace` alone lists the calls on files of the project and the user's folder; a fault is put on the
n-th call of a kind, and the trace of that run has to show that it struck the same call.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from acceptance.crash_processes import (
    EXPRESSIONS,
    KILL,
    SHORT,
    TOLD,
    Call,
    Case,
    Child,
    ShortDisk,
    Tell,
    Unsynced,
    attached,
    calls_in,
    paths_of,
)
from acceptance.crash_scenes import Ack, Place, Scenario, Session, healing, play
from enforcer.ports import SystemDisk

# Copies and derived data, the record of what is synced, locks, and the expiry of leases.
NEVER_SYNCED = (
    ".cache",
    "checkpoint",
    "tile",
    "commit",
    "lock",
    "state/leases/",
    "state/init.lock",
    "home/<id>/signer.lock",
)
# What `verify` may say after a crash: a line is not complete, or the pinned key has not signed a checkpoint yet.
NOTES = {"torn_tail", "key_unused"}
CALLERS = "bad_process"  # What is said of a file that the caller named, and that cannot be read.


class Trials:
    """The cases of one scenario, all of them played at the same place below `folder`.

    What is on the ledger is read as bytes; the package is asked only for what is to be held against that.
    """

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self.scenario, self._folder = scenario, folder
        self.place, self._copy, self._log = Place(folder / "work"), folder / "copy", folder / "trace"
        # Played once in this process, so that the children find everything imported, and find it in the same way.
        scenario.make(self.place)
        self.place.keep(self._copy)
        told = self._play_here()
        assert told[-1] == {"end": True}, told
        assert [one for one in told if "error" in one] == [], told

        self.longer: list[bytes] | None = None  # The lines after an honest run, once they were asked for.

    def restore(self) -> None:
        """Put the scene in place."""
        self.place.restore(self._copy)

    def act(self) -> list[Ack]:
        """Take the scene's steps, in a process of their own."""
        return self._fork(lambda tell: play(self._session(), self.scenario.steps, tell))

    def go_on(self) -> list[Ack]:
        """Do what the next process does: the same, and more."""
        return self._fork(lambda tell: play(self._session(), tuple(healing(self.scenario)), tell))

    def calls(self) -> list[Call]:
        """What a run without a fault calls on files of the project and of the user's folder."""
        told, calls = self.run()
        assert told[-1] == {"end": True}, told
        return calls

    def unsynced(self) -> list[str]:
        """What a run without a fault had not put on stable storage when it was told of an acknowledgement.

        No kill shows this, because the system keeps what was written. Left out is what is never synced, by design.
        """
        self.run()
        unsynced, found = Unsynced(), set()
        for name, rest in calls_in(self._log):
            if name == TOLD:
                found |= unsynced.paths
            elif " = -1 " not in rest:
                unsynced.see(name, rest)
        below = [path for path in sorted(found) if path.startswith(f"{self.place.folder}/")]
        return [label for label in map(self._label, below) if not label.startswith(NEVER_SYNCED)]

    def writes(self) -> list[tuple[Call, int]]:
        """Its writes, each with its length, as they come through the disk."""
        self.restore()
        disk = ShortDisk()
        play(Session(self.place, self.scenario.lines, disk), self.scenario.steps, lambda _: None)
        return [
            (Call("write", number, self._label(path)), size) for number, (path, size) in enumerate(disk.writes, start=1)
        ]

    def cases(self) -> Iterator[Case]:
        """Every call with every fault that can befall it."""
        calls, writes = self.calls(), self.writes()
        traced = [call for call in calls if call.name in ("write", "pwrite64")]
        through_disk = [call.file for call, _ in writes]
        assert [call.file for call in traced] == through_disk, "there are writes that do not go through the disk"
        for call in calls:
            for fault in EXPRESSIONS:
                yield Case(self.scenario.name, call, fault)
        for same, (call, size) in zip(traced, writes, strict=True):
            for kept in sorted({0, 1, size // 2, size - 1}):
                yield Case(self.scenario.name, call._replace(name=same.name), SHORT, kept)

    def try_case(self, case: Case) -> dict[str, Any]:
        """Play the scene with a fault, look at what is left, and let the next process go on from there."""
        told, wrong = self.strike(case)
        first = "killed" if case.fault == KILL else _ending(told)
        if first == "refused" and not any("error" in one for one in told[-1:]):
            wrong = [*wrong, f"it ended without a word: {told}"]
        about = {"scenario": case.scenario, "call": case.call.name, "file": case.call.file, "fault": case.fault}
        return {**self.judge(case.id, told, wrong), **about, "first": first}

    def strike(self, case: Case) -> tuple[list[Ack], list[str]]:
        """What the process told that it happened to, and what is wrong with the way it happened."""
        if case.fault == SHORT:
            return self._cut_short(case)
        told, calls = self.run(f"inject={case.call.name}:{EXPRESSIONS[case.fault].format(case.call.number)}")
        mine = [call for call in calls if (call.name, call.number) == case.call[:2]]
        wrong = []
        if [call.file for call in mine] != [case.call.file]:
            wrong.append(f"another call was struck: {mine}")
        elif (case.fault == KILL) == mine[0].injected or (case.fault == KILL and calls[-1] != mine[0]):
            wrong.append(f"the call was not struck: {mine}")
        return told, wrong

    def _cut_short(self, case: Case) -> tuple[list[Ack], list[str]]:
        def work(tell: Tell) -> None:
            disk = ShortDisk(case.call.number, case.kept, lambda path: tell({"struck": self._label(path)}))
            play(self._session(disk), self.scenario.steps, tell)

        self.restore()
        told = self._fork(work)
        struck = [one["struck"] for one in told if "struck" in one]
        return told, [] if struck == [case.call.file] else [f"another write was cut short: {struck}"]

    # What is left ----------------------------------------------------------------------------------------------------

    def judge(self, name: str, told: list[Ack], wrong: list[str]) -> dict[str, Any]:
        """How it ended, after a process told what it did: `wrong` lists whatever should not be."""
        acknowledged = [one for one in told if "seq" in one]
        before = self._lines()
        missing = lost(acknowledged, before)
        said = self.look()
        wrong = wrong + _crashed(told) + missing
        wrong += _disagreements(said, whole=self.scenario.begun or bool(acknowledged))
        after = self.go_on()
        refused = sorted({one["error"] for one in after if "error" in one})
        healed = after[-1:] == [{"end": True}] and not refused
        wrong += _crashed(after) + _changed_answers(told, after)
        wrong += [] if healed else [f"the next process was refused: {after}"]
        wrong += self._in_order(before, [one for one in [*told, *after] if "seq" in one])
        return {
            "id": name,
            "first": _ending(told),
            "codes": sorted({one["error"] for one in told if "error" in one}),
            "acknowledged": len(acknowledged),
            "said": said,
            "next": "healed" if healed else "refused",
            "refused": refused,
            "repairs": sum(b'"type":"dev.enforcer.ledger.recovered"' in line for line in self._lines()),
            "unsealed": any("unsealed" in one for one in after),
            "lost": len(missing),
            "wrong": wrong,
        }

    def _in_order(self, before: list[bytes], acknowledged: list[Ack]) -> list[str]:
        """What is wrong with the ledger in the end: every line that was once there still is, and verify agrees."""
        lines, rest = self.place.lines()
        wrong = lost(acknowledged, lines) + repetitions(lines)
        wrong += ["a complete line was changed or is gone"] if lines[: len(before)] != before else []
        wrong += ["bytes follow the last line"] if rest else []
        said = self.look()
        if said != {"verdict": "verified", "codes": [], "entries": len(lines)}:
            wrong.append(f"verify says at the end, of {len(lines)} lines: {said}")
        return wrong

    def _lines(self) -> list[bytes]:
        return self.place.lines()[0] if self.place.segments() else []

    def look(self) -> dict[str, Any]:
        def look(tell: Tell) -> None:
            report = self.place.verify(self.scenario.lines)
            codes = sorted({finding.code for finding in report.findings})
            tell({"verdict": report.verdict, "codes": codes, "entries": report.entries})

        (said,) = self._fork(look)
        return {"verdict": said["crash"], "codes": [], "entries": -1} if "crash" in said else said

    # Running ---------------------------------------------------------------------------------------------------------

    def _session(self, disk: SystemDisk | None = None) -> Session:
        return Session(self.place, self.scenario.lines, disk)

    def _play_here(self) -> list[Ack]:
        told: list[Ack] = []
        play(self._session(), tuple(healing(self.scenario)), told.append)
        self.place.verify(self.scenario.lines)
        return told

    def run(self, *injections: str) -> tuple[list[Ack], list[Call]]:
        """Take the scene's steps under `strace`: what was told, and the calls on files of the scene."""
        self.restore()
        process = Child(lambda tell: play(self._session(), self.scenario.steps, tell))
        try:
            with attached(process.pid, self._log, injections):
                process.go()
                told = process.told()
        finally:
            process.finish()
        return told, list(self._struck())

    def _fork(self, work: Callable[[Tell], None]) -> list[Ack]:
        process = Child(work)
        try:
            process.go()
            return process.told()
        finally:
            process.finish()

    def _struck(self) -> Iterator[Call]:
        counts: dict[str, int] = {}
        for name, rest in calls_in(self._log):
            counts[name] = counts.get(name, 0) + 1
            path = paths_of(name, rest)[-1]
            if path.startswith(f"{self.place.folder}/"):
                yield Call(name, counts[name], self._label(path), rest.endswith("(INJECTED)"))

    def _label(self, path: str) -> str:
        """The file, by a name that is the same in every run."""
        name = os.path.relpath(path, self.place.folder).removesuffix(" (deleted)")
        name = re.sub(r"\.[0-9a-f]{16}\.new(?=/|$)", ".new", name.removeprefix("project/"))
        name = re.sub(r"objects/../[0-9a-f]{62}", "objects/*", name)
        name = re.sub(r"objects/[0-9a-f]{2}$", "objects/", name)
        name = re.sub(r"[0-9a-f]{64}", "*", re.sub(r"[0-9a-f]{32}", "<id>", name))
        return re.sub(r"\d{20}-[0-9a-f]{16}", "*", name).removeprefix("state/ledger/")


# Judgements -----------------------------------------------------------------------------------------------------------


def _ending(told: list[Ack]) -> str:
    """What became of the process that it happened to."""
    if told[-1:] != [{"end": True}]:
        return "refused"
    return "retried" if any("error" in one for one in told) else "unharmed"


def _crashed(told: list[Ack]) -> list[str]:
    """An error that is not one of the package's, or one that blames the caller."""
    return [one["crash"] for one in told if "crash" in one] + [
        f"the caller was blamed: {one['error']}" for one in told if one.get("request") and one["error"] != CALLERS
    ]


def _changed_answers(told: list[Ack], after: list[Ack]) -> list[str]:
    """A retry with the same key gets the first answer."""
    first = {one["key"]: (one["seq"], one["hash"]) for one in told if one.get("key")}
    return [
        f"{one['key']} was answered with {first[one['key']]}, and then with {one['seq']}"
        for one in after
        if one.get("key") in first and first[one["key"]] != (one["seq"], one["hash"])
    ]


def _disagreements(said: Ack, *, whole: bool) -> list[str]:
    """A ledger that has begun verifies at any moment, but for bytes at its end."""
    if not whole:
        bad = said["verdict"] == "tampered"
    else:
        bad = said["verdict"] != "verified" or not NOTES.issuperset(said["codes"])
    return [f"verify says: {said}"] if bad else []


def lost(acknowledged: list[Ack], lines: list[bytes]) -> list[str]:
    """The entries that were acknowledged and are not there, or are others."""
    return [
        f"entry {one['seq']} was acknowledged and is not there"
        for one in acknowledged
        if one["seq"] >= len(lines) or hashlib.sha256(b"\0" + lines[one["seq"]]).hexdigest() != one["hash"]
    ]


def repetitions(lines: list[bytes]) -> list[str]:
    ids = [json.loads(line)["event"]["id"] for line in lines]
    return ["a key stands on two entries"] if len(set(ids)) != len(ids) else []
