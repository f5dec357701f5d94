"""Commits under `refs/enforcer/…`: written without a checkout, moved forward only, read from here and from elsewhere."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from enforcer.errors import RequestError, UnavailableError
from enforcer.evidence.git.refs import Refs, fetched

REF = "refs/enforcer/0123"


def git(folder: Path, *words: str) -> str:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(("git", *words), cwd=folder, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main", ".")
    (folder / "file").write_text("working\n")
    return folder


@pytest.fixture
def refs(repository: Path) -> Refs:
    found = Refs.find(str(repository))
    assert found is not None
    return found


def test_a_folder_outside_of_git_has_no_refs(tmp_path: Path) -> None:
    assert Refs.find(str(tmp_path)) is None


def test_a_commit_holds_exactly_the_files_it_was_given(refs: Refs) -> None:
    blob = refs.store(b"one\r\n\x00two")
    commit = refs.advance(REF, {"a/b": blob, "c": blob}, before=None, message="first\n")

    assert refs.commit_of(REF) == commit
    assert set(refs.files(commit)) == {"a/b", "c"}
    assert refs.read(refs.files(commit)["a/b"]) == b"one\r\n\x00two"
    assert refs.files(commit)["c"].size == 9


def test_files_are_stored_byte_for_byte_whatever_the_attributes_say(refs: Refs, repository: Path) -> None:
    (repository / ".gitattributes").write_text("* text=auto eol=lf\n")
    path = repository / "crlf"
    path.write_bytes(b"a\r\nb\r\n")
    (blob,) = refs.store_files([str(path)])

    assert refs.read(blob) == b"a\r\nb\r\n"
    assert blob.size == 6


def test_neither_the_work_tree_nor_the_index_nor_a_branch_is_touched(refs: Refs, repository: Path) -> None:
    before = git(repository, "status", "--porcelain")
    refs.advance(REF, {"a": refs.store(b"x")}, before=None, message="m\n")

    assert git(repository, "status", "--porcelain") == before
    assert git(repository, "for-each-ref", "refs/heads") == ""
    assert sorted(path.name for path in repository.iterdir()) == [".git", "file"]


def test_a_ref_moves_from_the_commit_that_was_seen_alone(refs: Refs) -> None:
    first = refs.advance(REF, {"a": refs.store(b"1")}, before=None, message="m\n")
    second = refs.advance(REF, {"a": refs.store(b"2")}, before=first, message="m\n")

    for stale in (None, first):
        with pytest.raises(UnavailableError) as caught:
            refs.advance(REF, {"a": refs.store(b"3")}, before=stale, message="m\n")
        assert caught.value.code == "ref_moved"
    assert refs.commit_of(REF) == second


def test_the_former_commit_is_the_parent(refs: Refs, repository: Path) -> None:
    first = refs.advance(REF, {"a": refs.store(b"1")}, before=None, message="m\n")
    second = refs.advance(REF, {"a": refs.store(b"2")}, before=first, message="m\n")

    assert git(repository, "rev-list", second).split() == [second, first]


def test_what_names_no_commit_is_none(refs: Refs) -> None:
    for name in ("", "-x", "refs/enforcer/none", "HEAD", "a\0b"):
        assert refs.commit_of(name) is None


def test_a_ref_of_another_repository_is_read_without_writing_here(refs: Refs, repository: Path, tmp_path: Path) -> None:
    commit = refs.advance(REF, {"checkpoint": refs.store(b"note")}, before=None, message="m\n")
    other = tmp_path / "other.git"
    git(tmp_path, "init", "-q", "--bare", str(other))
    git(repository, "push", "-q", str(other), REF)
    before = git(repository, "for-each-ref")

    for address in (str(other), f"file://{other}"):
        with fetched(address, REF) as (remote, found):
            assert found == commit
            assert remote.read(remote.files(commit)["checkpoint"]) == b"note"
    with fetched(str(other), "refs/enforcer/none") as (_, found):
        assert found is None
    assert git(repository, "for-each-ref") == before


def test_a_remote_is_known_by_its_name(refs: Refs, repository: Path) -> None:
    git(repository, "remote", "add", "origin", "/srv/somewhere.git")

    assert refs.url_of("origin") == "/srv/somewhere.git"
    assert refs.url_of("/elsewhere") == "/elsewhere"


@pytest.mark.parametrize("address", ["", "-u", "--upload-pack=touch planted", "a\0b"])
def test_what_could_pass_for_an_option_is_no_repository(address: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError) as caught, fetched(address, REF):
        pass
    assert caught.value.code == "bad_remote"


def test_a_repository_that_does_not_answer_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError) as caught, fetched(str(tmp_path / "nowhere"), REF):
        pass
    assert caught.value.code == "remote_unreachable"
