"""Whether an event could have been decided: what a verifier asks of history, from the facts that each event carries.

`structure` has been asked before. What is asked here is told by the state, and in `compliance` by the process in force,
where it is known. Whatever depended on the world outside (a lease's expiry, a file, a repository) cannot be asked again
and is not.
"""

from __future__ import annotations

from enforcer.workflow import events
from enforcer.workflow.answering import (
    APPROVAL,
    ATTESTATION,
    COALESCE_US,
    EVIDENCE,
    LEASE,
    ORDER,
    TASK,
    coalesces,
    escalation,
)
from enforcer.workflow.attesting import PARTS, STABLE_PARTS, kept_back
from enforcer.workflow.compliance import compliance, listed
from enforcer.workflow.evolve import baseline_name
from enforcer.workflow.state import OPEN, is_among, principal
from enforcer.workflow.structure import OF_THE_LEDGER, claim_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator
    from typing import Any

    from enforcer.workflow.events import Event
    from enforcer.workflow.process import Process
    from enforcer.workflow.state import TaskState

_HEX = "0123456789abcdef"

_REFUSALS = frozenset((events.CommandRefused, events.ToolRefused))
_MOVES = frozenset((events.PhaseAdvanced, events.PhaseBacktracked))

# Where each command can be refused. A command that is not here is of a later release, and is not asked about.
_STAGES: dict[str, tuple[str, ...]] = {
    "open": (TASK,),
    "advance": (TASK, ORDER, LEASE, ATTESTATION, EVIDENCE),
    "backtrack": (TASK, ORDER, LEASE),
    "abandon": (TASK, LEASE),
    "lease claim": (TASK, LEASE),
    "lease renew": (TASK, LEASE),
    "lease release": (LEASE,),
    "attest": (TASK, LEASE, ATTESTATION),
    "baseline accept": (TASK,),
    "process adopt": (TASK, APPROVAL),
    "run": (TASK, LEASE, EVIDENCE),
    "approve": (TASK, APPROVAL),
}

# What a command is refused with where somebody's word does not count, or is missing.
_APPROVAL_CODES = {"approve": {"approval_invalid", "reviewer_is_author"}, "process adopt": {"approval_missing"}}


def legality(
    state: TaskState | None, event: Any, process: Process | None, *, ts: int, attempts: Container[str] = ()
) -> Iterator[str]:
    """Why `event`, written at `ts`, could not have been decided in `state`.

    `process` is the one in force (for an opening, the one it names); where None, only what holds under every process
    is asked. `attempts` are the ids of the task's attempts so far.
    """
    kind = type(event)
    if kind is events.TaskOpened:
        yield from _opening(event, process, attempts)
    if state is None or kind is events.TaskOpened or kind in OF_THE_LEDGER:
        return
    if event.notes is not None:
        yield from _notes(state, event)
    if claim_of(event) is not None:
        yield from _claim(state, event)
    if kind in _BY_STATE:
        yield from _BY_STATE[kind](state, event)
    if kind in _REFUSALS:
        yield from _refusal(state, event, ts)
    elif kind in _MOVES and not getattr(event, "completed", False):
        yield from _attempt(event.attempt_id, attempts)
    if process is not None:
        yield from compliance(state, event, process, ts=ts)


def adoption(state: TaskState, event: events.ProcessAdopted, process: Process, adopted: Process) -> Iterator[str]:
    """Why `adopted` could not take the place of `process`: it keeps the phases that the task has been through."""
    yield from _authoring(event.authoring, adopted)
    walked = process.order[: process.index(state.phase) + 1] if process.has(state.phase) else (state.phase,)
    if adopted.order[: len(walked)] != walked:
        yield f"the process adopted does not begin with {', '.join(walked)}, which the task has been through"


def _authoring(told: tuple[str, ...], process: Process) -> Iterator[str]:
    """Authors are those that the process says, whoever wrote the entry. A phase that it does not have counts nobody."""
    if {name for name in told if process.has(name)} != set(process.authoring):
        yield f"it has authors in {listed(told)}, and the process has them in {listed(process.authoring)}"


# What every event carries --------------------------------------------------------------------------------------------


def _opening(event: events.TaskOpened, process: Process | None, attempts: Container[str]) -> Iterator[str]:
    yield from _attempt(event.attempt_id, attempts)
    if process is not None and process.order[:1] != (event.phase,):
        yield f"the task opens in {event.phase}, and the process does not begin with it"
    if process is not None:
        yield from _authoring(event.authoring, process)


