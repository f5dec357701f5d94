"""The package works from all four places it can be in: a checkout, an editable install, a wheel and an sdist.

The wheel is built from the sdist, as an index would receive both, and is installed into an environment that holds
nothing but the declared dependencies. They are linked there from this environment, so no network is needed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from enforcer import resources
from enforcer.errors import RequestError

ROOT = Path(__file__).resolve().parent.parent
KINDS = resources.KINDS
NOT_SOURCE = {ROOT / "build", ROOT / "dist", ROOT / "state"}

# `-I` keeps the working folder and the environment out, so that what is found is what is installed.
LIST_RESOURCES = """
import json
from enforcer import resources
from enforcer.errors import RequestError
kinds = {kind: {name: resources.path(kind, name) for name in resources.names(kind)} for kind in resources.KINDS}
print(json.dumps(kinds))
"""


def run(*command: str | Path, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run in `folder` with an empty home; nothing of the environment but the search path is passed on."""
    home = folder.with_name(f"{folder.name}-home")
    home.mkdir(exist_ok=True)
    env = {"PATH": os.environ["PATH"], "HOME": str(home), **variables}
    return subprocess.run(
        [str(part) for part in command], cwd=folder, env=env, capture_output=True, text=True, check=False
    )


# What a project says to be governed by the default process: the command that makes each observed artifact.
COMMANDS = (
    *("--observe", "test_results.json=python -m pytest"),
    *("--observe", "build_output.log=make"),
    *("--observe", "coverage_report.json=python -m coverage json"),
)


def succeed(*command: str | Path, folder: Path, **variables: str) -> str:
    done = run(*command, folder=folder, **variables)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def left_out(folder: str, names: list[str]) -> set[str]:
    hidden = {name for name in names if name.startswith(".") or name == "__pycache__"}
    return hidden | {name for name in names if Path(folder, name) in NOT_SOURCE}


def declared_version() -> str:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert isinstance(version, str)
    return version


def shipped() -> dict[str, bytes]:
    """Every file of `schemas/` and `policies/` in the checkout, as `kind/name` to bytes."""
    files = [file for kind in KINDS for file in (ROOT / kind).rglob("*") if file.is_file()]
    return {file.relative_to(ROOT).as_posix(): file.read_bytes() for file in files}


def found_by(listing: str) -> dict[str, bytes]:
    """What `LIST_RESOURCES` printed, as `kind/name` to the bytes at the paths it gave."""
    kinds: dict[str, dict[str, str]] = json.loads(listing)
    return {f"{kind}/{name}": Path(path).read_bytes() for kind, names in kinds.items() for name, path in names.items()}


# --- An environment that holds exactly what is declared --------------------------------------------------------------


def requirements(name: str, extras: frozenset[str] = frozenset()) -> Iterator[str]:
    """The distributions that `name` needs, through all levels, by canonical name; itself first."""
    seen = set()
    waiting = [(canonicalize_name(name), extras)]
    while waiting:
        current, wanted = waiting.pop()
        if (current, wanted) in seen:
            continue
        seen.add((current, wanted))
        yield current
        for line in metadata.distribution(current).requires or ():
            need = Requirement(line)
            if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in (wanted or {""})):
                waiting.append((canonicalize_name(need.name), frozenset(need.extras)))


class Environment:
    """A virtual environment without pip; distributions of this environment are linked in by name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        self.python = folder / "bin" / "python"
        places = {"base": str(folder), "platbase": str(folder)}
        self.site = Path(sysconfig.get_path("purelib", scheme="venv", vars=places))

    def link(self, name: str) -> None:
        for dependency in requirements(name):
            distribution = metadata.distribution(dependency)
            tops = {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}
            for top in tops:
                target = self.site / top
                if not target.exists():
                    target.symlink_to(Path(str(distribution.locate_file(top))).resolve())

    def pip(self, *arguments: str | Path) -> str:
        return succeed(sys.executable, "-m", "pip", "--python", self.python, *arguments, folder=self.folder)


def declared(wheel: Path) -> list[str]:
    """The names that the wheel needs without any extra."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(each for each in archive.namelist() if each.endswith(".dist-info/METADATA"))
        lines = archive.read(name).decode("utf-8").splitlines()
    needs = [Requirement(line.removeprefix("Requires-Dist: ")) for line in lines if line.startswith("Requires-Dist: ")]
    return [need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]


# --- What is built ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist, and the wheel built from it."""
    folder = tmp_path_factory.mktemp("build")
    source = folder / "checkout"
    shutil.copytree(ROOT, source, ignore=left_out)
    succeed(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder / "out", source, folder=folder)
    (sdist,) = (folder / "out").glob("*.tar.gz")
    (wheel,) = (folder / "out").glob("*.whl")
    return sdist, wheel


