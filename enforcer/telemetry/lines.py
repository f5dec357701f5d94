"""Files of lines, as a follower needs them: read from where it stopped, and written so that a crash leaves no doubt.

An output is known by its length. The cursor that stores the length is moved only after the bytes are on stable storage,
so whatever stands beyond it was written by a run that did not finish, and is cut away before anything is added.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from enforcer.ports import Disk, Entropy

BLOCK = 1 << 20


def read_lines(disk: Disk, path: str, start: int) -> Iterator[tuple[bytes, int]]:
    """The complete lines from the byte offset `start` on, each without its newline and with the offset behind it.

    What follows the last newline is left for the next time: its writer may not be done. Raises `OSError`.
    """
    fd = disk.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        held, offset = b"", start
        while block := disk.read(fd, BLOCK, offset + len(held)):
            *lines, held = (held + block).split(b"\n")
            for line in lines:
                offset += len(line) + 1
                yield line, offset
    finally:
        disk.close(fd)


def length(disk: Disk, path: str) -> int | None:
    """The size of a file in bytes; None where there is none."""
    try:
        fd = disk.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        return disk.size(fd)
    finally:
        disk.close(fd)


def extend(disk: Disk, path: str, data: bytes) -> None:
    """Add bytes at the end; on stable storage, the file's name included, when this returns."""
    known = disk.exists(path)
    fd = disk.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        disk.append(fd, data)
        disk.datasync(fd)
    finally:
        disk.close(fd)
    if not known:
        disk.sync_folder(os.path.dirname(path))


def cut(disk: Disk, path: str, size: int, *, entropy: Entropy) -> None:
    """Keep the first `size` bytes. The file holds all of its bytes or just these, whenever this is interrupted."""
    temporary = f"{path}.{entropy.token(8).hex()}.new"
    source = disk.open(path, os.O_RDONLY)
    try:
        target = disk.open(temporary, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL)
        try:
            for offset in range(0, size, BLOCK):
                disk.append(target, disk.read(source, min(BLOCK, size - offset), offset))
            disk.sync(target)
        finally:
            disk.close(target)
        disk.rename(temporary, path)
    except OSError:
        if disk.exists(temporary):
            disk.unlink(temporary)
        raise
    finally:
        disk.close(source)
    disk.sync_folder(os.path.dirname(path))


def set_aside(disk: Disk, path: str) -> str:
    """Rename `name.jsonl` to the first free `name.<number>.jsonl`, and return that name's path."""
    stem, suffix = os.path.splitext(path)
    number = 1
    while disk.exists(f"{stem}.{number}{suffix}"):
        number += 1
    aside = f"{stem}.{number}{suffix}"
    disk.rename(path, aside)
    disk.sync_folder(os.path.dirname(path))
    return aside
