"""The tasks as an earlier line left them: from a snapshot that can be trusted, else from the history itself.

A snapshot saves reading and never decides what is true. One that turns out not to hold, at the start or when a task is
first asked for, is as good as absent, and the next written entry says why (`cache_rejected`).
"""

from __future__ import annotations

from enforcer.ledger.snapshot import Header, Snapshots

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from enforcer.ledger.fold import Fold
    from enforcer.workflow.state import TaskState


class Past:
    """`snapshots` None: nothing is remembered. `replay` gives the tasks after so many lines, read one by one.

    `every` is the number of entries from one snapshot to the next.
    """

    def __init__(
        self, snapshots: Snapshots | None, replay: Callable[[int], Mapping[str, TaskState]], *, every: int
    ) -> None:
        self._snapshots, self._replay, self._every = snapshots, replay, every
        self._rebuilt: Mapping[str, TaskState] | None = None
        self.rejected = ""
        self.header: Header | None = None
        try:
            self.header = snapshots.open() if snapshots else None
        except ValueError as error:
            self._reject(error)
        self._saved = self.header.size if self.header else 0

    def task(self, name: str) -> TaskState | None:
        """A task as it was at `header`."""
        if self._rebuilt is None and self.header is not None and self._snapshots is not None:
            try:
                return self._snapshots.task(name)
            except (ValueError, OSError) as error:
                self._rebuild(error)
        return self._rebuilt.get(name) if self._rebuilt is not None else None

    def tasks(self) -> Iterable[TaskState]:
        """All of them, in no order."""
        if self._rebuilt is None and self.header is not None and self._snapshots is not None:
            try:
                return tuple(self._snapshots.tasks())
            except (ValueError, OSError) as error:
                self._rebuild(error)
        return self._rebuilt.values() if self._rebuilt is not None else ()

    def due(self, size: int) -> bool:
        """Whether a ledger of so many entries should be remembered anew."""
        return self._snapshots is not None and size - self._saved >= self._every

    def save(self, header: Header, fold: Fold) -> None:
        """Remember the state at `header`. What fails is of no consequence, and tried again later."""
        assert self._snapshots is not None
        changed = {name: fold.tasks[name] for name in fold.touched}
        if self._rebuilt is not None:
            changed = {**self._rebuilt, **fold.tasks}
        try:
            self._snapshots.save(header, changed)
        except OSError:
            return
        except ValueError as error:
            self._rebuild(error)
            return
        fold.touched.clear()
        self._saved = header.size

    def close(self) -> None:
        if self._snapshots is not None:
            self._snapshots.close()

    def _rebuild(self, why: Exception) -> None:
        """Put the history itself in the place of a snapshot whose content turned out not to hold.

        The tasks that were taken from it before came from parts that did hold, and so need no second look.
        """
        self._rebuilt = self._replay(self.header.size) if self.header else {}
        self._saved = 0
        self._reject(why)

    def _reject(self, why: Exception) -> None:
        self.rejected = f"snapshot: {why}"[:200]
