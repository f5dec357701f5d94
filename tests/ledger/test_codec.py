"""Strict parsing and canonical form; `rfc8785` and the authors' own vectors are the oracles."""

from __future__ import annotations

import enum
import json
import subprocess
import sys
from pathlib import Path

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from enforcer.ledger.codec import MAX_DEPTH, MAX_INTEGER, JsonFault, canonical, parse, parse_line

VECTORS = Path(__file__).parents[1] / "vectors" / "rfc8785-jcs" / "testdata"

ascii_keys = st.text(st.characters(max_codepoint=0x7F), max_size=6)
texts = st.text(st.characters(exclude_categories=["Cs"]))
scalars = st.none() | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | texts
profile = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(ascii_keys, inner, max_size=5),
    max_leaves=25,
)


def refusal(call, *args, **named) -> JsonFault:
    with pytest.raises(JsonFault) as caught:
        call(*args, **named)
    assert caught.value.message.isprintable()
    return caught.value


# Canonical form


@given(profile)
def test_canonical_form_equals_the_oracle(value):
    assert canonical(value) == rfc8785.dumps(value)


@given(profile)
def test_what_is_written_is_read_back_equal(value):
    assert parse_line(canonical(value)) == value
    assert parse(canonical(value)) == value


@given(st.dictionaries(st.text(max_size=4), st.integers() | st.floats() | st.text(max_size=4), max_size=4))
def test_canonical_form_equals_the_oracle_or_is_refused(value):
    try:
        written = canonical(value)
    except JsonFault:
        return
    assert written == rfc8785.dumps(value)


@pytest.mark.parametrize("case", ["arrays", "unicode"])
def test_published_vectors_inside_the_profile_come_out_byte_for_byte(case):
    value = parse_line((VECTORS / "input" / f"{case}.json").read_bytes())
    assert canonical(value) == (VECTORS / "output" / f"{case}.json").read_bytes()


@pytest.mark.parametrize("case", ["french", "structures", "values", "weird"])
def test_published_vectors_outside_the_profile_are_refused(case):
    data = (VECTORS / "input" / f"{case}.json").read_bytes()
    refusal(canonical, parse(data))
    refusal(parse_line, data)


@pytest.mark.parametrize("value", [MAX_INTEGER, -MAX_INTEGER, 0])
def test_the_largest_exact_integers_are_written(value):
    assert canonical([value]) == b"[%d]" % value


@pytest.mark.parametrize("value", [MAX_INTEGER + 1, -MAX_INTEGER - 1, 10**4000])
def test_integers_that_doubles_cannot_hold_are_refused(value):
    refusal(canonical, {"n": value})


def test_an_integer_too_long_to_print_is_refused():
    refusal(canonical, {"n": 10**5000})


class Level(enum.IntEnum):
    HIGH = 3


class Text(str):
    pass


@pytest.mark.parametrize(
    "value",
    [1.0, float("nan"), float("inf"), Level.HIGH, Text("a"), b"a", {1, 2}, object(), 1j],
    ids=["float", "nan", "inf", "enum", "str subclass", "bytes", "set", "object", "complex"],
)
def test_other_types_have_no_canonical_form(value):
    for place in (value, [value], {"a": value}, {"a": [{"b": value}]}, (value,)):
        refusal(canonical, place)


@pytest.mark.parametrize("key", [1, None, True, 1.5, ("a",), "é", "\ud800", "a\u0080"])
def test_keys_other_than_ascii_strings_are_refused(key):
    refusal(canonical, {"fine": 1, "deep": [{key: 1}]})
    refusal(canonical, {key: 1})


@pytest.mark.parametrize("text", ["\ud800", "a\udfff", "\udc00\ud800"])
def test_lone_surrogates_are_not_written(text):
    assert "surrogate" in refusal(canonical, {"a": [text]}).message


def test_a_value_that_contains_itself_is_refused():
    loop: list[object] = []
    loop.append(loop)
    refusal(canonical, loop)


