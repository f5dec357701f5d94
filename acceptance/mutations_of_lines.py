"""Mutations of the bytes, of the lines, and of the history that they tell."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from acceptance.mutations import STRANGER, Case, canonical, flip, kind, rechained, segment


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
        case.files[name] = flip(case.files[name], chance)


@kind
def bit_of_any_file(case: Case, chance: Random) -> None:
    name = chance.choice(sorted(name for name in case.files if case.files[name]))
    case.files[name] = flip(case.files[name], chance)


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
    _forge(
        case, chance, lambda entry: entry["event"]["data"].update(actor="x" * chance.choice((64_000, 66_000, 90_000)))
    )


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
    kinds: list[tuple[str, tuple[Any, ...]]] = [
        ("seq", (-1, 0, 1, 10**9, "1", None, True)),
        ("ts", (-1, 0, 2**53 - 1, 2**53, 1.5, "1", False)),
        ("task_seq", (0, 1, 2, None, True)),
        ("task_prev", (None, "0" * 64, 5)),
        ("prev", ("0" * 64, None, 5)),
        ("v", (0, 2, 3, -1, True, "1", None, 1.0)),
        ("sigs", ([], None)),
    ]
    name, values = chance.choice(kinds)
    _forge(case, chance, lambda entry: entry.update({name: chance.choice(values)}))


@kind
def member_of_an_event(case: Case, chance: Random) -> None:
    kinds: list[tuple[str, tuple[Any, ...]]] = [
        ("specversion", ("1.1", 1)),
        ("source", ("enforcer/x", None)),
        ("subject", ("other", "", "-", ".a", None, "a" * 65)),
        (
            "type",
            ("dev.enforcer.lease.lost", "lease.claimed", "dev.enforcer.notes", "dev.enforcer.", "", 5, "x\u2028"),
        ),
        ("id", ("T/", "T/a b", "-/k", "T1/again", "/k", "T1/" + "k" * 65, 5)),
        ("time", ("2026-01-01T00:00:00Z",)),
        ("data", ({}, [], None, "x")),
    ]
    name, values = chance.choice(kinds)
    _forge(case, chance, lambda entry: entry["event"].update({name: chance.choice(values)}))


@kind
def member_of_data(case: Case, chance: Random) -> None:
    sealed = {"session": "s", "count": 1, "start": 0, "end": 9, "digest": "d"}
    kinds: list[tuple[str, tuple[Any, ...]]] = [
        ("actor", (5, None, "", "\U0001f600", ["x"])),
        ("request", ("", 5, None)),
        (
            "notes",
            (None, {}, {"coalesced": 0}, {"coalesced": "0"}, {"guard": [sealed]}, {"guard": [{}]}, {"later": 1}),
        ),
        ("notes", ({"guard": sealed}, {"refusals": sealed}, {"refusals": None}, {"margin_lost": ["a", 5]}, [])),
        ("later", (1, None, {"deep": [[[]]]})),
        ("token", (True, -1, 2**53, None, "5", 0)),
        ("lease", (None, {"holder": "ada", "token": 1}, {"holder": "ada"}, [])),
        ("evidence", ([], {}, [{}], [{"artifact": "a", "digest": "d", "size": 1}], None)),
        ("holder", (5, "")),
        ("\u00e9", (1,)),
    ]
    name, values = chance.choice(kinds)
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
