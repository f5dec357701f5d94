"""Verifier keys and signed notes: one spelling for each, and only keys and signatures that can vouch for something."""

from __future__ import annotations

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from enforcer.attestation.signatures import verify_ed25519
from enforcer.errors import RequestError
from enforcer.ledger.note import (
    COSIGNATURE,
    ED25519,
    MAX_NOTE,
    MAX_SIGNATURES,
    Note,
    NoteFault,
    Signature,
    VerifierKey,
    cosignature_value,
    cosigned_message,
    format_note,
    format_vkey,
    key_id,
    parse_note,
    parse_vkey,
    signed_message,
    verified_by,
)

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


def test_a_witness_key_is_read_only_where_one_is_asked_for():
    text = format_vkey("witness.example", PUBLIC, COSIGNATURE)
    assert text == spell("witness.example", PUBLIC, b"\x04")
    assert "not an Ed25519 key" in refusal(parse_vkey, text)
    key = parse_vkey(text, (COSIGNATURE,))
    assert key == VerifierKey(name="witness.example", public=PUBLIC, algorithm=COSIGNATURE)
    assert parse_vkey(text, (ED25519, COSIGNATURE)) == key
    assert "not an Ed25519 key" in refusal(parse_vkey, spell("enforcer", PUBLIC), (COSIGNATURE,))


# --- Notes -----------------------------------------------------------------------------------------------------------

# The first worked example of Go's golang.org/x/mod/sumdb/note, and the one of C2SP signed-note.
PUBLISHED = """\
If you think cryptography is the answer to your problem,
then you don't know what your problem is.

— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=
""".encode()
QUASIMODO = """\
Ognuno sta solo sul cuor della terra
trafitto da un raggio di sole:

ed è subito sera.

— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=
""".encode()  # noqa: E501

TEXT = "enforcer/x\n7\nä\n\nmore\n".encode()
ALICE, BOB = Ed25519PrivateKey.from_private_bytes(bytes(32)), Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32)


def key_of(name: str, private: Ed25519PrivateKey, algorithm: int = ED25519) -> VerifierKey:
    public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return VerifierKey(name=name, public=public, algorithm=algorithm)


def signed(key: VerifierKey, private: Ed25519PrivateKey, text: bytes = TEXT, time: int = 1_679_315_147) -> Signature:
    if key.algorithm == COSIGNATURE:
        value = cosignature_value(time, private.sign(cosigned_message(text, time)))
    else:
        value = private.sign(text)
    return Signature(name=key.name, key_id=key_id(key.name, key.public, key.algorithm), value=value)


A, B, W = key_of("alice", ALICE), key_of("bob", BOB), key_of("bob", BOB, COSIGNATURE)
BY_A, BY_B, BY_W = signed(A, ALICE), signed(B, BOB), signed(W, BOB)


def fault(call, *args) -> str:
    with pytest.raises(NoteFault) as caught:
        call(*args)
    return str(caught.value)


def line(name: str = "alice", data: bytes = BY_A.key_id + BY_A.value) -> bytes:
    """A signature line made from the specification's words alone."""
    return f"\u2014 {name} {base64.b64encode(data).decode()}\n".encode()


def test_a_published_note_is_read_and_its_signature_holds():
    note = parse_note(PUBLISHED)
    assert note.text == PUBLISHED[: PUBLISHED.index(b"\n\n") + 1]
    assert verified_by(note, [parse_vkey(PETERNEUMANN)], verify_ed25519) == (parse_vkey(PETERNEUMANN),)
    assert format_note(note.text, note.signatures) == PUBLISHED


def test_the_last_empty_line_ends_the_text():
    note = parse_note(QUASIMODO)
    assert note.text.endswith("sole:\n\ned è subito sera.\n".encode())
    [signature] = note.signatures
    assert signature.name == "quasimodo.example/salvatore"
    assert (signature.key_id.hex(), len(signature.value)) == ("367ba04b", 64)


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]) | st.just("\n")),
    st.lists(
        st.builds(Signature, names, st.binary(min_size=4, max_size=4), st.binary(min_size=1)), min_size=1, max_size=9
    ),
)
def test_every_formatted_note_is_read_back(text, signatures):
    note = Note(text=f"{text}\n".encode(), signatures=tuple(signatures))
    assert parse_note(format_note(note.text, note.signatures)) == note


