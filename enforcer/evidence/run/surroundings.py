"""What a run is told about its surroundings: a short list of usual names, and those that the process names.

Variables that make programs load code (`PYTHONPATH`, `LD_PRELOAD`, `NODE_OPTIONS`, `PYTEST_ADDOPTS`, `BASH_ENV`, …)
need no list of their own: whoever runs Enforcer may have set them to have the tests lie, so nothing passes that is not
asked for. The search path passes without the folders in which the worker works.
"""

from __future__ import annotations

import hashlib
import os

from enforcer.errors import RequestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

OUT = "ENFORCER_OUT"  # Names the folder that a run may write its reports to.

USUAL = ("COLORTERM", "LANG", "LANGUAGE", "LOGNAME", "SHELL", "TERM", "TZ", "USER")
LOCALE = "LC_"  # Every name that begins so is usual.

# Usual as well, where they name a place outside of the project: inside, the worker decides what stands there.
PLACES = ("HOME", "SSL_CERT_DIR", "SSL_CERT_FILE", "TMPDIR")

PATH = "PATH"
DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"


def environment(
    names: Sequence[str], path_first: Sequence[str], inherited: Mapping[str, str], out: str, project: str
) -> dict[str, str]:
    """The environment of a run, sorted by name.

    `names` are those that the process passes on besides the usual ones, `path_first` the folders below `project` that
    it puts first on the search path; `out` becomes `$ENFORCER_OUT`, and Python keeps what it compiles beside it.
    Folders of the inherited search path that are relative, empty or inside the project are left out.

    Raises `RequestError` `bad_folder` where one of `path_first` lies elsewhere.
    """
    passed = {name: value for name, value in inherited.items() if name in USUAL or name.startswith(LOCALE)}
    passed |= {name: inherited[name] for name in PLACES if _lies_outside(inherited.get(name, ""), project)}
    passed |= {name: inherited[name] for name in names if name in inherited}
    passed[PATH] = search_path(path_first, inherited.get(PATH, ""), project)
    passed[OUT] = out
    # Compiled modules that lie about may say something else than their source; those of a run are its own.
    passed.setdefault("PYTHONPYCACHEPREFIX", os.path.join(os.path.dirname(out), "pycache"))
    return dict(sorted(passed.items()))


def search_path(first: Sequence[str], inherited: str, project: str) -> str:
    """The search path of a run; see `environment`."""
    own = [_searched(below(project, folder), folder) for folder in first]
    usual = [folder for folder in inherited.split(os.pathsep) if _lies_outside(folder, project)]
    return os.pathsep.join(dict.fromkeys(own + (usual or DEFAULT_PATH.split(os.pathsep))))


def salted(environment: Mapping[str, str], salt: bytes) -> dict[str, str]:
    """Name → hex SHA-256(salt ‖ name ‖ 0x00 ‖ value): equal values show as equal, and none can be guessed."""
    return {name: _digest(salt, name, value) for name, value in sorted(environment.items())}


def inside(path: str, folder: str) -> bool:
    """Whether `path` is `folder` or lies below it, by its name or with links followed."""
    return _below(os.path.abspath(path), os.path.abspath(folder)) or _below(
        os.path.realpath(path), os.path.realpath(folder)
    )


def below(project: str, folder: str) -> str:
    """The absolute path of a folder of the project. Raises `RequestError` `bad_folder` outside the project."""
    path = os.path.normpath(os.path.join(project, folder))
    if "\0" in folder or not _below(path, os.path.normpath(project)):
        fix = "Name a folder below the project, as `.venv/bin`."
        raise RequestError("bad_folder", f"{folder!a} is no folder below the project.", where=project, fix=fix)
    return path


def _below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _searched(path: str, folder: str) -> str:
    if os.pathsep in path:
        message = f"{folder!a} cannot stand on a search path: its full name holds {os.pathsep!r}."
        raise RequestError("bad_folder", message, where=path, fix="Use folders without that character.")
    return path


def _lies_outside(path: str, project: str) -> bool:
    return os.path.isabs(path) and not inside(path, project)


def _digest(salt: bytes, name: str, value: str) -> str:
    return hashlib.sha256(salt + os.fsencode(name) + b"\0" + os.fsencode(value)).hexdigest()
