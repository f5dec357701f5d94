"""How the demonstration comes by its input: a published sdist, and a Python that can run the package's tests.

Both come through the user's own pip, so that their index, proxy and certificates apply, and are kept in the user's
cache folder. The sdist is pinned by version and SHA-256, and nothing of it runs before the digest has been compared:
pip asks a source archive's build backend for its metadata even when it is only to download it, so a stand-in answers
in the backend's place, which also spares the download of the real one.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from contextlib import contextmanager

from enforcer.errors import DamagedError, UnavailableError
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NAME, VERSION = "iniconfig", "2.3.1"
SDIST = f"{NAME}-{VERSION}.tar.gz"
SHA256 = "67f4b9c50da0dedf52af349e7749a80a9057a5031199791b906c3bb3ae878960"

PYTEST, COVERAGE = "9.2.0", "7.17.3"

PROVIDE = (
    f"give the sdist with --sdist {SDIST} and, with --python EXE, a Python 3.11 or newer that has pytest and coverage;"
    " or check pip's index and network settings"
)

# Settings of pip that would put packages anywhere but into the environment that they are for.
_PLACEMENT = frozenset({"PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT"})

_STAND_IN = f'''\
"""Answers pip's question for metadata in the place of the build backend."""

import os


def get_requires_for_build_wheel(config_settings=None):
    return []


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    name = "{NAME}-{VERSION}.dist-info"
    os.mkdir(os.path.join(metadata_directory, name))
    with open(os.path.join(metadata_directory, name, "METADATA"), "w") as file:
        file.write("Metadata-Version: 2.1\\nName: {NAME}\\nVersion: {VERSION}\\n")
    return name
