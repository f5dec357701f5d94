"""A small package in a git repository, the commands that check it, and changes to it of every kind, from a seed."""

from __future__ import annotations

import random
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from acceptance import prose, runner
from acceptance.world import World

MODULES = ("records", "fields", "größe", "two words", "empty")
BINARY = bytes(range(256)) * 3
RUNNER = "tools/runner.py"
RISKY = ("src/migrations/0002_fields.sql", "settings/größe.ini", ".github/workflows/check.yml", "src/auth/allowed.py")


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
    _write(world.root, RUNNER, Path(runner.__file__).read_text(encoding="utf-8"))
    _write(world.root, runner.BANNER.as_posix(), prose.banner(_of_checks(seed)))
    if committed:
        commit_all(world, "Begin")


def commands(seed: int) -> tuple[str, ...]:
    """What Enforcer runs to check the package, as `init --observe` takes it: one command for all, or two."""
    chance = _of_checks(seed)
    dialect, coverage = chance.choice(runner.DIALECTS), chance.choice(tuple(runner.REPORTS))
    checks = shlex.join([sys.executable, "-ISB", RUNNER, f"--dialect={dialect}", f"--coverage={coverage}"])
    return (
        f"test_results.json:junit:junit.xml={checks}",
        f"coverage_report.json:{coverage}:coverage={checks}",
        f"build_output.log={chance.choice((checks, f'cat {runner.BANNER}'))}",
    )


def governed(world: World, seed: int, *, committed: bool = True) -> World:
    """The world with the package in it, under the process that ships as the default."""
    make_repository(world, seed, committed=committed)
    return world.init(observe=commands(seed))


def _of_checks(seed: int) -> random.Random:
    return random.Random(f"checks {seed}")


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
        self.is_risky = False
        self.edits: list[Callable[[], object]] = []
        kinds = [self._modify, self._add, self._delete, self._move, self._odd, self._binary, self._mode, self._ends]
        kinds += [self._risky, self._large]
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
        for name in ('data/tab and "quotes".txt', "data/日本語.txt", "data/قائمة 🙂.txt"):
            self._plan("add", name, lambda path: _write(self.root, path, "x\n"))
        self._plan("add", "data/nothing.txt", lambda path: _write(self.root, path, ""))

    def _binary(self, chance: random.Random) -> None:
        data = BINARY + bytes(chance.randrange(256) for _ in range(50))
        self._plan("modify", "data/logo.bin", lambda path: (self.root / path).write_bytes(data))

    def _mode(self, chance: random.Random) -> None:
        self._plan("modify", "src/records.py", lambda path: (self.root / path).chmod(0o755))

    def _risky(self, chance: random.Random) -> None:
        """A file of the kind that cannot simply be put back."""
        self.is_risky, text = True, source(chance)
        self._plan("add", chance.choice(RISKY), lambda path: _write(self.root, path, text))

    def _large(self, chance: random.Random) -> None:
        lines = chance.choices(prose.LOG_LINES, k=chance.choice((5_000, 40_000)))
        text = "".join(f"{number},{line}\n" for number, line in enumerate(lines))
        self._plan("add", "data/large.csv", lambda path: _write(self.root, path, text))

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
