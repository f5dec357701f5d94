"""Texts of others as a person reads them on a terminal: nothing hidden, nothing obeyed, nothing left out silently.

Whoever writes a document may want that the reader sees another one. So every character that cannot be seen, or that
moves others, is written out, such that the text can be told from what is shown:

    \\t          a tab
    \\u{1B}      the character with this number: controls, bidirectional and zero-width characters, unusual spaces, and
                combining marks beyond two in a row; also a backslash that would look like one of these escapes
    \\x{FF}      a byte that is no UTF-8

Each row of a document begins with `  | `, or with `  + ` where a long line goes on, and is at most 78 columns wide, so
that on a terminal of 80 no document can put up a row that looks like one of ours. Long documents are abridged, and say
by how much.
"""

from __future__ import annotations

import unicodedata

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

LINE, MORE = "  | ", "  + "
COLUMNS = 78
HEAD_LINES, TAIL_LINES = 40, 20
HEAD_CHARACTERS, TAIL_CHARACTERS = 300, 100

_MARKS = 2  # More than two combining marks on one letter reach into the rows above and below.
_ESCAPES = ("t", "u{", "x{")

# What Python takes for printable although nothing can be seen of it: fillers, blanks, joiners, variation selectors.
_UNSEEN = frozenset(
    (0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x180F, 0x2800, 0x3164, 0xFFA0, 0x16FE4, 0x1D159)
) | frozenset((*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)))


def read_text(data: bytes) -> str:
    """The text of a file; bytes that are no UTF-8 are kept as lone surrogates, to be written out as bytes."""
    return data.decode("utf-8", "surrogateescape")


def quote(text: str) -> Iterator[str]:
    """The rows of a text, whole."""
    for line in text.split("\n"):
        yield from _rows(line)


def excerpt(text: str) -> Iterator[str]:
    """The rows of a document: its first and last lines, and between them how much is not shown."""
    lines = text.removesuffix("\n").split("\n")
    if len(lines) <= HEAD_LINES + TAIL_LINES:
        head, hidden, tail = lines, [], []
    else:
        head, hidden, tail = lines[:HEAD_LINES], lines[HEAD_LINES:-TAIL_LINES], lines[-TAIL_LINES:]
    for line in head:
        yield from _abridged(line)
    if hidden:
        yield f"… {counted(len(hidden), 'line')} ({counted(_size(hidden), 'byte')}) not shown …"
    for line in tail:
        yield from _abridged(line)


def escaped(text: str) -> str:
    """A short text on one row, with nothing in it that is obeyed."""
    return "".join(shown for shown, _ in _pieces(text))


def remarks(text: str) -> Iterator[str]:
    """What a reader should know of a whole document, whether or not it is shown."""
    unseen = sum(shown != letter for line in text.split("\n") for shown, letter in _pieces(line))
    if unseen:
        yield f"written out: {counted(unseen, 'character')} that cannot be seen or move others"
    if not text.isascii() and any(unicodedata.bidirectional(letter) in ("R", "AL", "AN") for letter in text):
        yield "letters from right to left: a row may be shown in another order"
    if text and not text.endswith("\n"):
        yield "no line feed at the end"


def counted(number: int, what: str) -> str:
    """`1 line`, `18,204 bytes`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _size(lines: list[str]) -> int:
    """How many bytes these lines take, each with its line feed."""
    return sum(len(line.encode("utf-8", "surrogateescape")) + 1 for line in lines)


def _abridged(line: str) -> Iterator[str]:
    if len(line) <= HEAD_CHARACTERS + TAIL_CHARACTERS:
        yield from _rows(line)
        return
    hidden = line[HEAD_CHARACTERS:-TAIL_CHARACTERS]
    yield from _rows(line[:HEAD_CHARACTERS])
    size = len(hidden.encode("utf-8", "surrogateescape"))
    yield f"… {counted(len(hidden), 'character')} ({counted(size, 'byte')}) of this line not shown …"
    yield from _rows(line[-TAIL_CHARACTERS:], MORE)


def _rows(line: str, prefix: str = LINE) -> Iterator[str]:
    """One line as rows that fit; an escape is not torn apart."""
    row, used = "", len(prefix)
    for shown, _ in _pieces(line):
        width = _width(shown)
        if used + width > COLUMNS:
            yield prefix + row
            prefix, row, used = MORE, "", len(MORE)
        row, used = row + shown, used + width
    yield prefix + row


def _pieces(line: str) -> Iterator[tuple[str, str]]:
    """Every character as it is shown, and as it is."""
    if line.isascii() and line.isprintable() and "\\" not in line:
        yield from zip(line, line, strict=True)
        return
    marks = _MARKS  # None may stand at the beginning, where it would fall on what stands before.
    for at, letter in enumerate(line):
        is_mark = not letter.isascii() and unicodedata.category(letter)[0] == "M"
        marks = marks + 1 if is_mark else 0
        if not letter.isprintable() or marks > _MARKS or ord(letter) in _UNSEEN:
            yield _written_out(letter), letter
        elif letter == "\\" and line.startswith(_ESCAPES, at + 1):
            yield _numbered(letter), letter
        else:
            yield letter, letter


def _written_out(letter: str) -> str:
    if letter == "\t":
        return "\\t"
    number = ord(letter)
    return f"\\x{{{number - 0xDC00:02X}}}" if 0xDC80 <= number <= 0xDCFF else _numbered(letter)


def _numbered(letter: str) -> str:
    return f"\\u{{{ord(letter):X}}}"


def _width(shown: str) -> int:
    """The columns that it takes: none for a mark, two for a wide letter."""
    if shown.isascii():
        return len(shown)
    if unicodedata.category(shown) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(shown) in ("W", "F") else 1
