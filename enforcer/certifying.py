"""`enforcer certify TASK`: verifiably complete, as of now.

The ledger is verified from its first byte; the task has come far enough; the files that stand here are those that it
has verified; its evidence is what was accepted; nothing that it adds says of itself that it is unfinished; and the
commands of its process are run once more, and what they make would be accepted. Nothing is recorded, and no evidence
is written: the commands run in the project, and their reports go to a folder that is removed.
"""

from __future__ import annotations

import os
from hashlib import sha256

from enforcer.certificate import (
    FAILED,
    LEDGER,
    MOST_REASONS,
    PASSED,
    UNKNOWN,
    Certificate,
    Check,
    Reason,
    ledger_check,
    no_answer,
    reason,
    unasked,
)
from enforcer.errors import EnforcerError
from enforcer.evidence.findings import CLEAN, NOTE, VIOLATED
from enforcer.evidence.folder import File
from enforcer.evidence.governed import bounds_of
from enforcer.evidence.history import histories
from enforcer.evidence.judge import Judge
from enforcer.evidence.markers import markers
from enforcer.evidence.observation import contents_seen, differing
from enforcer.evidence.run import Redaction
from enforcer.evidence.schema import faults as schema_faults
from enforcer.observing import jobs
from enforcer.watching import Watch
from enforcer.workflow.commands import Run
from enforcer.workflow.process import ENFORCE, OBSERVED
from enforcer.workflow.state import ABANDONED, COMPLETED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from enforcer.enforcer import Enforcer
    from enforcer.evidence.folder import Folder, Problem
    from enforcer.evidence.git import Observation
    from enforcer.evidence.governed import Bound
    from enforcer.watching import Job
    from enforcer.workflow.events import Refusal
    from enforcer.workflow.process import Phase
    from enforcer.workflow.rules.subject import Fault
    from enforcer.workflow.state import TaskState

PROGRESS, FILES, EVIDENCE, WORK, COMMANDS = "progress", "files", "evidence", "open work", "commands"
CHECKS = (LEDGER, PROGRESS, FILES, EVIDENCE, WORK, COMMANDS)

MOST_NAMED = 20  # Files that a reason names one by one.
MOST_READ = 16 << 20  # Bytes of a file that are looked at for open work.

_REACHED = "PR"


def certify_task(enforcer: Enforcer, name: str, *, show: Callable[[bytes], None] = lambda data: None) -> Certificate:
    """Whether a task is verifiably complete. `show` is given the output of the commands as it comes.

    Raises `RequestError` (`unknown_task`).
    """
    state = enforcer.task(name).state()
    ledger = ledger_check(enforcer.verify())
    if ledger.verdict != PASSED:
        why = "the ledger does not verify, so nothing that it tells was asked"
        return Certificate(task=name, checks=(ledger, *unasked(CHECKS[1:], why)))
    question = _Question(enforcer, state, show)
    asked = {
        PROGRESS: question.progress,
        FILES: question.files,
        EVIDENCE: question.evidence,
        WORK: question.work,
        COMMANDS: question.commands,
    }
    return Certificate(task=name, checks=(ledger, *(_answered(check, ask) for check, ask in asked.items())))


def _answered(name: str, ask: Callable[[], Check]) -> Check:
    try:
        return ask()
    except EnforcerError as error:
        return no_answer(name, error)


