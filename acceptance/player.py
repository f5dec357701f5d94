"""Plays random sequences of commands against the real library and the model at once, and compares after each step.

A script is a list of steps, and a step a flat tuple of words, so that a failing script can be shrunk, printed, stored
and played again. Steps speak of "here" rather than of a phase where they can: what is left of a script still leads
somewhere after steps were taken out.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from acceptance.doubles import ManualClock, QuickDisk
from acceptance.model import PHASES, Answer, Task
from acceptance.world import BAD, GOOD, World

ACTORS = ("ada", "bob", "ada/second")
TASKS = ("T", "U")
PROMPTS = ("agreed", "changed")
PAUSES = ("1", "61", "150", "301")
TITLES = ("Keep the last field", "Drop the last field")

Step = tuple[str, ...]
Script = list[Step]

# Relative frequencies: enough honest work to get far, enough of the rest to get into trouble there.
WEIGHTS = {
    "work": 60,
    "write": 16,
    "spoil": 8,
    "remove": 6,
    "tamper": 6,
    "mend": 10,
    "restore": 4,
    "advance": 20,
    "jump": 16,
    "backtrack": 14,
    "abandon": 1,
    "claim": 10,
    "renew": 6,
    "release": 10,
    "force": 4,
    "attest": 20,
    "accept": 6,
    "pause": 16,
    "restart": 8,
    "open": 4,
    "insist": 3,
    "press": 3,
}


class Disagreement(AssertionError):
    """The gate and the model answered differently, or a history does not hold."""


def random_script(chance: random.Random, length: int) -> Script:
    kinds = chance.choices(list(WEIGHTS), list(WEIGHTS.values()), k=length)
    return [complete(kind, chance.choice) for kind in kinds]


def complete(kind: str, choice: Any) -> Step:
    """A step of a kind with its arguments drawn by `choice`, which takes a sequence and returns one of its members."""
    # The first worker does most of the work, on the first task; otherwise contention would leave nothing to look at.
    task, actor = choice((*TASKS[:1] * 3, *TASKS)), choice((*ACTORS[:1] * 6, *ACTORS))
    if kind in ("jump", "backtrack"):
        return kind, task, actor, choice(PHASES)
    if kind == "tamper":
        return kind, task, choice(PHASES)
    if kind == "attest":
        return kind, task, actor, choice((*PROMPTS[:1] * 3, *PROMPTS)), choice((*PROMPTS[:1] * 3, *PROMPTS, ""))
    if kind == "pause":
        return kind, choice(PAUSES)
    if kind == "open":
        return kind, task, actor, choice(TITLES)
    return kind, task, actor


class Player:
    """One ledger, the workers on it, and the model of each task."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.clock = ManualClock()
        self.models = {name: Task() for name in TASKS}
        self.files: dict[str, dict[str, str]] = {name: {} for name in TASKS}
        self.libraries: dict[str, Any] = {}
        self.recorded: list[tuple[Step, str, Any, Any]] = []
        self.counts: Counter[str] = Counter()
        self.steps = 0

    def play(self, script: Script) -> None:
        """Play all steps, then check what is left behind. Raises `Disagreement`."""
        for name in TASKS:
            self._step(("open", name, ACTORS[0], TITLES[0]))
        for step in script:
            self._step(step)
        self.check_history()

    def check_history(self) -> None:
        """The ledger verifies, replay equals the live state, and repeating any command changes nothing."""
        lines = self.world.lines()
        live = {name: self._handle(name, ACTORS[0]).status() for name in TASKS}
        for step, key, call, first in self.recorded:
            again = call(key)
            if (again.seq, again.hash, _codes(again)) != (first.seq, first.hash, _codes(first)):
                raise Disagreement(f"{step} with the key {key} answered {first} and then {again}")
        if self.world.lines() != lines:
            raise Disagreement("repeating commands with their keys wrote to the ledger")
        self.close()
        self.world.forget_caches()
        replayed = {name: self._handle(name, ACTORS[0]).status() for name in TASKS}
        if replayed != live:
            raise Disagreement(f"replay gives {replayed}, and the live state is {live}")
        report = self._library(ACTORS[0]).verify()
        if report.verdict != "verified":
            raise Disagreement(f"the ledger does not verify: {report}")

    def close(self) -> None:
        for library in self.libraries.values():
            library.close()
        self.libraries.clear()

    def _step(self, step: Step) -> None:
        self.steps += 1
        kind, *args = step
        getattr(self, f"_{kind}")(step, *args)
        for name in TASKS:
            if self.models[name].title is not None:
                self._compare_state(step, name)

    # Steps that ask nothing of the gate

    def _write(self, _step: Step, task: str, _actor: str) -> None:
        self._put(task, self.models[task].phase, "good")

    def _remove(self, _step: Step, task: str, _actor: str) -> None:
        self._put(task, self.models[task].phase, None)

    def _tamper(self, _step: Step, task: str, phase: str) -> None:
        self._put(task, phase, f"good {self.steps}")

    def _mend(self, _step: Step, task: str, _actor: str) -> None:
        """A worker puts accepted files back by hand."""
        for phase, content in self.models[task].accepted.items():
            self._put(task, phase, content)

    def _pause(self, _step: Step, seconds: str) -> None:
        self.clock.passing(int(seconds))
        for model in self.models.values():
            model.left -= int(seconds)

    def _restart(self, _step: Step, _task: str, actor: str) -> None:
        if actor in self.libraries:
            self.libraries.pop(actor).close()

    # Steps that the gate answers

    def _open(self, step: Step, task: str, actor: str, title: str) -> None:
        expected = self.models[task].open(actor, title)
        self._answer(step, expected, lambda key: self._library(actor).submit_open(task, title=title, key=key))

    def _work(self, step: Step, task: str, actor: str) -> None:
        """Evidence that holds up for the phase, and on to the next one."""
        self._put(task, self.models[task].phase, "good")
        self._advance(step, task, actor)

    def _advance(self, step: Step, task: str, actor: str) -> None:
        expected = self.models[task].advance(actor, self.files[task])
        self._answer(step, expected, lambda key: self._handle(task, actor).advance(key=key))

    def _jump(self, step: Step, task: str, actor: str, to: str) -> None:
        expected = self.models[task].advance(actor, self.files[task], to)
        self._answer(step, expected, lambda key: self._handle(task, actor).advance(to=to, key=key))

    def _insist(self, step: Step, task: str, actor: str) -> None:
        """The same refused command over and over, far enough for the gate to coalesce."""
        for _ in range(12):
            self._jump(step, task, actor, PHASES[-1])

    def _spoil(self, step: Step, task: str, actor: str) -> None:
        """Evidence that does not hold up, handed in all the same."""
        self._put(task, self.models[task].phase, "bad")
        self._advance(step, task, actor)

    def _press(self, step: Step, task: str, actor: str) -> None:
        """The same with the phase's evidence taken away: these refusals come after the lease was claimed or renewed."""
        self._put(task, self.models[task].phase, None)
        for _ in range(12):
            self._advance(step, task, actor)

    def _backtrack(self, step: Step, task: str, actor: str, to: str) -> None:
        expected = self.models[task].backtrack(actor, to)
        self._answer(
            step, expected, lambda key: self._handle(task, actor).backtrack(to, "Something was missed", key=key)
        )

    def _abandon(self, step: Step, task: str, actor: str) -> None:
        expected = self.models[task].abandon(actor)
        self._answer(step, expected, lambda key: self._handle(task, actor).abandon("Not needed any more", key=key))

    def _claim(self, step: Step, task: str, actor: str) -> None:
        expected = self.models[task].claim(actor)
        self._answer(step, expected, lambda key: self._handle(task, actor).claim(key=key))

    def _renew(self, step: Step, task: str, actor: str) -> None:
        expected = self.models[task].renew(actor)
        self._answer(step, expected, lambda _key: self._handle(task, actor).renew(), keyed=False)

    def _release(self, step: Step, task: str, actor: str) -> None:
        expected = self.models[task].release(actor)
        self._answer(step, expected, lambda key: self._handle(task, actor).release(key=key))

    def _force(self, step: Step, task: str, actor: str) -> None:
        expected = self.models[task].release(actor, force=True)
        self._answer(
            step,
            expected,
            lambda key: self._handle(task, actor).release(force=True, reason="Its host is gone", key=key),
        )

    def _attest(self, step: Step, task: str, actor: str, header: str, role: str) -> None:
        """A prompt is presented; a part without a text is kept back."""
        parts = {part: text for part, text in (("header", header), ("role", role)) if text}
        expected = self.models[task].attest(actor, parts)
        self._answer(step, expected, lambda key: self._handle(task, actor).attest(parts, key=key))

    def _accept(self, step: Step, task: str, actor: str) -> None:
        """Somebody who is no worker here accepts what the worker showed in this phase, if it showed anything."""
        model = self.models[task]
        who = actor.partition("/")[0]
        if (who, model.phase) not in model.shown:
            return
        phase, expected = model.phase, model.accept_baseline(who)
        accept = {"reason": "Agreed upon", "approver": "olga", "principal": who}
        self._answer(step, expected, lambda key: self._handle(task, "olga").accept_baseline(phase, **accept, key=key))

    def _restore(self, step: Step, task: str, actor: str) -> None:
        """The gate puts accepted files back, whoever asks."""
        differing = any(self.files[task].get(phase) != what for phase, what in self.models[task].accepted.items())
        expected = Answer("accepted") if differing else self.models[task].still(actor)
        self._answer(step, expected, lambda key: self._handle(task, actor).restore(key=key))
        self.files[task] |= self.models[task].accepted

    # Comparing

    def _answer(self, step: Step, expected: Answer, call: Any, *, keyed: bool = True) -> None:
        key = f"k-{self.steps}-{len(self.recorded)}"
        outcome = call(key)
        real = _verdict(outcome)
        self.counts[expected.verdict] += 1
        self.counts.update(expected.codes)
        if real != expected:
            raise Disagreement(f"{step}: the model says {_words(expected)}, and the gate {_words(real)}")
        if keyed and outcome.event is not None and not outcome.coalesced:
            self.recorded.append((step, key, call, outcome))

    def _compare_state(self, step: Step, name: str) -> None:
        model = self.models[name]
        status = self._handle(name, ACTORS[0]).status()
        live = status.lease.holder if status.lease and status.lease.remaining_us > 0 else None
        real = (status.state, status.phase, status.attempt, live)
        expected = (model.state, model.phase, model.attempts[model.phase], model.holder)
        if real != expected:
            raise Disagreement(f"after {step} the model says {expected} of {name}, and the gate {real}")
        accepted = {one["phase"] for one in status.accepted}
        if accepted != set(model.accepted):
            raise Disagreement(f"after {step} the model accepts {set(model.accepted)}, and the gate {accepted}")

    def _handle(self, task: str, actor: str) -> Any:
        return self._library(actor).task(task)

    def _library(self, actor: str) -> Any:
        if actor not in self.libraries:
            self.libraries[actor] = self.world.library(actor, clock=self.clock, disk=QuickDisk())
        return self.libraries[actor]

    def _put(self, task: str, phase: str, content: str | None) -> None:
        if content is None:
            self.files[task].pop(phase, None)
            self.world.evidence(task, phase).unlink(missing_ok=True)
        else:
            self.files[task][phase] = content
            self.world.write(task, phase, (BAD if content.startswith("bad") else GOOD) + f"\n{content}\n")


def shrink(script: Script, fails: Any) -> Script:
    """The script with every step taken out that the failure does not need."""
    size = max(1, len(script) // 2)
    while size:
        at = 0
        while at < len(script):
            shorter = script[:at] + script[at + size :]
            if fails(shorter):
                script = shorter
            else:
                at += size
        size //= 2
    return script


def _verdict(outcome: Any) -> Answer:
    if not outcome:
        return Answer("refused", frozenset(_codes(outcome)))
    return Answer("accepted" if outcome.event is not None else "no-op")


def _codes(outcome: Any) -> set[str]:
    return {refusal.code for refusal in outcome.refusals}


def _words(answer: Answer) -> str:
    return " ".join((answer.verdict, *sorted(answer.codes)))
