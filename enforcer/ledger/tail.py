"""The end of the ledger, as one process follows it: the open segment, and up to where its lines were taken in.

Others append, begin segments and put repaired ones in their place. All of that is noticed here, by the size of what the
segment's name leads to now, and by its device and inode; and what was taken in before must still stand.
"""

from __future__ import annotations

from enforcer.ledger.entry import BadLine, leaf_hash
from enforcer.ledger.segments import CHUNK, damaged, segment_name, unavailable, unreadable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from enforcer.errors import DamagedError
    from enforcer.ledger.fold import Fold
    from enforcer.ledger.segments import Segment, Segments
    from enforcer.ports import Disk


class Tail:
    """Feeds `fold`. The last line taken in begins at byte `last` of the segment and ends at `end`.

    `rest` counts the bytes that stood behind it when the segment was last looked at.
    """

    def __init__(self, segments: Segments, fold: Fold, *, disk: Disk) -> None:
        self._segments, self._fold, self._disk = segments, fold, disk
        self._open: Segment | None = None
        self._listed = -1
        self.last = self.end = self.rest = 0

    @property
    def segment(self) -> Segment:
        """Where the last line stands, or one that was begun after it; as it was when it was last looked at."""
        return self._open or self.current()[0]

    @property
    def full(self) -> bool:
        """Whether the next line begins another segment."""
        return self._fold.head.size == self.segment.first + self._segments.lines

    def advance(self, *, writable: bool = False) -> BadLine | None:
        """Take in the complete lines that were added; the first one that does not fit ends it, and is returned.

        Raises `DamagedError` and `UnavailableError`.
        """
        while True:
            segment, size = self.current(writable=writable)
            bad = self._take(segment, size)
            if bad is not None:
                self.rest = size - self.end
                return bad
            if not self._turn_over(segment, size):
                break
        self.rest = size - self.end
        if segment.first < self._listed:
            raise self.damaged("ledger_gap", f"the segment ends, and there is {segment_name(self._listed)}")
        return None

    def current(self, *, writable: bool = False) -> tuple[Segment, int]:
        """The segment and its size; opened anew where another file has taken its place."""
        segment = self._open
        if segment is None:
            self._listed = self._segments.check()
            segment = self._reopen(self._segments.first_of(max(0, self._fold.head.size - 1)), writable)
            return segment, segment.size()
        try:
            device, inode, size = self._disk.look(segment.path)
        except FileNotFoundError as error:
            raise unavailable("segment_missing", f"{error.strerror}: {segment.path}", segment.path) from error
        except OSError as error:
            raise unreadable(segment.path, error) from error
        if (device, inode) != segment.place or writable > segment.writable:
            segment = self._reopen(segment.first, writable)
            size = segment.size()
        return segment, size

    def grow(self, length: int) -> None:
        """A line of so many bytes, newline included, was taken in."""
        self.last, self.end = self.end, self.end + length

    def enter(self, segment: Segment) -> None:
        """Go on in the next segment."""
        self._open, self.last, self.end = segment, 0, 0

    def close(self) -> None:
        self._open = None

    def damaged(self, code: str, what: str) -> DamagedError:
        """What is wrong where the next line would begin."""
        return damaged(code, self.segment.path, self.end, self._fold.head.size, what)

    def _reopen(self, first: int, writable: bool) -> Segment:
        segment = self._segments.open(first, writable=writable)
        line = segment.read(self.end - self.last, self.last)
        head = self._fold.head
        if self.end and not (line.endswith(b"\n") and leaf_hash(line[:-1]) == head.hash):
            raise damaged("ledger_cut", segment.path, self.last, head.size - 1, "a line that was there before is gone")
        self._open = segment
        return segment

    def _take(self, segment: Segment, size: int) -> BadLine | None:
        if size < self.end:
            raise self.damaged("ledger_cut", f"the segment has {size} bytes, and {self.end} were there before")
        while self.end < size and not self.full:
            lines = segment.read(min(CHUNK, size - self.end), self.end).split(b"\n")
            lines.pop()  # Of the last line only a part may have been read, or written.
            if not lines:
                return None
            for line in lines[: segment.first + self._segments.lines - self._fold.head.size]:
                try:
                    self._fold.accept(line)
                except BadLine as bad:
                    return bad
                self.grow(len(line) + 1)
        return None

    def _turn_over(self, segment: Segment, size: int) -> bool:
        """Go on to the next segment where there is one."""
        if not self.full:
            return False
        if size > self.end:
            raise self.damaged("ledger_gap", "bytes follow the last line of a full segment")
        following = self._fold.head.size
        if not self._segments.exists(following):
            return False
        self.enter(self._segments.open(following, writable=segment.writable))
        return True
