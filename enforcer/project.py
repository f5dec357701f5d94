"""Where a project is, what belongs to it, and which names a caller may use in it.

The project is the nearest folder upward with `enforcer.toml`, or the one that `--root` or `ENFORCER_ROOT` names. Its
state folder is `<root>/state`, in a linked worktree the one at the same place in the main worktree: one clone, one
ledger (see `clone`). Every command starts here, so this module loads nothing that a bare interpreter has not.
"""

from __future__ import annotations

import os
import pwd

from enforcer.clone import folders_to_top, shared_place, upward
from enforcer.errors import RequestError, UnavailableError
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import NoReturn

SETTINGS_NAME = "enforcer.toml"
STATE_NAME = "state"

TASK_PATTERN = "[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
KEY_PATTERN = "[A-Za-z0-9._-]{1,64}"
ACTOR_PATTERN = "[A-Za-z0-9@._+-]{1,64}(/[A-Za-z0-9@._+-]{1,64})?"

_LETTERS_AND_DIGITS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
_NAME_CHARACTERS = _LETTERS_AND_DIGITS | frozenset("._-")
_ACTOR_CHARACTERS = _NAME_CHARACTERS | frozenset("@+")
_NAME_LENGTH = 64


class Project(Record):
    """A governed folder. All paths are absolute, and real as far as the folder that holds `state`."""

    root: str
    state: str
    settings_path: str


# Finding


def find(
    start: str | None = None,
    *,
    root: str | None = None,
    environ: Mapping[str, str],
    projects_of: Callable[[str], tuple[str, ...]],
) -> Project:
    """The project that governs `start`, by default the current folder.

    `root`, or else `ENFORCER_ROOT`, names the project's folder instead; an empty one counts as not given.
    `projects_of` takes the path of an `enforcer.toml` and returns the `projects` that it lists; it is called only
    where projects are nested. Raises `RequestError` `not_initialized`, `root_nested` or `git_folder_broken`.
    """
    given = root or environ.get("ENFORCER_ROOT")
    if given:
        folder = _real(given)
        if not _has_settings(folder):
            raise RequestError(
                "not_initialized", f"There is no {SETTINGS_NAME} in the given root.", fix="enforcer init", where=folder
            )
    else:
        folder = _nearest(_real(start or _current_folder()))
    check_not_nested(folder, projects_of)
    return place(folder)


def place(folder: str) -> Project:
    """The project at `folder`, whether or not it has been initialized. Raises `RequestError` `git_folder_broken`."""
    root = _real(folder)
    # `state` itself stays as it is named: a symlink planted in its place must not pass for a project never seen.
    state = os.path.join(shared_place(root), STATE_NAME)
    return Project(root=root, state=state, settings_path=os.path.join(root, SETTINGS_NAME))


def check_not_nested(folder: str, projects_of: Callable[[str], tuple[str, ...]]) -> None:
    """Refuse an `enforcer.toml` that was planted inside a governed project, and with it all that lies below.

    Every folder with settings from the top of the worktree (without git, of the file system) down to `folder` must be
    listed by one that governs it. Raises `RequestError` `root_nested` for the outermost one that is not.
    """
    root = _real(folder)
    outer = [above for above in folders_to_top(root)[1:] if _has_settings(above)]
    if not outer:
        return
    governing: list[tuple[str, frozenset[str]]] = []
    for inner in [*reversed(outer), root]:
        if governing and not any(os.path.relpath(inner, above) in listed for above, listed in governing):
            nearest = governing[-1][0]
            raise RequestError(
                "root_nested",
                f"This project lies inside the governed project {nearest}, which does not list it.",
                fix=f"list {os.path.relpath(inner, nearest)!r} under `projects` in the outer {SETTINGS_NAME}, or remove"
                f" the inner {SETTINGS_NAME}",
                where=os.path.join(inner, SETTINGS_NAME),
            )
        if inner != root:
            listed = projects_of(os.path.join(inner, SETTINGS_NAME))
            governing.append((inner, frozenset(os.path.normpath(entry) for entry in listed)))


def _nearest(folder: str) -> str:
    for candidate in upward(folder):
        if _has_settings(candidate):
            return candidate
    raise RequestError(
        "not_initialized",
        f"There is no {SETTINGS_NAME} here or in any folder above.",
        fix="enforcer init",
        where=folder,
    )


def _has_settings(folder: str) -> bool:
    return os.path.isfile(os.path.join(folder, SETTINGS_NAME))


def _real(path: str) -> str:
    if "\0" in path:
        raise RequestError("not_initialized", f"No folder can be called {path!r}.", fix="give the path of a folder")
    return os.path.realpath(path)


def _current_folder() -> str:
    try:
        return os.getcwd()
    except OSError as error:
        raise RequestError(
            "not_initialized", "The current folder does not exist any more.", fix="change to a folder that exists"
        ) from error


# The user


def user_folder(environ: Mapping[str, str]) -> str:
    """The absolute path of the folder for keys and marks that lie outside every project.

    `$ENFORCER_HOME`, else `$XDG_STATE_HOME/enforcer` (a relative one is ignored, as the XDG Base Directory
    Specification demands), else `~/.local/state/enforcer`. Raises `UnavailableError` `home_unknown`.
    """
    chosen = environ.get("ENFORCER_HOME")
    if chosen:
        return os.path.abspath(chosen)
    base = environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(base):
        base = os.path.join(_home(environ), ".local", "state")
    return os.path.join(base, "enforcer")


def _home(environ: Mapping[str, str]) -> str:
    home = environ.get("HOME")
    if home:
        return os.path.abspath(home)
    try:
        home = pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        home = ""
    if not os.path.isabs(home):
        raise UnavailableError(
            "home_unknown", "This user has no home folder.", fix="set ENFORCER_HOME to a folder outside the project"
        )
    return home


# Names


def check_task_id(text: str) -> str:
    """`text` if it may name a task. Raises `RequestError` `bad_task_id`."""
    if not _is_name(text, _NAME_CHARACTERS) or text[0] not in _LETTERS_AND_DIGITS:
        _bad_name("bad_task_id", "task id", text, TASK_PATTERN)
    return text


def check_key(text: str) -> str:
    """`text` if it may be an idempotency key. Raises `RequestError` `bad_key`."""
    if not _is_name(text, _NAME_CHARACTERS):
        _bad_name("bad_key", "idempotency key", text, KEY_PATTERN)
    return text


def check_actor(text: str) -> str:
    """`text` if it may name an actor, `principal[/session]`. Raises `RequestError` `bad_actor`."""
    principal, slash, session = text.partition("/")
    if not _is_name(principal, _ACTOR_CHARACTERS) or (slash and not _is_name(session, _ACTOR_CHARACTERS)):
        _bad_name("bad_actor", "actor", text, ACTOR_PATTERN)
    return text


def _is_name(text: str, characters: frozenset[str]) -> bool:
    return 0 < len(text) <= _NAME_LENGTH and characters.issuperset(text)


def _bad_name(code: str, kind: str, text: str, pattern: str) -> NoReturn:
    shown = ascii(text if len(text) <= 2 * _NAME_LENGTH else text[: 2 * _NAME_LENGTH] + "...")
    raise RequestError(code, f"{shown} is no {kind}.", fix=f"use one that matches {pattern}")
