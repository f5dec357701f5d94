"""What an edit of an accepted document costs, and the shortest way to earn it back."""

from __future__ import annotations

from typing import Any

import pytest

from enforcer.errors import RequestError
from enforcer.workflow.cost import ATTEMPT, PERHAPS, RUN, cost
from enforcer.workflow.events import Accepted
from enforcer.workflow.process import Approval, Artifact, Phase, Process, Rule
from enforcer.workflow.state import COMPLETED, Attestation, Run, TaskState, Word


def rule(kind: str, artifact: str, mode: str = "enforce", **params: Any) -> Rule:
    return Rule(f"{artifact}-{kind}", kind, artifact, mode=mode, params=params)


PROCESS = Process(
    "six",
    (
        Phase("SPEC", (Artifact("spec.md", "markdown"),), (rule("sections", "spec.md"),)),
        Phase("PLAN", (Artifact("plan.md", "markdown"),), (rule("sections", "plan.md"),)),
        Phase("IMPLEMENT", (Artifact("git_diff.patch", "diff"),), (rule("diff", "git_diff.patch"),)),
        Phase(
            "VERIFY",
            (Artifact("results.json", "json"), Artifact("notes.json", "json"), Artifact("seen.json", "json")),
            (
                rule("attempt", "results.json", optional=True),
                rule("observed", "results.json"),
                rule("attempt", "notes.json", optional=True),
                rule("observed", "seen.json", mode="observe"),
            ),
            drift="enforce",
        ),
        Phase(
            "REVIEW",
            (Artifact("rubric.json", "json"), Artifact("score.json", "json")),
            (
                rule("attempt", "rubric.json"),
                rule("reviewer", "rubric.json"),
                rule("bound", "score.json", to="IMPLEMENT/git_diff.patch"),
            ),
            approvals=(Approval(2, ("maria", "nora")),),
        ),
        Phase("PR", (Artifact("url.txt", "text", stands_on=("PLAN/plan.md",)),), (rule("url", "url.txt"),)),
    ),
)


def at(phase: str, **changes: Any) -> TaskState:
    """A task in a phase, with everything before accepted."""
    before = PROCESS.phases[: PROCESS.index(phase)]
    accepted = {one.name: tuple(Accepted(each.name, "d" * 64, 1) for each in one.artifacts) for one in before}
    usual: dict[str, Any] = {
        "task": "T",
        "title": "",
        "process": "six",
        "digest": "p" * 64,
        "base": "",
        "phase": phase,
        "attempt_id": "a" * 32,
        "opened": "",
        "accepted": accepted,
        "walked": tuple(one.name for one in before),
    }
    return TaskState(**(usual | changes))


def commands(state: TaskState, *names: str) -> list[str]:
    return [f"{step.phase}: {step.command}" for step in cost(state, PROCESS, *names).steps]


def test_an_early_document_takes_everything_since_along() -> None:
    found = cost(at("PR"), PROCESS, "SPEC/spec.md")

    assert found.to == "SPEC"
    assert found.falls == (
        *("PLAN/plan.md", "IMPLEMENT/git_diff.patch", "VERIFY/results.json", "VERIFY/notes.json"),
        *("VERIFY/seen.json", "REVIEW/rubric.json", "REVIEW/score.json"),
    )
    assert found.phases == ("SPEC", "PLAN", "IMPLEMENT", "VERIFY", "REVIEW")
    assert found.restore == ("enforcer evidence restore T SPEC",)


def test_only_what_speaks_of_an_attempt_a_run_or_a_changed_digest_is_made_anew() -> None:
    found = cost(at("PR"), PROCESS, "SPEC/spec.md")

    assert [(one.name, one.why) for one in found.anew] == [
        ("VERIFY/results.json", RUN),
        ("VERIFY/notes.json", PERHAPS),
        ("REVIEW/rubric.json", ATTEMPT),
    ]
    assert found.reaffirmed == ("PLAN/plan.md", "IMPLEMENT/git_diff.patch", "VERIFY/seen.json", "REVIEW/score.json")
    assert (found.runs, found.approvals) == (("VERIFY/results.json",), ("REVIEW",))


