"""Counts outcomes, and tells of them: `docs/enumeration.md`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from acceptance.tampering_base import ANCHORED as ANCHORED_AT
from acceptance.tampering_base import LENGTH, LONGER, Ground
from acceptance.tampering_trials import Family
from acceptance.tampering_views import (
    ALONE,
    CACHED,
    COMBINED,
    DECLARED,
    DETECTED,
    FAILURES,
    HARMLESS,
    TIERS,
    Outcome,
    View,
)

INTRODUCTION = """\
# What tampering comes to

Written by `make enumerate`, which does all of this to a ledger that the library wrote, asks the library's `verify`
each time, and fails if a case ends in silence. [The threat model](threat-model.md#tampering-with-the-ledger) draws the
conclusions.

The ledger has {length} entries ({size:,} bytes) of several tasks and every usual type, checkpoints at {checkpoints}
entries, and an anchor at {anchored}; where tiles and caches are the matter, it has grown to {longer}. {cases:,} cases
were tried, and {asked:,} times somebody was asked. Silent: {silent}.

- **detected**: the verdict is *tampered* or *unverifiable*, and a finding says what and where.
- **harmless**: the history is untouched, the verdict is *verified*, and nothing that is said of it is wrong.
- **declared**: the verdict is *verified* although the history is not the one that was written. Whoever has no more than
  this cannot tell. At T2 it always lies in what the report itself calls unanchored.

| who verifies | has besides the files |
|---|---|
| T0, alone | nothing: whoever tampered could write everything, the user's folder too |
| T0, memory | the user's folder: which ledger belongs here, the largest head seen, the signer's last head |
| T1 | that memory, and the key by other means; neither is in reach of whoever tampers |
| T2 | the key, and the anchor, kept elsewhere; no memory |

What is detected alone is detected by everybody.
"""

_TITLES = {ALONE.name: "T0, alone", "memory": "T0, memory", "pinned": "T1", "anchored": "T2"}


class Tally:
    """How the cases of a family ended in one view."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.codes: Counter[str] = Counter()
        self.named = 0

    @property
    def cases(self) -> int:
        return self.kinds.total()

    def add(self, outcome: Outcome) -> None:
        self.kinds[outcome.kind] += 1
        self.codes.update(outcome.codes)
        self.named += outcome.named

    def pack(self) -> dict[str, Any]:
        return {"kinds": dict(self.kinds), "codes": dict(self.codes), "named": self.named}

    def merge(self, packed: Mapping[str, Any]) -> None:
        self.kinds.update(packed["kinds"])
        self.codes.update(packed["codes"])
        self.named += packed["named"]


Tallies = dict[str, dict[str, Tally]]


def tallies_of(rows: Iterable[Mapping[str, Any]]) -> Tallies:
    """Family by family and view by view."""
    tallies: Tallies = {}
    for row in rows:
        for view, packed in row["tallies"].items():
            tallies.setdefault(row["family"], {}).setdefault(view, Tally()).merge(packed)
    return tallies


def failures_in(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Every case that ended in none of the three ways, as far as they are named."""
    return [f"{row['family']}: {failure}" for row in rows for failure in row["failures"]]


def render(families: Iterable[Family], tallies: Tallies, ground: Ground) -> str:
    """The report on what is counted so far."""
    known = [family for family in families if family.name in tallies]
    everything = [tally for views in tallies.values() for tally in views.values()]
    introduction = INTRODUCTION.format(
        length=LENGTH,
        size=ground.offsets[-1],
        checkpoints=", ".join(map(str, sorted(ground.checkpoints))),
        anchored=ANCHORED_AT,
        longer=LONGER,
        cases=sum(next(iter(tallies[family.name].values())).cases for family in known),
        asked=sum(tally.cases for tally in everything),
        silent=sum(tally.kinds[kind] for tally in everything for kind in FAILURES),
    )
    lines = [family for family in known if CACHED not in family.views]
    files = [family for family in known if CACHED in family.views]
    histories = [family for family in known if family.views == COMBINED]
    sections = (
        ("Lines and what vouches for them", _by_tier, lines),
        ("Derived and working files\n\nBy the user, who has the key of the caches.", _by_user, files),
        ("Histories put back and told anew\n\nBy all that a verifier may have.", _by_knowledge, histories),
        (
            "What the findings say\n\nTo whoever verifies alone. *Named*: one is of that entry, or next to it.",
            _by_code,
            lines,
        ),
    )
    return "\n".join([introduction, *(f"## {title}\n\n{table(of, tallies)}" for title, table, of in sections if of)])


def _by_tier(families: list[Family], tallies: Tallies) -> str:
    rows = [["class", "what", "cases", *_TITLES.values()], ["---"] * 7]
    for family in families:
        found = tallies[family.name]
        cells = [_kinds(found[view.name]) if view.name in found else "as alone" for view in TIERS]
        rows.append([family.name, family.what, f"{found[ALONE.name].cases:,}", *cells])
    return _table(rows)


def _by_user(families: list[Family], tallies: Tallies) -> str:
    rows = [["class", "what", "cases", "outcome", "codes"], ["---"] * 5]
    for family in families:
        tally = tallies[family.name][CACHED.name]
        rows.append([family.name, family.what, f"{tally.cases:,}", _kinds(tally), _codes(tally)])
    return _table(rows)


def _by_knowledge(families: list[Family], tallies: Tallies) -> str:
    rows = [["who verifies has", *(family.name for family in families)], ["---"] * (len(families) + 1)]
    for view in COMBINED:
        cells = [_kinds(tallies[family.name][view.name]) for family in families if view.name in tallies[family.name]]
        rows.append([_having(view), *cells])
    return _table(rows)


def _having(view: View) -> str:
    titles = {ALONE.name: "nothing (T0)", "memory": "memory (T0)", "pinned": "memory, key (T1)"}
    return {**titles, "anchored": "key, anchor (T2)", "key alone": "key", "anchor alone": "anchor"}.get(
        view.name, view.name
    )


def _by_code(families: list[Family], tallies: Tallies) -> str:
    rows = [["class", "named", "codes"], ["---"] * 3]
    for family in families:
        tally = tallies[family.name][ALONE.name]
        named = f"{tally.named:,} of {tally.cases:,}" if tally.named else "concerns no one entry"
        rows.append([family.name, named, _codes(tally)])
    return _table(rows)


def _kinds(tally: Tally) -> str:
    shown = {DETECTED: "detected", HARMLESS: "harmless", DECLARED: "**declared**"}
    shown |= {kind: kind.upper() for kind in FAILURES}
    return ", ".join(f"{word} {tally.kinds[kind]:,}" for kind, word in shown.items() if tally.kinds[kind])


def _codes(tally: Tally) -> str:
    return " ".join(f"`{code}`" for code in sorted(tally.codes))


def _table(rows: list[list[str]]) -> str:
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)
