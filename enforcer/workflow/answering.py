"""How an answer is written down: the stages of a command, the "no" of each, and what a row of them leads to."""

from __future__ import annotations

from enforcer.errors import InternalError
from enforcer.workflow import events
from enforcer.workflow.evolve import codes_in_a_row, signature
from enforcer.workflow.state import OPEN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    from enforcer.workflow.commands import Command
    from enforcer.workflow.events import Claim, Event, Refusal
    from enforcer.workflow.facts import Facts
    from enforcer.workflow.state import TaskState

    Decision: TypeAlias = "Event | EvidenceNeeded | None"

# The stages of a command in the order in which they are asked, and the one question that a tool call is asked.
TASK, ORDER, LEASE, ATTESTATION, EVIDENCE = "task", "order", "lease", "attestation", "evidence"
APPROVAL = "approval"  # What somebody said of a task does not count.
TOOL = "tool"

ESCALATE_AT = 3  # The third refusal in a row of one code.
COALESCE_FROM = 10  # From the tenth identical refusal on, at most one entry a minute.
COALESCE_US = 60_000_000
STALLED_US = 90 * 60_000_000


class EvidenceNeeded:
    """The answer depends on evidence that the facts do not hold yet."""


EVIDENCE_NEEDED = EvidenceNeeded()


def common(facts: Facts) -> dict[str, Any]:
    """The fields of every event."""
    return {"actor": facts.actor, "request": facts.request, "notes": facts.notes}


def work(state: TaskState, facts: Facts, claim: Claim | None) -> dict[str, Any]:
    """The fields of an event that is written under a lease: the one that it claims, or the one that is held."""
    token = claim.token if claim else state.lease.token if state.lease else 0
    return {**common(facts), "token": token, "lease": claim}


def refuse(
    state: TaskState,
    command: Command,
    facts: Facts,
    stage: str,
    refusals: tuple[Refusal, ...],
    claim: Claim | None = None,
) -> events.CommandRefused:
    """The recorded "no" of a stage. Only a command that got past the lease stage acts under a lease, and claims one."""
    if not refusals:
        raise InternalError("empty_refusal", f"{command.name} was refused at the stage {stage} without a reason.")
    refused = events.CommandRefused(
        **(work(state, facts, claim) if stage in (ATTESTATION, EVIDENCE) else common(facts)),
        command=command.name,
        stage=stage,
        phase=state.phase,
        refusals=refusals,
        to=getattr(command, "to", None) or "",
    )
    return refused.replace(escalation=escalation(state, refused, claim))


def escalation(state: TaskState, refused: Event, claim: Claim | None = None) -> tuple[str, ...]:
    """The codes that the holder meets for the third time in a row; what others meet is theirs, not the task's."""
    holder = claim.holder if claim else state.lease.holder if state.lease else ""
    if holder != refused.actor:
        return ()
    codes = codes_in_a_row(state.streaks.get(refused.actor), refused)
    return tuple(code for code, count in codes.items() if count == ESCALATE_AT)


def coalesces(state: TaskState, event: Event, now: int) -> bool:
    """Whether a refusal is one more of a long streak of identical ones, too soon after the last recorded one."""
    streak = state.streaks.get(event.actor)
    return (
        bool(event.refused)
        and streak is not None
        and streak.signature == signature(event, state.phase)
        and streak.count >= COALESCE_FROM - 1
        # After a clock that was set back, an entry more is better than silence until it has caught up.
        and 0 <= now - streak.ts < COALESCE_US
        # What no tool may ever do is never one more of the same.
        and not getattr(event, "forbidden", False)
        # A claim has to stand on the ledger, or nobody would hold the task.
        and getattr(event, "lease", None) is None
    )


def stalled_minutes(state: TaskState, now: int) -> int:
    """Whole minutes without progress, 0 below the limit of ninety."""
    idle = now - state.progress_ts
    return idle // 60_000_000 if state.status == OPEN and idle >= STALLED_US else 0
