"""What no history can hold, whatever the process says: asked of every line that is read, by the state alone.

The gate never writes what is listed here; somebody who edits the ledger may. It is also what makes `evolve` total: an
event that passes can be folded. What else could not have been decided is asked by `legality`, when a ledger is
verified.
"""

from __future__ import annotations

from enforcer.workflow import events
from enforcer.workflow.state import OPEN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from enforcer.workflow.events import Event
    from enforcer.workflow.state import TaskState

# A command is refused under a token only after the stage that asks for the lease.
LEASED_STAGES = ("attestation", "evidence")
UNLEASED_STAGES = ("task", "order", "lease", "approval")

# What the ledger says of itself, outside every task.
OF_THE_LEDGER = (events.LedgerCreated, events.LedgerRecovered, events.KeyRotated)

# Every line of a ledger passes here, so kinds are looked up: `isinstance` asks the metaclass of records each time.
_AFTER_CLOSE = frozenset((events.CommandRefused, events.ToolRefused, events.EvidenceRestored))
_WORK = frozenset(kind for kind in events.EVENTS.values() if issubclass(kind, events.WorkEvent))
_CLAIMS = frozenset((events.LeaseClaimed, events.LeaseTakenOver))


def structure(state: TaskState | None, event: Event) -> Iterator[str]:
    """Why an event of a task cannot follow `state`; None stands for a task that was never opened."""
    kind = type(event)
    if kind in OF_THE_LEDGER:
        yield f"{event.type} stands among the entries of a task"
        return
    if state is None or kind is events.TaskOpened:
        if state is not None:
            yield "the task is opened a second time"
        elif kind is not events.TaskOpened:
            yield "the task was never opened"
        return
    if state.status != OPEN and kind not in _AFTER_CLOSE:
        yield f"the task was {state.status} before"
    if kind in _BY_KIND:
        yield from _BY_KIND[kind](state, event)
    claim = claim_of(event)
    if claim is not None:
        yield from _claim(state, event, *claim)
    if kind in _WORK:
        yield from _acting(state, event)


def outside(event: Event) -> Iterator[str]:
    """Why an event cannot stand without a task."""
    if type(event) not in OF_THE_LEDGER:
        yield f"{event.type} stands without a task"


def claim_of(event: Any) -> tuple[str, int] | None:
    """Holder and token of the lease that an event takes, if it takes one."""
    kind = type(event)
    if kind in _CLAIMS:
        return event.holder, event.token
    if kind in _WORK and event.lease is not None:
        return event.lease.holder, event.lease.token
    return None


def _claim(state: TaskState, event: Event, holder: str, token: int) -> Iterator[str]:
    if token != state.token + 1:
        yield f"the lease is claimed with token {token}, and {state.token + 1} was next"
    if holder != event.actor:
        yield f"{event.actor} claims a lease for {holder}"


def _moved(state: TaskState, event: events.PhaseAdvanced | events.PhaseBacktracked) -> Iterator[str]:
    if event.start != state.phase:
        yield f"it leaves {event.start}, but the task stood in {state.phase}"
    if event.attempt_id == state.attempt_id:
        yield "the new attempt has the id of the old one"


def _refused(state: TaskState, event: events.CommandRefused | events.ToolRefused) -> Iterator[str]:
    if not event.refusals:
        yield "it refuses without a reason"


def _attested(state: TaskState, event: events.PromptAttested) -> Iterator[str]:
    if not set(event.first) <= set(event.parts):
        yield "it makes a baseline of a part that was not presented"


def _released(state: TaskState, event: events.LeaseReleased) -> Iterator[str]:
    if state.lease is None or (state.lease.holder, state.lease.token) != (event.holder, event.token):
        yield "it releases a lease that was not held"
    if event.holder != event.actor and not event.forced:
        yield f"{event.actor} releases the lease of {event.holder} without force"


def _of_attempt(state: TaskState, event: Any) -> Iterator[str]:
    if (event.phase, event.attempt_id) != (state.phase, state.attempt_id):
        yield "it speaks of another attempt than the one that was under way"


def _acting(state: TaskState, event: Any) -> Iterator[str]:
    """An event that needs the lease is written under the newest token: the one it claims, or the actor's own."""
    if type(event) is events.CommandRefused and event.stage in UNLEASED_STAGES:
        if event.token or event.lease is not None:
            yield f"a command refused at the stage {event.stage} has no lease, and this one names a token"
    elif event.lease is not None:
        if event.token != event.lease.token:
            yield f"it acts with token {event.token}, and claims {event.lease.token}"
    elif state.lease is None or (state.lease.holder, state.lease.token) != (event.actor, event.token):
        yield f"{event.actor} acts with token {event.token}, which is not the newest token of its own lease"


_BY_KIND: dict[type[Event], Callable[[TaskState, Any], Iterator[str]]] = {
    events.PhaseAdvanced: _moved,
    events.PhaseBacktracked: _moved,
    events.CommandRefused: _refused,
    events.ToolRefused: _refused,
    events.PromptAttested: _attested,
    events.LeaseReleased: _released,
    events.RunObserved: _of_attempt,
    events.ApprovalGranted: _of_attempt,
    events.ApprovalRejected: _of_attempt,
    events.RulesWaived: _of_attempt,
}
