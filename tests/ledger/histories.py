"""Small real ledgers: written by the real gate through the real stores, with evidence that is whatever a test says.

Whoever forges uses `rewrite`, which recomputes every hash and number as someone would who can write the files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from enforcer.evidence.objects import Objects
from enforcer.gate import Gate, Outcome
from enforcer.leases.files import FileLeases
from enforcer.ledger.codec import canonical, parse_line
from enforcer.ledger.entry import format_event, genesis_hash, leaf_hash
from enforcer.ledger.files import FIRST_SEGMENT, FileLedger, create
from enforcer.ledger.margins import Margins
from enforcer.ledger.report import Report
from enforcer.ledger.store import Identity
from enforcer.ledger.verify import verify
from enforcer.ports import Disk, SystemDisk
from enforcer.workflow.commands import Command, Open
from enforcer.workflow.events import LedgerCreated, Refusal, TaskOpened
from enforcer.workflow.facts import EvidenceFacts, FileFact, Verdict
from enforcer.workflow.process import Artifact, Phase, Process, Rule
from enforcer.workflow.record import Record
from enforcer.workflow.state import TaskState, principal
from tests.faults import CountingEntropy, ManualClock

ID = "0123456789abcdef0123456789abcdef"
IDENTITY = Identity(ID, None, f"enforcer/{ID}")
KEY = b"k" * 32

ADA, BOB, CARL = "ada", "bob/2", "carl"


def phase(name: str, *, drift: str = "observe", rules: tuple[Rule, ...] = ()) -> Phase:
    """A phase with one note as its evidence."""
    note = Rule("sections", "sections", "note.md")
    return Phase(name, (Artifact("note.md", "markdown"),), (note, *rules), ("run",), drift)


def a_process(name: str = "short", *, more: tuple[Phase, ...] = ()) -> Process:
    review = phase("REVIEW", drift="enforce", rules=(Rule("reviewer", "reviewer", "note.md"),))
    return Process(name, (phase("SPEC"), phase("PLAN"), phase("IMPLEMENT"), review, *more))


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class _File(Record):
    data: bytes


class _Reading(Record):
    facts: EvidenceFacts
    files: Mapping[str, _File]


class History:
    """A project's state folder, and everything that writes to it."""

    def __init__(self, folder: Path, *, disk: Disk | None = None, cache_key: bytes | None = None) -> None:
        self.state = folder / "state"
        self.disk: Disk = disk or SystemDisk()
        self.clock = ManualClock()
        self.entropy = CountingEntropy()
        self.note = b"# A note\n"
        self.folder = str(self.state / "ledger")
        create(self.folder, IDENTITY, disk=self.disk, entropy=self.entropy)
        self.objects = Objects(str(self.state / "objects"), self.disk, self.entropy)
        self.margins = Margins(str(self.state), disk=self.disk)
        self.ledger = self.open_ledger(cache_key=cache_key)
        self.leases = FileLeases(str(self.state / "leases"), disk=self.disk, clock=self.clock, ttl_us=300_000_000)
        self.gate = Gate(
            store=self.ledger,
            leases=self.leases,
            observer=self,
            objects=self.objects,
            margins=self.margins,
            processes=self.process,
            clock=self.clock,
            entropy=self.entropy,
        )
        created = LedgerCreated(actor=ADA, version="0.1.0")
        with self.ledger.writing():
            data = format_event(created, task=None, key=".created", source=IDENTITY.origin)
            self.ledger.append(created, data, task=None, key=".created")
        self.ledger.sync()

    def open_ledger(self, *, disk: Disk | None = None, cache_key: bytes | None = None) -> FileLedger:
        """Another instance over the same files."""
        return FileLedger(
            self.folder, disk=disk or self.disk, clock=self.clock, entropy=self.entropy, cache_key=cache_key
        )

    # What the gate asks for

    def process(self, name: str) -> Process:
        return Process.unpack(parse_line(self.objects.get(name)))

    def observe(self, state: TaskState, process: Process, actor: str) -> _Reading:
        now = process.phase(state.phase)
        facts = EvidenceFacts(
            attempt_id=state.attempt_id,
            process=state.digest,
            files=(FileFact("note.md", digest(self.note), len(self.note), "claimed"),),
            verdicts=tuple(
                Verdict(rule.id, rule.artifact, rule.mode, _judged(rule, state, actor)) for rule in now.rules
            ),
            standing={name: one.digest for name, one in state.accepted_files().items()},
        )
        return _Reading(facts, {"note.md": _File(self.note)})

    # What a test does

    def store(self, process: Process) -> str:
        return self.objects.put(canonical(process.pack()))

    def open_task(self, task: str = "T", process: Process | None = None, key: str = "") -> Outcome:
        process = process or a_process()
        command = Open(process=process.name, digest=self.store(process), phase=process.order[0])
        return self.do(command, task=task, key=key)

    def do(self, command: Command, *, task: str = "T", actor: str = ADA, key: str = "") -> Outcome:
        self.clock.pass_us(1_000)
        return self.gate.submit(task, command, actor=actor, key=key)

    def state_of(self, task: str = "T") -> TaskState:
        state = self.ledger.task(task)
        assert state is not None
        return state

    # What stands in the files

    @property
    def segment(self) -> Path:
        return self.state / "ledger" / "seg" / FIRST_SEGMENT

    def lines(self) -> list[bytes]:
        return self.segment.read_bytes().splitlines()

    def put(self, lines: Iterable[bytes]) -> None:
        self.segment.write_bytes(b"".join(line + b"\n" for line in lines))

    def seq_of(self, type_name: str, number: int = 0) -> int:
        """The seq of the nth entry of a type."""
        found = [seq for seq, line in enumerate(self.lines()) if f'"type":"dev.enforcer.{type_name}"'.encode() in line]
        return found[number]

    def verify(self) -> Report:
        return verify(self.folder, disk=SystemDisk(), objects=self.objects, processes=self.process)


def _judged(rule: Rule, state: TaskState, actor: str) -> tuple[Refusal, ...]:
    """Every note is good; only who reviews is asked, because the ledger tells that as well."""
    if rule.kind != "reviewer" or principal(actor) not in state.implementers:
        return ()
    return (Refusal("reviewer_is_author", "It is the work of the reviewer.", state.phase, rule.artifact),)


def opened(task: str = "T", attempt: int = 1) -> TaskOpened:
    """An event that can stand alone, for tests of stores."""
    return TaskOpened(
        actor=ADA, title=task, process="short", digest="d" * 64, phase="SPEC", attempt_id=f"{attempt:032x}"
    )


def rewrite(lines: Iterable[bytes], change: Callable[[int, dict[str, Any]], None], seed: bytes) -> list[bytes]:
    """The history told anew: `change` edits each line as JSON, and every hash and number is made to fit."""
    tasks: dict[str | None, tuple[str | None, int]] = {}
    prev, written = genesis_hash(seed), []
    for seq, line in enumerate(lines):
        entry = json.loads(line)
        change(seq, entry)
        task = entry["event"].get("subject")
        head, count = tasks.get(task, (None, 0))
        entry |= {"seq": seq, "prev": prev}
        if task is not None:
            entry |= {"task_prev": head, "task_seq": count + 1}
        leaf = canonical(entry)
        prev = leaf_hash(leaf)
        tasks[task] = (prev, count + 1)
        written.append(leaf)
    return written