@given(st.binary(max_size=60) | st.builds(bytes.__add__, st.binary(max_size=9), st.just(b"\n\n" + line())))
def test_no_bytes_are_read_that_would_be_written_otherwise(data):
    try:
        note = parse_note(data)
    except NoteFault:
        return
    assert format_note(note.text, note.signatures) == data


@pytest.mark.parametrize(
    "data, expected",
    [
        (b"", "no empty line"),
        (b"text\n" + line(), "no empty line"),
        (b"text\n\n", "no signature after its last empty line"),
        (b"text\n\n" + line() + b"\n", "no signature after its last empty line"),
        (b"text\n\n" + line()[:-1], "no signature after its last empty line"),
        (b"text\n\n" + line() + line()[:-1], "no signature after its last empty line"),
        (b"text\n\n" + line() + b"more\n", "not of the form"),
        (b"text\n\n" + line().replace("\u2014".encode(), b"-"), "not of the form"),
        (b"text\n\n" + line().replace(b" alice", b"alice"), "not of the form"),
        (b"text\n\n" + line().replace(b"alice ", b"alice  "), "not of the form"),
        (b"text\n\n" + line().replace(b"\n", b" \n"), "not of the form"),
        (b"text\n\n" + line(""), "its name is empty"),
        (b"text\n\n" + line("al+ice"), "plus sign"),
        (b"text\n\n" + line("al\u2003ice"), "has a space"),
        (b"text\n\n" + line("al\u0085ice"), "has a space"),
        (b"text\n\n" + line("al\tice"), "control character"),
        (b"text\n\n" + line().replace(b"\n", b"\r\n"), "control character"),
        (b"te\x00xt\n\n" + line(), "control character"),
        (b"te\txt\n\n" + line(), "control character"),
        (b"te\xffxt\n\n" + line(), "not UTF-8"),
        (b"te\xed\xa0\x80xt\n\n" + line(), "not UTF-8"),
        (b"te\xc0\xafxt\n\n" + line(), "not UTF-8"),
        (b"text\n\n" + line("al\u00e9").replace(b"\xc3\xa9", b"\xe9"), "not UTF-8"),
        (b"text\n\n" + line(data=b""), "is empty"),
        (b"text\n\n" + line(data=BY_A.key_id), "is empty"),
        (b"text\n\n" + line().replace(b"=", b""), "not in base64"),
        (b"text\n\n" + line().replace(b"=", b"=="), "not in base64"),
        (b"text\n\n" + line(data=b"\xff\xef" * 9).replace(b"/", b"_"), "not in base64"),
        (b"text\n\n" + "\u2014 alice \u00e4\n".encode(), "not in base64"),
        (b"text\n\n" + line(data=bytes(5)).replace(b"AAA=", b"AAB="), "not in canonical base64"),
    ],
)
def test_a_malformed_note_is_refused_with_its_fault(data, expected):
    assert expected in fault(parse_note, data)


def test_a_note_has_room_for_many_signatures_and_an_end():
    room = MAX_NOTE - len(line()) - 2
    assert len(parse_note(b"x" * room + b"\n\n" + line()).text) == room + 1
    assert "longer than" in fault(parse_note, b"x" * (room + 1) + b"\n\n" + line())
    assert MAX_SIGNATURES >= 16
    assert len(parse_note(b"text\n\n" + line() * MAX_SIGNATURES).signatures) == MAX_SIGNATURES
    assert "more than" in fault(parse_note, b"text\n\n" + line() * (MAX_SIGNATURES + 1))


@pytest.mark.parametrize(
    "text, signatures",
    [
        (b"text", [BY_A]),
        (b"", [BY_A]),
        (b"te\rxt\n", [BY_A]),
        (b"text\n", []),
        (b"text\n", [BY_A.replace(name="al ice")]),
        (b"text\n", [BY_A.replace(name="al\n\u2014 ice")]),
        (b"text\n", [BY_A.replace(name="\ud800")]),
        (b"text\n", [BY_A.replace(key_id=b"", value=BY_A.key_id + BY_A.value)]),
        (b"text\n", [BY_A.replace(value=b"")]),
    ],
)
def test_what_cannot_be_read_back_is_not_formatted(text, signatures):
    assert fault(format_note, text, signatures)


# --- Signatures ------------------------------------------------------------------------------------------------------


def check(signatures, keys) -> tuple[VerifierKey, ...]:
    return verified_by(parse_note(format_note(TEXT, signatures)), keys, verify_ed25519)


