"""Lines across segments: written, found by their number, followed by others; and whatever is missing is named."""

from __future__ import annotations

import pytest

from enforcer.errors import DamagedError, EnforcerError, RequestError, UnavailableError
from enforcer.ledger.entry import parse_leaf
from enforcer.ledger.files import FileLedger
from enforcer.ledger.segments import LINES, segment_name
from tests.faults import CountingEntropy
from tests.ledger.conformance import append, fill, refused
from tests.ledger.histories import KEY
from tests.ledger.test_crashes import FOLDER, World
from tests.machine import Fault, Process

HELD = 8  # Lines of a segment here.


@pytest.fixture
def world():
    world = World(lines=HELD)
    world.begin(0)
    return world


@pytest.fixture
def ledger(world):
    """Three full segments and a part of a fourth."""
    ledger = world.open()
    fill(ledger, 3 * HELD + 5)
    ledger.sync()
    return ledger


def more(ledger: FileLedger, count: int) -> None:
    for number in range(count):
        append(ledger, refused(number), key=f".more-{number}")


def path(first: int) -> str:
    return f"{FOLDER}/seg/{segment_name(first)}"


def reading(world: World, *, key: bytes | None = None, process: Process | None = None) -> FileLedger:
    return FileLedger(
        FOLDER,
        disk=process or Process(world.machine),
        clock=world.clock,
        entropy=CountingEntropy(99),
        cache_key=key,
        segment_lines=HELD,
    )


def assert_refuses(world: World, where: str) -> EnforcerError:
    for call in (lambda one: one.catch_up(), lambda one: append(one, refused(1), key=".x")):
        with pytest.raises(DamagedError) as caught:
            call(reading(world))
        assert where in caught.value.where
    return caught.value


def test_a_segment_holds_as_many_lines_as_the_format_says():
    assert LINES == 65_536
    assert segment_name(LINES) == "00000000000000065536.jsonl"


def test_each_segment_is_full_but_the_last_and_named_by_its_first_line(world, ledger):
    names = world.machine.list(f"{FOLDER}/seg")
    assert names == [segment_name(first) for first in (0, HELD, 2 * HELD, 3 * HELD)]
    for name in names:
        leaves = world.machine.read(f"{FOLDER}/seg/{name}").splitlines()
        assert len(leaves) == (HELD if name != names[-1] else 5)
        assert [parse_leaf(leaf).seq for leaf in leaves] == list(range(int(name[:20]), int(name[:20]) + len(leaves)))


def test_the_chain_crosses_segments(ledger):
    prev = ledger.identity.genesis
    for entry in ledger.entries():
        assert entry.prev == prev
        prev = entry.hash
    assert prev == ledger.head.hash


def test_every_line_is_found_by_its_number_and_from_every_start(world, ledger):
    leaves = list(ledger.leaves())
    assert len(leaves) == ledger.head.size == 29
    for seq in range(29):
        assert ledger.entry(seq) == parse_leaf(leaves[seq])
        assert list(ledger.leaves(seq)) == leaves[seq:]
    assert list(ledger.leaves(29)) == list(ledger.leaves(1_000)) == []
    for seq in (-1, 29, 1 << 60):
        with pytest.raises(RequestError, match="unknown_entry"):
            ledger.entry(seq)


def test_the_entries_of_a_task_are_found_in_every_segment(ledger):
    for task in ("T", "U", "V"):
        assert list(ledger.task_entries(task)) == [entry for entry in ledger.entries() if entry.task == task]


def test_another_process_follows_into_the_next_segment(world, ledger):
    follower, other = world.open(), world.open()
    follower.catch_up()
    for number in range(2 * HELD):
        append((ledger, other)[number % 2], refused(number), key=f".{number}")
        if number % 3 == 0:
            follower.catch_up()
            assert follower.head.size == 30 + number
    follower.catch_up()
    other.catch_up()
    assert follower.head == other.head
    assert follower.root() == other.root()


def test_a_segment_is_synced_before_the_next_one_begins(world):
    process = Process(world.machine)
    ledger = reading(world, process=process)
    fill(ledger, HELD)
    assert "datasync" not in process.calls
    append(ledger, refused(1), key=".x")
    order = [call for call in process.calls if call in ("datasync", "open", "sync", "sync_folder", "append")]
    assert order[-5:] == ["datasync", "open", "sync", "sync_folder", "append"]


