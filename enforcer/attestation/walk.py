"""A task's walk as exports tell it: for each phase, the one acceptance that still counts, and what it stood on.

A task may accept a phase several times: a backtrack sets aside what was accepted in its target and later. Statements
and links are made of what counts now; the rest stays on the ledger, and in the task's receipt.
"""

from __future__ import annotations

from enforcer.errors import DamagedError, RequestError
from enforcer.workflow.events import PhaseAdvanced
from enforcer.workflow.evolve import evolve
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from enforcer.ledger.entry import Entry
    from enforcer.workflow.events import Accepted
    from enforcer.workflow.process import Process
    from enforcer.workflow.state import TaskState

    Processes = Callable[[str], Process]

# What a history that no gate wrote makes `evolve` raise.
_UNFIT = (ValueError, KeyError, IndexError, TypeError, AttributeError)


class Step(Record):
    """One accepted phase.

    `process` is the one in force at the acceptance, and `digest` names its object; `attempt` counts the attempts of the
    phase from 1. `materials` maps the `phase/artifact` names that its evidence stands on to what was accepted of them.
    """

    phase: str
    entry: Entry
    event: PhaseAdvanced
    process: Process
    digest: str
    attempt: int
    attempt_id: str
    materials: Mapping[str, Accepted]

    @property
    def products(self) -> Mapping[str, Accepted]:
        """What was accepted, by `phase/artifact`."""
        return {f"{self.phase}/{one.artifact}": one for one in self.event.evidence}


class Walk(Record):
    """A task: its fold, the process in force now, and its accepted phases in the order in which they were left."""

    task: str
    origin: str
    state: TaskState
    process: Process
    steps: tuple[Step, ...]


def walk_of(entries: Iterable[Entry], processes: Processes) -> Walk:
    """Follow all entries of one task, in order. `processes` loads a stored process by digest; what it raises passes.

    Raises `RequestError` `unknown_task` where there is none, `DamagedError` `walk_broken` where an entry cannot follow
    the one before.
    """
    state: TaskState | None = None
    origin, found = "", dict[str, Step]()
    for entry in entries:
        before, origin = state, entry.source
        state = _follow(before, entry)
        if isinstance(entry.event, PhaseAdvanced) and before is not None:
            found[entry.event.start] = _step(before, entry, entry.event, processes(before.digest))
    if state is None:
        fix = "enforcer status lists the tasks there are."
        raise RequestError("unknown_task", "There is no entry of such a task.", fix=fix)
    steps = tuple(found[phase] for phase in state.walked)
    return Walk(state.task, origin, state, processes(state.digest), steps)


def path_of(task: str, name: str) -> str:
    """Where an artifact lies below `state/evidence/`, from its `phase/artifact` name: what exports call it."""
    phase, _, artifact = name.partition("/")
    return f"{task}/{phase.lower()}/{artifact}"


def _follow(state: TaskState | None, entry: Entry) -> TaskState:
    try:
        return evolve(state, entry.event, entry.place)
    except _UNFIT as error:
        message = f"It cannot follow the entries before it: {type(error).__name__}: {error}"[:300] + "."
        raise DamagedError("walk_broken", message, where=f"entry {entry.seq}", fix="enforcer verify") from error


def _step(before: TaskState, entry: Entry, event: PhaseAdvanced, process: Process) -> Step:
    if not process.has(event.start):
        message = f"It leaves {event.start}, which the process in force does not have."
        raise DamagedError("walk_broken", message, where=f"entry {entry.seq}", fix="enforcer verify")
    accepted = before.accepted_files()
    foundations = process.standing_on(process.phase(event.start))
    materials = {name: one for name, one in accepted.items() if name in foundations}
    attempt = before.attempts[before.phase]
    return Step(event.start, entry, event, process, before.digest, attempt, before.attempt_id, materials)
