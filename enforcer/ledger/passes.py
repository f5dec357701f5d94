"""Reads segments once and feeds both passes from the same bytes, so that nobody can show each of them something else.

Several processes can share a ledger. Each then reads all of its lines, because tasks are spread over all of them, and
does the raw pass for some segments and the replay for some tasks; that all have read the same is shown by a digest of
the leaf hashes of every segment.
"""

from __future__ import annotations

import gc
import os
from contextlib import contextmanager
from hashlib import sha256

from enforcer.ledger.lines import Lines
from enforcer.ledger.report import INTEGRITY
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from enforcer.ledger.chain import Run
    from enforcer.ledger.replay import Replay
    from enforcer.ledger.report import Findings
    from enforcer.ports import Disk

_SUFFIX = ".jsonl"
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


class Segment(Record):
    """A file of lines: the entry it begins with by its name, how many bytes it had, and from which on it is read."""

    name: str
    size: int
    start: int = 0

    @property
    def first(self) -> int:
        return int(self.name[:20])


def list_segments(folder: str, disk: Disk, found: Findings) -> list[Segment]:
    """The segments in `folder`, in their order. Whoever appends meanwhile appends to what is not looked at."""
    segments = []
    for name in disk.listing(folder):
        if not is_segment(name):
            found.note(None, "segment_unexpected", f"{name[:80]!a} is not a segment, and was not read.")
            continue
        try:
            fd = disk.open(f"{folder}/{name}", _READ)
            try:
                segments.append(Segment(name, disk.size(fd)))
            finally:
                disk.close(fd)
        except OSError as error:
            found.gap(INTEGRITY, int(name[:20]), "segment_unreadable", f"{name}: {error.strerror}.")
    return segments


def is_segment(name: str) -> bool:
    """Whether this is the name of a segment: 20 digits and a suffix."""
    return len(name) == 20 + len(_SUFFIX) and name.endswith(_SUFFIX) and name[:20].isdecimal() and name.isascii()


@contextmanager
def uncollected() -> Iterator[None]:
    """Without the collector of cycles: reading a ledger makes millions of objects and no cycle, and the search for one
    takes a tenth of the time. What is not used any more goes all the same."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class Passes:
    """Both passes over segments, one after the other. `progress` is told how many bytes were read of all.

    `contents` are the digests of what was read of each segment, in hex, and `torn` how many bytes follow the last
    newline of those that do not end in one.
    """

    def __init__(
        self, folder: str, replay: Replay | None, *, disk: Disk, progress: Callable[[int], None] | None = None
    ) -> None:
        self._folder, self._replay, self._disk, self._progress = folder, replay, disk, progress
        self._done = 0
        self.contents: dict[str, str] = {}
        self.torn: dict[str, int] = {}

    def read(self, segment: Segment, run: Run | None) -> None:
        """Read a segment; `run` takes its lines where its raw pass is done here. `OSError` passes."""
        if self._replay is not None:
            self._replay.enter(segment.first if not segment.start else self._replay.next)
        content = sha256()
        fd = self._disk.open(f"{self._folder}/{segment.name}", _READ)
        try:
            lines = Lines(fd, segment.size, self._disk, segment.start)
            for leaves, hashes in lines:
                if run is not None:
                    run.take(leaves, hashes)
                if self._replay is not None:
                    self._replay.take(leaves, hashes)
                content.update(b"".join(hashes))
                self._tell(lines.read - segment.start)
        finally:
            self._disk.close(fd)
        self._tell(lines.read - segment.start)
        self._done += segment.size - segment.start
        self.contents[segment.name] = content.hexdigest()
        if lines.torn:
            self.torn[segment.name] = lines.torn

    def _tell(self, read: int) -> None:
        if self._progress is not None:
            self._progress(self._done + read)
