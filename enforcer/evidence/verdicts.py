"""Keeps verdicts over single artifacts, by the digests of artifact and rule, so that nothing is judged twice.

Both digests are over everything that the answer depends on, so a verdict never grows old. It is input by an adversary
all the same once it lies on a disk: the store below keeps verdicts in a cache that authenticates what it returns.
"""

from __future__ import annotations

import json

from enforcer.workflow.rules.subject import Fault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Cache(Protocol):
        """Small answers by name, of which only what was really kept comes back."""

        def get(self, name: str) -> bytes | None: ...
        def put(self, name: str, content: bytes) -> None: ...


class MemoryVerdicts:
    """Verdicts for the life of this process, those of at most `limit` artifacts."""

    def __init__(self, limit: int = 1024) -> None:
        self._limit = limit
        self._kept: dict[str, dict[str, tuple[Fault, ...]]] = {}

    def get(self, artifact: str, rule: str) -> tuple[Fault, ...] | None:
        """The faults that the rule found in the artifact, empty where it holds; None when that is not known."""
        return self._of(artifact).get(rule)

    def put(self, artifact: str, rule: str, faults: tuple[Fault, ...]) -> None:
        """Keep what the rule found."""
        self._of(artifact)[rule] = faults

    def _of(self, artifact: str) -> dict[str, tuple[Fault, ...]]:
        known = self._kept.get(artifact)
        if known is None:
            if len(self._kept) >= self._limit:
                del self._kept[next(iter(self._kept))]
            known = self._kept[artifact] = self._loaded(artifact)
        return known

    def _loaded(self, artifact: str) -> dict[str, tuple[Fault, ...]]:
        return {}


class StoredVerdicts(MemoryVerdicts):
    """The same, kept across processes as well: one entry of the cache for each artifact, written by `flush`.

    Apart from `put`, because commands that only read write nothing, and one artifact has several verdicts.
    """

    def __init__(self, cache: Cache, limit: int = 1024) -> None:
        super().__init__(limit)
        self._cache = cache
        self._new: dict[str, dict[str, tuple[Fault, ...]]] = {}

    def put(self, artifact: str, rule: str, faults: tuple[Fault, ...]) -> None:
        super().put(artifact, rule, faults)
        self._new[artifact] = self._of(artifact)

    def flush(self) -> None:
        """Write what is new."""
        for artifact, verdicts in self._new.items():
            packed = {rule: [fault.pack() for fault in faults] for rule, faults in verdicts.items()}
            self._cache.put(_name(artifact), json.dumps(packed).encode())
        self._new = {}

    def _loaded(self, artifact: str) -> dict[str, tuple[Fault, ...]]:
        content = self._cache.get(_name(artifact))
        if content is None:
            return {}
        return {rule: tuple(map(Fault.unpack, faults)) for rule, faults in json.loads(content).items()}


def _name(artifact: str) -> str:
    return f"verdicts-{artifact}"
