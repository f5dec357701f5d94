"""The file that runs is the one that is recorded, and an unusual one is labelled."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import pytest

from enforcer.errors import UnavailableError
from enforcer.evidence.run import environment, locate, resolve
from tests.evidence.run.commands import command, program, run

UNNAMED = "in the project, and the process does not name its folder"


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def found(argv0: str, project: Path, *, path: str = "/usr/bin:/bin", named=(), **variables):
    return resolve(argv0, {"PATH": path, **variables}, str(project), project=str(project), named=named)


def test_a_program_of_the_system_is_recorded_by_its_real_path_and_digest(project) -> None:
    real = os.path.realpath("/bin/sh")
    executable = found("sh", project)
    assert executable.path == real
    assert executable.digest == hashlib.sha256(Path(real).read_bytes()).hexdigest()
    assert (executable.label, executable.interpreter, executable.interpreter_digest) == ("", "", "")


def test_what_is_recorded_is_what_runs(project) -> None:
    """The first folder holds no program of that name, the second a folder, the third the one that runs."""
    (project / "a").mkdir()
    (project / "a" / "tool").write_text("not executable")
    (project / "b" / "tool").mkdir(parents=True)
    tool = program(project / "c" / "tool", "#!/bin/sh\necho third\n")
    program(project / "d" / "tool", "#!/bin/sh\necho fourth\n")
    path = os.pathsep.join(f"{project}/{each}" for each in "abcd")
    assert found("tool", project, path=path).path == str(tool)
    assert run(command("tool", PATH=path)).output == b"third\n"


def test_a_name_with_a_slash_is_relative_to_the_folder(project) -> None:
    program(project / "tools" / "check")
    executable = found("tools/check", project)
    assert (executable.path, executable.label) == (str(project / "tools" / "check"), "")
    assert run(command("tools/check", folder=str(project))).output == b"shim\n"


def test_a_link_is_recorded_by_what_it_leads_to_and_run_by_its_name(project) -> None:
    """A virtual environment's `python` is such a link, and works only when it is run by its own name."""
    (project / "python").symlink_to(sys.executable)
    assert found("./python", project).path == os.path.realpath(sys.executable)
    assert locate("./python", {}, str(project)) == f"{project}/python"


def test_a_changed_program_has_another_digest(project) -> None:
    tool = program(project / "tool")
    before = found("./tool", project).digest
    program(tool, "#!/bin/sh\necho other\n")
    assert found("./tool", project).digest != before


@pytest.mark.parametrize(
    "line, interpreter",
    [
        ("#!/bin/sh", "/bin/sh"),
        ("#! /bin/sh -e", "/bin/sh"),
        ("#!/usr/bin/env sh", "/bin/sh"),
        ("#!/usr/bin/env -S A=1 sh -e", "/bin/sh"),
    ],
)
def test_the_interpreter_of_a_script_is_recorded(project, line, interpreter) -> None:
    program(project / "script", f"{line}\necho x\n")
    real = os.path.realpath(interpreter)
    executable = found("./script", project)
    assert executable.interpreter == real
    assert executable.interpreter_digest == hashlib.sha256(Path(real).read_bytes()).hexdigest()


def test_a_script_run_by_a_script_ends_at_a_program(project) -> None:
    program(project / "inner", "#!/bin/sh\necho inner $1\n")
    program(project / "outer", f"#!{project}/inner\n")
    assert found("./outer", project).interpreter == os.path.realpath("/bin/sh")


def test_a_script_that_names_itself_comes_to_an_end(project) -> None:
    program(project / "script", f"#!{project}/script\n")
    assert found("./script", project).interpreter == f"{project}/script"


@pytest.mark.parametrize("argv0", ["nope", "./nope", "a\0b", "", "tools"])
def test_what_is_no_program_is_missing(project, argv0) -> None:
    (project / "tools").mkdir()
    with pytest.raises(UnavailableError) as raised:
        found(argv0, project, path=str(project))
    assert raised.value.code == "command_missing"
    assert "[observe]" in raised.value.fix


def test_a_script_without_its_interpreter_is_missing(project) -> None:
    program(project / "script", "#!/usr/bin/env no-such-program\n")
    with pytest.raises(UnavailableError, match="no-such-program"):
        found("./script", project)


# --- Labels ----------------------------------------------------------------------------------------------------------


def test_a_shim_in_the_project_is_labelled_unless_the_process_names_its_folder(project) -> None:
    program(project / "bin" / "pytest")
    path = f"{project}/bin:/usr/bin:/bin"
    assert found("pytest", project, path=path).label == UNNAMED
    assert found("pytest", project, path=path, named=("bin",)).label == ""
    assert found("pytest", project, path=path, named=("other",)).label == UNNAMED


def test_an_interpreter_in_the_project_labels_its_script(project) -> None:
    program(project / "bin" / "sh2", "#!/bin/sh\n")
    program(project / "tools" / "check", "#!/usr/bin/env sh2\n")
    executable = found("check", project, path=f"{project}/tools:{project}/bin:/bin", named=("tools",))
    assert executable.label == UNNAMED


def test_a_shim_in_a_temporary_folder_is_labelled(project, tmp_path) -> None:
    program(tmp_path / "bin" / "pytest")
    assert found("pytest", project, path=f"{tmp_path}/bin", TMPDIR=str(tmp_path)).label == "in a temporary folder"


def test_a_shim_in_the_home_folder_is_labelled(project, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("enforcer.evidence.run.executables.TEMPORARY", ())
    program(tmp_path / "home" / "bin" / "pytest")
    home = {"HOME": str(tmp_path / "home")}
    assert found("pytest", project, path=f"{tmp_path}/home/bin", **home).label == "in the home folder"


@pytest.mark.parametrize("which", ["tool", "tools"])
def test_what_others_may_change_is_labelled(project, which) -> None:
    tool = program(project / "tools" / "tool")
    (tool if which == "tool" else tool.parent).chmod(0o777)
    assert found("tools/tool", project).label == "writable by others"


def test_where_a_link_leads_is_looked_at_too(project, tmp_path) -> None:
    (tmp_path / "open").mkdir()
    program(tmp_path / "open" / "tool")
    (tmp_path / "open").chmod(0o777)
    (project / "tool").symlink_to(tmp_path / "open" / "tool")
    assert "writable by others" in found("./tool", project).label


def test_the_search_path_of_a_run_finds_no_shim(project) -> None:
    program(project / "bin" / "sh")
    passed = environment((), (), {"PATH": f"{project}/bin:/usr/bin:/bin"}, "/out", str(project))
    assert resolve("sh", passed, str(project), project=str(project)).path == os.path.realpath("/bin/sh")
