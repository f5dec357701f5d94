"""The tree as files that anyone can serve: names and contents of C2SP tlog-tiles (c2sp.org/tlog-tiles).

    tile/<level>/<index>             256 hashes of 32 bytes, one after the other: the roots of the subtrees of
                                     256^level leaves from leaf index · 256^(level+1) on; of level 0, leaf hashes
    tile/<level>/<index>.p/<width>   the first `width` hashes of a tile that is not full
    tile/entries/<index>[.p/…]       the leaves of a tile of level 0, each after its length in two bytes, big-endian

An index is written in groups of three digits, all but the last with an x before it: 1234067 is `x001/x234/067`. A full
tile never changes, so that what is published is published for good.
"""

from __future__ import annotations

from enforcer.ledger.merkle import HASH_SIZE, root_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Self

HEIGHT = 8
WIDTH = 1 << HEIGHT
TILE_SIZE = WIDTH * HASH_SIZE
ENTRIES = "entries"

_MAX_LEVEL = 63
_MAX_LEAF = 65_535
_COUNT_SIZE = 8


class TileFault(ValueError):
    """Bytes that are no tile and no bundle of entries."""


def tile_path(level: int | str, index: int, width: int = WIDTH) -> str:
    """The name of a tile, or of a bundle where the level is `ENTRIES`. Raises `ValueError` for what has none."""
    known = level == ENTRIES if isinstance(level, str) else 0 <= level <= _MAX_LEVEL
    if not known or index < 0 or not 1 <= width <= WIDTH:
        raise ValueError(f"there is no tile {index} of level {level!a} and width {width}")
    index, last = divmod(index, 1000)
    groups = [f"{last:03d}"]
    while index:
        index, group = divmod(index, 1000)
        groups.insert(0, f"x{group:03d}")
    return f"tile/{level}/{'/'.join(groups)}" + (f".p/{width}" if width < WIDTH else "")


def encode_tile(hashes: Iterable[bytes]) -> bytes:
    return b"".join(hashes)


def decode_tile(data: bytes) -> list[bytes]:
    """The hashes of a tile, full or partial. Raises `TileFault`."""
    if not data or len(data) > TILE_SIZE or len(data) % HASH_SIZE:
        raise TileFault(f"{len(data)} bytes are no tile")
    return [data[at : at + HASH_SIZE] for at in range(0, len(data), HASH_SIZE)]


def encode_bundle(leaves: Iterable[bytes]) -> bytes:
    """Raises `TileFault` for a leaf of more than 65,535 bytes: its length has no place."""
    parts: list[bytes] = []
    for leaf in leaves:
        if len(leaf) > _MAX_LEAF:
            raise TileFault(f"a leaf of {len(leaf)} bytes does not fit into a bundle")
        parts += (len(leaf).to_bytes(2), leaf)
    return b"".join(parts)


def decode_bundle(data: bytes) -> list[bytes]:
    """The leaves of a bundle, full or partial. Raises `TileFault`."""
    leaves, at = [], 0
    while at < len(data):
        begin = at + 2
        at = begin + int.from_bytes(data[at:begin])
        if at > len(data):
            raise TileFault("the bundle ends within an entry")
        leaves.append(data[begin:at])
    if not 1 <= len(leaves) <= WIDTH:
        raise TileFault(f"a bundle does not have {len(leaves)} entries")
    return leaves


class Edge:
    """The tiles above level 0 that are not full yet: `rows[n]` holds the hashes of the one of level n+1.

    `count` is how many full tiles level 0 has. From there on a tree grows without a look at anything before. Kept as
    the count in eight bytes, big-endian, and the hashes row by row; how many each row has follows from the count.
    """

    __slots__ = ("count", "rows")

    def __init__(self, count: int = 0, rows: Iterable[list[bytes]] = ()) -> None:
        self.count = count
        self.rows = list(rows)

    def add(self, row: Sequence[bytes], level: int = 0) -> list[tuple[int, int, Sequence[bytes]]]:
        """Take in the next full tile of a level, which the levels below must have no part of yet.

        Gives each tile that is full now, this one first, then those above that it completes: level, index, hashes.
        """
        index = self.count >> (HEIGHT * level)
        if len(row) != WIDTH or index << (HEIGHT * level) != self.count:
            raise ValueError(f"no full tile of level {level} follows after {self.count} of level 0")
        self.count += 1 << (HEIGHT * level)
        full = [(level, index, row)]
        while True:
            self.rows += [[] for _ in range(level + 1 - len(self.rows))]
            above = self.rows[level]
            above.append(root_of(row))
            if len(above) < WIDTH:
                return full
            self.rows[level], row = [], above
            level, index = level + 1, index >> HEIGHT
            full.append((level, index, row))

    def encode(self) -> bytes:
        return self.count.to_bytes(_COUNT_SIZE) + b"".join(each for row in self.rows for each in row)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises `TileFault`."""
        count, at, rows = int.from_bytes(data[:_COUNT_SIZE]), _COUNT_SIZE, []
        rest = count
        while rest:
            end = at + (rest % WIDTH) * HASH_SIZE
            rows.append([data[begin : begin + HASH_SIZE] for begin in range(at, end, HASH_SIZE)])
            at, rest = end, rest >> HEIGHT
        if len(data) != at:
            raise TileFault(f"the edge of {count} tiles does not have {len(data)} bytes")
        return cls(count, rows)
