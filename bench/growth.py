"""What the length of a ledger costs: the same operation on a long one and on a short one, in turn."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from bench.history import History, history
from bench.sample import Figure
from bench.world import document
from enforcer.task import Task

SMALL, LARGE = 1_000, 1_000_000
ADVANCES, APPENDS, PROCESSES = 400, 1_000, 41
WARM, CHECKED = 20, 20
NOBODY = "NOBODY"


def figures(folder: Path) -> Iterator[Figure]:
    """What an operation costs on a long ledger, against the same one on a short ledger, in turn."""
    small, large = history(folder, SMALL), history(folder, LARGE)
    small.check()
    large.check_tasks(_spread(large.closed, CHECKED) + _spread(large.open_tasks, CHECKED))
    yield from openings(small, large)
    yield advance(small, large)
    yield appends(small, large)


def advance(small: History, large: History) -> Figure:
    """Leave a phase on three documents that were judged before."""
    figure = Figure(f"advance at {LARGE} entries, to advance at {SMALL}", 1.1)
    floor = Figure("", None)
    places = [(small, floor, _documented(small)), (large, figure, _documented(large))]
    for _ in range(ADVANCES + WARM):
        for place, into, task in _turned(places):
            outcome = into.time(task.advance)
            assert outcome.seq >= place.entries
            place.world.line_size(outcome)
            place.world.line_size(task.backtrack("SECOND", "measure it again"))
    figure.floor = floor.samples
    del figure.samples[:WARM], figure.floor[:WARM]
    return figure


def appends(small: History, large: History) -> Figure:
    """Entries in tasks all over the ledger, what is kept for the next start included: here the mean counts."""
    figure = Figure(f"claim and release with snapshots at {LARGE} entries, to {SMALL}", None)
    floor = Figure("", None)
    number = min(len(small.open_tasks), len(large.open_tasks))
    places = [(small, floor), (large, figure)]
    names = {place: _spread(place.open_tasks, number) for place, _ in places}
    for place, _ in places:
        place.reopen()
    for step in range(APPENDS // 2):
        for place, into in _turned(places):
            task = place.world.enforcer.task(names[place][step % number])
            place.world.line_size(into.time(task.claim))
            place.world.line_size(into.time(task.release))
    figure.floor = floor.samples
    figure.extra["mean_us"] = round(sum(figure.samples) / len(figure.samples) / 1000, 1)
    figure.extra["floor_mean_us"] = round(sum(figure.floor) / len(figure.floor) / 1000, 1)
    figure.extra["mean_ratio"] = round(sum(figure.samples) / sum(figure.floor), 2)
    figure.extra["max_us"] = round(max(figure.samples) / 1000, 1)
    figure.extra["floor_max_us"] = round(max(figure.floor) / 1000, 1)
    return figure


def openings(small: History, large: History) -> Iterator[Figure]:
    """`enforcer status TASK` as a whole process: for tasks from all over the ledger, and for one that never was."""
    for what in ("a closed task", "an open task", "a task that is not there"):
        figure = Figure(f"status of {what}, whole process, at {LARGE} entries, to {SMALL}", 1.2)
        floor = Figure("", None)
        places = [(small, floor, _names(small, what)), (large, figure, _names(large, what))]
        for number in range(PROCESSES + 2):
            for place, into, names in _turned(places):
                _status(place, names[number], into)
        figure.floor = floor.samples[2:]
        del figure.samples[:2]
        yield figure


def _names(place: History, what: str) -> list[str]:
    names = {"a closed task": place.closed, "an open task": place.open_tasks}.get(what, [NOBODY])
    return [names[step * len(names) // (PROCESSES + 2)] for step in range(PROCESSES + 2)]


def _status(place: History, name: str, into: Figure) -> None:
    command = [sys.executable, "-m", "enforcer", "status", name, "--root", str(place.world.project)]
    done = into.time(lambda: subprocess.run(command, capture_output=True, text=True, env=place.environ))
    if name == NOBODY:
        assert (done.returncode, "unknown_task" in done.stderr) == (2, True), done.stderr
        return
    state = place.world.enforcer.ledger.task(name)
    assert state is not None
    assert done.returncode == 0, done.stderr
    assert {name, state.status, state.phase} <= set(re.findall(r"[\w-]+", done.stdout)), done.stdout


def _documented(place: History) -> Task:
    """A task that stands in its second phase, with the documents of both."""
    world = place.world
    place.reopen()
    task = world.enforcer.open_task("MEASURED", process=world.process(("FIRST", "SECOND", "THIRD"), artifacts=3))
    for phase in ("FIRST", "SECOND"):
        for number in range(3):
            world.write(task, phase, f"document-{number}.md", document(f"0-{number}"))
    task.claim().require()
    task.advance().require()
    return task


_turns = count()


def _turned(places: list) -> list:
    """Now the one first, now the other, so that neither always runs on what the other has left in the caches."""
    return places if next(_turns) % 2 else places[::-1]


def _spread(names: list[str], number: int) -> list[str]:
    """So many of them, from all over, in a random order that is the same every time."""
    chosen = [names[step * len(names) // number] for step in range(number)]
    random.Random(1).shuffle(chosen)
    return chosen
