"""Verifier keys as whoever verifies gives them: on the command line, or in a short file that they keep."""

from __future__ import annotations

import os
import stat

from enforcer.errors import RequestError
from enforcer.ledger.note import ED25519, parse_vkey

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from enforcer.ledger.note import VerifierKey

KEY_FILE_LIMIT = 1 << 16


def read_keys(text: str, algorithms: Collection[int] = (ED25519,)) -> tuple[VerifierKey, ...]:
    """The verifier keys of a vkey, or of a file with one a line.

    Words may follow a key, and a line that is indented is a remark on the one above it, as `key show` prints them.
    Raises `RequestError` `bad_vkey`.
    """
    if text.count("+") >= 2 and not os.path.lexists(text):
        return (parse_vkey(text.split(maxsplit=1)[0], algorithms),)
    try:
        lines = _read_text(text).splitlines()
    except (OSError, ValueError) as error:
        message = f"This is no verifier key, and no file that holds one: {getattr(error, 'strerror', None) or error}."
        fix = "Give the line that `enforcer key show --current` prints, or a file with such lines."
        raise RequestError("bad_vkey", message, where=text[:200], fix=fix) from error
    words = [line.split(maxsplit=1)[0] for line in lines if line.strip() and line[0] not in "# \t"]
    keys = tuple(parse_vkey(word, algorithms) for word in words)
    if not keys:
        raise RequestError("bad_vkey", "The file holds no verifier key.", where=text, fix="One a line.")
    return keys


def _read_text(path: str) -> str:
    """A short text file. `OSError` and `ValueError` pass."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with open(fd, encoding="utf-8") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise ValueError("it is no regular file")
        text = file.read(KEY_FILE_LIMIT + 1)
    if len(text) > KEY_FILE_LIMIT:
        raise ValueError(f"it is longer than {KEY_FILE_LIMIT} characters")
    return text
