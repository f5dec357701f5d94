"""Trace and span ids, derived and never drawn, so that telling the ledger again tells the same spans.

    trace id = the first 16 bytes of SHA-256("enforcer/telemetry/v1/trace\\n" ‖ ledger id ‖ "\\n" ‖ task)
    span id  = the first 8 bytes of SHA-256("enforcer/telemetry/v1/span\\n" ‖ role ‖ "\\n" ‖ entry's leaf hash in hex)

One task is one trace; entries without a task share the trace of the empty task name, which no task can have. A leaf
hash commits to the whole history before it, the ledger's identity included, so a span id needs no more than that; the
role tells apart the spans of one entry. W3C Trace Context gives the all-zero ids the meaning "invalid", so the one
digest in 2^64 that begins with such an id is moved on to the id 1. The strings are a wire format: whoever stored a span
id finds its entry by deriving it again.
"""

from __future__ import annotations

from hashlib import sha256

TRACE_BYTES = 16
SPAN_BYTES = 8

_TRACE = b"enforcer/telemetry/v1/trace\n"
_SPAN = b"enforcer/telemetry/v1/span\n"
_ORIGIN = "enforcer/"


def ledger_id(source: str) -> str:
    """The ledger's id (32 hex digits) from the `source` of its entries, `enforcer/<id>`."""
    return source.removeprefix(_ORIGIN)


def trace_id(ledger: str, task: str | None) -> str:
    """32 hex digits: the trace of a task of the ledger with that id; `None` stands for what is of no task."""
    return _valid(sha256(_TRACE + f"{ledger}\n{task or ''}".encode()).digest()[:TRACE_BYTES])


def span_id(entry_hash: str, role: str) -> str:
    """16 hex digits: the span that plays `role` for the entry with that leaf hash."""
    return _valid(sha256(_SPAN + f"{role}\n{entry_hash}".encode()).digest()[:SPAN_BYTES])


def _valid(drawn: bytes) -> str:
    return (drawn if any(drawn) else b"\x01".rjust(len(drawn), b"\x00")).hex()
