"""Who believes what about stable storage: the record that all processes share, and what a failed sync does to it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from hashlib import sha256

import pytest

from enforcer.errors import EnforcerError, UnavailableError
from enforcer.ledger.commit import FAILED, LENGTH, OK, TORN, Mark, parse_mark
from enforcer.ledger.files import FIRST_SEGMENT, FileLedger, create
from enforcer.workflow.events import LedgerRecovered
from tests.faults import CountingEntropy, FaultyDisk, ManualClock
from tests.ledger.conformance import append, refused
from tests.ledger.histories import IDENTITY, opened
from tests.ledger.test_crashes import FOLDER, World
from tests.machine import Fault, Process, Stopped

SEGMENT = f"{FOLDER}/seg/{FIRST_SEGMENT}"
COMMIT = f"{FOLDER}/commit"


@pytest.fixture
def world():
    world = World(lines=64)
    world.begin(2)
    return world


def record(world: World) -> Mark:
    found = parse_mark(world.machine.read(COMMIT))
    assert found is not None
    return found


def put(world: World, mark: Mark) -> None:
    world.machine.write(COMMIT, mark.data())


def syncs(world: World) -> int:
    """How often a process that has just caught up asks the device when it syncs."""
    process = Process(world.machine)
    ledger = world.open(process)
    ledger.catch_up()
    ledger.sync()
    ledger.close()
    return process.calls.count("datasync")


def fail_a_sync(world: World, process: Process | None = None) -> FileLedger:
    """A ledger whose sync has just failed, with one entry that nobody was told of."""
    process = process or Process(world.machine)
    ledger = world.open(process)
    world.write(ledger, sync=False)
    process.fault = Fault("eio", calls=("datasync",))
    with pytest.raises(UnavailableError, match="sync_failed"):
        ledger.sync()
    return ledger


# The record


@pytest.mark.parametrize(
    "mark", [Mark("a" * 32, 0, 0), Mark("0" * 32, 65_536, 10**15, TORN, 12, 3, "f" * 64), Mark("b" * 32, 1, 2, FAILED)]
)
def test_a_record_is_read_back_as_it_was_written(mark):
    data = mark.data()
    assert parse_mark(data) == mark
    assert len(data) == LENGTH


def test_no_changed_byte_of_a_record_is_believed():
    data = Mark("a" * 32, 7, 1234, OK, 5, 6, "c" * 64).data()
    for position in range(len(data)):
        for value in (0, 32, 48, 120, 255):
            changed = data[:position] + bytes([value]) + data[position + 1 :]
            assert changed == data or parse_mark(changed) is None
    for cut in range(len(data)):
        assert parse_mark(data[:cut]) is None
    assert parse_mark(data + b"\n") is None
    assert parse_mark(b"") is None


def test_what_somebody_synced_is_not_synced_again(world):
    assert syncs(world) == 0


@pytest.mark.parametrize("number", range(7))
def test_a_record_that_says_nothing_of_these_bytes_is_not_believed(world, number):
    mark, size = record(world), len(world.machine.read(SEGMENT))
    assert (mark.state, mark.first, mark.offset) == (OK, 0, size)
    if number == 0:
        world.machine.write(COMMIT, b"")
    elif number == 1:
        world.machine.write(COMMIT, mark.data()[:-1] + b" ")
    elif number == 2:
        put(world, mark.replace(mark="f" * 32))
    elif number == 3:
        put(world, mark.replace(offset=size + 1))
    elif number == 4:
        put(world, mark.replace(offset=size - 1))
    elif number == 5:
        world.machine.lose_power()
    else:
        put(world, mark.replace(first=64))
    assert syncs(world) == 1
    assert record(world).offset == size


def test_a_copy_of_a_ledger_does_not_believe_the_record_that_came_with_it(world):
    process = Process(world.machine)
    data = world.machine.read(SEGMENT)
    process.unlink(SEGMENT)
    process.append(process.open(SEGMENT, 0o102 | 0o2000), data)
    assert syncs(world) == 1


def test_one_sync_serves_all_who_wait(world):
    """The writer that syncs covers what others have appended; they see it and ask for none."""
    processes = [Process(world.machine) for _ in range(5)]
    ledgers = [world.open(process) for process in processes]
    for ledger in ledgers:
        world.write(ledger, sync=False)
    for ledger in reversed(ledgers):
        ledger.catch_up()
        ledger.sync()
    assert [process.calls.count("datasync") for process in processes] == [0, 0, 0, 0, 1]


def test_an_uncontended_append_makes_few_calls(world):
    process = Process(world.machine)
    ledger = world.open(process)
    for _ in range(2):
        world.write(ledger)
    assert record(world).turn % 2 == 0
    appended, synced = ["lock", "look", "read", "look", "append"], ["try_lock", "read", "look", "datasync", "replace"]
    for number in range(2):
        del process.calls[:]
        append(ledger, refused(number), key=f".{number}")
        ledger.sync()
        assert process.calls == [*appended, *synced], "the figure has no room for more"


def test_turns_are_counted_and_take_their_locks_one_after_the_other(world):
    process = Process(world.machine)
    ledger = world.open(process)
    for _ in range(4):
        before = record(world).turn
        world.write(ledger)
        assert record(world).turn == before + 1
    assert set(world.machine.list(FOLDER)) >= {"commit", "commit.odd"}


def test_a_record_that_was_deleted_hides_no_failure(world):
    """Who goes on with the old file still tells of a failure in the one that everybody reads."""
    process, other = Process(world.machine), world.open()
    ledger = world.open(process)
    for _ in range(2):
        world.write(ledger)
    Process(world.machine).unlink(COMMIT)
    world.write(other)
    assert record(world).state == OK
    world.write(ledger, sync=False)
    process.fault = Fault("eio", calls=("datasync",))
    with pytest.raises(UnavailableError, match="sync_failed"):
        ledger.sync()
    assert record(world).state == FAILED
    world.write(other)
    world.machine.lose_power()
    world.check()


def test_threads_share_a_sync_too(world):
    """Whoever waits while another thread of the process syncs asks for one more at the most."""

    class Waiting(Process):
        def datasync(self, fd: int) -> None:
            entered.set()
            assert gate.wait(10)
            super().datasync(fd)

    entered, gate = threading.Event(), threading.Event()
    process = Waiting(world.machine)
    ledger = world.open(process)
    append(ledger, opened("U"), task="U")
    first = threading.Thread(target=ledger.sync)
    first.start()
    assert entered.wait(10)
    for number in range(6):
        append(ledger, refused(number), key=f".{number}")
    others = [threading.Thread(target=ledger.sync) for _ in range(6)]
    for thread in others:
        thread.start()
    gate.set()
    for thread in (first, *others):
        thread.join()
    assert process.calls.count("datasync") == 2


class Overtaken(Process):
    """A process that somebody overtakes just before it has the lock on the record."""

    overtake: Callable[[], object] | None = None

    def try_lock(self, fd: int) -> bool:
        if self.overtake is not None:
            overtake, self.overtake = self.overtake, None
            overtake()
        return super().try_lock(fd)


def test_who_is_overtaken_by_a_sync_asks_for_none(world):
    process, other = Overtaken(world.machine), world.open()
    ledger = world.open(process)
    world.write(ledger, sync=False)
    other.catch_up()
    process.overtake = other.sync
    ledger.sync()
    assert "datasync" not in process.calls


def test_who_is_overtaken_by_a_failure_does_not_sync(world):
    """The system has told the other one, and would tell this one that all is well."""
    process = Overtaken(world.machine)
    ledger = world.open(process)
    world.write(ledger, sync=False)
    process.overtake = lambda: fail_a_sync(world)
    ledger.sync()
    assert process.calls.index("rename") < process.calls.index("datasync")
    world.acknowledged[2] = ledger.entry(2).hash
    world.machine.lose_power()
    world.check()


# After a failed sync


def test_a_failed_sync_acknowledges_nothing_and_is_never_tried_again_as_it_was(world):
    process = Process(world.machine)
    ledger = fail_a_sync(world, process)
    assert record(world).state == FAILED

    process.fault = None
    del process.calls[:]
    ledger.sync()

    assert process.calls.index("rename") < process.calls.index("datasync")
    world.machine.lose_power()
    world.check()
    assert world.open().identity


def test_after_a_failed_sync_every_process_writes_anew_before_it_acknowledges(world):
    other = world.open()
    other.catch_up()
    fail_a_sync(world)
    inode = world.machine.names[SEGMENT]

    world.write(other)

    assert world.machine.names[SEGMENT] is not inode
    events = [entry.event for entry in other.entries()]
    [recovered] = [event for event in events if isinstance(event, LedgerRecovered)]
    assert (recovered.kind, recovered.segment, recovered.actor) == ("unsynced", FIRST_SEGMENT, "enforcer")
    anew = world.machine.read(SEGMENT)[recovered.offset :][: recovered.size]
    assert anew.count(b"\n") == 1
    assert recovered.digest == sha256(anew).hexdigest()
    assert record(world).state == OK
    world.machine.lose_power()
    world.check()


def test_a_repeated_answer_is_not_given_on_bytes_that_were_lost(world):
    """The same key again, in another process: the entry is there to see, and not on the device."""
    fail_a_sync(world).close()
    process = Process(world.machine)
    ledger = world.open(process)
    ledger.catch_up()
    seen = ledger.entry(2)
    ledger.sync()
    world.acknowledged[2] = seen.hash
    world.machine.lose_power()
    world.check()


def test_a_failure_that_cannot_be_written_down_still_binds_its_process(world):
    process = Process(world.machine)
    ledger = world.open(process)
    world.write(ledger, sync=False)
    process.fault = Fault("eio", nth=1, calls=("datasync", "replace"))
    original = process.replace

    def replace(fd: int, data: bytes, offset: int) -> None:
        raise OSError(5, "Input/output error")

    process.replace = replace  # type: ignore[method-assign]
    with pytest.raises(UnavailableError, match="sync_failed"):
        ledger.sync()
    process.replace = original  # type: ignore[method-assign]
    assert record(world).state == OK
    ledger.sync()
    assert "rename" in process.calls
    world.acknowledged[2] = ledger.entry(2).hash
    world.machine.lose_power()
    world.check()


@pytest.mark.parametrize("call", ["append", "sync", "rename", "sync_folder"])
def test_where_nothing_can_be_written_anew_nothing_is_acknowledged(world, call):
    fail_a_sync(world).close()
    process = Process(world.machine)
    ledger = world.open(process)
    for _ in range(3):
        process.fault = Fault("eio", calls=(call,))
        with pytest.raises(UnavailableError, match="ledger_poisoned"):
            world.write(ledger)
        process.fault = Fault("eio", calls=(call,))
        with pytest.raises(UnavailableError, match="ledger_poisoned"):
            ledger.sync()
        assert record(world).state == FAILED
    process.fault = None
    world.write(ledger)
    world.machine.lose_power()
    world.check()


def test_a_failure_is_believed_after_the_machine_was_started_again(world):
    fail_a_sync(world)
    world.machine.lose_power()
    assert record(world).state == FAILED
    process = Process(world.machine)
    world.write(world.open(process))
    assert "rename" in process.calls
    assert record(world).state == OK


def test_who_saw_lines_that_were_lost_goes_no_further(world):
    """A line that was read and never acknowledged is gone after the repair, and another one stands there."""
    reader = world.open()
    fail_a_sync(world)
    reader.catch_up()
    assert reader.head.size == 3
    process = Process(world.machine)
    data = world.machine.read(SEGMENT)
    file = world.machine.names[SEGMENT]
    assert file is not None
    file.seen[:] = data[: data[:-1].rindex(b"\n") + 1] + bytes(90)  # As a page that the system has dropped.
    world.write(world.open(process))

    with pytest.raises(EnforcerError, match="ledger_cut"):
        reader.catch_up()
    with pytest.raises(EnforcerError, match="ledger_cut"):
        append(reader, refused(5), key=".5")
    with pytest.raises(EnforcerError, match="ledger_cut"):
        reader.sync()
    world.check()


def test_a_repair_that_another_sync_meets_half_way_is_still_told(world):
    """A sync in between covers its own bytes, and does not make the debt forgotten."""
    world.machine.write(SEGMENT, world.machine.read(SEGMENT) + b'{"event":')
    stopped = Process(world.machine, Fault("stop", calls=("truncate",)))
    with pytest.raises(Stopped):
        world.write(world.open(stopped))
    assert record(world).state == TORN
    assert syncs(world) == 1
    assert record(world).state == TORN
    world.check()
    assert world.untold() == set()


def test_a_repair_leaves_no_record_that_claims_what_was_cut_off(world):
    """More than there is was counted as synced. What takes its place is not, before it is."""
    torn = world.machine.read(SEGMENT) + b"x" * 5_000
    world.machine.write(SEGMENT, torn)
    put(world, record(world).replace(offset=len(torn) + 1))
    one, process = world.open(), Process(world.machine)
    append(one, refused(1), key=".1")
    assert record(world).offset < len(torn)
    for number in range(12):
        append(one, refused(number), key=f".more-{number}")
    other = world.open(process)
    other.catch_up()
    other.sync()
    assert process.calls.count("datasync") == 1


def test_the_real_disk_does_the_same(tmp_path):
    folder = str(tmp_path / "ledger")
    create(folder, IDENTITY, disk=FaultyDisk(), entropy=CountingEntropy())
    disk = FaultyDisk()
    clock, entropy = ManualClock(), CountingEntropy(1)
    ledger = FileLedger(folder, disk=disk, clock=clock, entropy=entropy, cache_key=None)
    append(ledger, opened())
    disk.fail("datasync")
    with pytest.raises(UnavailableError, match="sync_failed"):
        ledger.sync()
    other = FileLedger(folder, disk=FaultyDisk(), clock=clock, entropy=entropy, cache_key=None)
    assert append(other, refused(1), key=".1").seq == 2
    other.sync()
    ledger.catch_up()
    assert [entry.event.type for entry in ledger.entries()] == ["task.opened", "ledger.recovered", "command.refused"]
    assert append(ledger, refused(2), key=".2").seq == 3
    ledger.close()
    other.close()


def test_a_line_that_is_still_under_way_is_not_counted_as_synced(world):
    """The kernel may tell of a part of what another process is writing; if it dies there, that part is torn."""
    one = world.open()
    append(one, refused(1), key=".1")
    one.sync()
    append(one, refused(2), key=".2")
    whole = len(world.machine.read(SEGMENT))
    world.machine.write(SEGMENT, world.machine.read(SEGMENT) + b'{"event":{"da')
    one.sync()
    assert record(world).offset == whole
