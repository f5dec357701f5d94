"""Where the lines lie: files of 65,536 lines each, and any line found by its number.

    seg/<20 digits>.jsonl    the digits are the number of the file's first line, a multiple of 65,536

Which file a line is in follows from its number alone, and where in the file is found by halving, because every line
says its number: no index exists that could be wrong. All files but the last one are complete; one that is missing, or
ends early or late, is damage, and is said to be so where it is met.
"""

from __future__ import annotations

import os
from contextlib import suppress

from enforcer.errors import DamagedError, UnavailableError
from enforcer.ledger.entry import MAX_LEAF, BadLine, parse_frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from enforcer.ports import Disk

LINES = 65_536
CHUNK = 1 << 20

# How a line goes on after its event: the hash before, then its own number.
_PREV, _SEQ = b',"prev":"', b'","seq":'
_TO_SEQ = len(_PREV) + 64 + len(_SEQ)
WINDOW = 1 << 12
SUFFIX = ".jsonl"

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
_WRITE = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK


def segment_name(first: int) -> str:
    """The file name of the segment whose first line has this number."""
    return f"{first:020}{SUFFIX}"


class Segment:
    """An open segment. Its descriptor is given back with the last reference, so no reader loses it to a writer.

    `place` is its device and inode: a file of the same name that was put there since is another one.
    """

    def __init__(self, first: int, path: str, fd: int, *, writable: bool, disk: Disk) -> None:
        self.first, self.path, self.fd, self.writable = first, path, fd, writable
        self._disk = disk
        self.place = disk.identify(fd)

    def __del__(self) -> None:
        with suppress(OSError):
            self._disk.close(self.fd)

    def size(self) -> int:
        """Its bytes. Raises `UnavailableError`."""
        try:
            size = self._disk.size(self.fd)
            if not size:
                self._disk.read(self.fd, 1, 0)  # Which a pipe refuses; it would otherwise pass for an empty file.
            return size
        except OSError as error:
            raise unreadable(self.path, error) from error

    def read(self, size: int, offset: int) -> bytes:
        """At most `size` bytes from `offset` on. Raises `UnavailableError`."""
        try:
            return self._disk.read(self.fd, size, offset)
        except OSError as error:
            raise unreadable(self.path, error) from error


class Segments:
    """The segments of one ledger. `folder` is `state/ledger`; `lines` is how many of them a segment holds."""

    def __init__(self, folder: str, *, lines: int, disk: Disk) -> None:
        self._folder, self._parent, self.lines, self._disk = f"{folder}/seg", folder, lines, disk

    def first_of(self, seq: int) -> int:
        """The number of the first line of the segment that holds, or will hold, line `seq`."""
        return seq - seq % self.lines

    def path(self, first: int) -> str:
        return f"{self._folder}/{segment_name(first)}"

    def check(self) -> int:
        """The first line of the last segment. Raises `DamagedError` where one is missing in the middle.

        Raises `UnavailableError` where there is none, or the folder cannot be read.
        """
        last = -self.lines
        try:
            names = self._disk.listing(self._folder)
        except OSError as error:
            raise unreadable(self._folder, error) from error
        for name in names:
            if not _is_segment(name):
                continue
            if name != segment_name(last + self.lines):
                missing = self.path(last + self.lines)
                raise damaged("ledger_gap", missing, 0, last + self.lines, f"there is {name}, and not what it follows")
            last += self.lines
        if last < 0:
            raise unavailable("segment_missing", "it has no segment", self.path(0))
        return last

    def open(self, first: int, *, writable: bool = False) -> Segment:
        """Open a segment. Raises `UnavailableError`: `ledger_not_writable`, `ledger_unreadable`, `segment_missing`."""
        path = self.path(first)
        try:
            fd = self._disk.open(path, _WRITE if writable else _READ)
        except OSError as error:
            what = f"{error.strerror}: {path}"
            if writable:
                raise unavailable("ledger_not_writable", what, self._parent) from error
            if not isinstance(error, FileNotFoundError):
                raise unreadable(path, error) from error
            raise unavailable("segment_missing", what, self._parent) from error
        return self._held(first, path, fd, writable=writable)

    def exists(self, first: int) -> bool:
        """Whether there is a segment of that name."""
        try:
            self._disk.look(self.path(first))
        except FileNotFoundError:
            return False
        except OSError as error:
            raise unreadable(self.path(first), error) from error
        return True

    def begin(self, first: int) -> Segment:
        """The empty segment in which line `first` will stand: made, unless a crash left it here. `OSError` passes."""
        path = self.path(first)
        try:
            fd = self._disk.open(path, _WRITE | os.O_CREAT | os.O_EXCL)
        except FileExistsError:
            fd = self._disk.open(path, _WRITE)
        return self._held(first, path, fd, writable=True)

    def settle(self, segment: Segment) -> None:
        """Put an empty segment and its name on stable storage, with the folders it stands in. `OSError` passes."""
        self._disk.sync(segment.fd)
        self._disk.sync_folder(self._folder)
        if not segment.first:
            self._disk.sync_folder(self._parent)
            self._disk.sync_folder(os.path.dirname(self._parent))

    def _held(self, first: int, path: str, fd: int, *, writable: bool) -> Segment:
        try:
            return Segment(first, path, fd, writable=writable, disk=self._disk)
        except OSError as error:
            raise unreadable(path, error) from error

    # Lines -----------------------------------------------------------------------------------------------------------

    def lines_from(self, start: int, end: int, *, mark: bytes = b"") -> Iterator[tuple[int, bytes]]:
        """Number and bytes of the lines from `start` to before `end`, across segments; `mark`: those that hold it.

        Raises `DamagedError` where lines are gone, and `UnavailableError`.
        """
        while start < end:
            segment = self.open(self.first_of(start))
            stop = min(end, segment.first + self.lines)
            reached = self.find(segment, start) if start > segment.first else 0
            for seq, after, line in _walk(segment, start, reached, stop, mark):
                reached = after
                if mark in line:
                    yield seq, line
            if stop < end and segment.size() != reached:
                raise damaged("ledger_gap", segment.path, reached, stop, "bytes follow the last line of a full segment")
            start = stop

    def line(self, seq: int) -> bytes:
        """One line. Raises as `lines_from` does."""
        return next(line for _, line in self.lines_from(seq, seq + 1))

    def find(self, segment: Segment, seq: int) -> int:
        """Where line `seq` begins. Raises `DamagedError` where it does not stand in its segment."""
        low, high = 0, segment.size()
        while low < high:
            middle = (low + high) // 2
            found = _line_after(segment, middle, high)
            if found is None or found[1] >= seq:
                if found is not None and found[1] == seq:
                    return found[0]
                high = middle
            else:
                low = middle + 1
        raise damaged("ledger_gap", segment.path, low, seq, f"entry {seq} does not stand where it should")


