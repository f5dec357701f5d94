"""The lines are OTLP: read back here as JSON, and by OpenTelemetry's own reader of it."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import pytest
from opentelemetry.proto_json.metrics.v1.metrics import MetricsData
from opentelemetry.proto_json.trace.v1.trace import Span as OtlpSpan
from opentelemetry.proto_json.trace.v1.trace import Status, TracesData

from enforcer.errors import InternalError, UnavailableError
from enforcer.telemetry.exporter import OtlpExporter
from enforcer.telemetry.metrics import Measures
from enforcer.telemetry.spans import Span, tell
from tests.sources import ROOT
from tests.telemetry.story import LEDGER, SECOND, START, attributes, call, metrics_in, spans_in, walk


def told() -> list[tuple[Span, ...]]:
    measures, batches = Measures(), []
    for entry in walk().entries():
        batches.append(tell(entry, measures.course(entry.task)))
        measures.add(entry)
    return [batch for batch in batches if batch]


@pytest.fixture(scope="module")
def traces() -> bytes:
    return OtlpExporter(LEDGER).spans(told())


@pytest.fixture(scope="module")
def metrics() -> bytes:
    calls = [call("s", "deny", START), call("s", "allow", START + 4 * SECOND)]
    return OtlpExporter(LEDGER).metrics(Measures.fold(walk().entries(), calls))


def parsed(lines: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines.decode().splitlines()]


def test_a_line_holds_the_spans_of_one_entry_and_nothing_else(traces: bytes) -> None:
    lines = parsed(traces)
    assert traces.endswith(b"\n")
    assert [len(spans_in([line])) for line in lines] == [len(batch) for batch in told()]
    assert {tuple(line) for line in lines} == {("resourceSpans",)}


def test_ids_are_hex_and_those_that_were_derived(traces: bytes) -> None:
    """A protobuf JSON reader takes them for base64 and corrupts them without a word, so the text is looked at."""
    written = spans_in(parsed(traces))
    expected = [span for batch in told() for span in batch]

    assert [(one["traceId"], one["spanId"], one.get("parentSpanId", "")) for one in written] == [
        (one.trace, one.span, one.parent) for one in expected
    ]
    assert all(
        re.fullmatch("[0-9a-f]{32}", one["traceId"]) and re.fullmatch("[0-9a-f]{16}", one["spanId"]) for one in written
    )
    assert [(link["traceId"], link["spanId"]) for one in written for link in one.get("links", ())] == [
        link for one in expected for link in one.links
    ]


def test_the_official_reader_gives_back_what_was_told(traces: bytes) -> None:
    read = [
        span
        for line in parsed(traces)
        for resource in TracesData.from_dict(line).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]

    expected = [span for batch in told() for span in batch]
    assert [(one.name, (one.trace_id or b"").hex(), (one.span_id or b"").hex()) for one in read] == [
        (one.name, one.trace, one.span) for one in expected
    ]
    assert [(one.start_time_unix_nano, one.end_time_unix_nano) for one in read] == [
        (one.start, one.end) for one in expected
    ]
    assert {one.kind for one in read} == {OtlpSpan.SpanKind.SPAN_KIND_INTERNAL}


def test_status_is_unset_on_success_and_error_with_its_type_on_failure(traces: bytes) -> None:
    for span in spans_in(parsed(traces)):
        code = span.get("status", {}).get("code", 0)
        if "error.type" in attributes(span):
            assert code == Status.StatusCode.STATUS_CODE_ERROR.value
        else:
            assert code == Status.StatusCode.STATUS_CODE_UNSET.value
    failed = [span for span in spans_in(parsed(traces)) if span.get("status", {}).get("code")]
    assert [attributes(span)["error.type"] for span in failed] == [
        "phase_skip",
        "evidence_invalid",
        "evidence_invalid",
        "tool_out_of_phase",
    ]


def test_times_are_strings_of_nanoseconds_of_this_century(traces: bytes) -> None:
    for span in spans_in(parsed(traces)):
        for side in ("startTimeUnixNano", "endTimeUnixNano"):
            assert isinstance(span[side], str)
            assert START * 1000 <= int(span[side]) <= (START + 3600 * SECOND) * 1000


def test_the_resource_is_the_ledger_and_not_the_machine(traces: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "host.name=here")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")

    again = OtlpExporter(LEDGER).spans(told())

    assert again == traces
    [resource] = parsed(again)[0]["resourceSpans"]
    assert attributes(resource["resource"]) == {
        "service.name": "enforcer",
        "service.instance.id": LEDGER,
        "enforcer.ledger.id": LEDGER,
    }


def test_every_attribute_of_a_span_arrives(traces: bytes) -> None:
    for written, span in zip(spans_in(parsed(traces)), (span for batch in told() for span in batch), strict=True):
        expected = {name: list(value) if isinstance(value, tuple) else value for name, value in span.attributes.items()}
        assert attributes(written) == expected


def test_a_snapshot_is_one_line_that_the_official_reader_takes(metrics: bytes) -> None:
    [line] = parsed(metrics)
    assert set(line) == {"resourceMetrics"}
    [resource] = MetricsData.from_dict(line).resource_metrics
    assert {metric.name for scope in resource.scope_metrics for metric in scope.metrics} == set(metrics_in(line))


def test_counters_are_cumulative_sums_since_the_first_entry(metrics: bytes) -> None:
    skips = metrics_in(parsed(metrics)[0])["phase_skips_attempted"]

    assert (skips["sum"]["aggregationTemporality"], skips["sum"]["isMonotonic"]) == (2, True)
    [point] = skips["sum"]["dataPoints"]
    assert (point["asInt"], attributes(point)) == (
        "1",
        {"enforcer.phase.from": "IMPLEMENT", "enforcer.phase.to": "MONITOR"},
    )
    first, last = walk().entries()[0].ts, walk().entries()[-1].ts
    assert (point["startTimeUnixNano"], point["timeUnixNano"]) == (str(first * 1000), str(last * 1000))


def test_a_counter_that_never_counted_is_exported_as_zero(metrics: bytes) -> None:
    [point] = metrics_in(parsed(metrics)[0])["prompt_drift_detected"]["sum"]["dataPoints"]
    assert point["asInt"] == "0"


def test_service_levels_are_gauges_that_say_whether_they_are_met(metrics: bytes) -> None:
    found = metrics_in(parsed(metrics)[0])
    [success] = found["task_success_ratio"]["gauge"]["dataPoints"]
    [loop] = found["task_loop_ratio"]["gauge"]["dataPoints"]
    assert (success["asDouble"], attributes(success)) == (1.0, {"enforcer.level.met": True})
    assert (loop["asDouble"], attributes(loop)) == (0.0, {"enforcer.level.met": True})


def test_a_service_level_without_a_measurement_is_left_out() -> None:
    [line] = parsed(OtlpExporter(LEDGER).metrics(Measures()))
    assert "task_success_ratio" not in metrics_in(line)


def test_repair_times_are_a_histogram_in_seconds(metrics: bytes) -> None:
    [point] = metrics_in(parsed(metrics)[0])["tool_repair_time"]["histogram"]["dataPoints"]
    assert (point["count"], point["sum"], point["min"], point["max"]) == ("1", 4.0, 4.0, 4.0)
    assert point["explicitBounds"][4] == 5.0
    assert point["bucketCounts"] == ["0"] * 4 + ["1"] + ["0"] * 7


def test_without_the_extra_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("opentelemetry")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)

    with pytest.raises(UnavailableError) as caught:
        OtlpExporter(LEDGER)

    assert caught.value.code == "telemetry_extra_missing"
    assert caught.value.fix == "pip install 'enforcer[telemetry]'"


@pytest.mark.filterwarnings("ignore")
def test_what_cannot_be_encoded_is_an_error_and_not_a_missing_line(caplog: pytest.LogCaptureFixture) -> None:
    [span, *_] = told()[0]
    with pytest.raises(InternalError):
        OtlpExporter(LEDGER).spans([(span.replace(span="f" * 17),)])


def test_the_documentation_names_everything_that_is_exported(traces: bytes, metrics: bytes) -> None:
    text = (ROOT / "docs" / "telemetry.md").read_text(encoding="utf-8")
    spans = spans_in(parsed(traces))
    exported = {name for span in spans for name in (span["name"], *attributes(span))}
    exported |= {moment["name"] for span in spans for moment in span.get("events", ())}
    for metric in metrics_in(parsed(metrics)[0]).values():
        kind = next(kind for kind in ("sum", "gauge", "histogram") if kind in metric)
        exported |= {metric["name"], *(name for point in metric[kind]["dataPoints"] for name in attributes(point))}

    assert {name for name in exported if f"`{name}`" not in text} == set()
