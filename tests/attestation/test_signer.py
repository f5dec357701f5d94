"""The signer gives one history its word: what it signed once binds it, whatever it is asked later."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from enforcer.attestation.keys import create_keys
from enforcer.attestation.signatures import verify_ed25519
from enforcer.attestation.signer import FileSigner, Rotation, condemn
from enforcer.errors import DamagedError, EnforcerError, UnavailableError
from enforcer.ledger.checkpoint import parse_checkpoint
from enforcer.ledger.merkle import leaf_hash, prove_consistency, root_of
from enforcer.ledger.note import parse_note, parse_vkey, verified_by
from enforcer.workflow.events import KeyRotated, TaskAbandoned
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


def busy() -> AbstractContextManager[object]:
    """What is in here is answered with: ask again."""
    return pytest.raises(UnavailableError, match="signs, or changes keys")


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
        with busy():
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


def promised(signer: FileSigner, *, seq: int = 5, cap: int = 20) -> KeyRotated:
    """A change of keys that is prepared; its entry, as it will stand on the ledger."""
    with signer.changing() as new:
        change = Rotation(old=signer.key.vkey, new=new.vkey, seq=seq, cap=cap)
        signer.promise(change)
    return KeyRotated(actor="ada", old_signature="", new_signature="", **change.pack(complete=True))


def rotated(signer: FileSigner, *, seq: int = 5, cap: int = 20) -> KeyRotated:
    event = promised(signer, seq=seq, cap=cap)
    signer.settle(lambda _: event)
    return event


OTHER = TaskAbandoned(actor="ada", phase="SPEC", reason="r")


def test_in_the_overlap_both_keys_sign_and_after_it_the_new_one_alone(made: tuple[str, FileSigner]) -> None:
    old, signer = made
    TREE.ask(signer, 5)
    change = rotated(signer)

    assert signer.key.vkey == change.new != old
    assert holds(TREE.ask(signer, 6), old, change.new) == 2
    assert holds(TREE.ask(signer, 20), old, change.new) == 2
    note = TREE.ask(signer, 21)
    assert holds(note, change.new) == 1
    assert holds(note, old) == 0


def test_in_overlapping_overlaps_every_key_signs_up_to_its_own_cap(made: tuple[str, FileSigner]) -> None:
    first, signer = made
    second = rotated(signer, seq=5, cap=20).new
    third = rotated(signer, seq=6, cap=10).new
    fourth = rotated(signer, seq=7, cap=30).new

    def signing(size: int) -> list[bool]:
        note = TREE.ask(signer, size)
        return [holds(note, vkey) == 1 for vkey in (first, second, third, fourth)]

    assert signing(8) == [True, True, True, True]
    assert signing(15) == [True, False, True, True]
    assert signing(25) == [False, False, True, True]
    assert signing(31) == [False, False, False, True]


def test_the_old_key_is_gone_once_it_has_nothing_left_to_sign(tmp_path: Path, made: tuple[str, FileSigner]) -> None:
    _, signer = made
    rotated(signer)
    assert (tmp_path / LEDGER / "retiring-5.pem").exists()
    TREE.ask(signer, 21)

    assert not (tmp_path / LEDGER / "retiring-5.pem").exists()


def test_a_change_whose_place_another_entry_took_is_forgotten(
    tmp_path: Path, made: tuple[str, FileSigner], disk: FaultyDisk
) -> None:
    old, signer = made
    promised(signer)

    again = reopened(tmp_path, disk)
    again.settle(lambda _: OTHER)

    assert again.key.vkey == old
    again.check_belongs(old)
    assert holds(TREE.ask(again, 6), old) == 1


def test_a_change_that_was_forgotten_leaves_the_ones_before_it(made: tuple[str, FileSigner]) -> None:
    old, signer = made
    before = rotated(signer)
    promised(signer, seq=7)
    signer.settle(lambda _: OTHER)

    signer.check_belongs(old)
    assert signer.key.vkey == before.new
    assert holds(TREE.ask(signer, 8), old, before.new) == 2


def test_while_no_entry_stands_in_its_place_a_change_may_still_come_and_the_old_key_signs_what_is_before(
    tmp_path: Path, made: tuple[str, FileSigner], disk: FaultyDisk
) -> None:
    old, signer = made
    event = promised(signer)

    again = reopened(tmp_path, disk)
    again.settle(lambda _: None)
    assert holds(TREE.ask(again, 5), old) == 1
    with busy():
        TREE.ask(again, 6)

    again.settle(lambda seq: event if seq == 5 else None)
    assert again.key.vkey == event.new


def test_a_change_that_stands_on_the_ledger_is_finished_by_whoever_signs_next(
    tmp_path: Path, made: tuple[str, FileSigner], disk: FaultyDisk
) -> None:
    _, signer = made
    change = promised(signer)

    again = reopened(tmp_path, disk)
    again.settle(lambda _: change)
    again.settle(lambda _: change)

    assert again.key.vkey == change.new
    assert reopened(tmp_path, disk).key.vkey == change.new


@pytest.mark.parametrize("nth", [1, 2, 3, 4])
@pytest.mark.parametrize("call", ["open", "append", "sync", "rename", "sync_folder"])
def test_a_change_that_was_interrupted_while_it_was_finished_is_finished_by_the_next(
    tmp_path: Path, made: tuple[str, FileSigner], disk: FaultyDisk, call: str, nth: int
) -> None:
    old, signer = made
    change = promised(signer)
    disk.fail(call, nth=nth)
    try:
        signer.settle(lambda _: change)
    except EnforcerError:
        pass

    again = reopened(tmp_path, FaultyDisk())
    again.settle(lambda _: change)

    again.check_belongs(old)
    assert again.key.vkey == change.new
    assert holds(TREE.ask(again, 6), old, change.new) == 2


def test_the_entry_of_another_change_finishes_nothing(made: tuple[str, FileSigner]) -> None:
    old, signer = made
    event = promised(signer)
    signer.settle(lambda _: event.replace(new=old))

    assert signer.key.vkey == old


def test_a_change_whose_new_key_is_gone_is_no_reason_to_sign_with_the_old_one(
    tmp_path: Path, made: tuple[str, FileSigner]
) -> None:
    _, signer = made
    event = promised(signer)
    (tmp_path / LEDGER / "next-key.pem").unlink()

    with pytest.raises(DamagedError) as caught:
        signer.settle(lambda _: event)
    assert caught.value.code == "rotation_damaged"
    with busy():
        TREE.ask(signer, 6)


def test_nobody_signs_or_changes_keys_while_somebody_changes_them(
    tmp_path: Path, made: tuple[str, FileSigner], disk: FaultyDisk
) -> None:
    other = reopened(tmp_path, disk)
    with made[1].changing() as new:
        made[1].promise(Rotation(old=made[1].key.vkey, new=new.vkey, seq=5, cap=20))
        with busy():
            other.settle(lambda _: OTHER)
        with busy():
            TREE.ask(other, 3)
        with busy():
            other.changing().__enter__()

    assert holds(TREE.ask(other, 3), made[0]) == 1


def test_a_change_that_may_stand_already_is_settled_before_the_next(made: tuple[str, FileSigner]) -> None:
    promised(made[1], seq=5)

    with busy():
        promised(made[1], seq=6)


def test_a_signer_that_was_made_before_a_change_signs_nothing_after_it(
    tmp_path: Path, made: tuple[str, FileSigner], disk: FaultyDisk
) -> None:
    outdated = reopened(tmp_path, disk)
    rotated(made[1])

    with busy():
        TREE.ask(outdated, 7)
    with busy():
        outdated.changing().__enter__()


@pytest.mark.parametrize("damage", ["", "[]", "{", '{"done": 3}', '{"promised": {"old": "o"}}', "[" * 100_000])
def test_a_note_of_changes_that_cannot_be_read_is_damage(
    tmp_path: Path, made: tuple[str, FileSigner], damage: str
) -> None:
    (tmp_path / LEDGER / "rotations.json").write_text(damage)

    with pytest.raises(DamagedError) as caught:
        TREE.ask(made[1], 7)
    assert caught.value.code == "rotation_damaged"


def test_a_key_that_was_given_up_signs_nothing_again(
    tmp_path: Path, made: tuple[str, FileSigner], disk: FaultyDisk
) -> None:
    """Neither one that retires, nor one that was to come, nor a signer that holds the key in memory."""
    rotated(made[1])
    promised(made[1], seq=7)
    condemn(str(tmp_path), LEDGER, disk)

    for use in (lambda: reopened(tmp_path, disk), lambda: TREE.ask(made[1], 7)):
        with pytest.raises(UnavailableError) as caught:
            use()
        assert caught.value.code == "key_missing"
    left = {path.name for path in (tmp_path / LEDGER).glob("*.pem")}
    assert left == {f"compromised-{name}" for name in ("signing-key.pem", "next-key.pem", "retiring-5.pem")}


def test_a_key_is_given_up_whatever_is_wrong_with_it(tmp_path: Path, made: tuple[str, FileSigner]) -> None:
    """A key that others could read is the very one that is given up."""
    key = tmp_path / LEDGER / "signing-key.pem"
    key.chmod(0o644)
    condemn(str(tmp_path), LEDGER, FaultyDisk())

    assert not key.exists()
    condemn(str(tmp_path), LEDGER, FaultyDisk())
    condemn(str(tmp_path / "nowhere"), LEDGER, FaultyDisk())


def test_a_key_that_the_ledger_does_not_name_is_not_used(made: tuple[str, FileSigner]) -> None:
    vkey, signer = made
    signer.check_belongs(vkey)

    with pytest.raises(UnavailableError) as caught:
        signer.check_belongs("enforcer/other+00000000+AAAA")
    assert caught.value.code == "key_foreign"


def test_a_key_that_has_handed_over_and_was_put_back_is_not_used(
    tmp_path: Path, made: tuple[str, FileSigner], disk: FaultyDisk
) -> None:
    vkey, signer = made
    old = (tmp_path / LEDGER / "signing-key.pem").read_bytes()
    rotated(signer)
    (tmp_path / LEDGER / "signing-key.pem").write_bytes(old)

    with pytest.raises(UnavailableError) as caught:
        reopened(tmp_path, disk).check_belongs(vkey)
    assert caught.value.code == "key_foreign"
