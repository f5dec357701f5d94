"""The stored bytes of one task's evidence, each read and proven once, and shown to the judge like a folder.

An audit asks for the same copy several times: is it there, what does it say, what did later phases stand on. Reading it
once keeps the answers about the same bytes, and the audit quick.
"""

from __future__ import annotations

from enforcer.errors import EnforcerError
from enforcer.evidence.folder import File, Problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Protocol

    from enforcer.evidence.history import Acceptance
    from enforcer.workflow.events import Accepted

    class Objects(Protocol):
        """Bytes by digest. See `evidence.objects`."""

        def get(self, digest: str) -> bytes: ...


KEPT = 64 << 20
"""How many bytes are remembered at most."""

ABSENT = ("object_missing", "object_damaged")  # What says that a copy is not there, and not that a disk is silent.


class Copies:
    """Reads objects, and remembers them until `forget`. Errors are remembered as well, and raised again."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._known: dict[str, bytes | EnforcerError] = {}
        self._size = 0

    def get(self, digest: str) -> bytes:
        """The bytes of an object, proven. Raises what the object store raises."""
        known = self._known.get(digest)
        if known is None:
            known = self._read(digest)
            size = len(known) if isinstance(known, bytes) else 0
            if self._size + size > KEPT:
                self.forget()
            self._known[digest] = known
            self._size += size
        if isinstance(known, EnforcerError):
            raise known
        return known

    def forget(self) -> None:
        """Let go of everything, between two tasks."""
        self._known.clear()
        self._size = 0

    def _read(self, digest: str) -> bytes | EnforcerError:
        try:
            return self._objects.get(digest)
        except EnforcerError as error:
            return error


class Shelf:
    """What a task's folder held when a phase was left, by the ledger's word: read by the judge in place of a folder.

    `turn` says of which acceptance; `over` puts other files in the place of that phase's copies. `absent` tells, by
    phase and artifact, why copies that were asked for since are not there.
    """

    def __init__(self, copies: Copies) -> None:
        self._copies = copies
        self._accepted: Mapping[str, tuple[Accepted, ...]] = {}
        self._over: Mapping[str, File] = {}
        self._phase = ""
        self.absent: dict[tuple[str, str], EnforcerError] = {}

    def turn(self, acceptance: Acceptance, over: Mapping[str, File] | None = None) -> None:
        """Show what `acceptance` accepted, and what counted before it."""
        self._accepted = {**acceptance.before.accepted, acceptance.phase: acceptance.evidence}
        self._phase, self._over = acceptance.phase, over or {}
        self.absent = {}

    def read(self, task: str, phase: str, names: Iterable[str]) -> tuple[dict[str, File], tuple[Problem, ...]]:
        """As `Folder.read`. Raises `EnforcerError` where the disk does not answer."""
        accepted = {one.artifact: one for one in self._accepted.get(phase, ())}
        over = self._over if phase == self._phase else {}
        files: dict[str, File] = {}
        problems = []
        for name in names:
            if name in over:
                files[name] = over[name]
            elif (file := self._copy(phase, accepted.get(name))) is not None:
                files[name] = file
            else:
                problems.append(Problem(name, "evidence_missing", f"{phase}/{name} was not accepted.", ""))
        return files, tuple(problems)

    def _copy(self, phase: str, accepted: Accepted | None) -> File | None:
        if accepted is None:
            return None
        try:
            data = self._copies.get(accepted.digest)
        except EnforcerError as error:
            if error.code not in ABSENT:
                raise
            self.absent[phase, accepted.artifact] = error
            return None
        return File(accepted.artifact, data, accepted.digest, len(data))
