"""Runs: immutable files of task states, of which a snapshot is made.

A run is written once, under a random id, and never changed. It holds its tasks in pieces; the hash of a task's name
says in which. Each piece carries its own authentication code under the user's cache key, bound to the run's id and
the piece's number: one task is read and believed without looking at the rest, and no piece can stand in for another.

    pieces   32 bytes HMAC-SHA-256, then a line a task: its name, a space, its state as JSON
    table    8 bytes big-endian for each piece and one more: where it begins, and where the last one ends

How many pieces and bytes there are is said by whoever names the run, so neither the table nor the file's end needs to
be believed: a forged offset leads to bytes whose code does not hold.
"""

from __future__ import annotations

import hmac
import json
import os
from hashlib import sha256

from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from enforcer.ports import Disk
    from enforcer.workflow.state import TaskState

SUFFIX = ".run"
TASKS_A_PIECE = 4
MAX_PIECES = 1 << 20

_MAC = 32
_OFFSET = 8
_BLOCK = 1 << 20

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


class Run(Record):
    """What a snapshot says of one run: `id` is 32 hex digits, `bytes` the length of the file."""

    id: str
    pieces: int
    tasks: int
    bytes: int

    @property
    def name(self) -> str:
        return f"{self.id}{SUFFIX}"


def pack_task(state: TaskState) -> tuple[bytes, bytes]:
    """Name and state, as a run holds them."""
    return state.task.encode(), _encode(state.pack()).encode()


def count_pieces(tasks: int) -> int:
    """How many pieces a run of so many tasks has: a power of two."""
    pieces = 1
    while pieces < MAX_PIECES and pieces * TASKS_A_PIECE < tasks:
        pieces *= 2
    return pieces


class OpenRun:
    """A run that can be read, also after its name is gone. Its descriptor is given back with the last reference."""

    def __init__(self, run: Run, folder: str, *, key: bytes, disk: Disk) -> None:
        """Raises `OSError`, and `ValueError` where the file is not of the length that it was written with."""
        self.run = run
        self._key, self._disk, self._fd = key, disk, -1
        self._fd = disk.open(f"{folder}/{run.name}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        if disk.size(self._fd) != run.bytes:
            raise ValueError("a part of it is not of the length that it had")

    def __del__(self) -> None:
        if self._fd >= 0:
            self._disk.close(self._fd)

    def find(self, name: bytes) -> bytes | None:
        """The state of one task, packed; None where this run does not tell of it. Raises as `piece` does."""
        if b" " in name or b"\n" in name:
            return None  # No task is named so, and a line must not be taken for another's.
        content = self._content(_piece_of(name, self.run.pieces))
        mark = name + b" "
        start = 0 if content.startswith(mark) else content.find(b"\n" + mark) + 1
        if not start and not content.startswith(mark):
            return None
        return content[start + len(mark) : content.index(b"\n", start)]

    def piece(self, number: int) -> dict[bytes, bytes]:
        """The tasks of one piece, packed. Raises `ValueError` when it is not what was written, or `OSError`."""
        return dict(line.split(b" ", 1) for line in self._content(number).splitlines())

    def _content(self, number: int) -> bytes:
        table = self.run.bytes - _OFFSET * (self.run.pieces + 1)
        ends = self._disk.read(self._fd, 2 * _OFFSET, table + number * _OFFSET)
        start, end = int.from_bytes(ends[:_OFFSET]), int.from_bytes(ends[_OFFSET:])
        if not start <= end <= table:
            raise ValueError("a part of it does not begin where it did")
        data = self._disk.read(self._fd, end - start, start)
        if not hmac.compare_digest(data[:_MAC], _mac(self._key, self.run.id, number, data[_MAC:])):
            raise ValueError("the authentication code of a part of it does not hold")
        return data[_MAC:]


def merged(runs: Sequence[OpenRun], pieces: int) -> Iterator[dict[bytes, bytes]]:
    """What the runs tell together, later ones over earlier ones, as so many pieces in order.

    `pieces` is a power of two and not less than any run has. Only one piece of each run is in memory at a time.
    """
    for parts in zip(*(_spread(run, pieces) for run in runs), strict=True):
        together: dict[bytes, bytes] = {}
        for part in parts:
            together.update(part)
        yield together


def spread(tasks: Mapping[bytes, bytes], pieces: int) -> list[dict[bytes, bytes]]:
    """Packed tasks by the piece to which they belong."""
    parts: list[dict[bytes, bytes]] = [{} for _ in range(pieces)]
    for name, state in tasks.items():
        parts[_piece_of(name, pieces)][name] = state
    return parts


def write_run(folder: str, id: str, parts: Iterable[Mapping[bytes, bytes]], *, key: bytes, disk: Disk) -> Run:
    """Write a run of these pieces, in order. Not synced: one that a crash tore is found out, and rebuilt.

    Raises `OSError`, and `ValueError` as the pieces do; what was written of the file by then is removed.
    """
    path = f"{folder}/{id}{SUFFIX}"
    fd = disk.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW)
    try:
        return _write(fd, id, parts, key, disk)
    except (OSError, ValueError):
        disk.unlink(path)
        raise
    finally:
        disk.close(fd)


def _write(fd: int, id: str, parts: Iterable[Mapping[bytes, bytes]], key: bytes, disk: Disk) -> Run:
    offsets, tasks, end = [0], 0, 0
    waiting = bytearray()
    for number, part in enumerate(parts):
        content = b"".join(b"%b %b\n" % line for line in part.items())
        waiting += _mac(key, id, number, content) + content
        tasks += len(part)
        end += _MAC + len(content)
        offsets.append(end)
        if len(waiting) >= _BLOCK:
            disk.append(fd, bytes(waiting))
            waiting.clear()
    waiting += b"".join(offset.to_bytes(_OFFSET) for offset in offsets)
    disk.append(fd, bytes(waiting))
    return Run(id, len(offsets) - 1, tasks, end + _OFFSET * len(offsets))


def _spread(run: OpenRun, pieces: int) -> Iterator[dict[bytes, bytes]]:
    """One run's tasks as so many pieces: each of its own holds what several neighbouring ones do."""
    share = pieces // run.run.pieces
    for number in range(run.run.pieces):
        parts: list[dict[bytes, bytes]] = [{} for _ in range(share)]
        for name, state in run.piece(number).items():
            parts[_piece_of(name, pieces) - number * share][name] = state
        yield from parts


def _piece_of(name: bytes, pieces: int) -> int:
    """By the first bits of its hash, so that the pieces of every run follow each other in the same order."""
    return int.from_bytes(sha256(name).digest()[:4]) * pieces >> 32


def _mac(key: bytes, id: str, number: int, content: bytes) -> bytes:
    return hmac.digest(key, b"enforcer/run/v1\n%b\n%d\n%b" % (id.encode("ascii"), number, content), "sha256")
