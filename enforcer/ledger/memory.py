"""The ledger in memory, for tests and simulations: the same lines and promises, gone with the process."""

from __future__ import annotations

from _thread import RLock
from contextlib import contextmanager

from enforcer.errors import InternalError, RequestError
from enforcer.ledger.entry import parse_leaf
from enforcer.ledger.fold import Fold, Head, no_judge

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from enforcer.ledger.entry import Entry
    from enforcer.ledger.fold import Judge
    from enforcer.ledger.store import Identity
    from enforcer.ports import Clock
    from enforcer.workflow.events import Event
    from enforcer.workflow.evolve import Place
    from enforcer.workflow.state import TaskState


class MemoryLedger:
    """A ledger of one process. `leaves` given at the start are a history to continue, checked line by line.

    `judge` is asked of each of them.
    """

    cache_rejected = ""

    def __init__(
        self, identity: Identity, *, clock: Clock, leaves: tuple[bytes, ...] = (), judge: Judge = no_judge
    ) -> None:
        self.identity = identity
        self._clock = clock
        self._leaves: list[bytes] = []
        self._held = False
        self._mutex = RLock()
        self._fold = Fold(identity.origin, Head(0, identity.genesis, 0), judge=judge)
        for leaf in leaves:
            self._fold.accept(leaf)
            self._leaves.append(leaf)

    @property
    def head(self) -> Head:
        return self._fold.head

    def root(self) -> bytes:
        return self._fold.frontier.root()

    def catch_up(self) -> None:
        """Nobody else writes here."""

    def task(self, name: str) -> TaskState | None:
        return self._fold.task(name)

    def tasks(self) -> Iterator[TaskState]:
        for name in sorted(self._fold.tasks):
            yield self._fold.tasks[name]

    @contextmanager
    def writing(self) -> Iterator[None]:
        with self._mutex:
            self._held = True
            try:
                yield
            finally:
                self._held = False

    def append(self, event: Event, data: bytes, *, task: str | None, key: str, now: int | None = None) -> Place:
        if not self._held:
            raise InternalError("append_unlocked", "A line was to be appended without the append lock.")
        self._fold.admit(event, task)
        leaf, ts = self._fold.next_leaf(data, task=task, now=self._clock.now() if now is None else now)
        self._leaves.append(leaf)
        return self._fold.take_own(leaf, event, task=task, key=key, ts=ts)

    def sync(self) -> None:
        """There is no storage to wait for."""

    def save_caches(self) -> None:
        """There is nothing to cache."""

    def leaves(self, start: int = 0) -> Iterator[bytes]:
        yield from self._leaves[start:]

    def entries(self, start: int = 0) -> Iterator[Entry]:
        for leaf in self.leaves(start):
            yield parse_leaf(leaf)

    def task_leaves(self, name: str) -> Iterator[bytes]:
        for leaf in self._leaves:
            if parse_leaf(leaf).task == name:
                yield leaf

    def task_entries(self, name: str) -> Iterator[Entry]:
        yield from map(parse_leaf, self.task_leaves(name))

    def entry(self, seq: int) -> Entry:
        if not 0 <= seq < len(self._leaves):
            message = f"The ledger has {len(self._leaves)} entries; {seq} is not one of them."
            raise RequestError("unknown_entry", message)
        return parse_leaf(self._leaves[seq])

    def close(self) -> None:
        """There is nothing open."""
