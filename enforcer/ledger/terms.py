"""Which keys may sign a ledger's checkpoints, and of which sizes: the first by `ledger.json`, others by rotation.

A rotation is an entry that the old key and the new one have both signed. From there on the new one counts, and the old
one up to a cap, so that a key that was retired is of no use for what came later, and a new one for nothing before.
"""

from __future__ import annotations

import binascii

from enforcer.errors import RequestError
from enforcer.ledger.note import parse_vkey
from enforcer.ledger.report import INTEGRITY, KEY
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Protocol

    from enforcer.ledger.note import Check, VerifierKey
    from enforcer.ledger.report import Findings
    from enforcer.workflow.events import KeyRotated

    class Named(Protocol):
        """What is asked of a ledger's identity."""

        @property
        def key(self) -> str | None: ...
        @property
        def origin(self) -> str: ...


class Term(Record):
    """`key` counts for trees of more than `after` entries, and of at most `cap` where there is one."""

    key: VerifierKey
    after: int = -1
    cap: int | None = None

    def covers(self, size: int) -> bool:
        return self.after < size and (self.cap is None or size <= self.cap)


def rotation_statement(origin: str, event: KeyRotated) -> bytes:
    """What both keys sign. See `docs/format.md`."""
    lines = ("enforcer/key-rotation/v1", origin, event.old, event.new, str(event.seq), str(event.cap))
    return "".join(f"{line}\n" for line in lines).encode()


def terms_of(
    identity: Named | None, rotations: Iterable[tuple[int, KeyRotated]], check: Check, found: Findings
) -> list[Term]:
    """The terms of a ledger's keys, oldest first; none where it names no key. `rotations` come with their entries."""
    first = _first_key(identity, found)
    terms = [Term(first)] if first is not None else []
    for seq, event in rotations:
        fault = _rotation_fault(identity, terms, seq, event, check)
        if fault:
            found.contradiction(INTEGRITY, seq, "rotation_invalid", f"The key does not change hands: {fault}.")
        else:
            terms[-1] = terms[-1].replace(cap=event.cap)
            terms.append(Term(parse_vkey(event.new), after=seq))
    return terms


def _first_key(identity: Named | None, found: Findings) -> VerifierKey | None:
    """A ledger that names a key does not vouch for it: whoever can rewrite the one can name the other."""
    if identity is None or identity.key is None:
        return None
    try:
        key = parse_vkey(identity.key)
    except RequestError as error:
        found.gap(KEY, None, error.code, error.message)
        return None
    if key.name != identity.origin:
        found.gap(KEY, None, "bad_vkey", "The key that `ledger.json` names is of another name.")
        return None
    return key


def _rotation_fault(identity: Named | None, terms: list[Term], seq: int, event: KeyRotated, check: Check) -> str:
    """Why a rotation does not hold; empty where it does."""
    if identity is None or not terms:
        return "the ledger has no key that could pass on to another"
    try:
        old, new = parse_vkey(event.old), parse_vkey(event.new)
    except RequestError as error:
        return f"of one of its keys, {error.message[:1].lower()}{error.message[1:].rstrip('.')}"
    if old != terms[-1].key:
        return "the old key is not the one in force"
    if new.name != identity.origin or new.public in [term.key.public for term in terms]:
        return "the new key is of another name, or was in force before"
    if event.seq != seq or event.cap <= seq:
        return f"it is made for entry {event.seq}, up to {event.cap}, and stands at {seq}"
    statement = rotation_statement(identity.origin, event)
    for key, signature in ((old, event.old_signature), (new, event.new_signature)):
        if not check(key.public, _decoded(signature), statement):
            return "one of the two keys has not signed it"
    return ""


def _decoded(signature: str) -> bytes:
    """The bytes of a signature in base64; none where it is not in canonical base64."""
    try:
        data = binascii.a2b_base64(signature, strict_mode=True)
    except ValueError:
        return b""
    return data if binascii.b2a_base64(data, newline=False).decode("ascii") == signature else b""
