"""The ledger in files: what it does with damage, with a disk that fails, and with others who write at the same time."""

from __future__ import annotations

import errno
import gc
import os
import signal
import subprocess
import sys
import threading

import pytest

from enforcer.errors import DamagedError, EnforcerError, RequestError, UnavailableError
from enforcer.ledger.entry import format_event
from enforcer.ledger.files import FIRST_SEGMENT, FileLedger, create
from enforcer.ports import SystemClock, SystemDisk, SystemEntropy
from tests.faults import CountingEntropy, FaultyDisk, ManualClock
from tests.ledger.conformance import append, fill, refused
from tests.ledger.histories import ID, IDENTITY, opened
from tests.sources import ROOT


@pytest.fixture
def folder(tmp_path):
    create(str(tmp_path / "ledger"), IDENTITY, disk=SystemDisk(), entropy=CountingEntropy())
    return tmp_path / "ledger"


@pytest.fixture
def segment(folder):
    return folder / "seg" / FIRST_SEGMENT


@pytest.fixture
def ledgers(folder):
    """Makes instances over one folder, and closes them."""
    made: list[FileLedger] = []

    def make(disk=None, clock=None):
        made.append(
            FileLedger(
                str(folder),
                disk=disk or SystemDisk(),
                clock=clock or ManualClock(),
                entropy=CountingEntropy(len(made)),
                cache_key=None,
            )
        )
        return made[-1]

    yield make
    for ledger in made:
        ledger.close()


def fault(call, *args, **named) -> EnforcerError:
    with pytest.raises(EnforcerError) as caught:
        call(*args, **named)
    return caught.value


def open_writing(ledger) -> None:
    with ledger.writing():
        pass


# Several instances


def test_what_one_instance_wrote_the_other_sees_after_catching_up(ledgers):
    one, two = ledgers(), ledgers()
    append(one, opened())
    assert two.head.size == 0
    two.catch_up()
    assert (two.head, two.task("T")) == (one.head, one.task("T"))

    append(two, refused(1), key=".1")
    append(two, opened("U"), task="U")
    one.catch_up()
    assert one.head == two.head
    assert list(one.tasks()) == list(two.tasks())


def test_the_lock_brings_a_writer_up_to_date(ledgers):
    """Two instances that take turns never look at the tail themselves, and the chain holds nevertheless."""
    one, two = ledgers(), ledgers()
    append(one, opened())
    for number in range(10):
        append((two, one)[number % 2], refused(number), key=f".{number}")
    assert list(ledgers().entries()) == []
    fresh = ledgers()
    fresh.catch_up()
    assert fresh.head.size == 11


def test_eight_processes_that_append_at_once_keep_the_chain(folder, ledgers):
    append(ledgers(), opened())
    script = (
        "import sys\n"
        "from enforcer.ledger.files import FileLedger\n"
        "from enforcer.ports import SystemClock, SystemDisk, SystemEntropy\n"
        "from tests.ledger.conformance import append, refused\n"
        "disk, clock, entropy = SystemDisk(), SystemClock(), SystemEntropy()\n"
        "ledger = FileLedger(sys.argv[1], disk=disk, clock=clock, entropy=entropy, cache_key=None)\n"
        "for number in range(25):\n"
        "    place = append(ledger, refused(number, actor='w' + sys.argv[2]), key=f'{sys.argv[2]}-{number}')\n"
        "    ledger.sync()\n"
        "    print(place.seq, place.hash)\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(folder), str(number)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(8)
    ]
    acknowledged = [line.split() for process in processes for line in process.communicate()[0].splitlines()]

    assert [process.returncode for process in processes] == [0] * 8
    fresh = ledgers()
    fresh.catch_up()
    assert fresh.head.size == 201
    assert {(entry.seq, entry.hash) for entry in fresh.entries(1)} == {(int(seq), leaf) for seq, leaf in acknowledged}


