"""Which things are counted: one row for each metric, and beside it the function that finds it in an entry.

To add a metric, add a row. A row's `count` is given an entry's event and the task's course before it, and names what is
counted by yielding one value for each of the row's dimensions; yielding nothing counts nothing. Dimensions take their
values from the process and from tables of this package, never from free text, so that their number is bounded whatever
a worker writes.

Counts are of recorded refusals and of those that were coalesced (`metrics.Measures` adds them).
"""

from __future__ import annotations

from enforcer.telemetry.courses import closes, entered, fails_evidence, violates
from enforcer.workflow import events
from enforcer.workflow.decide import TOOL
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeAlias

    from enforcer.telemetry.courses import Course
    from enforcer.workflow.events import Event

    Found: TypeAlias = Iterator[tuple[str, ...]]

LOOP = 3  # This many attempts of one phase make a task one that loops.

PHASE, FROM, TO = "enforcer.phase", "enforcer.phase.from", "enforcer.phase.to"
ARTIFACT, STAGE, CODE, OUTCOME = "enforcer.artifact", "enforcer.refusal.stage", "error.type", "enforcer.task.outcome"

COALESCED = "refusals_coalesced"
REFUSALS = "refusals"
VIOLATED = "tasks_rejected_for_process_violation"
OPENED, CLOSED, LOOPED = "tasks_opened", "tasks_closed", "tasks_looped"
COMPLETED, ABANDONED = "completed", "abandoned"


class Counter(Record):
    """A metric that only grows. `unit` is a UCUM annotation; `dimensions` are names of attributes."""

    name: str
    unit: str
    meaning: str
    dimensions: tuple[str, ...]
    count: Callable[[Event, Course | None], Found]


def _skips(event: Event, course: Course | None) -> Found:
    if isinstance(event, events.CommandRefused) and _says(event, "phase_skip"):
        yield event.phase, event.to


def _invalid(event: Event, course: Course | None) -> Found:
    if isinstance(event, events.CommandRefused) and fails_evidence(event):
        yield (event.phase,)


def _failing(event: Event, course: Course | None) -> Found:
    if fails_evidence(event):
        yield from dict.fromkeys((one.phase, one.artifact) for one in event.refused if one.artifact)


def _advances(event: Event, course: Course | None) -> Found:
    if isinstance(event, events.PhaseAdvanced):
        yield (event.start,)


def _backtracks(event: Event, course: Course | None) -> Found:
    if isinstance(event, events.PhaseBacktracked):
        yield event.start, event.to


def _drifts(event: Event, course: Course | None) -> Found:
    drifted = isinstance(event, events.PromptAttested) and bool(event.drift)
    refused = isinstance(event, events.CommandRefused) and event.command == "attest" and _says(event, "prompt_drift")
    if isinstance(event, events.PromptAttested | events.CommandRefused) and (drifted or refused):
        yield (event.phase,)


def _violated(event: Event, course: Course | None) -> Found:
    if course is not None and not course.violated and violates(event):
        yield ()


def _contention(event: Event, course: Course | None) -> Found:
    if isinstance(event, events.CommandRefused) and _says(event, "lease_held"):
        yield (event.phase,)


def _expiries(event: Event, course: Course | None) -> Found:
    claim = event.lease if isinstance(event, events.WorkEvent) else None
    if isinstance(event, events.LeaseTakenOver) or (claim is not None and claim.how == "taken_over"):
        yield ()


def _forced(event: Event, course: Course | None) -> Found:
    if isinstance(event, events.LeaseReleased) and event.forced:
        yield ()


def _tools(event: Event, course: Course | None) -> Found:
    if isinstance(event, events.ToolRefused) and _says(event, "tool_out_of_phase"):
        yield (event.phase,)


def _refused(event: Event, course: Course | None) -> Found:
    if event.refused:
        yield event.stage if isinstance(event, events.CommandRefused) else TOOL, event.refused[0].code


def _coalesced(event: Event, course: Course | None) -> Found:
    """Nothing: the entry's notes tell how many, and `Measures` adds them."""
    return iter(())


def _opened(event: Event, course: Course | None) -> Found:
    if isinstance(event, events.TaskOpened):
        yield ()


def _closed(event: Event, course: Course | None) -> Found:
    if closes(event):
        yield (ABANDONED if isinstance(event, events.TaskAbandoned) else COMPLETED,)


def _looped(event: Event, course: Course | None) -> Found:
    """At the moment the first phase of the task reaches its third attempt, so a task is counted once."""
    if course is None or not (phase := entered(event)):
        return
    if course.attempts.get(phase, 0) + 1 == LOOP and max(course.attempts.values()) < LOOP:
        yield ()


def _says(event: Event, code: str) -> bool:
    return any(refusal.code == code for refusal in event.refused)


COUNTERS = (
    Counter("phase_skips_attempted", "{refusal}", "Advances refused for leaving out a phase", (FROM, TO), _skips),
    Counter("phase_validations_failed", "{refusal}", "Advances refused for their evidence", (PHASE,), _invalid),
    Counter(
        "evidence_gate_failed", "{artifact}", "Artifacts that such advances failed on", (PHASE, ARTIFACT), _failing
    ),
    Counter("phase_advances", "{transition}", "Phases left forward", (PHASE,), _advances),
    Counter("phase_backtracks", "{transition}", "Returns to an earlier phase", (FROM, TO), _backtracks),
    Counter("prompt_drift_detected", "{attestation}", "Attestations that differ from a baseline", (PHASE,), _drifts),
    Counter(VIOLATED, "{task}", "Tasks with a process violation refused while open", (), _violated),
    Counter("phase_lease_contention", "{refusal}", "Commands refused for another's lease", (PHASE,), _contention),
    Counter("phase_lease_expiries", "{lease}", "Leases that expired and were taken over", (), _expiries),
    Counter("phase_leases_forced", "{lease}", "Leases of another that an operator released", (), _forced),
    Counter("tool_out_of_phase_rejected", "{call}", "Tool calls denied for their phase", (PHASE,), _tools),
    Counter(REFUSALS, "{refusal}", "Everything refused, by stage and first reason", (STAGE, CODE), _refused),
    Counter(COALESCED, "{refusal}", "Repeated refusals that have no entry of their own", (), _coalesced),
    Counter(OPENED, "{task}", "Tasks opened", (), _opened),
    Counter(CLOSED, "{task}", "Tasks completed or abandoned", (OUTCOME,), _closed),
    Counter(LOOPED, "{task}", "Tasks with three or more attempts of one phase", (), _looped),
)

BY_NAME = {counter.name: counter for counter in COUNTERS}
