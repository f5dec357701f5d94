"""The tree, the changes and the patch of a work tree, in repositories as people have them."""

from __future__ import annotations

import os
import random
import shutil
import threading

import pytest

from enforcer.errors import RequestError, UnavailableError
from enforcer.evidence.git import Applied, Change, Observation, Repository
from tests.evidence.repositories import Work, find

STATE = ("state",)
NAMES = [
    *("a b", "ü.txt", 'quo"te', "back\\slash", "new\nline", "tab\t", "-dash", ":(top)magic", "*", "[a]", " lead", "#x"),
]


@pytest.fixture
def work(tmp_path):
    return Work(tmp_path / "repo")


@pytest.fixture
def open_repository(work):
    opened = []

    def open_at(folder=None) -> Repository:
        opened.append(find(folder or work.top))
        return opened[-1]

    yield open_at
    for repository in opened:
        repository.close()


@pytest.fixture
def repository(work, open_repository):
    return open_repository()


def consistent(repository: Repository, base: str | None, exclude=STATE) -> Observation:
    """An observation whose parts agree with each other and with the single questions."""
    seen = repository.observe(base, exclude)
    assert seen.tree == repository.tree(exclude)
    assert seen.changes == repository.changes(base, seen.tree, exclude)
    assert seen.diff == repository.diff(base, seen.tree, exclude)
    assert repository.apply(base, seen.diff, exclude) == Applied(seen.tree)
    assert seen.head == repository.head()
    assert seen.micros > 0
    return seen


def actions(seen: Observation) -> dict[str, str]:
    return {change.path: change.action for change in seen.changes}


# Finding


def test_a_folder_outside_every_repository_has_none(tmp_path):
    assert Repository.find(str(tmp_path)) is None


def test_an_empty_git_folder_is_no_repository(tmp_path):
    (tmp_path / ".git").mkdir()
    assert Repository.find(str(tmp_path)) is None


def test_a_subfolder_finds_the_repository_around_it(work, open_repository):
    work.write("deep/er/file")
    found = open_repository(work.top / "deep" / "er")
    assert (found.top, found.prefix) == (os.path.realpath(work.top), "deep/er/")


def test_a_broken_repository_is_an_error_and_not_an_absent_one(tmp_path):
    (tmp_path / ".git").write_text("gitdir: /nowhere\n")
    with pytest.raises(UnavailableError) as caught:
        Repository.find(str(tmp_path))
    assert caught.value.code == "git_failed"


def test_without_git_the_error_says_so(work, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(UnavailableError) as caught:
        Repository.find(str(work.top))
    assert caught.value.code == "git_missing"


def test_an_answer_that_never_comes_is_an_error(work, monkeypatch, tmp_path):
    slow = tmp_path / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow.parent}:{os.environ['PATH']}")
    with pytest.raises(UnavailableError) as caught:
        Repository.find(str(work.top), timeout=0.05)
    assert "no answer" in caught.value.message


def test_the_scratch_folder_goes_with_the_repository(work):
    with find(work.top) as repository:
        scratch = repository._scratch
        assert os.path.isdir(scratch)
    assert not os.path.exists(scratch)


# Head and revisions


def test_before_the_first_commit_there_is_no_head_and_everything_is_new(work, repository):
    assert repository.head() is None
    work.write("a")
    work.write("b")
    work.git("add", "b")
    assert actions(consistent(repository, None)) == {"a": "add", "b": "add"}


def test_head_and_names_resolve_to_commits(work, repository):
    first = work.commit()
    work.git("tag", "--annotate", "v1", "--message", "one")
    second = work.commit()
    assert repository.head() == second
    assert [repository.resolve(name) for name in ("main", "v1", "HEAD~1", second[:12])] == [
        second,
        first,
        first,
        second,
    ]


@pytest.mark.parametrize(
    "name", ["", "nothing", "--all", "--since=2020-01-01", "HEAD\0", "HEAD^{tree}", "\x1b[31m", "HEAD:a"]
)
def test_what_names_no_commit_is_the_callers_mistake(work, repository, name):
    work.write("a")
    work.commit()
    with pytest.raises(RequestError) as caught:
        repository.resolve(name)
    assert caught.value.code == "unknown_revision"
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("name", ["HEAD", "--output=/tmp/x", "abc"])
def test_a_base_is_an_object_id_and_nothing_else(work, repository, name):
    tree = repository.tree()
    for call in (repository.observe, repository.tree_of, lambda base: repository.diff(base, tree)):
        with pytest.raises(RequestError):
            call(name)


