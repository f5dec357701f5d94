"""What is written beside the ledger, one line each, and sealed into it with the task's next entry.

    state/refusals/<TASK>.jsonl    refusals that came too fast after many identical ones to be entries of their own
    state/guard/<session>.jsonl    every answer of the guard in that session
    state/guard/.tasks/<TASK>      the sessions that asked about the task, one a line

The ledger would otherwise grow with every call of a stuck worker. A seal is a range of bytes and their SHA-256, so
that sealed lines can neither vanish nor be changed or replaced by others unseen.
"""

from __future__ import annotations

import os
from hashlib import sha256

from enforcer.errors import UnavailableError
from enforcer.ledger.codec import JsonFault, canonical, parse_line
from enforcer.workflow.events import Sealed
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any, ClassVar

    from enforcer.ports import Disk

_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
_REFUSAL = frozenset(("actor", "codes", "command", "hash", "seq", "ts"))
_LONGEST = 1 << 16  # Bytes of a line that can be a refusal.


class Unsealed(Record, kw_only=True):
    """What stands beside the ledger and no entry has sealed: of the task's refusals, and of each guard session.

    `lost` names the files (`guard/…`, `refusals/…`) that are shorter than what entries have sealed of them; they are
    told of from their beginning.
    """

    refusals: Sealed | None = None
    guard: tuple[Sealed, ...] = ()
    lost: tuple[str, ...] = ()

    nested: ClassVar[Mapping[str, type[Record]]] = {"refusals": Sealed, "guard": Sealed}


def session_file(session: str) -> str:
    """A file name for a session id, whatever a host puts into it."""
    plain = 0 < len(session) <= 100 and set(session) <= _NAME and session[0] not in "."
    return f"{session}.jsonl" if plain else f"x-{sha256(session.encode('utf-8', 'surrogatepass')).hexdigest()}.jsonl"


def count_refusals(chunks: Iterable[bytes]) -> int:
    """How many complete lines are refusals as `Margins.refuse` is given them. Anything else does not count."""
    found, rest = 0, b""
    for chunk in chunks:
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop()[: _LONGEST + 1]  # A line that never ends stays too long, and costs no memory.
        found += sum(map(is_refusal, lines))
    return found


def is_refusal(line: bytes) -> bool:
    """Whether a line, without its end, is one that `Margins.refuse` writes."""
    try:
        value = parse_line(line) if 0 < len(line) <= _LONGEST else None
    except JsonFault:
        return False
    return isinstance(value, dict) and value.keys() >= _REFUSAL


NOTHING = Unsealed()  # The usual answer, made once.


class Margins:
    """The line files below `state`. Every method raises `UnavailableError` where the disk gives no answer."""

    def __init__(self, state: str, *, disk: Disk) -> None:
        self._state, self._disk = state, disk

    def refuse(self, task: str, line: Mapping[str, Any]) -> None:
        """Add a refusal that is not an entry. Durable when this returns. Only under the append lock."""
        self._append(f"{self._state}/refusals", f"{task}.jsonl", canonical(dict(line)) + b"\n", durable=True)

    def answer(self, task: str, session: str, line: Mapping[str, Any], *, durable: bool) -> None:
        """Add an answer of the guard."""
        name = session_file(session)
        if name not in self._sessions(task):
            self._append(f"{self._state}/guard/.tasks", task, name.encode() + b"\n", durable=True)
        self._append(f"{self._state}/guard", name, canonical(dict(line)) + b"\n", durable=durable)

    def unsealed(self, task: str, *, guarded: Mapping[str, int], refused_to: int) -> Unsealed:
        """What came since the byte offsets that earlier entries sealed: of sessions by file name, and of refusals."""
        lost: list[str] = []
        refusals = self._seal("refusals", f"{task}.jsonl", refused_to, lost)
        # A session that was sealed is asked for as well when somebody took it off the list.
        names = dict.fromkeys((*self._sessions(task), *guarded))
        if not names and refusals is None and not lost:
            return NOTHING
        seals = (self._seal("guard", name, guarded.get(name, 0), lost) for name in names)
        guard = tuple(seal for seal in seals if seal is not None)
        return Unsealed(refusals=refusals, guard=guard, lost=tuple(lost))

    def _seal(self, folder: str, name: str, start: int, lost: list[str]) -> Sealed | None:
        data = self._read(f"{self._state}/{folder}/{name}", start)
        if data is None:
            lost.append(f"{folder}/{name}")
            start, data = 0, self._read(f"{self._state}/{folder}/{name}", 0) or b""
        data = data[: data.rfind(b"\n") + 1]
        if not data:
            return None
        count = count_refusals((data,)) if folder == "refusals" else data.count(b"\n")
        return Sealed(name, count, start, start + len(data), sha256(data).hexdigest())

    def _sessions(self, task: str) -> tuple[str, ...]:
        """File names only, each once: what stands in a file anybody can write leads nowhere else."""
        data = self._read(f"{self._state}/guard/.tasks/{task}", 0)
        if not data:
            return ()
        names = data.decode("ascii", "replace").split("\n")
        return tuple(dict.fromkeys(name for name in names if name and set(name) <= _NAME and name[0] != "."))

    def _read(self, path: str, start: int) -> bytes | None:
        """The bytes from `start` on; None where there are not even so many."""
        try:
            fd = self._disk.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                left = self._disk.size(fd) - start
                return self._disk.read(fd, left, start) if left >= 0 else None
            finally:
                self._disk.close(fd)
        except FileNotFoundError:
            return None if start else b""
        except OSError as error:
            raise _unavailable("margin_unreadable", path, error) from error

    def _append(self, folder: str, name: str, data: bytes, *, durable: bool) -> None:
        try:
            self._append_line(folder, name, data, durable=durable)
        except OSError as error:
            raise _unavailable("margin_unwritable", f"{folder}/{name}", error) from error

    def _append_line(self, folder: str, name: str, data: bytes, *, durable: bool) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK
        path = f"{folder}/{name}"
        try:
            fd = self._disk.open(path, flags)
        except FileNotFoundError:
            self._disk.make_folder(folder)
            fd = self._disk.open(path, flags | os.O_CREAT)
            self._disk.sync_folder(folder)
        try:
            self._disk.append(fd, data)
            if durable:
                self._disk.datasync(fd)
        finally:
            self._disk.close(fd)


def _unavailable(code: str, path: str, error: OSError) -> UnavailableError:
    message = f"A file beside the ledger gives no answer: {error.strerror}."
    return UnavailableError(code, message, where=path, fix="Make it readable and writable again, then try again.")
