"""Spans and measures as lines of the OTLP file format, by OpenTelemetry's own JSON file exporter.

The format (specification/protocol/file-exporter.md): UTF-8, one JSON object a line, one type of data a file, ids in
hex, 64-bit integers as strings. The exporter writes into memory and the follower puts the bytes into the files, because
only then does it know how far a file reaches and can continue after a crash without telling anything twice.

OpenTelemetry is an optional extra and slow to import: it is loaded here, when the first exporter is made, and nowhere
else.
"""

from __future__ import annotations

import io

from enforcer.errors import InternalError, UnavailableError
from enforcer.telemetry.counters import COUNTERS
from enforcer.telemetry.levels import levels
from enforcer.telemetry.repairs import BOUNDS_US

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from opentelemetry.sdk.metrics.export import Metric
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext

    from enforcer.telemetry.counters import Counter
    from enforcer.telemetry.levels import Level
    from enforcer.telemetry.metrics import Measures
    from enforcer.telemetry.spans import Span

SCOPE = "enforcer.telemetry"
SERVICE = "enforcer"


class OtlpExporter:
    """Turns what was told into bytes. Equal input gives equal bytes."""

    def __init__(self, ledger: str) -> None:
        """`ledger` is the ledger's id. Raises `UnavailableError` `telemetry_extra_missing` without the extra."""
        try:
            from opentelemetry import trace
            from opentelemetry.exporter.otlp.json import file
            from opentelemetry.sdk import resources
            from opentelemetry.sdk import trace as sdk_trace
            from opentelemetry.sdk.metrics import export as sdk_metrics
            from opentelemetry.sdk.util import instrumentation
        except ImportError as error:
            raise _extra_missing(error) from error
        self._trace, self._sdk_trace, self._sdk_metrics, self._file = trace, sdk_trace, sdk_metrics, file
        # Made without `Resource.create`, which would mix in the environment of whoever runs the follower.
        self._resource: Resource = resources.Resource(
            {"service.name": SERVICE, "service.instance.id": ledger, "enforcer.ledger.id": ledger}
        )
        self._scope = instrumentation.InstrumentationScope(SCOPE)

    def spans(self, batches: Iterable[Sequence[Span]]) -> bytes:
        """One line of `TracesData` for each batch.

        A batch is what one entry was told as, so that the file is a function of the ledger alone, however often the
        follower stopped on the way.
        """
        stream = io.StringIO()
        exporter = self._file.FileSpanExporter(stream=stream)
        for batch in batches:
            result = exporter.export([self._span(span) for span in batch])
            _check(result is self._sdk_trace.export.SpanExportResult.SUCCESS, "spans")
        return stream.getvalue().encode()

    def metrics(self, measures: Measures) -> bytes:
        """One line of `MetricsData`: cumulative from the ledger's first entry to the last one measured."""
        stream = io.StringIO()
        sdk = self._sdk_metrics
        found = [self._counter(measures, row) for row in COUNTERS]
        found += [self._level(measures, level) for level in levels(measures) if level.value is not None]
        found.append(self._repairs(measures))
        scope = sdk.ScopeMetrics(scope=self._scope, metrics=found, schema_url="")
        resource = sdk.ResourceMetrics(resource=self._resource, scope_metrics=[scope], schema_url="")
        result = self._file.FileMetricExporter(stream=stream).export(sdk.MetricsData([resource]))
        _check(result is sdk.MetricExportResult.SUCCESS, "metrics")
        return stream.getvalue().encode()

    def _span(self, span: Span) -> ReadableSpan:
        trace, code = self._trace, self._trace.StatusCode
        return self._sdk_trace.ReadableSpan(
            name=span.name,
            context=self._context(span.trace, span.span),
            parent=self._context(span.trace, span.parent) if span.parent else None,
            resource=self._resource,
            attributes=dict(span.attributes),
            events=[self._sdk_trace.Event(one.name, dict(one.attributes), timestamp=one.time) for one in span.moments],
            links=[trace.Link(self._context(*link)) for link in span.links],
            kind=trace.SpanKind.INTERNAL,
            status=trace.Status(code.ERROR if span.error else code.UNSET),
            start_time=span.start,
            end_time=span.end,
            instrumentation_scope=self._scope,
        )

    def _context(self, trace_id: str, span_id: str) -> SpanContext:
        sampled = self._trace.TraceFlags(self._trace.TraceFlags.SAMPLED)
        return self._trace.SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=False, trace_flags=sampled)

    def _counter(self, measures: Measures, row: Counter) -> Metric:
        # A counter that never counted is exported as zero: absence would look the same as a metric unheard of.
        series = measures.by(row.name) or {(): 0}
        points = [
            self._point(measures, value, dict(zip(row.dimensions, values, strict=False)))
            for values, value in series.items()
        ]
        data = self._sdk_metrics.Sum(points, self._sdk_metrics.AggregationTemporality.CUMULATIVE, is_monotonic=True)
        return self._sdk_metrics.Metric(row.name, row.meaning, row.unit, data)

    def _level(self, measures: Measures, level: Level) -> Metric:
        gauge = self._sdk_metrics.Gauge([self._point(measures, level.value, {"enforcer.level.met": level.met})])
        return self._sdk_metrics.Metric(level.name, level.meaning, level.unit, gauge)

    def _repairs(self, measures: Measures) -> Metric:
        repairs = measures.repairs
        point = self._sdk_metrics.HistogramDataPoint(
            attributes={},
            start_time_unix_nano=measures.first_ts * 1000,
            time_unix_nano=measures.last_ts * 1000,
            count=repairs.count,
            sum=repairs.total_us / 1_000_000,
            bucket_counts=repairs.buckets,
            explicit_bounds=[bound / 1_000_000 for bound in BOUNDS_US],
            min=repairs.least_us / 1_000_000,
            max=repairs.most_us / 1_000_000,
        )
        data = self._sdk_metrics.Histogram([point], self._sdk_metrics.AggregationTemporality.CUMULATIVE)
        return self._sdk_metrics.Metric(
            "tool_repair_time", "Time from a denied tool call to the session's next allowed one", "s", data
        )

    def _point(self, measures: Measures, value: Any, attributes: dict[str, Any]) -> Any:
        return self._sdk_metrics.NumberDataPoint(
            attributes=attributes,
            start_time_unix_nano=measures.first_ts * 1000,
            time_unix_nano=measures.last_ts * 1000,
            value=value,
        )


def _check(success: bool, what: str) -> None:
    # The exporter reports failure without its reason, which it has logged; nothing but a value of ours can cause one.
    if not success:
        raise InternalError("telemetry_encoding", f"The {what} could not be encoded as OTLP.")


def _extra_missing(error: ImportError) -> UnavailableError:
    message = f"OpenTelemetry, with its JSON file exporter, is not installed here ({error})."
    return UnavailableError("telemetry_extra_missing", message, fix="pip install 'enforcer[telemetry]'")
