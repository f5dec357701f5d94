"""How an audit looks: what was found, by task and phase, and what was not asked; or the same for programs."""

from __future__ import annotations

import os

from enforcer import __version__
from enforcer.evidence.findings import NOTE, UNANSWERED, VIOLATION
from enforcer.evidence.sarif import sarif
from enforcer.surfaces.cli.output import line, show_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from enforcer.evidence.findings import AuditReport, Course, Finding

FORMATS = ("text", "json", "sarif")

NAMED = 5  # Tasks that a note names; the rest are counted.


def show_audit(report: AuditReport, form: str, evidence: str = "") -> int:
    """Print a report in one of `FORMATS`; the exit status. `evidence` is the folder, where it is none of a project."""
    if form == "json":
        show_json(report.pack(complete=True))
    elif form == "sarif":
        show_json(sarif(report, version=__version__, home=_home(evidence)))
    else:
        _show_text(report, ledger=not evidence)
    return report.exit_status


def _home(evidence: str) -> str:
    """The folder of evidence as a log names it: relative to the project or the current folder, if it is in there."""
    if not evidence:
        return "state/evidence"
    path, here = os.path.realpath(evidence), os.path.realpath(".")
    return os.path.relpath(path, here) if path.startswith(os.path.join(here, "")) else path


def _show_text(report: AuditReport, *, ledger: bool) -> None:
    line(f"{report.verdict}: {_summary(report, ledger=ledger)}")
    courses = {course.task: course for course in report.courses}
    tasks = _grouped((one for one in report.findings if one.level != NOTE), lambda finding: finding.task)
    for task in [*courses, *(task for task in tasks if task not in courses)]:
        line()
        line(task or "beside the tasks")
        _show_course(courses.get(task))
        for phase, findings in _grouped(tasks.get(task, ()), lambda finding: finding.phase).items():
            line(f"  {phase or ('the task as a whole' if task else 'the folder of evidence')}")
            for finding in findings:
                _show_finding(finding)
    _show_notes(finding for finding in report.findings if finding.level == NOTE)
    if report.unjudged:
        line()
        line("not judged, and so neither confirmed nor contradicted:")
    for one in report.unjudged:
        line(f"  {one.phase}/{one.artifact} {one.rule} ({one.kind}), {_plural(one.count, 'time')}: {one.why}")


def _show_notes(notes: Iterable[Finding]) -> None:
    """What is worth knowing and decides nothing: said once, with the tasks that it is true of."""
    alike = _grouped(notes, lambda one: "\n".join((one.code, one.phase, one.artifact, one.message)))
    if alike:
        line()
        line("worth knowing:")
    for findings in alike.values():
        tasks = list(dict.fromkeys(finding.task for finding in findings if finding.task))
        rest = f" and {len(tasks) - NAMED} more" if len(tasks) > NAMED else ""
        where = f" in {', '.join(tasks[:NAMED])}{rest}" if tasks else ""
        line(f"  {findings[0].code}{where}: {findings[0].message}")
        if findings[0].fix:
            line(f"      {findings[0].fix}")


def _grouped(findings: Iterable[Finding], key: Callable[[Finding], str]) -> dict[str, list[Finding]]:
    """In the order in which each key came first."""
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(key(finding), []).append(finding)
    return groups


def _summary(report: AuditReport, *, ledger: bool) -> str:
    parts = [_plural(report.tasks, "task")]
    parts.append(_plural(report.artifacts, "accepted artifact" if ledger else "artifact"))
    if report.judged and ledger:
        parts.append(f"{report.judged} judged again")
    counted = ((VIOLATION, "violation"), (UNANSWERED, "open question"), (NOTE, "note"))
    parts += [_plural(count, name) for level, name in counted if (count := report.count(level))]
    return ", ".join(parts)


def _show_course(course: Course | None) -> None:
    if course is None:
        return
    answers = (
        ("passes", course.passed),
        ("passes what could be judged", course.partly),
        ("refused", course.refused),
        ("not there", course.absent),
    )
    for name, phases in answers:
        if phases:
            line(f"  {name}: {', '.join(phases)}")


def _show_finding(finding: Finding) -> None:
    name = f" {finding.artifact}" if finding.artifact else ""
    unanswered = "no answer, " if finding.level == UNANSWERED else ""
    line(f"    {unanswered}{finding.code}{name}: {finding.message}")
    if finding.fix:
        line(f"        fix: {finding.fix}")


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
