"""Two verifiers with no line in common, on the same mutated ledgers: `enforcer verify` and `second_verifier`.

    python -m acceptance.agree --count 10000 --seed 1

Every case follows from the seed and its number alone: a base ledger written by the library, and one mutation or two. It
is done in chunks by all cores; finished chunks are kept in `.agree/`, and an interrupted run goes on where it was.
`docs/agreement.md` tells how the verdicts were paired. Whatever differs is printed with what it takes to repeat it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from acceptance import mutations_of_files, mutations_of_lines, second_verifier
from acceptance.model import PHASES
from acceptance.mutations import FIRST, KINDS, TILE, Case, canonical, rechained, segment, tile
from acceptance.world import World, plain_process
from enforcer.evidence.objects import Objects
from enforcer.ledger.heads import Anchor, Demands
from enforcer.ledger.note import parse_vkey
from enforcer.ledger.verify import verify
from enforcer.ports import SystemDisk, SystemEntropy

ROOT = Path(__file__).resolve().parent.parent
REPORT = ROOT / "docs" / "agreement.md"
CHUNK = 250
MATERIAL = (mutations_of_lines, mutations_of_files)  # Importing them registers their kinds.
NUMBER = "a" * 32  # The id of all bases.
LONG = 300  # Lines of the base that has a full tile.
COMPARED = ("integrity", "anchoring", "entries", "head", "sealed_to", "anchored_to", "unanchored")


class Answer(NamedTuple):
    """What both verifiers say of one case: the pair of verdicts, and where they differ."""

    number: int
    base: str
    kinds: tuple[str, ...]
    integrity: str
    anchoring: str
    difference: str

    @property
    def pair(self) -> str:
        return f"{self.integrity}, {self.anchoring}"


class Bench:
    """The base ledgers, and a folder in which cases are laid out one after the other."""

    def __init__(self, folder: Path) -> None:
        self._world = World(folder / "world", process=plain_process()).init()
        lines = _history(self._world)
        self.bases = dict(_bases(lines))
        self._enforcer = self._world.library()
        self._disk = SystemDisk()
        self._objects = Objects(str(self._world.root / "state" / "objects"), self._disk, SystemEntropy())
        self._case = folder / "case" / "ledger"
        self._anchors = folder / "anchors"
        self._anchors.mkdir()

    def case(self, seed: int, number: int) -> tuple[str, tuple[str, ...], Case]:
        """The case of a number: its base, its kinds of mutation, and what they made of it."""
        chance = Random(f"{seed}/{number}")
        base = chance.choice(sorted(self.bases))
        case = self.bases[base].copy()
        kinds = chance.choices(sorted(KINDS), k=chance.choice((1, 1, 2)))
        for kind in kinds:
            try:
                KINDS[kind].apply(case, chance)
            except (LookupError, TypeError, ValueError, AttributeError):
                pass  # The first mutation left nothing of the form that the second one looks for.
        return base, tuple(kinds), case

    def answer(self, seed: int, number: int) -> Answer:
        base, kinds, case = self.case(seed, number)
        self.lay_out(case)
        one, other = self._first(case), self._second(case)
        difference = "; ".join(f"{name}: {one[name]} / {other[name]}" for name in COMPARED if one[name] != other[name])
        return Answer(number, base, kinds, other["integrity"], other["anchoring"], difference)

    def lay_out(self, case: Case) -> Path:
        shutil.rmtree(self._case, ignore_errors=True)
        self._case.mkdir(parents=True)
        for name, data in case.files.items():
            path = self._case / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        for number, note in enumerate(case.anchors):
            (self._anchors / str(number)).write_bytes(note)
        return self._case

    def _first(self, case: Case) -> dict[str, Any]:
        anchors = tuple(Anchor(source=f"file {n}", note=note) for n, note in enumerate(case.anchors))
        report = verify(
            str(self._case),
            disk=self._disk,
            objects=self._objects,
            processes=self._enforcer.process,
            demands=Demands(keys=tuple(map(parse_vkey, case.pins)), anchors=anchors),
        )
        return {name: getattr(report, name) for name in COMPARED}

    def _second(self, case: Case) -> dict[str, Any]:
        anchors = [str(self._anchors / str(number)) for number in range(len(case.anchors))]
        found = second_verifier.Verification(str(self._case), case.pins, anchors)
        return {name: getattr(found, name) for name in COMPARED}


def _history(world: World) -> list[bytes]:
    """What the library writes of some tasks, with refusals, leases that change hands, and an end."""
    world.given_task("T1", PHASES[2])
    world.given_task("T2", PHASES[1], actor="bob")
    bob, ada = world.library("bob"), world.library()
    for ask in (
        lambda: bob.task("T1").advance(),
        lambda: ada.task("T1").advance(),
        lambda: ada.task("T1").backtrack(PHASES[0], reason="The plan was wrong."),
        lambda: ada.task("T1").release(),
        lambda: bob.task("T1").claim(),
        lambda: ada.task("T2").advance(),
        lambda: bob.task("T2").abandon(reason="No time."),
    ):
        ask()
    while len(world.lines()) < LONG:
        bob.task("T1").release()
        bob.task("T1").claim()
    return world.lines()[:LONG]


def _bases(lines: list[bytes]) -> Iterator[tuple[str, Case]]:
    short = lines[:22]
    yield "unsigned", _base(short, signed=False)
    yield "signed", _sealed(_base(short), 7, 15, 22)
    anchored = _sealed(_base(short), 9, 20)
    anchored.files["anchors/9"] = anchored.note(9)
    anchored.anchors, anchored.pins = [anchored.note(15)], [anchored.signer().vkey]
    yield "anchored", anchored
    parts = _base(short)
    parts.files |= {segment(start): b"" for start in (8, 16)}
    parts.put(parts.lines())
    yield "segments", _sealed(parts, 6, 12, 22)
    rotated = _base(short)
    mutations_of_files.rotate(rotated, Random(0), {})
    yield "rotated", _sealed(rotated, 5, 22)
    long = _sealed(_base(lines), 200, TILE, len(lines))
    long.files["tile/0/000"] = tile(long.lines())
    yield "tiled", long


def _base(lines: list[bytes], *, signed: bool = True) -> Case:
    """The lines as a ledger of its own, whose keys are known here."""
    case = Case({"ledger.json": canonical({"origin": f"enforcer/{NUMBER}"})})
    key = case.signer(FIRST).vkey if signed else None
    who = {"format": "enforcer/ledger/v1", "id": NUMBER, "key": key, "origin": case.origin}
    case.files["ledger.json"] = canonical(who) + b"\n"
    case.files[segment(0)] = b""
    case.put(rechained(lines, case.seed, case.origin, _without_chance()))
    return case


def _without_chance() -> Callable[[int, dict[str, Any]], None]:
    """Times and random ids by number, so that a case follows from its seed."""
    numbers = {NUMBER: NUMBER}

    def numbered(found: re.Match[str]) -> str:
        return numbers.setdefault(found[0], f"{len(numbers):032x}")

    def change(seq: int, entry: dict[str, Any]) -> None:
        entry["event"] = json.loads(re.sub(r"\b[0-9a-f]{32}\b", numbered, json.dumps(entry["event"])))
        entry["ts"] = 1_700_000_000_000_000 + seq * 1_000

    return change


def _sealed(case: Case, *sizes: int) -> Case:
    for size in sizes:
        case.files[f"checkpoints/{size}"] = case.note(size)
    case.files["checkpoint"] = case.note(sizes[-1])
    return case


# Running it ----------------------------------------------------------------------------------------------------------


def answers(seed: int, numbers: Iterable[int]) -> list[Answer]:
    """The answers to some cases, on a bench of their own."""
    with tempfile.TemporaryDirectory(prefix="agree-") as folder:
        bench = Bench(Path(folder))
        return [bench.answer(seed, number) for number in numbers]


def _chunk(job: tuple[int, int, int, str]) -> int:
    seed, start, end, path = job
    found = answers(seed, range(start, end))
    Path(f"{path}.new").write_text("".join(json.dumps(each) + "\n" for each in found), encoding="utf-8")
    os.replace(f"{path}.new", path)
    return end - start


def run(count: int, seed: int, folder: Path, cores: int) -> list[Answer]:
    """All answers; those of chunks that `folder` has from an earlier run of the same code are taken from there."""
    folder = folder / f"{_fingerprint()}-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    starts = range(0, count, CHUNK)
    paths = {start: folder / f"{start}-{min(start + CHUNK, count)}.jsonl" for start in starts}
    jobs = [(seed, at, min(at + CHUNK, count), str(path)) for at, path in paths.items() if not path.exists()]
    done = count - sum(end - start for _, start, end, _ in jobs)
    for finished in _finished(jobs, cores):
        done += finished
        print(f"{done} of {count}", flush=True)
    lines = [line for path in paths.values() for line in path.read_text(encoding="utf-8").splitlines()]
    return [Answer(**dict(zip(Answer._fields, json.loads(line), strict=True))) for line in lines]


def _finished(jobs: list[tuple[int, int, int, str]], cores: int) -> Iterator[int]:
    if cores == 1:
        yield from map(_chunk, jobs)
        return
    with multiprocessing.get_context("spawn").Pool(cores) as pool:
        yield from pool.imap_unordered(_chunk, jobs)


def _fingerprint() -> str:
    """Of everything that an answer depends on."""
    digest = hashlib.sha256()
    for path in sorted([*ROOT.glob("enforcer/**/*.py"), *ROOT.glob("acceptance/*.py")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


# Telling of it -------------------------------------------------------------------------------------------------------


def report(found: list[Answer], seed: int) -> str:
    differing = [answer for answer in found if answer.difference]
    pairs = sorted({answer.pair for answer in found})
    count = Counter((kind, answer.pair) for answer in found for kind in set(answer.kinds))
    lines = [
        "# Two verifiers, the same answers",
        "",
        f"`python -m acceptance.agree --count {len(found)} --seed {seed}` mutates ledgers at random and asks both",
        "`enforcer verify` and `acceptance/second_verifier.py`, which was written from [format.md](format.md) and has",
        "no line in common with it. They are compared by " + ", ".join(f"`{name}`" for name in COMPARED) + ".",
        "",
        f"**{len(found):,} ledgers, {len(found) - len(differing):,} agreements, {len(differing):,} differences.** A",
        "ledger that two kinds of mutation were done to counts for both. The columns are integrity and anchoring.",
        "",
        "| mutation | " + " | ".join(pairs) + " | differ |",
        "|---" * (len(pairs) + 2) + "|",
    ]
    for kind in sorted(KINDS):
        differ = sum(kind in answer.kinds for answer in differing)
        lines.append(f"| {kind} | " + " | ".join(str(count[kind, pair]) for pair in pairs) + f" | {differ} |")
    totals = Counter(answer.pair for answer in found)
    lines.append("| **ledgers** | " + " | ".join(str(totals[pair]) for pair in pairs) + f" | {len(differing)} |")
    bases = Counter(answer.base for answer in found)
    lines += ["", "Base ledgers: " + ", ".join(f"{name} ({number:,})" for name, number in sorted(bases.items())) + "."]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare two verifiers over mutated ledgers.")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--show", type=int, metavar="NUMBER", help="lay out one case, print its folder and the answer")
    parser.add_argument("--report", type=Path, default=REPORT)
    given = parser.parse_args()
    if given.show is not None:
        bench = Bench(Path(tempfile.mkdtemp(prefix="agree-")))
        print(bench.answer(given.seed, given.show), bench.lay_out(bench.case(given.seed, given.show)[2]))
        return 0
    found = run(given.count, given.seed, ROOT / ".agree", given.cores)
    given.report.write_text(report(found, given.seed), encoding="utf-8")
    differing = [answer for answer in found if answer.difference]
    for answer in differing[:50]:
        print(f"{answer.number}: {answer.base}, {' + '.join(answer.kinds)}: {answer.difference}")
    print(f"{len(found)} ledgers, {len(differing)} differences")
    return 1 if differing else 0


if __name__ == "__main__":
    raise SystemExit(main())
