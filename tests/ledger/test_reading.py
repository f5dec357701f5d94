"""What lies below a snapshot is not taken in again, and is nevertheless read only as the trusted head commits to it."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from enforcer.errors import DamagedError
from enforcer.ledger.files import FileLedger, create
from enforcer.ledger.reading import linked
from tests.faults import CountingEntropy, ManualClock
from tests.ledger.conformance import append, fill, refused
from tests.ledger.histories import IDENTITY, KEY
from tests.publishing import QuickDisk

TASKS = ("T", "T-1", "U")
HELD = 8  # Lines of a segment.
SIZE = 30
NEWER = 5  # Lines that came after the snapshot.


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A ledger with a snapshot of all but its last lines."""
    folder = tmp_path_factory.mktemp("original") / "ledger"
    create(str(folder), IDENTITY, disk=QuickDisk(), entropy=CountingEntropy())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("enforcer.ledger.files.SNAPSHOT_EVERY", SIZE - NEWER)
        ledger = make(folder)
    fill(ledger, SIZE - NEWER, TASKS)
    ledger.sync()
    ledger.save_caches()
    for number in range(NEWER):
        append(ledger, refused(number), task=TASKS[number % 2], key=f".newer-{number}")
    ledger.sync()
    ledger.close()
    return folder


@pytest.fixture
def folder(tmp_path, original):
    """A copy of it, to be edited."""
    return Path(shutil.copytree(original, tmp_path / "ledger"))


@pytest.fixture
def reader(folder):
    """Makes processes that begin with the snapshot, and closes them."""
    made = []

    def begin() -> FileLedger:
        made.append(make(folder))
        assert made[-1].cache_rejected == ""
        assert made[-1].head.size == SIZE
        return made[-1]

    yield begin
    for ledger in made:
        ledger.close()


def make(folder) -> FileLedger:
    ledger = FileLedger(
        str(folder),
        disk=QuickDisk(),
        clock=ManualClock(),
        entropy=CountingEntropy(),
        cache_key=KEY,
        segment_lines=HELD,
    )
    ledger.catch_up()
    return ledger


def lines_of(folder) -> list[bytes]:
    return [line for path in sorted((folder / "seg").iterdir()) for line in path.read_bytes().splitlines()]


def write(folder, lines: list[bytes]) -> None:
    for number, path in enumerate(sorted((folder / "seg").iterdir())):
        path.write_bytes(b"".join(line + b"\n" for line in lines[number * HELD : (number + 1) * HELD]))


def edit(folder, seq: int, *, old: bytes = b'"actor":"ada', new: bytes = b'"actor":"eve', links: int = 0) -> None:
    """Change one line, as `sed` would, and put as many of the lines after it on their new predecessors."""
    lines = lines_of(folder)
    assert old in lines[seq]
    lines[seq] = lines[seq].replace(old, new)
    for each in range(seq + 1, seq + 1 + links):
        before, _, after = lines[each].rpartition(b',"prev":"')
        prev = hashlib.sha256(b"\0" + lines[each - 1]).hexdigest().encode()
        lines[each] = before + b',"prev":"' + prev + after[64:]
    write(folder, lines)


def damage(call) -> DamagedError:
    with pytest.raises(DamagedError) as caught:
        call()
    return caught.value


def read_until_refused(lines) -> list:
    """What a reader was given before it was told of the damage."""
    given: list = []
    assert damage(lambda: given.extend(each for each in lines)).code == "ledger_chain_broken"
    return given


# The chain of all lines


