"""Commits that no branch knows of: trees of files under `refs/enforcer/…`, written and read without a checkout.

A ref only ever moves forward, by compare-and-set on the commit it pointed to. Nothing is pushed: whoever may push does
so, with a command that is printed. Reading another repository is the one place here that uses the user's own git
configuration, since that is where the way to it and the credentials for it stand.
"""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import contextmanager

from enforcer.errors import RequestError, UnavailableError
from enforcer.evidence.git.commands import Git
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TIMEOUT = 300.0
_MODE = "100644"
_AUTHOR = {
    "GIT_AUTHOR_NAME": "Enforcer",
    "GIT_AUTHOR_EMAIL": "enforcer@invalid",
    "GIT_COMMITTER_NAME": "Enforcer",
    "GIT_COMMITTER_EMAIL": "enforcer@invalid",
}


class Blob(Record):
    """A file of a commit: its blob and its size in bytes."""

    name: str
    size: int


class Refs:
    """The refs of one repository. `where` is the folder that git is asked in: a work tree's top or a git folder."""

    def __init__(self, where: str, git_dir: str, *, timeout: float = TIMEOUT) -> None:
        self._git = Git(where, timeout, time.monotonic_ns)
        self._git_dir = git_dir
        self._environment = self._git.environment(git_dir)

    @classmethod
    def find(cls, folder: str) -> Refs | None:
        """Those of the repository around a folder; None where there is none."""
        top = os.path.realpath(folder)
        while not os.path.lexists(os.path.join(top, ".git")):
            if top == os.path.dirname(top):
                return None
            top = os.path.dirname(top)
        return cls(top, os.path.join(top, ".git"))

    def git_folder(self) -> str:
        """The real folder that all worktrees of the clone share."""
        done = self._git.run(("rev-parse", "--git-common-dir"), self._environment)
        return os.path.realpath(os.path.join(self._git.top, done.text()))

    def commit_of(self, revision: str) -> str | None:
        """The commit that a ref or revision names; None where it names none."""
        if not revision or revision.startswith("-") or "\0" in revision:
            return None
        done = self._git.run(("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}"), self._environment)
        return done.text() if done.status == 0 else None

    def files(self, commit: str) -> dict[str, Blob]:
        """Every regular file of a commit by its path."""
        command = ("ls-tree", "-r", "-z", "--long", "--full-tree", commit)
        found = {}
        for record in self._git.run(command, self._environment).require().output.split(b"\0")[:-1]:
            head, _, path = record.partition(b"\t")
            mode, kind, name, size = head.decode("ascii").split()
            if kind == "blob" and mode in (_MODE, "100755"):
                found[os.fsdecode(path)] = Blob(name, int(size))
        return found

    def read(self, blob: Blob) -> bytes:
        """The bytes of a file."""
        return self._git.run(("cat-file", "blob", blob.name), self._environment).require().output

    def store(self, data: bytes) -> Blob:
        """Write a file's bytes as a blob."""
        name = self._git.run(("hash-object", "-w", "--stdin"), self._environment, data).text()
        return Blob(name, len(data))

    def store_files(self, paths: list[str]) -> list[Blob]:
        """Write files of the disk as blobs, byte for byte; in the order of `paths`, which are absolute."""
        if not paths:
            return []
        if any("\n" in path for path in paths):
            raise UnavailableError("git_failed", "A folder above the project has a line break in its name.")
        listed = "".join(f"{path}\n" for path in paths)
        command = ("hash-object", "-w", "--no-filters", "--stdin-paths")
        names = self._git.run(command, self._environment, os.fsencode(listed)).require().output.split()
        return [Blob(name.decode("ascii"), os.path.getsize(path)) for name, path in zip(names, paths, strict=True)]

    def advance(self, ref: str, files: Mapping[str, Blob], *, before: str | None, message: str) -> str:
        """Move a ref from the commit `before` (None: it did not exist) to a new one of `files`; the new commit.

        Raises `UnavailableError` `ref_moved` where somebody else moved it in between.
        """
        with tempfile.TemporaryDirectory(prefix="enforcer-index-") as scratch:
            index = {**self._git.environment(self._git_dir, os.path.join(scratch, "index")), **_AUTHOR}
            records = b"".join(
                f"{_MODE} {blob.name} 0\t".encode() + os.fsencode(path) + b"\0" for path, blob in sorted(files.items())
            )
            self._git.run(("update-index", "-z", "--index-info"), index, records).require()
            tree = self._git.run(("write-tree",), index).text()
            parents = () if before is None else ("-p", before)
            commit = self._git.run(("commit-tree", tree, *parents, "-F", "-"), index, message.encode()).text()
        moved = self._git.run(("update-ref", "--no-deref", ref, commit, before or "0" * len(commit)), self._environment)
        if moved.status != 0:
            fix = "Run the command again."
            raise UnavailableError("ref_moved", f"{ref} was moved by somebody else: {moved.message()}.", fix=fix)
        return commit

    def url_of(self, remote: str) -> str:
        """The address of a remote that is configured here; anything else is taken for an address itself."""
        done = self._git.run(("config", "--get", f"remote.{remote}.url"), self._environment)
        return done.text() if done.status == 0 else remote


@contextmanager
def fetched(address: str, ref: str) -> Iterator[tuple[Refs, str | None]]:
    """A ref of another repository: where it can be read for a while, and its commit, None where there is no such ref.

    Raises `UnavailableError` `remote_unreachable`, `RequestError` `bad_remote`.
    """
    if not address or address.startswith("-") or "\0" in address:
        raise RequestError("bad_remote", f"{address[:80]!a} is no repository.", fix="Name a remote, a URL or a path.")
    with tempfile.TemporaryDirectory(prefix="enforcer-fetch-") as scratch:
        git = Git(scratch, TIMEOUT, time.monotonic_ns)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        environment |= {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", "GIT_DIR": scratch}
        git.run(("init", "--quiet", "--bare", scratch), environment).require()
        listed = git.run(("ls-remote", "--", address, ref), environment)
        if listed.status != 0:
            message = f"The repository does not answer: {listed.message()}."
            raise UnavailableError(
                "remote_unreachable", message, where=address, fix="Check its address and your access."
            )
        if not listed.output.strip():
            yield Refs(scratch, scratch), None
            return
        git.run(("fetch", "--quiet", "--no-tags", "--depth=1", "--", address, f"+{ref}:{ref}"), environment).require()
        refs = Refs(scratch, scratch)
        yield refs, refs.commit_of(ref)
