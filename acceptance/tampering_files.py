"""What can be done to the files beside the lines: taken away, put back, edited, or taken from another ledger."""

from __future__ import annotations

import hashlib
from typing import Any

from acceptance import tampering as forger
from acceptance.doubles import ManualClock
from acceptance.tampering_base import ANCHORED, LENGTH, Ground
from acceptance.tampering_bench import Bench
from acceptance.tampering_edits import Change, beside, every_bit, flip, putting
from acceptance.tampering_histories import put_checkpoints
from acceptance.tampering_scribe import segment_of
from acceptance.tampering_trials import Family, writing
from acceptance.tampering_views import ALONE, CACHED, COMBINED, NOBODY, OTHER, TIERS, Case

SEGMENT = f"ledger/seg/{0:020}.jsonl"


# Gone, or another one -----------------------------------------------------------------------------------------------


def _gone(ground: Ground) -> list[Case]:
    away = "aside"
    changes: dict[str, Change] = {
        "the whole of state/": lambda bench: bench.move("", bench.folder / away),
        "state/ledger": lambda bench: bench.move("ledger", bench.folder / away),
        "the segments": lambda bench: bench.move("ledger/seg", bench.folder / away),
        "the segment": lambda bench: bench.put(SEGMENT, None),
        "all bytes of the segment": lambda bench: bench.put(SEGMENT, b""),
        "ledger.json": lambda bench: bench.put("ledger/ledger.json", None),
        "all bytes of ledger.json": lambda bench: bench.put("ledger/ledger.json", b""),
        "the segment, for a link to it": lambda bench: bench.link(SEGMENT, bench.folder / "linked"),
        "the segment, for a folder": lambda bench: bench.swap(SEGMENT, bench.ledger / "checkpoints"),
        "state/, for a link to it": lambda bench: bench.link("", bench.folder / "linked"),
        "the segment's name": lambda bench: bench.move(SEGMENT, bench.ledger / "seg" / f"{7:020}.jsonl"),
        "all but the lines": _bare,
    }
    return [Case(name, change) for name, change in changes.items()]


def _bare(bench: Bench) -> None:
    """Only the segments are left of the ledger."""
    bench.put("ledger/ledger.json", None)
    put_checkpoints(bench, None)


def _replaced(ground: Ground) -> list[Case]:
    """Another ledger in its place, honest by itself, and one that was begun just now."""

    def begun(bench: Bench) -> None:
        bench.swap("", ground.other / "state")
        (segment_of(bench.root)).write_bytes(ground.foreign[0] + b"\n")
        for path in (bench.ledger / "checkpoint", *(bench.ledger / "checkpoints").iterdir()):
            path.unlink()

    known: dict[str, Any] = {"plausible": True, "sealed": 0, "same": False}
    return [
        Case("another ledger", lambda bench: bench.swap("", ground.other / "state"), signed=OTHER, **known),
        Case("a ledger begun anew", begun, signed=NOBODY, **known),
    ]


def _identity_bits(ground: Ground) -> list[Case]:
    return [Case(name, putting("ledger/ledger.json", data)) for name, data in every_bit(ground.seed)]


# What vouches -------------------------------------------------------------------------------------------------------


def _checkpoint_edits(ground: Ground) -> list[Case]:
    newest = ground.checkpoints[ground.sealed]
    return [
        beside(f"{name} of {file}", file, data)
        for file in ("ledger/checkpoint", f"ledger/checkpoints/{ground.sealed}", f"ledger/anchors/{ANCHORED}")
        for name, data in every_bit(ground.anchor if "anchors" in file else newest)
    ]


def _checkpoint_others(ground: Ground) -> list[Case]:
    origin = ground.identity["origin"]
    later = (ground.longer / "state" / "ledger" / "checkpoint").read_bytes()
    other = (ground.other / "state" / "ledger" / "checkpoint").read_bytes()
    thief = forger.Signer.own("thief")
    contents = {
        "nothing": b"",
        "noise": bytes(range(256)) * 8,
        "the anchored one": ground.anchor,
        "one of a longer ledger": later,
        "one of another ledger": other,
        "one under a key that nobody knows": thief.checkpoint(origin, ground.lines),
        "a wrong one under a key that nobody knows": thief.checkpoint(origin, [*ground.lines[:-1], b"{}"]),
    }
    cases = []
    for file in (
        "ledger/checkpoint",
        f"ledger/checkpoints/{ground.sealed}",
        "ledger/checkpoints/7",
        "ledger/anchors/7",
    ):
        cases += [beside(f"{name} in {file}", file, data) for name, data in contents.items()]
    for file in ("ledger/checkpoint", f"ledger/checkpoints/{ground.sealed}", f"ledger/anchors/{ANCHORED}"):
        cases.append(beside(f"{file} gone", file, None))
    return [*cases, Case("all of them gone", lambda bench: put_checkpoints(bench, None), intact=LENGTH, advisory=True)]


