"""What a pattern matches is stored nowhere, in whatever pieces the output arrives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enforcer.errors import RequestError
from enforcer.evidence.run.redaction import SPAN, Redaction

R = b"[redacted]"


def in_pieces(redaction: Redaction, data: bytes, cuts: list[int]) -> bytes:
    stream, out, start = redaction.stream(), b"", 0
    for cut in [*sorted(cuts), len(data)]:
        out += stream.feed(data[start:cut])
        start = cut
    return out + stream.finish()


def test_every_match_is_replaced() -> None:
    assert Redaction(("k[0-9]+", "secret")).apply(b"a k1 b\nsecret k22\n") == b"a " + R + b" b\n" + R + b" " + R + b"\n"


def test_matches_that_touch_are_one_and_every_pattern_sees_the_real_bytes() -> None:
    assert Redaction(("abc", "cde", "redacted")).apply(b"-abcde-") == b"-" + R + b"-"


def test_the_ends_of_lines_end_a_match_and_pass() -> None:
    assert Redaction(("x.*", r"(?s)a.+")).apply(b"x1\r\nx2\ra\nb\n") == R + b"\r\n" + R + b"\ra\nb\n"


def test_a_pattern_that_matches_nothing_changes_nothing() -> None:
    assert Redaction(("z*",)).apply(b"a\nb") == b"a\nb"


def test_bytes_that_are_not_text_are_matched_and_kept() -> None:
    assert Redaction(("é",)).apply(b"\xff\xc3\xa9\xfe") == b"\xff" + R + b"\xfe"


def test_without_patterns_nothing_is_held_back() -> None:
    assert Redaction().stream().feed(b"no line yet") == b"no line yet"


def test_a_line_is_let_go_when_it_ends() -> None:
    stream = Redaction(("secret",)).stream()
    assert stream.feed(b"begin") == b""
    assert stream.feed(b"ning\nnext") == b"beginning\n"
    assert stream.finish() == b"next"


@given(
    st.lists(st.sampled_from([b"a", b"key=1", b"\n", b"\r", b"\xff", b"ke", b"y=22 "])), st.lists(st.integers(0, 60))
)
def test_the_pieces_make_no_difference(words: list[bytes], cuts: list[int]) -> None:
    redaction = Redaction(("key=[0-9]+", "^a", "a$", r"(?<=\xff)k"))
    data = b"".join(words)
    whole = redaction.apply(data)
    assert in_pieces(redaction, data, [min(cut, len(data)) for cut in cuts]) == whole
    assert whole.count(b"\n") == data.count(b"\n")


# --- Lines too long to be held ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [0, 1, SPAN - 3, SPAN, 2 * SPAN - 3, 2 * SPAN, 3 * SPAN - 1, 5 * SPAN - 3])
@pytest.mark.parametrize("piece", [1000, SPAN, 10 * SPAN])
def test_a_match_is_found_wherever_it_stands_in_a_long_line(place: int, piece: int) -> None:
    redaction = Redaction(("secret",))
    data = b"." * place + b"secret" + b"." * (5 * SPAN)
    assert in_pieces(redaction, data, list(range(0, len(data), piece))) == data.replace(b"secret", R)


def test_a_long_line_is_not_held_whole() -> None:
    stream = Redaction(("secret",)).stream()
    assert len(stream.feed(b"." * 10 * SPAN)) >= 8 * SPAN


def test_what_stands_before_a_match_is_seen_although_it_has_left_already() -> None:
    line = b"key=s" * SPAN
    out = in_pieces(Redaction((r"(?<=key=)s",)), line, list(range(0, len(line), 1000)))
    assert out == b"key=" + (R + b"key=") * (SPAN - 1) + R


def test_a_match_without_an_end_in_sight_takes_the_rest_of_its_line() -> None:
    """Cut in two, the second half of a secret would no longer be known as one."""
    data = b"token=" + b"s" * (9 * SPAN) + b"\nopen\n"
    assert in_pieces(Redaction(("token=.*",)), data, list(range(0, len(data), 5000))) == R + b"\nopen\n"


# --- Patterns --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", ["", "(", "[a", "(?P<x>", "a{2,1}", "(?u)a", "\udc80"])
def test_a_pattern_that_cannot_be_used_is_the_callers_mistake(pattern: str) -> None:
    with pytest.raises(RequestError) as raised:
        Redaction(("fine", pattern))
    assert raised.value.code == "bad_pattern"
