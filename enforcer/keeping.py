"""The newest checkpoint that a verification has found to hold, kept as the anchor of the next one.

A file that is called `checkpoint` need not be the newest, nor signed by anybody who is known: whoever publishes a
ledger could put an older one there, have it kept, and cut the ledger back to it the next time. So what is kept is a
note whose signature was checked, of the largest size that was vouched for, and it never gives way to a smaller one.
"""

from __future__ import annotations

import os
from contextlib import suppress

from enforcer.errors import DamagedError, UnavailableError
from enforcer.ledger.checkpoint import parse_checkpoint
from enforcer.ledger.note import COSIGNATURE, ED25519, MAX_NOTE, NoteFault, VerifierKey, parse_note, signed_message
from enforcer.ports import write_durably

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from enforcer.ledger.note import Check, Note, Signature
    from enforcer.ports import Disk, Entropy

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
_HEADS = ("checkpoints", "anchors")


class Checked:
    """Checks signatures for a verification, which asks of keys that it knows alone, and remembers which ones held."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self._held: set[tuple[bytes, bytes]] = set()

    def __call__(self, public: bytes, signature: bytes, message: bytes) -> bool:
        holds = self._check(public, signature, message)
        if holds:
            self._held.add((message, signature))
        return holds

    def vouched(self, note: Note) -> bool:
        """Whether a signature of the note was checked and held."""
        return any(self._holds(note.text, signature) for signature in note.signatures)

    def _holds(self, text: bytes, signature: Signature) -> bool:
        for algorithm in (ED25519, COSIGNATURE):
            with suppress(NoteFault):
                if signed_message(text, VerifierKey(signature.name, b"", algorithm), signature.value) in self._held:
                    return True
        return False


def keep(path: str, ledger: str, size: int, checked: Checked, *, disk: Disk, entropy: Entropy) -> None:
    """Put the checkpoint of `size` entries from the folder `ledger` into a file, where a smaller one may stand.

    Raises `DamagedError` `anchor_conflict` where what stands there is no checkpoint that was held against this ledger,
    and `UnavailableError` `anchor_unwritable`.
    """
    try:
        path = os.path.realpath(path)
        before = _read(disk, path) if os.path.lexists(path) else b""
        if before:
            stands = _head(before, checked)
            if stands is None:
                message = "What is kept there is no checkpoint that vouches for this ledger."
                raise DamagedError(
                    "anchor_conflict", message, where=path, fix="Nothing was written. Name another file."
                )
            if stands >= size:
                return
        note = next((note for note in _notes(ledger, disk) if _head(note, checked) == size), None)
        if note is not None:
            disk.make_folder(os.path.dirname(path))
            write_durably(disk, path, note, entropy=entropy)
    except (OSError, ValueError) as error:
        message = f"The checkpoint cannot be kept: {getattr(error, 'strerror', None) or error}."
        fix = "Name a file that can be written."
        raise UnavailableError("anchor_unwritable", message, where=path, fix=fix) from error


def _head(data: bytes, checked: Checked) -> int | None:
    """The size of a checkpoint that is vouched for; None for anything else."""
    try:
        note = parse_note(data)
        return parse_checkpoint(note.text).size if checked.vouched(note) else None
    except NoteFault:
        return None


def _notes(ledger: str, disk: Disk) -> Iterator[bytes]:
    names = ["checkpoint", *(f"{folder}/{name}" for folder in _HEADS for name in disk.listing(f"{ledger}/{folder}"))]
    for name in names:
        try:
            yield _read(disk, f"{ledger}/{name}")
        except OSError:
            continue


def _read(disk: Disk, path: str) -> bytes:
    fd = disk.open(path, _READ)
    try:
        return disk.read(fd, MAX_NOTE, 0)
    finally:
        disk.close(fd)
