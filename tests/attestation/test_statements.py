"""What statements say of a phase, and above all what they do not let anybody read into them."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from enforcer.attestation.dsse import parse_envelope, verify_envelope
from enforcer.attestation.signatures import verify_ed25519
from enforcer.attestation.statements import (
    STATEMENT,
    TEST_RESULT,
    VERIFICATION,
    export_statements,
    statement_of,
)
from enforcer.attestation.walk import walk_of
from enforcer.errors import DamagedError, RequestError
from enforcer.workflow.events import Refusal
from tests.attestation.walks import LEDGER_KEY, entries_of, told, walk_in
from tests.attestation.walks import verified as walk_with_tests
from tests.ledger.histories import IDENTITY, digest


def statements(walk: Any, objects: dict[str, bytes] | None = None) -> dict[str, dict[str, Any]]:
    get = (objects or {}).__getitem__
    return {step.phase: statement_of(walk, step, get) for step in walk.steps}


def nothing(digest: str) -> Any:
    """Keeps no object."""
    raise KeyError(digest)


def test_there_is_one_statement_for_each_acceptance_that_still_counts(tmp_path) -> None:
    history = told(tmp_path)
    made = statements(walk_in(history))

    assert list(made) == ["SPEC", "PLAN", "IMPLEMENT", "REVIEW", "PR"]
    for phase, note in {"SPEC": "SPEC", "PLAN": "PLAN again", "PR": "PR"}.items():
        assert made[phase]["_type"] == STATEMENT
        assert made[phase]["subject"] == [
            {"name": f"T/{phase.lower()}/note.md", "digest": {"sha256": digest(f"# {note}\n".encode())}}
        ]
    assert made["PLAN"]["predicate"]["enforcer_entry"]["attempt"] == 2


def test_a_statement_says_where_the_acceptance_stands(tmp_path) -> None:
    history = told(tmp_path)
    [entry] = [one for one in entries_of(history) if getattr(one.event, "start", "") == "SPEC"]
    told_of = statements(walk_in(history))["SPEC"]["predicate"]["enforcer_entry"]
    assert (told_of["origin"], told_of["seq"], told_of["leaf_hash"], told_of["ts"], told_of["actor"]) == (
        IDENTITY.origin,
        entry.seq,
        entry.hash,
        entry.ts,
        "ada",
    )
    assert told_of["evidence"] == {"T/spec/note.md": {"origin": "claimed", "size": 7, "reaffirmed": False}}


def test_a_phase_names_the_process_that_was_in_force(tmp_path) -> None:
    made = statements(walk_in(told(tmp_path)))
    before, after = (made[phase]["predicate"]["verifier"]["policy"] for phase in ("IMPLEMENT", "REVIEW"))
    assert (before["name"], after["name"]) == ("short", "longer")
    assert before["digest"] != after["digest"]


def test_claimed_evidence_never_has_the_property_of_observed_evidence() -> None:
    walk, objects = walk_with_tests()
    predicate = statements(walk, objects)["IMPLEMENT"]["predicate"]
    assert predicate["properties"] == ["ENFORCER_PHASE_ACCEPTED_IMPLEMENT", "ENFORCER_NO_WARNINGS"]


def test_evidence_is_observed_only_where_all_of_it_is() -> None:
    walk, _ = walk_with_tests()
    [step] = [one for one in walk.steps if one.phase == "IMPLEMENT"]
    observed = step.event.replace(evidence=tuple(one.replace(origin="observed") for one in step.event.evidence))
    for event, expected in ((observed, True), (observed.replace(evidence=()), False)):
        made = statement_of(walk, step.replace(event=event), nothing)
        assert ("ENFORCER_EVIDENCE_OBSERVED" in made["predicate"]["properties"]) is expected


def test_observed_tests_that_pass_are_passed_and_name_what_was_tested() -> None:
    walk, objects = walk_with_tests()
    made = statements(walk, objects)["VERIFY"]

    assert made["predicateType"] == TEST_RESULT
    assert made["predicate"]["result"] == "PASSED"
    assert made["predicate"]["enforcer_test_counts"] == {
        "total": 3,
        "passed": 3,
        "failed": 0,
        "errors": 0,
        "skipped": 0,
    }
    assert made["subject"][-1] == {"name": "source", "digest": {"gitTree": "e" * 40, "gitCommit": "c" * 40}}
    assert [one["name"] for one in made["subject"]] == [
        "T/verify/test_results.json",
        "T/verify/build_output.log",
        "source",
    ]
    process, command = made["predicate"]["configuration"]
    assert process["digest"] == {"sha256": "d" * 64}
    assert json.loads(base64.b64decode(command["content"]))["argv"] == ["python", "-m", "pytest"]


def test_claimed_tests_are_never_passed_and_say_nothing_of_a_tree() -> None:
    walk, objects = walk_with_tests(origin="claimed")
    made = statements(walk, objects)["VERIFY"]

    assert made["predicate"]["result"] == "WARNED"
    assert made["predicate"]["enforcer_test_origin"] == "claimed"
    assert "source" not in [one["name"] for one in made["subject"]]
    assert made["predicate"]["enforcer_entry"]["evidence"]["T/verify/test_results.json"]["origin"] == "claimed"
    assert not {"passedTests", "warnedTests", "failedTests"} & made["predicate"].keys()


@pytest.mark.parametrize(
    "results,result",
    [
        (b'{"passed": 3, "failed": 1}', "FAILED"),
        (b'{"passed": 3, "errors": 1}', "FAILED"),
        (b'{"passed": 0}', "WARNED"),
        (b"{}", "WARNED"),
        (b'{"passed": true}', "WARNED"),
        (b'{"passed": "3"}', "WARNED"),
        (b"[]", "WARNED"),
        (b"not JSON", "WARNED"),
    ],
)
def test_what_does_not_say_that_tests_passed_is_not_passed(results: bytes, result: str) -> None:
    for origin in ("observed", "claimed"):
        walk, objects = walk_with_tests(origin=origin, results=results)
        assert statements(walk, objects)["VERIFY"]["predicate"]["result"] == result


def test_a_rule_that_only_watches_keeps_a_result_from_being_passed() -> None:
    warning = Refusal("evidence_stale", "The tree has changed.", "VERIFY", "test_results.json")
    walk, objects = walk_with_tests(warnings=(warning,))
    predicate = statements(walk, objects)["VERIFY"]["predicate"]
    assert predicate["result"] == "WARNED"
    assert predicate["enforcer_entry"]["warnings"] == [{"code": "evidence_stale", "artifact": "test_results.json"}]


def test_a_warning_takes_away_a_property_of_a_verification() -> None:
    walk, _ = walk_with_tests()
    [step] = [one for one in walk.steps if one.phase == "IMPLEMENT"]
    warned = step.replace(event=step.event.replace(warnings=(Refusal("evidence_stale", "no"),)))
    made = statement_of(walk, warned, nothing)
    assert made["predicateType"] == VERIFICATION
    assert made["predicate"]["properties"] == ["ENFORCER_PHASE_ACCEPTED_IMPLEMENT"]


def test_labels_go_along() -> None:
    walk, objects = walk_with_tests(labels=("self-review",))
    assert statements(walk, objects)["VERIFY"]["predicate"]["enforcer_entry"]["labels"] == ["self-review"]


def test_a_bundle_has_one_signed_envelope_a_line(tmp_path) -> None:
    walk = walk_in(told(tmp_path))
    bundle = export_statements(walk, get=nothing, sign=LEDGER_KEY, public=LEDGER_KEY.public)

    lines = bundle.splitlines()
    assert bundle.endswith(b"\n")
    for line, expected in zip(lines, statements(walk).values(), strict=True):
        envelope = parse_envelope(line)
        assert verify_envelope(envelope, [LEDGER_KEY.public], check=verify_ed25519)
        assert json.loads(envelope.payload) == expected


def test_test_results_that_are_gone_are_an_error_and_no_statement() -> None:
    walk, _ = walk_with_tests()
    with pytest.raises(KeyError):
        statements(walk, {})


def test_a_task_without_entries_is_unknown() -> None:
    with pytest.raises(RequestError, match="unknown_task"):
        walk_of([], nothing)


def test_a_history_that_does_not_follow_itself_is_damaged(tmp_path) -> None:
    history = told(tmp_path)
    entries = entries_of(history)
    with pytest.raises(DamagedError, match="walk_broken"):
        walk_of(entries[1:], history.process)
    with pytest.raises(DamagedError, match="walk_broken"):
        walk_of([*entries, entries[0]], history.process)
