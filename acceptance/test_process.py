"""The process that was stored when the task opened governs it, until somebody moves it to another on the record."""

from __future__ import annotations

import pytest

from acceptance.model import PHASES
from acceptance.world import ADA, BOB, GOOD, World, plain_process

ADOPT = ("process", "adopt", "T", "--reason", "The section has a new name", "--approver", BOB)


def test_editing_the_file_changes_nothing_for_an_open_task(world: World) -> None:
    world.given_task("T")
    (world.root / "process.toml").write_text(plain_process(section="Results"), encoding="utf-8")
    world.write("T", "STRATEGIZE", GOOD)

    assert world.ask("advance", "T").status == 0


def test_a_task_opened_later_is_governed_by_the_edited_file(world: World) -> None:
    (world.root / "process.toml").write_text(plain_process(section="Results"), encoding="utf-8")
    world.given_task("U")
    world.write("U", "STRATEGIZE", GOOD)

    assert world.ask("advance", "U").codes == ["evidence_invalid"]


def test_adopting_moves_the_task_to_the_new_process(world: World) -> None:
    world.given_task("T", "SPEC")
    (world.root / "process.toml").write_text(plain_process(section="Results"), encoding="utf-8")

    reply = world.ask(*ADOPT)

    assert reply.status == 0, reply
    world.write("T", "SPEC", GOOD)
    assert world.ask("advance", "T").codes == ["evidence_invalid"]
    world.write("T", "SPEC", GOOD.replace("Findings", "Results"))
    assert world.ask("advance", "T").status == 0
    assert world.verdict() == "verified"


def reviewed_process(author: str) -> str:
    """Two phases: in `author` the work is written, in REVIEW somebody else looks at it."""
    phases = (
        (author, "note.md", "markdown", '{ id = "n", kind = "sections", headings = ["Findings"] }'),
        ("REVIEW", "review.json", "json", '{ id = "r", kind = "reviewer" }'),
    )
    text = 'name = "reviewed"\n'
    for name, artifact, kind, rule in phases:
        text += f'[[phases]]\nname = "{name}"\ntools = ["write"]\n'
        text += f'[[phases.artifacts]]\nname = "{artifact}"\nformat = "{kind}"\nrules = [{rule}]\n'
    return text


@pytest.mark.parametrize("author", ["IMPLEMENT", "BUILD"])
@pytest.mark.parametrize("reviewer", [ADA, ADA.upper(), f"{ADA}."])
def test_who_wrote_it_does_not_review_it_whatever_the_phase_is_called(world: World, author: str, reviewer: str) -> None:
    (world.root / "process.toml").write_text(reviewed_process(author), encoding="utf-8")
    world.ask("open", "T")
    world.write("T", author, GOOD)
    assert world.ask("advance", "T").status == 0
    world.ask("lease", "release", "T")

    world.write("T", "REVIEW", f'{{"reviewer": "{reviewer}"}}', "review.json")
    assert world.ask("advance", "T", actor=reviewer).codes == ["reviewer_is_author"]

    world.ask("lease", "release", "T", actor=reviewer)
    world.write("T", "REVIEW", f'{{"reviewer": "{BOB}"}}', "review.json")
    assert world.ask("advance", "T", actor=BOB).status == 0
    assert world.verdict() == "verified"


def test_a_review_that_nobody_can_fail_is_no_process(world: World) -> None:
    text = reviewed_process("BUILD").replace('tools = ["write"]\n', "")
    (world.root / "process.toml").write_text(text, encoding="utf-8")

    assert world.ask("open", "T").codes == ["bad_process"]


def test_adopting_records_the_difference_and_marks_each_weakening(world: World) -> None:
    world.given_task("T")
    (world.root / "process.toml").write_text(plain_process(drift=("REVIEW", "MONITOR")), encoding="utf-8")

    assert world.ask(*ADOPT).status == 0

    data = world.events("process.adopted")[0]["data"]
    assert data["difference"]
    assert len(data["weakenings"]) == 1
    assert "VERIFY" in data["weakenings"][0]
    assert (data["reason"], data["approver"]) == ("The section has a new name", BOB)


