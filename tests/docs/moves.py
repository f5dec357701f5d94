"""`docs/moves.md`: what the gate answers to every pair of phases, by asking `decide` about each of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from enforcer import policies
from enforcer.workflow.commands import Advance, Backtrack, Command
from enforcer.workflow.process import LOG, OBSERVED, Observation, Process
from tests.sources import ROOT
from tests.workflow.scene import ADA, BOB, Scene, codes, done

PAGE = """\
# Moves

A task stands in one phase of its process. Two commands move it: `enforcer advance` by one phase forward, once the
evidence of the phase that it leaves was accepted, and `enforcer backtrack` to any earlier phase, with a reason,
whatever the state of the phase that it leaves. Leaving {last} completes the task.

The tables below are for the process `{name}`. Each row is the phase that a task stands in, each column the phase that
it is told to go to, and each cell what is answered when nothing else stands in the way:

| cell | answer |
|---|---|
| **moves** | the task moves, and the entry is on the ledger |
| same | it is there already: exit status 0, and no entry |
| skip | refused as `phase_skip`, on the record |
| direction | refused as `phase_direction`, on the record |

A skip and a wrong direction are refused before anything else is looked at: no evidence is read and no lease is claimed.

## advance

Of the {pairs} pairs, {advance}.

{advance_table}

## backtrack

Of the {pairs} pairs, {backtrack}.

{backtrack_table}

The phase that a task goes back to and every later one begin new attempts when they are entered: what was accepted there
no longer counts, and has to be earned again.
"""

WORDS = {"moves": "**moves**", "same": "same", "phase_skip": "skip", "phase_direction": "direction"}
TOLD = {
    "moves": "{} move the task",
    "same": "{} change nothing",
    "phase_skip": "{} are skips",
    "phase_direction": "{} go in the wrong direction",
}


def render() -> str:
    """The page for the process that tasks follow by default."""
    process = policies.load("default", root=str(ROOT)).process
    # A project names the commands that make what is to be observed; which they are changes no move.
    process = process.replace(observe={name: Observation(("check",), reader=LOG) for name in process.unobservable})
    advance = answers(process, Advance)
    backtrack = answers(process, lambda to: Backtrack(to, "A case is missing"))
    return PAGE.format(
        name=process.name,
        last=process.order[-1],
        pairs=len(advance),
        advance=_counted(advance),
        backtrack=_counted(backtrack),
        advance_table=_table(process, advance),
        backtrack_table=_table(process, backtrack),
    )


def answers(process: Process, command: Callable[[str], Command]) -> dict[tuple[str, str], str]:
    """What is answered to each pair of phases, for a task that really walked to the first one."""
    told = {}
    for start in process.order:
        scene, actor = _walked(process, start)
        for to in process.order:
            decision = scene.ask(command(to), actor)
            told[start, to] = "same" if decision is None else (codes(decision) or ["moves"])[0]
    return told


def _walked(process: Process, start: str) -> tuple[Scene, str]:
    """A task that stands in `start` with its evidence, and its holder: nobody reviews what they wrote."""
    scene = Scene(process)
    scene.tree = "7" * 40
    if process.index(start) < process.index("REVIEW"):
        return _to(start, scene, ADA), ADA
    _to("REVIEW", scene, ADA).release(ADA)
    return _to(start, scene, BOB), BOB


def _to(start: str, scene: Scene, actor: str) -> Scene:
    """On to a phase. What has to be observed in one is run there."""
    while True:
        observed = tuple(rule.artifact for rule in scene.here.rules if rule.kind == OBSERVED)
        if observed and not scene.task.runs:
            done(scene.run(actor, artifacts=observed))
        if scene.task.phase == start:
            return scene
        done(scene.advance(actor))


def _table(process: Process, answers: dict[tuple[str, str], str]) -> str:
    lines = ["| from \\ to | " + " | ".join(process.order) + " |", "|---" * (len(process.order) + 1) + "|"]
    for start in process.order:
        lines.append(f"| {start} | " + " | ".join(WORDS[answers[start, to]] for to in process.order) + " |")
    return "\n".join(lines)


def _counted(answers: dict[tuple[str, str], str]) -> str:
    counted = Counter(answers.values())
    parts = [TOLD[answer].format(counted[answer]) for answer in WORDS if counted[answer]]
    return f"{', '.join(parts[:-1])} and {parts[-1]}"
