"""Changing a ledger's key: on schedule, signed by both, or because it was stolen, by beginning anew.

A rotation is an entry. Everything that follows it can be checked with nothing but the first key, or any later one. A
stolen key cannot be rotated, since whoever has it can do so as well: what it signed after the last head that was
anchored out of its reach is suspect, and the work goes on under a new origin that names the old one up to there. The
old ledger is kept whole under `state/archive/<id>/`, with what it seals beside it, so that it can still be verified.
"""

from __future__ import annotations

import shutil

from enforcer.attestation.signatures import verify_ed25519
from enforcer.attestation.signer import Rotation, encode_signature, rotation_statement
from enforcer.errors import EnforcerError, RequestError
from enforcer.initialize import begin, new_identity
from enforcer.ledger import files
from enforcer.ledger.checkpoint import parse_checkpoint
from enforcer.ledger.entry import format_event
from enforcer.ledger.files import FileLedger
from enforcer.ledger.merkle import EMPTY_ROOT
from enforcer.ledger.note import NoteFault, parse_note, parse_vkey, verified_by
from enforcer.ledger.store import parse_identity
from enforcer.ports import read_file
from enforcer.userstate import UserState
from enforcer.workflow.events import KeyRotated, Predecessor
from enforcer.workflow.evolve import GENERATED_KEY
from enforcer.workflow.record import Record
from enforcer.workflow.state import OPEN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import ClassVar

    from enforcer.enforcer import Enforcer
    from enforcer.ledger.note import VerifierKey
    from enforcer.ledger.store import Identity
    from enforcer.ports import Disk, Entropy

OVERLAP = 1024  # Entries for which the old key goes on to sign beside the new one.
LONGEST_OVERLAP = 1 << 20
NEXT = "ledger.next"  # Below `state`: the new ledger, until it takes the old one's place.


class Suspect(Record, kw_only=True):
    """An entry that nothing vouches for any more."""

    seq: int
    ts: int
    task: str | None
    type: str


class Condemned(Record, kw_only=True):
    """What giving up a key came to: the old ledger, up to where it is trusted, what is not, and the new one.

    `open_tasks` have to be opened again: what they stood on is for a person to judge.
    """

    former: str
    trusted: int
    ledger: str
    key: str | None
    archive: str
    suspects: tuple[Suspect, ...] = ()
    open_tasks: tuple[str, ...] = ()

    nested: ClassVar[Mapping[str, type[Record]]] = {"suspects": Suspect}


def keys_in_force(enforcer: Enforcer) -> tuple[tuple[VerifierKey, int, int | None], ...]:
    """Each key of the ledger with the sizes of trees it may sign: more than the first number, at most the second."""
    if enforcer.identity.key is None:
        return ()
    keys: list[tuple[VerifierKey, int, int | None]] = [(parse_vkey(enforcer.identity.key), 0, None)]
    for event in rotations(enforcer):
        keys[-1] = (keys[-1][0], keys[-1][1], event.cap)
        keys.append((parse_vkey(event.new), event.seq, None))
    return tuple(keys)


def rotations(enforcer: Enforcer) -> Iterator[KeyRotated]:
    """Every change of keys on the ledger, in order."""
    mark = b'"type":"dev.enforcer.key.rotated"'
    enforcer.ledger.catch_up()
    for seq, leaf in enumerate(enforcer.ledger.leaves()):
        if mark in leaf:
            event = enforcer.ledger.entry(seq).event
            if isinstance(event, KeyRotated):
                yield event


def rotate(enforcer: Enforcer, *, overlap: int = OVERLAP) -> KeyRotated:
    """Hand over to a new key. An interrupted change is finished or forgotten by the next one who signs.

    Raises `RequestError` `bad_overlap`, and `UnavailableError` where this user has no key of the ledger.
    """
    if not 0 <= overlap <= LONGEST_OVERLAP:
        message = f"An overlap is 0 to {LONGEST_OVERLAP} entries, not {overlap}."
        raise RequestError("bad_overlap", message, fix="Leave it out for the usual one.")
    signer, ledger = enforcer.signer(), enforcer.ledger
    enforcer.sealer.seal()
    new = signer.prepare()
    with ledger.writing():
        seq = ledger.head.size
        rotation = Rotation(old=signer.key.vkey, new=new.vkey, seq=seq, cap=seq + 1 + overlap)
        signer.promise(rotation)
        statement = rotation_statement(enforcer.identity.origin, rotation)
        event = KeyRotated(
            actor=enforcer.actor,
            **rotation.pack(complete=True),
            old_signature=encode_signature(signer.key.sign(statement)),
            new_signature=encode_signature(new.sign(statement)),
        )
        key = GENERATED_KEY + enforcer.entropy.token(16).hex()
        data = format_event(event, task=None, key=key, source=enforcer.identity.origin)
        ledger.append(event, data, task=None, key=key)
    ledger.sync()
    enforcer.sealer.seal()
    return event


# A key that was stolen -----------------------------------------------------------------------------------------------


