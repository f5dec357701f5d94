"""What needs more than one fault on one call: lines cut at every byte, a disk that is full, one that lies, and kills at
moments that nobody chose.

Each function answers with results of the kind that `crash_trials` gives: an `id`, how it ended, and what is `wrong`.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from acceptance.crash_processes import Child, Tell
from acceptance.crash_scenes import SCENARIOS, Ack, Session, attest, play
from acceptance.crash_trials import Trials

PAGE = 4096
MOST_ANSWERS = 10  # Before a writer is killed, and
LONGEST_PAUSE = 0.02  # seconds after the last of them: the time in which it opens a ledger, or appends to it often.
LANES = ("a", "b")

Result = dict[str, Any]


def cut_last_line(trials: Trials, kept: int) -> Result:
    """A line of which `kept` bytes arrived, as a crash leaves it: the next writer cuts it off, says so, and goes on."""
    lines = _longer(trials)
    before = b"".join(line + b"\n" for line in lines[:-1])
    trials.restore()
    trials.place.segments()[-1].write_bytes(before + lines[-1][:kept])
    result = trials.judge(f"cut|last line|{kept}", [], [])
    if result["repairs"] != (kept > 0):
        result["wrong"].append(f"{result['repairs']} repairs are on the record")
    return result


def cut_middle_line(trials: Trials, kept: int) -> Result:
    """The same bytes missing from a line with others behind it: damage. Nothing is written, and the place is named."""
    lines = _longer(trials)
    middle = len(lines) // 2
    lines[middle] = lines[middle][:kept]
    trials.restore()
    segment = trials.place.segments()[-1]
    # Without its newline as well: the bytes of two lines run into one another.
    damaged = b"\n".join([*lines[:middle], lines[middle] + lines[middle + 1], *lines[middle + 2 :]]) + b"\n"
    segment.write_bytes(damaged)
    told = trials.go_on()
    codes = [one["error"] for one in told if "error" in one]
    said = trials.look()
    wrong = [one["crash"] for one in told if "crash" in one]
    wrong += [] if len(codes) == 2 and len(told) == 2 else [f"it was not refused: {told}"]
    wrong += [] if segment.read_bytes() == damaged else ["the lines were changed"]
    wrong += [] if said["verdict"] == "tampered" else [f"verify says: {said}"]
    return {
        "id": f"cut|middle line|{kept}",
        "next": "refused",
        "refused": sorted(set(codes)),
        "lost": 0,
        "wrong": wrong,
    }


def line_length(trials: Trials) -> int:
    """The bytes of the line that is cut last, without its newline."""
    return len(_longer(trials)[-1])


def middle_length(trials: Trials) -> int:
    lines = _longer(trials)
    return len(lines[len(lines) // 2])


def _longer(trials: Trials) -> list[bytes]:
    """The lines of the scene with two more."""
    if trials.longer is None:
        trials.restore()
        told = trials.act()
        assert told[-1] == {"end": True}, told
        trials.longer = trials.place.lines()[0]
    return list(trials.longer)


def sync_first(trials: Trials) -> Result:
    """Whether each acknowledgement comes after everything that it stands on was synced, names included."""
    unsynced = trials.unsynced()
    wrong = [f"acknowledged and not synced: {', '.join(unsynced)}"] if unsynced else []
    return {"id": f"order|{trials.scenario.name}", "lost": 0, "wrong": wrong}


# A device that lies ---------------------------------------------------------------------------------------------------


def lie(trials: Trials) -> Result:
    """Syncs that say yes and do nothing, and then the power goes. Nobody can know; a signed head tells afterwards."""
    trials.restore()
    before = trials.place.segments()[-1].read_bytes()
    told, _ = trials.run("inject=fdatasync:retval=0", "inject=fsync:retval=0")
    acknowledged = [one for one in told if "seq" in one]
    trials.place.segments()[-1].write_bytes(before)
    said = trials.look()
    sealed = any("root" in one for one in told)
    wrong = [] if acknowledged and told[-1:] == [{"end": True}] else [f"it was noticed: {told}"]
    wrong += [] if said["verdict"] == ("tampered" if sealed else "verified") else [f"verify says: {said}"]
    name = trials.scenario.name
    return {"id": f"lie|{name}", "said": said, "declared": len(acknowledged), "lost": 0, "wrong": wrong}


# A full disk ----------------------------------------------------------------------------------------------------------


def full_disk(name: str, folder: Path, pages: Iterable[int]) -> list[Result]:
    """The scene on a disk of its own with so many free pages; when it has been played, there is room again."""
    argv = ["unshare", "--user", "--map-root-user", "--mount", sys.executable, "-m", "acceptance.crash_rounds"]
    argv += [name, str(folder), *map(str, pages)]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, env=environ)
        why = "" if not done.returncode else (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    except FileNotFoundError as error:
        why = str(error)
    if why:
        return [{"id": f"full|{name}|none", "skipped": f"no file system of its own: {why}", "lost": 0, "wrong": []}]
    results: list[Result] = json.loads(done.stdout)
    return results


def _on_full_disk(name: str, folder: Path, pages: list[int]) -> list[Result]:
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)], check=True)
    trials = Trials(SCENARIOS[name], folder)
    return [_with_room(trials, folder, count) for count in pages]


def _with_room(trials: Trials, folder: Path, pages: int) -> Result:
    trials.restore()
    found = os.statvfs(folder)
    used = (found.f_blocks - found.f_bfree) * found.f_bsize
    _resize(folder, used + pages * PAGE)
    told = trials.act()
    _resize(folder, 16 << 20)
    return {**trials.judge(f"full|{trials.scenario.name}|{pages}", told, []), "pages": pages}


def _resize(folder: Path, size: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(folder)], check=True)


# Kills at any moment --------------------------------------------------------------------------------------------------


class _Lane:
    """One writer after the other, each of which begins with the call that the one before it was not answered."""

    def __init__(self, trials: Trials, name: str) -> None:
        self._place, self._lines, self.name = trials.place, trials.scenario.lines, name
        self.acknowledged: list[Ack] = []
        self.errors: list[Ack] = []
        self._child: Child | None = None

    def begin(self) -> None:
        first = len(self.acknowledged)

        def work(tell: Tell) -> None:
            steps = tuple(attest(f"{self.name}{first + number}") for number in range(1000))
            play(Session(self._place, self._lines), steps, tell)

        self._child = Child(work)
        self._child.go()

    def end(self, answers: int, pause: float) -> None:
        """Kill it a moment after so many answers, and hear what it had told by then."""
        assert self._child is not None
        told = self._child.hear(answers)
        time.sleep(pause)
        self._child.kill()
        for one in [*told, *self._child.told()]:
            (self.acknowledged if "seq" in one else self.errors).append(one)
        self._child.finish()


def kill_rounds(trials: Trials, rounds: int, seed: int) -> Result:
    """Two writers at a time, of which one is killed at a random moment and replaced, again and again."""
    chance = random.Random(seed)
    trials.restore()
    lanes = [_Lane(trials, name) for name in LANES]
    for lane in lanes:
        lane.begin()
    for _ in range(rounds):
        lane = chance.choice(lanes)
        lane.end(chance.randrange(MOST_ANSWERS), chance.uniform(0, LONGEST_PAUSE))
        lane.begin()
    for lane in lanes:
        lane.end(1, 0)
    acknowledged = [one for lane in lanes for one in lane.acknowledged]
    result = trials.judge(f"rounds|{seed}|{rounds}", acknowledged, [str(one) for lane in lanes for one in lane.errors])
    asked = [f"{lane.name}{number}" for lane in lanes for number in range(len(lane.acknowledged))]
    if sorted(one["key"] for one in acknowledged) != sorted(asked):
        result["wrong"].append("an acknowledgement was for another call than the one that was made")
    if len(acknowledged) < rounds:
        result["wrong"].append(f"{len(acknowledged)} acknowledgements in {rounds} rounds say little")
    return {**result, "rounds": rounds}


if __name__ == "__main__":
    name, folder, *pages = sys.argv[1:]
    print(json.dumps(_on_full_disk(name, Path(folder), [int(count) for count in pages])))
