"""Gathers what somebody should see before they sign, from the ledger, the objects and git; see
`attestation.circumstances`."""

from __future__ import annotations

from enforcer.attestation.circumstances import Change, Circumstances, Earlier, Making, Move
from enforcer.errors import EnforcerError
from enforcer.workflow.approving import waivers
from enforcer.workflow.events import PhaseAdvanced
from enforcer.workflow.running import origin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from enforcer.enforcer import Enforcer
    from enforcer.policies import Loaded
    from enforcer.task import Task
    from enforcer.workflow.state import TaskState

_DIFF = "diff"  # The kind of rule that holds a diff against the files.


def evidence_circumstances(task: Task, digests: Mapping[str, str]) -> Circumstances:
    """Of what leaving the phase rests on; `digests` are those of the phase's artifacts by their names."""
    enforcer, state = task.enforcer, task.state()
    return Circumstances(
        makings={f"{state.phase}/{name}": _making(enforcer, state, name, digest) for name, digest in digests.items()},
        earlier=tuple(_earlier(enforcer, state)),
        changes=tuple(_changes(enforcer, state)),
    )


def move_circumstances(task: Task, name: str, loaded: Loaded) -> Circumstances:
    """Of the task's move to another process, which was asked for as `name`."""
    difference, weakenings = task.enforcer.differences(task.process(), loaded.process)
    return Circumstances(move=Move(f"{name} ({loaded.process.name})", difference, weakenings))


def _making(enforcer: Enforcer, state: TaskState, name: str, digest: str) -> Making:
    run = state.runs.get(f"{state.phase}/{name}")
    waived = waivers(state, now=enforcer.clock.now())
    return Making(
        origin(state, name, digest),
        tuple(f"{rule}, by {word.principal}" for (artifact, rule), word in waived.items() if artifact == name),
        run.labels if run is not None and run.digest == digest else (),
    )


def _earlier(enforcer: Enforcer, state: TaskState) -> Iterator[Earlier]:
    left = {
        entry.event.start: entry.seq for entry in enforcer.entries(state.task) if isinstance(entry.event, PhaseAdvanced)
    }
    for phase in state.walked:
        for one in state.accepted[phase]:
            yield Earlier(f"{phase}/{one.artifact}", one.digest, one.size, one.origin, left[phase])


def _changes(enforcer: Enforcer, state: TaskState) -> Iterator[Change]:
    """The accepted diffs, each with the tree that it leads to now."""
    process = enforcer.process(state.digest)
    for phase in state.walked:
        names = {rule.artifact for rule in process.phase(phase).rules if rule.kind == _DIFF}
        for one in state.accepted[phase]:
            if one.artifact in names:
                name = f"{phase}/{one.artifact}"
                try:
                    data = enforcer.objects.get(one.digest)
                except EnforcerError:
                    yield Change(name, one.digest, None)
                    continue
                yield Change(name, one.digest, data, _leads_to(enforcer, state.base, data))


def _leads_to(enforcer: Enforcer, base: str, patch: bytes) -> str | None:
    repository = enforcer.repository()
    if repository is None:
        return None
    with repository:
        return repository.apply(base or None, patch, enforcer.excluded).tree or ""
