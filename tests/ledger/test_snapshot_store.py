"""A ledger of files with a snapshot gives the same answers as its lines, whatever is done to the snapshot."""

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
    """A ledger of many tasks, and a snapshot of it in two runs."""
    folder = tmp_path / "ledger"
    create(str(folder), IDENTITY, disk=SystemDisk(), entropy=CountingEntropy())
    ledger = make(folder)
    fill(ledger, SIZE, TASKS)
    ledger.sync()
    ledger.save_caches()
    grow(ledger, SNAPSHOT_EVERY, "first")
    ledger.close()
    return folder


@pytest.fixture
def snapshot(folder):
    return folder / ".cache" / "snapshot"


def make(folder, *, disk=None, key: bytes | None = KEY) -> FileLedger:
    ledger = FileLedger(
        str(folder), disk=disk or SystemDisk(), clock=ManualClock(), entropy=CountingEntropy(_turn()), cache_key=key
    )
    ledger.catch_up()
    return ledger


def _turn(numbers=iter(range(1, 1 << 30))) -> int:  # noqa: B008 - one row of numbers for all
    """Other random bytes for every process."""
    return next(numbers)


def grow(ledger: FileLedger, number: int, mark: str) -> None:
    """So many more entries, in a quarter of the tasks, and the snapshot that follows them."""
    for step in range(number):
        append(ledger, refused(step), task=TASKS[step % 10], key=f".{mark}-{step}")
    ledger.sync()
    ledger.save_caches()


def truth(folder):
    """What the history itself says."""
    ledger = make(folder, key=None)
    states = list(ledger.tasks())
    ledger.close()
    return states


def size_of(snapshot) -> int:
    return json.loads(snapshot.read_bytes().split(b"\n")[1])["header"]["size"]


def runs_of(snapshot) -> list:
    runs = json.loads(snapshot.read_bytes().split(b"\n")[1])["runs"]
    return [snapshot.parent / "runs" / f"{run['id']}.run" for run in runs]


def lines_of(folder):
    return folder / "seg" / f"{0:020}.jsonl"


def assert_rejected(folder, why: str = "") -> None:
    """It is not believed, everything is read, the reason is kept for the next entry, and a new one is made."""
    disk = FaultyDisk()
    ledger = make(folder, disk=disk)
    assert list(ledger.tasks()) == truth(folder)
    assert disk.read_bytes > lines_of(folder).stat().st_size
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
    assert ledger.task(TASKS[27]) is not None
    assert ledger.task("nobody") is None
    assert disk.read_bytes < lines_of(folder).stat().st_size / 3
    assert list(ledger.tasks()) == truth(folder)
    ledger.close()


def test_a_valid_snapshot_is_used_and_tells_the_same(folder):
    assert_used(folder)


def test_a_valid_snapshot_stands_for_lines_that_are_not_read_again(folder):
    """The first lines are poisoned: whoever read them would refuse. Verifying is what reads everything."""
    honest = truth(folder)
    data = bytearray(lines_of(folder).read_bytes())
    data[:200] = b"x" * 200
    lines_of(folder).write_bytes(bytes(data))
    ledger = make(folder)
    assert list(ledger.tasks()) == honest
    assert ledger.head.size == SIZE + SNAPSHOT_EVERY
    with pytest.raises(EnforcerError):
        list(ledger.entries())
    ledger.close()


def test_the_tree_goes_on_from_the_snapshot(folder):
    with_it, without = make(folder), make(folder, key=None)
    append(with_it, refused(1), task=TASKS[0], key=".tree")
    without.catch_up()
    assert with_it.root() == without.root()
    with_it.close()
    without.close()


def test_an_older_valid_snapshot_is_fine_because_the_rest_is_read(folder, snapshot, tmp_path):
    shutil.copytree(folder / ".cache", tmp_path / "old")
    ledger = make(folder)
    for number in range(4):
        grow(ledger, SNAPSHOT_EVERY, f"more-{number}")
    ledger.close()
    assert size_of(snapshot) == ledger.head.size
    shutil.rmtree(folder / ".cache")
    shutil.copytree(tmp_path / "old", folder / ".cache")

    again = make(folder)
    assert again.cache_rejected == ""
    assert again.head.size == SIZE + 5 * SNAPSHOT_EVERY
    assert list(again.tasks()) == truth(folder)
    again.close()


def test_a_snapshot_of_a_future_that_was_cut_off_is_rejected(folder):
    lines = lines_of(folder).read_bytes().splitlines(keepends=True)
    lines_of(folder).write_bytes(b"".join(lines[:-10]))
    assert_rejected(folder, "does not stand there")


def test_a_snapshot_of_a_history_that_was_told_anew_is_rejected(folder):
    lines_of(folder).write_bytes(b"")
    other = make(folder, key=None)
    fill(other, SIZE + SNAPSHOT_EVERY, tuple(f"T-{number}" for number in reversed(range(40))))
    other.close()
    assert_rejected(folder, "does not stand there")


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 1.0])
def test_an_edited_run_is_rejected_by_whoever_asks_for_everything(folder, snapshot, which, share):
    path = runs_of(snapshot)[which]
    data = bytearray(path.read_bytes())
    data[int(share * (len(data) - 1))] ^= 1
    path.write_bytes(bytes(data))
    assert_rejected(folder, "part of it")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 1.0])
