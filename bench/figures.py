"""The figures, one function each. Every timed operation is checked to have succeeded and to be on the ledger."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

from bench import growth, verification
from bench.group_commit import group_commit
from bench.sample import Figure, percentile
from bench.world import World, document
from enforcer.ledger.entry import format_event
from enforcer.task import Task
from enforcer.workflow.events import LeaseClaimed

TIMES = 1000
SEALS = 250
GIT_TIMES = 50
PROCESS_TIMES = 21
WARM = 20


def figures(world: World) -> Iterator[Figure]:
    """All of them, in the order of their cost."""
    yield append(world)
    yield from leases(world)
    yield attestation(world)
    yield checkpoint(world)
    yield document_phase(world, "advance, three documents judged before", 3.0, fresh=False)
    yield document_phase(world, "advance, three new documents", 20.0, fresh=True)
    yield implement(world)
    yield status(world)
    yield group_commit(world.folder)
    yield from growth.figures(world.folder)
    yield from verification.figures(world.folder)


def append(world: World) -> Figure:
    """A durable append without a decision: lock, catch up, one write, sync."""
    figure = Figure("durable append", 1.4)
    ledger = world.enforcer.ledger
    world.enforcer.open_task("APPEND")
    for number in range(TIMES + WARM):
        token = number + 1
        event = LeaseClaimed(actor="bench", request="0" * 64, holder="bench", token=token)
        key = f".{number:032x}"
        data = format_event(event, task="APPEND", key=key, source=ledger.identity.origin)

        def once() -> int:
            with ledger.writing():
                place = ledger.append(event, data, task="APPEND", key=key)  # noqa: B023 - called at once
            ledger.sync()
            return place.seq

        seq = figure.time(once)
        world.bare_write(figure, len(next(ledger.leaves(seq))) + 1)
    return _settled(figure)


def leases(world: World) -> Iterator[Figure]:
    """Claim and release in turn."""
    claimed, released = Figure("lease claim", 2.0), Figure("lease release", 2.0)
    task = world.enforcer.open_task("LEASE")
    for _ in range(TIMES + WARM):
        outcome = claimed.time(task.claim)
        world.bare_write(claimed, world.line_size(outcome))
        outcome = released.time(task.release)
        world.bare_write(released, world.line_size(outcome))
    yield _settled(claimed)
    yield _settled(released)


def checkpoint(world: World) -> Figure:
    """A signed head of the ledger after one more entry, kept by the signer and beside the ledger."""
    figure = Figure("checkpoint", 12.0)
    task = world.enforcer.open_task("SEAL")
    for _ in range(SEALS + WARM):
        outcome = task.claim()
        task.release()
        sealed = figure.time(world.enforcer.sealer.seal)
        assert sealed.size > outcome.seq
        world.bare_write(figure, len(sealed.note))
    return _settled(figure, SEALS)


def attestation(world: World) -> Figure:
    """A prompt of 8 KB in three parts, under a held lease."""
    figure = Figure("attestation", 2.0)
    task = world.enforcer.open_task("ATTEST")
    task.claim().require()
    header = "You work under the gate. " * 300
    for number in range(TIMES + WARM):
        parts = {"header": header, "role": "implementer", "volatile": str(number)}
        outcome = figure.time(lambda: task.attest(parts))  # noqa: B023 - called at once
        world.bare_write(figure, world.line_size(outcome))
    return _settled(figure)


def document_phase(world: World, name: str, limit: float, *, fresh: bool) -> Figure:
    """Leave a phase on three documents of under 2 KB, standing on three more of the phase before."""
    figure = Figure(name, limit)
    process = world.process(("FIRST", "SECOND", "THIRD"), artifacts=3)
    task = world.enforcer.open_task(f"DOCUMENTS-{fresh}", process=process)
    _documents(world, task, "FIRST", "0")
    _documents(world, task, "SECOND", "0")
    task.claim().require()
    task.advance().require()
    for number in range(TIMES + WARM):
        if fresh:
            _documents(world, task, "SECOND", str(number + 1))
        outcome = figure.time(task.advance)
        world.bare_write(figure, world.line_size(outcome))
        task.backtrack("SECOND", "measure it again").require()
    return _settled(figure)


def implement(world: World) -> Figure:
    """Leave IMPLEMENT under the default process's rules: git is asked what changed, and takes most of the time."""
    figure = Figure("advance in IMPLEMENT", None)
    world.git("init", "-q")
    process = _implement_process(world)
    for number in range(200):
        (world.project / f"module_{number}.py").write_text(f"VALUE = {number}\n" * 20)
    world.git("add", "-A")
    world.git("commit", "-qm", "base")
    task = world.enforcer.open_task("GIT", process=process)
    (world.project / "module_7.py").write_text("VALUE = 8\n")
    patch = world.git("diff", "HEAD", "--", ".", ":(exclude)state")
    world.write(task, "IMPLEMENT", "git_diff.patch", patch)
    world.write(task, "REVIEW", "note.md", document("note"))
    task.claim().require()
    share: list[int] = []
    for _ in range(GIT_TIMES):
        outcome = figure.time(task.advance)
        world.bare_write(figure, world.line_size(outcome))
        task.backtrack("IMPLEMENT", "measure it again").require()
        state = task.state()
        reading = world.enforcer.observe(state, task.process(), "bench")
        share.append(reading.git_us * 1000)
    figure.extra["git_share"] = round(percentile(share, 50) / percentile(figure.samples, 50), 2)
    return figure


def status(world: World) -> Figure:
    """`enforcer status TASK` as a whole process, against `python -c pass`."""
    figure = Figure("enforcer status TASK, whole process, to python -c pass", 6.0)
    command = [sys.executable, "-m", "enforcer", "status", "LEASE", "--root", str(world.project)]
    for _ in range(PROCESS_TIMES):
        done = figure.time(lambda: subprocess.run(command, capture_output=True, text=True))
        assert done.returncode == 0, done.stderr
        assert "LEASE" in done.stdout
        bare = Figure("", None)
        bare.time(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True))
        figure.floor += bare.samples
    return figure


def _settled(figure: Figure, times: int = TIMES) -> Figure:
    """Without the first samples, which pay for loading."""
    del figure.samples[:WARM], figure.floor[:WARM]
    figure.ok = len(figure.samples) == times
    return figure


def _documents(world: World, task: Task, phase: str, mark: str) -> None:
    for number in range(3):
        world.write(task, phase, f"document-{number}.md", document(f"{mark}-{number}"))


def _implement_process(world: World) -> str:
    (world.project / "git.toml").write_text(IMPLEMENT_PROCESS)
    return "git.toml"


IMPLEMENT_PROCESS = """
name = "git"

[[phases]]
name = "IMPLEMENT"
tools = ["write", "run", "commit"]

[[phases.artifacts]]
name = "git_diff.patch"
format = "diff"
rules = [{ id = "diff-true", kind = "diff" }]

[[phases]]
name = "REVIEW"

[[phases.artifacts]]
name = "note.md"
format = "markdown"
rules = [{ id = "note", kind = "sections", headings = ["Problem"], words = 3 }]
"""
