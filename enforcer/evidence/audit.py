"""Holds the evidence folders against the ledger: is what was accepted still there, and is anything there besides?

The ledger says which bytes were accepted; a folder can be edited by anyone at any time. What has not been handed in
yet (files of the current phase and of later ones) is nobody's fault and is not looked at.
"""

from __future__ import annotations

from enforcer.errors import EnforcerError
from enforcer.evidence.descent import is_name, shown, shown_path
from enforcer.workflow.process import ENFORCE, OBSERVED, OFF
from enforcer.workflow.record import Record
from enforcer.workflow.state import COMPLETED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import ClassVar

    from enforcer.evidence.folder import Entry, Folder, Problem
    from enforcer.evidence.objects import Objects
    from enforcer.workflow.events import Accepted
    from enforcer.workflow.process import Process
    from enforcer.workflow.state import TaskState

CLEAN, VIOLATED, UNVERIFIABLE = "clean", "violated", "unverifiable"

LISTED = 1000

_EXIT = {CLEAN: 0, VIOLATED: 1, UNVERIFIABLE: 2}
_UNKNOWN_FIX = "Remove it, or hand it in with the phase it belongs to."


class Finding(Record):
    """One thing that is not as the ledger says; `phase` and `artifact` are empty where it concerns a whole folder."""

    task: str
    phase: str
    artifact: str
    code: str
    message: str
    fix: str = ""


class AuditReport(Record, kw_only=True):
    """The answer of `enforcer audit`: `artifacts` counts the accepted ones that count now, in `tasks` tasks.

    `evidence_unobserved` is found where a worker wrote what the process wants Enforcer to see for itself; it speaks
    against the evidence only where the process enforces that.
    """

    verdict: str
    tasks: int = 0
    artifacts: int = 0
    findings: tuple[Finding, ...] = ()

    nested: ClassVar[Mapping[str, type[Record]]] = {"findings": Finding}

    @property
    def exit_status(self) -> int:
        return _EXIT[self.verdict]


def audit(
    states: Iterable[TaskState],
    folder: Folder,
    objects: Objects,
    processes: Callable[[str], Process],
    task: str | None = None,
) -> AuditReport:
    """Audit every task of `states`, which are all that the ledger knows, or the one named `task`."""
    known = set()
    auditor = _Auditor(folder, objects, processes)
    for state in states:
        known.add(state.task)
        if task in (None, state.task):
            auditor.check_task(state)
    if task is None:
        auditor.check_root(known)
    return auditor.report()


