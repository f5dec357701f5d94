"""Workers that are killed at any moment and ask again: nothing acknowledged is lost, and nothing is written twice."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from acceptance.world import World

WORKERS, CALLS = 20, 500
LIVES = (120, 320)  # A worker is killed after so many answers, if it gets so far.

WORKER = """
import json, sys
from enforcer import Enforcer
root, name, start, calls = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
task = Enforcer.open(root, actor=name).task(name)
for number in range(start, calls):
    outcome = (task.claim, task.release)[number % 2](key=f"{name}-{number}")
    print(json.dumps([f"{name}-{number}", outcome.seq, outcome.hash]), flush=True)
"""


def test_killed_workers_that_ask_again_lose_nothing_and_repeat_nothing(world: World) -> None:
    """20 processes with 500 keyed calls each, killed and begun again at random: 10,000 entries, each of them once."""
    names = [f"worker-{number}" for number in range(WORKERS)]
    with world.library() as enforcer:
        for name in names:
            enforcer.open_task(name)

    with ThreadPoolExecutor(WORKERS) as pool:
        told = list(pool.map(lambda name: _work(world, name), names))

    lines = [json.loads(line) for line in world.lines()]
    keys = [line["event"]["id"].partition("/")[2] for line in lines]
    expected = {f"{name}-{number}" for name in names for number in range(CALLS)}
    assert sorted(key for key in keys if key.startswith("worker-")) == sorted(expected)
    assert sum(kills for kills, _ in told) >= WORKERS
    for _, answers in told:
        assert set(answers) <= expected
        for key, (seq, leaf) in answers.items():
            assert lines[seq]["event"]["id"].endswith(f"/{key}")
            assert seq + 1 == len(lines) or lines[seq + 1]["prev"] == leaf
    assert world.verdict() == "verified"


def _work(world: World, name: str) -> tuple[int, dict[str, tuple[int, str]]]:
    """Drive one worker through its calls, over as many lives as it takes. Its kills, and the answers that it gave.

    Whoever is killed asks again from the first call that nobody saw an answer to, with the same key.
    """
    answers: dict[str, tuple[int, str]] = {}
    chance, kills = random.Random(name), 0
    while len(answers) < CALLS:
        argv = [sys.executable, "-c", WORKER, str(world.root), name, str(len(answers)), str(CALLS)]
        process = subprocess.Popen(argv, env=world.process_environment(), stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        lives = chance.randint(*LIVES)
        with process:
            for line in process.stdout:
                if not line.endswith("\n"):
                    break  # It was killed while it spoke.
                key, seq, leaf = json.loads(line)
                answers[key] = (seq, leaf)
                lives -= 1
                if not lives:
                    process.kill()
                    kills += 1
        assert process.returncode in (0, -9)
    return kills, answers
