"""The raw pass: bytes, chain and tree. It looks at where a line says it stands and at nothing else of it.

A run is what one process reads on end, usually a segment: its lines are held against each other, and only the joining
of runs asks what came before. So runs can be read in any order, on any core, and find what one long run would find.
Where a line departs, the run goes on from what that line says, so that one fault does not hide the next.

Lines that have no place, because they are no lines of this format, are passed over here: whoever parses names them.
"""

from __future__ import annotations

import re
from binascii import hexlify

from enforcer.ledger.merkle import EMPTY_ROOT, Frontier
from enforcer.ledger.report import INTEGRITY, Findings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from enforcer.ledger.tilecheck import TileCheck

# A full segment is a complete subtree.
SEGMENT_LEVEL = 16
SEGMENT_LINES = 1 << SEGMENT_LEVEL

UNKNOWN = 1 << 63  # Entries: more than there can be.

# The longest end of a line, from the member `prev` on.
_REACH = 240
_place = re.compile(
    rb',"prev":"([0-9a-f]{64})","seq":([0-9]{1,16})'
    rb',"task_prev":(?:null|"[0-9a-f]{64}"),"task_seq":(?:null|[0-9]{1,16}),"ts":([0-9]{1,16}),"v":1\}\Z'
).match
_rest = re.compile(rb'(?:null|"[0-9a-f]{64}"),"task_seq":(?:null|[0-9]{1,16}),"ts":([0-9]{1,16}),"v":1\}\Z').match


def place_of(leaf: bytes) -> tuple[bytes, int, int] | None:
    """The `prev` (hex), `seq` and `ts` that a line claims; None where it does not end as a line does."""
    at = leaf.rfind(b',"prev":"')
    found = _place(leaf, at) if at >= 0 else None
    return (found[1], int(found[2]), int(found[3])) if found else None


class Run:
    """Consecutive lines, the first of which is entry `first` by the name of its segment or by what stands before it.

    `tree` is the frontier from which the run grows it: of all lines before, or empty where `offset` lines before the
    run are hashed elsewhere. `wanted` are sizes of the whole tree, ascending; `marks` keeps the frontier at each of
    those that are reached.
    """

    def __init__(
        self,
        first: int,
        found: Findings,
        *,
        tree: Frontier,
        offset: int = 0,
        wanted: Sequence[int] = (),
        tiles: TileCheck | None = None,
    ) -> None:
        self.first, self.next, self.offset = first, first, offset
        self.tree = tree
        self.marks: dict[int, Frontier] = {}
        self.count = 0
        self.prev: bytes | None = None  # What the first line says stands before it; None where it says nothing.
        self.dated = 0  # The time of the first line.
        self.ts = 0
        self.head = b""
        self._found, self._tiles = found, tiles
        self._wanted = [size - offset for size in wanted if size - offset > tree.size]

    def take(self, leaves: Sequence[bytes], hashes: Sequence[bytes]) -> None:
        """The next lines, and their leaf hashes."""
        if not leaves:
            return
        first = 0
        if not self.count:
            self._open(leaves[0])
            self.head, first = hashes[0], 1
        self._link(leaves[first:], hashes[first:])
        self.count += len(leaves)
        self.head = hashes[-1]
        self._grow(hashes)

    def pack(self) -> dict[str, Any]:
        """What joining needs of it, as JSON."""
        return {
            "first": self.first,
            "next": self.next,
            "offset": self.offset,
            "count": self.count,
            "prev": self.prev.decode("ascii") if self.prev is not None else None,
            "dated": self.dated,
            "ts": self.ts,
            "head": self.head.hex(),
            "tree": _packed(self.tree),
            "marks": {str(size): _packed(mark) for size, mark in self.marks.items()},
        }

    @classmethod
    def unpack(cls, packed: Mapping[str, Any]) -> Run:
        """A run that another process has read. Raises `ValueError`, `KeyError` or `TypeError` for anything else."""
        run = cls(packed["first"], Findings(), tree=_unpacked(packed["tree"]), offset=packed["offset"])
        run.next, run.count, run.dated, run.ts = (int(packed[name]) for name in ("next", "count", "dated", "ts"))
        run.prev = packed["prev"].encode("ascii") if packed["prev"] is not None else None
        run.head = bytes.fromhex(packed["head"])
        run.marks = {int(size): _unpacked(mark) for size, mark in packed["marks"].items()}
        return run

    def _open(self, leaf: bytes) -> None:
        place = place_of(leaf)
        if place is not None:
            self.prev, seq, self.ts = place
            self.dated = self.ts
            self._check_seq(seq, self.first)
            self.next = seq
        self.next += 1

    def _link(self, leaves: Iterable[bytes], hashes: Iterable[bytes]) -> None:
        """One comparison finds a line in its place behind the bytes that stand before it; the rest is the exception."""
        prev, seq, ts = hexlify(self.head), self.next, self.ts
        for leaf, digest in zip(leaves, hashes, strict=True):
            expected = b',"prev":"%b","seq":%d,"task_prev":' % (prev, seq)
            at = leaf.find(expected, -_REACH)
            end = _rest(leaf, at + len(expected)) if at >= 0 else None
            if end is not None and (now := int(end[1])) >= ts:
                ts = now
                seq += 1
            else:
                seq, ts = self._depart(leaf, prev, seq, ts)
            prev = hexlify(digest)
        self.next, self.ts = seq, ts

    def _depart(self, leaf: bytes, prev: bytes, seq: int, ts: int) -> tuple[int, int]:
        """Names how a line departs; what the next one has to be."""
        place = place_of(leaf)
        if place is None:
            return seq + 1, ts
        said, number, now = place
        self._check_seq(number, seq)
        if said != prev:
            contradict_link(self._found, seq)
        if now < ts:
            contradict_time(self._found, number)
        return number + 1, max(ts, now)

    def _check_seq(self, said: int, seq: int) -> None:
        if said != seq:
            message = f"The line says that it is entry {said}, and {seq} was next."
            self._found.contradiction(INTEGRITY, seq, "out_of_order", message)

    def _grow(self, hashes: Sequence[bytes]) -> None:
        done = 0
        while self._wanted and self._wanted[0] <= self.tree.size + len(hashes) - done:
            size = self._wanted.pop(0)
            part = size - self.tree.size
            self._extend(hashes[done : done + part])
            self.marks[size + self.offset] = self.tree.copy()
            done += part
        self._extend(hashes[done:] if done else hashes)

    def _extend(self, hashes: Sequence[bytes]) -> None:
        if self._tiles is not None:
            self._tiles.take(hashes)
        self.tree.extend(hashes)


