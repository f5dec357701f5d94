"""Approvals: who said yes to exactly what, who may say it, and what a phase demands.

An approval is bound to an attempt, to the digests of the phase's evidence, to the tree of the working files and to the
process in force, and it ends. So it is used at most once: whatever changes in between is not what was approved, and the
next attempt is another. Nobody approves what they wrote themselves, and nobody speaks for somebody else without their
signature.
"""

from __future__ import annotations

from enforcer.workflow import events
from enforcer.workflow.answering import APPROVAL, common, refuse
from enforcer.workflow.events import Refusal
from enforcer.workflow.state import folded, is_among, same_principal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    from enforcer.workflow.answering import Decision
    from enforcer.workflow.commands import Vouch
    from enforcer.workflow.facts import EvidenceFacts, Facts
    from enforcer.workflow.process import Approval, Phase, Process
    from enforcer.workflow.state import TaskState, Word

APPROVE, REJECT, WAIVE = "approve", "reject", "waive"
KINDS = (APPROVE, REJECT, WAIVE)

DECLARED, WAIVED = "declared: ", "waived: "
REVIEWER_DECLARED = f"{DECLARED}reviewer"  # Who reviewed is known by their own word only.

_EVENTS: dict[str, type[events.Vouched]] = {
    APPROVE: events.ApprovalGranted,
    REJECT: events.ApprovalRejected,
    WAIVE: events.RulesWaived,
}
_KIND_OF = {type_: kind for kind, type_ in _EVENTS.items()}

_AGAIN = "Say it again: enforcer approve TASK"


# Saying it -----------------------------------------------------------------------------------------------------------


def vouch(state: TaskState, command: Vouch, facts: Facts, process: Process) -> Decision:
    """Record what was said, or why it does not count."""
    refusals = (
        *_unproven(state, command, facts.now),
        *faults(state, command, command.kind, process, actor=facts.actor, now=facts.now),
    )
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


def _unproven(state: TaskState, command: Vouch, now: int) -> Iterator[Refusal]:
    """Why the signature proves nothing; the ledger does not tell, so a verifier asks the objects."""
    if command.fault:
        fix = "Sign what is there now, with a key that the process lists: enforcer approve TASK"
        yield _invalid(state, command.fault, fix)
    # The key was valid when it was held against the list; what counts is the time that the entry will carry.
    if now < command.valid_after or 0 < command.valid_before < now:
        yield _invalid(state, "The key that signed it is not valid at this time.", "Use a key that is.")
    if command.under != state.digest:
        yield _invalid(state, "The task has moved to another process since it was said.", _AGAIN)


def faults(state: TaskState, said: Any, kind: str, process: Process, *, actor: str, now: int) -> Iterator[Refusal]:
    """Why a word, a command or an event that `actor` brings, does not count at `now`. Anybody may reject."""
    if (said.phase, said.attempt_id) != (state.phase, state.attempt_id):
        yield _invalid(state, f"It speaks of another attempt than the one of {state.phase} that is under way.", _AGAIN)
    if said.expires <= now:
        yield _invalid(state, "It has expired.", _AGAIN)
    if said.nonce in state.words:
        yield _invalid(state, "It was used before; each counts once.", _AGAIN)
    if not said.signature and not same_principal(said.principal, actor):
        message = f"{actor} says it for {said.principal}, who has not signed it."
        yield _invalid(state, message, f"Let {said.principal} sign it: enforcer approve TASK --sign-with FILE")
    if kind != APPROVE and not said.reason.strip():
        yield _invalid(state, f"To {kind} takes a reason.", "Give it with --reason.")
    if kind == REJECT:
        return
    if is_among(said.principal, authors_of(state, process.phase(state.phase))):
        message = f"{said.principal} held the task where it was written; nobody approves their own work."
        yield Refusal("reviewer_is_author", message, state.phase, fix="Let somebody else approve it.")
    if kind == WAIVE:
        yield from _waiver_faults(state, said, process)


