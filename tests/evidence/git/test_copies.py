"""The files of a tree in another folder, for a run that must not touch the work tree."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from enforcer.errors import InternalError, UnavailableError
from tests.evidence.repositories import Work, find

STATE = ("state",)


@pytest.fixture
def work(tmp_path):
    return Work(tmp_path / "repo")


@pytest.fixture
def copy(tmp_path):
    made = tmp_path / "copy"
    made.mkdir()
    return made


def files(folder: Path) -> dict[str, tuple[str, object]]:
    """Each file and link below a folder: its kind, and its bytes or where it leads."""
    found: dict[str, tuple[str, object]] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = ("link", os.readlink(path))
        elif path.is_file():
            found[name] = ("program" if path.stat().st_mode & 0o100 else "file", path.read_bytes())
        elif not any(path.iterdir()):
            found[name] = ("folder", None)
    return found


def test_a_copy_has_the_files_modes_and_links_of_the_tree_and_nothing_else(work, copy):
    work.write(".gitignore", "*.log\n")
    work.write("a", "text\r\n")
    work.write("gone")
    work.write("state/committed")
    work.commit()
    work.write("a", "changed\r\n")
    work.write("run.sh", "#!/bin/sh\n", 0o755)
    work.write("new/ü b", bytes(range(256)))
    work.write("noise.log")
    (work.top / "gone").unlink()
    (work.top / "link").symlink_to("/etc/passwd")
    with find(work.top) as repository:
        tree = repository.copy_to(str(copy), STATE)
        assert tree == repository.tree(STATE)
    assert files(copy) == {
        ".gitignore": ("file", b"*.log\n"),
        "a": ("file", b"changed\r\n"),
        "link": ("link", "/etc/passwd"),
        "new/ü b": ("file", bytes(range(256))),
        "run.sh": ("program", b"#!/bin/sh\n"),
    }


def test_a_copy_that_is_committed_has_the_same_tree(work, copy):
    work.write(".gitattributes", "*.txt text eol=crlf\n*.u16 working-tree-encoding=UTF-16LE-BOM\n")
    work.write("a.txt", b"one\ntwo\n")
    work.write("b.u16", "\ufeffwide\n".encode("utf-16-le"))
    with find(work.top) as repository:
        tree = repository.copy_to(str(copy))
    assert (copy / "a.txt").read_bytes() == b"one\r\ntwo\r\n", "as a clone would have it"
    again = Work(copy)
    with find(again.top) as repository:
        assert repository.tree() == tree


def test_a_copy_leaves_the_repository_and_the_work_tree_as_they_are(work, copy):
    work.write("a")
    work.commit()
    work.write("a", "changed\n")
    before, standing = work.snapshot(), files(work.top)
    with find(work.top) as repository:
        repository.copy_to(str(copy))
    assert work.snapshot() == before
    assert files(work.top) == standing


def test_a_filter_does_not_run_on_the_way_out(work, copy, tmp_path):
    mark = tmp_path / "mark"
    work.write(".gitattributes", "* filter=evil ident\n")
    work.write("a", "$Id$\n")
    for name in ("smudge", "process", "clean"):
        work.git("config", f"filter.evil.{name}", f"sh -c 'touch {mark}; cat'")
    with find(work.top) as repository:
        repository.copy_to(str(copy))
    assert not mark.exists()
    assert (copy / "a").read_bytes().startswith(b"$Id: ")


def test_a_copy_of_a_sparse_checkout_is_whole(work, copy):
    work.write("here/a")
    work.write("there/b")
    work.commit()
    work.git("sparse-checkout", "set", "here")
    assert not (work.top / "there").exists()
    with find(work.top) as repository:
        repository.copy_to(str(copy))
    assert files(copy).keys() == {"here/a", "there/b"}


def test_a_submodule_has_the_files_of_its_commit(work, copy, tmp_path):
    source = Work(tmp_path / "source")
    source.write("inner", "committed\n")
    source.commit()
    work.git("submodule", "--quiet", "add", str(source.top), "sub")
    work.commit()
    work.write("sub/inner", "dirty\n")
    work.write("sub/untracked")
    with find(work.top) as repository:
        repository.copy_to(str(copy))
    assert files(copy)["sub/inner"] == ("file", b"committed\n")
    assert "sub/untracked" not in files(copy)


def test_a_submodule_that_was_not_fetched_is_an_empty_folder(work, copy, tmp_path):
    source = Work(tmp_path / "source")
    source.write("inner")
    source.commit()
    work.git("submodule", "--quiet", "add", str(source.top), "sub")
    work.commit()
    work.git("clone", "--quiet", str(work.top), str(tmp_path / "clone"))
    with find(tmp_path / "clone") as repository:
        repository.copy_to(str(copy))
    assert files(copy)["sub"] == ("folder", None)


@pytest.mark.parametrize("name", [".git", "a", "link"])
def test_nothing_is_copied_into_a_folder_that_is_not_empty(work, copy, name):
    """A link that stands there could lead what is written elsewhere."""
    work.write("a")
    (copy / name).symlink_to("/nowhere")
    with find(work.top) as repository, pytest.raises(InternalError) as caught:
        repository.copy_to(str(copy))
    assert caught.value.code == "copy_in_the_way"
    assert os.listdir(copy) == [name]


def test_a_tree_with_a_missing_object_is_no_copy(work, copy):
    work.write("there/b", "another text\n")
    work.write("here/a")
    work.commit()
    work.git("sparse-checkout", "set", "here")
    blob = work.git("rev-parse", "HEAD:there/b")
    (work.top / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    with find(work.top) as repository, pytest.raises(UnavailableError) as caught:
        repository.copy_to(str(copy))
    assert caught.value.code == "git_failed"


def test_a_copy_is_reached_through_a_link_and_below_any_folder(work, copy, tmp_path):
    work.write("project/a")
    (tmp_path / "way").symlink_to(copy)
    with find(work.top / "project") as repository:
        repository.copy_to(str(tmp_path / "way"), STATE)
    assert files(copy).keys() == {"project/a"}
    shutil.rmtree(copy)
