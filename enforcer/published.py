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

from enforcer.errors import DamagedError, RequestError, UnavailableError
from enforcer.evidence.git.refs import Refs
from enforcer.evidence.objects import MAX_OBJECT
from enforcer.ledger.merkle import Frontier, leaf_hash
from enforcer.ledger.note import MAX_NOTE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from enforcer.evidence.git.refs import Blob

IDENTITY = "ledger/ledger.json"
NEWEST = "ledger/checkpoint"
SEGMENTS = "ledger/seg/"

_NAME = "[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}"
_LINES_LIMIT = 1 << 30
# What may stand in a published ledger, and the most bytes that it can honestly have.
_KINDS = (
    (re.compile(r"ledger/ledger\.json"), 1 << 16),
    (re.compile(r"ledger/(checkpoint|(checkpoints|anchors)/(0|[1-9][0-9]{0,18}))"), MAX_NOTE),
    (re.compile(r"ledger/seg/[0-9]{20}\.jsonl"), _LINES_LIMIT),
    (re.compile(rf"ledger/quarantine/(?!.*\.new$){_NAME}"), _LINES_LIMIT),
    (re.compile(r"objects/[0-9a-f]{2}/[0-9a-f]{62}"), MAX_OBJECT),
    (re.compile(rf"(refusals|guard)/{_NAME}\.jsonl"), _LINES_LIMIT),
)


def limit_of(path: str) -> int | None:
    """The most bytes that the file of a published ledger can have; None for a path that has no place in one."""
    return next((limit for form, limit in _KINDS if form.fullmatch(path)), None)


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
    ledger's.
    """
    files = {path: blob for path, blob in refs.files(commit).items() if limit_of(path) is not None}
    if IDENTITY not in files:
        message = f"The commit {commit[:12]} holds no published ledger."
        raise DamagedError("not_published", message, where=ref, fix="Name a ref that `enforcer publish` has written.")
    for path, blob in files.items():
        if blob.size > (limit_of(path) or 0):
            message = f"{path} has {blob.size} bytes, and no ledger has such a file."
            fix = "Look at who has written the ref; it was not `enforcer publish`."
            raise DamagedError("publication_oversized", message, where=ref, fix=fix)
    return files


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
        for path, data in zip(files, refs.read_all(files.values()), strict=True):
            target = os.path.join(folder, path)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "xb") as file:
                file.write(data)
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
    segments = (files[path] for path in sorted(files) if path.startswith(SEGMENTS))
    for data in refs.read_all(segments):
        yield from data.split(b"\n")[:-1]
