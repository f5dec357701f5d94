"""What a process would say of a folder of evidence that has no ledger: per task and phase, every refusal.

The files of earlier phases are taken as accepted, as they stand, so what a later phase says of them can be judged too.
What only a ledger or a repository could tell (which attempt, who held the task, what git said) is named and not judged.
"""

from __future__ import annotations

import os

from enforcer.errors import EnforcerError, RequestError
from enforcer.evidence.descent import is_name, shown, shown_path
from enforcer.evidence.findings import NOTE, UNANSWERED, VIOLATION, Course, Finding, Findings
from enforcer.evidence.folder import Folder
from enforcer.evidence.judge import Judge
from enforcer.evidence.reach import UNKNOWN, Reach
from enforcer.evidence.verdicts import MemoryVerdicts
from enforcer.workflow.events import Accepted
from enforcer.workflow.process import ENFORCE
from enforcer.workflow.state import TaskState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from enforcer.evidence.findings import AuditReport
    from enforcer.evidence.folder import Entry, File, Problem
    from enforcer.evidence.reach import Left
    from enforcer.evidence.rejudge import SchemaFaults
    from enforcer.workflow.facts import EvidenceFacts
    from enforcer.workflow.process import Phase, Process

_BEYOND = {
    "attempt": "no ledger says which attempt it belongs to",
    "reviewer": "no ledger says who held the task and who reviewed",
    "observed": "no ledger says what Enforcer ran",
}
_RISKS = "no repository says which risk classes the change touches"
_HOME = shown_path(())

PASSED, PARTLY, REFUSED = "passed", "partly", "refused"  # What a phase would answer.


def audit_folder(
    path: str,
    process: Process,
    schemas: Mapping[str, bytes],
    *,
    schema_faults: SchemaFaults,
    task: str | None = None,
) -> AuditReport:
    """Judge every task below the folder `path` (`<task>/<phase>/<artifact>`), or the one named `task`.

    `schemas` are those that the process names, by digest. Raises `RequestError` (`no_evidence`) where there is no such
    folder or task.
    """
    root = os.path.realpath(path)
    if not os.path.isdir(root):
        fix = "Name the folder that holds one folder for each task."
        raise RequestError("no_evidence", "There is no such folder.", where=path, fix=fix)
    if task is not None and not (is_name(task) and os.path.lexists(os.path.join(root, task))):
        raise RequestError(
            "no_evidence", f"There is no evidence of {_safe(task)} in it.", where=path, fix="Name another task."
        )
    return _Auditor(root, path, process, schemas, schema_faults).check(task)


class _Schemas:
    """The schemas that come with a process, in the place of stored objects."""

    def __init__(self, schemas: Mapping[str, bytes]) -> None:
        self._schemas = schemas

    def get(self, digest: str) -> bytes:
        return self._schemas[digest]


class _Once:
    """A folder in which each phase of a task is read once, so that all answers are about the same bytes."""

    def __init__(self, folder: Folder, process: Process) -> None:
        self._folder = folder
        self._names = {phase.name: [artifact.name for artifact in phase.artifacts] for phase in process.phases}
        self._known: dict[str, tuple[dict[str, File], tuple[Problem, ...]]] = {}

    def forget(self) -> None:
        self._known.clear()

    def read(self, task: str, phase: str, names: Iterable[str]) -> tuple[dict[str, File], tuple[Problem, ...]]:
        """As `Folder.read`, of one task until `forget`."""
        if phase not in self._known:
            self._known[phase] = self._folder.read(task, phase, self._names[phase])
        files, problems = self._known[phase]
        wanted = set(names)
        return (
            {name: file for name, file in files.items() if name in wanted},
            tuple(problem for problem in problems if problem.name in wanted),
        )


