"""A CI job asks of every push whether a task on the published ledger has verified exactly what was pushed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from acceptance.test_certify import commit, lead, opened, put, shop
from acceptance.test_ci import SCRIPT, git
from acceptance.world import GIT, World


class Pipeline:
    """A remote, an agent's clone that pushes to it, and a runner that checks what was pushed in a clone of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.remote = folder / "remote.git"
        git(folder, "init", "--quiet", "--bare", "--initial-branch=main", str(self.remote))
        self.world: World = shop(folder)
        self.ledger = json.loads((self.world.root / "state" / "ledger" / "ledger.json").read_bytes())["id"]
        self.key = folder / "enforcer.key"
        self.key.write_text(self.world.ask("key", "show").json["here"] + "\n", encoding="utf-8")
        (folder / "bin").mkdir()
        command = folder / "bin" / "enforcer"
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m enforcer "$@"\n', encoding="utf-8")
        command.chmod(0o755)

    def push(self, *, ledger: bool = True) -> None:
        """Push the branch, and the ledger as it is published now."""
        if ledger:
            reply = self.world.ask("publish")
            assert reply.status == 0, reply
            self.world.git("push", "--quiet", "--force", str(self.remote), reply.json["ref"])
        self.world.git("push", "--quiet", "--force", str(self.remote), "HEAD:main")

    def check(self, **environ: str) -> tuple[int, str]:
        """What the job answers, in a clone that has nothing but what was pushed."""
        number = len(list(self.folder.glob("clone-*")))
        clone = self.folder / f"clone-{number}"
        git(self.folder, "clone", "--quiet", f"file://{self.remote}", str(clone))
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("ENFORCER_", "GIT_"))}
        own = {
            **GIT,
            "HOME": str(self.folder / "nobody"),
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(SCRIPT.resolve().parent.parent.parent),
            "TMPDIR": str(self.folder),
        }
        done = subprocess.run(
            ["/bin/sh", str(SCRIPT), self.ledger, str(self.key), str(self.folder / "kept")],
            cwd=clone,
            env={**inherited, **own, **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    """An honest change, verified, reviewed and committed by a task that came to PR; nothing is pushed yet."""
    made = Pipeline(tmp_path)
    lead(made.world, opened(made.world), "PR")
    commit(made.world, "The change")
    return made


def test_the_honest_change_is_green(pipeline: Pipeline) -> None:
    pipeline.push()

    status, said = pipeline.check()

    assert (status, "by T" in said) == (0, True), said
    assert (pipeline.folder / "kept" / "checkpoint").exists()


def test_a_change_with_no_task_is_red_and_nothing_is_kept(pipeline: Pipeline) -> None:
    put(pipeline.world, "src/other.py", "print('smuggled')\n")
    commit(pipeline.world, "By hand")
    pipeline.push()

    status, said = pipeline.check()

    assert (status, "change_ungoverned" in said, "src/other.py" in said) == (1, True, True), said
    assert not (pipeline.folder / "kept").exists()


def test_a_change_that_was_edited_after_its_verification_is_red(pipeline: Pipeline) -> None:
    put(pipeline.world, "src/app.py", "print('good')  # and something else\n")
    pipeline.world.git("commit", "--quiet", "--all", "--amend", "--no-edit")
    pipeline.push()

    status, said = pipeline.check()

    assert (status, "change_ungoverned" in said, "src/app.py" in said) == (1, True, True), said


def test_a_change_with_its_ledger_dropped_is_red(pipeline: Pipeline) -> None:
    pipeline.push(ledger=False)

    status, said = pipeline.check()

    assert (status, "cannot be fetched" in said) == (2, True), said


def test_a_change_whose_task_is_on_no_published_ledger_yet_is_red(tmp_path: Path) -> None:
    made = Pipeline(tmp_path)
    handle = opened(made.world)
    reply = made.world.ask("publish")
    made.world.git("push", "--quiet", str(made.remote), reply.json["ref"])
    lead(made.world, handle, "PR")
    commit(made.world, "The change")
    made.push(ledger=False)

    status, said = made.check()

    assert (status, "No task has verified anything" in said) == (1, True), said


def test_the_question_can_be_switched_off_or_asked_of_another_revision(pipeline: Pipeline) -> None:
    put(pipeline.world, "src/other.py", "print('smuggled')\n")
    commit(pipeline.world, "By hand")
    pipeline.push()

    assert pipeline.check(ENFORCER_CHANGE="off")[0] == 0
    assert pipeline.check(ENFORCER_CHANGE="HEAD~1")[0] == 0
    assert pipeline.check(ENFORCER_CHANGE="nothing")[0] == 2


def test_only_the_process_that_the_job_names_counts(pipeline: Pipeline) -> None:
    pipeline.push()
    kept = pipeline.folder / "agreed.toml"
    kept.write_bytes((pipeline.world.root / "process.toml").read_bytes())

    assert pipeline.check(ENFORCER_GOVERNED_BY=str(kept))[0] == 0
    kept.write_text(kept.read_text("utf-8").replace("value = 1", "value = 2"), encoding="utf-8")
    status, said = pipeline.check(ENFORCER_GOVERNED_BY=str(kept))
    assert (status, "another process" in said) == (1, True), said
