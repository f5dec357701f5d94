"""What must be remembered of an open task to tell its next entry: where it is, since when, and what it repeats.

It is less than the task's state and apart from it, because a follower has a cursor of its own: it stands at the entry
it told last, wherever the gate is by then. A task that closes is forgotten, so memory is bounded by the open tasks.
"""

from __future__ import annotations

from enforcer.workflow import events
from enforcer.workflow.decide import EVIDENCE
from enforcer.workflow.evolve import signature
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import ClassVar, TypeAlias

    from enforcer.ledger.entry import Entry
    from enforcer.workflow.events import Event

    Series: TypeAlias = tuple[str, ...]  # A metric's name, and one value for each of its dimensions.

VERIFY = "VERIFY"

# A refusal for one of these alone says "not yet" or "not here"; every other code, also one that this release does not
# know, says that somebody tried to go around the process.
NOT_YET = frozenset(
    {"evidence_missing", "evidence_invalid", "evidence_stale", "upstream_changed", "task_exists", "task_closed"}
)


class Streak(Record):
    """Identical refusals of one actor in a row, and what one more of them counts in."""

    signature: str
    count: int
    series: tuple[Series, ...]


class Course(Record, kw_only=True):
    """An open task as its last entry left it.

    `opened` is the leaf hash of its first entry; `since` the time of its last transition and `judged` that of the last
    judging of VERIFY, in UTC microseconds; `violated`: a process violation of it was refused; `coalesced` is how many
    refusals without an entry its entries have told of.
    """

    nested_maps: ClassVar[Mapping[str, type[Record]]] = {"streaks": Streak}
    opened: str
    since: int
    phase: str
    attempt_id: str
    attempts: Mapping[str, int]
    judged: int = 0
    violated: bool = False
    coalesced: int = 0
    streaks: Mapping[str, Streak] = {}


def entered(event: Event) -> str:
    """The phase of which the event begins a new attempt; empty when it begins none."""
    if isinstance(event, events.TaskOpened):
        return event.phase
    return event.to if isinstance(event, events.PhaseAdvanced | events.PhaseBacktracked) else ""


def closes(event: Event) -> bool:
    """Whether the task is over with this event."""
    return isinstance(event, events.TaskAbandoned) or (isinstance(event, events.PhaseAdvanced) and event.completed)


def judges_verify(event: Event) -> bool:
    """Whether the event is an answer about the evidence of VERIFY, yes or no."""
    if isinstance(event, events.CommandRefused):
        return event.phase == VERIFY and fails_evidence(event)
    return isinstance(event, events.PhaseAdvanced) and event.start == VERIFY


def fails_evidence(event: Event) -> bool:
    """Whether the event is an advance that was refused because of its evidence."""
    return (
        isinstance(event, events.CommandRefused)
        and (event.command, event.stage) == ("advance", EVIDENCE)
        and bool(event.refusals)
    )


def violates(event: Event) -> bool:
    """Whether the event refuses an attempt to go around the process, rather than work that is not good enough yet."""
    return any(refusal.code not in NOT_YET for refusal in event.refused)


def follow(course: Course | None, entry: Entry, series: tuple[Series, ...] = ()) -> Course | None:
    """The course after `entry`, None when its task is not open; `series` is what one more such entry would count in."""
    event = entry.event
    if isinstance(event, events.TaskOpened):
        return Course(
            opened=entry.hash,
            since=entry.ts,
            phase=event.phase,
            attempt_id=event.attempt_id,
            attempts={event.phase: 1},
        )
    if course is None or closes(event):
        return None
    coalesced = course.coalesced + (event.notes.coalesced if event.notes is not None else 0)
    course = course.replace(streaks=_streaks(course, event, series), coalesced=coalesced)
    if event.refused:
        judged = entry.ts if judges_verify(event) else course.judged
        return course.replace(judged=judged, violated=course.violated or violates(event))
    if isinstance(event, events.PhaseAdvanced | events.PhaseBacktracked):
        attempts = {**course.attempts, event.to: course.attempts.get(event.to, 0) + 1}
        return course.replace(since=entry.ts, phase=event.to, attempt_id=event.attempt_id, attempts=attempts)
    return course


def _streaks(course: Course, event: Event, series: tuple[Series, ...]) -> dict[str, Streak]:
    """As the gate counts them: a streak ends with any other recorded answer to its actor."""
    others = {actor: streak for actor, streak in course.streaks.items() if actor != event.actor}
    if not event.refused:
        return others
    mark, before = signature(event, course.phase), course.streaks.get(event.actor)
    count = before.count + 1 if before and before.signature == mark else 1
    return {**others, event.actor: Streak(mark, count, series)}
