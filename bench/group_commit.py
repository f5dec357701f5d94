"""Many writers on a disk whose sync takes 5 ms: acknowledgements a second, against a sync under the append lock.

Each writer is a process of its own with a disk that really waits. The floor is the same program with the sync moved to
where the append lock is still held, so that nobody's sync serves anybody else.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from bench.sample import Figure
from enforcer.ledger.entry import format_event
from enforcer.ledger.files import FileLedger, create
from enforcer.ledger.store import Identity
from enforcer.ports import SystemClock, SystemDisk, SystemEntropy
from enforcer.workflow.events import LedgerCreated, TaskOpened

WRITERS, SYNC_SECONDS = 16, 0.005
APPENDS, APPENDS_ALONE = 60, 8  # Of each writer, together and one after another.

_ID = "5" * 32
IDENTITY = Identity(_ID, None, f"enforcer/{_ID}")


class SlowDisk(SystemDisk):
    """A disk whose sync takes as long as that of a spinning one."""

    def datasync(self, fd: int) -> None:
        time.sleep(SYNC_SECONDS)


def group_commit(folder: Path) -> Figure:
    """`ratio` is the time of one acknowledgement together over one alone; `times_the_throughput` its inverse."""
    figure = Figure(f"{WRITERS} writers with a 5 ms sync", None)
    alone = _rate(folder / "alone", APPENDS_ALONE, together=False)
    together = _rate(folder / "together", APPENDS, together=True)
    figure.samples, figure.floor = [int(1e9 / together)], [int(1e9 / alone)]
    figure.extra["times_the_throughput"] = round(together / alone, 1)
    figure.extra["at_least"] = 7.0
    figure.ok = together / alone >= 7.0
    return figure


def _rate(folder: Path, appends: int, *, together: bool) -> float:
    """Acknowledged appends a second, every one of them looked for on the ledger afterwards."""
    create(str(folder), IDENTITY, disk=SystemDisk(), entropy=SystemEntropy())
    ledger = _open(folder)
    with ledger.writing():
        event = LedgerCreated(actor="bench", version="0")
        data = format_event(event, task=None, key=".0", source=IDENTITY.origin)
        ledger.append(event, data, task=None, key=".0")
    argv = [sys.executable, "-m", "bench.group_commit", str(folder), str(appends), "together" if together else "alone"]
    writers = [
        subprocess.Popen([*argv, str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for number in range(WRITERS)
    ]
    for writer in writers:
        assert writer.stdout is not None
        writer.stdout.readline()
    began = time.perf_counter()
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("\n")
        writer.stdin.flush()
    acknowledged = [line for writer in writers for line in writer.communicate()[0].splitlines()]
    took = time.perf_counter() - began
    ledger.catch_up()
    entries = {f"{entry.seq} {entry.hash}" for entry in ledger.entries(1)}
    assert len(acknowledged) == WRITERS * appends
    assert entries == set(acknowledged)
    ledger.close()
    return len(acknowledged) / took


def _open(folder: Path, disk: SystemDisk | None = None) -> FileLedger:
    return FileLedger(
        str(folder), disk=disk or SystemDisk(), clock=SystemClock(), entropy=SystemEntropy(), cache_key=None
    )


def _write(folder: Path, appends: int, together: bool, number: str) -> None:
    """One writer: a line for each acknowledgement, printed at the end."""
    ledger = _open(folder, SlowDisk())
    ledger.catch_up()
    print("ready", flush=True)
    sys.stdin.readline()
    places = []
    for step in range(appends):
        task, key = f"W{number}-{step}", f"{number}-{step}"
        event = TaskOpened(
            actor="bench", title="", process="", digest="0" * 64, phase="SPEC", attempt_id="1" * 32, base=""
        )
        data = format_event(event, task=task, key=key, source=IDENTITY.origin)
        ledger.catch_up()  # As the gate does: what others wrote is taken in before the lock, and not while it is held.
        with ledger.writing():
            places.append(ledger.append(event, data, task=task, key=key))
            if not together:
                ledger.sync()
        ledger.sync()
    print("\n".join(f"{place.seq} {place.hash}" for place in places))


if __name__ == "__main__":
    _write(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "together", sys.argv[4])
