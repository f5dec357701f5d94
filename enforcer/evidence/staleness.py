"""Evidence of another moment: made in another attempt, set aside by a backtrack, or of files that are others now.

What was accepted is stale where it names another attempt than the one that was left with it: that is a fault of the
evidence. What merely lies in a folder is nobody's fault, but whoever reads the folder should not take it for evidence,
so it is noted. A diff is compared with the working files here; another task may have its files in another worktree.
"""

from __future__ import annotations

from enforcer.errors import EnforcerError
from enforcer.evidence.findings import NOTE, UNANSWERED, VIOLATION, Finding
from enforcer.workflow.process import ENFORCE, OBSERVED, OFF
from enforcer.workflow.rules.across import check_attempt
from enforcer.workflow.rules.subject import STALE, Surroundings
from enforcer.workflow.rules.table import RULES
from enforcer.workflow.rules.text import read
from enforcer.workflow.state import OPEN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from enforcer.evidence.copies import Copies
    from enforcer.evidence.folder import File, Folder
    from enforcer.evidence.history import Acceptance, History
    from enforcer.workflow.process import Phase, Process, Rule
    from enforcer.workflow.rules.subject import Fault
    from enforcer.workflow.state import TaskState


def attempts(acceptance: Acceptance, process: Process, copies: Copies) -> Iterator[Finding]:
    """Accepted evidence that does not belong to the attempt that was left with it."""
    phase = process.phase(acceptance.phase)
    accepted = {one.artifact: one for one in acceptance.evidence}
    for rule in _attempt_rules(phase):
        if rule.artifact not in accepted:
            continue
        try:
            data = copies.get(accepted[rule.artifact].digest)
        except EnforcerError:
            continue  # A copy that is not there is found by whoever looks for copies.
        for fault in _of_attempt(data, phase, rule, acceptance.before.attempt_id):
            message = f"{rule.artifact} {fault.message}. Entry {acceptance.seq} accepted it."
            fix = f"See who wrote it: enforcer log {acceptance.before.task}"
            level = VIOLATION if rule.mode == ENFORCE else NOTE
            yield _finding(acceptance.before, phase, rule.artifact, fault, message, fix, level, acceptance.seq)


def left_behind(state: TaskState, process: Process, folder: Folder) -> Iterator[Finding]:
    """Files of phases that are still to be left, which were accepted or made in an attempt that is over."""
    if state.status != OPEN or not process.has(state.phase):
        return
    invalidated = set(state.invalidated)
    for phase in process.phases[process.index(state.phase) :]:
        rules = {rule.artifact: rule for rule in _attempt_rules(phase)} if phase.name == state.phase else {}
        aside = {name for name in (each.name for each in phase.artifacts) if f"{phase.name}/{name}" in invalidated}
        names = sorted(aside | rules.keys())
        files = folder.read(state.task, phase.name, names)[0] if names else {}
        for name, file in files.items():
            yield from _outdated(state, phase, file, rules.get(name), aside=name in aside)


def _outdated(state: TaskState, phase: Phase, file: File, rule: Rule | None, *, aside: bool) -> Iterator[Finding]:
    faults = _of_attempt(file.data, phase, rule, state.attempt_id) if rule is not None else ()
    stale = next((fault for fault in faults if fault.code == STALE), None)
    if stale is not None:
        message = f"{file.name} {stale.message}. It is not handed in yet, and would be refused."
        yield Finding(state.task, phase.name, file.name, STALE, message, stale.fix, NOTE)
    elif aside and state.previous.get(f"{phase.name}/{file.name}") == file.digest:
        message = f"{file.name} was accepted in an attempt that a backtrack set aside, and does not count now."
        fix = f"Hand it in again when {phase.name} is left, or write it anew."
        yield Finding(state.task, phase.name, file.name, STALE, message, fix, NOTE)


class WorkingFiles:
    """Compares accepted diffs with the working files. `tree` is asked once, when a task needs it: the id of their tree.

    It answers "" where there is no repository, and may raise `EnforcerError`.
    """

    def __init__(self, tree: Callable[[], str]) -> None:
        self._ask = tree
        self._tree: str | EnforcerError | None = None

    def check(self, history: History, process: Process, *, named: bool) -> Iterator[Finding]:
        """Whether the diff that counts still leads to the files that stand here.

        From the moment at which evidence speaks of a commit, it is that commit which counts, and the files may move on.
        Unless the task was asked for by name, it may live in another worktree, and a difference is only noted.
        """
        at = _diff_of(history, process)
        if at is None or not history.state.tree:
            return
        task, phase, artifact, seq = at
        tree = self._now()
        if isinstance(tree, EnforcerError) or not tree:
            why = tree.message if isinstance(tree, EnforcerError) else "There is no git repository here."
            message, fix = f"{artifact} is not compared with the working files. {why}", "Audit it where the files are."
            level = UNANSWERED if named else NOTE
            yield Finding(task, phase, artifact, "tree_unknown", message, fix, level, seq)
        elif tree != history.state.tree:
            message = f"{artifact} leads to other files than those that stand here now."
            fix = f"Undo what has changed since, or: enforcer backtrack {task} --to {phase} --reason …"
            yield Finding(task, phase, artifact, STALE, message, fix, VIOLATION if named else NOTE, seq)

    def _now(self) -> str | EnforcerError:
        if self._tree is None:
            try:
                self._tree = self._ask()
            except EnforcerError as error:
                self._tree = error
        return self._tree


def _diff_of(history: History, process: Process) -> tuple[str, str, str, int] | None:
    """Task, phase, artifact and entry of the last accepted diff of an open task, where no commit stands for it yet."""
    found = None
    if history.state.status != OPEN:
        return None
    for name, acceptance in history.counting().items():
        for rule in process.phase(name).rules if process.has(name) else ():
            kind = RULES.get(rule.kind)
            if kind is not None and kind.binds and rule.mode != OFF and rule.kind != OBSERVED:
                found = (history.state.task, name, rule.artifact, acceptance.seq) if "patched" in kind.needs else None
    return found


def _attempt_rules(phase: Phase) -> list[Rule]:
    kind = RULES["attempt"]
    return [
        rule for rule in phase.rules if rule.kind == "attempt" and rule.mode != OFF and rule.version == kind.version
    ]


def _of_attempt(data: bytes, phase: Phase, rule: Rule, attempt_id: str) -> tuple[Fault, ...]:
    artifact = phase.artifact(rule.artifact)
    if artifact is None:
        return ()
    subject, faults = read(rule.artifact, artifact.format, data)
    if subject is None:
        return faults
    return check_attempt(subject, Surroundings(attempt_id=attempt_id, actor=""), rule.params)


def _finding(
    state: TaskState, phase: Phase, artifact: str, fault: Fault, message: str, fix: str, level: str, seq: int
) -> Finding:
    return Finding(state.task, phase.name, artifact, fault.code, message, fix, level, seq)
