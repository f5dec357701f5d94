"""Real git repositories for tests, made with the git that is there and with a configuration of their own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from time import monotonic_ns

from enforcer.evidence.git import Repository

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.org",
}


def find(top: Path, nanoseconds: Callable[[], int] = monotonic_ns) -> Repository:
    """The repository that is known to be at `top`."""
    found = Repository.find(str(top), nanoseconds=nanoseconds)
    assert found is not None
    return found


class Work:
    """A work tree, driven as a person would drive it."""

    def __init__(self, top: Path, *options: str) -> None:
        self.top = top
        top.mkdir(parents=True, exist_ok=True)
        self.git("init", "--quiet", "--initial-branch=main", *options)

    def git(self, *command: str, check: bool = True) -> str:
        """The output of a git command, without white space around it."""
        return os.fsdecode(self.git_bytes(*command, check=check)).strip()

    def git_bytes(self, *command: str, check: bool = True) -> bytes:
        """The output of a git command as it is. Settings in the repository apply, as they do for a person."""
        done = subprocess.run(
            ["git", "-c", "protocol.file.allow=always", *command],
            cwd=self.top,
            env=ENVIRONMENT,
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert not check or done.returncode == 0, done.stderr
        return done.stdout

    def write(self, path: str, data: str | bytes = "text\n", mode: int = 0o644) -> Path:
        file = self.top / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data.encode() if isinstance(data, str) else data)
        file.chmod(mode)
        return file

    def commit(self, message: str = "a change") -> str:
        """Commit everything, as it is; the new commit."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")

    def snapshot(self) -> dict[str, tuple[int, int, bytes]]:
        """Every file of the git folder: its mode, its bytes and, except for objects, its time."""
        git = self.top / ".git"
        files = {path.relative_to(git): path for path in git.rglob("*") if path.is_file()}
        return {
            str(name): (
                path.stat().st_mode,
                0 if name.parts[0] == "objects" else path.stat().st_mtime_ns,
                path.read_bytes(),
            )
            for name, path in files.items()
        }
