"""Which file of the project a path in a report names.

Reports name files in several ways: absolute, below one of several source folders, or below the folder that the tool
ran in. A path that may name two files is refused, because lines counted for the wrong file are worse than no report;
for the same reason no file is taken because its path only ends alike, as that of a compiled copy does.
"""

from __future__ import annotations

from enforcer.evidence.readers.fault import Unreadable, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


class Places:
    """Finds paths below `root`, an absolute path without links, that paths in the answer are relative to.

    `folder`, relative to `root`, is where the tool ran. `files` are the files that there are, when they are known;
    they decide between several source folders.
    """

    def __init__(self, root: str, folder: str = ".", files: Collection[str] | None = None) -> None:
        self._root = _parts(root)
        self._folder = [] if folder in ("", ".") else _parts(folder)
        self._files = files

    def find(self, path: str, sources: Sequence[str] = ()) -> str | None:
        """The file that `path` names, perhaps below one of `sources`; None where it is outside of the project."""
        path = self._slashed(path)
        if not path or "\0" in path:
            raise Unreadable(f"{shown(path)} is no path of a file")
        found = list(dict.fromkeys(self._candidates(path, [self._slashed(source) for source in sources])))
        inside = [one for one in found if one is not None]
        if self._files is not None:
            inside = [one for one in inside if one in self._files] or inside[:1]
        if len(inside) > 1:
            raise Unreadable(f"the path {shown(path)} may name {' or '.join(shown(one) for one in inside[:4])}")
        return inside[0] if inside else None

    def _slashed(self, path: str) -> str:
        """`path` with `/` between its parts; a `\\` in a path without one comes from Windows, unless a file has it."""
        if "\\" not in path or "/" in path or (self._files is not None and path in self._files):
            return path
        return path.replace("\\", "/")

    def _candidates(self, path: str, sources: Sequence[str]) -> list[str | None]:
        if _is_absolute(path):
            return [self._below(_parts(path))]
        usable = [source for source in sources if source and "$" not in source]
        if not usable:
            return [self._below(self._root + self._folder + _parts(path))]
        return [self._below(self._absolute(source) + _parts(path)) for source in usable]

    def _absolute(self, source: str) -> list[str]:
        return _parts(source) if _is_absolute(source) else self._root + self._folder + _parts(source)

    def _below(self, parts: list[str]) -> str | None:
        """The path below the root of an absolute path in parts, without `.` and `..`."""
        plain: list[str] = []
        for part in parts:
            if part != "..":
                plain.append(part)
            elif plain:
                plain.pop()
        depth = len(self._root)
        return "/".join(plain[depth:]) if plain[:depth] == self._root and len(plain) > depth else None


def _is_absolute(path: str) -> bool:
    return path.startswith("/") or path[1:3] == ":/"


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]
