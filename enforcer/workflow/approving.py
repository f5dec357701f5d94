"""Approvals: who said yes to exactly what, who may say it, and what a phase demands.

An approval is bound to an attempt, to the digests of the phase's evidence and to the tree of the working files, and it
ends. So it is used at most once: whatever changes in between is not what was approved, and the next attempt is another.
Nobody approves what they wrote themselves.
"""

from __future__ import annotations

from enforcer.workflow import events
from enforcer.workflow.answering import APPROVAL, common, refuse
from enforcer.workflow.events import Refusal
from enforcer.workflow.state import is_among, principal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from enforcer.workflow.answering import Decision
    from enforcer.workflow.commands import Vouch
    from enforcer.workflow.facts import EvidenceFacts, Facts
    from enforcer.workflow.process import Approval, Phase, Process
    from enforcer.workflow.state import TaskState, Word

APPROVE, REJECT, WAIVE = "approve", "reject", "waive"
KINDS = (APPROVE, REJECT, WAIVE)

_EVENTS: dict[str, type[events.Vouched]] = {
    APPROVE: events.ApprovalGranted,
    REJECT: events.ApprovalRejected,
    WAIVE: events.RulesWaived,
}


# Saying it -----------------------------------------------------------------------------------------------------------


def vouch(state: TaskState, command: Vouch, facts: Facts, process: Process) -> Decision:
    """Record what was said, or why it does not count."""
    refusals = tuple(faults(state, command, process, now=facts.now))
    if refusals:
        return refuse(state, command, facts, APPROVAL, refusals)
    said: dict[str, Any] = {
        name: getattr(command, name)
        for name in ("phase", "attempt_id", "principal", "nonce", "expires", "statement", "signature", "fingerprint")
    }
    said |= {"evidence": dict(command.evidence), "tree": command.tree, "reason": command.reason}
    if command.kind == APPROVE:
        said["process"] = command.process
    elif command.kind == WAIVE:
        said |= {"artifact": command.artifact, "rules": command.rules}
    return _EVENTS[command.kind](**common(facts), **said)


def faults(state: TaskState, said: Any, process: Process, *, now: int) -> Iterator[Refusal]:
    """Why a word, a command or an event, does not count at `now`. A rejection may come from anybody who is known."""
    kind = said.kind if hasattr(said, "kind") else kind_of(said)
    if getattr(said, "fault", ""):
        fix = "Sign what is there now, with a key that the process lists: enforcer approve TASK"
        yield _invalid(state, said.fault, fix)
    if (said.phase, said.attempt_id) != (state.phase, state.attempt_id):
        yield _invalid(state, f"It speaks of another attempt than the one of {state.phase} that is under way.")
    if said.expires <= now:
        yield _invalid(state, "It has expired.", "Say it again: enforcer approve TASK")
    if said.nonce in state.words:
        yield _invalid(state, "It was used before; each counts once.", "Say it anew: enforcer approve TASK")
    if kind == REJECT:
        if not said.reason.strip():
            yield _invalid(state, "A rejection needs a reason.", "Give it with --reason.")
        return
    if process.has(state.phase) and is_among(said.principal, authors_of(state, process.phase(state.phase))):
        message = f"{said.principal} held the task where it was written; nobody approves their own work."
        yield Refusal("reviewer_is_author", message, state.phase, fix="Let somebody else approve it.")
    if kind == WAIVE:
        yield from _waiver_faults(state, said, process)


def _waiver_faults(state: TaskState, said: Any, process: Process) -> Iterator[Refusal]:
    if not is_among(said.principal, process.break_glass):
        named = ", ".join(process.break_glass) or "nobody"
        yield _invalid(state, f"The process lets {named} waive rules.", "Keep the rules, or ask one of these.")
    if not said.reason.strip():
        yield _invalid(state, "Waiving rules needs a reason.", "Give it with --reason.")
    phase = process.phase(state.phase) if process.has(state.phase) else None
    known = {rule.id for rule in phase.rules if rule.artifact == said.artifact} if phase else set()
    unknown = sorted(set(said.rules) - known)
    if unknown or not said.rules:
        named = ", ".join(unknown) or "without a name"
        message = f"{state.phase} has no rule {named} over {said.artifact or 'nothing'}."
        yield _invalid(state, message, f"One of: {', '.join(sorted(known))}" if known else "")


def kind_of(event: Any) -> str:
    """The kind of a word that stands on the ledger."""
    return next(kind for kind, type_ in _EVENTS.items() if type(event) is type_)


def _invalid(state: TaskState, message: str, fix: str = "") -> Refusal:
    return Refusal("approval_invalid", message, state.phase, fix=fix)


