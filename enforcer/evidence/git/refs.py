"""Commits that no branch knows of: trees of files under `refs/enforcer/…`, written and read without a checkout.

A ref only ever moves forward, by compare-and-set on the commit it pointed to. Nothing is pushed: whoever may push does
so, with a command that is printed. Reading another repository is the one place here that uses the user's own git
configuration, since that is where the way to it and the credentials for it stand.

Bytes go in through `git fast-import` and come out through `git cat-file`: neither knows of attributes, line ends or
filters, and each takes many files in one process.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from contextlib import contextmanager

from enforcer.errors import DamagedError, RequestError, UnavailableError
from enforcer.evidence.git.commands import Git, is_top
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import IO, TypeVar

    T = TypeVar("T")

TIMEOUT = 300.0
BATCH = 32 << 20  # Bytes that one process is given, or gives; a file that is larger goes alone.
CHUNK = 1 << 20  # Bytes of a file that are held at a time where it is copied.
MOST_FILES = 500_000  # Of a commit. A tree of a few hundred bytes can be made to name more than any memory holds.
_MODE = "100644"
_REGULAR = (_MODE, "100755")
_NOWHERE = "0"  # As many as a name has digits stand for the commit of a ref that is not there.
_AUTHOR = {
    "GIT_AUTHOR_NAME": "Enforcer",
    "GIT_AUTHOR_EMAIL": "enforcer@invalid",
    "GIT_COMMITTER_NAME": "Enforcer",
    "GIT_COMMITTER_EMAIL": "enforcer@invalid",
}


# Of the caller's own git settings, those that say how another repository is reached.
_WAYS = (
    *("GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSH_VARIANT", "GIT_ASKPASS", "GIT_PROXY_COMMAND", "GIT_ALLOW_PROTOCOL"),
    *("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM"),
    *("GIT_SSL_NO_VERIFY", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "GIT_SSL_CERT", "GIT_SSL_KEY"),
)


class Blob(Record):
    """A file of a commit: its blob and its size in bytes; -1 where the blob is not in the repository."""

    name: str
    size: int

    def begins(self, data: bytes) -> bool:
        """Whether `data` begins with the bytes of this blob, told by the name that git gives them."""
        if not 0 <= self.size <= len(data):
            return False
        digest = hashlib.new("sha1" if len(self.name) == 40 else "sha256", usedforsecurity=False)
        digest.update(b"blob %d\0" % self.size)
        digest.update(memoryview(data)[: self.size])
        return digest.hexdigest() == self.name


class Refs:
    """The refs of one repository. `top` is the folder that git is asked in: a work tree's top or a git folder."""

    def __init__(self, top: str, git_dir: str, *, timeout: float = TIMEOUT) -> None:
        self.top = top
        self._git = Git(top, timeout, time.monotonic_ns)
        self._git_dir = git_dir
        self._environment = self._git.environment(git_dir)

    @classmethod
    def find(cls, folder: str) -> Refs | None:
        """Those of the repository around a folder; None where there is none."""
        top = os.path.realpath(folder)
        while not is_top(top):
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
        """Every regular file of a commit by its path, as it is named there: it may lead anywhere.

        Raises `DamagedError` `publication_oversized` where there are more than `MOST_FILES`.
        """
        command = ("ls-tree", "-r", "-z", "--long", "--full-tree", commit)
        found = {}
        with open(os.devnull, "rb") as nothing, self._git.reading(command, self._environment, nothing) as output:
            for number, record in enumerate(_records(output)):
                if number == MOST_FILES:
                    message = f"The commit {commit[:12]} has more than {MOST_FILES} files, and no ledger has so many."
                    fix = "Look at who has written the ref; it was not `enforcer publish`."
                    raise DamagedError("publication_oversized", message, where=self.top, fix=fix)
                head, _, path = record.partition(b"\t")
                mode, kind, name, size = head.decode("ascii").split()
                if kind == "blob" and mode in _REGULAR:
                    found[os.fsdecode(path)] = Blob(name, int(size) if size.isdigit() else -1)
        return found

    def read(self, blob: Blob) -> bytes:
        """The bytes of a file. Raises `DamagedError` `git_object_missing`."""
        return next(self.read_all((blob,)))

    def read_all(self, blobs: Iterable[Blob]) -> Iterator[bytes]:
        """The bytes of files, in their order; about `BATCH` bytes of them are held at a time."""
        for batch in _batches(blobs, lambda blob: max(blob.size, 0)):
            names = "".join(f"{blob.name}\n" for blob in batch)
            output = self._git.run(("cat-file", "--batch"), self._environment, names.encode()).require().output
            start = 0
            for blob in batch:
                head = f"{blob.name} blob {blob.size}\n".encode()
                if not output.startswith(head, start):
                    raise self._missing(blob)
                start += len(head)
                yield output[start : start + blob.size]
                start += blob.size + 1

    def copy_all(self, files: Iterable[tuple[Blob, str]]) -> None:
        """Write the bytes of blobs to new files, of which `CHUNK` bytes are held at a time. `OSError` passes."""
        files = list(files)
        with tempfile.TemporaryFile() as names:
            names.writelines(f"{blob.name}\n".encode() for blob, _ in files)
            names.seek(0)
            with self._git.reading(("cat-file", "--batch"), self._environment, names) as output:
                for blob, path in files:
                    if output.readline() != f"{blob.name} blob {blob.size}\n".encode():
                        raise self._missing(blob)
                    with open(path, "xb") as file:
                        self._copy(output, blob, file)
                    output.read(1)

    def _copy(self, output: IO[bytes], blob: Blob, file: IO[bytes]) -> None:
        rest = blob.size
        while rest:
            data = output.read(min(rest, CHUNK))
            if not data:
                raise self._missing(blob)
            file.write(data)
            rest -= len(data)

    def _missing(self, blob: Blob) -> DamagedError:
        message, fix = f"Object {blob.name} is not there.", "Fetch the ref again; `git fsck` tells more."
        return DamagedError("git_object_missing", message, where=self.top, fix=fix)

    def store(self, data: bytes) -> Blob:
        """Write a file's bytes as a blob."""
        return self.store_all((data,))[0]

    def store_all(self, contents: Iterable[bytes]) -> list[Blob]:
        """Write files as blobs, byte for byte; in their order. About `BATCH` bytes of them are held at a time."""
        stored = []
        for batch in _batches(contents, len):
            stream = b"".join(
                b"blob\nmark :%d\ndata %d\n%b\nget-mark :%d\n" % (number, len(data), data, number)
                for number, data in enumerate(batch, 1)
            )
            command = ("fast-import", "--quiet", "--done")
            names = self._git.run(command, self._environment, stream + b"done\n").require().output.split()
            stored += [Blob(name.decode("ascii"), len(data)) for name, data in zip(names, batch, strict=True)]
        return stored

    def advance(self, ref: str, files: Mapping[str, Blob], *, before: str | None, message: str) -> str:
        """Move a ref from the commit `before` (None: it did not exist) to a new one; the new commit.

        It holds what `before` does, with `files` in addition or instead. Raises `UnavailableError` `ref_moved` where
        somebody else moved the ref in between.
        """
        with tempfile.TemporaryDirectory(prefix="enforcer-index-") as scratch:
            index = {**self._git.environment(self._git_dir, os.path.join(scratch, "index")), **_AUTHOR}
            if before is not None:
                self._git.run(("read-tree", before), index).require()
            records = b"".join(
                f"{_MODE} {blob.name} 0\t".encode() + os.fsencode(path) + b"\0" for path, blob in sorted(files.items())
            )
            self._git.run(("update-index", "-z", "--index-info"), index, records).require()
            tree = self._git.run(("write-tree",), index).text()
            parents = () if before is None else ("-p", before)
            commit = self._git.run(("commit-tree", tree, *parents, "-F", "-"), index, message.encode()).text()
        command = ("update-ref", "--no-deref", ref, commit, before or _NOWHERE * len(commit))
        moved = self._git.run(command, self._environment)
        if moved.status != 0:
            fix = "Run the command again."
            raise UnavailableError("ref_moved", f"{ref} was moved by somebody else: {moved.message()}.", fix=fix)
        return commit

    def address_of(self, remote: str) -> str:
        """The address of a remote that is configured here; anything else is taken for an address itself.

        A path is made absolute: git takes one from its settings to begin at the top of the work tree, and one that was
        typed begins where it was typed.
        """
        done = self._git.run(("config", "--get", f"remote.{remote}.url"), self._environment)
        address, start = (done.text(), self.top) if done.status == 0 else (remote, os.getcwd())
        path = os.path.join(start, address)
        return path if address and os.path.exists(path) else address


