"""One clone, one state folder: worktrees and clones as git itself makes them, and files that git never wrote."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from enforcer.errors import RequestError
from enforcer.project import find, place

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(folder, *args: str) -> str:
    """Run git as a user with no settings of their own."""
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CEILING_DIRECTORIES": os.path.dirname(folder),
    }
    person = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "protocol.file.allow=always"]
    done = subprocess.run(["git", *person, *args], cwd=folder, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def base(tmp_path):
    return tmp_path.resolve()


@pytest.fixture
def main(base):
    """A repository with one commit: a project at its top, another in `sub`."""
    main = base / "main"
    (main / "sub").mkdir(parents=True)
    (main / "enforcer.toml").write_text('projects = ["sub"]\n')
    (main / "sub" / "enforcer.toml").write_text("")
    git(main, "init", "-q", "-b", "trunk")
    git(main, "add", ".")
    git(main, "commit", "-q", "-m", "begin")
    return main


def lists_sub(_path: str) -> tuple[str, ...]:
    return ("sub",)


def lists_nothing(_path: str) -> tuple[str, ...]:
    return ()


def refusal(folder) -> RequestError:
    with pytest.raises(RequestError) as caught:
        place(str(folder))
    assert caught.value.code == "git_folder_broken"
    assert caught.value.fix
    return caught.value


def test_the_main_worktree_keeps_its_state_beside_its_settings(main):
    assert place(str(main)).state == str(main / "state")
    assert place(str(main / "sub")).state == str(main / "sub" / "state")


@pytest.mark.parametrize("where", ["linked", "main/.worktrees/linked"])
def test_linked_worktrees_share_the_state_of_the_main_one(base, main, where):
    linked = base / where
    git(main, "worktree", "add", "-q", str(linked))
    for inside in (".", "sub"):
        project = find(str(linked / inside), environ={}, projects_of=lists_sub)
        assert project.root == os.path.normpath(linked / inside)
        assert project.settings_path == os.path.join(project.root, "enforcer.toml")
        assert project.state == place(str(main / inside)).state


def test_a_linked_worktree_with_relative_links_shares_the_state_too(base, main):
    """Newer versions of git write these links relative where they are asked to."""
    linked = base / "linked"
    git(main, "worktree", "add", "-q", str(linked))
    (linked / ".git").write_text("gitdir: ../main/.git/worktrees/linked\r\n")
    assert place(str(linked)).state == str(main / "state")


def test_a_linked_worktree_reached_through_a_symlink_shares_the_state_too(base, main):
    git(main, "worktree", "add", "-q", str(base / "linked"))
    (base / "alias").symlink_to(base / "linked")
    assert place(str(base / "alias" / "sub")).state == str(main / "sub" / "state")


def test_a_linked_worktree_without_settings_below_a_project_is_governed_by_that_project(main):
    linked = main / ".worktrees" / "x"
    git(main, "worktree", "add", "-q", str(linked))
    (linked / "enforcer.toml").unlink()
    assert find(str(linked), environ={}, projects_of=lists_nothing).root == str(main)


def test_worktrees_of_a_bare_repository_share_a_state_in_it(base, main):
    bare = base / "bare.git"
    git(base, "clone", "-q", "--bare", str(main), str(bare))
    for name in ("one", "two"):
        git(bare, "worktree", "add", "-q", "-b", name, str(base / name))
        assert place(str(base / name)).state == str(bare / "enforcer-state" / "state")
        assert place(str(base / name / "sub")).state == str(bare / "enforcer-state" / "sub" / "state")


def test_a_repository_that_was_marked_bare_by_mistake_keeps_its_state(base, main):
    git(main, "worktree", "add", "-q", str(base / "linked"))
    git(main, "config", "core.bare", "true")
    assert place(str(base / "linked")).state == place(str(main)).state == str(main / "state")


def test_a_clone_with_a_separate_git_folder_has_one_state_for_all_its_worktrees(base, main):
    separate, linked = base / "separate", base / "linked"
    git(base, "clone", "-q", "--separate-git-dir", str(base / "git-data"), str(main), str(separate))
    git(separate, "worktree", "add", "-q", str(linked))
    state = str(base / "git-data" / "enforcer-state" / "state")
    assert place(str(separate)).state == place(str(linked)).state == state


def test_a_git_folder_that_is_a_symlink_leads_all_worktrees_to_one_state(base, main):
    git(main, "worktree", "add", "-q", str(base / "linked"))
    (main / ".git").rename(base / "moved.git")
    (main / ".git").symlink_to(base / "moved.git")
    git(main, "worktree", "repair", str(base / "linked"))
    assert place(str(main)).state == place(str(base / "linked")).state


@pytest.fixture
def submodule(base, main):
    """`main` as the submodule `lib` of another repository."""
    outer = base / "outer"
    outer.mkdir()
    git(outer, "init", "-q", "-b", "trunk")
    git(outer, "submodule", "--quiet", "add", str(main), "lib")
    git(outer, "commit", "-q", "-m", "begin")
    return outer / "lib"


def test_a_submodule_is_a_clone_of_its_own(submodule):
    assert (submodule / ".git").is_file()
    assert place(str(submodule)).state == str(submodule / "state")
    assert place(str(submodule / "sub")).state == str(submodule / "sub" / "state")
    (submodule.parent / "enforcer.toml").write_text("")
    assert find(str(submodule), environ={}, projects_of=lists_nothing).root == str(submodule)


def test_a_linked_worktree_of_a_submodule_shares_the_state_of_the_submodule(base, submodule):
    git(submodule, "worktree", "add", "-q", str(base / "linked"))
    assert place(str(base / "linked" / "sub")).state == str(submodule / "sub" / "state")


def test_a_submodule_keeps_its_state_where_git_moves_its_settings(base, submodule):
    """With `extensions.worktreeConfig` git keeps `core.worktree` in a file of its own."""
    git(submodule, "worktree", "add", "-q", str(base / "linked"))
    git(submodule, "sparse-checkout", "set", "sub")
    assert "worktree" in git(submodule, "config", "--list", "--worktree")
    assert place(str(base / "linked")).state == place(str(submodule)).state == str(submodule / "state")


@pytest.mark.parametrize(
    "name", ["plain", 'quo"ted', "back\\slash", "semi;colon", "hash#", " space ", "tab\there", "ä"]
)
def test_a_configured_worktree_is_read_as_git_wrote_it(base, main, name):
    separate = base / name
    git(base, "clone", "-q", "--separate-git-dir", str(base / "data"), str(main), str(separate))
    git(separate, "config", "core.worktree", str(separate))
    assert place(str(separate)).state == str(separate / "state")


def test_only_the_core_section_names_the_worktree(base, main):
    bare = base / "bare.git"
    git(base, "clone", "-q", "--bare", str(main), str(bare))
    git(bare, "worktree", "add", "-q", "-b", "one", str(base / "one"))
    for section in ("other", "core.sub", "corex"):
        git(bare, "config", f"{section}.worktree", str(main))
    assert place(str(base / "one")).state == str(bare / "enforcer-state" / "state")


def test_a_worktree_that_is_configured_but_gone_is_refused(base, main):
    separate = base / "separate"
    git(base, "clone", "-q", "--separate-git-dir", str(base / "data"), str(main), str(separate))
    git(base / "data", "config", "core.worktree", str(base / "gone"))
    assert refusal(separate).where == str(base / "data" / "config")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"gitdir:",
        b"gitdir: \n",
        b"gitdir: no\n",
        b"gitdir: a\0b\n",
        b"\xff\xfe",
        b"[core]\n",
        b"x" * 5_000_000,
    ],
    ids=["empty", "newline", "bare-word", "no-path", "no-folder", "nul", "no-text", "other-file", "huge"],
)
def test_a_broken_git_file_is_refused_with_its_path(base, content):
    (base / ".git").write_bytes(content)
    (base / "enforcer.toml").write_text("")
    assert refusal(base).where == str(base / ".git")
    with pytest.raises(RequestError) as caught:
        find(str(base), environ={}, projects_of=lists_nothing)
    assert caught.value.code == "git_folder_broken"


def test_a_git_file_is_read_whole_or_not_at_all(base, main):
    git(main, "worktree", "add", "-q", str(base / "linked"))
    with (base / "linked" / ".git").open("a") as file:
        file.write("\n" * 5_000_000)
    assert refusal(base / "linked").where == str(base / "linked" / ".git")


def test_a_git_file_that_names_a_folder_without_a_repository_is_refused(base):
    (base / "empty").mkdir()
    (base / ".git").write_text("gitdir: empty\n")
    assert refusal(base).where == str(base / ".git")


@pytest.mark.parametrize("content", ["", "\n", "nowhere\n", "a\0b"])
def test_a_broken_commondir_file_is_refused_with_its_path(base, main, content):
    git(main, "worktree", "add", "-q", str(base / "linked"))
    commondir = main / ".git" / "worktrees" / "linked" / "commondir"
    commondir.write_text(content)
    assert refusal(base / "linked").where == str(commondir)


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: os.symlink("nowhere", path)], ids=["fifo", "dangling"])
def test_what_is_no_file_in_the_place_of_a_git_file_is_refused_and_not_waited_for(base, make):
    make(str(base / ".git"))
    assert refusal(base).where == str(base / ".git")


def test_a_git_folder_that_is_no_repository_is_passed_over_as_git_does(base):
    (base / "outer" / "inner" / ".git").mkdir(parents=True)
    assert place(str(base / "outer" / "inner")).state == str(base / "outer" / "inner" / "state")
