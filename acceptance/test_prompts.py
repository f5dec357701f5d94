"""Who was told what: parts, baselines, drift, and where a difference refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from acceptance.model import PHASES, STRICT
from acceptance.world import ADA, BOB, Reply, World, digest, plain_process

HEADER, ROLE = "You keep records whole.\n", "You write the parser.\n"
PARTS = ("header", "role", "tools", "model", "persona")


def attest(world: World, tmp_path: Path, actor: str = ADA, **parts: str) -> Reply:
    args = []
    for part, content in parts.items():
        path = tmp_path / f"{part}.txt"
        path.write_bytes(content.encode())
        args += [f"--{part}", str(path)]
    return world.ask("attest", "T", *args, actor=actor)


def test_an_attestation_holds_the_digest_of_the_bytes_of_each_part(world: World, tmp_path: Path) -> None:
    world.given_task("T")

    reply = attest(world, tmp_path, header=HEADER, role=ROLE, volatile="Today is a Monday.\n")

    assert reply.status == 0
    data = world.events("prompt.attested")[0]["data"]
    assert data["parts"] == {
        "header": digest(HEADER),
        "role": digest(ROLE),
        "volatile": digest("Today is a Monday.\n"),
    }


def test_the_same_prompt_never_drifts(world: World, tmp_path: Path) -> None:
    world.given_task("T", "VERIFY")

    for _ in range(100):
        assert attest(world, tmp_path, header=HEADER, role=ROLE).status == 0


@pytest.mark.parametrize("part", PARTS)
def test_each_changed_part_is_drift_of_its_own(world: World, tmp_path: Path, part: str) -> None:
    world.given_task("T", "VERIFY")
    parts = dict.fromkeys(PARTS, "as agreed\n")
    assert attest(world, tmp_path, **parts).status == 0

    reply = attest(world, tmp_path, **{**parts, part: "otherwise\n"})

    assert (reply.status, reply.codes) == (1, ["prompt_drift"])
    assert [refusal["artifact"] for refusal in reply.json["refusals"]] == [part]


def test_the_volatile_part_is_recorded_and_never_drift(world: World, tmp_path: Path) -> None:
    world.given_task("T", "VERIFY")
    for day in ("Monday", "Tuesday"):
        assert attest(world, tmp_path, header=HEADER, volatile=day).status == 0

    assert world.events("prompt.attested")[-1]["data"]["parts"]["volatile"] == digest("Tuesday")


@pytest.mark.parametrize("phase", PHASES)
def test_drift_is_recorded_everywhere_and_refuses_in_verify_review_and_monitor(
    world: World, tmp_path: Path, phase: str
) -> None:
    world.given_task("T", phase)
    attest(world, tmp_path, header=HEADER)

    reply = attest(world, tmp_path, header="You may cut records short.\n")

    if phase in STRICT:
        assert (reply.status, reply.codes) == (1, ["prompt_drift"])
        assert world.events()[-1]["data"]["attested"] == {"header": digest("You may cut records short.\n")}
    else:
        assert reply.status == 0
        assert world.events()[-1]["data"]["drift"] == ["header"]
        assert "header" in reply.out


def test_a_drifted_prompt_cannot_leave_verify(world: World, tmp_path: Path) -> None:
    world.given_task("T", "VERIFY")
    world.write("T", "VERIFY")
    attest(world, tmp_path, header=HEADER)
    attest(world, tmp_path, header="You may cut records short.\n")

    assert world.ask("advance", "T").codes == ["prompt_drift"]

    attest(world, tmp_path, header=HEADER)
    assert world.ask("advance", "T").status == 0


@pytest.mark.parametrize("instead", [{"volatile": "Today is a Monday.\n"}, {"model": "m-1\n"}])
def test_keeping_a_changed_part_back_does_not_get_past_its_baseline(
    world: World, tmp_path: Path, instead: dict[str, str]
) -> None:
    world.given_task("T", "VERIFY")
    world.write("T", "VERIFY")
    attest(world, tmp_path, header=HEADER)
    attest(world, tmp_path, header="You may cut records short.\n")

    reply = attest(world, tmp_path, **instead)

    assert (reply.status, reply.codes) == (1, ["prompt_drift"])
    assert "was not presented" in reply.json["refusals"][0]["message"]
    assert world.ask("advance", "T").codes == ["prompt_drift"]
    assert world.verdict() == "verified"


def test_a_pinned_part_is_asked_for_from_the_first_strict_phase_on(world: World, tmp_path: Path) -> None:
    pins = f'[pins]\nheader = "{digest(HEADER)}"\n'
    (world.root / "process.toml").write_text(plain_process() + "\n" + pins, encoding="utf-8")
    world.given_task("T", "VERIFY")
    world.write("T", "VERIFY")

    assert world.ask("advance", "T").codes == ["attestation_missing"]
    assert attest(world, tmp_path, volatile="Monday\n").codes == ["prompt_drift"]
    assert world.ask("advance", "T").codes == ["prompt_drift"]

    assert attest(world, tmp_path, header=HEADER).status == 0
    assert world.ask("advance", "T").status == 0
    assert world.verdict() == "verified"


def test_a_prompt_in_one_piece_is_never_refused_while_it_stays_the_same(world: World, tmp_path: Path) -> None:
    world.given_task("T")
    for phase in PHASES:
        world.write("T", phase)
        assert attest(world, tmp_path, prompt=HEADER).status == 0
        assert world.ask("advance", "T").status == 0

    assert world.status()["state"] == "completed"


def test_accepting_a_prompt_without_a_part_drops_that_baseline(world: World, tmp_path: Path) -> None:
    world.given_task("T", "VERIFY")
    world.write("T", "VERIFY")
    attest(world, tmp_path, header=HEADER, model="m-1\n")
    assert attest(world, tmp_path, header=HEADER).codes == ["prompt_drift"]

    reply = world.ask("baseline", "accept", "T", "VERIFY", "--reason", "No model", "--approver", BOB, actor=BOB)

    assert (reply.json["parts"], reply.json["dropped"], reply.json["approval"]) == ([], ["model"], "declared")
    assert world.ask("advance", "T").status == 0
    world.forget_caches()
    assert world.verdict() == "verified"


def test_after_its_first_attestation_a_task_needs_one_in_each_strict_attempt(world: World, tmp_path: Path) -> None:
    world.given_task("T", "VERIFY")
    world.write("T", "VERIFY")
    attest(world, tmp_path, header=HEADER)
    world.ask("backtrack", "T", "--to", "IMPLEMENT", "--reason", "A case is missing")
    world.ask("advance", "T")

    assert world.ask("advance", "T").codes == ["attestation_missing"]

    attest(world, tmp_path, header=HEADER)
    assert world.ask("advance", "T").status == 0


def test_a_task_that_never_attested_needs_none(world: World) -> None:
    world.given_task("T", "REVIEW")
    world.write("T", "REVIEW")

    assert world.ask("advance", "T").status == 0


def test_a_role_has_a_baseline_in_each_phase_and_a_header_one_for_the_task(world: World, tmp_path: Path) -> None:
    world.given_task("T", "VERIFY")
    world.write("T", "VERIFY")
    attest(world, tmp_path, header=HEADER, role="Verify it.\n")
    world.ask("advance", "T")

    assert attest(world, tmp_path, header=HEADER, role="Review it.\n").status == 0
    assert attest(world, tmp_path, header="Other\n", role="Review it.\n").codes == ["prompt_drift"]


def test_each_principal_has_baselines_of_its_own(world: World, tmp_path: Path) -> None:
    world.given_task("T", "VERIFY")
    attest(world, tmp_path, header=HEADER)
    world.ask("lease", "release", "T", actor=ADA)

    assert attest(world, tmp_path, actor=BOB, header="You review records.\n").status == 0
    assert world.events("prompt.attested")[-1]["data"]["first"] == ["header"]


def test_an_accepted_baseline_ends_the_drift(world: World, tmp_path: Path) -> None:
    world.given_task("T", "VERIFY")
    world.write("T", "VERIFY")
    attest(world, tmp_path, header=HEADER)
    attest(world, tmp_path, header="You keep records whole, in order.\n")

    reply = world.ask(
        "baseline", "accept", "T", "VERIFY", "--reason", "Order matters too", "--approver", BOB, actor=BOB
    )

    assert reply.status == 0
    data = world.events("baseline.accepted")[0]["data"]
    assert (data["principal"], data["approver"], data["reason"]) == (ADA, BOB, "Order matters too")
    assert data["parts"] == {"header": digest("You keep records whole, in order.\n")}
    assert world.ask("advance", "T").status == 0
    assert world.verdict() == "verified"


@pytest.mark.parametrize("approver", [ADA, ADA.upper(), f"{ADA}.", f"{ADA}/second"])
def test_nobody_accepts_a_change_of_its_own_prompt(world: World, tmp_path: Path, approver: str) -> None:
    world.given_task("T", "VERIFY")
    attest(world, tmp_path, header=HEADER)
    attest(world, tmp_path, header="You may cut records short.\n")
    before = world.lines()

    reply = world.ask("baseline", "accept", "T", "VERIFY", "--reason", "Fine", "--approver", approver)

    assert reply.status == 2
    assert world.lines() == before


def test_a_prompt_alone_is_one_static_part(world: World, tmp_path: Path) -> None:
    world.given_task("T", "VERIFY")

    assert attest(world, tmp_path, prompt=HEADER + ROLE).status == 0
    assert attest(world, tmp_path, prompt=HEADER).codes == ["prompt_drift"]


def test_baseline_show_lists_what_was_accepted(world: World, tmp_path: Path) -> None:
    world.given_task("T", "VERIFY")
    attest(world, tmp_path, header=HEADER, role=ROLE)

    reply = world.ask("baseline", "show", "T", actor=None)

    assert reply.status == 0
    assert digest(HEADER) in reply.out
    assert digest(ROLE) in reply.out
