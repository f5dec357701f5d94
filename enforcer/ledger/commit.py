"""How far the lines are on stable storage, known to all processes: one sync serves every writer whose bytes it covers.

`commit` is one record of fixed length, rewritten in place under a lock of its own and seldom synced itself:

    enforcer/commit/v1 <turn> <mark> <segment> <offset> <state> <start> <size> <digest> <check>

`mark` says in which boot and of which file (device and inode) it was written: after a boot, or where another file has
taken the segment's name, nobody knows what was synced, and `ok` says nothing. The `state` is

    ok       the segment's bytes below `offset` are on stable storage, and all segments before it
    failed   a sync failed: of what is above `offset` nothing may be assumed until it has been written anew
    torn     bytes from `start` on are being cut off (`size` and `digest` tell of them), and
    anew     bytes from `start` on were written anew: what was done is owed to the ledger as an entry at `offset`

`turn` counts the syncs. The one under way holds a lock: `commit` itself in an even turn, `commit.odd` in an odd one.
Whoever asks for a sync meanwhile waits for that lock without taking it, and all who wait go on together: most find the
record to cover their bytes, the others begin the next turn, with all that was appended by then. With a single lock
they would go on one by one, each overtaken by whoever comes back for the next sync, and hardly any sync would serve
more than two.

After a failed sync the system may tell the next caller that all is well, though the bytes are gone
(the pages are marked clean), so no second sync is tried: the record says `failed` to every process, in any boot, until
a writer has repaired the ledger. What is not seen is a process that is killed between a sync that fails and the record
of it, before any other process syncs.
"""

from __future__ import annotations

from _thread import RLock
from contextlib import contextmanager
from hashlib import sha256

from enforcer.errors import UnavailableError
from enforcer.ledger.locks import FileLock
from enforcer.ledger.segments import unavailable, unreadable
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from enforcer.ledger.segments import Segment
    from enforcer.ports import Clock, Disk

MAGIC = "enforcer/commit/v1"
OK, FAILED, TORN, ANEW = "ok", "failed", "torn", "anew"
OWED = (TORN, ANEW)
NO_DIGEST = "0" * 64


class Mark(Record):
    """What the record says. `first` names the segment; see the module for the rest."""

    mark: str
    first: int
    offset: int
    state: str = OK
    start: int = 0
    size: int = 0
    digest: str = NO_DIGEST
    turn: int = 0

    def data(self) -> bytes:
        """The bytes of the record, always as many."""
        numbers = f"{self.first:020} {self.offset:020} {self.state:<6} {self.start:020} {self.size:020}"
        text = f"{MAGIC} {self.turn:020} {self.mark} {numbers} {self.digest} "
        return (text + _check(text) + "\n").encode("ascii")


def _check(text: str) -> str:
    return sha256(text.encode("ascii")).hexdigest()[:16]


_NOTHING: Final = Mark("0" * 32, 0, 0)
LENGTH: Final = len(_NOTHING.data())


def parse_mark(data: bytes) -> Mark | None:
    """The record; None where the bytes are not exactly what was written by `data`."""
    try:
        _, turn, mark, first, offset, state, start, size, digest, _ = data.decode("ascii").split()
        found = Mark(mark, int(first), int(offset), state, int(start), int(size), digest, int(turn))
    except ValueError:
        return None
    return found if found.state in (OK, FAILED, *OWED) and found.data() == data else None