def _waiver_faults(state: TaskState, said: Any, process: Process) -> Iterator[Refusal]:
    """A waiver is signed by who may break the glass, and names rules that the process has over one artifact."""
    if not is_among(said.principal, process.break_glass):
        named = ", ".join(process.break_glass) or "nobody"
        aside = f", and {said.principal} is none of them" if process.break_glass else ""
        fix = (
            f"Keep the rules, or ask {' or '.join(process.break_glass)}." if process.break_glass else "Keep the rules."
        )
        yield _invalid(state, f"The process lets {named} waive rules{aside}.", fix)
    if not said.signature:
        fix = "Sign it: enforcer approve TASK --waive RULE --artifact NAME --sign-with FILE"
        yield _invalid(state, "Waiving rules takes a signature.", fix)
    known = {rule.id for rule in process.phase(state.phase).rules if rule.artifact == said.artifact}
    unknown = sorted(set(said.rules) - known)
    if unknown or not said.rules:
        named = ", ".join(unknown) or "without a name"
        message = f"{state.phase} has no rule {named} over {said.artifact or 'nothing'}."
        yield _invalid(state, message, f"One of: {', '.join(sorted(known))}" if known else "")


def kind_of(event: events.Vouched) -> str:
    """The kind of a word that stands on the ledger."""
    return _KIND_OF[type(event)]


def _invalid(state: TaskState, message: str, fix: str = "") -> Refusal:
    return Refusal("approval_invalid", message, state.phase, fix=fix)


def authors_of(state: TaskState, phase: Phase, actor: str = "") -> tuple[str, ...]:
    """Whose work it is that leaving the phase speaks of: nobody of these can vouch for it.

    These are the authors of the change and, but for a review, whoever held the task where the evidence was written:
    `actor` is who leaves the phase, who may take the lease with that very entry.
    """
    writers = () if phase.reviews else (*state.held.get(phase.name, ()), *((actor,) if actor else ()))
    return tuple(dict.fromkeys((*state.implementers, *writers)))


# What counts ---------------------------------------------------------------------------------------------------------


def given_evidence(phase: str, digests: Mapping[str, str]) -> dict[str, str]:
    """What an approval of a phase names: its artifacts, by `phase/artifact`, to the digests of what is there."""
    return {f"{phase}/{name}": digest for name, digest in digests.items()}


def counting(state: TaskState, given: Mapping[str, str], tree: str, *, now: int) -> dict[str, Word]:
    """The approvals of exactly this evidence and tree that count at `now`, by nonce."""
    return {
        nonce: word
        for nonce, word in state.words.items()
        if is_live(word, APPROVE, now) and not word.process and dict(word.evidence) == given and word.tree == tree
    }


def waived(state: TaskState, *, now: int) -> frozenset[tuple[str, str]]:
    """The rules that are waived at `now`, each as artifact and rule."""
    if not state.words:
        return _NONE
    return frozenset(waivers(state, now=now))


_NONE: frozenset[tuple[str, str]] = frozenset()


def waivers(state: TaskState, *, now: int) -> dict[tuple[str, str], Word]:
    """The word that waives each rule at `now`, by artifact and rule."""
    words = (word for word in state.words.values() if is_live(word, WAIVE, now))
    return {(word.artifact, rule): word for word in words for rule in word.rules}


def is_live(word: Word, kind: str, now: int) -> bool:
    """Whether a word is of a kind and counts at `now`."""
    return word.kind == kind and not word.spent and word.expires > now


# What a phase demands ------------------------------------------------------------------------------------------------


class Ballot:
    """Everything that was said of one phase's evidence, as it counts where `actor` leaves the phase at `now`."""

    __slots__ = ("_authors", "_phase", "rejections", "words")

    def __init__(
        self, state: TaskState, phase: Phase, given: Mapping[str, str], tree: str, *, actor: str, now: int
    ) -> None:
        self._phase, self._authors = phase, authors_of(state, phase, actor)
        self.words = counting(state, given, tree, now=now)
        self.rejections = _rejections(state, phase, given)

    def used(self, risks: tuple[str, ...]) -> tuple[str, ...]:
        """The nonces of the approvals that leaving the phase rests on."""
        asked = [demand for demand in self._phase.approvals if demand.asked_of(risks)]
        return tuple(
            nonce for nonce, word in self.words.items() if any(meets(word, demand, self._authors) for demand in asked)
        )

    def missing(self, risks: tuple[str, ...], among: tuple[str, ...] | None = None) -> list[Refusal]:
        """What stands against leaving the phase; with `among`, only the approvals with these nonces are looked at."""
        words = [word for nonce, word in self.words.items() if among is None or nonce in among]
        found = [
            _missing(self._phase, f"{word.principal} rejected this evidence: {word.reason}", _mend(word.principal))
            for word in self.rejections
        ]
        for demand, count in self._tally(words, risks):
            if count < demand.count:
                found.append(_missing(self._phase, shortfall(demand, risks, count, "for exactly this evidence")))
        return found

    def tally(self, risks: tuple[str, ...]) -> list[tuple[Approval, int]]:
        """Each demand that is made of a change with these risks, and how many principals have met it."""
        return self._tally(list(self.words.values()), risks)

    def _tally(self, words: list[Word], risks: tuple[str, ...]) -> list[tuple[Approval, int]]:
        asked = (demand for demand in self._phase.approvals if demand.asked_of(risks))
        return [(demand, len(voices(words, demand, self._authors))) for demand in asked]

    def is_signed_by(self, actor: str) -> bool:
        """Whether `actor` has signed exactly this evidence."""
        return any(word.signed and same_principal(word.principal, actor) for word in self.words.values())


