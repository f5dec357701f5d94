"""Whether an event could have been decided: what a verifier asks of history, from the facts that each event carries.

The gate never writes what is listed here; somebody who edits the ledger may. `structure` needs the state alone and is
asked of every line that is read; `legality` needs the process in force and is asked by `enforcer verify`.
"""

from __future__ import annotations

from enforcer.workflow import events
from enforcer.workflow.process import OBSERVED
from enforcer.workflow.state import OPEN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from enforcer.workflow.events import Event
    from enforcer.workflow.process import Process
    from enforcer.workflow.state import TaskState

_AFTER_CLOSE = (events.CommandRefused, events.ToolRefused, events.EvidenceRestored)


def structure(state: TaskState | None, event: Event) -> Iterator[str]:
    """What no history can hold, whatever the process says."""
    if state is None or isinstance(event, events.TaskOpened):
        if state is not None:
            yield "the task is opened a second time"
        elif not isinstance(event, events.TaskOpened):
            yield "the task was never opened"
        return
    if state.status != OPEN and not isinstance(event, _AFTER_CLOSE):
        yield f"the task was {state.status} before"
    if isinstance(event, events.PhaseAdvanced | events.PhaseBacktracked):
        if event.start != state.phase:
            yield f"it leaves {event.start}, but the task stood in {state.phase}"
        if event.attempt_id == state.attempt_id:
            yield "the new attempt has the id of the old one"
    yield from _tokens(state, event)


def _tokens(state: TaskState, event: Event) -> Iterator[str]:
    claim = _claim(event)
    if claim is not None:
        holder, token = claim
        if token != state.token + 1:
            yield f"the lease is claimed with token {token}, and {state.token + 1} was next"
        if holder != event.actor:
            yield f"{event.actor} claims a lease for {holder}"
    if isinstance(event, events.LeaseReleased) and (state.lease is None or (state.lease.holder, state.lease.token) != (event.holder, event.token)):
        yield "it releases a lease that was not held"
    if isinstance(event, events.LeaseReleased) and event.holder != event.actor and not event.forced:
        yield f"{event.actor} releases the lease of {event.holder} without force"
    if isinstance(event, events.WorkEvent) and _acts(event) and claim is None:
        if state.lease is None or state.lease.token != event.token or state.lease.holder != event.actor:
            yield f"{event.actor} acts with token {event.token}, which is not the newest token of its own lease"


def _acts(event: events.WorkEvent) -> bool:
    """Whether the event needs the lease: a command refused before or at the lease stage does not."""
    return not isinstance(event, events.CommandRefused) or event.stage in ("attestation", "evidence")


def _claim(event: Event) -> tuple[str, int] | None:
    if isinstance(event, events.LeaseClaimed | events.LeaseTakenOver):
        return event.holder, event.token
    if isinstance(event, events.WorkEvent) and event.lease is not None:
        return event.lease.holder, event.lease.token
    return None


def legality(state: TaskState | None, event: Event, process: Process) -> Iterator[str]:
    """What the process in force does not allow. `process` is the task's stored one; for an opening, the one it names."""
    if isinstance(event, events.TaskOpened):
        if event.phase != process.order[0]:
            yield f"the task opens in {event.phase}, and the process begins with {process.order[0]}"
    elif state is None:
        return
    elif isinstance(event, events.PhaseAdvanced):
        yield from _advance(state, event, process)
    elif isinstance(event, events.PhaseBacktracked):
        if not process.has(event.to) or process.index(event.to) >= process.index(state.phase):
            yield f"it goes back to {event.to}, which is not before {state.phase}"
        if not event.reason.strip():
            yield "it goes back without a reason"
    elif isinstance(event, events.ProcessAdopted):
        if event.previous != state.digest:
            yield "it replaces a process that was not in force"


def _advance(state: TaskState, event: events.PhaseAdvanced, process: Process) -> Iterator[str]:
    following = process.following(state.phase)
    if (event.to or None) != following or event.completed != (following is None):
        yield f"it goes from {state.phase} to {event.to or 'completion'}, and {following or 'completion'} follows"
    phase = process.phase(state.phase)
    given = {one.artifact: one for one in event.evidence}
    for artifact in phase.artifacts:
        if artifact.required and artifact.name not in given:
            yield f"{artifact.name} was not among the evidence"
    for name in given:
        if phase.artifact(name) is None:
            yield f"{name} is not evidence of {state.phase}"
    for rule in phase.rules:
        if rule.kind == "observed" and rule.mode == "enforce" and rule.artifact in given and given[rule.artifact].origin != OBSERVED:
            yield f"{rule.artifact} was claimed where an observation is required"
