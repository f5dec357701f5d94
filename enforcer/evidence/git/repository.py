"""The questions about a work tree: which files, which tree, what changed since a commit, what a patch would make of it.

Each is a method that reads from top to bottom: what git is asked, and what its answer means. How git is kept from being
bent is the matter of `worktree` and `commands`.
"""

from __future__ import annotations

import os
import time

from enforcer.errors import InternalError, RequestError, UnavailableError
from enforcer.evidence.git.commands import TIMEOUT, is_top
from enforcer.evidence.git.comparison import PATCH, RAW, parse_comparison, shown
from enforcer.evidence.git.ignored import list_ignored
from enforcer.evidence.git.index import GITLINK, parse_index_listing, parse_tree_listing
from enforcer.evidence.git.worktree import WorkTree, literal
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from enforcer.evidence.git.commands import Done
    from enforcer.evidence.git.comparison import Change, Comparison
    from enforcer.evidence.git.ignored import Ignored
    from enforcer.evidence.git.index import Tracked

MOST_NESTED = 50
"""Repositories inside this one that are asked what their commit does not hold."""

_HEAD = ("rev-parse", "--verify", "--quiet", "HEAD^{commit}")


class Observation(Record):
    """The work tree at one moment against a base; `micros` is git's own share of the time it took, in microseconds.

    `contents` tells what each file that differs is now, as in `Comparison`. `unborn` are repositories inside this one
    that hold no commit: no tree can name them, so what is in them is in none of the answers.
    """

    head: str | None
    tree: str
    changes: tuple[Change, ...]
    diff: bytes
    micros: int
    unborn: tuple[str, ...] = ()
    contents: Mapping[str, str] = {}


class Applied(Record):
    """The tree that a patch leads to; None, and git's reason, when it does not apply."""

    tree: str | None
    message: str = ""


