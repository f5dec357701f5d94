"""The keys that sign for a ledger: which ones count, and handing over from one to the next.

A rotation is an entry that both keys have signed. Everything that follows it can be checked with nothing but the first
key, or any later one. A key that was stolen cannot be rotated, since whoever has it can do so as well; that is for
`succession`.
"""

from __future__ import annotations

from enforcer.attestation.signatures import verify_ed25519
from enforcer.attestation.signer import FileSigner, Rotation, encode_signature
from enforcer.errors import EnforcerError, RequestError
from enforcer.ledger.entry import format_event, parse_leaf
from enforcer.ledger.report import Findings
from enforcer.ledger.terms import rotation_statement, terms_of
from enforcer.workflow.events import KeyRotated
from enforcer.workflow.evolve import GENERATED_KEY
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from enforcer.enforcer import Enforcer
    from enforcer.ledger.note import VerifierKey
    from enforcer.ledger.report import Finding
    from enforcer.ledger.store import Identity, Store
    from enforcer.ledger.terms import Term

OVERLAP = 1024  # Entries for which the old key goes on to sign beside the new one.
LONGEST_OVERLAP = 1 << 20

_MARK = f'"type":"dev.enforcer.{KeyRotated.type}"'.encode()


class Keyring(Record):
    """The terms of a ledger's keys, oldest first, and why an entry that claims to change them does not."""

    terms: tuple[Term, ...] = ()
    findings: tuple[Finding, ...] = ()


def read_keyring(ledger: Store) -> Keyring:
    """The keys of a ledger as its entries tell, as far as they were taken in. Nothing counts that is not signed."""
    return keyring_of(ledger.identity, rotation_leaves(ledger))


def keyring_of(identity: Identity, leaves: Iterable[bytes]) -> Keyring:
    """The same, from the leaves of `rotation_leaves`."""
    found, rotations = Findings(), []
    for entry in map(parse_leaf, leaves):
        if isinstance(entry.event, KeyRotated):
            rotations.append((entry.seq, entry.event))
    terms = terms_of(identity, rotations, verify_ed25519, found)
    return Keyring(tuple(terms), found.report().findings)


def keys_in_force(enforcer: Enforcer) -> tuple[tuple[VerifierKey, int, int | None], ...]:
    """Each key of the ledger with the sizes of trees it may sign: more than the first number, at most the second."""
    enforcer.ledger.catch_up()
    return tuple((term.key, max(0, term.after), term.cap) for term in read_keyring(enforcer.ledger).terms)


def rotation_leaves(ledger: Store, size: int | None = None) -> Iterator[bytes]:
    """The leaves of every change of keys among the first `size` entries, in order; of all by default."""
    for seq, leaf in enumerate(ledger.leaves()):
        if seq == size:
            return
        if _MARK in leaf and isinstance(parse_leaf(leaf).event, KeyRotated):
            yield leaf


def key_here(enforcer: Enforcer) -> str:
    """The vkey that this user signs with. Raises where there is none that is fit for it, as `FileSigner` does.

    Unlike `Enforcer.signer` it finishes nothing, so that asking changes nothing.
    """
    signer = FileSigner(enforcer.user_folder, enforcer.identity.id, disk=enforcer.disk, entropy=enforcer.entropy)
    signer.check_belongs(enforcer.identity.key)
    return signer.key.vkey


def check_keyed(identity: Identity) -> None:
    """Raises `RequestError` `ledger_keyless` where a ledger was begun without a key: none can be put under it."""
    if identity.key is None:
        message = "This ledger was begun without a key, and a ledger keeps the name under which it was begun."
        raise RequestError("ledger_keyless", message, fix="Go on unsealed, or begin another ledger in a new project.")


def rotate(enforcer: Enforcer, *, overlap: int = OVERLAP) -> KeyRotated:
    """Hand over to a new key. An interrupted change is finished or forgotten by the next one who signs.

    When this returns the change stands on the ledger, durably. Raises `RequestError` `bad_overlap`, `ledger_keyless`;
    `UnavailableError` where this user has no key of the ledger, or another process signs at this moment; `DamagedError`
    where the ledger does not extend what was signed last.
    """
    if not 0 <= overlap <= LONGEST_OVERLAP:
        message = f"An overlap is 0 to {LONGEST_OVERLAP} entries, not {overlap}."
        raise RequestError("bad_overlap", message, fix="Leave it out for the usual one.")
    check_keyed(enforcer.identity)
    enforcer.sealer.seal()  # A history that the old key would not sign for is not handed over.
    event = _hand_over(enforcer, overlap)
    try:
        enforcer.sealer.seal()
    except (EnforcerError, OSError):
        pass  # The change stands, and whoever signs next finishes it.
    return event


def _hand_over(enforcer: Enforcer, overlap: int) -> KeyRotated:
    signer, ledger = enforcer.signer(), enforcer.ledger
    with signer.changing() as new, ledger.writing():
        seq = ledger.head.size
        rotation = Rotation(old=signer.key.vkey, new=new.vkey, seq=seq, cap=seq + 1 + overlap)
        signer.promise(rotation)
        event = KeyRotated(actor=enforcer.actor, old_signature="", new_signature="", **rotation.pack(complete=True))
        statement = rotation_statement(enforcer.identity.origin, event)
        event = event.replace(
            old_signature=encode_signature(signer.key.sign(statement)),
            new_signature=encode_signature(new.sign(statement)),
        )
        key = GENERATED_KEY + enforcer.entropy.token(16).hex()
        data = format_event(event, task=None, key=key, source=enforcer.identity.origin)
        ledger.append(event, data, task=None, key=key)
    ledger.sync()
    return event
