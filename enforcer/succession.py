"""Giving up a ledger whose key was stolen, and going on under another one that cites it.

What a stolen key signed after the last head that was anchored out of the thief's reach is suspect, and no rotation can
change that. So the work goes on under a new origin with a new key, and the first entry there names the old ledger, up
to where it is trusted. The old one is kept whole under `state/archive/<id>/`, with what it seals beside it.

    1. the new ledger is made in `state/ledger.next`
    2. the old keys are taken out of use
    3. the user's folder remembers the new ledger as the one that belongs here: **the commit point**
    4. `state/ledger` and what it seals move into the archive, `state/ledger.next` takes its place

A crash before the commit point leaves the old ledger, unsealed, and what was made beside it is made anew. After it
every command says what to do, and doing it carries out what is left of step 4: the new ledger itself says what that is.
Who only writes `state/` cannot pass a ledger off as such a change, because the commit point is out of his reach.
"""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager

from enforcer.attestation.signatures import verify_ed25519
from enforcer.attestation.signer import condemn
from enforcer.enforcer import SUCCESSOR
from enforcer.errors import DamagedError, RequestError, UnavailableError
from enforcer.initialize import begin, new_identity
from enforcer.keyring import check_keyed, read_keyring
from enforcer.ledger import files
from enforcer.ledger.checkpoint import parse_checkpoint
from enforcer.ledger.codec import JsonFault
from enforcer.ledger.files import FileLedger
from enforcer.ledger.locks import FileLock
from enforcer.ledger.merkle import EMPTY_ROOT, Frontier, leaf_hash
from enforcer.ledger.note import NoteFault, format_vkey, parse_note, verified_by
from enforcer.ledger.store import parse_identity
from enforcer.ports import read_file
from enforcer.userstate import UserState, unwritable
from enforcer.workflow.events import LedgerCreated, Predecessor
from enforcer.workflow.record import Record
from enforcer.workflow.state import OPEN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import ClassVar

    from enforcer.enforcer import Enforcer
    from enforcer.ledger.store import Identity
    from enforcer.ports import Clock, Disk, Entropy

ARCHIVE = "archive"
_SEALED_BESIDE = ("refusals", "guard")
_LOCK = "init.lock"  # As for `init`: whoever changes which ledger stands here does so alone.


class Suspect(Record, kw_only=True):
    """An entry that nothing vouches for any more."""

    seq: int
    ts: int
    task: str | None
    type: str


class Condemned(Record, kw_only=True):
    """What giving up a key came to: the old ledger, up to where it is trusted, what is not, and the new one.

    `open_tasks` have to be opened again: what they stood on is for a person to judge. `damage` says where the old
    ledger cannot be read on. `resumed`: a change was finished that had been begun before, with its own reason.
    """

    former: str
    trusted: int
    ledger: str
    key: str
    archive: str
    suspects: tuple[Suspect, ...] = ()
    open_tasks: tuple[str, ...] = ()
    damage: str | None = None
    resumed: bool = False

    nested: ClassVar[Mapping[str, type[Record]]] = {"suspects": Suspect}


def compromise(enforcer: Enforcer, *, reason: str, anchors: Iterable[bytes] = ()) -> Condemned:
    """Give up the key and continue under a new origin. `anchors` are notes that were kept out of the thief's reach.

    Without one nothing is trusted: the new ledger then names the old one up to its beginning. Afterwards `enforcer` is
    of a ledger that is closed; open the project anew. Raises `RequestError` `anchor_not_held`, `ledger_keyless`;
    `UnavailableError` `user_state_unwritable`, `signer_busy`: nothing was changed; `change_unfinished`: call `resume`.
    """
    disk, clock, entropy = enforcer.disk, enforcer.clock, enforcer.entropy
    state, user = enforcer.project.state, enforcer.user_folder
    check_keyed(enforcer.identity)
    with _alone(state, disk):
        _check_here(state, enforcer.identity.id, disk)
        with _reading(enforcer.ledger_folder, disk=disk, clock=clock, entropy=entropy) as (old, _):
            predecessor = _trusted(old, reason, anchors)
        new = _begin_beside(enforcer, predecessor)
        condemn(user, enforcer.identity.id, disk)
        UserState(user, disk, entropy).remember(state, new.id)
        return _take_place(state, disk=disk, clock=clock, entropy=entropy)


