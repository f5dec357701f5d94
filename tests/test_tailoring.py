"""Commands are added to a process as text: the comments stay, and so does every command that stands there."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from enforcer.errors import RequestError
from enforcer.policies import build
from enforcer.resources import read
from enforcer.tailoring import Named, at_home, doubtful, option, parse_observe, tailored

SHIPPED = read("policies", "default.toml")


def added(before: bytes, *observe: str) -> bytes:
    return tailored(before, [parse_observe(each) for each in observe], root="", where="process/p.toml")


def refused(before: bytes, *observe: str) -> RequestError:
    with pytest.raises(RequestError) as caught:
        added(before, *observe)
    return caught.value


def test_a_second_command_is_added_and_nothing_else_is_touched() -> None:
    once = added(SHIPPED, "test_results.json=pytest")
    twice = added(once, "build_output.log=make")
    lines = iter(twice.splitlines())
    assert all(line in lines for line in once.splitlines()), "what stood there stands there, in its order"
    process = build(twice, "").process
    assert process.observe["test_results.json"].argv == ("pytest", "--junitxml={out}/junit.xml")
    assert process.observe["build_output.log"].argv == ("make",)
    assert process.unobservable == ("coverage_report.json",)


def test_a_command_that_stands_there_already_changes_nothing() -> None:
    once = added(SHIPPED, "test_results.json=pytest")
    assert added(once, "test_results.json=pytest") == once


def test_another_command_for_the_same_artifact_is_refused_with_its_file() -> None:
    once = added(SHIPPED, "test_results.json=pytest")
    error = refused(once, "build_output.log=make", "test_results.json=true")
    assert (error.code, error.where) == ("process_exists", "process/p.toml")
    assert "test_results.json" in error.message


def test_tables_stand_above_the_comment_of_the_first_phase() -> None:
    before = SHIPPED.replace(b"[[phases]]", b"# The first one.\n[[phases]]", 1)
    assert b"\n\n# The first one.\n[[phases]]\n" in added(before, "build_output.log=make")


def test_a_file_whose_looks_mislead_is_not_changed_by_guess() -> None:
    inside = b'name = """\n[[phases]]\n"""\n'
    before = SHIPPED.replace(b'name = "default"\n', inside, 1)
    assert refused(before, "build_output.log=make").code == "bad_process"


def test_an_artifact_that_no_phase_has_is_refused() -> None:
    assert refused(SHIPPED, "other.log:log=make").code == "bad_process"


def test_what_is_advised_for_an_artifact_can_be_used_once_it_is_filled_in() -> None:
    assert option("test_results.json") == "--observe 'test_results.json=COMMAND'"
    told = option("lint.json").split("'")[1].replace("READER:REPORT", "sarif:lint.sarif")
    assert parse_observe(told) == Named("lint.json", ("COMMAND",), "sarif", "lint.sarif")


@pytest.mark.parametrize(
    "observe,doubts",
    [
        ("test_results.json=sh check.sh", 1),
        ("test_results.json=sh check.sh {out}/junit.xml", 0),
        ("test_results.json=sh -c 'check > $ENFORCER_OUT/junit.xml'", 0),
        ("test_results.json=pytest", 0),
        ("test_results.json:junit:project:build/junit.xml=mvn test", 0),
        ("build_output.log=make", 0),
    ],
)
def test_a_command_that_does_not_say_where_its_report_goes_is_doubted(observe: str, doubts: int) -> None:
    assert len(list(doubtful([parse_observe(observe)]))) == doubts


def test_the_programs_of_an_active_environment_in_the_project_are_found_by_its_folder(tmp_path: Path) -> None:
    programs = tmp_path / "project/.venv/bin"
    programs.mkdir(parents=True)
    (programs / "python").symlink_to("/bin/sh")
    root, python = str(tmp_path / "project"), parse_observe("test_results.json=python -m pytest")
    active = {"VIRTUAL_ENV": str(programs.parent)}
    found = at_home(python, root, active)
    assert found.path == (".venv/bin",)
    text = tailored(SHIPPED, [found], root="", where="")
    assert build(text, "").process.observe["test_results.json"].path == (".venv/bin",)
    for named, environ in (
        (python, {}),
        (python, {"VIRTUAL_ENV": str(tmp_path / "elsewhere")}),
        (python, {"VIRTUAL_ENV": ".venv"}),
        (parse_observe("build_output.log=make"), active),
        (parse_observe("build_output.log=.venv/bin/python -m build"), active),
    ):
        assert at_home(named, root, environ).path == ()


def test_commented_settings_of_the_shipped_process_can_be_uncommented_where_they_stand() -> None:
    text = SHIPPED.decode().replace("# signers = ", "signers = ").replace("# break_glass = ", "break_glass = ")
    told = tomllib.loads(text)
    assert (told["signers"], told["break_glass"]) == ("process/signers", ["maria"])
