"""JSON Schema as the judge uses it: all reasons with their paths, nothing fetched, nothing endless."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enforcer import resources
from enforcer.evidence import schema

RUBRIC = resources.read("schemas", "evidence/review_rubric.schema.json")


def packed(document: Any) -> bytes:
    return json.dumps(document).encode()


def test_all_reasons_are_given_with_their_paths() -> None:
    found = schema.faults(RUBRIC, {"reviewer": 7, "criteria": {"security": {"pass": "yes"}}, "x\x1b": 1})
    text = "\n".join(found)
    for where in ("$.reviewer: is a number", "$.criteria.security.pass: is a string", "$: 'attempt_id' is missing"):
        assert where in text
    assert "'readability' is missing" in text
    assert all(one.isprintable() for one in found)


def test_at_most_fifty_reasons_are_given() -> None:
    assert len(schema.faults(packed({"items": {"type": "string"}}), [1] * 200)) == 50


def test_a_newline_at_the_end_does_not_pass_for_an_id() -> None:
    for field, value in (("attempt_id", "a" * 32), ("diff_digest", "a" * 64)):
        document = json.loads(RUBRIC)
        only = packed(document["properties"][field])
        assert schema.faults(only, value) == ()
        assert schema.faults(only, value + "\n")
        assert schema.faults(only, value[:-1] + "\u0661")
    commit = packed(json.loads(resources.read("schemas", "evidence/ci_results.schema.json"))["properties"]["commit"])
    for length, fine in ((40, True), (64, True), (39, False), (41, False), (63, False)):
        assert (schema.faults(commit, "a" * length) == ()) is fine
        assert schema.faults(commit, "a" * length + "\n")


def test_no_long_text_is_put_to_a_pattern() -> None:
    pattern = packed({"pattern": "a"})
    assert schema.faults(pattern, "a" * schema.MAX_PATTERN_SUBJECT) == ()
    assert schema.faults(pattern, "a" * (schema.MAX_PATTERN_SUBJECT + 1))


def test_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    document = packed({"$ref": "http://127.0.0.1:9/schema.json"})
    assert schema.problems(document)
    assert schema.faults(document, {}) == ("$: cannot be held to its schema (_WrappedReferencingError)",)


def test_a_schema_that_refers_to_itself_for_ever_refuses_and_does_not_overflow() -> None:
    assert schema.faults(packed({"$ref": "#"}), 1) == ("$: cannot be held to its schema (RecursionError)",)


def test_a_value_of_too_many_parts_is_refused() -> None:
    assert "more than" in schema.faults(packed({"uniqueItems": True}), list(range(schema.MAX_VALUES)))[0]


def test_equal_entries_are_found_and_true_is_not_one() -> None:
    unique = packed({"uniqueItems": True})
    assert schema.faults(unique, [1, True, "1", [1], {"a": 1}]) == ()
    assert schema.faults(unique, [{"a": 1, "b": 2}, {"b": 2, "a": 1}]) == ("$: names something twice",)


@pytest.mark.parametrize(
    "pattern",
    [
        "[[a]",
        "(a+)+$",
        "(a|a)*$",
        "(a*)*",
        "(?:a?){40}",
        "a?" * 30 + "a" * 30,
        "(a|a)" * 30,
        "a*a*a*b",
        "^a*a*a*b",
        r"(a)\1",
        "(?P<x>a)(?P=x)",
    ],
)
def test_a_pattern_that_can_explode_is_told(pattern: str) -> None:
    assert schema.explosive(pattern)


@pytest.mark.parametrize(
    "pattern", ["^[0-9a-f]{40}([0-9a-f]{24})?(?!\\n)$", "\\S", "^https?://[^\\s]+$", "^[^/*+]*$", "a{2}", "^a|b$"]
)
def test_an_honest_pattern_is_taken(pattern: str) -> None:
    assert schema.explosive(pattern) == ""


@given(pattern=st.text(alphabet="ab*+?|()[]{}^$,\\1.2", max_size=12))
def test_a_pattern_that_is_taken_ends_on_a_long_text(pattern: str) -> None:
    """An explosion would outlast the test run, which is how it would show."""
    if not schema.explosive(pattern):
        schema.faults(packed({"pattern": pattern}), "a" * schema.MAX_PATTERN_SUBJECT)


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_no_value_raises(value: Any) -> None:
    for found in schema.faults(RUBRIC, value):
        assert found.isprintable()


@pytest.mark.parametrize("value", [5.0, 0.0, -0.0, 1e308, True])
def test_an_integer_is_one_as_it_is_written(value: object) -> None:
    counts = b'{"type": "object", "properties": {"n": {"type": "integer"}}}'
    assert schema.faults(counts, {"n": 5}) == ()
    (fault,) = schema.faults(counts, {"n": value})
    assert fault.startswith("$.n: is ")
    assert "integer is asked for" in fault
