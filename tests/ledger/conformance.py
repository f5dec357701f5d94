"""What every store promises. Each suite of a store derives from `Conformance` and says how one is made."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from enforcer.errors import InternalError, RequestError
from enforcer.ledger import merkle
from enforcer.ledger.codec import canonical
from enforcer.ledger.entry import MAX_LEAF, format_event, genesis_hash, leaf_hash, parse_leaf
from enforcer.ledger.fold import Head
from enforcer.ledger.merkle import EMPTY_ROOT, root_of
from enforcer.ledger.store import Store
from enforcer.workflow.events import (
    Claim,
    CommandRefused,
    Event,
    LeaseClaimed,
    LeaseReleased,
    LedgerCreated,
    LedgerRecovered,
    PhaseAdvanced,
    PromptAttested,
    Refusal,
    TaskOpened,
)
from enforcer.workflow.evolve import Place
from tests.faults import ManualClock
from tests.ledger.histories import ADA, IDENTITY, opened


def append(store: Store, event: Event, *, task: str | None = "T", key: str = ".k") -> Place:
    data = format_event(event, task=task, key=key, source=store.identity.origin)
    with store.writing():
        return store.append(event, data, task=task, key=key)


def refused(number: int, *, actor: str = ADA, text: str = "no") -> CommandRefused:
    refusal = Refusal("phase_skip", f"{text} {number}", "SPEC")
    return CommandRefused(actor=actor, command="advance", stage="order", phase="SPEC", refusals=(refusal,), to="REVIEW")


def fill(store: Store, count: int, tasks: tuple[str, ...] = ("T", "U", "V")) -> None:
    """`count` entries, the tasks taking turns."""
    with store.writing():
        for number in range(count):
            task = tasks[number % len(tasks)]
            event: Event = opened(task) if number < len(tasks) else refused(number)
            key = f"k{number}" if number % 7 == 0 else f".{number:032x}"
            data = format_event(event, task=task, key=key, source=store.identity.origin)
            store.append(event, data, task=task, key=key)


class Conformance:
    """`make` gives an empty store; `again` gives one that sees what `store` holds, as a fresh start would."""

    def make(self, clock: ManualClock) -> Store:
        raise NotImplementedError

    def again(self, store: Store, clock: ManualClock) -> Store:
        raise NotImplementedError

    @pytest.fixture
    def clock(self) -> ManualClock:
        return ManualClock()

    @pytest.fixture
    def store(self, clock: ManualClock, setting: Any) -> Any:
        store = self.make(clock)
        yield store
        store.close()

    @pytest.fixture
    def setting(self) -> None:
        """Whatever a store stands in."""

    def test_an_empty_ledger_stands_on_its_description(self, store):
        assert store.head == Head(0, genesis_hash(IDENTITY.data()), 0)
        assert list(store.entries()) == list(store.tasks()) == list(store.leaves()) == []
        assert store.task("T") is None
        with pytest.raises(RequestError, match="unknown_entry"):
            store.entry(0)

    def test_an_append_tells_where_the_entry_stands(self, store, clock):
        place = append(store, opened(), key="first")
        [leaf] = store.leaves()

        assert (place.task, place.seq, place.task_seq, place.ts, place.key) == ("T", 0, 1, clock.now(), "first")
        assert place.hash == leaf_hash(leaf) == store.head.hash
        assert store.head == Head(1, place.hash, clock.now())
        assert store.entry(0) == parse_leaf(leaf)
        assert store.entry(0).event == opened()

    def test_every_line_names_the_hash_of_the_one_before(self, store):
        fill(store, 20)
        leaves, prev = list(store.leaves()), store.identity.genesis
        for seq, leaf in enumerate(leaves):
            entry = parse_leaf(leaf)
            assert (entry.seq, entry.prev) == (seq, prev)
            prev = leaf_hash(leaf)
        assert len(leaves) == 20
        assert store.head.hash == prev

    def test_the_root_is_that_of_the_leaves_whenever_it_is_asked_for(self, store, clock):
        assert store.root() == EMPTY_ROOT
        fill(store, 21)
        for number in range(3):
            assert store.root() == root_of([merkle.leaf_hash(leaf) for leaf in store.leaves()])
            append(store, refused(number), key=f".{number}")
        other = self.again(store, clock)
        assert other.root() == store.root() == root_of([merkle.leaf_hash(leaf) for leaf in store.leaves()])
        other.close()

    def test_a_ledger_begins_once_and_says_so_at_any_time(self, store):
        """What the ledger says of itself stands among the entries of tasks; a second beginning does not."""
        append(store, LedgerCreated(actor=ADA, version="1"), task=None, key=".c")
        append(store, opened())
        event = LedgerRecovered(actor=ADA, kind="torn", segment="s", offset=0, size=1, digest="0" * 64)
        append(store, event, task=None, key=".r")
        with pytest.raises(InternalError, match="illegal_event"):
            append(store, LedgerCreated(actor=ADA, version="1"), task=None, key=".d")
        assert [entry.task for entry in store.entries()] == [None, "T", None]

    def test_every_line_of_a_task_names_the_tasks_line_before(self, store):
        fill(store, 20)
        for task in ("T", "U", "V"):
            before, number = None, 0
            for entry in store.entries():
                if entry.task == task:
                    number += 1
                    assert (entry.task_prev, entry.task_seq) == (before, number)
                    before = entry.hash
            assert store.task(task).head == before
            assert store.task(task).task_seq == number >= 6

    def test_an_entry_without_a_task_has_no_place_in_one(self, store):
        place = append(store, LedgerCreated(actor=ADA, version="1"), task=None, key=".c")
        entry = store.entry(0)
        assert (entry.task, entry.task_seq, entry.task_prev, entry.key) == (None, None, None, ".c")
        assert place.seq == 0
        assert list(store.tasks()) == []

    def test_entries_begin_where_they_are_asked_to(self, store):
        fill(store, 40)
        for start in (0, 1, 17, 39, 40, 1000):
            assert [entry.seq for entry in store.entries(start)] == list(range(start, 40))
            assert len(list(store.leaves(start))) == len(range(start, 40))

    def test_any_entry_is_found_by_its_number(self, store):
        """Among thousands of lines of very different lengths, so that halving meets every kind of boundary."""
        with store.writing():
            for number in range(3_000):
                event: Event = opened() if not number else refused(number, text="x" * (number * 37 % 900))
                data = format_event(event, task="T", key=f".{number}", source=store.identity.origin)
                store.append(event, data, task="T", key=f".{number}")
        leaves = list(store.leaves())

        for seq in (0, 1, 2, 1_499, 1_500, 2_998, 2_999, *range(3, 3_000, 61)):
            assert store.entry(seq) == parse_leaf(leaves[seq])
        for seq in (-1, -3_000, 3_000, 1 << 60):
            with pytest.raises(RequestError, match="unknown_entry"):
                store.entry(seq)

    def test_the_entries_of_a_task_are_its_own_in_order(self, store):
        fill(store, 31)
        for task in ("T", "U", "V"):
            assert list(store.task_entries(task)) == [entry for entry in store.entries() if entry.task == task]
        assert list(store.task_entries("W")) == []

    def test_a_task_that_is_named_in_anothers_entry_is_not_confused_with_it(self, store):
        append(store, opened("T"), task="T")
        append(store, opened("T-1"), task="T-1")
        append(store, refused(1, text='"subject":"T"'), task="T-1")
        assert [entry.seq for entry in store.task_entries("T")] == [0]
        assert [entry.seq for entry in store.task_entries("T-1")] == [1, 2]

    def test_tasks_come_by_name(self, store):
        fill(store, 9, ("b", "a", "C"))
        assert [state.task for state in store.tasks()] == ["C", "a", "b"]

    def test_nothing_is_appended_without_the_lock(self, store):
        data = format_event(opened(), task="T", key=".k", source=store.identity.origin)
        with pytest.raises(InternalError, match="append_unlocked"):
            store.append(opened(), data, task="T", key=".k")
        with store.writing():
            pass
        with pytest.raises(InternalError, match="append_unlocked"):
            store.append(opened(), data, task="T", key=".k")
        assert list(store.leaves()) == []

    @pytest.mark.parametrize(
        "event",
        [
            opened(),
            LeaseClaimed(actor=ADA, holder=ADA, token=3),
            LeaseReleased(actor=ADA, holder=ADA, token=1),
            PhaseAdvanced(actor=ADA, token=0, start="SPEC", to="PLAN", attempt_id="2" * 32),
            PhaseAdvanced(
                actor=ADA, token=1, lease=Claim(ADA, 1), start="STRATEGIZE", to="MONITOR", attempt_id="2" * 32
            ),
            CommandRefused(actor=ADA, command="advance", stage="order", phase="SPEC", refusals=()),
            PhaseAdvanced(actor=ADA, token=1, lease=Claim(ADA, 1), start="SPEC", to="PLAN", attempt_id=f"{1:032x}"),
            PromptAttested(
                actor=ADA, token=1, lease=Claim(ADA, 1), phase="SPEC", attempt_id="2" * 32, parts={}, first=("role",)
            ),
            LedgerCreated(actor=ADA, version="1"),
        ],
        ids=lambda event: event.type,
    )
    def test_an_event_that_cannot_follow_is_never_written(self, store, event):
        append(store, opened())
        with pytest.raises(InternalError, match="illegal_event"):
            append(store, event)
        with pytest.raises(InternalError, match="illegal_event"):
            append(store, opened("U"), task=None)
        with pytest.raises(InternalError, match="never opened"):
            append(store, LeaseClaimed(actor=ADA, holder=ADA, token=1), task="U")
        assert store.head.size == len(list(store.leaves())) == 1
        assert append(store, refused(1), key=".1").seq == 1

    def test_the_lock_is_given_back_when_the_block_fails(self, store):
        with pytest.raises(ZeroDivisionError), store.writing():
            _ = 1 / 0
        append(store, opened())
        assert store.head.size == 1

    @pytest.mark.parametrize("over", [1, 1_000, 200_000])
    def test_a_line_that_is_too_long_is_refused_and_changes_nothing(self, store, over):
        append(store, opened())
        room = MAX_LEAF - len(next(iter(store.leaves())))
        before = store.head
        with pytest.raises(RequestError, match="entry_too_long"):
            append(store, opened().replace(title="T" + "x" * (room + over)), task="U")
        assert store.head == before
        assert store.task("U") is None
        append(store, refused(1))
        assert [entry.seq for entry in self.again(store, ManualClock()).entries()] == [0, 1]

    def test_the_longest_line_is_written_and_read(self, store):
        append(store, opened())
        append(store, opened("U"), task="U")
        room = MAX_LEAF - len(list(store.leaves())[1])
        event = opened("V").replace(title="V" + "x" * room)
        append(store, event, task="V")
        assert [len(leaf) for leaf in store.leaves(2)] == [MAX_LEAF]
        assert store.entry(2).event == event

    def test_time_never_goes_back_on_the_ledger(self, store, clock):
        times = []
        for number, now in enumerate((1_000, 2_000, 500, 0, 1_999, 2_001)):
            clock.time = now
            times.append(append(store, opened() if not number else refused(number), key=f".{number}").ts)
        assert times == [1_000, 2_000, 2_000, 2_000, 2_000, 2_001]
        assert [entry.ts for entry in store.entries()] == times

    def test_a_replay_equals_the_live_state(self, store, clock):
        fill(store, 60)
        append(store, LeaseClaimed(actor=ADA, holder=ADA, token=1), key="mine")
        other = self.again(store, clock)
        assert other.head == store.head
        assert list(other.tasks()) == list(store.tasks())
        assert list(other.leaves()) == list(store.leaves())
        other.close()

    def test_syncing_is_allowed_at_any_time(self, store):
        store.sync()
        append(store, opened())
        store.sync()
        store.sync()
        store.save_caches()
        assert store.head.size == 1

    def test_threads_that_append_at_once_keep_the_chain(self, store):
        """Twenty appends at once in one process are one after another on the ledger."""
        append(store, opened())
        barrier = threading.Barrier(4)
        failures: list[BaseException] = []

        def work(number: int) -> None:
            try:
                barrier.wait()
                for step in range(50):
                    append(store, refused(step, actor=f"w{number}"), key=f".{number}-{step}")
                    store.sync()
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert not failures
        assert store.head.size == 201
        assert self.again(store, ManualClock()).head == store.head

    def test_whatever_is_written_is_canonical(self, store):
        append(store, opened().replace(title='Größe "1" \\ \u2028 \U0001f600 \x7f\t'))
        [leaf] = store.leaves()
        event = parse_leaf(leaf).event
        assert isinstance(event, TaskOpened)
        assert event.title == 'Größe "1" \\ \u2028 \U0001f600 \x7f\t'
        assert canonical({"a": event.title})[5:-1] in leaf
