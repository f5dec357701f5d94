"""A project to measure in, and the floor: a bare write of the same bytes with `fdatasync`, on the same disk."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from bench.sample import Figure
from enforcer import Enforcer, Outcome
from enforcer.initialize import initialize
from enforcer.ledger.entry import leaf_hash
from enforcer.task import Task

PHASE = """
[[phases]]
name = "{phase}"
tools = ["write", "run", "commit"]
{artifacts}"""

ARTIFACT = """
[[phases.artifacts]]
name = "document-{number}.md"
format = "markdown"
rules = [{{ id = "{phase}-{number}", kind = "sections", headings = ["Problem", "Strategy"], words = 3 }}]
"""


class World:
    """A governed folder on the disk that is measured."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        os.environ["ENFORCER_HOME"] = str(folder / "home")
        self.project = folder / "project"
        self.project.mkdir()
        initialize(str(self.project), process="lean")
        self.enforcer = Enforcer.open(self.project, actor="bench")
        self._fd = os.open(folder / "floor", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def bare_write(self, figure: Figure, size: int) -> None:
        """One sample of the floor: `size` bytes, written and synced."""
        data = b"x" * size
        began = time.perf_counter_ns()
        os.write(self._fd, data)
        os.fdatasync(self._fd)
        figure.floor.append(time.perf_counter_ns() - began)

    def line_size(self, outcome: Outcome) -> int:
        """The bytes of the line that an operation wrote; raises where it is not on the ledger."""
        assert outcome, outcome.refusals
        assert outcome.seq >= 0
        leaf = next(self.enforcer.ledger.leaves(outcome.seq))
        assert leaf_hash(leaf) == outcome.hash
        return len(leaf) + 1

    def process(self, phases: tuple[str, ...], artifacts: int) -> str:
        """A process file whose phases ask for some short documents each."""
        text = 'name = "measured"\n'
        for phase in phases:
            numbered = (ARTIFACT.format(phase=phase.lower(), number=number) for number in range(artifacts))
            text += PHASE.format(phase=phase, artifacts="".join(numbered))
        (self.project / "measured.toml").write_text(text)
        return "measured.toml"

    def write(self, task: Task, phase: str, name: str, text: str) -> None:
        path = self.project / "state" / "evidence" / task.name / phase.lower() / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def git(self, *words: str) -> str:
        done = subprocess.run(
            ["git", "-c", "user.name=bench", "-c", "user.email=bench@example.invalid", *words],
            cwd=self.project,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout


def document(mark: str, size: int = 1800) -> str:
    """A document of about `size` bytes."""
    filler = "The parser says which line was bad, and callers can show it to their users. "
    body = filler * (size // (2 * len(filler)))
    return f"# Document {mark}\n\n## Problem\n\n{body}\n\n## Strategy\n\n{body}\n"