# The tree


def test_committing_the_same_content_keeps_the_tree(work, repository):
    work.write("old")
    work.commit()
    work.write("new/file")
    work.write("old", "changed\n")
    tree = repository.tree(STATE)
    assert tree != repository.tree_of(repository.head(), STATE)
    work.git("add", "--all")
    assert repository.tree(STATE) == tree
    commit = work.commit()
    assert repository.tree(STATE) == tree
    assert repository.tree_of(commit, STATE) == tree
    assert repository.tree_of(commit) == work.git("rev-parse", "HEAD^{tree}")


def test_ignored_files_do_not_count_unless_they_are_tracked(work, repository):
    work.write(".gitignore", "*.log\nbuild/\n")
    work.write("kept.log")
    work.git("add", "--force", "kept.log")
    base = work.commit()
    work.write("noise.log")
    work.write("build/out")
    assert consistent(repository, base).changes == ()
    work.write("kept.log", "changed\n")
    assert actions(consistent(repository, base)) == {"kept.log": "modify"}


@pytest.mark.parametrize("committed", [False, True], ids=["ignored", "committed"])
def test_the_state_folder_never_counts(work, open_repository, committed):
    work.write("project/a")
    work.write("project/statement")
    work.write("state", "a file of this name elsewhere\n")
    if committed:
        work.write("project/state/ledger.json", "1")
    base = work.commit()
    repository = open_repository(work.top / "project")
    before = consistent(repository, base)
    assert before.changes == ()
    work.write("project/state/ledger.json", "2")
    work.write("project/state/new/file")
    assert consistent(repository, base).tree == before.tree
    assert repository.tree_of(work.commit(), STATE) == before.tree
    assert repository.tree(()) != before.tree
    work.write("project/statement", "changed\n")
    assert actions(consistent(repository, base)) == {"project/statement": "modify"}


def test_a_gitignore_that_insists_on_the_state_folder_changes_nothing(work, repository):
    base = work.commit()
    work.write(".gitignore", "!/state/\n!state/**\n")
    work.write("state/evidence/x")
    assert actions(consistent(repository, base)) == {".gitignore": "add"}


def test_an_excluded_name_is_taken_literally(work, repository):
    base = work.commit()
    for name in ("st*te/in", "state/out", "state/[a]/in", "state/a/out"):
        work.write(name)
    seen = consistent(repository, base, ("st*te", "state/[a]"))
    assert actions(seen) == {"state/out": "add", "state/a/out": "add"}


def test_a_sparse_checkout_leaves_files_out_and_deletes_none(work, repository):
    work.write("here/a")
    work.write("there/b")
    base = work.commit()
    work.git("sparse-checkout", "set", "here")
    assert not (work.top / "there").exists()
    assert consistent(repository, base).changes == ()
    work.write("there/b", "changed\n")
    assert actions(consistent(repository, base)) == {"there/b": "modify"}


def test_unresolved_conflicts_stand_as_the_files_are(work, repository):
    work.write("a", "base\n")
    base = work.commit()
    work.git("checkout", "--quiet", "-b", "other")
    work.write("a", "theirs\n")
    work.commit()
    work.git("checkout", "--quiet", "main")
    work.write("a", "ours\n")
    work.commit()
    work.git("merge", "other", check=False)
    assert b"<<<<<<<" in consistent(repository, base).diff


def test_linked_worktrees_have_trees_of_their_own(work, open_repository, tmp_path):
    work.write("a")
    base = work.commit()
    work.git("worktree", "add", "--quiet", str(tmp_path / "linked"), "-b", "side")
    (tmp_path / "linked" / "b").write_text("b\n")
    linked = open_repository(tmp_path / "linked")
    assert actions(consistent(linked, base)) == {"b": "add"}
    assert consistent(open_repository(), base).changes == ()


