"""A snapshot saves reading and never decides what is true: whatever is done to it, the answers are the history's."""

from __future__ import annotations

import json
import os
import shutil

import pytest

from enforcer.errors import EnforcerError
from enforcer.ledger.files import SNAPSHOT_EVERY, FileLedger, create
from enforcer.ports import SystemDisk
from tests.faults import CountingEntropy, FaultyDisk, ManualClock
from tests.ledger.conformance import append, fill, refused
from tests.ledger.histories import IDENTITY, KEY, opened

TASKS = tuple(f"T-{number}" for number in range(40))
SIZE = SNAPSHOT_EVERY + 60


@pytest.fixture
def folder(tmp_path):
    """A ledger of many tasks, and the snapshot of it."""
    folder = tmp_path / "ledger"
    create(str(folder), IDENTITY, disk=SystemDisk(), entropy=CountingEntropy())
    ledger = make(folder)
    fill(ledger, SIZE, TASKS)
    ledger.sync()
    ledger.save_caches()
    ledger.close()
    return folder


@pytest.fixture
def snapshot(folder):
    return folder / ".cache" / "snapshot"


def make(folder, *, disk=None, key: bytes | None = KEY) -> FileLedger:
    ledger = FileLedger(
        str(folder), disk=disk or SystemDisk(), clock=ManualClock(), entropy=CountingEntropy(1), cache_key=key
    )
    ledger.catch_up()
    return ledger


def truth(folder):
    """What the history itself says."""
    ledger = make(folder, key=None)
    states = list(ledger.tasks())
    ledger.close()
    return states


def header_of(snapshot) -> dict:
    return json.loads(snapshot.read_bytes().split(b"\n", 2)[1])


def assert_rejected(folder, why: str = "") -> None:
    """It is not believed, everything is read, the reason is kept for the next entry, and a new one is made."""
    disk = FaultyDisk()
    ledger = make(folder, disk=disk)
    assert list(ledger.tasks()) == truth(folder)
    assert disk.read_bytes > (folder / "seg" / f"{0:020}.jsonl").stat().st_size
    assert ledger.cache_rejected.startswith("snapshot: ")
    assert why in ledger.cache_rejected
    append(ledger, refused(1), task=TASKS[0], key=".after")
    assert ledger.cache_rejected == ""
    ledger.save_caches()
    ledger.close()
    assert_used(folder)


def assert_used(folder) -> None:
    disk = FaultyDisk()
    ledger = make(folder, disk=disk)
    assert ledger.cache_rejected == ""
    assert ledger.task(TASKS[7]) is not None
    assert disk.read_bytes < (folder / "seg" / f"{0:020}.jsonl").stat().st_size
    assert list(ledger.tasks()) == truth(folder)
    ledger.close()


def test_a_valid_snapshot_is_used_and_tells_the_same(folder):
    assert_used(folder)


def test_a_valid_snapshot_stands_for_lines_that_are_not_read_again(folder):
    """The first lines are poisoned: whoever read them would refuse. Verifying is what reads everything."""
    path = folder / "seg" / f"{0:020}.jsonl"
    honest = truth(folder)
    data = bytearray(path.read_bytes())
    data[:200] = b"x" * 200
    path.write_bytes(bytes(data))
    ledger = make(folder)
    assert list(ledger.tasks()) == honest
    assert ledger.head.size == SIZE
    with pytest.raises(EnforcerError):
        list(ledger.entries())
    ledger.close()


def test_one_task_costs_one_part_of_the_snapshot(folder):
    disk = FaultyDisk()
    ledger = make(folder, disk=disk)
    before = disk.read_bytes
    assert ledger.task(TASKS[3]) is not None
    first = disk.read_bytes - before
    assert 0 < first < (folder / ".cache" / "snapshot").stat().st_size / 2
    assert ledger.task(TASKS[3]) is not None
    assert ledger.task("nobody") is None
    ledger.close()


