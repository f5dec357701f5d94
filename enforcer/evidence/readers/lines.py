"""The executable lines of a file, and what a report says of all its files: the terms that coverage readers share."""

from __future__ import annotations

from enforcer.evidence.readers.fault import Unreadable, count, shown
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Lines(Record):
    """The numbers, from 1, of the executable lines that ran and of those that did not; no line is in both."""

    executed: frozenset[int] = frozenset()
    missing: frozenset[int] = frozenset()

    @property
    def total(self) -> int:
        return len(self.executed) + len(self.missing)

    def merged(self, other: Lines) -> Lines:
        """What two tellings of one file say together: a line ran if it ran in one of them."""
        executed = self.executed | other.executed
        return Lines(executed, (self.missing | other.missing) - executed)


class Report(Record):
    """What a report lists, in its own order: paths as they are written, and the folders that they may be below."""

    files: tuple[tuple[str, Lines], ...]
    sources: tuple[str, ...] = ()
    tool: str = ""


def of_hits(hits: Mapping[int, int]) -> Lines:
    """The lines of a file from how often each was hit."""
    executed = frozenset(number for number, times in hits.items() if times)
    return Lines(executed, frozenset(hits) - executed)


def line_number(text: str, where: str) -> int:
    """The number of a line, written as a text. Raises `Unreadable` for what none has."""
    number = count(text, where)
    if number < 1:
        raise Unreadable(f"{where} is 0, and lines are counted from 1")
    return number


def check_told(told: int, found: Iterable[int], what: str) -> None:
    """A sum that a report gives is one of those that its lines lead to."""
    possible = sorted(set(found))
    if told not in possible:
        numbers = " or ".join(str(number) for number in possible)
        raise Unreadable(f"it says {told} for {what}, and its lines show {numbers}: it was cut or edited")


def check_rate(told: str, part: int, whole: int, what: str) -> None:
    """A rate that a report gives is that of its lines, within the rounding of writers; of nothing it is any."""
    try:
        rate = float(told)
    except ValueError:
        raise Unreadable(f"{what} is {shown(told)}, which is no number") from None
    if whole and not abs(rate - part / whole) <= 0.005:  # NaN is no rate either.
        raise Unreadable(
            f"it says {shown(told)} for {what}, and its lines show {part} of {whole}: it was cut or edited"
        )
