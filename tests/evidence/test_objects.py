"""Stored objects are the bytes of their digest, durable before anything names them, whatever stands in their place."""

from __future__ import annotations

import errno
import hashlib
import os

import pytest

from enforcer.errors import DamagedError, RequestError, UnavailableError
from enforcer.evidence import objects as module
from enforcer.evidence.objects import Objects
from enforcer.ports import SystemDisk, SystemEntropy

DATA = b"what was judged"
DIGEST = hashlib.sha256(DATA).hexdigest()


class RecordingDisk(SystemDisk):
    """The real disk, with a journal of what was asked of it, and a fault at the call of one's choice."""

    def __init__(self, fail: str = "", error: int = errno.EIO) -> None:
        self.calls: list[tuple[str, str]] = []
        self.paths: dict[int, str] = {}
        self.fail = fail
        self.error = error

    def _note(self, call: str, path: str) -> None:
        self.calls.append((call, os.path.basename(path)))
        if call == self.fail:
            raise OSError(self.error, os.strerror(self.error), path)

    def open(self, path: str, flags: int, mode: int = 0o644) -> int:
        self._note("open", path)
        fd = super().open(path, flags, mode)
        self.paths[fd] = path
        return fd

    def append(self, fd: int, data: bytes) -> None:
        self._note("append", self.paths[fd])
        super().append(fd, data)

    def sync(self, fd: int) -> None:
        self._note("sync", self.paths[fd])
        super().sync(fd)

    def rename(self, source: str, target: str) -> None:
        self._note("rename", target)
        super().rename(source, target)

    def sync_folder(self, path: str) -> None:
        self._note("sync_folder", path)
        super().sync_folder(path)


@pytest.fixture
def root(tmp_path):
    return tmp_path / "objects"


def store(root, disk=None) -> Objects:
    return Objects(str(root), disk or SystemDisk(), SystemEntropy())


def place(root, digest=DIGEST):
    path = root / digest[:2] / digest[2:]
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


@pytest.fixture(autouse=True)
def no_descriptor_stays_open():
    before = len(os.listdir("/dev/fd"))
    yield
    assert len(os.listdir("/dev/fd")) == before


@pytest.mark.parametrize("data", [b"", DATA, bytes(range(256)) * 9000], ids=len)
def test_what_is_stored_is_read_back_by_another_process(root, data):
    digest = store(root).put(data)
    assert digest == hashlib.sha256(data).hexdigest()
    assert store(root).get(digest) == data
    assert store(root).has(digest)
    assert list(store(root).names()) == [digest]


def test_objects_stored_together_keep_their_order_and_equal_ones_share_a_file(root):
    many = [b"b", b"a", b"b", b"c"]
    objects = store(root)
    digests = objects.put_many(many)
    assert [objects.get(digest) for digest in digests] == many
    assert list(objects.names()) == sorted(set(digests))
    assert objects.put_many([]) == []


def test_an_object_is_synced_then_named_then_its_name_is_synced(root):
    disk = RecordingDisk()
    store(root, disk).put(DATA)
    steps = [call for call, _ in disk.calls if call in ("append", "sync", "rename")]
    assert steps == ["append", "sync", "rename"]
    assert disk.calls[-1] == ("sync_folder", DIGEST[:2])
    assert disk.calls.index(("sync_folder", "objects")) < disk.calls.index(("rename", DIGEST[2:]))


def test_many_objects_are_all_synced_and_each_folder_once_at_the_end(root):
    disk = RecordingDisk()
    many = [str(number).encode() for number in range(40)]
    digests = store(root, disk).put_many(many)
    calls = [call for call, _ in disk.calls]
    last_rename = len(calls) - 1 - calls[::-1].index("rename")
    assert calls.count("sync") == calls.count("rename") == 40
    assert calls.index("rename") > len(calls) - 1 - calls[::-1].index("sync")
    assert disk.calls[last_rename + 1 :] == [
        ("sync_folder", prefix) for prefix in sorted({digest[:2] for digest in digests})
    ]


def test_storing_again_what_this_process_made_durable_touches_no_disk(root):
    disk = RecordingDisk()
    objects = store(root, disk)
    objects.put(DATA)
    disk.calls.clear()
    assert objects.put_many([DATA, DATA]) == [DIGEST, DIGEST]
    assert objects.has(DIGEST)
    assert disk.calls == []


def test_what_another_process_left_is_compared_and_synced_but_not_rewritten(root):
    store(root).put(DATA)
    before = place(root).stat()
    disk = RecordingDisk()
    store(root, disk).put(DATA)
    after = place(root).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert ("sync", DIGEST[2:]) in disk.calls
    assert disk.calls[-1] == ("sync_folder", DIGEST[:2])


def flipped(path):
    path.write_bytes(b"W" + DATA[1:])


def shortened(path):
    path.write_bytes(DATA[:-1])


def lengthened(path):
    path.write_bytes(DATA + b"\n")


def linked(path):
    other = path.with_name("other")
    other.write_bytes(DATA)
    path.symlink_to(other)


def piped(path):
    os.mkfifo(path)


def sparse(path):
    path.touch()
    os.truncate(path, module.MAX_OBJECT + 1)


