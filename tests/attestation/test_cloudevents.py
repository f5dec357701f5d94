"""Entries as CloudEvents: read by the CloudEvents package, and nothing of a line is lost on the way."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from enforcer.attestation.cloudevents import MAX_EVENT, event_of, export_cloudevents
from enforcer.ledger.codec import canonical
from enforcer.ledger.entry import MAX_LEAF, BadLine, format_event, format_leaf, leaf_hash, parse_leaf
from enforcer.workflow.events import TaskAbandoned, WorkEvent
from tests.attestation.walks import told
from tests.ledger.histories import ADA, IDENTITY
from tests.telemetry.story import START

ENVELOPE = ("data", "id", "source", "specversion", "subject", "type")


@pytest.fixture(scope="module")
def leaves(tmp_path_factory) -> list[bytes]:
    return told(tmp_path_factory.mktemp("told")).lines()


def test_the_package_reads_every_line(leaves: list[bytes]) -> None:
    lines = export_cloudevents(leaves).splitlines()
    for leaf, line in zip(leaves, lines, strict=True):
        entry, event = parse_leaf(leaf), JSONFormat().read(CloudEvent, line)
        assert event.get_source() == IDENTITY.origin
        assert event.get_type() == f"dev.enforcer.{entry.event.type}"
        assert event.get_subject() == entry.task
        assert event.get_time() == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=entry.ts)
        assert event.get_data() == entry.event.pack()
        assert event.get_extension("leafhash") == leaf_hash(leaf)
        assert event.get_extension("sequence") == f"{entry.seq:020}"


def test_names_and_types_of_attributes_are_those_of_the_specification(leaves: list[bytes]) -> None:
    for leaf in leaves:
        for name, value in event_of(leaf).items():
            assert re.fullmatch("[a-z0-9]{1,20}", name)
            assert name == "data" or type(value) is str or (type(value) is int and -(2**31) <= value < 2**31)


def test_a_line_can_be_written_again_from_its_event(leaves: list[bytes]) -> None:
    for leaf in leaves:
        event = json.loads(canonical(event_of(leaf)))
        moment = datetime.fromisoformat(event["time"]) - datetime(1970, 1, 1, tzinfo=UTC)
        number = event.get("tasksequence")
        rebuilt = {
            "event": {name: event[name] for name in ENVELOPE if name in event},
            "prev": event["prevhash"],
            "seq": int(event["sequence"]),
            "task_prev": event.get("taskprevhash"),
            "task_seq": None if number is None else int(number),
            "ts": moment // timedelta(microseconds=1),
            "v": event["lineversion"],
        }
        assert canonical(rebuilt) == leaf


def test_sequences_sort_as_text(leaves: list[bytes]) -> None:
    sequences = [event_of(leaf)["sequence"] for leaf in leaves]
    assert sequences == sorted(sequences)


def long_leaf(size: int) -> bytes:
    """A line of exactly `size` bytes."""

    def made(reason: str) -> bytes:
        event: WorkEvent = TaskAbandoned(actor=ADA, phase="SPEC", reason=reason, token=1)
        data = format_event(event, task="T", key="k", source=IDENTITY.origin)
        return format_leaf(data, prev="a" * 64, seq=7, task_prev="b" * 64, task_seq=2, ts=START)

    return made("x" * (size - len(made(""))))


def test_an_event_is_never_larger_than_whoever_forwards_it_must_take() -> None:
    sizes = set()
    for size in range(MAX_LEAF - 400, MAX_LEAF + 1):
        leaf = long_leaf(size)
        assert len(leaf) == size
        event = event_of(leaf)
        assert len(canonical(event)) <= MAX_EVENT
        sizes.add("data" in event)
        if "data" not in event:
            assert event["dataref"] == f"{IDENTITY.origin}#7"
            assert JSONFormat().read(CloudEvent, canonical(event)).get_data() is None
    assert sizes == {True, False}


def test_an_event_of_a_later_release_is_exported_like_any_other(leaves: list[bytes]) -> None:
    line = json.loads(leaves[1])
    line["event"]["type"] = "dev.enforcer.task.dreamt"
    assert event_of(canonical(line))["type"] == "dev.enforcer.task.dreamt"


def test_what_is_no_line_is_not_exported() -> None:
    with pytest.raises(BadLine):
        export_cloudevents([b"{}"])
