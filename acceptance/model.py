"""What the gate must answer, written down a second time and in the plainest way, to hold the real one against it.

It imports nothing of the package, keeps no history and reads no files: it is told what the evidence folder holds, one
content a phase (`good…` holds up, `bad…` does not, none is missing), and how much time passes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

PHASES = ("STRATEGIZE", "SPEC", "PLAN", "THINK", "IMPLEMENT", "VERIFY", "REVIEW", "PR", "MONITOR")
STRICT = ("VERIFY", "REVIEW", "MONITOR")  # where prompt drift refuses
TTL = 300  # seconds
WIDE = ("header", "model", "persona")  # parts with one baseline for the whole task


@dataclass(frozen=True)
class Answer:
    """`accepted`: something changed; `no-op`: it was so already; `refused`: with the codes of the first failing stage."""

    verdict: str
    codes: frozenset[str] = frozenset()


YES, NOTHING = Answer("accepted"), Answer("no-op")


def no(*codes: str) -> Answer:
    return Answer("refused", frozenset(codes))


@dataclass
class Task:
    title: str | None = None
    state: str = "unknown"
    phase: str = ""
    attempts: dict[str, int] = field(default_factory=dict)
    owner: str | None = None
    expiry: float = 0.0
    now: float = 0.0
    accepted: dict[str, str] = field(default_factory=dict)
    shown: dict[tuple[str, str], tuple[int, Mapping[str, str]]] = field(default_factory=dict)
    baselines: dict[tuple[str, ...], str] = field(default_factory=dict)

    @property
    def holder(self) -> str | None:
        """Who may act now; None when the lease is free or has expired."""
        return self.owner if self.now < self.expiry else None

    def open(self, title: str) -> Answer:
        if self.title is not None:
            return NOTHING if title == self.title else no("task_exists")
        self.title, self.state = title, "open"
        return self._enter(PHASES[0])

    def advance(self, actor: str, files: Mapping[str, str], to: str | None = None) -> Answer:
        if self.state != "open":
            return no("task_closed")
        here = PHASES.index(self.phase)
        step = 1 if to is None else PHASES.index(to) - here
        if step == 0:
            return NOTHING
        if step != 1:
            return no("phase_skip" if step > 1 else "phase_direction")
        if reasons := self._lease(actor) or self._prompt(actor) or self._evidence(files):
            return no(*reasons)
        self.accepted[self.phase] = files[self.phase]
        return self._close("completed") if self.phase == PHASES[-1] else self._enter(PHASES[here + 1])

    def backtrack(self, actor: str, to: str) -> Answer:
        if self.state == "open" and PHASES.index(to) >= PHASES.index(self.phase):
            return no("phase_direction")
        if reasons := self._lease(actor):
            return no(*reasons)
        self.accepted = {phase: what for phase, what in self.accepted.items() if PHASES.index(phase) < PHASES.index(to)}
        return self._enter(to)

    def abandon(self, actor: str) -> Answer:
        reasons = self._lease(actor)
        return no(*reasons) if reasons else self._close("abandoned")

    def claim(self, actor: str) -> Answer:
        mine = self.holder == actor
        reasons = self._lease(actor)
        return no(*reasons) if reasons else NOTHING if mine else YES

    def renew(self, actor: str) -> Answer:
        stale = self.state == "open" and self.holder is None
        reasons = {"lease_stale"} if stale else self._lease(actor)
        return no(*reasons) if reasons else NOTHING  # the ledger does not hear of a renewal

    def release(self, actor: str, force: bool = False) -> Answer:
        if self.state == "open" and not force and self.holder not in (None, actor):
            return no("lease_held")
        if self.state != "open" or self.owner is None or (self.owner != actor and not force):
            return NOTHING
        self.owner = None
        return YES

    def attest(self, actor: str, parts: Mapping[str, str]) -> Answer:
        if reasons := self._lease(actor):
            return no(*reasons)
        who = actor.partition("/")[0]
        self.shown[who, self.phase] = self.attempts[self.phase], dict(parts)
        if self._drifts(who) and self.phase in STRICT:
            return no("prompt_drift")
        for part, digest in parts.items():
            self.baselines.setdefault(self._baseline(who, part), digest)
        return YES

    def accept_baseline(self, who: str) -> Answer:
        """What `who` showed in this phase becomes the baseline, by the word of somebody who does not hold the lease."""
        if self.state != "open":
            return no("task_closed")
        shown = {self._baseline(who, part): digest for part, digest in self.shown[who, self.phase][1].items()}
        changed = any(self.baselines.get(name) != digest for name, digest in shown.items())
        self.baselines |= shown
        return YES if changed else NOTHING

    def _lease(self, actor: str) -> set[str]:
        if self.state != "open" or self.holder not in (None, actor):
            return {"task_closed" if self.state != "open" else "lease_held"}
        if self.holder is None or self.expiry - self.now < TTL * 2 / 3:
            self.owner, self.expiry = actor, self.now + TTL
        return set()

    def _prompt(self, actor: str) -> set[str]:
        if self.phase not in STRICT or not self.shown:
            return set()
        attempt, _ = self.shown.get((actor.partition("/")[0], self.phase), (0, {}))
        if attempt != self.attempts[self.phase]:
            return {"attestation_missing"}
        return {"prompt_drift"} if self._drifts(actor.partition("/")[0]) else set()

    def _drifts(self, who: str) -> bool:
        parts = self.shown[who, self.phase][1]
        return any(self.baselines.get(self._baseline(who, part), digest) != digest for part, digest in parts.items())

    def _baseline(self, who: str, part: str) -> tuple[str, ...]:
        return (who, part) if part in WIDE else (who, self.phase, part)

    def _evidence(self, files: Mapping[str, str]) -> set[str]:
        mine = files.get(self.phase)
        own = {"evidence_missing"} if mine is None else {"evidence_invalid"} if mine.startswith("bad") else set()
        return own | {"upstream_changed" for phase, what in self.accepted.items() if files.get(phase) != what}

    def _enter(self, phase: str) -> Answer:
        self.phase = phase
        self.attempts[phase] = self.attempts.get(phase, 0) + 1
        return YES

    def _close(self, state: str) -> Answer:
        self.state, self.owner = state, None
        return YES
