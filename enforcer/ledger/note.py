"""Signed notes and verifier keys: C2SP signed-note (c2sp.org/signed-note).

A note is text that ends in a newline, an empty line, and one line a signature:

    enforcer/2b…
    20852163
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

    — enforcer/2b… Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=

What follows the name is base64 of the key id, four bytes, and the signature. Text is separated from signatures by the
last empty line. A key is published as a vkey, the form in which a ledger names its own:

    <name>+<key id, 8 lower-case hex digits>+<base64 of an algorithm byte and the 32 bytes of an Ed25519 public key>

The algorithm is 1 where the note's text is signed itself, and 4 for cosignatures (c2sp.org/tlog-cosignature), which
sign a time as well. The key id is the first four bytes of SHA-256(name ‖ "\\n" ‖ algorithm ‖ public key): it finds a
key and proves nothing.

All of this stands here and not beside the private keys because whoever only reads needs neither a key nor a
cryptographic library: `verified_by` is given the one function that checks an Ed25519 signature.
"""

from __future__ import annotations

import binascii
from hashlib import sha256

from enforcer.errors import RequestError
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from typing import NoReturn

    # (public key, signature, message) -> whether the signature holds
    Check = Callable[[bytes, bytes, bytes], bool]

# The algorithm bytes of signed-note that are known here.
ED25519 = 1
COSIGNATURE = 4

MAX_NOTE = 1_000_000
MAX_SIGNATURES = 100

_PUBLIC_SIZE = 32
_KEY_ID_SIZE = 4
_SIGNATURE_SIZE = 64
_TIME_SIZE = 8
_MAX_TIME = 2**63 - 1
_DASH = "\u2014 "
_CONTROLS = bytes(set(range(0x20)) - {0x0A})

# Curve25519's field and the constant of its twisted Edwards form, RFC 8032 section 5.1.
_P = 2**255 - 19
_D = -121665 * pow(121666, -1, _P) % _P

# The y coordinates of the eight points whose order divides 8; x and -x share a y. Under such a key one signature holds
# for many messages, so it vouches for nothing.
_ORDER_8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_LOW_ORDER = frozenset({0, 1, _P - 1, _ORDER_8, _P - _ORDER_8})


class VerifierKey(Record):
    """What a vkey says: the signer's name, the 32 bytes of an Ed25519 public key, and what it is used to sign."""

    name: str
    public: bytes
    algorithm: int = ED25519


class Signature(Record):
    """One signature line. `value` is what follows the key id: for Ed25519 64 bytes, for a cosignature 72."""

    name: str
    key_id: bytes
    value: bytes


class Note(Record):
    """Text, newline at its end included, and the signatures below it, none of them checked."""

    text: bytes
    signatures: tuple[Signature, ...]


class NoteFault(ValueError):
    """Bytes that are not in the form that they claim, or a signature that does not hold."""


def parse_note(data: bytes) -> Note:
    """The only reading of a signed note. Nothing in it is verified. Raises `NoteFault`."""
    if len(data) > MAX_NOTE:
        raise NoteFault(f"the note is longer than {MAX_NOTE} bytes")
    split = data.rfind(b"\n\n")
    if split < 0:
        raise NoteFault("the note has no empty line between its text and its signatures")
    read_text(data[:split], "the note")
    *lines, rest = read_text(data[split + 2 :], "a signature line").split("\n")
    if rest or not lines:
        raise NoteFault("the note has no signature after its last empty line")
    if len(lines) > MAX_SIGNATURES:
        raise NoteFault(f"the note has more than {MAX_SIGNATURES} signatures")
    return Note(text=data[: split + 1], signatures=tuple(_parse_signature(line) for line in lines))


def format_note(text: bytes, signatures: Iterable[Signature]) -> bytes:
    """The note of this text and these signatures. Raises `NoteFault` for what would be read back as another one."""
    note = Note(text=text, signatures=tuple(signatures))
    lines = [f"{_DASH}{each.name} {encode_base64(each.key_id + each.value)}\n" for each in note.signatures]
    try:
        data = text + b"\n" + "".join(lines).encode()
    except UnicodeEncodeError as error:
        raise NoteFault("the name of a signer has a lone surrogate") from error
    if parse_note(data) != note:
        raise NoteFault("the note would be read back as another one")
    return data


def _parse_signature(line: str) -> Signature:
    parts = line.removeprefix(_DASH).split(" ")
    if not line.startswith(_DASH) or len(parts) != 2:
        raise NoteFault("a signature line is not of the form — name signature")
    name, encoded = parts
    if fault := _name_fault(name):
        raise NoteFault(f"of a signature, {fault}")
    data = decode_base64(encoded, "a signature")
    if len(data) <= _KEY_ID_SIZE:
        raise NoteFault("a signature is empty")
    return Signature(name=name, key_id=data[:_KEY_ID_SIZE], value=data[_KEY_ID_SIZE:])


def verified_by(note: Note, keys: Iterable[VerifierKey], check: Check) -> tuple[VerifierKey, ...]:
    """Those of the keys that have signed the note, in the order of its lines. Nothing else of it is trustworthy.

    Lines of keys that are not among `keys` stay unverified; whoever gets an empty tuple has no reason to read on.
    Raises `NoteFault` where a line carries name and id of a key and does not hold for it.
    """
    known: dict[tuple[str, bytes], VerifierKey] = {}
    for key in keys:
        if known.setdefault((key.name, key_id(key.name, key.public, key.algorithm)), key) != key:
            raise NoteFault(f"two keys share the name {key.name!a} and one key id")
    found: list[VerifierKey] = []
    for each in note.signatures:
        signer = known.get((each.name, each.key_id))
        if signer is None:
            continue
        message, signature = signed_message(note.text, signer, each.value)
        if not check(signer.public, signature, message):
            raise NoteFault(f"the signature of {each.name!a} does not hold")
        found.append(signer)
    return tuple(dict.fromkeys(found))  # A line that stands twice says no more than once.