def resume(state: str, user: str, *, disk: Disk, clock: Clock, entropy: Entropy) -> Condemned | None:
    """Finish a change that was interrupted after its commit point; None where there is none to finish."""
    path = f"{state}/{SUCCESSOR}/ledger.json"
    if not disk.exists(path):
        return None
    with _alone(state, disk):
        known = UserState(user, disk, entropy).ledger_of(state)
        try:
            waiting = parse_identity(read_file(disk, path), path).id
        except (OSError, DamagedError):
            return None
        if waiting != known:
            return None
        return _take_place(state, disk=disk, clock=clock, entropy=entropy).replace(resumed=True)


# What is trusted -----------------------------------------------------------------------------------------------------


def _trusted(old: FileLedger, reason: str, anchors: Iterable[bytes]) -> Predecessor:
    """The old ledger up to the largest anchor. All have to hold: one that does not tells of a forgery."""
    terms = read_keyring(old).terms
    size, root, note = 0, EMPTY_ROOT, b""
    for data in anchors:
        try:
            signed = parse_note(data)
            head = parse_checkpoint(signed.text)
            able = [term.key for term in terms if term.covers(head.size)]
            signers = verified_by(signed, able, verify_ed25519)
        except NoteFault as fault:
            raise _not_held(str(fault)) from fault
        if head.origin != old.identity.origin or not signers:
            raise _not_held("it is not signed by a key of this ledger")
        if _root_at(old, head.size) != head.root:
            raise _not_held("the first entries of the ledger are not the ones that it was made of")
        if head.size > size:
            size, root, note = head.size, head.root, data
    return Predecessor(
        origin=old.identity.origin,
        size=size,
        root=root.hex(),
        key=format_vkey(terms[-1].key.name, terms[-1].key.public) if terms else old.identity.key or "",
        reason=reason,
        checkpoint=note.decode(),
    )


def _root_at(ledger: FileLedger, size: int) -> bytes | None:
    """The root of the first lines, from the lines themselves: tiles are within the thief's reach."""
    if size > ledger.head.size:
        return None
    tree = Frontier()
    for leaf in ledger.leaves():
        if tree.size == size:
            break
        tree.append(leaf_hash(leaf))
    return tree.root()


def _not_held(why: str) -> RequestError:
    fix = "Name a checkpoint that was kept elsewhere, or none: then nothing of the old ledger is trusted."
    return RequestError("anchor_not_held", f"This anchor does not hold: {why}.", fix=fix)


# The change ----------------------------------------------------------------------------------------------------------


def _begin_beside(enforcer: Enforcer, predecessor: Predecessor) -> Identity:
    """A whole new ledger, beside the one that is given up."""
    disk, entropy = enforcer.disk, enforcer.entropy
    folder = f"{enforcer.project.state}/{SUCCESSOR}"
    try:
        shutil.rmtree(folder, ignore_errors=True)  # What an attempt before this one left, and nobody relies on.
        identity = new_identity(enforcer.user_folder, disk=disk, entropy=entropy)
        if identity.key is None:
            raise unwritable(enforcer.user_folder, OSError("no key can be kept there"))
        disk.make_folder(folder)
        files.create(folder, identity, disk=disk, entropy=entropy)
        ledger = FileLedger(folder, disk=disk, clock=enforcer.clock, entropy=entropy, cache_key=None)
        try:
            begin(ledger, enforcer.actor, entropy=entropy, predecessor=predecessor)
        finally:
            ledger.close()
    except JsonFault as fault:
        message = f"The reason cannot be written down: {fault}."
        raise RequestError("bad_text", message, fix="Give text that UTF-8 can express.") from fault
    except OSError as error:
        message = f"The new ledger cannot be made: {error.strerror}."
        raise UnavailableError("project_unwritable", message, where=folder, fix="Make the folder writable.") from error
    return identity


