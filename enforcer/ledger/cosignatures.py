"""What witnesses add to a checkpoint: lines of C2SP tlog-cosignature below the log's own signature.

They come back on a note of their own and are put together here. A line is taken over whether its witness is known or
not, because it is the reader who chooses whom to trust; it says `verified` only where a key was given for which it
holds. One that is of such a key and does not hold is refused, and with it the whole note.
"""

from __future__ import annotations

from enforcer.ledger.checkpoint import parse_checkpoint
from enforcer.ledger.note import COSIGNATURE, Note, NoteFault, format_note, key_id, signed_message
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from enforcer.ledger.note import Check, Signature, VerifierKey

# Eight bytes of time, big-endian, and an Ed25519 signature.
_TIME_SIZE = 8
_SIZE = _TIME_SIZE + 64


class Cosignature(Record):
    """A line of a witness: its name, its key id in hex, the time it signed (seconds since 1970), and whether it was
    verified with a key that was given."""

    name: str
    key_id: str
    time: int
    verified: bool


def time_of(line: Signature) -> int:
    """The time that a cosignature states, in seconds since 1970."""
    return int.from_bytes(line.value[:_TIME_SIZE])


def cosignatures_in(note: Note) -> tuple[Signature, ...]:
    """The lines that have the form of a cosignature, of others than the log itself. Raises `NoteFault`."""
    origin = parse_checkpoint(note.text).origin
    return tuple(line for line in note.signatures if line.name != origin and len(line.value) == _SIZE)


def merge_cosignatures(
    standing: Note, given: Note, witnesses: Iterable[VerifierKey], check: Check
) -> tuple[bytes, tuple[Cosignature, ...]]:
    """The standing note with the cosignatures of the given one added, and all that are below it then.

    A line that stands there gives way only to a verified one of the same witness that is later, or where it does not
    hold itself. Raises `NoteFault` where the two notes are of different texts, a line does not hold for a key that was
    given, or there would be too many.
    """
    if given.text != standing.text:
        raise NoteFault("it is of another checkpoint than the one that stands here")
    judge = _Judge(standing.text, witnesses, check)
    lines = {(line.name, line.key_id): line for line in standing.signatures}
    for line in cosignatures_in(given):
        place = line.name, line.key_id
        if judge.knows(line) and not judge.holds(line):
            raise NoteFault(f"the cosignature of {line.name!a} does not hold")
        before = lines.get(place)
        if before is None or (judge.holds(line) and (not judge.holds(before) or time_of(before) < time_of(line))):
            lines[place] = line
    merged = Note(standing.text, tuple(lines.values()))
    told = (
        Cosignature(line.name, line.key_id.hex(), time_of(line), judge.holds(line)) for line in cosignatures_in(merged)
    )
    return format_note(merged.text, merged.signatures), tuple(told)


class _Judge:
    """Holds lines below one text against the keys of witnesses that were given."""

    def __init__(self, text: bytes, witnesses: Iterable[VerifierKey], check: Check) -> None:
        self._text, self._check = text, check
        self._keys: Mapping[tuple[str, bytes], VerifierKey] = {
            (key.name, key_id(key.name, key.public, COSIGNATURE)): key
            for key in witnesses
            if key.algorithm == COSIGNATURE
        }

    def knows(self, line: Signature) -> bool:
        return (line.name, line.key_id) in self._keys

    def holds(self, line: Signature) -> bool:
        key = self._keys.get((line.name, line.key_id))
        if key is None:
            return False
        message, signature = signed_message(self._text, key, line.value)
        return self._check(key.public, signature, message)
