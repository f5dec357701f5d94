"""Observations: what a run that Enforcer made itself counts for.

A run proves an artifact where it was the configured one, of this attempt and of the files as they are now. Everything
else that was run is recorded as well, and proves nothing.
"""

from __future__ import annotations

from enforcer.workflow import events, leasing
from enforcer.workflow.answering import EVIDENCE, LEASE, refuse, work
from enforcer.workflow.events import Refusal
from enforcer.workflow.process import CLAIMED, OBSERVED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from enforcer.workflow.answering import Decision
    from enforcer.workflow.commands import Run
    from enforcer.workflow.facts import Facts
    from enforcer.workflow.process import Phase, Process
    from enforcer.workflow.state import TaskState


def run(state: TaskState, command: Run, facts: Facts, process: Process) -> Decision:
    """Record what was seen of a run, or that it proves nothing."""
    claim, refusals = leasing.lease_stage(state, facts)
    if refusals:
        return refuse(state, command, facts, LEASE, refusals)
    refusals = (*command.faults, *_moved_on(state, command), *_unconfigured(command, process.phase(state.phase)))
    if refusals:
        refused = refuse(state, command, facts, EVIDENCE, refusals, claim)
        return refused.replace(observation=command.observation)
    return events.RunObserved(
        **work(state, facts, claim),
        phase=state.phase,
        attempt_id=command.attempt_id,
        observation=command.observation,
        configured=command.configured,
        made=command.made,
        status=command.status,
        signal=command.signal,
        duration_us=command.duration_us,
        tree=command.tree,
        sandbox=command.sandbox,
        labels=command.labels,
    )


def _moved_on(state: TaskState, command: Run) -> tuple[Refusal, ...]:
    if command.attempt_id != state.attempt_id:
        message = "The task has gone on to another attempt while the command ran, so it was not of this one."
    elif command.configured and command.process != state.digest:
        message = "The task has moved to another process while the command ran, which may name another command."
    else:
        return ()
    return (Refusal("evidence_stale", message, state.phase, command.artifact, "Run it again: enforcer run TASK"),)


def _unconfigured(command: Run, phase: Phase) -> tuple[Refusal, ...]:
    """A run that the process does not name cannot make what the process wants observed."""
    if command.configured:
        return ()
    return tuple(
        Refusal(
            "evidence_unobserved",
            f"{one.artifact} was observed, not configured: the process names another command, folder or reader for it.",
            phase.name,
            one.artifact,
            "Run what the process names: enforcer run TASK. To change it: enforcer process adopt TASK",
        )
        for one in command.made
        if one.artifact in phase.observed
    )


def origin(state: TaskState, artifact: str, digest: str) -> str:
    """Who made an artifact of the phase: Enforcer, by the configured command and in this attempt, or the worker."""
    seen = state.runs.get(f"{state.phase}/{artifact}")
    proves = seen is not None and seen.configured and (seen.attempt_id, seen.digest) == (state.attempt_id, digest)
    return OBSERVED if proves else CLAIMED
