"""SSH public keys as bytes: the wire encoding of RFC 4251 §5, and which keys are taken (RFC 4253 §6.6, 5656, 8709).

A key is compared by its encoded bytes, so each key may have one encoding only: base64 and numbers that could be written
in another way too are refused, as is whatever stands behind the last field. Hardware keys (`sk-…`, OpenSSH's
PROTOCOL.u2f) are keys like others. Not taken are certificates, whose signer would decide who approves, DSA, and RSA
below 2,048 bits.
"""

from __future__ import annotations

import binascii
from hashlib import sha256

MIN_RSA_BITS = 2048
MAX_RSA_BITS = 16384

ED25519, RSA = "ssh-ed25519", "ssh-rsa"
HARDWARE_ED25519, HARDWARE_ECDSA = "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"
HARDWARE = (HARDWARE_ED25519, HARDWARE_ECDSA)

# Type → the curve and the size of a coordinate in bytes.
_CURVES = {
    "ecdsa-sha2-nistp256": (b"nistp256", 32),
    "ecdsa-sha2-nistp384": (b"nistp384", 48),
    "ecdsa-sha2-nistp521": (b"nistp521", 66),
    HARDWARE_ECDSA: (b"nistp256", 32),
}
KEY_TYPES = (ED25519, RSA, *_CURVES, HARDWARE_ED25519)

_ED25519_SIZE = 32
_DSA = "ssh-dss"


class KeyFault(ValueError):
    """Bytes that are no key that can be used here; the message says why, in printable ASCII."""


class UnknownKey(KeyFault):
    """A key of a type that this release does not know, and a later one may."""


class Wire:
    """Reads fields one after the other. Every method raises `KeyFault` where the bytes end too early."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        taken = self._data[self._at : self._at + size]
        if len(taken) != size:
            raise KeyFault(f"it ends at byte {len(self._data)}, inside of a field")
        self._at += size
        return taken

    def integer(self) -> int:
        """A `uint32`."""
        return int.from_bytes(self.take(4), "big")

    def string(self) -> bytes:
        """A `string`: its length and its bytes."""
        return self.take(self.integer())

    def name(self) -> str:
        """A `string` of printable ASCII."""
        text = self.string().decode("latin-1")
        if not (text.isascii() and text.isprintable()):
            raise KeyFault("a name in it is not printable ASCII")
        return text

    def number(self) -> int:
        """A positive `mpint`, in the one form that it has."""
        data = self.string()
        value = int.from_bytes(data, "big", signed=True)
        if value <= 0 or len(data) != value.bit_length() // 8 + 1:
            raise KeyFault("a number in it is not positive, or longer than it needs to be")
        return value

    def end(self) -> None:
        """Raises `KeyFault` unless everything was read."""
        if self._at != len(self._data):
            raise KeyFault(f"{len(self._data) - self._at} bytes stand behind its end")


def parse_key(data: bytes) -> str:
    """The type of an encoded public key. Raises `KeyFault` for every key that is not taken."""
    wire = Wire(data)
    key_type = wire.name()
    if key_type == ED25519:
        _check_ed25519(wire)
    elif key_type == RSA:
        _check_rsa(wire)
    elif key_type in _CURVES:
        _check_point(wire, *_CURVES[key_type])
    elif key_type == HARDWARE_ED25519:
        _check_ed25519(wire)
    else:
        raise _not_taken(key_type)
    if key_type in HARDWARE and not wire.name():
        raise KeyFault("a hardware key names the application that it is for")
    wire.end()
    return key_type


def _check_ed25519(wire: Wire) -> None:
    if len(wire.string()) != _ED25519_SIZE:
        raise KeyFault(f"an Ed25519 key has {_ED25519_SIZE} bytes")


def _check_rsa(wire: Wire) -> None:
    wire.number()
    bits = wire.number().bit_length()
    if not MIN_RSA_BITS <= bits <= MAX_RSA_BITS:
        raise KeyFault(f"an RSA key of {bits} bits; it takes {MIN_RSA_BITS} to {MAX_RSA_BITS}")


def _check_point(wire: Wire, curve: bytes, size: int) -> None:
    named, point = wire.string(), wire.string()
    if named != curve or len(point) != 1 + 2 * size or point[0] != 4:
        raise KeyFault("an ECDSA key names the curve of its type and holds an uncompressed point of it")


def _not_taken(key_type: str) -> KeyFault:
    shown = key_type if len(key_type) <= 60 else key_type[:57] + "..."
    if "-cert-v" in key_type:
        why = f"{shown} is a certificate, and whoever signs certificates would decide who approves: name the key"
        return KeyFault(why)
    kind = KeyFault if key_type == _DSA else UnknownKey
    return kind(f"keys of the type {shown} are not taken: {', '.join(KEY_TYPES)} are")


def decode_base64(text: str) -> bytes:
    """The bytes of a base64 text. Raises `KeyFault` unless it is just what those bytes encode to."""
    try:
        data = binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except (ValueError, binascii.Error):
        raise KeyFault("it is no base64") from None
    if binascii.b2a_base64(data, newline=False).decode("ascii") != text:
        raise KeyFault("its base64 could be written in another way")
    return data


def fingerprint(key: bytes) -> str:
    """`SHA256:…`, as ssh-keygen shows it: base64 without padding."""
    return "SHA256:" + binascii.b2a_base64(sha256(key).digest(), newline=False).decode("ascii").rstrip("=")
