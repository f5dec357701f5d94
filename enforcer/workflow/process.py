"""What a process is: phases in order, the evidence each asks for, the rules over it, and the tools each allows.

A process is data. It is written in TOML (`policies/`), checked at that door, and stored by digest when a task opens;
the stored form (`pack`, canonical JSON) is the one that governs the task from then on.
"""

from __future__ import annotations

from enforcer.workflow.events import AUTHORING
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from typing import Any, ClassVar

ENFORCE, OBSERVE, OFF = "enforce", "observe", "off"
MODES = (ENFORCE, OBSERVE, OFF)

CLAIMED, OBSERVED = "claimed", "observed"

READ, WRITE, RUN, COMMIT, PUSH, NETWORK, DEPLOY = "read", "write", "run", "commit", "push", "network", "deploy"
CAPABILITIES = (READ, WRITE, RUN, COMMIT, PUSH, NETWORK, DEPLOY)

REVIEWER = "reviewer"  # The kind of rule that keeps authors from reviewing.

LOG = "log"  # The reader of the output itself.
IN_PROJECT = "project:"  # Before the path of a report that lies below the project.
UNCONFINED = "none"  # The sandbox profile of a run that is not held in anything.

MARKDOWN, JSON, TEXT, DIFF = "markdown", "json", "text", "diff"
FORMATS = (MARKDOWN, JSON, TEXT, DIFF)


class Rule(Record):
    """One check over one artifact. `kind` names a function in `rules`; `params` are its arguments, free of floats."""

    id: str
    kind: str
    artifact: str
    version: int = 1
    mode: str = ENFORCE
    params: Mapping[str, Any] = {}


class Artifact(Record):
    """One file of evidence.

    `schema` is the digest of its JSON Schema object, or empty. `stands_on` lists `phase/artifact` names of earlier
    phases; None stands for all of them. `scaffold` is the text that `enforcer scaffold` writes. With `risks` it is
    required only of a change that touches one of these risk classes.
    """

    name: str
    format: str
    origin: str = CLAIMED
    required: bool = True
    schema: str = ""
    stands_on: tuple[str, ...] | None = None
    scaffold: str = ""
    risks: tuple[str, ...] = ()

    def required_of(self, touched: Collection[str]) -> bool:
        """Whether it is required of a change that touches these risk classes."""
        return self.required and (not self.risks or not set(touched).isdisjoint(self.risks))


class Approval(Record):
    """A demand for approvals: `count` different principals of `by` (anybody, where empty) have to approve.

    With `risks` it is made only of a change that touches one of these risk classes. `signed`: a confirmation without
    a signature does not count.
    """

    count: int = 1
    by: tuple[str, ...] = ()
    risks: tuple[str, ...] = ()
    signed: bool = True

    def asked_of(self, touched: Collection[str]) -> bool:
        """Whether it is made of a change that touches these risk classes."""
        return not self.risks or not set(touched).isdisjoint(self.risks)


class Phase(Record):
    """One step.

    `drift` is the mode of prompt drift in it; `tools` are capabilities beyond reading; `authors`: who holds the task in
    it is an author of what is reviewed. `approvals` are the demands that leaving it has to meet.
    """

    name: str
    artifacts: tuple[Artifact, ...] = ()
    rules: tuple[Rule, ...] = ()
    tools: tuple[str, ...] = ()
    drift: str = OBSERVE
    authors: bool = False
    approvals: tuple[Approval, ...] = ()

    nested: ClassVar[Mapping[str, type[Record]]] = {"artifacts": Artifact, "rules": Rule, "approvals": Approval}

    @property
    def folder(self) -> str:
        """The name of the phase's evidence folder."""
        return self.name.lower()

    @property
    def reviews(self) -> bool:
        """Whether who leaves it must be no author."""
        return any(rule.kind == REVIEWER for rule in self.rules)

    @property
    def observed(self) -> frozenset[str]:
        """The artifacts that Enforcer has to have observed itself."""
        return frozenset(rule.artifact for rule in self.rules if rule.kind == OBSERVED and rule.mode == ENFORCE)

    @property
    def weighs_risks(self) -> bool:
        """Whether what is asked for depends on the risk classes that the change touches."""
        return any(each.risks for each in self.artifacts) or any(each.risks for each in self.approvals)

    def artifact(self, name: str) -> Artifact | None:
        return next((artifact for artifact in self.artifacts if artifact.name == name), None)