def test_an_older_valid_snapshot_is_fine_because_the_rest_is_read(folder, snapshot):
    old = snapshot.read_bytes()
    ledger = make(folder)
    for number in range(SNAPSHOT_EVERY + 1):
        append(ledger, refused(number), task=TASKS[number % 40], key=f".more-{number}")
    ledger.save_caches()
    ledger.close()
    assert snapshot.read_bytes() != old
    snapshot.write_bytes(old)

    again = make(folder)
    assert again.cache_rejected == ""
    assert again.head.size == SIZE + SNAPSHOT_EVERY + 1
    assert list(again.tasks()) == truth(folder)
    again.close()


def test_a_snapshot_of_a_future_that_was_cut_off_is_rejected(folder):
    path = folder / "seg" / f"{0:020}.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-10]))
    assert_rejected(folder, "does not stand there")


def test_a_snapshot_of_a_history_that_was_told_anew_is_rejected(folder, tmp_path):
    path = folder / "seg" / f"{0:020}.jsonl"
    path.write_bytes(b"")
    other = make(folder, key=None)
    fill(other, SIZE, tuple(f"T-{number}" for number in reversed(range(40))))
    other.close()
    assert_rejected(folder, "does not stand there")


@pytest.mark.parametrize("place", ["mac", "header", "buckets"])
def test_every_edit_is_rejected(folder, snapshot, place):
    """Bytes changed here and there in each part. What is in the parts comes out when they are asked for."""
    whole = snapshot.read_bytes()
    mac, header, rest = whole.split(b"\n", 2)
    start = {"mac": 0, "header": len(mac) + 1, "buckets": len(mac) + len(header) + 2}[place]
    length = {"mac": len(mac), "header": len(header), "buckets": len(rest)}[place]
    for step in range(5):
        position = start + step * (length - 1) // 4
        edited = bytearray(whole)
        edited[position] ^= 1
        snapshot.write_bytes(bytes(edited))
        ledger = make(folder)
        assert list(ledger.tasks()) == truth(folder), position
        assert ledger.cache_rejected.startswith("snapshot: "), position
        ledger.close()
    snapshot.write_bytes(bytes(edited))
    assert_rejected(folder)


def test_an_edited_part_does_not_spoil_what_was_taken_from_others(folder, snapshot):
    """A task that comes from a sound part, is moved on, and then another whose part was forged."""
    data = snapshot.read_bytes()
    header = header_of(snapshot)
    body = len(data) - sum(length for _, length, _ in header["buckets"])
    ledger = make(folder)
    append(ledger, refused(1), task=TASKS[0], key=".sound")
    sound = ledger.task(TASKS[0])
    forged = bytearray(data)
    for offset, length, _ in header["buckets"]:
        forged[body + offset + length - 1] ^= 1
    snapshot.write_bytes(bytes(forged))
    assert [state for state in ledger.tasks() if state.task != TASKS[0]] == [
        state for state in truth(folder) if state.task != TASKS[0]
    ]
    assert ledger.task(TASKS[0]) == sound == truth(folder)[0]
    assert ledger.cache_rejected
    ledger.close()


def test_a_forged_state_with_honest_looking_digests_is_rejected(folder, snapshot):
    """Everything made to fit but the code, for which the key is needed."""
    import hashlib
    import hmac

    mac, header, rest = snapshot.read_bytes().split(b"\n", 2)
    forged = rest.replace(b'"phase":"SPEC"', b'"phase":"LAST"')
    members = json.loads(header)
    members["buckets"] = [
        [offset, length, hashlib.sha256(forged[offset : offset + length]).hexdigest()]
        for offset, length, _ in members["buckets"]
    ]
    line = json.dumps(members, sort_keys=True, separators=(",", ":")).encode()
    guess = hmac.new(b"guess" * 6, b"enforcer/snapshot/v1\n" + line, hashlib.sha256).hexdigest().encode()
    assert forged != rest
    for code in (mac, guess):
        snapshot.write_bytes(code + b"\n" + line + b"\n" + forged)
        assert_rejected(folder, "authentication code")


