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
from enforcer.ledger.passes import Passes, Segment, uncollected
from enforcer.ledger.replay import Replay
from enforcer.ledger.report import Findings
from enforcer.ledger.tilecheck import TileCheck
from enforcer.ledger.tiles import HEIGHT
from enforcer.ports import SystemDisk, SystemEntropy
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, ClassVar

    from enforcer.ledger.holdings import Objects as AnyObjects
    from enforcer.ledger.replay import Processes
    from enforcer.ports import Disk


class Job(Record, kw_only=True):
    """Share `part` of `parts` in the verification of the ledger in `folder`, as the one who shares it sees it.

    `wanted` are sizes of trees whose roots are asked for; `replays`: the replay is asked for as well. Each segment has
    to begin where a full one of `lines` lines would.
    """

    folder: str
    segments: tuple[Segment, ...]
    part: int
    parts: int
    origin: str | None = None
    wanted: tuple[int, ...] = ()
    tiles: bool = False
    lines: int = SEGMENT_LINES
    replays: bool = True

    nested: ClassVar[Mapping[str, type[Record]]] = {"segments": Segment}


class Share:
    """One share, to be done once; without a `replay` the raw pass alone. `runs` are those of its segments, `contents`
    digests of all that was read."""

    def __init__(
        self,
        job: Job,
        replay: Replay | None,
        *,
        disk: Disk,
        found: Findings,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self._job, self._disk, self.replay, self.found = job, disk, replay, found
        self._passes = Passes(f"{job.folder}/seg", replay, disk=disk, progress=progress)
        self.runs: dict[str, Run] = {}

    @property
    def contents(self) -> dict[str, str]:
        return self._passes.contents

    @property
    def torn(self) -> dict[str, int]:
        return self._passes.torn

    def do(self) -> Share:
        """Do it. `OSError` passes: a part that was not read was not done."""
        with uncollected():
            for number, segment in enumerate(self._job.segments):
                if number % self._job.parts == self._job.part:
                    run = self.runs[segment.name] = self._run(segment)
                    self._passes.read(segment, run)
                elif self.replay is not None:
                    self._passes.read(segment, None)
        if self.replay is not None:
            self.replay.finish()
        return self

    def _run(self, segment: Segment) -> Run:
        tiles = None
        if self._job.tiles:
            tiles = TileCheck(
                self._job.folder,
                first=segment.first,
                levels=levels_within(self._job.lines),
                disk=self._disk,
                found=self.found,
            )
        wanted = [size for size in self._job.wanted if size <= segment.first + self._job.lines]
        return Run(segment.first, self.found, tree=Frontier(), offset=segment.first, wanted=wanted, tiles=tiles)

    def pack(self) -> dict[str, Any]:
        """All that whoever joins the shares needs of it, as JSON."""
        return {
            "runs": {name: run.pack() for name, run in self.runs.items()},
            "contents": self.contents,
            "found": self.found.pack(),
            "signings": self.replay.approvals.signings.pack() if self.replay is not None else "",
        }


def replay_for(job: Job, found: Findings, *, disk: Disk, objects: AnyObjects, processes: Processes) -> Replay:
    """The replay of a share's tasks."""
    holdings = Holdings(os.path.dirname(job.folder), disk=disk, objects=objects, found=found)
    return Replay(found, holdings, processes, origin=job.origin, part=job.part, parts=job.parts)


def levels_within(lines: int) -> range:
    """The levels of tiles that lie within one segment of so many lines; the ones above span several."""
    return range((lines.bit_length() - 1) // HEIGHT)


def serve() -> None:
    """Read a job from standard input, do it, and write what came out to standard output, each as JSON."""
    job = Job.unpack(json.load(sys.stdin))
    disk = SystemDisk()
    found = Findings()
    objects = Objects(f"{os.path.dirname(job.folder)}/objects", disk, SystemEntropy())
    replay = replay_for(job, found, disk=disk, objects=objects, processes=StoredProcesses(objects))
    share = Share(job, replay if job.replays else None, disk=disk, found=found)
    json.dump(share.do().pack(), sys.stdout)
