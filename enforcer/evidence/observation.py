"""The record of a run: the object that a `run.observed` entry names, and all that was seen of the run.

It is canonical JSON (`docs/format.md`). Names that need not be ASCII (paths, variables) stand in pairs, because the
keys of an object must be. `contents` tells what differed from the task's base commit when the command began, so that
whoever looks later can name the files that were changed since, although git has forgotten that tree.
"""

from __future__ import annotations

from enforcer.ledger.codec import JsonFault, canonical, parse_line
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, ClassVar

FORMAT = "enforcer/observation/v1"

MOST_CONTENTS = 5_000  # A change of more files is recorded by its tree alone.


class File(Record):
    """A file that the run left in the folder that it may write to."""

    path: str
    digest: str
    size: int


class Executable(Record):
    """What really ran: the file that the first word led to, and why it is unusual, if it is."""

    path: str
    digest: str
    label: str = ""
    interpreter: str = ""


class Ignored(Record):
    """Files that git ignores and the run could load: how many, a digest over all of them, and the first ones.

    `digested` says what the digest is over: `contents`, `sizes` where there are too many to read, or `nothing` where
    there are too many even to count. `.pyc` files count, which Python writes anew: it is a fact to compare, no more.
    """

    count: int
    digest: str
    digested: str
    paths: tuple[str, ...] = ()


class Observation(Record, kw_only=True):
    """All that was seen of a run.

    `argv` is what the process or the caller named, `ran` what it became. `environment` maps the names of the variables
    that were passed to digests of their values, salted with the ledger's own secret. `tree` and `commit` are of the
    moment before, `tree_after` of the moment after; empty without git. `ended` says what cut it short (`timeout`,
    `output_limit`, `interrupted`), `orphans` how many processes outlived it and were ended. `output` is what it wrote
    to standard output and error, after as many patterns as `redacted` says were applied, and `produced` are the files
    that it left in the folder that it may write to.
    """

    task: str
    phase: str
    attempt_id: str
    argv: tuple[str, ...]
    ran: tuple[str, ...]
    folder: str
    executable: Executable
    configured: bool
    environment: Mapping[str, str]
    started: int
    duration_us: int
    status: int | None
    signal: str
    ended: str
    orphans: int
    output: File
    produced: tuple[File, ...]
    redacted: int
    sandbox: str
    tree: str
    tree_after: str
    commit: str
    contents: Mapping[str, str]
    ignored: Ignored | None

    nested: ClassVar[Mapping[str, type[Record]]] = {
        "executable": Executable,
        "output": File,
        "produced": File,
        "ignored": Ignored,
    }

    def data(self) -> bytes:
        """The bytes that are stored."""
        packed: dict[str, Any] = self.pack(complete=True)
        packed["environment"] = [[name, digest] for name, digest in sorted(self.environment.items())]
        listed = len(self.contents) <= MOST_CONTENTS
        packed["contents"] = [[path, entry] for path, entry in sorted(self.contents.items())] if listed else None
        return canonical({"format": FORMAT, **packed})


def contents_seen(data: bytes) -> dict[str, str] | None:
    """What differed from the base when a run began, by path; None where the record is not there or does not tell."""
    try:
        value = parse_line(data)
        contents = value["contents"]
        return None if contents is None else dict(contents)
    except (JsonFault, KeyError, TypeError, ValueError):
        return None


def differing(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[str, ...]:
    """The files in which two trees differ, sorted, from the `contents` of each against one and the same base."""
    paths = before.keys() | after.keys()
    return tuple(sorted(path for path in paths if before.get(path) != after.get(path)))
