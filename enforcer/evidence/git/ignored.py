"""The files that no tree names and that a run could load all the same: ignored ones, above all.

A tree binds what was tested, but an ignored `conftest.py`, a compiled module or a `.env` can change what a test does.
They cannot be bound without binding every build, so they are told: how many, which ones first, and a digest over all,
by which two runs can be compared. What can be loaded is told by its name (sources, compiled modules, libraries,
archives, configuration), or because it may be executed, or is a symbolic link, which can lead to anything.

- Folders of dependencies and of tools' caches are named as a whole; nobody looks into them.
- Every folder is opened below the one before it and never through a link, so no digest is of a file from elsewhere.
- At most `MOST_SEEN` files are looked at and `MOST_READ` of them, `MOST_BYTES` together, read.
"""

from __future__ import annotations

import hashlib
import os
import stat

from enforcer.errors import UnavailableError
from enforcer.evidence.descent import Unsafe, open_folder
from enforcer.evidence.git.comparison import shown
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

MOST_SEEN = 250_000
MOST_READ = 5_000
MOST_BYTES = 64 << 20
DEEPEST = 64  # Folders below each other; what lies deeper is named as a whole.

CONTENTS, SIZES, NOTHING = "contents", "sizes", "nothing"

_WHOLE = frozenset(
    (
        *(".venv", "venv", ".tox", ".nox", ".eggs", "__pypackages__", ".direnv", ".pixi", ".conda"),
        *("node_modules", "bower_components", ".yarn", ".pnpm-store", ".pnp"),
        *(".gradle", ".m2", ".cargo", ".bundle", "Pods"),
        *(".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", ".cache"),
    )
)
_SOURCES = (
    *(".py", ".pyi", ".pyw", ".pyx", ".ipynb", ".js", ".mjs", ".cjs", ".jsx", ".ts", ".mts", ".cts", ".tsx", ".vue"),
    *(".svelte", ".go", ".rs", ".java", ".kt", ".kts", ".scala", ".groovy", ".clj", ".rb", ".php", ".pl", ".pm", ".t"),
    *(".lua", ".c", ".h", ".cc", ".cpp", ".cxx", ".hh", ".hpp", ".inc", ".m", ".mm", ".cs", ".fs", ".vb", ".swift"),
    *(".sh", ".bash", ".zsh", ".fish", ".ps1", ".bat", ".cmd", ".r", ".jl", ".ex", ".exs", ".erl", ".hs", ".ml"),
    *(".dart", ".nim", ".zig", ".d", ".sql", ".proto", ".graphql", ".feature", ".bzl", ".cmake", ".mk", ".gradle"),
)
_COMPILED = (
    *(".pyc", ".pyo", ".pyd", ".so", ".dylib", ".dll", ".node", ".wasm", ".class", ".jar", ".war", ".o", ".a", ".lib"),
    *(".rlib", ".rmeta", ".beam", ".exe", ".egg", ".whl", ".zip", ".gem", ".nupkg"),
)
_CONFIGURATION = (
    *(".pth", ".toml", ".ini", ".cfg", ".conf", ".yaml", ".yml", ".json", ".json5", ".jsonc", ".xml", ".properties"),
    *(".env", ".lock", ".plist", ".tfvars"),
)
_SUFFIXES = frozenset((*_SOURCES, *_COMPILED, *_CONFIGURATION))
_NAMES = frozenset(
    (
        *("makefile", "gnumakefile", "dockerfile", "containerfile", "jenkinsfile", "rakefile", "gemfile", "procfile"),
        *("vagrantfile", "justfile", "build", "workspace", "pipfile", "cartfile", "podfile"),
    )
)
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_CHUNK = 1 << 20


