"""What entries name and the ledger itself does not hold: objects by digest, and sealed lines in the margins.

Missing is not changed: a copy of the ledger may travel without them, and then they cannot be judged. Bytes that are
there and are not what was recorded are a contradiction.
"""

from __future__ import annotations

import os
from hashlib import sha256

from enforcer.errors import EnforcerError
from enforcer.ledger.margins import count_refusals
from enforcer.ledger.report import EVIDENCE, LEGALITY
from enforcer.workflow import events

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, Protocol

    from enforcer.ledger.report import Findings
    from enforcer.ports import Disk
    from enforcer.workflow.events import Event, Notes, Sealed
    from enforcer.workflow.process import Process

    class Objects(Protocol):
        """Durable copies by digest. See `evidence.objects`."""

        def get(self, digest: str) -> bytes: ...


CHUNK = 1 << 20

_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
_ABSENT = -1


class Holdings:
    """Looks at each object once, and names what is wrong with it once a task, so that every task that stands on it
    is named, whoever reads the others. `state` is the folder that holds the margins."""

    def __init__(self, state: str, *, disk: Disk, objects: Objects, found: Findings) -> None:
        self._state, self._disk, self._objects, self._found = state, disk, objects, found
        self._sizes: dict[bytes, int] = {}
        self._absent: dict[bytes, EnforcerError] = {}
        self._told: set[tuple[str | None, bytes | str]] = set()
        self._task: str | None = None

    def check_event(self, event: Any, task: str | None, seq: int) -> None:
        """Everything that an event of `task` names."""
        self._task = task
        named = _NAMED.get(type(event))
        if named is not None:
            for digest, what in named(event):
                self.check_object(digest, what, task, seq)
        elif type(event) is events.PhaseAdvanced:
            for one in event.evidence:
                size = self.check_object(one.digest, f"{event.start}/{one.artifact}", task, seq)
                if size is not None and size != one.size:
                    message = f"{event.start}/{one.artifact} has {size} bytes, and {one.size} are on record."
                    self._found.contradiction(EVIDENCE, seq, "size_wrong", message)
        if event.notes is not None:
            self._check_margins(event.notes, seq)

    def check_process(self, process: Process, task: str | None, seq: int) -> None:
        """The schemas that a process names."""
        for phase, artifact in process.artifacts():
            if artifact.schema:
                self.check_object(artifact.schema, f"the schema of {phase.name}/{artifact.name}", task, seq)

    def check_object(self, digest: str, what: str, task: str | None, seq: int) -> int | None:
        """The size of an object whose bytes are those of its digest; None where there is no such object."""
        name = _name(digest)
        if not name:
            self._found.contradiction(LEGALITY, seq, "digest_malformed", f"What names {what} is not a digest.")
            return None
        size = self._sizes.get(name)
        if size is None:
            size = self._sizes[name] = self._look(name)
        if size != _ABSENT:
            return size
        if (task, name) not in self._told:
            self._told.add((task, name))
            error = self._absent[name]
            report = self._found.contradiction if error.code == "object_damaged" else self._found.gap
            report(EVIDENCE, seq, error.code, f"{what}: {error.message}")
        return None

    def read(self, digest: str) -> bytes | None:
        """The bytes of an object that was looked at; None where they are not those of its digest, which was told."""
        if self._sizes.get(_name(digest), _ABSENT) == _ABSENT:
            return None
        try:
            return self._objects.get(digest)
        except EnforcerError:
            return None

    def _look(self, name: bytes) -> int:
        try:
            return len(self._objects.get(name.hex()))
        except EnforcerError as error:
            self._absent[name] = error.with_traceback(None)
            return _ABSENT

    def _check_margins(self, notes: Notes, seq: int) -> None:
        for seal in notes.guard:
            self._check_seal("guard", seal, seq)
        if notes.refusals is not None:
            self._check_seal("refusals", notes.refusals, seq)
        elif notes.coalesced > 0:
            message = f"It counts {notes.coalesced} refusals beside the ledger, and seals none."
            self._found.contradiction(LEGALITY, seq, "seal_malformed", message)
        for name in notes.margin_lost:
            message = f"Lines of {name} that entries before had sealed were gone when this one was written."
            self._found.gap(EVIDENCE, seq, "margin_lost", message)

    def _check_seal(self, folder: str, seal: Sealed, seq: int) -> None:
        if not seal.session or not _NAME.issuperset(seal.session) or seal.session[0] == ".":
            message = "It seals what is not a file beside the ledger."
            self._found.contradiction(LEGALITY, seq, "seal_malformed", message)
            return
        shown = f"{folder}/{seal.session}"
        fd = self._open(f"{self._state}/{shown}", shown, seq)
        if fd is None:
            return
        content = sha256()
        try:
            chunks = _through(content.update, self._chunks(fd, seal.start, seal.end))
            count = count_refusals(chunks) if folder == "refusals" else sum(data.count(b"\n") for data in chunks)
            size = self._disk.size(fd)
        except OSError as error:
            self._found.gap(EVIDENCE, seq, "margin_unreadable", f"{shown}: {error.strerror}.")
            return
        finally:
            self._disk.close(fd)
        if size < seal.end:
            message = f"{shown} has {size} bytes, and entries have sealed {seal.end}: lines were cut off."
            self._found.contradiction(EVIDENCE, seq, "margin_changed", message)
        elif content.hexdigest() != seal.digest or count != seal.count:
            message = f"{shown}, bytes {seal.start} to {seal.end}, does not hold the lines it did."
            self._found.contradiction(EVIDENCE, seq, "margin_changed", message)

    def _open(self, path: str, shown: str, seq: int) -> int | None:
        try:
            return self._disk.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            if (self._task, path) not in self._told:
                code = "margin_missing" if isinstance(error, FileNotFoundError) else "margin_unreadable"
                self._found.gap(EVIDENCE, seq, code, f"{shown} cannot be read: {error.strerror}.")
            self._told.add((self._task, path))
            return None

    def _chunks(self, fd: int, start: int, end: int) -> Iterator[bytes]:
        while start < end and (data := self._disk.read(fd, min(CHUNK, end - start), start)):
            yield data
            start += len(data)


