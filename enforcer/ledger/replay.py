"""The second pass: reads every line strictly, walks every task along its own chain, and asks of each entry whether it
could have been decided.

Where a task cannot be followed (a line of it is damaged, missing, or of a later release), what comes after is not
judged, and that is said once: a state that is only guessed would accuse honest entries.

Tasks know nothing of each other, so several processes can share them: each reads all lines, and parses those of its own
tasks alone. Lines that show no task, and those of the ledger itself, are the first one's.
"""

from __future__ import annotations

import zlib

from enforcer.errors import EnforcerError
from enforcer.ledger.approvals import Approvals
from enforcer.ledger.chain import place_of
from enforcer.ledger.drafts import hasten
from enforcer.ledger.entry import MAX_LEAF, BadLine
from enforcer.ledger.frames import read_line, read_split, split_line
from enforcer.ledger.lines import TOO_LONG
from enforcer.ledger.report import INTEGRITY, LEGALITY
from enforcer.ledger.walks import ENDLESS, Closed, Step, TaskWalk
from enforcer.workflow import events
from enforcer.workflow.evolve import GENERATED_KEY, Place, evolve
from enforcer.workflow.legality import adoption, legality
from enforcer.workflow.state import TaskState
from enforcer.workflow.structure import outside, structure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from enforcer.ledger.frames import Frame
    from enforcer.ledger.holdings import Holdings
    from enforcer.ledger.report import Findings
    from enforcer.workflow.process import Process

    Processes = Callable[[str], Process]

# What code that expects a sound state or process raises on a forged one.
_UNFIT = (ValueError, KeyError, IndexError, TypeError, AttributeError)

_BATCH = 128

hasten(TaskState)

_ATTEMPTS = frozenset((events.TaskOpened, events.PhaseAdvanced, events.PhaseBacktracked))
# What an entry names has to be read to judge these.
_RESTING = frozenset((events.ProcessAdopted, events.ApprovalGranted, events.ApprovalRejected, events.RulesWaived))


