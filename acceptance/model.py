"""What the gate must answer, written down a second time and in the plainest way, to hold the real one against it.

It imports nothing of the package and reads no files: it is told what the evidence folder holds, one content a phase
(`good…` holds up, `bad…` does not, none is missing). A refusal carries the codes of the first stage that failed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

PHASES = ("STRATEGIZE", "SPEC", "PLAN", "THINK", "IMPLEMENT", "VERIFY", "REVIEW", "PR", "MONITOR")
STRICT, PARTS = ("VERIFY", "REVIEW", "MONITOR"), ("header", "role")  # where prompt drift refuses, and of which parts
TTL = 300  # seconds


@dataclass(frozen=True)
class Answer:
    verdict: str
    codes: frozenset[str] = frozenset()


YES, NOTHING = Answer("accepted"), Answer("no-op")


def no(*codes: str) -> Answer:
    return Answer("refused", frozenset(codes))


@dataclass
class Task:
    title: str | None = None  # None until it is opened
    state: str = ""
    phase: str = ""
    attempts: dict[str, int] = field(default_factory=dict)
    owner: str | None = None
    left: float = 0.0  # seconds until the lease expires
    accepted: dict[str, str] = field(default_factory=dict)
    shown: dict[tuple[str, str], tuple[int, Mapping[str, str]]] = field(default_factory=dict)
    baselines: dict[tuple[str, ...], str] = field(default_factory=dict)

    @property
    def holder(self) -> str | None:
        return self.owner if self.left > 0 else None

    def open(self, actor: str, title: str) -> Answer:
        if self.title is not None:
            return self.still(actor) if title == self.title else no("task_exists")
        self.title, self.state = title, "open"
        return self._enter(PHASES[0])

    def advance(self, actor: str, files: Mapping[str, str], to: str | None = None) -> Answer:
        if self.state != "open":
            return no("task_closed")
        step = 1 if to is None else PHASES.index(to) - PHASES.index(self.phase)
        if step == 0:
            return self.still(actor)
        if step != 1:
            return no("phase_skip" if step > 1 else "phase_direction")
        if reasons := self._lease(actor) or self._prompt(actor) or self._evidence(files):
            return no(*reasons)
        self.accepted[self.phase] = files[self.phase]
        here = PHASES.index(self.phase)
        return self._close("completed") if here == 8 else self._enter(PHASES[here + 1])

    def backtrack(self, actor: str, to: str) -> Answer:
        if self.state == "open" and PHASES.index(to) >= PHASES.index(self.phase):
            return no("phase_direction")
        if reasons := self._lease(actor):
            return no(*reasons)
        self.accepted = {name: what for name, what in self.accepted.items() if name in PHASES[: PHASES.index(to)]}
        return self._enter(to)

    def abandon(self, actor: str) -> Answer:
        return no(*reasons) if (reasons := self._lease(actor)) else self._close("abandoned")

    def claim(self, actor: str) -> Answer:
        answer = NOTHING if self.holder == actor else YES
        return no(*reasons) if (reasons := self._lease(actor)) else answer

    def renew(self, actor: str) -> Answer:
        reasons = {"lease_stale"} if self.state == "open" and self.holder is None else self._lease(actor)
        self.left = self.left if reasons else TTL
        return no(*reasons) if reasons else NOTHING  # the ledger does not hear of a renewal

    def release(self, actor: str, force: bool = False) -> Answer:
        if not force and self.holder not in (None, actor):
            return no("lease_held")
        answer = NOTHING if self.owner is None or (self.owner != actor and not force) else YES
        self.owner = None if answer is YES else self.owner
        return answer

    def attest(self, actor: str, parts: Mapping[str, str]) -> Answer:
        if reasons := self._lease(actor):
            return no(*reasons)
        who = actor.partition("/")[0]
        self.shown[who, self.phase] = self.attempts[self.phase], dict(parts)
        if self._drifts(who) and self.phase in STRICT:
            return no("prompt_drift")
        self.baselines = {self._baseline(who, part): digest for part, digest in parts.items()} | self.baselines
        return YES

    def accept_baseline(self, who: str) -> Answer:  # by the word of somebody who does not hold the lease
        if self.state != "open":
            return no("task_closed")
        before, get = self.baselines, self.shown[who, self.phase][1].get
        now = before | {self._baseline(who, part): get(part, "") for part in PARTS}
        self.baselines = {name: digest for name, digest in now.items() if digest}  # what was kept back has none now
        return NOTHING if self.baselines == before else YES

    def _lease(self, actor: str) -> set[str]:
        if self.state != "open" or self.holder not in (None, actor):
            return {"task_closed" if self.state != "open" else "lease_held"}
        if self.holder is None:
            self.owner, self.left = actor, TTL
        self.still(actor)
        return set()

    def still(self, actor: str) -> Answer:
        """Nothing changes; from the holder even that is a sign of life."""
        self.left = TTL if self.holder == actor and self.left < TTL * 2 / 3 else self.left
        return NOTHING

    def _prompt(self, actor: str) -> set[str]:
        if self.phase not in STRICT or not self.shown:
            return set()
        who = actor.partition("/")[0]
        if self.shown.get((who, self.phase), (0, {}))[0] != self.attempts[self.phase]:
            return {"attestation_missing"}
        return {"prompt_drift"} if self._drifts(who) else set()

    def _drifts(self, who: str) -> bool:
        get = self.shown[who, self.phase][1].get
        return any(self.baselines.get(self._baseline(who, part), get(part)) != get(part) for part in PARTS)

    def _baseline(self, who: str, part: str) -> tuple[str, ...]:
        return (who, self.phase, part) if part == "role" else (who, part)

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
