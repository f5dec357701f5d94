"""Where a verification that found nothing wrong has ended, so that the next one need not begin at the beginning.

A mark is only as good as the place it is kept in: an authenticated cache (see `cache`) under a key that the ledger's
writer may well have. So it saves time between two looks of one user, and no audit and no second machine ever begins
with one. It is used only where every segment still has its length and the last line that was read its bytes.
"""

from __future__ import annotations

import json
import os

from enforcer.ledger.codec import JsonFault, parse
from enforcer.ledger.entry import MAX_LEAF, leaf_hash
from enforcer.ledger.merkle import Frontier
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, ClassVar

    from enforcer.ledger.cache import Cache
    from enforcer.ledger.passes import Segment
    from enforcer.ports import Disk

NAME = "verified"
MAX_MARK = 1 << 28
_VERSION = 1
_DEPTH = 32


class Extent(Record):
    """A segment and how many of its bytes were read, all of them in complete lines."""

    name: str
    end: int


class Mark(Record, kw_only=True):
    """The state of a verification after `size` entries, the last of which has the leaf hash `head` (hex) and time `ts`.

    `tree` are the nodes of the frontier and `roots` the roots that were compared, by size, all in hex. `replay` is what
    `Replay.pack` gave.
    """

    version: int = _VERSION
    genesis: str
    size: int
    head: str
    ts: int
    tree: tuple[str, ...]
    roots: Mapping[str, str]
    segments: tuple[Extent, ...]
    replay: Mapping[str, Any]

    nested: ClassVar[Mapping[str, type[Record]]] = {"segments": Extent}

    @property
    def frontier(self) -> Frontier:
        """Raises `ValueError` where the nodes are not those of so many entries."""
        return Frontier(self.size, [bytes.fromhex(node) for node in self.tree])

    @property
    def known_roots(self) -> dict[int, bytes]:
        return {int(size): bytes.fromhex(root) for size, root in self.roots.items()}


def keep_mark(cache: Cache, mark: Mark) -> None:
    cache.put(NAME, json.dumps(mark.pack(complete=True), separators=(",", ":")).encode())


def find_mark(cache: Cache, genesis: str, segments: list[Segment], folder: str, disk: Disk) -> Mark | str:
    """The mark, if there is one and it fits the segments in `folder`; in words why not."""
    data = cache.get(NAME)
    if data is None:
        return "there is no mark of an earlier verification that can be trusted"
    try:
        packed = parse(data, max_bytes=MAX_MARK, max_depth=_DEPTH)
        if packed.get("version") != _VERSION:
            return "the mark is of another release"
        mark = Mark.unpack(packed)
        fits = mark.genesis == genesis and mark.frontier.size == mark.size and bool(mark.segments)
    except (JsonFault, ValueError, AttributeError):
        return "the mark cannot be read"
    ends = [(extent.name, extent.end) for extent in mark.segments]
    before = [(segment.name, segment.size) for segment in segments[: len(ends)]]
    if not fits or before[:-1] != ends[:-1] or [name for name, _ in before] != [name for name, _ in ends]:
        return "the segments are not those of the mark"
    if before[-1][1] < ends[-1][1]:
        return "the last segment of the mark has lost bytes"
    try:
        stands = _last_line_hash(f"{folder}/{ends[-1][0]}", ends[-1][1], disk) == mark.head
    except OSError as error:
        return f"the last line of the mark cannot be read ({error.strerror})"
    return mark if stands else "the last line of the mark is not there any more"


def _last_line_hash(path: str, end: int, disk: Disk) -> str:
    """The leaf hash of the line that ends at byte `end`; empty where none does."""
    fd = disk.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        start = max(0, end - MAX_LEAF - 2)
        data = disk.read(fd, end - start, start)
    finally:
        disk.close(fd)
    if not data.endswith(b"\n"):
        return ""
    return leaf_hash(data[data.rfind(b"\n", 0, -1) + 1 : -1])
