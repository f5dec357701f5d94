"""An audit as SARIF 2.1.0: the shape that the format and code hosts ask for, whatever was found."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

import jsonschema
import pytest

from enforcer.evidence.findings import NOTE, UNANSWERED, VIOLATION, AuditReport, Finding, Unjudged
from enforcer.evidence.sarif import sarif

# What SARIF 2.1.0 requires of the parts that are written, closed so that no misspelt member passes, and what code hosts
# ask for besides: rules with a description, one location with a region, and fingerprints.
_TEXT = {"type": "string", "minLength": 1}
_MESSAGE = {"type": "object", "required": ["text"], "additionalProperties": False, "properties": {"text": _TEXT}}
_INDEX = {"type": "integer", "minimum": -1}
_BAG = {"type": "object"}


def _object(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(required),
        "additionalProperties": False,
        "properties": {**required, **optional},
    }


def _list(items: dict[str, Any], least: int = 0) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": least}


_PHYSICAL = _object(
    {
        "artifactLocation": _object(
            {"uri": {"type": "string", "pattern": r"^(file:///)?[A-Za-z0-9._~:/@!$&'()*+,;=%-]+$"}}
        ),
        "region": _object({"startLine": {"type": "integer", "minimum": 1}}),
    }
)
_LOCATION = _object({"physicalLocation": _PHYSICAL}, logicalLocations=_list(_object({"fullyQualifiedName": _TEXT})))
_RESULT = _object(
    {
        "ruleId": _TEXT,
        "ruleIndex": _INDEX,
        "level": {"enum": ["none", "note", "warning", "error"]},
        "message": _MESSAGE,
        "locations": _list(_LOCATION, 1),
        "partialFingerprints": {"type": "object", "additionalProperties": _TEXT, "minProperties": 1},
    },
    properties=_BAG,
)
_RULE = _object({"id": _TEXT, "name": _TEXT, "shortDescription": _MESSAGE})
_NOTIFICATION = _object(
    {"message": _MESSAGE, "level": {"enum": ["note"]}, "descriptor": _object({"id": _TEXT, "index": _INDEX})},
)
_INVOCATION = _object(
    {"executionSuccessful": {"type": "boolean"}, "exitCode": {"type": "integer"}},
    toolExecutionNotifications=_list(_NOTIFICATION, 1),
)
_DRIVER = _object(
    {"name": _TEXT, "version": _TEXT, "semanticVersion": _TEXT, "rules": _list(_RULE)}, notifications=_list(_RULE, 1)
)
_RUN = _object(
    {"tool": _object({"driver": _DRIVER}), "results": _list(_RESULT), "invocations": _list(_INVOCATION, 1)},
    columnKind={"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
    properties=_BAG,
)
SHAPE = _object(
    {
        "$schema": {"type": "string", "pattern": r"sarif-schema-2\.1\.0\.json$"},
        "version": {"const": "2.1.0"},
        "runs": _list(_RUN, 1),
    }
)


def checked(report: AuditReport, home: str = "state/evidence") -> dict[str, Any]:
    """The one run of a log that has the shape."""
    log = json.loads(json.dumps(sarif(report, version="1.2.3", home=home)))
    jsonschema.Draft202012Validator(SHAPE).validate(log)
    run: dict[str, Any] = log["runs"][0]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert len(set(rules)) == len(rules)
    assert all(rules[result["ruleIndex"]] == result["ruleId"] for result in run["results"])
    return run


def found(*findings: Finding, verdict: str = "violated", **members: Any) -> AuditReport:
    return AuditReport(verdict=verdict, findings=findings, **members)


CHANGED = Finding("T", "PLAN", "plan.md", "evidence_changed", "It differs.", "Put it back.", seq=7)


@pytest.mark.parametrize("part", ["$schema", "version", "runs"])
def test_the_shape_refuses_what_lacks_a_part(part: str) -> None:
    log = sarif(found(CHANGED), version="1", home="state/evidence")
    del log[part]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(SHAPE).validate(log)


def test_nothing_found_is_a_run_without_results() -> None:
    run = checked(found(verdict="clean"))
    assert (run["results"], run["tool"]["driver"]["rules"]) == ([], [])
    assert run["invocations"][0] == {"executionSuccessful": True, "exitCode": 0}


def test_a_finding_is_a_result_at_its_file() -> None:
    run = checked(found(CHANGED))
    [result] = run["results"]
    assert (result["ruleId"], result["level"], result["properties"]) == ("evidence_changed", "error", {"seq": 7})
    assert "It differs." in result["message"]["text"]
    assert "Put it back." in result["message"]["text"]
    [location] = result["locations"]
    assert location["physicalLocation"]["artifactLocation"]["uri"] == "state/evidence/T/plan/plan.md"
    assert location["logicalLocations"][0]["fullyQualifiedName"] == "T/PLAN/plan.md"
    driver = run["tool"]["driver"]
    assert (driver["name"], driver["version"]) == ("Enforcer", "1.2.3")
    assert driver["rules"][0]["shortDescription"]["text"].startswith("Accepted evidence")


@pytest.mark.parametrize("level, shown", [(VIOLATION, "error"), (UNANSWERED, "warning"), (NOTE, "note")])
def test_a_level_has_its_name_in_the_format(level: str, shown: str) -> None:
    assert checked(found(CHANGED.replace(level=level)))["results"][0]["level"] == shown


def test_a_finding_about_a_folder_stands_at_the_folder() -> None:
    task = checked(found(Finding("T", "", "", "evidence_unsafe", "m")))["results"][0]["locations"][0]
    assert task["physicalLocation"]["artifactLocation"]["uri"] == "state/evidence/T"
    whole = checked(found(Finding("", "", "", "no_evidence", "m")))["results"][0]["locations"][0]
    assert whole["physicalLocation"]["artifactLocation"]["uri"] == "state/evidence"


def test_names_are_quoted_in_paths() -> None:
    name = "'\\x1b[2J a%b#c?d'"
    result = checked(found(Finding("T", "PLAN", name, "evidence_unrecorded", "m")))["results"][0]
    uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert set(uri) & set(" #?[]\\") == set()
    assert unquote(uri) == f"state/evidence/T/plan/{name}"


def test_a_folder_elsewhere_is_named_by_a_file_uri() -> None:
    result = checked(found(CHANGED), home="/srv/some where")["results"][0]
    uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri == "file:///srv/some%20where/T/plan/plan.md"


def test_the_same_finding_has_the_same_fingerprint_and_others_have_others() -> None:
    others = [
        CHANGED,
        CHANGED.replace(task="U"),
        CHANGED.replace(phase="SPEC"),
        CHANGED.replace(artifact="x.md"),
        CHANGED.replace(code="evidence_missing"),
        CHANGED.replace(message="It differs more."),
    ]
    for name in ("enforcerFinding/v1", "primaryLocationLineHash"):
        marks = [result["partialFingerprints"][name] for result in checked(found(*others))["results"]]
        assert len(set(marks)) == len(others)
        again = checked(found(*reversed(others)))["results"]
        assert [result["partialFingerprints"][name] for result in reversed(again)] == marks


def test_an_audit_without_an_answer_was_not_successful() -> None:
    run = checked(found(CHANGED.replace(level=UNANSWERED), verdict="unverifiable"))
    assert run["invocations"][0] == {"executionSuccessful": False, "exitCode": 2}


def test_what_was_not_judged_is_told_and_is_no_result() -> None:
    left = Unjudged("PLAN", "a.patch", "current", "diff", "it looks at git as it was then", 3)
    run = checked(found(verdict="clean", unjudged=(left,)))
    assert run["results"] == []
    [note] = run["invocations"][0]["toolExecutionNotifications"]
    assert note["descriptor"]["id"] == run["tool"]["driver"]["notifications"][0]["id"]
    assert "current (diff) of PLAN/a.patch was not asked of 3 artifacts" in note["message"]["text"]


def test_a_code_without_a_description_of_its_own_has_one() -> None:
    run = checked(found(CHANGED.replace(code="something_new")))
    assert run["tool"]["driver"]["rules"][0]["shortDescription"]["text"]
