"""What lies within the reach of a ledger's writer: its project, its clone, its user's folder, whatever leads there.

An anchor is worth what its place is worth. One that the writer can change shows as local, so a place is followed to
where its bytes really are: a repository may be a file, and may have its refs and objects in another one.
"""

from __future__ import annotations

import os
from urllib.parse import unquote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Where git looks for a repository that was named by a path: a git folder, a work tree, a name without its suffix.
_SUFFIXES = ("", "/.git", ".git", ".git/.git")
# What another repository's refs are read from.
_PARTS = ("refs", "packed-refs", "reftable", "objects", "objects/pack", "objects/info", "HEAD")
_SHORT = 1 << 16  # Bytes of a file that says where another folder is.
_MOST = 100  # Folders that one repository is followed through; git itself follows five.


class Reach:
    """The folders that a ledger's writer can write to."""

    def __init__(self, folders: Iterable[str]) -> None:
        self._folders = tuple(dict.fromkeys(os.path.realpath(folder) for folder in folders))

    def holds(self, path: str) -> bool:
        """Whether a path leads into one of the folders, by whatever links."""
        real = os.path.realpath(path)
        return any(real == folder or real.startswith(os.path.join(folder, "")) for folder in self._folders)

    def holds_repository(self, address: str, *refs: str) -> bool:
        """Whether a repository on this machine, or one that lends it `refs` or objects, lies in one of the folders."""
        return any(self.holds(place) for path in _paths(address) for place in _places(path, refs))


def _paths(address: str) -> Iterator[str]:
    """What git takes an address for, if it is a path."""
    path = unquote(address.removeprefix("file://")) if address.startswith("file://") else address
    if "\0" in path:
        return
    for name in dict.fromkeys((path, os.path.expanduser(path))):
        yield from (f"{name.rstrip('/')}{suffix}" for suffix in _SUFFIXES)


def _places(path: str, refs: Iterable[str]) -> Iterator[str]:
    """Everything that the repository at a path consists of, as far as it is there."""
    waiting, seen = [path], set[str]()
    while waiting and len(seen) < _MOST:
        place = os.path.realpath(waiting.pop())
        if place in seen or not os.path.lexists(place):
            continue
        seen.add(place)
        yield place
        if not os.path.isdir(place):
            waiting += _named_in(place, "gitdir: ", os.path.dirname(place))
            continue
        yield from (os.path.join(place, part) for part in (*_PARTS, *refs))
        waiting += _named_in(os.path.join(place, "commondir"), "", place)
        objects = os.path.join(place, "objects")
        for folder in (objects, place):
            waiting += _named_in(os.path.join(folder, "info", "alternates"), "", os.path.realpath(folder))


def _named_in(path: str, prefix: str, start: str) -> list[str]:
    """The paths that a short file names, one a line."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with open(fd, "rb") as file:
            lines = os.fsdecode(file.read(_SHORT)).splitlines()
    except OSError:
        return []
    named = (line.removeprefix(prefix) for line in lines if line.startswith(prefix) and "\0" not in line)
    return [os.path.join(start, name.strip()) for name in named if name.strip() and not name.startswith("#")]
