"""SSH signatures as bytes (OpenSSH's PROTOCOL.sshsig), taken apart without believing them.

    signature  = "SSHSIG" uint32(1) string(public key) string(namespace) string("") string(hash) string(blob)
    armored    = "-----BEGIN SSH SIGNATURE-----" newline base64 in lines newline "-----END SSH SIGNATURE-----" newline

Who is said to have signed, for what purpose and how can be read off; that it is true only `attestation.ssh` finds out.
It is read here so that each fault has its name, whatever words ssh-keygen has for it. The signature of a hardware key
says whether somebody touched the key, and one without a touch is refused: a key that signs for every program that asks
is worth no more than a file.
"""

from __future__ import annotations

from enforcer.attestation.sshkeys import (
    ED25519,
    HARDWARE,
    HARDWARE_ED25519,
    RSA,
    KeyFault,
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
_ED25519_SIZE = 64
_TOUCHED = 0x01


class SignatureFault(ValueError):
    """A text that is no signature that could count; the message says why, in printable ASCII."""


class SshSignature(Record):
    """What a signature says of itself: the encoded public `key`, what it signs for, and the hash of the message."""

    key: bytes
    key_type: str
    namespace: str
    hash_name: str


def parse_signature(armored: str) -> SshSignature:
    """Take an armored signature apart. Raises `SignatureFault` for anything else, and for one made without a touch."""
    try:
        return _parse(Wire(_dearm(armored)))
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
    if wire.take(len(_MAGIC)) != _MAGIC or wire.integer() != _VERSION:
        raise SignatureFault("it is no SSH signature of version 1")
    key = wire.string()
    key_type = parse_key(key)
    namespace, reserved, hash_name = wire.name(), wire.string(), wire.name()
    if reserved:
        raise SignatureFault("its reserved field is not empty")
    if hash_name not in _HASHES:
        raise SignatureFault("it hashes the message with neither of " + " and ".join(_HASHES))
    _check_blob(Wire(wire.string()), key_type)
    wire.end()
    return SshSignature(key, key_type, namespace, hash_name)


def _check_blob(wire: Wire, key_type: str) -> None:
    algorithm, value = wire.name(), wire.string()
    if algorithm not in (_RSA_ALGORITHMS if key_type == RSA else (key_type,)):
        raise SignatureFault("its algorithm does not go with its key")
    if key_type in (ED25519, HARDWARE_ED25519) and len(value) != _ED25519_SIZE:
        raise SignatureFault(f"an Ed25519 signature has {_ED25519_SIZE} bytes")
    if key_type in HARDWARE:
        flags = wire.take(1)[0]
        wire.integer()  # How often the key has signed; not every key counts.
        if not flags & _TOUCHED:
            raise SignatureFault("it was made by a hardware key that nobody touched")
    wire.end()
