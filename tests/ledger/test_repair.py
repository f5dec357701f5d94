"""What is torn heals, is kept and is told; what is damaged is refused, and not a byte of it changed."""

from __future__ import annotations

from hashlib import sha256

import pytest

from enforcer.errors import DamagedError, EnforcerError, UnavailableError
from enforcer.ledger.commit import ANEW, FAILED, TORN, Mark, parse_mark
from enforcer.ledger.entry import format_leaf, leaf_hash
from enforcer.ledger.files import FIRST_SEGMENT, FileLedger
from enforcer.ledger.repair import MAX_TORN, sealed_size
from enforcer.workflow.events import LedgerRecovered
from tests.faults import CountingEntropy
from tests.ledger.conformance import append, refused
from tests.ledger.histories import IDENTITY
from tests.ledger.test_crashes import FOLDER, World
from tests.machine import Fault, Process, Stopped

SEGMENT = f"{FOLDER}/seg/{FIRST_SEGMENT}"
QUARANTINE = f"{FOLDER}/quarantine"
COMMIT = f"{FOLDER}/commit"
ROOT = "A" * 43 + "="


@pytest.fixture
def world():
    return World(lines=64)


def begun(world: World, entries: int) -> list[bytes]:
    world.begin(entries)
    return world.machine.read(SEGMENT).splitlines(keepends=True)


def put_file(world: World, path: str, data: bytes) -> None:
    process = Process(world.machine)
    process.make_folder(path.rpartition("/")[0])
    process.close(process.open(path, 0o100))
    world.machine.write(path, data)


def snapshot(world: World) -> dict[str, bytes]:
    return {path: world.machine.read(path) for path, file in world.machine.names.items() if file is not None}


def refusal(world: World) -> DamagedError:
    """How two new processes in turn refuse to write; nothing may have changed by it."""
    before = snapshot(world)
    for _ in range(2):
        with pytest.raises(DamagedError) as caught, world.open().writing():
            """Not reached."""
    assert snapshot(world) == before
    return caught.value


def heal(world: World) -> LedgerRecovered:
    """What is on the ledger of the repair that the next append begins with."""
    ledger = world.open()
    place = append(ledger, refused(1), key=".after")
    ledger.sync()
    event = ledger.entry(place.seq - 1).event
    assert isinstance(event, LedgerRecovered)
    fresh = world.open()
    fresh.catch_up()
    assert fresh.head == ledger.head
    assert fresh.root() == ledger.root()
    return event


# Torn tails


def test_a_cut_at_every_byte_of_the_last_line_heals_is_kept_and_is_told(world):
    lines = begun(world, 4)
    start = len(b"".join(lines[:3]))
    whole = snapshot(world)
    for cut in range(1, len(lines[3])):
        for path, data in whole.items():
            world.machine.write(path, data)
        world.machine.write(SEGMENT, whole[SEGMENT][: start + cut])
        torn = lines[3][:cut]

        event = heal(world)

        name = f"{start:020}-{sha256(torn).hexdigest()[:16]}"
        assert event == LedgerRecovered(
            actor="enforcer",
            kind="torn",
            segment=FIRST_SEGMENT,
            offset=start,
            size=cut,
            digest=sha256(torn).hexdigest(),
            quarantine=name,
        )
        assert world.machine.read(f"{QUARANTINE}/{name}") == torn
        assert world.machine.read(SEGMENT).startswith(b"".join(lines[:3]))


@pytest.mark.parametrize("number", [0, 1, 2])
def test_the_same_cut_in_the_middle_refuses_and_changes_nothing(world, number):
    lines = begun(world, 4)
    start = len(b"".join(lines[:number]))
    for cut in range(1, len(lines[number]), 7):
        world.machine.write(SEGMENT, b"".join((*lines[:number], lines[number][:cut], *lines[number + 1 :])))
        error = refusal(world)
        assert f"byte {start}, entry {number}" in error.where


def test_a_tail_cut_at_a_line_is_a_shorter_ledger_and_nothing_to_repair(world):
    lines = begun(world, 4)
    world.machine.write(SEGMENT, b"".join(lines[:3]))
    ledger = world.open()
    assert append(ledger, refused(1), key=".x").seq == 3


