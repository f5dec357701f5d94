"""Ids are derived, so they can be derived again by whoever reads this file."""

from __future__ import annotations

import hashlib

from enforcer.telemetry.ids import _valid, ledger_id, span_id, trace_id

LEDGER, HASH = "ab" * 16, "cd" * 32


def test_the_derivation_is_the_documented_one() -> None:
    trace = hashlib.sha256(b"enforcer/telemetry/v1/trace\n" + LEDGER.encode() + b"\nTASK-1").hexdigest()[:32]
    span = hashlib.sha256(b"enforcer/telemetry/v1/span\nviolation\n" + HASH.encode()).hexdigest()[:16]

    assert trace_id(LEDGER, "TASK-1") == trace
    assert span_id(HASH, "violation") == span


def test_ids_have_the_lengths_of_the_trace_context() -> None:
    assert len(bytes.fromhex(trace_id(LEDGER, None))) == 16
    assert len(bytes.fromhex(span_id(HASH, "transition"))) == 8


def test_each_ledger_task_entry_and_role_has_its_own_id() -> None:
    traces = {trace_id(ledger, task) for ledger in (LEDGER, "cd" * 16) for task in (None, "A", "B")}
    spans = {span_id(entry, role) for entry in (HASH, "ef" * 32) for role in ("transition", "verify", "violation")}
    assert (len(traces), len(spans)) == (6, 6)


def test_an_id_is_never_all_zero() -> None:
    assert _valid(bytes(8)) == "0000000000000001"
    assert _valid(bytes(7) + b"\x02") == "0000000000000002"


def test_the_ledgers_id_is_read_from_the_source_of_its_entries() -> None:
    assert ledger_id(f"enforcer/{LEDGER}") == LEDGER
