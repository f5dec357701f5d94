"""A worker that swaps files and folders for links while the gate reads: no digest is ever of bytes from elsewhere.

The worker is a process of its own, as a real one would be, and it swaps as fast as it can. Whether it is fast enough is
tested first, on a reader that checks the path and then opens it.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from enforcer.evidence.folder import Folder

ROUNDS = 10_000
HONEST = hashlib.sha256(b"honest").hexdigest()
SECRET = hashlib.sha256(b"secret").hexdigest()
NAME = "spec.md"

MOST_ROUNDS = 20 * ROUNDS  # Where the machine is busy, it can take more of them until the two processes meet.

SWAPPER = """
import os, sys

kind, place, target, aside = sys.argv[1:]
link = aside + ".link"
if kind == "symbolic":
    os.symlink(target, link)
print("ready", flush=True)
while True:
    # The honest one makes room, what leads outside takes its name for a moment, and the honest one comes back.
    os.rename(place, aside)
    if kind == "symbolic":
        os.rename(link, place)
        os.rename(place, link)
    else:
        os.link(target, place)
        os.unlink(place)
    os.rename(aside, place)
"""


class Scene:
    """Evidence that is honest, and beside it a folder that looks the same and holds something else."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "state" / "evidence"
        self.outside = folder / "outside"
        for place, data in ((self.root, b"honest"), (self.outside, b"secret")):
            file = place / "T-1" / "spec" / NAME
            file.parent.mkdir(parents=True)
            file.write_bytes(data)

    @contextmanager
    def swapping(self, what: str) -> Iterator[None]:
        """While a process swaps a part of the path for what leads to the same part outside."""
        parts = {"root": (), "task": ("T-1",), "phase": ("T-1", "spec")}.get(what, ("T-1", "spec", NAME))
        kind = "hard" if what == "hard link" else "symbolic"
        place, target = self.root.joinpath(*parts), self.outside.joinpath(*parts)
        paths = [str(place), str(target), str(place.with_name("aside"))]
        command = [sys.executable, "-I", "-S", "-c", SWAPPER, kind, *paths]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as swapper:
            try:
                assert swapper.stdout is not None
                assert swapper.stdout.readline() == b"ready\n"
                yield
                assert swapper.poll() is None, "it was swapping until the end"
            finally:
                swapper.kill()

    def read(self) -> str:
        """The digest that the gate would take, or the code of its problem."""
        files, problems = Folder(str(self.root)).read("T-1", "SPEC", [NAME])
        assert len(files) + len(problems) == 1
        return files[NAME].digest if files else problems[0].code

    def read_carelessly(self) -> str:
        """As a reader would that looks whether the path is a plain file of its folder, and then opens the path."""
        path = self.root / "T-1" / "spec" / NAME
        try:
            if os.path.realpath(path) != str(path) or path.stat().st_nlink != 1:
                return "evidence_unsafe"
            return hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError:
            return "evidence_missing"


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path.resolve())


def answers(read: Callable[[], str], *, rounds: int, until: set[str]) -> set[str]:
    """What so many rounds of reading said, and as many more as it takes until each answer in `until` was given."""
    seen: set[str] = set()
    for count in range(MOST_ROUNDS):
        if count >= rounds and until <= seen:
            break
        seen.add(read())
    return seen


SWAPPED = ["file", "hard link", "phase", "task", "root"]


@pytest.mark.parametrize("what", SWAPPED)
def test_no_swap_while_reading_gives_a_digest_from_outside(scene: Scene, what: str) -> None:
    with scene.swapping(what):
        seen = answers(scene.read, rounds=ROUNDS, until={HONEST, "evidence_unsafe"})

    assert {HONEST, "evidence_unsafe"} <= seen, "the gate was reading while it was swapped"
    assert seen <= {HONEST, "evidence_missing", "evidence_unsafe"}


@pytest.mark.parametrize("what", SWAPPED)
def test_a_reader_that_checks_first_and_opens_later_is_deceived(scene: Scene, what: str) -> None:
    with scene.swapping(what):
        seen = answers(scene.read_carelessly, rounds=0, until={SECRET})

    assert SECRET in seen
