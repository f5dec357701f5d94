"""Plays random command sequences against the model for as long as one likes: `python -m acceptance.soak --seconds N`.

Each sequence has a seed of its own, so a failure found here can be played again anywhere: the last line is a JSON
summary, and where a history disagreed with the model it names the seed and a script cut down to what it needs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Any

from acceptance.player import Player, Script, random_script, shrink
from acceptance.world import World, plain_process

LENGTH = 150
SHRINK_LIMIT = 60  # seconds


def main() -> int:
    options = _options()
    if options.replay:
        return _replay(Path(options.replay))
    return _soak(options.seconds, options.seed, options.jobs)


def _soak(seconds: float, first_seed: int, jobs: int) -> int:
    """Play until the time is up or a history disagrees; keep every core busy and no queue of unplayed seeds."""
    began = time.monotonic()
    totals: Counter[str] = Counter()
    played = 0
    failure: dict[str, Any] | None = None
    with ProcessPoolExecutor(jobs) as pool:
        running: set[Future[dict[str, Any]]] = set()
        seed = first_seed
        while failure is None and (running or time.monotonic() - began < seconds):
            while len(running) < jobs and time.monotonic() - began < seconds:
                running.add(pool.submit(_sequence, seed))
                seed += 1
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for result in (each.result() for each in done):
                played += 1
                totals.update(result["counts"])
                failure = failure or (result if result["error"] else None)
            if played % 50 == 0:
                _progress(played, totals, time.monotonic() - began)
    _summary(played, totals, first_seed, seed - 1, failure, time.monotonic() - began)
    return 1 if failure else 0


def _sequence(seed: int) -> dict[str, Any]:
    """Play the script of one seed in a world of its own."""
    chance = random.Random(seed)
    script = random_script(chance, chance.randint(10, LENGTH))
    error, counts = _play(script)
    result: dict[str, Any] = {"seed": seed, "counts": counts, "error": error}
    if error:
        limit = time.monotonic() + SHRINK_LIMIT
        result["script"] = shrink(script, lambda shorter: time.monotonic() < limit and bool(_play(shorter)[0]))
    return result


def _play(script: Script) -> tuple[str, Counter[str]]:
    """What went wrong, or nothing, and how often each answer was given."""
    with tempfile.TemporaryDirectory() as base:
        player = Player(World(Path(base), process=plain_process()).init())
        try:
            player.play(script)
        except Exception as error:  # whatever is raised is a finding: no script may stop the gate
            return f"{type(error).__name__}: {error}", player.counts
        finally:
            player.close()
        return "", player.counts


def _replay(path: Path) -> int:
    script = [tuple(step) for step in json.loads(path.read_text(encoding="utf-8"))]
    error, _ = _play(script)
    print(error or "the gate and the model agree", flush=True)
    return 1 if error else 0


def _progress(played: int, totals: Counter[str], elapsed: float) -> None:
    print(f"{elapsed:6.0f} s  {played} sequences  {_commands(totals)} commands", flush=True)


def _summary(
    played: int, totals: Counter[str], first: int, last: int, failure: dict[str, Any] | None, elapsed: float
) -> None:
    verdicts = ("accepted", "no-op", "refused")
    summary = {
        "sequences": played,
        "commands": _commands(totals),
        "accepted": totals["accepted"],
        "no_ops": totals["no-op"],
        "refusals": {code: count for code, count in sorted(totals.items()) if code not in verdicts},
        "seeds": [first, last],
        "seconds": round(elapsed, 1),
        "failures": 1 if failure else 0,
        # With no failure in n independent sequences, the failure rate is below 3/n with 95 % confidence.
        "failure_rate_below": round(3 / played, 6) if played and not failure else None,
    }
    if failure:
        summary["failure"] = {key: failure[key] for key in ("seed", "error", "script")}
        handle, path = tempfile.mkstemp(prefix=f"soak-{failure['seed']}-", suffix=".json")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(failure["script"], file)
        print(f"{failure['error']}\nplay it again: python -m acceptance.soak --replay {path}", file=sys.stderr)
    print(json.dumps(summary), flush=True)


def _commands(totals: Counter[str]) -> int:
    return totals["accepted"] + totals["no-op"] + totals["refused"]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m acceptance.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to play")
    parser.add_argument("--seed", type=int, default=0, help="the first sequence's seed; the others count on from it")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes, by default one a core")
    parser.add_argument("--replay", help="a script file to play once, instead of random ones")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
