"""A sample of what `make enumerate` does to a ledger, and what its report and the threat model say of the whole."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from acceptance.tampering_base import Ground, prepare
from acceptance.tampering_bench import Bench
from acceptance.tampering_families import FAMILIES
from acceptance.tampering_histories import HISTORIES
from acceptance.tampering_lines import BITS, LINES
from acceptance.tampering_trials import Family, verifying
from acceptance.tampering_views import ALONE, DECLARED, DETECTED, HARMLESS, MISNAMED, SILENT, TIERS, Case

DOCS = Path(__file__).resolve().parent.parent / "docs"
WORDS = {DETECTED, HARMLESS, DECLARED}
SEED = 20_260
SAMPLE = 2  # Cases of each class; more of the bits of lines.
SAMPLED_BITS = 50

NAMES = [family.name for family in FAMILIES]


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return prepare(tmp_path_factory.mktemp("enumerate") / "ground")


@pytest.fixture(scope="module")
def cases(ground: Ground) -> dict[str, Sequence[Case]]:
    return {family.name: family.cases(ground) for family in FAMILIES}


@pytest.fixture(scope="module")
def benches(ground: Ground, tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Bench]:
    folder = tmp_path_factory.mktemp("benches")
    return {longer: Bench(folder / f"longer-{longer}", ground, longer=longer) for longer in (False, True)}


@pytest.mark.parametrize("family", FAMILIES, ids=NAMES)
def test_what_is_done_to_a_ledger_is_detected_harmless_or_declared(
    family: Family, cases: dict[str, Sequence[Case]], benches: dict[bool, Bench]
) -> None:
    known = cases[family.name]
    count = SAMPLED_BITS if family is BITS else SAMPLE
    chance = random.Random(f"{SEED} {family.name}")
    for index in sorted(chance.sample(range(len(known)), min(count, len(known)))):
        for view, outcome in family.do(benches[family.longer], known[index]).items():
            assert not outcome.failed, (known[index].name, view.name, outcome)


def test_a_change_that_should_be_noticed_and_is_not_is_reported_as_silent(benches: dict[bool, Bench]) -> None:
    """The enumeration itself can fail: here it is told that a line was changed, and none was."""
    nothing = Case("nothing at all", lambda bench: None, intact=0, at=0)

    assert verifying(benches[False], nothing, (ALONE,))[ALONE].kind == SILENT


def test_a_finding_at_the_wrong_place_is_reported_as_misnamed(ground: Ground, benches: dict[bool, Bench]) -> None:
    lines = [*ground.lines[:100], *ground.lines[101:]]
    elsewhere = Case("100 deleted, 20 expected", lambda bench: bench.put_lines(lines), intact=20, at=20)

    assert verifying(benches[False], elsewhere, (ALONE,))[ALONE].kind == MISNAMED


@pytest.mark.parametrize("longer", [False, True])
def test_everything_is_put_back_after_each_case(
    longer: bool, cases: dict[str, Sequence[Case]], benches: dict[bool, Bench]
) -> None:
    before = _content(benches[longer].root)

    for family in FAMILIES:
        if family.longer == longer:
            family._replace(views=family.views[:1]).do(benches[longer], cases[family.name][-1])

    after = _content(benches[longer].root)
    assert after.keys() == before.keys()
    assert after == before


def test_the_report_counts_every_class_whole_and_none_in_silence(cases: dict[str, Sequence[Case]]) -> None:
    """How long caches and records are may change with a release; how many cases the lines give does not."""
    report = (DOCS / "enumeration.md").read_text(encoding="utf-8")
    counted = {row[0]: int(row[2].replace(",", "")) for row in _rows(report) if row[2].replace(",", "").isdecimal()}

    assert counted.keys() == cases.keys()
    for family in (*LINES, *HISTORIES):
        assert counted[family.name] == len(cases[family.name]), family.name
    assert "Silent: 0." in report
    assert not re.search("SILENT|MISNAMED|CRASHED", report)


def test_the_threat_model_says_of_each_tier_what_the_report_does() -> None:
    outcomes = _outcomes((DOCS / "enumeration.md").read_text(encoding="utf-8"))
    model = (DOCS / "threat-model.md").read_text(encoding="utf-8").partition("## Tampering with the ledger")[2]
    told: set[str] = set()
    for attack, *tiers, how in (row for row in _rows(model) if len(row) == len(TIERS) + 2):
        named = [name for name in NAMES if _names(how, name)]
        told.update(named)
        for number, cell in enumerate(tiers if named else ()):
            expected = set().union(*(outcomes[name][number] for name in named))
            assert WORDS & set(re.findall(r"\w+", cell)) == expected, (attack, TIERS[number].name)

    assert told == set(NAMES)


def _outcomes(report: str) -> dict[str, list[set[str]]]:
    """How each class ended at each tier."""
    found = {}
    for name, _, _, *tiers in (row for row in _rows(report) if row[0] in NAMES and len(row) in (5, 7)):
        cells = tiers if len(tiers) == len(TIERS) else tiers[:1] * len(TIERS)
        found[name] = [WORDS & set(re.findall(r"\w+", cells[0] if cell == "as alone" else cell)) for cell in cells]
    return found


def _names(how: str, name: str) -> bool:
    """Whether the classes at the end of a row, which are in italics, include this one."""
    listed = re.findall(r"\*([^*]+)\*\s*$", how)
    return bool(listed) and name in _split(listed[0])


def _split(listed: str) -> list[str]:
    """Names may hold commas, so a semicolon stands beside one that does."""
    parts: list[str] = []
    for part in listed.split("; "):
        parts += [part] if part in NAMES else part.split(", ")
    return parts


def _rows(text: str) -> list[list[str]]:
    """The rows of all tables, without headings and rules."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return [row for row in rows if len(row) > 2 and not row[0].startswith("---")]


def _content(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file() and ".cache" not in path.parts)
    return {str(path): path.read_bytes() for path in paths}
