"""Follows the ledger and tells it as telemetry, at its own pace and with a cursor of its own.

    state/telemetry/  cursor.json · traces.jsonl · metrics.jsonl · gaps.jsonl · lock

A batch of entries is told in four steps: add their spans to `traces.jsonl`, add a snapshot of the measures to
`metrics.jsonl`, both synced, then move the cursor: **the commit point**. A run that stopped before it left bytes beyond
the lengths that the cursor knows, and the next run cuts them away, so nothing is told twice and nothing is left out.

The follower reads the ledger and never locks it, so it keeps no writer waiting; followers wait for each other, a batch
at a time. Its failure changes no answer: `run` raises for whoever asked for telemetry, `run_quietly` never does, and
both record the gap in `gaps.jsonl`. The gap of a failed run closes by itself, because the next one begins where the
cursor stands; what stays lost is only what the ledger or the guard's files no longer hold.
"""

from __future__ import annotations

import os
from itertools import islice

from enforcer.errors import EnforcerError, UnavailableError
from enforcer.telemetry.cursor import Cursor, load, save
from enforcer.telemetry.exporter import OtlpExporter
from enforcer.telemetry.gaps import Gaps
from enforcer.telemetry.lines import cut, extend, length, set_aside
from enforcer.telemetry.margins import SUFFIX, count_refusals, read_calls
from enforcer.telemetry.metrics import Measures
from enforcer.telemetry.spans import tell
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import NoReturn, Protocol

    from enforcer.ledger.entry import Entry
    from enforcer.ledger.fold import Head
    from enforcer.ledger.store import Identity
    from enforcer.ports import Clock, Disk, Entropy
    from enforcer.telemetry.spans import Span
else:
    Protocol = object

TRACES, METRICS, CURSOR, GAPS, LOCK = "traces.jsonl", "metrics.jsonl", "cursor.json", "gaps.jsonl", "lock"

# Entries a batch: few enough that another follower never waits long and the bytes of a batch fit into memory easily.
BATCH = 2048


class Source(Protocol):
    """What is asked of a ledger here; every `Store` is one."""

    @property
    def identity(self) -> Identity: ...
    @property
    def head(self) -> Head: ...
    def catch_up(self) -> None: ...
    def entries(self, start: int = 0) -> Iterator[Entry]: ...


class Progress(Record):
    """What a run told: entries, spans, and the seq of the last entry told since ever (-1: none)."""

    entries: int
    spans: int
    seq: int