def voices(words: Iterable[Word], demand: Approval, authors: tuple[str, ...] = ()) -> frozenset[str]:
    """Who meets a demand. One principal counts once, in whatever spelling."""
    return frozenset(folded(word.principal) for word in words if meets(word, demand, authors))


def meets(word: Word, demand: Approval, authors: tuple[str, ...] = ()) -> bool:
    """Whether a word is one of those that a demand asks for."""
    return (
        (word.signed or not demand.signed)
        and not is_among(word.principal, authors)
        and (not demand.by or is_among(word.principal, demand.by))
    )


def _rejections(state: TaskState, phase: Phase, given: Mapping[str, str]) -> tuple[Word, ...]:
    """The rejections that stand against this evidence, whatever becomes of other files and of the time.

    Where signatures are asked for, a rejection takes one too: anybody can declare one in any name.
    """
    signed = any(demand.signed for demand in phase.approvals)
    said = [word for word in state.words.values() if dict(word.evidence) == given and not word.process]
    return tuple(
        word
        for word in said
        if word.kind == REJECT and (word.signed or not signed) and not any(_takes_back(one, word) for one in said)
    )


def _takes_back(later: Word, rejection: Word) -> bool:
    """Whether it is a yes of whoever said no before, with no less of a proof."""
    return (
        later.kind == APPROVE
        and later.seq > rejection.seq
        and same_principal(later.principal, rejection.principal)
        and (later.signed or not rejection.signed)
    )


def is_vouched_for(state: TaskState, phase: Phase) -> bool:
    """Whether anything was said or is demanded; where nothing is, nobody has to be counted."""
    return bool(state.words or phase.approvals)


def ballot(state: TaskState, phase: Phase, evidence: EvidenceFacts, *, actor: str, now: int) -> Ballot:
    """What was said of this evidence."""
    given = given_evidence(phase.name, {one.artifact: one.digest for one in evidence.files})
    return Ballot(state, phase, given, evidence.working, actor=actor, now=now)


def labels(state: TaskState, nonces: tuple[str, ...]) -> tuple[str, ...]:
    """What an answer that rests on these approvals rests on by declaration only."""
    unsigned = sorted({state.words[nonce].principal for nonce in nonces if not state.words[nonce].signed})
    return tuple(f"{DECLARED}approval by {who}" for who in unsigned)


def describe(demand: Approval) -> str:
    """What a demand asks for: `2 signed approvals of ada, bob`."""
    whose = f" of {', '.join(demand.by)}" if demand.by else ""
    signed = " signed" if demand.signed else ""
    return f"{demand.count}{signed} approval{'s' * (demand.count != 1)}{whose}"


def shortfall(demand: Approval, risks: tuple[str, ...], count: int, wherefor: str) -> str:
    """What a demand lacks, in a sentence, where `count` principals have met it."""
    why = f" (the change touches {', '.join(sorted(set(risks) & set(demand.risks)))})" if demand.risks else ""
    there = "is 1" if count == 1 else f"are {count}" if count else "is none"
    return f"It takes {describe(demand)}{why}, and there {there} {wherefor}."


def _mend(who: str) -> str:
    return f"Mend it, and ask again; or let {who} take it back: enforcer approve TASK"


def _missing(phase: Phase, message: str, fix: str = "Let it be approved: enforcer approve TASK") -> Refusal:
    return Refusal("approval_missing", message, phase.name, fix=fix)
