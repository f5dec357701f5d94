"""Checkpoints: one way to write each down, and nothing else is read as one."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enforcer.ledger.checkpoint import MAX_SIZE, Checkpoint, format_checkpoint, parse_checkpoint
from enforcer.ledger.note import NoteFault

# The example of c2sp.org/tlog-checkpoint.
PUBLISHED = b"example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"

ROOT = bytes(range(32))
ENCODED = base64.b64encode(ROOT)

lines = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1)
heads = st.builds(
    Checkpoint,
    origin=lines,
    size=st.integers(0, MAX_SIZE),
    root=st.binary(min_size=32, max_size=32),
    extensions=st.lists(lines, max_size=3).map(tuple),
)


def fault(call, *args) -> str:
    with pytest.raises(NoteFault) as caught:
        call(*args)
    return str(caught.value)


def test_the_published_example_is_read_and_written():
    head = parse_checkpoint(PUBLISHED)
    assert (head.origin, head.size, head.extensions) == ("example.com/behind-the-sofa", 20_852_163, ())
    assert head.root.hex() == "0ac5186a91863e8e1d90c808014aa89bf5da8e3ee1d9f07630f0378f68f1ab62"
    assert format_checkpoint(head) == PUBLISHED


@given(heads)
def test_every_formatted_checkpoint_is_read_back(head):
    text = format_checkpoint(head)
    assert parse_checkpoint(text) == head
    assert text.split(b"\n")[1:3] == [b"%d" % head.size, base64.b64encode(head.root)]


@given(heads, st.data())
def test_changed_bytes_are_another_checkpoint_or_none(head, data):
    text = bytearray(format_checkpoint(head))
    text[data.draw(st.integers(0, len(text) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        other = parse_checkpoint(bytes(text))
    except NoteFault:
        return
    assert other != head
    assert format_checkpoint(other) == text


@pytest.mark.parametrize(
    "text, expected",
    [
        (b"", "three lines"),
        (b"origin\n7\n", "three lines"),
        (b"origin\n7\n" + ENCODED, "three lines"),
        (b"origin\n7\n" + ENCODED + b"\nmore", "three lines"),
        (b"\n7\n" + ENCODED + b"\n", "is empty"),
        (b"origin\n\n" + ENCODED + b"\n", "is empty"),
        (b"origin\n7\n\n", "is empty"),
        (b"origin\n7\n" + ENCODED + b"\n\n", "is empty"),
        (b"origin\n7\n" + ENCODED + b"\n\nmore\n", "is empty"),
        (b"origin\n07\n" + ENCODED + b"\n", "plain decimal"),
        (b"origin\n00\n" + ENCODED + b"\n", "plain decimal"),
        (b"origin\n+7\n" + ENCODED + b"\n", "plain decimal"),
        (b"origin\n-7\n" + ENCODED + b"\n", "plain decimal"),
        (b"origin\n7 \n" + ENCODED + b"\n", "plain decimal"),
        (b"origin\n7_0\n" + ENCODED + b"\n", "plain decimal"),
        (b"origin\n0x7\n" + ENCODED + b"\n", "plain decimal"),
        ("origin\n\u0667\n".encode() + ENCODED + b"\n", "plain decimal"),
        ("origin\n7\u00b2\n".encode() + ENCODED + b"\n", "plain decimal"),
        (b"origin\n%d\n" % (MAX_SIZE + 1) + ENCODED + b"\n", "larger than"),
        (b"origin\n" + b"9" * 900_000 + b"\n" + ENCODED + b"\n", "larger than"),
        (b"origin\n7\n" + base64.b64encode(ROOT[:31]) + b"\n", "31 bytes"),
        (b"origin\n7\n" + base64.b64encode(ROOT + b"\0") + b"\n", "33 bytes"),
        (b"origin\n7\n" + ENCODED[:-1] + b"\n", "base64"),
        (b"origin\n7\n" + ENCODED[:-2] + b"9=\n", "canonical base64"),
        (b"origin\n7\n " + ENCODED + b"\n", "base64"),
        (b"origin\r\n7\n" + ENCODED + b"\n", "control character"),
        (b"ori\xffgin\n7\n" + ENCODED + b"\n", "UTF-8"),
    ],
)
def test_what_is_no_checkpoint_is_refused_with_its_fault(text, expected):
    assert expected in fault(parse_checkpoint, text)


HEAD = Checkpoint(origin="origin", size=7, root=ROOT)


@pytest.mark.parametrize(
    "change",
    [
        {"origin": ""},
        {"origin": "evil\n999"},
        {"origin": "\ud800"},
        {"origin": "a\tb"},
        {"size": -1},
        {"size": MAX_SIZE + 1},
        {"size": True},
        {"root": ROOT[:31]},
        {"extensions": ("",)},
        {"extensions": ("one\ntwo",)},
    ],
)
def test_what_would_be_read_as_another_checkpoint_is_not_written(change):
    assert format_checkpoint(HEAD)
    assert fault(format_checkpoint, HEAD.replace(**change))