class Follower:
    """Tells a ledger in `state/telemetry`. `state` is an absolute path."""

    def __init__(self, ledger: Source, state: str, *, disk: Disk, clock: Clock, entropy: Entropy) -> None:
        self._ledger, self._disk, self._entropy, self._state = ledger, disk, entropy, state
        self._folder = os.path.join(state, "telemetry")
        self._gaps = Gaps(self._path(GAPS), disk=disk, clock=clock)
        self._exporter: OtlpExporter | None = None

    def run(self, limit: int | None = None) -> Progress:
        """Tell what is new, at most `limit` entries where one is given.

        Raises `UnavailableError` (`telemetry_extra_missing`, or `telemetry_unavailable` for what the disk refuses), and
        whatever a damaged ledger raises. What was told before the failure stays told.
        """
        try:
            return self._run(limit)
        except OSError as error:
            failure = UnavailableError(
                "telemetry_unavailable",
                f"Telemetry stopped: {error}.",
                where=self._folder,
                fix="Make sure that the folder can be written.",
            )
            self._gaps.record(failure.code, failure.message)
            raise failure from error
        except EnforcerError as error:
            self._gaps.record(error.code, error.message)
            raise

    def run_quietly(self, limit: int | None = None) -> Progress | None:
        """`run`, after a command that has its answer already: None instead of any error."""
        try:
            return self.run(limit)
        except EnforcerError:
            return None
        except Exception as error:  # A fault of ours must not turn a "yes" that is on the ledger into a crash.
            self._gaps.record("telemetry_failed", f"{type(error).__name__}: {error}")
            return None

    def follow(self, poll: Callable[[], None]) -> NoReturn:
        """Tell what is new again and again, waiting by `poll` in between; ends with whatever `poll` raises.

        The first run raises like `run`. Later failures are recorded and tried again, as the ledger goes on meanwhile.
        """
        self.run()
        while True:
            poll()
            self.run_quietly()

    def measures(self) -> Measures:
        """The measures as of the last run. Raises `OSError`; a cursor that cannot be read counts as none."""
        cursor = self._stored() or Cursor(ledger=self._ledger.identity.id)
        return Measures.unpack(cursor.measures).with_coalesced(_counts(cursor.refusals))

    # A run ----------------------------------------------------------------------------------------------------------

    def _run(self, limit: int | None) -> Progress:
        self._disk.make_folder(self._folder)
        entries = spans = 0
        while True:
            size = BATCH if limit is None else min(BATCH, limit - entries)
            told = self._locked_batch(size)
            entries, spans = entries + told.entries, spans + told.spans
            if told.entries < BATCH:
                return Progress(entries, spans, told.seq)

    def _locked_batch(self, size: int) -> Progress:
        fd = self._disk.open(self._path(LOCK), os.O_RDWR | os.O_CREAT)
        try:
            self._disk.lock(fd)
            try:
                # Under the lock, for the cursor may have been moved past what this process has seen of the ledger.
                self._ledger.catch_up()
                cursor = self._resume()
                refusals = self._read_refusals(cursor.refusals)
                # And again, so that no entry is missed which tells of a refusal that was just counted.
                self._ledger.catch_up()
                return self._batch(cursor, refusals, size)
            finally:
                self._disk.unlock(fd)
        finally:
            self._disk.close(fd)

    def _batch(self, cursor: Cursor, refusals: dict[str, tuple[int, ...]], size: int) -> Progress:
        measures = Measures.unpack(cursor.measures)
        entries = list(islice(self._ledger.entries(cursor.seq + 1), size))
        batches = list(_tell(entries, measures))
        guard = self._read_guard(cursor.guard, measures)
        if not entries and (guard, refusals) == (cursor.guard, cursor.refusals):
            return Progress(0, 0, cursor.seq)
        moved = cursor.replace(guard=guard, refusals=refusals, measures=measures.pack())
        if entries:
            moved = moved.replace(seq=entries[-1].seq, hash=entries[-1].hash)
        self._write(moved, batches, measures.with_coalesced(_counts(refusals)))
        return Progress(len(entries), sum(len(batch) for batch in batches), moved.seq)

    def _write(self, moved: Cursor, batches: Sequence[Sequence[Span]], measures: Measures) -> None:
        exporter = self._loaded()
        traces, metrics = exporter.spans(batches), exporter.metrics(measures)
        if traces:
            extend(self._disk, self._path(TRACES), traces)
        extend(self._disk, self._path(METRICS), metrics)
        self._save(moved.replace(traces=moved.traces + len(traces), metrics=moved.metrics + len(metrics)))

    def _loaded(self) -> OtlpExporter:
        if self._exporter is None:
            self._exporter = OtlpExporter(self._ledger.identity.id)
        return self._exporter

    # Taking up where the last run stopped ---------------------------------------------------------------------------

    def _resume(self) -> Cursor:
        """The cursor, with outputs that hold just what it says and a ledger that still holds its entry."""
        self._sweep()
        cursor = self._stored() or Cursor(ledger=self._ledger.identity.id)
        if not self._stands(cursor):
            cursor = self._start_over(cursor)
        reached = cursor.replace(
            traces=self._reach(TRACES, cursor.traces), metrics=self._reach(METRICS, cursor.metrics)
        )
        if reached != cursor:
            self._save(reached)
        return reached

    def _sweep(self) -> None:
        # Files are replaced under the lock, so whatever still has the name of one in the making was given up.
        for name in self._disk.listing(self._folder):
            if name.endswith(".new"):
                self._disk.unlink(self._path(name))

    def _stored(self) -> Cursor | None:
        try:
            return load(self._disk, self._path(CURSOR))
        except ValueError as error:
            self._gaps.record(
                "cursor_damaged", f"{self._path(CURSOR)} cannot be read: {error}. The ledger is told from the start."
            )
            return None

    def _stands(self, cursor: Cursor) -> bool:
        """Whether the ledger is the one whose entries were told."""
        if cursor.ledger != self._ledger.identity.id:
            return False
        if cursor.seq < 0:
            return True
        entry = next(iter(self._ledger.entries(cursor.seq)), None) if cursor.seq < self._ledger.head.size else None
        return entry is not None and (entry.seq, entry.hash) == (cursor.seq, cursor.hash)

    def _start_over(self, cursor: Cursor) -> Cursor:
        # What was told of the other ledger is kept: it may be all that is left of it.
        kept = [
            set_aside(self._disk, path) for name in (TRACES, METRICS) if self._disk.exists(path := self._path(name))
        ]
        message = f"Entry {cursor.seq} of ledger {cursor.ledger} is no longer there. Told from the start; kept: {kept}."
        self._gaps.record("ledger_replaced", message, seq=cursor.seq, hash=cursor.hash)
        fresh = Cursor(ledger=self._ledger.identity.id)
        self._save(fresh)
        return fresh

    def _reach(self, name: str, told: int) -> int:
        """The length of an output that may be added to: what an unfinished run left is cut away."""
        path = self._path(name)
        size = length(self._disk, path) or 0
        if size > told:
            cut(self._disk, path, told, entropy=self._entropy)
        if size >= told:
            return told
        # Rotated, emptied or edited. What stands there now is somebody else's; the next line begins a new file.
        kept = f"; kept: {set_aside(self._disk, path)}" if size else ""
        self._gaps.record(
            "output_shortened", f"{path} has {size} bytes instead of {told}{kept}. Delete the folder to tell all again."
        )
        return 0

    # What stands beside the ledger -----------------------------------------------------------------------------------

    def _read_guard(self, before: Mapping[str, int], measures: Measures) -> dict[str, int]:
        """Take in the guard's new lines; returns the offsets reached. What cannot be read now is a gap, and no more."""
        offsets = {name: offset for name, offset in before.items() if self._reaches(f"guard/{name}", offset)}
        try:
            for call in read_calls(self._disk, self._state, offsets):
                measures.add_call(call)
        except OSError as error:
            self._gaps.record("guard_unreadable", f"The guard's answers cannot be read: {error}.")
        return offsets

    def _read_refusals(self, before: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        """How far the refusals without an entry were read, and how many there are."""
        reached = {task: known for task, known in before.items() if self._reaches(f"refusals/{task}{SUFFIX}", known[0])}
        try:
            count_refusals(self._disk, self._state, reached)
        except OSError as error:
            self._gaps.record("refusals_unreadable", f"Refusals without an entry cannot be read: {error}.")
        return reached

    def _reaches(self, name: str, offset: int) -> bool:
        """Whether a file below `state` still holds what was read of it; it is read anew where it does not."""
        try:
            size = length(self._disk, os.path.join(self._state, name)) or 0
        except OSError:
            return True
        if size < offset:
            self._gaps.record("lines_lost", f"{name} is shorter than the {offset} bytes that were read of it.")
        return size >= offset

    def _save(self, cursor: Cursor) -> None:
        save(self._disk, self._path(CURSOR), cursor, entropy=self._entropy)

    def _path(self, name: str) -> str:
        return os.path.join(self._folder, name)


def _counts(refusals: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    return {task: count for task, (_, count) in refusals.items()}


def _tell(entries: Iterable[Entry], measures: Measures) -> Iterator[Sequence[Span]]:
    """The spans of each entry that has any; the measures move along, for they know the courses."""
    for entry in entries:
        spans = tell(entry, measures.course(entry.task))
        measures.add(entry)
        if spans:
            yield spans
