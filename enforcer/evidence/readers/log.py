"""From what a command wrote to evidence: a text that ends with the command's exit status.

The last line is ours, so a line like it in the output changes nothing. What a terminal would obey, and what is no text,
is spelled out, so that whoever reads the log sees what was written.
"""

from __future__ import annotations

import re
import unicodedata

LIMIT = 1_000_000
"""Bytes of output that go into a log; more is left out of the middle, and the log says so. Each byte may need four to
be spelled out, and an artifact has at most 4 MiB."""

# Colours and the like (ECMA-48 control sequences, and the strings that set titles and links) say nothing in a file.
_STYLE = re.compile("\x1b(?:\\[[0-?]*[ -/]*[@-~]|\\][^\x07\x1b]*(?:\x07|\x1b\\\\))")


def log_text(output: bytes, status: int | None, *, ended: str = "", limit: int = LIMIT) -> bytes:
    """The log of a command: its output as readable UTF-8, then why it was ended, if it was, then `exit status: N`.

    `status` is None where there was none, because a signal ended the command; it stands as -1 then.
    """
    text = _STYLE.sub("", _abridged(output, limit)).replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")
    lines = [_spelled(line) for line in text.split("\n")] if text else []
    if ended:
        lines.append(f"ended by: {_spelled(ended)}")
    lines.append(f"exit status: {-1 if status is None else status}")
    return ("\n".join(lines) + "\n").encode()


def _abridged(output: bytes, limit: int) -> str:
    if len(output) <= limit:
        return _decode(output)
    head, tail = output[: limit // 2], output[-(limit // 2) :]
    # A character that is cut is left out as a whole, and no line is begun in its middle.
    head, tail = head[: head.rfind(b"\n") + 1] or head, tail[tail.find(b"\n") + 1 :] or tail
    return f"{_decode(head)}\n… {len(output) - len(head) - len(tail)} bytes left out …\n{_decode(tail)}"


def _decode(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def _spelled(line: str) -> str:
    """A line with every character spelled out that shows nothing, or makes others show in another order."""
    return line if line.isprintable() else "".join(map(_spelled_character, line))


def _spelled_character(character: str) -> str:
    if character.isprintable() or character == "\t" or unicodedata.category(character) == "Zs":
        return character
    return character.encode("unicode_escape").decode()
