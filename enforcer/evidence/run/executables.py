"""Which file a command name stands for: found once, recorded by path and digest, labelled where it is unusual.

Found here and run from here: the search is the one of execvp(3) over the run's own search path, and what runs is the
file that it finds. A label refuses nothing. It says in one phrase why a reader should look twice.
"""

from __future__ import annotations

import hashlib
import os
import stat

from enforcer.errors import UnavailableError
from enforcer.evidence.run.surroundings import DEFAULT_PATH, PATH, below, inside
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

TEMPORARY = ("/tmp", "/var/tmp", "/dev/shm")

# Folders of a project in which its programs usually lie. They are searched where a command is missing, to say so.
_USUAL = (".venv/bin", "venv/bin", "env/bin", "node_modules/.bin", "vendor/bin", "bin")

_LINE_LIMIT = 4096  # Systems read no more than this of a `#!` line.
_DEPTH = 4  # Linux follows a script whose interpreter is a script no further than this.


class Executable(Record):
    """The file that runs.

    `path` has its links followed, `digest` is of its bytes. For a script, `interpreter` and `interpreter_digest` are
    those of the program that its `#!` line ends up with; else empty. `label` is empty or says what is unusual.
    """

    path: str
    digest: str
    label: str = ""
    interpreter: str = ""
    interpreter_digest: str = ""


def resolve(
    argv0: str,
    environment: Mapping[str, str],
    folder: str,
    *,
    project: str,
    named: Sequence[str] = (),
    near: Sequence[str] = (),
) -> Executable:
    """The file that `argv0` stands for in a run with this environment and absolute working folder.

    `named` are the folders below `project` that the process puts on the search path: what is found there is not
    unusual, nor is what `argv0` itself names below the project. Raises `UnavailableError` `command_missing`; it names
    a folder of the project that has the program, one of `near` first.
    """
    try:
        locate(argv0, environment, folder)
    except UnavailableError as error:
        raise _near_by(error, argv0, project, near) from None
    found, *_ = chain = programs(argv0, environment, folder)
    expected = [below(project, each) for each in named]
    labels = [_label(path, environment, project, expected, named="/" in argv0) for path in chain]
    last = os.path.realpath(chain[-1]) if len(chain) > 1 else ""
    return Executable(
        path=os.path.realpath(found),
        digest=_digest(found, argv0, folder),
        label="; ".join(dict.fromkeys(label for label in labels if label)),
        interpreter=last,
        interpreter_digest=_digest(last, argv0, folder) if last else "",
    )


def programs(argv0: str, environment: Mapping[str, str], folder: str) -> list[str]:
    """What `argv0` is run by: the file itself, then, for a script, the programs that its `#!` line leads to."""
    found = locate(argv0, environment, folder)
    return [found, *_interpreters(found, environment, folder)]


def locate(argv0: str, environment: Mapping[str, str], folder: str) -> str:
    """The absolute path under which `argv0` is run, links not followed; a name with `/` is relative to `folder`.

    Raises `UnavailableError` `command_missing`.
    """
    if "/" in argv0:
        candidates = [os.path.join(folder, argv0)]
    else:
        searched = environment.get(PATH, DEFAULT_PATH).split(os.pathsep)
        candidates = [os.path.join(folder, each, argv0) for each in searched if each and argv0]
    for path in candidates:
        if _is_program(path):
            return os.path.normpath(path) if ".." not in path.split("/") else path
    raise missing(argv0, folder, _reason(argv0, candidates))


def missing(argv0: str, folder: str, reason: str) -> UnavailableError:
    """The error for a command that cannot be run."""
    fix = "Install it, or correct the command in `[observe]`; a folder of the project is searched if `path` names it."
    return UnavailableError("command_missing", f"The command {argv0!a} {reason}.", where=folder, fix=fix)


def left_off(inherited: str, environment: Mapping[str, str], project: str) -> tuple[str, ...]:
    """The folders of the project on the search path `inherited` that a run with this environment does not search."""
    searched = environment.get(PATH, "").split(os.pathsep)
    folders = [each for each in inherited.split(os.pathsep) if os.path.isabs(each) and inside(each, project)]
    return tuple(os.path.relpath(each, project) for each in dict.fromkeys(folders) if each not in searched)


def _near_by(error: UnavailableError, argv0: str, project: str, near: Sequence[str]) -> UnavailableError:
    """The error, with the folder of the project that has such a program."""
    for folder in (*near, *_USUAL):
        if "/" not in argv0 and _is_program(os.path.join(project, folder, argv0)):
            message = f"{error.message} There is one in {folder!a}; folders of the project are not searched unasked."
            fix = f'Write path = ["{folder}"] beside the command in `[observe]`, and adopt that process.'
            return UnavailableError("command_missing", message, where=error.where, fix=fix)
    return error


def _is_program(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode) and os.access(path, os.X_OK)
    except (OSError, ValueError):
        return False


def _reason(argv0: str, candidates: list[str]) -> str:
    if "\0" in argv0 or not any(os.path.exists(path) for path in candidates):
        return "is not there" if "/" in argv0 else "is in no folder of the search path"
    return "is no executable file"


def _interpreters(path: str, environment: Mapping[str, str], folder: str) -> Iterator[str]:
    """The programs that a script's `#!` line leads to, in turn: `env` counts as what it looks for."""
    for _ in range(_DEPTH):
        words = _script_line(path)
        if not words:
            return
        if os.path.basename(words[0]) == "env":
            words = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
        if not words:
            return
        path = locate(words[0], environment, folder)
        yield path


def _script_line(path: str) -> list[str]:
    try:
        with open(path, "rb") as file:
            line = file.readline(_LINE_LIMIT)
    except OSError:
        return []
    return os.fsdecode(line[2:]).split() if line.startswith(b"#!") else []


def _digest(path: str, argv0: str, folder: str) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise missing(argv0, folder, f"cannot be read: {error.strerror}") from None


def _label(path: str, environment: Mapping[str, str], project: str, expected: list[str], *, named: bool) -> str:
    """Why a program is unusual, the gravest first. `expected`: folders in which it may lie; `named`: by its path."""
    reasons = []
    if _others_may_change(path):
        reasons.append("writable by others")
    if inside(path, project):
        if not named and not any(inside(path, folder) for folder in expected):
            reasons.append("in the project, and the process does not name its folder")
    elif any(inside(path, folder) for folder in _temporary_folders(environment)):
        reasons.append("in a temporary folder")
    elif environment.get("HOME", "/") != "/" and inside(path, environment["HOME"]):
        reasons.append("in the home folder")
    return ", ".join(reasons)


def _temporary_folders(environment: Mapping[str, str]) -> list[str]:
    return [*TEMPORARY, *filter(os.path.isabs, [environment.get("TMPDIR", "")])]


def _others_may_change(path: str) -> bool:
    """Whether somebody besides its owner, this user and root may replace the file or a folder above it."""
    for name in (path, os.path.realpath(path)):
        while True:
            try:
                found = os.stat(name)
            except OSError:
                return True
            if found.st_uid not in (0, os.getuid()):
                return True
            if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
                return True
            if name == (name := os.path.dirname(name)):
                break
    return False
