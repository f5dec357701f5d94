"""The tree of a ledger on disk: its full hash tiles below `tile/`, made from the lines and never synced.

    tile/<level>/<index>   full tiles, named and filled as in `tiles`
    tile/edge              what is known of the tiles above level 0 that are not full yet (`tiles.Edge`)

Everything here is derived and trusted by nobody: whoever uses a node of this tree holds what comes of it against a root
that is known otherwise, and drops the tiles where it does not fit. So a tile that is missing, torn or of a wrong length
is made again from the lines, and nothing of this can damage a ledger.

Growing costs time for the new leaves alone. Any node is found in one tile, in the edge, or in the lines after the last
full tile, of which there are fewer than 256. Partial tiles and bundles of entries exist in exports only: they would be
written anew with every checkpoint, and the lines hold the same.
"""

from __future__ import annotations

import os
from itertools import islice

from enforcer.errors import DamagedError
from enforcer.ledger.checkpoint import parse_checkpoint
from enforcer.ledger.merkle import Frontier, leaf_hash, root_of
from enforcer.ledger.note import NoteFault, parse_note
from enforcer.ledger.tiles import (
    ENTRIES,
    HEIGHT,
    TILE_SIZE,
    WIDTH,
    Edge,
    TileFault,
    decode_tile,
    encode_bundle,
    encode_tile,
    tile_path,
)
from enforcer.ports import write_whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from enforcer.ledger.merkle import Node
    from enforcer.ports import Disk, Entropy

_EDGE = "tile/edge"
# Eight levels of tiles are more than the 2^63 leaves fill that a checkpoint can count.
_LEVELS = 8
_MAX_EDGE = 8 + _LEVELS * TILE_SIZE