class _Auditor:
    def __init__(
        self, root: str, path: str, process: Process, schemas: Mapping[str, bytes], schema_faults: SchemaFaults
    ) -> None:
        self._folder, self._path = Folder(root), path.rstrip("/") or "/"
        self._found = Findings()
        self._whole = process
        self._process, self._left = Reach(_BEYOND).cut(process)
        self._files = _Once(self._folder, process)
        self._judge = Judge(
            self._files, _Schemas(schemas), MemoryVerdicts(), schema_faults=schema_faults, repository=lambda: None
        )

    def check(self, task: str | None) -> AuditReport:
        for entry in self._listing():
            if task in (None, entry.name):
                self._check_entry(entry)
        if not self._found.tasks:
            message = "There is no folder of a task, so there is no evidence to judge."
            fix = "Name the folder that holds one folder for each task."
            self._found.add(Finding("", "", "", "no_evidence", message, fix, UNANSWERED))
        return self._found.report()

    def _check_entry(self, entry: Entry) -> None:
        if entry.kind == "folder" and is_name(entry.name):
            self._check_task(entry.name)
        elif entry.kind == "file":
            self._unasked("", "", entry)
        else:
            kind = "folder that no task can have" if entry.kind == "folder" else entry.kind
            message = f"{_safe(entry.name)} is a {kind}; it is not followed or read."
            fix = "Put a folder named like a task in its place, or remove it."
            self._found.add(Finding("", "", _safe(entry.name), "evidence_unsafe", message, fix))

    def _check_task(self, task: str) -> None:
        self._found.tasks += 1
        self._files.forget()
        reached = self._reached(task)
        accepted: dict[str, tuple[Accepted, ...]] = {}
        answers: dict[str, str] = {}
        for phase in self._process.phases[:reached]:
            try:
                facts = self._judge.observe(self._state(task, phase.name, accepted), self._process, "").facts
            except EnforcerError as error:
                self._found.no_answer(task, phase.name, "", error)
                continue
            accepted[phase.name] = tuple(Accepted(one.artifact, one.digest, one.size) for one in facts.files)
            answers[phase.name] = self._answer(task, phase, facts)
            self._check_phase_folder(task, phase)
        self._check_task_folder(task)
        order = self._process.order
        passed, partly, refused = (
            tuple(name for name, answer in answers.items() if answer == wanted) for wanted in (PASSED, PARTLY, REFUSED)
        )
        self._found.courses.append(Course(task, passed, partly, refused, order[reached:]))

    def _reached(self, task: str) -> int:
        """How many phases are judged: up to the last one that anything was handed in for, and at least the first."""
        reached = 1
        for number, phase in enumerate(self._process.phases, 1):
            try:
                files, problems = self._files.read(task, phase.name, [artifact.name for artifact in phase.artifacts])
            except EnforcerError:
                reached = number  # The judge will say what is wrong with it.
                continue
            if files or any(problem.code != "evidence_missing" for problem in problems):
                reached = number
        return reached

    def _state(self, task: str, phase: str, accepted: dict[str, tuple[Accepted, ...]]) -> TaskState:
        name = self._process.name
        return TaskState(
            task=task,
            title="",
            process=name,
            digest="",
            base="",
            phase=phase,
            attempt_id="",
            opened="",
            attempts={phase: 1},
            accepted=dict(accepted),
            walked=tuple(accepted),
        )

    def _answer(self, task: str, phase: Phase, facts: EvidenceFacts) -> str:
        """Whether the phase could be left; every refusal is found."""
        self._found.artifacts += len(facts.files)
        self._found.judged += len(facts.files)
        at_risk = {one.name for one in phase.artifacts if one.risks}
        unasked = [one for one in facts.problems if one.code == "evidence_missing" and one.artifact in at_risk]
        for one in unasked:
            self._found.leave(phase.name, one.artifact, "required", "risks", _RISKS)
        refusals = [(one, ENFORCE) for one in facts.problems if one not in unasked]
        refusals += [(one, verdict.mode) for verdict in facts.verdicts for one in verdict.refusals]
        for one, mode in refusals:
            level = VIOLATION if mode == ENFORCE else NOTE
            missing = one.code == "evidence_missing"
            fix = f"Hand it in: {self._path}/{task}/{phase.folder}/{one.artifact}" if missing else one.fix
            self._add(task, phase, one.artifact, one.code, self._placed(one.message), fix, level)
        empty = not self._whole.phase(phase.name).rules
        if empty:
            message = f"The process asks nothing of {phase.name}, so there is nothing to accept."
            self._add(task, phase, "", "evidence_missing", message, "Give the phase a rule.")
        read = {one.artifact for one in facts.files}
        open_questions = self._leave(task, phase, [one for one in self._left[phase.name] if one.rule.artifact in read])
        if empty or any(mode == ENFORCE for _, mode in refusals):
            return REFUSED
        return PARTLY if open_questions or unasked else PASSED

    def _leave(self, task: str, phase: Phase, left: list[Left]) -> bool:
        """Say what was not asked; whether any of it could have refused."""
        for one in left:
            rule = one.rule
            self._found.leave(phase.name, rule.artifact, rule.id, rule.kind, one.why)
            if one.why == UNKNOWN and rule.mode == ENFORCE:
                message = f"{rule.artifact} is held to {rule.id}, and {one.why}."
                fix = "Use the release that the process was written for."
                self._add(task, phase, rule.artifact, "rule_unknown", message, fix, UNANSWERED)
        return any(one.rule.mode == ENFORCE for one in left)

    def _add(
        self, task: str, phase: Phase, artifact: str, code: str, message: str, fix: str, level: str = VIOLATION
    ) -> None:
        self._found.add(Finding(task, phase.name, artifact, code, message, fix, level))

    def _check_phase_folder(self, task: str, phase: Phase) -> None:
        for entry in self._listing(task, phase.name):
            if phase.artifact(entry.name) is None:
                self._unasked(task, phase.name, entry)

    def _check_task_folder(self, task: str) -> None:
        folders = {phase.folder for phase in self._process.phases}
        for entry in self._listing(task):
            if entry.name not in folders:
                self._unasked(task, "", entry)

    def _listing(self, task: str = "", phase: str = "") -> tuple[Entry, ...]:
        problems: tuple[Problem, ...] = ()
        entries: tuple[Entry, ...] = ()
        try:
            entries, problems = self._folder.listing(task, phase)
        except (EnforcerError, OSError) as error:
            self._found.no_answer(task, phase, "", error)
        for problem in problems:
            message = self._placed(problem.message)
            self._found.add(Finding(task, phase, "", problem.code, message, problem.fix))
        return entries

    def _unasked(self, task: str, phase: str, entry: Entry) -> None:
        name = _safe(entry.name)
        message = f"{name} ({entry.kind}) is nothing that the process asks for, and was not read."
        self._found.add(Finding(task, phase, name, "evidence_unasked", message, "Remove it.", NOTE))

    def _placed(self, message: str) -> str:
        """A message about the folder of a project, about this one."""
        return message.replace(_HOME, self._path)


def _safe(name: str) -> str:
    return name if is_name(name) else shown(name)
