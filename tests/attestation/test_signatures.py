"""Ed25519 as RFC 8032 has it, on its strict side."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from enforcer.attestation.signatures import verify_ed25519

VECTORS = Path(__file__).parents[1] / "vectors/wycheproof-ed25519/testvectors_v1/ed25519_test.json"
WYCHEPROOF = json.loads(VECTORS.read_text(encoding="utf-8"))
CASES = [(group["publicKey"]["pk"], case) for group in WYCHEPROOF["testGroups"] for case in group["tests"]]

# RFC 8032 section 7.1, TEST 3.
PUBLIC = bytes.fromhex("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025")
SIGNATURE = bytes.fromhex(
    "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
    "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
)
MESSAGE = bytes.fromhex("af82")

ORDER = 2**252 + 27742317777372353535851937790883648493


def test_there_are_all_the_vectors():
    assert len(CASES) == WYCHEPROOF["numberOfTests"] == 151
    assert [case["result"] for _, case in CASES].count("valid") == 88


@pytest.mark.parametrize("public, case", CASES, ids=[case["tcId"] for _, case in CASES])
def test_a_published_signature_is_judged_as_its_authors_do(public, case):
    holds = verify_ed25519(bytes.fromhex(public), bytes.fromhex(case["sig"]), bytes.fromhex(case["msg"]))
    assert holds is (case["result"] == "valid"), case["comment"]


def test_the_signature_of_the_rfc_holds_and_no_bit_of_it_can_change():
    assert verify_ed25519(PUBLIC, SIGNATURE, MESSAGE)
    for bit in range(8 * 64):
        changed = bytearray(SIGNATURE)
        changed[bit // 8] ^= 1 << bit % 8
        assert not verify_ed25519(PUBLIC, bytes(changed), MESSAGE)
    for bit in range(8 * 32):
        other = bytearray(PUBLIC)
        other[bit // 8] ^= 1 << bit % 8
        assert not verify_ed25519(bytes(other), SIGNATURE, MESSAGE)
    for bit in range(8 * 2):
        message = bytearray(MESSAGE)
        message[bit // 8] ^= 1 << bit % 8
        assert not verify_ed25519(PUBLIC, SIGNATURE, bytes(message))


@given(st.binary(max_size=80), st.binary(max_size=80), st.binary(max_size=20))
def test_arbitrary_bytes_are_a_no_and_never_an_error(public, signature, message):
    assert verify_ed25519(public, signature, message) is False
    assert verify_ed25519(PUBLIC, signature, message) is False
    assert verify_ed25519(public, SIGNATURE, MESSAGE) is False


@given(st.binary(min_size=32, max_size=32), st.binary())
def test_what_a_key_signs_holds_for_it_and_for_that_alone(seed, message):
    private = Ed25519PrivateKey.from_private_bytes(seed)
    public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    assert verify_ed25519(public, private.sign(message), message)
    assert not verify_ed25519(public, private.sign(message), message + b"\0")
    assert not verify_ed25519(public, private.sign(message)[:-1], message)
    assert not verify_ed25519(public, private.sign(message) + b"\0", message)


def test_a_scalar_that_is_not_reduced_does_not_hold():
    scalar = int.from_bytes(SIGNATURE[32:], "little")
    for multiple in range(1, 2**256 // ORDER):
        spelled = SIGNATURE[:32] + (scalar + multiple * ORDER).to_bytes(32, "little")
        assert not verify_ed25519(PUBLIC, spelled, MESSAGE)


@pytest.mark.parametrize("identity", ["01" + "00" * 31, "01" + "00" * 30 + "80"])
def test_a_key_for_which_one_signature_holds_for_every_message_verifies_nothing(identity):
    """With the neutral element as key, and R = S·B with S = 0, the equation holds whatever was signed."""
    public, forged = bytes.fromhex(identity), bytes.fromhex("01" + "00" * 63)
    if identity.endswith("00"):
        Ed25519PublicKey.from_public_bytes(public).verify(forged, b"anything")
    assert not verify_ed25519(public, forged, b"anything")


def test_a_key_of_order_eight_verifies_nothing_where_the_bare_equation_holds_for_many_messages():
    """With S = 0 and the neutral element as R, it holds whenever the hash of the message is a multiple of eight."""
    public = bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")
    forged = bytes.fromhex("01" + "00" * 63)
    taken = 0
    for number in range(100):
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(forged, b"%d" % number)
        except InvalidSignature:
            continue
        taken += 1
        assert not verify_ed25519(public, forged, b"%d" % number)
    assert taken


@pytest.mark.parametrize("y", [2**255 - 19 + 1, 2**255 - 19, 2**255 - 1])
def test_a_key_in_other_than_its_canonical_form_verifies_nothing(y):
    forged = bytes.fromhex("01" + "00" * 63)
    assert not verify_ed25519(y.to_bytes(32, "little"), forged, b"anything")
