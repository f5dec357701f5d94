"""Where the demonstration's workers sit: a prompt for each, commands as typed, and answers as they come.

The gate is spoken to as a user speaks to it: through the command, in a process of its own, every time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import enforcer
from enforcer.errors import UnavailableError
from enforcer.surfaces.demo import measure
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from enforcer.surfaces.demo.package import Python
    from enforcer.surfaces.demo.screen import Screen

TASK = "INI-1"
ADA, GRACE = "ada", "grace"

_TIMEOUT = 120


class Unexpected(Exception):
    """The gate did not answer as the story says it must; the message tells what differs."""


class Place(Record):
    """Where the story takes place.

    `project` is the repository with its `state/`; `home` lies beside it and holds what is not the project's: the
    ledger's keys, the workers' prompts, and what pushing, checking and releasing make.
    """

    project: str
    home: str
    python: Python

    @property
    def keys(self) -> str:
        return os.path.join(self.home, "keys")

    def beside(self, *parts: str) -> str:
        """The path of something in `home` as one types it in the project."""
        return os.path.join("..", os.path.basename(self.home), *parts)


class Desk:
    """Runs what the workers type, shows it, and keeps count of every "no" that the story asked for."""

    def __init__(self, place: Place, screen: Screen) -> None:
        self.place = place
        self.screen = screen
        self.refusals: list[str] = []
        self.approver: tuple[str, ...] = ()
        package = os.path.dirname(os.path.dirname(os.path.abspath(enforcer.__file__)))
        own = {name: value for name, value in os.environ.items() if not name.startswith(("ENFORCER_", "GIT_"))}
        path = os.pathsep.join(part for part in (package, own.get("PYTHONPATH", "")) if part)
        # The prompt of a person who is not watched by another program; answers in full width.
        self._environment = {**own, "ENFORCER_HOME": place.keys, "PYTHONPATH": path, "NO_COLOR": "1"}

    # The gate

    def set_up(self, *args: str) -> None:
        """Put the project under the gate. Raises `UnavailableError` where the gate says that it cannot be."""
        self.screen.command(ADA, ("enforcer", "init", *args))
        done = self._run(ADA, ("init", *args), "", merged=True)
        self.screen.answer(done.stdout)
        if done.returncode != 0:
            words = " ".join(done.stdout.split())
            raise UnavailableError("demo_gate_unavailable", f"`enforcer init` ended with {done.returncode}: {words}")

    def accepted(self, who: str, *args: str, stdin: str = "", hang: int = 0) -> str:
        """Type a command that the gate must say yes to; answer what it printed. `hang` indents folded lines."""
        return self._typed(who, args, stdin, 0, hang)

    def refused(self, who: str, code: str, *args: str, stdin: str = "", because: str = "") -> str:
        """Type a command that the gate must refuse with `code`; `because` must stand in what it says."""
        text = self._typed(who, args, stdin, 1)
        self.refusals.append(code)
        for wanted in (code, because):
            if wanted not in text:
                raise Unexpected(f"`enforcer {' '.join(args)}` was refused, but not with {wanted!r}.")
        return text

    def failed(self, who: str, *args: str) -> str:
        """Type a command that Enforcer runs and that has to fail: it is recorded, and is no refusal."""
        return self._typed(who, args, "", 1)

    def ask(self, *args: str) -> Any:
        """What a reading command answers as JSON, without showing it."""
        done = self._run(ADA, (*args, "--json"), "", merged=False)
        if done.returncode != 0:
            raise Unexpected(f"`enforcer {' '.join(args)} --json` ended with {done.returncode}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def _typed(self, who: str, args: tuple[str, ...], stdin: str, expected: int, hang: int = 0) -> str:
        self.screen.command(who, ("enforcer", *args), stdin)
        done = self._run(who, args, stdin, merged=True)
        self.screen.answer(done.stdout, refused=done.returncode == 1, hang=hang)
        if done.returncode != expected:
            answers = {0: "yes", 1: "no", 2: "no answer"}
            message = f"`enforcer {' '.join(args)}` of {who} ended with {done.returncode}, not {expected}"
            raise Unexpected(f"{message}: {answers.get(done.returncode, 'a crash')} instead of {answers[expected]}.")
        return done.stdout

    def _run(self, who: str, args: tuple[str, ...], stdin: str, *, merged: bool) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                [sys.executable, "-m", "enforcer", *args],
                cwd=self.place.project,
                env={**self._environment, "ENFORCER_ACTOR": who},
                input=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT if merged else subprocess.PIPE,
                text=True,
                check=False,
                timeout=_TIMEOUT,
            )
        except subprocess.TimeoutExpired as error:
            raise Unexpected(f"`enforcer {' '.join(args)}` gave no answer in {_TIMEOUT} seconds.") from error

    # The worker's other tools

    def git(self, who: str, *args: str) -> str:
        self.screen.command(who, ("git", *args))
        text = measure.git(self.place.project, *args)
        if text.strip():
            self.screen.answer(text)
        return text

    def hand_in(self, who: str, phase: str, files: dict[str, str]) -> None:
        """Put evidence of a phase into its folder."""
        folder = os.path.join("state", "evidence", TASK, phase.lower())
        os.makedirs(os.path.join(self.place.project, folder), exist_ok=True)
        for name, text in files.items():
            with open(os.path.join(self.place.project, folder, name), "w", encoding="utf-8", newline="") as file:
                file.write(text)
        *most, last = files
        names = f"{', '.join(most)} and {last}" if most else last
        self.screen.note(f"{who.capitalize()} writes {names} in {folder}/")

    def expect(self, what: str, wanted: object, found: object) -> None:
        """Raises `Unexpected` where what was found is not what the story stands on."""
        if found != wanted:
            raise Unexpected(f"{what[0].upper()}{what[1:]}: {found!r}, not {wanted!r}.")

    def attempt(self) -> str:
        """The id of the attempt that the task is in."""
        return str(self.ask("status", TASK)["attempt_id"])
