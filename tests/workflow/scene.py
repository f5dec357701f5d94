"""A task played in memory: commands are decided and their events folded, with honest facts unless told otherwise."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from enforcer.ledger.codec import canonical
from enforcer.workflow.approving import REVIEWER_DECLARED, given_evidence
from enforcer.workflow.commands import (
    Abandon,
    Advance,
    Attest,
    Backtrack,
    ClaimLease,
    Command,
    Open,
    ReleaseLease,
    Run,
    UseTool,
    Vouch,
)
from enforcer.workflow.decide import EVIDENCE_NEEDED, EvidenceNeeded, coalesces, decide
from enforcer.workflow.events import PREFIX, Event, Made, Refusal, parse
from enforcer.workflow.evolve import Place, evolve
from enforcer.workflow.facts import EvidenceFacts, Facts, FileFact, LeaseFacts, Verdict
from enforcer.workflow.legality import legality
from enforcer.workflow.process import OBSERVED, Artifact, Phase, Process, Rule
from enforcer.workflow.rules.across import check_observed
from enforcer.workflow.rules.subject import GitFacts, Seen, Subject, Surroundings
from enforcer.workflow.running import origin
from enforcer.workflow.state import TaskState
from enforcer.workflow.structure import structure

PHASES = ("STRATEGIZE", "SPEC", "PLAN", "THINK", "IMPLEMENT", "VERIFY", "REVIEW", "PR", "MONITOR")
STRICT = ("VERIFY", "REVIEW", "MONITOR")
TOOLS: Mapping[str, tuple[str, ...]] = {
    "IMPLEMENT": ("write", "run", "commit"),
    "VERIFY": ("run",),
    "PR": ("commit", "push", "network"),
    "MONITOR": ("run", "network", "deploy"),
}

TASK = "T"
ADA, BOB, CARL = "ada", "bob", "carl"
SECOND = 1_000_000
MINUTE = 60 * SECOND
START = 1_750_000_000 * SECOND
TTL = 300 * SECOND


def phase(name: str, **changes: Any) -> Phase:
    """A phase with one artifact, `note.md`, under one rule."""
    usual: dict[str, Any] = {
        "artifacts": (Artifact("note.md", "markdown"),),
        "rules": (Rule(f"{name.lower()}-note", "sections", "note.md"),),
        "tools": TOOLS.get(name, ()),
        "drift": "enforce" if name in STRICT else "observe",
    }
    return Phase(name, **(usual | changes))


def process(**changes: Any) -> Process:
    """Nine phases that differ in tools and drift rule only."""
    usual: dict[str, Any] = {"name": "plain", "phases": tuple(phase(name) for name in PHASES)}
    return Process(**(usual | changes))


def digest_of(value: object) -> str:
    return sha256(str(value).encode()).hexdigest()


def digest(of: Process) -> str:
    return sha256(canonical(of.pack())).hexdigest()


class Scene:
    """One task and its workers. Time stands still until `wait`; leases live for 300 seconds."""

    def __init__(self, governing: Process | None = None, *, auto: bool = True, opened: bool = True) -> None:
        self.process = governing or process()
        self.processes = {digest(self.process): self.process}
        self.now = START
        self.auto = auto
        self.state: TaskState | None = None
        self.events: list[Event] = []
        self.attempts: set[str] = set()
        self.expiry = 0
        self.coalesced = 0
        self.files: dict[str, str] = {}
        self.tree = ""
        self.said = 0
        if opened:
            first, authoring = self.process.order[0], self.process.authoring
            opening = Open(process="plain", digest=digest(self.process), phase=first, title="A change")
            self.do(opening.replace(authoring=authoring))

    # Acting

    def do(self, command: Command, actor: str = ADA, *, key: str = "", **known: Any) -> Event | EvidenceNeeded | None:
        """Decide a command and fold its event. Every event must be one that a verifier finds nothing wrong with."""
        decision = self.ask(command, actor, **known)
        if isinstance(decision, Event):
            if self.state is not None and coalesces(self.state, decision, self.now):
                self.coalesced += 1
            else:
                self.append(decision, key=key)
        return decision

    def ask(self, command: Command, actor: str = ADA, **known: Any) -> Event | EvidenceNeeded | None:
        """Decide a command, reading evidence where the decision asks for it."""
        facts = self.facts(command, actor, **known)
        decision = decide(self.state, command, facts, self.governing)
        if decision is EVIDENCE_NEEDED and facts.evidence is None:
            decision = decide(self.state, command, facts.replace(evidence=self.evidence()), self.governing)
        return decision

    def append(self, event: Event, *, key: str = "") -> None:
        faults = list(structure(self.state, event))
        faults += legality(self.state, event, self.governing_for(event), ts=self.now, attempts=self.attempts)
        assert faults == [], (event, faults)
        self.fold(event, key=key)

    def fold(self, event: Event, *, key: str = "") -> None:
        """The event as it comes back from the ledger, and the state as it comes back from a snapshot."""
        again = parse(PREFIX + event.type, through_json(event.pack()))
        assert again == event
        seq = len(self.events)
        place = Place(TASK, seq, seq + 1, digest_of(seq), self.now, key or f".{seq}")
        after = evolve(self.state, again, place)
        self.state = TaskState.unpack(through_json(after.pack()))
        assert self.state == after
        self.events.append(event)
        self.attempts.add(after.attempt_id)
        lease = getattr(event, "lease", None)
        if lease is not None or event.type in ("lease.claimed", "lease.taken_over"):
            self.expiry = self.now + TTL

    def wait(self, microseconds: int) -> Scene:
        self.now += microseconds
        return self

    # Facts

    @property
    def task(self) -> TaskState:
        assert self.state is not None
        return self.state

    @property
    def governing(self) -> Process | None:
        return None if self.state is None else self.processes[self.state.digest]

    def governing_for(self, event: Event) -> Process | None:
        return self.governing or self.processes.get(getattr(event, "digest", ""))

    def facts(self, command: Command, actor: str, **known: Any) -> Facts:
        live = self.state is not None and self.state.lease is not None and self.now < self.expiry
        mine = live and self.state is not None and self.state.lease is not None and self.state.lease.holder == actor
        lease = LeaseFacts(
            live=live,
            remaining_us=self.expiry - self.now if live else 0,
            began_with=known.pop("began_with", self.task.token if mine else None),
            auto=self.auto,
        )
        usual: dict[str, Any] = {
            "actor": actor,
            "now": self.now,
            "request": digest_of(canonical(command.request())),
            "fresh_id": digest_of(("attempt", len(self.events)))[:32],
            "lease": lease,
        }
        return Facts(**(usual | known))

    def evidence(self, **changes: Any) -> EvidenceFacts:
        """What an honest judge finds: the phase's note, good, and every accepted note as it was accepted.

        What has to be observed holds if a run of what is there and on the files as they are was recorded.
        """
        here = self.here
        content = digest_of(self.content)
        usual: dict[str, Any] = {
            "attempt_id": self.task.attempt_id,
            "process": self.task.digest,
            "files": tuple(
                FileFact(one.name, content, 100, origin(self.task, one.name, content)) for one in here.artifacts
            ),
            "verdicts": tuple(Verdict(rule.id, rule.artifact, rule.mode, self._seen(rule)) for rule in here.rules),
            "labels": (REVIEWER_DECLARED,) if here.reviews else (),
            "tree": self.tree,
            "working": self.tree,
            "standing": {name: one.digest for name, one in self.task.accepted_files().items()},
        }
        return EvidenceFacts(**(usual | changes))

    @property
    def here(self) -> Phase:
        assert self.governing is not None
        return self.governing.phase(self.task.phase)

    @property
    def content(self) -> str:
        """What stands in the files of the phase."""
        return self.files.get(self.task.phase, self.task.phase)

    def _seen(self, rule: Rule) -> tuple[Refusal, ...]:
        """What the rule that wants an observation says of what is there."""
        run = self.task.runs.get(f"{self.task.phase}/{rule.artifact}")
        if rule.kind != OBSERVED:
            return ()
        seen = Seen(**{name: getattr(run, name) for name in Seen.fields if name != "differing"}) if run else None
        around = Surroundings(
            attempt_id=self.task.attempt_id,
            actor="",
            git=GitFacts(tree=self.tree),
            runs={rule.artifact: seen} if seen else {},
        )
        found = check_observed(Subject(rule.artifact, "text", self.content.encode()), around, {})
        return tuple(Refusal(one.code, one.message, self.task.phase, rule.artifact, one.fix) for one in found)

    # Shorthand

    def at(self, name: str, actor: str = ADA, **prompt: str) -> Scene:
        """Walk honestly to a phase, with the same prompt in each, if one is given."""
        while self.task.phase != name:
            if prompt:
                done(self.attest(actor, **prompt))
            done(self.advance(actor))
        return self

    def advance(self, actor: str = ADA, to: str | None = None, **known: Any) -> Event | EvidenceNeeded | None:
        return self.do(Advance(to), actor, **known)

    def backtrack(self, to: str, actor: str = ADA, **known: Any) -> Event | EvidenceNeeded | None:
        return self.do(Backtrack(to, "A case is missing"), actor, **known)

    def abandon(self, actor: str = ADA, **known: Any) -> Event | EvidenceNeeded | None:
        return self.do(Abandon("Not needed any more"), actor, **known)

    def claim(self, actor: str = ADA, **known: Any) -> Event | EvidenceNeeded | None:
        return self.do(ClaimLease(), actor, **known)

    def release(self, actor: str = ADA, **known: Any) -> Event | EvidenceNeeded | None:
        return self.do(ReleaseLease(), actor, **known)

    def attest(self, actor: str = ADA, **parts: str) -> Event | EvidenceNeeded | None:
        return self.do(Attest({part: digest_of(text) for part, text in parts.items()}), actor)

    def run(self, actor: str = ADA, *, artifacts: tuple[str, ...] = ("note.md",), **seen: Any) -> Any:
        """Let Enforcer run what the process names: it makes what stands in the files, on the files as they are."""
        usual: dict[str, Any] = {
            "attempt_id": self.task.attempt_id,
            "process": self.task.digest,
            "observation": digest_of("observation"),
            "configured": True,
            "made": tuple(Made(name, digest_of(self.content), 100, "log") for name in artifacts),
            "tree": self.tree,
        }
        return self.do(Run(**(usual | seen)), actor)

    def word(self, who: str, kind: str = "approve", **changes: Any) -> Vouch:
        """What `who` says, signed, of exactly what is there; it counts for an hour."""
        self.said += 1
        about = kind in ("approve", "reject") and "process" not in changes
        digests = {one.name: digest_of(self.content) for one in self.here.artifacts}
        usual: dict[str, Any] = {
            "kind": kind,
            "phase": self.task.phase,
            "attempt_id": self.task.attempt_id,
            "principal": who,
            "nonce": digest_of(("nonce", self.said))[:32],
            "expires": self.now + 60 * MINUTE,
            "under": self.task.digest,
            "statement": digest_of("statement"),
            "signature": digest_of("signature"),
            "fingerprint": "SHA256:key",
            "evidence": given_evidence(self.task.phase, digests) if about else {},
            "tree": self.tree if about else "",
            "reason": "" if kind == "approve" else "Because",
        }
        return Vouch(**(usual | changes))

    def say(self, who: str, kind: str = "approve", **changes: Any) -> Any:
        return self.do(self.word(who, kind, **changes), who)

    def declare(self, who: str, kind: str = "approve", **changes: Any) -> Any:
        """The same without a signature."""
        return self.say(who, kind, **{"statement": "", "signature": "", "fingerprint": "", **changes})

    def tool(self, *needs: str, actor: str = ADA, **given: Any) -> Event | EvidenceNeeded | None:
        return self.do(UseTool(tool="Tool", needs=needs, **given), actor)


def adopting(new: Process) -> dict[str, Any]:
    return {"process": new.name, "digest": digest(new), "phases": new.order, "authoring": new.authoring}


def codes(decision: object) -> list[str]:
    """The codes of a "no", in order; empty for everything else."""
    return [one.code for one in decision.refused] if isinstance(decision, Event) else []


def refused(decision: object) -> Any:
    assert isinstance(decision, Event), decision
    assert decision.refused, decision
    return decision


def done(decision: object) -> Any:
    """The event of a command that was carried out."""
    assert isinstance(decision, Event), decision
    assert not decision.refused, codes(decision)
    return decision


def bad(code: str = "evidence_invalid", mode: str = "enforce", artifact: str = "note.md") -> Verdict:
    return Verdict("note", artifact, mode, (Refusal(code, f"{artifact} says nothing.", "", artifact, "Write it."),))


def through_json(packed: dict[str, Any]) -> Any:
    """As it would come back from disk: in canonical form, with sorted keys."""
    return json.loads(canonical(packed))
