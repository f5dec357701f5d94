"""DSSE: the protocol's vectors, and what no envelope may pass as."""

from __future__ import annotations

import json
from typing import Any

import pytest

from enforcer.attestation.dsse import (
    IN_TOTO,
    EnvelopeFault,
    format_envelope,
    key_id,
    pae,
    parse_envelope,
    sign_envelope,
    verify_envelope,
)
from enforcer.attestation.signatures import verify_ed25519
from tests.attestation.walks import FOREIGN_KEY, LEDGER_KEY
from tests.sources import ROOT

VECTORS = json.loads((ROOT / "tests/vectors/dsse/testvectors/vectors.json").read_text(encoding="utf-8"))
PAYLOAD = b'{"_type":"https://in-toto.io/Statement/v1"}'


def signed() -> dict[str, Any]:
    return json.loads(format_envelope(sign_envelope(PAYLOAD, sign=LEDGER_KEY, public=LEDGER_KEY.public)))


def accepts(envelope: dict[str, Any], *keys: bytes, threshold: int = 1, types: tuple[str, ...] = (IN_TOTO,)) -> bool:
    try:
        verify_envelope(
            parse_envelope(json.dumps(envelope).encode()), keys, check=verify_ed25519, threshold=threshold, types=types
        )
    except EnvelopeFault:
        return False
    return True


def test_there_are_nine_vectors() -> None:
    assert len(VECTORS["vectors"]) == 9


@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda vector: vector["id"])
def test_a_vector_is_answered_as_the_protocol_demands(vector: dict[str, Any]) -> None:
    keys = [bytes.fromhex(VECTORS["keys"][name]["public"]) for name in vector["trustedKeys"]]
    types = tuple(vector["supportedPayloadTypes"])

    answer = accepts(vector["envelope"], *keys, threshold=vector["threshold"], types=types)

    assert answer is (vector["expect"] == "accept")


@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda vector: vector["id"])
def test_the_signed_bytes_of_a_vector_are_those_of_the_protocol(vector: dict[str, Any]) -> None:
    envelope = parse_envelope(json.dumps(vector["envelope"]).encode())
    made = pae(envelope.payload_type, envelope.payload).hex()
    # In one vector the type was swapped after signing, and its bytes are those that were signed.
    assert (made == vector["pae"]) is (vector["id"] != "payload-type-swapped")


def test_what_is_signed_is_read_back_and_verified() -> None:
    envelope = sign_envelope(PAYLOAD, sign=LEDGER_KEY, public=LEDGER_KEY.public)
    read = parse_envelope(format_envelope(envelope))
    assert read == envelope
    assert verify_envelope(read, [FOREIGN_KEY.public, LEDGER_KEY.public], check=verify_ed25519) == (LEDGER_KEY.public,)


def test_every_changed_bit_of_payload_type_and_signature_is_refused() -> None:
    good = sign_envelope(PAYLOAD, sign=LEDGER_KEY, public=LEDGER_KEY.public)
    [signature] = good.signatures
    for at in range(len(PAYLOAD) * 8):
        assert _refused(good.replace(payload=_flipped(PAYLOAD, at)))
    for at in range(64 * 8):
        assert _refused(good.replace(signatures=(signature.replace(value=_flipped(signature.value, at)),)))
    other = good.replace(payload_type=IN_TOTO + " ")
    with pytest.raises(EnvelopeFault):
        verify_envelope(other, [LEDGER_KEY.public], check=verify_ed25519, types=(other.payload_type,))


def _refused(envelope: Any) -> bool:
    try:
        verify_envelope(envelope, [LEDGER_KEY.public], check=verify_ed25519)
    except EnvelopeFault:
        return True
    return False


def _flipped(data: bytes, at: int) -> bytes:
    changed = bytearray(data)
    changed[at // 8] ^= 1 << at % 8
    return bytes(changed)


def test_a_keyid_proves_nothing_either_way() -> None:
    envelope = signed()
    envelope["signatures"][0]["keyid"] = key_id(FOREIGN_KEY.public)
    assert accepts(envelope, LEDGER_KEY.public)
    assert not accepts(envelope, FOREIGN_KEY.public)


def test_a_key_that_is_given_twice_counts_once() -> None:
    envelope = parse_envelope(json.dumps(signed()).encode())
    with pytest.raises(ValueError, match="threshold of 2 cannot be asked of 1 keys"):
        verify_envelope(envelope, [LEDGER_KEY.public] * 2, check=verify_ed25519, threshold=2)


@pytest.mark.parametrize("threshold", [0, -1, 2])
def test_a_threshold_that_means_nothing_is_an_error_and_no_yes(threshold: int) -> None:
    with pytest.raises(ValueError, match="threshold"):
        accepts(signed(), LEDGER_KEY.public, threshold=threshold)


@pytest.mark.parametrize(
    "change",
    [
        {"payload": 1},
        {"payload": "a"},
        {"payload": "§§§§"},
        {"payloadType": None},
        {"signatures": []},
        {"signatures": {}},
        {"signatures": ["x"]},
        {"signatures": [{"keyid": "A"}]},
        {"signatures": [{"sig": "AA==", "keyid": 1}]},
        {"signatures": [{"sig": "AA=="}] * 65},
    ],
    ids=str,
)
def test_what_is_no_envelope_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(EnvelopeFault):
        parse_envelope(json.dumps({**signed(), **change}).encode())


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"\xff", b'{"payload":"","payload":""}'])
def test_what_is_no_object_is_refused(data: bytes) -> None:
    with pytest.raises(EnvelopeFault):
        parse_envelope(data)


def test_members_that_are_not_known_are_ignored() -> None:
    assert accepts({**signed(), "comment": "later"}, LEDGER_KEY.public)


def test_an_empty_type_is_read_by_nobody() -> None:
    envelope = sign_envelope(PAYLOAD, sign=LEDGER_KEY, public=LEDGER_KEY.public, payload_type="")
    with pytest.raises(EnvelopeFault, match="type"):
        verify_envelope(envelope, [LEDGER_KEY.public], check=verify_ed25519, types=("",))