'''


class Python(Record):
    """An interpreter that can run the tests, and the versions of what it runs them with."""

    executable: str
    version: str
    pytest: str
    coverage: str


class Sdist(Record):
    """The bytes of the archive, already compared with the pinned digest, and where they came from."""

    data: bytes
    origin: str


def cache_folder() -> str:
    """The user's cache folder for the demonstration, created when missing."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):
        base = os.path.join(os.path.expanduser("~"), ".cache")
    folder = os.path.join(base, "enforcer", "demo")
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        fix = "set XDG_CACHE_HOME to a folder that can be written"
        raise UnavailableError("demo_cache_unwritable", f"No cache folder: {error}.", fix=fix, where=folder) from error
    return folder


# The sdist


def read_sdist(path: str) -> Sdist:
    """The archive that the user gave. Raises `UnavailableError` or, where it is another one, `DamagedError`."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise UnavailableError("demo_sdist_unavailable", f"The sdist cannot be read: {error}.", fix=PROVIDE) from error
    return Sdist(_compared(data, path), "given with --sdist")


def fetch_sdist(python: str) -> Sdist:
    """The archive from the cache, else through pip."""
    kept = os.path.join(cache_folder(), SDIST)
    with _locked("sdist"):
        if os.path.exists(kept):
            with open(kept, "rb") as file:
                data = file.read()
            if hashlib.sha256(data).hexdigest() == SHA256:
                return Sdist(data, "cached")
        with tempfile.TemporaryDirectory(dir=cache_folder()) as folder:
            fetched = os.path.join(folder, SDIST)
            _download(folder, python)
            with open(fetched, "rb") as file:
                data = _compared(file.read(), fetched)
            os.replace(fetched, kept)
    return Sdist(data, "downloaded by pip")


def _compared(data: bytes, where: str) -> bytes:
    found = hashlib.sha256(data).hexdigest()
    if found != SHA256:
        message = f"This is not {SDIST} as published: its SHA-256 is {found}, not {SHA256}."
        raise DamagedError("demo_sdist_wrong", message, fix=PROVIDE, where=where)
    return data


def _download(folder: str, python: str) -> None:
    stand_in = os.path.join(folder, "stand-in", "setuptools")
    os.makedirs(stand_in)
    for name, text in (("__init__.py", ""), ("build_meta.py", _STAND_IN)):
        with open(os.path.join(stand_in, name), "w", encoding="utf-8") as file:
            file.write(text)
    # pip compares the digest as well, before it looks inside: the archive itself names the backend to be asked.
    wanted = os.path.join(folder, "requirements.txt")
    with open(wanted, "w", encoding="utf-8") as file:
        file.write(f"{NAME}=={VERSION} --hash=sha256:{SHA256}\n")
    options = ["--no-deps", "--no-binary", NAME, "--no-build-isolation", "--requirement", wanted, "--dest", folder]
    _pip(python, "download", *options, environment={"PYTHONPATH": os.path.dirname(stand_in)})
    if not os.path.exists(os.path.join(folder, SDIST)):
        raise UnavailableError("demo_sdist_unavailable", f"pip brought no {SDIST}.", fix=PROVIDE)


def unpack(sdist: Sdist, folder: str) -> int:
    """Write the archive's files below `folder`, without its top folder; answer how many.

    Stricter than `tarfile`'s data filter, which the first releases of Python 3.11 lack: regular files only, none
    outside the top folder, and none of their owners, modes or times.
    """
    count = 0
    with tarfile.open(fileobj=io.BytesIO(sdist.data), mode="r:gz") as archive:
        for member in archive:
            if member.isdir():
                continue
            top, *parts = member.name.split("/")
            content = archive.extractfile(member) if member.isreg() else None
            if content is None or top != f"{NAME}-{VERSION}" or not parts or not {"", ".", ".."}.isdisjoint(parts):
                message = f"The archive holds {member.name!r}, which is no plain file in its folder."
                raise DamagedError("demo_sdist_unsafe", message, fix=PROVIDE)
            target = os.path.join(folder, *parts)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "xb") as file:
                file.write(content.read())
            count += 1
    return count


# The Python that runs the tests


def check_python(executable: str) -> Python:
    """The interpreter that the user gave. Raises `UnavailableError` where it cannot run the tests."""
    # Commands run in other folders later, and a path may be given from this one.
    found = _ask(os.path.abspath(executable) if os.sep in executable else executable)
    if isinstance(found, str):
        raise UnavailableError("demo_python_unsuitable", f"{executable}: {found}", fix=PROVIDE)
    return found


def make_python() -> Python:
    """The demonstration's own virtual environment from the cache, made first where it is missing or no longer works."""
    made_by = hashlib.sha256(f"{os.path.realpath(sys.executable)} {PYTEST} {COVERAGE}".encode()).hexdigest()
    folder = os.path.join(cache_folder(), f"venv-{made_by[:16]}")
    executable = os.path.join(folder, "bin", "python")
    with _locked("venv"):
        found = _ask(executable) if os.path.exists(executable) else "missing"
        if isinstance(found, Python) and (found.pytest, found.coverage) == (PYTEST, COVERAGE):
            return found
        _make_venv(folder)
        _pip(executable, "install", f"pytest=={PYTEST}", f"coverage=={COVERAGE}")
        return check_python(executable)


def _make_venv(folder: str) -> None:
    # Without pip: that needs a package which Debian leaves out, and the user's own pip is the one to be used.
    argv = [sys.executable, "-m", "venv", "--without-pip", "--clear", folder]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=_environment({}))
    if done.returncode != 0:
        message = f"No virtual environment could be made: {_last_words(done)}"
        raise UnavailableError("demo_venv_failed", message, fix=PROVIDE, where=folder)


def _ask(executable: str) -> Python | str:
    """What the interpreter has, or why it will not do."""
    question = (
        "import sys, json, platform, pytest, coverage; assert sys.version_info >= (3, 11), sys.version;"
        "print(json.dumps([platform.python_version(), pytest.__version__, coverage.__version__]))"
    )
    try:
        argv = [executable, "-c", question]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, env=_environment({}), timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return Python(executable, *json.loads(done.stdout)) if done.returncode == 0 else _last_words(done)


# pip


def _pip(python: str, command: str, *options: str, environment: Mapping[str, str] = {}) -> None:
    """Run the user's pip on behalf of the interpreter `python`."""
    quiet = ["--quiet", "--no-input", "--disable-pip-version-check", "--retries", "2"]
    argv = [*_own_pip(), "--python", python, command, *quiet, *options]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=_environment(environment))
    if done.returncode != 0:
        message = f"`pip {command}` did not succeed: {_last_words(done)}"
        raise UnavailableError("demo_download_failed", message, fix=PROVIDE)


def _own_pip() -> list[str]:
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    for name in ("pip3", "pip"):
        if path := shutil.which(name):
            return [path]
    raise UnavailableError("demo_pip_missing", "There is no pip here.", fix=PROVIDE)


def _environment(changes: Mapping[str, str]) -> dict[str, str]:
    """The user's environment, without what would lead Python or pip to packages from elsewhere."""
    kept = {name: value for name, value in os.environ.items() if name not in _PLACEMENT}
    kept.pop("PYTHONPATH", None)
    kept.pop("PYTHONHOME", None)
    return {**kept, **changes}


def _last_words(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return " ".join((errors or lines)[-2:]) or f"exit status {done.returncode}."


@contextmanager
def _locked(name: str) -> Iterator[None]:
    """One demonstration at a time prepares the cache."""
    with open(os.path.join(cache_folder(), f"{name}.lock"), "w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