def test_writing_and_reading_share_one_limit_of_depth():
    deepest = nested(MAX_DEPTH)
    assert parse_line(canonical(deepest)) == deepest
    refusal(canonical, nested(MAX_DEPTH + 1))
    refusal(canonical, nested(100_000))


def test_many_shallow_containers_are_not_deep():
    value: dict[str, list[object]] = {"rows": [[] for _ in range(10 * MAX_DEPTH)]}
    assert parse_line(canonical(value)) == value


def nested(depth: int) -> list[object]:
    value: list[object] = []
    for _ in range(depth - 1):
        value = [value]
    return value


# Strict reading

REFUSED = {
    "nothing": b"",
    "only space": b"  \n",
    "two values": b"1 2",
    "trailing comma": b"[1,]",
    "trailing text": b'{"a":1}x',
    "unclosed": b'{"a":[1,2',
    "comment": b"[1] // one",
    "single quotes": b"{'a':1}",
    "control character in a string": b'["\x01"]',
    "newline in a string": b'["a\nb"]',
    "bad escape": b'["\\x41"]',
    "short escape": b'["\\u12"]',
    "leading zero": b"[01]",
    "plus": b"[+1]",
    "bare point": b"[1.]",
    "other digits": "[\u0661]".encode(),
    "no-break space": "[1,\u00a02]".encode(),
    "byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "Latin-1": b'["\xe9"]',
    "surrogate in UTF-8": b'["\xed\xa0\x80"]',
    "overlong UTF-8": b'["\xc0\x80"]',
    "NaN": b'{"a":NaN}',
    "Infinity": b"[Infinity]",
    "-Infinity": b"[-Infinity]",
    "overflow": b"[1e999]",
    "negative overflow": b"[-1e999]",
    "long integer": b"[" + b"9" * 65 + b"]",
    "very long integer": b"[" + b"9" * 100_000 + b"]",
    "duplicate": b'{"a":1,"a":2}',
    "duplicate deep down": b'{"x":[{"b":{"a":1,"c":2,"a":1}}]}',
    "duplicate by escape": b'{"a":1,"\\u0061":2}',
    "lone high": b'["\\ud800"]',
    "lone low": b'["\\udc00"]',
    "low before high": b'["\\udc00\\ud800"]',
    "high, text, low": b'["\\ud83dx\\ude00"]',
    "high and another escape": b'["\\ud83d\\n"]',
    "high, high, low": b'["\\ud83d\\ud83d\\ude00"]',
    "highs in two strings": b'["\\ud83d","\\ude00"]',
    "lone surrogate in a key": b'{"\\uD800":1}',
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED.keys())
def test_ambiguous_or_broken_documents_are_refused(data):
    refusal(parse, data)
    refusal(parse_line, data)


@pytest.mark.parametrize(
    "data, value",
    [
        (b" [ 1 , -0.5e1, true ]\r\n", [1, -5.0, True]),
        (b'"\\ud83d\\ude00"', "😀"),
        (b'"\\\\ud800"', "\\ud800"),
        (b'"\\ud83d\\ude00\\ud83d\\ude00\\\\"', "😀😀\\"),
        ('{"é":"é"}'.encode(), {"é": "é"}),
        (b"[" + b"9" * 64 + b"]", [int("9" * 64)]),
        (b'{"a":{"a":{"a":1}}}', {"a": {"a": {"a": 1}}}),
        (b'"\xef\xbb\xbf"', "\ufeff"),
    ],
)
def test_honest_documents_are_read(data, value):
    assert parse(data) == value


@pytest.mark.parametrize(
    "data",
    [b"[1.0]", b"[1e2]", b'{"\xc3\xa9":1}', b'{"\\u00e9":1}', b'[{"a":[{"\\u0080":1}]}]'],
)
def test_a_ledger_line_holds_only_the_profile(data):
    assert parse(data)
    refusal(parse_line, data)


@pytest.mark.parametrize("number", [MAX_INTEGER + 1, -MAX_INTEGER - 1, 10**17, -(10**16), 10**40])
def test_a_ledger_line_holds_only_exact_integers(number):
    assert parse(b"[%d]" % number) == [number]
    refusal(parse_line, b"[%d]" % number)


