"""Counts outcomes, and tells of them in a table."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from acceptance.tampering_bench import Outcome


class Tally:
    """How the cases of a family ended in one view."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.codes: Counter[str] = Counter()
        self.named = 0

    def add(self, outcome: Outcome) -> None:
        self.kinds[outcome.kind] += 1
        self.codes.update(outcome.codes)
        self.named += outcome.named

    def pack(self) -> dict[str, Any]:
        return {"kinds": dict(self.kinds), "codes": dict(self.codes), "named": self.named}

    def merge(self, packed: dict[str, Any]) -> None:
        self.kinds.update(packed["kinds"])
        self.codes.update(packed["codes"])
        self.named += packed["named"]


Tallies = dict[str, dict[str, Tally]]


def tallies_of(rows: list[dict[str, Any]]) -> Tallies:
    """Family by family and view by view."""
    tallies: Tallies = {}
    for row in rows:
        for view, packed in row["tallies"].items():
            tallies.setdefault(row["family"], {}).setdefault(view, Tally()).merge(packed)
    return tallies


def failures(rows: list[dict[str, Any]]) -> list[str]:
    return [f"{row['family']}: {failure}" for row in rows for failure in row["failures"]]


def render(tallies: Tallies) -> str:
    return "\n".join(f"{f} {v} {dict(t.kinds)} {t.named}" for f, vs in tallies.items() for v, t in vs.items())


def write_report(path: Path, tallies: Tallies, ground: Any) -> None:
    pass
