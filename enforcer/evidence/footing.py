"""What a run stands on besides the files of its tree: links that lead out, files above the project, a foreign home.

None of it is in the tree that a run is bound to, and all of it can change what the run shows. It is often there for
good reasons, so it refuses nothing; it is told with the run, for whoever relies on it.
"""

from __future__ import annotations

import os
import pwd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    Stamps = Mapping[str, tuple[int, int]]

LISTED = 5

# Files that test runners and languages look for in the folders above the one they run in.
ABOVE = (
    *("conftest.py", "pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg", ".coveragerc", "sitecustomize.py"),
    *("package.json", ".babelrc", "babel.config.js", "jest.config.js", "vitest.config.ts", ".mocharc.json", ".npmrc"),
    *("pom.xml", "build.gradle", "settings.gradle", "go.work", "Cargo.toml", ".env", "Makefile"),
)


def stamps(top: str, paths: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Inode and time of change (ns) of files below the absolute path `top`: a write changes the latter."""
    found = {}
    for path in paths:
        try:
            status = os.lstat(os.path.join(top, path))
        except (OSError, ValueError):
            continue
        found[path] = (status.st_ino, status.st_ctime_ns)
    return found


def told(top: str, project: str, before: Stamps, after: Stamps, environment: Mapping[str, str]) -> Iterator[str]:
    """Labels for what a run stood on. `before` and `after` are the stamps of the same files."""
    touched = sorted(path for path, stamp in before.items() if after.get(path) != stamp)
    if touched:
        yield f"touched: while it ran, somebody wrote to {_listed(touched)}"
    out = sorted(path for path in before if _leads_out(top, path))
    if out:
        yield f"links: {_listed(out)} {'lead' if len(out) > 1 else 'leads'} out of the repository"
    above = list(_above(project))
    if above:
        yield f"above: the run could load {_listed(above)}"
    home = _own_home()
    if home and environment.get("HOME", home) != home:
        yield f"home: it is {ascii(environment['HOME'])[1:-1]}, and not the user's own"


def _leads_out(top: str, path: str) -> bool:
    place = os.path.join(top, path)
    return os.path.islink(place) and not os.path.realpath(place).startswith(os.path.realpath(top) + os.sep)


def _above(project: str) -> Iterator[str]:
    folder = os.path.dirname(os.path.realpath(project))
    while folder != os.path.dirname(folder):
        yield from (path for name in ABOVE if os.path.exists(path := os.path.join(folder, name)))
        folder = os.path.dirname(folder)


def _own_home() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return ""


def _listed(names: list[str]) -> str:
    shown = ", ".join(ascii(name)[1:-1] for name in names[:LISTED])
    return f"{shown} and {len(names) - LISTED} more" if len(names) > LISTED else shown
