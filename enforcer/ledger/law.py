"""Whether the line of somebody else could have been decided, asked as it is read: so that no command builds on it.

A line that chains was written by whoever can write the file, which is not the gate alone. It asks the same rules as
`verify`, and less: one line against the state before it. Where the process that a line names is not here, or is of
another release, only what holds under every process is asked, and `verify` says that the rest was not.
"""

from __future__ import annotations

from enforcer.errors import EnforcerError
from enforcer.workflow.events import ProcessAdopted, TaskOpened
from enforcer.workflow.legality import adoption, legality

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from enforcer.ledger.entry import Entry
    from enforcer.workflow.process import Process
    from enforcer.workflow.state import TaskState

# What code that expects a sound state or process raises on a forged one.
_UNFIT = (ValueError, KeyError, IndexError, TypeError, AttributeError)


class Law:
    """Judges single lines (`fold.Judge`). `processes` loads a stored process by digest, and remembers it."""

    def __init__(self, processes: Callable[[str], Process]) -> None:
        self._load = processes

    def __call__(self, state: TaskState | None, entry: Entry) -> list[str]:
        """Why the line could not have been decided in `state`; empty where nothing speaks against it."""
        if not entry.seq and entry.task is not None:
            return ["the ledger does not begin with its creation"]
        if entry.task is None:
            return []
        try:
            return self._faults(state, entry)
        except _UNFIT as error:
            return [f"it cannot follow what was before it ({type(error).__name__})"]

    def _faults(self, state: TaskState | None, entry: Entry) -> list[str]:
        event = entry.event
        digest = event.digest if isinstance(event, TaskOpened) else state.digest if state is not None else ""
        process = self._process(digest)
        faults = list(legality(state, event, process, ts=entry.ts))
        if isinstance(event, ProcessAdopted) and state is not None and process is not None:
            adopted = self._process(event.digest)
            faults += adoption(state, event, process, adopted) if adopted is not None else ()
        return faults

    def _process(self, digest: str) -> Process | None:
        try:
            return self._load(digest)
        except (EnforcerError, *_UNFIT):
            return None
