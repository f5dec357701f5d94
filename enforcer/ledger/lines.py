"""The raw lines of one segment, from a byte on to its end, in bounded memory whatever stands in it.

It believes nothing about the content: a line that is longer than any line can be is hashed as it streams by, so that
the line after it can still be held against it. Lines come many at a time, because a step a line is what costs.
"""

from __future__ import annotations

from hashlib import sha256

from enforcer.ledger.entry import MAX_LEAF

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from enforcer.ports import Disk

CHUNK = 1 << 19

# Stands for a line that is too long to be one; no line holds a newline.
TOO_LONG = b"\n"


class Lines:
    """Iterates once over the bytes from `start` to `size`. `read` is where reading stands, `torn` how many bytes follow
    the last newline."""

    def __init__(self, fd: int, size: int, disk: Disk, start: int = 0) -> None:
        self._fd, self._size, self._disk = fd, size, disk
        self.read = start
        self.torn = 0

    def __iter__(self) -> Iterator[tuple[list[bytes], list[bytes]]]:
        """Complete lines without their newlines (`TOO_LONG` for one that is), and their leaf hashes.

        `OSError` passes.
        """
        rest, long = b"", None
        while data := self._chunk():
            if long is not None:
                end = data.find(b"\n")
                long.update(data if end < 0 else data[:end])
                if end < 0:
                    self.torn += len(data)
                    continue
                yield [TOO_LONG], [long.digest()]
                long, data = None, data[end + 1 :]
            lines = (rest + data).split(b"\n")
            rest = lines.pop()
            hashes = [sha256(b"\x00" + line).digest() for line in lines]
            if lines and max(map(len, lines)) > MAX_LEAF:
                lines = [line if len(line) <= MAX_LEAF else TOO_LONG for line in lines]
            self.torn = len(rest)
            yield lines, hashes
            if len(rest) > MAX_LEAF:
                long, rest = sha256(b"\x00" + rest), b""

    def _chunk(self) -> bytes:
        data = self._disk.read(self._fd, min(CHUNK, self._size - self.read), self.read)
        self.read += len(data)
        return data
