"""The ledger in memory: its head, the tasks it tells of, and the rules by which one more line is accepted.

Every store keeps one `Fold` and feeds it lines, its own and those of others alike, so that what is true never depends
on where the lines are kept. Pure: no file, no clock.
"""

from __future__ import annotations

from enforcer.errors import InternalError, RequestError, UnavailableError
from enforcer.ledger.codec import MAX_INTEGER
from enforcer.ledger.entry import MAX_LEAF, BadLine, Entry, format_leaf, leaf_hash, parse_leaf
from enforcer.ledger.merkle import Frontier
from enforcer.workflow.events import LedgerCreated
from enforcer.workflow.evolve import Place, evolve
from enforcer.workflow.record import Record
from enforcer.workflow.structure import outside, structure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from enforcer.workflow.events import Event
    from enforcer.workflow.state import TaskState

    # Why a line of somebody else could not have been decided in the state before it. See `law`.
    Judge = Callable[[TaskState | None, Entry], Iterable[str]]


def no_judge(state: TaskState | None, entry: Entry) -> Iterable[str]:
    """For whoever reads lines without the processes to hold them against."""
    return ()


MAX_PENDING = 1024


class Head(Record):
    """The end of the ledger: number of entries, leaf hash and time (UTC µs) of the last. Empty: 0, genesis hash, 0."""

    size: int
    hash: str
    ts: int


class Fold:
    """The state after the lines seen so far. `touched` names the tasks of which there was a line.

    `load` brings in a task that an earlier snapshot knew of. `judge` is asked of lines that others wrote: an own line
    was decided here, under the same rules. `frontier` is that of the tree at `head`, where that is not empty.
    """

    def __init__(
        self,
        origin: str,
        head: Head,
        load: Callable[[str], TaskState | None] = lambda task: None,
        judge: Judge = no_judge,
        frontier: Frontier | None = None,
    ) -> None:
        self.origin = origin
        self.head = head
        self.tasks: dict[str, TaskState] = {}
        self.touched: set[str] = set()
        self._load, self._judge = load, judge
        self._frontier = frontier or Frontier()
        self._leaves: list[str] = []  # Leaf hashes that the frontier does not hold yet: an append need not wait for it.
        assert self._frontier.size == head.size

    @property
    def frontier(self) -> Frontier:
        """The Merkle tree's right edge at `head`. It grows with the ledger: copy what is to stay."""
        leaves, self._leaves = self._leaves, []
        self._frontier.extend(map(bytes.fromhex, leaves))
        return self._frontier

    def task(self, name: str) -> TaskState | None:
        """The task's state; None when the ledger does not know it."""
        state = self.tasks.get(name)
        if state is None:
            state = self._load(name)
            if state is not None:
                self.tasks[name] = state
        return state

    def accept(self, leaf: bytes) -> Entry:
        """Take in the next line. Raises `BadLine` and changes nothing unless it continues this very history."""
        entry = parse_leaf(leaf)
        self._check(entry)
        state = self.task(entry.task) if entry.task is not None else None
        for fault in self._structure(entry.event, entry.task, state):
            raise BadLine("illegal", fault)
        for fault in self._judge(state, entry):
            raise BadLine("illegal", fault)
        self._move(entry.task, entry.event, state, entry.place)
        return entry

    def admit(self, event: Event, task: str | None) -> None:
        """Raises `InternalError` for an event that no reader would take in: it must not reach the ledger either."""
        for fault in self._structure(event, task, self.task(task) if task is not None else None):
            raise InternalError("illegal_event", f"{event.type} was to be written, and {fault}.")

    def next_leaf(self, event: bytes, *, task: str | None, now: int) -> tuple[bytes, int]:
        """The line that would carry `event` next, and its time. Raises `RequestError` when it is too long."""
        state = self.task(task) if task is not None else None
        ts = max(now, self.head.ts)
        if not 0 <= ts <= MAX_INTEGER:
            message = f"The clock says {now} microseconds since 1970, which no entry can hold."
            raise UnavailableError("clock_unusable", message, fix="Set the machine's clock, then ask again.")
        leaf = format_leaf(
            event,
            prev=self.head.hash,
            seq=self.head.size,
            task_prev=state.head if state else None,
            task_seq=None if task is None else state.task_seq + 1 if state else 1,
            ts=ts,
        )
        if len(leaf) > MAX_LEAF:
            message = f"The entry would have {len(leaf)} bytes, and {MAX_LEAF} is the most that a line holds."
            raise RequestError("entry_too_long", message, fix="Say it in fewer words; bigger things go into evidence.")
        return leaf, ts

    def take_own(self, leaf: bytes, event: Event, *, task: str | None, key: str, ts: int) -> Place:
        """Take in a line that was just built here by `next_leaf` and written: nothing of it needs reading again."""
        state = self.task(task) if task is not None else None
        place = Place(task or "-", self.head.size, state.task_seq + 1 if state else 1, leaf_hash(leaf), ts, key)
        self._move(task, event, state, place)
        return place

    def _move(self, task: str | None, event: Event, state: TaskState | None, place: Place) -> None:
        if task is not None:
            self.tasks[task] = evolve(state, event, place)
            self.touched.add(task)
        self.head = Head(place.seq + 1, place.hash, place.ts)
        self._leaves.append(place.hash)
        if len(self._leaves) >= MAX_PENDING:
            _ = self.frontier

    def _structure(self, event: Event, task: str | None, state: TaskState | None) -> Iterable[str]:
        if task is not None:
            return structure(state, event)
        again = self.head.size and isinstance(event, LedgerCreated)
        return (*outside(event), *(("the ledger begins a second time",) if again else ()))

    def _check(self, entry: Entry) -> None:
        if entry.source != self.origin:
            raise BadLine("foreign", f"the entry is of the ledger {entry.source}")
        if entry.seq != self.head.size:
            raise BadLine("out_of_order", f"the entry says seq {entry.seq}, and {self.head.size} is next")
        if entry.prev != self.head.hash:
            raise BadLine("chain_broken", "the entry does not follow the line before it")
        if entry.ts < self.head.ts:
            raise BadLine("time_reversed", "the entry is dated before the line above it")
        if entry.task is None:
            return
        state = self.task(entry.task)
        before, number = (state.head, state.task_seq + 1) if state else (None, 1)
        if (entry.task_prev, entry.task_seq) != (before, number):
            raise BadLine("task_chain_broken", f"the entry does not follow the last one of {entry.task}")
