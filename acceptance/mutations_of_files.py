"""Mutations of what stands around the lines: checkpoints, keys, tiles, segments; and of what a verifier is given."""

from __future__ import annotations

import base64
from random import Random
from typing import Any

from acceptance.mutations import (
    FIRST,
    SECOND,
    STRANGER,
    TILE,
    Case,
    canonical,
    flip,
    kind,
    rechained,
    segment,
    tile,
    tree_root,
    verifier_key,
)

DIGITS = 20  # Of a segment's name.

# Checkpoints and keys


def _head(case: Case, chance: Random) -> str:
    places = (
        "checkpoint",
        f"checkpoints/{chance.randint(1, 9)}",
        "checkpoints/kept",
        f"anchors/{chance.randint(1, 9)}",
    )
    return chance.choice((*places, *case.heads))


@kind
def checkpoint_added(case: Case, chance: Random) -> None:
    """A good one, by one key or the other, of any size."""
    size = chance.randint(0, len(case.lines()))
    case.files[_head(case, chance)] = case.note(size, keys=chance.choice(((FIRST,), (SECOND,), (FIRST, SECOND))))


@kind
def checkpoint_forged(case: Case, chance: Random) -> None:
    lines = case.lines()
    size = chance.randint(0, len(lines))
    other = tree_root(lines[: max(0, size - 1)])
    forged: list[dict[str, Any]] = [
        {"size": len(lines) + chance.randint(1, 300), "root": other},
        {"size": size, "root": other},
        {"size": size, "root": b"r" * 31},
        {"size": size, "origin": "enforcer/" + "d" * 32},
        {"size": size, "written": f"0{size}"},
        {"size": size, "written": str(2**63 - chance.randint(0, 1))},
        {"size": size, "more": "an extension\n"},
        {"size": size, "more": "an extension\n\nand more\n"},
        {"size": size, "more": "a\ttab\n"},
        {"size": size, "keys": (STRANGER,)},
        {"size": size, "keys": (STRANGER,), "root": other},
        {"size": size, "keys": (STRANGER, FIRST, SECOND)},
    ]
    case.files[_head(case, chance)] = case.note(**chance.choice(forged))


@kind
def checkpoint_edited(case: Case, chance: Random) -> None:
    if not case.heads:
        return
    name = chance.choice(case.heads)
    data = case.files[name]
    if not data:
        return
    last = data.rstrip(b"\n").rsplit(b"\n", 1)[-1] + b"\n"
    edits = (
        flip(data, chance),
        data[: chance.randrange(len(data))],
        data + last,
        data + flip(last, chance),
        data + "\u2014 other.example AAAAAAAA\n".encode(),
        data + "\u2014 other.example AAAAAA==\n".encode(),
        data + "\u2014 other.example AAAAAB==\n".encode(),
        data + b"\n",
        data.replace(b"\n", b"\r\n"),
        data.replace(b"enforcer/", b"enforced/", 1),
        data.replace(b"\n1", b"\n2", 1),
        b"",
        data + last * 99,
        data + last * 100,
    )
    case.files[name] = chance.choice(edits)


@kind
def checkpoint_dropped(case: Case, chance: Random) -> None:
    if case.heads:
        del case.files[chance.choice(case.heads)]


@kind
def key_rotated(case: Case, chance: Random) -> None:
    """A rotation at the end that holds, and checkpoints by either key on both sides of what each may sign."""
    rotate(case, chance, {})


@kind
def key_rotation_forged(case: Case, chance: Random) -> None:
    seq = len(case.lines())
    stranger = case.signer(STRANGER)
    forged: list[dict[str, Any]] = [
        {"seq": seq + 1},
        {"cap": seq},
        {"cap": 0},
        {"old": stranger.vkey},
        {"new": stranger.vkey},
        {"new": stranger.vkey.replace("enforcer/", "enforced/")},
        {"new": "no key"},
        {"old_signature": "AAAA"},
        {"new_signature": ""},
        {"later": 1},
        {"cap": "9"},
    ]
    rotate(case, chance, chance.choice(forged))


def rotate(case: Case, chance: Random, forged: dict[str, Any]) -> None:
    lines = case.lines()
    seq, cap = len(lines), len(lines) + chance.randint(1, 3)
    rotated = any(b'dev.enforcer.key.rotated"' in line for line in lines)
    old, new = (SECOND, FIRST) if rotated else (FIRST, SECOND)
    if chance.random() < 0.1:
        old, new = new, old
    data = case.rotation(seq, old, new, cap, forged)
    event = {
        "specversion": "1.0",
        "id": f"-/.rotated-{seq}",
        "source": case.origin,
        "type": "dev.enforcer.key.rotated",
        "data": data,
    }
    entry = {"event": event, "prev": "", "seq": seq, "task_prev": None, "task_seq": None, "ts": 2**52, "v": 1}
    padding = [{**entry, "event": {**event, "id": f"-/.p-{seq}-{n}", "type": "dev.enforcer.later"}} for n in range(4)]
    case.put(rechained([*lines, canonical(entry), *map(canonical, padding)], case.seed, case.origin))
    for name in ("checkpoint", "checkpoints/1", "checkpoints/2"):
        size = chance.randint(max(0, seq - 2), seq + 5)
        case.files[name] = case.note(size, keys=chance.choice(((FIRST,), (SECOND,), (old, new))))


# The file that says who the ledger is


