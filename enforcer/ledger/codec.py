"""Strict JSON in, canonical JSON out.

`parse` accepts exactly one RFC 8259 value and nothing that two parsers could read in two ways (I-JSON, RFC 7493): no
duplicate keys, no NaN or infinities, no lone surrogates, no byte order mark, sizes and depth bounded before anything
recursive runs. `parse_line` and `canonical` hold a value to the profile of ledger lines as well:

    keys are ASCII · numbers are integers within ±(2^53-1) · strings are any Unicode text

Within that profile the output of `json.dumps` with sorted keys and the shortest separators is RFC 8785 byte for byte
(code point order is UTF-16 order for ASCII keys, and no number needs ECMAScript's formatting); outside it nothing is
written. It stands among the pure modules because hashes are over these bytes.
"""

from __future__ import annotations

import json
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, NoReturn

MAX_BYTES = 1 << 20
MAX_DEPTH = 64
MAX_DIGITS = 64
MAX_INTEGER = (1 << 53) - 1

# A string, also one that never ends, is one token, so brackets inside it do not count. The possessive quantifiers keep
# the scan linear whatever the input. Patterns are text here so that only documents that need one have it compiled.
_STRING_OR_BRACKET = rb'(?s)"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]'
_ESCAPE = r"\\(?:u([0-9a-fA-F]{4})|.)"


class JsonFault(ValueError):
    """A document that is refused; `offset` counts bytes from its start, -1 where the spot is not known."""

    def __init__(self, message: str, offset: int = -1) -> None:
        super().__init__(message if offset < 0 else f"{message} at byte {offset}")
        self.message = message
        self.offset = offset