class Repository(WorkTree):
    """A git repository with a work tree. Use it as a context, or `close` it, to remove its scratch folder early."""

    @classmethod
    def find(
        cls, folder: str, *, timeout: float = TIMEOUT, nanoseconds: Callable[[], int] = time.monotonic_ns
    ) -> Repository | None:
        """The repository that `folder` is in, None where there is none.

        Raises `UnavailableError` (`git_missing`, `git_failed`) where there is one that git cannot read.
        """
        folder = top = os.path.realpath(folder)
        while not is_top(top):
            if top == os.path.dirname(top):
                return None
            top = os.path.dirname(top)
        return cls(top, folder, timeout=timeout, nanoseconds=nanoseconds)

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
            fix = f"Remove {shown(unborn[0])!a}, ignore it, or commit in it."
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
        return self._compare(base, tree, exclude, PATCH).patch

    def changes(self, base: str | None, tree: str, exclude: Collection[str] = ()) -> tuple[Change, ...]:
        """The files that differ between `base` and `tree`, in git's order."""
        return self._compare(base, tree, exclude, RAW).changes

    def paths(self, tree: str) -> frozenset[str]:
        """The paths of the files of a tree, as `shown` tells them."""
        listing = self._git.run(("ls-tree", "-r", "-z", "--name-only", "--full-tree", self._known(tree)), self._clean)
        return frozenset(shown(path) for path in listing.require().output.split(b"\0")[:-1])

    def unsettled(self, tree: str) -> tuple[str, ...]:
        """The repositories inside this one whose files are not those of the commit that `tree` names for them.

        A tree names a commit of theirs and no file, so what was changed there is in no answer.
        """
        listing = self._git.run(("ls-tree", "-r", "-z", "--full-tree", self._known(tree)), self._clean)
        entries = parse_tree_listing(listing.require().output)
        return tuple(shown(each.path) for each in entries.values() if each.mode == GITLINK and self._is_unsettled(each))

    def _is_unsettled(self, gitlink: Tracked) -> bool:
        folder = os.path.realpath(os.path.join(self.top, os.fsdecode(gitlink.path)))
        if not is_top(folder):
            return False
        try:
            with Repository(folder, folder) as nested:
                return nested.tree() != nested.tree_of(gitlink.oid)
        except (RequestError, UnavailableError):
            return True

    def contents(self, base: str | None, tree: str, exclude: Collection[str] = ()) -> Mapping[str, str]:
        """What each file that differs from `base` is in `tree` (each a commit or tree): path → "mode oid", "" if gone.

        `differing` names the files in which two such maps of one base differ. For the work tree as it is, `observe`
        answers the same. Raises `UnavailableError` where the clone is shallow and lacks one of the two.
        """
        return self._compare(base, tree, exclude, RAW).contents

    def apply(self, base: str | None, patch: bytes, exclude: Collection[str] = ()) -> Applied:
        """What a patch makes of `base`, whatever options of `git diff` made it; its parts in `exclude` do not count.

        Patches that are equal by content lead to equal trees, so this is how a patch is compared with `tree`.
        """
        listing = self._git.run(("ls-tree", "-r", "-z", "--full-tree", self._known(base)), self._clean)
        entries = parse_tree_listing(listing.require().output)
        index = self._new_index(entries[path] for path in self._without(entries, exclude))
        if patch.strip():
            skipped = [f"--exclude={literal(path)}{end}" for path in self._from_top(exclude) for end in ("", "/*")]
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
        compare = ("diff-index", "--cached", *PATCH, base, "--", *self._pathspec(exclude))
        tree, compared = self._git.run_all((("write-tree",), compare), index)
        found = parse_comparison(compared.require().output)
        micros = (self._git.spent - before) // 1000
        return Observation(
            head=_commit(head),
            tree=tree.text(),
            changes=found.changes,
            diff=found.patch,
            micros=micros,
            unborn=tuple(map(shown, unborn)),
            contents=found.contents,
        )

    def ignored(self, exclude: Collection[str] = (), limit: int = 200) -> Ignored:
        """What no tree names and a run could load all the same; `limit` paths of it, which are relative to the top.

        These are ignored files, and of repositories inside this one whatever their commit does not hold.
        """
        left_out = [os.fsencode(path) for path in self._from_top(exclude)]
        return list_ignored(self.top, self._unnamed(exclude, MOST_NESTED), left_out, limit)

    def copy_to(self, folder: str, exclude: Collection[str] = ()) -> str:
        """Write the files of `tree` into an empty folder, as a clone would have them; the tree they are of.

        The bytes come from the tree and not from the work tree, so whoever has the tree can make the same copy:
        line ends are those that `.gitattributes` asks for, no filter runs, modes and links are kept, files that a
        sparse checkout leaves out are there, ignored ones are not. A submodule has the files of the commit that the
        tree names, where it is checked out here, and is an empty folder elsewhere. There is no `.git`.
        """
        with os.scandir(folder) as inside:
            if any(inside):
                raise InternalError("copy_in_the_way", f"{folder!a} is not empty, and files were to be copied there.")
        tree = self.tree(exclude)
        self._check_out(tree, os.path.realpath(folder))
        return tree

    def _check_out(self, tree: str, folder: str) -> None:
        listing = self._git.run(("ls-tree", "-r", "-z", "--full-tree", tree), self._clean)
        entries = parse_tree_listing(listing.require().output)
        index = self._new_index(entries.values())
        fix = "Look for room on the disk of the copy; `git fsck` tells whether objects are missing."
        self._git.run(("checkout-index", "--all"), {**index, "GIT_WORK_TREE": folder}).require(fix)
        for path, entry in entries.items():
            inside = os.fsdecode(self._absolute(path))
            if entry.mode == GITLINK and is_top(inside):
                with Repository(inside, inside) as inner:
                    inner._check_out(entry.oid, os.path.join(folder, os.fsdecode(path)))

    def _unnamed(self, exclude: Collection[str], most: int) -> list[bytes]:
        """Paths that no tree of this repository answers for; those of folders end in a slash.

        Only so many repositories inside this one are asked, and fewer inside those, so that nobody can make it long;
        of the others everything is in the answer.
        """
        ignored = ("ls-files", "--others", "--ignored", "--directory", "-z", "--exclude-per-directory=.gitignore")
        found, tracked, others = self._git.run_all((ignored, *self._listings(exclude)), self._real)
        nested = [path for path in others.require().output.split(b"\0")[:-1] if path.endswith(b"/")]
        for path, entry in parse_index_listing(tracked.require().output).items():
            if entry.mode == GITLINK:
                nested.append(path + b"/")
        paths = self._without(found.require().output.split(b"\0")[:-1], exclude)
        linked = {b"": False}
        for number, path in enumerate(sorted(self._without(nested, exclude))):
            if not self._beyond_link(path.rstrip(b"/"), linked):
                paths += self._unnamed_in(path, most // 10) if number < most else [path]
        return paths

    def _unnamed_in(self, nested: bytes, most: int) -> list[bytes]:
        """Of a repository inside this one: all that its commit does not hold, or itself where that cannot be told."""
        inside = os.fsdecode(self._absolute(nested)).rstrip("/")
        if not is_top(inside):
            # Git does not look into the folder of a submodule that was not fetched, so files can be hidden there.
            return [nested] if os.path.isdir(inside) else []
        try:
            with Repository(inside, inside) as inner:
                head, tree = inner.head(), inner.tree()
                if head is None:
                    return [nested]
                names = ("diff-tree", "-r", "--name-only", "--no-renames", "-z", head, tree)
                changed = self._git.run(names, inner._clean).require().output.split(b"\0")[:-1]
                return [nested + path for path in (*changed, *inner._unnamed((), most))]
        except UnavailableError:
            return [nested]

    def _compare(self, base: str | None, tree: str, exclude: Collection[str], options: tuple[str, ...]) -> Comparison:
        trees = (self._known(base), self._known(tree))
        command = ("diff-tree", "-r", *options, *trees, "--", *self._pathspec(exclude))
        fix = "Fetch the commits that are compared; a shallow clone has only the newest ones."
        return parse_comparison(self._git.run(command, self._clean).require(fix).output)


def _commit(done: Done) -> str | None:
    return None if done.status == 1 and not done.errors else done.text()


def _depth(patch: bytes) -> str:
    """The option for how many leading folders the names in a patch have: none if both names of a header are equal."""
    names = [line[11:] for line in patch.splitlines() if line.startswith(b"diff --git ")]
    return "-p0" if any(both[: len(both) // 2] == both[len(both) // 2 + 1 :] for both in names) else "-p1"
