"""The ledgers that are tampered with: honest ones, written by the library alone, and what others keep of them.

    project/    the project, with 200 entries on its ledger: several tasks, every usual type of event
    home/       the user's folder: keys, the signer's last head, the largest head that was seen
    kept/       the anchor, where the ledger's writer cannot reach: the head at an earlier size
    longer/     the same project later on, with full tiles and two generations of snapshots; `home-longer/` goes with it
    other/      another project with a ledger of its own, for whoever takes something from there

Nothing in the history depends on chance, and on the clock only the date of its first entry.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from acceptance.doubles import QuickDisk
from acceptance.tampering import size_of
from acceptance.tampering_scribe import Scribe, environment, lines_of
from acceptance.world import GIT
from enforcer import Enforcer
from enforcer.initialize import initialize
from enforcer.publication import anchor_to_file
from enforcer.verification import Asked, verify

_BEGUN = {f"GIT_{who}_DATE": "2026-01-01T00:00:00Z" for who in ("AUTHOR", "COMMITTER")}

LENGTH = 200
ANCHORED = 90
WALKED = 69  # So many entries tell of whole walks; the rest of leases alone, in short lines.
SEALED = (40, ANCHORED, 150, 180)  # Sizes at which a checkpoint is made for certain; moves of tasks make others.
LONGER = 530


class Ground:
    """What was prepared in a folder, as it is read by whoever tampers with a copy of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root, self.home, self.kept = folder / "project", folder / "home", folder / "kept"
        self.longer, self.other = folder / "longer", folder / "other"
        self.anchor = (self.kept / "anchor").read_bytes()
        self.lines = lines_of(self.root)
        self.offsets = [0]
        for line in self.lines:
            self.offsets.append(self.offsets[-1] + len(line) + 1)
        self.foreign = lines_of(self.other)
        self.later = lines_of(self.longer)
        ledger = self.root / "state" / "ledger"
        self.seed = (ledger / "ledger.json").read_bytes()
        self.identity: dict[str, str] = json.loads(self.seed)
        self.other_id = str(json.loads((self.other / "state" / "ledger" / "ledger.json").read_bytes())["id"])
        self.checkpoints: dict[int, bytes] = {
            int(size): note.encode() for size, note in json.loads((folder / "checkpoints.json").read_bytes()).items()
        }
        self.sealed = max(self.checkpoints)

    def note_before(self, size: int) -> tuple[int, bytes | None]:
        """The newest checkpoint that existed when the ledger had `size` entries."""
        sizes = [one for one in self.checkpoints if one <= size]
        return (max(sizes), self.checkpoints[max(sizes)]) if sizes else (0, None)

    @property
    def key_file(self) -> Path:
        return self.home / "enforcer" / self.identity["id"] / "signing-key.pem"


def prepare(folder: Path) -> Ground:
    """Write everything below `folder`, which is not there yet.

    It is a git repository with a commit, so that tasks have a base wherever this is done, in a checkout or beside one.
    """
    folder.mkdir(parents=True)
    for command in (("init", "--quiet"), ("commit", "--quiet", "--allow-empty", "--message", "begin")):
        subprocess.run(["git", *command], cwd=folder, env={**os.environ, **GIT, **_BEGUN}, check=True)
    scribe = Scribe(folder / "project", folder / "home", "base")
    notes: dict[int, str] = {}
    ledger = folder / "project" / "state" / "ledger"

    def watch(size: int) -> None:
        if size in SEALED:
            scribe.enforcer.sealer.seal()
        if (ledger / "checkpoint").exists():
            note = (ledger / "checkpoint").read_text(encoding="utf-8")
            notes[size_of(note.encode())] = note
        if size == ANCHORED and not (folder / "kept").exists():
            _anchor(scribe.enforcer, folder / "kept" / "anchor")

    scribe.write(WALKED, watch)
    scribe.still(LENGTH, watch)
    scribe.enforcer.close()
    (folder / "checkpoints.json").write_text(json.dumps(notes), encoding="utf-8")
    _see(folder / "project", folder / "home")
    shutil.copytree(folder / "project", folder / "longer")
    shutil.copytree(folder / "home", folder / "home-longer")
    _prolong(scribe, folder / "longer", folder / "home-longer")
    other = Scribe(folder / "other", folder / "home", "other")
    other.write(WALKED)
    other.still(SEALED[-1])
    other.enforcer.sealer.seal()
    other.still(LENGTH)
    other.enforcer.close()
    return Ground(folder)


def _prolong(scribe: Scribe, root: Path, home: Path) -> None:
    belong(root, home)
    longer = Enforcer.open(
        root=str(root),
        actor="a",
        environ=environment(home),
        clock=scribe.clock,
        disk=scribe.disk,
        entropy=scribe.entropy,
    )
    for number in range(LONGER):
        if longer.ledger.head.size == LONGER:
            break
        task = longer.open_task(f"v{number % 5}", title="More")
        if longer.ledger.head.size < LONGER:
            (task.claim if number // 5 % 2 else task.release)()
        older = root / "state" / "older"
        if longer.ledger.head.size >= 300 and not older.exists():
            longer.ledger.save_caches()
            _see(root, home)
            shutil.copytree(root / "state" / "ledger" / ".cache", older)
    assert longer.ledger.head.size == LONGER
    longer.sealer.seal()
    longer.close()
    _see(root, home)


def _anchor(enforcer: Enforcer, path: Path) -> None:
    path.parent.mkdir()
    anchor_to_file(enforcer, str(path))


def _see(root: Path, home: Path) -> None:
    """Let the user verify the ledger, and remember what was seen and how far."""
    report = verify(root=str(root), environ=environment(home), asked=Asked(cores=1, incremental=True))
    assert report.verdict == "verified", report.findings


def belong(root: Path, home: Path) -> None:
    """Let the user take the ledger at a place for the one that belongs there, as after a move of the project."""
    initialize(str(root), actor="a", environ=environment(home), disk=QuickDisk(), accept_ledger=True)