def _take_place(state: str, *, disk: Disk, clock: Clock, entropy: Entropy) -> Condemned:
    """Put the new ledger in the place of the old one, as far as that is not done, and tell what came of it."""
    with _reading(f"{state}/{SUCCESSOR}", disk=disk, clock=clock, entropy=entropy) as (new, _):
        identity, old = new.identity, _predecessor(new)
    former = old.origin.removeprefix("enforcer/")
    archive = f"{state}/{ARCHIVE}/{former}"
    lock = FileLock(f"{state}/ledger/lock", disk=disk)
    try:
        disk.make_folder(archive)
        if disk.exists(f"{state}/ledger/ledger.json"):
            _check_here(state, former, disk)
            lock.acquire()  # Whoever waits for it meanwhile finds that the ledger is another one.
            disk.rename(f"{state}/ledger", f"{archive}/ledger")
        for name in _SEALED_BESIDE:
            if disk.exists(f"{state}/{name}") and not disk.exists(f"{archive}/{name}"):
                disk.rename(f"{state}/{name}", f"{archive}/{name}")
        disk.sync_folder(archive)
        disk.rename(f"{state}/{SUCCESSOR}", f"{state}/ledger")
        disk.sync_folder(state)
    except OSError as error:
        message = f"The change to a new ledger was begun and cannot be finished now: {error.strerror}."
        fix = 'Put that right, then finish it: enforcer key compromised --reason "..."'
        raise UnavailableError("change_unfinished", message, where=archive, fix=fix) from error
    finally:
        lock.close()
    return _tell(archive, old, identity, disk=disk, clock=clock, entropy=entropy)


def _predecessor(new: FileLedger) -> Predecessor:
    first = new.entry(0).event if new.head.size else None
    if isinstance(first, LedgerCreated) and first.predecessor is not None:
        return first.predecessor
    message = "The new ledger does not say which one it continues."
    fix = "Restore it from a copy. To go on with the ledger that stands here: enforcer init --accept-ledger"
    raise DamagedError("successor_damaged", message, where=new.identity.id, fix=fix)


def _tell(archive: str, old: Predecessor, new: Identity, *, disk: Disk, clock: Clock, entropy: Entropy) -> Condemned:
    with _reading(f"{archive}/ledger", disk=disk, clock=clock, entropy=entropy) as (ledger, damage):
        suspects = tuple(
            Suspect(seq=entry.seq, ts=entry.ts, task=entry.task, type=entry.event.type)
            for entry in ledger.entries(old.size)
        )
        tasks = tuple(state.task for state in ledger.tasks() if state.status == OPEN)
        return Condemned(
            former=ledger.identity.id,
            trusted=old.size,
            ledger=new.id,
            key=new.key or "",
            archive=archive,
            suspects=suspects,
            open_tasks=tasks,
            damage=damage,
        )


# Around it -----------------------------------------------------------------------------------------------------------


@contextmanager
def _alone(state: str, disk: Disk) -> Iterator[None]:
    try:
        fd = disk.open(f"{state}/{_LOCK}", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW)
    except OSError as error:
        message = f"The state folder cannot be written: {error.strerror}."
        raise UnavailableError("project_unwritable", message, where=state, fix="Make the folder writable.") from error
    try:
        disk.lock(fd)
        yield
    finally:
        disk.close(fd)


def _check_here(state: str, ledger: str, disk: Disk) -> None:
    path = f"{state}/ledger/ledger.json"
    if parse_identity(read_file(disk, path), path).id != ledger:
        message = f"Another ledger than {ledger} stands here by now."
        raise DamagedError("ledger_replaced", message, where=path, fix="Begin again: enforcer status")


@contextmanager
def _reading(folder: str, *, disk: Disk, clock: Clock, entropy: Entropy) -> Iterator[tuple[FileLedger, str | None]]:
    """A ledger as far as its lines chain, and why they do not further on.

    Nobody asks here whether the entries could have been decided: a thief could otherwise hold off what is done about
    him with a single line.
    """
    ledger, damage = FileLedger(folder, disk=disk, clock=clock, entropy=entropy, cache_key=None), None
    try:
        try:
            ledger.catch_up()
        except DamagedError as error:
            damage = error.message
        yield ledger, damage
    finally:
        ledger.close()
