"""What the worker was told: attestation and drift, as a command, as a stage of every advance, and as accepted change.

It compares digests that were presented. It cannot show that a model read or obeyed what they stand for.
"""

from __future__ import annotations

from enforcer.errors import RequestError
from enforcer.workflow import events
from enforcer.workflow.answering import ATTESTATION, LEASE, common, refuse, work
from enforcer.workflow.events import Refusal
from enforcer.workflow.evolve import PHASE_PARTS, STATIC_PARTS, baseline_name
from enforcer.workflow.leasing import lease_stage
from enforcer.workflow.process import ENFORCE, OBSERVE, OFF
from enforcer.workflow.state import is_among, principal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from enforcer.workflow.answering import Decision
    from enforcer.workflow.commands import AcceptBaseline, Attest
    from enforcer.workflow.facts import Facts
    from enforcer.workflow.process import Phase, Process
    from enforcer.workflow.state import TaskState

STABLE_PARTS = (*STATIC_PARTS, *PHASE_PARTS)  # The parts that have a baseline.
PARTS = (*STABLE_PARTS, "volatile")


def drift(parts: Mapping[str, str], who: str, phase: str, state: TaskState, process: Process) -> tuple[str, ...]:
    """The parts that differ from what the process pins or else the principal's baseline holds.

    A part that is left out differs as well: otherwise what was changed would only have to be kept back.
    """
    differing = []
    for part in STABLE_PARTS:
        expected = process.pins.get(part) or state.baselines.get(baseline_name(who, phase, part))
        if expected is not None and parts.get(part) != expected:
            differing.append(part)
    return tuple(differing)


def kept_back(parts: Mapping[str, str], who: str, phase: str, state: TaskState) -> tuple[str, ...]:
    """The parts that the principal has a baseline for, and that are not among `parts`."""
    return tuple(
        part
        for part in STABLE_PARTS
        if part not in parts and state.baselines.get(baseline_name(who, phase, part)) is not None
    )


def attest(state: TaskState, command: Attest, facts: Facts, process: Process) -> Decision:
    claim, refusals = lease_stage(state, facts)
    if refusals:
        return refuse(state, command, facts, LEASE, refusals)
    who, phase = principal(facts.actor), process.phase(state.phase)
    differing = drift(command.parts, who, state.phase, state, process) if phase.drift != OFF else ()
    if differing and phase.drift == ENFORCE:
        refusals = _drifted(differing, command.parts, state.phase, process)
        # What was presented goes on the record with the refusal, and `advance` judges it.
        return refuse(state, command, facts, ATTESTATION, refusals, claim).replace(attested=dict(command.parts))
    return events.PromptAttested(
        **work(state, facts, claim),
        phase=state.phase,
        attempt_id=state.attempt_id,
        parts=dict(command.parts),
        first=tuple(
            part
            for part in STABLE_PARTS
            if part in command.parts and baseline_name(who, state.phase, part) not in state.baselines
        ),
        drift=differing,
    )


def attestation_stage(state: TaskState, phase: Phase, facts: Facts, process: Process) -> tuple[Refusal, ...]:
    """What is wrong with the holder's attestation of this attempt; asked where the process pins a part of the prompt,
    else once a task has attested at all."""
    if phase.drift == OFF or not (state.attestations or process.pins):
        return ()
    who = principal(facts.actor)
    last = state.attestations.get(f"{who}/{state.phase}")
    if last is None or last.attempt_id != state.attempt_id:
        if phase.drift == OBSERVE:
            return ()
        message = f"{who} has not attested its prompt in this attempt of {state.phase}."
        asked = kept_back({}, who, state.phase, state) or ("prompt",)
        fix = f"enforcer attest TASK {' '.join(f'--{part} FILE' for part in asked)}"
        return (Refusal("attestation_missing", message, state.phase, fix=fix),)
    return _drifted(drift(last.parts, who, state.phase, state, process), last.parts, state.phase, process)


def accept_baseline(state: TaskState, command: AcceptBaseline, facts: Facts, process: Process) -> Decision:
    who = command.principal or _presenter(state, command.phase, facts)
    approver = principal(command.approver)
    if is_among(approver, (who, *((state.lease.holder,) if state.lease else ()))):
        message = f"{approver} cannot accept a change of its own prompt."
        raise RequestError("approver_is_holder", message, fix="Let somebody else approve it.")
    last = state.attestations.get(f"{who}/{command.phase}")
    if last is None:
        message = f"{who} has attested nothing in {command.phase}."
        raise RequestError("nothing_attested", message, fix="enforcer attest TASK --prompt FILE")
    changed = {
        part: last.parts[part]
        for part in STABLE_PARTS
        if part in last.parts and state.baselines.get(baseline_name(who, command.phase, part)) != last.parts[part]
    }
    dropped = kept_back(last.parts, who, command.phase, state)
    if not changed and not dropped:
        return None
    return events.BaselineAccepted(
        **common(facts),
        phase=command.phase,
        principal=who,
        parts=changed,
        reason=command.reason,
        approver=command.approver,
        dropped=dropped,
    )


def _presenter(state: TaskState, phase: str, facts: Facts) -> str:
    """Whose prompt is meant where nobody is named: the holder's, or that of the only one who presented any."""
    holder = principal(state.lease.holder) if state.lease else ""
    presenters = sorted(name.partition("/")[0] for name, one in state.attestations.items() if one.phase == phase)
    if holder in presenters or not presenters:
        return holder or principal(facts.actor)
    if len(presenters) > 1:
        message = f"Several have attested in {phase}: {', '.join(presenters)}."
        raise RequestError("principal_missing", message, fix="Say whose prompt is meant, with --principal.")
    return presenters[0]


def _drifted(differing: tuple[str, ...], parts: Mapping[str, str], phase: str, process: Process) -> tuple[Refusal, ...]:
    return tuple(_one_drifted(part, phase, pinned=part in process.pins, presented=part in parts) for part in differing)


def _one_drifted(part: str, phase: str, *, pinned: bool, presented: bool) -> Refusal:
    if not presented:
        message = f"The {part} of the prompt was not presented, and it has a {'pin' if pinned else 'baseline'}."
        fix = f"Attest it with all the rest: enforcer attest TASK --{part} FILE …"
        if not pinned:
            fix += f" Or have that accepted: enforcer baseline accept TASK {phase} --reason … --approver …"
    elif pinned:
        message = f"The {part} of the prompt is not the one that the process pins."
        fix = "Restore it, or change the pin and move the task: enforcer process adopt TASK --reason … --approver …"
    else:
        message = f"The {part} of the prompt is not the one that was accepted."
        fix = f"Restore it, or have it accepted: enforcer baseline accept TASK {phase} --reason … --approver …"
    return Refusal("prompt_drift", message, phase, part, fix)