def compromise(enforcer: Enforcer, *, reason: str, anchors: Iterable[bytes] = ()) -> Condemned:
    """Give up the key and continue under a new origin. `anchors` are notes that were kept out of the thief's reach.

    Without one that holds nothing is trusted: the new ledger then names the old one up to its beginning.
    """
    trusted = _last_trusted(enforcer, anchors)
    suspects = tuple(
        Suspect(seq=entry.seq, ts=entry.ts, task=entry.task, type=entry.event.type)
        for entry in enforcer.ledger.entries(trusted[0])
    )
    tasks = tuple(state.task for state in enforcer.ledger.tasks() if state.status == OPEN)
    predecessor = Predecessor(
        origin=enforcer.identity.origin,
        size=trusted[0],
        root=trusted[1].hex(),
        key=enforcer.identity.key or "",
        reason=reason,
        checkpoint=trusted[2].decode(),
    )
    new = _begin_beside(enforcer, predecessor)
    _condemn(enforcer)
    archive = _swap(enforcer)
    UserState(enforcer.user_folder, enforcer.disk, enforcer.entropy).remember(enforcer.project.state, new.id)
    return Condemned(
        former=enforcer.identity.id,
        trusted=trusted[0],
        ledger=new.id,
        key=new.key,
        archive=archive,
        suspects=suspects,
        open_tasks=tasks,
    )


def resume(state: str, enforcer_home: str, *, disk: Disk, entropy: Entropy) -> str | None:
    """Finish a change of ledgers that was interrupted between its renames; the ledger's id, None if none was."""
    next_folder = f"{state}/{NEXT}"
    if disk.exists(f"{state}/ledger") or not disk.exists(f"{next_folder}/ledger.json"):
        return None
    identity = parse_identity(read_file(disk, f"{next_folder}/ledger.json"), next_folder)
    disk.rename(next_folder, f"{state}/ledger")
    disk.sync_folder(state)
    UserState(enforcer_home, disk, entropy).remember(state, identity.id)
    return identity.id


def _last_trusted(enforcer: Enforcer, anchors: Iterable[bytes]) -> tuple[int, bytes, bytes]:
    """Size, root and note of the largest anchor. All have to hold: one that does not tells of a forgery."""
    best = (0, EMPTY_ROOT, b"")
    keys = keys_in_force(enforcer)
    for data in anchors:
        size, root = _check_anchor(enforcer, data, keys)
        if size > best[0]:
            best = (size, root, data)
    return best


def _check_anchor(
    enforcer: Enforcer, data: bytes, keys: tuple[tuple[VerifierKey, int, int | None], ...]
) -> tuple[int, bytes]:
    try:
        note = parse_note(data)
        head = parse_checkpoint(note.text)
        able = [key for key, above, cap in keys if above < head.size and (cap is None or head.size <= cap)]
        signed = verified_by(note, able, verify_ed25519)
    except NoteFault as fault:
        raise _no_anchor(str(fault)) from fault
    if head.origin != enforcer.identity.origin or not signed:
        raise _no_anchor("it is not signed by a key of this ledger")
    if head.size > enforcer.ledger.head.size or enforcer.sealer.root_at(head.size) != head.root:
        raise _no_anchor("the first entries of the ledger are not the ones that it was made of")
    return head.size, head.root


def _begin_beside(enforcer: Enforcer, predecessor: Predecessor) -> Identity:
    """A whole new ledger, beside the one that is given up."""
    disk, entropy = enforcer.disk, enforcer.entropy
    folder = f"{enforcer.project.state}/{NEXT}"
    shutil.rmtree(folder, ignore_errors=True)  # What an attempt before this one left, and nobody has seen.
    identity = new_identity(enforcer.user_folder, disk=disk, entropy=entropy)
    disk.make_folder(folder)
    files.create(folder, identity, disk=disk, entropy=entropy)
    ledger = FileLedger(folder, disk=disk, clock=enforcer.clock, entropy=entropy, cache_key=None)
    try:
        begin(ledger, enforcer.actor, entropy=entropy, predecessor=predecessor)
    finally:
        ledger.close()
    return identity


def _condemn(enforcer: Enforcer) -> None:
    try:
        signer = enforcer.signer()
    except EnforcerError:
        return  # There is no key here that could sign again, or none that is fit to.
    signer.condemn()


def _swap(enforcer: Enforcer) -> str:
    """Put the new ledger in the place of the old one, whose writers are kept out meanwhile; the archive's folder."""
    disk, state = enforcer.disk, enforcer.project.state
    archive = f"{state}/archive/{enforcer.identity.id}"
    disk.make_folder(archive)
    with enforcer.ledger.writing():
        for name in ("refusals", "guard"):
            if disk.exists(f"{state}/{name}"):
                disk.rename(f"{state}/{name}", f"{archive}/{name}")
        disk.rename(f"{state}/ledger", f"{archive}/ledger")
        disk.rename(f"{state}/{NEXT}", f"{state}/ledger")
        disk.sync_folder(archive)
        disk.sync_folder(state)
    return archive


def _no_anchor(why: str) -> RequestError:
    fix = "Name a checkpoint that was kept elsewhere, or none: then nothing of the old ledger is trusted."
    return RequestError("anchor_not_held", f"This anchor does not hold: {why}.", fix=fix)
