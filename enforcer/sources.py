"""A ledger as somebody else finds it: its newest signed head and its lines, wherever they were made public.

    a folder with `checkpoint` and `seg/`            `state/ledger` of a project, or a copy of it
    a folder with `checkpoint` and `tile/entries/`   a static C2SP tlog-tiles site, by `enforcer export --tiles`
    git:refs/…                                       a published ledger in the clone around the current folder
    git:<remote, URL or path>                        a published ledger in another repository

Nothing of it is believed: a source gives bytes, and whoever reads it holds the lines against the head.
"""

from __future__ import annotations

import os
from contextlib import contextmanager

from enforcer.errors import DamagedError, RequestError, UnavailableError
from enforcer.evidence.git.refs import Refs, fetched
from enforcer.ledger.checkpoint import parse_checkpoint
from enforcer.ledger.entry import MAX_LEAF
from enforcer.ledger.lines import Lines
from enforcer.ledger.merkle import leaf_hash
from enforcer.ledger.note import MAX_NOTE, NoteFault, parse_note
from enforcer.ledger.segments import SUFFIX
from enforcer.ledger.tiles import ENTRIES, WIDTH, TileFault, decode_bundle, tile_path
from enforcer.publication import ref_of
from enforcer.published import NEWEST, SEGMENTS, files_of, refs_around
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import TypeAlias

    from enforcer.ports import Disk

    Batch: TypeAlias = tuple[list[bytes], list[bytes]]

GIT = "git:"
ORIGIN = "enforcer/"

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
_MAX_BUNDLE = WIDTH * (2 + MAX_LEAF)
_FIX = "Name state/ledger, a site of `enforcer export --tiles`, git:refs/… or git:<remote, URL or path>."


class Source(Record):
    """`note` is the newest head as it was found; `batches` begins to read: lines in order, and their leaf hashes."""

    where: str
    note: bytes
    batches: Callable[[], Iterator[Batch]]


@contextmanager
def found_at(where: str, origins: Sequence[str], *, disk: Disk) -> Iterator[Source]:
    """The ledger at a place that was named, readable within the block. `origins` are those that may be meant.

    Raises `RequestError` `source_unknown`, `source_ambiguous`, `bad_remote`, `no_repository`; `UnavailableError`
    `source_unreadable`, `ref_missing`, `remote_unreachable`; `DamagedError` `not_published`, `publication_oversized`.
    """
    if where.startswith(GIT + "refs/"):
        refs, ref = refs_around(os.getcwd()), where.removeprefix(GIT)
        yield _published(refs, refs.commit_of(ref), ref)
    elif where.startswith(GIT):
        names = [ref_of(origin.removeprefix(ORIGIN)) for origin in origins if origin.startswith(ORIGIN)]
        with fetched(_address(where.removeprefix(GIT)), *_some(names, where)) as (refs, commits):
            ref = _only(sorted(commits), where)
            yield _published(refs, commits[ref], ref)
    elif os.path.isdir(os.path.join(where, "seg")):
        yield Source(where, _read(disk, where, "checkpoint", MAX_NOTE), lambda: _lines(disk, where))
    elif os.path.isdir(os.path.join(where, "tile", ENTRIES)):
        note = _read(disk, where, "checkpoint", MAX_NOTE)
        yield Source(where, note, lambda: _bundles(disk, where, note))
    else:
        raise RequestError("source_unknown", "No ledger and no static log stands there.", where=where, fix=_FIX)


# Folders -------------------------------------------------------------------------------------------------------------


def _lines(disk: Disk, folder: str) -> Iterator[Batch]:
    try:
        names = [name for name in disk.listing(f"{folder}/seg") if name.endswith(SUFFIX)]
    except OSError as error:
        raise _unreadable(f"{folder}/seg", error.strerror or str(error)) from error
    for name in names:
        try:
            fd = disk.open(f"{folder}/seg/{name}", _READ)
            try:
                yield from Lines(fd, disk.size(fd), disk)
            finally:
                disk.close(fd)
        except OSError as error:
            raise _unreadable(f"{folder}/seg/{name}", error.strerror or str(error)) from error


def _bundles(disk: Disk, folder: str, note: bytes) -> Iterator[Batch]:
    """The bundles that a site of the head's size has. One that was partial may have become full since."""
    try:
        size = parse_checkpoint(parse_note(note).text).size
    except NoteFault:
        return  # Whoever reads the head itself is told.
    for index in range(-(-size // WIDTH)):
        width = min(WIDTH, size - index * WIDTH)
        partial, full = tile_path(ENTRIES, index, width), tile_path(ENTRIES, index)
        name = partial if os.path.lexists(os.path.join(folder, partial)) else full
        try:
            leaves = decode_bundle(_read(disk, folder, name, _MAX_BUNDLE))[:width]
        except TileFault as fault:
            fix = "Write the site anew where the ledger is: enforcer export --tiles DIR"
            raise DamagedError("source_malformed", f"{name}: {fault}.", where=folder, fix=fix) from fault
        yield leaves, [leaf_hash(leaf) for leaf in leaves]


def _read(disk: Disk, folder: str, name: str, limit: int) -> bytes:
    try:
        fd = disk.open(os.path.join(folder, name), _READ)
        try:
            data = disk.read(fd, limit + 1, 0)
        finally:
            disk.close(fd)
    except OSError as error:
        raise _unreadable(os.path.join(folder, name), error.strerror or str(error)) from error
    if len(data) > limit:
        raise _unreadable(os.path.join(folder, name), f"it is longer than {limit} bytes")
    return data


def _unreadable(path: str, why: str) -> UnavailableError:
    return UnavailableError("source_unreadable", f"It cannot be read: {why}.", where=path, fix=_FIX)


# Repositories --------------------------------------------------------------------------------------------------------


def _published(refs: Refs, commit: str | None, ref: str) -> Source:
    if commit is None:
        fix = "Fetch it first: git fetch origin 'refs/enforcer/*:refs/enforcer/*'"
        raise UnavailableError("ref_missing", f"There is no {ref} here.", where=ref, fix=fix)
    files = files_of(refs, commit, ref)
    if NEWEST not in files:
        raise _unreadable(ref, "no checkpoint is published with it")

    def batches() -> Iterator[Batch]:
        for data in refs.read_all(files[path] for path in sorted(files) if path.startswith(SEGMENTS)):
            lines = data.split(b"\n")[:-1]
            yield lines, [leaf_hash(line) for line in lines]

    return Source(ref, refs.read(files[NEWEST]), batches)


def _address(place: str) -> str:
    refs = Refs.find(os.getcwd())
    if refs is not None:
        return refs.address_of(place)
    return os.path.abspath(place) if os.path.isdir(place) else place


def _some(names: list[str], where: str) -> list[str]:
    if not names:
        message = "A repository may hold several ledgers, and none is known here yet."
        raise RequestError("source_ambiguous", message, where=where, fix="Name the one that is meant: --key VKEY")
    return names


def _only(there: list[str], where: str) -> str:
    if len(there) == 1:
        return there[0]
    if there:
        message = f"Several ledgers that are known here are published there: {', '.join(there)}."
        raise RequestError("source_ambiguous", message, where=where, fix="Name the one that is meant: --key VKEY")
    fix = "Publish and push it where the ledger is: enforcer publish; git push"
    raise UnavailableError("ref_missing", "No ledger that is known here is published there.", where=where, fix=fix)
