"""Runs git with nothing of the caller's environment or configuration that could change an answer.

It stands apart from the questions so that every command, without exception, starts here.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import contextmanager

from enforcer.errors import UnavailableError
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import IO

TIMEOUT = 120.0
"""Seconds that one git command may take, unless its caller says otherwise."""

_FOLDS_CASE = sys.platform == "darwin"
_OPTIONS = (
    *("git", "--no-pager", "--no-replace-objects"),
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "core.fsmonitor=false"),
    *("-c", "core.untrackedCache=false"),
    *("-c", "core.commitGraph=false"),
    *("-c", "core.attributesFile=/dev/null"),
    *("-c", "core.excludesFile=/dev/null"),
    *("-c", "core.autocrlf=false"),
    *("-c", "core.pager=cat"),
    *("-c", "diff.external="),
    *("-c", "safe.directory=*"),
    *(() if _FOLDS_CASE else ("-c", "core.ignoreCase=false")),
)
_ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_ATTR_NOSYSTEM": "1",
    # Beside replaced objects, which an option turns off, files can name other parents of a commit, or none.
    "GIT_GRAFT_FILE": "/dev/null",
    "GIT_SHALLOW_FILE": "/dev/null",
    # A partial clone would fetch what it lacks, through a program that its configuration names.
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}
# What a repository says about its file system is a fact, not a wish, and holds for the scratch repository as well.
FILE_SYSTEM_SETTINGS = ("filemode", "ignorecase", "precomposeunicode")[: 3 if _FOLDS_CASE else 1]


class Done(Record):
    """How a git command ended: its exit status and what it wrote to standard output and error."""

    status: int
    output: bytes
    errors: bytes

    def require(self, fix: str = "") -> Done:
        """Itself. Raises `UnavailableError` (`git_failed`) unless the status is 0."""
        if self.status != 0:
            fix = fix or "Repair the repository; `git status` and `git fsck` tell more."
            raise UnavailableError("git_failed", f"git could not answer: {self.message()}.", fix=fix)
        return self

    def text(self) -> str:
        """The output of a command that succeeded, without white space around it."""
        return os.fsdecode(self.require().output).strip()

    def message(self) -> str:
        """The first lines on standard error, as printable ASCII."""
        text = self.errors.decode("utf-8", "replace").strip() or f"exit status {self.status}"
        return "; ".join(ascii(line)[1:-1] for line in text.splitlines()[:3])[:400]


class Git:
    """Runs git commands in the work tree `top`; `spent` is the time they took so far, in nanoseconds."""

    def __init__(self, top: str, timeout: float, nanoseconds: Callable[[], int]) -> None:
        self.spent = 0
        self.top = top
        self._timeout = timeout
        self._nanoseconds = nanoseconds
        self._inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}

    def environment(self, git_dir: str, index: str = "") -> dict[str, str]:
        """The environment of a command on the repository whose git folder is `git_dir`, with its own index or another.

        Both folders are given, so git neither looks for a repository nor follows a `core.worktree`.
        """
        places = {"GIT_DIR": git_dir, "GIT_WORK_TREE": self.top} | ({"GIT_INDEX_FILE": index} if index else {})
        return self._inherited | _ENVIRONMENT | places

    def run(self, command: Sequence[str], environment: Mapping[str, str], data: bytes = b"") -> Done:
        """Run one command with `data` as its input. Raises `UnavailableError` where git does not run or never ends."""
        return self.run_all((command,), environment, data)[0]

    @contextmanager
    def reading(self, command: Sequence[str], environment: Mapping[str, str], data: IO[bytes]) -> Iterator[IO[bytes]]:
        """The output of one command, to be read as it comes; its input is the open file `data`.

        It is read to its end, or the command is ended. Raises `UnavailableError` where git does not run or fails.
        """
        process = self._start(command, environment, data, subprocess.DEVNULL)
        assert process.stdout is not None
        timer = threading.Timer(self._timeout, process.kill)
        timer.daemon = True
        timer.start()
        try:
            yield process.stdout
            Done(process.wait(), b"", b"").require()
        finally:
            timer.cancel()
            process.kill()
            process.stdout.close()
            process.wait()

    def run_all(
        self, commands: Sequence[Sequence[str]], environment: Mapping[str, str], data: bytes = b""
    ) -> list[Done]:
        """Run commands side by side; none may depend on another, and each reads `data`."""
        started = self._nanoseconds()
        running: list[subprocess.Popen[bytes]] = []
        try:
            for command in commands:
                running.append(self._start(command, environment))
            return [self._finish(process, data) for process in running]
        finally:
            for process in running:
                if process.poll() is None:
                    process.kill()
                    process.communicate()
            self.spent += self._nanoseconds() - started

    def _start(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        data: IO[bytes] | int = subprocess.PIPE,
        errors: int = subprocess.PIPE,
    ) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                (*_OPTIONS, *command), cwd=self.top, env=environment, stdin=data, stdout=subprocess.PIPE, stderr=errors
            )
        except FileNotFoundError:
            fix = "Install git, or use a process without git rules."
            raise UnavailableError("git_missing", "There is no git on the path.", where=self.top, fix=fix) from None

    def _finish(self, process: subprocess.Popen[bytes], data: bytes) -> Done:
        try:
            output, errors = process.communicate(data, self._timeout)
        except subprocess.TimeoutExpired:
            message = f"git gave no answer within {self._timeout:g} seconds."
            raise UnavailableError("git_failed", message, where=self.top, fix="Try again.") from None
        return Done(process.returncode, output, errors)


def is_top(folder: str) -> bool:
    """Whether `folder` has a `.git`: a folder with a HEAD, or the file of a linked work tree or submodule."""
    git = os.path.join(folder, ".git")
    return os.path.isfile(git) or os.path.lexists(os.path.join(git, "HEAD"))
