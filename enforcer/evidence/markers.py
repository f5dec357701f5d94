"""Lines of a change that say of themselves that they are not finished: `TODO`, `FIXME` and their like, in comments.

Only lines that the change adds are looked at, and only those of production files: what a test or a document says is
for people to judge. The words are those that no evidence may leave open either (`workflow.rules.prose`). In code they
are marks where a comment begins with them, and in capitals wherever they stand in one; a word between quotes or
backticks is spoken about, and a name that holds such a word is a name.
"""

from __future__ import annotations

import re

from enforcer.workflow.paths import matches
from enforcer.workflow.record import Record
from enforcer.workflow.rules.prose import open_mark

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

TESTS = "tests"
"""The risk class whose files are no production files."""

# Where a process has no such class.
USUAL_TESTS = (
    "**/test/**",
    "**/tests/**",
    "**/testing/**",
    "test_*",
    "*_test.*",
    "*.test.*",
    "*.spec.*",
    "conftest.py",
)

DOCUMENTS = (".md", ".markdown", ".rst", ".txt", ".adoc", ".asciidoc", ".org", ".tex")

LONGEST = 2_000  # Characters of a line that are looked at.

_COMMENT = re.compile(
    r"(?:^|(?<=[\s;,(){}\[\]]))(?:#+!?|//+!?|/\*+!?|\*+|--+|;+|%+|<!--+|\{#|\"\"\"|'''|REM\b|rem\b)(?=\s*[@\\]?\w)"
)
_CAPITALS = re.compile(r"(?<![\w`'\"-])(?:TODO|FIXME|XXX|TBD|TBC)(?![\w`'\"-])")
_LINE = re.compile(r"\s*[(\[]?(?=(?:TODO|FIXME|XXX|TBD|TBC)(?::|\(\w+\):|\s+[a-z]|\s*$))")
_HUNK = re.compile(rb"@@ -[0-9]+(?:,([0-9]+))? \+([0-9]+)(?:,([0-9]+))? @@")
_HEADER = b"diff --git "
_ESCAPE = re.compile(rb'\\([0-7]{3}|[abtnvfr"\\])')
_LETTERS = {b"a": 7, b"b": 8, b"t": 9, b"n": 10, b"v": 11, b"f": 12, b"r": 13, b'"': 34, b"\\": 92}


class Marker(Record):
    """An added line that holds a mark: the file, its number from 1, and the mark."""

    path: str
    line: int
    mark: str


def markers(patch: bytes, risks: Mapping[str, tuple[str, ...]], read: Callable[[str], bytes | None]) -> list[Marker]:
    """The marks in the lines that a patch (`evidence.git`, with its fixed options) adds to production files.

    `risks` are the risk classes of the process. Attributes of a repository can make git call a text binary, and then
    its patch has no lines: `read` gives the bytes of such a file, None where it is gone, and all of it is looked at.
    """
    found = []
    for path, number, text in _added(patch):
        if not is_production(path, risks):
            continue
        lines = [(number, text)] if number else _lines(read(path))
        found += [Marker(path, at, mark) for at, line in lines if (mark := mark_in(_text(line)))]
    return found


def is_production(path: str, risks: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether a file is neither a test nor a document."""
    tests = risks.get(TESTS, USUAL_TESTS)
    return not path.lower().endswith(DOCUMENTS) and not any(matches(pattern, path) for pattern in tests)


def mark_in(line: str) -> str:
    """The mark that a line of code holds in a comment, or as a line of one; empty without any."""
    line = line[:LONGEST]
    at = _LINE.match(line)
    if at is not None:
        return open_mark(line[at.end() :])
    for begin in _COMMENT.finditer(line):
        comment = line[begin.end() :]
        if mark := open_mark(comment.lstrip(" \t@\\")):
            return mark
        for word in _CAPITALS.finditer(comment):
            if mark := open_mark(comment[word.start() :]):
                return mark
    return ""


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace")


def _lines(data: bytes | None) -> list[tuple[int, bytes]]:
    """All lines of a file that is text, whatever git was made to call it."""
    if data is None or b"\0" in data[:8_000]:
        return []
    return list(enumerate(data.split(b"\n"), 1))


def _added(patch: bytes) -> Iterator[tuple[str, int, bytes]]:
    """Path, number and text of each line that a patch adds; for a file without lines in it, its path and 0.

    A hunk is read by the counts in its header, so that no content is taken for one.
    """
    lines = iter(patch.split(b"\n"))
    path = ""
    for line in lines:
        if line.startswith(_HEADER):
            path = _path(line)
        elif line == b"GIT binary patch":
            yield path, 0, b""
        elif hunk := _HUNK.match(line):
            yield from ((path, number, text) for number, text in _hunk(hunk, lines))


def _hunk(header: re.Match[bytes], lines: Iterator[bytes]) -> Iterator[tuple[int, bytes]]:
    old, number, new = int(header[1] or 1), int(header[2]), int(header[3] or 1)
    while old or new:
        line = next(lines, None)
        if line is None:
            return
        if line.startswith(b"+"):
            yield number, line[1:]
        elif line.startswith(b"-"):
            old -= 1
            continue
        elif line.startswith(b"\\"):
            continue
        else:
            old -= 1
        number, new = number + 1, new - 1


def _path(header: bytes) -> str:
    """The path in a header, which names it twice in words of one length: nothing is renamed in such a patch."""
    both = header.removeprefix(_HEADER)
    name = both[len(both) // 2 + 1 :]
    if name.startswith(b'"'):
        name = _ESCAPE.sub(lambda one: bytes([_LETTERS.get(one[1]) or int(one[1], 8) & 0xFF]), name[1:-1])
    return name[2:].decode("utf-8", "backslashreplace")
