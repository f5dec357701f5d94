"""What happens when a command meets a state: the whole of what is enforced, in the order in which it is asked.

`decide(state, command, facts, process)` answers with
- an event to append: the command was carried out, or it was refused and the refusal goes on the record;
- None: what was asked for is already so, and a retry is harmless;
- `EVIDENCE_NEEDED`: every cheap stage passed, and the answer now depends on what stands in the evidence folder.

The stages are request, task, order, lease, attestation, evidence. A refusal lists every reason of the first stage that
fails, so a skip reads no evidence and is counted as a skip. A malformed request is the caller's mistake and is raised,
not recorded. The lease stage stands in `leasing`, the attestation stage in `attesting`, the evidence
stage in `accepting`, what a run that Enforcer saw counts for in `running`, who may approve what in `approving`,
and what a "no" looks like in `answering`.
"""

from __future__ import annotations

from enforcer.errors import RequestError
from enforcer.workflow import approving, attesting, events, leasing, running
from enforcer.workflow.accepting import evidence_stage, passed_over, upstream_changed
from enforcer.workflow.adoption import adoption
from enforcer.workflow.answering import (
    APPROVAL,
    ATTESTATION,
    COALESCE_FROM,
    COALESCE_US,
    ESCALATE_AT,
    EVIDENCE,
    EVIDENCE_NEEDED,
    LEASE,
    ORDER,
    TASK,
    TOOL,
    EvidenceNeeded,
    coalesces,
    common,
    escalation,
    refuse,
    stalled_minutes,
    work,
)
from enforcer.workflow.attesting import PARTS, drift
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
    Run,
    UseTool,
    Vouch,
)
from enforcer.workflow.events import Refusal
from enforcer.workflow.guard import LISTED, forbidden, judge, shown
from enforcer.workflow.process import ENFORCE
from enforcer.workflow.state import OPEN, is_among, principal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from enforcer.workflow.answering import Decision as Decision
    from enforcer.workflow.events import Claim, Event
    from enforcer.workflow.facts import EvidenceFacts, Facts
    from enforcer.workflow.process import Process
    from enforcer.workflow.state import TaskState

__all__ = [
    "ATTESTATION",
    "COALESCE_FROM",
    "COALESCE_US",
    "ESCALATE_AT",
    "EVIDENCE",
    "EVIDENCE_NEEDED",
    "LEASE",
    "ORDER",
    "PARTS",
    "TASK",
    "TOOL",
    "EvidenceNeeded",
    "coalesces",
    "decide",
    "drift",
    "stalled_minutes",
    "upstream_changed",
]


def decide(state: TaskState | None, command: Command, facts: Facts, process: Process | None) -> Decision:
    """Answer a command. Raises `RequestError` where it makes no sense for this task or process."""
    if isinstance(command, Open):
        return _open(state, command, facts)
    if state is None or process is None:
        raise RequestError("unknown_task", "There is no such task on this ledger.", fix="Open it: enforcer open TASK")
    _check_request(command, process)
    if state.status != OPEN and not isinstance(command, (UseTool, RestoreEvidence)):
        if isinstance(command, ReleaseLease):
            return None
        refusal = Refusal("task_closed", f"The task is {state.status}.", state.phase, fix="Open a new task.")
        return refuse(state, command, facts, TASK, (refusal,))
    return _DECIDERS[type(command)](state, command, facts, process)


# Request -------------------------------------------------------------------------------------------------------------


def _check_request(command: Command, process: Process) -> None:
    named = getattr(command, "phase" if isinstance(command, AcceptBaseline) else "to", None)
    if named is not None and not process.has(named):
        message = f"The process {process.name} has no phase {named}."
        raise RequestError("unknown_phase", message, fix=f"One of: {', '.join(process.order)}")
    needless = isinstance(command, Vouch) or (isinstance(command, ReleaseLease) and not command.force)
    if not needless:
        for field in ("reason", "approver"):
            if not str(getattr(command, field, "-")).strip():
                message = f"`{command.name}` needs a {field}."
                raise RequestError(f"{field}_missing", message, fix=f"Give it with --{field}.")
    if isinstance(command, Attest):
        unknown = sorted(set(command.parts) - set(PARTS))
        if unknown or not command.parts:
            message = f"An attestation presents at least one of {', '.join(PARTS)}."
            raise RequestError("bad_attestation", message, where=", ".join(unknown))


# Task ----------------------------------------------------------------------------------------------------------------


def _open(state: TaskState | None, command: Open, facts: Facts) -> Decision:
    if state is not None:
        if state.opened == facts.request:
            return None
        message = f"The task exists already: it was opened under the process {state.process} with other arguments."
        fix = "Choose another task id, or open it with the same arguments."
        return refuse(state, command, facts, TASK, (Refusal("task_exists", message, state.phase, fix=fix),))
    return events.TaskOpened(
        **common(facts),
        title=command.title,
        process=command.process,
        digest=command.digest,
        phase=command.phase,
        attempt_id=facts.fresh_id,
        base=command.base,
        authoring=command.authoring,
    )


def _abandon(state: TaskState, command: Abandon, facts: Facts, process: Process) -> Decision:
    claim, refusals = leasing.lease_stage(state, facts)
    if refusals:
        return refuse(state, command, facts, LEASE, refusals)
    return events.TaskAbandoned(**work(state, facts, claim), phase=state.phase, reason=command.reason)


# Moves ---------------------------------------------------------------------------------------------------------------


