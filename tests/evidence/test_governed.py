"""Which tasks speak for which tree, from histories made by hand."""

from __future__ import annotations

from typing import Any

import pytest

from enforcer.evidence import governed
from enforcer.evidence.governed import Bound, bounds_of
from enforcer.evidence.history import Acceptance, History
from enforcer.workflow.events import Accepted
from enforcer.workflow.process import Artifact, Phase, Process, Rule
from enforcer.workflow.state import ABANDONED, COMPLETED, Run, TaskState

NAMES = ("results.json", "build.log")


def process(*order: str, mode: str = "enforce", after: tuple[str, ...] = ()) -> Process:
    """A process whose VERIFY, and phases in `after`, want two artifacts observed."""
    phases = []
    for name in order:
        observed = name == "VERIFY" or name in after
        names = NAMES if observed else ("note.md",)
        rules = tuple(Rule(f"{name}-{each}", "observed" if observed else "sections", each, mode=mode) for each in names)
        phases.append(Phase(name, tuple(Artifact(each, "text") for each in names), rules))
    return Process("p", tuple(phases))


PLAIN = process("PLAN", "VERIFY", "REVIEW", "PR", "MONITOR")


class Teller:
    """Tells the history of a task: phases left, one after the other."""

    def __init__(self, governing: Process, **changes: Any) -> None:
        self.process = governing
        first = governing.order[0]
        usual: dict[str, Any] = {"task": "T", "title": "", "process": "p", "digest": "p" * 64, "base": "b" * 40}
        self.state = TaskState(**(usual | {"phase": first, "attempt_id": "0" * 32, "opened": "", **changes}))
        self.acceptances: list[Acceptance] = []

    def leave(self, tree: str = "1" * 40, **run: Any) -> Teller:
        """Leave the phase; where something has to be observed, on runs that saw `tree`."""
        state, phase = self.state, self.process.phase(self.state.phase)
        accepted = tuple(Accepted(one.name, "d" * 64, 1) for one in phase.artifacts)
        if phase.artifacts[0].name in NAMES:
            usual: dict[str, Any] = {
                "seq": 1,
                "attempt_id": state.attempt_id,
                "digest": "d" * 64,
                "tree": tree,
                "observation": "o" * 64,
            }
            seen = Run(**(usual | {"configured": True} | run))
            runs = {f"{phase.name}/{name}": seen for name in NAMES}
            state = state.replace(runs={**state.runs, **runs})
        self.acceptances.append(Acceptance(len(self.acceptances), "ada", accepted, state))
        following = self.process.following(phase.name)
        changes: dict[str, Any] = {"phase": following, "attempt_id": f"{len(self.acceptances):032}"}
        if following is None:
            changes = {"status": COMPLETED}
        self.state = state.replace(
            accepted={**state.accepted, phase.name: accepted},
            walked=(*(one for one in state.walked if one != phase.name), phase.name),
            **changes,
        )
        return self

    def leave_all(self, count: int) -> Teller:
        for _ in range(count):
            self.leave()
        return self

    def back(self, to: str) -> Teller:
        cut = self.state.walked.index(to)
        self.state = self.state.replace(phase=to, walked=self.state.walked[:cut], attempt_id="f" * 32)
        return self

    def told(self, pinned: tuple[str, ...] = ()) -> list[Bound]:
        history = History(self.state, tuple(self.acceptances))
        return list(bounds_of(history, lambda digest: self.process, pinned))

    def against(self, pinned: tuple[str, ...] = ()) -> list[str]:
        return [one.against for one in self.told(pinned)]


def test_a_task_that_came_to_pr_speaks_for_the_tree_of_its_runs() -> None:
    assert Teller(PLAIN).leave_all(3).told() == [Bound("T", 1, "VERIFY", "1" * 40, "b" * 40, "o" * 64)]
    assert Teller(PLAIN).leave_all(5).against() == [""], "a completed one as well"


@pytest.mark.parametrize(
    "left, against",
    [(1, []), (2, [governed.NOT_REACHED]), (3, [""]), (4, [""])],
    ids=["plan", "verify", "review", "pr"],
)
def test_before_pr_it_does_not(left: int, against: list[str]) -> None:
    assert Teller(PLAIN).leave_all(left).against() == against


def test_where_there_is_no_pr_it_has_to_be_completed() -> None:
    short = process("PLAN", "VERIFY", "REVIEW")
    assert Teller(short).leave_all(2).against() == [governed.NOT_COMPLETED]
    assert Teller(short).leave_all(3).against() == [""]


def test_going_back_takes_the_word_back_and_the_next_attempt_gives_its_own() -> None:
    teller = Teller(PLAIN).leave_all(3).back("VERIFY")
    assert teller.against() == [governed.WENT_BACK]

    teller.leave("2" * 40).leave()
    assert [(one.tree[0], one.against) for one in teller.told()] == [("1", governed.WENT_BACK), ("2", "")]
    teller.back("REVIEW")
    assert teller.against() == [governed.WENT_BACK, governed.NOT_REACHED], (
        "it was verified, and has to be reviewed anew"
    )


def test_an_abandoned_task_speaks_for_nothing() -> None:
    teller = Teller(PLAIN).leave_all(3)
    teller.state = teller.state.replace(status=ABANDONED)
    assert teller.against() == [governed.GIVEN_UP]


@pytest.mark.parametrize(
    "run",
    [{"configured": False}, {"attempt_id": "e" * 32}, {"digest": "e" * 64}, {"tree": ""}],
    ids=["not configured", "another attempt", "other bytes", "without git"],
)
def test_a_run_that_proves_nothing_binds_nothing(run: dict[str, Any]) -> None:
    assert Teller(PLAIN).leave().leave(**run).leave().told() == []


def test_runs_that_saw_different_files_bind_nothing() -> None:
    teller = Teller(PLAIN).leave_all(2)
    last = teller.acceptances[-1]
    other = last.before.runs["VERIFY/build.log"].replace(tree="2" * 40)
    runs = {**last.before.runs, "VERIFY/build.log": other}
    teller.acceptances[-1] = last.replace(before=last.before.replace(runs=runs))
    assert teller.leave().told() == []


def test_a_process_that_only_looks_on_binds_nothing() -> None:
    assert Teller(process(*PLAIN.order, mode="observe")).leave_all(3).told() == []


def test_what_is_observed_after_pr_does_not_speak_for_the_change() -> None:
    teller = Teller(process(*PLAIN.order, after=("MONITOR",))).leave_all(4).leave("2" * 40)
    assert [(one.tree[0], one.against) for one in teller.told()] == [("1", ""), ("2", governed.LATER)]


def test_only_the_processes_that_are_asked_for_count() -> None:
    teller = Teller(PLAIN).leave_all(3)
    assert teller.against(("p" * 64,)) == [""]
    assert teller.against(("q" * 64,)) == [governed.OTHER_PROCESS]
    teller.state = teller.state.replace(digest="q" * 64)
    assert teller.against(("p" * 64,)) == [governed.OTHER_PROCESS], "it was moved to another one since"
    assert teller.against(("p" * 64, "q" * 64)) == [""]
