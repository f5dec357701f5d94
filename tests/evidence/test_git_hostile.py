"""A repository that names programs for git to run, or hides what changed, bends no answer and runs nothing."""

from __future__ import annotations

import os
import subprocess

import pytest

from enforcer.errors import UnavailableError
from enforcer.evidence.git import Applied
from tests.evidence.repositories import ENVIRONMENT, Work, find

STATE = ("state",)
HOOKS = (
    "post-index-change",
    "pre-commit",
    "post-checkout",
    "reference-transaction",
    "fsmonitor-watchman",
    "pre-auto-gc",
)


class Canary:
    """A program that leaves a mark when it runs, and then does what each of its roles needs to be believed."""

    def __init__(self, folder):
        self.mark = folder / "mark"
        self.program = folder / "canary"
        self.program.write_text(f'#!/bin/sh\necho "$0 $*" >> {self.mark}\ncat 2>/dev/null\nexit 0\n')
        self.program.chmod(0o755)

    @property
    def ran(self) -> bool:
        return self.mark.exists()


@pytest.fixture
def canary(tmp_path):
    return Canary(tmp_path)


@pytest.fixture
def work(tmp_path):
    made = Work(tmp_path / "repo")
    made.write("a.txt", "one\n")
    made.write("b.bin", bytes(range(256)))
    made.commit()
    made.write("a.txt", "two\n")
    made.write("new.txt", "new\n")
    return made


def ask_everything(top) -> tuple[object, ...]:
    """Every question there is; the answers that do not depend on time."""
    with find(top) as repository:
        base = repository.resolve("HEAD")
        seen = repository.observe(base, STATE)
        assert repository.tree(STATE) == seen.tree
        assert repository.apply(base, seen.diff, STATE) == Applied(seen.tree)
        assert repository.diff(base, seen.tree, STATE) == seen.diff
        return repository.tree_of(base, STATE), repository.head(), seen.replace(micros=0)


def arm(work: Work, canary: Canary) -> None:
    """Configure every way of running a program that a question could meet."""
    program = str(canary.program)
    attributes = "* filter=evil diff=evil merge=evil\n"
    work.write(".git/info/attributes", attributes)
    for key in (
        *(
            "core.fsmonitor",
            "core.pager",
            "core.editor",
            "core.askPass",
            "core.sshCommand",
            "core.alternateRefsCommand",
        ),
        *("diff.external", "diff.evil.command", "diff.evil.textconv", "merge.evil.driver", "interactive.diffFilter"),
        *("filter.evil.clean", "filter.evil.smudge", "filter.evil.process", "uploadpack.packObjectsHook"),
        *("pager.diff", "pager.diff-index", "pager.ls-files", "gpg.program", "credential.helper"),
        *("remote.origin.uploadpack", "remote.origin.vcs"),
    ):
        work.git("config", key, program)
    for key, value in {
        "filter.evil.required": "true",
        "core.hooksPath": str(work.top / "hooks"),
        "core.untrackedCache": "true",
        "extensions.partialClone": "origin",
        "remote.origin.url": f"ext::{program}",
        "remote.origin.promisor": "true",
        **{f"alias.{name}": f"!{program}" for name in ("add", "diff", "ls-files", "write-tree", "update-index")},
    }.items():
        work.git("config", key, value)
    for name in HOOKS:
        for folder in ("hooks", ".git/hooks"):
            work.write(f"{folder}/{name}", canary.program.read_text(), 0o755)
    work.write(".git/info/exclude", "hooks/\n")
    work.write("state/x")
    work.write(".gitattributes", attributes)
    work.write(".gitignore", "hooks/\n")


def test_no_program_that_the_repository_names_is_run(work, canary):
    arm(work, canary)
    subprocess.run(["git", "add", "a.txt"], cwd=work.top, env=ENVIRONMENT, capture_output=True, check=False, timeout=60)
    assert canary.ran, "the trap itself must work"
    canary.mark.unlink()
    ask_everything(work.top)
    assert not canary.ran


def test_settings_of_the_repository_change_no_answer(work):
    before = ask_everything(work.top)
    for key, value in {
        "core.worktree": "/",
        "core.bare": "true",
        "core.autocrlf": "input",
        "core.excludesFile": str(work.top / ".git" / "hide"),
        "core.attributesFile": str(work.top / ".git" / "bend"),
        "core.ignoreCase": "true",
        "core.quotePath": "false",
        "core.abbrev": "4",
        "core.splitIndex": "true",
        "core.trustctime": "false",
        "core.checkStat": "minimal",
        "core.sparseCheckout": "true",
        "diff.noprefix": "true",
        "diff.mnemonicPrefix": "true",
        "diff.renames": "copies",
        "diff.context": "0",
        "diff.interHunkContext": "9",
        "diff.algorithm": "patience",
        "diff.indentHeuristic": "false",
        "diff.suppressBlankEmpty": "true",
        "diff.orderFile": str(work.top / ".git" / "order"),
        "diff.relative": "true",
        "diff.wsErrorHighlight": "all",
        "diff.colorMoved": "plain",
        "color.ui": "always",
        "color.diff": "always",
        "apply.whitespace": "error",
        "apply.ignoreWhitespace": "change",
        "add.ignoreErrors": "true",
        "i18n.logOutputEncoding": "UTF-16",
    }.items():
        work.git("--git-dir", str(work.top / ".git"), "--work-tree", str(work.top), "config", key, value)
    work.write(".git/hide", "new.txt\n")
    work.write(".git/bend", "* -diff -text\n")
    work.write(".git/order", "new*\n")
    work.write(".git/info/exclude", "new.txt\n")
    work.write(".git/info/attributes", "* -diff binary filter=lfs working-tree-encoding=UTF-16\n")
    assert ask_everything(work.top) == before


