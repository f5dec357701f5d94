"""What `git diff` prints, asked for in one fixed form and read back: which files differ, what they are now, the patch.

It stands apart from the questions because two answers are compared with each other long after git has forgotten the
trees: what a run saw and what is there now are two maps of the same base, and where the maps differ, the files do.
"""

from __future__ import annotations

from enforcer.errors import UnavailableError
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

RAW = ("--raw", "-z", "--no-abbrev", "--no-renames", "--no-relative", "--ignore-submodules=none")
"""Options for the list of files alone."""

PATCH = (
    *RAW,
    *("--patch", "--binary", "--full-index", "--unified=3", "--inter-hunk-context=0"),
    *("--no-ext-diff", "--no-textconv", "--no-color", "--diff-algorithm=myers"),
    *("--indent-heuristic", "--src-prefix=a/", "--dst-prefix=b/", "--submodule=short"),
)
"""Options for the list and the patch after it."""

_ACTIONS = {"A": "add", "D": "delete", "M": "modify", "T": "modify"}


class Change(Record):
    """One file that differs; `action` is `add`, `modify` or `delete`, `path` is as `shown` tells it."""

    path: str
    action: str


class Comparison(Record):
    """Two trees beside each other: what differs, what each such path became, and the patch if it was asked for.

    `contents` maps a path to "mode oid" (six octal digits, and the id of a blob or of a submodule's commit), or to ""
    where the file is gone.
    """

    changes: tuple[Change, ...]
    contents: Mapping[str, str]
    patch: bytes


def parse_comparison(output: bytes) -> Comparison:
    """What git prints with the options `RAW` or `PATCH`: the records, an empty one, then the patch."""
    changes = []
    contents = {}
    position = 0
    while output[position : position + 1] == b":":
        middle = output.index(b"\0", position)
        end = output.index(b"\0", middle + 1)
        _, mode, _, name, letter = output[position:middle].decode("ascii").split(" ")
        action = _ACTIONS.get(letter)
        if action is None:
            raise UnavailableError("git_failed", "git printed a kind of change that is not expected here.")
        path = shown(output[middle + 1 : end])
        changes.append(Change(path, action))
        contents[path] = "" if action == "delete" else f"{mode} {name}"
        position = end + 1
    return Comparison(tuple(changes), contents, output[position + 1 :])


def shown(path: bytes) -> str:
    r"""A path of git as text, another text for every other path.

    One that is UTF-8 is itself. Any other begins with `./`, as no path of git does, and has `\xNN` for each byte that
    is none, and `\\` for a backslash.
    """
    try:
        return path.decode("utf-8")
    except UnicodeDecodeError:
        return "./" + path.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")
