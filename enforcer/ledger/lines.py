"""The raw lines of one segment, from its first byte to its last, in bounded memory whatever stands in it.

It believes nothing about the content: a line that is longer than any line can be is hashed as it streams by, so that
the line after it can still be held against it.
"""

from __future__ import annotations

from hashlib import sha256

from enforcer.ledger.entry import MAX_LEAF, leaf_hash

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from enforcer.ports import Disk

CHUNK = 1 << 20


class Lines:
    """Iterates once over the first `size` bytes. `read` counts the bytes read, `torn` those after the last newline."""

    def __init__(self, fd: int, size: int, disk: Disk) -> None:
        self._fd, self._size, self._disk = fd, size, disk
        self.read = 0
        self.torn = 0

    def __iter__(self) -> Iterator[tuple[bytes | None, str]]:
        """Each complete line without its newline (None if it is too long), and its leaf hash. `OSError` passes."""
        rest, long = b"", None
        while data := self._chunk():
            if long is not None:
                end = data.find(b"\n")
                long.update(data if end < 0 else data[:end])
                if end < 0:
                    self.torn += len(data)
                    continue
                yield None, long.hexdigest()
                long, data = None, data[end + 1 :]
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                yield (line if len(line) <= MAX_LEAF else None), leaf_hash(line)
            self.torn = len(rest)
            if len(rest) > MAX_LEAF:
                long, rest = sha256(b"\x00" + rest), b""

    def _chunk(self) -> bytes:
        data = self._disk.read(self._fd, min(CHUNK, self._size - self.read), self.read)
        self.read += len(data)
        return data
