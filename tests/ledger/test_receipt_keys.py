"""A receipt leads from the keys that a ledger had to the one that signed it, by the rules that the ledger has."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from enforcer.attestation.signatures import verify_ed25519
from enforcer.ledger.codec import canonical
from enforcer.ledger.entry import parse_leaf
from enforcer.ledger.merkle import leaf_hash, root_of
from enforcer.ledger.receipt import build_receipt
from enforcer.ledger.report import TAMPERED, VERIFIED
from enforcer.ledger.vouching import ReceiptReport, check_file
from enforcer.workflow.events import KeyRotated
from tests.attestation.walks import told
from tests.ledger.signing import NEXT, OWN, STRANGER, Key, Signed, note_of

THIRD = Key(5)


@pytest.fixture
def signed(tmp_path) -> Signed:
    return Signed(told(tmp_path))


def receipt(signed: Signed, *keys: Key, named: Key | None = OWN, rotations: list[bytes] | None = None) -> bytes:
    """A receipt under a checkpoint of the whole ledger, signed by `keys`."""
    lines = signed.lines()
    hashes = [leaf_hash(line) for line in lines]
    if rotations is None:
        rotations = [line for line in lines if isinstance(parse_leaf(line).event, KeyRotated)]
    return build_receipt(
        [line for line in lines if parse_leaf(line).task == "T"],
        checkpoint=note_of(lines, len(lines), *keys),
        node=lambda level, index: root_of(hashes[index << level : (index + 1) << level]),
        get=signed.history.objects.get,
        key=named.vkey if named is not None else None,
        rotations=rotations,
    )


def checked(data: bytes, *keys: Key) -> ReceiptReport:
    return check_file(data, [key.verifier for key in keys], verify_ed25519)


def codes(report: ReceiptReport) -> set[str]:
    return {finding.code for finding in report.findings}


def answer(report: ReceiptReport) -> tuple[int, str, set[str]]:
    return report.exit_status, report.key, codes(report)


def changed(data: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    members = json.loads(data)
    change(members)
    return canonical(members) + b"\n"


GOOD = (0, "pinned", set[str]())


@pytest.mark.parametrize("pinned", [OWN, NEXT, THIRD])
def test_whoever_pins_any_key_of_the_ledger_follows_to_the_one_that_signed(signed: Signed, pinned: Key) -> None:
    signed.rotate(1000)
    signed.rotate(1000, NEXT, THIRD)
    assert answer(checked(receipt(signed, THIRD), pinned)) == GOOD


def test_in_the_overlap_the_old_key_is_as_good(signed: Signed) -> None:
    signed.rotate(1000)
    data = receipt(signed, NEXT, OWN)
    assert answer(checked(data, OWN)) == answer(checked(data, NEXT)) == GOOD
    assert answer(checked(receipt(signed, OWN), OWN)) == GOOD


def test_without_a_pinned_key_the_chain_is_self_declared(signed: Signed) -> None:
    signed.rotate(1000)
    assert answer(checked(receipt(signed, NEXT))) == (2, "self-declared", {"key_not_given"})


def test_a_later_key_does_not_vouch_for_a_checkpoint_of_an_earlier_one_alone(signed: Signed) -> None:
    signed.rotate(1000)
    assert answer(checked(receipt(signed, OWN), NEXT)) == (2, "none", {"key_unproven"})


def test_a_stranger_leads_nowhere_and_is_led_to_by_nobody(signed: Signed) -> None:
    signed.rotate(1000)
    assert answer(checked(receipt(signed, NEXT), STRANGER)) == (2, "none", {"key_unproven"})
    assert answer(checked(receipt(signed, STRANGER), OWN)) == (2, "none", {"key_unproven"})


def test_a_key_counts_for_nothing_above_its_cap(signed: Signed) -> None:
    """Not even for one who has pinned it: it may have been stolen since it was retired."""
    seq = signed.rotate(len(signed.lines()) + 1)
    signed.rotate(1000, NEXT, THIRD)
    assert len(signed.lines()) > seq + 1
    for pinned in ([OWN], [THIRD], []):
        report = checked(receipt(signed, OWN), *pinned)
        assert (report.verdict, report.integrity) == (TAMPERED, VERIFIED)
        assert "key_not_in_force" in codes(report)
    assert answer(checked(receipt(signed, THIRD, OWN), OWN)) == GOOD


def test_a_change_of_keys_that_was_left_out_breaks_the_way(signed: Signed) -> None:
    signed.rotate(1000)
    first = [line for line in signed.lines() if isinstance(parse_leaf(line).event, KeyRotated)]
    signed.rotate(1000, NEXT, THIRD)
    both = [line for line in signed.lines() if isinstance(parse_leaf(line).event, KeyRotated)]

    assert answer(checked(receipt(signed, THIRD, rotations=[]), OWN)) == (2, "none", {"key_unproven"})
    assert answer(checked(receipt(signed, THIRD, rotations=first[:1]), OWN)) == (2, "none", {"key_unproven"})
    report = checked(receipt(signed, THIRD, rotations=both[1:]), OWN)
    assert (report.exit_status, codes(report)) == (1, {"rotation_invalid", "key_unproven"})


@pytest.mark.parametrize(
    "changes",
    [
        {"old_signature": "AAAA"},
        {"new_signature": "AAAA"},
        {"old": STRANGER.vkey},
        {"seq": 3},
        {"cap": 3},
        {"new": OWN.vkey},
        {"new": Key(9, "enforcer/" + "f" * 32).vkey},
    ],
)
def test_a_change_of_keys_that_does_not_hold_is_one_in_a_receipt_as_well(signed: Signed, changes: Any) -> None:
    signed.rotate(1000, changes=changes)
    report = checked(receipt(signed, NEXT), OWN)
    assert report.exit_status == 1
    assert codes(report) >= {"rotation_invalid"}
    assert report.key == "none"
    assert signed.verify(keys=(OWN.verifier,)).exit_status == 1


def test_a_change_of_keys_has_to_stand_in_the_tree(signed: Signed, tmp_path) -> None:
    """One that the keys did sign, for a ledger that came to nothing: it is not in this one."""
    (tmp_path / "other").mkdir()
    other = Signed(told(tmp_path / "other"))
    other.rotate(1000)
    line = other.lines()[-1]
    signed.history.put([*signed.lines()])
    honest = Signed(signed.history)
    honest.rotate(900)
    data = changed(receipt(honest, NEXT), lambda members: members["rotations"].__setitem__(0, line.decode()))
    report = checked(data, OWN)
    assert (report.integrity, report.key) == (TAMPERED, "none")
    assert codes(report) == {"inclusion_unproven", "key_unproven"}


def test_other_lines_have_no_place_among_the_changes_of_keys(signed: Signed) -> None:
    signed.rotate(1000)
    lines = signed.lines()
    for rotations in ([lines[1], lines[-1]], [lines[-1], lines[-1]]):
        report = checked(receipt(signed, NEXT, rotations=rotations), OWN)
        assert (report.integrity, codes(report)) == (TAMPERED, {"malformed"})


def test_a_ledger_without_a_key_has_none_to_change(signed: Signed) -> None:
    signed.rotate(1000)
    report = checked(receipt(signed, NEXT, named=None), NEXT)
    assert (report.exit_status, codes(report)) == (1, {"rotation_invalid"})


def test_a_cut_or_unreadable_change_of_keys_is_found(signed: Signed) -> None:
    signed.rotate(1000)
    data = receipt(signed, NEXT)
    for text in ("", "{}", "x", "[" * 5000):
        members = json.loads(data)
        members["rotations"][0] = text
        assert checked(canonical(members) + b"\n", OWN).exit_status == 1, text
    gone = changed(data, lambda members: members.update(rotations=[]))
    assert codes(checked(gone, OWN)) == {"malformed"}


def test_every_bit_of_a_change_of_keys_counts(signed: Signed) -> None:
    signed.rotate(1000)
    data = receipt(signed, NEXT)
    assert answer(checked(data, OWN)) == GOOD
    start = data.index(b'"rotations":')
    for at in range(start, len(data), 5):
        flipped = bytearray(data)
        flipped[at] ^= 1 << at % 8
        assert checked(bytes(flipped), OWN).exit_status != 0, bytes(flipped[at - 20 : at + 20])


def test_the_parts_of_the_report_say_what_a_wrong_change_speaks_against(signed: Signed) -> None:
    signed.rotate(1000, changes={"old_signature": "AAAA"})
    report = checked(receipt(signed, NEXT), OWN)
    assert (report.integrity, report.legality, report.evidence) == (TAMPERED, VERIFIED, VERIFIED)
