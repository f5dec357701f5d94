"""Two verifiers with no line in common, on the same mutated ledgers: `enforcer verify` and `second_verifier`.

    python -m acceptance.agree --count 10000 --seed 1

Every case follows from the seed and its number alone: a base ledger written by the library, and one mutation of it or two.
It is done in chunks by both cores; finished chunks are kept in `.agree/`, and an interrupted run goes on where it was.
`docs/agreement.md` tells how the verdicts were paired. Whatever differs is printed with what it takes to repeat it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from acceptance import mutation_kinds, second_verifier
from acceptance.mutations import FIRST, KINDS, SECOND, TILE, Case, canonical, rechained, segment, tile
from acceptance.world import PHASES, World, plain_process
from enforcer.errors import EnforcerError
from enforcer.evidence.objects import Objects
from enforcer.ledger.heads import Anchor, Demands
from enforcer.ledger.note import parse_vkey
from enforcer.ledger.verify import verify
from enforcer.ports import SystemDisk, SystemEntropy

ROOT = Path(__file__).resolve().parent.parent
REPORT = ROOT / "docs" / "agreement.md"
CHUNK = 250
LONG = 300  # Lines of the base that has a full tile.
COMPARED = ("integrity", "anchoring", "entries", "head", "sealed_to", "anchored_to", "unanchored")
JUDGED_BY = (second_verifier.__file__, mutation_kinds.__file__, __file__)


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
    yield "unsigned", _base(short, key=None)
    yield "signed", _sealed(_base(short), 7, 15, 22)
    anchored = _sealed(_base(short), 9, 20)
    anchored.files["anchors/9"], anchored.pins = anchored.note(9), [anchored.signer().vkey]
    anchored.anchors = [anchored.note(15)]
    yield "anchored", anchored
    parts = _base(short)
    for start, end in ((0, 8), (8, 16), (16, len(short))):
        parts.files[segment(start)] = b"".join(line + b"\n" for line in parts.lines()[start:end])
        parts = parts if start else _rest(parts, short)
    yield "segments", _sealed(parts, 6, 12, 22)


def _bases_end() -> None: ...