def test_a_repository_of_the_other_object_format_works(tmp_path):
    work = Work(tmp_path / "repo", "--object-format=sha256")
    with find(work.top) as repository:
        assert len(repository.empty_tree) == 64
        work.write("a")
        work.write("long/" + "n" * 200 + "/" + "m" * 200)
        assert len(actions(consistent(repository, None))) == 2
        base = work.commit()
        work.write("a", "changed\n")
        assert actions(consistent(repository, base)) == {"a": "modify"}


# Kinds of changes


def test_every_kind_of_change_is_told(work, repository):
    for name in ("modified", "deleted", "mode", "to_link", "emptied", "binary", "to_folder", "folder/inside"):
        work.write(name)
    base = work.commit()
    work.write("modified", "changed\n")
    (work.top / "deleted").unlink()
    (work.top / "mode").chmod(0o755)
    (work.top / "to_link").unlink()
    (work.top / "to_link").symlink_to("/etc/passwd")
    work.write("emptied", "")
    work.write("binary", bytes(range(256)) * 20)
    (work.top / "to_folder").unlink()
    work.write("to_folder/file")
    shutil.rmtree(work.top / "folder")
    work.write("folder", "now a file\n")
    work.write("added", "")
    (work.top / "link").symlink_to("nowhere")
    expected = dict.fromkeys(("modified", "mode", "to_link", "emptied", "binary"), "modify")
    expected |= dict.fromkeys(("added", "link", "to_folder/file", "folder"), "add")
    expected |= dict.fromkeys(("deleted", "to_folder", "folder/inside"), "delete")
    assert actions(consistent(repository, base)) == expected
    tree = repository.tree()
    assert repository.tree_of(work.commit()) == tree


def test_a_folder_replaced_by_a_link_hides_nothing(work, repository, tmp_path):
    work.write("folder/deep/a", "same\n")
    base = work.commit()
    shutil.move(work.top / "folder", tmp_path / "elsewhere")
    (work.top / "folder").symlink_to(tmp_path / "elsewhere")
    assert actions(consistent(repository, base)) == {"folder": "add", "folder/deep/a": "delete"}


@pytest.mark.parametrize("name", NAMES)
def test_any_file_name_is_told_as_it_is(work, repository, name):
    work.write(name)
    assert consistent(repository, None).changes == (Change(name, "add"),)
    base = work.commit()
    work.write(name, "changed\n")
    work.write(f"folder/{name}")
    assert actions(consistent(repository, base)) == {name: "modify", f"folder/{name}": "add"}


def test_a_name_that_is_not_utf_8_is_escaped(work, repository):
    try:
        with open(os.path.join(os.fsencode(work.top), b"caf\xe9"), "wb") as file:
            file.write(b"x")
    except OSError:
        pytest.skip("this file system takes only UTF-8")
    assert consistent(repository, None).changes == (Change("./caf\\xe9", "add"),)


def test_pipes_and_sockets_that_nobody_tracks_are_no_files(work, repository):
    os.mkfifo(work.top / "pipe")
    assert consistent(repository, None).changes == ()


def test_conversions_of_line_ends_are_those_of_a_commit(work, repository):
    work.write(".gitattributes", "*.txt text\n*.bin -text\n")
    work.write("a.txt", b"one\r\ntwo\r\n")
    work.write("a.bin", b"one\r\ntwo\r\n")
    seen = consistent(repository, None)
    assert repository.tree_of(work.commit()) == seen.tree
    assert seen.diff.count(b"\r\n") == 2


# Repositories inside the repository


@pytest.fixture
def module(work, tmp_path):
    """A submodule, with one commit, in a repository that has it committed."""
    source = Work(tmp_path / "source")
    source.write("inner")
    source.commit()
    work.git("submodule", "--quiet", "add", str(source.top), "sub")
    work.commit()
    inner = Work.__new__(Work)
    inner.top = work.top / "sub"
    return inner


def test_a_submodule_counts_by_its_commit(work, repository, module):
    base = repository.head()
    assert consistent(repository, base).changes == ()
    module.write("inner", "dirty\n")
    assert consistent(repository, base).changes == ()
    module.commit()
    assert actions(consistent(repository, base)) == {"sub": "modify"}


def test_settings_that_ignore_a_submodule_do_not_hide_its_commit(work, repository, module):
    work.git("config", "--file", ".gitmodules", "submodule.sub.ignore", "all")
    work.git("config", "submodule.sub.ignore", "all")
    work.git("config", "diff.ignoreSubmodules", "all")
    base = work.commit()
    module.write("inner", "changed\n")
    module.commit()
    assert actions(consistent(repository, base)) == {"sub": "modify"}


