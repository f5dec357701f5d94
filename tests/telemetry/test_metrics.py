"""Each metric counts exactly what its row says."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

import pytest

from enforcer.telemetry.counters import COUNTERS
from enforcer.telemetry.courses import NOT_YET
from enforcer.telemetry.metrics import OTHER, SERIES_LIMIT, Measures, Packed
from enforcer.workflow import events
from enforcer.workflow.events import Claim, Refusal
from tests.sources import ROOT
from tests.telemetry.story import ADA, BOB, Story, call, noted, walk


def measured(write: Callable[[Story], object]) -> Measures:
    """The measures of an opened task with what `write` adds to it."""
    story = Story()
    story.open()
    write(story)
    return Measures.fold(story.entries())


def attested(*, drift: tuple[str, ...] = ()) -> events.PromptAttested:
    return events.PromptAttested(actor=ADA, phase="SPEC", attempt_id="x", parts={"header": "0" * 64}, drift=drift)


def drifted(command: str) -> Callable[[Story], object]:
    refusal = Refusal("prompt_drift", "m", "VERIFY", "header")
    return lambda story: story.refuse("attestation", refusal, command=command, phase="VERIFY")


ONE_EACH = {
    "phase_skips_attempted": (lambda story: story.skip("SPEC", "PR"), {("SPEC", "PR"): 1}),
    "phase_validations_failed": (lambda story: story.fail("SPEC", "a", "b"), {("SPEC",): 1}),
    "evidence_gate_failed": (lambda story: story.fail("SPEC", "a", "b", "a", ""), {("SPEC", "a"): 1, ("SPEC", "b"): 1}),
    "phase_advances": (lambda story: story.advance("SPEC", "PLAN"), {("SPEC",): 1}),
    "phase_backtracks": (lambda story: story.backtrack("PLAN", "SPEC"), {("PLAN", "SPEC"): 1}),
    "prompt_drift_detected": (drifted("attest"), {("VERIFY",): 1}),
    "tasks_rejected_for_process_violation": (lambda story: [story.skip(), story.skip(), story.deny("SPEC")], {(): 1}),
    "phase_lease_contention": (
        lambda story: story.refuse("lease", Refusal("lease_held", "m"), command="lease claim", phase="SPEC"),
        {("SPEC",): 1},
    ),
    "phase_lease_expiries": (
        lambda story: story.add(events.LeaseTakenOver(actor=BOB, holder=BOB, token=2, previous=ADA)),
        {(): 1},
    ),
    "phase_leases_forced": (
        lambda story: story.add(events.LeaseReleased(actor=BOB, holder=ADA, token=1, forced=True, reason="gone")),
        {(): 1},
    ),
    "tool_out_of_phase_rejected": (lambda story: story.deny("SPEC"), {("SPEC",): 1}),
    "refusals": (
        lambda story: [story.skip(), story.deny("SPEC"), story.fail("SPEC", "a")],
        {("order", "phase_skip"): 1, ("tool", "tool_out_of_phase"): 1, ("evidence", "evidence_invalid"): 1},
    ),
    "refusals_coalesced": (lambda story: story.advance("SPEC", "PLAN", notes=noted(7)), {(): 7}),
    "tasks_opened": (lambda story: story.open("U"), {(): 2}),
    "tasks_closed": (
        lambda story: [story.complete("SPEC"), story.open("U"), story.abandon("SPEC", task="U")],
        {("completed",): 1, ("abandoned",): 1},
    ),
    "tasks_looped": (lambda story: [story.backtrack("PLAN", "SPEC") for _ in range(5)], {(): 1}),
}


@pytest.mark.parametrize("name", [row.name for row in COUNTERS])
def test_a_metric_counts_what_it_names(name: str) -> None:
    """Every row of the table has an example here, or this fails with its name."""
    write, counted = ONE_EACH[name]
    assert measured(write).by(name) == counted


@pytest.mark.parametrize("row", COUNTERS, ids=lambda row: row.name)
def test_a_metric_gives_one_value_a_dimension(row) -> None:
    write, _ = ONE_EACH[row.name]
    assert all(len(values) == len(row.dimensions) for values in measured(write).by(row.name))


def test_a_quiet_ledger_counts_nothing_but_its_task() -> None:
    measures = measured(lambda story: None)
    assert {row.name: measures.total(row.name) for row in COUNTERS if measures.total(row.name)} == {"tasks_opened": 1}


def test_an_unknown_metric_is_an_error_and_not_zero() -> None:
    with pytest.raises(KeyError):
        Measures().total("phase_skips")


def test_a_skip_is_no_failed_validation() -> None:
    """It reads no evidence, whatever state the phase is in."""
    measures = measured(lambda story: story.skip())
    assert (measures.total("phase_validations_failed"), measures.total("evidence_gate_failed")) == (0, 0)


def test_another_command_refused_at_the_evidence_stage_is_no_failed_validation() -> None:
    refusal = Refusal("evidence_invalid", "m", "SPEC", "a")
    assert not measured(lambda story: story.refuse("evidence", refusal, command="restore", phase="SPEC")).total(
        "phase_validations_failed"
    )


def test_drift_is_counted_where_it_is_presented_and_not_where_it_is_judged_again() -> None:
    assert measured(drifted("advance")).total("prompt_drift_detected") == 0
    assert measured(lambda story: story.add(attested(drift=("role",)))).total("prompt_drift_detected") == 1
    assert measured(lambda story: story.add(attested())).total("prompt_drift_detected") == 0


def test_a_lease_taken_over_by_the_way_is_an_expiry_and_a_free_one_is_not() -> None:
    def write(story: Story) -> None:
        story.advance("SPEC", "PLAN", lease=Claim(ADA, 1))
        story.advance("PLAN", "THINK", lease=Claim(BOB, 2, "taken_over", ADA))

    assert measured(write).total("phase_lease_expiries") == 1


@pytest.mark.parametrize("code", sorted(NOT_YET))
def test_work_that_is_not_good_enough_yet_is_no_process_violation(code: str) -> None:
    measures = measured(lambda story: story.refuse("evidence", Refusal(code, "m"), phase="SPEC"))
    assert measures.total("tasks_rejected_for_process_violation") == 0


@pytest.mark.parametrize("code", ["lease_held", "approval_missing", "evidence_unsafe", "a_code_of_a_later_release"])
def test_every_other_code_is_a_process_violation(code: str) -> None:
    measures = measured(
        lambda story: story.refuse("evidence", Refusal("evidence_missing", "m"), Refusal(code, "m"), phase="SPEC")
    )
    assert measures.total("tasks_rejected_for_process_violation") == 1


def test_tasks_with_violations_are_counted_apart() -> None:
    measures = measured(lambda story: [story.open("U"), story.skip(), story.skip(task="U"), story.skip(task="U")])
    assert measures.total("tasks_rejected_for_process_violation") == 2


def test_two_attempts_are_no_loop() -> None:
    measures = measured(lambda story: story.backtrack("PLAN", "SPEC"))
    assert measures.total("tasks_looped") == 0


def test_a_task_that_loops_in_two_phases_is_one_task() -> None:
    def write(story: Story) -> None:
        for _ in range(3):
            story.advance("SPEC", "PLAN")
            story.backtrack("PLAN", "SPEC")

    assert measured(write).total("tasks_looped") == 1


def test_closed_tasks_are_forgotten() -> None:
    assert Measures.fold(walk().entries()).courses == {}


# Coalesced refusals --------------------------------------------------------------------------------------------------


def test_coalesced_refusals_count_in_what_their_streak_counts_in() -> None:
    def write(story: Story) -> None:
        for _ in range(9):
            story.skip("SPEC", "PR")
        story.advance("SPEC", "PLAN", notes=noted(90))

    measures = measured(write)

    assert measures.by("phase_skips_attempted") == {("SPEC", "PR"): 99}
    assert measures.by("refusals") == {("order", "phase_skip"): 99}
    assert measures.total("tasks_rejected_for_process_violation") == 1
    assert measures.total("refusals_coalesced") == 90


def test_coalesced_refusals_of_which_two_streaks_may_be_the_source_are_not_guessed() -> None:
    def write(story: Story) -> None:
        for _ in range(9):
            story.skip("SPEC", "PR")
            story.skip("SPEC", "REVIEW", actor=BOB)
        story.advance("SPEC", "PLAN", notes=noted(4))

    measures = measured(write)

    assert measures.total("phase_skips_attempted") == 18
    assert measures.by("refusals") == {("order", "phase_skip"): 18, ("unknown", "unknown"): 4}


def test_a_streak_that_ended_takes_no_more() -> None:
    def write(story: Story) -> None:
        for _ in range(9):
            story.skip("SPEC", "PR")
        story.fail("SPEC", "a")
        story.advance("SPEC", "PLAN", notes=noted(3))

    assert measured(write).total("phase_skips_attempted") == 9


def test_refusals_that_no_entry_has_told_of_yet_count_as_they_will_afterwards() -> None:
    story = Story()
    story.open()
    for _ in range(9):
        story.skip("SPEC", "PR")
    before = Measures.fold(story.entries(), coalesced={"T": 5, "U": 3})
    story.advance("SPEC", "PLAN", notes=noted(5))
    after = Measures.fold(story.entries(), coalesced={"T": 5})

    for name in ("phase_skips_attempted", "refusals", "refusals_coalesced"):
        assert before.by(name) == after.by(name)
    assert before.total("phase_skips_attempted") == 14


def test_looking_at_what_is_untold_changes_nothing() -> None:
    story = Story()
    story.open()
    measures = Measures.fold(story.entries())
    packed = measures.pack()

    assert measures.with_coalesced({"T": 3}).total("refusals") == 3
    assert measures.pack() == packed


# The fold ------------------------------------------------------------------------------------------------------------


def test_a_fold_taken_up_anywhere_equals_one_in_one_go() -> None:
    story = Story()
    story.open()
    for _ in range(10):
        story.skip()
    story.advance("SPEC", "PLAN", notes=noted(2))
    story.open("U")
    entries = story.entries()

    whole = Measures.fold(entries)
    for stop in range(len(entries) + 1):
        stored = json.loads(json.dumps(Measures.fold(entries[:stop]).pack().pack()))
        resumed = Measures.unpack(Packed.unpack(stored))
        for entry in entries[stop:]:
            resumed.add(entry)
        assert resumed.pack() == whole.pack()


def test_the_packed_form_holds_no_floats() -> None:
    story = walk()
    calls = [call("s", "deny", 1), call("s", "allow", 5)]

    def refuse(text: str) -> float:
        raise AssertionError(f"{text} is a float")

    json.loads(json.dumps(Measures.fold(story.entries(), calls).pack().pack()), parse_float=refuse)


def test_names_that_a_worker_invents_do_not_grow_the_measures_without_bound() -> None:
    def write(story: Story) -> None:
        for block in range(0, SERIES_LIMIT + 200, 40):
            story.fail("SPEC", *(f"file-{block + i}" for i in range(40)))

    counted = measured(write).by("evidence_gate_failed")

    assert len(counted) == SERIES_LIMIT + 1
    assert counted[(OTHER, OTHER)] == 200
    assert sum(counted.values()) == SERIES_LIMIT + 200


def test_times_and_entries_are_those_of_the_ledger() -> None:
    story = walk()
    measures = Measures.fold(story.entries())
    assert (measures.entries, measures.first_ts, measures.last_ts) == (
        len(story.entries()),
        story.entries()[0].ts,
        story.entries()[-1].ts,
    )


def test_entries_without_a_task_are_counted_too() -> None:
    story = Story()
    story.deny("", task=None)
    measures = Measures.fold(story.entries())
    assert measures.total("tool_out_of_phase_rejected") == 1
    assert measures.courses == {}


def test_the_fold_needs_no_telemetry_library() -> None:
    """In an interpreter of its own, since the tests have loaded it here."""
    probe = (
        "import sys; import enforcer.telemetry.metrics, enforcer.telemetry.report, enforcer.telemetry.follower;"
        "print([name for name in sys.modules if name.partition('.')[0] in "
        "('opentelemetry', 'dataclasses', 'typing', 'logging', 'pathlib')])"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", probe], cwd=ROOT, capture_output=True, text=True, check=False, env={}
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
