"""Who may act on a task now: contention, expiry, takeover, and a worker that wakes up too late."""

from __future__ import annotations

import pytest

from acceptance.doubles import ManualClock
from acceptance.world import ADA, BOB, World, codes


def test_a_second_worker_is_refused_and_told_who_holds_the_task(world: World) -> None:
    world.given_task("T")
    world.ask("lease", "claim", "T", actor=ADA)

    reply = world.ask("lease", "claim", "T", actor=BOB)

    assert (reply.status, reply.codes) == (1, ["lease_held"])
    assert ADA in reply.json["refusals"][0]["message"]


@pytest.mark.parametrize(
    "command",
    [
        ("advance", "T"),
        ("backtrack", "T", "--to", "STRATEGIZE", "--reason", "Mine"),
        ("abandon", "T", "--reason", "Mine"),
        ("lease", "claim", "T"),
        ("lease", "renew", "T"),
        ("lease", "release", "T"),
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_nothing_that_needs_the_lease_is_done_under_anothers(world: World, command: tuple[str, ...]) -> None:
    world.given_task("T", "SPEC", actor=ADA)
    world.write("T", "SPEC")

    reply = world.ask(*command, actor=BOB)

    assert (reply.status, reply.codes) == (1, ["lease_held"])
    assert world.status()["phase"] == "SPEC"
    assert world.status()["lease"]["holder"] == ADA


def test_a_command_claims_a_free_lease_in_its_own_entry(world: World) -> None:
    world.given_task("T")
    world.write("T", "STRATEGIZE")
    before = len(world.lines())

    world.ask("advance", "T")

    assert len(world.lines()) == before + 1
    assert world.events()[-1]["data"]["lease"] == {"holder": ADA, "token": 1}


def test_a_skip_claims_nothing(world: World) -> None:
    world.given_task("T")

    world.ask("advance", "T", "--to", "PLAN")

    assert not world.status()["lease"]


def test_different_tasks_are_held_independently(world: World) -> None:
    for name, actor in (("T", ADA), ("U", BOB)):
        world.given_task(name)
        assert world.ask("lease", "claim", name, actor=actor).status == 0

    assert world.status("T")["lease"]["holder"] == ADA
    assert world.status("U")["lease"]["holder"] == BOB


def test_two_processes_of_one_actor_are_one_holder(world: World) -> None:
    world.given_task("T", "SPEC")
    world.write("T", "SPEC")

    assert world.run("advance", "T", actor=ADA).status == 0
    assert world.status()["lease"]["token"] == 1


def test_two_sessions_of_one_principal_are_two_holders(world: World) -> None:
    world.given_task("T")
    world.ask("lease", "claim", "T", actor=f"{ADA}/one")

    assert world.ask("lease", "claim", "T", actor=f"{ADA}/two").codes == ["lease_held"]


def test_a_lease_is_free_again_after_its_release(world: World) -> None:
    world.given_task("T")
    world.ask("lease", "claim", "T", actor=ADA)
    world.ask("lease", "release", "T", actor=ADA)

    assert world.ask("lease", "claim", "T", actor=BOB).status == 0
    assert world.status()["lease"]["token"] == 2


def test_an_operator_releases_anothers_lease_by_force_and_on_the_record(world: World) -> None:
    world.given_task("T")
    world.ask("lease", "claim", "T", actor=ADA)

    without = world.ask("lease", "release", "T", "--force", actor=BOB)
    assert (without.status, without.codes) == (2, ["reason_missing"])

    reply = world.ask("lease", "release", "T", "--force", "--reason", "Its host is gone", actor=BOB)

    assert reply.status == 0
    data = world.events("lease.released")[0]["data"]
    assert (data["holder"], data["forced"], data["reason"], data["actor"]) == (ADA, True, "Its host is gone", BOB)


def test_an_expired_lease_passes_to_whoever_asks_next(world: World) -> None:
    clock = ManualClock()
    world.given_task("T", "SPEC", clock=clock)
    world.write("T", "SPEC")
    clock.passing(301)

    bob = world.library(BOB, clock=clock).task("T")

    assert bob.advance()
    claim = world.events("phase.advanced", "T")[-1]["data"]["lease"]
    assert claim == {"holder": BOB, "token": 2, "how": "taken_over", "previous": ADA}


def test_an_expired_lease_cannot_be_renewed(world: World) -> None:
    clock = ManualClock()
    task = world.given_task("T", "SPEC", clock=clock)
    clock.passing(301)

    assert codes(task.renew()) == {"lease_stale"}


def test_a_wall_clock_that_jumps_neither_ends_nor_stretches_a_lease(world: World) -> None:
    clock = ManualClock()
    world.given_task("T", "SPEC", clock=clock)
    world.write("T", "SPEC")
    bob = world.library(BOB, clock=clock).task("T")

    clock.wall += 10 * 365 * 86_400 * 1_000_000
    assert codes(bob.advance()) == {"lease_held"}

    clock.passing(301)
    clock.wall -= 20 * 365 * 86_400 * 1_000_000
    assert bob.advance()


def test_work_renews_the_lease(world: World) -> None:
    clock = ManualClock()
    task = world.given_task("T", clock=clock)
    bob = world.library(BOB, clock=clock).task("T")
    task.claim().require()
    for _ in range(4):
        clock.passing(200)
        task.advance()

    assert codes(bob.claim()) == {"lease_held"}


def test_a_stale_lease_cannot_advance_a_phase(world: World) -> None:
    """The holder sleeps inside its block, another takes the task over and lets it go, and the first one wakes up."""
    clock = ManualClock()
    ada = world.given_task("T", clock=clock)
    bob = world.library(BOB, clock=clock).task("T")
    world.write("T", "STRATEGIZE")

    with ada.lease():
        clock.passing(301)
        bob.claim().require()
        bob.release().require()
        outcome = ada.advance()

    assert codes(outcome) == {"lease_stale"}
    assert world.status()["phase"] == "STRATEGIZE"


def test_a_lease_that_expired_inside_its_block_is_not_claimed_again(world: World) -> None:
    clock = ManualClock()
    ada = world.given_task("T", clock=clock)
    world.write("T", "STRATEGIZE")

    with ada.lease():
        clock.passing(301)
        outcome = ada.advance()

    assert codes(outcome) == {"lease_stale"}


def test_a_lease_block_releases_at_its_end(world: World) -> None:
    ada = world.given_task("T")
    world.write("T", "STRATEGIZE")

    with ada.lease():
        ada.advance().require()

    assert not world.status()["lease"]


def test_a_lease_block_on_a_held_task_is_refused(world: World) -> None:
    from enforcer import Refused

    world.given_task("T", "SPEC", actor=ADA)
    bob = world.library(BOB).task("T")

    with pytest.raises(Refused) as caught, bob.lease():
        raise AssertionError("the block must not run")

    assert codes(caught.value) == {"lease_held"}


@pytest.mark.parametrize(
    "damage", [b"", b"garbage", b'{"token": 99}', b"\xff" * 64], ids=["empty", "text", "json", "bytes"]
)
def test_a_forged_expiry_file_revives_no_old_token(world: World, damage: bytes) -> None:
    clock = ManualClock()
    ada = world.given_task("T", clock=clock)
    world.write("T", "STRATEGIZE")
    bob = world.library(BOB, clock=clock).task("T")

    with ada.lease():
        clock.passing(301)
        bob.claim().require()
        for path in (world.root / "state" / "leases").iterdir():
            path.write_bytes(damage)
        outcome = ada.advance()

    assert codes(outcome) == {"lease_stale"}
    assert world.verdict() == "verified"


def test_leases_lists_who_holds_what(world: World) -> None:
    for name, actor in (("T", ADA), ("U", BOB)):
        world.given_task(name)
        world.ask("lease", "claim", name, actor=actor)

    reply = world.ask("leases")

    assert reply.status == 0
    assert {(lease["task"], lease["holder"]) for lease in reply.json["leases"]} == {("T", ADA), ("U", BOB)}


def test_commands_do_not_claim_where_the_settings_forbid_it(world: World) -> None:
    world.given_task("T")
    world.write("T", "STRATEGIZE")
    settings = world.root / "enforcer.toml"
    kept = [line for line in settings.read_text(encoding="utf-8").splitlines() if not line.startswith("auto")]
    text = "\n".join(kept)
    if "[lease]" in text:
        text = text.replace("[lease]", "[lease]\nauto = false")
    else:
        text += "\n\n[lease]\nauto = false\n"
    settings.write_text(text + "\n", encoding="utf-8")

    assert world.ask("advance", "T").codes == ["lease_required"]
    assert world.ask("lease", "claim", "T").status == 0
    assert world.ask("advance", "T").status == 0
