"""What happens when a command meets a state: the whole of what is enforced, in the order in which it is asked.

`decide(state, command, facts, process)` answers with
- an event to append: the command was carried out, or it was refused and the refusal goes on the record;
- None: what was asked for is already so, and a retry is harmless;
- `EVIDENCE_NEEDED`: every cheap stage passed, and the answer now depends on what stands in the evidence folder.

The stages are request, task, order, lease, attestation, evidence. A refusal lists every reason of the first stage that
fails, so a skip reads no evidence and is counted as a skip. A malformed request is the caller's mistake and is raised,
not recorded.
"""

from __future__ import annotations

from enforcer.errors import InternalError, RequestError
from enforcer.workflow import events
from enforcer.workflow.commands import (
    Abandon,
    AcceptBaseline,
    AdoptProcess,
    Advance,
    Attest,
    Backtrack,
    ClaimLease,
    Command,
    Open,
    ReleaseLease,
    RenewLease,
    RestoreEvidence,
    UseTool,
)
from enforcer.workflow.events import Claim, Refusal
from enforcer.workflow.evolve import PHASE_PARTS, STATIC_PARTS, baseline_name, codes_in_a_row, signature
from enforcer.workflow.guard import judge
from enforcer.workflow.process import ENFORCE, OBSERVE, OFF
from enforcer.workflow.state import OPEN, principal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, TypeAlias

    from enforcer.workflow.events import Event
    from enforcer.workflow.facts import EvidenceFacts, Facts
    from enforcer.workflow.process import Phase, Process
    from enforcer.workflow.state import Attestation, TaskState

    Decision: TypeAlias = "Event | None | EvidenceNeeded"

TASK, ORDER, LEASE, ATTESTATION, EVIDENCE, TOOL = "task", "order", "lease", "attestation", "evidence", "tool"

ESCALATE_AT = 3  # The third refusal in a row of one code.
COALESCE_FROM = 10  # From the tenth identical refusal on, at most one entry a minute.
COALESCE_US = 60_000_000
STALLED_US = 90 * 60_000_000

PARTS = (*STATIC_PARTS, *PHASE_PARTS, "volatile")


class EvidenceNeeded:
    """The answer depends on evidence that the facts do not hold yet."""


EVIDENCE_NEEDED = EvidenceNeeded()


def decide(state: TaskState | None, command: Command, facts: Facts, process: Process | None) -> Decision:
    """Answer a command. Raises `RequestError` where it makes no sense for this task or process."""
    if isinstance(command, Open):
        return _open(state, command, facts)
    if state is None or process is None:
        raise RequestError("unknown_task", "There is no such task on this ledger.", fix="Open it: enforcer open TASK")
    _check_request(command, process)
    if state.status != OPEN and not isinstance(command, UseTool | RestoreEvidence):
        if isinstance(command, ReleaseLease):
            return None
        return _no(state, command, facts, TASK, (_closed(state),))
    return _DECIDERS[type(command)](state, command, facts, process)


def coalesces(state: TaskState, event: Event, now: int) -> bool:
    """Whether a refusal is one more of a long streak of identical ones, too soon after the last recorded one."""
    streak = state.streaks.get(event.actor)
    return (
        bool(event.refused)
        and streak is not None
        and streak.signature == signature(event, state.phase)
        and streak.count >= COALESCE_FROM - 1
        and now - streak.ts < COALESCE_US
    )


def stalled_minutes(state: TaskState, now: int) -> int:
    """Whole minutes without progress, 0 below the limit of ninety."""
    idle = now - state.progress_ts
    return idle // 60_000_000 if state.status == OPEN and idle >= STALLED_US else 0


# Request -------------------------------------------------------------------------------------------------------------


def _check_request(command: Command, process: Process) -> None:
    target = command.to if isinstance(command, Advance | Backtrack) else command.phase if isinstance(command, AcceptBaseline) else None
    if target is not None and not process.has(target):
        raise RequestError("unknown_phase", f"The process {process.name} has no phase {target}.", fix=f"One of: {', '.join(process.order)}")
    for field in ("reason", "approver"):
        if not str(getattr(command, field, "-")).strip() and not (isinstance(command, ReleaseLease) and not command.force):
            raise RequestError(f"{field}_missing", f"`{command.name}` needs a {field}.", fix=f"Give it with --{field}.")
    if isinstance(command, Attest):
        unknown = sorted(set(command.parts) - set(PARTS))
        if unknown or not command.parts:
            raise RequestError("bad_attestation", f"An attestation presents at least one of {', '.join(PARTS)}.", where=", ".join(unknown))


