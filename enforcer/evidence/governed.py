"""Which tasks have verified which tree, by the ledger's word, and which of them speaks for a change.

A task speaks for exactly one tree: the one that the configured commands of its VERIFY ran on. VERIFY is, whatever a
process calls it, the last phase before PR that has to be left on evidence which Enforcer observed. The task has to have
reached PR; where a process has none, to be completed. Whoever went back since has taken that word back.

Only content counts. Whether a commit has one parent or two, is a revert, or changes nothing: if its files are those
that such a task has verified, they were governed, and else they were not.
"""

from __future__ import annotations

from enforcer.evidence.history import histories
from enforcer.workflow.process import ENFORCE, OBSERVED
from enforcer.workflow.record import Record
from enforcer.workflow.running import origin
from enforcer.workflow.state import ABANDONED, COMPLETED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from enforcer.evidence.history import Acceptance, History
    from enforcer.ledger.entry import Entry
    from enforcer.workflow.process import Process
    from enforcer.workflow.state import TaskState

    Processes = Callable[[str], Process]

PR = "PR"

WENT_BACK = "the task went back to before it since"
GIVEN_UP = "the task was abandoned"
NOT_REACHED = "the task has not reached PR"
NOT_COMPLETED = "the task is not completed, and its process has no PR"
LATER = "it is not the last that the task has verified before PR"
OTHER_PROCESS = "the task went, in whole or in part, by another process than the one that is asked for"


class Bound(Record):
    """The tree that a task has verified: `observation` names the record of the run, and entry `seq` accepted it.

    `base` is the commit that the task began with, empty for none. `against` says why the task does not speak for the
    tree; it does where that is empty.
    """

    task: str
    seq: int
    phase: str
    tree: str
    base: str
    observation: str
    against: str = ""


def way_on(task: str, against: str) -> str:
    """What helps, where a task does not speak for the tree that it has verified."""
    if against == OTHER_PROCESS:
        again = f"enforcer process adopt {task} …, then enforcer backtrack {task} --to its first phase"
        return f"Walk it under that process from the first phase on: {again}. Or open another task under it."
    if against == GIVEN_UP:
        return "Take the change through another task."
    return f"Lead the task on: enforcer status {task}"


def bounds(entries: Iterable[Entry], processes: Processes, pinned: Collection[str] = ()) -> Iterator[Bound]:
    """Every tree that a task has verified, in whatever attempt. With `pinned`, only tasks under these processes count.

    Raises `DamagedError` (`ledger_illegal`) for entries that cannot follow each other, and what `processes` raises:
    verify the ledger first.
    """
    for history in histories(entries):
        yield from bounds_of(history, processes, pinned)


def bounds_of(history: History, processes: Processes, pinned: Collection[str] = ()) -> Iterator[Bound]:
    """The trees that one task has verified, in the order in which they were accepted."""
    state, governing = history.state, processes(history.state.digest)
    verified = [(one, bound) for one in history.acceptances if (bound := _verified(one, processes)) is not None]
    counting = history.counting()
    standing = [one for one, _ in verified if counting.get(one.phase) is one and _before_pr(one.phase, governing)]
    used = {state.digest, *(one.before.digest for one in counting.values())}
    against = _against(state, governing) or (OTHER_PROCESS if pinned and not used <= set(pinned) else "")
    for one, bound in verified:
        if counting.get(one.phase) is not one:
            yield bound.replace(against=WENT_BACK)
        else:
            yield bound.replace(against=against if one in standing[-1:] else LATER)


def _verified(acceptance: Acceptance, processes: Processes) -> Bound | None:
    """The tree of the runs that made all that the phase had to have observed; None where a run is missing or they saw
    different trees."""
    before, phase = acceptance.before, processes(acceptance.before.digest).phase(acceptance.phase)
    wanted = {rule.artifact for rule in phase.rules if rule.kind == OBSERVED and rule.mode == ENFORCE}
    accepted = [one for one in acceptance.evidence if one.artifact in wanted]
    if not accepted or any(origin(before, one.artifact, one.digest) != OBSERVED for one in accepted):
        return None
    runs = [before.runs[f"{phase.name}/{one.artifact}"] for one in accepted]
    if len({run.tree for run in runs}) != 1 or not runs[0].tree:
        return None
    return Bound(before.task, acceptance.seq, phase.name, runs[0].tree, before.base, runs[0].observation)


def _before_pr(phase: str, process: Process) -> bool:
    if not process.has(PR) or not process.has(phase):
        return True
    return process.index(phase) < process.index(PR)


def _against(state: TaskState, process: Process) -> str:
    """Why a task does not speak for what it has verified; "" where it does."""
    if state.status == ABANDONED:
        return GIVEN_UP
    if state.status == COMPLETED:
        return ""
    if not process.has(PR):
        return NOT_COMPLETED
    reached = process.has(state.phase) and process.index(state.phase) >= process.index(PR)
    return "" if reached else NOT_REACHED