def test_an_edited_manifest_is_rejected(folder, snapshot, share):
    data = bytearray(snapshot.read_bytes())
    data[int(share * (len(data) - 1))] ^= 1
    snapshot.write_bytes(bytes(data))
    assert_rejected(folder, "authentication code")


def test_a_missing_run_is_rejected(folder, snapshot):
    runs_of(snapshot)[0].unlink()
    assert_rejected(folder, "missing")


def test_an_edited_part_does_not_spoil_what_was_taken_from_others(folder, snapshot):
    """A task that comes from a sound part, is moved on, and then another whose part was forged."""
    ledger = make(folder)
    append(ledger, refused(1), task=TASKS[0], key=".sound")
    sound = ledger.task(TASKS[0])
    for path in runs_of(snapshot):
        path.write_bytes(bytes(path.stat().st_size))
    assert ledger.task(TASKS[39]) == truth(folder)[sorted(TASKS).index(TASKS[39])]
    assert ledger.cache_rejected
    assert ledger.task(TASKS[0]) == sound
    assert list(ledger.tasks()) == truth(folder)
    grow(ledger, SNAPSHOT_EVERY, "after")
    ledger.close()
    assert_used(folder)


def test_a_save_that_meets_a_forged_part_rebuilds_and_saves_what_is_true(folder, snapshot):
    """It comes to light when runs are merged, before anybody asked for a task of them."""
    ledger = make(folder)
    assert all(ledger.task(name) for name in TASKS[:10])
    for path in runs_of(snapshot):
        path.write_bytes(bytes(path.stat().st_size))
    grow(ledger, SNAPSHOT_EVERY, "third")
    not_yet = ledger.cache_rejected
    grow(ledger, SNAPSHOT_EVERY, "fourth")
    assert (not_yet, ledger.cache_rejected != "") == ("", True)
    append(ledger, refused(1), task=TASKS[0], key=".says-so")
    ledger.save_caches()
    ledger.close()
    assert_used(folder)


def test_a_snapshot_under_another_key_is_rejected(folder):
    ledger = make(folder, key=b"another key of thirty-two bytes!")
    assert ledger.cache_rejected.startswith("snapshot: ")
    assert list(ledger.tasks()) == truth(folder)
    ledger.close()


def test_a_snapshot_of_another_ledger_is_rejected(folder, tmp_path):
    """Under the same key, as two projects of one user could have by mistake."""
    other = tmp_path / "other"
    identity = IDENTITY.replace(id="f" * 32, origin="enforcer/" + "f" * 32)
    create(str(other), identity, disk=SystemDisk(), entropy=CountingEntropy())
    ledger = make(other)
    fill(ledger, SIZE, TASKS)
    ledger.close()
    shutil.copytree(folder / ".cache", other / ".cache")
    assert_rejected(other, "another ledger")


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
    shutil.rmtree(folder / ".cache")
    ledger = make(folder)
    list(ledger.tasks())
    ledger.close()
    assert not (folder / ".cache").exists()


def test_without_a_key_nothing_is_kept_and_nothing_believed(folder):
    shutil.rmtree(folder / ".cache")
    ledger = make(folder, key=None)
    append(ledger, opened("new"), task="new")
    ledger.save_caches()
    ledger.close()
    assert not (folder / ".cache").exists()


def test_a_snapshot_is_due_after_so_many_entries_and_not_before(folder, snapshot):
    before = snapshot.read_bytes()
    ledger = make(folder)
    for number in range(SNAPSHOT_EVERY):
        assert snapshot.read_bytes() == before, number
        append(ledger, refused(number), task=TASKS[number % 40], key=f".{number}-x")
        ledger.save_caches()
    assert size_of(snapshot) == SIZE + 2 * SNAPSHOT_EVERY
    ledger.close()


@pytest.mark.parametrize("call", ["open", "append", "rename", "read"])
def test_a_snapshot_that_cannot_be_written_is_of_no_consequence(folder, snapshot, call):
    snapshot.unlink()
    disk = FaultyDisk()
    ledger = make(folder, disk=disk)
    place = append(ledger, refused(1), task=TASKS[0], key=".x")
    disk.fail(call)
    ledger.save_caches()
    assert not snapshot.exists() or call == "read"
    assert ledger.head.hash == place.hash
    ledger.save_caches()
    ledger.close()
    assert_used(folder)


def test_a_snapshot_in_use_may_be_replaced_by_another_process(folder):
    """Runs that were merged away stay with whoever has them open."""
    reader = make(folder)
    writer = make(folder)
    for number in range(4):
        grow(writer, SNAPSHOT_EVERY, f"other-{number}")
    reader.catch_up()
    assert list(reader.tasks()) == truth(folder)
    assert reader.cache_rejected == ""
    grow(reader, 1, "reader")
    grow(writer, SNAPSHOT_EVERY, "writer")
    reader.close()
    writer.close()
    assert_used(folder)
