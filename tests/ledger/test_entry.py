"""The line format: pinned byte for byte, and strict about everything that a line could say in another way."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from enforcer.errors import InternalError
from enforcer.ledger.codec import canonical
from enforcer.ledger.entry import (
    BadLine,
    Entry,
    format_event,
    format_leaf,
    genesis_hash,
    leaf_hash,
    parse_frame,
    parse_leaf,
)
from enforcer.ledger.fold import Fold, Head
from enforcer.ledger.memory import MemoryLedger
from enforcer.workflow.events import EVENTS, Accepted, LeaseClaimed, LedgerCreated, Notes, PhaseAdvanced, Sealed
from tests.faults import ManualClock
from tests.ledger.conformance import append, refused
from tests.ledger.histories import ADA, IDENTITY, opened

# A ledger of two entries, every byte of it: its description, its lines, and the hashes that they are known by.
EXAMPLE_IDENTITY = (
    b'{"format":"enforcer/ledger/v1","id":"0123456789abcdef0123456789abcdef","key":null,'
    b'"origin":"enforcer/0123456789abcdef0123456789abcdef"}\n'
)
EXAMPLE = (
    (
        b'{"event":{"data":{"actor":"ada","version":"0.1.0"},"id":"-/.created",'
        b'"source":"enforcer/0123456789abcdef0123456789abcdef","specversion":"1.0",'
        b'"type":"dev.enforcer.ledger.created"},'
        b'"prev":"@GENESIS@","seq":0,"task_prev":null,"task_seq":null,"ts":1700000000000000,"v":1}'
    ),
    (
        b'{"event":{"data":{"actor":"ada","attempt_id":"00000000000000000000000000000001",'
        b'"digest":"dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd","phase":"SPEC",'
        b'"process":"short","title":"T"},"id":"T/k-1","source":"enforcer/0123456789abcdef0123456789abcdef",'
        b'"specversion":"1.0","subject":"T","type":"dev.enforcer.task.opened"},'
        b'"prev":"@FIRST@","seq":1,"task_prev":null,"task_seq":1,"ts":1700000000000000,"v":1}'
    ),
)


def example() -> list[bytes]:
    """The example with its hashes worked out by hand, with nothing of the package."""
    genesis = hashlib.sha256(b"enforcer/ledger/v1\n" + EXAMPLE_IDENTITY).hexdigest()
    first = EXAMPLE[0].replace(b"@GENESIS@", genesis.encode())
    return [first, EXAMPLE[1].replace(b"@FIRST@", hashlib.sha256(b"\x00" + first).hexdigest().encode())]


HASHES = (
    "2ca11121da218d6dbb026e7946e399930fa04a43743a61c155dd0c4030b578dc",
    "a9d296cbd459e4d841561b01f23cc5d1a79096471b1311f9ea7b1ad25ba29123",
    "2a4c4e1ccd9645efb97532a46296ffbf6b555b4e5d8333d0620c2a52e9f19cb1",
)


@pytest.fixture
def ledger() -> MemoryLedger:
    """The example, and then a little of everything that a line can look like."""
    ledger = MemoryLedger(IDENTITY, clock=ManualClock())
    append(ledger, LedgerCreated(actor=ADA, version="0.1.0"), task=None, key=".created")
    append(ledger, opened(), key="k-1")
    append(ledger, LeaseClaimed(actor=ADA, holder=ADA, token=1), key=".a")
    append(ledger, refused(1, text='Größe "x" \\ \u2028'), key=".b")
    notes = Notes(coalesced=2, guard=(Sealed("s.jsonl", 1, 0, 9, "e" * 64),))
    accepted = (Accepted("note.md", "f" * 64, 7),)
    moved = PhaseAdvanced(
        actor=ADA, notes=notes, token=1, start="SPEC", to="PLAN", attempt_id="1" * 32, evidence=accepted, labels=("x",)
    )
    append(ledger, moved, key=".c")
    return ledger


def accepts(leaves: list[bytes]) -> bool:
    fold = Fold(IDENTITY.origin, Head(0, IDENTITY.genesis, 0))
    try:
        for leaf in leaves:
            fold.accept(leaf)
    except BadLine:
        return False
    return True


def code_of(leaf: bytes) -> str:
    with pytest.raises(BadLine) as caught:
        parse_leaf(leaf)
    return caught.value.code


def test_the_worked_example_is_what_is_written(ledger):
    assert IDENTITY.data() == EXAMPLE_IDENTITY
    assert list(ledger.leaves())[:2] == example()


def test_the_hashes_are_those_of_the_stored_bytes():
    first, second = example()
    assert (genesis_hash(EXAMPLE_IDENTITY), leaf_hash(first), leaf_hash(second)) == HASHES
    assert (json.loads(first)["prev"], json.loads(second)["prev"]) == HASHES[:2]


def test_the_worked_example_is_read_back():
    first, second = (parse_leaf(leaf) for leaf in example())
    assert first.event == LedgerCreated(actor="ada", version="0.1.0")
    assert second == Entry(
        1, 1700000000000000, "T", 1, first.hash, None, "k-1", IDENTITY.origin, opened(), leaf_hash(example()[1])
    )
    assert accepts(example())


def test_the_types_on_the_wire_are_these():
    """Stored names outlive every release: one may be added here, none ever changed or taken away."""
    assert set(EVENTS) == {
        "ledger.created",
        "ledger.recovered",
        "key.rotated",
        "task.opened",
        "phase.advanced",
        "phase.backtracked",
        "task.abandoned",
        "command.refused",
        "tool.refused",
        "lease.claimed",
        "lease.taken_over",
        "lease.released",
        "prompt.attested",
        "baseline.accepted",
        "process.adopted",
        "evidence.restored",
        "run.observed",
        "approval.granted",
        "approval.rejected",
        "rules.waived",
    }


def test_a_spliced_line_is_the_canonical_form_of_its_members():
    event = format_event(opened(), task="T", key="k", source=IDENTITY.origin)
    leaf = format_leaf(event, prev="a" * 64, seq=7, task_prev="b" * 64, task_seq=3, ts=9)
    assert canonical(json.loads(leaf)) == leaf


def test_every_flip_of_a_bit_is_detected(ledger):
    """Every bit of every byte but those of the last line, which nothing commits to yet; there the line must differ."""
    leaves = list(ledger.leaves())
    assert accepts(leaves)
    for number, leaf in enumerate(leaves[:-1]):
        for position in range(len(leaf)):
            for bit in range(8):
                flipped = bytearray(leaf)
                flipped[position] ^= 1 << bit
                changed = [*leaves[:number], bytes(flipped), *leaves[number + 1 :]]
                assert not accepts(changed), (number, position, bit)


def test_no_flip_of_a_bit_in_the_last_line_is_read_as_the_same_entry(ledger):
    *before, last = ledger.leaves()
    honest = parse_leaf(last)
    for position in range(len(last)):
        for bit in range(8):
            flipped = bytearray(last)
            flipped[position] ^= 1 << bit
            if accepts([*before, bytes(flipped)]):
                assert parse_leaf(bytes(flipped)).replace(hash="") != honest.replace(hash="")


def reencodings(leaf: bytes) -> Iterator[bytes]:
    """The same JSON value in other bytes."""
    value = json.loads(leaf)
    yield json.dumps(value).encode()
    yield json.dumps(value, separators=(",", ":")).encode()[:-1] + b" }"
    yield json.dumps(dict(reversed(value.items())), separators=(",", ":"), ensure_ascii=False).encode()
    yield b" " + leaf
    yield leaf + b" "
    yield leaf + b"\r"
    yield leaf.replace(b'"seq":', b'"se\\u0071":')
    yield leaf.replace(b'"T"', b'"\\u0054"')
    yield leaf.replace(b'"v":1', b'"v":1.0')
    yield leaf.replace(b'"v":1', b'"v":1e0')
    yield leaf.replace(b'"seq":3', b'"seq":-0').replace(b'"seq":1', b'"seq":01')
    yield leaf.replace(b"/", b"\\/")
    yield b"\xef\xbb\xbf" + leaf


def test_the_same_value_in_other_bytes_is_refused(ledger):
    for leaf in ledger.leaves():
        others = [other for other in reencodings(leaf) if other != leaf]
        assert len(others) > 8
        for other in others:
            assert code_of(other) in ("malformed", "not_canonical"), other


def objects_in(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict):
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from objects_in(item, (*path, key))


def test_an_extra_field_anywhere_is_refused(ledger):
    """In the line, the envelope, the event and every record inside it; not read over, as if it were not there."""
    tried = set()
    for leaf in ledger.leaves():
        value = json.loads(leaf)
        for path in objects_in(value):
            for name in ("approved", "zz", "A"):
                forged = json.loads(leaf)
                place = forged
                for step in path:
                    place = place[step]
                place[name] = True
                assert code_of(canonical(forged)) in ("malformed", "unknown_event"), path
                tried.add(path)
    assert ("event", "data", "notes", "guard", 0) in tried
    assert ("event", "data", "evidence", 0) in tried


def test_a_field_that_is_gone_is_refused(ledger):
    for leaf in ledger.leaves():
        for path in [(), ("event",), ("event", "data")]:
            place = json.loads(leaf)
            for step in path:
                place = place[step]
            for name in place:
                forged = json.loads(leaf)
                inside = forged
                for step in path:
                    inside = inside[step]
                del inside[name]
                try:
                    parsed = parse_leaf(canonical(forged))
                except BadLine:
                    continue
                # What has a default may be absent; then it holds its default, and that is another entry.
                assert parsed.event != parse_leaf(leaf).event


@pytest.mark.parametrize(
    "path, value",
    [
        (("seq",), -1),
        (("seq",), "1"),
        (("seq",), True),
        (("seq",), None),
        (("ts",), None),
        (("ts",), -5),
        (("prev",), None),
        (("prev",), "A" * 64),
        (("prev",), "a" * 63),
        (("task_prev",), 7),
        (("task_seq",), None),
        (("task_seq",), "1"),
        (("v",), True),
        (("v",), "1"),
        (("event",), []),
        (("event", "data"), []),
        (("event", "id"), "T"),
        (("event", "id"), "T/"),
        (("event", "id"), "U/k"),
        (("event", "id"), "T/a/b"),
        (("event", "id"), "T/" + "k" * 65),
        (("event", "id"), 5),
        (("event", "source"), 5),
        (("event", "specversion"), "1.1"),
        (("event", "subject"), None),
        (("event", "subject"), ["T"]),
        (("event", "type"), 5),
    ],
    ids=str,
)
def test_a_member_of_another_kind_is_refused(path, value):
    forged = json.loads(example()[1])
    place = forged
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert code_of(canonical(forged)) == "malformed"


@pytest.mark.parametrize("task", ["", ".", "..", "../T", "a/b", "-", "T\n", "Ť", "x" * 65])
def test_a_task_that_could_not_be_the_name_of_a_file_is_refused(task):
    forged = json.loads(example()[1])
    forged["event"]["subject"] = task
    forged["event"]["id"] = f"{task}/k"
    assert code_of(canonical(forged)) == "malformed"


@pytest.mark.parametrize(
    "data, code",
    [
        ({"lease": []}, "malformed"),
        ({"lease": {"holder": "ada", "token": "1"}}, "malformed"),
        ({"evidence": [None]}, "malformed"),
        ({"evidence": {}}, "malformed"),
        ({"evidence": [[{"artifact": "a", "digest": "b", "size": 1}]]}, "malformed"),
        ({"notes": {"coalesced": "2"}}, "malformed"),
        ({"notes": {"guard": "s"}}, "malformed"),
        ({"labels": [1]}, "malformed"),
        ({"token": True}, "malformed"),
        ({"actor": None}, "malformed"),
        ({"to": 3}, "malformed"),
        ({"later": 1}, "unknown_event"),
        ({"notes": {"later": 1}}, "unknown_event"),
    ],
    ids=str,
)
def test_data_of_another_kind_is_refused_and_what_is_unknown_is_said_to_be(ledger, data, code):
    forged = json.loads(list(ledger.leaves())[-1])
    forged["event"]["data"] |= data
    assert code_of(canonical(forged)) == code


@pytest.mark.parametrize("place", [{"task_seq": 1}, {"task_prev": "a" * 64}], ids=str)
def test_a_line_without_a_task_has_no_place_in_one(place):
    assert code_of(canonical(json.loads(example()[0]) | place)) == "malformed"


@pytest.mark.parametrize("key", ["", "a b", "a/b", "a\n", "ü", "k" * 65])
def test_a_key_that_cannot_be_read_back_is_never_written(ledger, key):
    with pytest.raises(InternalError, match="bad_entry_key"):
        append(ledger, refused(9), key=key)
    assert len(list(ledger.leaves())) == 5


def test_a_line_of_a_later_version_is_unknown_and_not_wrong():
    assert code_of(example()[1].replace(b'"v":1', b'"v":2')) == "unknown_version"
    assert code_of(b'{"v":2}') == "unknown_version"


def test_an_event_of_a_later_release_still_has_its_place():
    leaf = example()[1].replace(b"task.opened", b"task.dreamed")
    assert code_of(leaf) == "unknown_event"
    assert parse_frame(leaf)["seq"] == 1


@pytest.mark.parametrize("type_name", ["task.opened", "dev.enforcer.dev.enforcer.task.opened", "org.other.task.opened"])
def test_a_type_of_somebody_else_is_unknown(type_name):
    assert code_of(example()[1].replace(b"dev.enforcer.task.opened", type_name.encode())) == "unknown_event"


@pytest.mark.parametrize("leaf", [b"", b"{}", b"[]", b"null", b"\xff", b'{"v":1}', b"{" * 70, b"x" * 100])
def test_what_is_no_line_at_all_is_malformed(leaf):
    assert code_of(leaf) == "malformed"


@pytest.mark.parametrize(
    "change, code",
    [
        ({"seq": 2}, "out_of_order"),
        ({"prev": "0" * 64}, "chain_broken"),
        ({"ts": 5}, "time_reversed"),
        ({"task_prev": "0" * 64}, "task_chain_broken"),
        ({"task_seq": 2}, "task_chain_broken"),
    ],
    ids=str,
)
def test_a_line_that_does_not_follow_is_refused_and_changes_nothing(change, code):
    first, second = example()
    fold = Fold(IDENTITY.origin, Head(0, IDENTITY.genesis, 0))
    fold.accept(first)
    before = fold.head
    with pytest.raises(BadLine) as caught:
        fold.accept(canonical(json.loads(second) | change))
    assert caught.value.code == code
    assert (fold.head, fold.tasks) == (before, {})
    fold.accept(second)


def test_an_entry_of_another_ledger_is_foreign():
    first, second = example()
    fold = Fold("enforcer/" + "f" * 32, Head(0, json.loads(first)["prev"], 0))
    with pytest.raises(BadLine) as caught:
        fold.accept(first)
    assert caught.value.code == "foreign"
    assert second


def test_only_the_ledgers_own_events_stand_without_a_task():
    forged = json.loads(example()[0])
    forged["event"] |= {"type": "dev.enforcer.task.opened", "data": opened().pack()}
    assert not accepts([canonical(forged)])
    assert accepts([example()[0]])
