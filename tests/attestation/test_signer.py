"""The signer gives one history its word: what it signed once binds it, whatever it is asked later."""

from __future__ import annotations

from pathlib import Path

import pytest

from enforcer.attestation.keys import create_keys
from enforcer.attestation.signatures import verify_ed25519
from enforcer.attestation.signer import Busy, FileSigner, Rotation, rotation_statement
from enforcer.errors import DamagedError, EnforcerError, UnavailableError
from enforcer.ledger.checkpoint import parse_checkpoint
from enforcer.ledger.merkle import leaf_hash, prove_consistency, root_of
from enforcer.ledger.note import parse_note, parse_vkey, verified_by
from enforcer.workflow.events import KeyRotated
from tests.faults import CountingEntropy, FaultyDisk

LEDGER = "0123456789abcdef" * 2
ORIGIN = f"enforcer/{LEDGER}"


class Tree:
    """A tree of short leaves that a test can grow and rewrite."""

    def __init__(self, leaves: list[bytes]) -> None:
        self.hashes = [leaf_hash(leaf) for leaf in leaves]

    def root(self, size: int) -> bytes:
        return root_of(self.hashes[:size])

    def prove(self, size: int, old: int) -> list[bytes]:
        return prove_consistency(
            old, size, lambda level, index: root_of(self.hashes[index << level : (index + 1) << level])
        )

    def ask(self, signer: FileSigner, size: int) -> bytes:
        return signer.sign(size, self.root(size), lambda old: self.prove(size, old))[1]


TREE = Tree([b"%d" % number for number in range(40)])


@pytest.fixture
def disk() -> FaultyDisk:
    return FaultyDisk()


@pytest.fixture
def made(tmp_path: Path, disk: FaultyDisk) -> tuple[str, FileSigner]:
    vkey = create_keys(str(tmp_path), LEDGER, ORIGIN, CountingEntropy(), disk)
    return vkey, FileSigner(str(tmp_path), LEDGER, disk=disk, entropy=CountingEntropy(1))


def reopened(tmp_path: Path, disk: FaultyDisk) -> FileSigner:
    return FileSigner(str(tmp_path), LEDGER, disk=disk, entropy=CountingEntropy(2))


def holds(note: bytes, *vkeys: str) -> int:
    return len(verified_by(parse_note(note), [parse_vkey(vkey) for vkey in vkeys], verify_ed25519))


def test_a_head_is_signed_by_the_key_that_the_ledger_names(made: tuple[str, FileSigner]) -> None:
    vkey, signer = made
    note = TREE.ask(signer, 7)

    head = parse_checkpoint(parse_note(note).text)
    assert (head.origin, head.size, head.root) == (ORIGIN, 7, TREE.root(7))
    assert holds(note, vkey) == 1


def test_a_larger_head_is_signed_once_it_is_proven_to_extend_the_last_one(made: tuple[str, FileSigner]) -> None:
    vkey, signer = made
    for size in (1, 2, 7, 8, 31, 40):
        assert holds(TREE.ask(signer, size), vkey) == 1


def test_the_same_head_again_is_answered_with_the_very_note(made: tuple[str, FileSigner]) -> None:
    _, signer = made

    assert TREE.ask(signer, 9) == TREE.ask(signer, 9)


@pytest.mark.parametrize("size", [9, 10, 33])
def test_a_rewritten_history_is_never_signed(made: tuple[str, FileSigner], size: int) -> None:
    _, signer = made
    TREE.ask(signer, 9)
    forged = Tree([b"other", *(b"%d" % number for number in range(1, 40))])

    with pytest.raises(DamagedError) as caught:
        forged.ask(signer, size)

    assert caught.value.code == "history_rewritten"
    assert signer.last() is not None
    assert TREE.ask(signer, 10)


def test_a_proof_for_other_roots_is_not_enough(made: tuple[str, FileSigner]) -> None:
    _, signer = made
    TREE.ask(signer, 9)
    forged = Tree([b"other"] * 40)

    with pytest.raises(DamagedError):
        signer.sign(20, forged.root(20), lambda old: TREE.prove(20, old))
    with pytest.raises(DamagedError):
        signer.sign(20, TREE.root(20), lambda old: [])


def test_a_ledger_that_was_cut_is_not_signed(made: tuple[str, FileSigner]) -> None:
    _, signer = made
    TREE.ask(signer, 9)

    with pytest.raises(DamagedError) as caught:
        TREE.ask(signer, 8)

    assert caught.value.code == "ledger_rolled_back"


def test_what_was_signed_binds_the_next_process(tmp_path: Path, made: tuple[str, FileSigner], disk: FaultyDisk) -> None:
    TREE.ask(made[1], 9)

    with pytest.raises(DamagedError):
        Tree([b"x"] * 40).ask(reopened(tmp_path, disk), 12)


@pytest.mark.parametrize("damage", [b"", b"garbage", b"other\n1\n\n"])
def test_a_signer_that_does_not_know_what_it_signed_signs_nothing(
    tmp_path: Path, made: tuple[str, FileSigner], damage: bytes
) -> None:
    TREE.ask(made[1], 9)
    (tmp_path / LEDGER / "head").write_bytes(damage)

    with pytest.raises(DamagedError) as caught:
        TREE.ask(made[1], 10)

    assert caught.value.code == "signer_head_damaged"


