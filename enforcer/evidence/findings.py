"""What an audit found and what it answers: findings of three levels, and the report that they add up to.

Whoever fills a folder with junk must not be able to push a finding about another task out of the report, so what is
listed is bounded for each task, phase and code by itself, and the rest of a group is counted.
"""

from __future__ import annotations

from enforcer.errors import EnforcerError
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import ClassVar

CLEAN, VIOLATED, UNVERIFIABLE = "clean", "violated", "unverifiable"

VIOLATION, UNANSWERED, NOTE = "violation", "unanswered", "note"

LISTED = 50  # Findings of one task, phase and code that are listed one by one; the rest are counted.

_EXIT = {CLEAN: 0, VIOLATED: 1, UNVERIFIABLE: 2}


class Finding(Record):
    """One thing that is not as it should be; `phase` and `artifact` are empty where it concerns a whole folder.

    `level` is `violation` (it speaks against the evidence), `unanswered` (nobody can tell) or `note` (worth knowing; it
    decides nothing). `seq` is the entry that it is about, None where it is about a folder.
    """

    task: str
    phase: str
    artifact: str
    code: str
    message: str
    fix: str = ""
    level: str = VIOLATION
    seq: int | None = None


class Unjudged(Record):
    """A rule that was not asked again of `count` artifacts, and `why` it cannot be."""

    phase: str
    artifact: str
    rule: str
    kind: str
    why: str
    count: int


class Course(Record):
    """How a task without a ledger would fare: the phases that would let it pass, that would refuse, and not reached.

    `partly` are those that nothing speaks against, and some of whose enforced rules could not be asked.
    """

    task: str
    passed: tuple[str, ...] = ()
    partly: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()


class AuditReport(Record, kw_only=True):
    """The answer of `enforcer audit`: `artifacts` counts the accepted ones that count now, in `tasks` tasks.

    `judged` counts the artifacts whose bytes were put to their rules again; what could not be asked of them stands in
    `unjudged`. Without a ledger, `artifacts` counts the files that the process asks for, and `courses` says what it
    would answer to each task.
    """

    verdict: str
    tasks: int = 0
    artifacts: int = 0
    judged: int = 0
    findings: tuple[Finding, ...] = ()
    unjudged: tuple[Unjudged, ...] = ()
    courses: tuple[Course, ...] = ()

    nested: ClassVar[Mapping[str, type[Record]]] = {"findings": Finding, "unjudged": Unjudged, "courses": Course}

    @property
    def exit_status(self) -> int:
        return _EXIT[self.verdict]

    def count(self, level: str) -> int:
        """How many findings of a level are listed."""
        return sum(finding.level == level for finding in self.findings)


class Findings:
    """Collects what is found, and what could not be asked."""

    def __init__(self) -> None:
        self._listed: list[Finding] = []
        self._groups: dict[tuple[str, str, str], int] = {}
        self._levels: dict[tuple[str, str, str], str] = {}
        self._unjudged: dict[tuple[str, str, str, str, str], int] = {}
        self.tasks = self.artifacts = self.judged = 0
        self.courses: list[Course] = []

    def add(self, finding: Finding) -> None:
        """One more finding; beyond the limit of its group it is only counted."""
        group = (finding.task, finding.phase, finding.code)
        self._groups[group] = self._groups.get(group, 0) + 1
        if finding.level != NOTE and self._levels.get(group) != VIOLATION:
            self._levels[group] = finding.level
        if self._groups[group] <= LISTED:
            self._listed.append(finding)

    def no_answer(self, task: str, phase: str, artifact: str, error: EnforcerError | OSError) -> None:
        """Something could not be looked at, which says nothing of the evidence."""
        if isinstance(error, EnforcerError):
            code, message, fix = error.code, error.message, error.fix
        else:
            code, message, fix = "evidence_unreadable", f"{error.strerror}.", "Check the disk, then try again."
        self.add(Finding(task, phase, artifact, code, message, fix, UNANSWERED))

    def leave(self, phase: str, artifact: str, rule: str, kind: str, why: str) -> None:
        """A rule was not asked of one artifact."""
        key = (phase, artifact, rule, kind, why)
        self._unjudged[key] = self._unjudged.get(key, 0) + 1

    def report(self) -> AuditReport:
        """Everything, by task; what concerns no task comes last."""
        levels = set(self._levels.values())
        verdict = VIOLATED if VIOLATION in levels else UNVERIFIABLE if UNANSWERED in levels else CLEAN
        return AuditReport(
            verdict=verdict,
            tasks=self.tasks,
            artifacts=self.artifacts,
            judged=self.judged,
            findings=tuple(sorted([*self._listed, *self._omitted()], key=lambda one: (not one.task, one.task))),
            unjudged=tuple(Unjudged(*key, count) for key, count in sorted(self._unjudged.items())),
            courses=tuple(self.courses),
        )

    def _omitted(self) -> list[Finding]:
        return [
            Finding(
                *(task, phase, "", "findings_omitted", f"There are {count - LISTED} more findings of {code}."),
                level=self._levels.get((task, phase, code), NOTE),
            )
            for (task, phase, code), count in self._groups.items()
            if count > LISTED
        ]
