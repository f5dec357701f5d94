"""Whether an Ed25519 signature holds (RFC 8032 section 5.1.7).

Of what RFC 8032 leaves open, the strict side is taken, so that whether a signature holds is one answer everywhere: a
public key or a point in other than its canonical form, a scalar that is not reduced, and a key of low order, for which
one signature holds for many messages, verify nothing.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from enforcer.ledger.note import public_key_fault


def verify_ed25519(public: bytes, signature: bytes, message: bytes) -> bool:
    """Whether `signature` (64 bytes) is that of the key `public` (32 bytes) over `message`.

    Other lengths, and bytes that are no key that can vouch for something, are a no and never an error.
    """
    if public_key_fault(public):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True
