"""Whether a checkpoint that somebody brings is vouched for, and by whom.

A key that was given by other means and has signed the checkpoint `pins` it. A file can bring a key along, and a
signature that holds under that one alone is `self-declared`: whoever makes a file up can make up its key as well.

A log's own key has the name of its origin. A witness has a name of its own and signs for many logs, so a cosignature of
one that was given counts for any of them. Signatures of others are not looked at.
"""

from __future__ import annotations

from enforcer.errors import RequestError
from enforcer.ledger.checkpoint import parse_checkpoint
from enforcer.ledger.note import COSIGNATURE, NoteFault, parse_note, parse_vkey, verified_by
from enforcer.ledger.report import INTEGRITY, KEY
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from enforcer.ledger.checkpoint import Checkpoint
    from enforcer.ledger.note import Check, VerifierKey
    from enforcer.ledger.report import Findings

NONE, SELF_DECLARED, PINNED = "none", "self-declared", "pinned"


class Vouched(Record):
    """The checkpoint, None where it cannot be read; one of the three words; and the names of keys that signed it."""

    checkpoint: Checkpoint | None = None
    key: str = NONE
    signers: tuple[str, ...] = ()


def judge_head(note: bytes, named: str | None, keys: tuple[VerifierKey, ...], check: Check, found: Findings) -> Vouched:
    """Read a checkpoint and ask who signed it. `named` is the vkey that comes with it, `keys` were given apart.

    Contradictions are a checkpoint or key out of form, a signature that does not hold, and a checkpoint that none of
    the given keys signed. That no key was given is a gap.
    """
    try:
        signed = parse_note(note)
        head = parse_checkpoint(signed.text)
    except NoteFault as fault:
        found.contradiction(INTEGRITY, None, "checkpoint_malformed", f"The checkpoint cannot be read: {fault}.")
        return Vouched()
    try:
        signers = verified_by(signed, dict.fromkeys((*keys, *_own(named, head, found))), check)
    except NoteFault as fault:
        found.contradiction(KEY, None, "signature_invalid", f"The checkpoint is not signed as it says: {fault}.")
        return Vouched(head)
    names = tuple(key.name for key in signers)
    if keys:
        return Vouched(head, _pinned([key for key in signers if key in keys], head, found), names)
    found.gap(KEY, None, "key_not_given", "No key was given, so nobody is known to vouch for the checkpoint.")
    return Vouched(head, SELF_DECLARED if signers else NONE, names)


def _own(vkey: str | None, head: Checkpoint, found: Findings) -> tuple[VerifierKey, ...]:
    if vkey is None:
        return ()
    try:
        key = parse_vkey(vkey)
    except RequestError as error:
        found.contradiction(INTEGRITY, None, "malformed", f"The key that the file names: {error.message}")
        return ()
    if key.name != head.origin:
        message = f"The file names a key of {key.name!a}, and its checkpoint is of {head.origin!a}."
        found.contradiction(INTEGRITY, None, "origin_mismatch", message)
        return ()
    return (key,)


def _pinned(signers: list[VerifierKey], head: Checkpoint, found: Findings) -> str:
    if not signers:
        message = f"No key that was given has signed the checkpoint of {head.origin!a}."
        found.contradiction(KEY, None, "key_mismatch", message)
        return NONE
    if not any(key.algorithm == COSIGNATURE or key.name == head.origin for key in signers):
        message = f"The checkpoint is of {head.origin!a}, and signed with a key of {signers[0].name!a}."
        found.contradiction(KEY, None, "origin_mismatch", message)
        return NONE
    return PINNED
