"""Refusals in a row: escalation at the third, and spam that neither floods the ledger nor gets lost."""

from __future__ import annotations

import json

from acceptance.doubles import ManualClock
from acceptance.world import ADA, BOB, World, codes


def test_the_third_refusal_of_one_code_in_a_row_escalates_once(world: World) -> None:
    world.given_task("T", "SPEC")
    for _ in range(5):
        world.ask("advance", "T")

    escalated = [event["data"].get("escalation", []) for event in world.events("command.refused", "T")]
    assert escalated == [[], [], ["evidence_missing"], [], []]


def test_another_recorded_answer_ends_a_streak(world: World) -> None:
    world.given_task("T", "SPEC")
    for _ in range(2):
        world.ask("advance", "T")
    world.ask("backtrack", "T", "--to", "STRATEGIZE", "--reason", "Once more")
    world.ask("advance", "T")
    for _ in range(2):
        world.ask("advance", "T")

    assert not any(event["data"].get("escalation") for event in world.events("command.refused", "T"))


def test_refusals_of_a_worker_that_does_not_hold_the_task_escalate_nothing(world: World) -> None:
    world.given_task("T", "SPEC", actor=ADA)
    for _ in range(5):
        world.ask("advance", "T", actor=BOB)

    assert not any(event["data"].get("escalation") for event in world.events("command.refused", "T"))


def test_from_the_tenth_identical_refusal_on_calls_are_coalesced(world: World) -> None:
    clock = ManualClock()
    task = world.given_task("T", "SPEC", clock=clock)
    outcomes = [task.advance() for _ in range(25)]

    recorded = world.events("command.refused", "T")
    lines = (world.root / "state" / "refusals" / "T.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(recorded) + len(lines) == 25
    assert 9 <= len(recorded) <= 10
    assert all(codes(outcome) == {"evidence_missing"} for outcome in outcomes)
    assert outcomes[-1].coalesced
    assert outcomes[-1].seq == outcomes[len(recorded) - 1].seq
    assert outcomes[-1].hash == outcomes[len(recorded) - 1].hash
    assert all(json.loads(line) for line in lines)


def test_a_coalesced_answer_says_so_in_json(world: World) -> None:
    world.given_task("T", "SPEC")
    answers = [world.ask("advance", "T").json for _ in range(12)]

    assert answers[0]["coalesced"] is False
    assert answers[-1]["coalesced"] is True
    assert answers[-1]["ok"] is False


def test_a_long_streak_writes_one_entry_a_minute(world: World) -> None:
    clock = ManualClock()
    task = world.given_task("T", "SPEC", clock=clock)
    for _ in range(15):
        task.advance()
    before = len(world.events("command.refused", "T"))

    clock.passing(61)
    task.advance()
    task.advance()

    assert len(world.events("command.refused", "T")) == before + 1


def test_the_next_entry_carries_the_count_of_what_was_coalesced(world: World) -> None:
    clock = ManualClock()
    task = world.given_task("T", "SPEC", clock=clock)
    for _ in range(25):
        task.advance()
    recorded = len(world.events("command.refused", "T"))
    world.write("T", "SPEC")

    task.advance().require()

    assert world.events("phase.advanced", "T")[-1]["data"]["notes"]["coalesced"] == 25 - recorded
    assert world.verdict() == "verified"


def test_spam_hides_no_other_denial(world: World) -> None:
    """A long streak of harmless denials covers neither another call nor one at what is protected."""
    world.given_task("T")
    for _ in range(12):
        world.guard("T", "Whatever")
    before = len(world.events("tool.refused", "T"))

    push = world.guard("T", "Bash", command="git push")
    forged = [world.guard("T", "Write", file_path="state/ledger/seg/0.jsonl", content="") for _ in range(12)]

    assert push.status == 1
    assert {reply.status for reply in forged} == {1}
    assert len(world.events("tool.refused", "T")) == before + 13
    assert world.verdict() == "verified"


def test_metrics_count_coalesced_refusals_too(world: World) -> None:
    world.given_task("T", "SPEC")
    for _ in range(14):
        world.ask("advance", "T", "--to", "MONITOR")

    assert world.metrics()["phase_skips_attempted"] == 14


def test_a_stalled_task_is_shown_and_recorded_with_the_next_write(world: World) -> None:
    clock = ManualClock()
    task = world.given_task("T", "SPEC", clock=clock)
    clock.passing(91 * 60)
    world.write("T", "SPEC")

    task.advance().require()

    assert world.events("phase.advanced", "T")[-1]["data"]["notes"]["stalled_minutes"] == 91
