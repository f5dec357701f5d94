"""Dead Simple Signing Envelopes (DSSE v1.0): bytes, the name of their type, and signatures over both.

    signed bytes  = "DSSEv1" SP LEN(type) SP type SP LEN(payload) SP payload          (the PAE; lengths are of bytes)
    envelope      = {"payload": base64, "payloadType": type, "signatures": [{"keyid": text, "sig": base64}, …]}

A reader takes base64 of either alphabet, and members that it does not know are ignored, both as the protocol demands.
`keyid` is a hint and proves nothing: which key signed is found by trying. A threshold counts keys, never signatures.

The key id written here is the one that in-toto and securesystemslib derive from an Ed25519 public key, so that a reader
who has nothing but the key in PEM finds the signature: SHA-256 over
`{"keytype":"ed25519","keyval":{"public":"<hex>"},"scheme":"ed25519"}`, in hex.
"""

from __future__ import annotations

import binascii
from hashlib import sha256

from enforcer.ledger.codec import JsonFault, canonical, parse
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from typing import Any

    Sign = Callable[[bytes], bytes]
    Check = Callable[[bytes, bytes, bytes], bool]  # (public key, signature, message) -> holds

IN_TOTO = "application/vnd.in-toto+json"

MAX_ENVELOPE = 1 << 26
MAX_SIGNATURES = 64

_URL_SAFE = str.maketrans("-_", "+/")


class EnvelopeFault(ValueError):
    """Bytes that are no envelope, or an envelope that is not signed as it has to be."""


class EnvelopeSignature(Record):
    """One signature; `keyid` is empty where the envelope gives none."""

    keyid: str
    value: bytes


class Envelope(Record):
    """What is signed: `payload`, and `payload_type`, which says how to read it."""

    payload: bytes
    payload_type: str
    signatures: tuple[EnvelopeSignature, ...]


def pae(payload_type: str, payload: bytes) -> bytes:
    """The pre-authentication encoding: what a signature is over."""
    name = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(name), name, len(payload), payload)


def key_id(public: bytes) -> str:
    """The `keyid` of an Ed25519 public key, 64 hex digits."""
    key = {"keytype": "ed25519", "keyval": {"public": public.hex()}, "scheme": "ed25519"}
    return sha256(canonical(key)).hexdigest()


def sign_envelope(payload: bytes, *, sign: Sign, public: bytes, payload_type: str = IN_TOTO) -> Envelope:
    """An envelope with one signature. `sign` gives the raw Ed25519 signature of `public`'s private half."""
    signature = EnvelopeSignature(key_id(public), sign(pae(payload_type, payload)))
    return Envelope(payload, payload_type, (signature,))


def format_envelope(envelope: Envelope) -> bytes:
    """Canonical JSON without a newline."""
    signatures = [
        {"sig": _encode(one.value), **({"keyid": one.keyid} if one.keyid else {})} for one in envelope.signatures
    ]
    return canonical(
        {"payload": _encode(envelope.payload), "payloadType": envelope.payload_type, "signatures": signatures}
    )


def parse_envelope(data: bytes) -> Envelope:
    """Read an envelope. Raises `EnvelopeFault`."""
    try:
        members = parse(data, max_bytes=MAX_ENVELOPE)
    except JsonFault as fault:
        raise EnvelopeFault(f"it is not JSON: {fault}") from None
    if not isinstance(members, dict):
        raise EnvelopeFault("it is not an object")
    signatures = members.get("signatures")
    if not isinstance(signatures, list) or not 0 < len(signatures) <= MAX_SIGNATURES:
        raise EnvelopeFault(f"it does not have between 1 and {MAX_SIGNATURES} signatures")
    payload = _decode(_text(members, "payload"))
    return Envelope(payload, _text(members, "payloadType"), tuple(_signature(one) for one in signatures))


def verify_envelope(
    envelope: Envelope, keys: Iterable[bytes], *, check: Check, threshold: int = 1, types: Collection[str] = (IN_TOTO,)
) -> tuple[bytes, ...]:
    """The public keys among `keys` that signed the envelope, at least `threshold` different ones.

    Only then, and only read as `payload_type` says, is the payload to be believed. Raises `EnvelopeFault` where they
    are fewer or the type is none of `types`; `ValueError` for a threshold that no key, or not all keys together, meet.
    """
    trusted = tuple(dict.fromkeys(keys))
    if not 0 < threshold <= len(trusted):
        raise ValueError(f"a threshold of {threshold} cannot be asked of {len(trusted)} keys")
    if not envelope.payload_type or envelope.payload_type not in types:
        raise EnvelopeFault(f"the payload is of the type {envelope.payload_type!a}, which is not read here")
    message = pae(envelope.payload_type, envelope.payload)
    found = tuple(public for public in trusted if any(check(public, one.value, message) for one in envelope.signatures))
    if len(found) < threshold:
        raise EnvelopeFault(f"{len(found)} of the {len(trusted)} trusted keys signed it, and {threshold} have to")
    return found


def _signature(members: Any) -> EnvelopeSignature:
    if not isinstance(members, dict):
        raise EnvelopeFault("a signature is not an object")
    keyid = members.get("keyid")
    if keyid is not None and not isinstance(keyid, str):
        raise EnvelopeFault("a keyid is not text")
    return EnvelopeSignature(keyid or "", _decode(_text(members, "sig")))


def _text(members: dict[str, Any], name: str) -> str:
    value = members.get(name)
    if not isinstance(value, str):
        raise EnvelopeFault(f"{name} is not text")
    return value


def _encode(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode()


def _decode(text: str) -> bytes:
    try:
        return binascii.a2b_base64(text.translate(_URL_SAFE), strict_mode=True)
    except ValueError:
        raise EnvelopeFault("a payload or signature is not in base64") from None
