"""What must not be stored is taken out of a command's output before anybody keeps or shows it.

A pattern is held against one line at a time, so that what is taken out does not depend on the pieces in which the
output happened to arrive. Whatever ends a line ends a match: a secret of several lines needs a pattern a line.
"""

from __future__ import annotations

import re

from enforcer.errors import RequestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

REPLACEMENT = b"[redacted]"

# A match of up to this many bytes is found wherever it stands in a line, however long the line is.
SPAN = 65_536

_LINE_END = re.compile(rb"[\r\n]")


class Redaction:
    """Patterns (Python `re`, over bytes) whose matches are replaced by `[redacted]`."""

    def __init__(self, patterns: Sequence[str] = ()) -> None:
        """Raises `RequestError` `bad_pattern` for one that is empty or that `re` does not take."""
        self.patterns = tuple(patterns)
        self._compiled = tuple(_compile(pattern) for pattern in self.patterns)

    def __bool__(self) -> bool:
        return bool(self._compiled)

    def apply(self, data: bytes) -> bytes:
        """Whole data, redacted as the same bytes in any pieces would be."""
        stream = self.stream()
        return stream.feed(data) + stream.finish()

    def stream(self) -> Stream:
        """What redacts one output as it comes."""
        return Stream(self)

    def matches(self, line: bytes | bytearray) -> list[tuple[int, int]]:
        """Where the patterns match, as start and end; sorted, and joined where they touch."""
        found = sorted(each.span() for pattern in self._compiled for each in pattern.finditer(line) if each.group())
        joined: list[tuple[int, int]] = []
        for start, end in found:
            if joined and start <= joined[-1][1]:
                joined[-1] = joined[-1][0], max(end, joined[-1][1])
            else:
                joined.append((start, end))
        return joined


class Stream:
    """The redaction of one output. Holds back the line that is not yet ended, up to twice `SPAN` bytes of it."""

    def __init__(self, redaction: Redaction) -> None:
        self._redaction = redaction
        self._line = bytearray()
        self._told = 0  # How much of `_line` has left already; it stays as what a pattern may look back on.
        self._swallowing = False  # A match that has no end in sight takes the rest of its line with it.

    def feed(self, data: bytes) -> bytes:
        """The bytes that are certain now."""
        if not self._redaction:
            return data
        out = bytearray()
        for piece, ended in _pieces(data):
            self._line += piece
            if ended:
                # The end of the line is no part of what patterns see, and always passes.
                end = self._line.pop()
                out += self._end_line()
                out.append(end)
            else:
                out += self._relieve()
        return bytes(out)

    def finish(self) -> bytes:
        """What was still held back."""
        return self._end_line()

    def _end_line(self) -> bytes:
        ended = b"" if self._swallowing else self._redacted(len(self._line), self._redaction.matches(self._line))
        self._line.clear()
        self._told, self._swallowing = 0, False
        return ended

    def _relieve(self) -> bytes:
        """Let go of the front of a line that grows too long to be held whole."""
        if self._swallowing:
            self._line.clear()
            return b""
        if len(self._line) - self._told <= 2 * SPAN:
            return b""
        matches = self._redaction.matches(self._line)
        cut = len(self._line) - SPAN
        if matches and matches[-1][0] <= cut and matches[-1][1] == len(self._line):
            self._swallowing = True
            told = self._redacted(len(self._line), matches)
            self._line.clear()
            self._told = 0
            return told
        cut = next((end for start, end in matches if start < cut < end), cut)
        told = self._redacted(cut, matches)
        del self._line[: cut - SPAN]
        self._told = SPAN
        return told

    def _redacted(self, cut: int, matches: list[tuple[int, int]]) -> bytes:
        """The untold part of the line up to `cut`, its matches replaced."""
        out, place = bytearray(), self._told
        for start, end in matches:
            if end <= place or start >= cut:
                continue
            out += self._line[place : max(start, place)] + REPLACEMENT
            place = end
        return bytes(out + self._line[place:cut])


def _pieces(data: bytes) -> Iterator[tuple[bytes, bool]]:
    """The lines of some output with their ends, and whether each is ended. Long ones come in parts."""
    place = 0
    while place < len(data):
        found = _LINE_END.search(data, place, place + SPAN)
        end = found.end() if found else min(place + SPAN, len(data))
        yield data[place:end], found is not None
        place = end


def _compile(pattern: str) -> re.Pattern[bytes]:
    try:
        if pattern:
            return re.compile(pattern.encode())
        reason = "it is empty"
    except (re.error, ValueError, OverflowError, RecursionError) as error:
        reason = str(error)
    message = f"The pattern {pattern!a} cannot be used: {reason}."
    raise RequestError("bad_pattern", message, fix="Give a regular expression as Python's `re` takes it.")
