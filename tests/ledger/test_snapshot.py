"""A snapshot saves reading and never decides what is true: whatever is done to it, it tells the history's, or refuses.

Here snapshots are held against a small history of their own; `test_snapshot_store.py` holds a ledger of files against
its lines.
"""

from __future__ import annotations

import errno
import hmac
import json
import os
import random
import shutil
import threading
from hashlib import sha256

import pytest

from enforcer.ledger.runs import OpenRun, Run, write_run
from enforcer.ledger.snapshot import FANOUT, Header, Snapshots
from enforcer.ports import SystemDisk, SystemEntropy
from enforcer.workflow.state import Streak, TaskState
from tests.faults import CountingEntropy, FaultyDisk

LEDGER = "0123456789abcdef" * 2
KEY = b"thirty-two bytes that are secret"


class Killed(BaseException):
    """The process ends here."""


class WatchedDisk(FaultyDisk):
    """Counts what is written, and can call back or die at the nth call of a kind."""

    def __init__(self) -> None:
        super().__init__()
        self.written = 0
        self.killed_at: tuple[str, int] | None = None
        self.before_open = lambda path: None

    def open(self, path: str, flags: int, mode: int = 0o644) -> int:
        self.before_open(path)
        return super().open(path, flags, mode)

    def append(self, fd: int, data: bytes) -> None:
        super().append(fd, data)
        self.written += len(data)

    def unlink(self, path: str) -> None:
        self._meet("unlink")
        super().unlink(path)

    def _meet(self, call: str, fd: int = -1, data: bytes = b"") -> None:
        super()._meet(call, fd, data)
        if self.killed_at == (call, self.counts[call]):
            os.write(fd, data[: len(data) // 2]) if call == "append" else None
            raise Killed


class Story:
    """A history: which task each entry was of. States and hashes follow from it."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.hashes = ["genesis"]

    def tell(self, *names: str) -> Story:
        for name in names:
            self.names.append(name)
            self.hashes.append(sha256(f"{self.hashes[-1]} {name}".encode()).hexdigest())
        return self

    def cut(self, size: int) -> None:
        """What somebody does who puts an older copy back."""
        del self.names[size:], self.hashes[size + 1 :]

    def header(self, size: int | None = None) -> Header:
        size = len(self.names) if size is None else size
        return Header(LEDGER, size, self.hashes[size], 10 * size, "segment", 7 * size, 7 * size + 7, ("ab" * 32,))

    def states(self, size: int | None = None, since: int = 0) -> dict[str, TaskState]:
        size = len(self.names) if size is None else size
        last = {name: seq for seq, name in enumerate(self.names[:size])}
        return {name: self._state(name, seq) for name, seq in last.items() if seq >= since}

    def stands(self, header: Header) -> bool:
        return header.size < len(self.hashes) and self.hashes[header.size] == header.hash

    def _state(self, name: str, seq: int) -> TaskState:
        streak = Streak("a line\nbreak", 1, {"phase_skip": 1}, seq, self.hashes[seq + 1], 10 * seq)
        return TaskState(
            task=name,
            title=f"Título {name} {{",
            process="default",
            digest="d" * 64,
            base="",
            phase="SPEC",
            attempt_id="a" * 32,
            opened="o" * 64,
            streaks={"wörker": streak},
            keys={f"key-{seq}": seq},
            seq=seq,
            head=self.hashes[seq + 1],
        )


class Process:
    """One process: what it saw last counts for what it has to save."""

    def __init__(self, folder, story: Story, *, disk=None, key: bytes = KEY, ledger: str = LEDGER) -> None:
        self.story, self.disk = story, disk or WatchedDisk()
        self.snapshots = Snapshots(
            str(folder), ledger=ledger, key=key, disk=self.disk, entropy=SystemEntropy(), stands=story.stands
        )
        self.base = 0

    def open(self) -> Header | None:
        header = self.snapshots.open()
        self.base = header.size if header else 0
        return header

    def save(self, size: int | None = None) -> None:
        header = self.story.header(size)
        self.snapshots.save(header, self.story.states(header.size, since=self.base))
        self.base = header.size

    def told(self) -> dict[str, TaskState]:
        return {state.task: state for state in self.snapshots.tasks()}


@pytest.fixture
def folder(tmp_path):
    return tmp_path / ".cache"


@pytest.fixture
def story():
    return Story()


def begin(folder, story: Story, **changes) -> Process:
    process = Process(folder, story, **changes)
    process.open()
    return process


def assert_tells(folder, story: Story, size: int | None = None) -> Process:
    """A cold start finds the snapshot of that size, and every way of asking gives what the history says."""
    process = Process(folder, story)
    header = process.open()
    assert header == story.header(size)
    states = story.states(size)
    assert process.told() == states
    assert {name: process.snapshots.task(name) for name in states} == states
    for name in ("nobody", "T", "T-", "T-1 {", "T-1\n", "", "Ü", "\udc80"):
        assert process.snapshots.task(name) is None
    return process


def many(number: int, start: int = 0) -> tuple[str, ...]:
    return tuple(f"T-{start + index}" for index in range(number))


def manifest_of(folder) -> dict:
    return json.loads((folder / "snapshot").read_bytes().split(b"\n")[1])


def runs_of(folder) -> list:
    """The files of the runs, oldest first."""
    return [folder / "runs" / f"{run['id']}.run" for run in manifest_of(folder)["runs"]]


def rejected(folder, story: Story, **changes) -> str:
    """Why a cold start does not believe what lies there, at once or when everything is asked for."""
    process = Process(folder, story, **changes)
    try:
        process.open()
        process.told()
    except ValueError as error:
        return str(error)
    pytest.fail("it was believed")


# What it tells -------------------------------------------------------------------------------------------------------


def test_there_is_none_at_first(folder, story):
    process = Process(folder, story)
    assert process.open() is None
    assert process.snapshots.task("T-1") is None
    assert process.told() == {}


def test_it_tells_what_was_saved(folder, story):
    process = begin(folder, story.tell(*many(100)))
    process.save()
    assert_tells(folder, story)
    assert process.told() == story.states()


def test_a_history_without_tasks_has_a_snapshot_as_well(folder, story):
    begin(folder, story).save()
    assert_tells(folder, story)
    process = begin(folder, story)
    shutil.rmtree(folder)
    process.save()
    assert_tells(folder, story)


@pytest.mark.parametrize("seed", range(3))
def test_many_saves_by_many_processes_tell_the_same_as_the_history(folder, story, seed):
    """Some tasks are touched all the time, most are not; processes come and go, and are not always up to date."""
    chance = random.Random(seed)
    processes = [begin(folder, story)]
    for _ in range(30):
        hot = [f"T-{chance.randrange(20)}" for _ in range(chance.randrange(60))]
        cold = [f"T-{chance.randrange(20, 4000)}" for _ in range(chance.choice((0, 3, 300)))]
        story.tell(*hot, *cold)
        process = chance.choice(processes)
        process.save()
        if chance.random() < 0.3:
            processes.append(begin(folder, story))
        if chance.random() < 0.2:
            processes.append(assert_tells(folder, story))
    assert_tells(folder, story)
    assert len(list((folder / "runs").glob("*.run"))) == len(runs_of(folder))


# What it costs -------------------------------------------------------------------------------------------------------


def test_a_save_writes_what_changed_and_not_what_there_is(folder, story):
    process = begin(folder, story.tell(*many(5_000)))
    process.save()
    whole, before = process.disk.written, process.disk.counts["append"]
    story.tell("T-17")
    process.save()
    assert process.disk.written - whole < whole / 100
    assert process.disk.counts["append"] - before == 2
    assert_tells(folder, story)


def test_each_task_is_rewritten_as_often_as_the_logarithm_of_their_number(folder, story):
    process = begin(folder, story)
    most_runs = 0
    for start in range(0, 64 * 256, 256):
        story.tell(*many(256, start))
        process.save()
        most_runs = max(most_runs, len(runs_of(folder)))
    size = sum(path.stat().st_size for path in runs_of(folder))
    # Sixty-four times a run of the lowest level are three levels above it: written once, and merged three times.
    assert process.disk.written < 4.5 * size
    assert most_runs < FANOUT * 4


def test_tasks_that_change_all_the_time_do_not_pile_up(folder, story):
    process = begin(folder, story)
    for _ in range(50):
        story.tell(*many(300))
        process.save()
    assert sum(run["tasks"] for run in manifest_of(folder)["runs"]) < FANOUT * 300


def test_one_task_is_read_without_the_others(folder, story):
    process = begin(folder, story)
    for start in range(0, 4_000, 1_000):
        story.tell(*many(1_000, start))
        process.save()
    whole = sum(path.stat().st_size for path in runs_of(folder))
    assert len(runs_of(folder)) < FANOUT
    for name in ("T-1", "T-3999", "nobody"):
        disk = WatchedDisk()
        reader = begin(folder, story, disk=disk)
        reader.snapshots.task(name)
        assert 0 < disk.read_bytes < whole / 100


# Several processes ---------------------------------------------------------------------------------------------------


def test_who_saves_later_builds_on_what_another_saved_meanwhile(folder, story):
    """Both opened the snapshot at 10; what the second one saves of its own is on top of the first one's."""
    begin(folder, story.tell(*many(10))).save()
    first, second = begin(folder, story), begin(folder, story)
    story.tell("T-1", "T-2", "new")
    first.save()
    story.tell("T-2")
    second.save()
    assert_tells(folder, story)
    assert manifest_of(folder)["runs"][-1]["tasks"] == 1, "what the other one had saved is not written again"


def test_a_newer_snapshot_of_another_process_is_left_alone(folder, story):
    begin(folder, story.tell(*many(10))).save()
    behind, ahead = begin(folder, story), begin(folder, story)
    story.tell("T-1", "T-2", "T-3")
    ahead.save()
    data = (folder / "snapshot").read_bytes()
    with pytest.raises(OSError, match="newer"):
        behind.save(11)
    assert (folder / "snapshot").read_bytes() == data
    story.tell("T-4")
    behind.save()
    assert_tells(folder, story)


def test_nobody_waits_for_another_to_save(folder, story):
    process = begin(folder, story.tell("T-1"))
    process.save()
    fd = os.open(folder / "runs" / "lock", os.O_WRONLY)
    assert SystemDisk().try_lock(fd)
    story.tell("T-2")
    with pytest.raises(BlockingIOError):
        process.save()
    assert_tells(folder, story, 1)
    os.close(fd)
    process.save()
    assert_tells(folder, story)


def test_a_snapshot_of_another_history_is_not_built_on(folder, story):
    """The ledger was put back and went on otherwise; the process had not seen what is gone, and so missed nothing."""
    begin(folder, story.tell(*many(10))).save()
    process, other = begin(folder, story), begin(folder, story)
    story.tell("lost", "T-1", "T-2")
    other.save()
    story.cut(10)
    story.tell(*("T-5",) * 6)
    assert not story.stands(Header.unpack(manifest_of(folder)["header"]))
    process.save()
    assert_tells(folder, story)


def test_a_reader_keeps_what_it_opened(folder, story):
    """Runs that were merged away are gone by name, and still there for whoever has them open."""
    writer = begin(folder, story)
    for number in range(FANOUT - 1):
        story.tell(*many(50, 50 * number))
        writer.save()
    reader, size = begin(folder, story), len(story.names)
    opened = runs_of(folder)
    story.tell(*many(200))
    writer.save()
    assert not any(path.exists() for path in opened)
    assert reader.told() == story.states(size)
    assert reader.snapshots.task("T-149") == story.states(size)["T-149"]
    assert_tells(folder, story)


def test_a_run_that_is_merged_away_while_it_is_being_opened_is_no_damage(folder, story):
    writer = begin(folder, story)
    for number in range(FANOUT - 1):
        story.tell(*many(50, 50 * number))
        writer.save()
    story.tell(*many(200))
    disk = WatchedDisk()

    def merge(path: str) -> None:
        if path.endswith(".run"):
            disk.before_open = lambda path: None
            writer.save()

    disk.before_open = merge
    reader = Process(folder, story, disk=disk)
    assert reader.open() == story.header()
    assert reader.told() == story.states()


def test_descriptors_are_given_back(folder, story):
    process = begin(folder, story)
    before = len(os.listdir("/dev/fd"))
    for number in range(40):
        story.tell(*many(30, 30 * number))
        process.save()
    assert len(os.listdir("/dev/fd")) - before <= len(runs_of(folder))
    process.snapshots.close()
    assert len(os.listdir("/dev/fd")) == before


def test_many_threads_save_at_once_and_nothing_is_lost(folder, story):
    mutex = threading.Lock()
    begin(folder, story.tell("T-0")).save()

    def work(seed: int) -> None:
        chance = random.Random(seed)
        snapshots = Snapshots(
            str(folder), ledger=LEDGER, key=KEY, disk=SystemDisk(), entropy=SystemEntropy(), stands=story.stands
        )
        opened = snapshots.open()
        base = opened.size if opened else 0
        for _ in range(40):
            with mutex:
                story.tell(*(f"T-{chance.randrange(500)}" for _ in range(chance.randrange(40))))
                header, changed = story.header(), story.states(since=base)
            try:
                snapshots.save(header, changed)
            except BlockingIOError:
                continue
            base = header.size

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    last = begin(folder, story)
    assert last.base > len(story.names) / 2
    assert last.told() == story.states(last.base)
    last.save()
    assert_tells(folder, story)


# What is not believed ------------------------------------------------------------------------------------------------


@pytest.fixture
def saved(folder, story):
    """A snapshot of three runs, small enough to try every byte."""
    process = begin(folder, story)
    for names in (many(9), ("T-1", "T-20"), ("T-2",)):
        story.tell(*names)
        process.save()
    assert len(runs_of(folder)) == 3
    return folder


def test_every_flipped_byte_of_every_file_is_found_out(saved, story):
    for path in (saved / "snapshot", *runs_of(saved)):
        data = path.read_bytes()
        for position in range(len(data)):
            path.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
            assert rejected(saved, story), (path.name, position)
        path.write_bytes(data)
    assert_tells(saved, story)


def test_no_flipped_byte_makes_a_single_task_tell_something_else(saved, story):
    states = story.states()
    for path in runs_of(saved):
        data = path.read_bytes()
        for position in range(0, len(data), 5):
            path.write_bytes(data[:position] + bytes([data[position] ^ 0x40]) + data[position + 1 :])
            for name in ("T-1", "T-2", "T-8", "nobody"):
                process = begin(saved, story)
                try:
                    assert process.snapshots.task(name) == states.get(name), (path.name, position, name)
                except ValueError:
                    with pytest.raises(ValueError, match=r"part|code"):
                        process.snapshots.task(name)
        path.write_bytes(data)


@pytest.mark.parametrize("name", ["snapshot", "run"])
@pytest.mark.parametrize("length", [0, 1, 40, 64, 65, 200, -1])
def test_a_file_that_was_cut_is_rejected(saved, story, name, length):
    path = saved / "snapshot" if name == "snapshot" else runs_of(saved)[1]
    path.write_bytes(path.read_bytes()[:length])
    assert rejected(saved, story)


def test_a_run_of_another_length_is_found_out_at_once(saved, story):
    for change in (b"", b"xx"):
        path = runs_of(saved)[0]
        data = path.read_bytes()
        path.write_bytes(data[:-1] + change)
        with pytest.raises(ValueError, match="length"):
            Process(saved, story).open()
        path.write_bytes(data)


def test_bytes_that_never_reached_the_disk_are_found_out(saved, story):
    """What a crash leaves of a file that nobody synced: its length and zeros."""
    path = runs_of(saved)[0]
    path.write_bytes(b"\0" * path.stat().st_size)
    assert "authentication code" in rejected(saved, story)


def test_a_missing_run_is_found_out(saved, story):
    runs_of(saved)[1].unlink()
    assert "missing" in rejected(saved, story)


def test_one_run_cannot_stand_in_for_another(saved, story):
    _, old, new = runs_of(saved)
    data = old.read_bytes()
    new.write_bytes(data)
    assert rejected(saved, story)


def test_an_older_piece_cannot_stand_in_for_a_newer_one(folder, story):
    """Two runs of one task and equal length: the older state put in the newer one's place."""
    process = begin(folder, story.tell(*many(11)))
    process.save()
    for _ in range(2):
        story.tell("T-1")
        process.save()
    old, new = runs_of(folder)[1:]
    assert old.stat().st_size == new.stat().st_size
    new.write_bytes(old.read_bytes())
    assert "authentication code" in rejected(folder, story)


def test_pieces_of_one_run_cannot_change_places(tmp_path):
    tasks = [{b"a": b"1"}, {b"b": b"2"}]
    run = write_run(str(tmp_path), "0" * 32, tasks, key=KEY, disk=SystemDisk())
    data = (tmp_path / run.name).read_bytes()
    half = (len(data) - 3 * 8) // 2
    (tmp_path / run.name).write_bytes(data[half : 2 * half] + data[:half] + data[2 * half :])
    opened = OpenRun(run, str(tmp_path), key=KEY, disk=SystemDisk())
    with pytest.raises(ValueError, match="authentication code"):
        opened.piece(0)


def test_a_name_is_a_whole_name(tmp_path):
    """Not a part of one, and not a part of what is said of it."""
    run = write_run(str(tmp_path), "0" * 32, [{b"aa": b'{"t":"x y"}', b"b": b"2"}], key=KEY, disk=SystemDisk())
    opened = OpenRun(run, str(tmp_path), key=KEY, disk=SystemDisk())
    assert opened.find(b"b") == b"2"
    for name in (b"a", b"", b'aa {"t":"x', b"aa\nb", b'{"t":"x', b"2"):
        assert opened.find(name) is None


def test_a_run_that_could_not_be_written_is_removed(tmp_path):
    disk = WatchedDisk()
    disk.fail("append", short=10)
    with pytest.raises(OSError, match="Input/output"):
        write_run(str(tmp_path), "0" * 32, [{b"a": b"1"}], key=KEY, disk=disk)
    assert not list(tmp_path.iterdir())


def test_a_large_run_is_written_piece_by_piece(tmp_path):
    disk = WatchedDisk()
    tasks = [{b"T-%d" % number: b"x" * 100_000} for number in range(64)]
    run = write_run(str(tmp_path), "0" * 32, tasks, key=KEY, disk=disk)
    assert disk.counts["append"] > 4
    opened = OpenRun(run, str(tmp_path), key=KEY, disk=disk)
    assert [opened.piece(number) for number in range(64)] == tasks


@pytest.mark.parametrize("start, end", [(5, 4), (0, 1 << 62), (1 << 62, 1 << 63), (0, 0)])
def test_a_forged_table_reads_no_more_than_there_is(tmp_path, start, end):
    run = write_run(str(tmp_path), "0" * 32, [{b"a": b"1"}], key=KEY, disk=SystemDisk())
    data = (tmp_path / run.name).read_bytes()
    (tmp_path / run.name).write_bytes(data[:-16] + start.to_bytes(8) + end.to_bytes(8))
    with pytest.raises(ValueError, match="part of it"):
        OpenRun(Run(run.id, run.pieces, run.tasks, run.bytes), str(tmp_path), key=KEY, disk=SystemDisk()).find(b"a")


def test_a_forged_state_with_everything_made_to_fit_is_rejected(saved, story):
    """All but the codes, for which the key is needed."""
    guess = b"guess" * 6
    path = runs_of(saved)[2]
    data = path.read_bytes()
    table = len(data) - 16
    content = data[32:table].replace(b'"SPEC"', b'"LAST"')
    message = b"enforcer/run/v1\n%b\n0\n%b" % (path.stem.encode(), content)
    for code in (data[:32], hmac.digest(guess, message, "sha256")):
        path.write_bytes(code + content + data[table:])
        assert "authentication code" in rejected(saved, story)
    path.write_bytes(hmac.digest(KEY, message, "sha256") + content + data[table:])
    assert begin(saved, story).snapshots.task("T-2") != story.states()["T-2"], "the forgery is right but for the key"


def test_another_key_reads_nothing(saved, story):
    assert "authentication code" in rejected(saved, story, key=b"another key of thirty-two bytes!")


def test_a_snapshot_of_another_ledger_is_rejected(saved, story):
    """Under the same key, as two projects of one user could have by mistake."""
    assert "another ledger" in rejected(saved, story, ledger="f" * 32)


def test_a_snapshot_whose_line_does_not_stand_there_is_rejected(saved, story):
    story.cut(len(story.names) - 1)
    assert "does not stand there" in rejected(saved, story)


@pytest.mark.parametrize(
    "kind, changed", [(TaskState, {"new": "int"}), (TaskState, {"token": "str"}), (Streak, {"new": "int"})]
)
def test_a_snapshot_of_a_release_whose_states_have_other_fields_is_rejected(saved, story, monkeypatch, kind, changed):
    monkeypatch.setattr(kind, "written", {**kind.written, **changed})
    assert "other fields" in rejected(saved, story)


def test_an_older_snapshot_that_is_put_back_is_merely_older(folder, story, tmp_path):
    process = begin(folder, story.tell(*many(20)))
    process.save()
    shutil.copytree(folder, tmp_path / "old")
    story.tell("T-1")
    process.save()
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "old", folder)
    assert_tells(folder, story, 20)


def test_an_older_manifest_that_is_put_back_without_its_runs_is_rejected(folder, story):
    process = begin(folder, story)
    for number in range(FANOUT - 1):
        story.tell(*many(10, 10 * number))
        process.save()
    old = (folder / "snapshot").read_bytes()
    story.tell("T-1")
    process.save()
    (folder / "snapshot").write_bytes(old)
    assert "missing" in rejected(folder, story)


@pytest.mark.parametrize("content", [b"\n" * 100, b"x" * 1_000_000, b"{}\n{}\n", b"\xff\n\xff\n\xff", b"\0" * 100])
def test_rubbish_is_rejected(saved, story, content):
    (saved / "snapshot").write_bytes(content)
    assert rejected(saved, story)


@pytest.mark.parametrize("name", ["snapshot", "run"])
@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_what_is_not_a_file_is_not_followed(saved, story, tmp_path, name, kind):
    path = saved / "snapshot" if name == "snapshot" else runs_of(saved)[0]
    path.rename(tmp_path / "moved")
    if kind == "link":
        path.symlink_to(tmp_path / "moved")
    elif kind == "folder":
        path.mkdir()
    else:
        os.mkfifo(path)
    assert rejected(saved, story)


# What happens then ---------------------------------------------------------------------------------------------------


def test_after_a_rejection_everything_is_made_anew(saved, story):
    path = runs_of(saved)[0]
    path.write_bytes(b"\0" * path.stat().st_size)
    process = begin(saved, story)
    for _ in range(2):
        with pytest.raises(ValueError, match="authentication code"):
            process.snapshots.task("T-5")
    process.base = 0
    process.save()
    assert process.told() == story.states()
    assert_tells(saved, story)
    assert len(runs_of(saved)) == 1
    assert not path.exists()


def test_a_damaged_run_is_not_merged_into_a_sound_one(saved, story):
    path = runs_of(saved)[0]
    data = path.read_bytes()
    process = begin(saved, story)
    path.write_bytes(b"\0" * len(data))
    story.tell("T-8")
    with pytest.raises(ValueError, match="authentication code"):
        process.save()
    path.write_bytes(data)
    assert_tells(saved, story, len(story.names) - 1)


@pytest.mark.parametrize("what", ["all", "snapshot", "run", "edited", "older"])
def test_what_was_removed_or_damaged_meanwhile_is_made_anew_from_what_is_open(saved, story, what):
    old = (saved / "snapshot").read_bytes()
    process = begin(saved, story)
    story.tell("T-3")
    process.save()
    if what == "all":
        shutil.rmtree(saved)
    elif what == "snapshot":
        (saved / "snapshot").unlink()
    elif what == "run":
        runs_of(saved)[0].unlink()
    else:
        (saved / "snapshot").write_bytes(old if what == "older" else old[:-1])
    story.tell("T-4")
    process.save()
    assert_tells(saved, story)


def test_an_older_snapshot_that_is_put_back_meanwhile_is_not_built_on(folder, story):
    """It is valid and stands, and what changed after it was not handed over again."""
    process = begin(folder, story.tell(*many(9)))
    process.save()
    old = (folder / "snapshot").read_bytes()
    story.tell("T-3")
    process.save()
    (folder / "snapshot").write_bytes(old)
    assert_tells(folder, story, 9)
    story.tell("T-4")
    process.save()
    assert_tells(folder, story)


def test_leftovers_are_swept_and_nothing_else(saved, story):
    process = begin(saved, story)
    swept = [saved / "runs" / name for name in ("0" * 32 + ".run", "f" * 32 + ".new")]
    kept = [saved / "runs" / name for name in ("notes.txt", "0" * 31 + "g.run", "0" * 32 + ".txt", ".run")]
    for path in (*swept, *kept):
        path.write_bytes(b"x")
    story.tell("T-3")
    process.save()
    assert not any(path.exists() for path in swept)
    assert all(path.exists() for path in kept)


def test_what_cannot_be_swept_is_of_no_consequence(saved, story):
    (saved / "runs" / ("0" * 32 + ".run")).mkdir()
    process = begin(saved, story)
    story.tell("T-3")
    process.save()
    assert_tells(saved, story)


FAULTS = [
    (call, nth)
    for call, most in (("open", 8), ("append", 3), ("rename", 1), ("unlink", 4), ("read", 12))
    for nth in range(1, most + 1)
]


def about_to_merge(folder, story: Story) -> Process:
    process = begin(folder, story)
    for number in range(FANOUT - 1):
        story.tell(*many(20, 10 * number))
        process.save()
    story.tell("T-1", "T-100")
    return process


@pytest.mark.parametrize(
    "call, nth, short", [(*fault, None) for fault in FAULTS] + [("append", n, 100) for n in (1, 2, 3)]
)
def test_a_disk_that_fails_leaves_the_old_snapshot_or_the_new_one(folder, story, call, nth, short):
    process = about_to_merge(folder, story)
    before = len(story.names) - 2
    process.disk.fail(call, nth=nth, error=errno.ENOSPC, short=short)
    try:
        process.save()
        size = len(story.names)
    except (OSError, ValueError):
        size = before
    assert_tells(folder, story, size)
    again = begin(folder, story)
    again.save()
    assert_tells(folder, story)
    assert len(list((folder / "runs").glob("*"))) == len(runs_of(folder)) + 1


@pytest.mark.parametrize("call, nth", FAULTS)
def test_a_process_that_is_killed_leaves_the_old_snapshot_or_the_new_one(folder, story, call, nth):
    process = about_to_merge(folder, story)
    process.disk.killed_at = (call, process.disk.counts.get(call, 0) + nth)
    killed = False
    try:
        process.save()
    except Killed:
        killed = True
    found = begin(folder, story)
    assert found.base in (len(story.names) - 2, len(story.names))
    assert killed or found.base == len(story.names)
    assert_tells(folder, story, found.base)
    story.tell("T-3")
    found.save()
    assert_tells(folder, story)
    assert len(list((folder / "runs").glob("*"))) == len(runs_of(folder)) + 1


def test_a_table_of_random_ids_never_meets_a_file_that_is_there(folder, story):
    """Should the same random id come twice, the file that is there is not touched."""
    story.tell("T-1")
    snapshots = Snapshots(
        str(folder), ledger=LEDGER, key=KEY, disk=SystemDisk(), entropy=CountingEntropy(), stands=story.stands
    )
    snapshots.save(story.header(), story.states())
    story.tell("T-2")
    twin = Snapshots(
        str(folder), ledger=LEDGER, key=KEY, disk=SystemDisk(), entropy=CountingEntropy(), stands=story.stands
    )
    twin.open()
    with pytest.raises(FileExistsError):
        twin.save(story.header(), story.states(since=1))
    assert_tells(folder, story, 1)
