"""The files that telemetry writes are OTLP: they go through OpenTelemetry's protobuf messages and come back the same.

OTLP's JSON is not protobuf's own: ids are hex (OTLP specification, "JSON Protobuf Encoding"), where protobuf's JSON has
base64, and the hex digits of an id are valid base64 of other bytes. So ids are translated at the door, in both
directions, and one test shows what happens to whoever does not.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict, Parse
from google.protobuf.message import Message
from opentelemetry.proto.metrics.v1.metrics_pb2 import MetricsData
from opentelemetry.proto.trace.v1.trace_pb2 import Span, TracesData

from enforcer.ports import SystemDisk
from enforcer.telemetry.follower import Follower
from tests.faults import CountingEntropy
from tests.telemetry.story import Hands, spans_in, walk

TRACES, METRICS = "traces.jsonl", "metrics.jsonl"
IDS = ("traceId", "spanId", "parentSpanId")


def exchange(value: Any, name: str, turn: Callable[[str], str]) -> Any:
    """The value with every id in it turned into its other spelling."""
    if isinstance(value, dict):
        return {key: exchange(item, key, turn) for key, item in value.items()}
    if isinstance(value, list):
        return [exchange(item, name, turn) for item in value]
    return turn(value) if name in IDS else value


def to_base64(text: str) -> str:
    return base64.b64encode(bytes.fromhex(text)).decode()


def to_hex(text: str) -> str:
    return base64.b64decode(text).hex()


def read(line: dict[str, Any], kind: type[Message]) -> Any:
    """A line as a message. Unknown members are errors, so that nothing is lost without a word."""
    return Parse(json.dumps(exchange(line, "", to_base64)), kind())


def write(message: Message) -> Any:
    return exchange(MessageToDict(message, use_integers_for_enums=True), "", to_hex)


def without_defaults(value: Any) -> Any:
    """Protobuf leaves out what holds its default; arrays keep their items, and a oneof keeps what was set."""
    if isinstance(value, dict):
        kept = {key: without_defaults(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in ("", [], {}, 0, False)}
    return [without_defaults(item) for item in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """The lines of both files, as the follower writes them."""
    state = tmp_path_factory.mktemp("state")
    Follower(walk().ledger, str(state), disk=SystemDisk(), clock=Hands(), entropy=CountingEntropy()).run()
    return {
        name: [json.loads(line) for line in (state / "telemetry" / name).read_text(encoding="utf-8").splitlines()]
        for name in (TRACES, METRICS)
    }


def test_traces_come_back_from_protobuf_as_they_were_written(files: dict[str, Any]) -> None:
    assert files[TRACES]
    for line in files[TRACES]:
        message = read(line, TracesData)
        binary = TracesData.FromString(message.SerializeToString())
        assert without_defaults(write(binary)) == without_defaults(line)


def test_metrics_come_back_from_protobuf_as_they_were_written(files: dict[str, Any]) -> None:
    assert files[METRICS]
    for line in files[METRICS]:
        message = read(line, MetricsData)
        binary = MetricsData.FromString(message.SerializeToString())
        assert without_defaults(write(binary)) == without_defaults(line)


def test_ids_have_their_widths_and_spans_their_kind(files: dict[str, Any]) -> None:
    messages = [read(line, TracesData) for line in files[TRACES]]
    spans = [
        span
        for message in messages
        for resource in message.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    assert len(spans) == len(spans_in(files[TRACES]))
    assert {len(span.trace_id) for span in spans} == {16}
    assert {len(span.span_id) for span in spans} == {8}
    assert {span.kind for span in spans} == {Span.SPAN_KIND_INTERNAL}


def test_whoever_takes_the_ids_for_base64_gets_others(files: dict[str, Any]) -> None:
    """Why the ids are translated above: protobuf's own reader accepts the line, and every id in it is wrong."""
    [first, *_] = files[TRACES]
    naive = Parse(json.dumps(first), TracesData())
    [span, *_] = naive.resource_spans[0].scope_spans[0].spans
    assert len(span.trace_id) == 24
    assert span.trace_id.hex() != spans_in([first])[0]["traceId"]
