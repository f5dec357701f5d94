"""What a crash or a failed sync left at the end of the last segment: how it is told from damage, and put right.

A writer that is stopped leaves a line without its end, or where the machine lost power, bytes that were never written
out. That is **torn**, and only this: bytes after the last complete, chaining line of the last segment; above every
checkpoint; none of their complete lines a JSON object, and none of them known to be on stable storage. They are copied
to `quarantine/` and cut off. Everything else is damage: nothing is changed.

After a failed sync the pages above the last synced offset are in memory alone, and marked as if they were on the disk.
So the segment is **written anew** under another inode: copied, synced, and put in the old one's place.

Whatever stops a repair, the next one begins it again and ends in the same state.
"""

from __future__ import annotations

import os
from hashlib import sha256

from enforcer.ledger.codec import JsonFault, parse_line
from enforcer.ledger.entry import MAX_LEAF, BadLine, leaf_hash, parse_frame
from enforcer.ledger.segments import CHUNK, damaged, line_before, unreadable
from enforcer.ports import read_file, write_durably
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from enforcer.errors import DamagedError
    from enforcer.ledger.commit import Mark
    from enforcer.ledger.segments import Segment, Segments
    from enforcer.ledger.store import Identity
    from enforcer.ports import Disk, Entropy

MAX_TORN = 1 << 24  # Bytes. What many writers had under way when the power went is far less; more is somebody's doing.
MAX_NOTE = 1 << 16


class Unsynced(Record):
    """A segment after a failed sync: complete, chaining lines from byte `start` to `end`, then `rest`.

    `start` is not above the last synced offset; `digest` is the SHA-256 of the lines.
    """

    start: int
    end: int
    digest: str
    rest: bytes


class Repairs:
    """Repairs of one ledger. Every method is called under the append lock."""

    def __init__(self, folder: str, identity: Identity, segments: Segments, *, disk: Disk, entropy: Entropy) -> None:
        self._folder, self._identity, self._segments = folder, identity, segments
        self._disk, self._entropy = disk, entropy

    def last(self) -> Segment:
        """The last segment there is."""
        return self._segments.open(self._segments.check())

    def torn(self, segment: Segment, end: int, seq: int, synced: int, why: BadLine | None) -> bytes:
        """The bytes after `end`, where line `seq` would begin, if they are torn. Raises `DamagedError` if not.

        `why` is what was wrong with the first complete line among them; `synced` bytes are on stable storage.
        """
        rest = self._rest(segment, end, seq)
        first = rest.find(b"\n") + 1
        if first and (end + first <= synced or _tells(rest)):
            code, what = (why.code, str(why)) if why else ("torn", "entries stand behind bytes that are none")
            raise damaged(f"ledger_{code}", segment.path, end, seq, what)
        if end < synced <= segment.size():  # A record of more than there is speaks of a file that was cut off.
            what = f"{synced - end} bytes were on stable storage as lines, and are none any more"
            raise damaged("ledger_torn", segment.path, end, seq, what)
        self._above_checkpoints(segment, end, seq)
        return rest

    def unsynced(self, segment: Segment, record: Mark, synced: int) -> Unsynced:
        """What a segment holds after a failed sync. Raises `DamagedError` where that is not all that is wrong.

        `synced` bytes are known to have been on stable storage, by a record of this boot and this file; 0: unknown.
        """
        start, prev, seq = self._ground(segment, min(record.offset, segment.size()))
        digest, end = sha256(), start
        for line in _complete(segment, start):
            following = self._follows(line, prev, seq)
            if following is None:
                break
            digest.update(line + b"\n")
            prev, seq, end = following, seq + 1, end + len(line) + 1
        rest = self._rest(segment, end, seq)
        # Lines whose pages were lost may well have others behind them. Who does not know what was synced, though, does
        # not know either that these were not.
        if not synced and _tells(rest):
            raise damaged("ledger_torn", segment.path, end, seq, "entries stand behind bytes that are none")
        self._above_checkpoints(segment, end, seq)
        return Unsynced(start, end, digest.hexdigest(), rest)

    def keep(self, offset: int, rest: bytes) -> str:
        """Copy bytes to `quarantine/`, durably; returns the file's name. `OSError` passes."""
        name = f"{offset:020}-{sha256(rest).hexdigest()[:16]}"
        self._disk.make_folder(f"{self._folder}/quarantine")
        write_durably(self._disk, f"{self._folder}/quarantine/{name}", rest, entropy=self._entropy)
        return name

    def kept(self, offset: int, digest: str = "") -> str:
        """The name under which bytes from `offset` were kept; empty where none were. Raises `UnavailableError`."""
        start = f"{offset:020}-{digest[:16]}"
        folder = f"{self._folder}/quarantine"
        try:
            names = [name for name in self._disk.listing(folder) if name.startswith(start)]
        except OSError as error:
            raise unreadable(folder, error) from error
        return next((name for name in reversed(names) if len(name) == 37), "")

    def bears_out(self, done: Mark, *, torn: bool) -> bool:
        """Whether the bytes that a record tells of are there: in quarantine if they were `torn` off, else in place."""
        try:
            if torn:
                name = self.kept(done.offset, done.digest)
                data = read_file(self._disk, f"{self._folder}/quarantine/{name}") if name else b""
            else:
                segment = self._segments.open(done.first)
                data = segment.read(min(done.size, segment.size()), done.start)
        except OSError as error:
            raise unreadable(self._folder, error) from error
        return len(data) == done.size and sha256(data).hexdigest() == done.digest

    def rewrite(self, segment: Segment, end: int) -> Segment:
        """Put a copy of the segment's first `end` bytes in its place, on stable storage. `OSError` passes."""
        temporary = f"{self._folder}/anew"
        if self._disk.exists(temporary):
            self._disk.unlink(temporary)  # A repair before this one was stopped.
        fd = self._disk.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW)
        try:
            for offset in range(0, end, CHUNK):
                self._disk.append(fd, segment.read(min(CHUNK, end - offset), offset))
            self._disk.sync(fd)
        finally:
            self._disk.close(fd)
        self._disk.rename(temporary, segment.path)
        fresh = self._segments.open(segment.first, writable=True)
        self._segments.settle(fresh)
        return fresh

    # Inside ----------------------------------------------------------------------------------------------------------

    def _rest(self, segment: Segment, end: int, seq: int) -> bytes:
        size = segment.size() - end
        if size > MAX_TORN:
            raise damaged("ledger_torn", segment.path, end, seq, f"{size} bytes follow that are no entry")
        return segment.read(size, end)

    def _above_checkpoints(self, segment: Segment, end: int, seq: int) -> None:
        sealed = sealed_size(self._folder, self._identity.origin, self._disk)
        if seq < sealed:
            what = f"there are {seq} entries before bytes that are none, and a checkpoint of {sealed}"
            raise damaged("ledger_torn", segment.path, end, seq, what)

    def _ground(self, segment: Segment, offset: int) -> tuple[int, str, int]:
        """Where the first line begins that is not wholly below `offset`, and the hash and number before it."""
        start, line = line_before(segment, offset)
        if start >= 0:
            return start + len(line) + 1, leaf_hash(line), self._number(segment, start, line) + 1
        if not segment.first:
            return 0, self._identity.genesis, 0
        return 0, leaf_hash(self._segments.line(segment.first - 1)), segment.first

    def _number(self, segment: Segment, offset: int, line: bytes) -> int:
        try:
            seq: int = parse_frame(line)["seq"]
        except BadLine as bad:
            raise self._damaged_by(bad, segment, offset) from bad
        return seq

    def _damaged_by(self, bad: BadLine, segment: Segment, offset: int) -> DamagedError:
        return damaged(f"ledger_{bad.code}", segment.path, offset, None, str(bad))

    def _follows(self, line: bytes, prev: str, seq: int) -> str | None:
        """The leaf hash of a line that is the next one; None for any other."""
        try:
            frame = parse_frame(line)
        except BadLine:
            return None
        fits = (frame["seq"], frame["prev"], frame["event"]["source"]) == (seq, prev, self._identity.origin)
        return leaf_hash(line) if fits else None


