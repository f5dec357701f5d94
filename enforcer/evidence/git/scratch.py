"""The git folder that questions are asked of: made here, with our configuration, on the repository's objects."""

from __future__ import annotations

import os
import tempfile

from enforcer.errors import UnavailableError


def fill_scratch(folder: str, objects: str, algorithm: str, settings: str) -> None:
    """Make a git folder of an empty one, on the object store `objects` (an absolute path).

    `settings` are the repository's own about its file system, as `git config --get-regexp` prints them: facts, where
    they are true. Raises `UnavailableError` where git cannot be told of the object store.
    """
    if "\n" in objects or objects.startswith(('"', "#")):
        raise UnavailableError("git_failed", f"The folder name {objects!a} cannot be an alternate object store.")
    os.makedirs(os.path.join(folder, "objects", "info"))
    os.mkdir(os.path.join(folder, "refs"))
    lines = ["[core]", "repositoryFormatVersion = 1", "bare = false", "looseCompression = 0"]
    for line in _believed(settings, objects).splitlines():
        name, _, value = line.partition(" ")
        lines.append(f"{name.removeprefix('core.')} = {'true' if value == 'true' else 'false'}")
    lines += ["[extensions]", f"objectFormat = {algorithm}"]
    files = {"HEAD": "ref: refs/heads/none", "config": "\n".join(lines), "objects/info/alternates": objects}
    for name, text in files.items():
        with open(os.path.join(folder, name), "wb") as file:
            file.write(os.fsencode(text) + b"\n")


def _believed(settings: str, objects: str) -> str:
    """The settings about the file system, without a `core.fileMode` that hides modes which the file system does keep.

    It is tried with a file where git makes its own temporary ones; a folder that takes none hides nothing either.
    """
    kept = [line for line in settings.splitlines() if line.partition(" ")[0].lower() != "core.filemode"]
    if len(kept) < len(settings.splitlines()) and _keeps_modes(objects):
        kept.append("core.filemode true")
        return "\n".join(kept)
    return settings


def _keeps_modes(folder: str) -> bool:
    try:
        with tempfile.NamedTemporaryFile(prefix="tmp_obj_", dir=folder) as file:
            seen = []
            for mode in (0o600, 0o700):
                os.fchmod(file.fileno(), mode)
                seen.append(os.stat(file.name).st_mode & 0o100)
            return seen == [0, 0o100]
    except OSError:
        return True