@contextmanager
def fetched(address: str, *names: str) -> Iterator[tuple[Refs, dict[str, str]]]:
    """Refs of another repository: where they can be read for a while, and the commit of each that is there.

    Raises `UnavailableError` `remote_unreachable`, `RequestError` `bad_remote`.
    """
    if not address or address.startswith("-") or "\0" in address:
        raise RequestError("bad_remote", f"{address[:80]!a} is no repository.", fix="Name a remote, a URL or a path.")
    with tempfile.TemporaryDirectory(prefix="enforcer-fetch-") as scratch:
        git = Git(scratch, TIMEOUT, time.monotonic_ns)
        environment = _own_ways(scratch)
        git.run(("init", "--quiet", "--bare", scratch), environment).require()
        listed = _answer(git, ("ls-remote", "--", address, *names), environment, address)
        there = [name for name in names if _lists(listed, name)]
        if there:
            wanted = [f"+{name}:{name}" for name in there]
            _answer(git, ("fetch", "--quiet", "--no-tags", "--depth=1", "--", address, *wanted), environment, address)
        refs = Refs(scratch, scratch)
        commits = ((name, refs.commit_of(name)) for name in there)
        yield refs, {name: commit for name, commit in commits if commit is not None}


def address_in_use(address: str) -> str:
    """The address that an address stands for in the user's own settings (`url.<base>.insteadOf`)."""
    with tempfile.TemporaryDirectory(prefix="enforcer-address-") as scratch:
        git = Git(scratch, TIMEOUT, time.monotonic_ns)
        done = git.run(("ls-remote", "--get-url", "--", address), _own_ways(scratch))
        return os.fsdecode(done.require().output).removesuffix("\n")


