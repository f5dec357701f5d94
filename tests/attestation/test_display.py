"""What a person is shown: nothing of a document is obeyed, hidden, or passed off as a word of ours."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from enforcer.attestation.display import COLUMNS, LINE, MORE, _width, excerpt, quote, read_text, remarks

LETTERS = st.characters() | st.sampled_from("\\tu{x}1BF\t\x1b\u202e\u200b\u0301\ufe0f世א\udc80\udcff ")
# The texts of files: bytes that are no UTF-8 are lone surrogates in them, and others do not occur.
TEXTS = st.text(LETTERS).map(lambda text: read_text(text.encode("utf-8", "surrogatepass")))

HIDERS = {
    "clears the screen": "\x1b[2J\x1b[H",
    "moves up and overwrites": "\x1b[3A\rAPPROVE",
    "sets the title": "\x1b]0;approved\x07",
    "puts into the clipboard": "\x1b]52;c;cm0gLXJm\x07",
    "hides a link": "\x1b]8;;https://evil.example\x07docs\x1b]8;;\x07",
    "conceals": "\x1b[8mrm -rf /\x1b[0m",
    "8-bit control": "\x9b2J",
    "returns": "rm -rf /\recho hello",
    "steps back": "rm\b\bls",
    "rings, feeds, tabs down": "\x07\x0b\x0c",
    "NUL and DEL": "\x00\x7f",
    "turns right to left": "access\u202e\u2066// admin only\u2069\u2066",
    "isolates and marks": "\u2067\u2068\u2069\u200e\u200f\u061c\u202a\u202b\u202c\u202d",
    "zero width": "ap\u200bpro\u200cve\u200d\u2060\ufeff",
    "soft hyphen": "re\u00adject",
    "line and paragraph separators": "a\u2028b\u2029c\u0085d",
    "spaces that are none": "a\u00a0b\u2003c\u3000d\u202fe",
    "fillers that are letters": "\u3164\uffa0\u115f\u1160\u2800\u17b4",
    "variation selectors": "a\ufe0f\ufe00\U000e0100",
    "tags": "\U000e0041\U000e007f",
    "private use": "\ue000\U000f0000",
    "noncharacters": "\ufffe\U0010ffff",
}  # fmt: skip


def decoded(rows: list[str]) -> str:
    """The text that rows tell of."""
    lines: list[str] = []
    for row in rows:
        if row.startswith(LINE):
            lines.append(row[len(LINE) :])
        else:
            assert row.startswith(MORE)
            lines[-1] += row[len(MORE) :]
    return re.sub(r"\\(t|u\{([0-9A-F]+)\}|x\{([0-9A-F]{2})\})", _letter, "\n".join(lines))


def _letter(escape: re.Match[str]) -> str:
    if escape[2]:
        return chr(int(escape[2], 16))
    return chr(0xDC00 + int(escape[3], 16)) if escape[3] else "\t"


@given(TEXTS)
@example("\\u{1B}\x1b\\t\t\\x{80}\udc80\\\\u{5C}")
@example("e" + "\u0301" * 50)
def test_what_is_shown_tells_the_text(text: str) -> None:
    assert decoded(list(quote(text))) == text


@given(TEXTS, st.integers(1, 40))
def test_no_row_is_wider_than_it_may_be_or_holds_what_is_obeyed(text: str, times: int) -> None:
    for row in quote(text * times):
        assert row.isprintable()
        assert sum(map(_width, row)) <= COLUMNS
        assert row.startswith((LINE, MORE))


@pytest.mark.parametrize("hidden", HIDERS.values(), ids=HIDERS.keys())
def test_what_hides_is_written_out(hidden: str) -> None:
    rows = list(quote(f"before{hidden}after"))
    shown = "\n".join(rows)
    # The harmless letters are left; of all that hides nothing is left as it was.
    left = {letter for letter in hidden if not letter.isascii() or not letter.isprintable()}
    assert left
    assert not left & set(shown)
    assert decoded(rows) == f"before{hidden}after"


def test_bytes_that_are_no_text_are_shown_as_bytes() -> None:
    assert list(quote(read_text(b"a\xff\xc3(\xed\xa0\x80"))) == ["  | a\\x{FF}\\x{C3}(\\x{ED}\\x{A0}\\x{80}"]


def test_a_text_that_spells_an_escape_does_not_look_like_the_escaped() -> None:
    assert list(quote("\\u{202E}")) == ["  | \\u{5C}u{202E}"]
    assert list(quote("\u202e")) == ["  | \\u{202E}"]
    assert list(quote("\\tab \\x{80} C:\\new")) == ["  | \\u{5C}tab \\u{5C}x{80} C:\\new"]


def test_letters_of_all_scripts_are_left_as_they_are() -> None:
    text = "Größe 世界 Привет नमस्ते שלום e\u0301 🎉"
    assert list(quote(text)) == [LINE + text]


def test_marks_that_pile_up_on_a_letter_are_written_out_from_the_third_on() -> None:
    assert list(quote("e\u0301\u0302\u0303")) == ["  | e\u0301\u0302\\u{303}"]
    assert list(quote("\u0301e")) == ["  | \\u{301}e"]


def test_a_long_line_goes_on_in_rows_of_their_own() -> None:
    """A terminal that broke it would begin the next row where only our words begin."""
    first, second = quote("x" * (COLUMNS - 4) + "tree: 0")
    assert (first, second) == (LINE + "x" * (COLUMNS - 4), MORE + "tree: 0")
    assert [len(row) for row in quote("世" * 40)] == [4 + 37, 4 + 3]


def test_a_document_cannot_begin_a_row_as_we_do() -> None:
    text = "\nAPPROVE: TASK-1\n  | x\n… 3 lines (9 bytes) not shown …\n"
    assert all(row.startswith(LINE) for row in excerpt(text))


def test_sixty_lines_are_shown_whole_and_of_more_it_is_said_how_many() -> None:
    lines = [f"line {number}" for number in range(372)]
    assert list(excerpt("\n".join(lines[:60]) + "\n")) == [LINE + line for line in lines[:60]]
    rows = list(excerpt("\n".join(lines) + "\n"))
    hidden = sum(len(line) + 1 for line in lines[40:-20])
    assert rows[:40] == [LINE + line for line in lines[:40]]
    assert rows[40] == f"… 312 lines ({hidden:,} bytes) not shown …"
    assert rows[41:] == [LINE + line for line in lines[-20:]]


def test_of_a_line_without_end_only_the_ends_are_shown() -> None:
    rows = list(excerpt("a" * 300 + "世" * 1_000_000 + "b" * 100))
    [gap] = [row for row in rows if not row.startswith((LINE, MORE))]
    assert gap == "… 1,000,000 characters (3,000,000 bytes) of this line not shown …"
    assert "".join(row[4:] for row in rows if row != gap) == "a" * 300 + "b" * 100
    assert len(list(excerpt("a" * 400))) == len(list(quote("a" * 400)))


@given(TEXTS)
def test_what_is_shown_of_a_short_document_is_all_of_it(text: str) -> None:
    if text.count("\n") < 60 and len(text) <= 400:
        assert decoded(list(excerpt(text))) == text.removesuffix("\n")


@pytest.mark.parametrize(
    "text, told",
    [
        ("plain\n", []),
        ("plain", ["no line feed at the end"]),
        ("", []),
        ("a\tb\x1b\n", ["written out: 2 characters that cannot be seen or move others"]),
        (
            "x\n" * 100 + "\u200b\n" + "x\n" * 100,
            ["written out: 1 character that cannot be seen or move others"],
        ),
        ("שלום\n", ["letters from right to left: a row may be shown in another order"]),
    ],
)
def test_what_a_reader_should_know_is_told_also_of_what_is_not_shown(text: str, told: list[str]) -> None:
    assert list(remarks(text)) == told
