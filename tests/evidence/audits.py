"""A project to be audited: a folder of evidence, stored copies, and tasks whose history is made up to fit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from enforcer.evidence import schema
from enforcer.evidence.audit import AuditReport, audit_histories
from enforcer.evidence.folder import Folder
from enforcer.evidence.history import Acceptance, History
from enforcer.evidence.objects import Objects
from enforcer.ledger.codec import canonical, parse_line
from enforcer.ports import SystemDisk, SystemEntropy
from enforcer.workflow.events import Accepted
from enforcer.workflow.process import Artifact, Phase, Process, Rule
from enforcer.workflow.state import TaskState

NOTE, PLAN = b"# A note\n", b"# A plan\n"
ATTEMPT = "a" * 32


def a_process(mode: str = "off") -> Process:
    """Three phases, each of which asks for a note, and may get one more."""

    def phase(name: str) -> Phase:
        artifacts = (Artifact("note.md", "markdown"), Artifact("more.md", "markdown", required=False))
        return Phase(name, artifacts, (Rule("seen", "observed", "note.md", mode=mode),))

    return Process("short", tuple(phase(name) for name in ("SPEC", "PLAN", "BUILD")))


def history_of(state: TaskState, first: int = 10, actors: Mapping[str, str] | None = None) -> History:
    """The straight way to a state: each phase left once, by entry `first` and the ones after it."""
    acceptances = []
    for number, phase in enumerate(state.walked):
        before = state.replace(
            phase=phase,
            walked=state.walked[:number],
            accepted={name: state.accepted[name] for name in state.walked[:number]},
            status="open",
        )
        actor = (actors or {}).get(phase, "ann")
        acceptances.append(Acceptance(first + number, actor, state.accepted[phase], before))
    return History(state, tuple(acceptances))


class Project:
    """A state folder with one task that has left SPEC and PLAN and stands in BUILD."""

    def __init__(self, root: Path, process: Process | None = None) -> None:
        self.top = root
        self.root = root / "state" / "evidence"
        self.objects_root = root / "state" / "objects"
        self.folder = Folder(str(self.root))
        self.objects = Objects(str(self.objects_root), SystemDisk(), SystemEntropy())
        self.digest = self.keep(process or a_process())
        self.state = self.task("T", {"SPEC": NOTE, "PLAN": PLAN}, "BUILD")

    def keep(self, process: Process) -> str:
        return self.objects.put(canonical(process.pack()))

    def task(
        self, name: str, accepted: Mapping[str, bytes | Mapping[str, bytes]], phase: str, status: str = "open"
    ) -> TaskState:
        """A task that left phases with these bytes, of a note or of several artifacts, in folder and objects."""
        files = {
            where: given if isinstance(given, Mapping) else {"note.md": given} for where, given in accepted.items()
        }
        for where, given in files.items():
            for artifact, data in given.items():
                self.folder.write(name, where, artifact, data)
        return TaskState(
            task=name,
            title="",
            process="short",
            digest=self.digest,
            base="",
            phase=phase,
            attempt_id=ATTEMPT,
            opened="",
            status=status,
            attempts={phase: 1},
            walked=tuple(files),
            accepted={
                where: tuple(Accepted(each, self.objects.put(data), len(data)) for each, data in given.items())
                for where, given in files.items()
            },
        )

    def processes(self, digest: str) -> Process:
        return Process.unpack(parse_line(Objects(str(self.objects_root), SystemDisk(), SystemEntropy()).get(digest)))

    def audit(self, *states: TaskState, task: str | None = None, **options: Any) -> AuditReport:
        """As if the ledger told of these states, or of the project's own."""
        found = [history_of(state) for state in states or (self.state,) if task in (None, state.task)]
        return self.audit_of(*found, task=task, **options)

    def audit_of(self, *found: History, task: str | None = None, stored: bool = False, **options: Any) -> AuditReport:
        objects = Objects(str(self.objects_root), SystemDisk(), SystemEntropy())
        folder = None if stored else self.folder
        return audit_histories(found, folder, objects, self.processes, task=task, **options)

    def rejudge(self, *states: TaskState, **options: Any) -> AuditReport:
        return self.audit(*states, schema_faults=schema.faults, **options)

    def path(self, *parts: str) -> Path:
        return self.root.joinpath(*parts)