DAMAGES = [flipped, shortened, lengthened, linked, piped, sparse]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_object_is_never_returned(root, damage):
    damage(place(root))
    with pytest.raises(DamagedError) as caught:
        store(root).get(DIGEST)
    assert (caught.value.code, caught.value.where) == ("object_damaged", str(place(root)))
    assert not store(root).has(DIGEST)


@pytest.mark.parametrize("damage", DAMAGES)
def test_storing_the_true_bytes_replaces_a_damaged_object(root, damage):
    damage(place(root))
    store(root).put(DATA)
    assert store(root).get(DIGEST) == DATA
    assert not place(root).is_symlink()


def test_a_folder_in_place_of_an_object_is_reported_by_both(root):
    place(root).mkdir()
    with pytest.raises(DamagedError):
        store(root).get(DIGEST)
    with pytest.raises(UnavailableError) as caught:
        store(root).put(DATA)
    assert caught.value.code == "objects_unwritable"
    assert [path.name for path in place(root).parent.iterdir()] == [DIGEST[2:]]


@pytest.mark.parametrize("whole", [True, False], ids=["the store", "one folder"])
def test_a_symlinked_folder_is_not_followed(root, tmp_path, whole):
    elsewhere = tmp_path / "elsewhere"
    link = root if whole else root / DIGEST[:2]
    target = elsewhere / DIGEST[:2] if whole else elsewhere
    target.mkdir(parents=True)
    (target / DIGEST[2:]).write_bytes(DATA)
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(elsewhere)
    with pytest.raises(DamagedError):
        store(root).get(DIGEST)
    (target / DIGEST[2:]).unlink()
    with pytest.raises(UnavailableError):
        store(root).put(DATA)
    assert list(target.iterdir()) == []


def test_an_absent_object_is_unavailable_and_not_damaged(root):
    with pytest.raises(UnavailableError) as caught:
        store(root).get(DIGEST)
    assert caught.value.code == "object_missing"
    assert not store(root).has(DIGEST)
    assert list(store(root).names()) == []


@pytest.mark.parametrize("digest", ["", "ab", DIGEST.upper(), "../" + DIGEST, DIGEST + "0", "\x1b" * 64, "g" * 64])
def test_only_a_digest_names_an_object(root, digest):
    for call in (store(root).get, store(root).has):
        with pytest.raises(RequestError) as caught:
            call(digest)
        assert caught.value.message.isascii()


@pytest.mark.parametrize("step", ["open", "append", "sync", "rename", "sync_folder"])
@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC, errno.EROFS], ids=["EIO", "ENOSPC", "EROFS"])
def test_after_a_failure_nothing_half_written_stays_and_the_object_is_written_anew(root, step, error):
    disk = RecordingDisk(step, error)
    objects = store(root, disk)
    with pytest.raises(UnavailableError) as caught:
        objects.put(DATA)
    assert caught.value.code == "objects_unwritable"
    assert not [path for path in root.rglob("*") if path.name.endswith(".new")]
    disk.fail = ""
    disk.calls.clear()
    assert objects.put(DATA) == DIGEST
    assert [call for call, _ in disk.calls if call in ("append", "sync", "rename")] == ["append", "sync", "rename"]
    assert disk.calls[-1] == ("sync_folder", DIGEST[:2])
    assert store(root).get(DIGEST) == DATA


def test_a_name_whose_sync_failed_is_written_anew_before_it_counts(root):
    class FailingAtTheEnd(RecordingDisk):
        def sync_folder(self, path: str) -> None:
            self.fail = "sync_folder" if not self.fail and path.endswith(DIGEST[:2]) else "never"
            super().sync_folder(path)

    disk = FailingAtTheEnd()
    place(root)
    objects = store(root, disk)
    with pytest.raises(UnavailableError):
        objects.put(DATA)
    assert store(root).get(DIGEST) == DATA
    disk.calls.clear()
    objects.put(DATA)
    assert [call for call, _ in disk.calls if call in ("append", "rename")] == ["append", "rename"]


def test_a_failed_sync_of_one_of_many_lets_none_pass_as_durable(root):
    class FailingOnce(RecordingDisk):
        def sync(self, fd: int) -> None:
            if sum(call == "sync" for call, _ in self.calls) == 2 and not self.fail:
                self.fail = "sync"
            super().sync(fd)

    objects = store(root, FailingOnce())
    with pytest.raises(UnavailableError):
        objects.put_many([b"1", b"2", b"3", b"4"])
    assert list(objects.names()) == []


def test_a_disk_that_cannot_be_read_is_no_answer(root):
    store(root).put(DATA)
    objects = store(root, RecordingDisk("open"))
    for call in (objects.get, objects.has):
        with pytest.raises(UnavailableError) as caught:
            call(DIGEST)
        assert caught.value.code == "object_unreadable"


def test_an_object_has_a_largest_size(root, monkeypatch):
    monkeypatch.setattr(module, "MAX_OBJECT", 10)
    assert store(root).put(b"0123456789")
    with pytest.raises(RequestError) as caught:
        store(root).put_many([b"a", b"0123456789x"])
    assert caught.value.code == "object_too_large"
    assert len(list(store(root).names())) == 1


def test_names_are_only_those_of_objects(root):
    store(root).put(DATA)
    place(root).with_name("left.new").touch()
    (root / "README").touch()
    (root / "zz").mkdir()
    assert list(store(root).names()) == [DIGEST]
