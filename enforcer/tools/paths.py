"""Where a path that a tool names leads, as far as that can be told before the tool is used.

What is named and what is written may differ: by links, and by how a host takes `..` (by the text, or by the folders
that are there). Every place that a path may lead to is named, so a judge that allows all of them allows the right one.
"""

from __future__ import annotations

import os


def places(path: str, *, root: str, state: str) -> tuple[str, ...]:
    """The places that writing to `path` may change: below `root` relative to it, elsewhere absolute, links resolved.

    `root` is the project's real folder and `state` its state folder, which a linked worktree has elsewhere; what lies
    below it is told as `state/…`. Separators are `/`.
    """
    found: dict[str, None] = {}
    for named in (path, os.path.expanduser(path)) if path.startswith("~") else (path,):
        joined = os.path.join(root, named)
        for variant in (joined, os.path.normpath(joined)) if ".." in joined.split(os.sep) else (joined,):
            # A tool may follow a link in the last place, or put a new file where the link was.
            beside = os.path.join(os.path.realpath(os.path.dirname(variant)), os.path.basename(variant))
            for place in (os.path.realpath(variant), os.path.normpath(beside)):
                found |= dict.fromkeys(_told(place, root, state))
    return tuple(found)


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


# Patches -------------------------------------------------------------------------------------------------------------

_HEADERS = ("*** Add File: ", "*** Update File: ", "*** Delete File: ", "*** Move to: ", "*** Rename to: ")
_GIT_HEADERS = ("rename from ", "rename to ", "copy from ", "copy to ")


def patched(patch: str) -> tuple[str, ...] | None:
    """The files that a patch names, in either of the usual forms; None where it names none, or one in quotes."""
    names: dict[str, None] = {}
    for line in patch.splitlines():
        name = _named(line)
        if name == "" or name.startswith('"'):
            return None
        if name != _NOTHING:
            names[name] = None
    return tuple(names) or None


_NOTHING = "/dev/null"


def _named(line: str) -> str:
    """The file that a line of a patch names; `/dev/null` where it names none."""
    for header in (*_HEADERS, *_GIT_HEADERS):
        if line.startswith(header):
            return line[len(header) :].strip()
    if line.startswith("diff --git "):
        # It names two files without saying where the first one ends; the lines below it name them again.
        return _NOTHING
    if not line.startswith(("--- ", "+++ ")):
        return _NOTHING
    name = line[4:].partition("\t")[0].strip()
    return name[2:] if name.startswith(("a/", "b/")) else name
