"""What stands beside the ledger and is measured as well: `state/guard/` and `state/refusals/`.

    state/guard/<session>.jsonl    every answer of the guard; an allowed call is no event
    state/refusals/<TASK>.jsonl    refusals without an entry; the task's next entry carries their number

For the measures these are input like any other: a line of the guard that is not strict JSON is handed on as None, to be
counted, and is never an error. Of a coalesced refusal only that it happened is read, because the entries tell the rest.
"""

from __future__ import annotations

import os

from enforcer.ledger.codec import JsonFault, parse
from enforcer.ledger.margins import is_refusal
from enforcer.telemetry.lines import read_lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from enforcer.ports import Disk

SUFFIX = ".jsonl"


def read_calls(disk: Disk, state: str, offsets: dict[str, int] | None = None) -> Iterator[Any]:
    """The guard's lines of all sessions, parsed, those of one session in order; None for a line that is not JSON.

    `offsets` maps file names to where reading begins, and is brought up to where it ended. Raises `OSError`.
    """
    reached = {} if offsets is None else offsets
    for name, path in _files(disk, os.path.join(state, "guard")):
        for line, end in read_lines(disk, path, reached.get(name, 0)):
            reached[name] = end
            yield _parsed(line)


def count_refusals(disk: Disk, state: str, reached: dict[str, tuple[int, ...]] | None = None) -> dict[str, int]:
    """How many refusals of each task have no entry of their own, sealed by a later entry or not. Raises `OSError`.

    `reached` maps tasks to what was read before, as byte offset and number of lines, and is brought up to date.
    """
    known = {} if reached is None else reached
    for name, path in _files(disk, os.path.join(state, "refusals")):
        task = name.removesuffix(SUFFIX)
        offset, count = known.get(task, (0, 0))
        for line, end in read_lines(disk, path, offset):
            # What the ledger would not seal as a refusal is not measured as one either.
            offset, count = end, count + is_refusal(line)
        known[task] = (offset, count)
    return {task: count for task, (_, count) in known.items()}


def _files(disk: Disk, folder: str) -> list[tuple[str, str]]:
    names = (name for name in disk.listing(folder) if name.endswith(SUFFIX) and not name.startswith("."))
    return [(name, os.path.join(folder, name)) for name in names]


def _parsed(line: bytes) -> Any:
    try:
        return parse(line)
    except JsonFault:
        return None
