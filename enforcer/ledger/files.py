"""The ledger as files: `ledger.json`, segments of lines, one lock, and a record of how far they are synced.

    ledger/ledger.json   the identity; its bytes are what the first line stands on
    ledger/seg/          the lines, appended only, see `segments`
    ledger/lock          the append lock, see `locks`; never the data file
    ledger/commit        how far the lines are on stable storage, see `commit`
    ledger/quarantine/   what repairs have cut off, see `repair`
    ledger/.cache/       see `past`

The commit point is the one `append` of a whole line under the lock. A line is acknowledged after `sync`. Recovery runs
where writing begins: whoever takes the lock puts right what the last holder left, records it, and goes on.
"""

from __future__ import annotations

from _thread import RLock
from contextlib import contextmanager, suppress

from enforcer.errors import DamagedError, EnforcerError, InternalError, RequestError, UnavailableError
from enforcer.ledger.commit import Commit
from enforcer.ledger.entry import MAX_LEAF, BadLine, leaf_hash
from enforcer.ledger.fold import Fold, Head, no_judge
from enforcer.ledger.locks import FileLock
from enforcer.ledger.merkle import Frontier
from enforcer.ledger.past import Past
from enforcer.ledger.reading import Reading
from enforcer.ledger.recovery import Recovery
from enforcer.ledger.repair import Repairs
from enforcer.ledger.segments import LINES, Segments, damaged, segment_name, unavailable
from enforcer.ledger.snapshot import Header, Snapshots
from enforcer.ledger.store import Identity, parse_identity
from enforcer.ledger.tail import Tail
from enforcer.ports import read_file, write_durably

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from enforcer.ledger.entry import Entry
    from enforcer.ledger.fold import Judge
    from enforcer.ledger.segments import Segment
    from enforcer.ports import Clock, Disk, Entropy
    from enforcer.workflow.events import Event
    from enforcer.workflow.evolve import Place
    from enforcer.workflow.state import TaskState

FIRST_SEGMENT = segment_name(0)
SNAPSHOT_EVERY = 256  # Entries.


def create(folder: str, identity: Identity, *, disk: Disk, entropy: Entropy) -> None:
    """Lay out an empty ledger. When this returns its names are on stable storage. Refuses to touch an existing one."""
    path, segments = f"{folder}/ledger.json", Segments(folder, lines=LINES, disk=disk)
    if disk.exists(path):
        raise RequestError("ledger_exists", "There is a ledger already.", where=path)
    disk.make_folder(f"{folder}/seg")
    lock = FileLock(f"{folder}/lock", disk=disk)
    try:
        lock.acquire()
        if disk.exists(path):
            raise RequestError("ledger_exists", "Somebody else has just begun a ledger here.", where=path)
        segment = segments.begin(0)
        if segment.size():
            message = "There are entries of a ledger here, and the file that names it is gone."
            raise RequestError("ledger_exists", message, where=segment.path, fix=f"Restore {path} from a copy.")
        segments.settle(segment)
        write_durably(disk, path, identity.data(), entropy=entropy)
    finally:
        lock.close()  # Which gives back the lock as well.


