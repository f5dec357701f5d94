"""Shell commands: read as plain words, or not at all. The shell itself is the oracle for what was read."""

from __future__ import annotations

import shlex
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enforcer.tools.words import mentions_own_call, own_call, read_words

PLAIN = "enforcer advance T --to SPEC --key=a.b:c@d,e+f_g"


@pytest.mark.parametrize(
    "command, words",
    [
        ("enforcer status T", ("enforcer", "status", "T")),
        ("  enforcer   status  ", ("enforcer", "status")),
        (PLAIN, tuple(PLAIN.split())),
        ("enforcer backtrack T --reason 'a; b && $(c) `d` \\ !\n\"'", None),
        ('x "two words"', ("x", "two words")),
        ("x 'it''s' \"a\"b'c'", ("x", "its", "abc")),
        ("x '' \"\"", ("x", "", "")),
        ('x "it\'s; <fine> & {well} *?~#|"', ("x", "it's; <fine> & {well} *?~#|")),
        ("", ()),
        ("   ", ()),
        ("x 'größe' \"größe\"", ("x", "größe", "größe")),
    ],
)
def test_plain_words_are_read(command: str, words: tuple[str, ...] | None) -> None:
    if words is None:
        words = tuple(shlex.split(command))
    assert read_words(command) == words


METACHARACTERS = [*";&|()<>$`\\!*?[]{}~#%^\n\t\r\0", "é", "\u00a0", "\u2028"]


@pytest.mark.parametrize("meta", METACHARACTERS, ids=ascii)
def test_a_metacharacter_anywhere_outside_quotes_leaves_the_command_unread(meta: str) -> None:
    for at in range(len(PLAIN) + 1):
        assert read_words(PLAIN[:at] + meta + PLAIN[at:]) is None


@pytest.mark.parametrize("meta", [*'$`\\!\n"', "\0"], ids=ascii)
def test_what_stays_alive_between_double_quotes_leaves_the_command_unread(meta: str) -> None:
    for at in range(4):
        assert read_words('x "' + "abc"[:at] + meta + "abc"[at:] + '"') is None


@pytest.mark.parametrize("command", ["x '", 'x "', "x 'a", "x \"a'", "x 'a\0'"])
def test_a_quote_without_an_end_leaves_the_command_unread(command: str) -> None:
    assert read_words(command) is None


@pytest.mark.parametrize("command", ["A=b enforcer status", "ENFORCER_ACTOR=bob enforcer advance T", "A= x", "_1=x y"])
def test_an_assignment_in_front_leaves_the_command_unread(command: str) -> None:
    assert read_words(command) is None


def test_an_equals_sign_elsewhere_is_part_of_a_word() -> None:
    assert read_words("x A=b --key=v") == ("x", "A=b", "--key=v")
    assert read_words("1=b x") == ("1=b", "x")


commands = st.text(alphabet="abT -_=./'\"$;|&`\\!\n~*#é", max_size=14).map(lambda text: "printf x " + text)


@settings(max_examples=150)
@given(command=commands)
def test_what_was_read_is_what_a_shell_passes_on(command: str) -> None:
    words = read_words(command)
    if words is None:
        return
    script = "for word in " + command.replace("printf x", "printf x", 1) + '; do printf "%s\\0" "$word"; done'
    shown = subprocess.run(["/bin/sh", "-c", script], capture_output=True, check=True).stdout
    assert tuple(shown.decode().split("\0")[:-1]) == words


# Calls of `enforcer` -------------------------------------------------------------------------------------------------


def test_a_call_of_enforcer_is_known_by_its_first_word() -> None:
    assert own_call(("enforcer", "advance", "T")) == ("advance", "T")
    assert own_call(("enforcer",)) == ()


@pytest.mark.parametrize(
    "command",
    [
        "",
        "ls",
        "./enforcer status",
        "/usr/bin/enforcer status",
        "enforcer2 status",
        "echo enforcer",
        "sudo enforcer status",
        "python enforcer",
        "python -m enforcer2",
        "python -c x -m enforcer",
        "./python -m enforcer",
        "python -m enforcer status",
        "python3 -m enforcer status",
        "python -I -m enforcer status",
    ],
)
def test_what_only_looks_like_a_call_of_enforcer_is_none(command: str) -> None:
    assert own_call(tuple(command.split())) is None


@pytest.mark.parametrize(
    "command",
    [
        "cd x && enforcer init",
        "true;enforcer init",
        "a | enforcer init",
        "(enforcer init)",
        "echo $(enforcer init)",
        "echo `enforcer init`",
        "{ enforcer init; }",
        "true\nenforcer init",
        "enforcer init > out",
        "ENFORCER_ACTOR=bob enforcer advance T",
        "env A=b enforcer init",
        "sudo enforcer init",
        "if true; then enforcer init; fi",
        "./venv/bin/enforcer init",
        "'enforcer' init && true",
        "python3.12 -m enforcer init",
        "/usr/bin/python -I -m enforcer init",
        "python -m enforcer status",
        "python -Im enforcer init",
        "python -menforcer init",
        "python -m enforcer.surfaces.cli init",
        "python -X dev -W ignore -Im enforcer.__main__ init",
        "echo T | xargs enforcer abandon",
    ],
)
def test_a_command_that_calls_enforcer_among_other_things_is_noticed(command: str) -> None:
    assert mentions_own_call(command)


@pytest.mark.parametrize(
    "command",
    [
        "",
        "grep -r enforcer src",
        "pytest tests/test_enforcer.py | tail",
        "git commit -m 'enforcer: say more'",
        "cat enforcer.toml",
        "ls enforcer; true",
        "python -m enforcerlike",
        "python -m pytest enforcer",
        "python -Im pytest enforcer",
        "python tool.py --mode enforcer",
        "A=enforcer true",
    ],
)
def test_a_command_that_only_names_enforcer_is_left_alone(command: str) -> None:
    assert not mentions_own_call(command)