def test_a_writer_waits_for_the_lock_of_another(folder, ledgers):
    one, two, done = ledgers(), ledgers(), []
    with one.writing():
        thread = threading.Thread(target=lambda: done.append(append(two, refused(1), key=".1").seq))
        data = format_event(opened(), task="T", key=".k", source=IDENTITY.origin)
        thread.start()
        one.append(opened(), data, task="T", key=".k")
        assert done == []
    thread.join()
    assert done == [1]


def test_a_reader_goes_on_while_another_thread_begins_to_write(ledgers):
    """Beginning to write opens the segment anew; whoever was reading through the old descriptor is not disturbed."""
    fill(ledgers(), 30)
    ledger = ledgers()
    ledger.catch_up()
    entries = ledger.entries()
    assert next(entries).seq == 0
    append(ledger, refused(1), key=".x")
    assert [entry.seq for entry in entries][:29] == list(range(1, 30))


# Damage


def test_a_tail_cut_at_a_line_is_a_shorter_ledger(segment, ledgers):
    fill(ledgers(), 4)
    lines = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(b"".join(lines[:3]))
    ledger = ledgers()
    ledger.catch_up()
    assert ledger.head.size == 3


@pytest.mark.parametrize("number", [0, 1, 4])
@pytest.mark.parametrize("damage", ["flipped", "emptied", "removed", "repeated", "swapped", "foreign"])
def test_damage_anywhere_is_refused_with_its_position(segment, ledgers, number, damage):
    fill(ledgers(), 6)
    lines = segment.read_bytes().splitlines(keepends=True)
    start = len(b"".join(lines[:number]))
    if damage == "flipped":
        lines[number] = lines[number].replace(b'"v":1', b'"v":3')
    elif damage == "emptied":
        lines[number] = b"\n"
    elif damage == "removed":
        del lines[number]
    elif damage == "repeated":
        lines.insert(number, lines[number])
        start = len(b"".join(lines[: number + 1]))
    elif damage == "swapped":
        lines[number : number + 2] = lines[number + 1], lines[number]
    else:
        lines[number] = lines[number].replace(ID.encode(), b"f" * 32)
    segment.write_bytes(b"".join(lines))
    before = segment.read_bytes()

    for ledger in (ledgers(), ledgers()):
        error = fault(ledger.catch_up)
        assert isinstance(error, DamagedError)
        assert error.code.startswith("ledger_")
        assert f"byte {start}," in error.where
        assert isinstance(fault(append, ledger, refused(1), key=".x"), DamagedError)
    assert segment.read_bytes() == before


def test_an_illegal_jump_is_not_read_over(segment, ledgers):
    """A line whose chain is perfect, about a task that nobody opened."""
    ledger = ledgers()
    append(ledger, opened())
    append(ledger, opened("U"), task="U")
    line = segment.read_bytes().splitlines(keepends=True)
    forged = line[1].replace(b"task.opened", b"lease.claimed")
    segment.write_bytes(line[0] + forged)
    assert fault(ledgers().catch_up).code in ("ledger_malformed", "ledger_illegal", "ledger_unknown_event")


def test_a_segment_cut_below_what_was_read_is_damage(segment, ledgers):
    ledger = ledgers()
    fill(ledger, 6)
    whole = segment.read_bytes()
    segment.write_bytes(whole[: whole.index(b"\n") + 1])

    error = fault(ledger.catch_up)
    assert (type(error), error.code) == (DamagedError, "ledger_cut")
    assert fault(open_writing, ledger).code == "ledger_cut"
    assert fault(lambda: list(ledger.entries())).code == "ledger_cut"


@pytest.mark.parametrize("kind", ["missing", "link", "folder", "pipe"])
def test_a_segment_that_is_not_a_file_is_no_ledger(folder, segment, ledgers, kind):
    append(ledgers(), opened())
    moved = folder / "elsewhere"
    segment.rename(moved)
    if kind == "link":
        segment.symlink_to(moved)
    elif kind == "folder":
        segment.mkdir()
    elif kind == "pipe":
        os.mkfifo(segment)
    ledger = ledgers()
    assert isinstance(fault(ledger.catch_up), UnavailableError)
    assert isinstance(fault(open_writing, ledger), UnavailableError)


