"""A ledger on two cores: one share here and one in another process, and the runs of both put in order.

Where the two cannot be put together nothing was lost but time: the caller reads all of it on one core.
"""

from __future__ import annotations

from enforcer.ledger.chain import SEGMENT_LINES, Chain, Run
from enforcer.ledger.passes import Passes, list_segments
from enforcer.ledger.report import Findings
from enforcer.ledger.share import Job, Share
from enforcer.ledger.workers import Worker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from enforcer.ledger.passes import Segment
    from enforcer.ledger.workers import Result
    from enforcer.ports import Disk


def share_out(own: Share, other: Job) -> Result | None:
    """Do a share here and another one on the other core; what came of that, None where the two say nothing."""
    try:
        with Worker(other) as worker:
            own.do()
            return worker.result()
    except OSError:
        return None


def ordered_runs(segments: Sequence[Segment], runs: Mapping[str, Run], lines: int) -> list[Run] | None:
    """The runs of all segments in their order; None where they cannot be joined, because one is not where its name
    says or not full."""
    if any(segment.name not in runs for segment in segments):
        return None
    ordered = [runs[segment.name] for segment in segments]
    placed = all(run.offset == segment.first for run, segment in zip(ordered, segments, strict=True))
    return ordered if placed and all(run.count == lines for run in ordered[:-1]) else None


def read_raw(folder: str, genesis: str, *, disk: Disk, found: Findings, cores: int = 1) -> Chain:
    """The raw pass alone over all segments, on two cores where every segment but the last is full."""
    segments = list_segments(f"{folder}/seg", disk, found)
    chain = Chain(genesis, found)
    runs = _shared_runs(folder, segments, disk, found) if cores > 1 and len(segments) > 1 else None
    passes = Passes(f"{folder}/seg", None, disk=disk)
    for number, segment in enumerate(segments):
        if runs is not None:
            run = runs[number]
        else:
            run = Run(segment.first, found, tree=chain.tree.copy())
            passes.read(segment, run)
        chain.join(run)
    return chain


def _shared_runs(folder: str, segments: list[Segment], disk: Disk, found: Findings) -> list[Run] | None:
    mine, other = (Job(folder=folder, segments=tuple(segments), part=part, parts=2, replays=False) for part in (0, 1))
    own = Share(mine, None, disk=disk, found=Findings())
    done = share_out(own, other)
    runs = ordered_runs(segments, {**own.runs, **done.runs}, SEGMENT_LINES) if done is not None else None
    if runs is None or done is None:
        return None
    found.merge(own.found.pack())
    found.merge(done.found)
    return runs
