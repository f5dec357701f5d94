"""The measures for whoever asks: as JSON for programs, as a table for people."""

from __future__ import annotations

from enforcer.telemetry.counters import COUNTERS
from enforcer.telemetry.levels import levels
from enforcer.telemetry.repairs import BOUNDS_US

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from enforcer.telemetry.counters import Counter
    from enforcer.telemetry.levels import Level
    from enforcer.telemetry.metrics import Measures


def report(measures: Measures) -> dict[str, Any]:
    """The measures as JSON.

    `metrics` maps each name to `{"total", "unit", "series": [{"attributes", "value"}]}`; `service_levels` is a list of
    `{"name", "value", "target", "comparison", "met", "unit"}` whose `value` and `met` are null while there is nothing
    to measure; `tool_repair` has counts, and durations in seconds. Times are UTC microseconds, null on an empty ledger.
    """
    return {
        "entries": measures.entries,
        "first_ts": measures.first_ts or None,
        "last_ts": measures.last_ts or None,
        "metrics": {row.name: _counter(measures, row) for row in COUNTERS},
        "service_levels": [_level(level) for level in levels(measures)],
        "tool_repair": _repairs(measures),
    }


def _counter(measures: Measures, row: Counter) -> dict[str, Any]:
    series = [
        {"attributes": dict(zip(row.dimensions, values, strict=True)), "value": value}
        for values, value in measures.by(row.name).items()
    ]
    return {"total": measures.total(row.name), "unit": row.unit, "series": series}


def _level(level: Level) -> dict[str, Any]:
    return {
        "name": level.name,
        "value": level.value,
        "target": level.target,
        "comparison": "at_least" if level.at_least else "at_most",
        "met": level.met,
        "unit": level.unit,
    }


def _repairs(measures: Measures) -> dict[str, Any]:
    repairs = measures.repairs
    return {
        "calls": repairs.calls,
        "denials": repairs.denials,
        "repaired": repairs.count,
        "open": len(repairs.denied),
        "within_limit": repairs.within_limit,
        "longest": repairs.most_us / 1_000_000 if repairs.count else None,
        "buckets": [
            {"at_most": bound, "count": count}
            for bound, count in zip((*(us / 1_000_000 for us in BOUNDS_US), None), repairs.buckets, strict=True)
        ],
        "unreadable_lines": repairs.unreadable,
    }


def render(measures: Measures) -> str:
    """The measures as lines of text: every metric with its total, what it is made of, then the service levels."""
    width = max(len(name) for name in (*(row.name for row in COUNTERS), *(level.name for level in levels(measures))))
    lines = [f"{measures.entries} entries"]
    for row in COUNTERS:
        lines.append(f"{row.name:<{width}}  {measures.total(row.name):>6}  {row.meaning}")
        for values, value in measures.by(row.name).items() if row.dimensions else ():
            lines.append(f"{'':<{width}}  {value:>6}    {' · '.join(values)}")
    lines.append("")
    lines += [_line(level, width) for level in levels(measures)]
    return "\n".join(lines) + "\n"


def _line(level: Level, width: int) -> str:
    if level.value is None:
        shown, verdict = "-", "nothing to measure yet"
    else:
        shown = f"{level.value:.2f} s" if level.unit == "s" else f"{level.value:.1%}"
        verdict = "met" if level.met else "MISSED"
    limit = f"{level.target:g} s" if level.unit == "s" else f"{level.target:.0%}"
    return f"{level.name:<{width}}  {shown:>8}  {verdict} ({'≥' if level.at_least else '≤'} {limit}): {level.meaning}"