def test_a_lock_that_is_a_link_is_not_followed(folder, tmp_path, ledgers):
    (folder / "lock").unlink()
    (folder / "lock").symlink_to(tmp_path / "planted")
    assert fault(append, ledgers(), opened()).code == "ledger_not_writable"
    assert not (tmp_path / "planted").exists()


# The description


def test_a_missing_description_is_a_missing_ledger(folder, ledgers):
    append(ledgers(), opened())
    (folder / "ledger.json").unlink()
    error = fault(ledgers)
    assert (type(error), error.code) == (UnavailableError, "ledger_missing")


@pytest.mark.parametrize(
    "data, code",
    [
        (IDENTITY.data().replace(b"ledger/v1", b"ledger/v2"), "ledger_unknown_format"),
        (IDENTITY.data() + b"\n", "ledger_identity_damaged"),
        (IDENTITY.data()[:-1], "ledger_identity_damaged"),
        (IDENTITY.data()[:-9], "ledger_identity_damaged"),
        (b"", "ledger_identity_damaged"),
        (b"\xff", "ledger_identity_damaged"),
        (b"[]", "ledger_identity_damaged"),
        (b'{"format":"enforcer/ledger/v1"}\n', "ledger_identity_damaged"),
        (IDENTITY.replace(id="x" * 32, origin="enforcer/" + "x" * 32).data(), "ledger_identity_damaged"),
        (IDENTITY.replace(origin="enforcer/" + "0" * 32).data(), "ledger_identity_damaged"),
        (IDENTITY.data().replace(b"null", b"7"), "ledger_identity_damaged"),
    ],
    ids=str,
)
def test_a_description_of_another_format_or_damaged_is_refused(folder, ledgers, data, code):
    (folder / "ledger.json").write_bytes(data)
    error = fault(ledgers)
    assert (type(error), error.code) == (DamagedError, code)


def test_a_second_beginning_is_refused_and_changes_nothing(folder, ledgers):
    append(ledgers(), opened())
    other = IDENTITY.replace(id="f" * 32, origin="enforcer/" + "f" * 32)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(RequestError, match="ledger_exists"):
        create(str(folder), other, disk=SystemDisk(), entropy=CountingEntropy())
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_ledger_without_its_description_is_not_begun_anew(folder, ledgers):
    append(ledgers(), opened())
    (folder / "ledger.json").unlink()
    with pytest.raises(RequestError, match="ledger_exists"):
        create(str(folder), IDENTITY, disk=SystemDisk(), entropy=CountingEntropy())
    assert not (folder / "ledger.json").exists()


