"""Verifier keys: one spelling for each key, and only keys that can vouch for something."""

from __future__ import annotations

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from enforcer.errors import RequestError
from enforcer.ledger.note import VerifierKey, format_vkey, key_id, parse_vkey

P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P

# The key of the first worked example of Go's golang.org/x/mod/sumdb/note.
PETERNEUMANN = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"


def public_of(seed: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


PUBLIC = public_of(bytes(32))

publics = st.binary(min_size=32, max_size=32).map(public_of)
names = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"], exclude_characters="+"), min_size=1)


def refusal(call, *args) -> str:
    with pytest.raises(RequestError) as caught:
        call(*args)
    assert caught.value.code == "bad_vkey"
    assert caught.value.fix
    return caught.value.message


def spell(name: str, public: bytes, algorithm: bytes = b"\x01") -> str:
    """A vkey made from the specification's words alone, for any bytes."""
    digest = hashlib.sha256(name.encode() + b"\n" + algorithm + public).digest()
    return f"{name}+{digest[:4].hex()}+{base64.b64encode(algorithm + public).decode()}"


# Edwards arithmetic, slow and independent of the package, to find the points of low order.


def add(one, two):
    (x1, y1), (x2, y2) = one, two
    k = D * x1 * x2 * y1 * y2
    x = (x1 * y2 + x2 * y1) * pow(1 + k, -1, P)
    y = (y1 * y2 + x1 * x2) * pow(1 - k, -1, P)
    return x % P, y % P


def times(number, point):
    total = (0, 1)
    while number:
        if number & 1:
            total = add(total, point)
        point = add(point, point)
        number >>= 1
    return total


def lift(y):
    """A point with this y, or None where the curve has none."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    root = pow(square, (P + 3) // 8, P)
    for x in (root, root * pow(2, (P - 1) // 4, P) % P):
        if x * x % P == square:
            return x, y
    return None


def compress(point) -> bytes:
    x, y = point
    return (y | (x & 1) << 255).to_bytes(32, "little")


def low_order_points():
    """The eight points that the large prime factor of the group's order leaves of an arbitrary point."""
    order = 2**252 + 27742317777372353535851937790883648493
    for y in range(2, 1000):
        start = lift(y)
        generator = None if start is None else times(order, start)
        if generator is not None and times(4, generator) != (0, 1):
            return [times(k, generator) for k in range(8)]
    raise AssertionError


def test_a_published_key_is_read_as_what_it_says():
    key = parse_vkey(PETERNEUMANN)
    assert key.name == "PeterNeumann"
    assert key_id(key.name, key.public).hex() == "c74f20a3"
    assert format_vkey(key.name, key.public) == PETERNEUMANN


@given(names, publics)
def test_every_formatted_key_is_read_back_and_has_one_spelling(name, public):
    text = format_vkey(name, public)
    assert text == spell(name, public)
    assert parse_vkey(text) == VerifierKey(name=name, public=public)


@given(st.text() | st.builds("{}+{}+{}".format, st.text(max_size=4), st.text(max_size=8), st.text(max_size=44)))
def test_any_other_text_is_refused_and_nothing_else_happens(text):
    assert refusal(parse_vkey, text)


@given(publics, st.data())
def test_no_single_character_of_a_key_can_change(public, data):
    text = format_vkey("enforcer/x", public)
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(exclude_characters=text[at]))
    assert refusal(parse_vkey, text[:at] + other + text[at + 1 :])


@pytest.mark.parametrize(
    "change, fault",
    [
        (lambda text: "", "not of the form"),
        (lambda text: "enforcer+00000000", "not of the form"),
        (lambda text: text + "\n", "base64"),
        (lambda text: " " + text, "name has a space"),
        (lambda text: text.replace("enforcer", ""), "name is empty"),
        (lambda text: text.replace("enforcer", "en\u2003forcer"), "name has a space"),
        (lambda text: text.replace("enforcer", "en\x1bforcer"), "control character"),
        (lambda text: text.replace("enforcer", "en\x7fforcer"), "control character"),
        (lambda text: text.replace("enforcer", "en\ud800forcer"), "surrogate"),
        (lambda text: text.replace("enforcer", "other"), "key id"),
        (lambda text: text[:9] + text[9:17].upper() + text[17:], "key id"),
        (lambda text: text[:9] + text[10:], "key id"),
        (lambda text: text + "=", "base64"),
        (lambda text: text[:-1], "base64"),
        (lambda text: text[:-4] + "\n" + text[-4:], "base64"),
        (lambda text: text[:-1] + "ä", "base64"),
        (lambda text: spell("enforcer", PUBLIC, b"\x04"), "not an Ed25519 key"),
        (lambda text: spell("enforcer", b"", b""), "not an Ed25519 key"),
        (lambda text: spell("enforcer", PUBLIC + b"\0"), "33 bytes"),
        (lambda text: spell("enforcer", PUBLIC[:-1]), "31 bytes"),
    ],
)
def test_a_malformed_key_is_refused_with_its_fault(change, fault):
    changed = change(format_vkey("enforcer", PUBLIC))
    assert fault in refusal(parse_vkey, changed)


def test_base64_with_unused_bits_set_is_refused():
    """33 bytes leave none; a key of 32 does, and is refused for that before its length is looked at."""
    text = spell("enforcer", PUBLIC[:-1])
    assert text.endswith("=")
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    loose = text[:-2] + last[last.index(text[-2]) + 1] + "="
    assert base64.b64decode(loose.split("+", 2)[2]) == base64.b64decode(text.split("+", 2)[2])
    assert "canonical base64" in refusal(parse_vkey, loose)


def test_the_eight_points_of_low_order_are_refused_with_either_sign():
    points = low_order_points()
    assert len(set(points)) == 8
    for point in points:
        assert times(8, point) == (0, 1)
        public = compress(point)
        for spelled in (public, public[:-1] + bytes([public[-1] ^ 0x80])):
            assert "low order" in refusal(parse_vkey, spell("enforcer", spelled))
            assert "low order" in refusal(format_vkey, "enforcer", spelled)


@pytest.mark.parametrize("y", [*range(P, P + 19), 2**255 - 1])
@pytest.mark.parametrize("sign", [0, 1])
def test_no_coordinate_beyond_the_field_is_taken(y, sign):
    public = (y | sign << 255).to_bytes(32, "little")
    assert "canonical form" in refusal(parse_vkey, spell("enforcer", public))


@given(st.integers(2, P - 2))
def test_a_key_is_taken_exactly_where_the_curve_has_its_point(y):
    text = spell("enforcer", y.to_bytes(32, "little"))
    if any(y == low for _, low in low_order_points()):
        assert "low order" in refusal(parse_vkey, text)
    elif lift(y) is None:
        assert "no point" in refusal(parse_vkey, text)
    else:
        assert parse_vkey(text).public == y.to_bytes(32, "little")


def test_a_name_that_cannot_be_read_back_is_not_formatted():
    for name in ("", "a+b", "a b", "a\nb", "\ud800"):
        assert "name" in refusal(format_vkey, name, PUBLIC)
