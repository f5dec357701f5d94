"""Every call that the store makes to the disk, and everything that can happen to it, on a machine in memory.

Whatever happens: what was acknowledged is there afterwards, at its place and with its hash; nothing is on two branches;
and the next process either goes on, or refuses with a code. After a loss of power as well, whatever the device had
stored by then.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from random import Random

import pytest

from enforcer.errors import EnforcerError
from enforcer.ledger.files import FIRST_SEGMENT, FileLedger, create
from enforcer.workflow.events import LedgerCreated, LedgerRecovered
from tests.faults import CountingEntropy
from tests.ledger.conformance import append, refused
from tests.ledger.histories import ADA, IDENTITY, opened
from tests.machine import WRITES, Fault, Machine, MachineClock, Process, Stopped

FOLDER = "/state/ledger"
LINES = 4  # A segment's, so that a few entries cross its end.


class World:
    """A machine with a ledger, and what its users were told."""

    def __init__(self, lines: int = LINES) -> None:
        self.lines = lines
        self.machine = Machine()
        self.clock = MachineClock(self.machine)
        self.acknowledged: dict[int, str] = {}
        self._seed = 0

    def open(self, process: Process | None = None) -> FileLedger:
        self._seed += 1
        return FileLedger(
            FOLDER,
            disk=process or Process(self.machine),
            clock=self.clock,
            entropy=CountingEntropy(self._seed),
            cache_key=None,
            segment_lines=self.lines,
        )

    def write(self, ledger: FileLedger, *, sync: bool = True) -> None:
        """One entry; acknowledged where it was synced."""
        ledger.catch_up()
        number = ledger.head.size
        if not number:
            place = append(ledger, LedgerCreated(actor=ADA, version="1"), task=None, key=".c")
        elif ledger.task("T") is None:
            place = append(ledger, opened())
        else:
            place = append(ledger, refused(number), key=f".{number}-{self.clock.now()}")
        if sync:
            ledger.sync()
            self.acknowledged[place.seq] = place.hash

    def begin(self, entries: int) -> None:
        create(FOLDER, IDENTITY, disk=Process(self.machine), entropy=CountingEntropy())
        ledger = self.open()
        for _ in range(entries):
            self.write(ledger)
        ledger.close()

    def check(self) -> None:
        """A new process sees all that was acknowledged, and the ledger goes on."""
        ledger = self.open()
        try:
            self.write(ledger)
            self.write(ledger)
        finally:
            ledger.close()
        fresh = self.open()
        fresh.catch_up()
        there = {entry.seq: entry.hash for entry in fresh.entries()}
        assert self.acknowledged.items() <= there.items(), "an acknowledged entry is gone, or another stands there"
        assert sorted(there) == list(range(fresh.head.size))
        fresh.close()

    def untold(self) -> set[str]:
        """The files in quarantine that no entry names; not a torn first line, nor a torn entry that was to name one.

        Both are written again: nothing stood there that anybody else had put down.
        """
        ledger = self.open()
        ledger.catch_up()
        told = {entry.event.quarantine for entry in ledger.entries() if isinstance(entry.event, LedgerRecovered)}
        kept = {name for name in self.machine.list(f"{FOLDER}/quarantine") if not name.endswith(".new")}
        telling = b'{"event":{"data":{"actor":"enforcer",'
        again = {name for name in kept if self.machine.read(f"{FOLDER}/quarantine/{name}").startswith(telling)}
        return {name for name in kept - told - again if not name.startswith("0" * 20)}


class Scenario:
    """What stands there before, and what a process does then. `before` is made once and copied."""

    def __init__(self, before: Callable[[World], None], run: Callable[[World, Process], None]) -> None:
        self._before, self.run = before, run
        self._world: World | None = None

    def world(self) -> World:
        if self._world is None:
            self._world = World()
            self._before(self._world)
        return deepcopy(self._world)


def write_once(world: World, process: Process) -> None:
    world.write(world.open(process))


def write_often(world: World, process: Process) -> None:
    """One process that crosses the end of a segment."""
    ledger = world.open(process)
    for _ in range(4):
        world.write(ledger)


def create_and_write(world: World, process: Process) -> None:
    create(FOLDER, IDENTITY, disk=process, entropy=CountingEntropy(7))
    write_once(world, process)


def entries(count: int) -> Callable[[World], None]:
    return lambda world: world.begin(count)


def a_torn_line(world: World) -> None:
    world.begin(3)
    with pytest.raises(Stopped):
        world.write(world.open(Process(world.machine, Fault("stop-short", calls=("append",)))))
    assert not world.machine.read(f"{FOLDER}/seg/{FIRST_SEGMENT}").endswith(b"\n")


def an_unsynced_line(count: int) -> Callable[[World], None]:
    """A last line whose writer died before its sync."""

    def before(world: World) -> None:
        world.begin(count - 1)
        world.write(world.open(), sync=False)

    return before


def a_failed_sync(count: int) -> Callable[[World], None]:
    """After so many entries, with two lines more that nobody was told of."""

    def before(world: World) -> None:
        world.begin(count)
        failing = world.open(Process(world.machine, Fault("eio", calls=("datasync",))))
        world.write(failing, sync=False)
        with pytest.raises(EnforcerError, match="sync_failed"):
            world.write(failing)
        failing.close()

    return before


SCENARIOS = {
    "append": Scenario(entries(2), write_once),
    "append often": Scenario(entries(2), write_often),
    "rotation": Scenario(entries(LINES), write_once),
    "rotation after an unsynced line": Scenario(an_unsynced_line(LINES), write_once),
    "second rotation": Scenario(entries(2 * LINES), write_once),
    "create": Scenario(lambda world: None, create_and_write),
    "torn tail": Scenario(a_torn_line, write_once),
    "failed sync": Scenario(a_failed_sync(1), write_once),
    "failed sync at a full segment": Scenario(a_failed_sync(LINES - 2), write_once),
    "failed sync in a new segment": Scenario(a_failed_sync(LINES), write_once),
}
MAKERS = (*WRITES, "open", "make_folder", "rename", "truncate")
KINDS = {"stop": (), "stop-short": WRITES, "eio": (), "enospc": MAKERS, "short": WRITES}
AFTERWARDS = {
    "nothing else": lambda machine: None,
    "power lost": lambda machine: machine.lose_power(),
    "power lost, half stored": lambda machine: machine.lose_power(keep=0.5, names=True),
    "power lost, names stored": lambda machine: machine.lose_power(names=True),
}


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
@pytest.mark.parametrize("kind", KINDS)
def test_whatever_happens_at_any_call_nothing_acknowledged_is_lost(scenario, kind):
    for nth in range(1, 1000):
        faults = [Fault(kind, nth, KINDS[kind]) for _ in AFTERWARDS]
        for fault, afterwards in zip(faults, AFTERWARDS.values(), strict=True):
            _run(scenario, fault, afterwards)
        if not faults[0].met:
            break
    assert nth > (20 if not KINDS[kind] else 2)


def _run(scenario: Scenario, fault: Fault, afterwards: Callable[[Machine], None]) -> None:
    world = scenario.world()
    process = Process(world.machine, fault)
    try:
        scenario.run(world, process)
    except (Stopped, EnforcerError, OSError):
        """Whoever asked was told so, or nobody is left to ask."""
    process.stop()
    afterwards(world.machine)
    try:
        _complete(world)
        world.check()
        assert world.machine.boot > 1 or world.untold() == set()
    except (EnforcerError, OSError, AssertionError) as error:
        raise AssertionError(f"{fault.kind} at {fault.met}, then {afterwards}: {error}") from error


def _complete(world: World) -> None:
    """A creation that was interrupted is repeated by whoever wants a ledger."""
    if f"{FOLDER}/ledger.json" not in world.machine.names:
        create(FOLDER, IDENTITY, disk=Process(world.machine), entropy=CountingEntropy(9))


@pytest.mark.parametrize("block", range(4))
def test_many_processes_on_a_machine_that_fails_now_and_then_lose_nothing(block):
    """Random histories: processes that live on across the faults of others, and losses of power in between."""
    for seed in range(block * 25, block * 25 + 25):
        play(seed)


def play(seed: int, steps: int = 40) -> None:
    """One history. Whatever a `sync` returned for was acknowledged: everything that its process had seen by then."""
    chance, world = Random(seed), World()
    world.begin(1)
    living: list[tuple[Process, FileLedger]] = []
    for _ in range(steps):
        if len(living) < 4:
            process = Process(world.machine)
            living.append((process, world.open(process)))
        process, ledger = chance.choice(living)
        process.fault = Fault(chance.choice(list(KINDS)), chance.randint(1, 25)) if chance.random() < 0.3 else None
        try:
            chance.choice([world.write, lambda one: world.write(one, sync=False), FileLedger.catch_up])(ledger)
            if chance.random() < 0.7:
                ledger.sync()
                world.acknowledged.update((entry.seq, entry.hash) for entry in ledger.entries())
        except (Stopped, EnforcerError, OSError):
            # Who was stopped is gone; some of those who were told of a fault begin anew, and some go on.
            if not process.alive or chance.random() < 0.5:
                process.stop()
                living.remove((process, ledger))
        process.fault = None
        if chance.random() < 0.05:
            for process, _ in living:
                process.stop()
            living.clear()
            world.machine.lose_power(keep=chance.choice([0.0, chance.random(), 1.0]), names=chance.random() < 0.5)
    try:
        world.check()
    except (EnforcerError, AssertionError) as error:
        raise AssertionError(f"history {seed}: {error}") from error
