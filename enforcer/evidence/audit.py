"""Holds the evidence folders against the ledger: is what was accepted still there, and is anything there besides?

The ledger says which bytes were accepted; a folder can be edited by anyone at any time. What has not been handed in
yet (files of the current phase and of later ones) is nobody's fault; it is looked at only to say what is out of date.

Nothing that was kept is believed: the tasks are told by the entries themselves, every stored copy is read and proven,
and verdicts are made anew.
"""

from __future__ import annotations

from enforcer.errors import EnforcerError, RequestError
from enforcer.evidence.copies import ABSENT, Copies
from enforcer.evidence.descent import is_name, shown, shown_path
from enforcer.evidence.findings import NOTE, UNANSWERED, VIOLATION, AuditReport, Finding, Findings
from enforcer.evidence.history import histories
from enforcer.evidence.rejudge import Rejudge, told_waiver
from enforcer.evidence.staleness import WorkingFiles, attempts, left_behind
from enforcer.workflow.process import ENFORCE, OBSERVED, OFF
from enforcer.workflow.state import COMPLETED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from enforcer.evidence.copies import Objects
    from enforcer.evidence.folder import Entry, File, Folder, Problem
    from enforcer.evidence.history import Acceptance, History
    from enforcer.evidence.rejudge import SchemaFaults
    from enforcer.ledger.entry import Entry as LedgerEntry
    from enforcer.workflow.process import Process
    from enforcer.workflow.state import TaskState

    Changed = Mapping[str, Mapping[str, File]]

__all__ = ["AuditReport", "Finding", "audit", "audit_histories"]

# What code that expects a sound process raises on a forged one.
_UNFIT = (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError)

_UNKNOWN_FIX = "Remove it, or hand it in with the phase it belongs to."


def audit(
    entries: Iterable[LedgerEntry],
    folder: Folder | None,
    objects: Objects,
    processes: Callable[[str], Process],
    *,
    task: str | None = None,
    tree: Callable[[], str] | None = None,
    schema_faults: SchemaFaults | None = None,
) -> AuditReport:
    """Audit the tasks that `entries` tell of: those of a whole ledger, or of the one named `task`.

    `folder` is None where only stored copies are looked at. `tree` tells the working files' tree id, where diffs are
    to be compared with it. With `schema_faults` (`schema.faults`), everything that was accepted is judged again.
    """
    return audit_histories(
        histories(entries), folder, objects, processes, task=task, tree=tree, schema_faults=schema_faults
    )


def audit_histories(
    found: Iterable[History],
    folder: Folder | None,
    objects: Objects,
    processes: Callable[[str], Process],
    *,
    task: str | None = None,
    tree: Callable[[], str] | None = None,
    schema_faults: SchemaFaults | None = None,
) -> AuditReport:
    """The same, of tasks that were told already. Raises `RequestError` (`unknown_task`) where none is the one named."""
    auditor = _Auditor(folder, objects, processes, tree, schema_faults, named=task is not None)
    known = set()
    for history in found:
        known.add(history.state.task)
        auditor.check_task(history)
    if task is None:
        auditor.check_root(known)
    elif task not in known:
        fix = "enforcer status lists the tasks there are."
        raise RequestError("unknown_task", "There is no such task on this ledger.", where=task, fix=fix)
    return auditor.found.report()


