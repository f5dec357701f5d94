"""The service levels, and the time that a worker needs to find an allowed way."""

from __future__ import annotations

import json

import pytest

from enforcer.telemetry.levels import Level, levels
from enforcer.telemetry.metrics import Measures
from enforcer.telemetry.repairs import BOUNDS_US, Repairs
from enforcer.telemetry.report import render, report
from tests.telemetry.story import SECOND, START, Story, call, walk


def level(measures: Measures, name: str) -> Level:
    [found] = [one for one in levels(measures) if one.name == name]
    return found


def closed(completed: int, abandoned: int) -> Measures:
    story = Story()
    for number in range(completed + abandoned):
        story.open(f"T{number}")
        if number < completed:
            story.complete("SPEC", task=f"T{number}")
        else:
            story.abandon("SPEC", task=f"T{number}")
    return Measures.fold(story.entries())


def repaired(*seconds: float) -> Measures:
    calls = []
    for number, took in enumerate(seconds):
        start = START + number * 10_000 * SECOND
        calls += [call("s", "deny", start), call("s", "allow", start + int(took * SECOND))]
    return Measures.fold((), calls)


@pytest.mark.parametrize(
    "completed,abandoned,value,met", [(19, 1, 0.95, True), (18, 1, 0.947368, False), (0, 1, 0.0, False)]
)
def test_success_is_completed_among_closed(completed: int, abandoned: int, value: float, met: bool) -> None:
    success = level(closed(completed, abandoned), "task_success_ratio")
    assert (success.value, success.met) == (value, met)


def test_open_tasks_are_neither_success_nor_failure() -> None:
    story = Story()
    story.open()
    success = level(Measures.fold(story.entries()), "task_success_ratio")
    assert (success.value, success.met) == (None, None)


@pytest.mark.parametrize("tasks,met", [(50, True), (49, False)])
def test_one_looping_task_in_fifty_is_tolerated(tasks: int, met: bool) -> None:
    story = Story()
    for number in range(tasks):
        story.open(f"T{number}")
    story.backtrack("PLAN", "SPEC", task="T0")
    story.backtrack("PLAN", "SPEC", task="T0")

    loop = level(Measures.fold(story.entries()), "task_loop_ratio")

    assert (loop.part, loop.whole, loop.met) == (1, tasks, met)


@pytest.mark.parametrize(
    "seconds,value,met", [((30,), 30.0, True), ((30.000001,), 30.000001, False), ((1, 2), 1.5, True)]
)
def test_tool_repair_is_the_mean_from_denial_to_the_next_allowed_call(seconds, value: float, met: bool) -> None:
    repair = level(repaired(*seconds), "tool_repair_mean")
    assert (repair.value, repair.met) == (value, met)


def test_a_run_of_denials_is_one_episode_from_its_first() -> None:
    calls = [
        call("s", verdict, START + at * SECOND) for at, verdict in enumerate(("deny", "deny", "deny", "allow", "allow"))
    ]
    repairs = Measures.fold((), calls).repairs
    assert (repairs.count, repairs.total_us, repairs.denials, repairs.calls) == (1, 3 * SECOND, 3, 5)


def test_sessions_do_not_repair_each_other() -> None:
    calls = [call("a", "deny", START), call("b", "allow", START + SECOND)]
    repairs = Measures.fold((), calls).repairs
    assert (repairs.count, dict(repairs.denied)) == (0, {"a": START})


def test_a_clock_that_was_set_back_gives_no_negative_time() -> None:
    repairs = Measures.fold((), [call("a", "deny", START), call("a", "allow", START - SECOND)]).repairs
    assert (repairs.count, repairs.total_us) == (1, 0)


def test_a_duration_falls_into_the_bucket_whose_bound_it_does_not_exceed() -> None:
    repairs = repaired(0.1, 30, 30.5, 9999).repairs
    by_bound = dict(zip((*BOUNDS_US, None), repairs.buckets, strict=True))
    assert [bound for bound, count in by_bound.items() if count] == [100_000, 30 * SECOND, 60 * SECOND, None]
    assert (repairs.within_limit, repairs.least_us, repairs.most_us) == (2, 100_000, 9999 * SECOND)


@pytest.mark.parametrize(
    "line", [None, [], {}, {"session": "s", "ts": 1.5, "verdict": "allow"}, {"session": "s", "ts": 1, "verdict": "ask"}]
)
def test_what_is_no_answer_of_the_guard_is_counted_and_not_followed(line: object) -> None:
    assert Repairs().follow(line) == Repairs(unreadable=1)


# Showing it ----------------------------------------------------------------------------------------------------------


def test_the_report_is_json_with_every_metric() -> None:
    said = json.loads(json.dumps(report(Measures.fold(walk().entries(), [call("s", "deny", START)]))))

    assert said["metrics"]["phase_skips_attempted"] == {
        "total": 1,
        "unit": "{refusal}",
        "series": [{"attributes": {"enforcer.phase.from": "IMPLEMENT", "enforcer.phase.to": "MONITOR"}, "value": 1}],
    }
    assert [one["name"] for one in said["service_levels"]] == [
        "task_success_ratio",
        "task_loop_ratio",
        "tool_repair_mean",
    ]
    assert said["service_levels"][0] == {
        "name": "task_success_ratio",
        "value": 1.0,
        "target": 0.95,
        "comparison": "at_least",
        "met": True,
        "unit": "1",
    }
    assert (said["tool_repair"]["open"], said["tool_repair"]["longest"]) == (1, None)


def test_an_empty_ledger_has_a_report() -> None:
    said = report(Measures())
    assert (said["entries"], said["first_ts"], said["service_levels"][0]["met"]) == (0, None, None)


def test_the_table_shows_totals_what_they_are_made_of_and_whether_levels_are_met() -> None:
    text = render(Measures.fold(walk().entries(), [call("s", "deny", START), call("s", "allow", START + 45 * SECOND)]))
    lines = [" ".join(line.split()) for line in text.splitlines()]

    assert "phase_skips_attempted 1 Advances refused for leaving out a phase" in lines
    assert "1 IMPLEMENT · MONITOR" in lines
    assert "task_success_ratio 100.0% met (≥ 95%): Completed tasks among the closed ones" in lines
    assert any(line.startswith("tool_repair_mean 45.00 s MISSED (≤ 30 s)") for line in lines)


def test_the_table_of_an_empty_ledger_says_that_there_is_nothing_to_measure() -> None:
    assert render(Measures()).count("nothing to measure yet") == 3
