"""Layout and links as such; what in-toto makes of them is in `test_interop`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from enforcer.attestation.dsse import key_id, parse_envelope, verify_envelope
from enforcer.attestation.layout import LAYOUT_NAME, export_layout, layout_of, link_name, link_of
from enforcer.attestation.signatures import verify_ed25519
from enforcer.workflow.process import Artifact, Phase, Process
from tests.attestation.walks import LEDGER_KEY, told, walk_in
from tests.attestation.walks import verified as walk_with_tests
from tests.ledger.histories import digest
from tests.telemetry.story import START


def payload(data: bytes) -> dict[str, Any]:
    envelope = parse_envelope(data)
    assert verify_envelope(envelope, [LEDGER_KEY.public], check=verify_ed25519)
    return json.loads(envelope.payload)


def test_there_is_a_layout_and_a_link_for_each_accepted_phase(tmp_path) -> None:
    walk = walk_in(told(tmp_path))
    files = export_layout(walk, sign=LEDGER_KEY, public=LEDGER_KEY.public)
    phases = ("SPEC", "PLAN", "IMPLEMENT", "REVIEW", "PR")
    assert list(files) == [LAYOUT_NAME, *(f"{phase}.{key_id(LEDGER_KEY.public)[:8]}.link" for phase in phases)]
    layout = payload(files[LAYOUT_NAME])
    assert [step["name"] for step in layout["steps"]] == list(phases)
    assert layout["expires"] == "9999-12-31T23:59:59Z"
    assert [payload(files[link_name(phase, LEDGER_KEY.public)])["name"] for phase in phases] == list(phases)


def test_a_link_makes_what_was_accepted_of_what_it_stood_on(tmp_path) -> None:
    walk = walk_in(told(tmp_path))
    links = {step.phase: link_of(walk, step) for step in walk.steps}
    entries = {step.phase: step.entry.hash for step in walk.steps}

    assert links["SPEC"]["materials"] == {}
    assert links["IMPLEMENT"]["materials"] == {
        "T/spec/note.md": {"sha256": digest(b"# SPEC\n")},
        "T/plan/note.md": {"sha256": digest(b"# PLAN again\n")},
        "T/plan.entry": {"rfc6962": entries["PLAN"]},
    }
    assert links["IMPLEMENT"]["products"] == {
        "T/implement/note.md": {"sha256": digest(b"# IMPLEMENT\n")},
        "T/implement.entry": {"rfc6962": entries["IMPLEMENT"]},
    }


def test_a_link_lists_what_is_claimed_and_what_was_observed() -> None:
    walk, _ = walk_with_tests()
    [step] = [one for one in walk.steps if one.phase == "VERIFY"]
    byproducts = link_of(walk, step)["byproducts"]
    assert byproducts["observed"] == ["T/verify/test_results.json"]
    assert byproducts["claimed"] == ["T/verify/build_output.log"]


@pytest.mark.parametrize("stands_on,expected", [((), False), (("IMPLEMENT/git_diff.patch",), True), (None, True)])
def test_a_link_takes_in_only_what_its_phase_stands_on(stands_on: tuple[str, ...] | None, expected: bool) -> None:
    walk, _ = walk_with_tests(stands_on=stands_on)
    [step] = [one for one in walk.steps if one.phase == "VERIFY"]
    assert ("T/implement/git_diff.patch" in link_of(walk, step)["materials"]) is expected
    [_, demanded] = layout_of(walk, LEDGER_KEY.public, START)["steps"]
    assert (["REQUIRE", "T/implement/git_diff.patch"] in demanded["expected_materials"]) is expected


def test_a_layout_demands_every_phase_of_the_process_however_far_the_task_has_come(tmp_path) -> None:
    walk = walk_in(told(tmp_path, to_the_end=False))
    assert [step.phase for step in walk.steps] == ["SPEC", "PLAN", "IMPLEMENT"]
    layout = layout_of(walk, LEDGER_KEY.public, START)
    assert [step["name"] for step in layout["steps"]] == ["SPEC", "PLAN", "IMPLEMENT", "REVIEW", "PR"]
    assert all(step["threshold"] == 1 and step["pubkeys"] == [key_id(LEDGER_KEY.public)] for step in layout["steps"])


def test_rules_end_by_refusing_what_is_left(tmp_path) -> None:
    walk = walk_in(told(tmp_path))
    for step in layout_of(walk, LEDGER_KEY.public, START)["steps"]:
        assert step["expected_materials"][-1] == step["expected_products"][-1] == ["DISALLOW", "*"]


def test_what_a_process_does_not_require_is_allowed_and_not_demanded() -> None:
    walk, _ = walk_with_tests()
    optional = Artifact("notes.md", "markdown", required=False)
    process = Process("p", (Phase("IMPLEMENT", (Artifact("git_diff.patch", "diff"), optional)), walk.process.phases[1]))
    steps = tuple(step.replace(process=process) for step in walk.steps)
    first, second = layout_of(walk.replace(process=process, steps=steps), LEDGER_KEY.public, START)["steps"]
    assert ["REQUIRE", "T/implement/notes.md"] not in first["expected_products"]
    assert ["ALLOW", "T/implement/notes.md"] in first["expected_products"]
    assert ["REQUIRE", "T/implement/git_diff.patch"] in second["expected_materials"]
    assert ["REQUIRE", "T/implement/notes.md"] not in second["expected_materials"]
    assert ["MATCH", "T/implement/notes.md", "WITH", "PRODUCTS", "FROM", "IMPLEMENT"] in second["expected_materials"]


@pytest.mark.parametrize("touched", [(), ("migrations",)])
def test_what_only_some_changes_need_is_demanded_of_those(touched: tuple[str, ...]) -> None:
    walk, _ = walk_with_tests()
    plan = Artifact("rollback.md", "markdown", risks=("migrations",))
    process = Process("p", (Phase("IMPLEMENT", (Artifact("git_diff.patch", "diff"), plan)), walk.process.phases[1]))
    steps = tuple(step.replace(process=process, event=step.event.replace(risks=touched)) for step in walk.steps)
    first, second = layout_of(walk.replace(process=process, steps=steps), LEDGER_KEY.public, START)["steps"]
    assert (["REQUIRE", "T/implement/rollback.md"] in first["expected_products"]) is bool(touched)
    assert (["REQUIRE", "T/implement/rollback.md"] in second["expected_materials"]) is bool(touched)
    assert ["ALLOW", "T/implement/rollback.md"] in first["expected_products"]


def test_a_phase_is_held_to_the_process_that_it_was_accepted_under() -> None:
    walk, _ = walk_with_tests()
    later = Process("later", (Phase("IMPLEMENT", (Artifact("other.md", "markdown"),)), walk.process.phases[1]))
    first, second = layout_of(walk.replace(process=later), LEDGER_KEY.public, START)["steps"]
    assert ["REQUIRE", "T/implement/git_diff.patch"] in first["expected_products"]
    assert ["REQUIRE", "T/implement/git_diff.patch"] in second["expected_materials"]
    assert "other.md" not in json.dumps([first, second])


@pytest.mark.parametrize("when", [-1, 10**18])
def test_an_expiry_that_cannot_be_written_is_refused(tmp_path, when: int) -> None:
    with pytest.raises(ValueError, match="beyond the years"):
        export_layout(walk_in(told(tmp_path)), sign=LEDGER_KEY, public=LEDGER_KEY.public, expires=when)