def authors_of(state: TaskState, phase: Phase) -> tuple[str, ...]:
    """Whose work it is that leaving the phase speaks of: nobody of these can vouch for it.

    These are the authors of the change and, but for a review, whoever held the task where the evidence was written.
    """
    writers = () if phase.reviews else state.held.get(phase.name, ())
    return tuple(dict.fromkeys((*state.implementers, *writers)))


# What a phase demands ------------------------------------------------------------------------------------------------


def given_evidence(phase: str, digests: Mapping[str, str]) -> dict[str, str]:
    """What an approval of a phase names: its artifacts, by `phase/artifact`, to the digests of what is there."""
    return {f"{phase}/{name}": digest for name, digest in digests.items()}


def counting(state: TaskState, given: Mapping[str, str], tree: str, *, now: int) -> dict[str, Word]:
    """The approvals of exactly this evidence and tree that have not expired, by nonce."""
    return {
        nonce: word
        for nonce, word in state.words.items()
        if word.kind == APPROVE and not word.process and _speaks_of(word, given, tree) and word.expires > now
    }


def used(state: TaskState, phase: Phase, evidence: EvidenceFacts, *, now: int) -> tuple[str, ...]:
    """The nonces of the approvals that leaving the phase rests on."""
    if not phase.approvals:
        return ()
    return tuple(counting(state, _given(phase, evidence), evidence.working, now=now))


def missing(state: TaskState, phase: Phase, evidence: EvidenceFacts, *, now: int) -> tuple[Refusal, ...]:
    """What the phase demands of approvals and this evidence has not; a rejection of it stands until it changes."""
    given = _given(phase, evidence)
    found = [
        _missing(phase, f"{word.principal} rejected this evidence: {word.reason}", "Mend it, and ask again.")
        for word in state.words.values()
        if word.kind == REJECT and _speaks_of(word, given, evidence.working)
    ]
    words = tuple(counting(state, given, evidence.working, now=now).values()) if phase.approvals else ()
    found += shortfalls(phase, words, evidence.risks, authors_of(state, phase))
    return tuple(found)


def shortfalls(
    phase: Phase, words: tuple[Word, ...], risks: tuple[str, ...], authors: tuple[str, ...]
) -> list[Refusal]:
    """The demands of a phase that these approvals do not meet."""
    found = []
    for demand in phase.approvals:
        if not demand.asked_of(risks):
            continue
        who = _approvers(demand, words, authors)
        if len(who) < demand.count:
            whose = f" of {', '.join(demand.by)}" if demand.by else ""
            signed = " signed" if demand.signed else ""
            why = f" (the change touches {', '.join(sorted(set(risks) & set(demand.risks)))})" if demand.risks else ""
            message = f"It takes {demand.count}{signed} approval{'s' * (demand.count != 1)}{whose}{why}"
            found.append(_missing(phase, f"{message}, and there {_are(len(who))} for exactly this evidence."))
    return found


def _approvers(demand: Approval, words: tuple[Word, ...], authors: tuple[str, ...]) -> set[str]:
    """The different principals that meet a demand, each counted once in whatever spelling."""
    return {
        principal(word.principal).casefold().rstrip(".")
        for word in words
        if (word.signed or not demand.signed)
        and not is_among(word.principal, authors)
        and (not demand.by or is_among(word.principal, demand.by))
    }


def waived(state: TaskState, *, now: int) -> frozenset[tuple[str, str]]:
    """The rules that are waived now, each as artifact and rule."""
    return frozenset(
        (word.artifact, rule)
        for word in state.words.values()
        if word.kind == WAIVE and word.expires > now
        for rule in word.rules
    )


def adoption_approved(state: TaskState, digest: str, *, now: int) -> bool:
    """Whether the task may move to the process with `digest`, by the word of somebody who wrote nothing of it."""
    return any(
        word.kind == APPROVE and word.process == digest and word.signed and word.expires > now
        for word in state.words.values()
    )


def labels(state: TaskState, nonces: tuple[str, ...]) -> tuple[str, ...]:
    """What an answer that rests on these approvals rests on by declaration only."""
    unsigned = sorted(state.words[nonce].principal for nonce in nonces if not state.words[nonce].signed)
    return tuple(f"declared: approval by {who}" for who in unsigned)


def _given(phase: Phase, evidence: EvidenceFacts) -> dict[str, str]:
    return given_evidence(phase.name, {one.artifact: one.digest for one in evidence.files})


def _speaks_of(word: Word, given: Mapping[str, str], tree: str) -> bool:
    return dict(word.evidence) == dict(given) and word.tree == tree


def _missing(phase: Phase, message: str, fix: str = "Let it be approved: enforcer approve TASK") -> Refusal:
    return Refusal("approval_missing", message, phase.name, fix=fix)


def _are(count: int) -> str:
    return "is 1" if count == 1 else f"are {count}" if count else "is none"