@pytest.mark.parametrize("seq", [0, 6, HELD - 1, HELD, 11, SIZE - NEWER - 2])  # At the ends of segments as well.
def test_a_line_that_was_edited_is_given_to_nobody(folder, reader, seq):
    honest = lines_of(folder)
    edit(folder, seq)
    for start in {0, seq // HELD * HELD, seq}:
        assert read_until_refused(reader().leaves(start)) == honest[start:seq]
        assert [entry.seq for entry in read_until_refused(reader().entries(start))] == list(range(start, seq))
    assert [entry.seq for entry in reader().entries(seq + 1)] == list(range(seq + 1, SIZE))


def test_the_place_of_the_break_is_told(folder, reader):
    edit(folder, 10)
    error = damage(lambda: list(reader().leaves()))
    segment = folder / "seg" / f"{HELD:020}.jsonl"
    offset = len(b"".join(segment.read_bytes().splitlines(keepends=True)[:3]))
    assert (error.code, error.where) == ("ledger_chain_broken", f"{segment}, byte {offset}, entry 11")
    assert "enforcer verify" in error.fix


@pytest.mark.parametrize("links", [1, 7, SIZE - NEWER - 5])
def test_links_that_were_made_anew_end_before_what_the_snapshot_vouches_for(folder, reader, links):
    """Up to the break its lines bear each other out; nobody reaches the end of them."""
    edit(folder, 3, links=links)
    for read in (lambda ledger: ledger.leaves(), lambda ledger: ledger.entries(3)):
        assert damage(lambda read=read: list(read(reader()))).code == "ledger_chain_broken"


def test_lines_that_changed_after_they_were_taken_in_are_not_read_over(folder, reader):
    ledger = reader()
    edit(folder, SIZE - 2, links=1)
    assert damage(lambda: list(ledger.leaves())).code == "ledger_chain_broken"
    assert damage(lambda: list(ledger.entries(SIZE - 1))).code == "ledger_chain_broken"
    assert damage(lambda: ledger.entry(SIZE - 1)).code == "ledger_chain_broken"


def test_a_first_line_that_stands_on_something_else_is_not_given(folder, reader):
    lines = lines_of(folder)
    assert damage(lambda: list(linked(enumerate(lines), "0" * 64, "1" * 64, refuse))).code == "entry 0"
    assert [seq for seq, _ in linked(enumerate(lines), IDENTITY.genesis, reader().head.hash, refuse)] == [*range(SIZE)]


def refuse(seq: int) -> DamagedError:
    return DamagedError(f"entry {seq}", "It does not follow.")


def test_a_single_entry_is_borne_out_by_the_one_after_it(folder, reader):
    edit(folder, 10)
    assert damage(lambda: reader().entry(10)).code == "ledger_chain_broken"
    assert [reader().entry(seq).seq for seq in (9, 11, SIZE - 1)] == [9, 11, SIZE - 1]


# The chain of a task


@pytest.mark.parametrize("links", [0, 1, 15])
def test_a_task_is_given_whole_or_not_at_all(folder, reader, links):
    """Whatever was done to the lines around: the task's own last entry commits to all of its entries."""
    edit(folder, 9, links=links)  # Of "T".
    for read in (lambda ledger: ledger.task_entries("T"), lambda ledger: ledger.task_leaves("T")):
        assert damage(lambda read=read: next(read(reader()))).code == "ledger_task_chain_broken"


def test_a_task_whose_lines_are_sound_is_told_whatever_became_of_others(folder, reader):
    edit(folder, 9)
    expected = [line for line in lines_of(folder) if b'"subject":"U"' in line]
    ledger = reader()
    assert list(ledger.task_leaves("U")) == expected
    assert [entry.task_seq for entry in ledger.task_entries("U")] == list(range(1, len(expected) + 1))


@pytest.mark.parametrize("seq", [9, 24, SIZE - 1])
def test_a_line_that_was_given_to_another_task_is_missed(folder, reader, seq):
    ledger = reader()
    task = next(entry.task for entry in ledger.entries(seq))
    edit(folder, seq, old=f'"subject":"{task}"'.encode(), new=b'"subject":"X"')
    edit(folder, seq, old=f'"id":"{task}/'.encode(), new=b'"id":"X/')
    error = damage(lambda: list(ledger.task_entries(task)))
    assert error.code == "ledger_task_chain_broken"
    assert task in error.message
    assert "enforcer verify" in error.fix


def test_a_line_that_was_given_to_the_task_is_not_taken_for_its_own(folder, reader):
    edit(folder, 11, old=b'"subject":"U"', new=b'"subject":"T"')
    edit(folder, 11, old=b'"id":"U/', new=b'"id":"T/')
    assert damage(lambda: list(reader().task_entries("T"))).code == "ledger_task_chain_broken"
