"""Opens folders of evidence one component at a time, each below the descriptor of the one before it.

A path that is checked and then opened can change in between; a descriptor cannot. No component is opened through a
symbolic link, and each is one plain name, so nothing leads out of the folder that the descent began in.
"""

from __future__ import annotations

import errno
import os
import stat

from enforcer.errors import UnavailableError

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_NAME_CHARACTERS = _LETTERS | frozenset("._-")
MAX_NAME = 128

_REPLACE_FIX = "Remove it and put a regular file of your own with that name in its place."


class Unsafe(Exception):
    """A folder or file that must not be read, on its way to becoming a `Problem`."""

    def __init__(self, message: str, fix: str = _REPLACE_FIX) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix


def is_name(text: str) -> bool:
    """Whether `text` may name an artifact, a task or a phase: `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`."""
    return 0 < len(text) <= MAX_NAME and text[0] in _LETTERS and _NAME_CHARACTERS.issuperset(text)


def open_folder(root: str, path: tuple[str, ...], *, create: bool = False) -> int:
    """A descriptor of the folder `path` below the absolute `root`, made on the way if `create`.

    Raises `FileNotFoundError` where a component is missing, `Unsafe` where one is not a folder or may not be read, and
    `UnavailableError` where the disk does not answer.
    """
    if create:
        _make_folder(root, None)
    folder = _open_part(root, None, shown_path(()))
    for depth, part in enumerate(path, 1):
        try:
            if create:
                _make_folder(part, folder)
            inner = _open_part(part, folder, shown_path(path[:depth]))
        finally:
            os.close(folder)
        folder = inner
    return folder


def _open_part(name: str, parent: int | None, where: str) -> int:
    try:
        return os.open(name, _FOLDER_FLAGS, dir_fd=parent)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise failed_open(error, name, parent, where) from error


def _make_folder(name: str, parent: int | None) -> None:
    try:
        os.mkdir(name, 0o755, dir_fd=parent)
    except FileExistsError:
        pass


def failed_open(error: OSError, name: str, parent: int | None, where: str) -> Exception:
    """What an open that failed means. The second look only words the answer; whatever it sees, nothing is read."""
    if error.errno not in (errno.ELOOP, errno.ENOTDIR, errno.ENXIO, errno.EACCES, errno.EPERM, errno.EMLINK):
        return unreadable(error, where)
    if error.errno in (errno.EACCES, errno.EPERM):
        return Unsafe(f"{where} may not be read by this user.", "Give this user the right to read it.")
    try:
        kind = kind_in_words(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
    except OSError:
        kind = "not what it was a moment ago"
    return Unsafe(f"{where} is {kind}; it is not followed or read.")


def unreadable(error: OSError, where: str) -> UnavailableError:
    """The error for a disk that does not answer, which says nothing about the evidence."""
    message = f"Cannot read {where}: {os.strerror(error.errno or 0)}."
    return UnavailableError("evidence_unreadable", message, where=where, fix="Check the disk, then try again.")


def kind_in_words(mode: int) -> str:
    """The kind of file that a mode of `stat` tells, with its article."""
    if stat.S_ISLNK(mode):
        return "a symbolic link"
    if stat.S_ISDIR(mode):
        return "a folder"
    if stat.S_ISFIFO(mode):
        return "a named pipe"
    if stat.S_ISSOCK(mode):
        return "a socket"
    return "a device" if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) else "a file"


def shown_path(path: tuple[str, ...]) -> str:
    """How messages name a folder of evidence, relative to the project."""
    return "/".join(("state", "evidence", *path))


def shown(text: str) -> str:
    """Text from outside as a short ASCII literal, so that no control character reaches a terminal."""
    return ascii(text if len(text) <= 60 else text[:57] + "...")
