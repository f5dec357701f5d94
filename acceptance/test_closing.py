"""A completed or abandoned task stays as it was left."""

from __future__ import annotations

import pytest

from acceptance.world import World

COMMANDS = [
    ("advance", "T"),
    ("advance", "T", "--to", "MONITOR"),
    ("advance", "T", "--to", "SPEC"),
    ("backtrack", "T", "--to", "SPEC", "--reason", "Once more"),
    ("abandon", "T", "--reason", "Once more"),
    ("lease", "claim", "T"),
    ("attest", "T", "--prompt", "process.toml"),
]


@pytest.fixture(params=["completed", "abandoned"])
def closed(world: World, request: pytest.FixtureRequest) -> World:
    task = world.given_task("T", "MONITOR")
    world.write("T", "MONITOR")
    (task.advance() if request.param == "completed" else task.abandon("Not needed any more")).require()
    assert world.status()["state"] == request.param
    return world


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_closed_task_takes_no_more_commands(closed: World, command: tuple[str, ...]) -> None:
    before = closed.status()
    args = [str(closed.root / arg) if arg == "process.toml" else arg for arg in command]

    reply = closed.ask(*args)

    assert (reply.status, reply.codes) == (1, ["task_closed"])
    after = closed.status()
    assert (after["state"], after["phase"], after["accepted"]) == (before["state"], before["phase"], before["accepted"])


def test_completion_is_data_of_the_last_advance(world: World) -> None:
    task = world.given_task("T", "MONITOR")
    world.write("T", "MONITOR")

    task.advance().require()

    last = world.events(task="T")[-1]
    assert last["type"] == "dev.enforcer.phase.advanced"
    assert last["data"]["completed"] is True
    assert world.verdict() == "verified"


def test_abandoning_needs_a_reason(world: World) -> None:
    world.given_task("T")
    before = world.lines()

    assert world.ask("abandon", "T").status == 2
    assert world.ask("abandon", "T", "--reason", " ").status == 2
    assert world.lines() == before


def test_opening_a_task_again_in_the_same_words_changes_nothing(world: World) -> None:
    world.ask("open", "T", "--title", "Keep the last field")
    before = world.lines()

    assert world.ask("open", "T", "--title", "Keep the last field").status == 0
    assert world.lines() == before


def test_opening_a_task_again_in_other_words_is_refused(world: World) -> None:
    world.ask("open", "T", "--title", "Keep the last field")

    reply = world.ask("open", "T", "--title", "Drop the last field")

    assert (reply.status, reply.codes) == (1, ["task_exists"])
