"""What was accepted is judged again: forged and careless acceptances are found, and what nobody can ask is said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from enforcer.errors import UnavailableError
from enforcer.evidence import copies, schema
from enforcer.evidence.audit import AuditReport, Finding, audit_histories
from enforcer.evidence.history import Acceptance, History
from enforcer.workflow.process import Artifact, Phase, Process, Rule
from enforcer.workflow.state import COMPLETED, TaskState, Word
from tests.evidence.audits import ATTEMPT, Project, history_of
from tests.evidence.audits import a_process as audited

GOOD = b"## Findings\n\nThe parser drops the last field of a record.\n"
BAD = b"## Findings\n\nTODO\n"
SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["attempt_id", "files"],
}
MAP = {"files": [{"path": "a.py"}]}


def review(**members: object) -> bytes:
    return json.dumps({"attempt_id": ATTEMPT, "files": ["a.py"], **members}).encode()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path)
    shutil.rmtree(made.path("T"))
    made.digest = made.keep(a_process(made))
    made.state = made.task("T", {"SPEC": {"note.md": GOOD, "map.json": json.dumps(MAP).encode()}}, "REVIEW")
    return made


def a_process(project: Project, mode: str = "enforce", version: int = 1) -> Process:
    """A note and a map; then a review bound to attempt, map and reviewer, and a diff that only git can judge."""
    digest = project.objects.put(json.dumps(SCHEMA).encode())
    spec = Phase(
        "SPEC",
        (Artifact("note.md", "markdown"), Artifact("map.json", "json")),
        (Rule("sections", "sections", "note.md", mode=mode, params={"headings": ("Findings",), "words": 3}),),
    )
    judged = Phase(
        "REVIEW",
        (Artifact("review.json", "json", schema=digest), Artifact("diff.patch", "diff", required=False)),
        (
            Rule("attempt", "attempt", "review.json", version=version),
            Rule("planned", "planned", "review.json", params={"map": "SPEC/map.json", "words": 2}),
            Rule("bound", "bound", "review.json", params={"field": "map", "to": "SPEC/map.json"}),
            Rule("who", "reviewer", "review.json"),
            Rule("current", "diff", "diff.patch"),
        ),
    )
    return Process("short", (spec, judged, Phase("END", (Artifact("note.md", "markdown"),), spec.rules)))


def reviewed(project: Project, **members: object) -> History:
    """The task after REVIEW, left by bob on a review with some members of its own."""
    digest = project.state.accepted["SPEC"][1].digest
    honest = {"map": digest, "reviewer": "bob", "files": ["a.py"]}
    data = review(**{**honest, **members})
    accepted = {
        "SPEC": {"note.md": GOOD, "map.json": json.dumps(MAP).encode()},
        "REVIEW": {"review.json": data, "diff.patch": b"diff --git a/a.py b/a.py\n"},
    }
    state = project.task("T", accepted, "END").replace(held={"IMPLEMENT": ("ann",)})
    return history_of(state, actors={"REVIEW": "bob"})


def ask(project: Project, history: History) -> AuditReport:
    return project.audit_of(history, schema_faults=schema.faults)


def only(report: AuditReport) -> Finding:
    [finding] = report.findings
    return finding


def test_what_was_accepted_rightly_is_clean_again(project: Project) -> None:
    report = ask(project, reviewed(project))
    assert (report.verdict, report.findings, report.judged, report.artifacts) == ("clean", (), 4, 4)


def test_an_acceptance_of_bytes_that_no_gate_accepts_is_found(project: Project) -> None:
    state = project.task("T", {"SPEC": {"note.md": BAD, "map.json": b"{}"}}, "REVIEW")
    assert project.audit(state).verdict == "clean"
    finding = only(project.rejudge(state))
    assert (finding.task, finding.phase, finding.artifact) == ("T", "SPEC", "note.md")
    assert (finding.code, finding.level, finding.seq) == ("evidence_invalid", "violation", 10)
    assert "Entry 10 left SPEC nonetheless." in finding.message
    assert "enforcer backtrack T --to SPEC" in finding.fix


@pytest.mark.parametrize(
    "members, code",
    [
        ({"attempt_id": "b" * 32}, "evidence_stale"),
        ({"map": "0" * 64}, "evidence_stale"),
        ({"files": ["a.py", "b.py"]}, "evidence_invalid"),
        ({"reviewer": "ann"}, "evidence_invalid"),
        ({"files": None}, ""),
    ],
    ids=["attempt", "bound", "planned", "reviewer", "nothing to plan"],
)
def test_every_rule_that_the_ledger_can_answer_is_asked_again(
    project: Project, members: dict[str, object], code: str
) -> None:
    report = ask(project, reviewed(project, **members))
    assert {finding.code for finding in report.findings} == ({code} if code else set())
    assert report.exit_status == (1 if code else 0)


def test_a_review_by_an_author_is_found(project: Project) -> None:
    history = reviewed(project, reviewer="ann")
    acceptances = (history.acceptances[0], history.acceptances[1].replace(actor="ann/2"))
    assert only(ask(project, history.replace(acceptances=acceptances))).code == "reviewer_is_author"


def test_a_breach_of_the_schema_is_found(project: Project) -> None:
    state = reviewed(project).state
    bare = project.objects.put(b"[]")
    evidence = (state.accepted["REVIEW"][0].replace(digest=bare, size=2),)
    forged = state.replace(accepted={**state.accepted, "REVIEW": evidence})
    report = ask(project, history_of(forged, actors={"REVIEW": "bob"}))
    assert any("schema" in finding.message for finding in report.findings if finding.seq == 11)


def waived(project: Project, rule: str, expires: int = 1) -> TaskState:
    state = project.task("T", {"SPEC": {"note.md": BAD, "map.json": b"{}"}}, "REVIEW")
    return state.replace(words={"f" * 32: Word("waive", 7, "lead", expires, True, artifact="note.md", rules=(rule,))})


def test_a_rule_that_was_waived_is_a_note_that_says_by_whom(project: Project) -> None:
    report = project.rejudge(waived(project, "sections"))
    assert (report.verdict, only(report).level, only(report).code) == ("clean", "note", "evidence_invalid")
    assert "lead had waived sections in entry 7." in only(report).message


@pytest.mark.parametrize("rule, expires", [("other", 1), ("sections", 0)], ids=["another rule", "no longer"])
def test_what_was_not_waived_at_that_moment_is_a_violation(project: Project, rule: str, expires: int) -> None:
    assert only(project.rejudge(waived(project, rule, expires))).level == "violation"


@pytest.mark.parametrize("rule, level", [("seen", "note"), ("other", "violation")])
def test_a_claim_passes_an_audit_where_the_rule_that_wants_it_observed_was_waived(
    tmp_path: Path, rule: str, level: str
) -> None:
    claimed = Project(tmp_path, audited("enforce"))
    word = Word("waive", 7, "lead", 1, True, artifact="note.md", rules=(rule,))
    report = claimed.audit(claimed.state.replace(words={"f" * 32: word}))
    assert {(one.code, one.level) for one in report.findings} == {("evidence_unobserved", level)}


def test_required_evidence_that_an_entry_does_not_name_is_found(project: Project) -> None:
    state = project.state.replace(accepted={"SPEC": project.state.accepted["SPEC"][:1]})
    finding = next(one for one in project.rejudge(state).findings if one.seq is not None)
    assert (finding.artifact, finding.code) == ("map.json", "evidence_missing")


def test_rules_about_git_are_said_not_to_be_judged_again(project: Project) -> None:
    [left] = ask(project, reviewed(project)).unjudged
    assert (left.phase, left.artifact, left.rule, left.kind, left.count) == (
        "REVIEW",
        "diff.patch",
        "current",
        "diff",
        1,
    )
    assert "git" in left.why
    without = reviewed(project)
    evidence = without.acceptances[1].evidence[:1]
    acceptances = (without.acceptances[0], without.acceptances[1].replace(evidence=evidence))
    assert ask(project, without.replace(acceptances=acceptances)).unjudged == ()


def test_a_rule_of_another_release_leaves_the_answer_open(project: Project) -> None:
    project.digest = project.keep(a_process(project, version=9))
    report = ask(project, reviewed(project, attempt_id="b" * 32))
    assert (report.verdict, only(report).code) == ("unverifiable", "rule_unknown")
    assert {left.rule for left in report.unjudged} == {"attempt", "current"}


def test_an_observed_breach_is_a_note(project: Project) -> None:
    project.digest = project.keep(a_process(project, mode="observe"))
    state = project.task("T", {"SPEC": {"note.md": BAD, "map.json": b"{}"}}, "REVIEW")
    report = project.rejudge(state)
    assert (report.verdict, only(report).level) == ("clean", "note")


def test_what_a_backtrack_set_aside_is_judged_as_well(project: Project) -> None:
    first = project.task("T", {"SPEC": {"note.md": BAD, "map.json": b"{}"}}, "REVIEW")
    again = project.task("T", {"SPEC": {"note.md": GOOD, "map.json": b"{}"}}, "REVIEW")
    acceptances = (*history_of(first, first=5).acceptances, *history_of(again, first=8).acceptances)
    finding = only(ask(project, History(again, acceptances)))
    assert finding.seq == 5
    assert "A backtrack has set that aside since." in finding.message


def test_a_copy_that_only_a_superseded_entry_names_is_missed(project: Project) -> None:
    first = project.task("T", {"SPEC": {"note.md": GOOD + b"old\n", "map.json": b"{}"}}, "REVIEW")
    again = project.task("T", {"SPEC": {"note.md": GOOD, "map.json": b"{}"}}, "REVIEW")
    digest = first.accepted["SPEC"][0].digest
    (project.objects_root / digest[:2] / digest[2:]).unlink()
    acceptances = (*history_of(first, first=5).acceptances, *history_of(again, first=8).acceptances)
    assert project.audit_of(History(again, acceptances)).verdict == "clean"
    assert [(one.code, one.seq) for one in ask(project, History(again, acceptances)).findings] == [
        ("object_missing", 5)
    ]


def test_a_copy_that_counts_and_is_gone_is_told_of_once(project: Project) -> None:
    digest = project.state.accepted["SPEC"][0].digest
    (project.objects_root / digest[:2] / digest[2:]).unlink()
    assert [one.code for one in project.rejudge().findings] == ["object_missing"]


def test_a_rule_that_looks_at_a_copy_that_is_gone_accuses_nobody(project: Project) -> None:
    history = reviewed(project)
    digest = project.state.accepted["SPEC"][1].digest
    (project.objects_root / digest[:2] / digest[2:]).unlink()
    report = ask(project, history)
    assert [(one.code, one.artifact) for one in report.findings] == [("object_missing", "map.json")]
    assert {left.rule: left.why for left in report.unjudged}["planned"] == "the copy that it looks at is not there"


def test_bytes_that_stand_in_the_folder_instead_are_judged_too(project: Project) -> None:
    project.path("T", "spec", "note.md").write_bytes(BAD)
    changed, judged = project.rejudge().findings
    assert (changed.code, changed.level) == ("evidence_changed", "violation")
    assert (judged.code, judged.level, judged.artifact) == ("evidence_invalid", "note", "note.md")
    assert "stands in the folder now" in judged.message
    project.path("T", "spec", "note.md").write_bytes(GOOD + b"\nMore.\n")
    assert [one.code for one in project.rejudge().findings] == ["evidence_changed"]


def test_a_phase_without_rules_cannot_have_been_left(project: Project) -> None:
    process = a_process(project)
    empty = process.replace(phases=(process.phases[0].replace(rules=()), *process.phases[1:]))
    finding = only(project.rejudge(project.state.replace(digest=project.keep(empty))))
    assert (finding.code, finding.phase) == ("evidence_missing", "SPEC")


def test_a_forged_process_cannot_hide_a_rule_behind_the_id_of_another(project: Project) -> None:
    process = a_process(project)
    git = Rule("sections", "diff", "map.json")
    forged = process.replace(
        phases=(process.phases[0].replace(rules=(git, *process.phases[0].rules)), *process.phases[1:])
    )
    project.digest = project.keep(forged)
    state = project.task("T", {"SPEC": {"note.md": BAD, "map.json": b"{}"}}, "REVIEW")
    assert only(project.rejudge(state)).artifact == "note.md"


def test_a_forged_process_that_nothing_can_be_held_to_stops_no_other_audit(project: Project) -> None:
    process = a_process(project)
    broken = process.phases[0].rules[0].replace(params={})
    forged = process.replace(phases=(process.phases[0].replace(rules=(broken,)), *process.phases[1:]))
    looped = process.replace(
        phases=(
            process.phases[0],
            process.phases[1].replace(artifacts=(Artifact("review.json", "json", stands_on=("REVIEW/review.json",)),)),
            process.phases[2],
        )
    )
    other = project.task("U", {"SPEC": {"note.md": BAD, "map.json": b"{}"}}, "REVIEW")
    for one in (forged, looped):
        project.path("T", "spec", "note.md").write_bytes(GOOD if one is forged else BAD)
        report = project.rejudge(project.state.replace(digest=project.keep(one)), other)
        assert ("T", "process_unsound", "unanswered") in {
            (each.task, each.code, each.level) for each in report.findings
        }
        assert ("U", "evidence_invalid", "violation") in {
            (each.task, each.code, each.level) for each in report.findings
        }


def test_a_closed_task_is_not_sent_back(project: Project) -> None:
    state = project.task("T", {"SPEC": {"note.md": BAD, "map.json": b"{}"}}, "SPEC", status=COMPLETED)
    assert "backtrack" not in only(project.rejudge(state)).fix


def test_each_task_is_judged_by_its_own_process(project: Project) -> None:
    lenient = a_process(project, mode="off")
    other = project.task("U", {"SPEC": {"note.md": BAD, "map.json": b"{}"}}, "REVIEW")
    states = (project.state, other.replace(digest=project.keep(lenient)))
    assert project.rejudge(*states).verdict == "clean"
    assert only(project.rejudge(project.state, other)).task == "U"


def test_a_schema_that_is_gone_leaves_the_answer_open(project: Project) -> None:
    history = reviewed(project)
    digest = a_process(project).phase("REVIEW").artifacts[0].schema
    (project.objects_root / digest[:2] / digest[2:]).unlink()
    report = ask(project, history)
    assert (report.verdict, only(report).code, only(report).phase) == ("unverifiable", "object_missing", "REVIEW")


def test_an_object_store_that_gives_no_answer_leaves_the_answer_open(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "KEPT", 0)  # Nothing is remembered, so every question reaches the store.
    history = reviewed(project)
    asked: list[str] = []

    class Failing:
        def get(self, digest: str) -> bytes:
            asked.append(digest)
            if digest == history.acceptances[0].evidence[0].digest and asked.count(digest) > 1:
                raise UnavailableError("object_unreadable", "The disk is gone.", fix="Check it.")
            return project.objects.get(digest)

    report = audit_histories((history,), project.folder, Failing(), project.processes, schema_faults=schema.faults)
    assert (report.verdict, {one.code for one in report.findings}) == ("unverifiable", {"object_unreadable"})


def test_an_acceptance_says_which_phase_it_left(project: Project) -> None:
    [acceptance] = history_of(project.state).acceptances
    assert isinstance(acceptance, Acceptance)
    assert acceptance.phase == "SPEC"
