"""Refusals in a row: what escalates, what ends a streak, and what is counted instead of recorded."""

from __future__ import annotations

import pytest

from enforcer.workflow.commands import Advance, Attest, UseTool
from enforcer.workflow.decide import COALESCE_US, coalesces, stalled_minutes
from enforcer.workflow.events import Notes, Sealed
from tests.workflow.scene import ADA, BOB, MINUTE, SECOND, Scene, bad, codes, digest_of, done, refused


def held() -> Scene:
    """A scene whose task ada holds."""
    scene = Scene()
    scene.claim(ADA)
    return scene


def skip(scene: Scene, actor: str = ADA) -> tuple[str, ...]:
    """Try a skip; the escalation of its refusal."""
    escalation: tuple[str, ...] = refused(scene.advance(actor, to="PLAN")).escalation
    return escalation


# Escalation ----------------------------------------------------------------------------------------------------------


def test_the_third_refusal_of_a_code_escalates_and_no_later_one_of_the_streak() -> None:
    scene = held()

    assert [skip(scene) for _ in range(6)] == [(), (), ("phase_skip",), (), (), ()]


def test_a_non_holders_refusals_escalate_nothing() -> None:
    scene = held()

    assert [skip(scene, BOB) for _ in range(4)] == [()] * 4


def test_refusals_of_others_do_not_count_to_the_holder() -> None:
    scene = held()
    skip(scene)
    skip(scene, BOB)
    skip(scene)
    skip(scene, BOB)

    assert skip(scene) == ("phase_skip",)


def test_a_claim_in_the_refusal_itself_makes_its_actor_the_holder() -> None:
    scene = Scene()
    poor = scene.evidence(verdicts=(bad(),))

    events = [refused(scene.advance(evidence=poor)) for _ in range(3)]

    assert events[0].lease.holder == ADA
    assert events[2].escalation == ("evidence_invalid",)


def test_any_other_recorded_answer_to_the_actor_ends_the_streak() -> None:
    scene = held()
    skip(scene)
    skip(scene)
    done(scene.attest(header="h"))

    assert [skip(scene) for _ in range(3)] == [(), (), ("phase_skip",)]


def test_an_answer_that_is_not_recorded_ends_no_streak() -> None:
    scene = held()
    skip(scene)
    skip(scene)
    assert scene.advance(to="STRATEGIZE") is None

    assert skip(scene) == ("phase_skip",)


def test_a_code_is_counted_across_the_commands_that_meet_it() -> None:
    scene = held()
    scene.at("SPEC")
    scene.advance(to="STRATEGIZE")
    scene.backtrack("PLAN")

    assert refused(scene.advance(to="STRATEGIZE")).escalation == ("phase_direction",)


def test_a_code_that_is_missing_from_one_answer_is_counted_anew() -> None:
    scene = held()
    both = scene.evidence(verdicts=(bad(), bad("evidence_stale")))
    one = scene.evidence(verdicts=(bad(),))

    escalations = [refused(scene.advance(evidence=evidence)).escalation for evidence in (both, one, both, both, both)]

    assert escalations == [(), (), ("evidence_invalid",), (), ("evidence_stale",)]


def test_denied_tools_escalate_like_refused_commands() -> None:
    scene = held()

    assert [refused(scene.tool("write")).escalation for _ in range(3)] == [(), (), ("tool_out_of_phase",)]


# Streaks -------------------------------------------------------------------------------------------------------------


def test_identical_means_actor_command_phase_and_set_of_codes() -> None:
    scene = held()
    for _ in range(4):
        skip(scene)
    assert scene.task.streaks[ADA].count == 4

    scene.backtrack("PLAN")
    assert scene.task.streaks[ADA].count == 1
    skip(scene)
    assert scene.task.streaks[ADA].count == 1


def test_the_same_codes_in_another_number_are_the_same_set() -> None:
    scene = held()
    scene.advance(evidence=scene.evidence(verdicts=(bad(),)))
    scene.advance(evidence=scene.evidence(verdicts=(bad(), bad())))

    assert scene.task.streaks[ADA].count == 2


def test_the_last_refusal_is_kept() -> None:
    scene = held()
    skip(scene)

    assert scene.task.last_refusal is not None
    assert scene.task.last_refusal.code == "phase_skip"
    scene.tool("write")
    assert scene.task.last_refusal.code == "tool_out_of_phase"


# Coalescing ----------------------------------------------------------------------------------------------------------


def test_from_the_tenth_identical_refusal_on_calls_are_counted_and_not_recorded() -> None:
    scene = held()
    before = len(scene.events)

    for _ in range(25):
        assert codes(scene.advance(to="PLAN")) == ["phase_skip"]

    assert len(scene.events) - before == 9
    assert scene.coalesced == 16


