"""The light way into the settings: a stored form found by digest, and the slow way where there is none."""

from __future__ import annotations

import hashlib
import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enforcer.errors import RequestError, UnavailableError
from enforcer.ports import SystemDisk
from enforcer.settings import MAX_SIZE, MAX_TTL_SECONDS, NO_TASK, Settings, decode, encode, load
from enforcer.settings_file import parse

all_settings = st.builds(
    Settings,
    process=st.text(),
    projects=st.lists(st.text()).map(tuple),
    store=st.text(),
    lease_auto=st.booleans(),
    lease_ttl_seconds=st.integers(1, MAX_TTL_SECONDS),
    no_task=st.sampled_from(NO_TASK),
)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "enforcer.toml"
    path.write_text('process = "lean"\n')
    return path


def unreachable(*_args):
    raise AssertionError("the slow way was taken")


def read(path, forms=None, slow=parse):
    return load(str(path), disk=SystemDisk(), cached=(forms or {}).get, parse=slow)


def digest(path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_settings_without_a_stored_form_are_parsed_and_counted_as_a_miss(path):
    assert read(path) == (Settings(process="lean"), True)


def test_settings_with_a_stored_form_are_not_parsed(path):
    forms = {digest(path): encode(parse(path.read_bytes(), str(path)))}
    assert read(path, forms, unreachable) == (Settings(process="lean"), False)


def test_an_edited_file_is_never_answered_from_an_old_form(path):
    forms = {digest(path): encode(Settings(process="lean"))}
    path.write_text('process = "lean" # edited\n')
    assert read(path, forms) == (Settings(process="lean"), True)
    path.write_text('process = "strict"\n')
    assert read(path, forms) == (Settings(process="strict"), True)


@given(all_settings)
def test_every_form_is_read_back(settings):
    assert decode(encode(settings)) == settings


@pytest.mark.parametrize(
    "form",
    [
        b"",
        b"\xff",
        b"[]",
        b"7",
        b"null",
        b"[" * 100_000,
        b'{"unknown":1}',
        b'{"process":7}',
        b'{"projects":"sub"}',
        b'{"projects":[7]}',
        b'{"projects":[["a"]]}',
        b'{"store":null}',
        b'{"lease_auto":1}',
        b'{"lease_ttl_seconds":true}',
        b'{"lease_ttl_seconds":0}',
        b'{"lease_ttl_seconds":1e9}',
        b'{"lease_ttl_seconds":86401}',
        b'{"no_task":"write"}',
    ],
)
def test_a_form_that_is_none_is_a_miss_and_not_a_failure(path, form):
    assert read(path, {digest(path): form}) == (Settings(process="lean"), True)


def test_the_stored_form_is_json_of_what_differs_from_the_defaults():
    assert encode(Settings()) == b"{}"
    assert json.loads(encode(Settings(projects=("a",), lease_auto=False))) == {"projects": ["a"], "lease_auto": False}


def test_a_settings_file_that_is_gone_is_not_initialized(tmp_path):
    with pytest.raises(RequestError) as caught:
        read(tmp_path / "enforcer.toml")
    assert (caught.value.code, caught.value.fix) == ("not_initialized", "enforcer init")


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["fifo", "folder"])
def test_what_is_no_file_is_unreadable_and_not_waited_for(tmp_path, make):
    make(tmp_path / "enforcer.toml")
    with pytest.raises(UnavailableError) as caught:
        read(tmp_path / "enforcer.toml")
    assert (caught.value.code, caught.value.where) == ("settings_unreadable", str(tmp_path / "enforcer.toml"))


def test_a_huge_file_is_refused_without_reading_it_whole(path):
    os.truncate(path, 1 << 40)
    with pytest.raises(RequestError) as caught:
        read(path)
    assert caught.value.code == "bad_settings"
    assert str(MAX_SIZE) in caught.value.message


def test_broken_utf8_is_refused_through_the_light_way_too(path):
    path.write_bytes(b'process = "\xff"\n')
    with pytest.raises(RequestError) as caught:
        read(path)
    assert caught.value.code == "bad_settings"
