"""An exit status and a report that cannot both be true are never evidence."""

from __future__ import annotations

import pytest

from enforcer.evidence.readers import disagrees, read_findings, read_tests
from tests.evidence.readers.kept import output

GREEN, RED, NONE = (read_tests("junit", output(f"pytest{name}.xml")) for name in ("-green", "", "-empty"))
CLEAN = {"total": 0, "incomplete_runs": 0}

AGREE = {
    "all passed": ("junit", GREEN, 0),
    "some failed": ("junit", RED, 1),
    "interrupted after a failure": ("junit", RED, 2),
    "no tests, by a tool that does not mind": ("junit", NONE, 0),
    "no tests, by pytest": ("junit", NONE, 5),
    "covered": ("lcov", {}, 0),
    "results, by a tool that does not mind": ("sarif", read_findings("sarif", output("ruff.sarif")), 0),
    "results": ("sarif", read_findings("sarif", output("ruff.sarif")), 1),
    "a tool that failed and says so": ("sarif", {"total": 0, "incomplete_runs": 1}, 2),
    "nothing found": ("sarif", CLEAN, 0),
    "a log of a failure": ("log", {}, 1),
    "a log of a signal": ("log", {}, None),
}
DISAGREE = {
    "success with failures": ("junit", RED, 0, "exit status is 0, and the report shows 8 tests that failed"),
    "success with an error": ("junit", {"total": 1, "failed": 0, "errors": 1}, 0, "1 test that failed"),
    "failure without one": ("junit", GREEN, 1, "exit status is 1, and the report shows no test that failed"),
    "no tests, and some": ("junit", GREEN, 5, "exit status is 5"),
    "failure without tests": ("junit", NONE, 1, "exit status is 1"),
    "a crash after the report": ("junit", GREEN, 139, "exit status is 139"),
    "a signal": ("junit", GREEN, None, "a signal ended the command"),
    "a signal after failures": ("junit", RED, None, "a signal ended the command"),
    "coverage of a run that failed": ("cobertura", {}, 1, "a part of the run"),
    "coverage of a run that was killed": ("coverage-json", {}, None, "a signal"),
    "nothing found and a failure": ("sarif", CLEAN, 2, "nothing that was found"),
    "success without an end": ("sarif", {"total": 0, "incomplete_runs": 1}, 0, "did not get to the end"),
}


@pytest.mark.parametrize("name", AGREE)
def test_what_can_both_be_true_is_no_contradiction(name):
    assert disagrees(*AGREE[name]) == ""


@pytest.mark.parametrize("name", DISAGREE)
def test_what_cannot_both_be_true_is_named(name):
    reader, document, status, reason = DISAGREE[name]
    assert reason in disagrees(reader, document, status)
