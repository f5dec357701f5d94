"""A worker that dies in the middle of a phase: a fresh process goes on where it stopped."""

from __future__ import annotations

import pytest

from acceptance.doubles import ManualClock
from acceptance.model import PHASES
from acceptance.world import ADA, BOB, World
from enforcer import EnforcerError


@pytest.mark.parametrize("phase", PHASES)
def test_a_fresh_process_goes_on_in_the_middle_of_any_phase(world: World, phase: str) -> None:
    world.given_task("T", phase)
    before = world.status()
    world.write("T", phase)

    reply = world.run("advance", "T")

    assert reply.status == 0, reply
    assert reply.json["from"] == phase
    status = world.status()
    assert status["attempt_id"] != before["attempt_id"] or status["state"] == "completed"
    assert [one["phase"] for one in status["accepted"]] == list(PHASES[: PHASES.index(phase) + 1])
    assert world.verdict() == "verified"


def test_a_task_walks_every_phase_with_a_new_process_each_time(world: World) -> None:
    assert world.run("open", "T", "--title", "Keep the last field").status == 0
    for phase in PHASES:
        world.write("T", phase)
        assert world.run("advance", "T").status == 0

    assert world.status()["state"] == "completed"
    assert [event["data"]["start"] for event in world.events("phase.advanced", "T")] == list(PHASES)


def test_a_dead_worker_s_lease_ends_by_itself(world: World) -> None:
    clock = ManualClock()
    world.given_task("T", "SPEC", actor=f"{ADA}/crashed", clock=clock)
    world.write("T", "SPEC")
    fresh = world.library(f"{ADA}/fresh", clock=clock).task("T")

    assert not fresh.advance()
    clock.passing(301)
    assert fresh.advance()


def test_caches_are_rebuilt_when_they_are_gone(world: World) -> None:
    world.given_task("T", "VERIFY")
    before = world.status()
    world.forget_caches()

    after = world.status()
    del before["lease"]["remaining_us"], after["lease"]["remaining_us"]
    assert after == before
    world.write("T", "VERIFY")
    assert world.ask("advance", "T").status == 0
    assert world.verdict() == "verified"


def test_a_forged_cache_is_not_believed(world: World) -> None:
    world.given_task("T", "SPEC")
    cached = [path for path in (world.root / "state" / "ledger" / ".cache").rglob("*") if path.is_file()]
    for path in cached:
        path.write_bytes(path.read_bytes().replace(b"SPEC", b"PLAN"))
    before = world.status()["phase"]

    assert before == "SPEC"
    world.write("T", "SPEC")
    assert world.ask("advance", "T", "--to", "PLAN").status == 0
    assert world.verdict() == "verified"


def test_without_the_users_folder_everything_works_unsealed(world: World) -> None:
    world.given_task("T", "SPEC", actor=BOB)
    for path in sorted(world.home.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    world.write("T", "SPEC")

    assert world.ask("advance", "T", actor=BOB).status == 0
    assert world.verdict() == "verified"


def test_a_clock_beyond_what_an_entry_can_hold_writes_nothing(world: World) -> None:
    world.given_task("T", "SPEC")
    lines = world.lines()
    clock = ManualClock()
    clock.wall = 1 << 60

    with world.library(clock=clock) as enforcer, pytest.raises(EnforcerError) as refused:
        enforcer.task("T").advance("MONITOR")

    assert refused.value.code == "clock_unusable"
    assert world.lines() == lines
    assert world.verdict() == "verified"
