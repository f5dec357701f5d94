"""What a witness asks of a head before it puts its name to it: that the lines make its tree, that a key in force has
signed it, and that its tree extends the one that was cosigned before.

All of it is worked out from the lines themselves. No proof, tile or key that comes with a head is believed; a key is
known because it was pinned, or because one that was has passed on to it in an entry that both have signed.
"""

from __future__ import annotations

from enforcer.attestation.signatures import verify_ed25519
from enforcer.errors import DamagedError, RequestError
from enforcer.ledger.checkpoint import parse_checkpoint
from enforcer.ledger.entry import BadLine, parse_leaf
from enforcer.ledger.merkle import Frontier
from enforcer.ledger.note import NoteFault, format_vkey, parse_note, verified_by
from enforcer.ledger.report import Findings
from enforcer.ledger.terms import terms_of
from enforcer.workflow.events import KeyRotated
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from enforcer.ledger.checkpoint import Checkpoint
    from enforcer.ledger.note import Note, VerifierKey
    from enforcer.ledger.terms import Term

_MARK = b'"type":"dev.enforcer.key.rotated"'


class _Pinned(Record):
    """As much of a ledger's identity as a witness knows: the key that it pinned, and whose it is."""

    key: str
    origin: str


class Read(Record):
    """What the lines give: the roots by size of those trees that were asked for, and every change of the log's key."""

    roots: dict[int, bytes]
    rotations: tuple[tuple[int, KeyRotated], ...]


def read_head(data: bytes) -> tuple[Note, Checkpoint]:
    try:
        note = parse_note(data)
        return note, parse_checkpoint(note.text)
    except NoteFault as fault:
        message, fix = f"The head that was found is no checkpoint: {fault}.", "Look at the ledger: enforcer verify"
        raise DamagedError("checkpoint_malformed", message, fix=fix) from fault


def given_key(origin: str, keys: Sequence[VerifierKey]) -> str:
    """The vkey to pin for a log that is seen for the first time."""
    for key in keys:
        if key.name == origin:
            return format_vkey(key.name, key.public)
    message = f"{origin[:80]!a} is seen here for the first time, and no key of it was given."
    fix = "Give the key that its owner published, once: --key VKEY. It is shown there by: enforcer key show --current"
    raise RequestError("log_key_needed", message, fix=fix)


def read_tree(
    batches: Iterable[tuple[Sequence[bytes], Sequence[bytes]]], head: Checkpoint, sizes: Sequence[int]
) -> Read:
    """Make the tree of a head from the lines, all of them, and note the roots that it had at `sizes` on the way."""
    tree, wanted = Frontier(), sorted({size for size in sizes if size < head.size} | {head.size})
    roots: dict[int, bytes] = {0: tree.root()}
    rotations: list[tuple[int, KeyRotated]] = []
    for lines, hashes in batches:
        first, used = tree.size, min(len(lines), head.size - tree.size)
        rotations += _rotations(lines[:used], first)
        for size in wanted:
            if tree.size < size <= first + used:
                tree.extend(hashes[tree.size - first : size - first])
                roots[size] = tree.root()
        tree.extend(hashes[tree.size - first : used])
        if tree.size == head.size:
            break
    if tree.size < head.size:
        message = f"The head is of {head.size} entries, and {tree.size} lines are there."
        raise DamagedError("lines_missing", message, fix="Nothing was cosigned. Look at the ledger: enforcer verify")
    if roots[head.size] != head.root:
        message = f"The first {head.size} lines do not have the root that the head names."
        fix = "Nothing was cosigned. Look at the ledger: enforcer verify"
        raise DamagedError("checkpoint_contradicted", message, fix=fix)
    return Read(roots, tuple(rotations))


def _rotations(lines: Sequence[bytes], first: int) -> Iterator[tuple[int, KeyRotated]]:
    for seq, line in enumerate(lines, first):
        if _MARK not in line:
            continue
        try:
            event = parse_leaf(line).event
        except BadLine as bad:
            message = f"Entry {seq} changes the log's key and cannot be read: {bad}."
            raise _bad_rotation(message) from bad
        if isinstance(event, KeyRotated):
            yield seq, event


def terms_from(origin: str, pinned: str, read: Read) -> list[Term]:
    """The keys that count from the pinned one on, as the log's own rotations pass it on."""
    # What led to the pinned key is not this witness's concern. It begins where that key hands over for the first time:
    # nobody but its holder can make such an entry, while anybody who writes lines can name it as the new one.
    handed = [number for number, (_, event) in enumerate(read.rotations) if event.old == pinned]
    following = read.rotations[handed[0] :] if handed else ()
    found = Findings()
    terms = terms_of(_Pinned(pinned, origin), following, verify_ed25519, found)
    if found.count:
        raise _bad_rotation(found.report().findings[0].message)
    return terms


def check_given(origin: str, keys: Sequence[VerifierKey], terms: list[Term]) -> None:
    """Refuse a key that was given besides and is none that the pinned one leads to."""
    if any(key.name == origin and key not in [term.key for term in terms] for key in keys):
        message = f"Another key is remembered here for {origin[:80]!a}, and it was not passed on to the one given."
        fix = "Ask the log's owner which one is right. The one that is remembered: enforcer witness show"
        raise RequestError("log_key_conflict", message, fix=fix)


def signers_of(note: Note, head: Checkpoint, terms: list[Term]) -> tuple[VerifierKey, ...]:
    try:
        signed = verified_by(note, [term.key for term in terms], verify_ed25519)
    except NoteFault as fault:
        message, fix = f"The head that was found is not signed as it says: {fault}.", "Nothing was cosigned."
        raise DamagedError("checkpoint_forged", message, fix=fix) from fault
    in_force = tuple(term.key for term in terms if term.key in signed and term.covers(head.size))
    if not in_force:
        message = f"The head of {head.size} entries is signed by no key that the pinned one has passed on to."
        fix = "Nothing was cosigned. A key changes with `enforcer key rotate`; anything else is another log."
        raise DamagedError("log_key_changed", message, fix=fix)
    return in_force


def check_extends(size: int, root: bytes, head: Checkpoint, read: Read) -> None:
    if head.size < size:
        message = f"The head is of {head.size} entries, and one of {size} was cosigned here before."
        fix = "Nothing was cosigned. Where only a copy is old, ask again; otherwise: enforcer verify"
        raise DamagedError("rolled_back", message, fix=fix)
    if read.roots[size] != root:
        message = f"The first {size} entries are not the ones that were cosigned here before."
        fix = "Nothing was cosigned: history was rewritten, or forked. Keep what is here: enforcer witness show"
        raise DamagedError("history_rewritten", message, fix=fix)


def _bad_rotation(message: str) -> DamagedError:
    fix = "Nothing was cosigned. Look at the ledger: enforcer verify"
    return DamagedError("rotation_invalid", message, fix=fix)
