"""`enforcer status TASK` is asked at every step: it loads little, and reads its words as the table of commands does."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enforcer.surfaces.cli import light
from enforcer.surfaces.cli.status import status
from enforcer.surfaces.cli.table import group
from enforcer.workflow.invocation import ALLOWED, FOREIGN
from tests.surfaces.command import Project
from tests.surfaces.test_cli_outputs import COMMANDS

HEAVY = {
    *("pydantic", "pydantic_core", "jsonschema", "referencing", "opentelemetry", "cryptography", "filelock"),
    *("tomllib", "subprocess", "click", "typing", "dataclasses", "tempfile", "shutil", "logging"),
}

PROBE = """
import sys
from enforcer.surfaces.cli import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    assert end.code == 0, end.code
print(*sorted(sys.modules), file=sys.stderr)
"""


def loaded_by(project: Project, *words: str) -> set[str]:
    """The modules of a process that carried out a call. `site` is left out: what it loads is none of ours."""
    probe = f"import sys; sys.path[:0] = {[path for path in sys.path if path]!r}\n{PROBE}"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", probe, *words],
        cwd=project.root,
        env=project.whole_environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(done.stderr.split())


@pytest.mark.parametrize("words", [("status", "T"), ("status", "--json", "T"), ("status", "T", "--root", ".")])
def test_the_status_of_a_task_loads_nothing_heavy(project: Project, words: tuple[str, ...]) -> None:
    project.given(phase="CHECK")
    loaded = loaded_by(project, *words)
    assert "enforcer.surfaces.cli.light" in loaded
    assert loaded & HEAVY == set()


def test_what_is_heavy_is_seen_where_it_is_loaded(project: Project) -> None:
    project.given()
    assert {"click", "pydantic"} <= loaded_by(project, "process", "adopt", "T", "--reason", "r", "--approver", "eve")


@pytest.mark.parametrize("name", ["lease", "log"])
def test_a_command_loads_no_other_command(project: Project, name: str) -> None:
    project.given()
    words = ("lease", "claim", "T") if name == "lease" else ("log",)
    loaded = loaded_by(project, *words)
    assert "enforcer.initialize" not in loaded
    assert "enforcer.surfaces.demo" not in loaded


PLAIN = ("--json", "--root", "--root=", "--root=x", "T", "x", "")
OTHER = ("--roo", "--json=1", "--help", "-h", "-j", "-r", "-", "--")
WORDS = st.one_of(st.sampled_from((*PLAIN, *OTHER)), st.text(max_size=3))


@given(st.lists(WORDS, max_size=5))
def test_the_plain_form_is_read_as_the_table_reads_it(words: list[str]) -> None:
    asked = light.read(["status", *words])
    if asked is None:
        return
    with status.make_context("status", list(words)) as context:
        assert context.params == {"task": asked.task, "root": asked.root, "as_json": asked.as_json}


@pytest.mark.parametrize(
    "words", [["status"], ["status", "--help"], ["status", "T", "U"], ["status", "T", "--root"], ["log", "T"], []]
)
def test_any_other_form_is_left_to_the_table(words: list[str]) -> None:
    assert light.read(words) is None


def test_both_ways_print_the_same(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.given(phase="CHECK")
    project.done("lease", "release", "T")
    light_way = [project.call("status", "T"), project.call("status", "T", "--json"), project.call("status", "NONE")]
    monkeypatch.setattr(light, "read", lambda words: None)
    assert light_way == [
        project.call("status", "T"),
        project.call("status", "T", "--json"),
        project.call("status", "NONE"),
    ]


# The guard judges calls of the command by a table of its own.


def options_of(command: click.Command) -> set[str]:
    """As the guard's table writes them: with `=` where they take a value."""
    return {
        option + ("" if parameter.is_flag else "=")
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for option in parameter.opts
    }


@pytest.mark.parametrize("name", [name for name in ALLOWED if name.replace(" ", "-") in COMMANDS])
def test_the_guard_knows_the_options_of_what_it_allows(name: str) -> None:
    """An option that takes a value in one table and none in the other would let a word pass as something else."""
    own = options_of(COMMANDS[name.replace(" ", "-")])
    known = {*ALLOWED[name], *FOREIGN, "--json"}
    for option in own:
        other = option.removesuffix("=") if option.endswith("=") else f"{option}="
        assert other not in known
    if name != "verify":
        assert set(ALLOWED[name]) <= own


def test_the_table_knows_every_command_by_its_first_name() -> None:
    names = set(group.list_commands(click.Context(group)))
    assert {name if name in names else name.partition("-")[0] for name in COMMANDS} == names


def test_status_without_a_task_loads_no_cryptography(project: Project) -> None:
    project.given()
    project.done("checkpoint")
    assert loaded_by(project, "status") & {"cryptography", "pydantic", "jsonschema"} == set()


def test_a_plain_audit_loads_nothing_that_only_other_audits_need(project: Project) -> None:
    project.given()
    loaded = loaded_by(project, "audit")
    assert loaded & {"enforcer.auditing", "jsonschema", "enforcer.process_file"} == set()