def _attempt(attempt_id: str, attempts: Container[str]) -> Iterator[str]:
    if len(attempt_id) != 32 or attempt_id.strip(_HEX):
        yield f"{attempt_id!a} is not the id of an attempt"
    elif attempt_id in attempts:
        yield f"the attempt {attempt_id} was another attempt of the task before"


def _notes(state: TaskState, event: Event) -> Iterator[str]:
    """Seals continue where the last ones ended: no line beside the ledger is left out or counted twice."""
    notes = event.notes
    if notes is None:
        return
    if notes.coalesced < 0:
        yield "it takes back refusals that were counted before"
    ends = {f"guard/{name}": end for name, end in state.guarded.items()}
    ends[f"refusals/{state.task}.jsonl"] = state.refused_to
    seals = {f"guard/{seal.session}": seal for seal in notes.guard}
    if len(seals) != len(notes.guard):
        yield "it seals a session twice"
    if notes.refusals is not None:
        seals[f"refusals/{notes.refusals.session}"] = notes.refusals
        if notes.refusals.session != f"{state.task}.jsonl":
            yield "it seals the refusals of another task"
        if notes.refusals.count != notes.coalesced:
            yield f"it counts {notes.coalesced} refusals, and seals {notes.refusals.count}"
    for name, seal in seals.items():
        start = 0 if name in notes.margin_lost else ends.get(name, 0)
        if seal.start != start:
            yield f"it seals {name} from byte {seal.start} on, and {start} was next"
        if seal.end <= seal.start or (seal.count < 1 and seal is not notes.refusals):
            yield f"it seals nothing of {name}"
    for name in notes.margin_lost:
        if not ends.get(name):
            yield f"it misses {name[:80]!a}, of which nothing was sealed"


def _claim(state: TaskState, event: Event) -> Iterator[str]:
    """A claim names the holder it passes over, and a lease passes over nobody else's in silence."""
    if isinstance(event, events.LeaseTakenOver):
        named, claimant = event.previous, event.holder
    elif isinstance(event, events.LeaseClaimed):
        named, claimant = "", event.holder
    elif isinstance(event, events.WorkEvent) and event.lease is not None:
        named, claimant = event.lease.previous, event.lease.holder
        if event.lease.how != ("taken_over" if named else "claimed"):
            yield f"the claim says {event.lease.how}, with {named or 'nobody'} as the holder before"
    else:
        return
    before = state.lease.holder if state.lease is not None and state.lease.holder != claimant else ""
    if named != before:
        yield f"the claim names {named or 'nobody'} as the holder before, and it was {before or 'nobody'}"


def _refusal(state: TaskState, event: Any, ts: int) -> Iterator[str]:
    if event.phase != state.phase:
        yield f"it refuses in {event.phase}, but the task stood in {state.phase}"
    of_command = type(event) is events.CommandRefused
    more = of_command and bool(event.reasons)
    if len(event.refusals) > events.REFUSAL_LIMIT or (more and len(event.refusals) < events.REFUSAL_LIMIT):
        yield f"it lists {len(event.refusals)} reasons, and at most {events.REFUSAL_LIMIT} stand in a line"
    due = set(escalation(state, event, event.lease if of_command else None))
    if not due <= set(event.escalation) or (due != set(event.escalation) and not more):
        yield f"it escalates {listed(event.escalation)}, and due was {listed(due)}"
    # A clock that was set back is told in the notes: it is what the gate went by, while the entry's time stood still.
    if coalesces(state, event, ts - (event.notes.clock_back_us if event.notes is not None else 0)):
        yield f"the same refusal is recorded again within {COALESCE_US // 1_000_000} s, after many of its kind"


# By the state --------------------------------------------------------------------------------------------------------