@kind
def identity_edited(case: Case, chance: Random) -> None:
    data = case.files.get("ledger.json", b"")
    edits = (
        data[:-1],
        data + b"\n",
        data.replace(b":", b": ", 1),
        data.replace(b"/v1", b"/v2"),
        data.replace(b"{", b'{"a":1,', 1),
        data.replace(b"enforcer/ledger", b"x", 1),
        b"",
        b"null\n",
        b'{"format":"x"}',
        data.replace(b'"format"', b'"Format"'),
    )
    case.files["ledger.json"] = chance.choice(edits)


@kind
def identity_told_anew(case: Case, chance: Random) -> None:
    """Another key, or a text that is none, with every hash made to fit."""
    seed = {"format": "enforcer/ledger/v1", "id": case.origin[9:], "origin": case.origin}
    keys = (None, "", "a key", case.signer(SECOND).vkey, case.signer(FIRST).vkey.replace("enforcer/", "x/", 1))
    case.files["ledger.json"] = canonical({**seed, "key": chance.choice(keys)}) + b"\n"
    case.rechain()


@kind
def identity_with_a_weak_key(case: Case, chance: Random) -> None:
    """A key of low order, and checkpoints with the signature that holds for whatever text."""
    point, scalar = b"\1" + b"\0" * 31, b"\0" * 32
    key_id, vkey = verifier_key(case.origin, point)
    who = {"format": "enforcer/ledger/v1", "id": case.origin[9:], "key": vkey, "origin": case.origin}
    case.files["ledger.json"] = canonical(who) + b"\n"
    case.rechain()
    line = f"\u2014 {case.origin} {base64.b64encode(key_id + point + scalar).decode()}\n"
    for name in ("checkpoint", "anchors/1"):
        case.files[name] = case.note(chance.randint(0, len(case.lines())), keys=()) + line.encode()


@kind
def identity_gone(case: Case, chance: Random) -> None:
    case.files.pop("ledger.json", None)


# Tiles and segments


@kind
def tile_edited(case: Case, chance: Random) -> None:
    lines = case.lines()
    right = tile(lines)
    names = (
        "tile/0/000",
        "tile/0/001",
        "tile/1/000",
        "tile/0/x000/000",
        "tile/00/000",
        "tile/0/000.p/5",
        "tile/64/000",
    )
    contents = (right, b"x" * 32 * TILE, right[:-1], right[:32], b"", flip(right or b"x", chance))
    case.files[chance.choice((*names[:1], *names, *case.tiles))] = chance.choice(contents)


@kind
def tile_dropped(case: Case, chance: Random) -> None:
    for name in case.tiles:
        del case.files[name]


@kind
def segment_renamed(case: Case, chance: Random) -> None:
    if case.segments:
        name = chance.choice(case.segments)
        data = case.files.pop(name)
        start = max(0, int(name[4 : 4 + DIGITS]) + chance.choice((-1, 1, 1000)))
        case.files[chance.choice((segment(start), segment(start), name[:-1], "seg/other.jsonl"))] = data


@kind
def segment_removed(case: Case, chance: Random) -> None:
    if case.segments:
        del case.files[chance.choice(case.segments)]


@kind
def segments_swapped(case: Case, chance: Random) -> None:
    if len(case.segments) > 1:
        one, other = chance.sample(case.segments, 2)
        case.files[one], case.files[other] = case.files[other], case.files[one]


@kind
def segment_split(case: Case, chance: Random) -> None:
    """Honest by the format's words, as long as the names fit."""
    if not case.segments:
        return
    name = case.segments[-1]
    lines = case.files[name].splitlines(keepends=True)
    at, start = chance.randint(0, len(lines)), int(name[4 : 4 + DIGITS])
    case.files[name] = b"".join(lines[:at])
    case.files[segment(start + at + chance.choice((0, 0, 0, 1)))] = b"".join(lines[at:])


# What the verifier is given


@kind
def anchor_given(case: Case, chance: Random) -> None:
    for _ in range(chance.randint(1, 2)):
        keys = chance.choice(((FIRST,), (FIRST,), (SECOND,), (FIRST, SECOND)))
        case.anchors.append(case.note(chance.randint(0, len(case.lines())), keys=keys))


@kind
def anchor_contradicts(case: Case, chance: Random) -> None:
    lines = case.lines()
    size, other = chance.randint(0, len(lines)), tree_root(lines[:-1])
    note = chance.choice((case.note(len(lines) + chance.randint(1, 300), root=other), case.note(size, root=other)))
    case.anchors.append(note)


@kind
def anchor_of_no_use(case: Case, chance: Random) -> None:
    size = chance.randint(0, len(case.lines()))
    good = case.note(size)
    useless = (
        b"",
        flip(good, chance),
        good[:-1],
        case.note(size, keys=(STRANGER,)),
        case.note(size, origin="enforcer/" + "d" * 32),
        case.note(size, written=f"0{size}"),
    )
    case.anchors.append(chance.choice(useless))


@kind
def anchor_kept_here(case: Case, chance: Random) -> None:
    size = chance.randint(0, len(case.lines()))
    case.files[f"anchors/{size}"] = case.note(size, keys=chance.choice(((FIRST,), (SECOND,), (STRANGER,))))


@kind
def key_pinned(case: Case, chance: Random) -> None:
    case.pins.append(case.signer(chance.choice((FIRST, FIRST, SECOND, STRANGER))).vkey)


@kind
def anchor_by_a_pinned_key(case: Case, chance: Random) -> None:
    number = chance.choice((FIRST, SECOND, STRANGER))
    case.pins.append(case.signer(number).vkey)
    case.anchors.append(case.note(chance.randint(0, len(case.lines())), keys=(number,)))