def _advance(state: TaskState, command: Advance, facts: Facts, process: Process) -> Decision:
    if command.to == state.phase:
        return None
    refusals = _forward(state, command.to, process)
    if refusals:
        return refuse(state, command, facts, ORDER, refusals)
    claim, refusals = leasing.lease_stage(state, facts)
    if refusals:
        return refuse(state, command, facts, LEASE, refusals)
    phase = process.phase(state.phase)
    told = attesting.attestation_stage(state, phase, facts, process)
    if told and phase.drift == ENFORCE:
        return refuse(state, command, facts, ATTESTATION, told, claim)
    evidence = facts.evidence
    if evidence is None or (evidence.attempt_id, evidence.process) != (state.attempt_id, state.digest):
        return EVIDENCE_NEEDED
    refusals = evidence_stage(state, phase, evidence, process, actor=facts.actor, now=facts.now)
    if refusals:
        return refuse(state, command, facts, EVIDENCE, refusals, claim)
    return _advanced(state, facts, evidence, process, claim, told)


def _advanced(
    state: TaskState,
    facts: Facts,
    evidence: EvidenceFacts,
    process: Process,
    claim: Claim | None,
    told: tuple[Refusal, ...],
) -> Event:
    to, phase = process.following(state.phase), process.phase(state.phase)
    let_pass, waived = passed_over(state, evidence, now=facts.now)
    approved: tuple[str, ...] = ()
    proven: tuple[str, ...] = ()
    if approving.is_vouched_for(state, phase):
        ballot = approving.ballot(state, phase, evidence, actor=facts.actor, now=facts.now)
        approved = ballot.used(evidence.risks)
        proven = (approving.REVIEWER_DECLARED,) if ballot.is_signed_by(facts.actor) else ()
    labels = (label for label in evidence.labels if label not in proven)
    return events.PhaseAdvanced(
        **work(state, facts, claim),
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
        warnings=(*told, *let_pass)[: events.REFUSAL_LIMIT],
        tree=evidence.tree,
        commit=evidence.commit,
        labels=(*labels, *waived, *approving.labels(state, approved)),
        approved=approved,
        risks=evidence.risks,
    )


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


def _backtrack(state: TaskState, command: Backtrack, facts: Facts, process: Process) -> Decision:
    if process.index(command.to) >= process.index(state.phase):
        message = f"Backtracking goes to an earlier phase, and {command.to} is not before {state.phase}."
        earlier = ", ".join(phase.name for phase in process.earlier(state.phase))
        fix = f"One of: {earlier}." if earlier else "The first phase has none before it."
        return refuse(state, command, facts, ORDER, (Refusal("phase_direction", message, state.phase, fix=fix),))
    claim, refusals = leasing.lease_stage(state, facts)
    if refusals:
        return refuse(state, command, facts, LEASE, refusals)
    return events.PhaseBacktracked(
        **work(state, facts, claim),
        start=state.phase,
        to=command.to,
        reason=command.reason,
        attempt_id=facts.fresh_id,
    )


# Evidence, process and tools ------------------------------------------------------------------------------------------


def _restore(state: TaskState, command: RestoreEvidence, facts: Facts, process: Process) -> Decision:
    if not command.restored:
        return None
    restored, replaced = dict(command.restored), dict(command.replaced)
    return events.EvidenceRestored(**common(facts), restored=restored, replaced=replaced)


def _adopt(state: TaskState, command: AdoptProcess, facts: Facts, process: Process) -> Decision:
    """`process` is the one in force; the new one keeps the phases that the task has been through, in their order."""
    if command.digest == state.digest:
        return None
    walked = process.order[: process.index(state.phase) + 1]
    if command.phases[: len(walked)] != walked:
        message = f"The new process does not begin with {', '.join(walked)}, which the task has been through."
        raise RequestError("process_unfit", message, fix="Keep these phases, or open a new task under the new process.")
    approver = principal(command.approver)
    if is_among(approver, (facts.actor, *((state.lease.holder,) if state.lease else ()))):
        message = f"{approver} cannot approve its own change of process."
        raise RequestError("approver_is_holder", message, fix="Let somebody else approve it.")
    approved, missing = adoption(state, process, command.digest, approver=approver, actor=facts.actor, now=facts.now)
    if missing:
        fix = f"Let it be approved, by who wrote nothing of it: enforcer approve TASK --adopt {command.process}"
        refusals = tuple(Refusal("approval_missing", message, state.phase, fix=fix) for message in missing)
        return refuse(state, command, facts, APPROVAL, refusals)
    return events.ProcessAdopted(
        **common(facts),
        process=command.process,
        digest=command.digest,
        previous=state.digest,
        reason=command.reason,
        approver=command.approver,
        difference=command.difference,
        weakenings=command.weakenings,
        authoring=command.authoring,
        approved=approved,
        labels=approving.labels(state, approved),
    )


def _use_tool(state: TaskState, command: UseTool, facts: Facts, process: Process) -> Decision:
    refusals = judge(command, state, process)
    if not refusals:
        return None
    refused = events.ToolRefused(
        **common(facts),
        phase=state.phase,
        tool=shown(command.tool),
        refusals=refusals,
        capabilities=command.needs,
        paths=tuple(shown(path) for path in command.writes[:LISTED]),
        call=command.call,
        session=command.session,
        text=command.text,
        forbidden=forbidden(command, state),
    )
    return refused.replace(escalation=escalation(state, refused))


_DECIDERS: dict[type[Command], Callable[[TaskState, Any, Facts, Process], Decision]] = {
    Advance: _advance,
    Backtrack: _backtrack,
    Abandon: _abandon,
    ClaimLease: leasing.claim,
    RenewLease: leasing.renew,
    ReleaseLease: leasing.release,
    Attest: attesting.attest,
    AcceptBaseline: attesting.accept_baseline,
    AdoptProcess: _adopt,
    RestoreEvidence: _restore,
    Run: running.run,
    Vouch: approving.vouch,
    UseTool: _use_tool,
}