class Observation(Record):
    """The command that makes an observed artifact.

    `folder` is its working folder below the project. `{out}` in a word of `argv` stands for the folder that the run
    may write to. `reader` turns `report` (a file in that folder; with `project:` before it, below the project; empty:
    the output) into the artifact. `timeout` is in seconds, `output` in bytes. `environment` names the variables that
    are passed on besides the usual ones, `path` the folders below the project that come first on the search path.
    `sandbox` is the profile it has to run in, and `keep` the ignored folders that may be read there.
    """

    argv: tuple[str, ...]
    folder: str = "."
    reader: str = ""
    report: str = ""
    timeout: int = 1800
    output: int = 64 << 20
    environment: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    sandbox: str = UNCONFINED
    keep: tuple[str, ...] = ()

    def runs_with(self, other: Observation) -> bool:
        """Whether one run serves both: they differ at most in what is read of it."""
        return self.replace(reader="", report="") == other.replace(reader="", report="")


class Process(Record):
    """The whole.

    `pins` fix digests of prompt parts; `personas` narrow the tools; `self_review` waives independence. `risks` maps
    risk classes to patterns of paths, `signers` is an allowed-signers file (ssh-keygen(1)) with the keys that approve,
    and `break_glass` names who may waive rules.
    """

    name: str
    phases: tuple[Phase, ...]
    observe: Mapping[str, Observation] = {}
    personas: Mapping[str, tuple[str, ...]] = {}
    pins: Mapping[str, str] = {}
    self_review: bool = False
    risks: Mapping[str, tuple[str, ...]] = {}
    signers: str = ""
    break_glass: tuple[str, ...] = ()

    nested: ClassVar[Mapping[str, type[Record]]] = {"phases": Phase}
    nested_maps: ClassVar[Mapping[str, type[Record]]] = {"observe": Observation}

    @property
    def order(self) -> tuple[str, ...]:
        return tuple(phase.name for phase in self.phases)

    def has(self, name: str) -> bool:
        return any(phase.name == name for phase in self.phases)

    def phase(self, name: str) -> Phase:
        """The phase of that name. Raises `KeyError` when the process has none."""
        for phase in self.phases:
            if phase.name == name:
                return phase
        raise KeyError(name)

    def index(self, name: str) -> int:
        return self.order.index(name)

    @property
    def authoring(self) -> tuple[str, ...]:
        """The phases whose holders are authors: those that say so, else IMPLEMENT, else all that may write and review
        nothing."""
        named = tuple(phase.name for phase in self.phases if phase.authors)
        if named or self.has(AUTHORING[0]):
            return named or AUTHORING
        return tuple(phase.name for phase in self.phases if WRITE in phase.tools and not phase.reviews)

    @property
    def unobservable(self) -> tuple[str, ...]:
        """The artifacts that have to be observed, and for which no command is named."""
        wanted = (
            rule.artifact
            for phase in self.phases
            for rule in phase.rules
            if rule.kind == OBSERVED and rule.mode == ENFORCE and rule.artifact not in self.observe
        )
        return tuple(dict.fromkeys(wanted))

    @property
    def approves(self) -> bool:
        """Whether it asks for approvals anywhere."""
        return any(phase.approvals for phase in self.phases)

    def following(self, name: str) -> str | None:
        """The phase after `name`; None after the last."""
        found = False
        for phase in self.phases:
            if found:
                return phase.name
            found = phase.name == name
        if not found:
            raise ValueError(f"the process has no phase {name}")
        return None

    def earlier(self, name: str) -> tuple[Phase, ...]:
        return self.phases[: self.index(name)]

    def foundations(self, phase: Phase, artifact: Artifact) -> frozenset[str]:
        """The `phase/artifact` names that an artifact stands on, directly or through others."""
        if artifact.stands_on is None:
            return frozenset(
                f"{before.name}/{below.name}" for before in self.earlier(phase.name) for below in before.artifacts
            )
        found: set[str] = set()
        for name in artifact.stands_on:
            below_phase, _, below_name = name.partition("/")
            below = self.phase(below_phase).artifact(below_name)
            found.add(name)
            if below is not None:
                found |= self.foundations(self.phase(below_phase), below)
        return frozenset(found)

    def standing_on(self, phase: Phase) -> frozenset[str]:
        """The `phase/artifact` names that any artifact of the phase stands on."""
        found: frozenset[str] = frozenset()
        for artifact in phase.artifacts:
            found |= self.foundations(phase, artifact)
        return found

    def fallen_with(self, name: str) -> tuple[str, ...]:
        """The `phase/artifact` names, in order, that stand on `name`."""
        return tuple(
            f"{phase.name}/{artifact.name}"
            for phase, artifact in self.artifacts()
            if name in self.foundations(phase, artifact)
        )

    def artifacts(self) -> Iterator[tuple[Phase, Artifact]]:
        for phase in self.phases:
            for artifact in phase.artifacts:
                yield phase, artifact
