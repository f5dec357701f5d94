"""Leaving a process that asks for approvals: it takes the approvals that it asks for.

Otherwise whoever may say yes to one thing could do away with all that is asked for, by a process that asks for less.
"""

from __future__ import annotations

from enforcer.workflow.approving import APPROVE, authors_of, is_live, meets, shortfall, voices
from enforcer.workflow.state import is_among

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from enforcer.workflow.process import Approval, Process
    from enforcer.workflow.state import TaskState, Word


def adoption(
    state: TaskState,
    process: Process,
    digest: str,
    *,
    approver: str,
    actor: str,
    now: int,
    among: tuple[str, ...] | None = None,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What leaving `process` for the one with `digest` rests on, by nonce, and what is missing, in sentences.

    A demand that is made anywhere in the process is made of leaving it, whatever the change touches: otherwise one of
    its signers could do away with all of them. Whoever may break the glass may do so alone, with a signature.
    `approver` is one of those whose word counts; with `among`, only the words with these nonces are looked at.
    """
    if not process.approves:
        return (), ()
    words = moving_words(state, process, digest, actor=actor, now=now)
    words = {nonce: word for nonce, word in words.items() if among is None or nonce in among}
    counted = tally(words.values(), process)
    short = tuple(shortfall(demand, (), count, _TO_LEAVE) for demand, count in counted if count < demand.count)
    used = tuple(nonce for nonce, word in words.items() if counts(word, process, alone=bool(short)))
    if not used:
        return (), short
    if not is_among(approver, (words[nonce].principal for nonce in used)):
        return (), (f"{approver or 'Nobody'} is named as approver, and has not approved it.",)
    return used, ()


def moving_words(state: TaskState, process: Process, digest: str, *, actor: str, now: int) -> dict[str, Word]:
    """The approvals, by nonce, that count for the task's move to the process with `digest`, which `actor` makes."""
    authors = authors_of(state, process.phase(state.phase), actor)
    return {
        nonce: word
        for nonce, word in state.words.items()
        if is_live(word, APPROVE, now) and word.process == digest and not is_among(word.principal, authors)
    }


def tally(words: Iterable[Word], process: Process) -> list[tuple[Approval, int]]:
    """Each demand that leaving the process has to meet, and how many principals have met it."""
    words = tuple(words)
    return [(demand, len(voices(words, demand))) for demand in _demands_anywhere(process)]


def counts(word: Word, process: Process, *, alone: bool = False) -> bool:
    """Whether a word is one that leaving the process can rest on; `alone`: without any other."""
    if word.signed and is_among(word.principal, process.break_glass):
        return True
    return not alone and any(meets(word, demand) for demand in _demands_anywhere(process))


_TO_LEAVE = "for leaving the process in force for this one"


def _demands_anywhere(process: Process) -> list[Approval]:
    """Every demand of the process once, as it is made of a change that touches everything."""
    found: list[Approval] = []
    for phase in process.phases:
        for demand in phase.approvals:
            if (plain := demand.replace(risks=())) not in found:
                found.append(plain)
    return found