@pytest.mark.parametrize("number", [MAX_INTEGER, -MAX_INTEGER, 10**15, -(10**15), 0])
def test_a_ledger_line_may_hold_every_exact_integer(number):
    assert parse_line(b"[%d]" % number) == [number]


@pytest.mark.parametrize(
    "data, offset",
    [(b'["\xc3\xa9", }', 7), (b'["\xc3\xa9\xff"]', 4), (b'["\xc3\xa9\\udc00"]', 4), (b'["\\ud800\\n"]', 2)],
)
def test_a_fault_names_its_byte(data, offset):
    fault = refusal(parse, data)
    assert fault.offset == offset
    assert str(fault) == f"{fault.message} at byte {offset}"


def test_a_fault_without_a_known_byte_says_so():
    fault = refusal(parse, b'{"a":1,"a":2}')
    assert (fault.message, fault.offset) == ("the key 'a' stands twice in one object", -1)


def test_messages_carry_no_control_characters_of_the_document():
    assert "\x1b" not in refusal(parse, b'{"\\u001b[31m":1,"\\u001b[31m":1}').message


# Bounds


def test_size_is_bounded():
    assert parse(b'"' + b"a" * 98 + b'"', max_bytes=100)
    refusal(parse, b'"' + b"a" * 99 + b'"', max_bytes=100)


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_depth_is_bounded(opening):
    closing = b"]" if opening == b"[" else b"}"
    assert parse(opening * MAX_DEPTH + b"1" + closing * MAX_DEPTH)
    fault = refusal(parse, opening * (MAX_DEPTH + 1) + b"1" + closing * (MAX_DEPTH + 1))
    assert fault.offset == len(opening) * MAX_DEPTH


@pytest.mark.parametrize("data", [b"[" * 500_000, b'{"a":' * 200_000, b"[{" * 400_000], ids=["[", "{", "[{"])
def test_bombs_end_in_a_fault(data):
    refusal(parse, data)


def test_a_caller_may_ask_for_more_depth_than_the_interpreter_has():
    refusal(parse, b"[" * 400_000 + b"]" * 400_000, max_depth=500_000)


def test_brackets_inside_strings_are_no_depth():
    value = ["[{" * 200, '"[[[[\\' * 50, {"[" * 100: "]"}]
    assert parse(json.dumps(value).encode()) == value


def test_an_endless_string_of_escaped_quotes_is_scanned_once():
    refusal(parse, b'"' + b"\\" + b'"[\\' * 300_000)


@given(st.binary(max_size=60))
def test_any_bytes_end_in_a_value_or_a_fault(data):
    for reader in (parse, parse_line):
        try:
            reader(data)
        except JsonFault:
            pass


@given(st.text(alphabet='[]{}:,"\\ud8dc00a1.eE-+ \n', max_size=40))
def test_whatever_the_strict_reader_accepts_the_ordinary_one_reads_equally(text):
    try:
        value = parse(text.encode())
    except JsonFault:
        return
    assert value == json.loads(text)


def test_the_module_loads_nothing_heavier_than_json():
    code = "import json, sys; old = set(sys.modules); import enforcer.ledger.codec; print(*set(sys.modules) - old)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30).stdout
    assert all(name.startswith("enforcer") for name in loaded.split() if name != "__future__")


@pytest.mark.parametrize("text", ["1e-999", "-1e-999", "0.0001E-400", "1.5e-325", "2e-324", "0." + "0" * 400 + "1"])
def test_a_number_that_would_become_0_by_underflow_is_refused(text: str) -> None:
    with pytest.raises(JsonFault, match="too small for a float"):
        parse(text.encode())


@pytest.mark.parametrize("text", ["0.0", "-0.0", "0e9", "0.000E-400", "5e-324"])
def test_a_zero_and_the_smallest_number_are_read(text: str) -> None:
    assert parse(text.encode()) == float(text)
