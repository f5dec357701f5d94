"""Checkpoints: when they are made, of what, and how what a crash left half done is made whole."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from enforcer.attestation.keys import create_keys
from enforcer.attestation.signer import FileSigner
from enforcer.errors import DamagedError, UnavailableError
from enforcer.ledger import files
from enforcer.ledger.checkpoint import Checkpoint, parse_checkpoint
from enforcer.ledger.entry import format_event
from enforcer.ledger.files import FileLedger
from enforcer.ledger.merkle import leaf_hash, root_of
from enforcer.ledger.note import parse_note
from enforcer.ledger.seal import DUE_AFTER, PAUSE_NS, Sealer, read_sealed
from enforcer.ledger.store import Identity
from enforcer.workflow.events import Event, LeaseClaimed, LedgerCreated, PhaseAdvanced, TaskOpened
from tests.faults import CountingEntropy, FaultyDisk, ManualClock

LEDGER = "fedcba9876543210" * 2
ORIGIN = f"enforcer/{LEDGER}"
MOVE = PhaseAdvanced(actor="ada", start="SPEC", to="PLAN", attempt_id="a")
CLAIM = LeaseClaimed(actor="ada", holder="ada", token=1)


class House:
    """A ledger on disk with its user's folder, and a sealer for it."""

    def __init__(self, folder: Path) -> None:
        self.disk, self.clock, self.entropy = FaultyDisk(), ManualClock(), CountingEntropy()
        self.user, self.folder = str(folder / "user"), str(folder / "ledger")
        self.key = create_keys(self.user, LEDGER, ORIGIN, self.entropy, self.disk)
        self.signers = 0
        files.create(self.folder, Identity(LEDGER, self.key, ORIGIN), disk=self.disk, entropy=self.entropy)
        self.open()
        self.write(1)

    def open(self) -> None:
        self.ledger = FileLedger(self.folder, disk=self.disk, clock=self.clock, entropy=self.entropy, cache_key=None)
        self.sealer = Sealer(
            self.folder, self.ledger, self.signer, disk=self.disk, entropy=self.entropy, clock=self.clock
        )

    def signer(self) -> FileSigner:
        self.signers += 1
        return FileSigner(self.user, LEDGER, disk=self.disk, entropy=self.entropy)

    def write(self, count: int) -> None:
        with self.ledger.writing():
            for _ in range(count):
                seq = self.ledger.head.size
                event: Event = LedgerCreated(actor="ada", version="1")
                task = None
                if seq:
                    task = f"T-{seq}"
                    event = TaskOpened(
                        actor="ada", title="", process="p", digest="0" * 64, phase="SPEC", attempt_id="1" * 32
                    )
                key = f".{seq}"
                data = format_event(event, task=task, key=key, source=ORIGIN)
                self.ledger.append(event, data, task=task, key=key)
        self.ledger.sync()

    @property
    def notes(self) -> list[str]:
        return sorted((path.name for path in Path(self.folder, "checkpoints").iterdir()), key=int)

    @property
    def sealed(self) -> int:
        sealed = read_sealed(self.folder, self.disk)
        return sealed.size if sealed is not None else 0

    def root(self, size: int) -> bytes:
        return root_of([leaf_hash(leaf) for leaf in self.ledger.leaves()][:size])


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_a_checkpoint_is_of_everything_that_is_on_the_ledger(house: House) -> None:
    house.write(10)
    sealed = house.sealer.seal()

    head = parse_checkpoint(parse_note(sealed.note).text)
    assert (head.origin, head.size, head.root) == (ORIGIN, 11, house.root(11))
    assert Path(house.folder, "checkpoint").read_bytes() == sealed.note
    assert Path(house.folder, "checkpoints/11").read_bytes() == sealed.note


def test_it_is_due_after_a_move_of_a_task(house: House) -> None:
    house.sealer.follow(CLAIM)
    house.sealer.settle()
    assert house.sealed == 0

    house.sealer.follow(MOVE)
    house.sealer.settle()
    assert house.sealed == 1


def test_it_is_due_after_256_entries(house: House) -> None:
    house.write(DUE_AFTER - 2)
    house.sealer.settle()
    assert house.sealed == 0

    house.write(1)
    house.sealer.settle()
    assert house.sealed == DUE_AFTER


