"""Whether a checkpoint that somebody brings is vouched for, and by whom.

A key that was given by other means and has signed the checkpoint `pins` it, and so does one that leads to a key which
has: by changes of keys that come with the checkpoint, and that follow the rules of the ledger's keys (`terms`). A file
can bring a key along, and a signature that holds under that one alone is `self-declared`: whoever makes a file up can
make up its key as well.

A key that was given, has not signed and leads to none that has is no contradiction: nothing that was read says
otherwise than something else. It may be a later key than the checkpoint, or a file of another ledger, or a forgery. So
nobody is known to vouch, and the answer is that it cannot be told; it is never that the file holds.

A log's own key has the name of its origin. A witness has a name of its own and signs for many logs, so a cosignature of
one that was given counts for any of them. Signatures of others are not looked at.
"""

from __future__ import annotations

from enforcer.errors import RequestError
from enforcer.ledger.checkpoint import parse_checkpoint
from enforcer.ledger.note import COSIGNATURE, NoteFault, parse_note, parse_vkey, verified_by
from enforcer.ledger.report import INTEGRITY, KEY
from enforcer.ledger.terms import terms_of
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from enforcer.ledger.checkpoint import Checkpoint
    from enforcer.ledger.note import Check, Note, VerifierKey
    from enforcer.ledger.report import Findings
    from enforcer.ledger.terms import Term
    from enforcer.workflow.events import KeyRotated

NONE, SELF_DECLARED, PINNED = "none", "self-declared", "pinned"


class Vouched(Record):
    """The checkpoint, None where it cannot be read; one of the three words; and the names of keys that signed it."""

    checkpoint: Checkpoint | None = None
    key: str = NONE
    signers: tuple[str, ...] = ()


class Named(Record):
    """Whose first key a file names: what `terms` asks of a ledger's identity."""

    key: str | None
    origin: str


def read_head(note: bytes, found: Findings) -> tuple[Note, Checkpoint] | None:
    """A checkpoint; None, and a contradiction, where it is out of form."""
    try:
        signed = parse_note(note)
        return signed, parse_checkpoint(signed.text)
    except NoteFault as fault:
        found.contradiction(INTEGRITY, None, "checkpoint_malformed", f"The checkpoint cannot be read: {fault}.")
        return None


def judge_head(
    read: tuple[Note, Checkpoint] | None,
    named: str | None,
    rotations: Iterable[tuple[int, KeyRotated]],
    keys: Sequence[VerifierKey],
    check: Check,
    found: Findings,
) -> Vouched:
    """Ask who signed a checkpoint. `named` is the vkey that comes with it, `rotations` the changes of keys (with the
    numbers of their entries, of which it is shown that they stand in this tree); `keys` were given apart.

    Contradictions are a named key out of form, a change of keys or a signature that does not hold, and a checkpoint
    that a key of the ledger has signed out of its term. That no given key vouches is a gap.
    """
    if read is None:
        return Vouched()
    signed, head = read
    terms = _terms(named, rotations, head, check, found)
    try:
        signers = verified_by(signed, dict.fromkeys((*keys, *(term.key for term in terms))), check)
    except NoteFault as fault:
        found.contradiction(KEY, None, "signature_invalid", f"The checkpoint is not signed as it says: {fault}.")
        return Vouched(head)
    names = tuple(dict.fromkeys(key.name for key in signers))
    own = [term for term in terms if term.key in signers]
    in_force = [term for term in own if term.covers(head.size)]
    if own and not in_force:
        message = f"The checkpoint is signed by a key of the ledger that does not count for {head.size} entries."
        found.contradiction(KEY, None, "key_not_in_force", message)
        return Vouched(head, NONE, names)
    if not keys:
        found.gap(KEY, None, "key_not_given", "No key was given, so nobody is known to vouch for the checkpoint.")
        return Vouched(head, SELF_DECLARED if signers else NONE, names)
    vouching = [key for key in signers if key in keys or _led_to(key, keys, terms)]
    return Vouched(head, _pinned(vouching, head, found), names)


def _terms(
    named: str | None, rotations: Iterable[tuple[int, KeyRotated]], head: Checkpoint, check: Check, found: Findings
) -> list[Term]:
    """The terms of the keys that come along; none where the first of them is not one of this ledger."""
    if named is not None:
        try:
            key = parse_vkey(named)
        except RequestError as error:
            found.contradiction(INTEGRITY, None, "malformed", f"The key that the file names: {error.message}")
            return []
        if key.name != head.origin:
            message = f"The file names a key of {key.name!a}, and its checkpoint is of {head.origin!a}."
            found.contradiction(INTEGRITY, None, "origin_mismatch", message)
            return []
    return terms_of(Named(named, head.origin), rotations, check, found)


def _led_to(signer: VerifierKey, keys: Sequence[VerifierKey], terms: list[Term]) -> bool:
    """Whether a given key is of the ledger, and that one or one after it, up to the signer, came by its word."""
    order = [term.key for term in terms]
    return signer in order and any(key in keys for key in order[: order.index(signer)])


def _pinned(signers: list[VerifierKey], head: Checkpoint, found: Findings) -> str:
    if not signers:
        message = (
            f"No key that was given has signed the checkpoint of {head.origin!a}, or leads to one that has: it is of "
            "another ledger or made up, or the key was changed. A receipt leads from earlier keys to later ones."
        )
        found.gap(KEY, None, "key_unproven", message)
        return NONE
    if not any(key.algorithm == COSIGNATURE or key.name == head.origin for key in signers):
        message = f"The checkpoint is of {head.origin!a}, and signed with a key of {signers[0].name!a}."
        found.contradiction(KEY, None, "origin_mismatch", message)
        return NONE
    return PINNED
