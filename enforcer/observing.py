"""`enforcer run`: Enforcer runs a command itself, and records what it saw.

What a process names for the artifacts of a phase is run as it stands there; any other command may be run as well, and
is recorded as observed, not configured. The order is: ask whether the task may be worked on, hold its lease, look at
the files, run, look at the files again, read the reports, store all of it, record the run, and write the artifacts.
"""

from __future__ import annotations

from contextlib import contextmanager

from enforcer.errors import RequestError
from enforcer.evidence.run import Redaction
from enforcer.watching import Job, Watch
from enforcer.workflow.answering import EVIDENCE
from enforcer.workflow.commands import Run
from enforcer.workflow.events import CommandRefused, RunObserved
from enforcer.workflow.process import LOG, TEXT
from enforcer.workflow.process import Observation as Named
from enforcer.workflow.state import OPEN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from enforcer.gate import Outcome
    from enforcer.task import Task
    from enforcer.workflow.process import Phase, Process
    from enforcer.workflow.state import TaskState


def run(
    task: Task,
    *,
    artifact: str = "",
    argv: Sequence[str] = (),
    redact: Sequence[str] = (),
    show: Callable[[bytes], None] = lambda data: None,
    key: str = "",
    token: int | None = None,
) -> tuple[Outcome, ...]:
    """Run what the process names for the phase, or for `artifact`; or `argv`. An answer for each run that was made.

    `show` is given the output as it comes, without what the patterns in `redact` match. Raises `RequestError`
    (`nothing_to_run`, `bad_pattern`) and `UnavailableError` (`command_missing`, `sandbox_missing`).
    """
    return _Session(task, Redaction(tuple(redact)), show, key, token).run(artifact, tuple(argv))


def jobs(process: Process, phase: Phase, artifact: str, argv: tuple[str, ...]) -> tuple[Job, ...]:
    """What is to be run. Raises `RequestError` `nothing_to_run` or `unknown_artifact`."""
    if artifact and phase.artifact(artifact) is None:
        known = ", ".join(each.name for each in phase.artifacts)
        homes = [each.name for each in process.phases if each.artifact(artifact) is not None]
        elsewhere = f"; it is one of {', '.join(homes)}" if homes else ""
        message = f"{artifact[:80]!a} is not an artifact of {phase.name}{elsewhere}."
        raise RequestError("unknown_artifact", message, fix=f"One of: {known}")
    named = {each.name: process.observe[each.name] for each in phase.artifacts if each.name in process.observe}
    if argv:
        return (_own(phase, artifact, argv, named),)
    wanted = {name: one for name, one in named.items() if artifact in ("", name)}
    if not wanted:
        raise _nothing(process, artifact or phase.name)
    return _together(wanted)


def _nothing(process: Process, what: str) -> RequestError:
    message = f"The process names no command for {what}."
    running = [each.name for each in process.phases if any(one.name in process.observe for one in each.artifacts)]
    fix = "Say what to run: enforcer run TASK -- COMMAND. Or name it: enforcer init --observe ARTIFACT=COMMAND"
    if running:
        message = f"{message} Its commands are run in {', '.join(running)}."
        fix = f"Lead the task there: enforcer status TASK says what is next. {fix}"
    return RequestError("nothing_to_run", message, fix=fix)


def _together(named: dict[str, Named]) -> tuple[Job, ...]:
    """The runs that make all of these: those that differ only in what is read of them are one."""
    found: list[Job] = []
    for name, one in named.items():
        makes = (name, one.reader, one.report)
        for number, job in enumerate(found):
            if job.named.runs_with(one):
                found[number] = job.replace(makes=(*job.makes, makes))
                break
        else:
            found.append(Job(one, (makes,), configured=True))
    return tuple(found)


def _own(phase: Phase, artifact: str, argv: tuple[str, ...], named: dict[str, Named]) -> Job:
    """A command of the caller's own. In the very words of the process it is the one that the process names."""
    one = named.get(artifact)
    if one is not None and one.argv == argv:
        return Job(one, ((artifact, one.reader, one.report),), configured=True)
    if not artifact:
        return Job(Named(argv), (), configured=False)
    if one is not None:
        return Job(one.replace(argv=argv), ((artifact, one.reader, one.report),), configured=False)
    described = phase.artifact(artifact)
    is_text = described is not None and described.format == TEXT
    return Job(Named(argv), ((artifact, LOG if is_text else "", "" if is_text else artifact),), configured=False)


def _is_over(answered: tuple[Outcome, ...], state: TaskState) -> bool:
    """Whether nothing is left of a call that was answered so far: it ended with a refusal, or the task has gone on."""
    last = answered[-1].event
    return not isinstance(last, RunObserved) or last.attempt_id != state.attempt_id or state.status != OPEN


class _Session:
    """One call of `run`."""

    def __init__(
        self, task: Task, redaction: Redaction, show: Callable[[bytes], None], key: str, token: int | None
    ) -> None:
        self._task, self._redaction, self._show, self._key, self._token = task, redaction, show, key, token
        self._enforcer = task.enforcer

    def run(self, artifact: str, argv: tuple[str, ...]) -> tuple[Outcome, ...]:
        asked = Run(artifact=artifact, argv=argv, attempt_id=self._task.state().attempt_id)
        answered = self._answered(asked)
        state, process = self._task.state(), self._task.process()
        phase = process.phase(state.phase)
        if answered and (_is_over(answered, state) or len(jobs(process, phase, artifact, argv)) <= len(answered)):
            return answered
        event, _ = self._enforcer.gate.preview(self._task.name, asked, actor=self._task.actor)
        if isinstance(event, CommandRefused) and event.stage != EVIDENCE:
            return (*answered, self._submit(asked, self._key_of(len(answered))))
        found = jobs(process, phase, artifact, argv)
        outcomes = list(answered)
        with self._held():
            for job in found[len(answered) :]:
                outcomes.append(self._one(asked, job, state, self._key_of(len(outcomes))))
                if not outcomes[-1]:
                    break
        return tuple(outcomes)

    def _answered(self, asked: Run) -> tuple[Outcome, ...]:
        """The answers that the same call, with the same key, was given before it was interrupted or lost its reply."""
        found: list[Outcome] = []
        while self._key:
            key = self._key_of(len(found))
            first = self._enforcer.gate.repeated(self._task.name, asked, actor=self._task.actor, key=key)
            if first is None:
                break
            found.append(first)
        return tuple(found)

    def _key_of(self, number: int) -> str:
        """The key of one run of the call, counted from 0; each is recorded, and answered again, by itself."""
        return f"{self._key}.{number + 1}" if self._key and number else self._key

    @contextmanager
    def _held(self) -> Iterator[None]:
        """The lease lives while commands run, however long they take."""
        token = self._token
        if token is None:
            claimed = self._task.claim().require()
            assert claimed.state is not None
            assert claimed.state.lease is not None
            token = claimed.state.lease.token
        heartbeat = self._enforcer.heartbeat(lambda: self._enforcer.gate.renew(self._task.name, token))
        heartbeat.start()
        try:
            yield
        finally:
            heartbeat.stop()

    def _submit(self, command: Run, key: str) -> Outcome:
        return self._enforcer.gate.submit(self._task.name, command, actor=self._task.actor, key=key, token=self._token)

    def _one(self, asked: Run, job: Job, state: TaskState, key: str) -> Outcome:
        with Watch(self._enforcer, job, state, self._redaction, self._show) as watch:
            outcome = self._submit(watch.observe(asked), key)
            if outcome:
                watch.write()
            return outcome
