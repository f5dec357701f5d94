"""Holds the hash tiles beside a ledger against its lines.

Tiles are made of the lines and proofs are made of tiles, so a wrong one leads whoever is served it to a root that
nobody has signed: the finding is that something there was changed, and deleting the folder mends it. A tile of
another length than it must have is what a crash leaves, and accuses nobody.
"""

from __future__ import annotations

import os

from enforcer.ledger.merkle import HASH_SIZE, root_of
from enforcer.ledger.report import INTEGRITY
from enforcer.ledger.tiles import HEIGHT, TILE_SIZE, WIDTH, tile_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from enforcer.ledger.report import Findings
    from enforcer.ports import Disk


class TileCheck:
    """Takes leaf hashes from leaf `first` on, a multiple of the leaves that a tile of each of `levels` spans, and
    compares every full tile that there is."""

    def __init__(self, folder: str, *, first: int, levels: range, disk: Disk, found: Findings) -> None:
        self._folder, self._levels, self._disk, self._found = folder, levels, disk, found
        self._rows: dict[int, list[bytes]] = {level: [] for level in levels}
        self._next = {level: first >> HEIGHT * (level + 1) for level in levels}

    def take(self, hashes: Sequence[bytes], level: int = 0) -> None:
        """The next nodes of a level: leaf hashes of level 0, roots of 256 nodes each of the ones above."""
        if level not in self._levels:
            return
        row = self._rows[level]
        row += hashes
        while len(row) >= WIDTH:
            full, row[:] = row[:WIDTH], row[WIDTH:]
            self._compare(level, self._next[level], b"".join(full))
            self._next[level] += 1
            self.take([root_of(full)], level + 1)

    def _compare(self, level: int, index: int, expected: bytes) -> None:
        name = tile_path(level, index)
        data = self._read(name)
        if data is None or data == expected:
            return
        seq = index << HEIGHT * (level + 1)
        if len(data) != TILE_SIZE:
            message = f"{name} has {len(data)} bytes and not {TILE_SIZE}. Delete the tiles; they are made again."
            self._found.note(seq, "tile_unusable", message)
            return
        at = next(at for at in range(0, TILE_SIZE, HASH_SIZE) if data[at : at + HASH_SIZE] != expected[at : at + 32])
        seq += at // HASH_SIZE << HEIGHT * level
        message = f"{name} does not hold what the lines give. Delete the tiles; they are made again."
        self._found.contradiction(INTEGRITY, seq, "tile_damaged", message)

    def _read(self, name: str) -> bytes | None:
        """The bytes of a tile, at most one more than it can have; None where there is none."""
        try:
            fd = self._disk.open(f"{self._folder}/{name}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._found.note(None, "tile_unusable", f"{name}: {error.strerror}.")
            return None
        try:
            return self._disk.read(fd, TILE_SIZE + 1, 0)
        except OSError as error:
            self._found.note(None, "tile_unusable", f"{name}: {error.strerror}.")
            return None
        finally:
            self._disk.close(fd)
