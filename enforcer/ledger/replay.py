"""Walks every task along its own chain and asks of each entry whether it could have been decided.

Where a task cannot be followed (a line of it is damaged, missing, or of a later release), what comes after is not
judged, and that is said once: a state that is only guessed would accuse honest entries.
"""

from __future__ import annotations

from enforcer.errors import EnforcerError
from enforcer.ledger.entry import BadLine, entry_of
from enforcer.ledger.report import INTEGRITY, LEGALITY
from enforcer.workflow import events
from enforcer.workflow.evolve import GENERATED_KEY, evolve
from enforcer.workflow.legality import adoption, legality
from enforcer.workflow.state import OPEN
from enforcer.workflow.structure import outside, structure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from enforcer.ledger.entry import Entry
    from enforcer.ledger.holdings import Holdings
    from enforcer.ledger.report import Findings
    from enforcer.workflow.process import Process
    from enforcer.workflow.state import TaskState

    Processes = Callable[[str], Process]

# What code that expects a sound state or process raises on a forged one.
_UNFIT = (ValueError, KeyError, IndexError, TypeError, AttributeError)


class _Task:
    """One task so far. `state` is None before it is opened and once it is `lost`."""

    __slots__ = ("attempts", "count", "head", "keys", "lost", "state", "unjudged")

    def __init__(self) -> None:
        self.head: str | None = None
        self.count = 0
        self.state: TaskState | None = None
        self.lost = self.unjudged = False
        self.keys: set[str] = set()
        self.attempts: set[str] = set()


class Replay:
    """Takes in the lines in order. `broken` is set once lines are known to be missing or unread."""

    def __init__(self, found: Findings, holdings: Holdings, processes: Processes) -> None:
        self._found, self._holdings, self._load = found, holdings, processes
        self._tasks: dict[str, _Task] = {}
        self._processes: dict[str, Process | None] = {}
        self.broken = False

    def take(self, frame: dict[str, Any], hash: str) -> None:
        """The next line that could be read as one."""
        name = frame["event"].get("subject")
        task = self._tasks.setdefault(name, _Task()) if name is not None else None
        if task is not None:
            self._check_chain(task, name, frame, hash)
        try:
            entry = entry_of(frame, hash)
        except BadLine as bad:
            self._unread(bad, task, frame["seq"])
            return
        self._holdings.check_event(entry.event, entry.seq)
        if task is None:
            self._check_outside(entry)
        else:
            if not entry.seq:
                self._illegal(0, "the ledger does not begin with its creation")
            self._check_key(task, entry)
            self._follow(task, entry)

    def _check_chain(self, task: _Task, name: str, frame: dict[str, Any], hash: str) -> None:
        before, number = frame["task_prev"], frame["task_seq"]
        if (before, number) != (task.head, task.count + 1):
            message = f"It does not follow the last entry of {name}: it is number {number}, after {task.count}."
            report = self._found.gap if self.broken else self._found.contradiction
            report(INTEGRITY, frame["seq"], "task_chain_broken", message)
            self._lose(task, frame["seq"], "its entries do not follow each other")
        task.head, task.count = hash, number

    def _check_key(self, task: _Task, entry: Entry) -> None:
        if entry.key in task.keys:
            message = f"The key {entry.key} has an entry of {entry.task} already."
            self._found.contradiction(INTEGRITY, entry.seq, "key_repeated", message)
        # A random key stands once on a ledger unless somebody copied it; remembering them all would take the memory.
        if not entry.key.startswith(GENERATED_KEY):
            task.keys.add(entry.key)

    def _check_outside(self, entry: Entry) -> None:
        for fault in outside(entry.event):
            self._illegal(entry.seq, fault)
        if entry.seq and isinstance(entry.event, events.LedgerCreated):
            self._illegal(entry.seq, "the ledger begins a second time")

    def _unread(self, bad: BadLine, task: _Task | None, seq: int) -> None:
        if bad.code == "unknown_event":
            self._found.gap(LEGALITY, seq, bad.code, f"This release does not know the event: {bad}.")
        else:
            self._found.contradiction(INTEGRITY, seq, bad.code, f"The event cannot be read: {bad}.")
        if task is not None:
            self._lose(task, seq, "one of its events could not be read")

    def _follow(self, task: _Task, entry: Entry) -> None:
        if task.lost:
            return
        process = self._process_in_force(task, entry)
        faults: list[str] = []
        try:
            faults += structure(task.state, entry.event)
            faults += legality(task.state, entry.event, process, ts=entry.ts, attempts=task.attempts)
            faults += self._adoption(task.state, entry, process)
            task.state = evolve(task.state, entry.event, entry.place)
        except _UNFIT as error:
            faults = faults or [f"it cannot follow what was before it ({type(error).__name__}: {error})"]
            self._lose(task, entry.seq, "one of its events does not fit")
        for fault in faults:
            self._illegal(entry.seq, fault)
        if task.state is not None:
            task.attempts.add(task.state.attempt_id)
            if task.state.status != OPEN:
                task.keys.clear()
                task.attempts.clear()

    def _adoption(self, state: TaskState | None, entry: Entry, process: Process | None) -> list[str]:
        if not isinstance(entry.event, events.ProcessAdopted) or state is None:
            return []
        adopted = self._process(entry.event.digest, entry.seq)
        if adopted is None or process is None:
            return []
        return list(adoption(state, entry.event, process, adopted))

    def _process_in_force(self, task: _Task, entry: Entry) -> Process | None:
        if isinstance(entry.event, events.TaskOpened):
            digest = entry.event.digest
        elif task.state is not None:
            digest = task.state.digest
        else:
            return None
        process = self._process(digest, entry.seq)
        if process is None and not task.unjudged:
            task.unjudged = True
            message = f"{entry.task} is not held against its process, which cannot be read."
            self._found.gap(LEGALITY, entry.seq, "legality_unchecked", message)
        return process

    def _process(self, digest: str, seq: int) -> Process | None:
        """A stored process, read from its object even where the caller remembers it."""
        if digest not in self._processes:
            process = None
            if self._holdings.check_object(digest, "the process", seq) is not None:
                try:
                    process = self._load(digest)
                    self._holdings.check_process(process, seq)
                except (EnforcerError, *_UNFIT) as error:
                    self._found.gap(LEGALITY, seq, "process_unreadable", f"The process {digest}: {error}")
            self._processes[digest] = process
        return self._processes[digest]

    def _lose(self, task: _Task, seq: int, why: str) -> None:
        if not task.lost:
            self._found.gap(LEGALITY, seq, "legality_unchecked", f"The task is not judged from here on: {why}.")
        task.lost, task.state = True, None

    def _illegal(self, seq: int, fault: str) -> None:
        self._found.contradiction(LEGALITY, seq, "illegal", f"{fault[:1].upper()}{fault[1:]}.")
