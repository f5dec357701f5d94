"""An entry of the ledger as spans: what happened, when, for how long, and whether it was a "no".

    agent.state.transition   a task opened, a phase left in either direction, a task abandoned;
                             from the transition before to this one, so that a phase's time can be seen
    agent.verify             an answer about the evidence of VERIFY, yes or no;
                             from the answer before, or the entry of the phase, to this one
    process.violation        every refusal; a moment

All spans of a task are one trace, below the span of its opening. Times are the ledger's, never those of the telling.
Free text (reasons, messages, titles, commands, paths) stays on the ledger: spans leave the machine more easily, and the
seq and hash that each of them carries lead back to it. `docs/telemetry.md` lists the attributes.
"""

from __future__ import annotations

from enforcer.telemetry import ids
from enforcer.telemetry.courses import VERIFY, entered, judges_verify
from enforcer.workflow import events
from enforcer.workflow.decide import TOOL
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeAlias

    from enforcer.ledger.entry import Entry
    from enforcer.telemetry.courses import Course
    from enforcer.workflow.events import Event, Refusal

    Value: TypeAlias = str | int | bool | tuple[str, ...]
    Attributes: TypeAlias = Mapping[str, Value]

TRANSITION, JUDGING, VIOLATION = "transition", "verify", "violation"

NAMES = {TRANSITION: "agent.state.transition", JUDGING: "agent.verify", VIOLATION: "process.violation"}

EVALUATION = "gen_ai.evaluation.result"

_TRANSITIONS: dict[type[Event], str] = {
    events.TaskOpened: "open",
    events.PhaseAdvanced: "advance",
    events.PhaseBacktracked: "backtrack",
    events.TaskAbandoned: "abandon",
}


class Moment(Record):
    """A span event: a named point of time (UTC nanoseconds) with attributes."""

    name: str
    time: int
    attributes: Attributes


class Span(Record, kw_only=True):
    """A span of kind INTERNAL. Ids are hex, times UTC nanoseconds.

    `error` is the `error.type` of a failure; empty leaves the status unset. `links` are pairs of trace and span id:
    the other span of the same entry, and the place for whatever context a command will be able to name.
    """

    name: str
    trace: str
    span: str
    start: int
    end: int
    attributes: Attributes
    parent: str = ""
    error: str = ""
    links: tuple[tuple[str, str], ...] = ()
    moments: tuple[Moment, ...] = ()


def roles(event: Event) -> tuple[str, ...]:
    """The spans that an event is told as, the one that stands for the entry first."""
    main = VIOLATION if event.refused else TRANSITION if type(event) in _TRANSITIONS else ""
    return tuple(role for role, plays in ((main, main), (JUDGING, judges_verify(event))) if plays)


def span_of(entry: Entry) -> str | None:
    """The id of the span that stands for the entry; None for the kinds of entries that are told as metrics alone."""
    told = roles(entry.event)
    return ids.span_id(entry.hash, told[0]) if told else None


def trace_of(entry: Entry) -> str:
    """The id of the trace that the spans of the entry belong to."""
    return ids.trace_id(ids.ledger_id(entry.source), entry.task)


def tell(entry: Entry, course: Course | None) -> tuple[Span, ...]:
    """The spans of an entry; `course` is its task's before the entry, None where it was not open."""
    return tuple(_TELLERS[role](entry, course) for role in roles(entry.event))


def _transition(entry: Entry, course: Course | None) -> Span:
    event = entry.event
    attributes: dict[str, Value] = {"enforcer.transition": _TRANSITIONS[type(event)], **_about(entry, course)}
    if course is not None:
        attributes["enforcer.phase.from"] = course.phase
    if to := entered(event):
        attributes["enforcer.phase.to"] = to
        attributes["enforcer.attempt.to"] = (course.attempts.get(to, 0) if course else 0) + 1
    if isinstance(event, events.PhaseAdvanced):
        attributes |= _advance(event)
    return _span(TRANSITION, entry, course, attributes, since=course.since if course else entry.ts)


def _advance(event: events.PhaseAdvanced) -> dict[str, Value]:
    return _filled(
        {
            "enforcer.completed": event.completed,
            "enforcer.evidence.artifacts": tuple(one.artifact for one in event.evidence),
            "enforcer.evidence.labels": event.labels,
            "enforcer.tree": event.tree,
            "enforcer.warning.codes": _codes(event.warnings),
            "vcs.ref.head.revision": event.commit,
        }
    )


