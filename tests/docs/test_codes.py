"""`docs/refusals.md` names every code that the package can answer with, and no other."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from enforcer.surfaces.cli import _told
from tests.docs import codes
from tests.docs.codes import Codes
from tests.docs.pages import DOCS
from tests.sources import ROOT, parse_package, read_package

PACKAGE = read_package()
KINDS = {
    "request": "RequestError",
    "damaged": "DamagedError",
    "unavailable": "UnavailableError",
    "internal": "InternalError",
}

# `main` tells three things as errors that are of no class of ours when they reach it.
TOLD_BY_MAIN = {"interrupted", "system", "internal"}


def rows(section: str) -> list[list[str]]:
    """The cells of every row of a section that begins with a code."""
    text = (DOCS / "refusals.md").read_text(encoding="utf-8").split(f"\n## {section}\n")[1].split("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip().strip("`") for cell in line.strip("|").split(" | ")] for line in lines]


REFUSAL_ROWS = rows("Refusals")
ERROR_ROWS = rows("Errors")


def compare(page: set[str], source: Mapping[str, list[str]]) -> str:
    """What is in one and not in the other, with the places where it comes from; empty where they agree."""
    missing = [
        f"{code}, given at {places[0]}, is not in the page" for code, places in source.items() if code not in page
    ]
    return "\n".join([*missing, *(f"{code} is in the page, and nothing gives it" for code in page - source.keys())])


def test_every_error_code_of_the_source_is_in_the_page_and_no_other() -> None:
    found = codes.errors(PACKAGE)
    assert found.unknown == []
    assert compare({row[0] for row in ERROR_ROWS}, found.known) == ""


def test_every_refusal_code_of_the_source_is_in_the_page() -> None:
    found = codes.refusals(PACKAGE)
    assert found.unknown == []
    assert set(found.known) <= {row[0] for row in REFUSAL_ROWS}
    kept = {row[0] for row in REFUSAL_ROWS if "this release gives none" in row[2]}
    assert {row[0] for row in REFUSAL_ROWS} - set(found.known) == kept


def test_the_page_and_the_schema_of_outputs_agree_on_the_refusals() -> None:
    schema = json.loads((ROOT / "schemas" / "output" / "common.schema.json").read_text(encoding="utf-8"))
    assert {row[0] for row in REFUSAL_ROWS} == set(schema["$defs"]["refusal"]["properties"]["code"]["enum"])


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_says_whose_turn_it_is(kind: str) -> None:
    """The kind of a code is the class that it is raised with."""
    told = {row[0] for row in ERROR_ROWS if row[1] == kind} - TOLD_BY_MAIN
    assert told == set(codes.errors(PACKAGE, KINDS[kind]).known)


def test_what_is_of_no_class_of_ours_is_told_under_these_codes() -> None:
    errors = (KeyboardInterrupt(), OSError(28, "No space left on device"), RuntimeError("x"))
    assert {_told(error).code for error in errors} == TOLD_BY_MAIN


@pytest.mark.parametrize("table", [REFUSAL_ROWS, ERROR_ROWS], ids=["refusals", "errors"])
def test_every_code_stands_once_with_a_meaning_and_a_fix(table: list[list[str]]) -> None:
    assert len({row[0] for row in table}) == len(table) > 10
    for row in table:
        assert len(row) == 4
        assert all(row), row


def test_the_table_of_errors_is_in_order() -> None:
    assert [row[0] for row in ERROR_ROWS] == sorted(row[0] for row in ERROR_ROWS)


# The collector itself


def collected(source: str) -> Codes:
    return codes.errors(parse_package({"enforcer.example": (source, False)}))


@pytest.mark.parametrize(
    "source, found",
    [
        ('raise RequestError("a_b", "m")', {"a_b"}),
        ('raise errors.DamagedError("a_b", "m")', {"a_b"}),
        ('CODE = "a_b"\nraise RequestError(CODE, "m")', {"a_b"}),
        ('A, B = "a_b", "c_d"\nraise RequestError(B, "m")', {"c_d"}),
        ('from enforcer.example import CODE\nCODE = "a_b"\nraise RequestError(CODE, "m")', {"a_b"}),
        ('def bad(code):\n    raise RequestError(code, "m")\nbad("a_b")', {"a_b"}),
        ('class C:\n    def bad(self, x, code):\n        return RequestError(code, x)\nself.bad(1, "a_b")', {"a_b"}),
        ('def outer(c):\n    inner(c)\ndef inner(code):\n    raise RequestError(code, "m")\nouter("a_b")', {"a_b"}),
        ('raise ValueError("a_b")', set()),
    ],
)  # fmt: skip
def test_a_code_is_found_however_it_is_given(source: str, found: set[str]) -> None:
    assert collected(source) == Codes({code: collected(source).known[code] for code in found}, [])


def test_a_code_that_cannot_be_told_is_reported() -> None:
    assert collected("raise RequestError(words[0], 'm')").unknown == ["enforcer.example:1: words[0]"]


def test_a_difference_names_the_code_and_where_it_is_given() -> None:
    told = compare({"old"}, {"new": ["enforcer.gate:7"]})
    assert told == "new, given at enforcer.gate:7, is not in the page\nold is in the page, and nothing gives it"
