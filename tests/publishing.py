"""A governed project in a git repository, as the tests of what is published, anchored and verified need it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from enforcer import Enforcer
from enforcer.initialize import initialize
from enforcer.ledger.codec import canonical
from enforcer.ledger.entry import genesis_hash, leaf_hash
from enforcer.ledger.report import Report
from enforcer.ports import SystemDisk
from enforcer.verification import Asked, verify

PROCESS = """\
name = "short"

[[phases]]
name = "SPEC"
tools = []
[[phases.artifacts]]
name = "n.md"
format = "markdown"
rules = [{ id = "spec", kind = "sections", headings = ["Findings"], words = 3 }]

[[phases]]
name = "BUILD"
tools = []
[[phases.artifacts]]
name = "n.md"
format = "markdown"
rules = [{ id = "build", kind = "sections", headings = ["Findings"], words = 3 }]
"""
NOTE = "# Note\n\n## Findings\n\nA guard clause keeps it.\n"


class QuickDisk(SystemDisk):
    """The real disk without its waits."""

    def datasync(self, fd: int) -> None: ...

    def sync(self, fd: int) -> None: ...

    def sync_folder(self, path: str) -> None: ...


def git(folder: Path, *words: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    environment |= {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    done = subprocess.run(("git", *words), cwd=folder, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def rewritten(data: bytes, seed: bytes) -> bytes:
    """The lines with another version in the first one, and every hash that follows made anew."""
    prev, lines = genesis_hash(seed), []
    of_task: dict[str, str] = {}
    for line in data.splitlines():
        entry = json.loads(line)
        entry["event"]["data"] |= {"version": "9"} if not entry["seq"] else {}
        subject = entry["event"].get("subject")
        entry |= {"prev": prev, "task_prev": of_task.get(subject)}
        lines.append(canonical(entry))
        prev = leaf_hash(lines[-1])
        if subject is not None:
            of_task[subject] = prev
    return b"".join(line + b"\n" for line in lines)


class House:
    """A project with a ledger in a repository, and the folder of its user beside it."""

    def __init__(self, folder: Path, *, below: str = "", repository: bool = True) -> None:
        self.top, self.home = folder / "here", folder / "home"
        self.root = self.top / below
        if not self.top.exists():
            self.root.mkdir(parents=True)
            if repository:
                git(self.top, "init", "--quiet", "--initial-branch=main", ".")
        self.root.mkdir(exist_ok=True)
        (self.root / "p.toml").write_text(PROCESS, encoding="utf-8")
        initialize(str(self.root), process="p.toml", actor="a", environ=self.environ, disk=QuickDisk())
        self.enforcer = self.open()

    @property
    def environ(self) -> dict[str, str]:
        return {"ENFORCER_HOME": str(self.home), "HOME": str(self.home)}

    @property
    def state(self) -> Path:
        return self.root / "state"

    @property
    def ledger(self) -> str:
        return self.enforcer.identity.id

    @property
    def user(self) -> Path:
        return self.home / self.ledger

    @property
    def ref(self) -> str:
        return f"refs/enforcer/{self.ledger}"

    @property
    def segment(self) -> Path:
        return self.state / "ledger" / "seg" / f"{0:020}.jsonl"

    def open(self) -> Enforcer:
        return Enforcer.open(root=str(self.root), actor="a", environ=self.environ, disk=QuickDisk())

    def reopen(self) -> None:
        self.enforcer.close()
        self.enforcer = self.open()

    def work(self, task: str = "T") -> None:
        """Open a task and leave its first phase."""
        opened = self.enforcer.open_task(task)
        path = self.state / "evidence" / task / "spec" / "n.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(NOTE + task, encoding="utf-8")
        opened.advance().require()

    def verify(self, **asked: Any) -> Report:
        return verify(root=str(self.root), environ=self.environ, asked=Asked(cores=1, **asked))

    def files(self, revision: str) -> dict[str, bytes]:
        """What a commit holds, by path."""
        names = git(self.top, "ls-tree", "-r", "-z", "--name-only", revision).split("\0")
        command = ("git", "archive", revision)
        folder = self.top.parent / "archive"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        archive = subprocess.run(command, cwd=self.top, check=True, capture_output=True).stdout
        subprocess.run(("tar", "-x"), cwd=folder, input=archive, check=True)
        return {name: (folder / name).read_bytes() for name in names if name}

    def rewrite(self) -> None:
        """The first entry tells something else, and every hash is made to fit. Caches are forgotten."""
        self.enforcer.close()
        self.segment.write_bytes(rewritten(self.segment.read_bytes(), (self.state / "ledger/ledger.json").read_bytes()))
        shutil.rmtree(self.state / "ledger" / ".cache", ignore_errors=True)
        self.enforcer = self.open()

    def lose_key(self) -> None:
        """From here on this user cannot sign, and has no memory of what was signed."""
        for name in ("signing-key.pem", "head", "seen"):
            (self.user / name).unlink(missing_ok=True)
        self.reopen()