@pytest.fixture(scope="module")
def unpacked(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder inside the sdist."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(built[0]) as archive:
        archive.extractall(folder, filter="data")
    (top,) = folder.iterdir()
    return top


@pytest.fixture(scope="module")
def installed(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with the wheel and its declared dependencies only."""
    environment = Environment(tmp_path_factory.mktemp("wheel") / "venv")
    environment.pip("install", "--quiet", "--no-index", "--no-deps", built[1])
    for name in declared(built[1]):
        environment.link(name)
    return environment


@pytest.fixture(scope="module")
def editable(unpacked: Path, built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with an editable install of the unpacked sdist."""
    environment = Environment(tmp_path_factory.mktemp("editable") / "venv")
    for name in ("hatchling", *declared(built[1])):
        environment.link(name)
    options = ("--quiet", "--no-index", "--no-deps", "--no-build-isolation")
    environment.pip("install", *options, "--editable", unpacked)
    return environment


def test_the_checkout_ships_schemas_and_policies() -> None:
    assert {name.partition("/")[0] for name in shipped()} == set(KINDS)
    assert "policies/default.toml" in shipped()


def test_the_checkout_finds_what_ships_beside_it(tmp_path: Path) -> None:
    assert found_by(succeed(sys.executable, "-c", LIST_RESOURCES, folder=tmp_path, PYTHONPATH=str(ROOT))) == shipped()


def test_the_wheel_carries_the_whole_package_and_nothing_else(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[1]) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    tops = {name.partition("/")[0] for name in content}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"enforcer"}
    assert {f"enforcer/{name}": data for name, data in shipped().items()}.items() <= content.items()
    assert "enforcer/py.typed" in content
    modules = {file.relative_to(ROOT).as_posix() for file in (ROOT / "enforcer").rglob("*.py")}
    assert modules <= content.keys()
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in content)


def test_the_sdist_carries_what_is_needed_to_build_test_and_read_it(unpacked: Path) -> None:
    for name, data in shipped().items():
        assert (unpacked / name).read_bytes() == data
    for name in ("pyproject.toml", "Makefile", "README.md", "LICENSE", "enforcer/py.typed", "tests/test_packaging.py"):
        assert (unpacked / name).is_file(), name
    assert not (unpacked / "enforcer" / "schemas").exists()


def test_the_unpacked_sdist_finds_what_ships_beside_it(unpacked: Path, tmp_path: Path) -> None:
    listing = succeed(sys.executable, "-c", LIST_RESOURCES, folder=tmp_path, PYTHONPATH=str(unpacked))
    assert str(unpacked / "policies") in listing
    assert found_by(listing) == shipped()


def test_an_installed_wheel_finds_what_ships_inside_it(installed: Environment, tmp_path: Path) -> None:
    listing = succeed(installed.python, "-I", "-c", LIST_RESOURCES, folder=tmp_path)
    assert str(installed.site / "enforcer" / "policies") in listing
    assert found_by(listing) == shipped()


def test_the_declared_dependencies_of_the_wheel_are_met_by_tested_versions(installed: Environment) -> None:
    assert "No broken requirements found" in installed.pip("check")


def test_an_editable_install_reads_the_files_that_people_edit(
    editable: Environment, unpacked: Path, tmp_path: Path
) -> None:
    listing = succeed(editable.python, "-I", "-c", LIST_RESOURCES, folder=tmp_path)
    assert str(unpacked / "policies") in listing
    assert found_by(listing) == shipped()


@pytest.mark.parametrize("form", ["installed", "editable"])
def test_the_command_opens_a_task_in_an_empty_folder(form: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    environment: Environment = request.getfixturevalue(form)
    command = environment.folder / "bin" / "enforcer"
    assert declared_version() in succeed(command, "--version", folder=tmp_path)
    succeed(command, "init", *COMMANDS, folder=tmp_path)
    succeed(command, "open", "T", folder=tmp_path)
    status = json.loads(succeed(command, "status", "T", "--json", folder=tmp_path))
    assert (status["task"], status["state"], status["phase"]) == ("T", "open", "STRATEGIZE")


def test_the_command_runs_from_an_unpacked_sdist(unpacked: Path, tmp_path: Path) -> None:
    start = (sys.executable, "-c", "from enforcer.surfaces.cli import main; main()")
    succeed(*start, "init", *COMMANDS, folder=tmp_path, PYTHONPATH=str(unpacked))
    succeed(*start, "open", "T", folder=tmp_path, PYTHONPATH=str(unpacked))
    assert (tmp_path / "state" / "ledger" / "ledger.json").is_file()


# --- What a caller may ask for ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../pyproject.toml", "/etc/passwd", "a/../default.toml", "default.toml/", "none.toml", "a\0b"],
)
def test_a_name_that_does_not_ship_is_refused_with_those_that_do(name: str) -> None:
    with pytest.raises(RequestError, match=r"default\.toml") as caught:
        resources.path("policies", name)
    assert caught.value.code == "resource_missing"


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(RequestError, match="tests") as caught:
        resources.read("tests", "test_packaging.py")
    assert caught.value.code == "resource_missing"


def test_the_bytes_of_a_shipped_file_are_read_unchanged() -> None:
    for name, data in shipped().items():
        kind, _, rest = name.partition("/")
        assert resources.read(kind, rest) == data