def test_a_head_of_another_ledger_in_its_place_is_refused(tmp_path: Path, made: tuple[str, FileSigner]) -> None:
    TREE.ask(made[1], 9)
    head = tmp_path / LEDGER / "head"
    head.write_bytes(head.read_bytes().replace(b"0123", b"1123", 1))

    with pytest.raises(DamagedError) as caught:
        TREE.ask(made[1], 10)

    assert caught.value.code == "signer_head_damaged"


def test_nobody_waits_for_a_signer_that_is_at_work(
    tmp_path: Path, made: tuple[str, FileSigner], disk: FaultyDisk
) -> None:
    other = reopened(tmp_path, disk)

    def while_busy(old: int) -> list[bytes]:
        with pytest.raises(Busy):
            TREE.ask(other, 10)
        return TREE.prove(9, old)

    TREE.ask(made[1], 3)
    made[1].sign(9, TREE.root(9), while_busy)


@pytest.mark.parametrize("nth", [1, 2, 3])
@pytest.mark.parametrize("call", ["open", "append", "sync", "rename", "sync_folder"])
def test_a_note_is_given_away_only_once_it_is_kept(
    tmp_path: Path, made: tuple[str, FileSigner], disk: FaultyDisk, call: str, nth: int
) -> None:
    _, signer = made
    TREE.ask(signer, 9)
    disk.fail(call, nth=nth)
    note = b""
    try:
        note = TREE.ask(signer, 12)
    except EnforcerError:
        pass

    last = reopened(tmp_path, FaultyDisk()).last()
    assert last is not None
    assert last[0].size in (9, 12)
    assert not note or last[1] == note
    assert TREE.ask(reopened(tmp_path, FaultyDisk()), 12)


# Rotation ------------------------------------------------------------------------------------------------------------


def rotation(signer: FileSigner, *, seq: int = 5, cap: int = 20) -> tuple[Rotation, KeyRotated]:
    new = signer.prepare()
    made = Rotation(old=signer.key.vkey, new=new.vkey, seq=seq, cap=cap)
    signer.promise(made)
    event = KeyRotated(actor="ada", old_signature="", new_signature="", **made.pack(complete=True))
    return made, event


def test_in_the_overlap_both_keys_sign_and_after_it_the_new_one_alone(made: tuple[str, FileSigner]) -> None:
    old, signer = made
    TREE.ask(signer, 5)
    change, event = rotation(signer)
    signer.settle(lambda seq: event if seq == 5 else None)

    assert signer.key.vkey == change.new != old
    assert holds(TREE.ask(signer, 6), old, change.new) == 2
    assert holds(TREE.ask(signer, 20), old, change.new) == 2
    note = TREE.ask(signer, 21)
    assert holds(note, change.new) == 1
    assert holds(note, old) == 0


def test_the_old_key_is_gone_once_it_has_nothing_left_to_sign(tmp_path: Path, made: tuple[str, FileSigner]) -> None:
    _, signer = made
    _, event = rotation(signer)
    signer.settle(lambda seq: event)
    assert (tmp_path / LEDGER / "retiring-key.pem").exists()
    TREE.ask(signer, 21)

    assert not (tmp_path / LEDGER / "retiring-key.pem").exists()


def test_a_change_that_never_came_on_the_ledger_is_forgotten(
    tmp_path: Path, made: tuple[str, FileSigner], disk: FaultyDisk
) -> None:
    old, signer = made
    rotation(signer)

    again = reopened(tmp_path, disk)
    again.settle(lambda seq: None)

    assert again.key.vkey == old
    assert again.pending() is None
    assert holds(TREE.ask(again, 6), old) == 1


def test_a_change_that_stands_on_the_ledger_is_finished_by_whoever_signs_next(
    tmp_path: Path, made: tuple[str, FileSigner], disk: FaultyDisk
) -> None:
    _, signer = made
    change, event = rotation(signer)

    again = reopened(tmp_path, disk)
    again.settle(lambda seq: event)
    again.settle(lambda seq: event)

    assert again.key.vkey == change.new
    assert reopened(tmp_path, disk).key.vkey == change.new


def test_the_entry_of_another_change_finishes_nothing(made: tuple[str, FileSigner]) -> None:
    old, signer = made
    _, event = rotation(signer)
    signer.settle(lambda seq: event.replace(new=old))

    assert signer.key.vkey == old


def test_both_keys_sign_a_statement_that_names_ledger_keys_and_numbers() -> None:
    change = Rotation(old="o", new="n", seq=3, cap=9)

    assert rotation_statement(ORIGIN, change) == f"enforcer/key-rotation/v1\n{ORIGIN}\no\nn\n3\n9\n".encode()


def test_a_key_that_was_given_up_signs_nothing_again(
    tmp_path: Path, made: tuple[str, FileSigner], disk: FaultyDisk
) -> None:
    made[1].condemn()

    with pytest.raises(UnavailableError) as caught:
        reopened(tmp_path, disk)
    assert caught.value.code == "key_missing"


def test_a_key_that_the_ledger_does_not_name_is_not_used(made: tuple[str, FileSigner]) -> None:
    vkey, signer = made
    signer.check_belongs(vkey)

    with pytest.raises(UnavailableError) as caught:
        signer.check_belongs("enforcer/other+00000000+AAAA")
    assert caught.value.code == "key_foreign"
