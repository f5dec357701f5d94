"""Where the files that ship with the package are: the JSON Schemas and the process files.

A wheel carries `schemas/` and `policies/` inside the package; in a checkout, an editable install and an unpacked sdist
they stand beside it, where people read and edit them. The copy inside is looked for first, because beside an
installed package stands `site-packages`, whose folders belong to others.

`importlib.resources` is not used: a guard call reads shipped files, and importing it alone exceeds that call's budget.
"""

from __future__ import annotations

import os

from enforcer.errors import RequestError

KINDS = ("policies", "schemas")

_PACKAGE = os.path.dirname(os.path.abspath(__file__))


def path(kind: str, name: str) -> str:
    """The absolute path of the shipped file `name` (relative, with `/`) of one of `KINDS`.

    Raises `RequestError` with code `resource_missing` when nothing of that name ships. A name that leads out of the
    folder is such a name, so that a caller may pass on what a user typed.
    """
    if _is_inside(name):
        found = os.path.join(_folder(kind), *name.split("/"))
        if os.path.isfile(found):
            return found
    shipped = ", ".join(names(kind))
    raise RequestError("resource_missing", f"No file {name!r} ships in {kind}/.", fix=f"Use one of: {shipped}.")


def read(kind: str, name: str) -> bytes:
    """The bytes of a shipped file; raises as `path` does."""
    with open(path(kind, name), "rb") as file:
        return file.read()


def names(kind: str) -> list[str]:
    """The names of all shipped files of a kind, sorted, relative to its folder and with `/`; hidden files left out."""
    top = _folder(kind)
    found = []
    for folder, subfolders, files in os.walk(top):
        subfolders[:] = [each for each in subfolders if not each.startswith((".", "__"))]
        found += [os.path.relpath(os.path.join(folder, each), top) for each in files if not each.startswith(".")]
    return sorted(each.replace(os.sep, "/") for each in found)


def _folder(kind: str) -> str:
    if kind not in KINDS:
        raise RequestError("resource_missing", f"No kind of shipped file is called {kind!r}.", fix=f"One of {KINDS}.")
    inside = os.path.join(_PACKAGE, kind)
    beside = os.path.join(os.path.dirname(_PACKAGE), kind)
    for folder in (inside, beside):
        if os.path.isdir(folder):
            return folder
    raise RequestError(
        "resource_missing",
        f"The folder {kind}/ is neither in the package nor beside it.",
        where=_PACKAGE,
        fix="Install enforcer again: this installation is incomplete.",
    )


def _is_inside(name: str) -> bool:
    return "\0" not in name and "\\" not in name and all(part not in ("", ".", "..") for part in name.split("/"))
