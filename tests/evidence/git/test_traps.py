"""A corpus of repositories that want a program run, or another answer given: each against every question there is.

A trap that nobody can fall into proves nothing, so plain git has to fall into each one first: the program runs, or git
gives another answer than it gives in the same repository without the trap.
"""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from enforcer.errors import RequestError
from enforcer.evidence.git import Applied, Repository
from tests.evidence.repositories import ENVIRONMENT, Work, find

STATE = ("state",)
HOOKS = ("post-index-change", "pre-commit", "post-checkout", "reference-transaction", "pre-auto-gc", "post-commit")
MISSING = "1" * 40


class Place:
    """Where the traps are set: copies of one repository, and one program that leaves a mark when it runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mark = folder / "mark"
        self.program = folder / "canary"
        self.program.write_text(f'#!/bin/sh\necho "$0 $*" >> {self.mark}\n')
        self.program.chmod(0o755)
        self.other = Work(folder / "other")
        self.other.write("elsewhere.txt")
        self.other.commit("elsewhere")
        self.plain = self._build()

    def _build(self) -> Work:
        """Three commits and a side branch, then changes of every kind, with attributes that name drivers."""
        work = Work(self.folder / "plain", "--template=")
        work.commit("nothing")
        work.write(".gitattributes", "*.txt filter=evil diff=evil merge=evil export-subst\n")
        work.write(".gitignore", "hooks/\n*.log\nconftest.py\n")
        work.write(".gitmodules", '[submodule "sub"]\n\tpath = sub\n\turl = ./sub\n')
        for name in HOOKS:
            work.write(f"hooks/{name}", self.program.read_text(), 0o755)
        work.write("a.txt", "head\none\n")
        work.write("b.bin", bytes(range(256)))
        work.write("gone.txt")
        sub = Work(work.top / "sub", "--template=")
        sub.write(".gitattributes", "* filter=evil diff=evil\n")
        sub.write("inner")
        sub.commit()
        work.commit("first")
        work.git("checkout", "--quiet", "-b", "side")
        work.write("a.txt", "head\nside\n")
        work.commit("side")
        work.git("checkout", "--quiet", "main")
        work.write("a.txt", "head\nmain\n")
        work.commit("second")
        sub.write("inner", "moved on\n")
        sub.commit()
        for each in (work, sub):  # In one file, because it is copied very often.
            each.git("repack", "--quiet", "-a", "-d")
        for path, data in (("a.txt", "two\n"), ("new.txt", "new\n"), ("b.bin", "b\n"), ("sub/inner", "dirty\n")):
            work.write(path, data)
        (work.top / "gone.txt").unlink()
        work.write("conftest.py")
        work.write("state/x")
        return work

    def copy(self, name: str) -> Work:
        work = Work.__new__(Work)
        work.top = self.folder / name.replace(" ", "-").replace("/", "-")
        shutil.copytree(self.plain.top, work.top, symlinks=True)
        return work

    def ran(self) -> bool:
        """Whether the program has run since this was last asked."""
        try:
            self.mark.unlink()
        except FileNotFoundError:
            return False
        return True


class Trap:
    """How a trap is set, and the commands with which plain git falls into it.

    In every text `{canary}` is the program, `{top}` the repository and `{other}` another one.
    """

    def __init__(
        self,
        *spring: str,
        settings: Mapping[str, str] | None = None,
        files: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
        more: Callable[[Work], None] | None = None,
        inside: str = "",
        data: str = "",
        terminal: bool = False,
    ) -> None:
        self._spring, self._data, self._terminal = spring, data, terminal
        self._settings, self._files, self._variables = settings or {}, files or {}, variables or {}
        self._more, self._inside = more, inside

    def arm(self, work: Work, place: Place) -> dict[str, str]:
        """Set the trap; the variables that belong to it."""

        def fill(text: str) -> str:
            for name, path in (("canary", place.program), ("top", work.top), ("other", place.other.top)):
                text = text.replace("{" + name + "}", str(path))
            return text

        for path, text in self._files.items():
            work.write(path, fill(text), 0o755)
        if self._more:
            self._more(work)
        for key, value in self._settings.items():
            file = work.top / self._inside / ".git" / "config"
            work.git("config", "--file", str(file), fill(key), fill(value))
        return {name: fill(value) for name, value in self._variables.items()}

    def spring(self, work: Work, place: Place, variables: Mapping[str, str]) -> bytes:
        """What plain git says, having been asked as people ask it."""
        said = b""
        for command in self._spring:
            words = [
                word.replace("{other}", str(place.other.top)).replace("{top}", str(work.top))
                for word in command.split()
            ]
            said = self._run(["git", *words], work, {**ENVIRONMENT, **variables})
        return said

    def _run(self, command: list[str], work: Work, environment: Mapping[str, str]) -> bytes:
        if not self._terminal:
            done = subprocess.run(
                command, input=self._data.encode(), cwd=work.top, env=environment, capture_output=True, timeout=60
            )
            return done.stdout
        ours, theirs = pty.openpty()
        try:
            subprocess.run(command, stdin=subprocess.DEVNULL, stdout=theirs, cwd=work.top, env=environment, timeout=60)
        finally:
            os.close(ours)
            os.close(theirs)
        return b""


def replace_the_head(work: Work) -> None:
    """Let git take the tree and the parent of another commit for those that HEAD has."""
    work.git("replace", work.git("rev-parse", "HEAD^{tree}"), work.git("rev-parse", "side^{tree}"))
    work.git("replace", "--graft", "HEAD", "side")


def graft_another_parent(work: Work) -> None:
    head, side = work.git("rev-parse", "HEAD", "side").split()
    work.write(".git/info/grafts", f"{head} {side}\n")


def cut_the_history(work: Work) -> None:
    work.write(".git/shallow", work.git("rev-parse", "HEAD") + "\n")


def forge_the_commit_graph(work: Work) -> None:
    """The cache of commits says that the parent of HEAD~1 is the commit on the other branch.

    Of a commit it holds the tree's name and then the place of its parent among all commits (gitformat-commit-graph).
    """
    work.git("commit-graph", "write", "--reachable")
    graph = work.top / ".git" / "objects" / "info" / "commit-graph"
    commits = sorted(work.git("rev-list", "--all").split())
    tree = bytes.fromhex(work.git("rev-parse", "HEAD~1^{tree}"))
    parent, side = (tree + commits.index(work.git("rev-parse", name)).to_bytes(4, "big") for name in ("HEAD~2", "side"))
    graph.chmod(0o644)
    forged = graph.read_bytes().replace(parent, side)
    assert forged != graph.read_bytes()
    graph.write_bytes(forged)


ASKED_FOR_A_PASSWORD = "protocol=https\nhost=example.org\n\n"
EXTERNAL = "[diff]\n\texternal = {canary}\n"
EXT = {"protocol.ext.allow": "always", "protocol.allow": "always"}

RUNS = {
    "a file system monitor": Trap("status", settings={"core.fsmonitor": "{canary}"}),
    "hooks of a folder in the work tree": Trap("add a.txt", settings={"core.hooksPath": "{top}/hooks"}),
    "hooks of the repository": Trap(
        "add a.txt", files={f".git/hooks/{name}": "#!/bin/sh\nexec {canary}\n" for name in HOOKS}
    ),
    "a pager": Trap("--paginate log", settings={"core.pager": "{canary}"}, terminal=True),
    "a pager of one command": Trap("diff", settings={"pager.diff": "{canary}"}, terminal=True),
    "an external diff": Trap("diff", settings={"diff.external": "{canary}"}),
    "a diff driver": Trap("diff", settings={"diff.evil.command": "{canary}"}),
    "a text conversion": Trap("diff", settings={"diff.evil.textconv": "{canary}"}),
    "a clean filter": Trap("add a.txt", settings={"filter.evil.clean": "{canary}", "filter.evil.required": "true"}),
    "a smudge filter": Trap(
        "checkout -- a.txt", settings={"filter.evil.smudge": "{canary}", "filter.evil.required": "true"}
    ),
    "a filter process": Trap("add a.txt", settings={"filter.evil.process": "{canary}"}),
    "a merge driver": Trap("stash", "merge side", settings={"merge.evil.driver": "{canary}"}),
    "an ssh command": Trap(
        "fetch", settings={"core.sshCommand": "{canary}", "remote.origin.url": "ssh://example.invalid/x"}
    ),
    "a git proxy": Trap(
        "fetch", settings={"core.gitProxy": "{canary}", "remote.origin.url": "git://example.invalid/x"}
    ),
    "an upload-pack program": Trap(
        "fetch", settings={"remote.origin.uploadpack": "{canary}", "remote.origin.url": "{other}"}
    ),
    "an address that is a command": Trap("fetch", settings={"remote.origin.url": "ext::{canary}", **EXT}),
    "an address that becomes a command": Trap(
        "fetch",
        settings={
            "url.ext::{canary} .insteadOf": "https://example.org/",
            "remote.origin.url": "https://example.org/x",
            **EXT,
        },
    ),
    "a missing object that a command would fetch": Trap(
        f"cat-file -p {MISSING}",
        settings={
            **EXT,
            "core.repositoryFormatVersion": "1",
            "extensions.partialClone": "origin",
            "remote.origin.promisor": "true",
            "remote.origin.url": "ext::{canary}",
        },
    ),
    "a credential helper": Trap(
        "credential fill", settings={"credential.helper": "!{canary}"}, data=ASKED_FOR_A_PASSWORD
    ),
    "a program that asks for a password": Trap(
        "credential fill", settings={"core.askPass": "{canary}"}, data=ASKED_FOR_A_PASSWORD
    ),
    "an included file": Trap(
        "diff", settings={"include.path": "{top}/.git/included"}, files={".git/included": EXTERNAL}
    ),
    "a file included for this folder": Trap(
        "diff", settings={"includeIf.gitdir:**.path": "{top}/.git/included"}, files={".git/included": EXTERNAL}
    ),
    "settings of the work tree": Trap(
        "diff",
        settings={"extensions.worktreeConfig": "true", "core.repositoryFormatVersion": "1"},
        files={".git/config.worktree": EXTERNAL},
    ),
    "an alias": Trap("look", settings={"alias.look": "!{canary}", "alias.diff-tree": "!{canary}"}),
    "a program that signs": Trap(
        "commit --allow-empty --message x", settings={"gpg.program": "{canary}", "commit.gpgSign": "true"}
    ),
    "a program that names a key": Trap(
        "commit --allow-empty --message x",
        settings={"gpg.format": "ssh", "gpg.ssh.defaultKeyCommand": "{canary}", "commit.gpgSign": "true"},
    ),
    "attributes of the repository": Trap(
        "diff", settings={"diff.mine.command": "{canary}"}, files={".git/info/attributes": "* diff=mine\n"}
    ),
    "attributes of a file elsewhere": Trap(
        "diff",
        settings={"diff.mine.command": "{canary}", "core.attributesFile": "{top}/.git/attributes"},
        files={".git/attributes": "*.bin diff=mine\n"},
    ),
    "a program that archives": Trap("archive --format=own HEAD", settings={"tar.own.command": "{canary}"}),
    "a program that updates a submodule": Trap(
        "submodule update", settings={"submodule.sub.update": "!{canary}", "submodule.sub.url": "{other}"}
    ),
    "a submodule's own monitor": Trap("status", settings={"core.fsmonitor": "{canary}"}, inside="sub"),
    "a submodule's own filter": Trap(
        "-C sub add inner", settings={"filter.evil.clean": "{canary}", "diff.external": "{canary}"}, inside="sub"
    ),
    "a program that tells the refs of an alternate": Trap(
        "fetch {other}",
        settings={"core.alternateRefsCommand": "{canary}"},
        files={".git/objects/info/alternates": "{other}/.git/objects\n"},
    ),
    "a diff program in the environment": Trap("diff", variables={"GIT_EXTERNAL_DIFF": "{canary}"}),
    "settings in the environment": Trap(
        "diff",
        variables={"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "diff.external", "GIT_CONFIG_VALUE_0": "{canary}"},
    ),
    "settings of the command line in the environment": Trap(
        "diff", variables={"GIT_CONFIG_PARAMETERS": "'diff.external'='{canary}'"}
    ),
    "the user's own settings": Trap(
        "diff", variables={"GIT_CONFIG_GLOBAL": "{top}/.git/own"}, files={".git/own": EXTERNAL}
    ),
    "a hook before objects are packed": Trap(
        "-c protocol.file.allow=always fetch file://{top}/sub",
        variables={"GIT_CONFIG_GLOBAL": "{top}/.git/own"},
        files={".git/own": "[uploadpack]\n\tpackObjectsHook = {canary}\n"},
    ),
    "git's own programs from elsewhere": Trap(
        "ls-remote own::x",
        variables={"GIT_EXEC_PATH": "{top}/.git/programs", "GIT_ALLOW_PROTOCOL": "own"},
        files={".git/programs/git-remote-own": "#!/bin/sh\nexec {canary}\n"},
    ),
}

BENDS = {
    "another work tree": Trap("ls-files --others", settings={"core.worktree": "{other}"}),
    "no work tree": Trap("status --short", settings={"core.bare": "true"}),
    "a list of ignored files elsewhere": Trap(
        "status --short", settings={"core.excludesFile": "{top}/.git/hide"}, files={".git/hide": "new.txt\n"}
    ),
    "the repository's own list of ignored files": Trap("status --short", files={".git/info/exclude": "new.txt\n"}),
    "a replaced tree and commit": Trap("rev-parse HEAD~1", more=replace_the_head),
    "a grafted parent": Trap("rev-parse HEAD~1", more=graft_another_parent),
    "a history that ends": Trap("rev-list HEAD", more=cut_the_history),
    "a forged commit graph": Trap("rev-parse HEAD~2", more=forge_the_commit_graph),
    "another repository in the environment": Trap(
        "rev-parse HEAD", variables={"GIT_DIR": "{other}/.git", "GIT_WORK_TREE": "{other}"}
    ),
    "another index in the environment": Trap("ls-files", variables={"GIT_INDEX_FILE": "{other}/.git/index"}),
    "other objects in the environment": Trap(
        "ls-tree HEAD", variables={"GIT_OBJECT_DIRECTORY": "{other}/.git/objects"}
    ),
    "a namespace in the environment": Trap("upload-pack --advertise-refs .", variables={"GIT_NAMESPACE": "other"}),
    "grafts in the environment": Trap(
        "rev-parse HEAD~1", variables={"GIT_GRAFT_FILE": "{top}/.git/info/grafts"}, more=graft_another_parent
    ),
    "options of a diff in the environment": Trap("diff HEAD~1 HEAD", variables={"GIT_DIFF_OPTS": "--unified=0"}),
    "pathspecs in the environment": Trap("ls-files -- :(top)a.txt", variables={"GIT_LITERAL_PATHSPECS": "1"}),
    "form of a diff": Trap("diff HEAD~1 HEAD", settings={"diff.noprefix": "true", "diff.algorithm": "patience"}),
    "colours": Trap("diff HEAD~1 HEAD", settings={"color.ui": "always"}),
    "a submodule that is ignored": Trap("status --short", settings={"submodule.sub.ignore": "all"}),
}

TRAPS = RUNS | BENDS


# The questions


def files(folder: Path) -> dict[str, object]:
    return {
        str(path.relative_to(folder)): os.readlink(path)
        if path.is_symlink()
        else (path.stat().st_mode, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def copied(repository: Repository, folder: Path) -> object:
    folder.mkdir()
    try:
        return repository.copy_to(str(folder), STATE), files(folder)
    finally:
        shutil.rmtree(folder)


def missing(repository: Repository) -> str:
    with pytest.raises(RequestError) as caught:
        repository.resolve(MISSING)
    return caught.value.code


def applied(repository: Repository) -> Applied:
    base = repository.resolve("main")
    return repository.apply(base, repository.observe(base, STATE).diff, STATE)


QUESTIONS: dict[str, Callable[[Repository, Path], object]] = {
    "head": lambda repository, _: repository.head(),
    "resolve": lambda repository, _: (repository.resolve("main~1"), repository.resolve("main~2")),
    "resolve what is missing": lambda repository, _: missing(repository),
    "tree": lambda repository, _: repository.tree(STATE),
    "tree_of": lambda repository, _: repository.tree_of(repository.resolve("main"), STATE),
    "tree_of all": lambda repository, _: repository.tree_of(repository.resolve("main")),
    "diff": lambda repository, _: repository.diff(repository.resolve("main~1"), repository.resolve("main")),
    "changes": lambda repository, _: repository.changes(None, repository.tree(STATE), STATE),
    "contents": lambda repository, _: repository.contents(repository.resolve("side"), repository.resolve("main")),
    "paths": lambda repository, _: repository.paths(repository.tree(STATE)),
    "unsettled": lambda repository, _: repository.unsettled(repository.tree(STATE)),
    "apply": lambda repository, _: applied(repository),
    "observe": lambda repository, _: repository.observe(repository.resolve("main"), STATE).replace(micros=0),
    "ignored": lambda repository, _: repository.ignored(STATE),
    "copy_to": lambda repository, folder: copied(repository, folder / "copied"),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Place:
    return Place(tmp_path_factory.mktemp("traps"))


@pytest.fixture(scope="module")
def honest(place) -> dict[str, object]:
    """What every question is answered without a trap."""
    with find(place.plain.top) as repository:
        return {name: ask(repository, place.folder) for name, ask in QUESTIONS.items()}


@pytest.fixture(scope="module", params=TRAPS)
def trapped(request, place) -> Iterator[Repository]:
    """The same repository with a trap in it."""
    work = place.copy(request.param)
    variables = TRAPS[request.param].arm(work, place)
    with pytest.MonkeyPatch.context() as patched:
        for name, value in variables.items():
            patched.setenv(name, value)
        with find(work.top) as repository:
            yield repository
    shutil.rmtree(work.top)


@pytest.mark.parametrize("question", QUESTIONS)
def test_no_trap_runs_a_program_or_bends_an_answer(trapped, question, honest, place):
    place.ran()
    answer = QUESTIONS[question](trapped, place.folder)
    assert not place.ran()
    assert answer == honest[question]


@pytest.mark.parametrize("name", RUNS)
def test_plain_git_runs_the_program_of_the_trap(name, place):
    work = place.copy(f"sprung {name}")
    variables = TRAPS[name].arm(work, place)
    place.ran()
    TRAPS[name].spring(work, place, variables)
    assert place.ran()
    shutil.rmtree(work.top)


@pytest.mark.parametrize("name", BENDS)
def test_plain_git_gives_the_answer_of_the_trap(name, place):
    work = place.copy(f"sprung {name}")
    before = TRAPS[name].spring(work, place, {})
    variables = TRAPS[name].arm(work, place)
    assert TRAPS[name].spring(work, place, variables) != before
    shutil.rmtree(work.top)


def test_every_question_of_a_repository_is_asked():
    public = {name for name in vars(Repository) if not name.startswith("_")} - {"find"}
    assert {name.partition(" ")[0] for name in QUESTIONS} == public