# Task ----------------------------------------------------------------------------------------------------------------


def _closed(state: TaskState) -> Refusal:
    return Refusal("task_closed", f"The task is {state.status}.", state.phase, fix="Open a new task for further work.")


def _open(state: TaskState | None, command: Open, facts: Facts) -> Decision:
    if state is not None:
        if state.opened == facts.request:
            return None
        message = f"The task is already open under the process {state.process} with other arguments."
        refusal = Refusal("task_exists", message, state.phase, fix="Choose another task id, or open it with the same arguments.")
        return _no(state, command, facts, TASK, (refusal,))
    return events.TaskOpened(
        actor=facts.actor,
        request=facts.request,
        notes=facts.notes,
        title=command.title,
        process=command.process,
        digest=command.digest,
        phase=command.phase,
        attempt_id=facts.fresh_id,
        base=command.base,
    )


# Moves ---------------------------------------------------------------------------------------------------------------


def _advance(state: TaskState, command: Advance, facts: Facts, process: Process) -> Decision:
    if command.to == state.phase:
        return None
    refusals = _forward(state, command.to, process)
    if refusals:
        return _no(state, command, facts, ORDER, refusals)
    claim, refusals = _lease(state, facts)
    if refusals:
        return _no(state, command, facts, LEASE, refusals)
    phase = process.phase(state.phase)
    judged = _attested(state, phase, facts, process)
    if judged and phase.drift == ENFORCE:
        return _no(state, command, facts, ATTESTATION, judged, claim)
    if facts.evidence is None or facts.evidence.attempt_id != state.attempt_id:
        return EVIDENCE_NEEDED
    refusals = _evidence(state, facts.evidence, process)
    if refusals:
        return _no(state, command, facts, EVIDENCE, refusals, claim)
    return _advanced(state, facts, process, claim, (*judged, *_warnings(facts.evidence)))


def _advanced(state: TaskState, facts: Facts, process: Process, claim: Claim | None, warnings: tuple[Refusal, ...]) -> Event:
    to = process.following(state.phase)
    evidence = facts.evidence
    assert evidence is not None
    return events.PhaseAdvanced(
        **_work(state, facts, claim),
        start=state.phase,
        to=to or "",
        attempt_id=facts.fresh_id if to else "",
        completed=to is None,
        evidence=tuple(
            events.Accepted(
                one.artifact,
                one.digest,
                one.size,
                one.origin,
                state.previous.get(f"{state.phase}/{one.artifact}") == one.digest,
            )
            for one in evidence.files
        ),
        warnings=warnings[: events.REFUSAL_LIMIT],
        tree=evidence.tree,
        commit=evidence.commit,
        labels=evidence.labels,
    )


def _backtrack(state: TaskState, command: Backtrack, facts: Facts, process: Process) -> Decision:
    if process.index(command.to) >= process.index(state.phase):
        message = f"Backtracking goes to an earlier phase, and {command.to} is not before {state.phase}."
        earlier = ", ".join(phase.name for phase in process.earlier(state.phase))
        fix = f"One of: {earlier}." if earlier else "The first phase has none before it."
        return _no(state, command, facts, ORDER, (Refusal("phase_direction", message, state.phase, fix=fix),))
    claim, refusals = _lease(state, facts)
    if refusals:
        return _no(state, command, facts, LEASE, refusals)
    work = _work(state, facts, claim)
    return events.PhaseBacktracked(
        **work, start=state.phase, to=command.to, reason=command.reason, attempt_id=facts.fresh_id
    )


def _abandon(state: TaskState, command: Abandon, facts: Facts, process: Process) -> Decision:
    claim, refusals = _lease(state, facts)
    if refusals:
        return _no(state, command, facts, LEASE, refusals)
    return events.TaskAbandoned(**_work(state, facts, claim), phase=state.phase, reason=command.reason)


def _forward(state: TaskState, to: str | None, process: Process) -> tuple[Refusal, ...]:
    following = process.following(state.phase)
    if to is None or to == following:
        return ()
    if process.index(to) < process.index(state.phase):
        message = f"{to} comes before {state.phase}; advance only goes forward."
        return (Refusal("phase_direction", message, state.phase, fix=f"enforcer backtrack TASK --to {to} --reason …"),)
    skipped = process.order[process.index(state.phase) + 1 : process.index(to)]
    message = f"{to} cannot be reached from {state.phase} without {', '.join(skipped)}."
    return (Refusal("phase_skip", message, state.phase, fix=f"Finish {state.phase}, then advance to {following}."),)


