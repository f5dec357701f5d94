"""Reads what stands in a phase's folder and says what the process in force thinks of it.

Each file is read once, and the bytes that are judged are the bytes that are handed on to be stored. Verdicts over one
artifact are kept by digest; what depends on git, on the attempt or on who acts is judged every time. Git and JSON
Schema are slow to load and to ask, so they come as callables and are asked only where a rule needs them.
"""

from __future__ import annotations

from enforcer.errors import UnavailableError
from enforcer.evidence.observation import contents_seen, differing
from enforcer.evidence.plan import Check, Plan, plan
from enforcer.evidence.weighing import labels, looks_for_risks, touched
from enforcer.workflow.events import Refusal
from enforcer.workflow.facts import EvidenceFacts, FileFact, Verdict
from enforcer.workflow.process import OBSERVED
from enforcer.workflow.record import Record
from enforcer.workflow.rules.subject import GitFacts, Patched, Seen, Surroundings, bounded, invalid
from enforcer.workflow.rules.table import SCHEMA
from enforcer.workflow.rules.text import read
from enforcer.workflow.running import origin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, Protocol

    from enforcer.evidence.folder import File, Problem
    from enforcer.evidence.git import Repository
    from enforcer.evidence.plan import Asked
    from enforcer.ports import Clock
    from enforcer.workflow.process import Phase, Process
    from enforcer.workflow.rules.subject import Fault, Subject
    from enforcer.workflow.state import TaskState

    class Folder(Protocol):
        """Where evidence is read, each file once. See `evidence.folder`."""

        def read(self, task: str, phase: str, names: Iterable[str]) -> tuple[dict[str, File], tuple[Problem, ...]]: ...

    class Objects(Protocol):
        """Bytes by digest. See `evidence.objects`."""

        def get(self, digest: str) -> bytes: ...

    class Verdicts(Protocol):
        """Verdicts over single artifacts, by the digests of artifact and rule."""

        def get(self, artifact: str, rule: str) -> tuple[Fault, ...] | None: ...
        def put(self, artifact: str, rule: str, faults: tuple[Fault, ...]) -> None: ...


NO_REPOSITORY = "there is no git repository here"

_NOWHERE = Surroundings(attempt_id="", actor="")  # What a rule over one artifact is given, and never looks at.


class Reading(Record):
    """What was observed, the files it was observed in by name, and the microseconds that git took of it."""

    facts: EvidenceFacts
    files: Mapping[str, File]
    git_us: int = 0


