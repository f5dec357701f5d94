"""What is said when a task moves to another process, and what of it counts as asking for less."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from enforcer import policies
from enforcer.workflow.difference import LIMIT, difference
from enforcer.workflow.process import Artifact, Observation, Phase, Process, Rule

DEFAULT = policies.load("default", root="/").process
LEAN = policies.load("lean", root="/").process


def changed(phase: str, change: Callable[[Phase], Phase]) -> Process:
    return DEFAULT.replace(phases=tuple(change(one) if one.name == phase else one for one in DEFAULT.phases))


def ruled(name: str, **changes: Any) -> Process:
    def change(phase: Phase) -> Phase:
        return phase.replace(rules=tuple(rule.replace(**changes) if rule.id == name else rule for rule in phase.rules))

    return DEFAULT.replace(phases=tuple(map(change, DEFAULT.phases)))


def params(name: str, **new: Any) -> Process:
    rule = next(rule for phase in DEFAULT.phases for rule in phase.rules if rule.id == name)
    return ruled(name, params={**rule.params, **new})


def artifact(name: str, **changes: Any) -> Process:
    def change(phase: Phase) -> Phase:
        return phase.replace(
            artifacts=tuple(one.replace(**changes) if one.name == name else one for one in phase.artifacts)
        )

    return DEFAULT.replace(phases=tuple(map(change, DEFAULT.phases)))


WEAKER = {
    "a rule is gone": changed("REVIEW", lambda phase: phase.replace(rules=phase.rules[1:])),
    "a mode is lowered": ruled("tests-ran", mode="observe"),
    "a rule is off": ruled("tests-ran", mode="off"),
    "another kind": ruled("tests-ran", kind="maximum"),
    "another artifact": ruled("tests-ran", artifact="coverage_report.json"),
    "a lower threshold": params("quality-score", value=69),
    "a lower ratio": params("coverage-changed-lines", ratio_bp=7999),
    "a higher limit": params("tests-none-failed", value=1),
    "fewer words": params("strategy-sections", words=2),
    "a heading is gone": params("strategy-sections", headings=["Problem"]),
    "one more status passes": params("ci-passed", values=["passed", "skipped"]),
    "another field": params("quality-score", field="points"),
    "an attempt may be left out": params("review-attempt", optional=True),
    "rounding is wider": params("coverage-rate", within_bp=100),
    "an artifact is gone": changed("PLAN", lambda phase: phase.replace(artifacts=phase.artifacts[:1])),
    "no longer required": artifact("plan.md", required=False),
    "another format": artifact("plan.md", format="text"),
    "another schema": artifact("ci_results.json", schema="0" * 64),
    "no schema": artifact("ci_results.json", schema=""),
    "stands on less": artifact("ci_results.json", stands_on=("SPEC/spec.md",)),
    "a tool more": changed("REVIEW", lambda phase: phase.replace(tools=("write",))),
    "drift is lowered": changed("VERIFY", lambda phase: phase.replace(drift="observe")),
    "a phase is gone": DEFAULT.replace(phases=DEFAULT.phases[:-1]),
    "another order": DEFAULT.replace(phases=(DEFAULT.phases[1], DEFAULT.phases[0], *DEFAULT.phases[2:])),
    "a persona may more": DEFAULT.replace(personas={**DEFAULT.personas, "reviewer": ("run", "write")}),
    "a persona is new": DEFAULT.replace(personas={**DEFAULT.personas, "guest": ("run",)}),
    "self-review": DEFAULT.replace(self_review=True),
}

AS_STRONG = {
    "a name": DEFAULT.replace(name="other"),
    "a rule is new": changed("SPEC", lambda phase: phase.replace(rules=(*phase.rules, Rule("new", "url", "spec.md")))),
    "a mode is raised": ruled("tests-tree", mode="enforce"),
    "a higher threshold": params("quality-score", value=71),
    "a lower limit": params("tests-none-failed", value=-1),
    "more words": params("strategy-sections", words=9),
    "a status less": params("ci-passed", values=[]),
    "an artifact is new": changed(
        "SPEC", lambda phase: phase.replace(artifacts=(*phase.artifacts, Artifact("x.md", "text")))
    ),
    "another form": artifact("plan.md", scaffold="TODO"),
    "a tool less": changed("IMPLEMENT", lambda phase: phase.replace(tools=("write",))),
    "drift is raised": changed("SPEC", lambda phase: phase.replace(drift="enforce")),
    "a phase is new": DEFAULT.replace(phases=(*DEFAULT.phases, Phase("RETIRE"))),
    "a persona may less": DEFAULT.replace(personas={}),
    "a pin is new": DEFAULT.replace(pins={"header": "0" * 64}),
    "an observation is new": DEFAULT.replace(observe={"test_results.json": Observation(("pytest",))}),
}


@pytest.mark.parametrize("name", WEAKER)
def test_asking_for_less_is_a_weakening(name: str) -> None:
    differences, weakenings = difference(DEFAULT, WEAKER[name])
    assert weakenings
    assert set(weakenings) <= set(differences)


@pytest.mark.parametrize("name", AS_STRONG)
def test_asking_for_as_much_or_more_is_a_difference_and_no_weakening(name: str) -> None:
    differences, weakenings = difference(DEFAULT, AS_STRONG[name])
    assert differences
    assert not weakenings


def test_a_pin_or_an_observation_that_goes_or_changes_is_a_weakening() -> None:
    for field, before, after in (
        ("pins", {"header": "0" * 64}, {"header": "1" * 64}),
        ("observe", {"a": Observation(("x",))}, {"a": Observation(("y",))}),
    ):
        old = DEFAULT.replace(**{field: before})
        assert difference(old, DEFAULT)[1]
        assert difference(old, DEFAULT.replace(**{field: after}))[1]


def test_equal_processes_do_not_differ() -> None:
    assert difference(DEFAULT, DEFAULT) == ((), ())


def test_lean_asks_for_less_than_the_default_and_the_list_is_bounded() -> None:
    differences, weakenings = difference(DEFAULT, LEAN)
    assert "rule ci-commit: gone" in weakenings
    assert "self_review: false → true" in weakenings
    assert len(differences) <= LIMIT + 1
    many = DEFAULT.replace(personas={f"p{number}": ("run", "write") for number in range(99)})
    assert difference(DEFAULT, many)[1][-1].startswith("and ")


def test_a_phase_whose_holders_are_no_authors_any_more_is_a_weakening() -> None:
    phases = (Phase("DRAFT", authors=True), Phase("BUILD", authors=True))
    old = Process("p", phases)
    new = Process("p", (phases[0], Phase("BUILD")))

    differences, weakenings = difference(old, new)

    assert weakenings == differences == ("BUILD: who holds the task in it is no author any more",)
    assert difference(new, old)[1] == ()
