"""What `publish` puts into a commit: the parts of `state/` that are new since the last one.

Others go on writing meanwhile, so the order is what keeps every published ledger whole: an entry is written after the
objects and margins that it names, and before the checkpoint that covers it. Reading goes the other way about.

1. checkpoints and anchors;
2. the lines, as many as are on stable storage and, where this user has the key, under the checkpoint: neither what a
   crash may still take back is shown to others, nor what nobody has signed;
3. objects, margins and quarantine.

What is named by its content or its size never changes and is not read again. The lines are: whether the ones that were
published still stand can be told in no other way. They are hashed as they are taken, and held against the head that
this process trusts and the checkpoint that goes along: of lines that are not those, no commit is made.
"""

from __future__ import annotations

import os
import stat

from enforcer.errors import DamagedError, RequestError, UnavailableError
from enforcer.ledger.checkpoint import parse_checkpoint
from enforcer.ledger.merkle import Frontier, leaf_hash
from enforcer.ledger.note import NoteFault, parse_note
from enforcer.ledger.seal import read_sealed
from enforcer.ledger.segments import LINES, segment_name
from enforcer.published import IDENTITY, NEWEST, SEGMENTS, limit_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from enforcer.enforcer import Enforcer
    from enforcer.evidence.git.refs import Blob, Refs
    from enforcer.ledger.checkpoint import Checkpoint
    from enforcer.ledger.seal import Sealed

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
_HEADS = ("ledger/checkpoints", "ledger/anchors")
_MARGINS = ("refusals", "guard")


