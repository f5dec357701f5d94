"""The ledger outside its folder: published to a git ref, and its heads anchored elsewhere.

    refs/enforcer/<ledger id>            a commit holds the ledger as it is in `state/`, see `published`
    refs/enforcer/anchors/<ledger id>    a commit holds `checkpoint`, the head that was anchored

A published ledger only ever grows: what a commit holds has to be the beginning of what the next one does, so a history
that was rewritten is never published over the one that others have seen. An anchor is worth what its place is worth:
one that the ledger's own writer can change shows as local and does not count.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager

from enforcer.errors import DamagedError, EnforcerError, UnavailableError
from enforcer.evidence.git.refs import Refs, address_in_use, fetched
from enforcer.gathering import Gathering
from enforcer.ledger.checkpoint import parse_checkpoint
from enforcer.ledger.heads import Anchor
from enforcer.ledger.note import MAX_NOTE, NoteFault, parse_note
from enforcer.ports import write_durably
from enforcer.published import NEWEST, refs_around
from enforcer.reach import Reach
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from enforcer.enforcer import Enforcer
    from enforcer.ledger.checkpoint import Checkpoint
    from enforcer.ledger.seal import Sealed

_ANCHOR = "checkpoint"


class Published(Record, kw_only=True):
    """What `publish` did: the ref, its commit, and whether it moved. `size` is that of the checkpoint in it, if any."""

    ref: str
    commit: str
    moved: bool
    size: int | None = None


def ref_of(ledger: str) -> str:
    """The ref that a ledger is published to."""
    return f"refs/enforcer/{ledger}"


def anchor_ref_of(ledger: str) -> str:
    """The ref that a ledger's heads are anchored in."""
    return f"refs/enforcer/anchors/{ledger}"


def publish(enforcer: Enforcer) -> Published:
    """Commit the ledger as it is now to its ref.

    What is written at the same moment is published the next time. Raises `RequestError` `no_repository`;
    `DamagedError` `publish_forked` where what was published before is not the beginning of what is here, and
    `publish_contradicted` where the lines here are not those that were signed;
    `UnavailableError` `publish_unreadable` or `ref_moved`, or what git, the store and the signer raise.
    """
    refs, ref = refs_around(enforcer.project.root), ref_of(enforcer.identity.id)
    before = refs.commit_of(ref)
    gathering = Gathering(enforcer, refs.files(before) if before is not None else {}, refs, ref)
    files = gathering.store()
    if before is not None and not files:
        return Published(ref=ref, commit=before, moved=False, size=gathering.sealed)
    message = f"{enforcer.identity.origin}: {gathering.entries} entries\n"
    commit = refs.advance(ref, files, before=before, message=message)
    return Published(ref=ref, commit=commit, moved=True, size=gathering.sealed)


# Anchors are made ----------------------------------------------------------------------------------------------------


def anchor_to_file(enforcer: Enforcer, path: str) -> Sealed:
    """Copy the newest checkpoint to a file, where an earlier one may stand that this one extends.

    Raises `DamagedError` `anchor_conflict` where what stands there is not of an earlier part of this history, and
    `UnavailableError` `anchor_unwritable` or what the signer raises.
    """
    try:
        # Through a link, to the place that was meant: a file in the link's stead would be an anchor somewhere else.
        path = os.path.realpath(path)
        with _turn(enforcer):
            sealed = enforcer.sealer.seal()
            if os.path.lexists(path):
                before = _read_note(path)
                if before:
                    _check_extends(enforcer, before, sealed, path)
            enforcer.disk.make_folder(os.path.dirname(path))
            write_durably(enforcer.disk, path, sealed.note, entropy=enforcer.entropy)
            _keep(enforcer, sealed)
    except (OSError, ValueError) as error:
        message = f"The anchor cannot be written: {getattr(error, 'strerror', None) or error}."
        fix = "Name a file that can be written."
        raise UnavailableError("anchor_unwritable", message, where=path, fix=fix) from error
    return sealed


def anchor_to_git(enforcer: Enforcer) -> tuple[Sealed, str]:
    """Commit the newest checkpoint to the ref for anchors, and the ref; it counts once it was pushed elsewhere.

    Raises `RequestError` `no_repository`, `DamagedError` `anchor_conflict`, and what git and the signer raise.
    """
    refs = refs_around(enforcer.project.root)
    ref = anchor_ref_of(enforcer.identity.id)
    try:
        with _turn(enforcer):
            sealed = enforcer.sealer.seal()
            before = refs.commit_of(ref)
            stands = refs.files(before).get(_ANCHOR) if before is not None else None
            note = refs.read(stands) if stands is not None else b""
            if before is not None:
                _check_extends(enforcer, note, sealed, ref)
            if note != sealed.note:
                message = f"{enforcer.identity.origin}: anchor at {sealed.size} entries\n"
                refs.advance(ref, {_ANCHOR: refs.store(sealed.note)}, before=before, message=message)
            _keep(enforcer, sealed)
    except OSError as error:
        message = f"The anchor cannot be written: {error.strerror}."
        raise UnavailableError(
            "anchor_unwritable", message, where=ref, fix="Check the disk, then try again."
        ) from error
    return sealed, ref


