"""A ledger's state at some size, kept so that a cold start need not read the whole history.

    .cache/snapshot        the manifest: line 1 the hex HMAC-SHA-256 of line 2; line 2 JSON: the header, and which runs
    .cache/runs/<id>.run   states of tasks, see `runs`; where several tell of one task, the last named one counts
    .cache/runs/lock       held by whoever writes here; nobody waits for it

Everything here is input by an adversary. The manifest counts only if the code under the user's cache key (outside the
project) holds over all of it, it is of this ledger, and the line that it ends with still stands at its offset; a piece
of a run only if its own code holds. Otherwise the history is read from the beginning. Nothing is synced.

A save writes only the tasks that changed since the save before, as a new run; runs of a like size are merged, so that
each task is rewritten as often as the logarithm of their number, and a start looks into as many runs. What it costs
to save and to start does not depend on how many tasks there are.
"""

from __future__ import annotations

import errno
import hmac
import json
import os
from contextlib import contextmanager, suppress
from hashlib import sha256

from enforcer.ledger.runs import SUFFIX, OpenRun, Run, count_pieces, merged, pack_task, spread, write_run
from enforcer.workflow.record import Record
from enforcer.workflow.state import TaskState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import ClassVar

    from enforcer.ports import Disk, Entropy

FANOUT = 4  # So many runs of one level are merged into one; the next level's are so many times as large.
LOWEST = 512  # Runs of fewer tasks are of the lowest level.
MAX_MANIFEST = 1 << 16


class Header(Record):
    """What a snapshot stands on: the ledger of `size` entries whose last one has the leaf hash `hash` and time `ts`.

    That line stands in the segment file `segment` from byte `start` to `end`, newline included. `tree` holds the
    frontier of the Merkle tree, in hex.
    """

    ledger: str
    size: int
    hash: str
    ts: int
    segment: str
    start: int
    end: int
    tree: tuple[str, ...] = ()


class Manifest(Record):
    """A snapshot, named: its header and its runs, oldest first. `shape` tells of what fields its states are."""

    header: Header
    runs: tuple[Run, ...]
    shape: str

    nested: ClassVar[Mapping[str, type[Record]]] = {"header": Header, "runs": Run}


class _View:
    """A snapshot whose runs are open: it stays readable whatever is done to the files' names."""

    def __init__(self, header: Header, runs: tuple[OpenRun, ...]) -> None:
        self.header, self.runs = header, runs