def test_what_names_the_digest_of_the_edited_one_is_made_anew_and_so_is_what_names_that() -> None:
    found = cost(at("PR"), PROCESS, "IMPLEMENT/git_diff.patch")
    assert ("REVIEW/score.json", "it names the digest of IMPLEMENT/git_diff.patch") in [
        (one.name, one.why) for one in found.anew
    ]

    review = PROCESS.phase("REVIEW")
    chained = review.replace(rules=(*review.rules, rule("bound", "score.json", to="VERIFY/results.json")))
    process = PROCESS.replace(phases=tuple(chained if one is review else one for one in PROCESS.phases))
    found = cost(at("PR"), process, "PLAN/plan.md")
    assert ("REVIEW/score.json", "it names the digest of VERIFY/results.json") in [
        (one.name, one.why) for one in found.anew
    ]


def test_the_way_back_leads_through_each_phase_to_where_the_task_stands() -> None:
    assert commands(at("PR"), "IMPLEMENT/git_diff.patch") == [
        'IMPLEMENT: enforcer backtrack T --to IMPLEMENT --reason "..."',
        "IMPLEMENT: enforcer advance T",
        "VERIFY: enforcer run T",
        "VERIFY: enforcer status T",
        "VERIFY: enforcer advance T",
        "REVIEW: enforcer lease release T",
        "REVIEW: enforcer status T",
        "REVIEW: enforcer approve T",
        "REVIEW: enforcer advance T",
        "REVIEW: enforcer lease release T",
    ]
    assert commands(at("PLAN"), "SPEC/spec.md") == [
        'SPEC: enforcer backtrack T --to SPEC --reason "..."',
        "SPEC: enforcer advance T",
    ]


def test_of_several_edits_the_earliest_says_how_far_back() -> None:
    both = cost(at("VERIFY"), PROCESS, "IMPLEMENT/git_diff.patch", "PLAN/plan.md")

    assert (both.to, both.phases) == ("PLAN", ("PLAN", "IMPLEMENT"))
    assert both.restore == ("enforcer evidence restore T PLAN", "enforcer evidence restore T IMPLEMENT")
    assert (both.falls, both.reaffirmed) == ((), ())


def test_an_attestation_is_part_of_the_way_once_one_was_made() -> None:
    attested = at("REVIEW", attestations={"ada/SPEC": Attestation("SPEC", "b" * 32, {})})

    assert not any("attest" in command for command in commands(at("REVIEW"), "PLAN/plan.md"))
    assert [one for one in commands(attested, "PLAN/plan.md") if "attest" in one] == [
        "VERIFY: enforcer attest T --prompt FILE"
    ]


def test_runs_and_approvals_of_the_attempt_that_is_left_fall_as_well() -> None:
    runs = {
        "VERIFY/results.json": Run(1, "a" * 32, "d" * 64, "t", "o"),
        "VERIFY/old.json": Run(1, "b" * 32, "d" * 64, "t", "o"),
    }
    words = {"n": Word("approve", 3, "maria", 9, True)}

    found = cost(at("VERIFY", runs=runs, words=words), PROCESS, "SPEC/spec.md")

    assert (found.runs, found.approvals) == (("VERIFY/results.json",), ("VERIFY",))
    rejected = {"n": Word("reject", 3, "maria", 9, True)}
    assert cost(at("VERIFY", words=rejected), PROCESS, "SPEC/spec.md").approvals == ()


def test_a_closed_task_goes_nowhere_and_its_documents_can_still_be_restored() -> None:
    state = at("PR")
    closed = state.replace(
        status=COMPLETED,
        accepted={**state.accepted, "PR": (Accepted("url.txt", "d" * 64, 1),)},
        walked=(*state.walked, "PR"),
    )

    found = cost(closed, PROCESS, "PLAN/plan.md")

    assert "PR/url.txt" in found.falls
    assert "PR/url.txt" not in cost(closed, PROCESS, "IMPLEMENT/git_diff.patch").falls, "it stands on the plan alone"
    assert (found.steps, found.phases, found.restore) == ((), (), ("enforcer evidence restore T PLAN",))


@pytest.mark.parametrize("name", ["PR/url.txt", "SPEC/other.md", "nonsense", ""])
def test_what_is_not_accepted_costs_nothing_and_is_no_answer(name: str) -> None:
    with pytest.raises(RequestError, match="unknown_artifact"):
        cost(at("PR"), PROCESS, name)


def test_nobody_reviews_apart_where_the_process_lets_authors_review() -> None:
    found = cost(at("PR"), PROCESS.replace(self_review=True), "PLAN/plan.md")

    assert not any("lease release" in step.command for step in found.steps)
