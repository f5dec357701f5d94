"""A ledger as it stands in a commit: which names it has there, and how it is read.

    ledger/ledger.json, checkpoint, checkpoints/<size>, anchors/<size>, seg/<20 digits>.jsonl, quarantine/<name>
    objects/<2 hex digits>/<62 hex digits>
    refusals/<TASK>.jsonl, guard/<session>.jsonl

These and no others are written and read: no cache, lock or tile, nothing that only happens to lie there, and no name
that leads out of the folder that a commit is written to. A commit may be anybody's work, so nothing in it is believed
for being there; `verify` judges what was read.
"""

from __future__ import annotations

import os
import re
import tempfile

from enforcer.errors import DamagedError, RequestError, UnavailableError
from enforcer.evidence.git.refs import Refs
from enforcer.evidence.objects import MAX_OBJECT
from enforcer.ledger.merkle import Frontier, leaf_hash
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from enforcer.evidence.git.refs import Blob

IDENTITY = "ledger/ledger.json"
NEWEST = "ledger/checkpoint"
SEGMENTS = "ledger/seg/"

_NAME = "[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}"


class _Kind(Record):
    """A kind of files that may stand in a published ledger: how many, and the most bytes of one and of all of them."""

    name: str
    form: re.Pattern[str]
    count: int
    each: int
    total: int


# Well above what the largest ledger that can be worked with has, and well below what fills a machine.
_KINDS = (
    _Kind("identities", re.compile(r"ledger/ledger\.json"), 1, 1 << 16, 1 << 16),
    _Kind(
        "checkpoints and anchors",
        re.compile(r"ledger/(checkpoint|(checkpoints|anchors)/(0|[1-9][0-9]{0,18}))"),
        20_000,
        1 << 16,
        64 << 20,
    ),
    _Kind("segments", re.compile(r"ledger/seg/[0-9]{20}\.jsonl"), 10_000, 1 << 30, 16 << 30),
    _Kind("quarantined tails", re.compile(rf"ledger/quarantine/(?!.*\.new$){_NAME}"), 10_000, 1 << 28, 1 << 30),
    _Kind("objects", re.compile(r"objects/[0-9a-f]{2}/[0-9a-f]{62}"), 200_000, MAX_OBJECT, 16 << 30),
    _Kind("margins", re.compile(rf"(refusals|guard)/{_NAME}\.jsonl"), 100_000, 64 << 20, 1 << 30),
)


def limit_of(path: str) -> int | None:
    """The most bytes that the file of a published ledger can have; None for a path that has no place in one."""
    kind = _kind_of(path)
    return kind.each if kind is not None else None


def _kind_of(path: str) -> _Kind | None:
    return next((kind for kind in _KINDS if kind.form.fullmatch(path)), None)


def refs_around(root: str) -> Refs:
    """The refs of the clone that a folder is in. Raises `RequestError` `no_repository`."""
    refs = Refs.find(root)
    if refs is None:
        message = "There is no git repository around the project, so it has no refs."
        raise RequestError("no_repository", message, where=root, fix="git init; or keep anchors in files.")
    return refs


def files_of(refs: Refs, commit: str, ref: str) -> dict[str, Blob]:
    """The files of the ledger that a commit holds. `ref` is what the commit was asked for by.

    Raises `DamagedError` `not_published` where it holds none, `publication_oversized` where one is larger than any
    ledger's, or there are more of a kind than any ledger has.
    """
    files = {path: blob for path, blob in refs.files(commit).items() if limit_of(path) is not None}
    if IDENTITY not in files:
        message = f"The commit {commit[:12]} holds no published ledger."
        raise DamagedError("not_published", message, where=ref, fix="Name a ref that `enforcer publish` has written.")
    _check_sizes(files, ref)
    return files


def _check_sizes(files: dict[str, Blob], ref: str) -> None:
    counts: dict[str, int] = {}
    totals: dict[str, int] = {}
    for path, blob in files.items():
        kind = _kind_of(path)
        if kind is None:
            continue
        counts[kind.name] = counts.get(kind.name, 0) + 1
        totals[kind.name] = totals.get(kind.name, 0) + blob.size
        if blob.size > kind.each:
            raise _oversized(f"{path} has {blob.size} bytes, and no ledger has such a file", ref)
        if counts[kind.name] > kind.count:
            raise _oversized(f"There are more than {kind.count} {kind.name}, and no ledger has so many", ref)
        if totals[kind.name] > kind.total:
            raise _oversized(f"The {kind.name} have more than {kind.total} bytes, and no ledger has so many", ref)


def _oversized(message: str, ref: str) -> DamagedError:
    fix = "Look at who has written the ref; it was not `enforcer publish`."
    return DamagedError("publication_oversized", f"{message}.", where=ref, fix=fix)


def check_out(root: str, ref: str, folder: str) -> None:
    """Write the ledger in a commit of the clone around `root` below `folder`, which is empty.

    Raises `RequestError` `no_repository`, `UnavailableError` `ref_missing` or `checkout_failed`, and what `files_of`
    raises.
    """
    refs = refs_around(root)
    commit = refs.commit_of(ref)
    if commit is None:
        fix = "Fetch it first: git fetch origin 'refs/enforcer/*:refs/enforcer/*'"
        raise UnavailableError("ref_missing", f"There is no {ref} in this clone.", where=ref, fix=fix)
    files = files_of(refs, commit, ref)
    try:
        for inner in {os.path.dirname(path) for path in files}:
            os.makedirs(os.path.join(folder, inner), exist_ok=True)
        refs.copy_all((blob, os.path.join(folder, path)) for path, blob in files.items())
    except OSError as error:
        message = f"The published ledger cannot be written to a temporary folder: {error.strerror}."
        raise UnavailableError(
            "checkout_failed", message, where=folder, fix="Set TMPDIR to where there is room."
        ) from error


def tree_of(refs: Refs, commit: str, ref: str, size: int | None = None) -> tuple[int, bytes]:
    """Size and root of the tree that a published ledger's lines make, taken as they are; of the first `size` only,
    where that is given. Raises what `files_of` raises, and `DamagedError` `not_published` where there is no line."""
    frontier = Frontier()
    for leaf in _leaves(refs, files_of(refs, commit, ref)):
        if frontier.size == size:
            break
        frontier.append(leaf_hash(leaf))
    if not frontier.size:
        message = "The published ledger has no lines."
        raise DamagedError("not_published", message, where=ref, fix="Name a ref that `enforcer publish` has written.")
    return frontier.size, frontier.root()


def _leaves(refs: Refs, files: dict[str, Blob]) -> Iterator[bytes]:
    for path in sorted(files):
        if path.startswith(SEGMENTS):
            with tempfile.TemporaryDirectory(prefix="enforcer-base-") as folder:
                copy = os.path.join(folder, "lines")
                refs.copy_all([(files[path], copy)])
                with open(copy, "rb") as lines:
                    yield from (line[:-1] for line in lines if line.endswith(b"\n"))
