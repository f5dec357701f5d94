"""Stops real processes, and fails their system calls, at every call that matters: `python -m acceptance.crashes --all`.

A run is kept in `.crashes/`, by a digest of the source that it was made with: one that was stopped goes on where it
was. Every case has to end so that nothing acknowledged is lost, no history forks, `verify` agrees, and the next process
goes on, with one entry for each key. The last line is a JSON summary; the exit status is 1 where anything is wrong, and
2 where nothing can be traced here. `--report FILE` writes the table of a whole run.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

from acceptance.crash_processes import SHORT, Call, Case, can_trace, end_with_parent
from acceptance.crash_report import write_report
from acceptance.crash_rounds import (
    cut_last_line,
    cut_middle_line,
    full_disk,
    kill_rounds,
    lie,
    line_length,
    middle_length,
    sync_first,
)
from acceptance.crash_scenes import SCENARIOS
from acceptance.crash_trials import Trials

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / ".crashes"
AT_ONCE = 24  # Cases that a worker takes at a time.
ROUNDS = 200
PAGES = range(13)  # More free pages than any of the scenes needs, by the time that the last one is tried.
FULL = ("append", "advance", "checkpoint", "rotate", "cut a torn tail", "write anew")
LIES = ("append", "checkpoint")
APPEND, ROTATE = "append", "rotate"

Result = dict[str, Any]


class Work(NamedTuple):
    """Something that a worker does with the trials of a scenario; each of `items` gives one result or more."""

    kind: str
    scenario: str
    items: tuple[Any, ...]

    @property
    def ids(self) -> list[str]:
        """What the results are known by beforehand, so that what is done is not done again."""
        names = {
            "order": lambda item: f"order|{item}",
            "fault": lambda item: item.id,
            "full": lambda item: f"full|{self.scenario}|{item}",
        }
        names |= {"lie": lambda item: f"lie|{item}", "rounds": lambda item: f"rounds|{item[0]}|{item[1]}"}
        names |= {"last": lambda item: f"cut|last line|{item}", "middle": lambda item: f"cut|middle line|{item}"}
        return [names[self.kind](item) for item in self.items]

    def without(self, done: set[str]) -> Work:
        return self._replace(
            items=tuple(item for item, name in zip(self.items, self.ids, strict=True) if name not in done)
        )

    def parts(self) -> Iterator[Work]:
        for start in range(0, len(self.items), AT_ONCE):
            yield self._replace(items=self.items[start : start + AT_ONCE])


# In a worker ---------------------------------------------------------------------------------------------------------

_trials: dict[str, Trials] = {}
_folder = Path()


def _begin_worker(folder: str) -> None:
    end_with_parent()
    _work_below(Path(folder) / str(os.getpid()))


def _work_below(folder: Path) -> None:
    global _folder
    _folder = folder


def _trials_of(scenario: str) -> Trials:
    if scenario not in _trials:
        folder = _folder / hashlib.sha256(scenario.encode()).hexdigest()[:8]
        folder.mkdir(parents=True)
        _trials[scenario] = Trials(SCENARIOS[scenario], folder)
    return _trials[scenario]


def _faults(scenario: str) -> Work:
    """Every fault of a scenario; of the line that is appended first, a short write at every byte."""
    trials = _trials_of(scenario)
    cases = list(trials.cases())
    if scenario == APPEND:
        call, size = next((call, size) for call, size in trials.writes() if call.file.startswith("seg/"))
        known = {case.id for case in cases}
        every = [Case(scenario, call, SHORT, kept) for kept in range(size)]
        cases += [case for case in every if case.id not in known]
    return Work("fault", scenario, tuple(cases))


def _lengths() -> tuple[int, int]:
    return line_length(_trials_of(APPEND)), middle_length(_trials_of(APPEND))


def _do(work: Work) -> list[Result]:
    if work.kind == "full":
        return full_disk(work.scenario, _folder / f"full-{work.items[0]}", work.items)
    trials = _trials_of(work.scenario)
    if work.kind == "fault":
        return [trials.try_case(Case(name, Call(*call), fault, kept)) for name, call, fault, kept in work.items]
    if work.kind == "rounds":
        return [kill_rounds(trials, rounds, seed) for seed, rounds in work.items]
    ways = {"last": cut_last_line, "middle": cut_middle_line}
    once = {"lie": lie, "order": sync_first}
    return [ways[work.kind](trials, item) if work.kind in ways else once[work.kind](trials) for item in work.items]


def _some_faults(scenario: str, count: int, seed: int) -> list[Result]:
    """Of each kind of fault as many as of the others: there are far more calls that open than calls that write."""
    chance = random.Random(f"{seed} {scenario}")
    kinds: dict[str, list[Case]] = {}
    for case in _faults(scenario).items:
        kinds.setdefault(case.call.name, []).append(case)
    drawn = [chance.choice(kinds[chance.choice(sorted(kinds))]) for _ in range(count)]
    return _do(Work("order", scenario, (scenario,))) + _do(Work("fault", scenario, tuple(drawn)))


def _some_others(seed: int) -> list[Result]:
    chance = random.Random(seed)
    lengths = dict(zip(("last", "middle"), _lengths(), strict=True))
    works = [Work(kind, APPEND, tuple(chance.sample(range(most + 1), 3))) for kind, most in lengths.items()]
    works += [Work("lie", name, (name,)) for name in LIES]
    works += [Work("full", APPEND, (0, 1)), Work("rounds", ROTATE, ((seed, 8),))]
    return [one for work in works for one in _do(work)]


# What there is to do -------------------------------------------------------------------------------------------------


def _everything(pool: ProcessPoolExecutor) -> list[Work]:
    faults = [pool.submit(_faults, name) for name in SCENARIOS]
    lengths = pool.submit(_lengths)
    works = [future.result() for future in faults]
    last, middle = lengths.result()
    works += [Work("last", APPEND, tuple(range(last + 1))), Work("middle", APPEND, tuple(range(middle + 1)))]
    works += [Work("order", name, (name,)) for name in SCENARIOS]
    works += [Work("lie", name, (name,)) for name in LIES]
    works += [Work("full", name, tuple(PAGES)) for name in FULL]
    return [*works, Work("rounds", ROTATE, ((0, ROUNDS),))]


def _sample(pool: ProcessPoolExecutor, count: int, seed: int) -> list[Result]:
    """So many faults, the same number of each scenario, and a little of everything else."""
    futures = [pool.submit(_some_faults, name, max(1, count // len(SCENARIOS)), seed) for name in SCENARIOS]
    futures.append(pool.submit(_some_others, seed))
    return [one for future in futures for one in future.result()]


def _digest() -> str:
    """What the results depend on."""
    digest = hashlib.sha256()
    for path in sorted([*(ROOT / "enforcer").rglob("*.py"), *(ROOT / "acceptance").glob("crash*.py")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _done_before(kept: Path) -> dict[str, Result]:
    """What a run that was stopped came to; half a result is cut off."""
    if not kept.exists():
        return {}
    text = kept.read_text(encoding="utf-8")
    lines = text[: text.rfind("\n") + 1]
    kept.write_text(lines, encoding="utf-8")
    return {one["id"]: one for one in map(json.loads, lines.splitlines())}


def _run(pool: ProcessPoolExecutor, works: list[Work]) -> Iterator[Result]:
    """Every result, those of an earlier run first."""
    KEPT.mkdir(exist_ok=True)
    kept = KEPT / f"{_digest()}.jsonl"
    done = _done_before(kept)
    parts = [part for work in works for part in work.without(set(done)).parts()]
    wanted = {name for work in works for name in work.ids}
    yield from (one for name, one in done.items() if name in wanted)
    futures: list[Future[list[Result]]] = [pool.submit(_do, part) for part in parts]
    began = time.monotonic()
    for number, future in enumerate(as_completed(futures), start=1):
        results = future.result()
        with kept.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(one) + "\n" for one in results)
        print(f"{time.monotonic() - began:6.0f} s  {number} of {len(futures)} parts", file=sys.stderr, flush=True)
        yield from results


def main() -> int:
    options = _options()
    why = can_trace()
    if why:
        print(json.dumps({"skipped": why}))
        return 2
    with tempfile.TemporaryDirectory(prefix="crashes-") as folder:
        if options.case:
            return _again(options.case, Path(folder))
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(options.jobs, spawn, _begin_worker, (folder,)) as pool:
            if options.all:
                results = list(_run(pool, _everything(pool)))
            else:
                results = _sample(pool, options.sample, options.seed)
    if options.report:
        write_report(Path(options.report), results)
    return _conclude(results)


def _again(name: str, folder: Path) -> int:
    """One case of a fault, by its id as it was told."""
    _work_below(folder)
    cases = [case for case in _faults(name.split("|")[0]).items if case.id == name]
    if not cases:
        print(f"there is no case {name!r}", file=sys.stderr)
        return 2
    result = _trials_of(cases[0].scenario).try_case(cases[0])
    print(json.dumps(result, indent=2))
    return 1 if result["wrong"] else 0


def _conclude(results: list[Result]) -> int:
    wrong = [one for one in results if one["wrong"]]
    for one in wrong:
        print(one["id"], *one["wrong"], sep="\n    ", file=sys.stderr)
    summary = {
        "cases": len(results),
        "faults": sum("fault" in one for one in results),
        "lost": sum(one["lost"] for one in results),
        "skipped": sorted({one["skipped"] for one in results if "skipped" in one}),
        "wrong": len(wrong),
    }
    print(json.dumps(summary))
    return 1 if wrong else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m acceptance.crashes", description=__doc__)
    amount = parser.add_mutually_exclusive_group()
    amount.add_argument("--all", action="store_true", help="every case; goes on where an earlier run was stopped")
    amount.add_argument("--sample", type=int, default=40, help="so many faults, drawn by the seed")
    amount.add_argument("--case", help="one case of a fault once more, by its id")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes, by default one a core")
    parser.add_argument("--report", help="a file for the table of the run")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
