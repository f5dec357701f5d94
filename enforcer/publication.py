"""The ledger outside its folder: published to a git ref, read back from one, and its heads anchored elsewhere.

    refs/enforcer/<ledger id>            a commit holds ledger/, objects/, refusals/ and guard/ as they are in `state/`
    refs/enforcer/anchors/<ledger id>    a commit holds `checkpoint`, the head that was anchored

A published ledger only ever grows: what a commit holds has to be the beginning of what the next one does, so a history
that was rewritten is never published over the one that others have seen. An anchor is worth what its place is worth:
one that the ledger's own writer can change shows as local and does not count.
"""

from __future__ import annotations

import os

from enforcer.errors import DamagedError, RequestError, UnavailableError
from enforcer.evidence.git.refs import Blob, Refs, fetched
from enforcer.ledger.checkpoint import parse_checkpoint
from enforcer.ledger.heads import Anchor
from enforcer.ledger.merkle import Frontier, leaf_hash
from enforcer.ledger.note import NoteFault, parse_note
from enforcer.ledger.seal import MAX_NOTE
from enforcer.ports import read_file, write_durably
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from enforcer.enforcer import Enforcer
    from enforcer.ledger.checkpoint import Checkpoint
    from enforcer.ledger.seal import Sealed
    from enforcer.ports import Disk

# Folders below `state` that are published; of `guard` not the list of sessions, which nothing seals.
_TREES = ("ledger", "objects", "refusals", "guard")
_NOT_HISTORY = ("ledger/lock", "ledger/commit", "ledger/.cache/", "ledger/tile/edge", "guard/.tasks/")
_SEGMENTS = "ledger/seg/"
_NEWEST = "ledger/checkpoint"


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


# Publishing ----------------------------------------------------------------------------------------------------------


def publish(enforcer: Enforcer) -> Published:
    """Commit the ledger as it is now to its ref.

    Raises `RequestError` `no_repository`; `DamagedError` `publish_forked` where what was published before is not the
    beginning of what is here; `UnavailableError` where git or the disk fails.
    """
    refs = refs_around(enforcer.project.root)
    ref, state = ref_of(enforcer.identity.id), enforcer.project.state
    before = refs.commit_of(ref)
    known = refs.files(before) if before is not None else {}
    files = {**known, **_stored(state, known, refs, enforcer.disk)}
    if before is not None:
        _check_grown(refs, known, files, ref)
    sealed = enforcer.sealer.newest()
    size = sealed.size if sealed is not None else None
    if before is not None and files == known:
        return Published(ref=ref, commit=before, moved=False, size=size)
    message = f"{enforcer.identity.origin}: {enforcer.ledger.head.size} entries\n"
    commit = refs.advance(ref, files, before=before, message=message)
    return Published(ref=ref, commit=commit, moved=True, size=size)


def _stored(state: str, known: dict[str, Blob], refs: Refs, disk: Disk) -> dict[str, Blob]:
    """Every file of the history as a blob. Objects are named by their content, so known ones are not read again."""
    whole: list[str] = []
    growing: list[str] = []
    for path in _paths(state):
        if path.startswith("objects/") and path in known:
            continue
        (growing if _grows(path) else whole).append(path)
    blobs = dict(zip(whole, refs.store_files([f"{state}/{path}" for path in whole]), strict=True))
    for path in growing:
        data = read_file(disk, f"{state}/{path}")
        blobs[path] = refs.store(data[: data.rfind(b"\n") + 1])  # Somebody may be writing a line at this moment.
    return blobs


def _grows(path: str) -> bool:
    return path.startswith((_SEGMENTS, "refusals/", "guard/"))


def _paths(state: str) -> Iterator[str]:
    for tree in _TREES:
        for folder, below, names in os.walk(f"{state}/{tree}"):
            below.sort()
            for name in sorted(names):
                path = os.path.relpath(os.path.join(folder, name), state).replace(os.sep, "/")
                full = os.path.join(folder, name)
                if not path.startswith(_NOT_HISTORY) and not name.endswith(".new") and not os.path.islink(full):
                    yield path


def _check_grown(refs: Refs, known: dict[str, Blob], files: dict[str, Blob], ref: str) -> None:
    for path, before in known.items():
        now = files[path]
        if now.name == before.name:
            continue
        if path.startswith(_SEGMENTS) and refs.read(now).startswith(refs.read(before)):
            continue
        if path == "ledger/ledger.json" or path.startswith(_SEGMENTS):
            message = f"{path} as it was published is not the beginning of what is here: history was rewritten."
            fix = "Nothing was published. Compare the two: enforcer verify --base " + ref
            raise DamagedError("publish_forked", message, where=ref, fix=fix)


# Reading a published ledger ------------------------------------------------------------------------------------------


def check_out(refs: Refs, commit: str, folder: str) -> None:
    """Write a published state below `folder`, which is empty. Names that no state has are left out."""
    for path, blob in refs.files(commit).items():
        parts = path.split("/")
        if parts[0] not in _TREES or any(part in ("", ".", "..") for part in parts):
            continue
        target = os.path.join(folder, *parts)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "xb") as file:
            file.write(refs.read(blob))


