"""One run, watched: what stood around it before and after, what it left, and what its reports become.

A run proves nothing where it changed the files that it was to judge, was cut short, wrote no report, or wrote one that
contradicts itself. It is recorded all the same.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from hashlib import sha256

from enforcer.errors import UnavailableError
from enforcer.evidence.footing import stamps, told
from enforcer.evidence.making import TESTS, Raw, make, never_measured
from enforcer.evidence.observation import Executable, File, Ignored, Observation, differing
from enforcer.evidence.run import Command, Sandbox, environment, execute, left_off, resolve, salted
from enforcer.workflow.events import Made, Refusal
from enforcer.workflow.process import IN_PROJECT, LOG, UNCONFINED
from enforcer.workflow.process import Observation as Named
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Self

    from enforcer.enforcer import Enforcer
    from enforcer.evidence.footing import Stamps
    from enforcer.evidence.git import Observation as Seen
    from enforcer.evidence.run import Ran, Redaction
    from enforcer.workflow.commands import Run
    from enforcer.workflow.state import TaskState

OUT = "{out}"  # In a word of a command: the folder that it may write to.

MOST_PRODUCED = 1_000  # Files in that folder which are listed one by one.
MOST_NAMED = 20  # Files that a refusal names one by one.
MAX_REPORT = 64 << 20

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Job(Record):
    """One run: the command, and the artifacts that are made of it, each with its reader and report."""

    named: Named
    makes: tuple[tuple[str, str, str], ...]
    configured: bool


class Around(Record):
    """The files around a run: what git says of them, the ignored ones that it could load, the repository's top, the
    paths of all files below it, and the repositories inside it with changes that no tree names."""

    seen: Seen
    ignored: Ignored
    top: str
    paths: frozenset[str]
    unsettled: tuple[str, ...]


class Watch:
    """Runs one job. In a `with` block, so that its folders go in the end.

    With `record` False nothing is stored: what the run made is in `documents` alone.
    """

    def __init__(
        self,
        enforcer: Enforcer,
        job: Job,
        state: TaskState,
        redaction: Redaction,
        show: Callable[[bytes], None],
        *,
        record: bool = True,
    ) -> None:
        self._record = record
        self.documents: Mapping[str, bytes] = {}
        self._enforcer, self._job, self._state = enforcer, job, state
        self._redaction, self._show = redaction, show
        self._project = enforcer.project.root
        self._folder = ""
        self._unmeasured: tuple[str, ...] = ()
        self._root = self._project  # Where the command finds the project: in a sandbox, in the copy.

    def __enter__(self) -> Self:
        self._folder = os.path.realpath(tempfile.mkdtemp(prefix="enforcer-run-"))
        self._out = f"{self._folder}/out"
        os.mkdir(self._out, 0o700)
        return self

    def __exit__(self, *_error: object) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def observe(self, asked: Run) -> Run:
        """Run it, store all that was seen, and tell it as a command for the gate; what it made is in `documents`."""
        before = self._look()
        began = stamps(before.top, before.paths) if before else {}
        stale = self._reports()
        command, executable = self._prepare()
        ran = execute(
            self._confined(command, before), show=self._show, redact=self._redaction, clock=self._enforcer.clock
        )
        ended = stamps(before.top, before.paths) if before else {}
        after = self._look_again(before)
        faults = [*self._cut_short(ran), *self._changed(before, after)]
        reports = dict(self._read_reports(stale, faults, lambda: self._told(ran, command, executable)))
        made = {} if faults else self._make(ran, before, reports, faults)
        digest = self._store(ran, command, executable, before, after, reports, made) if self._record else ""
        self.documents = made = {} if faults else made
        return asked.replace(
            attempt_id=self._state.attempt_id,
            process=self._state.digest,
            observation=digest,
            configured=self._job.configured,
            made=tuple(
                Made(name, sha256(made[name]).hexdigest(), len(made[name]), reader)
                for name, reader, _ in self._job.makes
                if name in made
            ),
            status=ran.status if ran.status is not None else -1,
            signal=ran.signal,
            duration_us=ran.duration_us,
            tree=before.seen.tree if before else "",
            sandbox=self._job.named.sandbox,
            labels=(*self._labels(executable, before), *self._footing(before, command, began, ended)),
            faults=tuple(faults),
        )

    def write(self) -> None:
        """Put what it made into the evidence folder; what stood there is kept as an object first."""
        folder = self._enforcer.folder
        files, _ = folder.read(self._state.task, self._state.phase, self.documents)
        self._enforcer.objects.put_many(file.data for file in files.values())
        for name, data in self.documents.items():
            folder.write(self._state.task, self._state.phase, name, data)

    # Before ----------------------------------------------------------------------------------------------------------

    def _look(self) -> Around | None:
        """None where there is no git repository."""
        repository = self._enforcer.repository()
        if repository is None:
            return None
        with repository:
            seen = repository.observe(self._state.base or None, self._enforcer.excluded)
            ignored = repository.ignored(self._enforcer.excluded)
            if self._job.named.sandbox != UNCONFINED:
                _check_copied(repository.copy_to(self._copy(), self._enforcer.excluded), seen.tree)
                self._root = os.path.join(self._copy(), repository.prefix)
            top, paths = repository.top, repository.paths(seen.tree)
            unsettled = repository.unsettled(seen.tree)
        return Around(
            seen, Ignored(ignored.count, ignored.digest, ignored.digested, ignored.paths), top, paths, unsettled
        )

    def _copy(self) -> str:
        """The folder for the scratch copy that a sandboxed run sees in the project's place."""
        copy = f"{self._folder}/copy"
        os.makedirs(copy, exist_ok=True)
        return copy

    def _reports(self) -> dict[str, tuple[int, ...]]:
        """Reports that stand in the project before the run, as they stand there: it has to write them anew."""
        found = {}
        for _, _, report in self._job.makes:
            if report.startswith(IN_PROJECT):
                try:
                    found[report] = _identity(os.lstat(self._place(report)))
                except OSError:
                    continue
        return found

    def _prepare(self) -> tuple[Command, Executable]:
        """The command as it will run, and what its first word leads to."""
        named = self._job.named
        folder = os.path.normpath(os.path.join(self._project, named.folder))
        variables = environment(named.environment, named.path, self._enforcer.environ, self._out, self._project)
        words = tuple(word.replace(OUT, self._out) for word in named.argv)
        near = left_off(self._enforcer.environ.get("PATH", ""), variables, self._project)
        found = resolve(words[0], variables, folder, project=self._project, named=named.path, near=near)
        executable = Executable(found.path, found.digest, found.label, found.interpreter)
        return Command(words, folder, variables, named.timeout * 1_000_000, named.output), executable

    def _confined(self, command: Command, before: Around | None) -> Command:
        """The command as it runs in the sandbox that the process demands. Raises `UnavailableError`."""
        if self._job.named.sandbox == UNCONFINED:
            return command
        if before is None:
            message = "A sandbox works on a copy of the files that git names, and there is no git repository here."
            fix = "Work in a git repository, or let the process run the command without a sandbox."
            raise UnavailableError("sandbox_missing", message, where=self._project, fix=fix)
        inner = os.path.relpath(self._project, before.top)
        return Sandbox(hidden=(self._enforcer.user_folder, self._enforcer.project.state)).wrap(
            command,
            project=before.top,
            scratch=self._copy(),
            out=self._out,
            keep=tuple(os.path.normpath(os.path.join(inner, each)) for each in self._job.named.keep),
        )

    # After -----------------------------------------------------------------------------------------------------------

    def _look_again(self, before: Around | None) -> str:
        """The tree as it is now; empty without git."""
        repository = self._enforcer.repository() if before else None
        if repository is None:
            return ""
        with repository:
            self._now = repository.observe(self._state.base or None, self._enforcer.excluded)
        return self._now.tree

    def _cut_short(self, ran: Ran) -> Iterator[Refusal]:
        named = self._job.named
        why = {
            "timeout": f"ran longer than {named.timeout} seconds",
            "output_limit": f"wrote more than {named.output} bytes",
            "interrupted": "was interrupted",
        }.get(ran.ended)
        if why:
            yield self._invalid(f"The command {why}, and was ended.", "Mend the command, or the limits in the process.")

    def _changed(self, before: Around | None, after: str) -> Iterator[Refusal]:
        if before is None:
            return
        for path in before.unsettled:
            message = f"{ascii(path)[1:-1]} is a repository of its own with changes that are not committed in it."
            yield self._invalid(message, "Commit them there, and the new commit here; or undo them.")
        if after == before.seen.tree:
            return
        changed = differing(before.seen.contents, self._now.contents)
        listed = ", ".join(ascii(name)[1:-1] for name in changed[:MOST_NAMED])
        more = f" and {len(changed) - MOST_NAMED} more" if len(changed) > MOST_NAMED else ""
        message = f"The command changed the files that it was to judge: {listed}{more}."
        yield self._invalid(message, "Ignore what it writes in .gitignore, or let it write to $ENFORCER_OUT.")

    def _told(self, ran: Ran, command: Command, executable: Executable) -> str:
        """What ran and how it ended, and what was kept from it, for whoever wonders why a report is missing."""
        ended = f"by {ran.signal}" if ran.signal else f"with exit status {ran.status}"
        missed = left_off(self._enforcer.environ.get("PATH", ""), command.environment, self._project)
        folders = ", ".join(ascii(each)[1:-1] for each in missed[:MOST_NAMED])
        kept = f" Folders of the project that were left off its search path: {folders}." if missed else ""
        return f"{ascii(executable.path)[1:-1]} ended {ended}.{kept}"

    def _read_reports(
        self, stale: dict[str, tuple[int, ...]], faults: list[Refusal], told: Callable[[], str]
    ) -> Iterator[tuple[str, bytes]]:
        """The reports by the name that the process gives them; what is missing or old is a fault."""
        for name, reader, report in self._job.makes:
            if reader == LOG:
                continue
            try:
                yield report, _read(self._place(report), stale.get(report))
            except _NotNew:
                message = f"The report {report} stood there before the run, and the run did not write it. {told()}"
                faults.append(self._invalid(message, "Let the command write its report each time.", name))
            except (OSError, ValueError) as error:
                why = error.strerror if isinstance(error, OSError) else str(error)
                message = f"The run left no report {report} that can be read: {why}. {told()}"
                fix = f"Let the command write {{out}}/{report}; name the project's folders that it searches in `path`."
                if report.startswith(IN_PROJECT):
                    fix = "Let the command write it there each time, and git ignore it; or correct `report`."
                faults.append(Refusal("evidence_missing", message, self._state.phase, name, fix))

    def _make(
        self, ran: Ran, before: Around | None, reports: dict[str, bytes], faults: list[Refusal]
    ) -> dict[str, bytes]:
        tested = any(reader in TESTS for _, reader, _ in self._job.makes)
        top = before.top if before else self._project
        folder = os.path.normpath(os.path.join(os.path.relpath(self._project, top), self._job.named.folder))
        diff, files = (before.seen.diff, before.paths) if before else (b"", None)
        raw = Raw(ran.output, ran.status, diff, top, folder, files, tested)
        made = {}
        for name, reader, report in self._job.makes:
            document = make(
                name,
                reader,
                reports.get(report, b""),
                raw,
                phase=self._state.phase,
                attempt_id=self._state.attempt_id,
            )
            if isinstance(document, Refusal):
                faults.append(document)
            elif self._redaction.apply(document) != document:
                # What is judged is what the reports say: a pattern hides, and never changes, it.
                message = f"A pattern to redact matches something in {name} itself, which would change what it says."
                faults.append(self._invalid(message, "Choose a pattern that matches only what is secret.", name))
            else:
                made[name] = document
                self._unmeasured += never_measured(reader, reports.get(report, b""), raw)
        return made

    def _store(
        self,
        ran: Ran,
        command: Command,
        executable: Executable,
        before: Around | None,
        after: str,
        reports: dict[str, bytes],
        made: dict[str, bytes],
    ) -> str:
        """Make durable all that the entry is going to name, and what it rests on; the digest of the observation."""
        observation = Observation(
            task=self._state.task,
            phase=self._state.phase,
            attempt_id=self._state.attempt_id,
            argv=self._redacted(self._job.named.argv),
            ran=self._redacted(command.argv),
            folder=self._job.named.folder,
            executable=executable,
            configured=self._job.configured,
            environment=salted(command.environment, self._enforcer.salt()),
            started=ran.started,
            duration_us=ran.duration_us,
            status=ran.status,
            signal=ran.signal,
            ended=ran.ended,
            orphans=ran.orphans,
            output=File("", sha256(ran.output).hexdigest(), len(ran.output)),
            produced=tuple(_produced(self._out)),
            redacted=len(self._redaction.patterns),
            sandbox=self._job.named.sandbox,
            tree=before.seen.tree if before else "",
            tree_after=after,
            commit=(before.seen.head or "") if before else "",
            contents=before.seen.contents if before else {},
            ignored=before.ignored if before else None,
        ).data()
        kept = [self._redaction.apply(report) for report in reports.values()]
        return self._enforcer.objects.put_many((observation, ran.output, *kept, *made.values()))[0]

    def _labels(self, executable: Executable, before: Around | None) -> tuple[str, ...]:
        """What whoever relies on the run should look at."""
        labels = [] if self._job.configured else ["observed, not configured"]
        if executable.label:
            labels.append(f"executable: {ascii(executable.path)[1:-1]} {executable.label}")
        if self._unmeasured:
            listed = ", ".join(ascii(name)[1:-1] for name in self._unmeasured[:MOST_NAMED])
            labels.append(f"unmeasured: the coverage says nothing of {listed}")
        if before is not None and before.ignored.count:
            count = before.ignored.count
            named = "1 file or folder" if count == 1 else f"{count} files or folders"
            labels.append(f"ignored: the run could load {named} that git ignores")
        return tuple(labels)

    def _footing(self, before: Around | None, command: Command, began: Stamps, ended: Stamps) -> Iterator[str]:
        """What else it stood on; in a sandbox it cannot see any of this."""
        if self._job.named.sandbox == UNCONFINED:
            top = before.top if before else self._project
            yield from told(top, self._project, began, ended, command.environment)

    def _redacted(self, words: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(os.fsdecode(self._redaction.apply(os.fsencode(word))) for word in words)

    def _place(self, report: str) -> str:
        if report.startswith(IN_PROJECT):
            return os.path.join(self._root, report.removeprefix(IN_PROJECT))
        return os.path.join(self._out, report)

    def _invalid(self, message: str, fix: str, artifact: str = "") -> Refusal:
        return Refusal("evidence_invalid", message, self._state.phase, artifact, fix)


def _check_copied(copied: str, seen: str) -> None:
    """What runs in a sandbox are the files that are recorded, and no others."""
    if copied != seen:
        fix = "Run it again when nothing writes to the work tree."
        raise UnavailableError("run_failed", "The files changed while they were copied for the sandbox.", fix=fix)


class _NotNew(Exception):
    """A report that the run did not write."""


def _read(path: str, before: tuple[int, ...] | None) -> bytes:
    """The bytes of a report. Raises `ValueError` where it is no plain file of a bounded size."""
    fd = os.open(path, _READ)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is not a regular file")
        if status.st_size > MAX_REPORT:
            raise ValueError(f"it has {status.st_size} bytes; the limit is {MAX_REPORT}")
        if before is not None and _identity(status) == before:
            raise _NotNew
        with os.fdopen(os.dup(fd), "rb") as file:
            return file.read(MAX_REPORT)
    finally:
        os.close(fd)


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size


def _produced(out: str) -> Iterator[File]:
    """The plain files that the run left in its folder, in order, as many as are listed."""
    count = 0
    for folder, folders, names in os.walk(out):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(folder, name)
            try:
                data = _read(path, None)
            except (OSError, ValueError):
                continue
            shown = os.path.relpath(path, out).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
            yield File(shown, sha256(data).hexdigest(), len(data))
            count += 1
            if count == MOST_PRODUCED:
                return