class Judge:
    """Judges the evidence of one project.

    `schema_faults` is `schema.faults`; `repository` finds the repository, None where there is none; `excluded` are the
    paths below the project that are no part of a change.
    """

    def __init__(
        self,
        folder: Folder,
        objects: Objects,
        verdicts: Verdicts,
        *,
        schema_faults: Callable[[bytes, Any], tuple[str, ...]],
        repository: Callable[[], Repository | None],
        excluded: tuple[str, ...] = ("state",),
        clock: Clock | None = None,
    ) -> None:
        self._folder, self._objects, self._verdicts = folder, objects, verdicts
        self._schema_faults, self._repository = schema_faults, repository
        self._excluded, self._clock = excluded, clock
        self._plans: dict[tuple[int, str], tuple[Process, Plan]] = {}

    def observe(self, state: TaskState, process: Process, actor: str) -> Reading:
        """What `actor` would leave the task's phase with. Stores nothing.

        Raises `UnavailableError` where the disk, an object or git gives no answer, and `DamagedError` for a stored
        schema that is not what it was.
        """
        planned = self._plan(process, state.phase)
        files, unread = self._folder.read(state.task, state.phase, planned.names)
        standing, documents = self._standing(state, process, planned)
        verdicts: list[Verdict] = []
        across: list[tuple[Check, Subject]] = []
        for asked in planned.asked:
            file = files.get(asked.artifact.name)
            if file is not None:
                subject = self._alone(asked, file, state.phase, verdicts)
                if asked.across and (subject := subject or _readable(asked, file)):
                    across += [(check, subject) for check in asked.across]
        around, git_us = self._surroundings(state, process, actor, documents, across)
        bound = self._across(across, around, state.phase, verdicts)
        origins = {file.name: origin(state, file.name, file.digest) for file in files.values()}
        risks = touched(process, planned.phase, around.git, state.risks_before)
        facts = EvidenceFacts(
            attempt_id=state.attempt_id,
            process=state.digest,
            files=tuple(FileFact(file.name, file.digest, file.size, origins[file.name]) for file in files.values()),
            problems=tuple(_refused(one, planned.phase) for one in unread if _counts(one, planned, risks)),
            verdicts=tuple(verdicts),
            standing=standing,
            tree=bound[0],
            commit=bound[1],
            labels=labels(across, around, origins, risks),
            risks=risks,
            working=around.git.tree if around.git is not None else "",
        )
        return Reading(facts, files, git_us)

    def _plan(self, process: Process, phase: str) -> Plan:
        key = (id(process), phase)
        known = self._plans.get(key)
        # An id names an object only while it lives, which is why the process is kept beside its plan.
        if known is None:
            if len(self._plans) >= 256:
                self._plans.clear()
            known = self._plans[key] = (process, plan(process, process.phase(phase)))
        return known[1]

    def _standing(self, state: TaskState, process: Process, planned: Plan) -> tuple[dict[str, str], dict[str, Any]]:
        """The digests of the earlier files as they are now, and the content of those that rules look at."""
        digests: dict[str, str] = {}
        documents: dict[str, Any] = {}
        for phase, names in planned.standing.items():
            accepted = {one.artifact: one for one in state.accepted.get(phase, ()) if one.artifact in names}
            files, _ = self._folder.read(state.task, phase, accepted) if accepted else ({}, ())
            for name, one in accepted.items():
                file = files.get(name)
                digests[f"{phase}/{name}"] = file.digest if file else ""
                artifact = process.phase(phase).artifact(name)
                if artifact and f"{phase}/{name}" in planned.documents:
                    data = file.data if file and file.digest == one.digest else self._accepted(one.digest)
                    subject = read(name, artifact.format, data)[0]
                    if subject is not None:
                        documents[f"{phase}/{name}"] = subject.value
        return digests, documents

    def _accepted(self, digest: str) -> bytes:
        try:
            return self._objects.get(digest)
        except UnavailableError:
            return b""

    def _alone(self, asked: Asked, file: File, phase: str, verdicts: list[Verdict]) -> Subject | None:
        """Judge the file by itself, as far as that is not known already; the file, if it had to be read for it."""
        subject: Subject | None = None
        faults = self._verdicts.get(file.digest, asked.form.digest)
        if faults is None:
            subject, faults = read(file.name, asked.artifact.format, file.data)
            self._verdicts.put(file.digest, asked.form.digest, faults)
        verdicts.append(_verdict(asked.form, faults, phase))
        if faults:
            return None
        for check in asked.alone:
            faults = self._verdicts.get(file.digest, check.digest)
            if faults is None:
                subject = subject or read(file.name, asked.artifact.format, file.data)[0]
                assert subject is not None, "the form was judged before"
                faults = self._judged(check, subject)
                self._verdicts.put(file.digest, check.digest, faults)
            verdicts.append(check.held if not faults else _verdict(check, faults, phase))
        return subject

    def _judged(self, check: Check, subject: Subject) -> tuple[Fault, ...]:
        if check.rule.kind != SCHEMA:
            return check.kind.check(subject, _NOWHERE, check.rule.params)
        schema = self._objects.get(check.rule.params["schema"])
        fix = "Correct it; the schema says what each member holds."
        found = self._schema_faults(schema, subject.value)
        return bounded([invalid(f"does not keep to its schema at {fault}", fix) for fault in found])

    def _across(
        self, across: list[tuple[Check, Subject]], around: Surroundings, phase: str, verdicts: list[Verdict]
    ) -> tuple[str, str]:
        """Judge what does not depend on the artifact alone; the tree and commit that the evidence is bound to.

        What was observed is bound to the files that were seen, whatever else a commit of the same phase holds.
        """
        bound, seen = ("", ""), False
        for check, subject in across:
            faults = check.kind.check(subject, around, check.rule.params)
            verdicts.append(_verdict(check, faults, phase))
            if check.kind.binds and not faults and around.git is not None and not seen:
                git, seen = around.git, check.rule.kind == OBSERVED
                bound = (git.head_tree if "head" in check.kind.needs else git.tree, git.head)
        return bound

    def _surroundings(
        self,
        state: TaskState,
        process: Process,
        actor: str,
        documents: Mapping[str, Any],
        across: list[tuple[Check, Subject]],
    ) -> tuple[Surroundings, int]:
        needs = {need for check, _ in across for need in check.kind.needs}
        phase = process.phase(state.phase)
        needs |= {"changes"} if looks_for_risks(process, phase) else set()
        needs |= {"tree"} if phase.approvals or state.words else set()
        patches = [subject for check, subject in across if "patched" in check.kind.needs]
        git, problem, spent = self._git(state.base, needs, patches) if needs else (None, "", 0)
        around = Surroundings(
            attempt_id=state.attempt_id,
            actor=actor,
            implementers=state.implementers,
            self_review=process.self_review,
            base=state.base,
            accepted=state.accepted_files() if across else {},
            documents=documents,
            bound_tree=state.tree,
            git=git,
            git_problem=problem,
            runs=self._runs(state, across, git),
        )
        return around, spent

    def _runs(self, state: TaskState, across: list[tuple[Check, Subject]], git: GitFacts | None) -> dict[str, Seen]:
        """What Enforcer saw of the artifacts that have to be observed."""
        found = {}
        for check, subject in across:
            run = state.runs.get(f"{state.phase}/{subject.name}") if check.rule.kind == OBSERVED else None
            if run is not None:
                seen = Seen(
                    seq=run.seq,
                    attempt_id=run.attempt_id,
                    digest=run.digest,
                    tree=run.tree,
                    configured=run.configured,
                    labels=run.labels,
                )
                if git is not None and run.tree != git.tree and run.attempt_id == state.attempt_id:
                    seen = seen.replace(differing=self._differing(run.observation, git))
                found[subject.name] = seen
        return found

    def _differing(self, observation: str, git: GitFacts) -> tuple[str, ...] | None:
        """The files that are others than when a run saw them; None where the record of the run does not tell."""
        before = contents_seen(self._accepted(observation))
        if before is None:
            return None
        return differing(before, git.contents)

    def _git(self, base: str, needs: set[str], patches: list[Subject]) -> tuple[GitFacts | None, str, int]:
        """What git says of the files now, or why it says nothing, and the microseconds it took."""
        began = self._now()
        try:
            repository = self._repository()
        except UnavailableError as error:
            if error.code != "git_missing":
                raise
            return None, error.message, 0
        if repository is None:
            return None, NO_REPOSITORY, 0
        with repository:
            seen = repository.observe(base or None, self._excluded)
            applied = {one.name: repository.apply(base or None, one.data, self._excluded) for one in patches}
            head = seen.head or ""
            facts = GitFacts(
                tree=seen.tree,
                head=head,
                head_tree=repository.tree_of(head, self._excluded) if head and "head" in needs else "",
                changes=tuple(change.path for change in seen.changes),
                contents=seen.contents,
                unborn=seen.unborn,
                patched={name: Patched(done.tree or "", done.message) for name, done in applied.items()},
            )
        return facts, "", self._now() - began

    def _now(self) -> int:
        """Microseconds that only grow; 0 without a clock."""
        return self._clock.boot()[1] // 1000 if self._clock else 0


def _verdict(check: Check, faults: tuple[Fault, ...], phase: str) -> Verdict:
    if not faults:
        return check.held
    name = check.rule.artifact
    refusals = tuple(Refusal(one.code, f"{name} {one.message}.", phase, name, one.fix) for one in faults)
    return check.held.replace(refusals=refusals)


def _readable(asked: Asked, file: File) -> Subject | None:
    return read(file.name, asked.artifact.format, file.data)[0]


def _refused(problem: Problem, phase: Phase) -> Refusal:
    fix = problem.fix
    if problem.code == "evidence_missing" and problem.name in phase.observed:
        fix = "Have Enforcer run the command that makes it: enforcer run TASK"
    return Refusal(problem.code, problem.message, phase.name, problem.name, fix)


def _counts(problem: Problem, planned: Plan, risks: tuple[str, ...]) -> bool:
    """A file that need not be there may be missing; one that is there must be safe to read."""
    artifact = planned.phase.artifact(problem.name)
    return problem.code != "evidence_missing" or artifact is None or artifact.required_of(risks)
