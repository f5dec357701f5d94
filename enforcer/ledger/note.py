"""Verifier keys in the form of C2SP signed-note (c2sp.org/signed-note), the form in which a ledger names its key.

    <name>+<key id, 8 lower-case hex digits>+<base64 of 0x01 and the 32 bytes of an Ed25519 public key>

    enforcer/2b…+c74f20a3+AbLcK8…

The key id is the first four bytes of SHA-256(name ‖ "\\n" ‖ 0x01 ‖ public key). It stands here and not beside the
private keys because whoever only verifies needs the form, and neither a key nor a cryptographic library to read it.
"""

from __future__ import annotations

import binascii
import hashlib

from enforcer.errors import RequestError
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

# The algorithm byte of Ed25519 in signed-note.
_ED25519 = b"\x01"
_PUBLIC_SIZE = 32

# Curve25519's field and the constant of its twisted Edwards form, RFC 8032 section 5.1.
_P = 2**255 - 19
_D = -121665 * pow(121666, -1, _P) % _P

# The y coordinates of the eight points whose order divides 8; x and -x share a y. Under such a key one signature holds
# for many messages, so it vouches for nothing.
_ORDER_8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_LOW_ORDER = frozenset({0, 1, _P - 1, _ORDER_8, _P - _ORDER_8})


class VerifierKey(Record):
    """What a vkey says: the signer's name, and 32 bytes of an Ed25519 public key."""

    name: str
    public: bytes


def key_id(name: str, public: bytes) -> bytes:
    """The four bytes that stand for a key in a signature line."""
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:4]


def format_vkey(name: str, public: bytes) -> str:
    """The vkey of a public key. Raises `RequestError` `bad_vkey` for what `parse_vkey` would not take back."""
    _check_name(name)
    _check_public(public)
    return f"{name}+{key_id(name, public).hex()}+{_encode(_ED25519 + public)}"


def parse_vkey(text: str) -> VerifierKey:
    """The only reading of a vkey: one spelling for each key, and only keys that can vouch for something.

    Raises `RequestError` `bad_vkey`.
    """
    parts = text.split("+", 2)
    if len(parts) != 3:
        _refuse("it is not of the form name+id+key")
    name, stated_id, encoded = parts
    _check_name(name)
    data = _decode(encoded)
    if data[:1] != _ED25519:
        _refuse("its key is not an Ed25519 key")
    public = data[1:]
    _check_public(public)
    if stated_id != key_id(name, public).hex():
        _refuse("its key id does not belong to its name and key")
    return VerifierKey(name=name, public=public)


def _encode(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode()


def _decode(encoded: str) -> bytes:
    try:
        data = binascii.a2b_base64(encoded, strict_mode=True)
    except ValueError:
        _refuse("its key is not in base64")
    # Base64 that leaves unused bits set decodes as well, and would give one key several spellings.
    if _encode(data) != encoded:
        _refuse("its key is not in canonical base64")
    return data


def _check_name(name: str) -> None:
    """A name is not empty and has no plus and no Unicode space; control characters and lone surrogates are none of
    signed-note's concern, but cannot be shown safely or encoded."""
    if not name or "+" in name:
        _refuse("its name is empty or has a plus sign")
    if any(character.isspace() or ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 for character in name):
        _refuse("its name has a space or a control character")
    if any(0xD800 <= ord(character) < 0xE000 for character in name):
        _refuse("its name has a lone surrogate")


def _check_public(public: bytes) -> None:
    if len(public) != _PUBLIC_SIZE:
        _refuse(f"its key has {len(public)} bytes and not {_PUBLIC_SIZE}")
    y = int.from_bytes(public, "little") & (2**255 - 1)
    if y >= _P:
        _refuse("its key is not in canonical form")
    if y in _LOW_ORDER:
        _refuse("its key is a point of low order")
    if not _is_on_curve(y):
        _refuse("its key is no point of the curve")


def _is_on_curve(y: int) -> bool:
    """Whether x² = (y² - 1) / (d·y² + 1) has a solution, by Euler's criterion."""
    return pow((y * y - 1) * (_D * y * y + 1), (_P - 1) // 2, _P) == 1


def _refuse(fault: str) -> NoReturn:
    raise RequestError("bad_vkey", f"This is no verifier key: {fault}.", fix="copy the whole line that was published")
