"""Entries read from the lines again, held against what is known of their end.

A ledger that began with a snapshot never took in the lines below it, and one that took them in long ago does not know
what has become of them. Whoever can write the folder can have edited any of them since. What cannot be edited is what
the process holds itself: the hash of the last line, and of each task's last entry. They commit to every line before
them, so each line is held against the one that follows it, up to there, and whatever departs is damage.
"""

from __future__ import annotations

from enforcer.ledger.entry import BadLine, leaf_hash, parse_leaf
from enforcer.ledger.segments import damaged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from enforcer.errors import DamagedError
    from enforcer.ledger.entry import Entry
    from enforcer.ledger.fold import Head
    from enforcer.ledger.segments import Segments
    from enforcer.workflow.state import TaskState

_PREV = b',"prev":"'


class Reading:
    """Reads the lines of one ledger, whose first one stands on `genesis`. `head` and `state` are what is trusted.

    Everything raises `DamagedError` with the place, and `UnavailableError` where the disk gives no answer.
    """

    def __init__(self, segments: Segments, genesis: str) -> None:
        self._segments, self._genesis = segments, genesis

    def lines(self, start: int, head: Head) -> Iterator[tuple[int, bytes]]:
        """Number and bytes of the lines from `start` to the end. `ledger_chain_broken` where they do not lead there.

        A line is yielded once the next one has borne it out, so one that was edited alone is never seen. Where the
        lines after it were linked anew as well, the break comes later: whoever stops before the end has not been told
        of it, and what has to be sure of single lines proves them in the tree.
        """
        lines = self._segments.lines_from(start, head.size)
        return linked(lines, "" if start else self._genesis, head.hash, self._break)

    def entries(self, start: int, head: Head) -> Iterator[Entry]:
        """The same lines, read strictly."""
        for seq, line in self.lines(start, head):
            yield self._parse(line, seq)

    def task(self, state: TaskState, size: int) -> list[tuple[Entry, bytes]]:
        """The entries of a task with their lines: all those that the last one commits to, which is `state.head`.

        Raises `ledger_task_chain_broken` where one departs or is missing. None is given before all have been read.
        """
        mark = f'"subject":"{state.task}"'.encode()
        found: list[tuple[Entry, bytes]] = []
        before = None
        for seq, line in self._segments.lines_from(state.opened_seq, size, mark=mark):
            entry = self._parse(line, seq) if mark in line else None
            if entry is None or entry.task != state.task:
                continue
            if (entry.task_prev, entry.task_seq) != (before, len(found) + 1):
                raise self._task_break(state, seq)
            found.append((entry, line))
            before = entry.hash
            if len(found) == state.task_seq:
                break
        if before != state.head or len(found) != state.task_seq:
            raise self._task_break(state, found[-1][0].seq if found else state.opened_seq)
        return found

    def _parse(self, line: bytes, seq: int) -> Entry:
        path = self._segments.path(self._segments.first_of(seq))
        try:
            entry = parse_leaf(line)
        except BadLine as bad:
            raise damaged(f"ledger_{bad.code}", path, 0, seq, str(bad)) from bad
        if entry.seq != seq:
            raise damaged("ledger_out_of_order", path, 0, seq, f"entry {seq} does not stand where it should")
        return entry

    def _break(self, seq: int) -> DamagedError:
        what = f"entry {seq} and the line before it are not those that were written one after the other"
        return self._damaged("ledger_chain_broken", seq, what)

    def _task_break(self, state: TaskState, seq: int) -> DamagedError:
        what = f"the entries of {state.task} are not the {state.task_seq} that its last one follows"
        return self._damaged("ledger_task_chain_broken", seq, what)

    def _damaged(self, code: str, seq: int, what: str) -> DamagedError:
        segment = self._segments.open(self._segments.first_of(seq))
        return damaged(code, segment.path, self._segments.find(segment, seq), seq, what)


def linked(
    lines: Iterable[tuple[int, bytes]], before: str, end: str, broken: Callable[[int], Exception]
) -> Iterator[tuple[int, bytes]]:
    """Consecutive lines, each one after its successor has named its hash; the last one has to have the hash `end`.

    `before` is what the first one has to name, or empty where that is not known. What `broken` makes of a line's number
    is raised where that line departs: one that is not of this format names nothing, and departs as well.
    """
    held: tuple[int, bytes] | None = None
    for seq, line in lines:
        if before and _prev_of(line) != before.encode():
            raise broken(seq)
        if held is not None:
            yield held
        held, before = (seq, line), leaf_hash(line)
    if held is not None:
        if before != end:
            raise broken(held[0])
        yield held


def _prev_of(line: bytes) -> bytes:
    """What a line says it follows. That the line is well formed needs no look: its bytes are held against a hash."""
    at = line.rfind(_PREV) + len(_PREV)
    return line[at : at + 64]
