"""What a worker may plant in the evidence folder, and that only plain files of its own are ever read."""

from __future__ import annotations

import hashlib
import os
import random
import socket
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path

import pytest

from enforcer.errors import RequestError, UnavailableError
from enforcer.evidence.folder import Entry, File, Folder, Limits

SECRET = b"a file outside the folder"


@pytest.fixture
def root(tmp_path):
    return tmp_path / "state" / "evidence"


@pytest.fixture
def phase(root):
    made = root / "T-1" / "spec"
    made.mkdir(parents=True)
    return made


@pytest.fixture
def outside(tmp_path):
    made = tmp_path / "outside"
    made.mkdir()
    (made / "spec.md").write_bytes(SECRET)
    return made


@pytest.fixture(autouse=True)
def no_descriptor_stays_open():
    before = len(os.listdir("/dev/fd"))
    yield
    assert len(os.listdir("/dev/fd")) == before


def read(root, name="spec.md", limits=None):
    """The file and the problem of reading one name; one of the two is None."""
    files, problems = Folder(str(root), limits).read("T-1", "SPEC", [name])
    assert len(files) + len(problems) == 1
    assert all(problem.name == name and problem.message.isprintable() and problem.fix for problem in problems)
    return files.get(name), problems[0] if problems else None


def unsafe(root, name="spec.md", limits=None) -> str:
    file, problem = read(root, name, limits)
    assert file is None
    assert problem.code == "evidence_unsafe"
    return problem.message


# Honest files


@pytest.mark.parametrize("data", [b"", b"x", b"\x00\xff" * 1000, os.urandom(300_000)], ids=len)
def test_the_bytes_read_are_the_bytes_digested(root, phase, data):
    (phase / "spec.md").write_bytes(data)
    file, _ = read(root)
    assert file == File("spec.md", data, hashlib.sha256(data).hexdigest(), len(data))


def test_files_and_problems_come_together_in_the_order_asked_for(root, phase):
    for name in ("a", "c"):
        (phase / name).write_text(name)
    files, problems = Folder(str(root)).read("T-1", "spec", ["c", "b", "a", "../a", "c"])
    assert list(files) == ["c", "a"]
    assert [(problem.name, problem.code) for problem in problems] == [
        ("b", "evidence_missing"),
        ("../a", "evidence_unsafe"),
    ]


@pytest.mark.parametrize("depth", [0, 1, 2, 3])
def test_whatever_part_of_the_path_is_missing_the_evidence_is_missing(root, depth):
    root.joinpath(*("T-1", "spec")[: max(depth - 1, 0)]).mkdir(parents=True) if depth else None
    _, problem = read(root)
    assert problem.code == "evidence_missing"
    assert "state/evidence/T-1/spec/spec.md" in problem.message


# Links


def test_a_symlinked_file_is_not_followed(root, phase, outside):
    (phase / "spec.md").symlink_to(outside / "spec.md")
    assert "symbolic link" in unsafe(root)


def test_a_dangling_symlink_is_unsafe_and_not_missing(root, phase):
    (phase / "spec.md").symlink_to("nowhere")
    assert "symbolic link" in unsafe(root)


def test_a_symlink_to_a_neighbour_is_not_followed_either(root, phase):
    (phase / "real.md").write_text("x")
    (phase / "spec.md").symlink_to("real.md")
    assert "symbolic link" in unsafe(root)


@pytest.mark.parametrize("parts", [("T-1", "spec"), ("T-1",), ()], ids=["phase", "task", "evidence"])
def test_a_symlinked_folder_is_not_followed(root, outside, parts):
    target = outside.joinpath(*("T-1", "spec")[len(parts) :])
    target.mkdir(parents=True, exist_ok=True)
    (target / "spec.md").write_bytes(SECRET)
    link = root.joinpath(*parts)
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(outside, target_is_directory=True)
    assert "symbolic link" in unsafe(root)