# Lease ---------------------------------------------------------------------------------------------------------------


def _lease(state: TaskState, facts: Facts) -> tuple[Claim | None, tuple[Refusal, ...]]:
    """The claim that this entry makes, if it makes one, and why it may not act."""
    lease, now = state.lease, facts.lease
    if now.began_with is not None:
        if lease is not None and lease.token == now.began_with and lease.holder == facts.actor and now.live:
            return None, ()
        return None, (_stale(state, now.began_with),)
    if lease is not None and now.live:
        return None, () if lease.holder == facts.actor else (_held(lease.holder, state, facts),)
    if not now.auto:
        fix = "enforcer lease claim TASK"
        return None, (Refusal("lease_required", "The task has no live lease, and commands do not claim one here.", state.phase, fix=fix),)
    return _new_claim(state, facts), ()


def _new_claim(state: TaskState, facts: Facts) -> Claim:
    previous = state.lease.holder if state.lease and state.lease.holder != facts.actor else ""
    return Claim(facts.actor, state.token + 1, "taken_over" if previous else "claimed", previous)


def _held(holder: str, state: TaskState, facts: Facts) -> Refusal:
    seconds = max(1, -(-facts.lease.remaining_us // 1_000_000))
    message = f"{holder} holds the task for another {seconds} s at most."
    return Refusal("lease_held", message, state.phase, fix="Wait until it is released or expires, or work on another task.")


def _stale(state: TaskState, token: int) -> Refusal:
    message = f"The lease with token {token} has expired or was passed on; the newest token is {state.token}."
    return Refusal("lease_stale", message, state.phase, fix="Look at the task again, claim its lease, and repeat what still holds.")


def _claim(state: TaskState, command: ClaimLease, facts: Facts, process: Process) -> Decision:
    if state.lease is not None and facts.lease.live:
        if state.lease.holder == facts.actor:
            return None
        return _no(state, command, facts, LEASE, (_held(state.lease.holder, state, facts),))
    claim = _new_claim(state, facts)
    common: dict[str, Any] = {"actor": facts.actor, "request": facts.request, "notes": facts.notes}
    if claim.previous:
        return events.LeaseTakenOver(**common, holder=claim.holder, token=claim.token, previous=claim.previous)
    return events.LeaseClaimed(**common, holder=claim.holder, token=claim.token)


def _renew(state: TaskState, command: RenewLease, facts: Facts, process: Process) -> Decision:
    lease = state.lease
    if lease is not None and facts.lease.live:
        if lease.holder != facts.actor:
            return _no(state, command, facts, LEASE, (_held(lease.holder, state, facts),))
        if facts.lease.began_with in (None, lease.token):
            return None
    held = facts.lease.began_with or (lease.token if lease and lease.holder == facts.actor else 0)
    return _no(state, command, facts, LEASE, (_stale(state, held),))


def _release(state: TaskState, command: ReleaseLease, facts: Facts, process: Process) -> Decision:
    lease = state.lease
    if lease is None:
        return None
    if lease.holder != facts.actor and not command.force:
        if facts.lease.live:
            return _no(state, command, facts, LEASE, (_held(lease.holder, state, facts),))
        return None
    if facts.lease.began_with not in (None, lease.token):
        return None
    return events.LeaseReleased(
        actor=facts.actor,
        request=facts.request,
        notes=facts.notes,
        holder=lease.holder,
        token=lease.token,
        forced=lease.holder != facts.actor,
        reason=command.reason,
    )


# Attestation ---------------------------------------------------------------------------------------------------------


def drift(parts: Mapping[str, str], who: str, phase: str, state: TaskState, process: Process) -> tuple[str, ...]:
    """The parts that differ from what the process pins or the principal's baseline holds."""
    differing = []
    for part in (*STATIC_PARTS, *PHASE_PARTS):
        expected = process.pins.get(part) or state.baselines.get(baseline_name(who, phase, part))
        if part in parts and expected is not None and parts[part] != expected:
            differing.append(part)
    return tuple(differing)


def _drifted(part: str, phase: str) -> Refusal:
    message = f"The {part} of the prompt is not the one that was accepted."
    return Refusal("prompt_drift", message, phase, part, fix="Restore it, or have the change accepted: enforcer baseline accept TASK PHASE --reason … --approver …")


def _attest(state: TaskState, command: Attest, facts: Facts, process: Process) -> Decision:
    claim, refusals = _lease(state, facts)
    if refusals:
        return _no(state, command, facts, LEASE, refusals)
    who, phase = principal(facts.actor), process.phase(state.phase)
    differing = drift(command.parts, who, state.phase, state, process) if phase.drift != OFF else ()
    if differing and phase.drift == ENFORCE:
        refusal = _no(state, command, facts, ATTESTATION, tuple(_drifted(part, state.phase) for part in differing), claim)
        return refusal.replace(attested=dict(command.parts))
    known = state.baselines
    return events.PromptAttested(
        **_work(state, facts, claim),
        phase=state.phase,
        attempt_id=state.attempt_id,
        parts=dict(command.parts),
        first=tuple(part for part in PARTS[:-1] if part in command.parts and baseline_name(who, state.phase, part) not in known),
        drift=differing,
    )


def _attested(state: TaskState, phase: Phase, facts: Facts, process: Process) -> tuple[Refusal, ...]:
    """Why the holder's attestation does not let it leave the phase; asked once a task has attested at all."""
    if phase.drift == OFF or not state.attestations:
        return ()
    who = principal(facts.actor)
    last: Attestation | None = state.attestations.get(f"{who}/{state.phase}")
    if last is None or last.attempt_id != state.attempt_id:
        if phase.drift == OBSERVE:
            return ()
        message = f"{who} has not attested its prompt in this attempt of {state.phase}."
        return (Refusal("attestation_missing", message, state.phase, fix="enforcer attest TASK --prompt FILE"),)
    return tuple(_drifted(part, state.phase) for part in drift(last.parts, who, state.phase, state, process))


def _accept_baseline(state: TaskState, command: AcceptBaseline, facts: Facts, process: Process) -> Decision:
    who = command.principal or (principal(state.lease.holder) if state.lease else principal(facts.actor))
    approver = principal(command.approver)
    if approver == who or (state.lease and approver == principal(state.lease.holder)):
        raise RequestError("approver_is_holder", f"{approver} cannot accept a change of its own prompt.", fix="Let somebody else approve it.")
    last = state.attestations.get(f"{who}/{command.phase}")
    if last is None:
        message = f"{who} has attested nothing in {command.phase}."
        raise RequestError("nothing_attested", message, fix="enforcer attest TASK --prompt FILE")
    parts = {part: digest for part, digest in last.parts.items() if part != "volatile"}
    changed = {part: digest for part, digest in parts.items() if state.baselines.get(baseline_name(who, command.phase, part)) != digest}
    if not changed:
        return None
    return events.BaselineAccepted(
        actor=facts.actor,
        request=facts.request,
        notes=facts.notes,
        phase=command.phase,
        principal=who,
        parts=changed,
        reason=command.reason,
        approver=command.approver,
    )


# Evidence ------------------------------------------------------------------------------------------------------------


def _evidence(state: TaskState, evidence: EvidenceFacts, process: Process) -> tuple[Refusal, ...]:
    refusals = list(evidence.problems)
    for verdict in evidence.verdicts:
        if verdict.mode == ENFORCE:
            refusals += verdict.refusals
    standing = process.standing_on(process.phase(state.phase))
    for name, accepted in state.accepted_files().items():
        if name in standing and evidence.standing.get(name, "") != accepted.digest:
            refusals.append(upstream_changed(name, gone=not evidence.standing.get(name)))
    if not process.phase(state.phase).rules:
        # An empty rule set proves nothing, so it lets nothing pass.
        message = f"The process asks nothing of {state.phase}, so there is nothing to accept."
        refusals.append(Refusal("evidence_missing", message, state.phase, fix="Give the phase a rule, and adopt the process."))
    return tuple(refusals)


def upstream_changed(name: str, *, gone: bool) -> Refusal:
    """Accepted evidence that is no longer what was accepted."""
    phase, _, artifact = name.partition("/")
    message = f"{artifact} of {phase} {'is gone' if gone else 'differs from what was accepted'}, and this phase stands on it."
    fix = f"Put it back: enforcer evidence restore TASK {phase}. Or earn it again: enforcer backtrack TASK --to {phase} --reason …"
    return Refusal("upstream_changed", message, phase, artifact, fix)


def _warnings(evidence: EvidenceFacts) -> tuple[Refusal, ...]:
    return tuple(refusal for verdict in evidence.verdicts if verdict.mode == OBSERVE for refusal in verdict.refusals)


def _restore(state: TaskState, command: RestoreEvidence, facts: Facts, process: Process) -> Decision:
    if not command.restored:
        return None
    return events.EvidenceRestored(
        actor=facts.actor,
        request=facts.request,
        notes=facts.notes,
        restored=dict(command.restored),
        replaced=dict(command.replaced),
    )


# Process and tools ---------------------------------------------------------------------------------------------------


def _adopt(state: TaskState, command: AdoptProcess, facts: Facts, process: Process) -> Decision:
    """`process` is the one in force; the new one must keep the phases that the task has been through, in their order."""
    if command.digest == state.digest:
        return None
    walked = process.order[: process.index(state.phase) + 1]
    if command.phases[: len(walked)] != walked:
        message = f"The new process does not begin with {', '.join(walked)}, which the task has been through."
        raise RequestError("process_unfit", message, fix="Keep these phases, or open a new task under the new process.")
    if principal(command.approver) in {principal(facts.actor), principal(state.lease.holder) if state.lease else ""}:
        message = f"{principal(command.approver)} cannot approve its own change of process."
        raise RequestError("approver_is_holder", message, fix="Let somebody else approve it.")
    return events.ProcessAdopted(
        actor=facts.actor,
        request=facts.request,
        notes=facts.notes,
        process=command.process,
        digest=command.digest,
        previous=state.digest,
        reason=command.reason,
        approver=command.approver,
        difference=command.difference,
        weakenings=command.weakenings,
    )


def _use_tool(state: TaskState, command: UseTool, facts: Facts, process: Process) -> Decision:
    refusals = judge(command, state, process)
    if not refusals:
        return None
    refused = events.ToolRefused(
        actor=facts.actor,
        request=facts.request,
        notes=facts.notes,
        phase=state.phase,
        tool=command.tool,
        refusals=refusals[: events.REFUSAL_LIMIT],
        capabilities=command.needs,
        paths=command.writes[: events.REFUSAL_LIMIT],
        call=command.call,
        session=command.session,
    )
    return refused.replace(escalation=_escalation(state, refused, None, facts))


# Events --------------------------------------------------------------------------------------------------------------


def _work(state: TaskState, facts: Facts, claim: Claim | None) -> dict[str, Any]:
    """The fields of an event that was written under a lease."""
    token = claim.token if claim else state.lease.token if state.lease else 0
    return {"actor": facts.actor, "request": facts.request, "notes": facts.notes, "token": token, "lease": claim}


def _no(
    state: TaskState,
    command: Command,
    facts: Facts,
    stage: str,
    refusals: tuple[Refusal, ...],
    claim: Claim | None = None,
) -> events.CommandRefused:
    if not refusals:
        raise InternalError("empty_refusal", f"{command.name} was refused at the stage {stage} without a reason.")
    to = getattr(command, "to", None)
    work = _work(state, facts, claim) if stage in (ATTESTATION, EVIDENCE) else _outside(facts)
    refused = events.CommandRefused(**work, command=command.name, stage=stage, phase=state.phase, refusals=refusals, to=to or "")
    return refused.replace(escalation=_escalation(state, refused, claim, facts))


def _outside(facts: Facts) -> dict[str, Any]:
    return {"actor": facts.actor, "request": facts.request, "notes": facts.notes}


def _escalation(state: TaskState, event: Event, claim: Claim | None, facts: Facts) -> tuple[str, ...]:
    holder = claim.holder if claim else state.lease.holder if state.lease else ""
    if holder != facts.actor:
        return ()
    codes = codes_in_a_row(state.streaks.get(facts.actor), event)
    return tuple(code for code, count in codes.items() if count == ESCALATE_AT)


_DECIDERS: dict[type[Command], Callable[[TaskState, Any, Facts, Process], Decision]] = {
    Advance: _advance,
    Backtrack: _backtrack,
    Abandon: _abandon,
    ClaimLease: _claim,
    RenewLease: _renew,
    ReleaseLease: _release,
    Attest: _attest,
    AcceptBaseline: _accept_baseline,
    AdoptProcess: _adopt,
    RestoreEvidence: _restore,
    UseTool: _use_tool,
}
