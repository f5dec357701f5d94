"""Ledgers to be told: real lines, written event by event, at times that the story sets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from enforcer.ledger.entry import Entry, format_event, parse_leaf
from enforcer.ledger.fold import Head
from enforcer.ledger.memory import MemoryLedger
from enforcer.ledger.store import Identity
from enforcer.workflow import events
from enforcer.workflow.events import Event, Notes, Refusal
from enforcer.workflow.evolve import Place

SECOND = 1_000_000
START = 1_750_000_000 * SECOND  # a moment in 2025
LEDGER = "0123456789abcdef" * 2
ADA, BOB = "ada/s1", "bob"


class Hands:
    """A clock whose hands are moved."""

    def __init__(self, now: int = START) -> None:
        self.time = now

    def now(self) -> int:
        return self.time

    def boot(self) -> tuple[str, int]:
        return "boot", self.time * 1000


class Shelf:
    """A ledger to read: some lines, whatever they say, of which `seen` are caught up with."""

    def __init__(self, identity: Identity, leaves: Sequence[bytes], seen: int | None = None) -> None:
        self.identity = identity
        self._entries = [parse_leaf(leaf) for leaf in leaves]
        self.seen = len(leaves) if seen is None else seen

    @property
    def head(self) -> Head:
        if not self.seen:
            return Head(0, self.identity.genesis, 0)
        last = self._entries[self.seen - 1]
        return Head(self.seen, last.hash, last.ts)

    def catch_up(self) -> None:
        """Nothing arrives by itself."""

    def entries(self, start: int = 0) -> Iterator[Entry]:
        yield from self._entries[start : self.seen]


class Pages(MemoryLedger):
    """Takes any event: what telemetry tells of is not for telemetry to judge, so a story need not be a legal walk."""

    def append(self, event: Event, data: bytes, *, task: str | None, key: str, now: int | None = None) -> Place:
        leaf, ts = self._fold.next_leaf(data, task=task, now=self._clock.now() if now is None else now)
        self._leaves.append(leaf)
        return self._fold.take_own(leaf, event, task=task, key=key, ts=ts)


class Story:
    """A ledger that is being written. Each method adds one entry, by default a second after the one before."""

    def __init__(self, ledger: str = LEDGER, *, start: int = START) -> None:
        self.clock = Hands(start)
        self.ledger = Pages(Identity(ledger, None, f"enforcer/{ledger}"), clock=self.clock)

    def add(self, event: Event, *, task: str | None = "T", after: int = SECOND) -> Entry:
        self.clock.time += after
        key = f".{self.ledger.head.size}"
        data = format_event(event, task=task, key=key, source=self.ledger.identity.origin)
        with self.ledger.writing():
            place = self.ledger.append(event, data, task=task, key=key)
        return self.ledger.entry(place.seq)

    def entries(self) -> list[Entry]:
        return list(self.ledger.entries())

    def shelf(self, seen: int | None = None, *, kind: type[Shelf] = Shelf) -> Shelf:
        """What is written so far as a ledger to read, of which `seen` entries are caught up with."""
        return kind(self.ledger.identity, tuple(self.ledger.leaves()), seen)

    def open(self, task: str = "T", phase: str = "SPEC", **where: Any) -> Entry:
        event = events.TaskOpened(
            actor=ADA, title="Secret plan", process="p", digest="d" * 64, phase=phase, attempt_id=f"{task}-{phase}-1"
        )
        return self.add(event, task=task, **where)

    def advance(self, start: str, to: str, *, task: str = "T", after: int = SECOND, **more: Any) -> Entry:
        event = events.PhaseAdvanced(actor=ADA, start=start, to=to, attempt_id=f"{task}-{to}-n", **more)
        return self.add(event, task=task, after=after)

    def complete(self, start: str, *, task: str = "T", **more: Any) -> Entry:
        return self.add(events.PhaseAdvanced(actor=ADA, start=start, completed=True, **more), task=task)

    def backtrack(self, start: str, to: str, *, task: str = "T", after: int = SECOND) -> Entry:
        event = events.PhaseBacktracked(actor=ADA, start=start, to=to, reason="it fails", attempt_id=f"{task}-{to}-b")
        return self.add(event, task=task, after=after)

    def abandon(self, phase: str, *, task: str = "T") -> Entry:
        return self.add(events.TaskAbandoned(actor=ADA, phase=phase, reason="no"), task=task)

    def refuse(self, stage: str, *refusals: Refusal, command: str = "advance", phase: str, **more: Any) -> Entry:
        where = {name: more.pop(name) for name in ("task", "after") if name in more}
        event = events.CommandRefused(
            actor=more.pop("actor", ADA), command=command, stage=stage, phase=phase, refusals=refusals, **more
        )
        return self.add(event, **where)

    def skip(self, phase: str = "SPEC", to: str = "MONITOR", **more: Any) -> Entry:
        return self.refuse("order", Refusal("phase_skip", "no", phase), phase=phase, to=to, **more)

    def fail(self, phase: str, *artifacts: str, **more: Any) -> Entry:
        refusals = [Refusal("evidence_invalid", "Secret text is missing", phase, name) for name in artifacts]
        return self.refuse("evidence", *refusals, phase=phase, **more)

    def deny(self, phase: str, *, task: str | None = "T", **more: Any) -> Entry:
        event = events.ToolRefused(
            actor=ADA,
            phase=phase,
            tool="Bash",
            refusals=(Refusal("tool_out_of_phase", "rm secret", phase, "secret/path"),),
            capabilities=("run",),
            paths=("secret/path",),
            call="call-1",
            session="s1",
            **more,
        )
        return self.add(event, task=task)


def noted(coalesced: int) -> Notes:
    return Notes(coalesced=coalesced)


def call(session: str, verdict: str, ts: int) -> dict[str, object]:
    """A line of the guard."""
    line = {"call": "c", "digest": "0" * 64, "session": session, "task": "T", "tool": "Bash"}
    return {**line, "ts": ts, "verdict": verdict}


def walk() -> Story:
    """A task with a little of everything: a skip, a failed VERIFY, a return, a denied tool, completion."""
    story = Story()
    story.add(events.LedgerCreated(actor=ADA, version="1"), task=None)
    story.open(phase="IMPLEMENT")
    story.skip("IMPLEMENT", "MONITOR", after=10 * SECOND)
    story.advance("IMPLEMENT", "VERIFY", after=50 * SECOND)
    story.fail("VERIFY", "test_results.json", "build_output.log", after=5 * SECOND)
    story.backtrack("VERIFY", "IMPLEMENT", after=2 * SECOND)
    story.add(events.LeaseReleased(actor=ADA, holder=ADA, token=1))
    story.advance("IMPLEMENT", "VERIFY", after=30 * SECOND)
    story.advance("VERIFY", "REVIEW", after=7 * SECOND)
    story.deny("REVIEW")
    story.complete("REVIEW")
    return story


def attributes(span: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of an OTLP JSON span or data point as plain values."""
    return {one["key"]: _plain(one["value"]) for one in span.get("attributes", ())}


def _plain(value: Mapping[str, Any]) -> Any:
    [(kind, inner)] = value.items()
    if kind == "arrayValue":
        return [_plain(item) for item in inner["values"]]
    return int(inner) if kind == "intValue" else inner


def spans_in(lines: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The spans of parsed lines of `TracesData`, in order."""
    return [
        span
        for line in lines
        for resource in line["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]


def metrics_in(line: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The metrics of a parsed line of `MetricsData`, by name."""
    return {
        metric["name"]: metric
        for resource in line["resourceMetrics"]
        for scope in resource["scopeMetrics"]
        for metric in scope["metrics"]
    }
