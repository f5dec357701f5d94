"""Holds a JSON value to a JSON Schema (2020-12), and a schema to what may be trusted with evidence.

The home of jsonschema, which takes longer to import than a judgement may take; so answers are kept by digest, and this
module is loaded when one is missing. Nothing is ever fetched: a `$ref` stays inside its document. A pattern meets text
that an adversary chose, so only patterns without ways to explode are taken, and no long text is put to one.
"""

from __future__ import annotations

import json
import math
import re
import warnings
from itertools import islice

import jsonschema
from jsonschema.exceptions import SchemaError, ValidationError
from referencing import Registry, Resource
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from enforcer.ledger import codec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

DIALECT = "https://json-schema.org/draft/2020-12/schema"

MAX_SCHEMA = 256 << 10
MAX_VALUES = 100_000
MAX_REASONS = 50
MAX_PATTERN = 256
MAX_PATTERN_SUBJECT = 4096
_WIDE = 64  # A bounded repetition wider than this is as slow as one without bound.
_CHOICES = 4096

_validators: dict[bytes, Any] = {}


def faults(schema: bytes, value: Any) -> tuple[str, ...]:
    """What keeps `value` from keeping to `schema`, each with its JSON path, at most fifty; empty when nothing does.

    `schema` is a document that `problems` has nothing against. Never raises, whatever the value holds: a value that
    cannot be judged is one that does not keep to it.
    """
    if _is_larger(value, MAX_VALUES):
        return (f"$: holds more than {MAX_VALUES} values",)
    try:
        errors = list(islice(_validator(schema).iter_errors(value), MAX_REASONS))
    except (RecursionError, Unresolvable, codec.JsonFault) as error:
        return (f"$: cannot be held to its schema ({type(error).__name__})",)
    return tuple(f"{_path(error)}: {_reason(error)}" for error in errors)


def problems(schema: bytes) -> tuple[str, ...]:
    """What keeps a document from being used as a schema of evidence, all of it; empty when nothing does."""
    if len(schema) > MAX_SCHEMA:
        return (f"has {len(schema)} bytes; the limit is {MAX_SCHEMA}",)
    try:
        document = codec.parse(schema)
    except codec.JsonFault as fault:
        return (f"is not strict JSON: {fault}",)
    if not isinstance(document, dict):
        return ("is not a JSON object",)
    if document.get("$schema", DIALECT) != DIALECT:
        return (f"is written in another dialect than {DIALECT}",)
    try:
        jsonschema.Draft202012Validator.check_schema(document)
    except SchemaError as error:
        return (f"is not a valid 2020-12 schema at {error.json_path}: {_short(error.message)}",)
    return tuple(_suspicious(document))


def explosive(pattern: str) -> str:
    """Why a pattern might take far longer than its text is long; empty where it cannot.

    It errs on the safe side: at most one repetition without bound, two behind a leading `^`, no group repeated, no
    reference back, and few ways to choose between alternatives.
    """
    if len(pattern) > MAX_PATTERN:
        return f"has {len(pattern)} characters; the limit is {MAX_PATTERN}"
    try:
        with warnings.catch_warnings():
            # A warning tells of a pattern that later releases may read in another way.
            warnings.simplefilter("error")
            re.compile(pattern)
    except (re.error, OverflowError, RecursionError, Warning) as error:
        return f"is no regular expression: {_short(str(error))}"
    bare = _without_classes(pattern)
    if re.search(r"\\[1-9]|\(\?P=|\(\?\(|\\k", bare):
        return "refers back to a group"
    if re.search(r"\)(?:[*+]|\{)", bare):
        return "repeats a group"
    anchored = bare.startswith("^") and "|" not in bare
    repetitions = [_width(repetition) for repetition in re.findall(r"(?<!\()[*+?]|\{[0-9]*,?[0-9]*\}", bare)]
    if sum(width > _WIDE for width in repetitions) > 1 + anchored:
        return "has too many repetitions without bound" + ("" if anchored else "; begin it with ^")
    if math.prod((1 + width for width in repetitions if width <= _WIDE), start=2 ** bare.count("|")) > _CHOICES:
        return "has too many optional parts and alternatives"
    return ""


def _validator(schema: bytes) -> Any:
    if schema not in _validators:
        if len(_validators) >= 64:
            _validators.clear()
        _validators[schema] = _Validator(codec.parse(schema), registry=Registry())
    return _validators[schema]


def _check_pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if not isinstance(instance, str):
        return
    if len(instance) > MAX_PATTERN_SUBJECT or not re.search(pattern, instance):
        yield ValidationError("pattern")


def _check_unique(validator: Any, wanted: bool, instance: Any, schema: Any) -> Iterator[ValidationError]:
    """Linear, where the library compares every pair."""
    if not wanted or not isinstance(instance, list):
        return
    seen = set()
    for item in instance:
        key = json.dumps(item, sort_keys=True)
        if key in seen:
            yield ValidationError("uniqueItems")
            return
        seen.add(key)


def _is_integer(checker: Any, instance: Any) -> bool:
    """A count is written as an integer: the dialect takes `5.0` and `1e308` for one as well."""
    return isinstance(instance, int) and not isinstance(instance, bool)