def _name(digest: str) -> bytes:
    """A digest as bytes; none for what is not a digest in its one form."""
    try:
        name = bytes.fromhex(digest)
    except ValueError:
        return b""
    return name if len(name) == 32 and name.hex() == digest else b""


def _through(see: Callable[[bytes], None], chunks: Iterable[bytes]) -> Iterator[bytes]:
    for data in chunks:
        see(data)
        yield data


# Digest and meaning of what an event names, besides accepted evidence.


def _process(event: events.TaskOpened | events.ProcessAdopted) -> Iterator[tuple[str, str]]:
    yield event.digest, f"the process {event.process}"


def _reasons(event: events.CommandRefused) -> Iterator[tuple[str, str]]:
    if event.reasons:
        yield event.reasons, "the full list of reasons"
    if event.observation:
        yield event.observation, "the observation of a run"


def _restored(event: events.EvidenceRestored) -> Iterator[tuple[str, str]]:
    for files, verb in ((event.restored, "restored"), (event.replaced, "replaced")):
        for name, digest in files.items():
            if digest:
                yield digest, f"{name}, as it was {verb}"


def _observation(event: events.RunObserved) -> Iterator[tuple[str, str]]:
    yield event.observation, "the observation of a run"
    for one in event.made:
        yield one.digest, f"{event.phase}/{one.artifact}, as the run made it"


def _statement(event: events.Vouched) -> Iterator[tuple[str, str]]:
    if event.statement:
        yield event.statement, "the statement that was signed"
        yield event.signature, "the signature"


_NAMED: dict[type[Event], Callable[[Any], Iterator[tuple[str, str]]]] = {
    events.TaskOpened: _process,
    events.ProcessAdopted: _process,
    events.CommandRefused: _reasons,
    events.EvidenceRestored: _restored,
    events.RunObserved: _observation,
    events.ApprovalGranted: _statement,
    events.ApprovalRejected: _statement,
    events.RulesWaived: _statement,
}
