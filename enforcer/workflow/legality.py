"""Whether an event could have been decided: what a verifier asks of history, from the facts that each event carries.

`structure` has been asked before. What is asked here is told by the state and, where it is known, by the process in
force. Whatever depended on the world outside (an expiry, a file, a repository) cannot be asked again and is not.
"""

from __future__ import annotations

from enforcer.workflow import approving, events
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
from enforcer.workflow.attesting import PARTS, STABLE_PARTS, attestation_stage, drift, kept_back
from enforcer.workflow.evolve import baseline_name
from enforcer.workflow.facts import Facts
from enforcer.workflow.process import ENFORCE, OBSERVED, OFF, REVIEWER
from enforcer.workflow.running import origin
from enforcer.workflow.state import OPEN, is_among, principal
from enforcer.workflow.structure import OF_THE_LEDGER, claim_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Mapping
    from typing import Any

    from enforcer.workflow.events import Event
    from enforcer.workflow.process import Phase, Process
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
    if process is None or not (kind in _BY_PROCESS or kind in _BY_TIME):
        return
    if process.has(state.phase):
        if kind in _BY_PROCESS:
            yield from _BY_PROCESS[kind](state, event, process)
        if kind in _BY_TIME:
            yield from _BY_TIME[kind](state, event, process, ts)
    else:
        yield f"the task stands in {state.phase}, which its process does not have"


def adoption(state: TaskState, event: events.ProcessAdopted, process: Process, adopted: Process) -> Iterator[str]:
    """Why `adopted` could not take the place of `process`: it keeps the phases that the task has been through."""
    yield from _authoring(event.authoring, adopted)
    walked = process.order[: process.index(state.phase) + 1] if process.has(state.phase) else (state.phase,)
    if adopted.order[: len(walked)] != walked:
        yield f"the process adopted does not begin with {', '.join(walked)}, which the task has been through"


def _authoring(told: tuple[str, ...], process: Process) -> Iterator[str]:
    """Authors are those that the process says, whoever wrote the entry. A phase that it does not have counts nobody."""
    if {name for name in told if process.has(name)} != set(process.authoring):
        yield f"it has authors in {_listed(told)}, and the process has them in {_listed(process.authoring)}"


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
        yield f"it escalates {_listed(event.escalation)}, and due was {_listed(due)}"
    if coalesces(state, event, ts):
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
        yield f"it says that {_listed(event.first)} was seen for the first time, and {_listed(new)} was"


def _baseline_accepted(state: TaskState, event: events.BaselineAccepted) -> Iterator[str]:
    approver = principal(event.approver)
    if is_among(approver, (event.principal, *((state.lease.holder,) if state.lease is not None else ()))):
        yield f"{approver} accepts a change of its own prompt"
    last = state.attestations.get(f"{event.principal}/{event.phase}")
    shown = last.parts if last is not None else {}
    if set(event.dropped) != set(kept_back(shown, event.principal, event.phase, state)):
        yield f"it drops {_listed(event.dropped)}, which is not what {event.principal} kept back"
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


def _listed(names: object) -> str:
    return ", ".join(sorted(names)) if isinstance(names, set | tuple) and names else "nothing"


# By the process ------------------------------------------------------------------------------------------------------


def _advance(state: TaskState, event: events.PhaseAdvanced, process: Process) -> Iterator[str]:
    phase, following = process.phase(state.phase), process.following(state.phase)
    given = {one.artifact: one for one in event.evidence}
    if (event.to or None) != following or event.completed != (following is None):
        yield f"it goes from {state.phase} to {event.to or 'completion'}, and {following or 'completion'} follows"
    if event.completed and event.attempt_id:
        yield "it begins an attempt after the last phase"
    if not phase.rules:
        yield f"it leaves {state.phase}, and an empty rule set lets nothing pass"
    yield from _accepted(state, event, phase, given)
    yield from _judged(state, event, phase, process, given)
    yield from _vouched(state, event, phase, process)


def _accepted(
    state: TaskState, event: events.PhaseAdvanced, phase: Phase, given: Mapping[str, events.Accepted]
) -> Iterator[str]:
    if len(given) != len(event.evidence):
        yield "it accepts an artifact twice"
    for artifact in phase.artifacts:
        if artifact.required_of(event.risks) and artifact.name not in given:
            yield f"{artifact.name} was not among the evidence"
    for one in event.evidence:
        if phase.artifact(one.artifact) is None:
            yield f"{one.artifact} is not evidence of {phase.name}"
        if one.origin == OBSERVED and origin(state, one.artifact, one.digest) != OBSERVED:
            yield f"{one.artifact} is said to be observed, and no run that counts made it"
        if one.reaffirmed != (state.previous.get(f"{phase.name}/{one.artifact}") == one.digest):
            yield f"{one.artifact} is {'' if one.reaffirmed else 'not '}said to be what was accepted before"


def _judged(
    state: TaskState, event: events.PhaseAdvanced, phase: Phase, process: Process, given: Mapping[str, events.Accepted]
) -> Iterator[str]:
    """The rules whose answer the event itself tells."""
    # An entry says which rules it passed over; whether they were waived then is asked with the time.
    waived = {(word.artifact, rule) for word in state.words.values() for rule in word.rules}
    for rule in phase.rules:
        if rule.mode != ENFORCE or rule.artifact not in given:
            continue
        if (rule.artifact, rule.id) in waived:
            continue
        if rule.kind == OBSERVED and given[rule.artifact].origin != OBSERVED:
            yield f"{rule.artifact} was claimed where an observation is required"
        if rule.kind == OBSERVED and event.tree and event.tree != _tree_seen(state, phase, rule.artifact):
            yield f"{rule.artifact} was observed on other files than those that it was accepted with"
        if rule.kind == REVIEWER and not process.self_review and is_among(event.actor, state.implementers):
            yield f"{event.actor} reviews its own work"