class _Auditor:
    def __init__(
        self,
        folder: Folder | None,
        objects: Objects,
        processes: Callable[[str], Process],
        tree: Callable[[], str] | None,
        schema_faults: SchemaFaults | None,
        *,
        named: bool,
    ) -> None:
        self.found = Findings()
        self._folder, self._copies, self._processes = folder, Copies(objects), processes
        self._working = WorkingFiles(tree) if tree is not None else None
        self._named = named
        self._unread: set[tuple[str, str]] = set()
        self._rejudge = Rejudge(self._copies, processes, schema_faults, self.found) if schema_faults else None

    def check_task(self, history: History) -> None:
        self.found.tasks += 1
        self._copies.forget()
        try:
            self._check_task(history)
        except _UNFIT as error:
            # A stored process need not have come through the door that checks one; the other tasks are audited still.
            message = f"It cannot be held against its process ({type(error).__name__}: {str(error)[:80]!a})."
            fix = "Look at the process: enforcer process show TASK. Then: enforcer verify"
            self.found.add(Finding(history.state.task, "", "", "process_unsound", message, fix, UNANSWERED))

    def _check_task(self, history: History) -> None:
        state = history.state
        process = self._process(state)
        changed = {phase: self._check_phase(history, one, process) for phase, one in history.counting().items()}
        if process is not None:
            self._check_now(history, process)
        if self._rejudge is not None:
            readable = [one for one in history.acceptances if self._process_of(one) is not None]
            self._rejudge.check(history, readable, changed)

    def check_root(self, known: set[str]) -> None:
        """What stands beside the folders of the tasks that the ledger knows."""
        if self._folder is None:
            return
        for entry in self._listing(self._folder):
            if entry.name not in known or entry.kind != "folder":
                self._unrecorded("", "", entry, shown_path(()))

    def _check_phase(self, history: History, acceptance: Acceptance, process: Process | None) -> Mapping[str, File]:
        """Everything about what counts of one phase; the files whose bytes are no longer the accepted ones."""
        state, phase = history.state, acceptance.phase
        self.found.artifacts += len(acceptance.evidence)
        changed = self._check_files(state, acceptance, process)
        self._check_copies(acceptance)
        self._check_origins(acceptance)
        if self._folder is not None and _is_settled(state, phase):
            recorded = {one.artifact for one in acceptance.evidence}
            for entry in self._listing(self._folder, state.task, phase):
                if entry.name not in recorded:
                    self._unrecorded(state.task, phase, entry, shown_path((state.task, phase.lower())))
        return changed

    def _check_now(self, history: History, process: Process) -> None:
        """The task's folder as a whole, and what in it is of another moment."""
        state = history.state
        if self._working is not None:
            for finding in self._working.check(history, process, named=self._named):
                self.found.add(finding)
        if self._folder is None:
            return
        phases = {phase.folder for phase in process.phases}
        for entry in self._listing(self._folder, state.task):
            if entry.name not in phases:
                self._unrecorded(state.task, "", entry, shown_path((state.task,)))
        try:
            for finding in left_behind(state, process, self._folder):
                self.found.add(finding)
        except EnforcerError as error:
            self.found.no_answer(state.task, "", "", error)

    def _check_files(self, state: TaskState, acceptance: Acceptance, process: Process | None) -> Mapping[str, File]:
        task, phase = state.task, acceptance.phase
        if self._folder is None:
            return {}
        try:
            files, problems = self._folder.read(task, phase, [one.artifact for one in acceptance.evidence])
        except EnforcerError as error:
            self.found.no_answer(task, phase, "", error)
            return {}
        restore = f"enforcer evidence restore {task} {phase}"
        for problem in problems:
            fallen = _fallen(process, state, phase, problem.name)
            message = f"{phase}/{_safe(problem.name)}: {problem.message}{fallen}"
            fix = f"Put it back as it was accepted: {restore}"
            self.found.add(Finding(task, phase, _safe(problem.name), problem.code, message, fix, seq=acceptance.seq))
        accepted = {one.artifact: one.digest for one in acceptance.evidence}
        changed = {name: file for name, file in files.items() if file.digest != accepted[name]}
        for name in changed:
            message = f"{phase}/{name} differs from what was accepted.{_fallen(process, state, phase, name)}"
            fix = f"Put it back: {restore}. Or earn it again: enforcer backtrack {task} --to {phase} --reason …"
            self.found.add(Finding(task, phase, name, "evidence_changed", message, fix, seq=acceptance.seq))
        return changed

    def _check_copies(self, acceptance: Acceptance) -> None:
        """Whether the stored bytes are there, and are the ones named."""
        task, phase = acceptance.before.task, acceptance.phase
        for one in acceptance.evidence:
            try:
                size = len(self._copies.get(one.digest))
            except EnforcerError as error:
                if error.code not in ABSENT:
                    self.found.no_answer(task, phase, one.artifact, error)
                    continue
                message = f"The copy of {phase}/{one.artifact} as it was accepted: {error.message}"
                self._wrong(acceptance, one.artifact, error.code, message, error.fix)
            else:
                if size != one.size:
                    message = f"{phase}/{one.artifact} has {size} bytes, and {one.size} are on record."
                    fix = f"See who wrote it: enforcer log {task}"
                    self._wrong(acceptance, one.artifact, "size_wrong", message, fix)

    def _check_origins(self, acceptance: Acceptance) -> None:
        """By the process then in force: what was claimed where it wants observations, or made in another attempt."""
        process = self._process_of(acceptance)
        if process is None:
            return
        rules = {rule.artifact: rule for rule in process.phase(acceptance.phase).rules if rule.kind == "observed"}
        for one in acceptance.evidence:
            rule = rules.get(one.artifact)
            if rule is None or rule.mode == OFF or one.origin == OBSERVED:
                continue
            where = f"{acceptance.phase}/{one.artifact}"
            message = f"{where} was written by the worker, and the process wants it observed."
            fix = "Let CI run it again: this release takes the worker's word, and labels it so."
            waiver = acceptance.waivers.get((one.artifact, rule.id))
            if waiver is not None:
                message += f" {told_waiver(rule.id, waiver)}"
            level = VIOLATION if rule.mode == ENFORCE and waiver is None else NOTE
            self._wrong(acceptance, one.artifact, "evidence_unobserved", message, fix, level)
        if self._rejudge is None:
            for finding in attempts(acceptance, process, self._copies):
                self.found.add(finding)

    def _listing(self, folder: Folder, task: str = "", phase: str = "") -> tuple[Entry, ...]:
        """What stands in a folder; what keeps it from being listed is found."""
        problems: tuple[Problem, ...] = ()
        entries: tuple[Entry, ...] = ()
        try:
            entries, problems = folder.listing(task, phase)
        except (EnforcerError, OSError) as error:
            self.found.no_answer(task, phase, "", error)
        for problem in problems:
            self.found.add(Finding(task, phase, "", problem.code, problem.message, problem.fix))
        return entries

    def _process(self, state: TaskState) -> Process | None:
        """The process in force; that it cannot be read is said once for each task."""
        try:
            return self._processes(state.digest)
        except EnforcerError as error:
            if (state.task, state.digest) not in self._unread:
                self._unread.add((state.task, state.digest))
                self.found.no_answer(state.task, "", "", error)
            return None

    def _process_of(self, acceptance: Acceptance) -> Process | None:
        """The process in force when a phase was left; None where it cannot be read, or has no such phase."""
        process = self._process(acceptance.before)
        if process is None or process.has(acceptance.phase):
            return process
        if (acceptance.before.task, str(acceptance.seq)) not in self._unread:
            self._unread.add((acceptance.before.task, str(acceptance.seq)))
            message = f"{acceptance.phase} was left, and the process then in force has no such phase."
            self._wrong(acceptance, "", "illegal", message, "Look at it with: enforcer verify")
        return None

    def _unrecorded(self, task: str, phase: str, entry: Entry, where: str) -> None:
        name = _safe(entry.name)
        message = f"{where}/{name} ({entry.kind}) is not on the ledger."
        self.found.add(Finding(task, phase, name, "evidence_unrecorded", message, _UNKNOWN_FIX))

    def _wrong(
        self, acceptance: Acceptance, artifact: str, code: str, message: str, fix: str, level: str = VIOLATION
    ) -> None:
        task, phase = acceptance.before.task, acceptance.phase
        self.found.add(Finding(task, phase, artifact, code, message, fix, level, acceptance.seq))


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
