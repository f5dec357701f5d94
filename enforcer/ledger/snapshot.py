"""A ledger's state at some size, kept so that a cold start need not read the whole history.

The file is input by an adversary. It counts only if the HMAC under the user's cache key (outside the project) holds
over ledger id, size, last leaf hash and content, and the line it names still stands at its offset; otherwise the
history is read from the beginning.

    line 1   hex HMAC-SHA-256 of line 2
    line 2   JSON: ledger, size, hash, ts, segment, start and end of the last line, buckets [[offset, length, sha256]…]
    rest     the buckets: JSON objects from task to state; a task is in the bucket that `bucket_of` names

Only the bucket of a task that is asked for is read, so a start costs the same in a ledger of a thousand tasks as in
one of a million.
"""

from __future__ import annotations

import hmac
import json
import os
from hashlib import sha256

from enforcer.errors import DamagedError
from enforcer.ledger.codec import canonical
from enforcer.ledger.store import bucket_of
from enforcer.workflow.record import Record
from enforcer.workflow.state import TaskState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import ClassVar

    from enforcer.ports import Disk, Entropy

TASKS_A_BUCKET = 16
MAX_BUCKETS = 4096
MAX_HEADER = 1 << 22


class Header(Record):
    """What a snapshot stands on."""

    ledger: str
    size: int
    hash: str
    ts: int
    segment: str
    start: int
    end: int
    buckets: tuple[tuple[int, int, str], ...] = ()

    nested: ClassVar[Mapping[str, type[Record]]] = {}


class Snapshot:
    """An opened snapshot whose header has been authenticated; buckets are checked as they are read."""

    def __init__(self, header: Header, fd: int, body: int, disk: Disk) -> None:
        # The descriptor stays open: another process may put a newer snapshot under the same name at any time.
        self.header = header
        self._fd, self._body, self._disk = fd, body, disk
        self._read: dict[int, dict[str, TaskState]] = {}

    def close(self) -> None:
        self._disk.close(self._fd)

    def task(self, name: str) -> TaskState | None:
        buckets = len(self.header.buckets)
        return self._bucket(bucket_of(name, buckets)).get(name) if buckets else None

    def tasks(self) -> Iterator[TaskState]:
        for number in range(len(self.header.buckets)):
            yield from self._bucket(number).values()

    def _bucket(self, number: int) -> dict[str, TaskState]:
        if number not in self._read:
            self._read[number] = {name: TaskState.unpack(state) for name, state in json.loads(self.raw(number)).items()}
        return self._read[number]

    def raw(self, number: int) -> bytes:
        """A bucket's bytes. Raises `DamagedError` when they changed after the snapshot was opened."""
        offset, length, digest = self.header.buckets[number]
        data = self._disk.read(self._fd, length, self._body + offset)
        if sha256(data).hexdigest() != digest:
            fix = "Delete state/ledger/.cache; it is rebuilt from the ledger."
            raise DamagedError("cache_damaged", "A cache of the ledger does not hold what it did.", fix=fix)
        return data


def open_snapshot(path: str, *, ledger: str, key: bytes, disk: Disk) -> Snapshot | None:
    """The snapshot at `path`; None where there is none. Raises `ValueError` when it is not to be trusted."""
    try:
        fd = disk.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    try:
        mac, line = _first_lines(fd, disk)
        if not hmac.compare_digest(mac, _mac(key, line)):
            raise ValueError("its authentication code does not hold")
        members = json.loads(line)
        members["buckets"] = tuple(tuple(bucket) for bucket in members["buckets"])
        header = Header(**members)
        if header.ledger != ledger:
            raise ValueError("it is of another ledger")
    except BaseException:
        disk.close(fd)
        raise
    return Snapshot(header, fd, len(mac) + len(line) + 2, disk)


def _first_lines(fd: int, disk: Disk) -> tuple[bytes, bytes]:
    size = 1 << 14
    while True:
        data = disk.read(fd, size, 0)
        lines = data.split(b"\n", 2)
        if len(lines) == 3:
            return lines[0], lines[1]
        if len(data) < size or size > MAX_HEADER:
            raise ValueError("it has no header")
        size *= 4


def save_snapshot(
    path: str, header: Header, tasks: Mapping[str, TaskState], *, count: int, key: bytes, disk: Disk, entropy: Entropy
) -> None:
    """Write a snapshot beside the old one and rename it. Not synced: a torn one is rejected and rebuilt."""
    number = 1
    while number < MAX_BUCKETS and number * TASKS_A_BUCKET < count:
        number *= 2
    contents: list[dict[str, object]] = [{} for _ in range(number)]
    for name, state in tasks.items():
        contents[bucket_of(name, number)][name] = state.pack()
    table, parts, offset = [], [], 0
    for content in contents:
        part = canonical(content)
        table.append((offset, len(part), sha256(part).hexdigest()))
        parts.append(part)
        offset += len(part)
    line = canonical({**header.pack(), "buckets": [list(row) for row in table]})
    temporary = f"{path}.{entropy.token(8).hex()}.new"
    fd = disk.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND)
    try:
        disk.append(fd, _mac(key, line) + b"\n" + line + b"\n" + b"".join(parts))
    finally:
        disk.close(fd)
    disk.rename(temporary, path)


def _mac(key: bytes, line: bytes) -> bytes:
    return hmac.new(key, b"enforcer/snapshot/v1\n" + line, sha256).hexdigest().encode("ascii")
