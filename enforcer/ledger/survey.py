"""One verification: what is known before the lines are read, the reading, and what follows from it.

On one core the segments are read in turn, each run going on from the one before. On two each process does a share, and
the runs are joined afterwards, which finds the same. A ledger that cannot be shared out (segments that are not what
their names say, a process that has read something else) is read on one.
"""

from __future__ import annotations

import os
from hashlib import sha256

from enforcer.ledger.chain import Chain, Run
from enforcer.ledger.heads import Judgement, collect_heads, judge_demands, judge_key
from enforcer.ledger.holdings import Holdings
from enforcer.ledger.marks import Extent, Mark, find_mark, keep_mark
from enforcer.ledger.passes import Passes, list_segments
from enforcer.ledger.repair import MAX_TORN
from enforcer.ledger.replay import Replay
from enforcer.ledger.report import EVIDENCE, INTEGRITY, LEGALITY, Findings
from enforcer.ledger.share import Job, Share, levels_within, replay_for
from enforcer.ledger.sharing import ordered_runs, share_out
from enforcer.ledger.signatures import check_signatures
from enforcer.ledger.terms import terms_of
from enforcer.ledger.tilecheck import TileCheck
from enforcer.ledger.tiles import WIDTH
from enforcer.ports import SystemDisk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from enforcer.ledger.cache import Cache
    from enforcer.ledger.heads import Demands, Head
    from enforcer.ledger.holdings import Objects
    from enforcer.ledger.note import Check
    from enforcer.ledger.passes import Segment
    from enforcer.ledger.replay import Processes
    from enforcer.ledger.report import Report
    from enforcer.ledger.store import Identity
    from enforcer.ports import Disk

    Progress = Callable[[int, int], None]

# Tile levels that are looked at: the last one spans more entries than any ledger has.
_LEVELS = range(6)


