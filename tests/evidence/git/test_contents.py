"""What a change contains, and the files in which two changes of one base differ."""

from __future__ import annotations

import hashlib
import os
import shutil

import pytest

from enforcer.errors import RequestError, UnavailableError
from enforcer.evidence.git import Observation
from enforcer.evidence.observation import differing
from tests.evidence.repositories import Work, find

STATE = ("state",)


@pytest.fixture
def work(tmp_path):
    return Work(tmp_path / "repo")


@pytest.fixture
def repository(work):
    with find(work.top) as found:
        yield found


def observe(folder, base: str | None) -> Observation:
    with find(folder) as repository:
        return repository.observe(base, STATE)


def refused(folder, base: str | None, tree: str) -> UnavailableError:
    with find(folder) as repository, pytest.raises(UnavailableError) as caught:
        repository.contents(base, tree, STATE)
    return caught.value


# Contents


def test_contents_tell_the_mode_and_the_blob_of_each_file_that_differs(work):
    for name in ("same", "modified", "deleted", "mode", "link"):
        work.write(name)
    base = work.commit()
    work.write("modified", "changed\n")
    work.write("added", "new\n", 0o755)
    (work.top / "deleted").unlink()
    (work.top / "mode").chmod(0o755)
    (work.top / "link").unlink()
    (work.top / "link").symlink_to("modified")
    seen = observe(work.top, base)
    assert seen.contents == {
        "added": f"100755 {work.git('hash-object', 'added')}",
        "deleted": "",
        "link": f"120000 {blob_of(b'modified')}",
        "mode": f"100755 {work.git('rev-parse', 'HEAD:mode')}",
        "modified": f"100644 {work.git('hash-object', 'modified')}",
    }
    assert set(seen.contents) == {change.path for change in seen.changes}