class Chain:
    """The runs of a ledger, joined in their order.

    `whole` until lines are missing; from then on no root is known. `unread`: the end could not be read. `roots` are
    those of the sizes that were wanted.
    """

    def __init__(self, genesis: str, found: Findings) -> None:
        self._found = found
        self.tree = Frontier()
        self.whole = True
        self.unread = False
        self.prev: bytes | None = genesis.encode("ascii")
        self.next = self.ts = self.entries = 0
        self.head: bytes | None = None
        self.roots: dict[int, bytes] = {0: EMPTY_ROOT}

    @property
    def reach(self) -> int:
        """How many entries there are by the number of the last one: lines that are missing may yet be found."""
        if self.unread:
            return UNKNOWN
        return self.entries if self.whole else max(self.entries, self.next)

    def resume(self, tree: Frontier, head: str, ts: int, roots: Mapping[int, bytes]) -> None:
        """Go on after the lines of `tree`, of which the last has the leaf hash `head` (hex) and the time `ts`."""
        self.tree, self.prev, self.head, self.ts = tree, head.encode("ascii"), bytes.fromhex(head), ts
        self.next = self.entries = tree.size
        self.roots |= roots

    def skip(self, seq: int) -> None:
        """Lines are missing up to `seq`, so the next one cannot be held against anything."""
        self.prev, self.next, self.whole = None, seq, False

    def lose(self, *, last: bool) -> None:
        """The rest of a segment could not be read; of the last one nobody knows how far it reaches."""
        self.prev, self.whole, self.unread = None, False, last

    def join(self, run: Run) -> None:
        """The run continues this chain, as far as its first line says so."""
        if not run.count:
            return
        if None not in (run.prev, self.prev) and run.prev != self.prev:
            if self.entries:
                contradict_link(self._found, run.first)
            else:
                message = "The first line does not follow this `ledger.json`."
                self._found.contradiction(INTEGRITY, run.first, "genesis_broken", message)
        if run.prev is not None and run.dated < self.ts:
            contradict_time(self._found, run.first)
        self._join_trees(run)
        self.prev, self.head, self.next = hexlify(run.head), run.head, run.next
        self.ts = max(self.ts, run.ts)
        self.entries += run.count

    def _join_trees(self, run: Run) -> None:
        if not self.whole:
            return
        for size, mark in run.marks.items():
            self.roots[size] = joined(self.tree, mark, run.offset).root()
        self.tree = joined(self.tree, run.tree, run.offset)


def joined(tree: Frontier, later: Frontier, offset: int) -> Frontier:
    """The frontier of what `tree` holds and `later` adds; `later` counts from leaf `offset`, a multiple of its span."""
    if not offset:
        return later.copy()
    whole = tree.copy()
    size = later.size
    for node in later.nodes:
        level = size.bit_length() - 1
        whole.append_subtree(level, node)
        size -= 1 << level
    return whole


def _packed(tree: Frontier) -> list[Any]:
    return [tree.size, *(node.hex() for node in tree.nodes)]


def _unpacked(packed: list[Any]) -> Frontier:
    return Frontier(packed[0], [bytes.fromhex(node) for node in packed[1:]])


def contradict_link(found: Findings, seq: int) -> None:
    """Whoever changes a line breaks the link of the next one to it, so it is the earlier one that is named."""
    message = f"Entry {seq} was written after other bytes than these: one of the two was changed."
    found.contradiction(INTEGRITY, max(0, seq - 1), "chain_broken", message)


def contradict_time(found: Findings, seq: int) -> None:
    found.contradiction(INTEGRITY, seq, "time_reversed", "It is dated before the line above it.")
