"""What is said when a task moves to another process, and what of it counts as asking for less."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from enforcer import policies
from enforcer.workflow.difference import LIMIT, difference
from enforcer.workflow.process import Approval, Artifact, Observation, Phase, Process, Rule

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
    "a risk class is gone": DEFAULT.replace(
        risks={name: DEFAULT.risks[name] for name in DEFAULT.risks if name != "ci"}
    ),
    "a pattern of a risk class is gone": DEFAULT.replace(risks={**DEFAULT.risks, "ci": DEFAULT.risks["ci"][1:]}),
    "required of fewer changes": artifact("rollback_plan.md", risks=("migrations",)),
    "required of risky changes only": artifact("ci_results.json", risks=("ci",)),
    "somebody may break the glass": DEFAULT.replace(break_glass=("maria",)),
    "a signer is new": DEFAULT.replace(signers="maria ssh-ed25519 AAAAC3NzaC1lZDI1NTE5\n"),
}

AS_STRONG = {
    "a name": DEFAULT.replace(name="other"),
    "a rule is new": changed("SPEC", lambda phase: phase.replace(rules=(*phase.rules, Rule("new", "url", "spec.md")))),
    "a mode is raised": ruled("review-tree", mode="enforce"),
    "an approval is asked for": changed("PR", lambda phase: phase.replace(approvals=(Approval(),))),
    "a risk class is new": DEFAULT.replace(risks={**DEFAULT.risks, "money": ("billing/**",)}),
    "a risk class takes in more": DEFAULT.replace(risks={**DEFAULT.risks, "ci": (*DEFAULT.risks["ci"], "ci/**")}),
    "required of more changes": artifact("rollback_plan.md", risks=()),
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


# Approvals -----------------------------------------------------------------------------------------------------------

TWO = Approval(2, ("ann", "maria", "zoe"), ("ci", "secrets"))


def approving(*demands: Approval) -> Process:
    return changed("PR", lambda phase: phase.replace(approvals=demands))


ASKS_LESS = {
    "none at all": (),
    "fewer": (TWO.replace(count=1),),
    "a declaration is enough": (TWO.replace(signed=False),),
    "one more may approve": (TWO.replace(by=(*TWO.by, "bob")),),
    "anybody may approve": (TWO.replace(by=()),),
    "of fewer changes": (TWO.replace(risks=("ci",)),),
    "two that each ask for half of it": (TWO.replace(count=1), TWO.replace(count=1, by=("ann",))),
}

ASKS_AS_MUCH = {
    "more": (TWO.replace(count=3),),
    "fewer may approve": (TWO.replace(by=("ann", "maria")),),
    "of more changes": (TWO.replace(risks=("ci", "secrets", "tests")),),
    "of every change": (TWO.replace(risks=()),),
    "another demand": (TWO, Approval()),
}


@pytest.mark.parametrize("name", ASKS_LESS)
def test_fewer_approvals_or_of_more_people_are_a_weakening(name: str) -> None:
    differences, weakenings = difference(approving(TWO), approving(*ASKS_LESS[name]))

    told = "PR: no longer takes 2 signed approvals of ann, maria, zoe of a change that touches ci, secrets"
    assert weakenings == (told,)
    assert set(weakenings) <= set(differences)


@pytest.mark.parametrize("name", ASKS_AS_MUCH)
def test_as_many_approvals_of_as_many_changes_are_no_weakening(name: str) -> None:
    differences, weakenings = difference(approving(TWO), approving(*ASKS_AS_MUCH[name]))

    assert differences
    assert weakenings == ()


def test_demands_of_every_change_that_come_down_to_risky_ones_are_a_weakening() -> None:
    every = Approval(by=("maria",))

    assert difference(approving(every), approving(every.replace(risks=("ci",))))[1]
    assert difference(approving(Approval()), approving(every))[1] == ()


# Commands and keys ---------------------------------------------------------------------------------------------------

RUN = Observation(
    ("pytest",),
    reader="junit",
    report="junit.xml",
    environment=("A",),
    path=("bin",),
    sandbox="bubblewrap",
    keep=(".venv",),
)


def observing(**changes: Any) -> Process:
    return DEFAULT.replace(observe={"test_results.json": RUN.replace(**changes)})


@pytest.mark.parametrize(
    "changes, told",
    [
        ({"argv": ("true",)}, "argv [pytest] → [true]"),
        ({"folder": "sub"}, "folder . → sub"),
        ({"reader": "log", "report": ""}, "reader junit → log"),
        ({"report": "project:old.xml"}, "report junit.xml → project:old.xml"),
        ({"path": ()}, "path [bin] → []"),
        ({"environment": ("A", "PYTHONPATH")}, "variable PYTHONPATH new"),
        ({"keep": (".venv", "cache")}, "kept folder cache new"),
        ({"sandbox": "none"}, "sandbox bubblewrap → none"),
    ],
)
def test_another_run_or_one_that_is_held_in_less_is_a_weakening(changes: dict[str, Any], told: str) -> None:
    assert f"observe test_results.json: {told}" in difference(observing(), observing(**changes))[1]


@pytest.mark.parametrize("changes", [{"timeout": 9}, {"output": 4096}, {"environment": ()}, {"keep": ()}])
def test_other_bounds_and_less_that_a_run_is_given_are_no_weakening(changes: dict[str, Any]) -> None:
    differences, weakenings = difference(observing(), observing(**changes))

    assert len(differences) == 1
    assert weakenings == ()


def test_a_sandbox_where_there_was_none_is_no_weakening() -> None:
    assert difference(observing(sandbox="none"), observing())[1] == ()


def test_a_key_less_is_told_and_a_key_with_other_options_counts_as_a_new_one() -> None:
    key = "AAAAC3NzaC1lZDI1NTE5AAAAIabcdefghijkl"
    old = DEFAULT.replace(signers=f"# who may approve\nmaria  ssh-ed25519 {key} her laptop\n")

    assert difference(old, DEFAULT) == (("signers: a key of maria (…abcdefghijkl) gone",), ())
    same = DEFAULT.replace(signers=f"maria ssh-ed25519 {key} her laptop\n\n# nobody else\n")
    assert difference(old, same) == ((), ())
    longer = DEFAULT.replace(signers=f'maria valid-before="20400101Z" ssh-ed25519 {key} her laptop\n')
    assert difference(old, longer)[1] == ("signers: a key of maria (…abcdefghijkl) new",)


def test_somebody_less_who_may_break_the_glass_is_told_and_is_no_weakening() -> None:
    old = DEFAULT.replace(break_glass=("maria", "zoe"))

    assert difference(old, DEFAULT.replace(break_glass=("zoe",))) == (("break_glass: maria gone",), ())