def blob_of(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0%b" % (len(data), data), usedforsecurity=False).hexdigest()


def test_the_work_tree_its_tree_and_the_commit_of_it_have_the_same_contents(work):
    work.write("a")
    work.write("state/x")
    base = work.commit()
    work.write("a", "changed\n")
    work.write("b/c")
    work.write("state/x", "changed\n")
    with find(work.top) as repository:
        seen = repository.observe(base, STATE)
        commit = work.commit()
        assert repository.contents(base, seen.tree, STATE) == seen.contents
        assert repository.contents(base, commit, STATE) == seen.contents
        assert repository.contents(None, commit, STATE).keys() == {"a", "b/c"}
        assert repository.contents(base, base, STATE) == {}
    assert seen.contents.keys() == {"a", "b/c"}


def test_contents_take_no_command_more(work, tmp_path, monkeypatch):
    """The commands are counted by a git that notes each call."""
    base = work.commit()
    work.write("new")
    real = shutil.which("git")
    counter = tmp_path / "bin" / "git"
    counter.parent.mkdir()
    counter.write_text(f'#!/bin/sh\necho call >> {tmp_path}/calls\nexec {real} "$@"\n')
    counter.chmod(0o755)
    monkeypatch.setenv("PATH", f"{counter.parent}:{os.environ['PATH']}")
    with find(work.top) as repository:
        calls = tmp_path / "calls"
        calls.unlink()
        assert repository.observe(base, STATE).contents.keys() == {"new"}
    assert calls.read_text().count("call") == 6


def test_a_submodule_is_told_by_its_commit(work, tmp_path):
    source = Work(tmp_path / "source")
    source.write("inner")
    commit = source.commit()
    base = work.commit()
    work.git("submodule", "--quiet", "add", str(source.top), "sub")
    assert observe(work.top, base).contents["sub"] == f"160000 {commit}"


@pytest.mark.parametrize("name", ["HEAD", "--output=x", "main"])
def test_contents_are_of_object_ids_alone(work, name):
    commit = work.commit()
    with find(work.top) as repository:
        for base, tree in ((name, commit), (commit, name)):
            with pytest.raises(RequestError) as caught:
                repository.contents(base, tree)
            assert caught.value.code == "unknown_revision"


def test_names_that_look_alike_are_told_apart(work):
    """One is the byte E9, which is no UTF-8, and the others are letters that spell it."""
    names = [b"caf\xe9", b"caf\\xe9", b"\xff\\xe9", b"\xff\xe9"]
    for number, name in enumerate(names):
        try:
            with open(os.path.join(os.fsencode(work.top), name), "wb") as file:
                file.write(b"%d" % number)
        except OSError:
            pytest.skip("this file system takes only UTF-8")
    seen = observe(work.top, None)
    assert set(seen.contents) == {"./caf\\xe9", "caf\\xe9", "./\\xff\\\\xe9", "./\\xff\\xe9"}
    assert len(set(seen.contents.values())) == 4
    assert {change.path for change in seen.changes} == set(seen.contents)


# Differing


def test_two_changes_differ_in_the_files_whose_bytes_or_modes_do(work, repository):
    for name in ("same", "changed_in_one", "changed_in_both", "gone_in_one", "gone_in_both", "mode", "back"):
        work.write(name)
    base = work.commit()
    for name in ("changed_in_both", "back"):
        work.write(name, "other\n")
    (work.top / "gone_in_both").unlink()
    work.write("new_in_both", "x")
    first = repository.observe(base)
    work.write("changed_in_one", "other\n")
    work.write("changed_in_both", "another\n")
    work.write("back")
    (work.top / "gone_in_one").unlink()
    (work.top / "mode").chmod(0o755)
    work.write("new_in_one")
    second = repository.observe(base)
    expected = ("back", "changed_in_both", "changed_in_one", "gone_in_one", "mode", "new_in_one")
    assert differing(first.contents, second.contents) == expected
    assert differing(second.contents, first.contents) == expected
    told = [change.path for change in repository.changes(first.tree, second.tree)]
    assert tuple(told) == expected, "git says the same of the two trees, while it still knows them"


def test_nothing_differs_between_equal_changes_and_committing_changes_nothing(work):
    work.write("a")
    base = work.commit()
    work.write("a", "changed\n")
    before = observe(work.top, base)
    work.commit()
    assert differing(before.contents, observe(work.top, base).contents) == ()
    assert differing({}, {}) == ()


def test_a_deleted_file_differs_from_one_that_is_as_it_was():
    assert differing({"a": ""}, {}) == ("a",)


# Commits as CI has them


def test_a_commit_that_holds_the_state_folder_has_the_tree_of_one_that_does_not(work):
    work.write("a")
    bare = work.commit()
    work.write("state/ledger.json")
    work.git("add", "--force", "state")
    full = work.commit()
    with find(work.top) as repository:
        assert repository.tree_of(full, STATE) == repository.tree_of(bare, STATE) == repository.tree(STATE)
        assert repository.tree_of(full) != repository.tree_of(bare)


def test_a_project_below_the_top_leaves_out_its_own_state_folder_alone(work):
    for project in ("one", "two"):
        work.write(f"{project}/a")
        work.write(f"{project}/state/x")
    base = work.commit()
    work.write("one/state/x", "changed\n")
    work.write("two/state/x", "changed\n")
    commit = work.commit()
    with find(work.top / "one") as repository:
        assert repository.contents(base, commit, STATE).keys() == {"two/state/x"}
        assert repository.tree_of(commit, STATE) == repository.tree(STATE)


def test_a_detached_head_is_a_change_as_any_other(work):
    work.write("a")
    first = work.commit()
    work.write("b")
    work.commit()
    work.git("checkout", "--quiet", "--detach", first)
    with find(work.top) as repository:
        assert repository.head() == repository.resolve("HEAD") == first
        assert repository.tree_of(first, STATE) == repository.tree(STATE)


def test_a_merge_has_what_both_sides_changed(work):
    base = work.commit()
    work.git("checkout", "--quiet", "-b", "side")
    work.write("theirs")
    side = work.commit()
    work.git("checkout", "--quiet", "main")
    work.write("ours")
    work.commit()
    work.git("merge", "--quiet", "--no-edit", "side")
    with find(work.top) as repository:
        merge = repository.resolve("HEAD")
        assert repository.contents(base, merge).keys() == {"ours", "theirs"}
        assert repository.resolve("HEAD^2") == side
        assert repository.contents(repository.resolve("HEAD^1"), merge).keys() == {"theirs"}
        assert repository.tree_of(merge) == repository.tree()


def test_a_shallow_clone_knows_its_own_tree_and_says_what_it_lacks(work, tmp_path):
    work.write("a")
    base = work.commit()
    work.write("a", "changed\n")
    tip = work.commit()
    clone = tmp_path / "clone"
    work.git("clone", "--quiet", "--depth=1", work.top.as_uri(), str(clone))
    with find(work.top) as whole, find(clone) as repository:
        assert repository.head() == repository.resolve("HEAD") == tip
        assert repository.tree_of(tip, STATE) == repository.tree(STATE) == whole.tree_of(tip, STATE)
        with pytest.raises(RequestError):
            repository.resolve("HEAD~1")
    lacking = refused(clone, base, tip)
    assert lacking.code == "git_failed"
    assert "shallow" in lacking.fix


def test_before_the_first_commit_there_is_no_change_to_ask_about(work):
    with find(work.top) as repository, pytest.raises(RequestError) as caught:
        repository.resolve("HEAD")
    assert caught.value.code == "unknown_revision"


# Repositories inside


def test_a_repository_inside_with_changes_that_are_not_committed_there_is_named(tmp_path) -> None:
    outer = Work(tmp_path / "outer")
    inner = Work(tmp_path / "outer" / "vendor")
    for each in (inner, outer):
        each.write("file.py", "x = 1\n")
        each.commit()
    assert unsettled(outer.top) == ()
    inner.write("file.py", "x = 2\n")
    assert unsettled(outer.top) == ("vendor",)
    inner.commit()
    assert unsettled(outer.top) == (), "the tree of the working files names the commit that is checked out there"


def unsettled(folder) -> tuple[str, ...]:
    with find(folder) as repository:
        return repository.unsettled(repository.tree())
