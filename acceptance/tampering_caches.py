"""What can be done to caches, and to lines that a cache says were read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from acceptance.tampering_base import LENGTH, Ground
from acceptance.tampering_bench import Bench
from acceptance.tampering_edits import Change, beside, files_in, flip, poking, swapping
from acceptance.tampering_trials import Family, reading, resuming
from acceptance.tampering_views import CACHED, Case

CACHE = "ledger/.cache"
MARK = "verified"  # Where `verify --incremental` ended.


def _caches(ground: Ground) -> list[Case]:
    """Every byte of the manifest, many of the others; each of them older, of another ledger, short, and gone."""
    folder = ground.longer / "state" / "ledger" / ".cache"
    cases = list(_cache_edits(folder))
    older, other = ground.longer / "state" / "older", ground.other / "state" / "ledger" / ".cache"
    for name, source in (("older", older), ("of another ledger", other)):
        cases.append(Case(f"caches {name}", swapping(CACHE, source), intact=LENGTH, advisory=True))
        for path in files_in(source):
            file = f"{CACHE}/{path.relative_to(source)}"
            cases.append(beside(f"{path.name} {name}", file, path.read_bytes()))
    for path in files_in(folder):
        for name, content in {"gone": None, "emptied": b"", "noise": b"\0" * 999}.items():
            cases.append(beside(f"{path.name} {name}", f"{CACHE}/{path.relative_to(folder)}", content))
    cases.append(Case("all caches gone", lambda bench: bench.move(CACHE, bench.folder / "swapped")))
    cases.append(Case("caches for a link", lambda bench: bench.link(CACHE, bench.folder / "linked")))
    return cases


def _cache_edits(folder: Path) -> Iterator[Case]:
    for path in files_in(folder):
        data, file = path.read_bytes(), f"{CACHE}/{path.relative_to(folder)}"
        for offset in range(0, len(data), 1 + len(data) // 600):
            yield beside(f"byte {offset} of {path.name}", file, flip(data, offset, offset % 8))
        for size in (1, len(data) // 2, len(data) - 1):
            yield beside(f"{size} bytes of {path.name}", file, data[:size])


def _under_marks(ground: Ground) -> list[Case]:
    """A line changed in one byte: with the mark of an earlier verification, with an older one, and without any."""
    older = (ground.longer / "state" / "older" / MARK).read_bytes()
    cases = []
    for seq, line in enumerate(ground.later[::3]):
        seq *= 3
        offset = sum(len(before) + 1 for before in ground.later[:seq]) + 20
        poke = poking(offset, bytes((line[20] ^ 1,)))
        for name, mark in {"marked": b"", "marked before": older, "not marked": None}.items():

            def change(bench: Bench, poke: Change = poke, mark: bytes | None = mark) -> None:
                poke(bench)
                if mark != b"":
                    bench.put(f"{CACHE}/{MARK}", mark)

            cases.append(Case(f"line {seq}, {name}", change, at=seq))
    return cases


CACHES = (
    Family(
        "caches edited, stale or foreign",
        "read by reading commands and `verify --incremental`",
        (CACHED,),
        _caches,
        longer=True,
        then=reading,
    ),
    Family(
        "lines changed under a mark",
        "that `verify --incremental` has read before, or not; the mark left, or gone",
        (CACHED,),
        _under_marks,
        longer=True,
        then=resuming,
    ),
)
