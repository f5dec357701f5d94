"""What a verifier asks of an event by the process in force: whether it did what the process asks for.

Apart from `legality`, which asks what holds under every process. The entry's time is the time of its decision, so what
expires is held against it to the microsecond.
"""

from __future__ import annotations

from enforcer.workflow import approving, events
from enforcer.workflow.adoption import adoption
from enforcer.workflow.answering import APPROVAL, ORDER
from enforcer.workflow.approving import WAIVED, Ballot
from enforcer.workflow.attesting import attestation_stage, drift
from enforcer.workflow.facts import Facts
from enforcer.workflow.process import ENFORCE, OBSERVED, OFF, REVIEWER
from enforcer.workflow.running import origin
from enforcer.workflow.state import is_among, principal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from enforcer.workflow.events import Event
    from enforcer.workflow.process import Observation, Phase, Process, Rule
    from enforcer.workflow.state import TaskState

_HEX = "0123456789abcdef"


def compliance(state: TaskState, event: Event, process: Process, *, ts: int) -> Iterator[str]:
    """Why `event`, written at `ts`, could not have been decided in `state` under `process`."""
    ask = _BY_KIND.get(type(event))
    if ask is None:
        return
    if process.has(state.phase):
        yield from ask(state, event, process, ts)
    else:
        yield f"the task stands in {state.phase}, which its process does not have"


def listed(names: object) -> str:
    """Names in a sentence."""
    return ", ".join(sorted(names)) if isinstance(names, set | frozenset | tuple) and names else "nothing"


# Leaving a phase -----------------------------------------------------------------------------------------------------


def _advance(state: TaskState, event: events.PhaseAdvanced, process: Process, ts: int) -> Iterator[str]:
    phase, following = process.phase(state.phase), process.following(state.phase)
    if (event.to or None) != following or event.completed != (following is None):
        yield f"it goes from {state.phase} to {event.to or 'completion'}, and {following or 'completion'} follows"
    if event.completed and event.attempt_id:
        yield "it begins an attempt after the last phase"
    if not phase.rules:
        yield f"it leaves {state.phase}, and an empty rule set lets nothing pass"
    waived = approving.waived(state, now=ts)
    yield from _accepted(state, event, phase)
    yield from _weighed(state, event, phase, process)
    yield from _judged(state, event, process, waived)
    yield from _approved(state, event, phase, waived, ts)
    yield from _presented(state, event, phase, process)


def _accepted(state: TaskState, event: events.PhaseAdvanced, phase: Phase) -> Iterator[str]:
    given = {one.artifact for one in event.evidence}
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


def _weighed(state: TaskState, event: events.PhaseAdvanced, phase: Phase, process: Process) -> Iterator[str]:
    """What was touched before is touched still, as long as the phase counts that was left with it."""
    if not (event.risks or phase.weighs_risks):
        return
    unknown = set(event.risks) - process.risks.keys()
    if unknown:
        yield f"it names the risk classes {listed(unknown)}, which the process does not have"
    forgotten = state.risks_before.intersection(process.risks) - set(event.risks)
    if phase.weighs_risks and forgotten:
        yield f"it leaves out the risk classes {listed(forgotten)}, which the change has touched"


_TOLD = (OBSERVED, REVIEWER)  # The kinds of rule whose answer an entry tells.


def _judged(
    state: TaskState, event: events.PhaseAdvanced, process: Process, waived: frozenset[tuple[str, str]]
) -> Iterator[str]:
    """The rules whose answer the event itself tells."""
    asked = [rule for rule in _holding(process.phase(state.phase), waived) if rule.kind in _TOLD]
    given = {one.artifact: one for one in event.evidence} if asked else {}
    for rule in asked:
        if rule.artifact not in given:
            continue
        if rule.kind == OBSERVED and given[rule.artifact].origin != OBSERVED:
            yield f"{rule.artifact} was claimed where an observation is required"
        elif rule.kind == OBSERVED and (not event.tree or event.tree != _tree_seen(state, rule.artifact)):
            yield f"{rule.artifact} was observed on other files than those that it was accepted with"
        if rule.kind == REVIEWER and not process.self_review and is_among(event.actor, state.implementers):
            yield f"{event.actor} reviews its own work"
    for label in event.labels:
        if label.startswith(WAIVED) and label.removeprefix(WAIVED) not in {rule for _, rule in waived}:
            yield f"it passes over the rule {label.removeprefix(WAIVED)}, and nobody had waived it"