def check_out_ref(root: str, ref: str, folder: str) -> None:
    """The same, of a ref of the clone around `root`. Raises `RequestError` `no_repository`, `UnavailableError`
    `ref_missing`."""
    refs = refs_around(root)
    commit = refs.commit_of(ref)
    if commit is None:
        fix = "Fetch it first: git fetch origin 'refs/enforcer/*:refs/enforcer/*'"
        raise UnavailableError("ref_missing", f"There is no {ref} in this clone.", where=ref, fix=fix)
    check_out(refs, commit, folder)


def refs_around(root: str) -> Refs:
    """The refs of the clone that a folder is in. Raises `RequestError` `no_repository`."""
    refs = Refs.find(root)
    if refs is None:
        message = "There is no git repository around the project, so it has no refs."
        raise RequestError("no_repository", message, where=root, fix="git init; or keep anchors in files.")
    return refs


def published_head(refs: Refs, commit: str) -> tuple[int, bytes]:
    """Size and root of the tree that a published ledger's lines make, taken as they are."""
    files = refs.files(commit)
    frontier = Frontier()
    for path in sorted(path for path in files if path.startswith(_SEGMENTS)):
        lines = refs.read(files[path]).split(b"\n")
        frontier.extend(leaf_hash(line) for line in lines[:-1])
    return frontier.size, frontier.root()


# Anchors -------------------------------------------------------------------------------------------------------------


def anchor_to_file(enforcer: Enforcer, path: str) -> Sealed:
    """Copy the newest checkpoint to a file, where an earlier one may stand that this one extends.

    Raises `DamagedError` `anchor_conflict` where what stands there is not of an earlier part of this history.
    """
    sealed = enforcer.sealer.seal()
    path = os.path.abspath(path)
    try:
        before = read_file(enforcer.disk, path) if os.path.lexists(path) else b""
        if before:
            _check_extends(enforcer, before, sealed, path)
        enforcer.disk.make_folder(os.path.dirname(path))
        write_durably(enforcer.disk, path, sealed.note, entropy=enforcer.entropy)
    except OSError as error:
        message = f"The anchor cannot be written: {error.strerror}."
        raise UnavailableError(
            "anchor_unwritable", message, where=path, fix="Name a file that can be written."
        ) from error
    _keep(enforcer, sealed)
    return sealed


def anchor_to_git(enforcer: Enforcer) -> tuple[Sealed, str]:
    """Commit the newest checkpoint to the ref for anchors, and the ref; it counts once it was pushed elsewhere."""
    refs = refs_around(enforcer.project.root)
    ref = anchor_ref_of(enforcer.identity.id)
    sealed = enforcer.sealer.seal()
    before = refs.commit_of(ref)
    if before is not None:
        stands = refs.files(before).get("checkpoint")
        if stands is not None:
            _check_extends(enforcer, refs.read(stands), sealed, ref)
    message = f"{enforcer.identity.origin}: anchor at {sealed.size} entries\n"
    refs.advance(ref, {"checkpoint": refs.store(sealed.note)}, before=before, message=message)
    _keep(enforcer, sealed)
    return sealed, ref


def load_anchor(source: str, *, project: str, state: str, user: str, ledger: str) -> Anchor:
    """An anchor that was named: a file, `git:refs/…` of this clone, or `git:<remote, URL or path>`.

    Raises `UnavailableError` `anchor_unreadable` or `anchor_missing`.
    """
    if not source.startswith("git:"):
        return Anchor(source=source, note=_read_anchor(source), local=_within(source, project, state, user))
    place = source.removeprefix("git:")
    refs = Refs.find(project)
    if place.startswith("refs/"):
        if refs is None:
            raise _no_anchor(source, "there is no git repository here")
        return Anchor(source=source, note=_note_in(refs, refs.commit_of(place), source), local=True)
    address = refs.url_of(place) if refs is not None else place
    local = os.path.isdir(address) and _within(address, project, state, user)
    for ref in (anchor_ref_of(ledger), ref_of(ledger)):
        with fetched(address, ref) as (remote, commit):
            if commit is not None:
                return Anchor(source=source, note=_note_in(remote, commit, source), local=local)
    raise _no_anchor(source, "it has no ref of this ledger")


def _note_in(refs: Refs, commit: str | None, source: str) -> bytes:
    files = refs.files(commit) if commit is not None else {}
    blob = files.get("checkpoint") or files.get(_NEWEST)
    if blob is None:
        raise _no_anchor(source, "no checkpoint stands there")
    return refs.read(blob)


def _read_anchor(path: str) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return os.read(fd, MAX_NOTE)
        finally:
            os.close(fd)
    except (OSError, ValueError) as error:
        message = f"The anchor cannot be read: {getattr(error, 'strerror', None) or error}."
        fix = "Name the file that holds the checkpoint, or git:<remote>."
        raise UnavailableError("anchor_unreadable", message, where=path, fix=fix) from error


def _within(path: str, *folders: str) -> bool:
    real = os.path.realpath(path)
    return any(real == folder or real.startswith(folder + os.sep) for folder in map(os.path.realpath, folders))


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


def _no_anchor(source: str, why: str) -> UnavailableError:
    fix = "Fetch it first, or name where it is: a file, git:refs/… of this clone, git:<remote>."
    return UnavailableError("anchor_missing", f"There is no anchor: {why}.", where=source, fix=fix)