def test_a_snapshot_under_another_key_is_rejected(folder, snapshot):
    ledger = make(folder, key=b"another key of thirty-two bytes!")
    assert ledger.cache_rejected.startswith("snapshot: ")
    assert list(ledger.tasks()) == truth(folder)
    ledger.close()


def test_a_snapshot_of_another_ledger_is_rejected(folder, snapshot, tmp_path):
    """Under the same key, as two projects of one user could have by mistake."""
    other = tmp_path / "other"
    identity = IDENTITY.replace(id="f" * 32, origin="enforcer/" + "f" * 32)
    create(str(other), identity, disk=SystemDisk(), entropy=CountingEntropy())
    ledger = make(other)
    fill(ledger, SIZE, TASKS)
    ledger.close()
    (other / ".cache").mkdir()
    shutil.copy(snapshot, other / ".cache" / "snapshot")
    assert_rejected(other, "another ledger")


@pytest.mark.parametrize("length", [0, 1, 64, 65, 200, 5_000, -1])
def test_a_truncated_snapshot_is_rejected(folder, snapshot, length):
    snapshot.write_bytes(snapshot.read_bytes()[:length])
    assert_rejected(folder)


@pytest.mark.parametrize("content", [b"\n" * 100, b"x" * 10_000_000, b"{}\n{}\n", b"\xff\n\xff\n\xff", b"\0" * 100])
def test_rubbish_is_rejected(folder, snapshot, content):
    snapshot.write_bytes(content)
    assert_rejected(folder)


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_what_is_not_a_file_is_not_followed(folder, snapshot, tmp_path, kind):
    moved = tmp_path / "moved"
    snapshot.rename(moved)
    if kind == "link":
        snapshot.symlink_to(moved)
    elif kind == "folder":
        snapshot.mkdir()
    else:
        os.mkfifo(snapshot)
    ledger = make(folder)
    assert ledger.cache_rejected.startswith("snapshot: ")
    assert list(ledger.tasks()) == truth(folder)
    ledger.close()


def test_reading_writes_no_snapshot(folder, snapshot):
    snapshot.unlink()
    ledger = make(folder)
    list(ledger.tasks())
    ledger.close()
    assert not snapshot.exists()


def test_without_a_key_nothing_is_kept_and_nothing_believed(folder, snapshot):
    snapshot.unlink()
    ledger = make(folder, key=None)
    append(ledger, opened("new"), task="new")
    ledger.save_caches()
    ledger.close()
    assert not snapshot.exists()


def test_a_snapshot_is_due_after_so_many_entries_and_not_before(folder, snapshot):
    before = snapshot.read_bytes()
    ledger = make(folder)
    for number in range(SNAPSHOT_EVERY):
        assert snapshot.read_bytes() == before, number
        append(ledger, refused(number), task=TASKS[number % 40], key=f".{number}-x")
        ledger.save_caches()
    assert header_of(snapshot)["size"] == SIZE + SNAPSHOT_EVERY
    ledger.close()


@pytest.mark.parametrize("call", ["open", "append", "rename"])
def test_a_snapshot_that_cannot_be_written_is_of_no_consequence(folder, snapshot, call):
    snapshot.unlink()
    disk = FaultyDisk()
    ledger = make(folder, disk=disk)
    place = append(ledger, refused(1), task=TASKS[0], key=".x")
    disk.fail(call)
    ledger.save_caches()
    assert not snapshot.exists()
    assert ledger.head.hash == place.hash
    ledger.save_caches()
    ledger.close()
    assert_used(folder)


def test_a_snapshot_in_use_may_be_replaced_by_another_process(folder, snapshot):
    """The descriptor stays with the old file, whose table and parts belong together."""
    reader = make(folder)
    writer = make(folder)
    for number in range(SNAPSHOT_EVERY + 1):
        append(writer, refused(number), task=TASKS[number % 40], key=f".{number}-y")
    writer.save_caches()
    reader.catch_up()
    assert list(reader.tasks()) == truth(folder)
    assert reader.cache_rejected == ""
    reader.close()
    writer.close()