class Survey:
    """To be used once: `resume` or not, `read`, `judge`, and `keep` where it found nothing wrong."""

    def __init__(
        self,
        folder: str,
        genesis: str,
        identity: Identity | None,
        demands: Demands,
        *,
        disk: Disk,
        objects: Objects,
        processes: Processes,
        found: Findings,
        segment_lines: int,
    ) -> None:
        self._lines = segment_lines
        self._folder, self._genesis, self._identity, self._demands = folder, genesis, identity, demands
        self._disk, self._objects, self._processes, self._found = disk, objects, processes, found
        self._heads = collect_heads(folder, self._origin, demands, disk=disk, found=found)
        self._wanted = sorted({head.size for head in self._heads} | demands.sizes)
        self._segments = list_segments(f"{folder}/seg", disk, found)
        self._has_tiles = disk.exists(f"{folder}/tile")
        self._chain = Chain(genesis, found)
        holdings = Holdings(os.path.dirname(folder), disk=disk, objects=objects, found=found)
        self._replay = Replay(found, holdings, processes, origin=self._origin)
        self._read_before: tuple[Extent, ...] = ()
        self._from = 0

    @property
    def _origin(self) -> str | None:
        return self._identity.origin if self._identity is not None else None

    # Where the last one ended ----------------------------------------------------------------------------------------

    def resume(self, cache: Cache) -> None:
        """Begin where the last verification ended, if that can be trusted and answers all that is asked."""
        mark = find_mark(cache, self._genesis, self._segments, f"{self._folder}/seg", self._disk)
        why = mark if isinstance(mark, str) else self._go_on(mark)
        if why:
            self._found.note(None, "checked_fully", f"Everything was read: {why}.")

    def _go_on(self, mark: Mark) -> str:
        """Take up a mark; in words why not, and then nothing has changed."""
        try:
            roots, tree = mark.known_roots, mark.frontier
            asked = self._demands.sizes | {head.size for head in self._heads if head.given}
            for size in sorted(asked):
                if 0 < size < mark.size and size not in roots:
                    return f"the root of {size} entries is asked for, and is not kept"
            self._replay.resume(mark.replay, mark.size)
        except (ValueError, KeyError, TypeError, AttributeError):
            return "the mark cannot be read"
        self._chain.resume(tree, mark.head, mark.ts, roots)
        *before, last = mark.segments
        rest = self._segments[len(before) :]
        self._read_before, self._segments = tuple(before), [rest[0].replace(start=last.end), *rest[1:]]
        self._from = mark.size
        return ""

    def keep(self, cache: Cache) -> None:
        """Remember where this verification ended."""
        chain = self._chain
        if chain.head is None or not chain.whole:
            return
        extents = (Extent(one.name, one.size - self._torn.get(one.name, 0)) for one in self._segments)
        mark = Mark(
            genesis=self._genesis,
            size=chain.entries,
            head=chain.head.hex(),
            ts=chain.ts,
            tree=tuple(node.hex() for node in chain.tree.nodes),
            roots={str(size): root.hex() for size, root in chain.roots.items()},
            segments=(*self._read_before, *extents),
            replay=self._replay.pack(),
        )
        keep_mark(cache, mark)

    # Reading ---------------------------------------------------------------------------------------------------------

    def read(self, progress: Progress | None, *, cores: int = 1) -> None:
        """Read every line that was there when this began."""
        total = sum(segment.size - segment.start for segment in self._segments)
        tell = (lambda done: progress(done, total)) if progress is not None else None
        if not self._segments:
            self._found.gap(INTEGRITY, 0, "segment_missing", "There is no segment.")
        if cores < 2 or not self._can_share() or not self._read_shared(tell):
            self._read_alone(tell)
        for segment in self._segments:
            self._judge_end(segment)
        check_signatures(self._replay.approvals.signings, self._objects, self._found)
        if not self._chain.entries:
            self._found.gap(INTEGRITY, None, "ledger_empty", "The ledger has no entry.")
            self._found.doubt(LEGALITY, EVIDENCE)

    def _read_alone(self, tell: Callable[[int], None] | None) -> None:
        passes = Passes(f"{self._folder}/seg", self._replay, disk=self._disk, progress=tell)
        tiles = None
        if self._has_tiles and not self._from:
            tiles = TileCheck(self._folder, first=0, levels=_LEVELS, disk=self._disk, found=self._found)
        for segment in self._segments:
            if segment.start:
                first = self._chain.next
            else:
                first = segment.first
                self._enter(segment)
            if not self._chain.whole:
                tiles = None  # What stands before is not known, so a tile that differs contradicts nothing.
            run = Run(first, self._found, tree=self._chain.tree.copy(), wanted=self._wanted, tiles=tiles)
            try:
                passes.read(segment, run)
            except OSError as error:
                self._found.gap(INTEGRITY, run.next, "segment_unreadable", f"{segment.name}: {error.strerror}.")
                self._chain.join(run)
                self._chain.lose(last=segment == self._segments[-1])
            else:
                self._chain.join(run)
        self._replay.finish()
        self._torn: Mapping[str, int] = passes.torn

    def _enter(self, segment: Segment) -> None:
        chain = self._chain
        if segment.first > chain.next:
            message = f"The segments with the entries {chain.next} to {segment.first - 1} are missing."
            self._found.gap(INTEGRITY, chain.next, "segment_missing", message)
            chain.skip(segment.first)
        elif segment.first < chain.next:
            message = f"{segment.name} begins with entry {segment.first} by its name, and {chain.next} was next."
            self._found.contradiction(INTEGRITY, chain.next, "segment_misplaced", message)

    def _judge_end(self, segment: Segment) -> None:
        torn = self._torn.get(segment.name)
        if not torn:
            return
        start = segment.size - torn
        message = f"{torn} bytes of {segment.name} follow the last complete line, from byte {start} on."
        if segment == self._segments[-1]:
            # A write that a crash cut off: nothing of it was ever acknowledged, unless a checkpoint says otherwise.
            self._found.note(self._chain.next, "torn_tail", message)
        else:
            after = next(one for one in self._segments if one.first > segment.first)
            self._found.contradiction(INTEGRITY, after.first, "segment_torn", message)

    # On two cores ----------------------------------------------------------------------------------------------------

    def _can_share(self) -> bool:
        """Whether there is enough to share, in segments that begin where full ones do, on a disk that anybody reads."""
        places = [segment.first for segment in self._segments]
        return (
            len(places) > 1
            and places == [number * self._lines for number in range(len(places))]
            and (not self._has_tiles or self._lines == WIDTH ** len(levels_within(self._lines)))
            and not self._from
            and type(self._disk) is SystemDisk
        )

    def _read_shared(self, tell: Callable[[int], None] | None) -> bool:
        """Read in two shares, one of them by another process. False where that says nothing of the whole."""
        mine, other = (
            Job(
                folder=self._folder,
                segments=tuple(self._segments),
                part=part,
                parts=2,
                origin=self._origin,
                wanted=tuple(self._wanted),
                tiles=self._has_tiles,
                lines=self._lines,
            )
            for part in (0, 1)
        )
        found = Findings()
        replay = replay_for(mine, found, disk=self._disk, objects=self._objects, processes=self._processes)
        own = Share(mine, replay, disk=self._disk, found=found, progress=tell)
        done = share_out(own, other)
        if done is None or done.contents != own.contents:
            return False
        runs = ordered_runs(self._segments, {**own.runs, **done.runs}, self._lines)
        if runs is None:
            return False
        self._found.merge(own.found.pack())
        self._found.merge(done.found)
        replay.approvals.signings.merge(done.signings)
        self._join(runs)
        self._replay, self._torn = replay, own.torn
        return True

    def _join(self, runs: list[Run]) -> None:
        tiles = None
        if self._has_tiles:
            above = range(levels_within(self._lines).stop, _LEVELS.stop)
            tiles = TileCheck(self._folder, first=0, levels=above, disk=self._disk, found=self._found)
        for segment, run in zip(self._segments, runs, strict=True):
            self._enter(segment)
            self._chain.join(run)
            if tiles is not None and run.count == self._lines:
                tiles.take(run.tree.nodes, above.start)

    # Judging ---------------------------------------------------------------------------------------------------------

    def judge(self, check: Check, vouching: list[Head] | None = None) -> Report:
        """Hold heads and demands against what was read; add to `vouching` the heads that a key in force has signed."""
        found, demands, chain = self._found, self._demands, self._chain
        terms = terms_of(self._identity, self._replay.rotations, check, found)
        judgement = Judgement(terms, chain.roots, chain.reach, demands, check=check, found=found)
        judgement.take(self._heads)
        if vouching is not None:
            vouching += judgement.vouching
        base = judge_demands(judgement, demands, chain.roots, chain.reach, chain.entries, found)
        declared = self._identity is not None and self._identity.key is not None
        key = judge_key(terms, judgement, demands, found, declared=declared)
        self._tell_of_ledger()
        anchored = judgement.anchored
        return found.report(
            anchoring="anchored" if anchored is not None else "local" if judgement.anchored_locally else "none",
            key=key,
            entries=chain.entries,
            head=chain.head.hex() if chain.head is not None else None,
            root=chain.tree.root().hex() if chain.whole and chain.entries else None,
            sealed_to=judgement.sealed,
            anchored_to=anchored,
            unanchored=None if (anchored or 0) == chain.entries else anchored or 0,
            checked_from=self._from if chain.entries else None,
            base=base,
            cosigned=judgement.cosigned,
        )

    def _tell_of_ledger(self) -> None:
        created = self._replay.created
        if created is not None and created.predecessor is not None:
            old = created.predecessor
            message = f"It continues {old.origin}, whose key is not trusted after {old.size} entries: {old.reason}"
            self._found.note(0, "continues", message)
        for seq, event in self._replay.recovered:
            if event.quarantine:
                name = os.path.basename(event.quarantine)
                # Where lines were written anew, `digest` is theirs: what stood behind them is named by its own.
                self._check_quarantine(seq, name, event.digest if event.kind == "torn" else name.partition("-")[2])

    def _check_quarantine(self, seq: int, name: str, digest: str) -> None:
        """What a repair cut off was never acknowledged, so that its loss is told, and no more; a change of it is one.

        `digest` is the beginning of its SHA-256 in hex, or all of it.
        """
        shown = f"quarantine/{ascii(name)[1:-1]}"
        try:
            fd = self._disk.open(f"{self._folder}/quarantine/{name}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                data = self._disk.read(fd, MAX_TORN + 1, 0)
            finally:
                self._disk.close(fd)
        except OSError:
            message = f"What a repair cut off does not lie under {shown} any more."
            self._found.note(seq, "quarantine_missing", message)
            return
        if not digest or not sha256(data).hexdigest().startswith(digest):
            self._found.contradiction(EVIDENCE, seq, "quarantine_changed", f"{shown} does not hold what was cut off.")
