"""Both stores, held to the same promises."""

from __future__ import annotations

import pytest

from enforcer.ledger.files import FileLedger, create
from enforcer.ledger.memory import MemoryLedger
from enforcer.ledger.segments import LINES
from enforcer.ports import SystemDisk
from tests.faults import CountingEntropy, ManualClock
from tests.ledger.conformance import Conformance
from tests.ledger.histories import IDENTITY, KEY


class TestMemoryLedger(Conformance):
    def make(self, clock):
        return MemoryLedger(IDENTITY, clock=clock)

    def again(self, store, clock):
        return MemoryLedger(IDENTITY, clock=clock, leaves=tuple(store.leaves()))


class TestFileLedger(Conformance):
    cache_key: bytes | None = None
    segment_lines = LINES

    @pytest.fixture
    def setting(self, tmp_path):
        self.folder = str(tmp_path / "ledger")
        create(self.folder, IDENTITY, disk=SystemDisk(), entropy=CountingEntropy())

    def make(self, clock):
        return self.open(clock, CountingEntropy())

    def again(self, store, clock):
        other = self.open(ManualClock(), CountingEntropy(1))
        other.catch_up()
        return other

    def open(self, clock, entropy):
        ports = {"disk": SystemDisk(), "clock": clock, "entropy": entropy}
        return FileLedger(self.folder, **ports, cache_key=self.cache_key, segment_lines=self.segment_lines)


class TestFileLedgerWithCaches(TestFileLedger):
    cache_key = KEY

    def again(self, store, clock):
        store.save_caches()
        return super().again(store, clock)


class TestFileLedgerOfManySegments(TestFileLedgerWithCaches):
    """Every promise holds wherever the lines are."""

    segment_lines = 7
