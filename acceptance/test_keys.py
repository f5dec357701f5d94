"""Idempotency keys: a lost reply is asked for again, and nothing happens twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from acceptance.world import ADA, BAD, BOB, Reply, World

Given = Callable[[World], None]


def nothing(world: World) -> None:
    """The task stands in SPEC with evidence that holds up."""


def bad_evidence(world: World) -> None:
    world.write("T", "SPEC", BAD)


def held(world: World) -> None:
    world.ask("lease", "release", "T")
    world.ask("lease", "claim", "T", actor=BOB)


def free(world: World) -> None:
    world.ask("lease", "release", "T")


COMMANDS = {
    "advance": (nothing, ("advance", "T")),
    "advance refused by evidence": (bad_evidence, ("advance", "T")),
    "advance refused by lease": (held, ("advance", "T")),
    "skip": (nothing, ("advance", "T", "--to", "REVIEW")),
    "backtrack": (nothing, ("backtrack", "T", "--to", "STRATEGIZE", "--reason", "Once more")),
    "backtrack refused": (nothing, ("backtrack", "T", "--to", "PLAN", "--reason", "Once more")),
    "abandon": (nothing, ("abandon", "T", "--reason", "Not needed any more")),
    "claim": (free, ("lease", "claim", "T")),
    "release": (nothing, ("lease", "release", "T")),
    "open": (nothing, ("open", "U", "--title", "Another")),
    "open refused": (nothing, ("open", "T", "--title", "Other words")),
}


def receipt(reply: Reply) -> dict[str, object]:
    """The answer itself, without what an answer shows of the task as it stands by then."""
    members = ("ok", "task", "from", "to", "seq", "hash", "refusals")
    return {"status": reply.status, **{name: reply.json.get(name) for name in members}}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_same_key_returns_the_first_receipt_and_changes_nothing(world: World, name: str) -> None:
    given, command = COMMANDS[name]
    world.given_task("T", "SPEC")
    world.write("T", "SPEC")
    given(world)
    first = world.ask(*command, "--key", "k-1")
    before = world.lines()

    again = world.ask(*command, "--key", "k-1")

    assert receipt(again) == receipt(first)
    assert again.json["seq"] is not None
    assert world.lines() == before


def test_the_first_receipt_stands_though_the_world_has_moved_on(world: World) -> None:
    world.given_task("T")
    refused = world.ask("advance", "T", "--key", "k-1")
    world.write("T", "STRATEGIZE")
    assert world.ask("advance", "T", "--key", "k-2").status == 0

    assert receipt(world.ask("advance", "T", "--key", "k-1")) == receipt(refused)
    assert world.status()["phase"] == "SPEC"


def test_restoring_again_with_the_same_key_restores_nothing_more(world: World) -> None:
    """What was changed after the first answer is not that call's to touch."""
    world.given_task("T", "PLAN")
    world.write("T", "SPEC", "changed once")
    first = world.ask("evidence", "restore", "T", "--key", "k-1")
    world.write("T", "SPEC", "changed again")
    before = world.snapshot()

    again = world.ask("evidence", "restore", "T", "--key", "k-1")

    assert receipt(again) == receipt(first)
    assert world.snapshot() == before


def test_a_key_of_another_request_is_an_error(world: World) -> None:
    world.given_task("T", "SPEC")
    world.ask("advance", "T", "--to", "REVIEW", "--key", "k-1")
    before = world.lines()

    reply = world.ask("backtrack", "T", "--to", "STRATEGIZE", "--reason", "Once more", "--key", "k-1")

    assert (reply.status, reply.codes) == (2, ["key_reused"])
    assert world.lines() == before


def test_a_key_survives_a_restart(world: World) -> None:
    world.given_task("T")
    world.write("T", "STRATEGIZE")
    first = world.run("advance", "T", "--key", "k-1")

    again = world.run("advance", "T", "--key", "k-1")

    assert receipt(again) == receipt(first)
    assert world.status()["phase"] == "SPEC"


def test_keys_of_different_tasks_do_not_meet(world: World) -> None:
    for name in ("T", "U"):
        world.given_task(name)
        world.write(name, "STRATEGIZE")
        assert world.ask("advance", name, "--key", "k-1").status == 0

    assert [world.status(name)["phase"] for name in ("T", "U")] == ["SPEC", "SPEC"]


def test_the_entrys_id_carries_task_and_key(world: World) -> None:
    world.given_task("T")
    world.ask("advance", "T", "--key", "k-1")

    assert world.events("command.refused", "T")[0]["id"] == "T/k-1"


@pytest.mark.parametrize("key", ["a b", "x" * 65, "ä", "a/b"])
def test_a_malformed_key_is_an_error(world: World, key: str, tmp_path: Path) -> None:
    world.given_task("T")
    before = world.lines()

    reply = world.ask("advance", "T", "--key", key, actor=ADA)

    assert (reply.status, reply.codes) == (2, ["bad_key"])
    assert world.lines() == before


def test_a_key_that_looks_like_one_of_the_gates_own_is_refused_unless_it_is_one(world: World) -> None:
    reply = world.ask("open", "NEW", "--key", ".mine")
    assert (reply.status, reply.json["error"]["code"]) == (2, "bad_key")

    first = world.ask("open", "NEW").json
    again = world.ask("open", "NEW", "--key", first["key"]).json
    assert (again["seq"], again["repeated"]) == (first["seq"], True)
