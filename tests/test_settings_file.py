"""`enforcer.toml` at the door: every fault, with its place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enforcer.errors import RequestError
from enforcer.settings import MAX_SIZE, Settings, decode, encode
from enforcer.settings_file import parse

FULL = b"""\
process = "policies/ours.toml"
projects = ["packages/a", "./packages/b/"]
store = "files"

[lease]
auto = false
ttl_seconds = 60

[guard]
no_task = "off"
"""


def refusal(data: bytes | str) -> RequestError:
    with pytest.raises(RequestError) as caught:
        parse(data.encode() if isinstance(data, str) else data, "/p/enforcer.toml")
    assert caught.value.code == "bad_settings"
    assert caught.value.where == "/p/enforcer.toml"
    assert "lease.ttl_seconds" in caught.value.fix
    assert caught.value.message.isprintable()
    return caught.value


def test_an_empty_file_means_the_defaults():
    assert parse(b"", "enforcer.toml") == Settings()
    assert parse(b"[lease]\n[guard]\n", "enforcer.toml") == Settings()


def test_every_key_is_read():
    assert parse(FULL, "enforcer.toml") == Settings(
        process="policies/ours.toml",
        projects=("packages/a", "packages/b"),
        store="files",
        lease_auto=False,
        lease_ttl_seconds=60,
        no_task="off",
    )


def test_windows_line_ends_change_nothing():
    assert parse(FULL.replace(b"\n", b"\r\n"), "enforcer.toml") == parse(FULL, "enforcer.toml")


@pytest.mark.parametrize(
    "text, key",
    [
        ('proces = "x"', "proces: unknown key"),
        ("[lease]\nttl = 3", "lease.ttl: unknown key"),
        ("[guard]\nno-task = 'off'", "guard.no-task: unknown key"),
        ("[other]\n", "other: unknown key"),
        ('"a b" = 1', '"a b": unknown key'),
        ('"a\\u001bb" = 1', '"a\\u001bb": unknown key'),
        ('"" = 1', '"": unknown key'),
        ("process = 7", "process: "),
        ('process = ""', "process: "),
        ('process = "a\\nb"', "process: must be printable"),
        ('process = "a\\u0000"', "process: must be printable"),
        ("projects = 'a'", "projects: "),
        ("projects = [7]", "projects[0]: "),
        ("projects = ['a', '']", "projects[1]: must be the relative path"),
        ("projects = ['.']", "projects[0]: must be the relative path"),
        ("projects = ['/a']", "projects[0]: must be the relative path"),
        ("projects = ['..']", "projects[0]: must be the relative path"),
        ("projects = ['a/../../b']", "projects[0]: must be the relative path"),
        ("store = false", "store: "),
        ("lease = 1", "lease: "),
        ("[lease]\nauto = 'no'", "lease.auto: "),
        ("[lease]\nauto = 1", "lease.auto: "),
        ("[lease]\nttl_seconds = 0", "lease.ttl_seconds: "),
        ("[lease]\nttl_seconds = 86401", "lease.ttl_seconds: "),
        ("[lease]\nttl_seconds = 3.0", "lease.ttl_seconds: "),
        ("[lease]\nttl_seconds = '3'", "lease.ttl_seconds: "),
        ("[lease]\nttl_seconds = true", "lease.ttl_seconds: "),
        ("[guard]\nno_task = 'write'", "guard.no_task: "),
        ("[[guard]]\nno_task = 'off'", "guard: "),
    ],
)
def test_a_fault_of_content_names_its_key(text, key):
    assert refusal(text).message.startswith(key)


def test_all_faults_are_named_at_once():
    message = refusal("proces = 1\nstore = 2\n[lease]\nttl = 3\nauto = 4\n").message
    for key in ("proces: ", "store: ", "lease.ttl: ", "lease.auto: "):
        assert key in message


@pytest.mark.parametrize(
    "text, place",
    [
        ("process = ", "line 1, column 11"),
        ("\n\nprocess == 'x'", "line 3, column 10"),
        ("store = ''\nstore = ''", "line 2, column 11"),
        ("a = '\x1b'", "line 1"),
        ("\ufeffprocess = 'x'", "line 1, column 1"),
    ],
)
def test_a_fault_of_syntax_names_its_line_and_column(text, place):
    message = refusal(text).message
    assert message.startswith("no TOML: ")
    assert place in message


def test_broken_utf8_names_its_line_and_byte():
    assert refusal(b"process = 'x'\n# \xff\n").message == "no UTF-8 (at line 2, byte 16 of the file)."


@pytest.mark.parametrize(
    "text, fault",
    [
        ("a = " + "[" * 10_000, "nested too deeply"),
        ("a = " + "9" * 10_000, "no TOML"),
        ("a." * 8_000 + "b = 1", "a: unknown key"),
        ("#" * (MAX_SIZE + 1), f"more than {MAX_SIZE} bytes"),
    ],
    ids=["depth", "digits", "dots", "size"],
)
def test_a_file_made_to_exhaust_the_parser_is_refused(text, fault):
    assert refusal(text).message.startswith(fault)


def test_a_file_of_the_greatest_size_is_read():
    assert parse(b"#" * MAX_SIZE, "enforcer.toml") == Settings()


# Pieces of real files, so that the search gets past the first character.
pieces = st.sampled_from([line + b"\n" for line in FULL.split(b"\n")])


@given(st.lists(pieces | st.binary(max_size=5), max_size=8).map(b"".join))
def test_any_bytes_are_settings_or_refused(data):
    try:
        settings = parse(data, "enforcer.toml")
    except RequestError:
        assert refusal(data).message
    else:
        assert decode(encode(settings)) == settings