def _holding(phase: Phase, waived: frozenset[tuple[str, str]]) -> Iterator[Rule]:
    """The rules of the phase that refuse."""
    for rule in phase.rules:
        if rule.mode == ENFORCE and (rule.artifact, rule.id) not in waived:
            yield rule


def _tree_seen(state: TaskState, artifact: str) -> str:
    seen = state.runs.get(f"{state.phase}/{artifact}")
    return seen.tree if seen is not None else ""


def _approved(
    state: TaskState, event: events.PhaseAdvanced, phase: Phase, waived: frozenset[tuple[str, str]], ts: int
) -> Iterator[str]:
    """The approvals that it rests on were there, of this evidence, and are what the phase demands."""
    if not (state.words or phase.approvals or event.approved):
        return  # Most entries: this is asked of every line of a ledger.
    given = approving.given_evidence(phase.name, {one.artifact: one.digest for one in event.evidence})
    words = {nonce: state.words[nonce] for nonce in event.approved if nonce in state.words}
    trees = {word.tree for word in words.values()}
    if any(
        rule.kind == OBSERVED and rule.artifact in {one.artifact for one in event.evidence}
        for rule in _holding(phase, waived)
    ):
        trees.add(event.tree)
    if len(trees) > 1:
        yield "it rests on approvals of other files than those that it was accepted with"
    ballot = Ballot(state, phase, given, min(trees, default=""), actor=event.actor, now=ts)
    if not set(event.approved) <= set(ballot.used(event.risks)):
        yield "it rests on an approval that did not count"
    for refusal in ballot.missing(event.risks, among=event.approved):
        yield f"it leaves {phase.name} in spite of {refusal.code}: {refusal.message}"
    for label in approving.labels(state, tuple(words)):
        if label not in event.labels:
            yield f"it does not say what it rests on: {label}"


def _presented(state: TaskState, event: events.PhaseAdvanced, phase: Phase, process: Process) -> Iterator[str]:
    """The attestation stage again; it looks at nothing of the facts but the actor."""
    if phase.drift == ENFORCE:
        facts = Facts(actor=event.actor, now=0, request="", fresh_id="")
        for refusal in attestation_stage(state, phase, facts, process):
            yield f"it leaves {state.phase} in spite of {refusal.code}: {refusal.message}"


# Runs and words ------------------------------------------------------------------------------------------------------


def _ran(state: TaskState, event: events.RunObserved, process: Process, ts: int) -> Iterator[str]:
    """A configured run makes what the process names, in its phase; any other makes nothing that has to be observed."""
    phase = process.phase(state.phase)
    named = {one.artifact: process.observe.get(one.artifact) for one in event.made}
    if len(named) != len(event.made):
        yield "it makes an artifact twice"
    for artifact in named:
        if phase.artifact(artifact) is None:
            yield f"it makes {artifact}, which is not evidence of {phase.name}"
        elif not event.configured and artifact in phase.observed:
            yield f"it makes {artifact}, which takes the command that the process names, by another one"
    if event.configured:
        yield from _configured(event, named)


def _configured(event: events.RunObserved, named: Mapping[str, Observation | None]) -> Iterator[str]:
    if not event.made:
        yield "it says that a run was configured that made nothing"
    first: Observation | None = None
    for one in event.made:
        observation = named[one.artifact]
        if observation is None or observation.reader != one.reader:
            yield f"it says that {one.artifact} was configured, and the process names no such run"
            continue
        if observation.sandbox != event.sandbox:
            yield f"it makes {one.artifact} in the sandbox {event.sandbox}, and the process names {observation.sandbox}"
        first = first or observation
        if not observation.runs_with(first):
            yield f"it makes {one.artifact} by the command of something else"