def test_of_many_beginnings_at_once_one_counts(tmp_path):
    barrier, outcomes = threading.Barrier(8), []

    def begin(number: int) -> None:
        name = f"{number:032x}"
        barrier.wait()
        try:
            create(
                str(tmp_path / "ledger"),
                IDENTITY.replace(id=name, origin=f"enforcer/{name}"),
                disk=SystemDisk(),
                entropy=SystemEntropy(),
            )
            outcomes.append(name)
        except RequestError as error:
            outcomes.append(error.code)

    threads = [threading.Thread(target=begin, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    [winner] = [outcome for outcome in outcomes if outcome != "ledger_exists"]
    assert len(outcomes) == 8
    assert winner.encode() in (tmp_path / "ledger" / "ledger.json").read_bytes()


def test_a_lock_that_cannot_be_taken_is_said_to_be_unavailable(tmp_path, folder, ledgers):
    disk = FaultyDisk()
    disk.fail("lock", error=errno.ENOLCK)
    error = fault(create, str(tmp_path / "new"), IDENTITY, disk=disk, entropy=CountingEntropy())
    assert (type(error), error.code) == (UnavailableError, "ledger_not_lockable")

    ledger = ledgers(disk)
    disk.fail("lock", error=errno.ENOLCK)
    error = fault(append, ledger, opened())
    assert (type(error), error.code) == (UnavailableError, "ledger_not_lockable")
    append(ledger, opened())


def test_a_ledger_that_nobody_closed_gives_back_its_descriptors(folder):
    class Counted(SystemDisk):
        opened = 0

        def open(self, path, flags, mode=0o644):
            self.opened += 1
            return super().open(path, flags, mode)

        def close(self, fd):
            self.opened -= 1
            super().close(fd)

    disk = Counted()
    ledger = FileLedger(str(folder), disk=disk, clock=ManualClock(), entropy=CountingEntropy(), cache_key=None)
    append(ledger, opened())
    ledger.sync()
    assert disk.opened == 3
    del ledger
    gc.collect()
    assert disk.opened == 0


def test_a_beginning_that_fails_half_way_can_be_repeated(tmp_path):
    for call in ("sync", "sync_folder", "rename", "lock", "append", "open"):
        for nth in range(1, 8):
            folder = str(tmp_path / f"{call}-{nth}")
            disk = FaultyDisk()
            disk.fail(call, nth=nth)
            try:
                create(folder, IDENTITY, disk=disk, entropy=CountingEntropy())
            except (OSError, UnavailableError):
                if not os.path.exists(f"{folder}/ledger.json"):
                    create(folder, IDENTITY, disk=SystemDisk(), entropy=CountingEntropy())
            ledger = FileLedger(
                folder, disk=SystemDisk(), clock=ManualClock(), entropy=CountingEntropy(), cache_key=None
            )
            append(ledger, opened())
            assert ledger.head.size == 1, (call, nth)
            ledger.close()


# Disks that fail


def test_after_a_failed_append_nothing_more_is_written_under_the_same_lock(segment, ledgers):
    disk = FaultyDisk()
    ledger = ledgers(disk)
    append(ledger, opened())
    data = format_event(refused(1), task="T", key=".1", source=IDENTITY.origin)
    disk.fail("append", short=0)
    with ledger.writing():
        assert fault(ledger.append, refused(1), data, task="T", key=".1").code == "append_failed"
        assert fault(ledger.append, refused(1), data, task="T", key=".1").code == "ledger_poisoned"
    assert len(segment.read_bytes().splitlines()) == 1


def test_one_sync_serves_every_entry_that_stands(ledgers):
    disk = FaultyDisk()
    ledger = ledgers(disk)
    fill(ledger, 10)
    ledger.sync()
    ledger.sync()
    assert disk.counts["datasync"] == 1


def test_a_fresh_instance_syncs_what_others_may_not_have(ledgers):
    """A repeated answer vouches for an entry whose writer may have died before its own sync."""
    append(ledgers(), opened())
    disk = FaultyDisk()
    other = ledgers(disk)
    other.catch_up()
    other.sync()
    assert disk.counts["datasync"] == 1


def test_an_append_is_one_write_and_the_lock_is_taken_first(ledgers):
    disk = FaultyDisk()
    ledger = ledgers(disk)
    append(ledger, opened())
    assert (disk.counts["append"], disk.counts["lock"]) == (1, 1)


@pytest.mark.parametrize("call", ["lock", "open", "read"])
def test_a_disk_that_gives_no_answer_is_an_error_with_a_code(ledgers, call):
    append(ledgers(), opened())
    disk = FaultyDisk()
    ledger = ledgers(disk)
    disk.fail(call)
    assert isinstance(fault(append, ledger, refused(1), key=".1"), UnavailableError)
    assert append(ledger, refused(1), key=".1").seq == 1


def test_a_write_that_the_system_cuts_short_is_an_error(folder, segment):
    """A real limit on the size of files, at every byte of the line: what is left is a torn tail or the old ledger."""
    script = (
        "import resource, signal, sys\n"
        "from enforcer.errors import UnavailableError\n"
        "from enforcer.ledger.files import FileLedger\n"
        "from enforcer.ports import SystemDisk, SystemEntropy\n"
        "from tests.faults import ManualClock\n"
        "from tests.ledger.conformance import append, refused\n"
        "from tests.ledger.histories import opened\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "ports = {'disk': SystemDisk(), 'clock': ManualClock(), 'entropy': SystemEntropy()}\n"
        "new = lambda: FileLedger(sys.argv[1], **ports, cache_key=None)\n"
        "append(new(), opened())\n"
        "path = sys.argv[1] + '/seg/' + '0' * 20 + '.jsonl'\n"
        "whole = open(path, 'rb').read()\n"
        "for room in range(0, 300, 23):\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + room, resource.RLIM_INFINITY))\n"
        "    try:\n"
        "        append(new(), refused(1), key='.1')\n"
        "    except UnavailableError as error:\n"
        "        assert error.code == 'append_failed', error\n"
        "    else:\n"
        "        raise SystemExit('a short write was acknowledged')\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
        "    assert open(path, 'rb').read()[:len(whole)] == whole\n"
        "    open(path, 'r+b').truncate(len(whole))\n"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)], cwd=ROOT, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_a_process_killed_at_any_time_leaves_a_prefix_of_what_it_was_told(folder, ledgers):
    """Acknowledged entries are all there, and at most one more."""
    script = (
        "import sys\n"
        "from enforcer.ledger.files import FileLedger\n"
        "from enforcer.ports import SystemClock, SystemDisk, SystemEntropy\n"
        "from tests.ledger.conformance import append, refused\n"
        "from tests.ledger.histories import opened\n"
        "disk, clock, entropy = SystemDisk(), SystemClock(), SystemEntropy()\n"
        "ledger = FileLedger(sys.argv[1], disk=disk, clock=clock, entropy=entropy, cache_key=None)\n"
        "ledger.catch_up()\n"
        "ledger.task('T') or append(ledger, opened())\n"
        "while True:\n"
        "    print(append(ledger, refused(ledger.head.size), key='.%d' % ledger.head.size).seq, flush=True)\n"
        "    ledger.sync()\n"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    for rounds in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(folder)], cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        seen = [int(process.stdout.readline()) for _ in range(5 + rounds * 7)]
        process.send_signal(signal.SIGKILL)
        seen += [int(line) for line in process.communicate()[0].splitlines() if line]
        fresh = ledgers(clock=SystemClock())
        fresh.catch_up()
        assert seen[-1] < fresh.head.size <= seen[-1] + 2


# Folders that may not be written


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_folder_is_read_and_not_written(folder, segment, ledgers):
    fill(ledgers(), 3)
    segment.chmod(0o444)
    folder.chmod(0o555)
    ledger = ledgers()
    ledger.catch_up()
    assert ledger.head.size == 3
    assert fault(append, ledger, refused(1), key=".1").code == "ledger_not_writable"
    folder.chmod(0o755)


def test_a_disk_that_is_read_only_is_read_and_not_written(ledgers):
    """As a read-only mount answers, which binds root as well."""

    class ReadOnly(SystemDisk):
        def open(self, path: str, flags: int, mode: int = 0o644) -> int:
            if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
            return super().open(path, flags, mode)

    fill(ledgers(), 3)
    ledger = ledgers(ReadOnly())
    ledger.catch_up()
    assert [entry.seq for entry in ledger.entries()] == [0, 1, 2]
    assert fault(append, ledger, refused(1), key=".1").code == "ledger_not_writable"
    ledger.save_caches()


def test_no_descriptor_stays_open(ledgers):
    gc.collect()  # What other tests have left open is not to be closed in between.
    before = len(os.listdir("/dev/fd"))
    for _ in range(5):
        ledger = ledgers()
        ledger.catch_up()
        append(ledger, opened() if not ledger.task("T") else refused(1), key=".1")
        list(ledger.entries())
        ledger.close()
        ledger.close()
    assert len(os.listdir("/dev/fd")) == before