class TileTree:
    """The tree of the lines that `leaves` yields, from any number on. `folder` is where `tile/` stands.

    With `writes` false nothing below the folder is touched: what is missing there is worked out from the lines.
    """

    def __init__(
        self,
        folder: str,
        *,
        disk: Disk,
        entropy: Entropy,
        leaves: Callable[[int], Iterator[bytes]],
        writes: bool = True,
    ) -> None:
        self._folder, self._leaves, self._writes = folder, leaves, writes
        self._disk, self._entropy = disk, entropy
        self._edge: Edge | None = None
        self._filling: tuple[int, list[bytes]] = (-1, [])

    def grow(self, size: int) -> None:
        """Make every full tile of a tree of `size` leaves exist. Continues where it stopped; `OSError` passes."""
        target = size // WIDTH
        edge = self._load(target)
        if edge.count >= target:
            return
        leaves = self._leaves(edge.count * WIDTH)
        try:
            while edge.count < target:
                for level, index, row in edge.add([leaf_hash(leaf) for leaf in _take(leaves, WIDTH)]):
                    self._put(tile_path(level, index), encode_tile(row))
            self._put(_EDGE, edge.encode())
        except BaseException:
            # The edge in memory may be ahead of the tiles; the one on disk is not.
            self._edge = None
            raise

    def node(self, size: int) -> Node:
        """The subtree roots of a tree of `size` leaves, as proofs ask for them. Grows the tree where it is behind."""
        self.grow(size)
        rows: dict[tuple[int, int], Sequence[bytes]] = {}

        def root_at(level: int, index: int) -> bytes:
            if (index + 1) << level > size:
                raise ValueError(f"a tree of {size} leaves has no complete subtree {index} of level {level}")
            height, within = divmod(level, HEIGHT)
            tile, begin = divmod(index << within, WIDTH)
            if (height, tile) not in rows:
                rows[height, tile] = self._row(height, tile, size)
            return root_of(rows[height, tile][begin : begin + (1 << within)])

        return root_at

    def drop(self) -> None:
        """Delete all tiles, because one of them was found to be wrong. They are made again when they are needed."""
        self._edge, self._filling = None, (-1, [])
        _remove(f"{self._folder}/tile", self._disk)

    def write_site(self, target: str, size: int, checkpoint: bytes) -> None:
        """Write the first `size` leaves as a static tlog-tiles site that stands alone, below the folder `target`.

        Everything is made from the lines, which are first held against the root of the checkpoint, a signed note; it
        is put in place last, so that a site that is already there grows. Unsynced; `OSError` passes. Raises
        `DamagedError` `checkpoint_damaged` and, where the lines have another root, `checkpoint_contradicted`.
        """
        tree, leaves = Frontier(), self._leaves(0)
        for begin in range(0, size, WIDTH):
            tree.extend(map(leaf_hash, _take(leaves, min(WIDTH, size - begin))))
        _check_head(checkpoint, size, tree.root())
        edge, leaves = Edge(), self._leaves(0)
        for index in range(size // WIDTH):
            bundle = _take(leaves, WIDTH)
            self._put(tile_path(ENTRIES, index), encode_bundle(bundle), target)
            for level, place, row in edge.add([leaf_hash(leaf) for leaf in bundle]):
                self._put(tile_path(level, place), encode_tile(row), target)
        bundle = _take(leaves, size % WIDTH)
        if bundle:
            self._put(tile_path(ENTRIES, edge.count, len(bundle)), encode_bundle(bundle), target)
        for level, row in enumerate([[leaf_hash(leaf) for leaf in bundle], *edge.rows]):
            if row:
                self._put(tile_path(level, edge.count >> (HEIGHT * level), len(row)), encode_tile(row), target)
        self._put("checkpoint", checkpoint, target)

    def _load(self, target: int) -> Edge:
        """The edge: as it is kept in memory, as it stands on disk, or put together from the first `target` tiles."""
        if self._edge is None:
            try:
                edge = Edge.decode(self._read(_EDGE, _MAX_EDGE))
            except (OSError, TileFault):
                edge = Edge()
            self._edge = edge if edge.count and self._has_last(edge) else self._recover(target)
        return self._edge

    def _has_last(self, edge: Edge) -> bool:
        """Whether the last full tile of each level is there: an edge can outlive tiles that never reached the disk."""
        counts = [edge.count >> (HEIGHT * level) for level in range(_LEVELS)]
        return all(self._stored(level, count - 1) is not None for level, count in enumerate(counts) if count)

    def _recover(self, target: int) -> Edge:
        """The edge after as many of the first `target` tiles of level 0 as tiles of any level stand for."""
        edge = Edge()
        for level in reversed(range(_LEVELS)):
            while edge.count + (1 << (HEIGHT * level)) <= target:
                row = self._stored(level, edge.count >> (HEIGHT * level))
                if row is None:
                    break
                for above, index, full in edge.add(row, level)[1:]:
                    self._put(tile_path(above, index), encode_tile(full))
        if edge.count:
            self._put(_EDGE, edge.encode())
        return edge

    def _row(self, level: int, index: int, size: int) -> Sequence[bytes]:
        """The hashes of a tile of a tree of `size` leaves, full or not."""
        edge = self._load(size // WIDTH)
        if index < edge.count >> (HEIGHT * level):
            return self._tile(level, index)
        if level:
            return edge.rows[level - 1]
        return self._newest(index, size % WIDTH)

    def _newest(self, index: int, width: int) -> Sequence[bytes]:
        """The hashes of the tile that is being filled; those that were made for the checkpoint before are kept."""
        kept = self._filling[1] if self._filling[0] == index else []
        if len(kept) < width:
            begin = index * WIDTH + len(kept)
            kept = [*kept, *(leaf_hash(leaf) for leaf in _take(self._leaves(begin), width - len(kept)))]
            self._filling = (index, kept)
        return kept[:width]

    def _tile(self, level: int, index: int) -> Sequence[bytes]:
        """A full tile, which is made again where it is missing or torn."""
        row: Sequence[bytes] | None = self._stored(level, index)
        if row is None:
            if level:
                row = [root_of(self._tile(level - 1, index * WIDTH + each)) for each in range(WIDTH)]
            else:
                row = [leaf_hash(leaf) for leaf in _take(self._leaves(index * WIDTH), WIDTH)]
            try:
                self._put(tile_path(level, index), encode_tile(row))
            except OSError:
                pass  # What was asked for is known; the tile can be made again another time.
        return row

    def _stored(self, level: int, index: int) -> list[bytes] | None:
        try:
            data = self._read(tile_path(level, index), TILE_SIZE)
        except OSError:
            return None
        return decode_tile(data) if len(data) == TILE_SIZE else None

    def _read(self, name: str, size: int) -> bytes:
        """What stands there, up to one byte more than `size`; neither a link nor a pipe is followed or waited for."""
        fd = self._disk.open(f"{self._folder}/{name}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            return self._disk.read(fd, size + 1, 0)
        finally:
            self._disk.close(fd)

    def _put(self, name: str, data: bytes, target: str = "") -> None:
        """Put a file in place, beside and renamed, so that nobody ever reads a part of it."""
        if not target and not self._writes:
            return
        path = f"{target or self._folder}/{name}"
        self._disk.make_folder(os.path.dirname(path))
        write_whole(self._disk, path, data, entropy=self._entropy)


def _take(leaves: Iterator[bytes], count: int) -> list[bytes]:
    taken = list(islice(leaves, count))
    if len(taken) < count:
        message = "The ledger has fewer entries than its tree was asked for."
        raise DamagedError("lines_missing", message, fix="Find out what was cut off: enforcer verify")
    return taken


def _check_head(note: bytes, size: int, root: bytes) -> None:
    try:
        head = parse_checkpoint(parse_note(note).text)
    except NoteFault as fault:
        fix = "Make a new one: enforcer checkpoint"
        raise DamagedError("checkpoint_damaged", f"This is no checkpoint: {fault}.", fix=fix) from fault
    if (head.size, head.root) != (size, root):
        message = f"The checkpoint of {head.size} entries is not that of the first {size} lines."
        raise DamagedError("checkpoint_contradicted", message, fix="Find out which line changed: enforcer verify")


def _remove(path: str, disk: Disk) -> None:
    """Delete a file, or a folder and all that is in it; links are deleted and never followed."""
    try:
        if os.path.islink(path) or not os.path.isdir(path):
            disk.unlink(path)
            return
        for name in disk.listing(path):
            _remove(f"{path}/{name}", disk)
        os.rmdir(path)
    except FileNotFoundError:
        return  # Another process drops or grows the same tiles.