def test_a_submodule_that_was_not_fetched_is_unchanged(work, open_repository, module, tmp_path):
    work.git("clone", "--quiet", str(work.top), str(tmp_path / "clone"))
    clone = open_repository(tmp_path / "clone")
    assert consistent(clone, clone.head()).changes == ()


def test_a_removed_submodule_is_deleted(work, repository, module):
    base = repository.head()
    shutil.rmtree(work.top / "sub")
    assert actions(consistent(repository, base)) == {"sub": "delete"}


def test_a_repository_inside_counts_by_its_commit_too(work, repository):
    base = work.commit()
    inner = Work(work.top / "inner")
    inner.write("a")
    inner.commit()
    assert actions(consistent(repository, base)) == {"inner": "add"}


def test_a_repository_inside_without_a_commit_is_named_and_not_overlooked(work, repository):
    base = work.commit()
    work.write("seen")
    inner = Work(work.top / "inner")
    inner.write("hidden")
    seen = repository.observe(base)
    assert (seen.unborn, [change.path for change in seen.changes]) == (("inner/",), ["seen"])
    with pytest.raises(UnavailableError) as caught:
        repository.tree()
    assert "'inner/'" in caught.value.fix
    inner.commit()
    seen = repository.observe(base)
    assert (seen.unborn, [change.path for change in seen.changes]) == ((), ["inner", "seen"])


def test_a_repository_inside_that_git_cannot_read_is_no_answer(work, repository):
    base = work.commit()
    inner = Work(work.top / "inner")
    inner.write(".git/config", "[core\n")
    with pytest.raises(UnavailableError) as caught:
        repository.observe(base)
    assert caught.value.code == "git_failed"


def test_a_mode_is_seen_whatever_the_repository_says_of_modes(work):
    work.write("run.sh")
    base = work.commit()
    work.git("config", "core.fileMode", "false")
    (work.top / "run.sh").chmod(0o755)
    before = work.snapshot()
    with find(work.top) as repository:
        seen = repository.observe(base)
        assert [(change.path, change.action) for change in seen.changes] == [("run.sh", "modify")]
        assert b"new mode 100755" in seen.diff
        (work.top / "run.sh").chmod(0o644)
        assert repository.observe(base).changes == ()
    assert work.snapshot() == before


# Patches


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--unified=10",),
        ("--unified=0", "--inter-hunk-context=3"),
        ("--no-prefix",),
        ("--no-prefix", "--unified=0", "--no-renames"),
        ("--find-renames", "--find-copies-harder"),
        ("--patience", "--function-context"),
        ("--full-index", "--abbrev=40"),
        ("--stat", "--patch"),
        ("--src-prefix=old/", "--dst-prefix=new/"),
    ],
    ids=" ".join,
)
def test_a_patch_is_compared_by_content_whatever_options_made_it(work, repository, options):
    work.write("a", "".join(f"line {number}\n" for number in range(60)))
    work.write("b", "b\n" * 30)
    work.write("gone")
    base = work.commit()
    lines = (work.top / "a").read_text().splitlines(keepends=True)
    work.write("a", "".join([*lines[:10], "new\n", *lines[12:40], "other\n", *lines[41:]]))
    (work.top / "b").rename(work.top / "c c")
    work.write("new/er", "")
    work.write("new/er est")
    (work.top / "gone").unlink()
    work.git("add", "--all")
    patch = work.git_bytes("diff", "--cached", *options, base)
    assert repository.apply(base, patch) == Applied(repository.tree())


def test_a_patch_that_leaves_out_what_it_deletes_does_not_apply(work, repository):
    work.write("gone")
    base = work.commit()
    (work.top / "gone").unlink()
    answer = repository.apply(base, work.git_bytes("diff", "--irreversible-delete"))
    assert answer.tree is None
    assert "gone" in answer.message


def test_a_binary_patch_is_compared_by_content(work, repository):
    work.write("a.bin", bytes(range(256)))
    base = work.commit()
    work.write("a.bin", bytes(reversed(range(256))))
    assert repository.apply(base, work.git_bytes("diff", "--binary")) == Applied(repository.tree())
    without = repository.apply(base, work.git_bytes("diff"))
    assert without.tree is None
    assert "a.bin" in without.message


