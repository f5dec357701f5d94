"""The user's folder: cache keys that are safe to use, and the memory of which ledger was where."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from enforcer.errors import DamagedError, InternalError, UnavailableError
from enforcer.ports import SystemDisk, SystemEntropy
from enforcer.userstate import UserState

LEDGER = "0123456789abcdef" * 2
OTHER = "fedcba9876543210" * 2
KEY = bytes(range(32))


class FullDisk(SystemDisk):
    def append(self, fd: int, data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "user" / "enforcer"


@pytest.fixture
def state(tmp_path):
    state = tmp_path / "project" / "state"
    state.mkdir(parents=True)
    return state


def user(folder, disk=None) -> UserState:
    return UserState(str(folder), disk or SystemDisk(), SystemEntropy())


def put_cache_key(folder, data=KEY, mode=0o600):
    path = folder / LEDGER / "cache-key"
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    path.chmod(mode)
    return path


def mark_of(folder):
    (mark,) = (folder / "paths").iterdir()
    return mark


# The cache key


def test_a_private_cache_key_is_given(folder):
    put_cache_key(folder)
    assert user(folder).cache_key(LEDGER) == KEY
    assert user(folder).cache_key(OTHER) is None


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o644])
def test_a_cache_key_that_others_may_use_counts_as_absent(folder, mode):
    put_cache_key(folder, mode=mode)
    assert user(folder).cache_key(LEDGER) is None


@pytest.mark.parametrize("data", [b"", KEY[:-1], KEY + b"\n"])
def test_a_cache_key_of_another_length_counts_as_absent(folder, data):
    put_cache_key(folder, data)
    assert user(folder).cache_key(LEDGER) is None


def test_what_is_no_file_in_the_place_of_a_cache_key_counts_as_absent(folder):
    path = put_cache_key(folder)
    path.rename(folder / "moved")
    path.symlink_to(folder / "moved")
    assert user(folder).cache_key(LEDGER) is None
    path.unlink()
    os.mkfifo(path, 0o600)
    assert user(folder).cache_key(LEDGER) is None
    path.unlink()
    path.mkdir(0o700)
    assert user(folder).cache_key(LEDGER) is None


@pytest.mark.parametrize("forged", ["", ".", "..", f"../enforcer/{LEDGER}", LEDGER.upper(), LEDGER + "\n", "a\0b"])
def test_a_forged_ledger_id_leads_nowhere(folder, forged):
    put_cache_key(folder)
    assert user(folder).cache_key(forged) is None


# The ledger last seen in a place


def test_a_ledger_is_remembered_by_the_place_of_its_state_folder(folder, state):
    assert user(folder).ledger_of(str(state)) is None
    user(folder).remember(str(state), LEDGER)
    assert user(folder).ledger_of(str(state)) == LEDGER
    assert user(folder).ledger_of(str(state.parent / "other" / "state")) is None


def test_a_ledger_is_remembered_after_its_folder_has_vanished(folder, state):
    user(folder).remember(str(state), LEDGER)
    state.rmdir()
    assert user(folder).ledger_of(str(state)) == LEDGER


def test_a_place_is_the_same_through_a_symlink_and_with_one_planted_in_it(folder, state, tmp_path):
    user(folder).remember(str(state), LEDGER)
    (tmp_path / "link").symlink_to(state.parent)
    assert user(folder).ledger_of(str(tmp_path / "link" / "state")) == LEDGER
    (tmp_path / "forged").mkdir()
    state.rmdir()
    state.symlink_to(tmp_path / "forged")
    assert user(folder).ledger_of(str(state)) == LEDGER


def test_the_newest_ledger_of_a_place_counts(folder, state):
    user(folder).remember(str(state), LEDGER)
    user(folder).remember(str(state), OTHER)
    assert user(folder).ledger_of(str(state)) == OTHER


def test_remembering_the_same_again_writes_nothing(folder, state):
    user(folder).remember(str(state), LEDGER)
    user(folder, FullDisk()).remember(str(state), LEDGER)
    assert user(folder).ledger_of(str(state)) == LEDGER


def test_what_is_remembered_is_private_and_says_which_place_it_is_of(folder, state):
    user(folder).remember(str(state), LEDGER)
    mark = mark_of(folder)
    assert json.loads(mark.read_bytes()) == {"id": LEDGER, "path": str(state.parent.resolve() / "state")}
    for path, expected in ((folder, 0o700), (mark.parent, 0o700), (mark, 0o600)):
        assert stat.S_IMODE(path.stat().st_mode) == expected


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has no file names that are not UTF-8")
def test_a_place_whose_name_is_no_utf8_is_remembered(folder, tmp_path):
    place = os.fsdecode(os.fsencode(tmp_path) + b"/\xff/state")
    user(folder).remember(place, LEDGER)
    assert user(folder).ledger_of(place) == LEDGER


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b"7", b"\xff", b"[" * 100_000])
def test_a_damaged_note_is_an_error_and_not_forgotten(folder, state, data):
    user(folder).remember(str(state), LEDGER)
    mark = mark_of(folder)
    mark.write_bytes(data)
    with pytest.raises(DamagedError) as caught:
        user(folder).ledger_of(str(state))
    assert (caught.value.code, caught.value.where) == ("user_state_damaged", str(mark))
    assert caught.value.fix


@pytest.mark.parametrize("change", [{"path": "/elsewhere/state"}, {"id": "../x"}, {"id": 7}, {"id": None}])
def test_a_note_that_says_something_else_is_damaged(folder, state, change):
    user(folder).remember(str(state), LEDGER)
    mark = mark_of(folder)
    mark.write_text(json.dumps(json.loads(mark.read_bytes()) | change))
    with pytest.raises(DamagedError):
        user(folder).ledger_of(str(state))


def test_a_write_that_fails_is_reported_and_what_was_known_stays(folder, state):
    user(folder).remember(str(state), LEDGER)
    with pytest.raises(UnavailableError) as caught:
        user(folder, FullDisk()).remember(str(state), OTHER)
    assert (caught.value.code, caught.value.where) == ("user_state_unwritable", str(folder))
    assert user(folder).ledger_of(str(state)) == LEDGER
    assert len(list((folder / "paths").iterdir())) == 1


def test_a_folder_that_cannot_be_made_is_unwritable_and_empty(tmp_path, state):
    (tmp_path / "file").write_text("")
    blocked = user(tmp_path / "file" / "enforcer")
    with pytest.raises(UnavailableError) as caught:
        blocked.remember(str(state), LEDGER)
    assert caught.value.code == "user_state_unwritable"
    assert blocked.ledger_of(str(state)) is None
    assert blocked.cache_key(LEDGER) is None


def test_what_is_no_ledger_id_is_not_remembered(folder, state):
    with pytest.raises(InternalError):
        user(folder).remember(str(state), "../x")
    assert not folder.exists()


# Whether it can be written


def test_a_folder_below_one_that_can_be_written_is_writable_and_is_not_created_by_asking(folder):
    assert user(folder).writable()
    assert not folder.parent.exists()


def test_a_folder_below_a_file_or_a_dangling_symlink_is_not_writable(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    assert not user(tmp_path / "file").writable()
    assert not user(tmp_path / "file" / "enforcer").writable()
    assert not user(tmp_path / "link" / "enforcer").writable()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_to_write_is_not_writable(tmp_path):
    tmp_path.chmod(0o500)
    try:
        assert not user(tmp_path / "enforcer").writable()
    finally:
        tmp_path.chmod(0o700)


# The light path

LIGHT = "enforcer.project, enforcer.settings, enforcer.userstate, enforcer.ledger.note"
HEAVY = {"base64", "cryptography", "dataclasses", "pathlib", "pydantic", "subprocess", "tempfile", "tomllib", "typing"}


def test_finding_a_project_and_its_keys_loads_nothing_heavy():
    script = f"import sys; sys.path.insert(0, {os.getcwd()!r}); import {LIGHT}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "enforcer" in loaded
    assert loaded & HEAVY == set()


def test_a_bare_interpreter_already_has_what_finding_a_project_needs():
    script = f"import sys; sys.path.insert(0, {os.getcwd()!r}); import enforcer.project; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=True)
    assert {"re", "json", "hashlib", "enum"} & set(done.stdout.split()) == set()


# Where a ledger is at home


def at_home(tmp_path: Path, name: str) -> str:
    """A state folder with a ledger of the one id."""
    (tmp_path / name / "state" / "ledger").mkdir(parents=True)
    (tmp_path / name / "state" / "ledger" / "ledger.json").write_text(json.dumps({"id": LEDGER}))
    return str(tmp_path / name / "state")


def test_a_ledger_that_was_copied_is_told_from_one_that_was_moved(tmp_path: Path) -> None:
    user = UserState(str(tmp_path / "user"), SystemDisk(), SystemEntropy())
    (tmp_path / "user" / LEDGER).mkdir(parents=True)
    here, copy = at_home(tmp_path, "here"), at_home(tmp_path, "copy")
    assert user.other_home(LEDGER, here) is None
    user.settle_home(LEDGER, here)

    assert user.other_home(LEDGER, here) is None
    assert user.other_home(LEDGER, copy) == here
    os.rename(tmp_path / "here", tmp_path / "gone")
    assert user.other_home(LEDGER, copy) is None


def test_what_a_copy_has_become_is_not_remembered(tmp_path: Path) -> None:
    user = UserState(str(tmp_path / "user"), SystemDisk(), SystemEntropy())
    (tmp_path / "user" / LEDGER).mkdir(parents=True)
    here, copy = at_home(tmp_path, "here"), at_home(tmp_path, "copy")
    user.settle_home(LEDGER, here)
    user.saw(LEDGER, 7, bytes(32), state_path=here)
    user.saw(LEDGER, 9, bytes(32), state_path=copy)

    assert user.seen(LEDGER) == (7, bytes(32))
