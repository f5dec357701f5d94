"""The questions about a work tree: which files, which tree, what changed since a commit, what a patch would make of it.

Every file is read again for every answer, through a scratch index that remembers nothing of the files, so neither flags
in the repository's index nor forged times hide a change.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import tempfile
import time
import weakref

from enforcer.errors import RequestError, UnavailableError
from enforcer.evidence.git.commands import FILE_SYSTEM_SETTINGS, Done, Git
from enforcer.evidence.git.index import Tracked, format_index, parse_index_listing, parse_tree_listing
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from typing import Self

TIMEOUT = 120.0
"""Seconds that one git command may take."""

_HEAD = ("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
_UPDATE = ("update-index", "--add", "--remove", "-z", "--stdin")
_DIFF_OPTIONS = (
    *("--raw", "--patch", "-z", "--binary", "--full-index", "--no-abbrev", "--unified=3", "--inter-hunk-context=0"),
    *("--no-renames", "--no-ext-diff", "--no-textconv", "--no-color", "--no-relative", "--diff-algorithm=myers"),
    *("--indent-heuristic", "--src-prefix=a/", "--dst-prefix=b/", "--submodule=short", "--ignore-submodules=none"),
)
_ACTIONS = {"A": "add", "D": "delete", "M": "modify", "T": "modify"}


class Change(Record):
    """One file that differs; `action` is `add`, `modify` or `delete`. A path that is not UTF-8 has `\\xNN` escapes."""

    path: str
    action: str


class Observation(Record):
    """The work tree at one moment against a base; `micros` is git's own share of the time it took, in microseconds.

    `unborn` are repositories inside this one that hold no commit: no tree can name them, so what is in them is in none
    of the answers.
    """

    head: str | None
    tree: str
    changes: tuple[Change, ...]
    diff: bytes
    micros: int
    unborn: tuple[str, ...] = ()


class Applied(Record):
    """The tree that a patch leads to; None, and git's reason, when it does not apply."""

    tree: str | None
    message: str = ""


