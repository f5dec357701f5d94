"""Where a path that a tool names leads, as far as that can be told before the tool is used.

What is named and what is written may differ: by links, and by how a host takes `..` (by the text, or by the folders
that are there). Every place that a path may lead to is named, so a judge that allows all of them allows the right one.
Where a file has several names, none of them tells the others: such a file is only told to be shared.
"""

from __future__ import annotations

import os
import stat


def places(path: str, *, root: str, state: str) -> tuple[str, ...]:
    """The places that writing to `path` may change: below `root` relative to it, elsewhere absolute, links resolved.

    `root` is the project's real folder and `state` its state folder, which a linked worktree has elsewhere; what lies
    below it is told as `state/…`. Separators are `/`.
    """
    found: dict[str, None] = {}
    for variant in _variants(path, root):
        # A tool may follow a link in the last place, or put a new file where the link was.
        beside = os.path.join(os.path.realpath(os.path.dirname(variant)), os.path.basename(variant))
        for place in (os.path.realpath(variant), os.path.normpath(beside)):
            found |= dict.fromkeys(_told(place, root, state))
    return tuple(found)


def shared(path: str, *, root: str) -> bool:
    """Whether writing to `path` may change a regular file that has further names (hard links)."""
    return any(_names(place) > 1 for variant in _variants(path, root) for place in (variant, os.path.normpath(variant)))


def _variants(path: str, root: str) -> tuple[str, ...]:
    """What a host may take a path for, as absolute paths."""
    found: dict[str, None] = {}
    for named in (path, os.path.expanduser(path)) if path.startswith("~") else (path,):
        joined = os.path.join(root, named)
        found |= dict.fromkeys((joined, os.path.normpath(joined)) if ".." in joined.split(os.sep) else (joined,))
    return tuple(found)


def _names(place: str) -> int:
    """How many names the regular file at a place has; 0 where none is there, or it cannot be looked at."""
    try:
        status = os.stat(place)
    except (OSError, ValueError):
        return 0
    return status.st_nlink if stat.S_ISREG(status.st_mode) else 0


def _told(place: str, root: str, state: str) -> tuple[str, ...]:
    for folder, name in ((_real_but_for_the_last(state), "state"), (os.path.realpath(root), "")):
        if place == folder or place.startswith(folder + os.sep):
            return (_joined(name, place[len(folder) + 1 :]),)
        if f"{place}{os.sep}".casefold().startswith(f"{folder}{os.sep}".casefold()):
            # Whether this is the same folder is the file system's to say, so both readings are told.
            return (place, _joined(name, place[len(folder) + 1 :]))
    return (place,)


def _real_but_for_the_last(path: str) -> str:
    """A link that was put in the place of `state` is not the state folder."""
    return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))


def _joined(name: str, rest: str) -> str:
    return "/".join(part for part in (name, rest.replace(os.sep, "/")) if part) or "."
