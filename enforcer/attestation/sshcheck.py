"""Whether an SSH signature holds, by arithmetic alone (OpenSSH's PROTOCOL.sshsig, and PROTOCOL.u2f for hardware keys).

    signed     = "SSHSIG" string(namespace) string("") string(hash) string(hash of the message)
    hardware   = SHA-256(application) flags counter SHA-256(signed)

ssh-keygen says so when an approval is recorded. Whoever verifies a ledger later may have no ssh-keygen, or another one,
and asks of every approval: so the answer is made here, the same one everywhere, and needs no other program.
"""

from __future__ import annotations

import hashlib

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from enforcer.attestation.signatures import verify_ed25519
from enforcer.attestation.sshkeys import ED25519, HARDWARE, HARDWARE_ECDSA, HARDWARE_ED25519, RSA, Wire
from enforcer.attestation.sshsig import parse_pair
from enforcer.errors import UnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from enforcer.attestation.sshsig import SshSignature

_MAGIC = b"SSHSIG"

# RFC 5656 §6.2.1: the hash goes by the size of the curve.
_CURVES: Mapping[str, tuple[ec.EllipticCurve, hashes.HashAlgorithm]] = {
    "ecdsa-sha2-nistp256": (ec.SECP256R1(), hashes.SHA256()),
    "ecdsa-sha2-nistp384": (ec.SECP384R1(), hashes.SHA384()),
    "ecdsa-sha2-nistp521": (ec.SECP521R1(), hashes.SHA512()),
    HARDWARE_ECDSA: (ec.SECP256R1(), hashes.SHA256()),
}
# RFC 8332 §3; SHA-1 does not come this far.
_RSA_HASHES: Mapping[str, hashes.HashAlgorithm] = {
    "rsa-sha2-256": hashes.SHA256(),
    "rsa-sha2-512": hashes.SHA512(),
}


def check_signature(message: bytes, signature: SshSignature) -> bool:
    """Whether the key that `signature` names signed exactly `message`, for the purpose that the signature names.

    Whose key it is, and what for, is not asked: see `attestation.admission`. A key that is none, because it is off its
    curve or of low order, is a no. Raises `UnavailableError` `signature_unchecked` where the library cannot tell.
    """
    key = Wire(signature.key)
    key.name()
    try:
        return _BY_TYPE[signature.key_type](key, signature, _signed(message, signature))
    except (InvalidSignature, ValueError):
        return False
    except UnsupportedAlgorithm as error:
        raise UnavailableError(
            "signature_unchecked",
            f"A signature by a key of the type {signature.key_type} cannot be checked here: {error}.",
            fix="check it where the cryptographic library knows this type of key",
        ) from None


def _signed(message: bytes, signature: SshSignature) -> bytes:
    digest = hashlib.new(signature.hash_name, message).digest()
    fields = (signature.namespace.encode("ascii"), b"", signature.hash_name.encode("ascii"), digest)
    return _MAGIC + b"".join(len(field).to_bytes(4, "big") + field for field in fields)


# By the type of the key: each reads the fields behind the type's name, and raises where the signature does not hold.


def _ed25519(key: Wire, signature: SshSignature, signed: bytes) -> bool:
    public = key.string()
    return verify_ed25519(public, signature.value, _as_pressed(key, signature, signed))


def _ecdsa(key: Wire, signature: SshSignature, signed: bytes) -> bool:
    curve, algorithm = _CURVES[signature.key_type]
    key.string()  # The curve's name, which goes with the type.
    public = ec.EllipticCurvePublicKey.from_encoded_point(curve, key.string())
    value = encode_dss_signature(*parse_pair(signature.value))
    public.verify(value, _as_pressed(key, signature, signed), ec.ECDSA(algorithm))
    return True


def _rsa(key: Wire, signature: SshSignature, signed: bytes) -> bool:
    exponent, modulus = key.number(), key.number()
    public = RSAPublicNumbers(exponent, modulus).public_key()
    # Some agents drop leading zeros, and ssh-keygen takes that (RFC 4253 §6.6 has no padding of its own).
    value = signature.value.rjust((modulus.bit_length() + 7) // 8, b"\0")
    public.verify(value, signed, PKCS1v15(), _RSA_HASHES[signature.algorithm])
    return True


def _as_pressed(key: Wire, signature: SshSignature, signed: bytes) -> bytes:
    """What the key has signed: hardware keys sign digests, and say with it how they were asked."""
    if signature.key_type not in HARDWARE:
        return signed
    application = hashlib.sha256(key.string()).digest()
    return application + signature.state + hashlib.sha256(signed).digest()


_BY_TYPE: Mapping[str, Callable[[Wire, SshSignature, bytes], bool]] = {
    ED25519: _ed25519,
    HARDWARE_ED25519: _ed25519,
    RSA: _rsa,
    **dict.fromkeys(_CURVES, _ecdsa),
}