@pytest.mark.parametrize("call", ["sync", "sync_folder"])
def test_a_new_segment_that_was_not_stored_is_made_anew_and_not_asked_again(world, ledger, call):
    more(ledger, 3)
    process = Process(world.machine, Fault("eio", calls=(call,)))
    with pytest.raises(UnavailableError, match="sync_failed"):
        append(reading(world, process=process), refused(1), key=".x")
    left = world.machine.names[path(4 * HELD)]
    append(ledger, refused(2), key=".y")
    assert world.machine.names[path(4 * HELD)] is not left
    assert [entry.event.type for entry in ledger.entries(4 * HELD)] == ["ledger.recovered", "command.refused"]


def test_an_empty_segment_that_a_crash_left_is_used(world, ledger):
    more(ledger, 3)
    before = world.machine.list(f"{FOLDER}/seg")
    process = Process(world.machine)
    process.close(process.open(path(4 * HELD), 0o100))
    for one in (reading(world), ledger):
        one.catch_up()
        assert one.head.size == 4 * HELD
    append(reading(world), refused(1), key=".x")
    append(ledger, refused(2), key=".y")
    assert world.machine.list(f"{FOLDER}/seg") == [*before, segment_name(4 * HELD)]
    assert world.machine.read(path(4 * HELD)).count(b"\n") == 2


def test_descriptors_do_not_grow_with_the_ledger(world, ledger):
    process = Process(world.machine)
    one = reading(world, process=process)
    one.catch_up()
    list(one.leaves())
    [one.entry(seq) for seq in range(29)]
    append(one, refused(1), key=".x")
    one.sync()
    assert len(process._open) == 3
    one.close()
    assert not process._open


def test_a_reader_that_stops_half_way_gives_its_descriptor_back(world, ledger):
    process = Process(world.machine)
    one = reading(world, process=process)
    one.catch_up()
    leaves = one.leaves()
    next(leaves)
    count = len(process._open)
    del leaves
    assert len(process._open) == count - 1


# Damage


@pytest.mark.parametrize("first", [0, HELD, 2 * HELD])
def test_a_missing_segment_is_named(world, ledger, first):
    Process(world.machine).unlink(path(first))
    assert_refuses(world, path(first))
    with pytest.raises(EnforcerError):
        ledger.entry(first + 3)


def test_a_missing_segment_in_the_middle_is_noticed_although_a_snapshot_stands(world):
    ledger = reading(world, key=KEY)
    fill(ledger, 40 * HELD)
    ledger.save_caches()
    assert reading(world, key=KEY).head.size == 40 * HELD
    Process(world.machine).unlink(path(3 * HELD))
    with pytest.raises(DamagedError, match="ledger_gap"):
        reading(world, key=KEY).catch_up()


@pytest.mark.parametrize("keep", [0, 3, -1])
def test_a_segment_in_the_middle_that_ends_early_is_named(world, ledger, keep):
    lines = world.machine.read(path(HELD)).splitlines(keepends=True)
    world.machine.write(path(HELD), b"".join(lines[:keep]))
    assert_refuses(world, path(HELD))
    with pytest.raises(DamagedError):
        list(ledger.leaves())


def test_a_segment_in_the_middle_that_ends_within_a_line_is_not_torn(world, ledger):
    data = world.machine.read(path(HELD))
    for cut in range(1, 60):
        world.machine.write(path(HELD), data[:-cut])
        assert_refuses(world, path(HELD))
        assert world.machine.read(path(HELD)) == data[:-cut]


@pytest.mark.parametrize("rest", [b"{", b"\n", b"x\n"])
def test_bytes_after_a_full_segment_are_damage(world, ledger, rest):
    data = world.machine.read(path(HELD))
    world.machine.write(path(HELD), data + rest)
    assert_refuses(world, path(HELD))
    with pytest.raises(DamagedError, match="ledger_gap"):
        list(ledger.leaves())