class Ignored(Record):
    """The files that a run could load although no tree names them.

    `paths` are the first ones, files before folders (with a slash at the end) that are named as a whole. `count` is how
    many there are. `digested` says what `digest` (hex SHA-256) is over: of each, in the order of their bytes, the path,
    a NUL, the mode in octal, and then

    - `contents`: a hyphen and the size, a hyphen and the SHA-256 of the content (of a link: of its target), a newline;
    - `sizes`: a hyphen and the size, a newline, because there are too many to read them;
    - `nothing`: there are too many even to be counted. `digest` is empty, and `count` only how many were seen.

    A folder has only its mode. A file that cannot be read has `unread` for its digest, one that is gone a mode of 0.
    """

    paths: tuple[str, ...]
    count: int
    digest: str
    digested: str


class _Found(Record):
    path: bytes
    mode: int
    size: int = 0


class _TooMany(Exception):
    """More files than are ever looked at; `seen` of them could be loaded."""

    def __init__(self, seen: list[_Found]) -> None:
        self.seen = seen


def list_ignored(top: str, listed: Iterable[bytes], left_out: Collection[bytes], limit: int) -> Ignored:
    """Look at the files `listed` below `top`, and into the folders among them, which have a slash at their end.

    Folders in `left_out` are passed over.
    """
    walked = {path + b"/" for path in left_out}
    try:
        found, digested = sorted(_look(_walk(top, listed, walked)), key=lambda one: one.path), ""
    except _TooMany as many:
        found, digested = many.seen, NOTHING
    digest = ""
    if not digested:
        few = len(found) <= MOST_READ and sum(one.size for one in found) <= MOST_BYTES
        digested = CONTENTS if few else SIZES
        digest = _digest(_with_contents(top, found) if few else ((one, b"") for one in found))
    order = sorted(found, key=lambda one: (stat.S_ISDIR(one.mode), one.path))
    return Ignored(tuple(shown(one.path) for one in order[:limit]), len(found), digest, digested)


def is_loadable(name: str, mode: int) -> bool:
    """Whether a run could load a file of this name and mode."""
    if not stat.S_ISREG(mode):
        return stat.S_ISLNK(mode)
    lower = name.lower()
    suffix = lower[lower.rfind(".") :] if "." in lower else ""
    return bool(mode & 0o111) or suffix in _SUFFIXES or lower in _NAMES or lower.startswith((".env", "dockerfile."))


def _look(files: Iterable[_Found]) -> list[_Found]:
    """What could be loaded, each once."""
    found: dict[bytes, _Found] = {}
    for seen, one in enumerate(files, 1):
        if stat.S_ISDIR(one.mode) or not one.mode or is_loadable(os.fsdecode(os.path.basename(one.path)), one.mode):
            found[one.path] = one
        if seen > MOST_SEEN:
            raise _TooMany(list(found.values()))
    return list(found.values())


def _walk(top: str, listed: Iterable[bytes], walked: set[bytes]) -> Iterator[_Found]:
    """Every file that is listed or lies in a listed folder, and none in `walked`; of the rest, folders as a whole.

    Git lists a folder that holds nothing but ignored files, and then these files as well.
    """
    for path in sorted(listed, key=lambda path: not path.endswith(b"/")):
        whole = _whole(path)
        if whole:
            if whole not in walked:
                walked.add(whole)
                yield _Found(whole, stat.S_IFDIR)
        elif path.endswith(b"/"):
            yield from _descend(top, path, walked)
        elif os.path.dirname(path) + b"/" not in walked:
            yield _status(top, path)


def _descend(top: str, start: bytes, walked: set[bytes]) -> Iterator[_Found]:
    folders = [start]
    while folders:
        path = folders.pop()
        if path in walked:
            continue
        walked.add(path)
        inside = None if path.count(b"/") > DEEPEST else _list_folder(top, path)
        if inside is None:
            yield _Found(path, stat.S_IFDIR)
            continue
        for one in inside:
            if not stat.S_ISDIR(one.mode):
                yield one
            elif _whole(one.path + b"/"):
                walked.add(one.path + b"/")
                yield one.replace(path=one.path + b"/")
            elif os.path.basename(one.path) != b".git":
                folders.append(one.path + b"/")


