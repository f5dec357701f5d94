"""Reads the files that a worker hands in, from `state/evidence/<task>/<phase>/`, and trusts nothing about them.

Whoever wrote these files may still be writing: swapping a file for a link between a check and a read, growing it,
planting a pipe that never ends. So every component of the path is opened by itself, below the descriptor of the one
before and never through a symbolic link, a file is opened exactly once, and the bytes that this read returns are the
ones to be digested, judged and stored. No path is joined and opened again, and nothing is listed to read by name.

`state/` and its parents are the project's own and trusted; `evidence` and everything in it is not.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from _thread import get_ident

from enforcer.errors import RequestError, UnavailableError
from enforcer.evidence.descent import (
    Unsafe,
    failed_open,
    is_name,
    kind_in_words,
    open_folder,
    shown,
    shown_path,
    unreadable,
)
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# Without O_NONBLOCK opening a pipe waits for its writer; without O_NOCTTY opening a terminal can take it over.
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_NEW_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

MAX_LISTED = 10_000


class Limits(Record):
    """How much one read takes in, in bytes and files."""

    file_bytes: int = 4 << 20
    total_bytes: int = 16 << 20
    files: int = 64


class File(Record):
    """One evidence file: its bytes as they were read once, and the SHA-256 of exactly these bytes in hex."""

    name: str
    data: bytes
    digest: str
    size: int


class Problem(Record):
    """Why a file was not read; `code` is `evidence_missing` or `evidence_unsafe`, as in a refusal."""

    name: str
    code: str
    message: str
    fix: str


class Entry(Record):
    """A name that stands in a folder; `kind` is `file`, `folder`, `symlink` or `other`. Names may be hostile."""

    name: str
    kind: str


class Folder:
    """The evidence of one project, below the absolute path `root`."""

    def __init__(self, root: str, limits: Limits | None = None) -> None:
        self._root = root
        self._limits = limits or Limits()

    def read(self, task: str, phase: str, names: Iterable[str]) -> tuple[dict[str, File], tuple[Problem, ...]]:
        """The named files by name, and a problem for each name that was not read, in the order asked for.

        Raises `UnavailableError` (`evidence_unreadable`) where the disk itself does not answer.
        """
        asked = tuple(dict.fromkeys(names))
        path = (_checked(task), _checked(phase).lower())
        try:
            folder = open_folder(self._root, path)
        except FileNotFoundError:
            return {}, tuple(_missing(path, name) if is_name(name) else _misnamed(name) for name in asked)
        except Unsafe as unsafe:
            return {}, tuple(Problem(name, "evidence_unsafe", unsafe.message, unsafe.fix) for name in asked)
        try:
            return self._read_files(folder, path, asked)
        finally:
            os.close(folder)

    def listing(self, task: str = "", phase: str = "") -> tuple[tuple[Entry, ...], tuple[Problem, ...]]:
        """What stands in a phase's folder, or in a task's, or in the root, sorted by name; for audits, not for reading.

        Beyond 10,000 names the listing stops and a problem says so. A missing folder is an empty one.
        """
        path = tuple(part for part in (task and _checked(task), phase and _checked(phase).lower()) if part)
        where = shown_path(path)
        try:
            folder = open_folder(self._root, path)
        except FileNotFoundError:
            return (), ()
        except Unsafe as unsafe:
            return (), (Problem(where, "evidence_unsafe", unsafe.message, unsafe.fix),)
        try:
            entries = _list_folder(folder)
        finally:
            os.close(folder)
        if len(entries) <= MAX_LISTED:
            return entries, ()
        message = f"{where} holds more than {MAX_LISTED} names; the rest is not listed."
        return entries[:MAX_LISTED], (Problem(where, "evidence_unsafe", message, "Remove what is not evidence."),)

    def tasks(self) -> tuple[str, ...]:
        """The tasks that have a folder, sorted, at most 10,000 of them."""
        entries, _ = self.listing()
        return tuple(entry.name for entry in entries if entry.kind == "folder" and is_name(entry.name))

    def write(self, task: str, phase: str, name: str, data: bytes) -> None:
        """Put a whole file in place, creating the folders it needs; readers see the old bytes or the new, never a part.

        It follows no symbolic link, and replaces one that stands at `name`. It does not sync: what matters of evidence
        is stored elsewhere when it is accepted. Raises `RequestError` for a bad name and for more bytes than are ever
        read, `UnavailableError` (`evidence_unwritable`) where something is in the way.
        """
        path = (_checked(task), _checked(phase).lower())
        if len(data) > self._limits.file_bytes:
            limit = self._limits.file_bytes
            raise RequestError("evidence_too_large", f"{len(data)} bytes for {shown(name)}; the limit is {limit}.")
        _checked(name)
        where = f"{shown_path(path)}/{name}"
        try:
            folder = open_folder(self._root, path, create=True)
            try:
                _replace(folder, name, data)
            finally:
                os.close(folder)
        except (Unsafe, OSError) as error:
            reason = error.message if isinstance(error, Unsafe) else os.strerror(error.errno or 0)
            fix = "Clear what stands in the way, then try again."
            raise UnavailableError("evidence_unwritable", f"Cannot write: {reason}", where=where, fix=fix) from error

    def _read_files(
        self, folder: int, path: tuple[str, str], names: tuple[str, ...]
    ) -> tuple[dict[str, File], tuple[Problem, ...]]:
        files: dict[str, File] = {}
        problems = []
        left = self._limits.total_bytes
        for number, name in enumerate(names):
            if not is_name(name):
                problems.append(_misnamed(name))
                continue
            try:
                if number >= self._limits.files:
                    raise Unsafe(f"More than {self._limits.files} files are asked for.", "Ask for fewer files.")
                data = self._read_file(folder, name, left)
            except FileNotFoundError:
                problems.append(_missing(path, name))
            except Unsafe as unsafe:
                problems.append(Problem(name, "evidence_unsafe", unsafe.message, unsafe.fix))
            else:
                left -= len(data)
                files[name] = File(name, data, hashlib.sha256(data).hexdigest(), len(data))
        return files, tuple(problems)

    def _read_file(self, folder: int, name: str, left: int) -> bytes:
        try:
            fd = os.open(name, _FILE_FLAGS, dir_fd=folder)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise failed_open(error, name, folder, name) from error
        try:
            before = os.fstat(fd)
            self._check_file(name, before, left)
            data = _read_bytes(fd, before.st_size + 1)
            if len(data) != before.st_size or _changed(before, folder, name):
                raise Unsafe(f"{name} changed while it was read.", "Finish writing it first, then try again.")
            return data
        except OSError as error:
            raise unreadable(error, name) from error
        finally:
            os.close(fd)

    def _check_file(self, name: str, status: os.stat_result, left: int) -> None:
        if not stat.S_ISREG(status.st_mode):
            raise Unsafe(f"{name} is {kind_in_words(status.st_mode)}, not a regular file.")
        if status.st_nlink != 1:
            raise Unsafe(f"{name} has {status.st_nlink} links; evidence has exactly one.")
        if status.st_size > self._limits.file_bytes:
            message = f"{name} has {status.st_size} bytes; the limit is {self._limits.file_bytes}."
            raise Unsafe(message, "Shorten it; name big things by their digest.")
        if status.st_size > left:
            message = f"With {name} the evidence has more than {self._limits.total_bytes} bytes together."
            raise Unsafe(message, "Shorten the files; name big things by their digest.")


_SETTLED_NS = 2_000_000_000  # A link that was made or removed changes the time of the status, in steps of a few ms.


def _read_bytes(fd: int, size: int) -> bytes:
    """Up to `size` bytes from the start of the file, fewer only at its end."""
    data = os.read(fd, size)
    if len(data) >= size - 1:
        return data
    parts = [data]
    size -= len(data)
    while size > 0 and (data := os.read(fd, size)):
        parts.append(data)
        size -= len(data)
    return b"".join(parts)


def _changed(before: os.stat_result, folder: int, name: str) -> bool:
    """Whether the file that was opened is no longer this name's, or no longer what it was.

    The second look is by name: a hard link to a file elsewhere has two links when it is opened but one as soon as its
    name here is removed, so a count of one proves nothing unless the name still leads to the same file.

    For a moment while a name is removed, it leads to a file whose count has gone down already. Whoever swaps fast
    enough can be met in it, once. So where the file's status has changed a moment ago, there is one more look; the
    folder is read before it, which waits for whoever is changing it.
    """
    if _differs(before, folder, name):
        return True
    if time.time_ns() - before.st_ctime_ns > _SETTLED_NS:
        return False
    with os.scandir(folder) as entries:
        next(entries, None)
    return _differs(before, folder, name)


def _differs(before: os.stat_result, folder: int, name: str) -> bool:
    try:
        after = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return True
    return _identity(before) != _identity(after)


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return (
        status.st_dev,
        status.st_ino,
        status.st_nlink,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def _replace(folder: int, name: str, data: bytes) -> None:
    # The leading dot keeps the temporary name outside the names of evidence.
    temporary = f".{name}.{os.getpid()}.{get_ident()}.new"
    try:
        os.unlink(temporary, dir_fd=folder)
    except FileNotFoundError:
        pass
    fd = os.open(temporary, _NEW_FLAGS, 0o644, dir_fd=folder)
    try:
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(fd, rest) :]
        finally:
            os.close(fd)
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        os.unlink(temporary, dir_fd=folder)
        raise


def _list_folder(folder: int) -> tuple[Entry, ...]:
    """At most one entry more than the limit, so that the caller can tell."""
    entries: list[Entry] = []
    with os.scandir(folder) as found:
        for item in found:
            if len(entries) > MAX_LISTED:
                break
            entries.append(Entry(item.name, _kind(item)))
    return tuple(sorted(entries, key=lambda entry: entry.name))


def _kind(item: os.DirEntry[str]) -> str:
    if item.is_symlink():
        return "symlink"
    if item.is_file(follow_symlinks=False):
        return "file"
    return "folder" if item.is_dir(follow_symlinks=False) else "other"


def _missing(path: tuple[str, str], name: str) -> Problem:
    where = f"{shown_path(path)}/{name}"
    fix = f"Write {where}; `enforcer scaffold {path[0]}` makes a form to start from."
    return Problem(name, "evidence_missing", f"{where} does not exist.", fix)


def _misnamed(name: str) -> Problem:
    fix = "Use letters, digits, dot, underscore and hyphen, a letter or digit first, at most 128 in all."
    return Problem(name, "evidence_unsafe", f"{shown(name)} is not a name for evidence.", fix)


def _checked(part: str) -> str:
    if not is_name(part):
        raise RequestError("name_invalid", f"{shown(part)} cannot be part of the path of evidence.")
    return part