def test_the_keys_whose_signature_holds_are_named_in_the_order_of_the_lines():
    assert check([BY_A], [A]) == (A,)
    assert check([BY_B, BY_A], [A, B]) == (B, A)
    assert check([BY_W, BY_A], [A, W, A]) == (W, A)


def test_one_name_may_sign_with_several_keys_and_in_both_ways():
    other = key_of("alice", BOB)
    assert check([BY_A, signed(other, BOB)], [A, other]) == (A, other)
    assert check([BY_B, BY_W], [B, W]) == (B, W)


def test_lines_of_unknown_keys_stay_unverified():
    nonsense = Signature(name="carol", key_id=b"abcd", value=b"?")
    assert check([nonsense, BY_A, nonsense], [A]) == (A,)
    assert check([nonsense, BY_B], [A]) == ()
    assert check([BY_A], []) == ()


def test_a_name_or_an_id_alone_makes_no_key_known():
    assert check([BY_A.replace(key_id=b"abcd")], [A]) == ()
    assert check([BY_A.replace(name="bob")], [A, B]) == ()
    assert check([BY_W], [B]) == ()


def test_a_known_key_whose_signature_does_not_hold_is_an_error_also_beside_others_that_do():
    wrong = BY_A.replace(value=ALICE.sign(b"another text\n"))
    assert "does not hold" in fault(check, [wrong], [A])
    assert "does not hold" in fault(check, [BY_B, wrong], [A, B])
    assert "not what its key makes" in fault(check, [BY_A.replace(value=BY_A.value[:-1])], [A])
    assert "not what its key makes" in fault(check, [BY_A.replace(value=BY_A.value + b"\0")], [A])


def test_two_lines_of_a_known_key_say_no_more_than_one_and_both_have_to_hold():
    assert check([BY_A, BY_A], [A]) == (A,)
    assert check([BY_W, signed(W, BOB, time=5)], [W]) == (W,)
    assert "does not hold" in fault(check, [BY_A, BY_A.replace(value=bytes(64))], [A])


def test_no_bit_of_text_or_signature_can_change():
    data = format_note(TEXT, [BY_A])
    for at in range(len(data) * 8):
        changed = bytearray(data)
        changed[at // 8] ^= 1 << at % 8
        try:
            assert verified_by(parse_note(bytes(changed)), [A], verify_ed25519) == ()
        except NoteFault:
            continue


def test_two_keys_that_cannot_be_told_apart_are_not_used():
    """Both have the name and, since the id has four bytes only, may be made to share it."""
    same: dict[bytes, VerifierKey] = {}
    for number in range(1 << 20):
        key = VerifierKey(name="n", public=number.to_bytes(32))
        twin = same.setdefault(key_id("n", key.public), key)
        if twin is not key:
            break
    else:
        raise AssertionError("no two of a million keys share an id")
    note = parse_note(format_note(TEXT, [BY_A]))
    assert "share the name" in fault(verified_by, note, [twin, key], verify_ed25519)


def test_a_cosignature_signs_the_time_and_the_whole_text():
    message, signature = signed_message(TEXT, W, BY_W.value)
    assert message == b"cosignature/v1\ntime 1679315147\n" + TEXT
    assert verify_ed25519(W.public, signature, message)
    later = BY_W.replace(value=(1_679_315_148).to_bytes(8) + BY_W.value[8:])
    assert "does not hold" in fault(check, [later], [W])


def test_a_cosignature_has_a_time_that_can_be_written():
    zero = signed(W, BOB, time=0)
    assert signed_message(TEXT, W, zero.value)[0] == b"cosignature/v1\ntime 0\n" + TEXT
    last = signed(W, BOB, time=2**63 - 1)
    assert check([last], [W]) == (W,)
    assert "out of range" in fault(signed_message, TEXT, W, (2**63).to_bytes(8) + bytes(64))
    assert "out of range" in fault(cosigned_message, TEXT, -1)


def test_each_kind_of_key_has_signatures_of_one_size():
    assert signed_message(TEXT, A, bytes(64)) == (TEXT, bytes(64))
    for key, size in ((A, 0), (A, 63), (A, 65), (A, 72), (W, 64), (W, 71), (W, 73), (A.replace(algorithm=6), 64)):
        assert "not what its key makes" in fault(signed_message, TEXT, key, bytes(size))
