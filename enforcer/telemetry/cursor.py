"""Where the follower stands: the last entry it told, how far its outputs reach, and the measures up to there.

One file, replaced as a whole, so that all of this moves in one step: a line of JSON, and a line with the SHA-256 of
the first in hex, against damage. It is a projection like the outputs: once it is deleted the ledger is told again from
the start. Nobody signs it: who can write it can write the outputs as well.
"""

from __future__ import annotations

import json
from hashlib import sha256

from enforcer.ledger.codec import JsonFault, parse
from enforcer.ports import read_file, write_durably
from enforcer.telemetry.metrics import Packed
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import ClassVar

    from enforcer.ports import Disk, Entropy

VERSION = 1
MAX_BYTES = 256 << 20


class Cursor(Record, kw_only=True):
    """`seq` and `hash` are of the last entry told, -1 and empty before the first.

    `traces` and `metrics` are the lengths of the outputs in bytes. `guard` maps the guard's file names to the byte
    offsets read so far, `refusals` tasks to byte offset and number of the lines read so far.
    """

    nested: ClassVar[Mapping[str, type[Record]]] = {"measures": Packed}
    ledger: str
    seq: int = -1
    hash: str = ""
    traces: int = 0
    metrics: int = 0
    guard: Mapping[str, int] = {}
    refusals: Mapping[str, tuple[int, ...]] = {}
    measures: Packed = Packed()


def load(disk: Disk, path: str) -> Cursor | None:
    """The stored cursor, None where there is none. Raises `ValueError` when it cannot be one, and `OSError`."""
    try:
        data = read_file(disk, path)
    except FileNotFoundError:
        return None
    line, _, sum_line = data.partition(b"\n")
    if sum_line != _sum(line):
        raise ValueError("its second line is not the digest of its first")
    try:
        return _unpacked(parse(line, max_bytes=MAX_BYTES))
    except JsonFault as fault:
        raise ValueError(fault.message) from None


def _unpacked(stored: object) -> Cursor:
    version = stored.get("version") if isinstance(stored, dict) else None
    if not isinstance(stored, dict) or version != VERSION:
        raise ValueError(f"it has version {version!r}, and this release writes {VERSION}")
    return Cursor.unpack({name: value for name, value in stored.items() if name != "version"})


def _sum(line: bytes) -> bytes:
    return sha256(line).hexdigest().encode() + b"\n"


def save(disk: Disk, path: str, cursor: Cursor, *, entropy: Entropy) -> None:
    """Replace the stored cursor; on stable storage when this returns. Raises `OSError`."""
    line = json.dumps({**cursor.pack(), "version": VERSION}, sort_keys=True, separators=(",", ":")).encode()
    write_durably(disk, path, line + b"\n" + _sum(line), entropy=entropy)