class _Question:
    """One task, and what is asked of it. Each question answers with a check, or raises where there is no answer."""

    def __init__(self, enforcer: Enforcer, state: TaskState, show: Callable[[bytes], None]) -> None:
        self._enforcer, self._state, self._show = enforcer, state, show
        self._process = enforcer.process(state.digest)
        self._seen: Observation | None = None
        self._top = ""

    # What the ledger tells -------------------------------------------------------------------------------------------

    def progress(self) -> Check:
        """The task is completed, or has come to PR."""
        state, process = self._state, self._process
        if state.status == COMPLETED:
            return Check(PROGRESS, PASSED, note="completed")
        reached = process.has(_REACHED) and process.index(state.phase) >= process.index(_REACHED)
        if state.status != ABANDONED and reached:
            return Check(PROGRESS, PASSED, note=f"in {state.phase}")
        far = _REACHED if process.has(_REACHED) else "its end"
        told = "is abandoned" if state.status == ABANDONED else f"is in {state.phase}, and has to come to {far}"
        fix = "Open a new task." if state.status == ABANDONED else "Lead it on: enforcer explain TASK"
        return Check(PROGRESS, FAILED, (Reason("task_unfinished", f"{state.task} {told}.", state.phase, fix=fix),))

    def evidence(self) -> Check:
        """An audit finds every accepted document as it was accepted, and holding up."""
        report = self._enforcer.audit(self._state.task, rejudge=True)
        if report.verdict == CLEAN:
            return Check(EVIDENCE, PASSED, note=f"{report.artifacts} accepted artifacts")
        reasons = tuple(
            Reason(one.code, one.message, one.phase, one.artifact, one.fix)
            for one in report.findings
            if one.level != NOTE
        )
        return Check(EVIDENCE, FAILED if report.verdict == VIOLATED else UNKNOWN, reasons[:MOST_REASONS])

    # What the files tell ---------------------------------------------------------------------------------------------

    def files(self) -> Check:
        """The files here are those that the task has verified."""
        bound = self._bound()
        if bound is None:
            message = "The task has verified no tree that counts now: nothing that Enforcer observed was accepted."
            fix = "Give the process commands and `observed` rules, and let Enforcer run them: enforcer run TASK"
            return Check(FILES, FAILED, (Reason("evidence_unobserved", message, fix=fix),))
        now = self._now()
        if now is None or now.tree == bound.tree:
            return Check(FILES, PASSED, note=f"tree {bound.tree[:12]}, by entry {bound.seq}") if now else _no_git(FILES)
        seen = contents_seen(self._enforcer.objects.get(bound.observation))
        names = differing(seen, now.contents) if seen is not None else ()
        listed = ", ".join(ascii(name)[1:-1] for name in names[:MOST_NAMED]) or "more files than were recorded"
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        message = f"The files here are not those that entry {bound.seq} accepted; they differ in {listed}{more}."
        fix = f"Undo that, or: enforcer backtrack TASK --to {bound.phase} --reason …"
        return Check(FILES, FAILED, (Reason("evidence_stale", message, bound.phase, fix=fix),))

    def work(self) -> Check:
        """No line that the change adds to a production file says that it is unfinished."""
        now = self._now()
        if now is None:
            return _no_git(WORK)
        found = markers(now.diff, self._process.risks, self._read)
        reasons = tuple(
            Reason("work_open", f"{ascii(one.path)[1:-1]}, line {one.line}, says {one.mark}.", fix="Finish it.")
            for one in found
        )
        note = f"{len(now.changes)} changed files"
        return Check(WORK, FAILED if reasons else PASSED, reasons[:MOST_REASONS], note=note)

    def _bound(self) -> Bound | None:
        """The last tree that the task has verified and not gone back from, whether or not it came to PR since."""
        history = next(iter(histories(self._enforcer.entries(self._state.task))))
        walked = history.counting()
        standing = [one for one in bounds_of(history, self._enforcer.process) if one.phase in walked]
        found = [one for one in standing if walked[one.phase].seq == one.seq]
        return found[-1] if found else None

    def _now(self) -> Observation | None:
        """What git says of the files; None where there is no repository. Asked once."""
        if self._seen is None:
            repository = self._enforcer.repository()
            if repository is None:
                return None
            with repository:
                self._seen = repository.observe(self._state.base or None, self._enforcer.excluded)
                self._top = repository.top
        return self._seen

    def _read(self, path: str) -> bytes | None:
        """The bytes of a file of the repository; None where it is gone, or no plain file."""
        try:
            fd = os.open(os.path.join(self._top, path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        with os.fdopen(fd, "rb") as file:
            return file.read(MOST_READ)

    # What the commands tell ------------------------------------------------------------------------------------------

    def commands(self) -> Check:
        """Every command of the process, run now, makes what would be accepted."""
        phases = [
            phase for phase in self._process.phases if any(one.name in self._process.observe for one in phase.artifacts)
        ]
        if not phases:
            message = "The process names no command, so there is none to run."
            fix = "Name them: enforcer init --observe ARTIFACT=COMMAND. Then: enforcer process adopt TASK"
            return Check(COMMANDS, UNKNOWN, (Reason("nothing_to_run", message, fix=fix),))
        checks = [self._ran(phase, job) for phase in phases for job in jobs(self._process, phase, "", ())]
        reasons = tuple(one for check in checks for one in check.reasons)
        verdicts = {check.verdict for check in checks}
        verdict = FAILED if FAILED in verdicts else UNKNOWN if UNKNOWN in verdicts else PASSED
        return Check(COMMANDS, verdict, reasons[:MOST_REASONS], note="; ".join(check.note for check in checks))

    def _ran(self, phase: Phase, job: Job) -> Check:
        """One command, run now and judged by the rules of its phase."""
        state = self._state.replace(phase=phase.name)
        said = " ".join(job.named.argv)
        try:
            with Watch(self._enforcer, job, state, Redaction(()), self._show, record=False) as watch:
                done = watch.observe(Run(attempt_id=state.attempt_id))
        except EnforcerError as error:
            return Check(COMMANDS, UNKNOWN, (reason(error).replace(phase=phase.name),), note=f"{said}: not run")
        reasons: list[Refusal] = [*done.faults, *self._refused(state, phase, dict(watch.documents))]
        ended = f"by {done.signal}" if done.signal else f"with exit status {done.status}"
        if done.signal or done.status:
            fix = "Mend what it found; then backtrack, and lead the task on from there."
            reasons.insert(0, Reason("command_failed", f"{said} ended {ended}.", phase.name, fix=fix))
        if self._seen is not None and done.tree != self._seen.tree:
            message = "The files were changed while the task was certified."
            reasons.append(Reason("evidence_stale", message, phase.name, fix="Ask again when nothing writes there."))
        note = f"{said} ended {ended} after {done.duration_us / 1_000_000:.1f} s, sandbox {done.sandbox}"
        return Check(COMMANDS, FAILED if reasons else PASSED, tuple(reasons), note=note)

    def _refused(self, state: TaskState, phase: Phase, made: dict[str, bytes]) -> Iterator[Refusal]:
        """What the enforced rules have against what was made. That it was observed need not be asked: it was, here."""
        shelf = _Made(self._enforcer.folder, phase.name, made)
        judge = Judge(
            shelf,
            self._enforcer.objects,
            _Unkept(),
            schema_faults=schema_faults,
            repository=self._enforcer.repository,
            excluded=self._enforcer.excluded,
        )
        facts = judge.observe(state, self._process, self._enforcer.actor).facts
        observed = {rule.id for rule in phase.rules if rule.kind == OBSERVED}
        for verdict in facts.verdicts:
            if verdict.artifact in made and verdict.mode == ENFORCE and verdict.rule not in observed:
                yield from verdict.refusals


class _Made:
    """Shows the judge what a run has just made, in the place of a phase's folder."""

    def __init__(self, folder: Folder, phase: str, made: dict[str, bytes]) -> None:
        self._folder, self._phase = folder, phase
        self._files = {name: File(name, data, sha256(data).hexdigest(), len(data)) for name, data in made.items()}

    def read(self, task: str, phase: str, names: Iterable[str]) -> tuple[dict[str, File], tuple[Problem, ...]]:
        if phase != self._phase:
            return self._folder.read(task, phase, names)
        return {name: self._files[name] for name in names if name in self._files}, ()


class _Unkept:
    """Verdicts that nobody remembers: what has just been made is judged once."""

    def get(self, artifact: str, rule: str) -> tuple[Fault, ...] | None:
        return None

    def put(self, artifact: str, rule: str, faults: tuple[Fault, ...]) -> None:
        return None


def _no_git(name: str) -> Check:
    message = "There is no git repository around the project, so its files cannot be told."
    return Check(name, UNKNOWN, (Reason("no_repository", message, fix="Ask where the repository is."),))
