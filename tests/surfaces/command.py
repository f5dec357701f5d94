"""The command as a test calls it: in this process, with a folder and a user's state folder of its own."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from enforcer.surfaces.cli import main

ROOT = Path(__file__).resolve().parents[2]

PHASES = ("DRAFT", "CHECK", "SHIP")
TOOLS = {"DRAFT": "write", "CHECK": "run", "SHIP": "push"}
GOOD = "## Findings\n\nThe parser drops the last field of a record.\n"


def process(*, words: int = 3) -> str:
    """A process of three phases, each left on a note with one section; prompt drift is enforced in the second."""
    lines = ['name = "short"']
    for phase in PHASES:
        lines += [
            "[[phases]]",
            f'name = "{phase}"',
            f'tools = ["{TOOLS[phase]}"]',
            f'drift = "{"enforce" if phase == "CHECK" else "observe"}"',
            "[[phases.artifacts]]",
            'name = "note.md"',
            'format = "markdown"',
            f'rules = [{{ id = "{phase.lower()}", kind = "sections", headings = ["Findings"], words = {words} }}]',
        ]
    return "\n".join(lines)


@dataclass(frozen=True)
class Reply:
    """What a call answered: exit status, and what it wrote."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Project:
    """A folder that may be governed, and the command in it."""

    def __init__(self, base: Path) -> None:
        self.root, self.home = base / "project", base / "home"
        self.root.mkdir()
        self.home.mkdir()
        (self.root / "process.toml").write_text(process(), encoding="utf-8")

    @property
    def environment(self) -> dict[str, str]:
        return {"ENFORCER_HOME": str(self.home), "ENFORCER_ACTOR": "ada", "HOME": str(self.home)}

    def whole_environment(self, **more: str) -> dict[str, str]:
        """That of a process of its own."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("ENFORCER_")}
        return {**inherited, **self.environment, "PYTHONPATH": str(ROOT), **more}

    def call(self, *words: str, stdin: str | bytes = "", environment: Mapping[str, str] | None = None) -> Reply:
        """The exit status and output of `enforcer` with these words, in the project's folder."""
        before = os.getcwd()
        os.chdir(self.root)
        unset: dict[str, str | None] = {"ENFORCER_ROOT": None, "ENFORCER_DEBUG": None}
        try:
            runner = CliRunner()
            with runner.isolation(stdin, {**unset, **self.environment, **(environment or {})}) as (out, err, _):
                status: object = "no exit"
                try:
                    main(list(words))
                except SystemExit as end:
                    status = end.code
                told = out.getvalue().decode(), err.getvalue().decode()
        finally:
            os.chdir(before)
        assert isinstance(status, int), status
        return Reply(status, *told)

    def ask(self, *words: str, stdin: str | bytes = "") -> Reply:
        """The same with `--json`."""
        return self.call(*words, "--json", stdin=stdin)

    def given(self, task: str = "T", phase: str = "DRAFT") -> Project:
        """A governed project with a task in a phase."""
        if not (self.root / "enforcer.toml").exists():
            self.done("init", "--process", "process.toml")
        self.done("open", task, "--title", "Keep the last field")
        for left in PHASES[: PHASES.index(phase)]:
            self.write(task, left)
            self.done("advance", task)
        return self

    def done(self, *words: str, stdin: str | bytes = "") -> Any:
        """The answer of a call that has to be a yes."""
        reply = self.ask(*words, stdin=stdin)
        assert reply.status == 0, reply
        return reply.json

    def write(self, task: str, phase: str, text: str = GOOD) -> Path:
        path = self.root / "state" / "evidence" / task / phase.lower() / "note.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path