def _command_refused(state: TaskState, event: events.CommandRefused) -> Iterator[str]:
    if event.stage not in _STAGES.get(event.command, (event.stage,)):
        yield f"{event.command} is never refused at the stage {event.stage}"
    if event.stage == TASK and state.status == OPEN and event.command != "open":
        yield "it is refused because the task is closed, and the task was open"
    if event.stage in (ORDER, LEASE, ATTESTATION, EVIDENCE, APPROVAL) and state.status != OPEN:
        yield f"the task was {state.status}, and it is refused for another reason"
    held = any(one.code == "lease_held" for one in event.refusals)
    if held and (state.lease is None or state.lease.holder == event.actor):
        yield "it is refused for the lease of somebody else, and nobody else held one"
    if event.attested and (event.command, event.stage) != ("attest", ATTESTATION):
        yield f"{event.command} presents a prompt"
    if event.observation and (event.command, event.stage) != ("run", EVIDENCE):
        yield f"{event.command} tells of a run"
    if event.stage == APPROVAL and not {one.code for one in event.refusals} <= _APPROVAL_CODES.get(
        event.command, set()
    ):
        yield f"{event.command} is refused for something else than somebody's word"


def _abandoned(state: TaskState, event: events.TaskAbandoned) -> Iterator[str]:
    if event.phase != state.phase:
        yield f"it is abandoned in {event.phase}, but stood in {state.phase}"
    yield from _reason(event.reason)


def _backtracked(state: TaskState, event: events.PhaseBacktracked) -> Iterator[str]:
    yield from _reason(event.reason)


def _released(state: TaskState, event: events.LeaseReleased) -> Iterator[str]:
    if event.forced != (event.holder != event.actor):
        yield "it calls the release of its own lease forced"
    if event.forced:
        yield from _reason(event.reason)


def _attested(state: TaskState, event: events.PromptAttested) -> Iterator[str]:
    if (event.phase, event.attempt_id) != (state.phase, state.attempt_id):
        yield "it attests for another attempt than the one the task was in"
    if not event.parts or not set(event.parts) <= set(PARTS):
        yield "it presents no part of a prompt, or an unknown one"
    who = principal(event.actor)
    new = {
        part
        for part in STABLE_PARTS
        if part in event.parts and baseline_name(who, event.phase, part) not in state.baselines
    }
    if set(event.first) != new:
        yield f"it says that {listed(event.first)} was seen for the first time, and {listed(new)} was"


def _baseline_accepted(state: TaskState, event: events.BaselineAccepted) -> Iterator[str]:
    approver = principal(event.approver)
    if is_among(approver, (event.principal, *((state.lease.holder,) if state.lease is not None else ()))):
        yield f"{approver} accepts a change of its own prompt"
    last = state.attestations.get(f"{event.principal}/{event.phase}")
    shown = last.parts if last is not None else {}
    if set(event.dropped) != set(kept_back(shown, event.principal, event.phase, state)):
        yield f"it drops {listed(event.dropped)}, which is not what {event.principal} kept back"
    if (
        not (event.parts or event.dropped)
        or "volatile" in event.parts
        or any(shown.get(part) != event.parts[part] for part in event.parts)
    ):
        yield f"it accepts what {event.principal} did not present last in {event.phase}"
    yield from _reason(event.reason)


def _adopted(state: TaskState, event: events.ProcessAdopted) -> Iterator[str]:
    if event.previous != state.digest:
        yield "it replaces a process that was not in force"
    if event.digest == event.previous:
        yield "it replaces a process by itself"
    holders = (state.lease.holder,) if state.lease is not None else ()
    if not event.approver or is_among(event.approver, (event.actor, *holders)):
        yield f"{event.approver or 'nobody'} approves a change of its own process"
    yield from _reason(event.reason)


def _restored(state: TaskState, event: events.EvidenceRestored) -> Iterator[str]:
    accepted = state.accepted_files()
    if not event.restored or event.restored.keys() != event.replaced.keys():
        yield "what was restored and what it replaced are not told for the same files"
    for name, digest in event.restored.items():
        # Between the look at the folder and this entry another command may have set the file aside.
        if digest not in (state.previous.get(name), accepted[name].digest if name in accepted else None):
            yield f"it restores {name} to something that was not accepted"


def _reason(reason: str) -> Iterator[str]:
    if not reason.strip():
        yield "it gives no reason"


_BY_STATE: dict[type[Event], Callable[[TaskState, Any], Iterator[str]]] = {
    events.CommandRefused: _command_refused,
    events.TaskAbandoned: _abandoned,
    events.PhaseBacktracked: _backtracked,
    events.LeaseReleased: _released,
    events.PromptAttested: _attested,
    events.BaselineAccepted: _baseline_accepted,
    events.ProcessAdopted: _adopted,
    events.EvidenceRestored: _restored,
}
