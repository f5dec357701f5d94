"""Many at once: processes, threads, worktrees and bursts against one ledger."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from acceptance.model import PHASES
from acceptance.world import ADA, BOB, World, codes, plain_process

MOVES = 100
WORKERS = 8

MOVER = """
import json, sys
from enforcer import Enforcer
root, name, moves = sys.argv[1], sys.argv[2], int(sys.argv[3])
task = Enforcer.open(root, actor=f"worker-{name}").open_task(name, title="Back and forth")
sys.stdin.readline()
for number in range(moves):
    outcome = task.advance() if number % 2 == 0 else task.backtrack("STRATEGIZE", "Once more")
    print(json.dumps([bool(outcome), outcome.seq, outcome.hash]), flush=True)
"""

CLAIMER = """
import json, sys
from enforcer import Enforcer
from concurrent.futures import ThreadPoolExecutor
root, number, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
tasks = [Enforcer.open(root, actor=f"worker-{number}-{thread}").task("T") for thread in range(threads)]
sys.stdin.readline()
with ThreadPoolExecutor(threads) as pool:
    print(json.dumps([bool(outcome) for outcome in pool.map(lambda task: task.claim(), tasks)]))
"""


def start(world: World, script: str, *args: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", script, str(world.root), *args]
    return subprocess.Popen(
        argv, env=world.process_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def together(started: list[subprocess.Popen[str]]) -> list[str]:
    """Let all go at once and return what each printed."""
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    printed = [process.communicate()[0] for process in started]
    assert all(process.returncode == 0 for process in started)
    return printed


def test_eight_processes_move_eight_tasks_a_hundred_times_each(world: World) -> None:
    names = [f"T{number}" for number in range(WORKERS)]
    for name in names:
        world.write(name, PHASES[0])

    printed = together([start(world, MOVER, name, str(MOVES)) for name in names])

    lines = world.lines()
    acknowledged: dict[int, tuple[str, str]] = {}
    for name, output in zip(names, printed, strict=True):
        answers = [json.loads(line) for line in output.splitlines()]
        assert len(answers) == MOVES
        assert all(ok for ok, _, _ in answers)
        acknowledged |= {seq: (name, hashed) for _, seq, hashed in answers}
    assert len(acknowledged) == WORKERS * MOVES
    for seq, (name, hashed) in acknowledged.items():
        assert leaf_hash(lines[seq]) == hashed
        assert json.loads(lines[seq])["event"]["subject"] == name
    assert world.verdict() == "verified"
    assert all(world.status(name)["phase"] == "STRATEGIZE" for name in names)


def test_a_hundred_way_claim_burst_has_exactly_one_winner(world: World) -> None:
    world.given_task("T")

    printed = together([start(world, CLAIMER, str(number), "25") for number in range(4)])

    won = [ok for output in printed for ok in json.loads(output)]
    assert len(won) == 100
    assert won.count(True) == 1
    assert len(world.events("lease.claimed", "T")) == 1
    assert world.status()["lease"]["token"] == 1
    assert world.verdict() == "verified"


def test_threads_that_share_one_library_object_lose_nothing(world: World) -> None:
    enforcer = world.library(ADA)
    tasks = [enforcer.open_task(f"T{number}") for number in range(8)]

    def refused(task) -> list[int]:
        return [task.advance(to="PLAN").seq for _ in range(9)]

    with ThreadPoolExecutor(8) as pool:
        seqs = [seq for found in pool.map(refused, tasks) for seq in found]

    assert len(set(seqs)) == 72
    assert world.verdict() == "verified"


def test_two_linked_worktrees_contend_for_one_lease(tmp_path: Path) -> None:
    world = World(tmp_path, process=plain_process(), git=True).init()
    world.git("add", "-A")
    world.git("commit", "--quiet", "-m", "Begin")
    world.git("worktree", "add", "--quiet", str(tmp_path / "linked"))
    linked = World.at(tmp_path / "linked", world.home)
    world.given_task("T")

    assert world.ask("lease", "claim", "T", actor=ADA).status == 0
    reply = linked.ask("lease", "claim", "T", actor=BOB)

    assert (reply.status, reply.codes) == (1, ["lease_held"])
    assert linked.status()["lease"]["holder"] == ADA
    assert not (linked.root / "state" / "ledger").exists()


def test_two_workers_that_advance_at_once_advance_once(world: World) -> None:
    """Both hold the lease as one actor; the phase is left once, and the other answer is a no."""
    world.given_task("T")
    world.write("T", "STRATEGIZE")
    one, two = world.library(ADA).task("T"), world.library(ADA).task("T")

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(lambda task: task.advance(to="SPEC"), (one, two)))

    assert all(outcomes)
    assert [outcome.event is None for outcome in outcomes].count(False) == 1
    assert not codes(outcomes[0]) | codes(outcomes[1])
    assert len(world.events("phase.advanced", "T")) == 1


def leaf_hash(line: bytes) -> str:
    import hashlib

    return hashlib.sha256(b"\0" + line).hexdigest()