def _own_ways(git_dir: str) -> dict[str, str]:
    """The environment in which the user's own settings say how another repository is reached."""
    inherited = {name: value for name, value in os.environ.items() if name in _WAYS or not name.startswith("GIT_")}
    return inherited | {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", "GIT_DIR": git_dir}


def _answer(git: Git, command: tuple[str, ...], environment: Mapping[str, str], address: str) -> str:
    done = git.run(command, environment)
    if done.status != 0:
        message = f"The repository does not answer: {done.message()}."
        raise UnavailableError("remote_unreachable", message, where=address, fix="Check its address and your access.")
    return os.fsdecode(done.output)


def _lists(listed: str, ref: str) -> bool:
    """Whether `git ls-remote` names exactly this ref; it lists those as well that only end in its name."""
    return any(line.partition("\t")[2] == ref for line in listed.splitlines())


def _records(output: IO[bytes]) -> Iterator[bytes]:
    """What stands before each NUL of an output, which is never held as a whole."""
    rest = b""
    while data := output.read(CHUNK):
        *whole, rest = (rest + data).split(b"\0")
        yield from whole


def _batches(items: Iterable[T], size: Callable[[T], int]) -> Iterator[list[T]]:
    """Items in their order, in lists of about `BATCH` bytes."""
    batch: list[T] = []
    held = 0
    for item in items:
        batch.append(item)
        held += size(item)
        if held >= BATCH:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch
