"""Files that no tree names and that a run could load: told by name, counted, and compared by a digest."""

from __future__ import annotations

import hashlib
import os
import random
import shutil

import pytest

from enforcer.evidence.git import Ignored
from enforcer.evidence.git import ignored as module
from enforcer.evidence.git.ignored import is_loadable
from tests.evidence.repositories import Work, find

STATE = ("state",)
EMPTY = hashlib.sha256(b"").hexdigest()
REGULAR, PROGRAM, LINK, PIPE = 0o100644, 0o100755, 0o120000, 0o010000


@pytest.fixture
def work(tmp_path):
    made = Work(tmp_path / "repo")
    made.write(".gitignore", "*.log\n*.pyc\nconftest.py\nbuild/\n.venv/\nnode_modules/\n.env*\n")
    made.commit()
    return made


def ignored(work: Work, folder: str = "", limit: int = 200) -> Ignored:
    with find(work.top / folder) as repository:
        return repository.ignored(STATE, limit)


def paths(work: Work, folder: str = "") -> set[str]:
    told = ignored(work, folder)
    assert told.count == len(told.paths) == len(set(told.paths))
    return set(told.paths)


def line(path: str, mode: int, data: bytes) -> bytes:
    return f"{path}\0{mode:o}-{len(data)}-{hashlib.sha256(data).hexdigest()}\n".encode()


# Which files


def test_without_ignored_files_there_is_nothing_to_tell(work):
    work.write("untracked.py")
    assert ignored(work) == Ignored((), 0, EMPTY, "contents")


def test_what_a_run_could_load_is_told_and_the_rest_is_not(work):
    for name in ("tests/conftest.py", "a/__pycache__/a.pyc", "build/lib/x.so", "build/evil.pth", ".env.test"):
        work.write(name)
    work.write("build/run", "#!/bin/sh\n", 0o755)
    (work.top / "build" / "link").symlink_to("/etc/passwd")
    for name in ("noise.log", "build/data.bin", "build/readme"):
        work.write(name)
    expected = {"tests/conftest.py", "a/__pycache__/a.pyc", "build/lib/x.so", "build/evil.pth", ".env.test"}
    assert paths(work) == expected | {"build/run", "build/link"}


@pytest.mark.parametrize(
    "name",
    [
        *("conftest.py", "x.PY", "pytest.ini", "setup.cfg", "package.json", "a.cpython-311.pyc", "lib.so", "x.dylib"),
        *("evil.pth", ".env", ".env.local", "Makefile", "Dockerfile.dev", "a.jar", "tsconfig.json", "jest.config.mjs"),
    ],
)
def test_a_name_that_a_run_could_load_is_known(name):
    assert is_loadable(name, REGULAR)


@pytest.mark.parametrize("name", ["a.log", "data.bin", "image.png", "readme", "py", "a.py.bak", "x."])
def test_any_other_name_counts_only_where_it_runs_or_leads_elsewhere(name):
    assert not is_loadable(name, REGULAR)
    assert is_loadable(name, PROGRAM)
    assert is_loadable(name, LINK)
    assert not is_loadable(name, PIPE)


def test_what_only_the_repositorys_own_list_excludes_is_in_the_tree_and_not_here(work):
    work.write(".git/info/exclude", "hidden.py\n")
    work.git("config", "core.excludesFile", str(work.write(".git/more", "hidden2.py\n")))
    work.write("hidden.py")
    work.write("hidden2.py")
    assert paths(work) == set()
    with find(work.top) as repository:
        seen = repository.observe(repository.head(), STATE)
    assert seen.contents.keys() == {"hidden.py", "hidden2.py"}


def test_a_tracked_file_is_in_the_tree_although_it_is_ignored(work):
    work.write("conftest.py")
    assert paths(work) == {"conftest.py"}
    work.git("add", "--force", "conftest.py")
    assert paths(work) == set()


def test_the_state_folder_is_left_out_wherever_the_project_lies(work):
    work.write("state/.gitignore", "*\n")
    work.write("state/x.py")
    work.write("below/state/.gitignore", "*\n")
    work.write("below/state/x.py")
    assert paths(work) == {"below/state/x.py"}
    assert paths(work, "below") == {"state/x.py"}


def test_the_state_folder_of_a_project_in_an_ignored_folder_is_left_out_as_well(work):
    work.write("build/project/state/x.py")
    work.write("build/project/y.py")
    assert paths(work, "build/project") == {"build/project/y.py"}


@pytest.mark.parametrize("own", [False, True], ids=["by the project", "by itself"])
def test_a_folder_of_dependencies_is_named_as_a_whole_whoever_ignores_it(work, own):
    work.write("web/node_modules/a/index.js")
    work.write(".venv/bin/python", "", 0o755)
    work.write(".venv/lib/site.py")
    work.write("build/.venv/lib/site.py")
    if own:
        work.write(".gitignore", "")
        for folder in (".venv", "web/node_modules", "build/.venv"):
            work.write(f"{folder}/.gitignore", "*\n")
    assert paths(work) == {".venv/", "build/.venv/", "web/node_modules/"}


def test_files_are_named_before_folders_and_each_in_order(work):
    for name in (".venv/x.py", "b/conftest.py", "build/z.py", "a.pyc"):
        work.write(name)
    assert ignored(work).paths == ("a.pyc", "b/conftest.py", "build/z.py", ".venv/")


def test_only_the_first_are_named_and_all_are_counted(work):
    for number in range(30):
        work.write(f"build/{number:02}.py")
    told, whole = ignored(work, limit=3), ignored(work)
    assert told.paths == ("build/00.py", "build/01.py", "build/02.py")
    assert (told.count, told.digest) == (30, whole.digest)


def test_a_name_of_any_bytes_is_told_without_confusion(work):
    for name in ("build/new\nline.py", 'build/quo"te.py', "build/ü.py", "build/ a .py"):
        work.write(name)
    assert paths(work) == {"build/new\nline.py", 'build/quo"te.py', "build/ü.py", "build/ a .py"}


def test_every_file_is_either_in_the_tree_or_told(tmp_path):
    """Random folders, files and rules; every name is one that a run could load."""
    chance = random.Random(11)
    for round_number in range(6):
        work = Work(tmp_path / f"repo{round_number}")
        everything = set()
        for _ in range(60):
            folder = "/".join(chance.choice("abc") for _ in range(chance.randrange(4)))
            name = f"{folder}/{chance.choice('xyz')}.py".lstrip("/")
            work.write(name, chance.randbytes(3))
            everything.add(name)
        rules = ["a/", "x.py", "/b/*", "!y.py", "c/**/z.py", "b", "!/b/x.py", "*.py", "!a/b/"]
        for folder in ("", "a/", "a/b/", "c/"):
            if chance.random() < 0.6 and (work.top / folder).is_dir():
                lines = chance.sample(rules, chance.randrange(1, 4))
                work.write(f"{folder}.gitignore", "\n".join(lines))
                everything.add(f"{folder}.gitignore")
        with find(work.top) as repository:
            tree = set(repository.contents(None, repository.tree(), STATE))
            told = set(repository.ignored(STATE).paths)
        assert not tree & told
        # A `.gitignore` that ignores itself is nothing that a run loads.
        assert everything - tree - told <= {name for name in everything if name.endswith(".gitignore")}
        assert told <= everything


# The digest


def test_the_digest_is_over_the_paths_modes_sizes_and_contents(work):
    work.write("build/b.py", b"two")
    work.write("build/a.sh", b"one", 0o755)
    (work.top / "build" / "link").symlink_to("a.sh")
    work.write(".venv/x")
    lines = [
        b".venv/\x0040000\n",
        line("build/a.sh", PROGRAM, b"one"),
        line("build/b.py", REGULAR, b"two"),
        line("build/link", LINK, b"a.sh"),
    ]
    assert ignored(work).digest == hashlib.sha256(b"".join(lines)).hexdigest()


@pytest.mark.parametrize("change", ["bytes", "mode", "name", "link", "new", "gone"])
def test_a_change_of_a_file_changes_the_digest(work, change):
    work.write("build/a.py", "one\n")
    (work.top / "build" / "link").symlink_to("one")
    before = ignored(work)
    if change == "bytes":
        work.write("build/a.py", "two\n")
    elif change == "mode":
        (work.top / "build" / "a.py").chmod(0o755)
    elif change == "name":
        (work.top / "build" / "a.py").rename(work.top / "build" / "b.py")
    elif change == "link":
        (work.top / "build" / "link").unlink()
        (work.top / "build" / "link").symlink_to("two")
    elif change == "new":
        work.write("build/c.py", "")
    else:
        (work.top / "build" / "a.py").unlink()
    assert ignored(work).digest != before.digest


def test_of_too_many_files_or_bytes_only_the_sizes_are_digested(work, monkeypatch):
    for number in range(4):
        work.write(f"build/{number}.py", b"x" * number)
    expected = b"".join(f"build/{number}.py\0{REGULAR:o}-{number}\n".encode() for number in range(4))
    for limit, value in (("MOST_READ", 3), ("MOST_BYTES", 5)):
        with monkeypatch.context() as patched:
            patched.setattr(module, limit, value)
            told = ignored(work)
        assert (told.digested, told.count, told.digest) == ("sizes", 4, hashlib.sha256(expected).hexdigest())
    assert ignored(work).digested == "contents"


def test_of_far_too_many_files_nothing_is_digested_and_that_is_said(work, monkeypatch):
    for number in range(9):
        work.write(f"build/{number}.py")
        work.write(f"build/{number}.bin")
    monkeypatch.setattr(module, "MOST_SEEN", 10)
    told = ignored(work)
    assert (told.digested, told.digest) == ("nothing", "")
    assert 0 < told.count <= 11


def test_folders_below_each_other_end_somewhere(work):
    deep = "build/" + "d/" * 70
    work.write(f"{deep}x.py")
    (told,) = ignored(work).paths
    assert told.endswith("d/")
    assert deep.startswith(told)


# Hostile files


def test_nothing_is_read_through_a_link(work, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.py").write_text("secret\n")
    work.write("build/x.py")
    (work.top / "build" / "folder").symlink_to(outside)
    (work.top / "build" / "y.py").symlink_to(outside / "secret.py")
    told = ignored(work)
    assert set(told.paths) == {"build/folder", "build/x.py", "build/y.py"}
    expected = [
        line("build/folder", LINK, os.fsencode(outside)),
        line("build/x.py", REGULAR, b"text\n"),
        line("build/y.py", LINK, os.fsencode(outside / "secret.py")),
    ]
    assert told.digest == hashlib.sha256(b"".join(expected)).hexdigest()


def test_a_folder_that_becomes_a_link_while_files_are_read_gives_no_digest_from_outside(work, tmp_path, monkeypatch):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x.py").write_text("secret\n")
    work.write("build/lib/x.py", "honest\n")
    real = module._with_contents

    def swap_first(top, found):
        shutil.rmtree(work.top / "build" / "lib")
        (work.top / "build" / "lib").symlink_to(outside)
        return real(top, found)

    monkeypatch.setattr(module, "_with_contents", swap_first)
    expected = f"build/lib/x.py\0{REGULAR:o}-7-unread\n".encode()
    assert ignored(work).digest == hashlib.sha256(expected).hexdigest()


def test_a_pipe_is_not_waited_for(work):
    work.write("build/x.py")
    os.mkfifo(work.top / "build" / "pipe.py")
    assert paths(work) == {"build/x.py"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_told_all_the_same(work):
    work.write("build/a.py", mode=0)
    work.write("build/closed/b.py")
    (work.top / "build" / "closed").chmod(0)
    try:
        assert paths(work) == {"build/a.py", "build/closed/"}
    finally:
        (work.top / "build" / "closed").chmod(0o755)


# Repositories inside


@pytest.fixture
def module_inside(work, tmp_path):
    source = Work(tmp_path / "source")
    source.write("inner.py")
    source.write(".gitignore", "secret.py\n")
    source.commit()
    work.git("submodule", "--quiet", "add", str(source.top), "sub")
    work.commit()
    return work


def test_a_submodule_as_its_commit_has_it_adds_nothing(module_inside):
    assert paths(module_inside) == set()


def test_what_the_commit_of_a_submodule_does_not_hold_is_told(module_inside):
    """The tree names a submodule by its commit alone, so an edit in it would be seen nowhere else."""
    module_inside.write("sub/inner.py", "changed\n")
    module_inside.write("sub/new.py")
    module_inside.write("sub/secret.py")
    assert paths(module_inside) == {"sub/inner.py", "sub/new.py", "sub/secret.py"}
    (module_inside.top / "sub" / "inner.py").unlink()
    told = ignored(module_inside)
    assert "sub/inner.py" in told.paths, "that it is gone is told as well"


def test_files_in_the_folder_of_a_submodule_that_was_not_fetched_are_told(module_inside, tmp_path):
    module_inside.git("clone", "--quiet", str(module_inside.top), str(tmp_path / "clone"))
    clone = Work.__new__(Work)
    clone.top = tmp_path / "clone"
    assert paths(clone) == set()
    clone.write("sub/inner.py", "planted\n")
    assert paths(clone) == {"sub/inner.py"}


def test_a_repository_inside_without_a_commit_is_told_whole(work):
    inner = Work(work.top / "inner")
    inner.write("a.py")
    assert paths(work) == {"inner/a.py"}


def test_a_repository_inside_an_ignored_folder_is_looked_into(work):
    inner = Work(work.top / "build" / "inner")
    inner.write("a.py")
    inner.commit()
    assert paths(work) == {"build/inner/a.py"}


def test_of_more_repositories_than_are_asked_everything_is_told(work, monkeypatch):
    monkeypatch.setattr("enforcer.evidence.git.repository.MOST_NESTED", 1)
    for name in ("one", "two"):
        inner = Work(work.top / name)
        inner.write("a.py")
        inner.commit()
    assert paths(work) == {"two/a.py"}
