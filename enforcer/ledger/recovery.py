"""Recovery, where writing begins: what the last holder of the lock left half done is found, put right, and recorded.

    a sync failed          everything above the last synced offset goes into a new file       `unsynced`
    the tail is torn       the bytes after the last line go to quarantine, and are cut off    `torn`

Both end with an entry `ledger.recovered` that tells what was done. The record of what is synced names the repair until
that entry stands, so that a crash in between only means that the next writer adds it.
"""

from __future__ import annotations

from hashlib import sha256

from enforcer.errors import UnavailableError
from enforcer.ledger.commit import ANEW, FAILED, OK, OWED, TORN, Mark
from enforcer.ledger.entry import format_event
from enforcer.ledger.segments import segment_name, unavailable
from enforcer.workflow.events import LedgerRecovered
from enforcer.workflow.evolve import GENERATED_KEY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from enforcer.ledger.commit import Commit
    from enforcer.ledger.entry import BadLine
    from enforcer.ledger.repair import Repairs
    from enforcer.ledger.segments import Segment
    from enforcer.ledger.store import Store
    from enforcer.ledger.tail import Tail
    from enforcer.ports import Disk, Entropy

KINDS = {TORN: "torn", ANEW: "unsynced"}


class Recovery:
    """Works under the append lock alone. `actor` is named in the entries that it writes."""

    def __init__(
        self, store: Store, tail: Tail, repairs: Repairs, commit: Commit, *, actor: str, disk: Disk, entropy: Entropy
    ) -> None:
        self._store, self._tail, self._repairs, self._commit = store, tail, repairs, commit
        self._actor, self._disk, self._entropy = actor, disk, entropy

    def make_whole(self) -> None:
        """Catch up, with a ledger that ends in a complete line and whose lines can be synced.

        Raises `DamagedError` where something else is wrong, and `UnavailableError` where a repair did not succeed.
        """
        record = self._commit.peek()
        if record.state == FAILED:
            record = self._write_anew()
        bad = self._tail.advance(writable=True)
        if self._tail.rest:
            record = self._cut(self._tail.segment, bad)
        if record.state in OWED:
            self._tell(record)

    def _write_anew(self) -> Mark:
        with self._commit.held():
            segment = self._repairs.last()
            failed = self._commit.agree(segment)
            if failed.state != FAILED:
                return failed
            found = self._repairs.unsynced(segment, failed, self._commit.synced(segment, failed))
            bad = self._tail.advance()
            if bad is not None and (self._tail.segment.first, self._tail.end) < (segment.first, found.start):
                raise self._tail.damaged(f"ledger_{bad.code}", str(bad)) from bad
            try:
                if found.rest:
                    self._repairs.keep(found.end, found.rest)
                fresh = self._repairs.rewrite(segment, found.end)
            except (OSError, UnavailableError) as error:
                why = error.message if isinstance(error, UnavailableError) else error.strerror
                what = f"a sync failed, and what it was for cannot be written anew: {why}"
                raise unavailable("ledger_poisoned", what, segment.path) from error
            state = ANEW if segment.first or found.end else OK
            told = (found.start, found.end - found.start, found.digest)
            mark = Mark(self._commit.mark_of(fresh), segment.first, found.end, state, *told)
            self._commit.recovered(mark)
            return mark

    def _cut(self, segment: Segment, bad: BadLine | None) -> Mark:
        end, size = self._tail.end, self._store.head.size
        with self._commit.held():
            before = self._commit.agree(segment)
            rest = self._repairs.torn(segment, end, size, self._commit.synced(segment, before), bad)
            if before.state in OWED and (before.first, before.offset) == (segment.first, end):
                mark = before  # What was torn is the entry that tells of a repair: it is that one which is still owed.
            else:
                told = (end, len(rest), sha256(rest).hexdigest())
                # A ledger without an entry has none to tell it in: its first one says that it is created.
                mark = Mark(self._commit.mark_of(segment), segment.first, end, TORN if size else OK, *told)
            try:
                self._repairs.keep(end, rest)
                self._commit.write(mark, durably=True)
                self._disk.truncate(segment.fd, end)
            except OSError as error:
                raise unavailable("repair_failed", f"{error.strerror}: {segment.path}", segment.path) from error
            try:
                self._disk.sync(segment.fd)
            except OSError as error:
                self._commit.fail(segment, before)
                raise unavailable("sync_failed", f"a sync failed: {error.strerror}", segment.path) from error
            return mark

    def _tell(self, done: Mark) -> None:
        """Record a repair, unless that was done, or nothing bears out the record, which anybody can write."""
        if self._store.head.size and not self._is_told(done) and self._repairs.bears_out(done, torn=done.state == TORN):
            name = self._repairs.kept(done.offset, done.digest if done.state == TORN else "")
            event = LedgerRecovered(
                actor=self._actor,
                kind=KINDS[done.state],
                segment=segment_name(done.first),
                offset=done.start,
                size=done.size,
                digest=done.digest,
                quarantine=name,
            )
            key = GENERATED_KEY + self._entropy.token(16).hex()
            data = format_event(event, task=None, key=key, source=self._store.identity.origin)
            self._store.append(event, data, task=None, key=key)
        with self._commit.held():
            segment, end = self._tail.segment, self._tail.end
            if not self._commit.sync(segment, end):
                raise unavailable("ledger_poisoned", "a sync failed", segment.path)
            self._commit.write(Mark(self._commit.mark_of(segment), segment.first, end))

    def _is_told(self, done: Mark) -> bool:
        """Whether there is a line after the repaired place: nobody writes another one there before."""
        first, end = self._tail.segment.first, self._tail.end
        return end > done.offset if first == done.first else first > done.first and end > 0
