"""Both stores, held to the same promises."""

from __future__ import annotations

import pytest

from enforcer.ledger.files import FileLedger, create
from enforcer.ledger.memory import MemoryLedger
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

    @pytest.fixture
    def setting(self, tmp_path):
        self.folder = str(tmp_path / "ledger")
        create(self.folder, IDENTITY, disk=SystemDisk(), entropy=CountingEntropy())

    def make(self, clock):
        return FileLedger(
            self.folder, disk=SystemDisk(), clock=clock, entropy=CountingEntropy(), cache_key=self.cache_key
        )

    def again(self, store, clock):
        other = FileLedger(
            self.folder, disk=SystemDisk(), clock=ManualClock(), entropy=CountingEntropy(1), cache_key=self.cache_key
        )
        other.catch_up()
        return other


class TestFileLedgerWithCaches(TestFileLedger):
    cache_key = KEY

    def again(self, store, clock):
        store.save_caches()
        return super().again(store, clock)
