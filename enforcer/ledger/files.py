"""The ledger as files: `ledger.json`, segments of lines, one lock.

    ledger/ledger.json                       the identity; its bytes are what the first line stands on
    ledger/seg/<20 digits: first seq>.jsonl  the lines, appended only
    ledger/lock                              the append lock (`flock`), never the data file
    ledger/.cache/snapshot                   see `snapshot`

The commit point is the one `append` of a whole line under the lock. A line is acknowledged after `sync`.
"""

from __future__ import annotations

import os
from _thread import RLock, allocate_lock
from contextlib import contextmanager, suppress

from enforcer.errors import DamagedError, InternalError, RequestError, UnavailableError
from enforcer.ledger.entry import BadLine, leaf_hash, parse_leaf
from enforcer.ledger.fold import Fold, Head, no_judge
from enforcer.ledger.snapshot import Header, Snapshot, open_snapshot, save_snapshot
from enforcer.ledger.store import Identity, parse_identity
from enforcer.ports import read_file, write_durably

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from enforcer.ledger.entry import Entry
    from enforcer.ledger.fold import Judge
    from enforcer.ports import Clock, Disk, Entropy
    from enforcer.workflow.events import Event
    from enforcer.workflow.evolve import Place
    from enforcer.workflow.state import TaskState

FIRST_SEGMENT = f"{0:020}.jsonl"
SNAPSHOT_EVERY = 256
CHUNK = 1 << 20


def create(folder: str, identity: Identity, *, disk: Disk, entropy: Entropy) -> None:
    """Lay out an empty ledger. When this returns its names are on stable storage. Refuses to touch an existing one."""
    path, segment = f"{folder}/ledger.json", f"{folder}/seg/{FIRST_SEGMENT}"
    if disk.exists(path):
        raise RequestError("ledger_exists", "There is a ledger already.", where=path)
    disk.make_folder(f"{folder}/seg")
    lock = disk.open(f"{folder}/lock", os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW)
    try:
        _lock(lock, folder, disk)
        if disk.exists(path):
            raise RequestError("ledger_exists", "Somebody else has just begun a ledger here.", where=path)
        fd = disk.open(segment, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW)
        try:
            if disk.size(fd):
                message = "There are entries of a ledger here, and the file that names it is gone."
                raise RequestError("ledger_exists", message, where=segment, fix=f"Restore {path} from a copy.")
            disk.sync(fd)
        finally:
            disk.close(fd)
        disk.sync_folder(f"{folder}/seg")
        write_durably(disk, path, identity.data(), entropy=entropy)
    finally:
        disk.close(lock)  # Which gives back the lock as well.


def _lock(fd: int, folder: str, disk: Disk) -> None:
    try:
        disk.lock(fd)
    except OSError as error:
        message = f"The append lock cannot be taken: {error.strerror}."
        fix = "Use a disk that has `flock`, and make the lock file accessible."
        raise UnavailableError("ledger_not_lockable", message, where=folder, fix=fix) from error