def test_bytes_after_a_full_last_segment_are_damage_too(world, ledger):
    more(ledger, 3)
    world.machine.write(path(3 * HELD), world.machine.read(path(3 * HELD)) + b'{"half')
    assert_refuses(world, path(3 * HELD))


def test_segments_that_changed_places_are_refused(world, ledger):
    one, two = world.machine.read(path(HELD)), world.machine.read(path(2 * HELD))
    world.machine.write(path(HELD), two)
    world.machine.write(path(2 * HELD), one)
    assert_refuses(world, path(HELD))
    with pytest.raises(DamagedError):
        ledger.entry(HELD + 1)


@pytest.mark.parametrize("seq", [9, 15, 17])
def test_an_entry_that_was_overwritten_is_not_handed_out(world, ledger, seq):
    first = seq // HELD * HELD
    lines = world.machine.read(path(first)).splitlines(keepends=True)
    lines[seq - first] = b"x" * (len(lines[seq - first]) - 1) + b"\n"
    world.machine.write(path(first), b"".join(lines))
    with pytest.raises(DamagedError):
        ledger.entry(seq)
    with pytest.raises(DamagedError):
        list(ledger.entries())


def test_a_ledger_without_a_segment_is_unavailable(world, ledger):
    for name in world.machine.list(f"{FOLDER}/seg"):
        Process(world.machine).unlink(f"{FOLDER}/seg/{name}")
    with pytest.raises(UnavailableError, match="segment_missing"):
        reading(world).catch_up()


def test_other_names_beside_the_segments_are_let_be(world, ledger):
    process = Process(world.machine)
    for name in (
        "notes.txt",
        "1.jsonl",
        "0000000000000000000x.jsonl",
        f"{segment_name(0)}.orig",
        "\uff10" * 20 + ".jsonl",
    ):
        process.close(process.open(f"{FOLDER}/seg/{name}", 0o100))
    fresh = reading(world)
    fresh.catch_up()
    assert fresh.head == ledger.head


# Files that are replaced while somebody works


def test_a_lock_file_that_was_replaced_lets_no_second_writer_in(world, ledger):
    """Whoever still holds the old file's lock is alone with it; the next one takes the new file's."""
    process = Process(world.machine)
    process.unlink(f"{FOLDER}/lock")
    append(world.open(), refused(1), key=".1")
    append(ledger, refused(2), key=".2")
    append(world.open(), refused(3), key=".3")
    assert ledger._lock.fd >= 0
    assert world.machine.names[f"{FOLDER}/lock"] is not None
    fresh = world.open()
    fresh.catch_up()
    assert fresh.head.size == 32


def test_a_lock_that_is_deleted_under_its_holder_is_not_believed_by_who_waited(world, ledger):
    class Slow(Process):
        """While this process waits for the lock, somebody deletes the file."""

        def lock(self, fd: int) -> None:
            super().lock(fd)
            if f"{FOLDER}/lock" in self.machine.names and not self.deleted:
                self.deleted = True
                del self.machine.names[f"{FOLDER}/lock"]

        deleted = False

    process = Slow(world.machine)
    one = reading(world, process=process)
    with one.writing():
        assert process.calls.count("lock") == 2
        other = Process(world.machine)
        assert not other.try_lock(other.open(f"{FOLDER}/lock", 2))


def test_a_segment_that_was_replaced_by_the_same_lines_is_followed(world, ledger):
    process, tail = Process(world.machine), path(3 * HELD)
    data = world.machine.read(tail)
    process.unlink(tail)
    process.append(process.open(tail, 0o102 | 0o2000), data)
    append(ledger, refused(1), key=".1")
    assert world.machine.read(tail).count(b"\n") == 6
    ledger.sync()
    assert ledger.head.size == 30


def test_a_segment_that_was_replaced_by_others_is_refused(world, ledger):
    process, tail = Process(world.machine), path(3 * HELD)
    data = world.machine.read(tail)
    process.unlink(tail)
    process.append(process.open(tail, 0o102 | 0o2000), data.replace(b"no 28", b"no 82"))
    for call in (ledger.catch_up, lambda: append(ledger, refused(1), key=".1")):
        with pytest.raises(DamagedError, match="ledger_cut"):
            call()
