"""Commits under `refs/enforcer/…`: written without a checkout, moved forward only, read from here and elsewhere."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from enforcer.errors import DamagedError, RequestError, UnavailableError
from enforcer.evidence.git.refs import Blob, Refs, fetched

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


def test_a_tree_that_names_more_files_than_any_ledger_has_is_refused_before_it_is_held(
    refs: Refs, repository: Path
) -> None:
    """Seven trees of ten names each make ten million files."""
    blob = refs.store(b"x")
    made, mode = blob.name, "100644 blob"
    for _ in range(7):
        listed = "".join(f"{mode} {made}\t{number}\n" for number in range(10))
        done = subprocess.run(["git", "mktree"], cwd=repository, input=listed.encode(), capture_output=True, check=True)
        made, mode = done.stdout.decode().strip(), "040000 tree"
    done = subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b", "commit-tree", "-m", "m", made],
        cwd=repository,
        capture_output=True,
        check=True,
    )

    with pytest.raises(DamagedError) as caught:
        refs.files(done.stdout.decode().strip())
    assert caught.value.code == "publication_oversized"


def test_blobs_are_copied_to_files_byte_for_byte(refs: Refs, tmp_path: Path) -> None:
    contents = [b"", b"a\r\nb\0", os.urandom(5 << 19)]
    blobs = refs.store_all(contents)
    paths = [str(tmp_path / str(number)) for number in range(len(blobs))]
    refs.copy_all(zip(blobs, paths, strict=True))

    assert [Path(path).read_bytes() for path in paths] == contents
    with pytest.raises(DamagedError) as caught:
        refs.copy_all([(Blob("0" * 40, 3), str(tmp_path / "none"))])
    assert caught.value.code == "git_object_missing"


def test_a_folder_outside_of_git_has_no_refs(tmp_path: Path) -> None:
    assert Refs.find(str(tmp_path)) is None


def test_a_commit_holds_exactly_the_files_it_was_given(refs: Refs) -> None:
    blob = refs.store(b"one\r\n\x00two")
    commit = refs.advance(REF, {"a/b": blob, "c": blob}, before=None, message="first\n")

    assert refs.commit_of(REF) == commit
    assert set(refs.files(commit)) == {"a/b", "c"}
    assert refs.read(refs.files(commit)["a/b"]) == b"one\r\n\x00two"
    assert refs.files(commit)["c"].size == 9


def test_bytes_go_in_and_come_out_unchanged_whatever_the_settings_say(refs: Refs, repository: Path) -> None:
    (repository / ".gitattributes").write_text("* text=auto eol=lf ident filter=spoil\n")
    git(repository, "config", "core.autocrlf", "true")
    git(repository, "config", "filter.spoil.clean", "tr a-z A-Z")
    contents = [b"a\r\nb\r\n", b"", b"$Id$\n", b"data 3\nget-mark :1\ndone\n", bytes(range(256)) * 9]
    blobs = refs.store_all(contents)

    assert list(refs.read_all(blobs)) == contents
    assert [blob.size for blob in blobs] == [len(data) for data in contents]


def test_more_bytes_than_one_process_is_given_come_back_in_their_order(
    refs: Refs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("enforcer.evidence.git.refs.BATCH", 10)
    contents = [b"%d" % number * number for number in range(1, 9)]

    assert list(refs.read_all(refs.store_all(contents))) == contents


def test_a_blob_knows_which_bytes_begin_with_it(refs: Refs) -> None:
    blob = refs.store(b"one\n")

    assert blob.begins(b"one\n")
    assert blob.begins(b"one\ntwo\n")
    assert not blob.begins(b"one")
    assert not blob.begins(b"One\ntwo\n")
    assert not Blob(blob.name, -1).begins(b"one\n")


def test_a_blob_that_is_not_there_is_told(refs: Refs) -> None:
    with pytest.raises(DamagedError) as caught:
        refs.read(Blob("0" * 40, 3))
    assert caught.value.code == "git_object_missing"


def test_a_commit_holds_what_the_former_one_did_as_well(refs: Refs) -> None:
    first = refs.advance(REF, {"a": refs.store(b"1"), "b": refs.store(b"2")}, before=None, message="m\n")
    second = refs.advance(REF, {"b": refs.store(b"3"), "c": refs.store(b"4")}, before=first, message="m\n")
    files = refs.files(second)

    assert {path: refs.read(blob) for path, blob in files.items()} == {"a": b"1", "b": b"3", "c": b"4"}


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
        with fetched(address, "refs/enforcer/none", REF) as (remote, commits):
            assert commits == {REF: commit}
            assert remote.read(remote.files(commit)["checkpoint"]) == b"note"
    with fetched(str(other), "refs/enforcer/none") as (_, commits):
        assert commits == {}
    assert git(repository, "for-each-ref") == before


def test_a_ref_that_only_ends_in_the_name_is_another_one(refs: Refs, repository: Path) -> None:
    refs.advance(f"refs/else/{REF}", {"checkpoint": refs.store(b"note")}, before=None, message="m\n")

    with fetched(str(repository), REF) as (_, commits):
        assert commits == {}


def test_another_repository_is_reached_whatever_the_callers_git_variables_point_to(
    refs: Refs, repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    commit = refs.advance(REF, {"checkpoint": refs.store(b"note")}, before=None, message="m\n")
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"):
        monkeypatch.setenv(name, str(tmp_path / "nowhere"))

    with fetched(str(repository), REF) as (_, commits):
        assert commits == {REF: commit}


def test_a_remote_is_known_by_its_name_and_a_path_becomes_absolute(
    refs: Refs, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "typed" / "from").mkdir(parents=True)
    git(repository, "remote", "add", "origin", "../there")
    git(repository, "remote", "add", "far", "https://example.invalid/r.git")
    monkeypatch.chdir(tmp_path / "typed")

    assert os.path.samefile(refs.address_of("origin"), tmp_path / "there")
    assert os.path.samefile(refs.address_of("from"), tmp_path / "typed" / "from")
    assert refs.address_of("far") == "https://example.invalid/r.git"
    assert refs.address_of("user@host:r.git") == "user@host:r.git"


@pytest.mark.parametrize("address", ["", "-u", "--upload-pack=touch planted", "a\0b"])
def test_what_could_pass_for_an_option_is_no_repository(address: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError) as caught, fetched(address, REF):
        pass
    assert caught.value.code == "bad_remote"


def test_a_repository_that_does_not_answer_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError) as caught, fetched(str(tmp_path / "nowhere"), REF):
        pass
    assert caught.value.code == "remote_unreachable"