class FileLedger:
    """A ledger in a folder. `cache_key` None: no cache is read or written.

    `judge` is asked of every line that others wrote, before anything is built on it. A snapshot holds what was judged.
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
    ) -> None:
        self._folder, self._disk, self._clock, self._entropy, self._key = folder, disk, clock, entropy, cache_key
        self._judge = judge
        self.cache_rejected = ""
        self.identity = self._identity()
        self._segment = f"{folder}/seg/{FIRST_SEGMENT}"
        self._fd = self._lock_fd = -1
        self._retired: list[int] = []
        self._writable = False
        self._poisoned = ""
        self._held = False
        self._mutex = RLock()  # `flock` binds a descriptor, not a thread: threads of one process need this besides.
        self._syncing = allocate_lock()
        self._earlier: dict[str, TaskState] = {}
        self._snapshot = self._trusted_snapshot()
        header = self._snapshot.header if self._snapshot else None
        head = Head(header.size, header.hash, header.ts) if header else Head(0, self.identity.genesis, 0)
        self._last, self._end = (header.start, header.end) if header else (0, 0)
        self._snapshot_size = head.size
        self._synced = 0
        self._fold = Fold(self.identity.origin, head, self._load, judge)

    # Reading ---------------------------------------------------------------------------------------------------------

    @property
    def begun(self) -> bool:
        """Whether there is anything in it: an empty ledger is one that is being made, or one that was emptied."""
        return self._size() > 0

    @property
    def head(self) -> Head:
        return self._fold.head

    def catch_up(self) -> None:
        with self._mutex:
            self._catch_up()

    def _catch_up(self) -> None:
        self._healthy()
        end = self._size()
        if end < self._end:
            what = f"the segment has {end} bytes, and {self._end} were there before"
            raise self._damaged("ledger_cut", self._end, what)
        while self._end < end:
            data = self._read(min(CHUNK, end - self._end), self._end)
            complete = data.rfind(b"\n") + 1
            if not complete:
                return  # A line that is being written by another process, or torn: `writing` tells.
            self._take(data[:complete])

    def _take(self, data: bytes) -> None:
        for line in data[:-1].split(b"\n"):
            try:
                self._fold.accept(line)
            except BadLine as bad:
                raise self._damaged(f"ledger_{bad.code}", self._end, str(bad)) from bad
            self._last, self._end = self._end, self._end + len(line) + 1

    def task(self, name: str) -> TaskState | None:
        return self._fold.task(name)

    def tasks(self) -> Iterator[TaskState]:
        for state in self._all_earlier():
            self._fold.tasks.setdefault(state.task, state)
        for name in sorted(self._fold.tasks):
            yield self._fold.tasks[name]

    def leaves(self, start: int = 0) -> Iterator[bytes]:
        if start >= self.head.size:
            return
        offset = self._offset_of(start) if start > 0 else 0
        for _, line in self._lines(offset, self._end):
            yield line

    def entries(self, start: int = 0) -> Iterator[Entry]:
        for leaf in self.leaves(start):
            yield self._parse(leaf)

    def task_entries(self, name: str) -> Iterator[Entry]:
        state = self.task(name)
        if state is None:
            return
        mark = f'"subject":"{name}"'.encode()
        left = state.task_seq
        for _, line in self._lines(self._offset_of(state.opened_seq), self._end):
            if mark in line and (entry := self._parse(line)).task == name:
                yield entry
                left -= 1
                if not left:
                    return

    def entry(self, seq: int) -> Entry:
        if not 0 <= seq < self.head.size:
            raise RequestError("unknown_entry", f"The ledger has {self.head.size} entries; {seq} is not one of them.")
        offset = self._offset_of(seq)
        entry = self._parse(next(self._lines(offset, self._end))[1])
        if entry.seq != seq:
            raise self._damaged("ledger_out_of_order", offset, f"entry {seq} does not stand where it should")
        return entry

    # Writing ---------------------------------------------------------------------------------------------------------

    @contextmanager
    def writing(self) -> Iterator[None]:
        with self._mutex:
            self._healthy()
            self._open_for_writing()
            _lock(self._lock_fd, self._folder, self._disk)
            try:
                self._catch_up()
                torn = self._size() - self._end
                if torn:
                    raise self._damaged("ledger_torn", self._end, f"{torn} bytes follow the last complete line")
                self._held = True
                yield
            finally:
                self._held = False
                self._disk.unlock(self._lock_fd)

    def append(self, event: Event, data: bytes, *, task: str | None, key: str) -> Place:
        if not self._held:
            raise InternalError("append_unlocked", "A line was to be appended without the append lock.")
        self._healthy()
        self._fold.admit(event, task)
        leaf, ts = self._fold.next_leaf(data, task=task, now=self._clock.now())
        line = leaf + b"\n"
        try:
            self._disk.append(self._fd, line)
        except OSError as error:
            self._poisoned = f"an append failed: {error.strerror}"
            raise self._unavailable("append_failed", self._poisoned) from error
        self._last, self._end = self._end, self._end + len(line)
        self.cache_rejected = ""
        return self._fold.take_own(leaf, event, task=task, key=key, ts=ts)

    def sync(self) -> None:
        mine = self._end
        # One at a time: the system tells of a failure once, so whoever waited meanwhile has to hear of it here.
        with self._syncing:
            with self._mutex:
                self._healthy()
                if self._synced >= mine:
                    return
                fd, end = self._open_for_writing(), self._end
            try:
                self._disk.datasync(fd)
            except OSError as error:
                self._poisoned = f"a sync failed: {error.strerror}"
                raise self._unavailable("sync_failed", self._poisoned) from error
            self._synced = end

    def save_caches(self) -> None:
        """Write a snapshot when enough has happened since the last one. Its failure is of no consequence."""
        with self._mutex:
            if self._key is not None and self.head.size - self._snapshot_size >= SNAPSHOT_EVERY:
                self._save_snapshot(self._key)

    def _save_snapshot(self, key: bytes) -> None:
        header = Header(
            self.identity.id, self.head.size, self.head.hash, self.head.ts, FIRST_SEGMENT, self._last, self._end
        )
        tasks = {state.task: state for state in self.tasks()}
        try:
            self._disk.make_folder(f"{self._folder}/.cache")
            save_snapshot(self._cache, header, tasks, count=len(tasks), key=key, disk=self._disk, entropy=self._entropy)
        except OSError:
            return
        self._snapshot_size = self.head.size

    def close(self) -> None:
        for fd in (self._fd, self._lock_fd, *self._retired):
            if fd >= 0:
                self._disk.close(fd)
        self._fd, self._lock_fd, self._retired, self._writable = -1, -1, [], False
        if self._snapshot:
            self._snapshot.close()
            self._snapshot = None

    def __del__(self) -> None:
        # A ledger that nobody closed gives back its descriptors; one whose making failed may have none yet.
        if hasattr(self, "_snapshot"):
            with suppress(OSError):
                self.close()

    # Inside ----------------------------------------------------------------------------------------------------------

    @property
    def _cache(self) -> str:
        return f"{self._folder}/.cache/snapshot"

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

    def _open(self) -> int:
        if self._fd < 0:
            try:
                self._fd = self._disk.open(self._segment, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            except OSError as error:
                raise self._unavailable("segment_missing", f"{error.strerror}: {self._segment}") from error
        return self._fd

    def _open_for_writing(self) -> int:
        if not self._writable:
            try:
                if self._lock_fd < 0:
                    self._lock_fd = self._disk.open(f"{self._folder}/lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW)
                fd = self._disk.open(self._segment, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK)
            except OSError as error:
                raise self._unavailable("ledger_not_writable", f"{error.strerror}: {self._segment}") from error
            if self._fd >= 0:
                self._retired.append(self._fd)  # Somebody may be reading through it at this moment.
            self._fd, self._writable = fd, True
        return self._fd

    def _size(self) -> int:
        try:
            size = self._disk.size(self._open())
            if not size:
                self._disk.read(self._fd, 1, 0)  # Which a pipe refuses; it would otherwise pass for an empty file.
            return size
        except OSError as error:
            raise self._unavailable("ledger_unreadable", f"{error.strerror}: {self._segment}") from error

    def _read(self, size: int, offset: int) -> bytes:
        try:
            return self._disk.read(self._open(), size, offset)
        except OSError as error:
            raise self._unavailable("ledger_unreadable", f"{error.strerror}: {self._segment}") from error

    def _trusted_snapshot(self) -> Snapshot | None:
        if self._key is None:
            return None
        try:
            snapshot = open_snapshot(self._cache, ledger=self.identity.id, key=self._key, disk=self._disk)
            if snapshot and not self._stands(snapshot.header):
                snapshot.close()
                raise ValueError("the line that it names does not stand there")
        except (ValueError, KeyError, TypeError, OSError) as error:
            self.cache_rejected = f"snapshot: {error}"
            return None
        return snapshot

    def _stands(self, header: Header) -> bool:
        line = self._read(header.end - header.start, header.start)
        return line.endswith(b"\n") and leaf_hash(line[:-1]) == header.hash

    def _load(self, name: str) -> TaskState | None:
        """A task as the snapshot knew it, for the fold."""
        try:
            if self._snapshot:
                return self._snapshot.task(name)
        except (DamagedError, ValueError, OSError) as error:
            self._rebuild(error)
        return self._earlier.get(name)

    def _all_earlier(self) -> tuple[TaskState, ...]:
        try:
            if self._snapshot:
                return tuple(self._snapshot.tasks())
        except (DamagedError, ValueError, OSError) as error:
            self._rebuild(error)
        return tuple(self._earlier.values())

    def _rebuild(self, why: Exception) -> None:
        """Put the history itself in the place of a snapshot whose content turned out not to hold.

        The tasks that were taken from it before came from parts that did hold, and so need no second look.
        """
        assert self._snapshot is not None
        fold = Fold(self.identity.origin, Head(0, self.identity.genesis, 0), judge=self._judge)
        for offset, line in self._lines(0, self._snapshot.header.end):
            try:
                fold.accept(line)
            except BadLine as bad:
                raise self._damaged(f"ledger_{bad.code}", offset, str(bad)) from bad
        self._snapshot.close()
        self._snapshot, self._earlier, self._snapshot_size = None, fold.tasks, 0
        self.cache_rejected = f"snapshot: {why}"[:200]

    def _lines(self, offset: int, end: int) -> Iterator[tuple[int, bytes]]:
        """Offset and bytes of each complete line from `offset` on."""
        rest = b""
        while offset + len(rest) < end:
            more = self._read(min(CHUNK, end - offset - len(rest)), offset + len(rest))
            if not more:
                raise self._damaged("ledger_cut", offset, "lines that were there before are gone")
            data = rest + more
            lines = data.split(b"\n")
            rest = lines.pop()
            if not lines and len(data) <= len(rest) and len(data) >= CHUNK:
                raise self._damaged("ledger_malformed", offset, "a line is longer than any line can be")
            for line in lines:
                yield offset, line
                offset += len(line) + 1

    def _offset_of(self, seq: int) -> int:
        """Where a line begins: halving the bytes, since every line says its number."""
        low, high = 0, self._end
        while low < high:
            middle = (low + high) // 2
            found = next(self._lines_from(middle, high), None)
            if found is None or found[1] >= seq:
                if found is not None and found[1] == seq:
                    return found[0]
                high = middle
            else:
                low = middle + 1
        return low

    def _lines_from(self, offset: int, end: int) -> Iterator[tuple[int, int]]:
        """Offset and number of the first line that begins at `offset` or after it."""
        if offset:
            window = self._read(min(2 * CHUNK, self._end - offset + 1), offset - 1)
            skip = window.find(b"\n")
            if skip < 0:
                return
            offset += skip
        for start, line in self._lines(offset, self._end):
            if start < end:
                yield start, self._parse(line).seq
            return

    def _parse(self, line: bytes) -> Entry:
        try:
            return parse_leaf(line)
        except BadLine as bad:
            raise self._damaged(f"ledger_{bad.code}", 0, str(bad)) from bad

    def _healthy(self) -> None:
        if self._poisoned:
            raise self._unavailable("ledger_poisoned", self._poisoned)

    def _damaged(self, code: str, offset: int, what: str) -> DamagedError:
        where = f"{self._segment}, byte {offset}, entry {self.head.size}"
        message = f"The ledger is damaged: {what}."
        return DamagedError(code, message, where=where, fix="Nothing was written. Look at it with: enforcer verify")

    def _unavailable(self, code: str, what: str) -> UnavailableError:
        fix = "Make the disk writable and sound again; what was acknowledged is still on the ledger."
        return UnavailableError(code, f"The ledger cannot be used: {what}.", where=self._folder, fix=fix)
