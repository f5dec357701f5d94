"""The end of the story: what the ledger and the metrics say, held against what was really done.

The story counts what it tried and the gate counts what it saw; neither knows of the other's figures.
"""

from __future__ import annotations

import importlib.util
import json
import os
from collections import Counter

from enforcer.surfaces.demo.desk import ADA, TASK
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from enforcer.surfaces.demo.desk import Desk

PHASES = ("STRATEGIZE", "SPEC", "PLAN", "THINK", "IMPLEMENT", "VERIFY", "REVIEW", "PR", "MONITOR")

# Which metric counts which refusals, one for one.
_METRICS = {
    "phase_skips_attempted": ("phase_skip",),
    "phase_validations_failed": ("evidence_invalid", "evidence_stale", "evidence_unobserved", "approval_missing"),
    "phase_lease_contention": ("lease_held",),
    "prompt_drift_detected": ("prompt_drift",),
    "tool_out_of_phase_rejected": ("tool_out_of_phase",),
}


_NO_METRICS = "metrics need the extra `telemetry` (pip install 'enforcer[telemetry]')"
_JOURNAL_HANG = 34  # Where the journal's text goes on below its times.


class Finding(Record):
    """One figure: what the story did, and what was found of it."""

    what: str
    done: str
    found: str

    @property
    def agrees(self) -> bool:
        return self.done == self.found


def show_record(desk: Desk) -> None:
    """Ask the gate for its verdicts and its journal, as anybody would."""
    desk.screen.say("Every byte is read again, every hash is computed again, every move is replayed.")
    desk.accepted(ADA, "verify")
    desk.screen.say("Is every piece of accepted evidence still there, unchanged?")
    desk.accepted(ADA, "audit", TASK)
    desk.screen.say("The journal of decisions.")
    desk.accepted(ADA, "log", TASK, hang=_JOURNAL_HANG)
    desk.screen.say("What it adds up to; the same is written to state/telemetry/ as OpenTelemetry spans and metrics.")
    if _can_export():
        desk.accepted(ADA, "telemetry")
    else:
        desk.screen.say(f"Not here: {_NO_METRICS}.")


def _can_export() -> bool:
    """Whether the optional extra that writes metrics is installed; without it everything else is told all the same."""
    try:
        return importlib.util.find_spec("opentelemetry.exporter.otlp.json.file") is not None
    except ModuleNotFoundError:
        return False


def reckon(desk: Desk) -> list[Finding]:
    """Every figure of the summary, from the ledger's own lines, from the exported metrics, and from the gate."""
    state = os.path.join(desk.place.project, "state")
    events = read_events(os.path.join(state, "ledger", "seg"))
    exported = os.path.join(state, "telemetry", "metrics.jsonl")
    metrics = read_metrics(exported) if os.path.exists(exported) else None
    return [
        *compare(Counter(desk.refusals), events, metrics),
        Finding("verdict of verify", "verified", desk.ask("verify")["verdict"]),
        Finding("state of the task", "completed", desk.ask("status", TASK)["state"]),
    ]


def compare(
    asked: Counter[str], events: Sequence[dict[str, Any]], metrics: Mapping[str, int] | None
) -> Iterator[Finding]:
    """Hold what was tried, refusals by code, against the events and the metrics; None where none were exported."""
    recorded = refusals(events)
    yield Finding("phases walked", str(len(PHASES)), str(phases_walked(events)))
    yield Finding("illegal moves", "0", str(illegal_moves(events)))
    yield Finding("ways back", "1", str(_count(events, "phase.backtracked")))
    yield Finding("skips attempted, refused", str(asked["phase_skip"]), str(recorded["phase_skip"]))
    for code in sorted((asked | recorded).keys() - {"phase_skip"}):
        yield Finding(f"refusals {code}", str(asked[code]), str(recorded[code]))
    if metrics is not None:
        yield Finding("metric phase_backtracks", "1", str(metrics.get("phase_backtracks", 0)))
        for name, codes in _METRICS.items():
            yield Finding(f"metric {name}", str(sum(asked[code] for code in codes)), str(metrics.get(name, 0)))


def show_summary(desk: Desk, findings: Sequence[Finding]) -> None:
    rows = [("", "in the story", "on the record", "")]
    rows += [(each.what, each.done, each.found, "=" if each.agrees else "DIFFERS") for each in findings]
    desk.screen.table(rows)


# Reading the record


def read_events(folder: str) -> list[dict[str, Any]]:
    """The events of the task, in order, from the segments of the ledger."""
    events = []
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            events += [json.loads(line)["event"] for line in file]
    return [event for event in events if event.get("subject") == TASK]


def refusals(events: Iterable[dict[str, Any]]) -> Counter[str]:
    """How many entries refuse with each code; an entry with several reasons of one code counts once."""
    counted: Counter[str] = Counter()
    for event in events:
        counted.update({refusal["code"] for refusal in event["data"].get("refusals", [])})
    return counted


def phases_walked(events: Iterable[dict[str, Any]]) -> int:
    """How many of the phases were left with their evidence accepted."""
    return len({event["data"]["start"] for event in events if event["type"].endswith(".phase.advanced")} & set(PHASES))


def illegal_moves(events: Iterable[dict[str, Any]]) -> int:
    """Moves that did not begin where the last one ended, or did not go forward by one, or back."""
    illegal, where = 0, 0
    for event in events:
        kind = event["type"].rpartition("dev.enforcer.")[2]
        if kind not in ("phase.advanced", "phase.backtracked"):
            continue
        start = PHASES.index(event["data"]["start"])
        to = PHASES.index(event["data"]["to"]) if event["data"].get("to") else len(PHASES)
        legal = to == start + 1 if kind == "phase.advanced" else to < start
        illegal += not (legal and start == where)
        where = to
    return illegal


def read_metrics(path: str) -> dict[str, int]:
    """The last cumulative value of every counter in an OTLP JSON lines file, summed over its attributes."""
    values: dict[str, int] = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            for metric in _metrics_of(json.loads(line)):
                points = metric.get("sum", metric.get("gauge", {})).get("dataPoints", [])
                if points:
                    values[metric["name"]] = sum(int(point.get("asInt", 0)) for point in points)
    return values


def _metrics_of(line: dict[str, Any]) -> Iterable[dict[str, Any]]:
    for resource in line["resourceMetrics"]:
        for scope in resource["scopeMetrics"]:
            yield from scope["metrics"]


def _count(events: Iterable[dict[str, Any]], kind: str) -> int:
    return sum(event["type"].endswith(f".{kind}") for event in events)
