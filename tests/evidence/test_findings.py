"""What findings add up to, in whatever order they come."""

from __future__ import annotations

from itertools import permutations

import pytest

from enforcer.evidence.findings import NOTE, UNANSWERED, VIOLATION, Finding, Findings


@pytest.mark.parametrize(
    "levels, verdict",
    [
        ((), "clean"),
        ((NOTE,), "clean"),
        ((NOTE, UNANSWERED), "unverifiable"),
        ((NOTE, UNANSWERED, VIOLATION), "violated"),
        ((UNANSWERED, VIOLATION), "violated"),
    ],
)
@pytest.mark.parametrize("alike", [True, False])
def test_the_gravest_finding_decides(levels: tuple[str, ...], verdict: str, alike: bool) -> None:
    for order in permutations(levels):
        found = Findings()
        for number, level in enumerate(order):
            found.add(Finding("T", "SPEC", "a.md", "code" if alike else f"code_{number}", "m", level=level))
        report = found.report()
        assert report.verdict == verdict
        assert report.exit_status == {"clean": 0, "violated": 1, "unverifiable": 2}[verdict]


def test_a_finding_that_is_only_counted_decides_as_well() -> None:
    found = Findings()
    for _ in range(60):
        found.add(Finding("T", "SPEC", "a.md", "code", "m", level=NOTE))
    found.add(Finding("T", "SPEC", "a.md", "code", "m", level=VIOLATION))
    report = found.report()
    assert report.verdict == "violated"
    assert (report.findings[-1].code, report.findings[-1].level) == ("findings_omitted", VIOLATION)
    assert "11 more" in report.findings[-1].message


def test_findings_come_by_task_and_those_of_none_last() -> None:
    found = Findings()
    for task in ("", "B", "A", "B"):
        found.add(Finding(task, "", "", "code", "m"))
    assert [finding.task for finding in found.report().findings] == ["A", "B", "B", ""]


def test_what_was_not_judged_is_counted_by_rule() -> None:
    found = Findings()
    for artifact in ("a", "b", "a"):
        found.leave("SPEC", artifact, "rule", "diff", "why")
    assert [(one.artifact, one.count) for one in found.report().unjudged] == [("a", 2), ("b", 1)]
