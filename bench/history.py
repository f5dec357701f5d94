"""Ledgers of any length, made in seconds.

A history is written as the gate would have written it, without the gate: the events of one task that really walked are
spliced, under other names, into lines that chain, and `Snapshots` keeps on the way what follows from them. That the
short cut tells the same as the long way is checked: `check` has the library read the lines again, under its own rules.
"""

from __future__ import annotations

import os
import shutil
from functools import cache
from pathlib import Path

from bench.world import World, document
from enforcer import Enforcer
from enforcer.ledger.entry import format_event, format_leaf, leaf_hash
from enforcer.ledger.merkle import Frontier
from enforcer.ledger.segments import LINES, segment_name
from enforcer.ledger.snapshot import Header, Snapshots
from enforcer.ports import SystemDisk, SystemEntropy
from enforcer.userstate import UserState
from enforcer.workflow.events import Event
from enforcer.workflow.evolve import Place, evolve
from enforcer.workflow.state import TaskState

MOST_OPEN = 1_000
BATCH = 10  # So many tasks are under way at a time.
SAVE_EVERY = 256
SAVES = 128  # In a long history so many at equal distances, and one every `SAVE_EVERY` entries near its end.
OPEN_EVENTS = 3  # Opened, claimed, released: after these a task of the script can be left as it is.

TASK, KEY = "A-TASK-TO-BE-NAMED", "A-KEY-TO-BE-NAMED"


class History:
    """A project whose ledger had `entries` entries when it was made. Names of tasks stand in the order of opening."""

    def __init__(self, folder: Path, entries: int) -> None:
        self.folder, self.entries = folder, entries
        folder.mkdir()
        home = os.environ.get("ENFORCER_HOME")
        self.world = World(folder)
        self.environ = dict(os.environ)
        self.open_tasks: list[str] = []
        self.closed: list[str] = []
        script = _script(self.world)
        writer = _Writer(self.world, script)
        self.world.enforcer.close()
        writer.write(self)
        self.reopen()
        if home is not None:
            os.environ["ENFORCER_HOME"] = home  # Of the world that was there before: processes inherit it.

    @property
    def ledger(self) -> Path:
        return self.world.project / "state" / "ledger"

    def reopen(self) -> None:
        """What a process does that begins, with the snapshot."""
        self._open()
        assert not self.world.enforcer.ledger.cache_rejected
        assert (self.ledger / ".cache" / "snapshot").exists()

    def _open(self) -> None:
        self.world.enforcer.close()
        self.world.enforcer = Enforcer.open(self.world.project, actor="bench", environ=self.environ)
        self.world.enforcer.ledger.catch_up()

    def check(self) -> None:
        """Read the history without its snapshot, judge every line, and compare with the snapshot what follows."""
        kept = list(self.world.enforcer.states())
        assert not self.world.enforcer.ledger.cache_rejected
        cache_folder, aside = self.ledger / ".cache", self.ledger / ".aside"
        cache_folder.rename(aside)
        try:
            self._open()
            assert self.world.enforcer.ledger.head.size == self.entries
            assert list(self.world.enforcer.states()) == kept
        finally:
            shutil.rmtree(cache_folder, ignore_errors=True)
            aside.rename(cache_folder)
        self.reopen()

    def check_tasks(self, names: list[str]) -> None:
        """Hold what the snapshot tells of some tasks against what their own lines tell."""
        for name in names:
            state: TaskState | None = None
            for entry in self.world.enforcer.entries(name):
                state = evolve(state, entry.event, entry.place)
            assert state is not None
            assert state == self.world.enforcer.ledger.task(name), name


@cache
def history(folder: Path, entries: int) -> History:
    """The history of so many entries below `folder`, made when it is first asked for. It stays until `folder` goes."""
    return History(folder / f"history-{entries}", entries)


def _script(world: World) -> list[Event]:
    """The events of a task that walks through three phases, not in a straight line, and is completed."""
    task = world.enforcer.open_task("SCRIPT", process=world.process(("FIRST", "SECOND", "THIRD"), artifacts=1))
    task.claim().require()
    task.release().require()
    assert not task.advance()
    for phase in ("FIRST", "SECOND", "THIRD"):
        world.write(task, phase, "document-0.md", document(phase))
    for _ in range(4):
        task.advance().require()
        task.advance().require()
        task.backtrack("FIRST", "the reviewer found a case that nobody had thought of").require()
        task.release().require()
    while task.state().status == "open":
        task.advance().require()
    return [entry.event for entry in world.enforcer.entries("SCRIPT")]