def _judging(entry: Entry, course: Course | None) -> Span:
    event = entry.event
    passed = not event.refused
    attributes = {"enforcer.phase": VERIFY, **_about(entry, course)}
    if not passed:
        attributes |= _refusals(event.refused)
    label = {"gen_ai.evaluation.name": VERIFY, "gen_ai.evaluation.score.label": "pass" if passed else "fail"}
    moment = Moment(EVALUATION, entry.ts * 1000, label)
    companion = (trace_of(entry), ids.span_id(entry.hash, roles(event)[0]))
    since = max(course.since, course.judged) if course else entry.ts
    return _span(JUDGING, entry, course, attributes, since=since).replace(links=(companion,), moments=(moment,))


def _violation(entry: Entry, course: Course | None) -> Span:
    event = entry.event
    attributes = {**_about(entry, course), **_refusals(event.refused)}
    if isinstance(event, events.CommandRefused):
        attributes |= _command(event)
    elif isinstance(event, events.ToolRefused):
        attributes |= _tool(event)
    return _span(VIOLATION, entry, course, attributes, since=entry.ts)


def _command(event: events.CommandRefused) -> dict[str, Value]:
    return _filled(
        {
            "enforcer.command": event.command,
            "enforcer.phase": event.phase,
            "enforcer.phase.to": event.to,
            "enforcer.refusal.stage": event.stage,
            "enforcer.refusal.artifacts": _artifacts(event.refusals),
            "enforcer.refusal.escalation": event.escalation,
        }
    )


def _tool(event: events.ToolRefused) -> dict[str, Value]:
    return _filled(
        {
            "enforcer.command": "guard",
            "enforcer.phase": event.phase,
            "enforcer.refusal.stage": TOOL,
            "enforcer.refusal.escalation": event.escalation,
            "enforcer.tool.capabilities": event.capabilities,
            "gen_ai.conversation.id": event.session,
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.call.id": event.call,
            "gen_ai.tool.name": event.tool,
        }
    )


def _about(entry: Entry, course: Course | None) -> dict[str, Value]:
    """What every span says: the two ways back to the ledger, the task, the attempt, and who acted."""
    about: dict[str, Value] = {
        "enforcer.ledger.id": ids.ledger_id(entry.source),
        "enforcer.entry.seq": entry.seq,
        "enforcer.entry.hash": entry.hash,
        "enforcer.entry.type": events.PREFIX + entry.event.type,
        "gen_ai.agent.id": entry.event.actor,
    }
    if entry.task is not None:
        about["enforcer.task"] = entry.task
    if isinstance(entry.event, events.TaskOpened):
        about |= {"enforcer.attempt": 1, "enforcer.attempt.id": entry.event.attempt_id}
    elif course is not None:
        about |= {"enforcer.attempt": course.attempts[course.phase], "enforcer.attempt.id": course.attempt_id}
    return about


def _refusals(refusals: tuple[Refusal, ...]) -> dict[str, Value]:
    return {
        "error.type": refusals[0].code,
        "enforcer.refusal.codes": _codes(refusals),
        "enforcer.refusal.count": len(refusals),
    }


def _codes(refusals: tuple[Refusal, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.code for one in refusals))


def _artifacts(refusals: tuple[Refusal, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(f"{one.phase}/{one.artifact}" for one in refusals if one.artifact))


def _filled(attributes: dict[str, Value]) -> dict[str, Value]:
    return {name: value for name, value in attributes.items() if value not in ("", ())}


def _span(role: str, entry: Entry, course: Course | None, attributes: Attributes, *, since: int) -> Span:
    return Span(
        name=NAMES[role],
        trace=trace_of(entry),
        span=ids.span_id(entry.hash, role),
        start=min(since, entry.ts) * 1000,
        end=entry.ts * 1000,
        attributes=attributes,
        # The opening span is the root; a task that is closed is forgotten, and what is refused then has no parent.
        parent=ids.span_id(course.opened, TRANSITION) if course else "",
        error=entry.event.refused[0].code if entry.event.refused else "",
    )


_TELLERS: dict[str, Callable[[Entry, Course | None], Span]] = {
    TRANSITION: _transition,
    JUDGING: _judging,
    VIOLATION: _violation,
}