def sealed_size(folder: str, origin: str, disk: Disk) -> int:
    """How many entries the checkpoints of a ledger vouch for, by what they say; no signature is asked for.

    Raises `UnavailableError` where they cannot be read: what is not known to be unsealed is not cut off.
    """
    try:
        names = [name for name in disk.listing(f"{folder}/checkpoints") if len(name) < 20 and name.isdecimal()]
        # A name alone says nothing. The largest file is nearly always one that counts, and the only one that is read.
        kept = (_size_in(f"{folder}/checkpoints/{name}", origin, disk) for name in sorted(names, key=int, reverse=True))
        return max(_size_in(f"{folder}/checkpoint", origin, disk), next((size for size in kept if size), 0))
    except OSError as error:
        raise unreadable(f"{folder}/checkpoint", error) from error


def _size_in(path: str, origin: str, disk: Disk) -> int:
    """The size that a checkpoint of this ledger names; 0 where there is none. `OSError` passes."""
    try:
        fd = disk.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return 0
    try:
        lines = disk.read(fd, MAX_NOTE, 0).split(b"\n")
    finally:
        disk.close(fd)
    named = len(lines) > 3 and lines[0] == origin.encode() and lines[1].isdigit() and len(lines[1]) < 20
    return int(lines[1]) if named else 0


def _tells(rest: bytes) -> bool:
    """Whether a complete line is a JSON object: an entry, or something that was made of one."""
    return any(_is_object(line) for line in rest.split(b"\n")[:-1])


def _is_object(line: bytes) -> bool:
    if not line.startswith(b"{") or len(line) > MAX_LEAF:
        return False
    try:
        return isinstance(parse_line(line), dict)
    except JsonFault:
        return False


def _complete(segment: Segment, offset: int) -> Iterator[bytes]:
    rest, size = b"", segment.size()
    while offset < size and (data := segment.read(min(CHUNK, size - offset), offset)):
        offset += len(data)
        *lines, rest = (rest + data).split(b"\n")
        yield from lines
        if len(rest) > MAX_LEAF:
            return