@pytest.mark.parametrize("parts", [("T-1", "spec"), ("T-1",), ()], ids=["phase", "task", "evidence"])
def test_a_file_in_place_of_a_folder_is_unsafe(root, parts):
    place = root.joinpath(*parts)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("x")
    assert "is a file" in unsafe(root)


def test_a_hard_link_is_refused(root, phase, outside):
    os.link(outside / "spec.md", phase / "spec.md")
    assert "2 links" in unsafe(root)


# Things that are not files


def test_a_named_pipe_is_refused_without_waiting_for_its_writer(root, phase):
    os.mkfifo(phase / "spec.md")
    assert "named pipe" in unsafe(root)


def test_a_socket_is_refused(root, phase, monkeypatch):
    monkeypatch.chdir(phase)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("spec.md")
        assert "socket" in unsafe(root)


def test_a_folder_in_place_of_a_file_is_refused(root, phase):
    (phase / "spec.md").mkdir()
    assert "is a folder" in unsafe(root)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a device")
def test_a_device_is_refused(root, phase):
    try:
        os.mknod(phase / "spec.md", 0o666 | 0o020000, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("this container may not make a device")
    # Where devices are not allowed on this file system, the open fails, which is refused as well.
    assert "device" in unsafe(root) or "may not be read" in unsafe(root)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("parts", [("spec.md",), ()], ids=["file", "folder"])
def test_what_this_user_may_not_read_is_refused(root, phase, parts):
    (phase / "spec.md").write_text("x")
    place = phase.joinpath(*parts)
    place.chmod(0)
    try:
        assert "may not be read" in unsafe(root)
    finally:
        place.chmod(0o700)


# Sizes and counts


def test_a_sparse_terabyte_is_refused_by_its_size_and_not_read(root, phase):
    with open(phase / "spec.md", "wb") as file:
        try:
            file.truncate(1 << 40)
        except OSError:
            pytest.skip("this file system has no files of that size")
    tracemalloc.start()
    assert "limit" in unsafe(root)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_a_file_may_be_as_large_as_the_limit_and_no_larger(root, phase):
    limits = Limits(file_bytes=100)
    (phase / "spec.md").write_bytes(b"x" * 100)
    assert read(root, limits=limits)[0].size == 100
    (phase / "spec.md").write_bytes(b"x" * 101)
    assert "101 bytes" in unsafe(root, limits=limits)


def test_files_share_one_limit_of_bytes(root, phase):
    for name in "abc":
        (phase / name).write_bytes(b"x" * 40)
    files, problems = Folder(str(root), Limits(total_bytes=100)).read("T-1", "spec", "abc")
    assert list(files) == ["a", "b"]
    assert [(problem.name, problem.code) for problem in problems] == [("c", "evidence_unsafe")]


def test_the_number_of_files_is_limited(root, phase):
    for name in "abc":
        (phase / name).write_bytes(b"x")
    files, problems = Folder(str(root), Limits(files=2)).read("T-1", "spec", "abc")
    assert list(files) == ["a", "b"]
    assert [(problem.name, problem.code) for problem in problems] == [("c", "evidence_unsafe")]


# Names


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", ".hidden", "-rf", "a/b", "../spec.md", "/etc/passwd", "spec.md/", "a b", "a\\b", "x" * 129),
        *("a\x00b", "a\nb", "a\n", "\x1b[31m", "é", "a\u202eb", "\uff0e\uff0e", "\ud800"),
    ],
    ids=ascii,
)
def test_a_name_outside_the_pattern_is_refused_and_escaped(root, phase, name):
    assert unsafe(root, name).isascii()
    with pytest.raises(RequestError) as caught:
        Folder(str(root)).write("T-1", "spec", name, b"")
    assert caught.value.code == "name_invalid"
    assert os.listdir(phase) == []


