"""Lines read quickly: everything around the data of an event is taken apart by one pattern.

A line that the pattern fits is in canonical form but for its data, and those are when encoding them again gives the
very bytes that stand there: whatever a parser could have read in two ways (a repeated key, an escape without need) or
would have changed (a number, the order of keys) comes out in other bytes. So nothing of the strictness of
`entry.parse_frame` is lost. What does not fit, or may hold more than ASCII, is read by `parse_frame`, which also finds
the words for what is wrong.

It stands apart from `entry` because the pattern is compiled when this is loaded, which only who reads whole ledgers
should pay for.
"""

from __future__ import annotations

import json
import re

from enforcer.ledger.codec import MAX_DEPTH, MAX_INTEGER, JsonFault
from enforcer.ledger.entry import parse_frame, read_event
from enforcer.workflow import events

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from enforcer.workflow.events import Event

_HEAD = '{"event":{"data":'
_ID = ',"id":"'  # Nothing after the data repeats it: neither names nor sources hold a quotation mark.

_HASH = r"[0-9a-f]{64}"
_NUMBER = r"0|[1-9][0-9]{0,14}"
_TEXT = r"[ !#-\[\]-~]*"
_match = re.compile(
    r',"id":"(?:-|([A-Za-z0-9][A-Za-z0-9._-]{0,63}))/([A-Za-z0-9._-]{1,64})"'
    r',"source":"(' + _TEXT + r')","specversion":"1\.0"(?(1),"subject":"\1"|),"type":"(' + _TEXT + r')"\}'
    r',"prev":"(' + _HASH + r')","seq":(' + _NUMBER + r')'
    r',"task_prev":(?(1)(?:null|"(' + _HASH + r')")|null),"task_seq":(?(1)(' + _NUMBER + r')|null)'
    r',"ts":(0|[1-9][0-9]{0,15}),"v":1\}\Z'
).match  # fmt: skip


class Frame:
    """A line but for its event, which `event` reads. Hashes are hex; `task`, `task_prev` and `task_seq` may be None."""

    __slots__ = ("data", "key", "kind", "seq", "source", "task", "task_prev", "task_seq", "ts")

    def __init__(
        self,
        task: str | None,
        key: str,
        source: str,
        kind: str,
        seq: int,
        task_prev: str | None,
        task_seq: int | None,
        ts: int,
        data: dict[str, Any],
    ) -> None:
        self.task, self.key, self.source, self.kind = task, key, source, kind
        self.seq, self.task_prev, self.task_seq, self.ts, self.data = seq, task_prev, task_seq, ts, data

    def event(self) -> Event:
        """What happened. Raises `BadLine` for an event that cannot be read."""
        kind = _KINDS.get(self.kind)
        if kind is not None:
            try:
                return kind.unpack(self.data)
            except (ValueError, TypeError, AttributeError):
                pass  # Whoever reads slowly has words for it.
        return read_event(self.kind, self.data)


def split_line(leaf: bytes) -> tuple[str, tuple[Any, ...]] | None:
    """The data, a character a byte, and what follows: task, key, source, type, prev, seq, task_prev, task_seq, ts.

    None where the line is not in the form that the pattern knows; then `read_line` reads it and says why.
    """
    line = leaf.decode("latin-1")
    at = line.rfind(_ID)
    found = _match(line, at) if at >= 0 else None
    if found is None or not line.startswith(_HEAD):
        return None
    return line[len(_HEAD) : at], found.groups()


def read_split(data: str, members: tuple[Any, ...]) -> Frame | None:
    """The frame of a line that `split_line` has split; None where it takes `read_line` to judge it."""
    task, key, source, kind, _, seq, task_prev, task_seq, ts = members
    if not data.isascii() or "\\u" in data or data.count("{") + data.count("[") > MAX_DEPTH - 2:
        return None
    try:
        value, end = _decode(data)
    except (ValueError, RecursionError):
        return None
    if end != len(data) or value.__class__ is not dict or _encode(value) != data or int(ts) > MAX_INTEGER:
        return None
    count = None if task_seq is None else int(task_seq)
    return Frame(task, key, source, kind, int(seq), task_prev, count, int(ts), value)


def read_line(leaf: bytes) -> Frame:
    """The frame of any line. Raises `BadLine` unless it is exactly what this format would have written."""
    line = parse_frame(leaf)
    envelope = line["event"]
    return Frame(
        envelope.get("subject"),
        envelope["id"].partition("/")[2],
        envelope["source"],
        envelope["type"],
        line["seq"],
        line["task_prev"],
        line["task_seq"],
        line["ts"],
        envelope["data"],
    )


def read_frame(leaf: bytes) -> Frame:
    """The frame of a line, read in the quickest way that is strict. Raises `BadLine`."""
    split = split_line(leaf)
    return (read_split(*split) if split else None) or read_line(leaf)


def _integer(digits: str) -> int:
    if len(digits) > 15:
        value = int(digits) if len(digits) <= 17 else MAX_INTEGER + 1
        if abs(value) > MAX_INTEGER:
            raise JsonFault("an integer is outside ±(2^53-1)")
        return value
    return int(digits)


def _refuse(text: str) -> NoReturn:
    raise JsonFault("a number is not an integer")


def _encoder() -> Callable[[Any], str]:
    """The canonical form of what a decoder gives, as text. One C encoder serves every line where there is one;
    `JSONEncoder.encode` makes a new one for each, which takes as long as the encoding."""
    json_encoder = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    make = getattr(json.encoder, "c_make_encoder", None)
    quote = getattr(json.encoder, "encode_basestring", None)
    if make is None or quote is None:
        return json_encoder.encode
    encode, join = make(None, json_encoder.default, quote, None, ":", ",", True, False, False), "".join
    return lambda value: join(encode(value, 0))


_KINDS = {events.PREFIX + name: kind for name, kind in events.EVENTS.items()}
_encode = _encoder()
_decode = json.JSONDecoder(parse_int=_integer, parse_float=_refuse, parse_constant=_refuse).raw_decode
