"""Keys that change hands, and keys that were stolen, through the command alone."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from acceptance.world import World


def ask(world: World, *words: str, status: int = 0) -> Any:
    reply = world.ask(*words, actor=None)
    assert reply.status == status, reply
    return reply.json


def test_a_verifier_that_pins_any_key_follows_the_changes(world: World) -> None:
    world.given_task("T", "PLAN")
    for overlap in ("0", "3", "1024"):
        ask(world, "key", "rotate", "--overlap", overlap)
    world.given_task("U", "SPEC")
    ask(world, "checkpoint")
    keys = [one["vkey"] for one in ask(world, "key", "show")["keys"]]
    assert len(keys) == 4
    for vkey in keys:
        answer = ask(world, "verify", "--key", vkey, "--require-key")
        assert (answer["verdict"], answer["key"], answer["sealed_to"]) == ("verified", "pinned", answer["entries"])
    stranger = keys[0].replace(keys[0][-4:], "AAAA")
    assert ask(world, "verify", "--key", stranger, status=2)["error"]["code"] == "bad_vkey"


@pytest.fixture
def stolen(world: World, tmp_path: Path) -> tuple[World, Path]:
    """A ledger, and an anchor of its first entries that was kept elsewhere."""
    world.given_task("T", "PLAN")
    kept = tmp_path / "elsewhere"
    ask(world, "anchor", "file", str(kept))
    world.given_task("U", "SPEC")
    return world, kept


def test_the_work_goes_on_under_a_ledger_that_cites_the_old_one(stolen: tuple[World, Path], tmp_path: Path) -> None:
    world, kept = stolen
    old_key = ask(world, "key", "show")["here"]
    entries = ask(world, "status")["entries"]
    done = ask(world, "key", "compromised", "--reason", "laptop stolen", "--anchor", str(kept))
    assert [one["seq"] for one in done["suspects"]] == list(range(done["trusted"], entries))
    assert done["open_tasks"] == ["T", "U"]
    assert ask(world, "key", "show")["here"] == done["key"] != old_key

    world.given_task("T", "SPEC")
    ask(world, "checkpoint")
    answer = ask(world, "verify", "--key", done["key"], "--require-key")
    assert answer["verdict"] == "verified"
    assert "continues" in [one["code"] for one in answer["findings"]]
    assert ask(world, "telemetry")["told"]["entries"] == ask(world, "status")["entries"]

    old = World.at(tmp_path / "old", world.home)
    shutil.copytree(done["archive"], old.root / "state")
    shutil.copytree(world.root / "state" / "objects", old.root / "state" / "objects")
    shutil.copy(world.root / "enforcer.toml", old.root)
    told = ask(old, "verify", "--key", old_key, "--require-key", "--anchor", str(kept), "--require-anchor")
    assert (told["verdict"], told["anchored_to"]) == ("verified", done["trusted"])


def test_an_interrupted_change_says_what_to_do_and_is_finished_by_asking_again(stolen: tuple[World, Path]) -> None:
    """The process died between the two renames: the old ledger is in the archive, the new one not in its place."""
    world, kept = stolen
    done = ask(world, "key", "compromised", "--reason", "r", "--anchor", str(kept))
    (world.root / "state" / "ledger").rename(world.root / "state" / "ledger.next")

    for words in (("status",), ("open", "V"), ("status", "T"), ("key", "show"), ("init",), ("init", "--new-ledger")):
        error = ask(world, *words, status=2)["error"]
        assert (error["code"], "enforcer key compromised" in error["fix"]) == ("change_unfinished", True), words

    again = ask(world, "key", "compromised", "--reason", "another")
    assert again == {**done, "resumed": True}
    assert ask(world, "status")["ledger"] == done["ledger"]
    world.given_task("T", "SPEC")
    assert world.verdict() == "verified"


def test_an_anchor_within_the_writers_reach_is_no_anchor(stolen: tuple[World, Path]) -> None:
    world, kept = stolen
    inside = world.root / "kept"
    shutil.copy(kept, inside)
    before = ask(world, "status")
    for source in (inside, world.root / "state" / "ledger" / "checkpoint"):
        answer = ask(world, "key", "compromised", "--reason", "r", "--anchor", str(source), status=2)
        assert answer["error"]["code"] == "anchor_not_held"
    assert ask(world, "status") == before