@pytest.mark.parametrize("part", ["..", "a/b", "", ".", "\u212a", "\x1b[0m"], ids=ascii)
def test_a_task_or_phase_outside_the_pattern_is_the_callers_mistake(root, phase, part):
    for task, name in ((part, "spec"), ("T-1", part)):
        with pytest.raises(RequestError) as caught:
            Folder(str(root)).read(task, name, ["spec.md"])
        assert caught.value.message.isascii()
    if part:
        with pytest.raises(RequestError):
            Folder(str(root)).listing("T-1", part)


def test_the_longest_name_is_read(root, phase):
    (phase / ("x" * 128)).write_bytes(b"x")
    assert read(root, "x" * 128)[0].data == b"x"


def test_unrelated_files_do_not_matter_and_the_listing_is_bounded(root, phase):
    for number in range(10_001):
        (phase / f"{number}.txt").touch()
    (phase / "spec.md").write_bytes(b"x")
    assert read(root)[0].data == b"x"
    entries, problems = Folder(str(root)).listing("T-1", "spec")
    assert len(entries) == 10_000
    assert "more than 10000" in problems[0].message


# Changes while reading


def test_a_file_swapped_for_a_link_never_yields_bytes_from_outside(root, phase, outside):
    honest = b"honest evidence"
    stop = threading.Event()
    chance = random.Random(8)

    def swap() -> None:
        new = phase / "new"
        while not stop.is_set():
            if chance.random() < 0.5:
                new.write_bytes(honest)
            elif chance.random() < 0.5:
                new.symlink_to(outside / "spec.md")
            else:
                os.link(outside / "spec.md", new)
            os.replace(new, phase / "spec.md")
            # Renaming one link of a file onto another does nothing and leaves both.
            new.unlink(missing_ok=True)

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        answers = [read(root) for _ in range(3000)]
    finally:
        stop.set()
        swapper.join()
    digests = {file.digest for file, _ in answers if file}
    assert digests == {hashlib.sha256(honest).hexdigest()}
    assert any(problem and problem.code == "evidence_unsafe" for _, problem in answers)


def test_a_folder_swapped_for_a_link_never_yields_bytes_from_outside(root, phase, outside):
    (phase / "spec.md").write_bytes(b"honest")
    stop = threading.Event()

    def swap() -> None:
        aside = phase.with_name("aside")
        while not stop.is_set():
            phase.rename(aside)
            phase.symlink_to(outside)
            phase.unlink()
            aside.rename(phase)

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        answers = [read(root) for _ in range(2000)]
    finally:
        stop.set()
        swapper.join()
    assert {file.data for file, _ in answers if file} <= {b"honest"}
    assert {problem.code for _, problem in answers if problem} <= {"evidence_missing", "evidence_unsafe"}


@pytest.mark.parametrize("change", ["grow", "shrink", "rewrite"])
def test_a_file_that_changes_while_it_is_read_is_unsafe(root, phase, monkeypatch, change):
    path = phase / "spec.md"
    path.write_bytes(b"0123456789")
    real_read = os.read

    def read_after_change(fd, size):
        if change == "grow":
            path.write_bytes(b"0123456789+")
        elif change == "shrink":
            path.write_bytes(b"0123")
        data = real_read(fd, size)
        if change == "rewrite":
            os.utime(path, ns=(1, 1))
        return data

    with monkeypatch.context() as patched:
        patched.setattr(os, "read", read_after_change)
        assert "changed while it was read" in unsafe(root)


def test_a_read_in_small_pieces_is_whole(root, phase, monkeypatch):
    (phase / "spec.md").write_bytes(b"0123456789")
    real_read = os.read
    with monkeypatch.context() as patched:
        patched.setattr(os, "read", lambda fd, size: real_read(fd, min(size, 3)))
        assert read(root)[0].data == b"0123456789"