class FileLedger:
    """A ledger in a folder. `cache_key` None: no cache is read or written.

    `judge` is asked of every line that others wrote, before anything is built on it. A snapshot holds what was judged.
    `actor` is named in the entries that record a repair; `segment_lines` must be the same for everybody.
    """

    def __init__(
        self,
        folder: str,
        *,
        disk: Disk,
        clock: Clock,
        entropy: Entropy,
        cache_key: bytes | None,
        judge: Judge = no_judge,
        actor: str = "enforcer",
        segment_lines: int = LINES,
    ) -> None:
        self._folder, self._disk, self._clock, self._entropy = folder, disk, clock, entropy
        self._judge = judge
        self.identity = self._identity()
        self._segments = Segments(folder, lines=segment_lines, disk=disk)
        self._reading = Reading(self._segments, self.identity.genesis)
        self._lock = FileLock(f"{folder}/lock", disk=disk)
        self._commit = Commit(folder, disk=disk, clock=clock)
        self._mutex = RLock()  # `flock` binds a descriptor, not a thread: threads of one process need this besides.
        self._held = False
        self._stuck = ""
        self._place = (0, 0)  # Of the lock under which this ledger was last known to stand in the folder.
        self._past = Past(self._snapshots(cache_key), self._replay, every=SNAPSHOT_EVERY)
        header = self._past.header
        head = Head(header.size, header.hash, header.ts) if header else Head(0, self.identity.genesis, 0)
        tree = Frontier(header.size, map(bytes.fromhex, header.tree)) if header else None
        self._fold = Fold(self.identity.origin, head, self._past.task, judge, tree)
        self._tail = Tail(self._segments, self._fold, disk=disk)
        if header:
            self._tail.last, self._tail.end = header.start, header.end
        repairs = Repairs(folder, self.identity, self._segments, disk=disk, entropy=entropy)
        self._recovery = Recovery(self, self._tail, repairs, self._commit, actor=actor, disk=disk, entropy=entropy)

    # Reading ---------------------------------------------------------------------------------------------------------

    @property
    def begun(self) -> bool:
        """Whether there is any entry: an empty ledger is one that is being made, or one that was emptied."""
        return self.head.size > 0 or b"\n" in self._segments.open(0).read(MAX_LEAF + 1, 0)

    @property
    def head(self) -> Head:
        return self._fold.head

    @property
    def cache_rejected(self) -> str:
        return self._past.rejected

    def root(self) -> bytes:
        with self._mutex:
            return self._fold.frontier.root()

    def catch_up(self) -> None:
        with self._mutex:
            bad = self._tail.advance()
            if bad is not None:
                raise self._tail.damaged(f"ledger_{bad.code}", str(bad)) from bad

    def task(self, name: str) -> TaskState | None:
        return self._fold.task(name)

    def tasks(self) -> Iterator[TaskState]:
        for state in self._past.tasks():
            self._fold.tasks.setdefault(state.task, state)
        for name in sorted(self._fold.tasks):
            yield self._fold.tasks[name]

    def leaves(self, start: int = 0) -> Iterator[bytes]:
        for _, line in self._reading.lines(max(0, start), self.head):
            yield line

    def entries(self, start: int = 0) -> Iterator[Entry]:
        return self._reading.entries(max(0, start), self.head)

    def task_leaves(self, name: str) -> Iterator[bytes]:
        for _, line in self._task(name):
            yield line

    def task_entries(self, name: str) -> Iterator[Entry]:
        for entry, _ in self._task(name):
            yield entry

    def _task(self, name: str) -> list[tuple[Entry, bytes]]:
        state = self.task(name)
        return self._reading.task(state, self.head.size) if state is not None else []

    def entry(self, seq: int) -> Entry:
        if not 0 <= seq < self.head.size:
            raise RequestError("unknown_entry", f"The ledger has {self.head.size} entries; {seq} is not one of them.")
        return next(self._reading.entries(seq, self.head))

    # Writing ---------------------------------------------------------------------------------------------------------

    @contextmanager
    def writing(self) -> Iterator[None]:
        with self._mutex:
            self._lock.acquire()
            try:
                self._check_place()
                self._stuck = ""
                self._held = True
                self._recovery.make_whole()
                yield
            finally:
                self._held = False
                self._lock.release()

    def append(self, event: Event, data: bytes, *, task: str | None, key: str, now: int | None = None) -> Place:
        if not self._held:
            raise InternalError("append_unlocked", "A line was to be appended without the append lock.")
        if self._stuck:
            raise self._unavailable("ledger_poisoned", self._stuck)
        self._fold.admit(event, task)
        leaf, ts = self._fold.next_leaf(data, task=task, now=self._clock.now() if now is None else now)
        segment, line = self._room(), leaf + b"\n"
        try:
            self._disk.append(segment.fd, line)
        except OSError as error:
            raise self._stick("append_failed", f"an append failed: {error.strerror}") from error
        self._tail.grow(len(line))
        self._past.rejected = ""
        return self._fold.take_own(leaf, event, task=task, key=key, ts=ts)

    def sync(self) -> None:
        for _ in range(3):
            with self._mutex:
                segment, end = self._tail.segment, self._tail.end
            if self._commit.sync(segment, end):
                return
            if self._held:
                break
            with self.writing():
                """Where a sync has failed before, the repair that comes first is what makes these lines durable."""
        raise self._unavailable("ledger_poisoned", "a sync failed")

    def save_caches(self) -> None:
        """Write a snapshot when enough has happened since the last one. Its failure is of no consequence."""
        with self._mutex:
            head, tail = self.head, self._tail
            if not tail.end or not self._past.due(head.size):
                return
            tree = tuple(node.hex() for node in self._fold.frontier.nodes)
            where = (segment_name(tail.segment.first), tail.last, tail.end)
            self._past.save(Header(self.identity.id, head.size, head.hash, head.ts, *where, tree), self._fold)

    def close(self) -> None:
        with self._mutex:
            self._tail.close()
            self._lock.close()
            self._commit.close()
            self._past.close()

    def __del__(self) -> None:
        # A ledger that nobody closed gives back its descriptors; one whose making failed may have none yet.
        if hasattr(self, "_recovery"):
            with suppress(OSError):
                self.close()

    def _room(self) -> Segment:
        """The segment that takes the next line. An empty one and its name are on stable storage before it does."""
        tail = self._tail
        if tail.end and not tail.full:
            return tail.segment
        try:
            if tail.full:
                if not self._commit.sync(tail.segment, tail.end):
                    raise self._stick("ledger_poisoned", "a sync failed")
                tail.enter(self._segments.begin(self.head.size))
        except OSError as error:
            raise self._stick("append_failed", f"a segment could not be begun: {error.strerror}") from error
        try:
            self._segments.settle(tail.segment)
        except OSError as error:
            with self._commit.held():
                self._commit.fail(tail.segment, self._commit.agree(tail.segment))
            raise self._stick("sync_failed", f"a sync failed: {error.strerror}") from error
        return tail.segment

    # Inside ----------------------------------------------------------------------------------------------------------

    def _identity(self) -> Identity:
        path = f"{self._folder}/ledger.json"
        try:
            return parse_identity(read_file(self._disk, path), path)
        except FileNotFoundError as error:
            message = "The ledger of this project is gone, and history is never begun anew in silence."
            fix = "Restore state/ledger from a copy. Only a new state folder and `enforcer init` begin another ledger."
            raise UnavailableError("ledger_missing", message, where=path, fix=fix) from error
        except OSError as error:
            raise self._unavailable("ledger_unreadable", str(error.strerror)) from error

    def _check_place(self) -> None:
        """Under the lock: another ledger may have been put in the place of this one, with a lock of its own."""
        if self._lock.place == self._place:
            return
        if self._identity() != self.identity:
            message = f"Another ledger has taken the place of {self.identity.id} while it was in use."
            raise DamagedError("ledger_replaced", message, where=self._folder, fix="Begin again: enforcer status")
        self._place = self._lock.place

    def _snapshots(self, key: bytes | None) -> Snapshots | None:
        if key is None:
            return None
        return Snapshots(
            f"{self._folder}/.cache",
            ledger=self.identity.id,
            key=key,
            disk=self._disk,
            entropy=self._entropy,
            stands=self._stands,
        )

    def _stands(self, header: Header) -> bool:
        """Whether the line that a snapshot ends with stands where it says."""
        first = self._segments.first_of(header.size - 1)
        try:
            Frontier(header.size, map(bytes.fromhex, header.tree))
            line = self._segments.open(first).read(header.end - header.start, header.start)
        except (ValueError, EnforcerError):
            return False
        named = header.segment == segment_name(first)
        return named and line.endswith(b"\n") and leaf_hash(line[:-1]) == header.hash

    def _replay(self, size: int) -> Mapping[str, TaskState]:
        """The tasks after so many lines, every one of them read."""
        fold = Fold(self.identity.origin, Head(0, self.identity.genesis, 0), judge=self._judge)
        for seq, line in self._segments.lines_from(0, size):
            try:
                fold.accept(line)
            except BadLine as bad:
                where = self._segments.path(self._segments.first_of(seq))
                raise damaged(f"ledger_{bad.code}", where, 0, seq, str(bad)) from bad
        return fold.tasks

    def _stick(self, code: str, why: str) -> UnavailableError:
        """Nothing more is written under this lock: what stands at the end is not known."""
        self._stuck = why
        return self._unavailable(code, why)

    def _unavailable(self, code: str, what: str) -> UnavailableError:
        return unavailable(code, what, self._folder)