def test_a_patch_that_says_something_else_leads_elsewhere(work, repository):
    work.write("a", "1\n2\n3\n")
    base = work.commit()
    work.write("a", "1\n2\nthree\n")
    patch = repository.observe(base).diff
    assert repository.apply(base, patch.replace(b"+three", b"+drei")).tree not in (None, repository.tree())
    assert repository.apply(base, patch.replace(b" 2\n", b" 9\n")).tree is None
    assert repository.apply(base, b"") == Applied(repository.tree_of(base))
    assert repository.apply(base, b"not a patch\n").tree is None


@pytest.mark.parametrize("path", ["../../outside", "/tmp/outside", ".git/config", "a/../../outside"])
def test_a_patch_never_reaches_outside_the_tree(work, repository, path):
    base = work.commit()
    patch = f"--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+x\n"
    before = work.snapshot()
    answer = repository.apply(base, patch.encode())
    assert answer.tree is None
    assert answer.message.isprintable()
    assert work.snapshot() == before


def test_a_path_longer_than_an_index_can_count_is_kept(repository):
    path = "/".join(["n" * 200] * 25)
    first = repository.apply(None, f"--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+x\n".encode())
    second = repository.apply(first.tree, b"--- /dev/null\n+++ b/other\n@@ -0,0 +1 @@\n+x\n")
    assert repository.changes(first.tree, second.tree) == (Change("other", "add"),)


def test_parts_of_a_patch_about_the_state_folder_do_not_count(work, repository):
    work.write("state/x", "1\n")
    base = work.commit()
    work.write("state/x", "2\n")
    work.write("a")
    work.git("add", "--all")
    patch = work.git_bytes("diff", "--cached", base)
    assert b"state/x" in patch
    assert repository.apply(base, patch, STATE) == Applied(repository.tree(STATE))


def test_random_changes_are_observed_consistently(work, repository):
    chance = random.Random(4)
    for number in range(30):
        work.write(f"{number % 5}/{number}", f"{number}\n" * 20)
    base = work.commit()
    for _ in range(12):
        path = work.top / f"{chance.randrange(5)}" / f"{chance.randrange(40)}"
        if path.exists() and chance.random() < 0.4:
            path.unlink()
        else:
            work.write(str(path.relative_to(work.top)), chance.randbytes(200) + b"\n" * chance.randrange(2))
        seen = consistent(repository, base)
        expected = work.git("status", "--porcelain=1", "--no-renames", "--untracked-files=all").splitlines()
        assert set(actions(seen)) == {line.split()[-1] for line in expected}


# The world around


def test_looking_leaves_nothing_behind(work, repository):
    work.write("a")
    base = work.commit()
    work.write("a", "changed\n")
    work.write("new")
    before = work.snapshot()
    seen = consistent(repository, base)
    repository.tree_of(base, ("a",))
    assert repository.apply(base, seen.diff.replace(b"+changed", b"+other")).tree
    assert work.snapshot() == before


def test_files_that_come_and_go_meanwhile_are_told_or_there_is_no_answer(work, repository):
    base = work.commit()
    stop = threading.Event()

    def flicker() -> None:
        while not stop.is_set():
            for name in ("x", "y/z"):
                work.write(name)
            (work.top / "x").unlink()
            shutil.rmtree(work.top / "y")

    flickering = threading.Thread(target=flicker)
    flickering.start()
    try:
        answers = [answer(repository, base) for _ in range(15)]
    finally:
        stop.set()
        flickering.join()
    assert {path for one in answers if one for path in actions(one)} <= {"x", "y/z"}


def answer(repository: Repository, base: str) -> Observation | None:
    try:
        return repository.observe(base)
    except UnavailableError as error:
        return None if error.code == "git_failed" and "nothing writes" in error.fix else pytest.fail(str(error))


def test_the_time_is_counted_by_the_clock_that_was_given(work):
    ticks = iter(range(0, 10**12, 5_000_000))
    with find(work.top, nanoseconds=lambda: next(ticks)) as repository:
        assert repository.observe(None).micros == 3 * 5000
