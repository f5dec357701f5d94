"""One line of the ledger: how it is built, what it commits to, and how it is read back.

A line is UTF-8, RFC 8785 canonical JSON, and one newline. Its members, in canonical order:

    event      a CloudEvents 1.0 object: data, id (`<task>/<key>`), source (`enforcer/<ledger id>`), specversion,
               subject (the task; absent where there is none), type
    prev       hex leaf hash of the line before; of the first line, the genesis hash
    seq        the line's number, from 0
    task_prev  hex leaf hash of the task's line before; null at its first, and where there is no task
    task_seq   the line's number within the task, from 1; null where there is no task
    ts         UTC microseconds, never decreasing
    v          1

A leaf is the line without its newline. Leaf hash = SHA-256(0x00 ‖ leaf), as in RFC 6962. The genesis hash is
SHA-256("enforcer/ledger/v1\\n" ‖ bytes of ledger.json). Hashes are over stored bytes, never over a re-serialization.

The event is known before the append lock is taken and the rest only under it, so a line is spliced: serialization of
the large part happens outside the lock.
"""

from __future__ import annotations

from hashlib import sha256

from enforcer.ledger.codec import JsonFault, canonical, parse_line
from enforcer.workflow import events
from enforcer.workflow.evolve import Place
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from enforcer.workflow.events import Event

VERSION = 1
FORMAT = "enforcer/ledger/v1"
MAX_LEAF = 65_535
NO_TASK = "-"

_MEMBERS = {"event", "prev", "seq", "task_prev", "task_seq", "ts", "v"}
_EVENT_MEMBERS = {"data", "id", "source", "specversion", "type"}


class BadLine(ValueError):
    """Bytes that are not a line of this format. `code` is `malformed`, `not_canonical` or `unknown_version`/`_event`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Entry(Record):
    """A line, read."""

    seq: int
    ts: int
    task: str | None
    task_seq: int | None
    prev: str
    task_prev: str | None
    key: str
    source: str
    event: Event
    hash: str

    @property
    def place(self) -> Place:
        """Where it stands, for `evolve`. Only for entries of a task."""
        return Place(self.task or NO_TASK, self.seq, self.task_seq or 0, self.hash, self.ts, self.key)


def leaf_hash(leaf: bytes) -> str:
    """RFC 6962 leaf hash, in hex."""
    return sha256(b"\x00" + leaf).hexdigest()


def genesis_hash(identity: bytes) -> str:
    """What the first line's `prev` must be, given the bytes of `ledger.json`."""
    return sha256(FORMAT.encode() + b"\n" + identity).hexdigest()


def format_event(event: Event, *, task: str | None, key: str, source: str) -> bytes:
    """The canonical bytes of the `event` member."""
    envelope: dict[str, Any] = {
        "specversion": "1.0",
        "id": f"{task or NO_TASK}/{key}",
        "source": source,
        "type": events.PREFIX + event.type,
        "data": event.pack(),
    }
    if task is not None:
        envelope["subject"] = task
    return canonical(envelope)


def format_leaf(event: bytes, *, prev: str, seq: int, task_prev: str | None, task_seq: int | None, ts: int) -> bytes:
    """Splice a line around an event that is already canonical. The result has no newline."""
    before = f'"{task_prev}"' if task_prev is not None else "null"
    number = "null" if task_seq is None else task_seq
    head = f',"prev":"{prev}","seq":{seq},"task_prev":{before},"task_seq":{number},"ts":{ts},"v":{VERSION}}}'
    return b'{"event":' + event + head.encode("ascii")


def parse_leaf(leaf: bytes) -> Entry:
    """Read a line strictly: raises `BadLine` unless it is exactly what this format would have written."""
    try:
        line = parse_line(leaf)
    except JsonFault as fault:
        raise BadLine("malformed", fault.message) from None
    if not isinstance(line, dict) or "v" not in line:
        raise BadLine("malformed", "the line is not an object with a version")
    if line["v"] != VERSION or isinstance(line["v"], bool):
        raise BadLine("unknown_version", f"the line has version {line['v']!r}; this release reads {VERSION}")
    if line.keys() != _MEMBERS:
        raise BadLine("malformed", f"the members are {', '.join(sorted(line))}")
    if canonical(line) != leaf:
        raise BadLine("not_canonical", "the bytes are not in canonical form")
    return _entry(line, leaf)


def _entry(line: dict[str, Any], leaf: bytes) -> Entry:
    event, task, key = _read_event(line["event"])
    numbers = (line["seq"], line["ts"], *((line["task_seq"],) if task is not None else ()))
    texts = (line["prev"], *((line["task_prev"],) if line["task_prev"] is not None else ()))
    if not all(type(number) is int and number >= 0 for number in numbers) or not all(_is_hash(text) for text in texts):
        raise BadLine("malformed", "a number or hash is not of its kind")
    if task is None and (line["task_seq"], line["task_prev"]) != (None, None):
        raise BadLine("malformed", "a line without a task has a place in a task")
    source = line["event"]["source"]
    return Entry(
        line["seq"], line["ts"], task, line["task_seq"], line["prev"], line["task_prev"], key, source, event, leaf_hash(leaf)
    )


def _read_event(envelope: Any) -> tuple[Event, str | None, str]:
    if not isinstance(envelope, dict) or envelope.keys() - {"subject"} != _EVENT_MEMBERS:
        raise BadLine("malformed", "the event is not a CloudEvents object of this format")
    if envelope["specversion"] != "1.0" or not isinstance(envelope["data"], dict):
        raise BadLine("malformed", "the event is not of CloudEvents 1.0 with an object as data")
    task = envelope.get("subject")
    name, _, key = str(envelope["id"]).partition("/")
    if name != (NO_TASK if task is None else task) or not key:
        raise BadLine("malformed", "the event's id does not name its task and key")
    try:
        return events.parse(str(envelope["type"]), envelope["data"]), task, key
    except (ValueError, TypeError, AttributeError) as error:
        raise BadLine("unknown_event", str(error)) from None


def _is_hash(text: object) -> bool:
    return isinstance(text, str) and len(text) == 64 and set(text) <= set("0123456789abcdef")