@pytest.mark.parametrize(
    "rest",
    [b"\0", b"\0" * 9_000, b"x" * 200_000, b"\0\0\n", b"\n", b"\n\n\n{", b"12\n[]\n", b'{"event":' + b"\n" + b"\xff\n"],
    ids=lambda rest: f"{len(rest)} bytes from {rest[:4]!r}",
)
def test_whatever_holds_no_entry_is_torn(world, rest):
    world.begin(3)
    world.machine.lose_power()  # Bytes that nobody in this boot has synced.
    before = world.machine.read(SEGMENT)
    world.machine.write(SEGMENT, before + rest)
    event = heal(world)
    assert (event.kind, event.offset, event.size) == ("torn", len(before), len(rest))
    assert world.machine.read(f"{QUARANTINE}/{event.quarantine}") == rest


def test_an_entry_behind_torn_bytes_is_damage(world):
    lines = begun(world, 4)
    for between in (b"\0\0\0\n", b"\n", lines[2][:50] + b"\n", bytes(3 << 20) + b"\n"):
        world.machine.write(SEGMENT, b"".join((*lines[:3], between, lines[3])))
        assert f"entry {3}" in refusal(world).where
        world.machine.write(SEGMENT, b"".join((*lines[:3], between, lines[3], b"{")))
        refusal(world)


@pytest.mark.parametrize("change", ["reordered", "of another ledger", "of a later release", "unchained", "repeated"])
def test_a_complete_last_line_that_says_something_is_damage(world, change):
    lines = begun(world, 4)
    last = lines[3]
    if change == "reordered":
        last = last.replace(b',"v":1}', b', "v":1}')
    elif change == "of another ledger":
        last = last.replace(IDENTITY.id.encode(), b"f" * 32)
    elif change == "of a later release":
        last = last.replace(b'"v":1', b'"v":2')
    elif change == "unchained":
        last = last.replace(b'"prev":"', b'"prev":"0')
    else:
        last = last + last
    world.machine.write(SEGMENT, b"".join((*lines[:3], last)))
    refusal(world)


def test_a_last_line_that_was_on_stable_storage_is_damaged_and_not_torn(world):
    """What this boot has synced was written by a whole append, so it was not torn by anything."""
    lines = begun(world, 4)
    world.machine.write(SEGMENT, b"".join((*lines[:3], b"x" * (len(lines[3]) - 1) + b"\n")))
    assert refusal(world).code == "ledger_malformed"


@pytest.mark.parametrize("blanked", [1, 2, 4])
def test_lines_on_stable_storage_whose_ends_were_blanked_are_damaged_and_not_torn(world, blanked):
    """They look like one long torn line; cutting it off would lose what was acknowledged."""
    lines = begun(world, 5)
    changed = [line[:-1] + b" " for line in lines[5 - blanked :]]
    world.machine.write(SEGMENT, b"".join((*lines[: 5 - blanked], *changed)))
    error = refusal(world)
    assert error.code == "ledger_torn"
    assert "were on stable storage" in error.message


def test_a_file_that_only_bears_the_name_of_a_checkpoint_keeps_no_tail_from_being_healed(world):
    lines = begun(world, 4)
    put_file(world, f"{FOLDER}/checkpoints/999", b"")
    world.machine.write(SEGMENT, b"".join(lines)[:-1])
    heal(world)


@pytest.mark.parametrize("name", ["checkpoint", "checkpoints/4"])
def test_nothing_below_a_checkpoint_is_torn(world, name):
    lines = begun(world, 4)
    note = f"{IDENTITY.origin}\n4\n{ROOT}\n\n— {IDENTITY.origin} AAAA\n".encode()
    put_file(world, f"{FOLDER}/{name}", note)
    world.machine.write(SEGMENT, b"".join(lines)[:-1])
    error = refusal(world)
    assert error.code == "ledger_torn"
    assert "a checkpoint of 4" in error.message
    world.machine.write(f"{FOLDER}/{name}", note)
    world.machine.write(SEGMENT, b"".join(lines) + b"{")
    heal(world)


@pytest.mark.parametrize(
    "note",
    [b"", b"\xff", b"x\n9\ny\n\n", f"{IDENTITY.origin}\n-9\n{ROOT}\n\n".encode(), f"{IDENTITY.origin}\n9".encode()],
    ids=repr,
)
def test_a_checkpoint_that_cannot_be_read_vouches_for_nothing(world, note):
    world.begin(2)
    put_file(world, f"{FOLDER}/checkpoint", note)
    put_file(world, f"{FOLDER}/checkpoints/x9", b"")
    assert sealed_size(FOLDER, IDENTITY.origin, Process(world.machine)) == 0


