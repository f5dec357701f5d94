"""Which lines a change added or modified, from the bytes of `git diff` with its own prefixes and without renames.

Hunks are read by the counts in their headers, so no content, whatever it looks like, is taken for a header.
"""

from __future__ import annotations

import re

from enforcer.evidence.readers.fault import Unreadable, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_HUNK = re.compile(rb"@@ -[0-9]+(?:,([0-9]+))? \+([0-9]+)(?:,([0-9]+))? @@")
_ESCAPE = re.compile(rb'\\([0-7]{3}|[abtnvfr"\\])')
_LETTERS = {b"a": 7, b"b": 8, b"t": 9, b"n": 10, b"v": 11, b"f": 12, b"r": 13, b'"': 34, b"\\": 92}


def changed_lines(diff: bytes) -> dict[str, frozenset[int]]:
    """The numbers, in the new file, of the lines that a diff adds or modifies; only files that have any.

    Paths are relative to the top of the repository, and as text what `evidence.git` makes of them. Raises `Unreadable`
    for what is no such diff.
    """
    changed: dict[str, set[int]] = {}
    path: str | None = None
    lines = _Lines(diff)
    for line in lines:
        if line.startswith(b"diff --git "):
            path = None
        elif line.startswith(b"diff --"):
            raise Unreadable(f"it is the diff of a merge, at line {lines.number}")
        elif line.startswith(b"+++ "):
            path = _path(line[4:], lines.number)
        elif line.startswith(b"@@ "):
            if path is None:
                raise Unreadable(f"line {lines.number} of the diff begins a hunk of no file")
            changed.setdefault(path, set()).update(_added(line, lines))
    return {name: frozenset(numbers) for name, numbers in changed.items() if name and numbers}


class _Lines:
    """The lines of a diff, one after the other; only a line feed ends one."""

    def __init__(self, data: bytes) -> None:
        self._lines = data.split(b"\n")
        if self._lines[-1] == b"":
            self._lines.pop()
        self.number = 0

    def __iter__(self) -> Iterator[bytes]:
        while self.number < len(self._lines):
            yield self.next()

    def next(self) -> bytes:
        if self.number >= len(self._lines):
            raise Unreadable("the diff ends inside of a hunk")
        self.number += 1
        return self._lines[self.number - 1]


def _added(header: bytes, lines: _Lines) -> Iterator[int]:
    """The numbers of the lines that a hunk adds; reads to its last line."""
    hunk = _HUNK.match(header)
    if hunk is None or max(map(len, hunk.groups(b""))) > 12:
        raise Unreadable(f"line {lines.number} of the diff is no header of a hunk: {shown(header[:60])}")
    old, number, new = int(hunk[1] or 1), int(hunk[2]), int(hunk[3] or 1)
    while old or new:
        mark = lines.next()[:1]
        if mark == b"+" and new:
            yield number
        elif mark == b"-" and old:
            old -= 1
            continue
        elif mark in (b" ", b"") and old and new:
            old -= 1
        elif mark != b"\\":  # `\ No newline at end of file`, which is no line of either side.
            raise Unreadable(f"line {lines.number} of the diff does not belong into its hunk")
        else:
            continue
        number += 1
        new -= 1


def _path(name: bytes, number: int) -> str:
    """The path of a new file; empty for one that is gone."""
    if name == b"/dev/null":
        return ""
    name = _unquoted(name) if name.startswith(b'"') else name.removesuffix(b"\t")
    if not name.startswith(b"b/"):
        raise Unreadable(f"line {number} of the diff names a file without the prefix b/: {shown(name[:80])}")
    return _shown(name[2:])


def _shown(path: bytes) -> str:
    """A path as text, in the same way as `evidence.git` shows one, so that both name a file alike."""
    try:
        return path.decode()
    except UnicodeDecodeError:
        return "./" + path.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")


def _unquoted(name: bytes) -> bytes:
    """A name that git has put between quotes, as in C."""
    inner = name.rstrip(b"\t")[1:-1]
    return _ESCAPE.sub(lambda found: bytes([_LETTERS.get(found[1]) or int(found[1], 8) & 0xFF]), inner)