class Gathering:
    """One publication on its way. `known` is what the ref holds by now; `entries` and `sealed` are known after `store`:
    how many lines there are, and the size of the newest checkpoint among the files, None where there is none."""

    def __init__(self, enforcer: Enforcer, known: Mapping[str, Blob], refs: Refs, ref: str) -> None:
        self._enforcer, self._known, self._refs, self._ref = enforcer, known, refs, ref
        self._state, self._disk = enforcer.project.state, enforcer.disk
        self._contradicted: DamagedError | None = None
        self._covered: int | None = None
        self._tree = Frontier()  # Of the lines as they were taken.
        self._signed: Checkpoint | Sealed | None = None  # The newest checkpoint among the files.
        self._holds = True  # Whether that checkpoint is of these lines.
        self.entries = 0

    @property
    def sealed(self) -> int | None:
        return self._signed.size if self._signed is not None else None

    def store(self) -> dict[str, Blob]:
        """Put everything new into the repository; the blobs by path. Raises as `publication.publish` does."""
        for folder in ("ledger", "ledger/seg"):
            if os.path.islink(f"{self._state}/{folder}"):
                raise RequestError("state_is_link", "It is a symbolic link.", where=f"{self._state}/{folder}")
        paths: list[str] = []
        blobs = self._refs.store_all(_noting(self._new(), paths))
        return dict(zip(paths, blobs, strict=True))

    def _new(self) -> Iterator[tuple[str, bytes]]:
        yield from self._identity()
        yield from self._heads()
        yield from self._lines()
        yield from self._kept("ledger/quarantine")
        yield from self._objects()
        for folder in _MARGINS:
            yield from self._margins(folder)

    def _identity(self) -> Iterator[tuple[str, bytes]]:
        data = self._enforcer.identity.data()
        if not self._known:
            yield IDENTITY, data
        elif IDENTITY not in self._known or not self._is_known(IDENTITY, data):
            raise self._forked("It is not this ledger that stands there.")

    def _heads(self) -> Iterator[tuple[str, bytes]]:
        note = self._newest()
        self._holds = self._signed is None
        if note and not self._is_known(NEWEST, note):
            yield NEWEST, note
        for folder in _HEADS:
            yield from self._kept(folder)

    def _newest(self) -> bytes:
        """The newest checkpoint, unless the one that was published is of more entries."""
        sealed = self._seal()
        before = self._known.get(NEWEST)
        published = _head_of(self._refs.read(before)) if before is not None else None
        if sealed is None or (published is not None and sealed.size < published.size):
            self._signed = published
            return b""
        self._signed = sealed
        return sealed.note

    def _seal(self) -> Sealed | None:
        """A checkpoint of everything, if this user can make one; else the one that is there."""
        try:
            sealed = self._enforcer.sealer.seal()
            self._covered = sealed.size
            return sealed
        except DamagedError as error:
            self._contradicted = error  # How the lines stand to the published ones says more, where they differ.
            return None
        except UnavailableError as error:
            there = read_sealed(self._enforcer.ledger_folder, self._disk)
            if error.code == "signer_busy" and there is not None:
                self._covered = there.size  # Whoever signs now covers what comes after.
            return there
        except OSError as error:
            raise _unreadable(f"{self._state}/{NEWEST}", error) from error

    def _lines(self) -> Iterator[tuple[str, bytes]]:
        """Lines that are on stable storage and, where this ledger is signed here, under a checkpoint."""
        ledger = self._enforcer.ledger
        ledger.catch_up()
        ledger.sync()
        there, root = ledger.head.size, ledger.root()
        self.entries = there if self._covered is None else min(there, self._covered)
        paths = {f"{SEGMENTS}{segment_name(first)}": first for first in range(0, there, LINES)}
        for path in sorted(path for path in self._known if path.startswith(SEGMENTS) and path not in paths):
            raise self._forked(f"{path} was published and is gone.")
        for path, first in paths.items():
            data = _first_lines(self._read(path) or b"", min(LINES, there - first))
            if data is None:
                message = "Lines that were there before are gone."
                raise DamagedError("ledger_cut", message, where=f"{self._state}/{path}")
            before = self._known.get(path)
            if before is not None and not before.begins(data):
                raise self._forked(f"{path} as it was published is not the beginning of what is here.")
            self._hash(data)
            covered = _first_lines(data, min(LINES, max(0, self.entries - first))) or b""
            if len(covered) > (before.size if before is not None else 0):
                yield path, covered
        if self._tree.root() != root or not self._holds:
            raise self._other_lines() from self._contradicted
        if self._contradicted is not None:
            raise self._contradicted

    def _hash(self, data: bytes) -> None:
        """Let the tree grow by these lines, and look at its root where the checkpoint ends."""
        hashes = list(map(leaf_hash, data.split(b"\n")[:-1]))
        if self._signed is not None and 0 <= (rest := self._signed.size - self._tree.size) <= len(hashes):
            self._tree.extend(hashes[:rest])
            self._holds = self._tree.root() == self._signed.root
            del hashes[:rest]
        self._tree.extend(hashes)

    def _kept(self, folder: str) -> Iterator[tuple[str, bytes]]:
        """What never changes once it is there. It may go: a checkpoint gives way to a newer one."""
        for path in self._paths(folder):
            if path not in self._known:
                data = self._read(path)
                if data is not None:
                    yield path, data

    def _objects(self) -> Iterator[tuple[str, bytes]]:
        objects = self._enforcer.objects
        for digest in objects.names():
            path = f"objects/{digest[:2]}/{digest[2:]}"
            if path in self._known:
                continue
            try:
                yield path, objects.get(digest)
            except DamagedError:
                continue  # Bytes that are not those of their name are no object. Who needs it will find it missing.

    def _margins(self, folder: str) -> Iterator[tuple[str, bytes]]:
        """Lines are added at any moment, and the last ones may be lost in a crash; what entries have sealed of them is
        for `verify` to judge."""
        for path in self._paths(folder):
            data = self._read(path)
            if data is None:
                continue
            data = data[: data.rfind(b"\n") + 1]
            before = self._known.get(path)
            if before is None or (not self._is_known(path, data) and not self._refs.read(before).startswith(data)):
                yield path, data

    def _is_known(self, path: str, data: bytes) -> bool:
        before = self._known.get(path)
        return before is not None and before.size == len(data) and before.begins(data)

    def _paths(self, folder: str) -> list[str]:
        full = f"{self._state}/{folder}"
        try:
            if not stat.S_ISDIR(os.lstat(full).st_mode):
                return []
            paths = [f"{folder}/{name}" for name in self._disk.listing(full)]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _unreadable(full, error) from error
        return [path for path in paths if limit_of(path) is not None]

    def _read(self, path: str) -> bytes | None:
        """The bytes of a file; None where there is none, a link, or something else than a file."""
        full = f"{self._state}/{path}"
        try:
            if not stat.S_ISREG(os.lstat(full).st_mode):
                return None
            fd = self._disk.open(full, _READ)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreadable(full, error) from error
        try:
            return self._disk.read(fd, min(self._disk.size(fd), limit_of(path) or 0), 0)
        except OSError as error:
            raise _unreadable(full, error) from error
        finally:
            self._disk.close(fd)

    def _other_lines(self) -> DamagedError:
        message = "The lines are not the ones that were signed, or that this process took in."
        fix = "Nothing was published. Find out which line changed: enforcer verify"
        return DamagedError("publish_contradicted", message, where=f"{self._state}/{SEGMENTS}", fix=fix)

    def _forked(self, why: str) -> DamagedError:
        fix = f"Nothing was published. Compare the two: enforcer verify --base {self._ref}"
        return DamagedError("publish_forked", f"History was rewritten. {why}", where=self._ref, fix=fix)


def _noting(items: Iterator[tuple[str, bytes]], paths: list[str]) -> Iterator[bytes]:
    """The contents, with their paths put down in the same order."""
    for path, data in items:
        paths.append(path)
        yield data


def _first_lines(data: bytes, count: int) -> bytes | None:
    """The first lines of a file, with their ends; None where there are not so many."""
    there = data.count(b"\n")
    if there < count:
        return None
    end = len(data)
    if not count:
        return b""
    for _ in range(there - count + 1):  # From behind: what came since the lines were counted is short.
        end = data.rindex(b"\n", 0, end)
    return data[: end + 1]


def _head_of(note: bytes) -> Checkpoint | None:
    try:
        return parse_checkpoint(parse_note(note).text)
    except NoteFault:
        return None


def _unreadable(path: str, error: OSError) -> UnavailableError:
    message = f"It cannot be published: {error.strerror}."
    return UnavailableError("publish_unreadable", message, where=path, fix="Make it readable, then publish again.")