def _tiles(ground: Ground) -> list[Case]:
    """One bit of every eighth byte of both full tiles, all bits of the edge; then what is no tile of this tree."""
    folder = ground.longer / "state" / "ledger"
    edge = (folder / "tile" / "edge").read_bytes()
    cases = [beside(f"{name} of the edge", "ledger/tile/edge", data) for name, data in every_bit(edge)]
    tiles = [(folder / "tile" / "0" / name).read_bytes() for name in ("000", "001")]
    for number, tile in enumerate(tiles):
        file = f"ledger/tile/0/{number:03}"
        for offset in range(0, len(tile), 8):
            change = putting(file, flip(tile, offset, offset // 8 % 8))
            cases.append(Case(f"byte {offset} of {file}", change, at=256 * number + offset // 32))
        for name, data in {"nothing": b"", "half": tile[:4096], "more": tile + b"\0" * 32, "gone": None}.items():
            cases.append(beside(f"{file}: {name}", file, data))
    swapped = Case("one tile for another", putting("ledger/tile/0/000", tiles[-1]), at=0)
    return [*cases, swapped, beside("a tile of a tree that is not so large", "ledger/tile/3/000", bytes(8192))]


def _tiles_before_sealing(ground: Ground) -> list[Case]:
    """Some of the same, before the next checkpoint is made: what proves it consistent is read from tiles."""
    cases = _tiles(ground)
    return [case for number, case in enumerate(cases) if number % 8 == 0 or not case.name.startswith(("byte", "bit"))]


# What is worked with ------------------------------------------------------------------------------------------------


def _helpers(ground: Ground) -> list[Case]:
    """The record of what is synced, the quarantine, the lock: all their bits, and without them."""
    ledger = ground.root / "state" / "ledger"
    [quarantined] = (ledger / "quarantine").iterdir()
    cases = []
    for file in ("commit", f"quarantine/{quarantined.name}"):
        for name, data in every_bit((ledger / file).read_bytes()):
            cases.append(beside(f"{name} of {file}", f"ledger/{file}", data))
    for file in ("commit", "lock", f"quarantine/{quarantined.name}"):
        for name, content in {"gone": None, "emptied": b"", "noise": b"\0" * 4096}.items():
            cases.append(beside(f"{file}: {name}", f"ledger/{file}", content))
    planted = (
        "ledger/seg/notes.txt",
        "ledger/quarantine/1",
        "ledger/anew",
        "ledger/seg/00000000000000000000.jsonl.new",
    )
    return [*cases, *(beside(f"{file} planted", file, b"planted\n") for file in planted)]


def _records(ground: Ground) -> list[Case]:
    """The record of what is synced, before somebody writes: one bit of each byte, and records that claim a repair."""
    data, size = (ground.root / "state" / "ledger" / "commit").read_bytes(), ground.offsets[-1]
    cases = []
    for offset in range(len(data)):
        cases.append(beside(f"byte {offset} of commit", "ledger/commit", flip(data, offset, offset % 8)))
    for state in ("ok", "failed", "torn", "anew"):
        for place in (0, ground.offsets[100], ground.offsets[100] + 9, size - 1, size, size + 500):
            for start in (0, ground.offsets[100], size):
                change = _claimer(state, place, start)
                cases.append(Case(f"{state} at {place} from {start}", change, intact=LENGTH, advisory=True))
    return [*cases, beside("commit gone", "ledger/commit", None), beside("commit emptied", "ledger/commit", b"")]


def _claimer(state: str, offset: int, start: int) -> Change:
    """Writes a record that is well formed and of this very file: nothing in it is secret."""

    def change(bench: Bench) -> None:
        data, segment = (bench.ledger / "commit").read_bytes(), (bench.state / SEGMENT).stat()
        *before, mark, first, _, _, _, _, digest, _ = data.decode().split()
        assert _record([*before, mark, first], len(b"".join(bench.lines)) + len(bench.lines), "ok", 0, digest) == data
        boot = ManualClock().boot()[0]
        mark = hashlib.sha256(f"{boot}\n{segment.st_dev}\n{segment.st_ino}".encode()).hexdigest()[:32]
        bench.put("ledger/commit", _record([*before, mark, first], offset, state, start, digest))

    return change


def _record(before: list[str], offset: int, state: str, start: int, digest: str) -> bytes:
    text = f"{' '.join(before)} {offset:020} {state:<6} {start:020} {0:020} {digest} "
    return (text + hashlib.sha256(text.encode()).hexdigest()[:16] + "\n").encode()


FILES = (
    Family("something deleted", "state/, the ledger, segments, ledger.json; emptied, or a link", TIERS, _gone),
    Family("another ledger in its place", "of another project, or begun anew", COMBINED, _replaced),
    Family("a bit of ledger.json", "every bit", (ALONE,), _identity_bits),
    Family(
        "checkpoints edited",
        "every bit of the newest, its copy, the anchor's copy",
        (ALONE,),
        _checkpoint_edits,
    ),
    Family("checkpoints replaced", "gone, old, foreign, of a longer ledger", TIERS, _checkpoint_others),
    Family("tiles edited", "a bit of each fourth of a hash; gone, short, swapped", (ALONE,), _tiles, longer=True),
    Family("working files edited", "commit, lock, quarantine: every bit, gone, noise", (ALONE,), _helpers),
    Family(
        "commit edited, then a write",
        "a bit of each byte; records that claim a repair",
        (CACHED,),
        _records,
        then=writing,
    ),
    Family(
        "tiles edited, then a checkpoint",
        "a byte of every other hash; gone, short, swapped",
        (CACHED,),
        _tiles_before_sealing,
        longer=True,
        then=writing,
    ),
)