def test_more_than_any_crash_leaves_is_damage(tmp_path, world):
    world.begin(2)
    world.machine.write(SEGMENT, world.machine.read(SEGMENT) + bytes(MAX_TORN + 1))
    assert refusal(world).code == "ledger_torn"


def test_a_first_line_that_was_torn_is_kept_and_written_again(world):
    """There is no entry yet that it could be told after: the first one says that the ledger is created."""
    world.begin(0)
    with pytest.raises(Stopped):
        world.write(world.open(Process(world.machine, Fault("stop-short", calls=("append",)))))
    assert not world.open().begun
    world.write(world.open())
    [name] = world.machine.list(QUARANTINE)
    assert name.startswith("0" * 20)
    assert world.open().begun
    ledger = world.open()
    ledger.catch_up()
    assert [entry.event.type for entry in ledger.entries()] == ["ledger.created"]


def test_the_actor_of_a_repair_is_the_one_who_opened_the_ledger(world):
    lines = begun(world, 3)
    world.machine.write(SEGMENT, b"".join(lines)[:-5])
    disk, entropy = Process(world.machine), CountingEntropy(5)
    ledger = FileLedger(
        FOLDER, disk=disk, clock=world.clock, entropy=entropy, cache_key=None, actor="bob", segment_lines=64
    )
    with ledger.writing():
        """The repair comes first."""
    assert ledger.entry(2).event.actor == "bob"
    assert ledger.entry(2).key.startswith(".")


def test_a_torn_append_of_the_same_process_heals_as_well(world):
    world.begin(3)
    process = Process(world.machine)
    ledger = world.open(process)
    ledger.catch_up()
    process.fault = Fault("short", calls=("append",))
    with pytest.raises(UnavailableError, match="append_failed"):
        world.write(ledger)
    assert ledger.head.size == 3
    world.write(ledger)
    assert [entry.event.type for entry in ledger.entries(3)] == ["ledger.recovered", "command.refused"]
    world.check()


def test_a_repair_that_cannot_be_made_changes_no_line(world):
    lines = begun(world, 3)
    torn = b"".join(lines)[:-5]
    for call in ("make_folder", "append", "rename", "replace", "truncate"):
        world.machine.write(SEGMENT, torn)
        process = Process(world.machine, Fault("enospc", calls=(call,)))
        with pytest.raises(UnavailableError, match=r"repair_failed|ledger_not_writable"):
            world.write(world.open(process))
        assert world.machine.read(SEGMENT) == torn
    heal(world)


def test_what_is_cut_off_is_kept_first_and_gone_for_good_before_anything_follows(world):
    lines = begun(world, 3)
    world.machine.write(SEGMENT, b"".join(lines)[:-5])
    process = Process(world.machine)
    with world.open(process).writing():
        """The repair comes first."""
    changes = ("make_folder", "open", "append", "rename", "replace", "truncate", "sync", "datasync", "sync_folder")
    order = [call for call in process.calls if call in changes]
    keeping = ["make_folder", "sync_folder", "open", "append", "sync", "rename", "sync_folder"]
    marking = ["replace", "sync", "sync_folder"]
    cutting = ["truncate", "sync"]
    telling = ["open", "append", "datasync"]  # What is told of is looked at first: anybody can write a record.
    first = order.index("make_folder")
    assert order[first:] == [*keeping, *marking, *cutting, *telling, "replace"]


@pytest.mark.parametrize("power", [False, True])
def test_a_repair_that_stops_anywhere_is_told_once(power):
    for nth in range(1, 200):
        world = World(lines=64)
        lines = begun(world, 3)
        world.machine.write(SEGMENT, b"".join(lines)[:-5])
        fault = Fault("stop", nth)
        try:
            with world.open(Process(world.machine, fault)).writing():
                """The repair comes first."""
        except Stopped:
            """The next one goes on with it."""
        if power:
            world.machine.lose_power()
        ledger = world.open()
        append(ledger, refused(1), key=".1")
        append(world.open(), refused(2), key=".2")
        ledger.catch_up()
        types = [entry.event.type for entry in ledger.entries(2)]
        assert types == ["ledger.recovered", "command.refused", "command.refused"], (nth, fault.met)
        assert world.untold() == set()
        if not fault.met:
            return
    raise AssertionError("it never came to an end")


# After a failed sync


def fail(world: World, **fields: object) -> None:
    """The record of a sync that failed, as a process of this boot left it."""
    mark = parse_mark(world.machine.read(COMMIT))
    assert mark is not None
    world.machine.write(COMMIT, mark.replace(state=FAILED, **fields).data())


