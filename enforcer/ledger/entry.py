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

from enforcer.errors import InternalError
from enforcer.ledger.codec import JsonFault, canonical, parse_line
from enforcer.workflow import events
from enforcer.workflow.evolve import Place
from enforcer.workflow.record import Record, UnknownField

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
_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


class BadLine(ValueError):
    """Bytes that are not a line of this format, or not the next one. `code` is stable.

    `malformed` and `not_canonical` contradict the format; `unknown_version` and `unknown_event` may be of a later
    release. The others contradict the lines before it.
    """

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
    """The canonical bytes of the `event` member. Raises `InternalError` for a key that no reader would take."""
    if not _is_key(key):
        raise InternalError("bad_entry_key", f"{key!a} was to be the key of an entry.")
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
    return entry_of(parse_frame(leaf), leaf_hash(leaf))


def parse_frame(leaf: bytes) -> dict[str, Any]:
    """The members of a line, all of this format but for what the event says, which is not looked at. Raises `BadLine`.

    A line whose event is of a later release has its place in the chains nevertheless.
    """
    try:
        line = parse_line(leaf)
    except JsonFault as fault:
        raise BadLine("malformed", fault.message) from None
    if not isinstance(line, dict) or "v" not in line:
        raise BadLine("malformed", "the line is not an object with a version")
    if type(line["v"]) is not int:
        raise BadLine("malformed", "the version of the line is not a number")
    if line["v"] != VERSION:
        raise BadLine("unknown_version", f"the line has version {line['v']}; this release reads {VERSION}")
    if line.keys() != _MEMBERS:
        raise BadLine("malformed", f"the members are {', '.join(sorted(line))}"[:200])
    if canonical(line) != leaf:
        raise BadLine("not_canonical", "the bytes are not in canonical form")
    _check_place(line, _check_envelope(line["event"]))
    return line


def entry_of(line: dict[str, Any], hash: str) -> Entry:
    """The entry of a line that `parse_frame` has read. Raises `BadLine` for an event that cannot be read."""
    envelope = line["event"]
    task = envelope.get("subject")
    key = envelope["id"].partition("/")[2]
    event = read_event(envelope["type"], envelope["data"])
    before = (line["prev"], line["task_prev"])
    return Entry(line["seq"], line["ts"], task, line["task_seq"], *before, key, envelope["source"], event, hash)


def _check_place(line: dict[str, Any], task: str | None) -> None:
    numbers = (line["seq"], line["ts"], *((line["task_seq"],) if task is not None else ()))
    texts = (line["prev"], *((line["task_prev"],) if line["task_prev"] is not None else ()))
    if not all(type(number) is int and number >= 0 for number in numbers) or not all(_is_hash(text) for text in texts):
        raise BadLine("malformed", "a number or hash is not of its kind")
    if task is None and (line["task_seq"], line["task_prev"]) != (None, None):
        raise BadLine("malformed", "a line without a task has a place in a task")


def _check_envelope(envelope: Any) -> str | None:
    """The task that a CloudEvents object names."""
    if not isinstance(envelope, dict) or envelope.keys() - {"subject"} != _EVENT_MEMBERS:
        raise BadLine("malformed", "the event is not a CloudEvents object of this format")
    if envelope["specversion"] != "1.0" or not isinstance(envelope["data"], dict):
        raise BadLine("malformed", "the event is not of CloudEvents 1.0 with an object as data")
    if not all(type(text) is str for member, text in envelope.items() if member != "data"):
        raise BadLine("malformed", "a member of the event is not text")
    task: str | None = envelope.get("subject")
    name, _, key = envelope["id"].partition("/")
    # Both become names of files elsewhere, so nothing else than these characters may ever come out of a ledger.
    if not _is_key(key) or name != (NO_TASK if task is None else task):
        raise BadLine("malformed", "the event's id does not name its task and key")
    if task is not None and (not 0 < len(task) <= 64 or not _NAME.issuperset(task) or task[0] in "._-"):
        raise BadLine("malformed", "the event's subject is not a name for a task")
    return task


def read_event(type_name: str, data: dict[str, Any]) -> Event:
    """The event of a line. Raises `BadLine`: `malformed`, or `unknown_event` for what may be of a later release."""
    try:
        return events.parse(type_name, data)
    except UnknownField as error:
        raise BadLine("unknown_event", str(error)) from None
    except (ValueError, TypeError, AttributeError) as error:
        known = type_name.removeprefix(events.PREFIX) in events.EVENTS and type_name.startswith(events.PREFIX)
        raise BadLine("malformed" if known else "unknown_event", str(error)) from None


def _is_key(text: str) -> bool:
    return 0 < len(text) <= 64 and _NAME.issuperset(text)


def _is_hash(text: object) -> bool:
    return isinstance(text, str) and len(text) == 64 and set(text) <= set("0123456789abcdef")
