"""A log is readable text whose last line is the exit status, whatever the command wrote."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from enforcer.evidence.folder import Limits
from enforcer.evidence.readers import log_text
from enforcer.evidence.readers.log import LIMIT
from enforcer.workflow.rules import text
from enforcer.workflow.rules.subject import Surroundings

NOWHERE = Surroundings(attempt_id="0" * 32, actor="a")


@given(st.binary(max_size=300), st.integers(0, 255))
@example(b"exit status: 0", 1)
@example(b"exit status: 0\n\n \n", 2)
@example(b"\xff\x00\x1b[2J\r\n", 3)
@example(b"", 0)
def test_the_rule_reads_the_status_of_the_run_and_nothing_else(output, status):
    log = log_text(output, status)
    subject, faults = text.read("build_output.log", "text", log)
    assert faults == ()
    assert subject is not None
    assert not text.check_exit_status(subject, NOWHERE, {"status": status})
    assert text.check_exit_status(subject, NOWHERE, {"status": status + 1})


@given(st.binary(max_size=300) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")))
@example("\xad\u2028\ufff9\U000e0041\x85\x0b".encode())
def test_nothing_that_a_terminal_obeys_is_left(output):
    kept = log_text(output, 0).decode().replace("\t", " ").split("\n")
    assert all(line.isprintable() or all(map(_is_shown, line)) for line in kept)


def _is_shown(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"


def _lines(log: bytes) -> list[str]:
    return log.decode().split("\n")


@pytest.mark.parametrize(
    "output, line",
    [
        (b"\x1b[1;31mred\x1b[0m", "red"),
        (b"\x1b]0;title\x07text", "text"),
        (b"\x1b]8;;https://example.org\x1b\\link\x1b]8;;\x1b\\", "link"),
        (b"\x1bc", "\\x1bc"),
        (b"ok\xff", "ok\\xff"),
        ("\u202eabc".encode(), "\\u202eabc"),
        (b"a\r\n", "a"),
        (b"a\x00b", "a\\x00b"),
        (b"tab\there", "tab\there"),
    ],
)
def test_what_is_no_text_is_spelled_out_and_colours_are_left_out(output, line):
    assert _lines(log_text(output, 0)) == [line, "exit status: 0", ""]


def test_each_state_of_a_progress_bar_is_a_line():
    assert _lines(log_text(b"10%\r20%\r", 0))[:2] == ["10%", "20%"]


def test_a_command_that_a_signal_ended_has_no_status_of_success():
    assert log_text(b"half", None, ended="SIGKILL") == b"half\nended by: SIGKILL\nexit status: -1\n"


def test_more_than_fits_is_left_out_of_the_middle_and_the_log_says_how_much():
    output = b"".join(b"line %d\n" % number for number in range(400_000))
    log = log_text(output, 0)
    lines = _lines(log)
    assert len(log) < LIMIT + 100
    assert (lines[0], lines[-3]) == ("line 0", "line 399999")
    (mark,) = [line for line in lines if "left out" in line]
    left = int(mark.split()[1])
    assert sum(len(line) + 1 for line in lines if line.startswith("line ")) + left == len(output)


def test_one_long_line_is_bounded_as_well():
    assert len(log_text(b"x" * (3 * LIMIT), 0)) < LIMIT + 100


def test_the_log_of_output_that_is_no_text_at_all_still_fits_into_the_folder_of_evidence():
    assert len(log_text(b"\xff" * (3 * LIMIT), 0)) < Limits().file_bytes
