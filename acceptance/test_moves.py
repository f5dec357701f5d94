"""Every ordered pair of phases, with both moves, each from a state that was really reached."""

from __future__ import annotations

from collections import Counter
from itertools import product
from pathlib import Path

import pytest

from acceptance.model import PHASES
from acceptance.world import World, plain_process

PAIRS = list(product(range(9), range(9)))


def expected_advance(start: int, to: int) -> str:
    if to == start:
        return "no-op"
    if to == start + 1:
        return "advance"
    return "phase_skip" if to > start else "phase_direction"


def expected_backtrack(start: int, to: int) -> str:
    return "backtrack" if to < start else "phase_direction"


def named(pair: tuple[int, int]) -> str:
    return f"{PHASES[pair[0]]}-{PHASES[pair[1]]}"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> World:
    base: Path = tmp_path_factory.mktemp("moves")
    return World(base, process=plain_process()).init()


def test_the_table_holds_eight_advances_nine_no_ops_28_skips_and_36_wrong_directions() -> None:
    assert Counter(expected_advance(*pair) for pair in PAIRS) == {
        "advance": 8,
        "no-op": 9,
        "phase_skip": 28,
        "phase_direction": 36,
    }
    assert Counter(expected_backtrack(*pair) for pair in PAIRS) == {"backtrack": 36, "phase_direction": 45}


@pytest.mark.parametrize("pair", PAIRS, ids=named)
def test_advance_moves_exactly_one_phase_forward(shared: World, pair: tuple[int, int]) -> None:
    start, to = PHASES[pair[0]], PHASES[pair[1]]
    name = f"A-{start}-{to}"
    shared.given_task(name, start)
    shared.write(name, start)
    before = len(shared.lines())

    reply = shared.ask("advance", name, "--to", to)

    expected = expected_advance(*pair)
    answer = reply.json
    if expected == "advance":
        assert (reply.status, answer["ok"], answer["from"], answer["to"]) == (0, True, start, to)
        assert shared.status(name)["phase"] == to
        assert answer["seq"] == before == len(shared.lines()) - 1
    elif expected == "no-op":
        assert (reply.status, answer["ok"], answer["seq"], answer["hash"]) == (0, True, None, None)
        assert shared.status(name)["phase"] == start
        assert len(shared.lines()) == before
    else:
        assert (reply.status, answer["ok"], reply.codes) == (1, False, [expected])
        assert answer["refusals"][0]["fix"]
        assert shared.status(name)["phase"] == start
        assert len(shared.lines()) == before + 1


@pytest.mark.parametrize("pair", PAIRS, ids=named)
def test_backtrack_moves_to_any_earlier_phase_and_nowhere_else(shared: World, pair: tuple[int, int]) -> None:
    start, to = PHASES[pair[0]], PHASES[pair[1]]
    name = f"B-{start}-{to}"
    shared.given_task(name, start)
    before = len(shared.lines())

    reply = shared.ask("backtrack", name, "--to", to, "--reason", "The plan missed a case")

    assert len(shared.lines()) == before + 1
    if expected_backtrack(*pair) == "backtrack":
        assert (reply.status, reply.json["ok"]) == (0, True)
        status = shared.status(name)
        assert (status["phase"], status["attempt"]) == (to, 2)
    else:
        assert (reply.status, reply.codes) == (1, ["phase_direction"])
        assert shared.status(name)["phase"] == start


def test_the_ledger_of_all_pairs_verifies(shared: World) -> None:
    """Runs after the pairs of this module, on whatever they left behind."""
    assert shared.verdict() == "verified"


def test_leaving_the_last_phase_completes_the_task(world: World) -> None:
    world.given_task("T", "MONITOR")
    world.write("T", "MONITOR")

    reply = world.ask("advance", "T")

    assert (reply.status, reply.json["from"], reply.json["to"]) == (0, "MONITOR", None)
    assert world.status()["state"] == "completed"


@pytest.mark.parametrize("phase", PHASES)
def test_phases_are_read_in_any_case(world: World, phase: str) -> None:
    world.given_task("T", phase)

    assert world.ask("advance", "T", "--to", phase.title()).status == 0
    assert world.status()["phase"] == phase


def test_a_backtrack_sets_aside_what_was_accepted_there_and_later(world: World) -> None:
    world.given_task("T", "VERIFY")

    world.ask("backtrack", "T", "--to", "PLAN", "--reason", "The plan missed a case")

    status = world.status()
    assert {one["phase"] for one in status["accepted"]} == {"STRATEGIZE", "SPEC"}
    assert status["invalidated"] == ["PLAN/note.md", "THINK/note.md", "IMPLEMENT/note.md"]


def test_every_entry_of_a_phase_is_an_attempt_with_an_id_of_its_own(world: World) -> None:
    task = world.given_task("T", "SPEC")
    seen = [world.status()["attempt_id"]]
    for _ in range(3):
        task.backtrack("STRATEGIZE", "Once more").require()
        seen.append(world.status()["attempt_id"])
        task.advance().require()
        seen.append(world.status()["attempt_id"])

    assert len(set(seen)) == 7
    assert world.status()["attempt"] == 4


def test_a_document_of_an_earlier_attempt_is_reaffirmed_and_listed_as_such(world: World) -> None:
    task = world.given_task("T", "SPEC")
    task.backtrack("STRATEGIZE", "Once more").require()

    task.advance().require()

    last = world.events("phase.advanced", "T")[-1]["data"]
    assert last["evidence"][0]["reaffirmed"] is True
    assert last["evidence"][0]["artifact"] == "note.md"
