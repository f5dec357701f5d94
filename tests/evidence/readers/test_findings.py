"""Static analysis is counted by level, with the level that the specification gives a result that names none."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enforcer.evidence.findings import NOTE, UNANSWERED, VIOLATED, VIOLATION, AuditReport, Finding
from enforcer.evidence.readers import Unreadable, read_findings
from enforcer.evidence.sarif import sarif
from tests.evidence.readers.kept import answer, check_schema, faults, output

LEVELS = ("errors", "warnings", "notices", "others")


def test_the_results_of_real_tools_are_counted_by_level():
    eslint, ruff = (read_findings("sarif", output(name)) for name in ("eslint.sarif", "ruff.sarif"))
    assert (eslint["errors"], eslint["total"], eslint["tool"]) == (16, 16, "ESLint 10.15.0")
    assert (ruff["errors"], ruff["total"], ruff["tool"]) == (5, 5, "ruff 0.17.5")
    for document in (eslint, ruff):
        check_schema("static_analysis", document)
        assert not faults("sum", document, total="total", parts=LEVELS)


def test_a_tool_that_could_not_read_a_file_did_not_get_to_the_end():
    assert read_findings("sarif", output("eslint.sarif"))["incomplete_runs"] == 1
    assert read_findings("sarif", output("ruff.sarif"))["incomplete_runs"] == 0


def _log(*results: object, **run: object) -> bytes:
    tool = {"driver": {"name": "t", "rules": [{"id": "A", "defaultConfiguration": {"level": "error"}}, {"id": "B"}]}}
    return json.dumps({"version": "2.1.0", "runs": [{"tool": tool, "results": results, **run}]}).encode()


@pytest.mark.parametrize(
    "result, level",
    [
        ({"level": "note"}, "notices"),
        ({"level": "none"}, "others"),
        ({}, "warnings"),
        ({"ruleId": "A"}, "errors"),
        ({"ruleIndex": 0}, "errors"),
        ({"rule": {"id": "A"}}, "errors"),
        ({"rule": {"index": 0}}, "errors"),
        ({"ruleIndex": 0, "level": "note"}, "notices"),
        ({"ruleId": "B"}, "warnings"),
        ({"ruleId": "A", "kind": "pass"}, "others"),
        ({"ruleId": "A", "kind": "fail"}, "errors"),
        ({"suppressions": [{"kind": "inSource"}]}, "suppressed"),
        ({"suppressions": [{"kind": "external", "status": "accepted"}]}, "suppressed"),
        ({"suppressions": [{"kind": "external", "status": "underReview"}]}, "warnings"),
        ({"suppressions": [{"kind": "inSource"}, {"kind": "external", "status": "rejected"}]}, "warnings"),
        ({"suppressions": []}, "warnings"),
        ({"baselineState": "new"}, "warnings"),
        ({"baselineState": "absent", "level": "error"}, ""),
    ],
)
def test_each_result_counts_once_by_its_own_level_or_that_of_its_rule(result, level):
    document = read_findings("sarif", _log(result))
    assert [name for name in (*LEVELS, "suppressed") if document[name]] == ([level] if level else [])
    assert document["total"] == (level in LEVELS)


def test_a_rule_of_an_extension_gives_its_level():
    extension = {"name": "x", "rules": [{"id": "X", "defaultConfiguration": {"level": "error"}}]}
    result = {"rule": {"index": 0, "toolComponent": {"index": 0}}}
    log = _log(result, {"ruleId": "X"}, tool={"driver": {"name": "t"}, "extensions": [extension]})
    assert read_findings("sarif", log)["errors"] == 2


@pytest.mark.parametrize(
    "run", [{"results": None}, {"invocations": [{"executionSuccessful": False}]}, {"invocations": [{}]}]
)
def test_a_run_that_does_not_say_that_it_got_to_the_end_did_not(run):
    assert read_findings("sarif", _log(**run))["incomplete_runs"] == 1


def test_the_audit_of_this_project_is_read_as_any_other_log():
    levels = (VIOLATION, VIOLATION, UNANSWERED, NOTE)
    findings = tuple(Finding("T-1", "PLAN", "plan.md", "evidence_changed", "It is.", level=level) for level in levels)
    log = sarif(AuditReport(verdict=VIOLATED, findings=findings), version="1.0", home="state/evidence")
    document = read_findings("sarif", json.dumps(log).encode())
    assert [document[level] for level in LEVELS] == [2, 1, 1, 0]


NO_LOG = {
    "not json": (b"[", "not strict JSON"),
    "another version": (b'{"version": "2.0.0", "runs": []}', "version 2.1.0"),
    "an array": (b"[]", "version 2.1.0"),
    "no run": (b'{"version": "2.1.0", "runs": []}', "no run"),
    "no tool": (b'{"version": "2.1.0", "runs": [{}]}', "no object 'tool'"),
    "results that are none": (_log(1), "no list of objects 'results'"),
    "a level that is none": (_log({"level": "fatal"}), "'fatal', which is none"),
    "a level that is no text": (_log({"level": ["error"]}), "which is none"),
}


@pytest.mark.parametrize("name", NO_LOG)
def test_what_is_no_log_is_refused_with_the_reason(name):
    data, reason = NO_LOG[name]
    with pytest.raises(Unreadable, match=reason):
        read_findings("sarif", data)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["error", "A", ""]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "tool",
                    "driver",
                    "rules",
                    "results",
                    "level",
                    "rule",
                    "index",
                    "ruleIndex",
                    "ruleId",
                    "suppressions",
                    "kind",
                ]
            ),
            inner,
        )
    ),
)


@given(_JSON, _JSON)
def test_no_value_is_more_than_unreadable(run, result):
    for data in (json.dumps({"version": "2.1.0", "runs": [run]}).encode(), _log(result)):
        document, refusal = answer(read_findings, "sarif", data)
        assert refusal.isprintable()
        if not refusal:
            check_schema("static_analysis", document)
