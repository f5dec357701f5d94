"""Does everything that can be done to a ledger, once, and asks `verify` each time: `make enumerate`.

Each case ends detected, harmless or declared, else this fails. What was done is kept in `.enumerate/`, so a run that
was interrupted goes on where it stopped, as long as neither the package nor the forger has changed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Any, NamedTuple

from acceptance.tampering_base import Ground, prepare
from acceptance.tampering_bench import Bench
from acceptance.tampering_families import FAMILIES
from acceptance.tampering_report import Tally, failures_in, render, tallies_of
from acceptance.tampering_trials import Family

ROOT = Path(__file__).resolve().parent.parent
REPORT = ROOT / "docs" / "enumeration.md"
CHUNK = 500  # Cases that one process does on end.
KEPT = 20  # Failures of a chunk that are named.


class Chunk(NamedTuple):
    """Some cases of a family."""

    family: str
    start: int
    stop: int


class State:
    """What is done: the honest ledgers, and one line for each chunk."""

    def __init__(self, folder: Path) -> None:
        self._results = folder / "results.jsonl"
        mark = folder / "sources"
        if folder.exists() and any(folder.iterdir()) and not mark.exists():
            raise SystemExit(f"{folder} holds something else: name another folder with --state")
        if not mark.exists() or mark.read_text() != sources():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            mark.write_text("not yet")
            prepare(folder / "ground")
            mark.write_text(sources())
        self.ground = Ground(folder / "ground")

    def rows(self) -> list[dict[str, Any]]:
        """The results so far. A line that an interruption cut off is none."""
        if not self._results.exists():
            return []
        complete = self._results.read_bytes().rpartition(b"\n")[0]
        return [json.loads(line) for line in complete.splitlines()]

    def add(self, row: dict[str, Any]) -> None:
        with self._results.open("ab") as file:
            file.write(json.dumps(row, sort_keys=True).encode() + b"\n")

    def todo(self, families: list[Family]) -> Iterator[Chunk]:
        done = {(row["family"], row["start"], row["stop"]) for row in self.rows()}
        for family in families:
            count = len(family.cases(self.ground))
            for start in range(0, count, CHUNK):
                chunk = Chunk(family.name, start, min(start + CHUNK, count))
                if chunk not in done:
                    yield chunk


def sources() -> str:
    """The digest of everything that the results depend on."""
    digest = hashlib.sha256()
    for path in sorted([*(ROOT / "enforcer").rglob("*.py"), *(ROOT / "acceptance").glob("tampering*.py")]):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


# In a process of its own --------------------------------------------------------------------------------------------


class _Worker:
    """The benches of one process, each made when it is first needed."""

    def __init__(self, ground: Path, scratch: Path) -> None:
        self._ground, self._scratch = Ground(ground), scratch
        self._benches: dict[bool, Bench] = {}
        self._cases: dict[str, Any] = {}

    def do(self, chunk: Chunk) -> dict[str, Any]:
        family = _NAMED[chunk.family]
        if family.name not in self._cases:
            self._cases = {family.name: family.cases(self._ground)}
        bench = self.bench(longer=family.longer)
        tallies = {view.name: Tally() for view in family.views}
        failed: list[str] = []
        for number in range(chunk.start, chunk.stop):
            case = self._cases[family.name][number]
            for view, outcome in family.do(bench, case).items():
                tallies[view.name].add(outcome)
                if outcome.failed and len(failed) < KEPT:
                    failed.append(
                        f"{case.name} ({view.name}): {outcome.kind}, {', '.join(outcome.codes)} {outcome.detail}"
                    )
        counted = {name: tally.pack() for name, tally in tallies.items()}
        return {**chunk._asdict(), "tallies": counted, "failures": failed}

    def bench(self, *, longer: bool) -> Bench:
        if longer not in self._benches:
            folder = Path(tempfile.mkdtemp(dir=self._scratch))
            self._benches[longer] = Bench(folder, self._ground, longer=longer)
        return self._benches[longer]


_NAMED = {family.name: family for family in FAMILIES}
_worker: list[_Worker] = []


def _begin(ground: Path, scratch: Path) -> None:
    _worker.append(_Worker(ground, scratch))


def _do(chunk: Chunk) -> dict[str, Any]:
    return _worker[0].do(chunk)


# The whole ----------------------------------------------------------------------------------------------------------


def main() -> int:
    options = _options()
    state = State(options.state)
    families = [family for family in FAMILIES if not options.family or family.name in options.family]
    _run(state, families, options.state / "ground", options.jobs)
    rows = state.rows()
    report = render(FAMILIES, tallies_of(rows), state.ground)
    print(report)
    failed = failures_in(rows)
    for line in failed:
        print(line, file=sys.stderr)
    if not options.family and not failed:
        REPORT.write_text(report, encoding="utf-8")
    return 1 if failed else 0


def _run(state: State, families: list[Family], ground: Path, jobs: int) -> None:
    """Do what is not done yet, on all cores, and keep no more waiting than there are."""
    todo = list(state.todo(families))
    total, done, began = sum(chunk.stop - chunk.start for chunk in todo), 0, time.monotonic()
    shared = Path("/dev/shm")
    where = shared if shared.is_dir() and os.access(shared, os.W_OK) else None
    scratch = Path(tempfile.mkdtemp(prefix="enumerate-", dir=where))
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    try:
        with ProcessPoolExecutor(jobs, context, _begin, (ground, scratch)) as pool:
            waiting = iter(todo)
            running: set[Future[dict[str, Any]]] = set()
            while True:
                while len(running) < 2 * jobs and (chunk := next(waiting, None)) is not None:
                    running.add(pool.submit(_do, chunk))
                if not running:
                    break
                ready, running = wait(running, return_when=FIRST_COMPLETED)
                for result in ready:
                    row = result.result()
                    state.add(row)
                    done += row["stop"] - row["start"]
                    _progress(done, total, time.monotonic() - began, row)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _progress(done: int, total: int, elapsed: float, row: dict[str, Any]) -> None:
    left = elapsed / done * (total - done)
    failed = f"  {len(row['failures'])} failures" if row["failures"] else ""
    print(f"{elapsed:6.0f} s  {done:,} of {total:,} cases, {left:.0f} s left  {row['family']}{failed}", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m acceptance.enumerate", description=__doc__)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes, by default one a core")
    parser.add_argument("--state", type=Path, default=ROOT / ".enumerate", help="where to keep what is done")
    parser.add_argument("--family", action="append", help="only this class of cases; the report is not written")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