class Snapshots:
    """The snapshots of one ledger, as one process sees and writes them. `folder` is `state/ledger/.cache`.

    `stands` tells whether the line that a header ends with stands in the ledger where it says; where that cannot be
    read, it does not. A reader works with the snapshot that it opened, or saved itself, whatever others put in its
    place meanwhile.
    """

    def __init__(
        self,
        folder: str,
        *,
        ledger: str,
        key: bytes,
        disk: Disk,
        entropy: Entropy,
        stands: Callable[[Header], bool],
    ) -> None:
        self._manifest, self._runs = f"{folder}/snapshot", f"{folder}/runs"
        self._ledger, self._key, self._disk, self._entropy = ledger, key, disk, entropy
        self._stands = stands
        self._view: _View | None = None
        self._broken = ""  # Why what was opened turned out not to hold.
        self._anew = False  # Whether it was found so only later, and a new one must not be built on what lies there.

    def open(self) -> Header | None:
        """Find the newest snapshot; None where there is none. Raises `ValueError` when it is not to be trusted.

        After None, and after `ValueError`, this object knows no task: the history is to be read from its beginning,
        and the next `save` is given every task.
        """
        self.close()
        try:
            view = self._look()
        except OSError as error:
            raise ValueError(f"it cannot be read: {error.strerror}") from error
        if view is not None and not self._stands(view.header):
            raise ValueError("the line that it names does not stand there")
        self._view, self._anew = view, False
        return view.header if view else None

    def task(self, name: str) -> TaskState | None:
        """A task as it was at the header's size; None where it was not there yet.

        Raises `ValueError` when the files turn out not to hold what was written or cannot be read, and from then on
        always: whoever has read the history instead gives the next `save` every task.
        """
        key = name.encode("utf-8", "replace")
        with self._believed() as runs:
            for run in reversed(runs):
                state = run.find(key)
                if state is not None:
                    return _unpack(state)
        return None

    def tasks(self) -> Iterator[TaskState]:
        """Every task as it was at the header's size, in no order. Raises as `task` does."""
        with self._believed() as runs:
            for part in _together(runs):
                yield from map(_unpack, part.values())

    def save(self, header: Header, changed: Mapping[str, TaskState]) -> None:
        """Make the state at `header` the newest snapshot.

        `changed` holds at least every task touched since the header that was opened or saved last, as it is at
        `header`. Others may have saved since then: theirs is built on where it belongs to the same history, and left
        alone where it is ahead. Raises `OSError` when nothing was saved, also because somebody else is just saving:
        then `changed` counts from where it did. Raises `ValueError` as `task` does, with the same to follow.
        """
        self._disk.make_folder(self._runs)
        lock = self._disk.open(f"{self._runs}/lock", os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            if not self._disk.try_lock(lock):
                raise BlockingIOError(errno.EAGAIN, "another process is saving a snapshot")
            self._save(header, changed.values())
        finally:
            self._disk.close(lock)  # Which gives back the lock as well.

    def close(self) -> None:
        """Know nothing any more, and give back the descriptors."""
        self._view, self._broken = None, ""

    # Inside ----------------------------------------------------------------------------------------------------------

    @contextmanager
    def _believed(self) -> Iterator[tuple[OpenRun, ...]]:
        """The runs that are open, as long as they hold what was written."""
        if self._broken:
            raise ValueError(self._broken)
        try:
            yield self._view.runs if self._view else ()
        except OSError as error:
            self._disbelieve(f"it cannot be read: {error.strerror}")
            raise ValueError(self._broken) from error
        except ValueError as error:
            self._disbelieve(str(error))
            raise

    def _disbelieve(self, why: str) -> None:
        self._view, self._broken, self._anew = None, why, True

    def _save(self, header: Header, changed: Iterable[TaskState]) -> None:
        """With the lock held."""
        ground, since = self._ground(header)
        lines = dict(pack_task(state) for state in changed if state.seq >= since)
        newest = (self._write(spread(lines, count_pieces(len(lines)))),) if lines else ()
        runs = self._compact((*ground, *newest))
        self._publish(Manifest(header, tuple(each.run for each in runs), _shape()))
        self._view, self._broken, self._anew = _View(header, runs), "", False
        self._sweep({each.run.name for each in runs})

    def _ground(self, header: Header) -> tuple[tuple[OpenRun, ...], int]:
        """The runs to build on, and the entry from which on tasks have to be written anew."""
        own, other = self._view, self._standing()
        if other is not None and other.header.size > header.size:
            raise BlockingIOError(errno.EAGAIN, "another process has saved a newer snapshot")
        if own is None and (other is None or self._anew):
            return (), 0
        if other is not None and (own is None or own.header.size <= other.header.size):
            return other.runs, other.header.size
        # Somebody removed or damaged what was there, or put an older one back; names of runs may be gone as well.
        assert own is not None
        return (self._merge(own.runs),) if own.runs else (), own.header.size

    def _standing(self) -> _View | None:
        """What is there now, where it can be built on."""
        try:
            view = self._look()
            return view if view is not None and self._stands(view.header) else None
        except (ValueError, OSError):
            return None

    def _compact(self, runs: tuple[OpenRun, ...]) -> tuple[OpenRun, ...]:
        """Merge the newest runs while there are too many of a level."""
        while runs:
            level = _level(runs[-1].run)
            kept = len(runs)
            while kept and _level(runs[kept - 1].run) <= level:
                kept -= 1
            if len(runs) - kept < FANOUT:
                break
            runs = (*runs[:kept], self._merge(runs[kept:]))
        return runs

    def _merge(self, runs: Sequence[OpenRun]) -> OpenRun:
        try:
            return self._write(_together(runs))
        except ValueError as error:
            self._disbelieve(str(error))
            raise

    def _write(self, parts: Iterable[Mapping[bytes, bytes]]) -> OpenRun:
        run = write_run(self._runs, self._entropy.token(16).hex(), parts, key=self._key, disk=self._disk)
        return OpenRun(run, self._runs, key=self._key, disk=self._disk)

    def _publish(self, manifest: Manifest) -> None:
        line = json.dumps(manifest.pack(), sort_keys=True, separators=(",", ":")).encode("ascii")
        temporary = f"{self._runs}/{self._entropy.token(16).hex()}{_NEW}"
        fd = self._disk.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND)
        try:
            self._disk.append(fd, self._mac(line) + b"\n" + line)
        finally:
            self._disk.close(fd)
        self._disk.rename(temporary, self._manifest)

    def _sweep(self, named: set[str]) -> None:
        """Remove the runs that were merged away, and what processes left that ended halfway.

        Nobody else is writing, because the lock is held. Whoever reads has opened what it needs, or will look again.
        """
        for name in self._disk.listing(self._runs):
            if name not in named and name[32:] in (SUFFIX, _NEW) and _HEX_DIGITS.issuperset(name[:32]):
                with suppress(OSError):
                    self._disk.unlink(f"{self._runs}/{name}")

    def _look(self) -> _View | None:
        """What is there now, with its runs open. Raises `ValueError` when it is not to be trusted, or `OSError`."""
        data = self._read()
        while data is not None:
            manifest = self._parse(data)
            try:
                runs = tuple(OpenRun(run, self._runs, key=self._key, disk=self._disk) for run in manifest.runs)
                return _View(manifest.header, runs)
            except FileNotFoundError:
                # Another process may have merged it away between the two steps; then the manifest is a new one.
                again = self._read()
                if again == data:
                    raise ValueError("a part of it is missing") from None
                data = again
        return None

    def _read(self) -> bytes | None:
        try:
            fd = self._disk.open(self._manifest, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        try:
            return self._disk.read(fd, MAX_MANIFEST, 0)
        finally:
            self._disk.close(fd)

    def _parse(self, data: bytes) -> Manifest:
        mac, _, line = data.partition(b"\n")
        if not hmac.compare_digest(mac, self._mac(line)):
            raise ValueError("its authentication code does not hold")
        manifest = Manifest.unpack(json.loads(line))
        if manifest.header.ledger != self._ledger:
            raise ValueError("it is of another ledger")
        if manifest.shape != _shape():
            raise ValueError("it was made by a release whose states have other fields")
        return manifest

    def _mac(self, line: bytes) -> bytes:
        return hmac.digest(self._key, b"enforcer/snapshot/v2\n" + line, "sha256").hex().encode("ascii")


_NEW = ".new"
_HEX_DIGITS = frozenset("0123456789abcdef")


def _unpack(state: bytes) -> TaskState:
    return TaskState.unpack(json.loads(state))


def _shape() -> str:
    """Names the fields of a state and their types. A state of a release that had others would be read with gaps."""
    kinds: tuple[type[Record], ...] = (TaskState, *TaskState.nested.values(), *TaskState.nested_maps.values())
    return sha256("\n".join(f"{kind.__name__} {kind.written}" for kind in kinds).encode()).hexdigest()[:16]


def _together(runs: Sequence[OpenRun]) -> Iterator[dict[bytes, bytes]]:
    """What the runs tell, in pieces of the size that one run of all their tasks would have."""
    pieces = count_pieces(sum(each.run.tasks for each in runs))
    return merged(runs, max((pieces, *(each.run.pieces for each in runs))))


def _level(run: Run) -> int:
    """Runs of one level differ in size by less than `FANOUT`."""
    level, limit = 0, LOWEST
    while run.tasks >= limit:
        level, limit = level + 1, limit * FANOUT
    return level