def test_a_process_that_goes_on_working_seals_once_a_second(house: House) -> None:
    sizes = []
    for _ in range(5):
        house.write(1)
        house.sealer.follow(MOVE)
        sizes.append(house.sealed)
        house.clock.pass_us(PAUSE_NS // 2500)

    assert sizes == [0, 0, 0, 5, 5]


def test_only_the_last_checkpoint_of_256_entries_is_kept(house: House) -> None:
    for _ in range(5):
        house.write(100)
        house.sealer.seal()

    assert house.notes == ["201", "501"]


def test_a_second_call_without_a_new_entry_changes_nothing(house: House) -> None:
    first = house.sealer.seal()
    inode = Path(house.folder, "checkpoint").stat().st_ino

    assert house.sealer.seal() == first
    assert Path(house.folder, "checkpoint").stat().st_ino == inode


def test_a_lost_copy_is_written_again_from_what_the_signer_keeps(house: House) -> None:
    sealed = house.sealer.seal()
    Path(house.folder, "checkpoint").unlink()
    shutil.rmtree(Path(house.folder, "checkpoints"))
    house.open()

    assert house.sealer.seal() == sealed
    assert house.sealed == 1


@pytest.mark.parametrize("damage", [b"", b"half a note", b"\xff\x00"])
def test_a_damaged_copy_is_replaced(house: House, damage: bytes) -> None:
    house.sealer.seal()
    Path(house.folder, "checkpoint").write_bytes(damage)
    house.open()
    house.write(1)

    assert house.sealer.seal().size == 2
    assert house.sealed == 2


def test_a_damaged_tile_is_found_by_the_proof_and_made_again(house: House) -> None:
    house.write(600)
    house.sealer.seal()
    for tile in Path(house.folder, "tile").rglob("*"):
        if tile.is_file() and tile.name != "edge":
            tile.write_bytes(bytes(len(tile.read_bytes())))
    house.open()
    house.write(300)

    assert house.sealer.seal().root == house.root(901)


def test_lines_that_were_not_signed_for_get_no_signature(house: House, tmp_path: Path) -> None:
    """The ledger was put back to an earlier copy, and went on differently."""
    house.write(5)
    shutil.copytree(house.folder, tmp_path / "copy")
    house.write(5)
    house.sealer.seal()
    shutil.rmtree(house.folder)
    shutil.copytree(tmp_path / "copy", house.folder)
    house.clock.pass_us(1)
    house.open()

    with pytest.raises(DamagedError) as caught:
        house.sealer.seal()
    assert caught.value.code == "ledger_rolled_back"

    house.write(20)
    with pytest.raises(DamagedError) as caught:
        house.sealer.seal()
    assert caught.value.code == "history_rewritten"


def test_trouble_changes_no_answer_and_is_told(house: House) -> None:
    shutil.rmtree(house.user)
    house.sealer.follow(MOVE)
    house.sealer.settle()

    assert isinstance(house.sealer.trouble, UnavailableError)
    assert house.sealer.trouble.code == "key_missing"


class Between:
    """A signer beside whose work another process appends and signs."""

    def __init__(self, house: House) -> None:
        self._house, self._inner = house, house.signer()

    def sign(self, size: int, root: bytes, prove: Callable[[int], Sequence[bytes]]) -> tuple[Checkpoint, bytes]:
        house, self._house = self._house, None  # type: ignore[assignment]
        if house is not None:
            other = FileLedger(
                house.folder, disk=house.disk, clock=house.clock, entropy=CountingEntropy(7), cache_key=None
            )
            mine, house.ledger = house.ledger, other
            house.write(3)
            house.ledger = mine
            Sealer(house.folder, other, house.signer, disk=house.disk, entropy=house.entropy, clock=house.clock).seal()
        return self._inner.sign(size, root, prove)


def test_a_larger_head_of_another_process_is_no_rollback(house: House) -> None:
    between = Between(house)
    sealer = Sealer(
        house.folder, house.ledger, lambda: between, disk=house.disk, entropy=house.entropy, clock=house.clock
    )

    assert sealer.seal().size == 4


@pytest.mark.parametrize("call", ["open", "append", "sync", "rename", "sync_folder", "read"])
def test_whatever_call_fails_the_next_checkpoint_is_whole(house: House, call: str) -> None:
    house.write(300)
    house.sealer.seal()
    for nth in range(1, 12):
        house.write(1)
        house.disk.fail(call, nth=nth)
        house.sealer.follow(MOVE)
        house.sealer.settle()
        house.disk = FaultyDisk()
        house.open()

    house.write(1)
    assert house.sealer.seal().root == house.root(house.ledger.head.size)
    assert house.sealed == house.ledger.head.size