_extend: Any = jsonschema.validators.extend  # Its annotations are incomplete.
_Validator: Any = _extend(
    jsonschema.Draft202012Validator,
    {"pattern": _check_pattern, "uniqueItems": _check_unique},
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer),
)


def _is_larger(value: Any, limit: int) -> bool:
    waiting = [value]
    count = 0
    while waiting:
        item = waiting.pop()
        count += 1
        if count + len(waiting) > limit:
            return True
        if isinstance(item, dict):
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item
    return False


def _suspicious(document: Any) -> Iterator[str]:
    """What the dialect allows and evidence does not: references out, and patterns that might never end."""
    resolver = (
        Registry().with_resource("", Resource.from_contents(document, DRAFT202012)).resolver(document.get("$id", ""))
    )
    waiting = [("$", document)]
    while waiting:
        where, item = waiting.pop()
        if isinstance(item, list):
            waiting += [(f"{where}[{index}]", inner) for index, inner in enumerate(item)]
        if not isinstance(item, dict):
            continue
        for key, inner in item.items():
            if key in ("$ref", "$dynamicRef") and isinstance(inner, str):
                if not inner.startswith("#"):
                    yield f"refers to another document at {where}.{key}, and nothing is fetched: {_short(inner)}"
                elif not _resolves(resolver, inner):
                    yield f"refers to nothing at {where}.{key}: {_short(inner)}"
            if key == "pattern" and isinstance(inner, str) and (why := explosive(inner)):
                yield f"has a pattern at {where}.pattern that {why}"
            if key == "patternProperties" and isinstance(inner, dict):
                yield from (f"has a pattern at {where}.{key} that {why}" for each in inner if (why := explosive(each)))
        waiting += [
            (f"{where}.{key}", inner)
            for key, inner in item.items()
            if key not in ("enum", "const", "examples", "default")
        ]


def _resolves(resolver: Any, reference: str) -> bool:
    try:
        resolver.lookup(reference)
    except Exception:  # The library raises several kinds; each means that the reference leads nowhere.
        return False
    return True


def _without_classes(pattern: str) -> str:
    """The pattern with each character class and escaped character replaced by one letter, except references back."""
    bare = re.sub(r"\\(?![1-9k])(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)", "c", pattern, flags=re.DOTALL)
    return re.sub(r"\[\^?\]?[^\]]*\]", "c", bare)


def _width(repetition: str) -> int:
    """How many lengths a repetition can choose between, beyond the first."""
    if repetition == "?":
        return 1
    if repetition in ("*", "+"):
        return _WIDE + 1
    least, comma, most = repetition[1:-1].partition(",")
    if not comma:
        return 0
    return int(most) - int(least or 0) if most else _WIDE + 1


def _path(error: ValidationError) -> str:
    return _short(error.json_path, 200)


def _reason(error: ValidationError) -> str:
    """The fault in our words: the library's repeat the whole value."""
    keyword = str(error.validator)
    wanted: Any = error.validator_value
    found: Any = error.instance
    if keyword == "additionalProperties" and isinstance(found, dict):
        known = sorted(error.schema.get("properties", ())) if isinstance(error.schema, dict) else []
        unknown = ", ".join(ascii(name)[:60] for name in sorted(found.keys() - set(known))[:10])
        return f"has unknown members: {unknown}; known are {', '.join(known)}"
    if keyword == "required":
        return _short(error.message.replace(" is a required property", " is missing"))
    if keyword == "type":
        if wanted == "integer" and isinstance(found, float):
            return "is written with a point or an exponent; a plain integer is asked for"
        return f"is {_kind(found)}; {wanted if isinstance(wanted, str) else ' or '.join(wanted)} is asked for"
    if keyword == "enum":
        return f"is {_shown(found)}; one of {', '.join(_shown(each) for each in wanted)} is asked for"
    if keyword == "pattern":
        return f"is {_shown(found)}, which does not have the form {_short(wanted, MAX_PATTERN)}"
    return _SHORTFALLS.get(keyword, "does not keep to `{keyword}`").format(
        keyword=keyword,
        wanted=_shown(wanted),
        found=_shown(found),
        size=len(found) if hasattr(found, "__len__") else "",
    )


_SHORTFALLS = {
    "minimum": "is {found}; at least {wanted} is asked for",
    "maximum": "is {found}; at most {wanted} is asked for",
    "exclusiveMinimum": "is {found}; more than {wanted} is asked for",
    "exclusiveMaximum": "is {found}; less than {wanted} is asked for",
    "minLength": "has {size} characters; at least {wanted} are asked for",
    "maxLength": "has {size} characters; at most {wanted} are asked for",
    "minItems": "has {size} entries; at least {wanted} are asked for",
    "maxItems": "has {size} entries; at most {wanted} are asked for",
    "const": "is {found}; {wanted} is asked for",
    "uniqueItems": "names something twice",
}


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, float)):
        return "a number"
    return "a string" if isinstance(value, str) else "an array" if isinstance(value, list) else "an object"


def _shown(value: Any) -> str:
    if isinstance(value, (dict, list)):
        return _kind(value)
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 256:
        return "a huge integer"
    return _short(json.dumps(value[:60] if isinstance(value, str) else value))


def _short(text: str, limit: int = 120) -> str:
    plain = ascii(text)[1:-1]
    return plain if len(plain) <= limit else plain[: limit - 3] + "..."
