"""The bytes of a git index file, so that a scratch index can begin from a list of paths alone.

The index of a repository also remembers what its files looked like (sizes, times, "assume unchanged"), and git skips
files that still look so. Whoever can write the index can thereby hide a change. An index made here names the paths and
remembers nothing, so git reads every file again. The format is version 2 and 3 of gitformat-index(5).
"""

from __future__ import annotations

import hashlib
import struct

from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

GITLINK = 0o160000
"""The mode of a submodule, which an index names by its commit."""

_EXTENDED = 0x4000
_SKIP_WORKTREE = 0x4000
_LONGEST = 0x0FFF


class Tracked(Record):
    """One path of an index or a tree; `skipped` if a sparse checkout leaves the file out of the work tree."""

    path: bytes
    mode: int
    oid: str
    skipped: bool = False


def parse_index_listing(data: bytes) -> dict[bytes, Tracked]:
    """What `git ls-files --stage -t -z` prints. The stages of an unmerged path are one entry: it is tracked."""
    entries = {}
    for line in data.split(b"\0")[:-1]:
        head, _, path = line.partition(b"\t")
        tag, mode, oid, _ = head.decode("ascii").split(" ")
        entries[path] = Tracked(path, int(mode, 8), oid, tag == "S")
    return entries


def parse_tree_listing(data: bytes) -> dict[bytes, Tracked]:
    """What `git ls-tree -r -z --full-tree` prints."""
    entries = {}
    for line in data.split(b"\0")[:-1]:
        head, _, path = line.partition(b"\t")
        mode, _, oid = head.decode("ascii").split(" ")
        entries[path] = Tracked(path, int(mode, 8), oid)
    return entries


def format_index(entries: Iterable[Tracked], algorithm: str) -> bytes:
    """An index file that holds `entries`; `algorithm` is the repository's object format, `sha1` or `sha256`."""
    ordered = sorted(entries, key=lambda entry: entry.path)
    version = 3 if any(entry.skipped for entry in ordered) else 2
    body = b"".join(
        [struct.pack(">4sLL", b"DIRC", version, len(ordered)), *(_format_entry(entry) for entry in ordered)]
    )
    return body + hashlib.new(algorithm, body).digest()


def _format_entry(entry: Tracked) -> bytes:
    flags = min(len(entry.path), _LONGEST) | (_EXTENDED if entry.skipped else 0)
    fixed = struct.pack(">10L", 0, 0, 0, 0, 0, 0, entry.mode, 0, 0, 0) + bytes.fromhex(entry.oid)
    fixed += struct.pack(">HH", flags, _SKIP_WORKTREE) if entry.skipped else struct.pack(">H", flags)
    length = len(fixed) + len(entry.path)
    # One to eight NULs end the path and make the entry a multiple of eight bytes.
    return fixed + entry.path + bytes(8 - length % 8)