class _Writer:
    """Continues the ledger of a project by lines of its own making."""

    def __init__(self, world: World, script: list[Event]) -> None:
        ledger = world.enforcer.ledger
        self._folder, self._identity = Path(world.enforcer.ledger_folder), world.enforcer.identity
        self._script = [(event, *self._frame(event)) for event in script]
        leaves = list(ledger.leaves())
        self._seq, self._hash, self._ts = ledger.head.size, ledger.head.hash, ledger.head.ts
        self._tree, self._hashes = Frontier(), [bytes.fromhex(leaf_hash(leaf)) for leaf in leaves]
        self._lines: list[bytes] = []
        self._start, self._end = 0, sum(len(leaf) + 1 for leaf in leaves)
        self._changed = {state.task: state for state in ledger.tasks()}
        self._snapshots = self._open_snapshots(world)
        self._saved = 0

    def write(self, history: History) -> None:
        """Lines until there are as many as there shall be."""
        open_total = min(MOST_OPEN, history.entries // BATCH)
        batches = 0
        while self._seq < history.entries:
            names = [f"TASK-{batches:06}-{number}" for number in range(BATCH)]
            wanted = open_total * (self._seq + 1) // history.entries + 1 - len(history.open_tasks)
            self._walk(names, max(0, min(BATCH, wanted)), history)
            self._save_when_due(history.entries)
            batches += 1
        self._flush()
        self._save()
        self._snapshots.close()

    def _frame(self, event: Event) -> tuple[bytes, bytes, bytes]:
        """What stands around the task's name, the key and the task's name again."""
        data = format_event(event, task=TASK, key=KEY, source=self._identity.origin)
        before, key, rest = data.partition(f"{TASK}/{KEY}".encode())
        between, name, after = rest.partition(TASK.encode())
        assert key, "the event does not name its task"
        assert name, "the event has no subject"
        return before, between, after

    def _open_snapshots(self, world: World) -> Snapshots:
        key = UserState(str(world.folder / "home"), SystemDisk(), SystemEntropy()).cache_key(self._identity.id)
        assert key is not None
        return Snapshots(
            str(self._folder / ".cache"),
            ledger=self._identity.id,
            key=key,
            disk=SystemDisk(),
            entropy=SystemEntropy(),
            stands=lambda header: header.size <= self._seq,
        )

    def _walk(self, names: list[str], left_open: int, history: History) -> None:
        """Some tasks in turn, step by step; the first ones are left open."""
        states: dict[str, TaskState | None] = dict.fromkeys(names)
        for step in range(len(self._script)):
            for name in names if step < OPEN_EVENTS else names[left_open:]:
                if self._seq == history.entries:
                    break
                states[name] = self._line(name, states[name], step)
        for name, state in states.items():
            if state is not None:
                self._changed[name] = state
                (history.open_tasks if state.status == "open" else history.closed).append(name)

    def _line(self, name: str, state: TaskState | None, step: int) -> TaskState:
        event, before, between, after = self._script[step]
        key, task = f".{self._seq:032x}", name.encode()
        data = b"".join((before, task, b"/", key.encode(), between, task, after))
        self._ts += 1
        head = state.head if state else None
        leaf = format_leaf(data, prev=self._hash, seq=self._seq, task_prev=head, task_seq=step + 1, ts=self._ts)
        self._hash = leaf_hash(leaf)
        if self._seq % LINES == 0:
            self._flush()
            self._end = 0
        self._lines.append(leaf)
        self._hashes.append(bytes.fromhex(self._hash))
        self._start, self._end = self._end, self._end + len(leaf) + 1
        place = Place(name, self._seq, step + 1, self._hash, self._ts, key)
        self._seq += 1
        return evolve(state, event, place)

    @property
    def _segment(self) -> str:
        """The file of the line that was written last."""
        return segment_name((self._seq - 1) // LINES * LINES)

    def _flush(self) -> None:
        """Put down the lines that wait; they are all of one segment."""
        if self._lines:
            with (self._folder / "seg" / self._segment).open("ab") as file:
                file.write(b"\n".join(self._lines) + b"\n")
        self._lines.clear()

    def _save_when_due(self, entries: int) -> None:
        near_its_end = entries - self._seq <= 16 * SAVE_EVERY
        if self._seq - self._saved >= (SAVE_EVERY if near_its_end else max(SAVE_EVERY, entries // SAVES)):
            self._flush()
            self._save()

    def _save(self) -> None:
        self._tree.extend(self._hashes)
        self._hashes.clear()
        tree = tuple(node.hex() for node in self._tree.nodes)
        place = (self._segment, self._start, self._end, tree)
        self._snapshots.save(Header(self._identity.id, self._seq, self._hash, self._ts, *place), self._changed)
        self._changed.clear()
        self._saved = self._seq