class Commit:
    """The record of one ledger, as one process uses it."""

    def __init__(self, folder: str, *, disk: Disk, clock: Clock) -> None:
        self._folder, self._disk, self._clock = folder, disk, clock
        self._path = f"{folder}/commit"
        self._locks = (FileLock(self._path, disk=disk), FileLock(f"{self._path}.odd", disk=disk))
        self._mutex = RLock()
        self._depth = 0
        self._synced = (-1, -1)  # The end of a line that was taken in, so never of bytes that a repair cuts off.
        self._failed: Mark | None = None
        self._parsed: tuple[bytes, Mark] = (b"", _NOTHING)
        self._marks: dict[tuple[int, int], str] = {}

    def peek(self) -> Mark:
        """What the record says now, without waiting for anybody."""
        if self._failed is not None:
            return self._failed
        return self._parse(self._locks[0].open())

    def sync(self, segment: Segment, end: int) -> bool:
        """Return once the segment is on stable storage up to `end`.

        False where no sync is tried: one failed before, or another file has taken the segment's place since it was
        opened, and its lines may be others. Raises `UnavailableError`: `sync_failed` when this very sync failed.
        """
        with self._mutex:
            record, waited = self._parsed[1], -1
            while self._failed is None:
                if self._synced >= (segment.first, end):
                    return True
                if self._depth:
                    return self._lead(segment, end, self._read())
                done = self._take_turn(segment, end, record.turn, again=waited == record.turn)
                if done is not None:
                    return done
                record, waited = self.peek(), record.turn
                if self._covers(segment, end, record):
                    self._synced = (segment.first, end)
                elif record.state == FAILED:
                    return False
            return False

    def _take_turn(self, segment: Segment, end: int, turn: int, *, again: bool) -> bool | None:
        """Lead in this turn; None where it is somebody else's, once it has ended.

        `again`: it was waited for before and is still to come, so whoever had the lock was only waiting as well.
        """
        lock = self._locks[turn % 2]
        self._locks[0].open()
        if again:
            lock.acquire()
        elif not lock.try_acquire():
            return None
        try:
            record = self._read()
            return self._lead(segment, end, record) if record.turn == turn else None
        finally:
            lock.release()

    def _lead(self, segment: Segment, end: int, record: Mark) -> bool:
        """Sync for all who wait meanwhile, unless somebody has just done so."""
        size = self._size(segment)
        if record.state == FAILED or size < 0:
            return False
        if self._covers(segment, end, record):
            return True
        try:
            self._disk.datasync(segment.fd)
        except OSError as error:
            self.fail(segment, record)
            raise unavailable("sync_failed", f"a sync failed: {error.strerror}", self._folder) from error
        if record.state == OK:
            if size > end:
                # Of the lines of others the last one may still be under way.
                size = end + self._read_on(segment, end, size).rfind(b"\n") + 1
            self.write(Mark(self.mark_of(segment), segment.first, size, OK, 0, 0, NO_DIGEST, record.turn + 1))
        self._synced = (segment.first, end)
        return True

    def _read_on(self, segment: Segment, end: int, size: int) -> bytes:
        try:
            return self._disk.read(segment.fd, size - end, end)
        except OSError as error:
            raise unreadable(segment.path, error) from error

    def synced(self, segment: Segment, record: Mark) -> int:
        """How many bytes of a segment are known to be on stable storage."""
        return record.offset if record.first == segment.first and record.mark == self.mark_of(segment) else 0

    def _covers(self, segment: Segment, end: int, record: Mark) -> bool:
        if record.state != OK or end > self.synced(segment, record):
            return False
        # A record that claims more than there is speaks of bytes that were cut off.
        return record.offset <= self._size(segment)

    def _size(self, segment: Segment) -> int:
        """How many bytes stand under the segment's name; -1 where they are another file's."""
        try:
            device, inode, size = self._disk.look(segment.path)
        except OSError as error:
            raise unreadable(segment.path, error) from error
        return size if (device, inode) == segment.place else -1

    def mark_of(self, segment: Segment) -> str:
        """The boot and the file, as the record names them."""
        mark = self._marks.get(segment.place)
        if mark is None:
            device, inode = segment.place
            text = f"{self._clock.boot()[0]}\n{device}\n{inode}"
            mark = self._marks[segment.place] = sha256(text.encode()).hexdigest()[:32]
        return mark

    # The record, held ------------------------------------------------------------------------------------------------

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nobody else reads or writes the record meanwhile, nor syncs."""
        with self._mutex:
            if not self._depth:
                self._acquire()
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                if not self._depth:
                    self._release()

    def _acquire(self) -> None:
        even, odd = self._locks
        even.acquire()
        try:
            odd.acquire()
        except UnavailableError:
            even.release()
            raise

    def _release(self) -> None:
        for lock in self._locks:
            lock.release()

    def agree(self, segment: Segment) -> Mark:
        """What holds of the last segment, while the record is held.

        A failure of this process that could not be written down counts until somebody has put another file in place.
        """
        record = self._read()
        if self._failed is not None and record.state != FAILED:
            if (self._failed.first, self._failed.mark) == (segment.first, self.mark_of(segment)):
                return self._failed
            self._failed = None
        return record

    def write(self, record: Mark, *, durably: bool = False) -> None:
        """Put a record in place, while it is held. `durably`: it has to outlive the machine's power.

        Raises `UnavailableError`: `ledger_not_writable`.
        """
        data, fd = record.data(), self._locks[0].fd
        try:
            self._disk.replace(fd, data, 0)
            if durably:
                self._disk.sync(fd)
                self._disk.sync_folder(self._folder)
        except OSError as error:
            raise unavailable("ledger_not_writable", f"{error.strerror}: {self._path}", self._folder) from error
        self._parsed = (data, record)

    def fail(self, segment: Segment, record: Mark) -> None:
        """Let nobody trust what is above the last synced offset, while the record is held."""
        self._failed = Mark(self.mark_of(segment), segment.first, self.synced(segment, record), FAILED)
        try:
            self._locks[0].renew()
            self.write(self._failed, durably=True)
        except UnavailableError:
            return  # This process knows; the others are told by the system, once each, or find a disk that is broken.

    def recovered(self, record: Mark) -> None:
        """Write a record over a failed one, while it is held."""
        self.write(record, durably=True)
        self._failed = None

    def _read(self) -> Mark:
        return self._parse(self._locks[0].fd)

    def _parse(self, fd: int) -> Mark:
        try:
            data = self._disk.read(fd, LENGTH, 0)
        except OSError as error:
            raise unavailable("ledger_unreadable", f"{error.strerror}: {self._path}", self._folder) from error
        known, record = self._parsed
        if data != known:
            record = parse_mark(data) or _NOTHING
            self._parsed = (data, record)
        return record

    def close(self) -> None:
        for lock in self._locks:
            lock.close()
