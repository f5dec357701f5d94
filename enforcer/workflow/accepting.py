"""The evidence stage: what the phase needs is there, every enforced rule holds, and what it stands on still stands."""

from __future__ import annotations

from enforcer.errors import InternalError
from enforcer.workflow import approving
from enforcer.workflow.events import Refusal
from enforcer.workflow.process import ENFORCE, OBSERVE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from enforcer.workflow.facts import EvidenceFacts
    from enforcer.workflow.process import Phase, Process
    from enforcer.workflow.state import TaskState


def evidence_stage(
    state: TaskState, phase: Phase, evidence: EvidenceFacts, process: Process, *, actor: str, now: int
) -> tuple[Refusal, ...]:
    """Every reason why `actor` cannot leave the phase on this evidence at `now`."""
    refusals = list(evidence.problems)
    waived = approving.waived(state, now=now)
    for verdict in evidence.verdicts:
        if verdict.mode == ENFORCE and (verdict.artifact, verdict.rule) not in waived:
            refusals += verdict.refusals
    standing = process.standing_on(phase)
    for name, accepted in state.accepted_files().items():
        if name in standing and evidence.standing.get(name, "") != accepted.digest:
            refusals.append(upstream_changed(name, gone=not evidence.standing.get(name)))
    if not phase.rules:
        # An empty rule set proves nothing, so it lets nothing pass.
        message = f"The process asks nothing of {phase.name}, so there is nothing to accept."
        fix = "Give the phase a rule, and adopt the process."
        refusals.append(Refusal("evidence_missing", message, phase.name, fix=fix))
    if approving.is_vouched_for(state, phase):
        refusals += approving.ballot(state, phase, evidence, actor=actor, now=now).missing(evidence.risks)
    if not refusals:
        _check_answered(phase, evidence)
    return tuple(refusals)


def _check_answered(phase: Phase, evidence: EvidenceFacts) -> None:
    """No answer is a "no": what the process asks for must be there, and every rule over it must have been asked."""
    read = {one.artifact for one in evidence.files}
    judged = {(verdict.rule, verdict.artifact) for verdict in evidence.verdicts}
    open_questions = [
        artifact.name
        for artifact in phase.artifacts
        if artifact.required_of(evidence.risks) and artifact.name not in read
    ]
    open_questions += [
        rule.id
        for rule in phase.rules
        if rule.mode == ENFORCE and rule.artifact in read and (rule.id, rule.artifact) not in judged
    ]
    if open_questions:
        message = f"The evidence of {phase.name} was judged without an answer about {', '.join(open_questions)}."
        raise InternalError("evidence_unjudged", message)


def upstream_changed(name: str, *, gone: bool) -> Refusal:
    """Accepted evidence that is no longer what was accepted."""
    phase, _, artifact = name.partition("/")
    found = "is gone" if gone else "differs from what was accepted"
    message = f"{artifact} of {phase} {found}, and this phase stands on it."
    again = f"enforcer backtrack TASK --to {phase} --reason …"
    fix = f"Put it back: enforcer evidence restore TASK {phase}. Or earn it again: {again}"
    return Refusal("upstream_changed", message, phase, artifact, fix)


def passed_over(state: TaskState, evidence: EvidenceFacts, *, now: int) -> tuple[tuple[Refusal, ...], tuple[str, ...]]:
    """What would have refused, had its rule been enforced or not been waived; and, by name, the rules that were."""
    waived = approving.waived(state, now=now)
    refusals: list[Refusal] = []
    names: list[str] = []
    for verdict in evidence.verdicts:
        if verdict.mode == OBSERVE:
            refusals += verdict.refusals
        elif verdict.refusals and (verdict.artifact, verdict.rule) in waived:
            refusals += verdict.refusals
            names.append(f"{approving.WAIVED}{verdict.rule}")
    return tuple(refusals), tuple(names)
