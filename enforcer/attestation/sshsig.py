"""SSH signatures as bytes (OpenSSH's PROTOCOL.sshsig), taken apart without believing them.

    signature  = "SSHSIG" uint32(1) string(public key) string(namespace) string("") string(hash) string(blob)
    armored    = "-----BEGIN SSH SIGNATURE-----" newline base64 in lines newline "-----END SSH SIGNATURE-----" newline

Who is said to have signed, for what purpose and how can be read off; whether it is true is found out by ssh-keygen
(`attestation.ssh`) and by arithmetic (`attestation.sshcheck`). What needs neither is decided here, for both alike.
It is read here so that each fault has its name, whatever words ssh-keygen has for it. The signature of a hardware key
says whether somebody touched the key, and one without a touch is refused: a key that signs for every program that asks
is worth no more than a file.
"""

from __future__ import annotations

from enforcer.attestation.sshkeys import (
    ED25519,
    HARDWARE,
    HARDWARE_ED25519,
    KEY_TYPES,
    RSA,
    KeyFault,
    UnknownKey,
    Wire,
    decode_base64,
    parse_key,
)
from enforcer.workflow.record import Record

MAX_ARMORED = 16 << 10

_BEGIN = "-----BEGIN SSH SIGNATURE-----\n"
_END = "\n-----END SSH SIGNATURE-----"
_MAGIC = b"SSHSIG"
_VERSION = 1
_HASHES = ("sha256", "sha512")
_RSA_ALGORITHMS = ("rsa-sha2-256", "rsa-sha2-512")
# What is known and may be named with the wrong key; SHA-1 (`ssh-rsa`) is known well enough not to be taken.
_ALGORITHMS = (*KEY_TYPES, *_RSA_ALGORITHMS)
_ED25519_SIZE = 64
_STATE_SIZE = 1 + 4  # Flags, and how often the key has signed; not every key counts.
_TOUCHED = 0x01


class SignatureFault(ValueError):
    """A text that is no signature that could count; the message says why, in printable ASCII."""


class UnknownSignature(SignatureFault):
    """A signature of a version, an algorithm or a type of key that this release does not know, and a later one may."""


class SshSignature(Record):
    """What a signature says of itself: the encoded public `key`, what it signs for, and the hash of the message.

    `algorithm` made `value`, in the encoding of its own. `state` is what a hardware key adds: the byte of its flags and
    the four of its counter, empty for other keys.
    """

    key: bytes
    key_type: str
    namespace: str
    hash_name: str
    algorithm: str
    value: bytes
    state: bytes = b""


def parse_signature(armored: str) -> SshSignature:
    """Take an armored signature apart. Raises `SignatureFault` for anything else, and for one made without a touch;
    `UnknownSignature` for what may be one of a later release."""
    try:
        return _parse(Wire(_dearm(armored)))
    except UnknownKey as fault:
        raise UnknownSignature(str(fault)) from None
    except KeyFault as fault:
        raise SignatureFault(str(fault)) from None


def _dearm(armored: str) -> bytes:
    if len(armored) > MAX_ARMORED:
        raise SignatureFault(f"it has {len(armored)} characters, the limit is {MAX_ARMORED}")
    text = armored.removesuffix("\n")
    if not (text.startswith(_BEGIN) and text.endswith(_END) and text.isascii()):
        raise SignatureFault("it does not stand between the lines that begin and end an SSH signature")
    return decode_base64(text[len(_BEGIN) : -len(_END)].replace("\n", ""))


def _parse(wire: Wire) -> SshSignature:
    if wire.take(len(_MAGIC)) != _MAGIC:
        raise SignatureFault("it does not begin as an SSH signature does")
    if wire.integer() != _VERSION:
        raise UnknownSignature("it is no SSH signature of version 1")
    key = wire.string()
    key_type = parse_key(key)
    namespace, reserved, hash_name = wire.name(), wire.string(), wire.name()
    if reserved:
        raise SignatureFault("its reserved field is not empty")
    if hash_name not in _HASHES:
        raise UnknownSignature("it hashes the message with neither of " + " and ".join(_HASHES))
    algorithm, value, state = _parse_blob(Wire(wire.string()), key_type)
    wire.end()
    return SshSignature(key, key_type, namespace, hash_name, algorithm, value, state)


def _parse_blob(wire: Wire, key_type: str) -> tuple[str, bytes, bytes]:
    """Algorithm, value and state."""
    algorithm, value = wire.name(), wire.string()
    if algorithm not in (_RSA_ALGORITHMS if key_type == RSA else (key_type,)):
        kind = SignatureFault if algorithm in _ALGORITHMS else UnknownSignature
        raise kind("its algorithm does not go with its key")
    if key_type in (ED25519, HARDWARE_ED25519):
        if len(value) != _ED25519_SIZE:
            raise SignatureFault(f"an Ed25519 signature has {_ED25519_SIZE} bytes")
    elif key_type != RSA:
        parse_pair(value)
    state = wire.take(_STATE_SIZE) if key_type in HARDWARE else b""
    if state and not state[0] & _TOUCHED:
        raise SignatureFault("it was made by a hardware key that nobody touched")
    wire.end()
    return algorithm, value, state


def parse_pair(value: bytes) -> tuple[int, int]:
    """The two numbers of an ECDSA signature (RFC 5656 §3.1.2). Raises `KeyFault`."""
    wire = Wire(value)
    pair = wire.number(), wire.number()
    wire.end()
    return pair
