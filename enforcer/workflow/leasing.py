"""Who may act on a task: the lease stage of every command, and the commands about the lease itself.

The ledger owns holder and token, the expiry file owns only the time. So a lease that was lost, forged or stretched
there can end early or late, but the token, which only grows, fences whoever held it before.
"""

from __future__ import annotations

from enforcer.workflow import events
from enforcer.workflow.answering import LEASE, common, refuse
from enforcer.workflow.events import Claim, Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from enforcer.workflow.answering import Decision
    from enforcer.workflow.commands import ClaimLease, ReleaseLease, RenewLease
    from enforcer.workflow.facts import Facts
    from enforcer.workflow.process import Process
    from enforcer.workflow.state import TaskState


def lease_stage(state: TaskState, facts: Facts) -> tuple[Claim | None, tuple[Refusal, ...]]:
    """The claim that the command's entry makes, if it makes one, and why the command may not act."""
    lease, now = state.lease, facts.lease
    if now.began_with is not None:
        # A command that began under a token ends under it: what it saw was seen by that holder.
        if lease is not None and lease.token == now.began_with and lease.holder == facts.actor and now.live:
            return None, ()
        return None, (_stale(state, now.began_with),)
    if lease is not None and now.live:
        return None, () if lease.holder == facts.actor else (_held(lease.holder, state, facts),)
    if not now.auto:
        message = "The task has no live lease, and commands do not claim one here."
        return None, (Refusal("lease_required", message, state.phase, fix="enforcer lease claim TASK"),)
    return _new_claim(state, facts), ()


def claim(state: TaskState, command: ClaimLease, facts: Facts, process: Process) -> Decision:
    if state.lease is not None and facts.lease.live:
        if state.lease.holder == facts.actor:
            return None
        return refuse(state, command, facts, LEASE, (_held(state.lease.holder, state, facts),))
    new = _new_claim(state, facts)
    if new.previous:
        return events.LeaseTakenOver(**common(facts), holder=new.holder, token=new.token, previous=new.previous)
    return events.LeaseClaimed(**common(facts), holder=new.holder, token=new.token)


def renew(state: TaskState, command: RenewLease, facts: Facts, process: Process) -> Decision:
    """The ledger does not hear of a renewal: None lets the gate put the expiry off."""
    lease = state.lease
    if lease is not None and facts.lease.live:
        if lease.holder != facts.actor:
            return refuse(state, command, facts, LEASE, (_held(lease.holder, state, facts),))
        if facts.lease.began_with in (None, lease.token):
            return None
    held = facts.lease.began_with or (lease.token if lease and lease.holder == facts.actor else 0)
    return refuse(state, command, facts, LEASE, (_stale(state, held),))


def release(state: TaskState, command: ReleaseLease, facts: Facts, process: Process) -> Decision:
    lease = state.lease
    if lease is None:
        return None
    if lease.holder != facts.actor and not command.force:
        if facts.lease.live:
            return refuse(state, command, facts, LEASE, (_held(lease.holder, state, facts),))
        return None
    if facts.lease.began_with not in (None, lease.token):
        # What it held when it began is gone already; the newer lease belongs to another process of the same actor.
        return None
    return events.LeaseReleased(
        **common(facts),
        holder=lease.holder,
        token=lease.token,
        forced=lease.holder != facts.actor,
        reason=command.reason,
    )


def _new_claim(state: TaskState, facts: Facts) -> Claim:
    previous = state.lease.holder if state.lease and state.lease.holder != facts.actor else ""
    return Claim(facts.actor, state.token + 1, "taken_over" if previous else "claimed", previous)


def _held(holder: str, state: TaskState, facts: Facts) -> Refusal:
    seconds = max(1, -(-facts.lease.remaining_us // 1_000_000))
    message = f"{holder} holds the task for another {seconds} s at most."
    fix = "Wait until it is released or expires, or work on another task."
    return Refusal("lease_held", message, state.phase, fix=fix)


def _stale(state: TaskState, token: int) -> Refusal:
    message = f"The lease with token {token} has expired or was passed on; the newest token is {state.token}."
    if not token:
        message = f"There is no live lease to renew; the newest token is {state.token}."
    fix = "Look at the task again, claim its lease, and repeat what still holds."
    return Refusal("lease_stale", message, state.phase, fix=fix)
