"""How fast a ledger is verified, against the rates of the machine itself, and in how much memory."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

from bench.history import history
from bench.sample import Figure
from enforcer.evidence.objects import Objects
from enforcer.evidence.processes import StoredProcesses
from enforcer.ledger.entry import format_event, format_leaf, leaf_hash
from enforcer.ledger.segments import LINES, segment_name
from enforcer.ledger.store import Identity
from enforcer.ledger.verify import raw_pass, replay_pass
from enforcer.ports import SystemDisk, SystemEntropy
from enforcer.workflow.events import TaskAbandoned

LINE = 500  # Bytes, newline included.
SEGMENTS = 4
REPLAYED = 50_000
LONG = 1_000_000
MEMORY = 150  # MB, of both processes.
TIMES = 3

_ID = "6" * 32
_IDENTITY = Identity(_ID, None, f"enforcer/{_ID}")

_MEASURE = """
import resource, sys
from enforcer.verification import Asked, verify
report = verify(root=sys.argv[1], asked=Asked(cores=2))
unit = 1 if sys.platform == "darwin" else 1024
own, other = (unit * resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
if sys.platform == "linux":  # There the figure of a process begins with that of the one which started it.
    with open("/proc/self/status") as status:
        own = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))
print(report.verdict, report.entries, own, other)
"""


def figures(folder: Path) -> Iterator[Figure]:
    """The raw pass on one core and on two, the replay, and the memory of both together."""
    plain = _plain(folder / "plain")
    yield _raw(plain, 0.18, cores=1)
    yield _raw(plain, 0.32, cores=2)
    yield _replay(folder)
    yield _whole(folder)


def _raw(ledger: Path, at_least: float, *, cores: int) -> Figure:
    """Bytes, chain and tree of lines of 500 bytes, to a bare loop of SHA-256 over the same lines."""
    lines = [line for path in sorted((ledger / "seg").iterdir()) for line in path.read_bytes().split(b"\n")[:-1]]

    def bare() -> None:
        for line in lines:
            sha256(line).digest()

    def verified() -> None:
        assert raw_pass(str(ledger), disk=SystemDisk(), cores=cores)[0] == len(lines)

    name = f"verify: bytes, chain, tree, {LINE} B lines, {cores} core{'s' if cores > 1 else ''}: rate to bare SHA-256"
    return _rate(name, at_least, verified, bare, len(lines))


def _replay(folder: Path) -> Figure:
    """Strict reading, legality and objects of every line, to `json.loads` of the same lines."""
    place = history(folder, REPLAYED)
    state = place.world.project / "state"
    objects = Objects(str(state / "objects"), SystemDisk(), SystemEntropy())
    lines = list(place.world.enforcer.ledger.leaves())

    def bare() -> None:
        for line in lines:
            json.loads(line)

    def verified() -> None:
        replay_pass(str(state / "ledger"), disk=SystemDisk(), objects=objects, processes=StoredProcesses(objects))

    return _rate("verify: legality by replay: rate to json.loads", 0.15, verified, bare, len(lines))


def _rate(name: str, at_least: float, call: Callable[[], None], floor: Callable[[], None], lines: int) -> Figure:
    """The best of a few runs of both, in turn: what the machine does besides can only make a run slower."""
    figure = Figure(name, None)
    for _ in range(TIMES):
        figure.time(call)
        began = time.perf_counter_ns()
        floor()
        figure.floor.append(time.perf_counter_ns() - began)
    figure.samples, figure.floor = [min(figure.samples)], [min(figure.floor)]
    rate = figure.floor[0] / figure.samples[0]
    figure.extra |= {"rate": round(rate, 3), "at_least": at_least, "ns_a_line": figure.samples[0] // lines}
    figure.ok = rate >= at_least
    return figure


def _whole(folder: Path) -> Figure:
    """All of `verify` over a million entries with a thousand open tasks, as a process of its own."""
    figure = Figure(f"verify of {LONG} entries: MB of memory in all", None)
    place = history(folder, LONG)
    command = [sys.executable, "-c", _MEASURE, str(place.world.project)]
    done = figure.time(lambda: subprocess.run(command, env=place.environ, capture_output=True, text=True))
    assert done.returncode == 0, done.stderr
    verdict, entries, own, other = done.stdout.split()
    assert verdict == "verified", done.stdout
    assert int(entries) >= LONG, done.stdout  # The other figures added some.
    figure.floor = figure.samples
    used = (int(own) + int(other)) >> 20
    figure.extra |= {"MB": used, "at_most": MEMORY}
    figure.ok = used <= MEMORY
    return figure


def _plain(folder: Path) -> Path:
    """A ledger of full segments whose lines all have the same length; nothing in it was decided."""
    (folder / "seg").mkdir(parents=True)
    (folder / "ledger.json").write_bytes(_IDENTITY.data())
    prev = _IDENTITY.genesis
    for number in range(SEGMENTS):
        lines = []
        for seq in range(number * LINES, (number + 1) * LINES):
            leaf = _leaf(seq, prev)
            prev = leaf_hash(leaf)
            lines.append(leaf)
        (folder / "seg" / segment_name(number * LINES)).write_bytes(b"\n".join(lines) + b"\n")
    return folder


def _leaf(seq: int, prev: str) -> bytes:
    task, ts, padding = f"T-{seq}", 1_700_000_000_000_000 + seq, ""
    while True:
        event = TaskAbandoned(actor="bench", phase="FIRST", reason=padding)
        data = format_event(event, task=task, key=".0", source=_IDENTITY.origin)
        leaf = format_leaf(data, prev=prev, seq=seq, task_prev=None, task_seq=1, ts=ts)
        if len(leaf) == LINE - 1:
            return leaf
        padding = "x" * (LINE - 1 - len(leaf))
