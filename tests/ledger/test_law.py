"""The lines of others are held against the process before anything is built on them; honest ones pass, all of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from enforcer.errors import DamagedError, EnforcerError, InternalError
from enforcer.ledger.entry import BadLine, Entry, format_event
from enforcer.ledger.files import FileLedger
from enforcer.ledger.law import Law
from enforcer.ledger.memory import MemoryLedger
from enforcer.ledger.store import Store
from enforcer.workflow.commands import Advance
from enforcer.workflow.events import LedgerCreated
from tests.faults import CountingEntropy, ManualClock
from tests.ledger.histories import ADA, IDENTITY, KEY, History, a_process, rewrite
from tests.ledger.test_verify import SEED, edit, tell


@pytest.fixture
def history(tmp_path):
    history = History(tmp_path)
    tell(history)
    yield history
    history.ledger.close()


def judged(history: History, *, cache_key: bytes | None = None) -> FileLedger:
    return FileLedger(
        history.folder,
        disk=history.disk,
        clock=history.clock,
        entropy=CountingEntropy(7),
        cache_key=cache_key,
        judge=Law(history.process),
    )


def damage(history: History) -> EnforcerError:
    ledger = judged(history)
    try:
        with pytest.raises(EnforcerError) as caught:
            ledger.catch_up()
        return caught.value
    finally:
        ledger.close()


FORGED: dict[str, tuple[str, int, dict[str, Any]]] = {
    "a skip": ("phase.advanced", 0, {"to": "REVIEW"}),
    "an opening in a later phase": ("task.opened", 1, {"phase": "REVIEW"}),
    "an opening in a phase that there is not": ("task.opened", 1, {"phase": "NOPE"}),
    "a step back that goes forward": ("phase.backtracked", 0, {"to": "REVIEW"}),
    "an advance without evidence": ("phase.advanced", 0, {"evidence": []}),
    "an attempt without an id": ("phase.advanced", 0, {"attempt_id": "x"}),
    "a process that somebody approves for himself": ("process.adopted", 0, {"approver": "carl"}),
}


def test_an_honest_history_is_taken_in_whole(history):
    ledger = judged(history)
    ledger.catch_up()
    assert ledger.head == history.ledger.head
    assert list(ledger.tasks()) == list(history.ledger.tasks())
    ledger.close()


@pytest.mark.parametrize("name", FORGED)
def test_a_line_that_could_not_have_been_decided_is_damage(history, name):
    kind, number, changed = FORGED[name]
    seq = history.seq_of(kind, number)
    history.put(rewrite(history.lines(), edit(seq, **changed), SEED))
    error = damage(history)
    assert (type(error), error.code) == (DamagedError, "ledger_illegal")
    assert error.where.endswith(f"entry {seq}")


@pytest.mark.parametrize("name", FORGED)
def test_the_ledger_in_memory_asks_the_same(history, name):
    kind, number, changed = FORGED[name]
    leaves = tuple(rewrite(history.lines(), edit(history.seq_of(kind, number), **changed), SEED))
    with pytest.raises(BadLine, match=r".") as caught:
        MemoryLedger(IDENTITY, clock=ManualClock(), leaves=leaves, judge=Law(history.process))
    assert caught.value.code == "illegal"


def test_a_line_whose_process_is_not_here_is_left_to_the_verifier(history):
    def missing(digest: str) -> Any:
        raise DamagedError("object_missing", "Gone.")

    ledger = FileLedger(
        history.folder,
        disk=history.disk,
        clock=history.clock,
        entropy=CountingEntropy(7),
        cache_key=None,
        judge=Law(missing),
    )
    ledger.catch_up()
    assert ledger.head == history.ledger.head
    ledger.close()


def test_a_task_in_a_phase_of_no_process_is_no_error_of_ours(tmp_path):
    """Whoever brings the process in later than the line finds the gate at the task itself."""
    history = History(tmp_path)
    history.open_task()
    history.put(rewrite(history.lines(), edit(1, phase="NOPE"), SEED))
    history.gate.store = history.open_ledger()
    with pytest.raises(DamagedError, match="ledger_illegal"):
        history.do(Advance())


def test_a_ledger_begins_once_and_with_its_creation(history):
    lines = history.lines()
    history.put(rewrite(lines[1:], lambda seq, entry: None, SEED))
    assert damage(history).code == "ledger_illegal"

    def in_time(seq: int, entry: dict[str, Any]) -> None:
        entry["ts"] = max(entry["ts"], json.loads(lines[4])["ts"])

    history.put(rewrite([*lines[:5], lines[0], *lines[5:]], in_time, SEED))
    error = damage(history)
    assert (error.code, error.where.endswith("entry 5")) == ("ledger_illegal", True)


@pytest.mark.parametrize("kind", ["files", "memory"])
def test_a_second_beginning_is_not_written_either(history, kind):
    store: Store = history.ledger
    if kind == "memory":
        store = MemoryLedger(IDENTITY, clock=ManualClock(), leaves=tuple(history.lines()))
    created = LedgerCreated(actor=ADA, version="2")
    data = format_event(created, task=None, key=".again", source=IDENTITY.origin)
    with store.writing(), pytest.raises(InternalError, match="illegal_event"):
        store.append(created, data, task=None, key=".again")


def test_lines_that_are_read_again_for_a_broken_snapshot_are_judged(history, monkeypatch):
    """Whoever saved it may have judged nothing: once its content does not hold, the lines themselves are asked."""
    seq = history.seq_of("phase.advanced")
    history.put(rewrite(history.lines()[: seq + 1], edit(seq, to="REVIEW"), SEED))
    monkeypatch.setattr("enforcer.ledger.files.SNAPSHOT_EVERY", 1)
    careless = history.open_ledger(cache_key=KEY)
    careless.catch_up()
    careless.save_caches()
    careless.close()
    (run,) = (history.state / "ledger" / ".cache" / "runs").glob("*.run")
    run.write_bytes(bytes(run.stat().st_size))

    ledger = judged(history, cache_key=KEY)
    assert not ledger.cache_rejected
    with pytest.raises(DamagedError, match="ledger_illegal"):
        list(ledger.tasks())
    ledger.close()


def test_own_lines_are_not_judged_again(tmp_path):
    asked: list[int] = []

    def judge(state: object, entry: Entry) -> list[str]:
        asked.append(entry.seq)
        return []

    history = History(tmp_path)
    ledger = FileLedger(
        history.folder,
        disk=history.disk,
        clock=history.clock,
        entropy=CountingEntropy(7),
        cache_key=None,
        judge=judge,
    )
    history.gate.store = ledger
    history.open_task("T", a_process())
    history.do(Advance())
    assert asked == [0]
    ledger.close()