class Repository:
    """A git repository with a work tree. Use it as a context, or `close` it, to remove its scratch folder early."""

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
        self._fill_scratch(objects, _believed(settings.output.decode("ascii", "replace"), objects))
        self._clean = self._git.environment(self._scratch)
        self._numbers = itertools.count()

    @classmethod
    def find(
        cls, folder: str, *, timeout: float = TIMEOUT, nanoseconds: Callable[[], int] = time.monotonic_ns
    ) -> Repository | None:
        """The repository that `folder` is in, None where there is none.

        Raises `UnavailableError` (`git_missing`, `git_failed`) where there is one that git cannot read.
        """
        folder = top = os.path.realpath(folder)
        while not _is_top(top):
            if top == os.path.dirname(top):
                return None
            top = os.path.dirname(top)
        return cls(top, folder, timeout=timeout, nanoseconds=nanoseconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def head(self) -> str | None:
        """The commit that is checked out, None before the first one."""
        return _commit(self._git.run(_HEAD, self._real))

    def resolve(self, revision: str) -> str:
        """The commit that a revision names. Raises `RequestError` (`unknown_revision`)."""
        if revision and not revision.startswith("-") and "\0" not in revision:
            done = self._git.run(("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}"), self._real)
            if done.status == 0:
                return done.text()
        fix = "Name a commit, branch or tag that `git rev-parse --verify` knows here."
        raise RequestError("unknown_revision", f"{revision[:80]!a} names no commit of this repository.", fix=fix)

    def tree(self, exclude: Collection[str] = ()) -> str:
        """The tree id of the work tree's files, without what lies in `exclude`."""
        listings = self._git.run_all(self._listings(exclude), self._real)
        index, unborn = self._index_of_files(exclude, *listings)
        if unborn:
            fix = f"Remove {_shown(unborn[0])!a}, ignore it, or commit in it."
            raise UnavailableError("git_failed", "A git repository inside this one holds no commit.", fix=fix)
        return self._write_tree(index)

    def tree_of(self, commit: str, exclude: Collection[str] = ()) -> str:
        """The tree id of a commit's files, without what lies in `exclude`: equal to `tree` for equal files."""
        commit = self._known(commit)
        whole, listing = self._git.run_all(
            (("rev-parse", "--verify", f"{commit}^{{tree}}"), ("ls-tree", "-r", "-z", "--full-tree", commit)),
            self._clean,
        )
        entries = parse_tree_listing(listing.require().output)
        kept = self._without(entries, exclude)
        if len(kept) == len(entries):
            return whole.text()
        return self._write_tree(self._new_index(entries[path] for path in kept))

    def diff(self, base: str | None, tree: str, exclude: Collection[str] = ()) -> bytes:
        """The patch from `base` (a commit or tree; None is the empty tree) to `tree`, in one fixed form."""
        return self._compare(base, tree, exclude)[1]

    def changes(self, base: str | None, tree: str, exclude: Collection[str] = ()) -> tuple[Change, ...]:
        """The files that differ between `base` and `tree`, in git's order."""
        return self._compare(base, tree, exclude)[0]

    def apply(self, base: str | None, patch: bytes, exclude: Collection[str] = ()) -> Applied:
        """What a patch makes of `base`, whatever options of `git diff` made it; its parts in `exclude` do not count.

        Patches that are equal by content lead to equal trees, so this is how a patch is compared with `tree`.
        """
        listing = self._git.run(("ls-tree", "-r", "-z", "--full-tree", self._known(base)), self._clean)
        entries = parse_tree_listing(listing.require().output)
        index = self._new_index(entries[path] for path in self._without(entries, exclude))
        if patch.strip():
            skipped = [f"--exclude={_literal(path)}{end}" for path in self._from_top(exclude) for end in ("", "/*")]
            command = ("apply", "--cached", "--unidiff-zero", "--whitespace=nowarn", _depth(patch), *skipped, "-")
            done = self._git.run(command, index, patch)
            if done.status != 0:
                return Applied(None, done.message())
        return Applied(self._write_tree(index))

    def observe(self, base: str | None, exclude: Collection[str] = ()) -> Observation:
        """Head, tree, changes and diff since `base`, all of one listing of the work tree, in six commands."""
        before = self._git.spent
        base = self._known(base)
        head, *listings = self._git.run_all((_HEAD, *self._listings(exclude)), self._real)
        index, unborn = self._index_of_files(exclude, *listings)
        compare = ("diff-index", "--cached", *_DIFF_OPTIONS, base, "--", *self._pathspec(exclude))
        tree, compared = self._git.run_all((("write-tree",), compare), index)
        changes, diff = _parse_comparison(compared.require().output)
        micros = (self._git.spent - before) // 1000
        return Observation(_commit(head), tree.text(), changes, diff, micros, tuple(map(_shown, unborn)))

    def _fill_scratch(self, objects: str, settings: str) -> None:
        if "\n" in objects or objects.startswith(('"', "#")):
            raise UnavailableError("git_failed", f"The folder name {objects!a} cannot be an alternate object store.")
        os.makedirs(os.path.join(self._scratch, "objects", "info"))
        os.mkdir(os.path.join(self._scratch, "refs"))
        lines = ["[core]", "repositoryFormatVersion = 1", "bare = false", "looseCompression = 0"]
        for line in settings.splitlines():
            name, _, value = line.partition(" ")
            lines.append(f"{name.removeprefix('core.')} = {'true' if value == 'true' else 'false'}")
        lines += ["[extensions]", f"objectFormat = {self.algorithm}"]
        files = {"HEAD": "ref: refs/heads/none", "config": "\n".join(lines), "objects/info/alternates": objects}
        for name, text in files.items():
            with open(os.path.join(self._scratch, name), "wb") as file:
                file.write(os.fsencode(text) + b"\n")

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
        patterns = [f"--exclude=/{_literal(path)}" for path in self._from_top(exclude)]
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
            fix = f"Commit in {_shown(nested[0])!a}, a repository inside this one, or ignore it."
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

    def _compare(self, base: str | None, tree: str, exclude: Collection[str]) -> tuple[tuple[Change, ...], bytes]:
        trees = (self._known(base), self._known(tree))
        command = ("diff-tree", "-r", *_DIFF_OPTIONS, *trees, "--", *self._pathspec(exclude))
        return _parse_comparison(self._git.run(command, self._clean).require().output)

    def _known(self, name: str | None) -> str:
        """An object id, checked to be one so that it cannot be an option; None is the empty tree."""
        if name is None:
            return self.empty_tree
        if len(name) != len(self.empty_tree) or not frozenset("0123456789abcdef").issuperset(name):
            fix = "Resolve revisions to object ids first."
            raise RequestError("unknown_revision", f"{name[:80]!a} is not an object id here.", fix=fix)
        return name


def _is_top(folder: str) -> bool:
    """Whether `folder` has a `.git`: a folder with a HEAD, or the file of a linked work tree or submodule."""
    git = os.path.join(folder, ".git")
    return os.path.isfile(git) or os.path.lexists(os.path.join(git, "HEAD"))


def _believed(settings: str, objects: str) -> str:
    """The settings about the file system, without a `core.fileMode` that hides modes which the file system does keep.

    It is tried with a file where git makes its own temporary ones; a folder that takes none hides nothing either.
    """
    kept = [line for line in settings.splitlines() if line.partition(" ")[0].lower() != "core.filemode"]
    if len(kept) < len(settings.splitlines()) and _keeps_modes(objects):
        kept.append("core.filemode true")
        return "\n".join(kept)
    return settings


def _keeps_modes(folder: str) -> bool:
    try:
        with tempfile.NamedTemporaryFile(prefix="tmp_obj_", dir=folder) as file:
            seen = []
            for mode in (0o600, 0o700):
                os.fchmod(file.fileno(), mode)
                seen.append(os.stat(file.name).st_mode & 0o100)
            return seen == [0, 0o100]
    except OSError:
        return True


def _commit(done: Done) -> str | None:
    return None if done.status == 1 and not done.errors else done.text()


def _parse_comparison(output: bytes) -> tuple[tuple[Change, ...], bytes]:
    """The records of `--raw -z`, an empty one, then the patch."""
    changes = []
    position = 0
    while output[position : position + 1] == b":":
        middle = output.index(b"\0", position)
        end = output.index(b"\0", middle + 1)
        action = _ACTIONS.get(output[position:middle].decode("ascii").rpartition(" ")[2])
        if action is None:
            raise UnavailableError("git_failed", "git printed a kind of change that is not expected here.")
        changes.append(Change(_shown(output[middle + 1 : end]), action))
        position = end + 1
    return tuple(changes), output[position + 1 :]


def _depth(patch: bytes) -> str:
    """The option for how many leading folders the names in a patch have: none if both names of a header are equal."""
    names = [line[11:] for line in patch.splitlines() if line.startswith(b"diff --git ")]
    return "-p0" if any(both[: len(both) // 2] == both[len(both) // 2 + 1 :] for both in names) else "-p1"


def _literal(path: str) -> str:
    """`path` as a pattern that matches only itself."""
    return "".join("\\" + character if character in "\\*?[]!# " else character for character in path)


def _shown(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")
