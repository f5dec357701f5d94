"""What one of several processes does of a verification: the raw pass for some segments, and the replay for some tasks.

A share is done here or by another process (see `workers`), and gives the same either way: what it found, how its
segments join to the others, and a digest of all that it read.
"""

from __future__ import annotations

import json
import os
import sys

from enforcer.evidence.objects import Objects
from enforcer.evidence.processes import StoredProcesses
from enforcer.ledger.chain import SEGMENT_LINES, Run
from enforcer.ledger.holdings import Holdings
from enforcer.ledger.merkle import Frontier
from enforcer.ledger.passes import Passes, Segment
from enforcer.ledger.replay import Replay
from enforcer.ledger.report import Findings
from enforcer.ledger.tilecheck import TileCheck
from enforcer.ports import SystemDisk, SystemEntropy
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, ClassVar

    from enforcer.ledger.holdings import Objects as AnyObjects
    from enforcer.ledger.replay import Processes
    from enforcer.ports import Disk

# Tile levels that lie within one segment; the ones above span several.
LEVELS_WITHIN = range(2)


class Job(Record, kw_only=True):
    """Share `part` of `parts` in the verification of the ledger in `folder`, as the one who shares it sees it.

    `wanted` are sizes of trees whose roots are asked for. Each segment has to begin where a full one would.
    """

    folder: str
    segments: tuple[Segment, ...]
    part: int
    parts: int
    origin: str | None = None
    wanted: tuple[int, ...] = ()
    tiles: bool = False

    nested: ClassVar[Mapping[str, type[Record]]] = {"segments": Segment}


class Share:
    """One share, to be done once. `runs` are those of its segments, `contents` digests of what was read of all."""

    def __init__(
        self,
        job: Job,
        *,
        disk: Disk,
        objects: AnyObjects,
        processes: Processes,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self._job, self._disk = job, disk
        self.found = Findings()
        holdings = Holdings(os.path.dirname(job.folder), disk=disk, objects=objects, found=self.found)
        self.replay = Replay(self.found, holdings, processes, origin=job.origin, part=job.part, parts=job.parts)
        self._passes = Passes(f"{job.folder}/seg", self.replay, disk=disk, progress=progress)
        self.runs: dict[str, Run] = {}

    @property
    def contents(self) -> dict[str, str]:
        return self._passes.contents

    @property
    def torn(self) -> dict[str, int]:
        return self._passes.torn

    def do(self) -> Share:
        """Do it. `OSError` passes: a part that was not read was not done."""
        for number, segment in enumerate(self._job.segments):
            run = self._run(segment) if number % self._job.parts == self._job.part else None
            self._passes.read(segment, run)
            if run is not None:
                self.runs[segment.name] = run
        self.replay.finish()
        return self

    def _run(self, segment: Segment) -> Run:
        tiles = None
        if self._job.tiles:
            tiles = TileCheck(
                self._job.folder, first=segment.first, levels=LEVELS_WITHIN, disk=self._disk, found=self.found
            )
        wanted = [size for size in self._job.wanted if size <= segment.first + SEGMENT_LINES]
        return Run(segment.first, self.found, tree=Frontier(), offset=segment.first, wanted=wanted, tiles=tiles)

    def pack(self) -> dict[str, Any]:
        """All that whoever joins the shares needs of it, as JSON."""
        return {
            "runs": {name: run.pack() for name, run in self.runs.items()},
            "contents": self.contents,
            "found": self.found.pack(),
        }


def serve() -> None:
    """Read a job from standard input, do it, and write what came out to standard output, each as JSON."""
    job = Job.unpack(json.load(sys.stdin))
    disk = SystemDisk()
    objects = Objects(f"{os.path.dirname(job.folder)}/objects", disk, SystemEntropy())
    share = Share(job, disk=disk, objects=objects, processes=StoredProcesses(objects))
    json.dump(share.do().pack(), sys.stdout)
