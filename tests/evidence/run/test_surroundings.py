"""Nothing passes to a run that was not asked for, least of all what makes programs load code."""

from __future__ import annotations

import hashlib
import os
import sys

import pytest

from enforcer.errors import RequestError
from enforcer.evidence.run import environment, salted
from tests.evidence.run.commands import command, program, python, run, usual

LOADERS = (
    "BASH_ENV", "DYLD_INSERT_LIBRARIES", "ENV", "GIT_CONFIG_GLOBAL", "GIT_DIR", "JAVA_TOOL_OPTIONS", "LD_AUDIT",
    "LD_LIBRARY_PATH", "LD_PRELOAD", "NODE_OPTIONS", "NODE_PATH", "PERL5LIB", "PERL5OPT", "PYTEST_ADDOPTS",
    "PYTEST_PLUGINS", "PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONWARNINGS", "RUBYLIB", "RUBYOPT",
    "ENFORCER_HOME", "SSH_AUTH_SOCK", "VIRTUAL_ENV", "_JAVA_OPTIONS", "__PYVENV_LAUNCHER__",
)  # fmt: skip


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def made(project, inherited, *, names=(), first=()) -> dict[str, str]:
    return environment(names, first, inherited, "/out", str(project))


@pytest.mark.parametrize("name", LOADERS)
def test_what_makes_programs_load_code_passes_only_when_it_is_named(project, name) -> None:
    assert name not in made(project, {name: "/evil"})
    assert made(project, {name: "/fine"}, names=(name,))[name] == "/fine"


def test_usual_names_pass_and_are_sorted(project) -> None:
    inherited = {"USER": "u", "LC_ALL": "C", "LANG": "C", "TERM": "dumb", "TZ": "UTC", "HOME": "/home/u", "SECRET": "s"}
    expected = sorted({*inherited, "PATH", "ENFORCER_OUT", "PYTHONPYCACHEPREFIX"} - {"SECRET"})
    assert list(made(project, inherited)) == expected


def test_python_compiles_beside_the_folder_for_reports_and_loads_nothing_that_lies_about(project) -> None:
    assert made(project, {"PYTHONPYCACHEPREFIX": "/planted"})["PYTHONPYCACHEPREFIX"] == "/pycache"
    named = made(project, {"PYTHONPYCACHEPREFIX": "/mine"}, names=("PYTHONPYCACHEPREFIX",))
    assert named["PYTHONPYCACHEPREFIX"] == "/mine", "the process may ask for another place"


def test_a_name_that_is_not_set_stays_unset(project) -> None:
    assert "DATABASE_URL" not in made(project, {}, names=("DATABASE_URL",))


def test_the_folder_for_reports_cannot_be_moved(project) -> None:
    assert made(project, {"ENFORCER_OUT": "/evil"}, names=("ENFORCER_OUT",))["ENFORCER_OUT"] == "/out"


@pytest.mark.parametrize("name", ["HOME", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_a_usual_place_does_not_pass_where_the_worker_works(project, name) -> None:
    link = project.parent / "link"
    link.symlink_to(project)
    for value in (str(project / "x"), str(link / "x"), "relative", ""):
        assert name not in made(project, {name: value})
    assert made(project, {name: f"{project}-beside"})[name] == f"{project}-beside"


# --- The search path -------------------------------------------------------------------------------------------------


def test_folders_of_the_project_do_not_pass_on_the_search_path(project) -> None:
    link = project.parent / "link"
    link.symlink_to(project)
    evil = [f"{project}/bin", str(project), f"{link}/bin", f"{project}/../project/bin", ".", "bin", ""]
    path = os.pathsep.join([*evil, "/usr/bin", "/bin", "/usr/bin", f"{project}-beside"])
    assert made(project, {"PATH": path})["PATH"] == f"/usr/bin:/bin:{project}-beside"


def test_folders_that_the_process_names_come_first(project) -> None:
    path = made(project, {"PATH": f"{project}/evil:/usr/bin"}, first=(".venv/bin", "tools"))["PATH"]
    assert path == f"{project}/.venv/bin:{project}/tools:/usr/bin"


@pytest.mark.parametrize("path", ["", ".:", "relative/bin"])
def test_a_search_path_without_usable_folders_is_the_systems(project, path) -> None:
    assert made(project, {"PATH": path})["PATH"] == "/usr/local/bin:/usr/bin:/bin"


def test_naming_the_search_path_does_not_bring_the_project_back(project) -> None:
    assert made(project, {"PATH": f"{project}/bin:/bin"}, names=("PATH",))["PATH"] == "/bin"


@pytest.mark.parametrize("folder", ["../other", "/usr/bin", "a/../../b", "a:b", "a\0b"])
def test_a_folder_that_cannot_be_searched_is_refused(project, folder) -> None:
    with pytest.raises(RequestError) as raised:
        made(project, {}, first=(folder,))
    assert raised.value.code == "bad_folder"


# --- What really runs ------------------------------------------------------------------------------------------------


def test_a_shim_on_the_search_path_does_not_run(project) -> None:
    program(project / "bin" / "env")
    inherited = {"PATH": f"{project}/bin:.:/usr/bin:/bin"}
    passed = made(project, inherited)
    assert run(command("env", folder=str(project / "bin"), variables=passed)).output != b"shim\n"


def test_python_loads_nothing_that_the_worker_put_in_its_way(project) -> None:
    (project / "sitecustomize.py").write_text("print('shim')")
    (project / "startup.py").write_text("print('shim')")
    variables = {"PYTHONPATH": str(project), "PYTHONSTARTUP": str(project / "startup.py"), "HOME": str(project)}
    argv = (sys.executable, "-c", "print('true')")
    assert run(command(*argv, variables=made(project, usual(variables)))).output == b"true\n"
    # The shim works where it is let in, so the check above can fail.
    assert b"shim" in run(command(*argv, variables=made(project, usual(variables), names=("PYTHONPATH",)))).output


def test_a_shell_loads_nothing_that_the_worker_put_in_its_way(project) -> None:
    script = project / "evil.sh"
    script.write_text("echo shim\n")
    variables = {"BASH_ENV": str(script), "ENV": str(script)}
    argv = ("bash", "-c", "echo true")
    assert run(command(*argv, variables=made(project, usual(variables)))).output == b"true\n"
    assert b"shim" in run(command(*argv, variables=made(project, usual(variables), names=("BASH_ENV",)))).output


def test_the_preloader_of_the_system_is_not_asked(project) -> None:
    passed = made(project, usual({"LD_PRELOAD": "/nonexistent/evil.so"}))
    assert python("print('true')", variables=passed).output == b"true\n"


# --- Digests ---------------------------------------------------------------------------------------------------------


def test_values_show_as_digests_that_cannot_be_guessed_without_the_salt() -> None:
    digests = salted({"B": "2", "A": "1"}, b"salt")
    assert list(digests) == ["A", "B"]
    assert digests["A"] == hashlib.sha256(b"saltA\x001").hexdigest()
    assert digests == salted({"A": "1", "B": "2"}, b"salt")
    assert digests["A"] != salted({"A": "1"}, b"other")["A"]


def test_equal_values_of_two_names_do_not_show_as_equal() -> None:
    digests = salted({"A": "1", "AA": "1", "B": os.fsdecode(b"\xff")}, b"salt")
    assert len(set(digests.values())) == 3
