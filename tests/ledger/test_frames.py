"""The quick reader of lines reads exactly what the strict one reads, and says no wherever that one does."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enforcer.ledger.chain import place_of
from enforcer.ledger.codec import canonical
from enforcer.ledger.entry import BadLine, format_leaf, parse_frame
from enforcer.ledger.frames import read_frame, read_line, read_split, split_line
from tests.ledger.histories import History
from tests.ledger.test_verify import tell

HASH = "a" * 64


@pytest.fixture(scope="module")
def lines(tmp_path_factory) -> list[bytes]:
    history = History(tmp_path_factory.mktemp("frames"))
    tell(history)
    return history.lines()


def members(leaf: bytes) -> dict[str, object]:
    frame = read_frame(leaf)
    return {name: getattr(frame, name) for name in frame.__slots__}


def told(leaf: bytes) -> object:
    try:
        return members(leaf)
    except BadLine as bad:
        return bad.code, str(bad)


def strictly(leaf: bytes) -> object:
    try:
        frame = read_line(leaf)
    except BadLine as bad:
        return bad.code, str(bad)
    return {name: getattr(frame, name) for name in frame.__slots__}


def line(data: bytes, *, task: str | None = "T", task_seq: int | None = 2, ts: int = 9, key: str = "k") -> bytes:
    subject = f'"subject":"{task}",' if task is not None else ""
    event = (
        b'{"data":%b,"id":"%b/%b","source":"enforcer/x","specversion":"1.0",%b"type":"dev.enforcer.lease.claimed"}'
        % (data, (task or "-").encode(), key.encode(), subject.encode())
    )
    before = HASH if task_seq not in (None, 1) else None
    return format_leaf(event, prev=HASH, seq=7, task_prev=before, task_seq=task_seq, ts=ts)


def test_every_line_that_is_written_is_read_quickly_and_as_the_strict_reader_reads_it(lines):
    for leaf in lines:
        split = split_line(leaf)
        assert split is not None
        assert read_split(*split) is not None
        assert members(leaf) == strictly(leaf)
        assert place_of(leaf) == (parse_frame(leaf)["prev"].encode(), parse_frame(leaf)["seq"], parse_frame(leaf)["ts"])


def test_a_flipped_bit_never_gets_past_the_quick_reader(lines):
    """Whatever it takes for a line, the strict reader takes for the same line."""
    quick = 0
    for leaf in lines[::4]:
        for position in range(0, len(leaf), 3):
            for bit in (0, 3, 5):
                flipped = bytearray(leaf)
                flipped[position] ^= 1 << bit
                assert told(bytes(flipped)) == strictly(bytes(flipped)), (position, bit)
                quick += split_line(bytes(flipped)) is not None
    assert quick > 100


OTHER_SPELLINGS = {
    "a key twice": b'{"a":1,"a":1}',
    "keys out of order": b'{"b":1,"a":1}',
    "a space": b'{"a": 1}',
    "a space at the end": b'{"a":1} ',
    "a space at the beginning": b' {"a":1}',
    "an escape without need": b'{"a":"\\u0041"}',
    "an escaped slash": b'{"a":"\\/"}',
    "an escape in capitals": b'{"a":"\\u001F"}',
    "a float": b'{"a":1.5}',
    "an exponent": b'{"a":1e3}',
    "minus zero": b'{"a":-0}',
    "a leading zero": b'{"a":01}',
    "NaN": b'{"a":NaN}',
    "infinity": b'{"a":-Infinity}',
    "an integer too large": b'{"a":9007199254740992}',
    "an integer too small": b'{"a":-9007199254740992}',
    "an integer beyond all": b'{"a":' + b"9" * 5000 + b"}",
    "two values": b'{"a":1}{"b":2}',
    "an array": b"[]",
    "a text": b'"a"',
    "nothing": b"",
    "half": b'{"a":',
    "a control character": b'{"a":"\x01"}',
    "a lone surrogate": b'{"a":"\\ud800"}',
    "no UTF-8": b'{"a":"\xff"}',
    "a key that is not ASCII": '{"ä":1}'.encode(),
    "too deep": b'{"a":' * 70 + b"1" + b"}" * 70,
    "a member of the envelope": b'{"a":1},"id":"T/k","source":"x"',
}


@pytest.mark.parametrize("name", OTHER_SPELLINGS)
def test_what_is_not_canonical_is_refused_in_the_words_of_the_strict_reader(name):
    leaf = line(OTHER_SPELLINGS[name])
    answer = told(leaf)
    assert isinstance(answer, tuple)
    assert answer == strictly(leaf)


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        b'{"a":9007199254740991,"b":-9007199254740991}',
        b'{"a":"\\u0001\\n\\"\\\\"}',
        '{"a":"Größe 😀"}'.encode(),
        b'{"a":[[],{},null,true,false,""]}',
        b'{"a":' * 60 + b"{}" + b"}" * 60,
        b'{"id":",\\"id\\":\\"T/k\\""}',
    ],
)
def test_what_is_canonical_is_read_alike(data):
    leaf = line(data)
    assert isinstance(told(leaf), dict)
    assert told(leaf) == strictly(leaf)


@pytest.mark.parametrize(
    "leaf",
    [
        line(b"{}", task=None),
        line(b"{}", task=None, task_seq=None).replace(b'"-/k"', b'"T/k"'),
        line(b"{}").replace(b'"subject":"T",', b""),
        line(b"{}").replace(b'"subject":"T"', b'"subject":"U"'),
        line(b"{}").replace(b'"task_seq":2', b'"task_seq":null'),
        line(b"{}", key="k" * 65),
        line(b"{}", key="k k"),
        line(b"{}", task=".T"),
        line(b"{}", task="T" * 65),
        line(b"{}", ts=2**53),
        line(b"{}").replace(b'"v":1', b'"v":2'),
        line(b"{}").replace(b'"v":1', b'"v":1.0'),
        line(b"{}").replace(b"1.0", b"1x0"),
        line(b"{}").replace(HASH.encode(), HASH.upper().encode()),
        line(b"{}") + b" ",
        line(b"{}") + b"\n",
        line(b"{}")[1:],
    ],
)
def test_a_place_or_an_envelope_that_is_none_is_refused_in_the_words_of_the_strict_reader(leaf):
    answer = told(leaf)
    assert isinstance(answer, tuple)
    assert answer == strictly(leaf)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    ),
    st.booleans(),
    st.booleans(),
)
def test_any_value_is_judged_alike(value, ascii_only, sort_keys):
    data = json.dumps({"a": value}, separators=(",", ":"), ensure_ascii=ascii_only, sort_keys=sort_keys)
    leaf = line(data.encode("utf-8", "surrogatepass"))
    assert told(leaf) == strictly(leaf)


def test_a_line_without_a_task_has_none():
    leaf = line(b"{}", task=None, task_seq=None)
    frame = read_frame(leaf)
    assert (frame.task, frame.task_prev, frame.task_seq, frame.key) == (None, None, None, "k")
    assert parse_frame(leaf)["event"]["data"] == {}
    assert canonical(parse_frame(leaf)) == leaf
