"""What is written beside the ledger, one line each, and sealed into it by count with the task's next entry.

    state/refusals/<TASK>.jsonl    refusals that came too fast after many identical ones to be entries of their own
    state/guard/<session>.jsonl    every answer of the guard in that session
    state/guard/.tasks/<TASK>      the sessions that asked about the task, one a line

The ledger would otherwise grow with every call of a stuck worker; without the seal, lines here could vanish unseen.
"""

from __future__ import annotations

import os
from hashlib import sha256

from enforcer.errors import UnavailableError
from enforcer.ledger.codec import canonical
from enforcer.workflow.events import Sealed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from enforcer.ports import Disk

_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


def session_file(session: str) -> str:
    """A file name for a session id, whatever a host puts into it."""
    plain = 0 < len(session) <= 100 and set(session) <= _NAME and session[0] not in "."
    return f"{session}.jsonl" if plain else f"x-{sha256(session.encode('utf-8', 'surrogatepass')).hexdigest()}.jsonl"


class Margins:
    """The line files below `state`. Every method raises `UnavailableError` where the disk gives no answer."""

    def __init__(self, state: str, *, disk: Disk) -> None:
        self._state, self._disk = state, disk

    def refuse(self, task: str, line: Mapping[str, Any]) -> None:
        """Add a refusal that is not an entry. Durable when this returns. Only under the append lock."""
        self._append(f"{self._state}/refusals", f"{task}.jsonl", canonical(dict(line)) + b"\n", durable=True)

    def refused(self, task: str) -> int:
        """How many such refusals there are in all."""
        return self._read(f"{self._state}/refusals/{task}.jsonl", 0).count(b"\n")

    def answer(self, task: str, session: str, line: Mapping[str, Any], *, durable: bool) -> None:
        """Add an answer of the guard."""
        name = session_file(session)
        if name not in self._sessions(task):
            self._append(f"{self._state}/guard/.tasks", task, name.encode() + b"\n", durable=True)
        self._append(f"{self._state}/guard", name, canonical(dict(line)) + b"\n", durable=durable)

    def unsealed(self, task: str, sealed: Mapping[str, int]) -> tuple[Sealed, ...]:
        """What the guard answered since the byte offsets that earlier entries sealed."""
        seals = []
        for name in self._sessions(task):
            start = sealed.get(name, 0)
            data = self._read(f"{self._state}/guard/{name}", start)
            data = data[: data.rfind(b"\n") + 1]
            if data:
                seals.append(Sealed(name, data.count(b"\n"), start, start + len(data), sha256(data).hexdigest()))
        return tuple(seals)

    def _sessions(self, task: str) -> tuple[str, ...]:
        """File names only, each once: what stands in a file anybody can write leads nowhere else."""
        names = self._read(f"{self._state}/guard/.tasks/{task}", 0).decode("ascii", "replace").split("\n")
        return tuple(dict.fromkeys(name for name in names if name and set(name) <= _NAME and name[0] != "."))

    def _read(self, path: str, start: int) -> bytes:
        try:
            fd = self._disk.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                return self._disk.read(fd, max(0, self._disk.size(fd) - start), start)
            finally:
                self._disk.close(fd)
        except FileNotFoundError:
            return b""
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