class _Auditor:
    def __init__(self, folder: Folder, objects: Objects, processes: Callable[[str], Process]) -> None:
        self._folder, self._objects, self._processes = folder, objects, processes
        self._findings: list[Finding] = []
        self._unlisted = 0
        self._violated = self._unanswered = False
        self._tasks = self._artifacts = 0

    def report(self) -> AuditReport:
        verdict = VIOLATED if self._violated else UNVERIFIABLE if self._unanswered else CLEAN
        findings = list(self._findings)
        if self._unlisted:
            findings.append(Finding("", "", "", "findings_omitted", f"There are {self._unlisted} more findings."))
        return AuditReport(verdict=verdict, tasks=self._tasks, artifacts=self._artifacts, findings=tuple(findings))

    def check_task(self, state: TaskState) -> None:
        self._tasks += 1
        process = self._process(state)
        for phase in state.walked:
            accepted = state.accepted[phase]
            self._artifacts += len(accepted)
            self._check_files(state, phase, process)
            self._check_objects(state.task, phase, accepted)
            if process is not None:
                self._check_origins(state.task, phase, accepted, process)
            if _is_settled(state, phase):
                self._check_folder(state.task, phase, {one.artifact for one in accepted})
        if process is not None:
            self._check_task_folder(state.task, {phase.folder for phase in process.phases})

    def check_root(self, known: set[str]) -> None:
        entries, problems = self._listing()
        self._problems("", "", problems)
        for entry in entries:
            if entry.name not in known or entry.kind != "folder":
                self._unrecorded("", "", entry, shown_path(()))

    def _check_files(self, state: TaskState, phase: str, process: Process | None) -> None:
        task, accepted = state.task, state.accepted[phase]
        try:
            files, problems = self._folder.read(task, phase, [one.artifact for one in accepted])
        except EnforcerError as error:
            self._no_answer(task, phase, "", error)
            return
        restore = f"enforcer evidence restore {task} {phase}"
        for problem in problems:
            fallen = _fallen(process, state, phase, problem.name)
            message = f"{phase}/{_safe(problem.name)}: {problem.message}{fallen}"
            fix = f"Put it back as it was accepted: {restore}"
            self._wrong(Finding(task, phase, _safe(problem.name), problem.code, message, fix))
        for one in accepted:
            file = files.get(one.artifact)
            if file is not None and file.digest != one.digest:
                fallen = _fallen(process, state, phase, one.artifact)
                message = f"{phase}/{one.artifact} differs from what was accepted.{fallen}"
                fix = f"Put it back: {restore}. Or earn it again: enforcer backtrack {task} --to {phase} --reason …"
                self._wrong(Finding(task, phase, one.artifact, "evidence_changed", message, fix))

    def _check_objects(self, task: str, phase: str, accepted: tuple[Accepted, ...]) -> None:
        for one in accepted:
            try:
                self._objects.get(one.digest)
            except EnforcerError as error:
                if error.code not in ("object_missing", "object_damaged"):
                    self._no_answer(task, phase, one.artifact, error)
                    continue
                message = f"The copy of {phase}/{one.artifact} as it was accepted: {error.message}"
                self._wrong(Finding(task, phase, one.artifact, error.code, message, error.fix))

    def _check_origins(self, task: str, phase: str, accepted: tuple[Accepted, ...], process: Process) -> None:
        if not process.has(phase):
            return
        modes = {rule.artifact: rule.mode for rule in process.phase(phase).rules if rule.kind == "observed"}
        for one in accepted:
            mode = modes.get(one.artifact, OFF)
            if mode == OFF or one.origin == OBSERVED:
                continue
            message = f"{phase}/{one.artifact} was written by the worker, and the process wants it observed."
            fix = "Let CI run it again: this release takes the worker's word, and labels it so."
            finding = Finding(task, phase, one.artifact, "evidence_unobserved", message, fix)
            if mode == ENFORCE:
                self._wrong(finding)
            else:
                self._list(finding)

    def _check_folder(self, task: str, phase: str, known: set[str]) -> None:
        entries, problems = self._listing(task, phase)
        self._problems(task, phase, problems)
        for entry in entries:
            if entry.name not in known:
                self._unrecorded(task, phase, entry, shown_path((task, phase.lower())))

    def _check_task_folder(self, task: str, known: set[str]) -> None:
        entries, problems = self._listing(task)
        self._problems(task, "", problems)
        for entry in entries:
            if entry.name not in known:
                self._unrecorded(task, "", entry, shown_path((task,)))

    def _listing(self, task: str = "", phase: str = "") -> tuple[tuple[Entry, ...], tuple[Problem, ...]]:
        try:
            return self._folder.listing(task, phase)
        except (EnforcerError, OSError) as error:
            self._no_answer(task, phase, "", error)
            return (), ()

    def _process(self, state: TaskState) -> Process | None:
        try:
            return self._processes(state.digest)
        except EnforcerError as error:
            self._no_answer(state.task, "", "", error)
            return None

    def _problems(self, task: str, phase: str, problems: tuple[Problem, ...]) -> None:
        for problem in problems:
            self._wrong(Finding(task, phase, "", problem.code, problem.message, problem.fix))

    def _unrecorded(self, task: str, phase: str, entry: Entry, where: str) -> None:
        name = _safe(entry.name)
        message = f"{where}/{name} ({entry.kind}) is not on the ledger."
        self._wrong(Finding(task, phase, name, "evidence_unrecorded", message, _UNKNOWN_FIX))

    def _no_answer(self, task: str, phase: str, artifact: str, error: EnforcerError | OSError) -> None:
        self._unanswered = True
        if isinstance(error, OSError):
            code, message, fix = "evidence_unreadable", str(error.strerror), "Check the disk, then try again."
        else:
            code, message, fix = error.code, error.message, error.fix
        self._list(Finding(task, phase, artifact, code, message, fix))

    def _wrong(self, finding: Finding) -> None:
        self._violated = True
        self._list(finding)

    def _list(self, finding: Finding) -> None:
        if len(self._findings) < LISTED:
            self._findings.append(finding)
        else:
            self._unlisted += 1


def _is_settled(state: TaskState, phase: str) -> bool:
    """Whether nothing more is handed in for a phase; what stands in its folder besides is then unrecorded."""
    return state.status == COMPLETED or phase != state.phase


def _fallen(process: Process | None, state: TaskState, phase: str, artifact: str) -> str:
    """The phases whose accepted evidence stands on an artifact, and falls with it."""
    if process is None or not process.has(phase):
        return ""
    accepted = state.accepted_files()
    names = [name for name in process.fallen_with(f"{phase}/{artifact}") if name in accepted]
    phases = dict.fromkeys(name.partition("/")[0] for name in names)
    return f" With it falls what was accepted in {', '.join(phases)}." if phases else ""


def _safe(name: str) -> str:
    """A name from a folder, fit for a terminal."""
    return name if is_name(name) else shown(name)
