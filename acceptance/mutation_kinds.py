"""The kinds of mutation: of bytes, lines, histories, heads, keys, tiles, segments and anchors."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from acceptance.mutations import (
    FIRST,
    SECOND,
    STRANGER,
    TILE,
    Case,
    canonical,
    kind,
    rechained,
    segment,
    tile,
    tree_root,
)

DIGITS = 20


def _flip(data: bytes, chance: Random) -> bytes:
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]


def _some_segment(case: Case, chance: Random) -> tuple[str, list[bytes]]:
    names = [name for name in case.segments if case.files[name]]
    name = chance.choice(names) if names else segment(0)
    return name, case.files.get(name, b"").splitlines(keepends=True)


def _forge(case: Case, chance: Random, value: Any) -> None:
    """Change one entry by hand, or with every later hash made to fit."""
    lines = case.lines()
    if not lines:
        return
    at = chance.randrange(len(lines))
    if chance.random() < 0.6:
        case.rechain(lambda seq, entry: value(entry) if seq == at else None)
        return
    try:
        entry = json.loads(lines[at])
        value(entry)
    except (ValueError, KeyError, TypeError, AttributeError):
        return
    lines[at] = canonical(entry)
    case.put(lines)


@kind
def nothing(case: Case, chance: Random) -> None:
    """An honest ledger stays one."""


# Bytes and lines


@kind
def bit_of_a_line(case: Case, chance: Random) -> None:
    name, lines = _some_segment(case, chance)
    if lines:
        case.files[name] = _flip(case.files[name], chance)


@kind
def bit_of_any_file(case: Case, chance: Random) -> None:
    name = chance.choice(sorted(name for name in case.files if case.files[name]))
    case.files[name] = _flip(case.files[name], chance)


@kind
def lines_deleted(case: Case, chance: Random) -> None:
    name, lines = _some_segment(case, chance)
    for _ in range(chance.randint(1, 2)):
        if lines:
            del lines[chance.randrange(len(lines))]
    case.files[name] = b"".join(lines)


@kind
def line_duplicated(case: Case, chance: Random) -> None:
    name, lines = _some_segment(case, chance)
    if lines:
        lines.insert(chance.randrange(len(lines) + 1), chance.choice(lines))
    case.files[name] = b"".join(lines)


@kind
def lines_swapped(case: Case, chance: Random) -> None:
    name, lines = _some_segment(case, chance)
    if len(lines) > 1:
        one, other = chance.sample(range(len(lines)), 2)
        lines[one], lines[other] = lines[other], lines[one]
    case.files[name] = b"".join(lines)


@kind
def line_inserted(case: Case, chance: Random) -> None:
    name, lines = _some_segment(case, chance)
    strange = (b"\n", b"{}\n", b"[]\n", b"null\n", b'{"v":2}\n', b'{"v":2,"v":2}\n', b"\xff\n", b'{"v":1}\n', b"1e5\n")
    lines.insert(chance.randrange(len(lines) + 1), chance.choice(strange))
    case.files[name] = b"".join(lines)


@kind
def line_of_another_ledger(case: Case, chance: Random) -> None:
    foreign = rechained(case.lines(), b"", "enforcer/" + "f" * 32)
    lines = case.lines()
    if foreign and lines:
        at = chance.randrange(min(len(lines), len(foreign)))
        lines[at : at + chance.randint(0, 1)] = [foreign[at]]
        case.put(lines)


@kind
def reencoded(case: Case, chance: Random) -> None:
    """Other bytes of an equal value."""
    name, lines = _some_segment(case, chance)
    if not lines:
        return
    at = chance.randrange(len(lines))
    try:
        value = json.loads(lines[at])
    except ValueError:
        return
    backwards = dict(reversed(value.items())) if isinstance(value, dict) else value
    ways = (
        json.dumps(value),
        json.dumps(backwards, separators=(",", ":")),
        " " + lines[at].decode().rstrip("\n"),
        lines[at].decode().replace("\n", "\r"),
        lines[at].decode().rstrip("\n").replace("/", "\\/", 1),
        lines[at].decode().rstrip("\n").replace("a", "\\u0061", 1),
    )
    lines[at] = chance.choice(ways).encode() + b"\n"
    case.files[name] = b"".join(lines)


@kind
def cut_between_lines(case: Case, chance: Random) -> None:
    name, lines = _some_segment(case, chance)
    name = chance.choice((name, case.segments[-1] if case.segments else name))
    lines = case.files.get(name, b"").splitlines(keepends=True)
    case.files[name] = b"".join(lines[: chance.randrange(len(lines) + 1)])


@kind
def cut_within_a_line(case: Case, chance: Random) -> None:
    name, _ = _some_segment(case, chance)
    name = chance.choice((name, case.segments[-1] if case.segments else name))
    data = case.files.get(name, b"")
    case.files[name] = data[: max(0, len(data) - chance.randint(1, 900))]


@kind
def torn_tail(case: Case, chance: Random) -> None:
    name, _ = _some_segment(case, chance)
    case.files[name] = case.files.get(name, b"") + chance.choice((b"{", b"\0" * 9, b'{"event":{}', b"x" * 70_000))


@kind
def too_long_a_line(case: Case, chance: Random) -> None:
    _forge(case, chance, lambda entry: entry["event"]["data"].update(actor="x" * chance.choice((64_000, 66_000, 90_000))))


# Histories told anew


@kind
def told_anew(case: Case, chance: Random) -> None:
    """Another actor in one entry, and every hash made to fit; the checkpoints are left as they are."""
    at = chance.randrange(max(1, len(case.lines())))
    case.rechain(lambda seq, entry: entry["event"]["data"].update(actor="mallory") if seq == at else None)


@kind
def told_anew_and_signed(case: Case, chance: Random) -> None:
    """The same by whoever has the first key."""
    told_anew(case, chance)
    size = len(case.lines())
    for name in case.heads:
        case.files[name] = case.note(chance.randint(max(0, size - 3), size))


@kind
def told_anew_under_a_new_key(case: Case, chance: Random) -> None:
    """A new `ledger.json`, of the same id or of another; the pins and anchors stay those of before."""
    seed = {"format": "enforcer/ledger/v1", "id": case.origin[9:], "origin": case.origin}
    if chance.random() < 0.3:
        seed |= {"id": "e" * 32, "origin": "enforcer/" + "e" * 32}
    case.files["ledger.json"] = canonical({**seed, "key": None}) + b"\n"
    key = case.signer(STRANGER).vkey if chance.random() < 0.8 else None
    case.files["ledger.json"] = canonical({**seed, "key": key}) + b"\n"
    case.rechain()
    for name in case.heads:
        if chance.random() < 0.7:
            case.files[name] = case.note(len(case.lines()), keys=(STRANGER,))


@kind
def member_of_a_line(case: Case, chance: Random) -> None:
    name, values = chance.choice(
        [
            ("seq", (-1, 0, 1, 10**9, "1", None, True)),
            ("ts", (-1, 0, 2**53 - 1, 2**53, 1.5, "1", False)),
            ("task_seq", (0, 1, 2, None, True)),
            ("task_prev", (None, "0" * 64, 5)),
            ("prev", ("0" * 64, None, 5)),
            ("v", (0, 2, 3, -1, True, "1", None, 1.0)),
            ("sigs", ([], None)),
        ]
    )
    _forge(case, chance, lambda entry: entry.update({name: chance.choice(values)}))


@kind
def member_of_an_event(case: Case, chance: Random) -> None:
    name, values = chance.choice(
        [
            ("specversion", ("1.1", 1)),
            ("source", ("enforcer/x", None)),
            ("subject", ("other", "", "-", ".a", None, "a" * 65)),
            ("type", ("dev.enforcer.lease.lost", "lease.claimed", "dev.enforcer.notes", "dev.enforcer.", "", 5, "x\u2028")),
            ("id", ("T/", "T/a b", "-/k", "T1/again", "/k", "T1/" + "k" * 65, 5)),
            ("time", ("2026-01-01T00:00:00Z",)),
            ("data", ({}, [], None, "x")),
        ]
    )
    _forge(case, chance, lambda entry: entry["event"].update({name: chance.choice(values)}))


@kind
def member_of_data(case: Case, chance: Random) -> None:
    sealed = {"session": "s", "count": 1, "start": 0, "end": 9, "digest": "d"}
    name, values = chance.choice(
        [
            ("actor", (5, None, "", "\U0001f600", ["x"])),
            ("request", ("", 5, None)),
            ("notes", (None, {}, {"coalesced": 0}, {"coalesced": "0"}, {"guard": [sealed]}, {"guard": [{}]}, {"later": 1})),
            ("notes", ({"guard": sealed}, {"refusals": sealed}, {"refusals": None}, {"margin_lost": ["a", 5]}, [])),
            ("later", (1, None, {"deep": [[[]]]})),
            ("token", (True, -1, 2**53, None, "5", 0)),
            ("lease", (None, {"holder": "ada", "token": 1}, {"holder": "ada"}, [])),
            ("evidence", ([], {}, [{}], [{"artifact": "a", "digest": "d", "size": 1}], None)),
            ("holder", (5, "")),
            ("\u00e9", (1,)),
        ]
    )
    _forge(case, chance, lambda entry: entry["event"]["data"].update({name: chance.choice(values)}))


@kind
def member_of_data_dropped(case: Case, chance: Random) -> None:
    def drop(entry: dict[str, Any]) -> None:
        data = entry["event"]["data"]
        data.pop(chance.choice(sorted(data)), None)

    _forge(case, chance, drop)


@kind
def event_id_used_again(case: Case, chance: Random) -> None:
    ids: dict[str, str] = {}

    def again(seq: int, entry: dict[str, Any]) -> None:
        event = entry["event"]
        task = str(event.get("subject"))
        if task in ids and chance.random() < 0.2:
            event["id"] = ids[task]
        ids.setdefault(task, event["id"])

    case.rechain(again)


@kind
def nested_deep(case: Case, chance: Random) -> None:
    value: Any = 1
    for _ in range(chance.choice((10, 60, 61, 62, 63, 64, 200))):
        value = [value]
    unknown = chance.choice(("dev.enforcer.later", "dev.enforcer.lease.claimed"))
    _forge(case, chance, lambda entry: entry["event"].update(type=unknown, data={"actor": "a", "x": value}))


# Checkpoints and keys


def _head(case: Case, chance: Random) -> str:
    places = ("checkpoint", f"checkpoints/{chance.randint(1, 9)}", "checkpoints/kept", f"anchors/{chance.randint(1, 9)}")
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
        _flip(data, chance),
        data[: chance.randrange(len(data))],
        data + last,
        data + _flip(last, chance),
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
    _rotate(case, chance, {})


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
    _rotate(case, chance, chance.choice(forged))


def _rotate(case: Case, chance: Random, forged: dict[str, Any]) -> None:
    lines = case.lines()
    seq, cap = len(lines), len(lines) + chance.randint(1, 3)
    rotated = any(b'dev.enforcer.key.rotated"' in line for line in lines)
    old, new = (SECOND, FIRST) if rotated else (FIRST, SECOND)
    if chance.random() < 0.1:
        old, new = new, old
    data = {**case.rotation(seq, old, new, cap, **{k: v for k, v in forged.items() if "signature" not in k}), **forged}
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
def identity_gone(case: Case, chance: Random) -> None:
    case.files.pop("ledger.json", None)


# Tiles and segments


@kind
def tile_edited(case: Case, chance: Random) -> None:
    lines = case.lines()
    right = tile(lines)
    names = ("tile/0/000", "tile/0/001", "tile/1/000", "tile/0/x000/000", "tile/00/000", "tile/0/000.p/5", "tile/64/000")
    contents = (right, b"x" * 32 * TILE, right[:-1], right[:32], b"", _flip(right or b"x", chance))
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
        _flip(good, chance),
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
