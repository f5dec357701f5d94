"""The one way in which a reader says that a report proves nothing, and the bounds that hold for every report."""

from __future__ import annotations

import re

from enforcer.ledger import codec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_BYTES = 64 << 20
MAX_DEPTH = 64

_COUNT = re.compile(r"[0-9]{1,15}")


class Unreadable(ValueError):
    """A report that cannot be read, or that contradicts itself. The message says what and where, with no full stop."""


def shown(text: object) -> str:
    """A value from a report as a short ASCII literal, so that a message carries no control character."""
    plain = str(text)
    return ascii(plain if len(plain) <= 80 else plain[:79] + "…")


def plural(count: int, noun: str) -> str:
    """A count with its noun: `1 case`, `2 cases`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def count(text: str, where: str) -> int:
    """A count that is written as a text: digits and nothing else. `where` says what it counts."""
    if not _COUNT.fullmatch(text):
        raise Unreadable(f"{where} is {shown(text)}, which is no count")
    return int(text)


def bounded(data: bytes) -> bytes:
    """`data` itself, unless it is too large to be a report."""
    if len(data) > MAX_BYTES:
        raise Unreadable(f"it has {len(data)} bytes; a report has at most {MAX_BYTES}")
    return data


def parse_json(data: bytes) -> Any:
    """The value of a JSON report, strictly read: no key twice, no NaN, depth and size bounded."""
    try:
        return codec.parse(data, max_bytes=MAX_BYTES, max_depth=MAX_DEPTH)
    except codec.JsonFault as error:
        raise Unreadable(f"it is not strict JSON: {error}") from None
