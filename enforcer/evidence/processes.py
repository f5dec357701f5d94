"""The processes that tasks were opened under, as objects: read once, proven by their digest, never through pydantic."""

from __future__ import annotations

from enforcer.errors import DamagedError
from enforcer.ledger.codec import parse_line
from enforcer.workflow.process import Process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from enforcer.evidence.objects import Objects


class StoredProcesses:
    """Processes by digest. Raises `DamagedError` or `UnavailableError` when an object is not what it was, or gone."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._read: dict[str, Process] = {}

    def __call__(self, digest: str) -> Process:
        process = self._read.get(digest)
        if process is None:
            data = self._objects.get(digest)
            try:
                process = self._read[digest] = Process.unpack(parse_line(data))
            except ValueError as error:
                message = "A stored process cannot be read by this release."
                fix = "Read it with the release that wrote it."
                raise DamagedError("process_damaged", message, where=digest, fix=fix) from error
        return process