def test_lines_that_chain_are_kept_and_what_does_not_is_quarantined(world):
    """Above the last synced offset anything may be missing, also with lines behind it."""
    lines = begun(world, 6)
    fail(world, offset=len(b"".join(lines[:3])))
    gone = [*lines[:4], b"\0" * (len(lines[4]) - 1) + b"\n", lines[5]]
    world.machine.write(SEGMENT, b"".join(gone))
    event = heal(world)
    assert (event.kind, event.offset, event.size) == ("unsynced", len(b"".join(lines[:3])), len(lines[3]))
    assert world.machine.read(f"{QUARANTINE}/{event.quarantine}") == b"".join(gone[4:])
    assert world.machine.read(SEGMENT).startswith(b"".join(lines[:4]))


@pytest.mark.parametrize("unknown", ["boot", "offset"])
def test_where_nobody_knows_what_was_synced_lines_behind_a_gap_are_damage(world, unknown):
    lines = begun(world, 6)
    fail(world, offset=0)
    if unknown == "boot":
        fail(world, offset=len(b"".join(lines[:3])), mark="e" * 32)
    world.machine.write(SEGMENT, b"".join((*lines[:4], b"\0" * (len(lines[4]) - 1) + b"\n", lines[5])))
    refusal(world)
    world.machine.write(SEGMENT, b"".join((*lines[:4], b"\0" * 100)))
    assert heal(world).kind == "unsynced"


def test_damage_below_what_was_synced_is_not_written_anew(world):
    lines = begun(world, 6)
    fail(world, offset=len(b"".join(lines[:5])))
    for number in (4, 3):
        world.machine.write(SEGMENT, b"".join((*lines[:number], b"x" * (len(lines[number]) - 1) + b"\n", *lines[5:])))
        before = snapshot(world)
        with pytest.raises(EnforcerError):
            append(world.open(), refused(1), key=".x")
        assert snapshot(world) == before


def test_nothing_below_a_checkpoint_is_given_up_after_a_failed_sync(world):
    lines = begun(world, 5)
    fail(world, offset=len(b"".join(lines[:3])))
    put_file(world, f"{FOLDER}/checkpoints/5", f"{IDENTITY.origin}\n5\n{ROOT}\n\n".encode())
    world.machine.write(SEGMENT, b"".join(lines[:4]) + b"\0" * 80)
    assert "a checkpoint of 5" in refusal(world).message


def test_a_line_of_the_wrong_chain_is_not_taken_over(world):
    lines = begun(world, 4)
    fail(world, offset=len(b"".join(lines)))
    event = lines[3][len(b'{"event":') : lines[3].index(b',"prev"')]
    before = leaf_hash(lines[3][:-1])
    good = format_leaf(event, prev=before, seq=4, task_prev=before, task_seq=3, ts=1 << 50)
    for bad in (good.replace(b'"seq":4', b'"seq":5'), good.replace(IDENTITY.id.encode(), b"e" * 32)):
        world.machine.write(SEGMENT, b"".join(lines) + bad + b"\n")
        assert heal(world).size == 0
        world.machine.write(SEGMENT, b"".join(lines))
        fail(world, offset=len(b"".join(lines)))


def test_what_a_stopped_rewriting_left_behind_is_no_obstacle(world):
    world.begin(2)
    fail(world)
    put_file(world, f"{FOLDER}/anew", b"half of")
    assert heal(world).kind == "unsynced"
    assert "anew" not in world.machine.list(FOLDER)


def test_a_record_of_a_failure_in_a_segment_that_is_none_writes_the_last_one_anew(world):
    world.begin(2)
    world.machine.write(COMMIT, Mark("a" * 32, 640, 10**9, FAILED).data())
    assert heal(world).segment == FIRST_SEGMENT


@pytest.mark.parametrize("state", [TORN, ANEW])
@pytest.mark.parametrize("start, size", [(0, 0), (0, 40), (40, 40)])
def test_a_record_of_a_repair_that_nobody_made_is_not_told(world, state, start, size):
    lines = begun(world, 3)
    process = Process(world.machine)
    ledger = world.open(process)
    ledger.catch_up()
    world.write(ledger)
    record = parse_mark(world.machine.read(COMMIT))
    assert record is not None
    forged = record.replace(state=state, start=start, size=size, digest="5" * 64)
    world.machine.write(COMMIT, forged.data())
    world.write(ledger)

    assert len(lines) == 3
    assert {entry.event.type for entry in ledger.entries(3)} == {"command.refused"}
    world.check()
