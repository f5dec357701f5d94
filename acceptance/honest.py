"""Walks as many honest walks as one likes: `python -m acceptance.honest --count 200`.

Each has a seed of its own, so one that is refused can be walked again anywhere. Every fourth is two at once: two
workers, each in a worktree of the same clone, whose tasks advance in turns.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from acceptance.model import PHASES
from acceptance.repositories import governed
from acceptance.walks import Walk
from acceptance.world import World


def walk_honestly(base: Path, seed: int) -> None:
    """A whole walk in a world of its own, with all that its seed says. Raises `AssertionError` or `Refused`."""
    world = governed(World(base, git=True), seed)

    Walk(world, "T", seed, shared=seed % 2 == 1, backtracks=seed % 3, outages=seed % 5 == 1).whole()

    check_honest(world, "T")


def walk_side_by_side(base: Path, seed: int) -> None:
    """Two tasks at once, each with its own change in its own worktree, on the one ledger of the clone."""
    main = governed(World(base, git=True), seed)
    first = Walk(main, "T", seed, backtracks=1)
    main.git("worktree", "add", "--quiet", str(base / "linked"))
    linked = World.at(base / "linked", main.home, state=main.state)
    walks = [first, Walk(linked, "U", seed + 1, shared=True, outages=1)]
    chance = random.Random(seed)
    while walks:
        walk = chance.choice(walks)
        walk.go_on()
        walks = [each for each in walks if each.is_open]

    for task in ("T", "U"):
        check_honest(main, task)


def check_honest(world: World, task: str) -> None:
    """The task went through, nothing was refused, and the history holds."""
    status = world.status(task)
    assert status["state"] == "completed"
    assert {one["phase"] for one in status["accepted"]} == set(PHASES)
    assert not world.events("command.refused")
    assert world.verdict() == "verified"
    audited = world.ask("audit")
    assert audited.status == 0, audited


def walked(seed: int) -> tuple[int, str]:
    """The seed, and what went wrong: nothing."""
    with tempfile.TemporaryDirectory() as base:
        try:
            (walk_side_by_side if seed % 4 == 3 else walk_honestly)(Path(base), seed)
        except Exception as error:  # Whatever is raised is a finding.
            return seed, f"{type(error).__name__}: {error}"
    return seed, ""


def main() -> int:
    options = _options()
    began = time.monotonic()
    refused = 0
    with ProcessPoolExecutor(options.jobs) as pool:
        for seed, error in pool.map(walked, range(options.seed, options.seed + options.count)):
            if error:
                refused += 1
                print(f"walk {seed}: {error}", file=sys.stderr, flush=True)
    print(f"{options.count} walks, {refused} not honoured, {time.monotonic() - began:.0f} s", flush=True)
    return 1 if refused else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m acceptance.honest", description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="how many walks")
    parser.add_argument("--seed", type=int, default=0, help="the first walk's seed; the others count on from it")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes, by default one a core")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
