"""Reads a ledger from its first byte to its last and says what holds: `enforcer verify`.

It uses no cache, no state of a running store and no lock, and it does not stop at the first fault: after a damaged
line the next one is held against the bytes that stand there. So every finding comes out, and whoever repairs knows
how far the damage goes. Memory is bounded by the tasks and the digests that the ledger names, not by its length.
"""

from __future__ import annotations

import os

from enforcer.errors import DamagedError, RequestError
from enforcer.ledger.entry import MAX_LEAF, BadLine, genesis_hash, parse_frame
from enforcer.ledger.holdings import Holdings
from enforcer.ledger.lines import Lines
from enforcer.ledger.note import parse_vkey
from enforcer.ledger.replay import Replay
from enforcer.ledger.report import EVIDENCE, INTEGRITY, KEY, LEGALITY, Finding, Findings, Report
from enforcer.ledger.store import parse_identity
from enforcer.ports import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from enforcer.ledger.holdings import Objects
    from enforcer.ledger.store import Identity
    from enforcer.ports import Disk
    from enforcer.workflow.process import Process

__all__ = ["Finding", "Report", "verify"]

_SUFFIX = ".jsonl"


def verify(
    folder: str,
    *,
    disk: Disk,
    objects: Objects,
    processes: Callable[[str], Process],
    known: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Verify the ledger in `folder` (`state/ledger`), with `objects` and the margins beside it.

    `processes` loads a stored process by digest. `known` is the id of the ledger last seen here, remembered where who
    writes `state` need not be able to write: another one in its place is a contradiction. `progress` is called with
    the bytes read so far and those there are.
    Whatever is found is in the report; a ledger that is not there is `unverifiable`.
    """
    found = Findings()
    try:
        data = read_file(disk, f"{folder}/ledger.json")
    except OSError as error:
        return _nothing(found, *_unread_identity(error))
    try:
        identity = parse_identity(data, f"{folder}/ledger.json")
    except DamagedError as error:
        if error.code == "ledger_unknown_format":
            return _nothing(found, error.code, error.message)
        found.contradiction(INTEGRITY, None, error.code, error.message)
        identity = None
    if identity is not None and known not in (None, identity.id):
        message = f"This is the ledger {identity.id}, and {known} was the one seen here before."
        found.contradiction(KEY, None, "ledger_replaced", message)
    replay = Replay(found, Holdings(os.path.dirname(folder), disk=disk, objects=objects, found=found), processes)
    chain = _Chain(genesis_hash(data), identity.origin if identity else None, found, replay)
    _read_segments(f"{folder}/seg", chain, found, disk, progress or _silent)
    if not chain.entries:
        _nothing(found, "ledger_empty", "The ledger has no entry.")
    return found.report(entries=chain.entries, head=chain.head, key=_declared_key(identity, found))


class _Chain:
    """Holds each line against the one before it. Where a line departs, it goes on from what that line says."""

    def __init__(self, genesis: str, origin: str | None, found: Findings, replay: Replay) -> None:
        self._origin, self._found, self._replay = origin, found, replay
        self.prev: str | None = genesis
        self.next = 0
        self._ts = 0
        self.entries = 0
        self.head: str | None = None

    def take(self, leaf: bytes | None, hash: str) -> None:
        """The next line: `leaf` is None where it is too long to be one."""
        seq = self.next
        frame = self._read(leaf, seq)
        if frame is not None:
            self._check(frame, seq)
            self._replay.take(frame, hash)
        self.next = (seq if frame is None else frame["seq"]) + 1
        self.prev = self.head = hash
        self.entries += 1

    def skip(self, seq: int) -> None:
        """Lines are missing up to `seq`, so the next one cannot be held against anything."""
        self.prev, self.next, self._replay.broken = None, seq, True

    def _read(self, leaf: bytes | None, seq: int) -> dict[str, Any] | None:
        if leaf is None:
            message = f"The line is longer than the {MAX_LEAF} bytes that a line can have."
            self._found.contradiction(INTEGRITY, seq, "too_long", message)
            return None
        try:
            return parse_frame(leaf)
        except BadLine as bad:
            if bad.code == "unknown_version":
                self._replay.broken = True
                for part in (INTEGRITY, LEGALITY):
                    self._found.gap(part, seq, bad.code, f"Not judged: {bad}.")
            else:
                self._found.contradiction(INTEGRITY, seq, bad.code, f"The line cannot be read: {bad}.")
        return None

    def _check(self, frame: dict[str, Any], seq: int) -> None:
        if frame["seq"] != seq:
            self._contradict(seq, "out_of_order", f"The line says that it is entry {frame['seq']}, and {seq} was next")
        if frame["prev"] != self.prev and self.prev is not None:
            if self.entries:
                # Whoever changes a line breaks the link of the next one to it, so it is the earlier one that is named.
                message = f"Entry {seq} was written after other bytes than these: one of the two was changed"
                self._contradict(max(0, seq - 1), "chain_broken", message)
            else:
                self._contradict(seq, "genesis_broken", "The first line does not follow this `ledger.json`")
        if frame["ts"] < self._ts:
            self._contradict(frame["seq"], "time_reversed", "It is dated before the line above it")
        self._ts = max(self._ts, frame["ts"])
        source = frame["event"]["source"]
        if self._origin is not None and source != self._origin:
            self._contradict(frame["seq"], "foreign", f"It is an entry of another ledger, {source[:80]!a}")

    def _contradict(self, seq: int, code: str, message: str) -> None:
        self._found.contradiction(INTEGRITY, seq, code, message + ".")


def _read_segments(
    folder: str, chain: _Chain, found: Findings, disk: Disk, progress: Callable[[int, int], None]
) -> None:
    names = []
    for name in disk.listing(folder):
        if len(name) == 20 + len(_SUFFIX) and name.endswith(_SUFFIX) and name[:20].isdecimal() and name.isascii():
            names.append(name)
        else:
            found.note(None, "segment_unexpected", f"{name[:80]!a} is not a segment, and was not read.")
    opened, done = [], 0
    if not names:
        found.gap(INTEGRITY, 0, "segment_missing", "There is no segment.")
    for name in names:
        try:
            fd = disk.open(f"{folder}/{name}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            found.gap(INTEGRITY, int(name[:20]), "segment_unreadable", f"{name}: {error.strerror}.")
        else:
            opened.append((name, fd))
    try:
        sizes = [disk.size(fd) for _, fd in opened]
        for (name, fd), size in zip(opened, sizes, strict=True):
            _enter_segment(name, chain, found)
            lines = Lines(fd, size, disk)
            _read_lines(name, lines, chain, found, last=name == names[-1], report=_counter(progress, done, sum(sizes)))
            done += size
    finally:
        for _, fd in opened:
            disk.close(fd)


def _enter_segment(name: str, chain: _Chain, found: Findings) -> None:
    first = int(name[:20])
    if first > chain.next:
        message = f"The segments with the entries {chain.next} to {first - 1} are missing."
        found.gap(INTEGRITY, chain.next, "segment_missing", message)
        chain.skip(first)
    elif first < chain.next:
        message = f"{name} begins with entry {first} by its name, and {chain.next} was next."
        found.contradiction(INTEGRITY, chain.next, "segment_misplaced", message)


def _read_lines(
    name: str, lines: Lines, chain: _Chain, found: Findings, *, last: bool, report: Callable[[int], None]
) -> None:
    read = -1
    try:
        for leaf, digest in lines:
            chain.take(leaf, digest)
            if lines.read != read:
                read = lines.read
                report(read)
    except OSError as error:
        found.gap(INTEGRITY, chain.next, "segment_unreadable", f"{name}, byte {lines.read}: {error.strerror}.")
        return
    report(lines.read)
    if not lines.torn:
        return
    message = f"{lines.torn} bytes of {name} follow the last complete line, from byte {lines.read - lines.torn} on."
    if last:
        # A write that a crash cut off: nothing of it was ever acknowledged.
        found.note(chain.next, "torn_tail", message)
    else:
        found.contradiction(INTEGRITY, chain.next, "segment_torn", message)


def _counter(progress: Callable[[int, int], None], done: int, total: int) -> Callable[[int], None]:
    return lambda read: progress(done + read, total)


def _silent(done: int, total: int) -> None:
    """Nobody wants to know."""


def _unread_identity(error: OSError) -> tuple[str, str]:
    if isinstance(error, FileNotFoundError):
        return "ledger_missing", "There is no `ledger.json`, so there is no ledger here to verify."
    return "ledger_unreadable", f"`ledger.json` cannot be read: {error.strerror}."


def _nothing(found: Findings, code: str, message: str) -> Report:
    """Nothing could be verified, and nothing is claimed of any part."""
    found.gap(INTEGRITY, None, code, message)
    found.doubt(LEGALITY, EVIDENCE)
    return found.report()


def _declared_key(identity: Identity | None, found: Findings) -> str:
    """A ledger that names a key does not vouch for it: whoever can rewrite the one can name the other."""
    if identity is None or identity.key is None:
        return "none"
    try:
        if parse_vkey(identity.key).name != identity.origin:
            found.gap(KEY, None, "bad_vkey", "The key that `ledger.json` names is of another name.")
    except RequestError as error:
        found.gap(KEY, None, error.code, error.message)
    return "self-declared"