def signed_message(text: bytes, key: VerifierKey, value: bytes) -> tuple[bytes, bytes]:
    """The bytes that `key` has signed below a note's text, and the raw Ed25519 signature over them.

    Raises `NoteFault` where `value` has not the size that the key's algorithm gives it.
    """
    if key.algorithm == ED25519 and len(value) == _SIGNATURE_SIZE:
        return text, value
    if key.algorithm == COSIGNATURE and len(value) == _TIME_SIZE + _SIGNATURE_SIZE:
        return cosigned_message(text, int.from_bytes(value[:_TIME_SIZE])), value[_TIME_SIZE:]
    raise NoteFault(f"a signature of {key.name!a} has {len(value)} bytes, which is not what its key makes")


def cosigned_message(text: bytes, time: int) -> bytes:
    """What a witness signs: the text of a checkpoint and the time, in seconds since 1970, at which it has seen it."""
    if not 0 <= time <= _MAX_TIME:
        raise NoteFault("the time of a cosignature is out of range")
    return b"cosignature/v1\ntime %d\n" % time + text


def cosignature_value(time: int, signature: bytes) -> bytes:
    """The value of the signature line for a signature over `cosigned_message(text, time)`."""
    return time.to_bytes(_TIME_SIZE) + signature


def read_text(data: bytes, what: str) -> str:
    """The text of a note, decoded. Raises `NoteFault` unless it is UTF-8 and has no control character but newline."""
    if data.translate(None, _CONTROLS) != data:
        raise NoteFault(f"{what} has a control character other than newline")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise NoteFault(f"{what} is not UTF-8") from error


def encode_base64(data: bytes) -> str:
    """RFC 4648 section 4, with padding."""
    return binascii.b2a_base64(data, newline=False).decode()


def decode_base64(text: str, what: str) -> bytes:
    """The inverse of `encode_base64`, for canonical base64 only. Raises `NoteFault`, which speaks of `what`."""
    try:
        data = binascii.a2b_base64(text, strict_mode=True)
    except ValueError as error:
        raise NoteFault(f"{what} is not in base64") from error
    # Base64 that leaves unused bits set decodes as well, and would give the same bytes several spellings.
    if encode_base64(data) != text:
        raise NoteFault(f"{what} is not in canonical base64")
    return data


def key_id(name: str, public: bytes, algorithm: int = ED25519) -> bytes:
    """The four bytes that stand for a key in a signature line."""
    return sha256(b"%b\n%c%b" % (name.encode(), algorithm, public)).digest()[:_KEY_ID_SIZE]


def format_vkey(name: str, public: bytes, algorithm: int = ED25519) -> str:
    """The vkey of a public key. Raises `RequestError` `bad_vkey` for what `parse_vkey` would not take back."""
    _check_name(name)
    _check_public(public)
    return f"{name}+{key_id(name, public, algorithm).hex()}+{encode_base64(bytes([algorithm]) + public)}"


def parse_vkey(text: str, algorithms: Collection[int] = (ED25519,)) -> VerifierKey:
    """The only reading of a vkey: one spelling for each key, and only keys that can vouch for something.

    A ledger signs with `ED25519`, a witness with `COSIGNATURE`. Raises `RequestError` `bad_vkey`.
    """
    parts = text.split("+", 2)
    if len(parts) != 3:
        _refuse("it is not of the form name+id+key")
    name, stated_id, encoded = parts
    _check_name(name)
    try:
        data = decode_base64(encoded, "its key")
    except NoteFault as fault:
        _refuse(str(fault))
    if not data or data[0] not in algorithms:
        _refuse("its key is not an Ed25519 key of the kind that is needed here")
    public = data[1:]
    _check_public(public)
    if stated_id != key_id(name, public, data[0]).hex():
        _refuse("its key id does not belong to its name and key")
    return VerifierKey(name=name, public=public, algorithm=data[0])


def public_key_fault(public: bytes) -> str:
    """Why these bytes are no Ed25519 public key that can vouch for something; empty where they are one."""
    if len(public) != _PUBLIC_SIZE:
        return f"its key has {len(public)} bytes and not {_PUBLIC_SIZE}"
    y = int.from_bytes(public, "little") & (2**255 - 1)
    if y >= _P:
        return "its key is not in canonical form"
    if y in _LOW_ORDER:
        return "its key is a point of low order"
    return "" if _is_on_curve(y) else "its key is no point of the curve"


def _is_on_curve(y: int) -> bool:
    """Whether x² = (y² - 1) / (d·y² + 1) has a solution, by Euler's criterion."""
    return pow((y * y - 1) * (_D * y * y + 1), (_P - 1) // 2, _P) == 1


def _name_fault(name: str) -> str:
    """signed-note: a name is not empty and has no plus and no Unicode space."""
    if not name or "+" in name:
        return "its name is empty or has a plus sign"
    return "its name has a space" if any(character.isspace() for character in name) else ""


def _check_name(name: str) -> None:
    """Control characters and lone surrogates are none of signed-note's concern, but cannot be shown or encoded."""
    if fault := _name_fault(name):
        _refuse(fault)
    if any(ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 for character in name):
        _refuse("its name has a control character")
    if any(0xD800 <= ord(character) < 0xE000 for character in name):
        _refuse("its name has a lone surrogate")


def _check_public(public: bytes) -> None:
    if fault := public_key_fault(public):
        _refuse(fault)


def _refuse(fault: str) -> NoReturn:
    raise RequestError("bad_vkey", f"This is no verifier key: {fault}.", fix="copy the whole line that was published")