def test_a_disk_that_fails_is_no_answer_about_the_evidence(root, phase, monkeypatch):
    (phase / "spec.md").write_bytes(b"x")

    def fail(fd, size):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "read", fail)
        with pytest.raises(UnavailableError) as caught:
            Folder(str(root)).read("T-1", "spec", ["spec.md"])
    assert caught.value.code == "evidence_unreadable"


# Writing and listing


def test_what_is_written_is_read_back(root):
    folder = Folder(str(root))
    root.parent.mkdir()
    folder.write("T-1", "SPEC", "spec.md", b"first")
    folder.write("T-1", "spec", "spec.md", b"second")
    assert folder.read("T-1", "Spec", ["spec.md"])[0]["spec.md"].data == b"second"
    assert os.listdir(root / "T-1" / "spec") == ["spec.md"]


@pytest.mark.parametrize("parts", [("T-1", "spec"), ("T-1",), ()], ids=["phase", "task", "evidence"])
def test_writing_goes_through_no_symlinked_folder(root, outside, parts):
    link = root.joinpath(*parts)
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(outside, target_is_directory=True)
    with pytest.raises(UnavailableError) as caught:
        Folder(str(root)).write("T-1", "spec", "spec.md", b"new")
    assert caught.value.code == "evidence_unwritable"
    assert sorted(os.listdir(outside)) == ["spec.md"]


@pytest.mark.parametrize("hard", [False, True], ids=["symlink", "hard link"])
def test_writing_replaces_a_link_and_not_what_it_names(root, phase, outside, hard):
    if hard:
        os.link(outside / "spec.md", phase / "spec.md")
    else:
        (phase / "spec.md").symlink_to(outside / "spec.md")
    Folder(str(root)).write("T-1", "spec", "spec.md", b"new")
    assert (outside / "spec.md").read_bytes() == SECRET
    assert read(root)[0].data == b"new"


def test_a_folder_in_the_way_of_a_file_is_reported_and_nothing_left_behind(root, phase):
    (phase / "spec.md").mkdir()
    with pytest.raises(UnavailableError) as caught:
        Folder(str(root)).write("T-1", "spec", "spec.md", b"new")
    assert caught.value.where == "state/evidence/T-1/spec/spec.md"
    assert os.listdir(phase) == ["spec.md"]


def test_more_than_would_be_read_is_not_written(root):
    with pytest.raises(RequestError) as caught:
        Folder(str(root), Limits(file_bytes=3)).write("T-1", "spec", "spec.md", b"1234")
    assert caught.value.code == "evidence_too_large"


def test_the_listing_tells_kinds_and_shows_every_level(root, phase, outside):
    (phase / "a").touch()
    (phase / "b").symlink_to("a")
    os.mkfifo(phase / "c")
    (phase / "d").mkdir()
    (root / "link").symlink_to(outside)
    (root / "not a task").mkdir()
    folder = Folder(str(root))
    kinds = (Entry("a", "file"), Entry("b", "symlink"), Entry("c", "other"), Entry("d", "folder"))
    assert folder.listing("T-1", "SPEC") == (kinds, ())
    assert folder.listing("T-1") == ((Entry("spec", "folder"),), ())
    assert folder.listing("T-2", "spec") == ((), ())
    assert folder.tasks() == ("T-1",)


def test_a_symlinked_folder_is_not_listed(root, outside):
    root.mkdir(parents=True)
    (root / "T-1").symlink_to(outside, target_is_directory=True)
    entries, problems = Folder(str(root)).listing("T-1")
    assert (entries, problems[0].code) == ((), "evidence_unsafe")


def test_the_module_is_light():
    heavy = {"typing", "pathlib", "tempfile", "shutil", "subprocess", "dataclasses", "logging", "random"}
    code = "import sys, enforcer.evidence.folder; print(*sys.modules)"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=root, capture_output=True, text=True, timeout=30)
    assert "enforcer.evidence.folder" in done.stdout.split()
    assert not heavy & set(done.stdout.split())