def _whole(path: bytes) -> bytes:
    """The uppermost folder on the way to `path` that is named as a whole, with its slash; empty where there is none."""
    names = os.fsdecode(path).split("/")
    for depth, name in enumerate(names[:-1], 1):
        if name in _WHOLE:
            return os.fsencode("/".join(names[:depth]) + "/")
    return b""


def _list_folder(top: str, path: bytes) -> list[_Found] | None:
    """What lies in a folder, each with its mode and size; None where it cannot be looked into."""
    folder = _open(top, path)
    if folder is None:
        return None
    try:
        with os.scandir(folder) as entries:
            return [_found(path, entry) for entry in entries]
    except OSError:
        return None
    finally:
        os.close(folder)


def _found(folder: bytes, entry: os.DirEntry[str]) -> _Found:
    path = folder + os.fsencode(entry.name)
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:
        return _Found(path, 0)
    kind = stat.S_IFMT(status.st_mode)
    return _Found(path, _mode(status), 0 if kind == stat.S_IFDIR else status.st_size)


def _status(top: str, path: bytes) -> _Found:
    try:
        status = os.lstat(os.path.join(os.fsencode(top), path))
    except OSError:
        return _Found(path, 0)
    return _Found(path, _mode(status), status.st_size)


def _mode(status: os.stat_result) -> int:
    """The mode as git would keep it: the kind, and whether the owner may execute it."""
    kind = stat.S_IFMT(status.st_mode)
    return kind | ((0o755 if status.st_mode & 0o111 else 0o644) if kind == stat.S_IFREG else 0)


def _open(top: str, folder: bytes) -> int | None:
    parts = tuple(part for part in os.fsdecode(folder).split("/") if part)
    try:
        return open_folder(top, parts)
    except (OSError, Unsafe, UnavailableError):
        return None


def _digest(lines: Iterable[tuple[_Found, bytes]]) -> str:
    digest = hashlib.sha256()
    for one, content in lines:
        size = b"" if stat.S_ISDIR(one.mode) or not one.mode else b"-%d" % one.size
        digest.update(b"%b\0%o%b%b\n" % (one.path, one.mode, size, content))
    return digest.hexdigest()


def _with_contents(top: str, found: Iterable[_Found]) -> Iterator[tuple[_Found, bytes]]:
    """Each file with the end of its line; a folder is opened once for all that lie in it and follow each other."""
    opened: int | None = None
    last: bytes | None = None
    try:
        for one in found:
            folder, name = os.path.split(one.path)
            if folder != last or last is None:
                if opened is not None:
                    os.close(opened)
                opened, last = _open(top, folder), folder
            yield one, b"" if stat.S_ISDIR(one.mode) or not one.mode else b"-" + _content(opened, name, one)
    finally:
        if opened is not None:
            os.close(opened)


def _content(folder: int | None, name: bytes, one: _Found) -> bytes:
    """The hex SHA-256 of a file's bytes, or of where a link leads, as long as it is still what it was."""
    if folder is None:
        return b"unread"
    try:
        if stat.S_ISLNK(one.mode):
            return hashlib.sha256(os.readlink(name, dir_fd=folder)).hexdigest().encode()
        file = os.open(name, _FILE_FLAGS, dir_fd=folder)
    except OSError:
        return b"unread"
    try:
        status = os.fstat(file)
        same = stat.S_ISREG(status.st_mode) and status.st_size == one.size
        return _read(file, one.size) if same else b"unread"
    except OSError:
        return b"unread"
    finally:
        os.close(file)


def _read(file: int, size: int) -> bytes:
    """The digest of `size` bytes and no more, however much a writer adds meanwhile."""
    digest = hashlib.sha256()
    while size > 0 and (data := os.read(file, min(size, _CHUNK))):
        digest.update(data)
        size -= len(data)
    return digest.hexdigest().encode()
