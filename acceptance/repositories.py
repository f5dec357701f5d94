"""A small package in a git repository, and changes to it of every kind that git knows, from a seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from acceptance.world import World

MODULES = ("records", "fields", "größe", "two words", "empty")
BINARY = bytes(range(256)) * 3


def make_repository(world: World, seed: int, *, committed: bool = True) -> None:
    """A package with a few modules, tests and odd files."""
    chance = random.Random(seed)
    for name in MODULES:
        _write(world.root, f"src/{name}.py", source(chance) if name != "empty" else "")
    _write(world.root, "tests/test_records.py", "def test_last_field_is_kept():\n    assert True\n")
    _write(world.root, "README.md", f"# Records\n\nVersion {chance.randint(1, 99)}.\n")
    _write(world.root, "data/windows.csv", "a,b\r\n1,2\r\n")
    _write(world.root, "data/no newline.txt", "the last line has no end")
    (world.root / "data" / "logo.bin").write_bytes(BINARY)
    _write(world.root, ".gitignore", "*.pyc\n__pycache__/\n/build/\n")
    if committed:
        commit_all(world, "Begin")


def source(chance: random.Random) -> str:
    """Python-ish text of some length."""
    lines = []
    for number in range(chance.randint(1, 12)):
        lines += [
            f"def step_{number}(value):",
            f"    return value + {chance.randint(0, 999)}  # größer als zuvor",
            "",
            "",
        ]
    return "\n".join(lines)


class Change:
    """What will be changed: `planned` maps paths to add, modify or delete; `surprises` come up during the work."""

    def __init__(self, root: Path, chance: random.Random, extra_file: str = "") -> None:
        self.root = root
        self.planned: dict[str, str] = {}
        self.edits: list[Callable[[], object]] = []
        kinds = [self._modify, self._add, self._delete, self._move, self._odd, self._binary, self._mode, self._ends]
        for kind in chance.sample(kinds, chance.randint(1, 4)):
            kind(chance)
        if extra_file:
            self._plan("add", f"src/{extra_file.replace('/', '_')}.py", lambda path: _write(root, path, source(chance)))
        if chance.random() < 0.3:
            self.edits.append(lambda: _write(root, "CHANGELOG.md", f"- {chance.randint(1, 99)} fields are kept\n"))

    def revise(self, chance: random.Random) -> None:
        """A second thought: one more file."""
        name = f"src/second_thought_{chance.randint(0, 10**6)}.py"
        self._plan("add", name, lambda path: _write(self.root, path, source(chance)))

    def apply(self) -> None:
        """Do what was planned, and what came up. What was done already is done again to the same effect."""
        for edit in self.edits:
            edit()

    def _plan(self, action: str, path: str, edit: Callable[[str], object]) -> None:
        self.planned[path] = action
        self.edits.append(lambda: edit(path))

    def _modify(self, chance: random.Random) -> None:
        path = f"src/{chance.choice(MODULES)}.py"
        text = source(chance) + f"\nVERSION = {chance.randint(1, 10**9)}\n"
        self._plan("modify", path, lambda path: _write(self.root, path, text))

    def _add(self, chance: random.Random) -> None:
        name = chance.choice(("src/new.py", "src/deep/er/ñandú.py", "docs/with space.md", "tests/test_ändern.py"))
        text = source(chance)
        self._plan("add", name, lambda path: _write(self.root, path, text))

    def _delete(self, chance: random.Random) -> None:
        self._plan("delete", "README.md", lambda path: (self.root / path).unlink(missing_ok=True))

    def _move(self, chance: random.Random) -> None:
        """A file under a new name: one deleted and one added, as the file map says it."""
        text = "def test_last_field_is_kept():\n    assert True\n\n\n# moved\n"
        self._plan("delete", "tests/test_records.py", lambda path: (self.root / path).unlink(missing_ok=True))
        self._plan("add", "tests/test_last_field.py", lambda path: _write(self.root, path, text))

    def _odd(self, chance: random.Random) -> None:
        """Names that git quotes, and a file with nothing in it."""
        for name in ('data/tab and "quotes".txt', "data/日本語.txt"):
            self._plan("add", name, lambda path: _write(self.root, path, "x\n"))
        self._plan("add", "data/nothing.txt", lambda path: _write(self.root, path, ""))

    def _binary(self, chance: random.Random) -> None:
        data = BINARY + bytes(chance.randrange(256) for _ in range(50))
        self._plan("modify", "data/logo.bin", lambda path: (self.root / path).write_bytes(data))

    def _mode(self, chance: random.Random) -> None:
        self._plan("modify", "src/records.py", lambda path: (self.root / path).chmod(0o755))

    def _ends(self, chance: random.Random) -> None:
        """Other line ends, and a last line without one."""
        self._plan("modify", "data/windows.csv", lambda path: _write(self.root, path, "a,b\r\n1,3\r\n4,5"))
        self._plan("modify", "data/no newline.txt", lambda path: _write(self.root, path, "now it has one\n"))


def plan_change(root: Path, chance: random.Random, extra_file: str = "") -> Change:
    return Change(root, chance, extra_file)


def commit_all(world: World, message: str) -> None:
    """Commit whatever there is to commit."""
    world.git("add", "--all")
    if world.git("status", "--porcelain").strip():
        world.git("commit", "--quiet", "--message", message)


def _write(root: Path, path: str, text: str) -> None:
    full = root / path
    full.parent.mkdir(parents=True, exist_ok=True)
    full.write_bytes(text.encode())
