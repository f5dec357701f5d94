"""The metrics of a ledger: a fold of its entries, and of the guard's answers, without any telemetry library.

    measures = Measures.fold(ledger.entries(), read_calls(disk, state), count_refusals(disk, state))
    measures.total("phase_skips_attempted")

`status`, `demo` and the follower use the same fold. It can be packed and taken up again at the entry it stands at.

Coalesced refusals have no entry of their own; the task's next entry carries their number, and until there is one they
stand beside the ledger alone. They are more of a streak of identical refusals, so where one streak alone was long
enough to coalesce they count in whatever that refusal counts in. Where several were, the ledger does not tell which,
and they count in `refusals` as `unknown` and in nothing else.
"""

from __future__ import annotations

from enforcer.telemetry.counters import BY_NAME, COALESCED, COUNTERS, REFUSALS
from enforcer.telemetry.courses import Course, follow
from enforcer.telemetry.repairs import Repairs
from enforcer.workflow.decide import COALESCE_FROM
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import ClassVar

    from enforcer.ledger.entry import Entry
    from enforcer.telemetry.courses import Series

UNKNOWN: Series = (REFUSALS, "unknown", "unknown")

# Files that a worker names may come to stand in a dimension. Beyond so many combinations of values a metric counts the
# rest as `other`, so that neither the fold nor what stores its series grows with somebody's imagination.
SERIES_LIMIT = 1000
OTHER = "other"


class Packed(Record, kw_only=True):
    """The stored form of `Measures`: `counts` holds a metric's name, its values and the count, all as text."""

    nested: ClassVar[Mapping[str, type[Record]]] = {"repairs": Repairs}
    nested_maps: ClassVar[Mapping[str, type[Record]]] = {"courses": Course}
    entries: int = 0
    first_ts: int = 0
    last_ts: int = 0
    counts: tuple[tuple[str, ...], ...] = ()
    courses: Mapping[str, Course] = {}
    repairs: Repairs = Repairs()


class Measures:
    """The counts after some entries. Times are UTC microseconds, 0 before there is any."""

    def __init__(self) -> None:
        self.entries = 0
        self.first_ts = 0
        self.last_ts = 0
        self.courses: dict[str, Course] = {}
        self.repairs = Repairs()
        self._counts: dict[Series, int] = {}
        self._sizes: dict[str, int] = {}

    @classmethod
    def fold(
        cls, entries: Iterable[Entry], calls: Iterable[object] = (), coalesced: Mapping[str, int] | None = None
    ) -> Measures:
        """The measures of a whole ledger.

        `calls` are lines of the guard, those of one session in order; `coalesced` is how many refusals of each task
        have no entry of their own, whether an entry has told of them or not.
        """
        measures = cls()
        for entry in entries:
            measures.add(entry)
        for call in calls:
            measures.add_call(call)
        return measures.with_coalesced(coalesced or {})

    def course(self, task: str | None) -> Course | None:
        """What is remembered of an open task; None for any other."""
        return self.courses.get(task) if task is not None else None

    def add(self, entry: Entry) -> None:
        """Take in the next entry of the ledger."""
        course = self.course(entry.task)
        if entry.event.notes is not None and entry.event.notes.coalesced:
            self._add_coalesced(course, entry.event.notes.coalesced)
        found = _series(entry, course)
        for series in found:
            self._count(series, 1)
        self._follow(entry, course, found if entry.event.refused else ())
        self.entries += 1
        self.first_ts = self.first_ts or entry.ts
        self.last_ts = entry.ts

    def add_call(self, call: object) -> None:
        """Take in a line of the guard; what is not one is counted as unreadable."""
        self.repairs = self.repairs.follow(call)

    def with_coalesced(self, numbers: Mapping[str, int]) -> Measures:
        """A copy that counts what no entry has told of yet as well; to read, not to go on with.

        `numbers` maps tasks to all of their coalesced refusals. Once an entry tells of them they count the same.
        """
        copy = Measures.unpack(self.pack())
        for task, course in self.courses.items():
            if (untold := numbers.get(task, 0) - course.coalesced) > 0:
                copy._add_coalesced(course, untold)
        return copy

    def total(self, name: str) -> int:
        """The count of a metric over all its dimensions. Raises `KeyError` when there is no such metric."""
        return sum(self.by(name).values())

    def by(self, name: str) -> dict[tuple[str, ...], int]:
        """The counts of a metric, by the values of its dimensions. Raises `KeyError` when there is no such metric."""
        metric = BY_NAME[name].name
        return {series[1:]: count for series, count in sorted(self._counts.items()) if series[0] == metric}

    def pack(self) -> Packed:
        """The whole fold as a value, free of floats."""
        return Packed(
            entries=self.entries,
            first_ts=self.first_ts,
            last_ts=self.last_ts,
            counts=tuple((*series, str(count)) for series, count in sorted(self._counts.items())),
            courses=dict(self.courses),
            repairs=self.repairs,
        )

    @classmethod
    def unpack(cls, stored: Packed) -> Measures:
        """The inverse of `pack`. Raises `ValueError` where a count is not a number."""
        measures = cls()
        measures.entries, measures.first_ts, measures.last_ts = stored.entries, stored.first_ts, stored.last_ts
        measures.courses, measures.repairs = dict(stored.courses), stored.repairs
        for *series, number in stored.counts:
            measures._count(tuple(series), int(number))
        return measures

    def _add_coalesced(self, course: Course | None, number: int) -> None:
        streaks = course.streaks.values() if course is not None else ()
        ripe = [streak.series for streak in streaks if streak.count >= COALESCE_FROM - 1]
        self._count((COALESCED,), number)
        for series in ripe[0] if len(ripe) == 1 else (UNKNOWN,):
            self._count(series, number)

    def _count(self, series: Series, number: int) -> None:
        if series not in self._counts:
            if self._sizes.get(series[0], 0) >= SERIES_LIMIT:
                series = (series[0], *(OTHER for _ in series[1:]))
            self._sizes[series[0]] = self._sizes.get(series[0], 0) + (series not in self._counts)
        self._counts[series] = self._counts.get(series, 0) + number

    def _follow(self, entry: Entry, course: Course | None, series: tuple[Series, ...]) -> None:
        if entry.task is None:
            return
        after = follow(course, entry, series)
        if after is not None:
            self.courses[entry.task] = after
        else:
            self.courses.pop(entry.task, None)


def _series(entry: Entry, course: Course | None) -> tuple[Series, ...]:
    return tuple((row.name, *values) for row in COUNTERS for values in row.count(entry.event, course))
