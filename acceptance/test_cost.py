"""What an edit of accepted evidence costs, and that the way back which is shown leads back."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from acceptance.test_certify import ORDER, lead, opened, shop
from acceptance.world import GOOD, World
from tests.surfaces.test_cli_outputs import faults


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A task that came to PR."""
    made = shop(tmp_path)
    lead(made, opened(made), "PR")
    return made


def told(world: World, command: str, *words: str) -> Any:
    reply = world.ask(command, "T", *words, actor=None)
    assert reply.status == 0, reply
    assert faults(command, reply.json) == []
    return reply.json


def test_an_edit_is_told_with_all_that_it_costs_and_what_is_not_edited_costs_nothing(world: World) -> None:
    assert told(world, "status")["cost"] is None
    assert told(world, "explain")["cost"] is None
    world.write("T", "PLAN", GOOD + "\nAnd more.\n")

    found = told(world, "status")["cost"]

    assert found == told(world, "explain")["cost"]
    assert (found["names"], found["to"], found["phases"]) == (["PLAN/note.md"], "PLAN", list(ORDER[:-1]))
    assert found["falls"] == [
        *("IMPLEMENT/git_diff.patch", "VERIFY/test_results.json", "VERIFY/build_output.log", "REVIEW/note.md"),
    ]
    assert found["runs"] == ["VERIFY/test_results.json", "VERIFY/build_output.log"]
    assert found["reaffirmed"] == ["IMPLEMENT/git_diff.patch", "REVIEW/note.md"]
    text = world.ask("status", "T", actor=None, text=True).out
    assert "undo it   enforcer evidence restore T PLAN" in text
    assert "or earn it 1. PLAN: enforcer backtrack T --to PLAN" in text
    assert "VERIFY: enforcer run T (test_results.json, build_output.log)" in world.ask("explain", "T", text=True).out


def test_the_first_way_undoes_the_edit(world: World) -> None:
    world.write("T", "PLAN", GOOD + "\nAnd more.\n")
    [command] = told(world, "status")["cost"]["restore"]

    assert world.ask(*shlex.split(command)[1:]).status == 0
    assert told(world, "status")["cost"] is None


def test_the_second_way_leads_back_to_where_the_task_stood(world: World) -> None:
    world.write("T", "PLAN", GOOD + "\nAnd more.\n")
    found = told(world, "status")["cost"]

    for step in found["steps"]:
        reply = world.ask(*shlex.split(step["command"])[1:])
        assert reply.status == 0, (step, reply)

    after = told(world, "status")
    assert (after["phase"], after["cost"], after["invalidated"]) == ("PR", None, [])
    reaffirmed = [f"{one['phase']}/{one['artifact']}" for one in after["accepted"] if one["reaffirmed"]]
    assert set(found["reaffirmed"]) <= set(reaffirmed)
    assert "VERIFY/test_results.json" not in reaffirmed, "it names its attempt"


def test_the_cost_of_an_edit_can_be_asked_before_it_is_made(world: World) -> None:
    lines = world.lines()

    found = told(world, "explain", "--if-edited", "verify/test_results.json")["cost"]

    assert (found["names"], found["phases"]) == (["VERIFY/test_results.json"], ["VERIFY", "REVIEW"])
    assert told(world, "status")["cost"] is None
    assert world.lines() == lines
    text = world.ask("explain", "T", "--if-edited", "PLAN/note.md", text=True).out
    assert text.startswith("If PLAN/note.md of T is edited:")
    assert world.ask("explain", "T", "--if-edited", "PR/note.md").codes == ["unknown_artifact"]


def test_a_closed_task_has_no_way_back_but_restoring(world: World) -> None:
    lead(world, world.library().task("T"), None)
    world.write("T", "PLAN", GOOD + "\nAnd more.\n")

    found = told(world, "status")["cost"]

    assert (found["steps"], found["restore"]) == ([], ["enforcer evidence restore T PLAN"])
