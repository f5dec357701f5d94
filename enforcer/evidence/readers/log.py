"""From what a command wrote to evidence: a text that ends with the command's exit status.

The last line is ours, so a line like it in the output changes nothing. What a terminal would obey, and what is no text,
is spelled out, so that whoever reads the log sees what was written.
"""

from __future__ import annotations

import re

LIMIT = 2 << 20
"""Bytes of output that a log holds at most; more is left out of the middle, and the log says so."""

# Colours and the like (ECMA-48 control sequences, and the strings that set titles and links) say nothing in a file.
_STYLE = re.compile("\x1b(?:\\[[0-?]*[ -/]*[@-~]|\\][^\x07\x1b]*(?:\x07|\x1b\\\\))")
_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]"  # Marks of direction included.
)


def log_text(output: bytes, status: int | None, *, ended: str = "", limit: int = LIMIT) -> bytes:
    """The log of a command: its output as readable UTF-8, then why it was ended, if it was, then `exit status: N`.

    `status` is None where there was none, because a signal ended the command; it stands as -1 then.
    """
    text = _CONTROL.sub(_spelled, _STYLE.sub("", _abridged(output, limit)).replace("\r\n", "\n"))
    lines = [text.rstrip("\n")] if text.strip() else []
    if ended:
        lines.append(f"ended by: {_CONTROL.sub(_spelled, ended)}")
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


def _spelled(found: re.Match[str]) -> str:
    code = ord(found[0])
    if found[0] == "\r":
        return "\n"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
