"""Which clone a folder belongs to, read by hand from the few files that say so (gitrepository-layout(5)).

Linked worktrees of one clone share one state folder, and every command has to find it, the hook's too: starting git
for that would cost many times what such a command may. So nothing here starts a process or trusts an environment.

    the top of the worktree has                        the place of `state`
    no `.git`: there is no clone                       the folder itself
    a `.git` folder                                    the folder itself
    a `.git` file of a linked worktree                 the same place in the main worktree
    a `.git` file of a submodule, a clone of its own   the folder itself, by `core.worktree`
    a common folder that names no main worktree        <common folder>/enforcer-state/<the same place>

The last row is a bare repository, or one made with `--separate-git-dir`. The answer depends on the common folder alone,
never on which worktree asks, so that two worktrees cannot arrive at two ledgers.
"""

from __future__ import annotations

import os

from enforcer.errors import RequestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

# The folder that stands in for a main worktree where a clone has none. Part of the layout on disk.
STAND_IN = "enforcer-state"

# Far above what git writes, in a configuration with thousands of branches too.
_LIMIT = 4_194_304


def upward(folder: str) -> list[str]:
    """`folder` and every folder above it."""
    folders = [folder]
    while (above := os.path.dirname(folders[-1])) != folders[-1]:
        folders.append(above)
    return folders


def folders_to_top(folder: str) -> list[str]:
    """`folder` and those above it, as far as the top of its worktree, or of the file system where it has none."""
    folders = []
    for candidate in upward(folder):
        folders.append(candidate)
        if _is_top(candidate):
            break
    return folders


def shared_place(folder: str) -> str:
    """The real folder that stands for `folder`, itself a real path, in every worktree of its clone.

    Raises `RequestError` `git_folder_broken`.
    """
    top = folders_to_top(folder)[-1]
    if not _is_top(top):
        return folder
    return os.path.realpath(os.path.join(_main_worktree(_common_folder(top)), os.path.relpath(folder, top)))


def _is_top(folder: str) -> bool:
    """Whether git takes `folder` for the top of a worktree. Like git, a `.git` folder that is no repository is not."""
    git = os.path.join(folder, ".git")
    return _is_repository(git) if os.path.isdir(git) else os.path.lexists(git)


def _is_repository(folder: str) -> bool:
    # HEAD may be a symlink to a branch that is not born yet.
    return os.path.lexists(os.path.join(folder, "HEAD")) and all(
        os.path.isdir(os.path.join(folder, name)) for name in ("objects", "refs")
    )


def _common_folder(top: str) -> str:
    """The real path of the folder that all worktrees of the clone share, seen from the top of one of them."""
    pointer = os.path.join(top, ".git")
    if os.path.isdir(pointer):
        return os.path.realpath(pointer)
    line = _read_pointer(pointer)
    if not line.startswith("gitdir: "):
        _refuse(pointer, "does not begin with 'gitdir: '")
    folder = os.path.join(top, line.removeprefix("gitdir: "))
    if not os.path.isdir(folder):
        _refuse(pointer, "names a folder that does not exist")
    link = os.path.join(folder, "commondir")
    if os.path.lexists(link):
        pointer, folder = link, os.path.join(folder, _read_pointer(link))
    if not _is_repository(folder):
        _refuse(pointer, "names a folder that is no git repository")
    return os.path.realpath(folder)


def _main_worktree(common: str) -> str:
    """The main worktree of a clone, or what stands in for it.

    A common folder called `.git` belongs to the folder around it, whatever `core.bare` says: that setting is switched
    by hand and by tools, and a ledger must not move with it.
    """
    around, name = os.path.split(common)
    if name == ".git":
        return around
    # With `extensions.worktreeConfig` git moves the setting into the first of these.
    for path in (os.path.join(common, "config.worktree"), os.path.join(common, "config")):
        worktree = _configured_worktree(path)
        if worktree:
            folder = os.path.join(common, worktree)
            if not os.path.isdir(folder):
                _refuse(path, "names a core.worktree that does not exist")
            return folder
    return os.path.join(common, STAND_IN)


def _configured_worktree(path: str) -> str:
    """`core.worktree` in a git configuration file, "" where there is no such file or setting. The last one counts."""
    if not os.path.lexists(path):
        return ""
    section, worktree = "", ""
    for line in _read(path).split("\n"):
        line = line.strip()
        if line.startswith("["):
            section = line.partition("]")[0].removeprefix("[").strip().lower()
        name, _, value = line.partition("=")
        if section == "core" and name.strip().lower() == "worktree":
            worktree = _unquote(value.strip())
    return worktree


def _unquote(value: str) -> str:
    """A configuration value as `git config` writes it: in double quotes where it must be, with backslash escapes."""
    if len(value) > 1 and value.startswith('"') and value.endswith('"'):
        value = value[1:-1]
    parts = value.split("\\\\")
    return "\\".join(part.replace('\\"', '"').replace("\\t", "\t").replace("\\n", "\n") for part in parts)


def _read_pointer(path: str) -> str:
    return _read(path).rstrip("\r\n")


def _read(path: str) -> str:
    # Opening a FIFO or a device that stands in the file's place could block for ever.
    if not os.path.isfile(path):
        _refuse(path, "is not a file")
    try:
        with open(path, "rb") as file:
            data = file.read(_LIMIT + 1)
    except OSError as error:
        _refuse(path, f"cannot be read: {error.strerror}")
    if len(data) > _LIMIT:
        _refuse(path, "is not one that git wrote")
    return os.fsdecode(data)


def _refuse(path: str, fault: str) -> NoReturn:
    raise RequestError(
        "git_folder_broken",
        f"A file that says which clone this folder belongs to {fault}.",
        fix="see `git status` and `git worktree repair`",
        where=path,
    )