def parse(data: bytes, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> Any:
    """The one value in `data`. Raises `JsonFault` for anything that is not strict, unambiguous JSON.

    Integers have at most 64 digits; numbers with a fraction or an exponent become floats, must be finite, and
    are 0 only where 0 is written.
    An outermost array or object has depth 1.
    """
    return _parse(data, _document, max_bytes, max_depth)


def parse_line(data: bytes) -> Any:
    """The value of a ledger line, without its newline. Raises `JsonFault` outside the profile as well.

    It does not ask whether `data` is in canonical form: compare `canonical(parse_line(data))` with `data` for that.
    """
    value = _parse(data, _profile, MAX_BYTES, MAX_DEPTH)
    if not data.isascii() or b"\\u" in data:
        _check_profile(value)
    return value


def canonical(value: Any) -> bytes:
    """The RFC 8785 form of a value of the profile. Raises `JsonFault` for every other value.

    Objects are `dict`, arrays `list` or `tuple`; subclasses of the JSON types are refused, because what they encode to
    is theirs to decide. Whatever this returns `parse_line` reads back, up to the size limit.
    """
    try:
        # The encoder goes first because it, unlike the walk, ends on a value that contains itself.
        data = _encode(value).encode()
        if _check_profile(value) > MAX_DEPTH:
            _check_depth(data, MAX_DEPTH)
        return data
    except UnicodeEncodeError:
        raise JsonFault("a string holds a lone surrogate, which UTF-8 cannot express") from None
    except RecursionError:
        raise JsonFault("the value is nested too deeply") from None
    except JsonFault:
        raise
    except (TypeError, ValueError) as error:
        raise JsonFault(f"the value has no canonical form: {error}") from None


def _check_profile(value: Any) -> int:
    """Raises `JsonFault` outside the profile; returns how many arrays and objects there are, which bounds the depth."""
    containers = -1
    stack = [(value,)]
    while stack:
        node: Any = stack.pop()
        containers += 1
        if type(node) is dict:
            _check_keys(node)
            node = node.values()
        for item in node:
            kind = type(item)
            if kind is str or item is None or kind is bool:
                continue
            if kind is int:
                if not -MAX_INTEGER <= item <= MAX_INTEGER:
                    raise JsonFault(f"the integer {_shown(str(item))} is outside ±(2^53-1)")
            elif kind is dict or kind is list or kind is tuple:
                stack.append(item)
            elif kind is float:
                raise JsonFault(f"{item!r} is a float; ratios are basis points, times are microseconds")
            else:
                raise JsonFault(f"a value of type {kind.__name__} has no canonical form")
    return containers


def _check_keys(node: dict[Any, Any]) -> None:
    try:
        if "".join(node).isascii():
            return
    except TypeError:
        raise JsonFault("an object has a key that is not a string") from None
    key = next(key for key in node if not key.isascii())
    raise JsonFault(f"the key {_shown(key)} is not ASCII")


def _parse(data: bytes, decoder: json.JSONDecoder, max_bytes: int, max_depth: int) -> Any:
    if len(data) > max_bytes:
        raise JsonFault(f"the document has {len(data)} bytes, the limit is {max_bytes}")
    if data.count(b"[") + data.count(b"{") > max_depth:
        _check_depth(data, max_depth)
    text = _decode(data)
    try:
        value = decoder.decode(text)
    except json.JSONDecodeError as error:
        raise JsonFault(_lower_first(error.msg), len(text[: error.pos].encode())) from None
    except RecursionError:
        raise JsonFault(f"nested more deeply than the {max_depth} levels that fit here") from None
    if b"\\u" in data:
        _check_surrogates(text)
    return value


def _decode(data: bytes) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise JsonFault(f"not UTF-8 ({error.reason})", error.start) from None
    if text.startswith("\ufeff"):
        raise JsonFault("a byte order mark is not allowed", 0)
    return text


def _check_depth(data: bytes, max_depth: int) -> None:
    depth = 0
    for token in re.finditer(_STRING_OR_BRACKET, data):
        start = data[token.start()]
        if start in b"[{":
            depth += 1
            if depth > max_depth:
                raise JsonFault(f"nested more than {max_depth} levels deep", token.start())
        elif start in b"]}":
            depth -= 1


def _check_surrogates(text: str) -> None:
    """Escaped surrogates must come as a pair, high then low. `text` has been parsed, so backslashes start escapes."""
    high_end = -1
    for escape in re.finditer(_ESCAPE, text):
        unit = int(escape[1], 16) if escape[1] else 0
        if high_end >= 0 and not (escape.start() == high_end and 0xDC00 <= unit <= 0xDFFF):
            raise _lone_surrogate(text, high_end - 6)
        if high_end < 0 and 0xDC00 <= unit <= 0xDFFF:
            raise _lone_surrogate(text, escape.start())
        high_end = escape.end() if 0xD800 <= unit <= 0xDBFF else -1
    if high_end >= 0:
        raise _lone_surrogate(text, high_end - 6)


def _lone_surrogate(text: str, position: int) -> JsonFault:
    return JsonFault(f"the lone surrogate {text[position : position + 6]}", len(text[:position].encode()))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise JsonFault(f"the key {_shown(_first_repeated(key for key, _ in pairs))} stands twice in one object")
    return made


def _first_repeated(keys: Iterable[str]) -> str:
    seen: set[str] = set()
    for key in keys:
        if key in seen:
            return key
        seen.add(key)
    raise AssertionError("called without a repeated key")


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise JsonFault(f"an integer of {len(digits)} digits, the limit is {MAX_DIGITS}")
    return int(digits)


def _ledger_integer(digits: str) -> int:
    if len(digits) > 15 and (len(digits) > 17 or abs(int(digits)) > MAX_INTEGER):
        raise JsonFault(f"the integer {_shown(digits)} is outside ±(2^53-1)")
    return int(digits)


def _float(text: str) -> float:
    value = float(text)
    if value - value != 0.0:
        raise JsonFault(f"the number {_shown(text)} is too large for a float")
    if value == 0.0 and re.split("[eE]", text)[0].strip("-0."):
        raise JsonFault(f"the number {_shown(text)} is not 0, and too small for a float")
    return value


def _refuse_float(text: str) -> NoReturn:
    raise JsonFault(f"the number {_shown(text)} is not an integer")


def _refuse_constant(name: str) -> NoReturn:
    raise JsonFault(f"{name} is not JSON")


def _shown(text: str) -> str:
    """Text from outside as a short ASCII literal, so that a message carries no control character."""
    return ascii(text if len(text) <= 60 else text[:57] + "…")


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode
_document = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_refuse_constant
)
_profile = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_ledger_integer, parse_float=_refuse_float, parse_constant=_refuse_constant
)
