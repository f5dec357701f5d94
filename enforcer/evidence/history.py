"""A task as its entries tell it: what was accepted by which entry, and how the task stood when it was.

An audit reads the entries themselves. The state that a store keeps at hand may come from a snapshot, and what is
believed there is what an audit is there to doubt.
"""

from __future__ import annotations

from enforcer.errors import DamagedError
from enforcer.workflow.approving import waivers
from enforcer.workflow.events import PhaseAdvanced
from enforcer.workflow.evolve import evolve
from enforcer.workflow.record import Record
from enforcer.workflow.state import OPEN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from enforcer.ledger.entry import Entry
    from enforcer.workflow.events import Accepted
    from enforcer.workflow.state import TaskState, Word

# What code that expects a sound state raises on an event that cannot follow.
_UNFIT = (ValueError, KeyError, IndexError, TypeError, AttributeError)


class Acceptance(Record):
    """The entry `seq`, by which `actor` left a phase on `evidence` at `ts` (UTC microseconds); `before` is the task as
    it stood until then."""

    seq: int
    actor: str
    evidence: tuple[Accepted, ...]
    before: TaskState
    ts: int = 0

    @property
    def phase(self) -> str:
        """The phase that was left."""
        return self.before.phase

    @property
    def waivers(self) -> dict[tuple[str, str], Word]:
        """The word that waived each rule at that moment, by artifact and rule."""
        return waivers(self.before, now=self.ts)


class History(Record):
    """One task: how it stands, and every acceptance on its way there, those that a backtrack set aside as well."""

    state: TaskState
    acceptances: tuple[Acceptance, ...] = ()

    def counting(self) -> dict[str, Acceptance]:
        """By phase, in the order in which they were left, the acceptance that counts now."""
        last = {one.phase: one for one in self.acceptances}
        return {phase: last[phase] for phase in self.state.walked}


def histories(entries: Iterable[Entry]) -> Iterator[History]:
    """The tasks of some entries in order: each as soon as nothing can be accepted in it any more, open ones at the end.

    Raises `DamagedError` (`ledger_illegal`) where an entry cannot follow the ones before it.
    """
    open_tasks: dict[str, tuple[TaskState, tuple[Acceptance, ...]]] = {}
    closed: set[str] = set()
    for entry in entries:
        if entry.task is None or entry.task in closed:
            continue  # What is said of a closed task changes nothing that was accepted.
        state, acceptances = open_tasks.pop(entry.task, (None, ()))
        if state is not None and isinstance(entry.event, PhaseAdvanced):
            made = Acceptance(entry.seq, entry.event.actor, entry.event.evidence, state, entry.ts)
            acceptances = (*acceptances, made)
        state = _after(state, entry)
        if state.status == OPEN:
            open_tasks[entry.task] = (state, acceptances)
        else:
            closed.add(entry.task)
            yield History(state, acceptances)
    for state, acceptances in open_tasks.values():
        yield History(state, acceptances)


def _after(state: TaskState | None, entry: Entry) -> TaskState:
    try:
        return evolve(state, entry.event, entry.place)
    except _UNFIT as error:
        message = f"Entry {entry.seq} cannot follow what was before it."
        where = f"{entry.task}, entry {entry.seq}"
        raise DamagedError("ledger_illegal", message, where=where, fix="Look at it with: enforcer verify") from error