def _said(state: TaskState, event: events.Vouched, process: Process, ts: int) -> Iterator[str]:
    """It would not have been refused."""
    kind = approving.kind_of(event)
    for refusal in approving.faults(state, event, kind, process, actor=event.actor, now=ts):
        yield f"it counts in spite of {refusal.code}: {refusal.message}"
    if len({bool(event.signature), bool(event.statement), bool(event.fingerprint)}) > 1:
        yield "it has some of a statement, its signature and the key of it, and not all of them"
    if len(event.nonce) != 32 or event.nonce.strip(_HEX):
        yield f"{event.nonce[:80]!a} is no nonce"


# Other moves and refusals --------------------------------------------------------------------------------------------


def _adopt(state: TaskState, event: events.ProcessAdopted, process: Process, ts: int) -> Iterator[str]:
    known = tuple(nonce for nonce in event.approved if nonce in state.words)
    used, missing = adoption(
        state, process, event.digest, approver=event.approver, actor=event.actor, now=ts, among=event.approved
    )
    for message in missing:
        yield f"it leaves a process that asks for approvals: {message}"
    if not missing and set(event.approved) != set(used):
        yield "it rests on an approval that did not count"
    if set(event.labels) != set(approving.labels(state, known)):
        yield f"it says that it rests on {listed(event.labels)}"


def _backtrack(state: TaskState, event: events.PhaseBacktracked, process: Process, ts: int) -> Iterator[str]:
    if not process.has(event.to) or process.index(event.to) >= process.index(state.phase):
        yield f"it goes back to {event.to}, which is not before {state.phase}"


def _attested(state: TaskState, event: events.PromptAttested, process: Process, ts: int) -> Iterator[str]:
    phase = process.phase(state.phase)
    found = drift(event.parts, principal(event.actor), phase.name, state, process) if phase.drift != OFF else ()
    if set(event.drift) != set(found):
        yield f"it tells of drift in {listed(event.drift)}, and {listed(found)} drifted"
    if found and phase.drift == ENFORCE:
        yield f"it lets a changed prompt pass in {phase.name}"


def _refused(state: TaskState, event: events.CommandRefused, process: Process, ts: int) -> Iterator[str]:
    """Order, drift and a process that asks for no approvals can be judged again from what the event tells."""
    codes = {one.code for one in event.refusals}
    if event.stage == ORDER and process.has(event.to or state.phase):
        ahead = process.index(event.to or state.phase) - process.index(state.phase)
        expected = "phase_direction" if event.command == "backtrack" or ahead < 0 else "phase_skip"
        if codes != {expected} or (ahead < 0 if event.command == "backtrack" else ahead in (0, 1)):
            yield f"{event.command} to {event.to} from {state.phase} is refused as {', '.join(sorted(codes))}"
    if event.attested:
        found = drift(event.attested, principal(event.actor), state.phase, state, process)
        if {one.artifact for one in event.refusals} != set(found) or not found:
            yield f"it is refused for drift, and {listed(found)} drifted"
    if (event.command, event.stage) == ("process adopt", APPROVAL) and not process.approves:
        yield "it is refused for want of an approval, and the process asks for none"


_BY_KIND: dict[type[Event], Callable[[TaskState, Any, Process, int], Iterator[str]]] = {
    events.PhaseAdvanced: _advance,
    events.PhaseBacktracked: _backtrack,
    events.PromptAttested: _attested,
    events.CommandRefused: _refused,
    events.RunObserved: _ran,
    events.ApprovalGranted: _said,
    events.ApprovalRejected: _said,
    events.RulesWaived: _said,
    events.ProcessAdopted: _adopt,
}
