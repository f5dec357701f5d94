"""A work tree and the scratch git folder beside it, in which indexes of its files are made.

Every file is read again for every index, which begins from names alone, so neither flags in the repository's own index
nor forged times hide a change. Of the repository itself only the names of tracked files are taken.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import tempfile
import time
import weakref

from enforcer.errors import RequestError
from enforcer.evidence.git.commands import FILE_SYSTEM_SETTINGS, TIMEOUT, Done, Git
from enforcer.evidence.git.comparison import shown
from enforcer.evidence.git.index import Tracked, format_index, parse_index_listing
from enforcer.evidence.git.scratch import fill_scratch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from typing import Self

_UPDATE = ("update-index", "--add", "--remove", "-z", "--stdin")


class WorkTree:
    """What the questions of a `Repository` are put together from."""

    def __init__(
        self, top: str, folder: str, *, timeout: float = TIMEOUT, nanoseconds: Callable[[], int] = time.monotonic_ns
    ) -> None:
        """`top` is where `.git` is, `folder` the project in it, `nanoseconds` a clock that only grows."""
        self.top = top
        self.prefix = "" if folder == top else os.path.relpath(folder, top) + "/"
        self._git = Git(top, timeout, nanoseconds)
        self._real = self._git.environment(os.path.join(top, ".git"))
        places, settings = self._git.run_all(
            (
                ("rev-parse", "--git-path", "objects", "--show-object-format"),
                ("config", "--type=bool", "--get-regexp", rf"^core\.({'|'.join(FILE_SYSTEM_SETTINGS)})$"),
            ),
            self._real,
        )
        objects, self.algorithm = places.text().rsplit("\n", 1)
        self.empty_tree = hashlib.new(self.algorithm, b"tree 0\0").hexdigest()
        self._scratch = tempfile.mkdtemp(prefix="enforcer-git-")
        self.close = weakref.finalize(self, shutil.rmtree, self._scratch, ignore_errors=True)
        objects = os.path.join(top, objects)
        fill_scratch(self._scratch, objects, self.algorithm, settings.output.decode("ascii", "replace"))
        self._clean = self._git.environment(self._scratch)
        self._numbers = itertools.count()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _new_index(self, entries: Iterable[Tracked]) -> Mapping[str, str]:
        """The environment of commands on a new scratch index that holds `entries`."""
        path = os.path.join(self._scratch, f"index-{next(self._numbers)}")
        with open(path, "wb") as file:
            file.write(format_index(entries, self.algorithm))
        return self._git.environment(self._scratch, path)

    def _write_tree(self, index: Mapping[str, str]) -> str:
        return self._git.run(("write-tree",), index).text()

    def _listings(self, exclude: Collection[str]) -> tuple[tuple[str, ...], ...]:
        """The two commands that name the files: tracked ones, and the others that no `.gitignore` ignores.

        The patterns only spare git a walk through what is left out afterwards anyway.
        """
        patterns = [f"--exclude=/{literal(path)}" for path in self._from_top(exclude)]
        others = ("ls-files", "--others", "-z", "--exclude-per-directory=.gitignore", *patterns)
        return ("ls-files", "--stage", "-t", "-z"), others

    def _index_of_files(
        self, exclude: Collection[str], tracked: Done, others: Done
    ) -> tuple[Mapping[str, str], list[bytes]]:
        """A scratch index of the files as they are now, each one read again, and what no index can hold."""
        entries = parse_index_listing(tracked.require().output)
        seed = []
        paths = []
        linked = {b"": False}
        for path in self._without(entries, exclude):
            if self._beyond_link(os.path.dirname(path), linked):
                continue
            if entries[path].skipped and not os.path.lexists(self._absolute(path)):
                seed.append(entries[path])
            else:
                seed.append(entries[path].replace(skipped=False))
                paths.append(path)
        listed = self._without(others.require().output.split(b"\0")[:-1], exclude)
        # A repository inside this one that is not tracked as a submodule is listed with a slash at its end.
        nested = [path for path in listed if path.endswith(b"/")]
        unborn = [path for path in nested if self._is_unborn(path)]
        fix = "Try again when nothing writes to the work tree."
        if nested:
            fix = f"Commit in {shown(nested[0])!a}, a repository inside this one, or ignore it."
        paths += [path.rstrip(b"/") for path in listed if path not in unborn]
        index = self._new_index(seed)
        self._git.run(_UPDATE, index, b"".join(path + b"\0" for path in paths)).require(fix)
        return index, unborn

    def _is_unborn(self, nested: bytes) -> bool:
        """Whether a repository inside this one holds no commit. One that git cannot read is not said to be so."""
        inside = self._git.environment(os.fsdecode(os.path.join(self._absolute(nested), b".git")))
        return self._git.run(("rev-parse", "--verify", "--quiet", "HEAD"), inside).status == 1

    def _beyond_link(self, folder: bytes, known: dict[bytes, bool]) -> bool:
        """Whether a folder is reached through a symbolic link; what was tracked there is gone from the work tree."""
        if folder not in known:
            absolute = self._absolute(folder)
            known[folder] = self._beyond_link(os.path.dirname(folder), known) or os.path.islink(absolute)
        return known[folder]

    def _absolute(self, path: bytes) -> bytes:
        return os.path.join(os.fsencode(self.top), path)

    def _without(self, paths: Iterable[bytes], exclude: Collection[str]) -> list[bytes]:
        out = [os.fsencode(path) for path in self._from_top(exclude)]
        inside = tuple(path + b"/" for path in out)
        return [path for path in paths if path not in out and not path.startswith(inside)]

    def _from_top(self, exclude: Collection[str]) -> list[str]:
        return [self.prefix + path.strip("/") for path in exclude]

    def _pathspec(self, exclude: Collection[str]) -> list[str]:
        return [":/", *(f":(top,exclude,literal){path}" for path in self._from_top(exclude))]

    def _known(self, name: str | None) -> str:
        """An object id, checked to be one so that it cannot be an option; None is the empty tree."""
        if name is None:
            return self.empty_tree
        if len(name) != len(self.empty_tree) or not frozenset("0123456789abcdef").issuperset(name):
            fix = "Resolve revisions to object ids first."
            raise RequestError("unknown_revision", f"{name[:80]!a} is not an object id here.", fix=fix)
        return name


def literal(path: str) -> str:
    """`path` as a pattern that matches only itself."""
    return "".join("\\" + character if character in "\\*?[]!# " else character for character in path)
