"""`state/telemetry/gaps.jsonl`: what telemetry could not tell, when and why, one JSON object a line.

Telemetry may fail without anybody noticing; a dashboard that shows nothing must not look like a day without events.
"""

from __future__ import annotations

import json
import os

from enforcer.telemetry.lines import extend

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from enforcer.ports import Clock, Disk

TAIL_BYTES = 8192
MESSAGE_CHARACTERS = 1000


class Gaps:
    """The record of gaps at an absolute path."""

    def __init__(self, path: str, *, disk: Disk, clock: Clock) -> None:
        self._path, self._disk, self._clock = path, disk, clock

    def record(self, code: str, message: str, **where: str | int) -> None:
        """Add `{"code", "message", "ts" (UTC µs), …}`, unless the last line says the same: then that gap lasts on.

        Raises nothing: on a disk that takes no line, the cursor that stays behind is what shows the gap.
        """
        gap = {"code": code, "message": message[:MESSAGE_CHARACTERS], **where}
        try:
            tail = self._tail()
            if _last(tail) == gap:
                return
            line = json.dumps({**gap, "ts": self._clock.now()}, sort_keys=True, separators=(",", ":")).encode()
            # A line that a crash tore is closed, so that it spoils no more than itself.
            extend(self._disk, self._path, (b"\n" if tail[-1:] not in (b"", b"\n") else b"") + line + b"\n")
        except OSError:
            return

    def _tail(self) -> bytes:
        if not self._disk.exists(self._path):
            self._disk.make_folder(os.path.dirname(self._path))
            return b""
        fd = self._disk.open(self._path, os.O_RDONLY)
        try:
            size = self._disk.size(fd)
            return self._disk.read(fd, TAIL_BYTES, max(0, size - TAIL_BYTES))
        finally:
            self._disk.close(fd)


def _last(tail: bytes) -> dict[str, Any] | None:
    """The last gap, without its time."""
    try:
        gap = json.loads(tail.rstrip(b"\n").rpartition(b"\n")[2])
    except ValueError:
        return None
    return {name: value for name, value in gap.items() if name != "ts"} if isinstance(gap, dict) else None
