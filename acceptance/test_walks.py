"""Honest work passes: a refusal anywhere in these walks is a failure of the gate."""

from __future__ import annotations

from pathlib import Path

import pytest

from acceptance.honest import walk_honestly, walk_side_by_side
from acceptance.repositories import governed
from acceptance.walks import Walk
from acceptance.world import ADA, World, codes

WALKS = 24


@pytest.mark.parametrize("seed", range(WALKS))
def test_an_honest_walk_is_refused_nowhere(tmp_path: Path, seed: int) -> None:
    walk_honestly(tmp_path, seed)


def test_two_honest_walks_at_once_in_two_worktrees_are_refused_nowhere(tmp_path: Path) -> None:
    walk_side_by_side(tmp_path, 7)


def test_a_change_that_failed_for_its_surroundings_comes_forward_again_as_it_was(repository: World) -> None:
    walk = Walk(repository, "T", 11).to("VERIFY")
    walk.meet_outage()
    walk.whole()

    runs = [event["data"] for event in repository.events("run.observed", "T")]
    diffs = [
        accepted["digest"]
        for event in repository.events("phase.advanced", "T")
        for accepted in event["data"]["evidence"]
        if accepted["artifact"] == "git_diff.patch"
    ]
    assert (runs[0].get("status", 0), runs[-1].get("status", 0)) == (1, 0)
    assert len({run["tree"] for run in runs}) == 1
    assert len(diffs) == 2
    assert len(set(diffs)) == 1
    assert not repository.events("command.refused")


def test_an_honest_walk_in_a_repository_without_a_commit(tmp_path: Path) -> None:
    world = governed(World(tmp_path, git=True), 7, committed=False)

    Walk(world, "T", 7, committed=False).to("REVIEW")

    assert not world.events("command.refused")


def test_evidence_of_an_earlier_attempt_is_stale(repository: World) -> None:
    """Hand-written JSON names the attempt that it was earned in; another attempt needs it again."""
    walk = Walk(repository, "T", 3).to("REVIEW")
    walk.write()
    walk.back("VERIFY")
    walk.write()
    walk.step()

    assert codes(walk.task.advance()) == {"evidence_stale"}

    walk.write()
    assert walk.task.advance()


def test_a_diff_that_git_does_not_confirm_is_refused(repository: World) -> None:
    walk = Walk(repository, "T", 4).to("IMPLEMENT")
    walk.write()
    (repository.root / "late.py").write_text("x = 1\n", encoding="utf-8")

    assert codes(walk.task.advance()) <= {"evidence_invalid", "evidence_stale"}
    assert walk.phase == "IMPLEMENT"

    walk.write()
    assert walk.task.advance()


def test_a_file_outside_the_plan_needs_a_reason(repository: World) -> None:
    walk = Walk(repository, "T", 4).to("IMPLEMENT")
    (repository.root / "unplanned.py").write_text("x = 1\n", encoding="utf-8")
    walk.write()
    repository.edit("T", "IMPLEMENT", "modified_files.json", deviations=[])

    outcome = walk.task.advance()

    faults = {(refusal.code, refusal.artifact) for refusal in outcome.refusals}
    assert faults == {("evidence_invalid", "modified_files.json")}


def test_a_repository_without_a_commit_inside_the_project_is_refused_and_recorded(repository: World) -> None:
    walk = Walk(repository, "T", 4).to("IMPLEMENT")
    walk.write()
    repository.git("init", "--quiet", "inner")
    (repository.root / "inner" / "hidden.py").write_text("x = 1\n", encoding="utf-8")

    reply = repository.ask("advance", "T")

    assert (reply.status, set(reply.codes)) == (1, {"evidence_invalid"})
    told = [refusal for refusal in reply.json["refusals"] if refusal["artifact"] == "git_diff.patch"]
    assert "contains a git repository without a commit" in told[0]["message"]
    assert "commit in it" in told[0]["fix"]


def test_a_mode_that_the_repository_says_not_to_look_at_is_looked_at(repository: World) -> None:
    walk = Walk(repository, "T", 4).to("IMPLEMENT")
    walk.write()
    repository.git("config", "core.fileMode", "false")
    (repository.root / ".gitignore").chmod(0o755)

    assert "evidence_stale" in codes(walk.task.advance())


def test_an_implementer_cannot_review(repository: World) -> None:
    walk = Walk(repository, "T", 6).to("REVIEW")
    walk.write()
    repository.edit("T", "REVIEW", "review_rubric.json", reviewer=ADA)

    outcome = repository.library(f"{ADA}/another-session").task("T").advance()

    assert codes(outcome) == {"reviewer_is_author"}


def test_a_rubric_names_the_worker_who_leaves_review(repository: World) -> None:
    walk = Walk(repository, "T", 6).to("REVIEW")
    walk.write()
    repository.edit("T", "REVIEW", "review_rubric.json", reviewer="somebody-else")

    assert not walk.task.advance()


def test_a_review_of_another_diff_is_refused(repository: World) -> None:
    walk = Walk(repository, "T", 6).to("REVIEW")
    walk.write()
    repository.edit("T", "REVIEW", "review_rubric.json", diff_digest="0" * 64)

    assert {refusal.artifact for refusal in walk.task.advance().refusals} == {"review_rubric.json"}


def test_ci_results_of_another_commit_are_refused(repository: World) -> None:
    walk = Walk(repository, "T", 6).to("PR")
    walk.write()
    repository.edit("T", "PR", "ci_results.json", commit="0" * 40)

    assert {refusal.artifact for refusal in walk.task.advance().refusals} == {"ci_results.json"}


def test_git_rules_refuse_with_a_fix_where_there_is_no_git(tmp_path: Path) -> None:
    world = governed(World(tmp_path, git=True), 2)
    walk = Walk(world, "T", 2).to("IMPLEMENT")
    walk.write()
    (world.root / ".git").rename(tmp_path / "gone")

    outcome = walk.task.advance()

    assert outcome.refusals
    assert all(refusal.fix for refusal in outcome.refusals)


def test_the_same_seed_writes_the_same_walk(tmp_path: Path) -> None:
    """Otherwise a failing walk could not be walked again."""
    digests = []
    for name in ("one", "two"):
        world = governed(World(tmp_path / name, git=True), 9)
        Walk(world, "T", 9).to("IMPLEMENT")
        digests.append([event["data"]["evidence"] for event in world.events("phase.advanced", "T")])

    assert digests[0] == digests[1]