def test_a_minute_after_the_last_entry_there_is_one_more() -> None:
    scene = held()
    for _ in range(12):
        skip(scene)
    before = len(scene.events)

    scene.wait(COALESCE_US - 1)
    skip(scene)
    assert len(scene.events) == before
    scene.wait(1)
    skip(scene)
    skip(scene)
    assert len(scene.events) == before + 1


def test_ten_slow_refusals_are_all_recorded() -> None:
    scene = held()
    before = len(scene.events)

    for _ in range(15):
        scene.wait(MINUTE)
        skip(scene)

    assert len(scene.events) - before == 15


def test_another_refusal_after_a_long_streak_is_recorded_at_once() -> None:
    scene = held()
    for _ in range(12):
        skip(scene)
    before = len(scene.events)

    scene.backtrack("PLAN")
    skip(scene)

    assert len(scene.events) == before + 2


def test_one_actors_streak_coalesces_nothing_of_another() -> None:
    scene = held()
    for _ in range(12):
        skip(scene)
    before = len(scene.events)

    skip(scene, BOB)

    assert len(scene.events) == before + 1


def test_what_was_carried_out_is_never_coalesced() -> None:
    scene = held()
    for _ in range(12):
        skip(scene)
    event = done(scene.ask(Attest({"header": digest_of("h")})))

    assert not coalesces(scene.task, event, scene.now)


@pytest.mark.parametrize(
    "other",
    [
        UseTool(tool="Other", needs=("deploy",)),
        UseTool(tool="Tool", needs=("push",)),
        UseTool(tool="Tool", needs=("deploy",), writes=("src/other.py",)),
    ],
)
def test_a_denial_of_another_tool_need_or_path_does_not_hide_in_a_long_streak(other: UseTool) -> None:
    scene = held()
    before = len(scene.events)
    for _ in range(20):
        scene.tool("deploy")
    assert len(scene.events) - before == 9

    scene.do(other)

    assert len(scene.events) - before == 10


@pytest.mark.parametrize(
    "call",
    [
        UseTool(tool="Write", needs=("write",), writes=("state/ledger/seg/0.jsonl",)),
        UseTool(tool="Bash", needs=(), enforcer=("baseline", "accept", "T", "VERIFY")),
        UseTool(tool="Bash", needs=(), mixed=True),
    ],
)
def test_what_no_tool_may_ever_do_is_always_on_the_record(call: UseTool) -> None:
    scene = held()
    before = len(scene.events)

    for _ in range(15):
        assert refused(scene.do(call)).forbidden

    assert len(scene.events) - before == 15
    assert not refused(scene.tool("deploy")).forbidden


def test_a_skip_to_another_phase_is_another_refusal() -> None:
    scene = held()
    before = len(scene.events)
    for _ in range(12):
        skip(scene)

    scene.advance(to="PR")

    assert len(scene.events) - before == 10


# Notes ---------------------------------------------------------------------------------------------------------------


def test_the_next_entry_carries_what_became_known_besides() -> None:
    scene = held()
    seal = Sealed("s1", 3, 0, 120, digest_of("lines"))

    event = done(scene.attest(header="h"))
    assert event.notes is None
    event = done(scene.do(Advance(), notes=Notes(coalesced=4, guard=(seal,), stalled_minutes=91, clock_back_us=5)))

    assert event.notes.coalesced == 4
    assert (scene.task.coalesced, scene.task.guarded) == (4, {"s1": 120})
    scene.do(Advance(), notes=Notes(coalesced=2, guard=(seal.replace(start=120, end=200),)))
    assert (scene.task.coalesced, scene.task.guarded) == (6, {"s1": 200})


def test_a_refusal_carries_notes_as_well() -> None:
    scene = held()

    scene.advance(to="PLAN", notes=Notes(coalesced=4))

    assert scene.task.coalesced == 4


# Stalled -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "idle, minutes", [(0, 0), (90 * MINUTE - 1, 0), (90 * MINUTE, 90), (91 * MINUTE + 59 * SECOND, 91)]
)
def test_a_task_without_progress_for_ninety_minutes_is_stalled(idle: int, minutes: int) -> None:
    scene = Scene()

    assert stalled_minutes(scene.task, scene.now + idle) == minutes


def test_refusals_claims_and_attestations_are_no_progress() -> None:
    scene = Scene().wait(95 * MINUTE)
    scene.claim()
    skip(scene)
    scene.attest(header="h")

    assert stalled_minutes(scene.task, scene.now) == 95
    scene.advance()
    assert stalled_minutes(scene.task, scene.now) == 0


def test_a_closed_task_is_never_stalled() -> None:
    scene = Scene()
    scene.abandon()

    assert stalled_minutes(scene.task, scene.now + 900 * MINUTE) == 0
