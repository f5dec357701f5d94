"""The newest checkpoint that a verification has found to hold, kept as the anchor of the next one.

A file that is called `checkpoint` need not be the newest, nor signed by anybody who is known: whoever publishes a
ledger could put an older one there, or one of a key that counts no more, have it kept, and turn the next verification
against the ledger that is true. So what is kept is a head that this verification has counted: signed by a key in force
at its size, and of the root that the lines have. It never gives way to a smaller one.
"""

from __future__ import annotations

import os

from enforcer.errors import DamagedError, UnavailableError
from enforcer.ledger.note import MAX_NOTE, NoteFault, format_note, parse_note
from enforcer.ports import write_durably

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from enforcer.ledger.heads import Head
    from enforcer.ledger.note import Note
    from enforcer.ports import Disk, Entropy

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


def keep(path: str, heads: Sequence[Head], *, disk: Disk, entropy: Entropy) -> None:
    """Put the last of the `heads` that counted, smallest first, into a file where a smaller one of them may stand.

    Raises `DamagedError` `anchor_conflict` where something else stands there, and `UnavailableError`
    `anchor_unwritable`.
    """
    newest = heads[-1]
    try:
        path = os.path.realpath(path)
        before = _read(disk, path) if os.path.lexists(path) else b""
        if before and _size_of(before, heads) is None:
            message = "What is kept there is no checkpoint that vouches for this ledger."
            raise DamagedError("anchor_conflict", message, where=path, fix="Nothing was written. Name another file.")
        if not before or (_size_of(before, heads) or 0) < newest.size:
            disk.make_folder(os.path.dirname(path))
            write_durably(disk, path, format_note(newest.note.text, newest.note.signatures), entropy=entropy)
    except (OSError, ValueError) as error:
        message = f"The checkpoint cannot be kept: {getattr(error, 'strerror', None) or error}."
        fix = "Name a file that can be written."
        raise UnavailableError("anchor_unwritable", message, where=path, fix=fix) from error


def _size_of(data: bytes, heads: Sequence[Head]) -> int | None:
    """The size of the head that stands in a file; None where it is none of those."""
    try:
        note: Note | None = parse_note(data)
    except NoteFault:
        return None
    return next((head.size for head in heads if head.note == note), None)


def _read(disk: Disk, path: str) -> bytes:
    fd = disk.open(path, _READ)
    try:
        return disk.read(fd, MAX_NOTE, 0)
    finally:
        disk.close(fd)