def line_before(segment: Segment, offset: int) -> tuple[int, bytes]:
    """Start and bytes of the last complete line that ends at `offset` or before it; -1 where there is none."""
    begin = max(0, offset - 2 * (MAX_LEAF + 1))
    window = segment.read(offset - begin, begin)
    end = window.rfind(b"\n")
    if end < 0:
        return -1, b""
    start = window.rfind(b"\n", 0, end) + 1
    return begin + start, window[start:end]


def number_of(line: bytes, path: str, offset: int) -> int:
    """The number that a line says it has. Raises `DamagedError`.

    Of a line that ends as all lines do no more is looked at: whoever searches reads what was found anyway.
    """
    at = line.rfind(_PREV) + _TO_SEQ
    digits = line[at : line.find(b",", at)]
    if line[at - len(_SEQ) : at] == _SEQ and digits.isdigit():
        return int(digits)
    try:
        seq: int = parse_frame(line)["seq"]
    except BadLine as bad:
        raise damaged(f"ledger_{bad.code}", path, offset, None, str(bad)) from bad
    return seq


def _walk(segment: Segment, seq: int, offset: int, stop: int, mark: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Number, end and bytes of the lines from `seq`, which begins at `offset`, to before `stop`.

    Chunks without the mark are only counted. The last line comes whatever it holds.
    """
    rest = b""
    while seq < stop:
        more = segment.read(CHUNK, offset + len(rest))
        if not more:
            raise damaged("ledger_cut", segment.path, offset, seq, "lines that were there before are gone")
        data = rest + more
        if len(data) > MAX_LEAF and b"\n" not in data:
            raise damaged("ledger_malformed", segment.path, offset, seq, "a line is longer than any line can be")
        if mark and mark not in data and seq + (count := data.count(b"\n")) < stop:
            complete = data.rfind(b"\n") + 1
            rest, seq, offset = data[complete:], seq + count, offset + complete
            continue
        *lines, rest = data.split(b"\n")
        for line in lines[: stop - seq]:
            offset += len(line) + 1
            if mark in line or seq == stop - 1:
                yield seq, offset, line
            seq += 1


def _line_after(segment: Segment, offset: int, end: int) -> tuple[int, int] | None:
    """Offset and number of the first line that begins at `offset` or after it, and before `end`."""
    start = offset
    if offset:
        skipped = _up_to_newline(segment, offset - 1)
        if skipped is None:
            return None
        start += len(skipped)
    line = _up_to_newline(segment, start) if start < end else None
    return (start, number_of(line, segment.path, start)) if line is not None else None


def _up_to_newline(segment: Segment, offset: int) -> bytes | None:
    """The bytes from `offset` to before the next newline; None where there is none as far as a line can reach."""
    for size in (WINDOW, MAX_LEAF + 1):
        line, newline, _ = segment.read(size, offset).partition(b"\n")
        if newline:
            return line
    return None


def _is_segment(name: str) -> bool:
    digits = name.removesuffix(SUFFIX)
    return digits != name and len(digits) == 20 and digits.isascii() and digits.isdecimal()


def damaged(code: str, path: str, offset: int, seq: int | None, what: str) -> DamagedError:
    """What is wrong with the ledger, and where."""
    where = f"{path}, byte {offset}" + (f", entry {seq}" if seq is not None else "")
    fix = "Nothing was written. Look at it with: enforcer verify"
    return DamagedError(code, f"The ledger is damaged: {what}.", where=where, fix=fix)


def unavailable(code: str, what: str, where: str) -> UnavailableError:
    """Why the ledger cannot be used now."""
    fix = "Make the disk writable and sound again; what was acknowledged is still on the ledger."
    return UnavailableError(code, f"The ledger cannot be used: {what}.", where=where, fix=fix)


def unreadable(path: str, error: OSError) -> UnavailableError:
    """A disk that gave no answer."""
    return unavailable("ledger_unreadable", f"{error.strerror}: {path}", os.path.dirname(path))