def test_variables_of_the_environment_change_no_answer(work, canary, monkeypatch, tmp_path):
    before = ask_everything(work.top)
    other = Work(tmp_path / "other")
    home = tmp_path / "home" / ".config" / "git"
    home.mkdir(parents=True)
    (home / "ignore").write_text("new.txt\n")
    (home / "attributes").write_text("* -diff\n")
    (home / "config").write_text(f"[diff]\n\texternal = {canary.program}\n")
    for name, value in {
        "GIT_DIR": str(other.top / ".git"),
        "GIT_WORK_TREE": str(other.top),
        "GIT_INDEX_FILE": str(tmp_path / "index"),
        "GIT_OBJECT_DIRECTORY": str(tmp_path / "objects"),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "diff.external",
        "GIT_CONFIG_VALUE_0": str(canary.program),
        "GIT_CONFIG_PARAMETERS": "'core.fileMode'='false'",
        "GIT_EXTERNAL_DIFF": str(canary.program),
        "GIT_DIFF_OPTS": "-u0",
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_ICASE_PATHSPECS": "1",
        "GIT_TRACE": str(tmp_path / "trace"),
        "GIT_PAGER": str(canary.program),
        "GIT_NAMESPACE": "x",
        "PAGER": str(canary.program),
        "HOME": str(tmp_path / "home"),
        "XDG_CONFIG_HOME": str(tmp_path / "home" / ".config"),
        "LC_ALL": "de_DE.UTF-8",
    }.items():
        monkeypatch.setenv(name, value)
    assert ask_everything(work.top) == before
    assert not canary.ran
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree", "--fsmonitor-valid"])
def test_flags_of_the_index_hide_no_change(work, flag):
    before = ask_everything(work.top)
    work.git("update-index", flag, "a.txt", check=False)
    assert ask_everything(work.top) == before


def test_an_index_that_claims_to_know_the_file_hides_no_change(work):
    before = ask_everything(work.top)
    path = work.top / "a.txt"
    times = (path.stat().st_atime_ns, 1_600_000_000_000_000_000)
    path.write_text("one\n")
    os.utime(path, ns=times)
    work.git("config", "core.trustctime", "false")
    work.git("config", "core.checkStat", "minimal")
    work.git("update-index", "--refresh")
    with path.open("r+") as file:
        file.write("two\n")
    os.utime(path, ns=times)
    assert work.git("diff") == "", "git itself must be deceived"
    assert ask_everything(work.top) == before


def test_a_replaced_commit_changes_no_answer(work):
    first = work.git("rev-parse", "HEAD")
    work.git("commit", "--quiet", "--allow-empty", "--message", "another")
    before = ask_everything(work.top)
    base = work.git("rev-parse", "HEAD")
    blob = work.git("hash-object", "-w", "a.txt")
    tree = work.git("rev-parse", "HEAD^{tree}")
    forged = subprocess.run(
        ["git", "mktree"],
        input=work.git("ls-tree", tree).replace(work.git("rev-parse", "HEAD:a.txt"), blob) + "\n",
        cwd=work.top,
        env=ENVIRONMENT,
        capture_output=True,
        check=True,
        text=True,
        timeout=60,
    ).stdout.strip()
    work.git("replace", tree, forged)
    work.git("replace", base, work.git("commit-tree", forged, "-m", "forged"))
    assert work.git("diff", "HEAD", "--", "a.txt") == "", "git itself must be deceived"
    assert ask_everything(work.top) == before
    with find(work.top) as repository:
        assert repository.resolve("HEAD~1") == first


def test_a_submodules_own_settings_are_not_run_either(work, canary, tmp_path):
    source = Work(tmp_path / "source")
    source.write("inner")
    source.commit()
    work.git("submodule", "--quiet", "add", str(source.top), "sub")
    work.commit()
    inner = Work.__new__(Work)
    inner.top = work.top / "sub"
    work.write("sub/inner", "dirty\n")
    for key in ("core.fsmonitor", "diff.external", "filter.evil.clean"):
        inner.git("config", key, str(canary.program))
    work.write("sub/.gitattributes", "* filter=evil\n")
    inner.git("status")
    assert canary.ran, "the trap itself must work"
    canary.mark.unlink()
    ask_everything(work.top)
    assert not canary.ran


def test_another_users_repository_is_read_all_the_same(work):
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    before = ask_everything(work.top)
    os.chown(work.top, 12345, 12345)
    os.chown(work.top / ".git", 12345, 12345)
    assert ask_everything(work.top) == before


def test_a_damaged_index_is_no_answer(work):
    (work.top / ".git" / "index").write_bytes(b"DIRC" + bytes(40))
    with find(work.top) as repository, pytest.raises(UnavailableError) as caught:
        repository.observe(None)
    assert caught.value.code == "git_failed"


def test_what_git_says_reaches_a_message_without_control_characters(work):
    with find(work.top) as repository:
        answer = repository.apply(repository.head(), b"--- a/\x1b[31mx\n+++ b/\x1b[31mx\n@@ -1 +1 @@\n-a\n+b\n")
    assert answer.tree is None
    assert answer.message.isprintable()
    assert answer.message