def _tree_seen(state: TaskState, phase: Phase, artifact: str) -> str:
    seen = state.runs.get(f"{phase.name}/{artifact}")
    return seen.tree if seen is not None else ""


def _ran(state: TaskState, event: events.RunObserved, process: Process) -> Iterator[str]:
    """A configured run makes what the process names, in its phase."""
    phase = process.phase(state.phase)
    for one in event.made:
        named = process.observe.get(one.artifact)
        if phase.artifact(one.artifact) is None:
            yield f"it makes {one.artifact}, which is not evidence of {phase.name}"
        elif event.configured and (named is None or named.reader != one.reader):
            yield f"it says that {one.artifact} was configured, and the process names no such run"
    if event.configured and not event.made:
        yield "it says that a run was configured that made nothing"


def _said(state: TaskState, event: events.Vouched, process: Process, ts: int) -> Iterator[str]:
    """It would not have been refused."""
    for refusal in approving.faults(state, event, process, now=ts):
        yield f"it counts in spite of {refusal.code}: {refusal.message}"
    if bool(event.signature) != bool(event.statement):
        yield "it has a signature without a statement, or a statement without a signature"


def _approved(state: TaskState, event: events.PhaseAdvanced, process: Process, ts: int) -> Iterator[str]:
    """The approvals that it rests on were there, of this evidence, and are what the phase demands."""
    phase = process.phase(state.phase)
    given = approving.given_evidence(phase.name, {one.artifact: one.digest for one in event.evidence})
    trees = {state.words[nonce].tree for nonce in event.approved if nonce in state.words} or {event.tree}
    if len(trees) > 1:
        yield "it rests on approvals of different trees"
    words = approving.counting(state, given, next(iter(trees)), now=ts)
    if not set(event.approved) <= words.keys():
        yield "it rests on an approval that did not count"
    approved = tuple(words[nonce] for nonce in event.approved if nonce in words)
    for refusal in approving.shortfalls(phase, approved, event.risks, approving.authors_of(state, phase)):
        yield f"it leaves {state.phase} in spite of {refusal.code}: {refusal.message}"


def _adopted_rightly(state: TaskState, event: events.ProcessAdopted, process: Process, ts: int) -> Iterator[str]:
    if process.approves and not approving.adoption_approved(state, event.digest, now=ts):
        yield "it leaves a process that asks for approvals, and nobody had approved it"


def _vouched(state: TaskState, event: events.PhaseAdvanced, phase: Phase, process: Process) -> Iterator[str]:
    """The attestation stage again; it looks at nothing of the facts but the actor."""
    if phase.drift == ENFORCE:
        facts = Facts(actor=event.actor, now=0, request="", fresh_id="")
        for refusal in attestation_stage(state, phase, facts, process):
            yield f"it leaves {state.phase} in spite of {refusal.code}: {refusal.message}"


def _backtrack(state: TaskState, event: events.PhaseBacktracked, process: Process) -> Iterator[str]:
    if not process.has(event.to) or process.index(event.to) >= process.index(state.phase):
        yield f"it goes back to {event.to}, which is not before {state.phase}"


def _drifted(state: TaskState, event: events.PromptAttested, process: Process) -> Iterator[str]:
    phase = process.phase(state.phase)
    found = drift(event.parts, principal(event.actor), phase.name, state, process) if phase.drift != OFF else ()
    if set(event.drift) != set(found):
        yield f"it tells of drift in {_listed(event.drift)}, and {_listed(found)} drifted"
    if found and phase.drift == ENFORCE:
        yield f"it lets a changed prompt pass in {phase.name}"


def _refused_rightly(state: TaskState, event: events.CommandRefused, process: Process) -> Iterator[str]:
    """Order and drift can be judged again from what the event tells."""
    codes = {one.code for one in event.refusals}
    if event.stage == ORDER and process.has(event.to or state.phase):
        ahead = process.index(event.to or state.phase) - process.index(state.phase)
        expected = "phase_direction" if event.command == "backtrack" or ahead < 0 else "phase_skip"
        if codes != {expected} or (ahead < 0 if event.command == "backtrack" else ahead in (0, 1)):
            yield f"{event.command} to {event.to} from {state.phase} is refused as {', '.join(sorted(codes))}"
    if event.attested:
        found = drift(event.attested, principal(event.actor), state.phase, state, process)
        if {one.artifact for one in event.refusals} != set(found) or not found:
            yield f"it is refused for drift, and {_listed(found)} drifted"


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

_BY_PROCESS: dict[type[Event], Callable[[TaskState, Any, Process], Iterator[str]]] = {
    events.PhaseAdvanced: _advance,
    events.PhaseBacktracked: _backtrack,
    events.PromptAttested: _drifted,
    events.CommandRefused: _refused_rightly,
    events.RunObserved: _ran,
}

# What also depends on when it was written.
_BY_TIME: dict[type[Event], Callable[[TaskState, Any, Process, int], Iterator[str]]] = {
    events.PhaseAdvanced: _approved,
    events.ApprovalGranted: _said,
    events.ApprovalRejected: _said,
    events.RulesWaived: _said,
    events.ProcessAdopted: _adopted_rightly,
}