class Replay:
    """Takes in the lines in order: those of the tasks that fall to `part` of `parts`.

    `origin` is the ledger's, None where it is not known. `broken_at` is the number of the line after which
    lines are known to be missing or unread.
    `rotations` and `created` are the entries of the ledger itself that say who may sign, and what it continues.
    `approvals` holds the signatures that are left to be checked.
    """

    def __init__(
        self,
        found: Findings,
        holdings: Holdings,
        processes: Processes,
        *,
        origin: str | None = None,
        part: int = 0,
        parts: int = 1,
    ) -> None:
        self._found, self._holdings, self._load = found, holdings, processes
        self._origin = origin
        self.approvals = Approvals(origin, holdings=holdings, found=found)
        self._part, self._parts = part, parts
        self._tasks: dict[str, TaskWalk] = {}
        self._closed = Closed()
        self._processes: dict[str, Process | str | None] = {}
        self.next = self._number = 0
        self.broken_at = ENDLESS
        self.rotations: list[tuple[int, events.KeyRotated]] = []
        self.recovered: list[tuple[int, events.LedgerRecovered]] = []
        self.created: events.LedgerCreated | None = None

    def pack(self) -> dict[str, Any]:
        """Where it stands, as JSON; only of a replay that found nothing wrong."""
        return {
            "tasks": {name: task.pack() for name, task in self._tasks.items()},
            "rotations": [[seq, event.pack()] for seq, event in self.rotations],
            "created": self.created.pack() if self.created is not None else None,
        }

    def resume(self, packed: Mapping[str, Any], next: int) -> None:
        """Go on with entry `next` from where `pack` was asked. Raises `ValueError` or `KeyError` for anything else."""
        tasks = {name: TaskWalk.unpack(task, self._closed) for name, task in packed["tasks"].items()}
        rotations = [(seq, events.KeyRotated.unpack(event)) for seq, event in packed["rotations"]]
        created = events.LedgerCreated.unpack(packed["created"]) if packed["created"] is not None else None
        self._tasks, self.rotations, self.created, self.next = tasks, rotations, created, next

    def enter(self, first: int) -> None:
        """The next lines are of a segment that begins with entry `first`."""
        if first > self.next:
            self.broken_at = min(self.broken_at, self._number)
        self.next = first

    def take(self, leaves: Sequence[bytes], hashes: Sequence[bytes]) -> None:
        """The next lines, and their leaf hashes."""
        for start in range(0, len(leaves), _BATCH):
            self._take_batch(leaves[start : start + _BATCH], hashes[start : start + _BATCH])

    def _take_batch(self, leaves: Sequence[bytes], hashes: Sequence[bytes]) -> None:
        """One step after the other for all of some lines, which takes two thirds of the time of one line after the
        other. What is found does not depend on where a batch begins."""
        steps = [self._place(*read) for read in self._read(leaves, hashes)]
        told = [step for step in steps if self._tell(step)]
        followed = [step for step in told if self._follow(step)]
        for step in followed:
            self._judge(step)

    def _read(self, leaves: Sequence[bytes], hashes: Sequence[bytes]) -> Iterator[tuple[int, Frame, bytes]]:
        """The frames of lines that are read here, each with its number among all lines and its leaf hash."""
        for leaf, digest in zip(leaves, hashes, strict=True):
            at, split = self.next, split_line(leaf)
            self._number += 1
            if split is None:
                place = place_of(leaf)
                self.next = (place[1] if place else at) + 1
                frame = self._read_slowly(leaf, at, self._part == 0)
            else:
                data, members = split
                self.next = int(members[5]) + 1
                if not self._is_mine(members[0]):
                    continue
                frame = read_split(data, members) or self._read_slowly(leaf, at, True)
            if frame is not None:
                yield self._number, frame, digest

    def finish(self) -> None:
        """What only shows once everything was seen."""
        for name, task in self._tasks.items():
            if task.lost is not None:
                seq, why = task.lost
                message = f"The task is not judged from here on: {why}."
                self._found.gap(LEGALITY, seq, "legality_unchecked", message)
            for seq in task.keys.found():
                message = f"The key of this entry has an entry of {name} already."
                self._found.contradiction(INTEGRITY, seq, "key_repeated", message)
            for seq in task.attempts.found():
                self._illegal(seq, "its attempt was another attempt of the task before")

    def _is_mine(self, task: str | None) -> bool:
        if task is None:
            return self._part == 0
        return self._parts == 1 or zlib.crc32(task.encode()) % self._parts == self._part

    def _read_slowly(self, leaf: bytes, seq: int, mine: bool) -> Frame | None:
        """A line that only the strict reader can judge; what is wrong with it is told where it is `mine`."""
        try:
            if leaf == TOO_LONG:
                raise BadLine("too_long", f"it is longer than the {MAX_LEAF} bytes that a line can have")
            frame = read_line(leaf)
        except BadLine as bad:
            if bad.code == "unknown_version":
                self.broken_at = min(self.broken_at, self._number)
            if mine:
                self._unreadable(bad, seq)
            return None
        return frame if self._is_mine(frame.task) else None

    def _unreadable(self, bad: BadLine, seq: int) -> None:
        if bad.code == "unknown_version":
            for part in (INTEGRITY, LEGALITY):
                self._found.gap(part, seq, bad.code, f"Not judged: {bad}.")
        else:
            self._found.contradiction(INTEGRITY, seq, bad.code, f"The line cannot be read: {bad}.")

    def _place(self, number: int, frame: Frame, digest: bytes) -> Step:
        """Where the line stands in the chain of its task."""
        if frame.source != self._origin and self._origin is not None:
            message = f"It is an entry of another ledger, {frame.source[:80]!a}."
            self._found.contradiction(INTEGRITY, frame.seq, "foreign", message)
        step = Step(number, frame, digest.hex())
        if frame.task is None:
            return step
        task = self._tasks.get(frame.task)
        if task is None:
            task = self._tasks[frame.task] = TaskWalk(self._closed)
        step.task = task
        if frame.key.startswith(GENERATED_KEY):
            task.keys.add_random(frame.key, frame.seq)
        else:
            task.keys.add(frame.key, frame.seq)
        before, count = frame.task_prev, frame.task_seq or 0
        if before != task.head or count != task.count + 1:
            message = f"It does not follow the last entry of {frame.task}: it is number {count}, after {task.count}."
            report = self._found.gap if number > self.broken_at else self._found.contradiction
            report(INTEGRITY, frame.seq, "task_chain_broken", message)
            task.lose(number, frame.seq, "its entries do not follow each other")
        task.head, task.count = step.leaf_hash, count
        return step

    def _tell(self, step: Step) -> bool:
        """What the line says, and what it names. Whether it is of a task that can be followed so far."""
        frame, task = step.frame, step.task
        try:
            step.event = frame.event()
        except BadLine as bad:
            self._unread(bad, step)
            return False
        self._holdings.check_event(step.event, frame.task, frame.seq)
        if task is None:
            self._check_outside(step.event, frame.seq)
            return False
        if not frame.seq:
            self._illegal(0, "the ledger does not begin with its creation")
        return True

    def _follow(self, step: Step) -> bool:
        """The state before the line, and the task as it is after it. Whether there is something to judge."""
        task, frame = step.task, step.frame
        if task is None or step.number >= task.judged_to:
            return False
        step.state = state = task.state
        place = Place(frame.task or "", frame.seq, frame.task_seq or 0, step.leaf_hash, frame.ts, frame.key)
        try:
            task.enter(evolve(state, step.event, place))
        except _UNFIT as error:
            step.unfit = f"it cannot follow what was before it ({type(error).__name__}: {error})"
            task.lose(step.number + 1, frame.seq, "one of its events does not fit")
        return True

    def _judge(self, step: Step) -> None:
        """Whether the line could have been decided in the state before it."""
        task, frame, state, event = step.task, step.frame, step.state, step.event
        if task is None or step.number >= task.judged_to:
            return
        faults: list[str] = []
        try:
            process = self._process_in_force(task, state, frame, event)
            faults += structure(state, event)
            faults += legality(state, event, process, ts=frame.ts)
            if type(event) in _RESTING and state is not None:
                faults += self._judge_further(task, state, frame, event, process)
        except _UNFIT as error:
            step.unfit = step.unfit or f"it cannot be judged ({type(error).__name__}: {error})"
            task.lose(step.number + 1, frame.seq, "one of its events does not fit")
        if step.unfit and not faults:
            faults.append(step.unfit)
        for fault in faults:
            self._illegal(frame.seq, fault)
        if type(event) in _ATTEMPTS and event.attempt_id:
            task.attempts.add_random(event.attempt_id, frame.seq)

    def _check_outside(self, event: Any, seq: int) -> None:
        for fault in outside(event):
            self._illegal(seq, fault)
        if isinstance(event, events.KeyRotated):
            self.rotations.append((seq, event))
        elif isinstance(event, events.LedgerRecovered):
            self.recovered.append((seq, event))
        elif isinstance(event, events.LedgerCreated):
            if seq:
                self._illegal(seq, "the ledger begins a second time")
            else:
                self.created = event

    def _unread(self, bad: BadLine, step: Step) -> None:
        seq = step.frame.seq
        if bad.code == "unknown_event":
            self._found.gap(LEGALITY, seq, bad.code, f"This release does not know the event: {bad}.")
        else:
            self._found.contradiction(INTEGRITY, seq, bad.code, f"The event cannot be read: {bad}.")
        if step.task is not None:
            step.task.lose(step.number, seq, "one of its events could not be read")

    def _judge_further(
        self, task: TaskWalk, state: TaskState, frame: Frame, event: Any, process: Process | None
    ) -> Iterable[str]:
        """What is told by more than the state and the process in force."""
        adopted = self._process(task, event.digest, frame) if type(event) is events.ProcessAdopted else None
        if process is None:
            return ()
        if type(event) is not events.ProcessAdopted:
            self.approvals.check(event, frame, process, state.digest)
        return adoption(state, event, process, adopted) if adopted is not None else ()

    def _process_in_force(self, task: TaskWalk, state: TaskState | None, frame: Frame, event: Any) -> Process | None:
        if type(event) is events.TaskOpened:
            digest = event.digest
        elif state is not None:
            digest = state.digest
        else:
            return None
        process = self._process(task, digest, frame)
        if process is None and not task.unjudged:
            task.unjudged = True
            message = f"{frame.task} is not held against its process, which cannot be read."
            self._found.gap(LEGALITY, frame.seq, "legality_unchecked", message)
        return process

    def _process(self, task: TaskWalk, digest: str, frame: Frame) -> Process | None:
        """A stored process, read from its object even where the caller remembers it. Its faults are told once a task,
        so that every task that stands on it is named, whoever reads the others."""
        if digest not in task.processes:
            task.processes += (digest,)
            if digest not in self._processes:
                self._processes[digest] = self._read_process(digest, frame)
            self._tell_of_process(self._processes[digest], digest, frame)
        process = self._processes[digest]
        return None if isinstance(process, str) else process

    def _tell_of_process(self, process: Process | str | None, digest: str, frame: Frame) -> None:
        if isinstance(process, str):
            self._found.gap(LEGALITY, frame.seq, "process_unreadable", f"The process {digest}: {process}")
        elif process is not None:
            self._holdings.check_process(process, frame.task, frame.seq)

    def _read_process(self, digest: str, frame: Frame) -> Process | str | None:
        """The process; in words why it cannot be read; None where there is no object to read."""
        if self._holdings.check_object(digest, "the process", frame.task, frame.seq) is None:
            return None
        try:
            return self._load(digest)
        except (EnforcerError, *_UNFIT) as error:
            return str(error)

    def _illegal(self, seq: int, fault: str) -> None:
        self._found.contradiction(LEGALITY, seq, "illegal", f"{fault[:1].upper()}{fault[1:]}.")