def test_adopting_the_same_process_changes_nothing(world: World) -> None:
    world.given_task("T")
    before = world.lines()

    assert world.ask(*ADOPT).status == 0
    assert world.lines() == before


@pytest.mark.parametrize("left_out", ["--reason", "--approver"])
def test_adopting_needs_a_reason_and_an_approver(world: World, left_out: str) -> None:
    world.given_task("T")
    (world.root / "process.toml").write_text(plain_process(section="Results"), encoding="utf-8")
    cut = ADOPT.index(left_out)
    before = world.lines()

    assert world.ask(*ADOPT[:cut], *ADOPT[cut + 2 :]).status == 2
    assert world.lines() == before


def test_what_a_rule_would_have_refused_is_recorded_where_it_only_observes(world: World) -> None:
    wish = ', { id = "wish", kind = "sections", headings = ["Measurements"], words = 3, mode = "observe" }]'
    text = plain_process().replace("}]", "}" + wish, 1)
    (world.root / "process.toml").write_text(text, encoding="utf-8")
    world.given_task("T")
    world.write("T", "STRATEGIZE", GOOD)

    assert world.ask("advance", "T").status == 0

    [warning] = world.events("phase.advanced")[0]["data"]["warnings"]
    assert warning["code"] == "evidence_invalid"


def test_a_process_that_enforces_nothing_in_a_phase_is_an_error(world: World) -> None:
    text = plain_process().replace("words = 3 }", 'words = 3, mode = "observe" }', 1)
    (world.root / "process.toml").write_text(text, encoding="utf-8")

    assert world.ask("open", "T").status == 2


@pytest.mark.parametrize(
    "broken",
    [
        plain_process() + '\nunknown = "key"\n',
        plain_process().replace('format = "markdown"', 'format = "markdown"\ncolour = "red"', 1),
        plain_process().replace('kind = "sections"', 'kind = "no_such_rule"', 1),
        plain_process().replace("spec-sections", "plan-sections", 1),
        plain_process().replace('name = "SPEC"', 'name = "STRATEGIZE"', 1),
        plain_process().replace('name = "note.md"', 'name = "../note.md"', 1),
        'name = "empty"\n',
        "name = \n",
        "[[phases]]\n",
        "",
        "\x00",
    ],
    ids=[
        "key below the last table",
        "unknown key",
        "unknown rule",
        "rule id twice",
        "phase twice",
        "path",
        "no phase",
        "no TOML",
        "no name",
        "empty",
        "NUL",
    ],
)
def test_a_malformed_process_is_an_error_with_its_place(world: World, broken: str) -> None:
    (world.root / "process.toml").write_text(broken, encoding="utf-8")
    before = world.snapshot()

    reply = world.ask("open", "T", "--title", "x")

    assert reply.status == 2
    error = reply.json["error"]
    assert error["code"]
    assert error["fix"]
    assert "process.toml" in error["where"] + error["message"]
    assert world.snapshot() == before


def test_an_unknown_key_is_named(world: World) -> None:
    text = plain_process().replace('format = "markdown"', 'format = "markdown"\ncolour = "red"', 1)
    (world.root / "process.toml").write_text(text, encoding="utf-8")

    error = world.ask("open", "T").json["error"]

    assert "colour" in error["where"] + error["message"]


def test_the_process_of_a_task_can_be_shown(world: World) -> None:
    world.given_task("T")

    reply = world.ask("process", "show", "T", actor=None)

    assert reply.status == 0
    assert all(phase in reply.out for phase in PHASES)


def test_a_process_file_with_a_second_name_is_refused(world: World) -> None:
    evidence = world.root / "state" / "evidence"
    evidence.mkdir(parents=True, exist_ok=True)
    (evidence / "weak.toml").write_text(plain_process(), encoding="utf-8")
    (world.root / "linked.toml").hardlink_to(evidence / "weak.toml")

    reply = world.ask("open", "NEW", "--process", "linked.toml")

    assert (reply.status, reply.json["error"]["code"]) == (2, "bad_process")
