"""Who writes the ledgers that are tampered with: walks through a small process, by the library alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from acceptance.doubles import ManualClock, QuickDisk
from enforcer import Enforcer
from enforcer.initialize import initialize

SPEC, IMPLEMENT, REVIEW = "SPEC", "IMPLEMENT", "REVIEW"
GOOD, BAD = "# Note\n\n## Findings\n\nA guard clause keeps it.\n", "# Note\n\nNothing.\n"


def process(name: str, words: int = 3) -> str:
    """Three phases, each of which asks for a short note."""
    lines = [f'name = "{name}"', ""]
    for phase, tools in ((SPEC, "[]"), (IMPLEMENT, '["write"]'), (REVIEW, '["run"]')):
        lines += [
            "[[phases]]",
            f'name = "{phase}"',
            f"tools = {tools}",
            f'drift = "{"enforce" if phase == REVIEW else "observe"}"',
            "[[phases.artifacts]]",
            'name = "n.md"',
            'format = "markdown"',
            f'rules = [{{ id = "{phase.lower()}", kind = "sections", headings = ["Findings"], words = {words} }}]',
            "",
        ]
    return "\n".join(lines)


Watch = Callable[[int], None]


def _unwatched(size: int) -> None:
    """Nobody looks on."""


class CountedEntropy:
    """Different bytes every time, and the same ones in every run."""

    def __init__(self, name: str) -> None:
        self._name, self._count = name, 0

    def token(self, size: int) -> bytes:
        self._count += 1
        return hashlib.shake_128(f"{self._name} {self._count}".encode()).digest(size)


class Scribe:
    """Walks tasks through the process until the ledger has as many entries as it is asked for."""

    def __init__(self, root: Path, home: Path, name: str) -> None:
        self.root, self.home = root, home
        self.disk, self.clock, self.entropy = QuickDisk(), ManualClock(), CountedEntropy(name)
        root.mkdir(parents=True)
        (root / "p.toml").write_text(process("p"), encoding="utf-8")
        (root / "q.toml").write_text(process("q", words=4), encoding="utf-8")
        given: dict[str, Any] = {"environ": environment(home), "disk": self.disk, "entropy": self.entropy}
        initialize(str(root), process="p.toml", actor="a", **given)
        self.enforcer = Enforcer.open(root=str(root), actor="a", clock=self.clock, **given)
        self._story = self._tell()

    @property
    def size(self) -> int:
        return int(self.enforcer.ledger.head.size)

    def write(self, size: int, watch: Watch = _unwatched) -> None:
        """Walk on until there are `size` entries; `watch` is called after each step, with how many there are."""
        while self.size < size:
            next(self._story)
            watch(self.size)
        assert self.size == size

    def _tell(self) -> Iterator[None]:
        number = 0
        while True:
            number += 1
            yield from self._walk(f"t{number}", number)
            if number == 1:
                yield from self._mend()

    def _walk(self, name: str, number: int) -> Iterator[None]:
        """One task, with everything on the way that can be recorded; each step writes one entry at most."""
        keys = (f"k{count}" for count in range(1, 99))
        ada, bob = self._hands(name)
        last = ada if number % 2 else bob  # Who takes a lease over that has run out, or still holds one that has not.
        self.enforcer.open_task(name, title="Keep it", key=next(keys))
        yield
        for outcome in (
            lambda: ada.attest({"header": "h", "role": "r"}, key=next(keys)),
            lambda: ada.advance("REVIEW", key=next(keys)),
            lambda: self._note(name, SPEC, BAD, lambda: ada.advance(key=next(keys))),
            lambda: bob.advance(key=next(keys)),
            lambda: self._note(name, SPEC, GOOD, lambda: ada.advance(key=next(keys))),
            lambda: self._guard(ada, "Bash", {"command": "make"}),
            lambda: self._note(name, SPEC, BAD, lambda: ada.restore(key=next(keys))),
            lambda: self._guard(ada, "Edit", {"file_path": str(self.root / "a.py")}),
            lambda: ada.adopt_process("q.toml", reason="More", approver="c", key=next(keys)),
            lambda: self._note(name, IMPLEMENT, GOOD, lambda: ada.advance(key=next(keys))),
            lambda: ada.backtrack("IMPLEMENT", "Again", key=next(keys)),
            lambda: ada.advance(),
            lambda: ada.release(key=next(keys)),
            lambda: bob.claim(key=next(keys)),
            lambda: self._late(lambda: ada.claim(key=next(keys)), number),
            lambda: last.attest({"header": "h"}, key=next(keys)),
            lambda: last.attest({"header": "other"}, key=next(keys)),
            lambda: self._note(name, REVIEW, GOOD, lambda: last.advance(key=next(keys))),
            lambda: last.accept_baseline("REVIEW", reason="Meant", approver="c", key=next(keys)),
            lambda: last.release(key=next(keys)),
            lambda: bob.claim(key=next(keys)),
            lambda: bob.abandon("No time", key=next(keys)) if number % 2 else bob.advance(key=next(keys)),
        ):
            before = self.size
            outcome()
            assert self.size <= before + 1
            yield

    def still(self, size: int, watch: Watch = _unwatched) -> None:
        """Go on without a move of any task, which is what a checkpoint follows, and in short lines."""
        while self.size < size:
            for step in self._idle(f"u{self.size}"):
                if self.size < size:
                    step()
                    watch(self.size)

    def _idle(self, name: str) -> Iterator[Callable[[], Any]]:
        """A task that is claimed and given back a few times."""
        yield lambda: self.enforcer.open_task(name, title="W", key="o")
        ada, bob = self._hands(name)
        for number in range(5):
            yield lambda: ada.claim(key=f"{self.size}")
            if number == 2:
                yield lambda: bob.claim(key=f"{self.size}")
            yield lambda: ada.release(key=f"{self.size}")

    def _hands(self, name: str) -> tuple[Any, Any]:
        return self.enforcer.task(name, actor="a"), self.enforcer.task(name, actor="b")

    def _note(self, task: str, phase: str, text: str, then: Callable[[], Any]) -> Any:
        path = self.root / "state" / "evidence" / task / phase.lower() / "n.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return then()

    def _guard(self, task: Any, tool: str, given: dict[str, str]) -> Any:
        return task.guard(json.dumps({"tool": tool, "input": given, "session": "s", "call": "c"}).encode())

    def _late(self, then: Callable[[], Any], number: int) -> Any:
        """After the lease of whoever holds the task has run out, for every second task."""
        self.clock.passing(301 if number % 2 else 0)
        return then()

    def _mend(self) -> Iterator[None]:
        """A write that a crash cut off, and its repair by the next writer."""
        segment = segment_of(self.root)
        with segment.open("ab") as file:
            file.write(b'{"event":{"data":{"act')
        self.enforcer.task("t1", actor="a").claim()
        yield


def environment(home: Path) -> dict[str, str]:
    return {"ENFORCER_HOME": str(home / "enforcer"), "HOME": str(home)}


def segment_of(root: Path) -> Path:
    return root / "state" / "ledger" / "seg" / f"{0:020}.jsonl"


def lines_of(root: Path) -> list[bytes]:
    return segment_of(root).read_bytes().splitlines()
