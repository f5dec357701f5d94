"""Proofs that stand alone: one way to write each down, and nothing else is read as one."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enforcer.ledger.checkpoint import MAX_SIZE
from enforcer.ledger.entry import MAX_LEAF
from enforcer.ledger.note import MAX_NOTE, NoteFault
from enforcer.ledger.proof import MAX_PROOF, InclusionProof, format_proof, parse_proof

HEAD = b"enforcer/x\n7\n" + base64.b64encode(bytes(32)) + b"\n"
LINE = "\u2014 enforcer/x ".encode() + base64.b64encode(bytes(68)) + b"\n"
NOTE = HEAD + b"\n" + LINE
HASHES = (bytes(range(32)), bytes(range(32, 64)))
FIRST, SECOND = (base64.b64encode(each) + b"\n" for each in HASHES)
PROOF = InclusionProof(index=5, hashes=HASHES, checkpoint=NOTE, extra=b"leaf")
DATA = b"c2sp.org/tlog-proof@v1\nextra bGVhZg==\nindex 5\n" + FIRST + SECOND + b"\n" + NOTE


def fault(call, *args) -> str:
    with pytest.raises(NoteFault) as caught:
        call(*args)
    return str(caught.value)


def test_a_proof_is_written_as_the_specification_says():
    assert format_proof(PROOF) == DATA
    assert parse_proof(DATA) == PROOF
    bare = InclusionProof(index=0, hashes=(), checkpoint=NOTE)
    assert format_proof(bare) == b"c2sp.org/tlog-proof@v1\nindex 0\n\n" + NOTE
    assert parse_proof(format_proof(bare)) == bare


@given(
    st.integers(0, MAX_SIZE),
    st.lists(st.binary(min_size=32, max_size=32), max_size=63).map(tuple),
    st.binary(),
)
def test_every_formatted_proof_is_read_back(index, hashes, extra):
    proof = InclusionProof(index=index, hashes=hashes, checkpoint=NOTE, extra=extra)
    assert parse_proof(format_proof(proof)) == proof


@given(st.integers(0, len(DATA) - 1), st.integers(0, 7))
def test_changed_bytes_are_another_proof_or_none(at, bit):
    changed = bytearray(DATA)
    changed[at] ^= 1 << bit
    try:
        other = parse_proof(bytes(changed))
    except NoteFault:
        return
    assert other != PROOF
    assert format_proof(other) == changed


@pytest.mark.parametrize(
    "old, new, expected",
    [
        (DATA, b"", "no empty line"),
        (b"@v1", b"@v2", "does not begin with"),
        (b"c2sp", b"\nc2sp", "does not begin with"),
        (b"extra bGVhZg==\n", b"extra \n", "is empty"),
        (b"extra bGVhZg==\n", b"extra\n", "which leaf"),
        (b"extra bGVhZg==\n", b"extra bGVhZg==\nextra bGVhZg==\n", "which leaf"),
        (b"extra bGVhZg==", b"extra bGVhZg", "base64"),
        (b"extra bGVhZg==", b"extra bGVhZh==", "canonical base64"),
        (b"extra bGVhZg==", b"extra  bGVhZg==", "base64"),
        (b"extra bGVhZg==", b"Extra bGVhZg==", "which leaf"),
        (b"index 5\n", b"", "which leaf"),
        (b"index 5", b"index", "which leaf"),
        (b"index 5", b"index 05", "plain decimal"),
        (b"index 5", b"index -5", "plain decimal"),
        (b"index 5", b"index 5 ", "plain decimal"),
        (b"index 5", b"index ", "plain decimal"),
        (b"index 5", b"index 9223372036854775808", "larger than"),
        (b"index 5\n", b"index 5\r\n", "control character"),
        (FIRST, FIRST[:-2] + b"\n", "base64"),
        (FIRST, base64.b64encode(bytes(31)) + b"\n", "31 bytes"),
        (FIRST, FIRST * 63, "more than any tree"),
        (FIRST, b"\n" + FIRST, "a line of the checkpoint is empty"),
        (b"\n" + NOTE, NOTE, "no empty line"),
        (LINE, b"", "no signature"),
        (b"\n7\n", b"\n07\n", "plain decimal"),
        (b"enforcer/x\n7", b"enforcer/\xff\n7", "UTF-8"),
    ],
)
def test_what_is_no_proof_is_refused_with_its_fault(old, new, expected):
    assert DATA.count(old) == 1
    with pytest.raises(NoteFault) as caught:
        parse_proof(DATA.replace(old, new))
    assert expected in str(caught.value)


def test_a_proof_has_room_for_the_longest_leaf_beside_the_largest_note():
    note = b"x" * (MAX_NOTE - len(HEAD) - len(LINE) - 2) + b"\n" + HEAD[len(b"enforcer/x\n") :] + b"\n" + LINE
    assert MAX_NOTE - 12 <= len(note) <= MAX_NOTE
    proof = InclusionProof(index=MAX_SIZE, hashes=HASHES[:1] * 63, checkpoint=note, extra=bytes(MAX_LEAF))
    assert parse_proof(format_proof(proof)) == proof
    assert "the proof is longer than" in fault(parse_proof, DATA + b"x" * MAX_PROOF)


@pytest.mark.parametrize(
    "change",
    [
        {"index": -1},
        {"index": MAX_SIZE + 1},
        {"hashes": (b"short",)},
        {"hashes": HASHES[:1] * 64},
        {"checkpoint": HEAD},
        {"checkpoint": b"\n" + NOTE},
        {"checkpoint": b"text\n\n" + LINE},
    ],
)
def test_what_would_be_read_as_another_proof_is_not_written(change):
    assert fault(format_proof, PROOF.replace(**change))
