"""Evidence of another moment: found where it counts, noted where it merely lies about."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from enforcer.errors import UnavailableError
from enforcer.evidence.audit import AuditReport, Finding
from enforcer.workflow.process import Artifact, Phase, Process, Rule
from enforcer.workflow.state import COMPLETED, TaskState
from tests.evidence.audits import ATTEMPT, Project

OTHER = "b" * 32
DIFF = b"diff --git a/a.py b/a.py\n"


def of(attempt: str) -> bytes:
    return json.dumps({"attempt_id": attempt}).encode()


def a_process(mode: str = "enforce") -> Process:
    """A diff, a result bound to its attempt, a result bound to a commit, and an end."""
    return Process(
        "short",
        (
            Phase("WORK", (Artifact("a.patch", "diff"),), (Rule("current", "diff", "a.patch", mode=mode),)),
            Phase("CHECK", (Artifact("r.json", "json"),), (Rule("attempt", "attempt", "r.json", mode=mode),)),
            Phase("SHIP", (Artifact("ci.json", "json"),), (Rule("commit", "commit", "ci.json"),)),
            Phase("END", (Artifact("r.json", "json"),), (Rule("attempt2", "attempt", "r.json"),)),
        ),
    )


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path, a_process())
    made.state = at_end_of(made, CHECK=of(ATTEMPT))
    return made


def at_end_of(project: Project, **accepted: bytes) -> TaskState:
    """A task that left WORK, and the phases named, and stands in the next one."""
    names = {"WORK": "a.patch", "CHECK": "r.json", "SHIP": "ci.json"}
    files = {phase: {names[phase]: data} for phase, data in {"WORK": DIFF, **accepted}.items()}
    after = {"WORK": "CHECK", "CHECK": "SHIP", "SHIP": "END"}[list(files)[-1]]
    shutil.rmtree(project.path("T"), ignore_errors=True)
    return project.task("T", files, after).replace(tree="1" * 40)


def only(report: AuditReport) -> Finding:
    [finding] = report.findings
    return finding


def test_evidence_of_the_attempt_that_it_left_is_fresh(project: Project) -> None:
    assert project.audit().findings == ()


@pytest.mark.parametrize("rejudge", [False, True])
def test_accepted_evidence_of_another_attempt_is_stale(project: Project, rejudge: bool) -> None:
    state = at_end_of(project, CHECK=of(OTHER))
    finding = only(project.rejudge(state) if rejudge else project.audit(state))
    assert (finding.code, finding.level, finding.phase, finding.seq) == ("evidence_stale", "violation", "CHECK", 11)
    assert OTHER in finding.message


def test_accepted_evidence_that_names_no_attempt_is_found(project: Project) -> None:
    assert only(project.audit(at_end_of(project, CHECK=b"{}"))).code == "evidence_invalid"
    assert only(project.audit(at_end_of(project, CHECK=b"{"))).code == "evidence_invalid"


def test_an_observed_rule_makes_a_note_of_it(tmp_path: Path) -> None:
    project = Project(tmp_path, a_process("observe"))
    report = project.audit(at_end_of(project, CHECK=of(OTHER)))
    assert (report.verdict, only(report).level) == ("clean", "note")


# Pending


def test_a_pending_file_of_another_attempt_is_noted(project: Project) -> None:
    state = at_end_of(project)
    project.folder.write("T", "CHECK", "r.json", of(OTHER))
    report = project.audit(state)
    assert (report.verdict, only(report).code, only(report).phase) == ("clean", "evidence_stale", "CHECK")
    assert "would be refused" in only(report).message
    project.folder.write("T", "CHECK", "r.json", of(ATTEMPT))
    assert project.audit(state).findings == ()


def test_a_file_that_a_backtrack_set_aside_is_noted_until_it_is_another(project: Project) -> None:
    state = at_end_of(project)
    digest = project.objects.put(b"{}")
    state = state.replace(invalidated=("SHIP/ci.json",), previous={"SHIP/ci.json": digest})
    project.folder.write("T", "SHIP", "ci.json", b"{}")
    report = project.audit(state)
    assert (report.verdict, only(report).level, only(report).artifact) == ("clean", "note", "ci.json")
    assert "a backtrack set aside" in only(report).message
    project.folder.write("T", "SHIP", "ci.json", b'{"new": 1}')
    assert project.audit(state).findings == ()


# The working files


def test_a_diff_that_still_leads_to_the_working_files_is_fresh(project: Project) -> None:
    assert project.audit(task="T", tree=lambda: "1" * 40).findings == ()


def test_a_diff_that_leads_to_other_files_is_stale(project: Project) -> None:
    finding = only(project.audit(task="T", tree=lambda: "2" * 40))
    assert (finding.code, finding.level, finding.phase, finding.artifact) == (
        "evidence_stale",
        "violation",
        "WORK",
        "a.patch",
    )


def test_unless_the_task_was_named_it_may_live_in_another_worktree(project: Project) -> None:
    report = project.audit(tree=lambda: "2" * 40)
    assert (report.verdict, only(report).code, only(report).level) == ("clean", "evidence_stale", "note")


def test_the_files_may_move_on_once_a_commit_stands_for_the_diff(project: Project) -> None:
    state = at_end_of(project, CHECK=of(ATTEMPT), SHIP=b"{}")
    assert project.audit(state, task="T", tree=lambda: "2" * 40).findings == ()


def test_the_files_may_move_on_once_the_task_is_closed(project: Project) -> None:
    state = project.state.replace(status=COMPLETED)
    assert project.audit(state, task="T", tree=lambda: "2" * 40).findings == ()


def test_the_tree_is_asked_for_once_and_only_where_a_diff_needs_it(project: Project) -> None:
    asked: list[str] = []

    def tree() -> str:
        asked.append("")
        return "1" * 40

    project.audit(project.state, project.state.replace(task="U"), tree=tree)
    assert len(asked) == 1
    project.audit(project.state.replace(tree=""), tree=tree)
    project.audit(project.state.replace(status=COMPLETED), tree=tree)
    assert len(asked) == 1


@pytest.mark.parametrize("gone", ["no repository", "no git"])
def test_without_git_a_named_task_has_no_answer(project: Project, gone: str) -> None:
    def tree() -> str:
        if gone == "no git":
            raise UnavailableError("git_missing", "There is no git.", fix="Install it.")
        return ""

    report = project.audit(task="T", tree=tree)
    assert (report.verdict, only(report).code) == ("unverifiable", "tree_unknown")
    assert project.audit(tree=tree).verdict == "clean"
