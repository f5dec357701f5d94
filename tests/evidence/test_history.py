"""Tasks as their entries tell them: what was accepted by which entry, and how the task stood then."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest

from enforcer.errors import DamagedError
from enforcer.evidence.history import History, histories
from enforcer.ledger.entry import Entry
from enforcer.workflow.events import (
    Accepted,
    Event,
    EvidenceRestored,
    LedgerCreated,
    PhaseAdvanced,
    PhaseBacktracked,
    TaskAbandoned,
    TaskOpened,
)

FIRST = Accepted("note.md", "1" * 64, 1)
SECOND = Accepted("note.md", "2" * 64, 2)


def entries(*told: tuple[str | None, Event]) -> Iterator[Entry]:
    counts: dict[str | None, int] = {}
    for seq, (task, event) in enumerate(told):
        counts[task] = counts.get(task, 0) + 1
        number = counts[task] if task else None
        yield Entry(seq, seq, task, number, "0" * 64, None, f"k{seq}", "enforcer/x", event, f"{seq:064x}")


def opened(attempt: str = "a") -> TaskOpened:
    return TaskOpened(actor="ann", process="short", digest="d" * 64, phase="SPEC", attempt_id=attempt * 32, title="")


def left(start: str, to: str, evidence: Accepted, attempt: str = "b", actor: str = "ann") -> PhaseAdvanced:
    done = not to
    return PhaseAdvanced(
        actor=actor, start=start, to=to, attempt_id="" if done else attempt * 32, completed=done, evidence=(evidence,)
    )


def back(start: str, to: str) -> PhaseBacktracked:
    return PhaseBacktracked(actor="ann", start=start, to=to, reason="r", attempt_id="c" * 32)


def told(found: Iterable[History]) -> list[tuple[str, list[tuple[int, str, str, str]]]]:
    return [
        (
            one.state.task,
            [(each.seq, each.actor, each.phase, each.before.attempt_id[0]) for each in one.acceptances],
        )
        for one in found
    ]


def test_an_acceptance_carries_the_task_as_it_stood_before() -> None:
    found = list(
        histories(
            entries(
                (None, LedgerCreated(actor="ann", version="1")),
                ("T", opened()),
                ("T", left("SPEC", "PLAN", FIRST)),
                ("T", left("PLAN", "BUILD", SECOND, actor="bob")),
            )
        )
    )
    assert told(found) == [("T", [(2, "ann", "SPEC", "a"), (3, "bob", "PLAN", "b")])]
    assert found[0].acceptances[1].before.accepted == {"SPEC": (FIRST,)}
    assert found[0].state.phase == "BUILD"


def test_what_a_backtrack_set_aside_is_kept_and_does_not_count() -> None:
    [found] = histories(
        entries(
            ("T", opened()),
            ("T", left("SPEC", "PLAN", FIRST)),
            ("T", left("PLAN", "BUILD", FIRST)),
            ("T", back("BUILD", "SPEC")),
            ("T", left("SPEC", "PLAN", SECOND)),
        )
    )
    assert [one.seq for one in found.acceptances] == [1, 2, 4]
    assert {phase: one.seq for phase, one in found.counting().items()} == {"SPEC": 4}
    assert found.counting()["SPEC"].evidence == found.state.accepted["SPEC"]


def test_tasks_are_told_as_soon_as_they_are_closed_and_open_ones_at_the_end() -> None:
    restored = EvidenceRestored(actor="ann", restored={}, replaced={})
    order = [
        one.state.task
        for one in histories(
            entries(
                ("A", opened()),
                ("B", opened("e")),
                ("C", opened("f")),
                ("B", TaskAbandoned(actor="ann", phase="SPEC", reason="r")),
                ("C", left("SPEC", "", FIRST)),
                ("B", restored),
            )
        )
    ]
    assert order == ["B", "C", "A"]


def test_an_entry_that_cannot_follow_is_damage() -> None:
    for broken in (
        entries(("T", opened()), ("T", opened())),
        entries(("T", left("SPEC", "PLAN", FIRST))),
    ):
        with pytest.raises(DamagedError) as raised:
            list(histories(broken))
        assert raised.value.code == "ledger_illegal"