@contextmanager
def _turn(enforcer: Enforcer) -> Iterator[None]:
    """One at a time: of two that anchor at once, the earlier head would otherwise be able to come last."""
    fd = enforcer.disk.open(enforcer.ledger_folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        enforcer.disk.lock(fd)
        yield
    finally:
        enforcer.disk.close(fd)


def _check_extends(enforcer: Enforcer, before: bytes, sealed: Sealed, where: str) -> None:
    """Refuse to put a head over one of another history: that one may be all that still tells of it."""
    try:
        head: Checkpoint | None = parse_checkpoint(parse_note(before).text)
    except NoteFault:
        head = None
    if head is None or head.origin != enforcer.identity.origin or not _holds(enforcer, head, sealed):
        message = "What is anchored there is not of an earlier part of this history."
        fix = "Nothing was written. Keep that anchor, and look at the ledger with: enforcer verify --anchor " + where
        raise DamagedError("anchor_conflict", message, where=where, fix=fix)


def _holds(enforcer: Enforcer, head: Checkpoint, sealed: Sealed) -> bool:
    if not 0 < head.size <= sealed.size:
        return False
    return enforcer.sealer.root_at(head.size) == head.root


def _keep(enforcer: Enforcer, sealed: Sealed) -> None:
    """A copy of what was anchored, so that status can say up to where; it counts for nothing itself."""
    folder = f"{enforcer.ledger_folder}/anchors"
    enforcer.disk.make_folder(folder)
    write_durably(enforcer.disk, f"{folder}/{sealed.size}", sealed.note, entropy=enforcer.entropy)


# Anchors are read ----------------------------------------------------------------------------------------------------


def anchors_in_sight(enforcer: Enforcer) -> tuple[str, ...]:
    """Where this ledger says that it was anchored, in words: a hint of what to look for elsewhere, and no more."""
    names = enforcer.disk.listing(f"{enforcer.ledger_folder}/anchors")
    sizes = sorted((name for name in names if name.isascii() and name.isdigit()), key=int)
    hints = [f"anchors of {', '.join(sizes[-5:])} entries were made (state/ledger/anchors)"] if sizes else []
    ref = anchor_ref_of(enforcer.identity.id)
    try:
        refs = Refs.find(enforcer.project.root)
        if refs is not None and refs.commit_of(ref) is not None:
            hints.append(f"{ref} is in this clone: where it was pushed to, --anchor git:REMOTE finds it")
    except EnforcerError:  # Without git there is no ref to tell of.
        pass
    return tuple(hints)


def load_anchors(source: str, *, project: str, state: str, user: str, ledger: str) -> tuple[Anchor, ...]:
    """The anchors at a place that was named: a file, `git:refs/…` of this clone, or `git:<remote, URL or path>`.

    Another repository has one in the ref for anchors and one in the published ledger; both are held against the ledger.
    Raises `RequestError` `bad_remote`; `UnavailableError` `anchor_unreadable`, `anchor_missing`, `remote_unreachable`.
    """
    refs = Refs.find(project)
    clone = (refs.top, refs.git_folder()) if refs is not None else ()
    reach = Reach((project, state, os.path.dirname(state), user, *clone))
    if not source.startswith("git:"):
        return (Anchor(source=source, note=_load_note(source), local=reach.holds(source)),)
    place = source.removeprefix("git:")
    if place.startswith("refs/"):
        if refs is None:
            raise _no_anchor(source, "there is no git repository here")
        return (Anchor(source=source, note=_note_in(refs, refs.commit_of(place), source), local=True),)
    if not ledger:
        raise _no_anchor(source, "it is not known which ledger to look for")
    address = refs.address_of(place) if refs is not None else os.path.abspath(place) if os.path.exists(place) else place
    names = (anchor_ref_of(ledger), ref_of(ledger))
    with fetched(address, *names) as (remote, commits):
        local = any(reach.holds_repository(each, *names) for each in (address, address_in_use(address)))
        notes = [_note_in(remote, commit, source) for commit in commits.values()]
    if not notes:
        raise _no_anchor(source, "it has no ref of this ledger")
    return tuple(Anchor(source=source, note=note, local=local) for note in notes)


def _note_in(refs: Refs, commit: str | None, source: str) -> bytes:
    files = refs.files(commit) if commit is not None else {}
    blob = files.get(_ANCHOR) or files.get(NEWEST)
    if blob is None or blob.size > MAX_NOTE:
        raise _no_anchor(source, "no checkpoint stands there")
    return refs.read(blob)


def _load_note(path: str) -> bytes:
    try:
        return _read_note(path)
    except (OSError, ValueError) as error:
        message = f"The anchor cannot be read: {getattr(error, 'strerror', None) or error}."
        fix = "Name the file that holds the checkpoint, or git:<remote>."
        raise UnavailableError("anchor_unreadable", message, where=path, fix=fix) from error


def _read_note(path: str) -> bytes:
    """The bytes of a regular file, one more at the most than a note can have. `OSError` and `ValueError` pass."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with open(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise ValueError("it is no regular file")
        return file.read(MAX_NOTE + 1)


def _no_anchor(source: str, why: str) -> UnavailableError:
    fix = "Fetch it first, or name where it is: a file, git:refs/… of this clone, git:<remote>."
    return UnavailableError("anchor_missing", f"There is no anchor: {why}.", where=source, fix=fix)
