"""Signed heads, keys and the demands of whoever verifies, held against real ledgers and forged ones."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from enforcer.attestation.signatures import verify_ed25519
from enforcer.ledger.heads import Anchor
from enforcer.ledger.merkle import leaf_hash, root_of
from enforcer.ledger.report import Cosigned
from enforcer.ledger.verify import verify
from enforcer.ports import SystemDisk
from tests.ledger.histories import History
from tests.ledger.signing import NEXT, ORIGIN, OWN, STRANGER, WITNESS, Key, Signed, codes, note_of
from tests.ledger.test_verify import LENGTH, tell


@pytest.fixture
def signed(tmp_path) -> Signed:
    history = History(tmp_path)
    tell(history)
    return Signed(history)


def root(signed: Signed, size: int) -> bytes:
    return root_of([leaf_hash(line) for line in signed.lines()[:size]])


def anchor(signed: Signed, size: int, *keys: Key, local: bool = False, origin: str = ORIGIN) -> Anchor:
    return Anchor("elsewhere", note_of(signed.lines(), size, *(keys or (OWN,)), origin=origin), local)


# Checkpoints


def test_checkpoints_under_the_ledgers_key_seal_it(signed):
    for size in (1, 7, 8, 20):
        signed.seal(size)
    signed.seal(20, name="checkpoint")
    report = signed.verify()
    assert (report.verdict, report.findings) == ("verified", ())
    assert (report.sealed_to, report.key, report.anchoring) == (20, "self-declared", "none")
    assert (report.unanchored, report.anchored_to) == (0, None)
    assert report.root == root(signed, LENGTH).hex()


@pytest.mark.parametrize("size", range(1, LENGTH + 1))
def test_a_checkpoint_of_every_size_agrees(signed, size):
    signed.seal(size)
    report = signed.verify()
    assert (report.findings, report.sealed_to) == ((), size)


def test_lines_that_were_signed_and_are_gone_are_missed(signed):
    signed.seal(20)
    for length in (19, 10, 1):
        signed.put(signed.lines()[:length])
        report = signed.verify()
        assert (report.verdict, report.integrity, report.sealed_to) == ("tampered", "tampered", None)
        assert (length, "checkpoint_ahead") in {(one.seq, one.code) for one in report.findings}


def test_an_emptied_ledger_beside_a_checkpoint_is_tampered(signed):
    signed.seal(20)
    signed.history.put([])
    report = signed.verify()
    assert (report.verdict, codes(report)) == ("tampered", {"ledger_empty", "checkpoint_ahead"})


def test_a_rewritten_range_is_named_between_the_heads_around_it(signed):
    for size in (5, 10, 15):
        signed.seal(size)
    signed.put(signed.lines(), lambda seq, entry: entry.update(ts=entry["ts"] + 1) if seq > 11 else None)
    report = signed.verify()
    assert (report.verdict, report.sealed_to) == ("tampered", 10)
    [finding] = report.findings
    assert (finding.seq, finding.code) == (10, "checkpoint_mismatch")
    assert "10 to 14" in finding.message


def test_a_torn_tail_above_every_checkpoint_is_a_finding_and_below_one_damage(signed):
    whole = signed.history.segment.read_bytes()
    signed.seal(LENGTH - 1)
    signed.history.segment.write_bytes(whole[:-10])
    assert (signed.verify().verdict, codes(signed.verify())) == ("verified", {"torn_tail"})
    signed.history.segment.write_bytes(whole)
    signed.seal(LENGTH)
    signed.history.segment.write_bytes(whole[:-10])
    report = signed.verify()
    assert (report.verdict, codes(report)) == ("tampered", {"torn_tail", "checkpoint_ahead"})


def test_a_signature_that_does_not_hold_is_forged(signed):
    signed.seal(10)
    path = signed.history.state / "ledger" / "checkpoints" / "10"
    good = path.read_bytes()
    text, _, line = good.rpartition(b" ")
    value = bytearray(base64.b64decode(line))
    value[-1] ^= 1
    path.write_bytes(text + b" " + base64.b64encode(value) + b"\n")
    report = signed.verify()
    assert (report.verdict, report.integrity, codes(report)) == ("tampered", "tampered", {"checkpoint_forged"})
    path.write_bytes(good.replace(b"\n10\n", b"\n11\n"))
    assert codes(signed.verify()) == {"checkpoint_forged"}


@pytest.mark.parametrize(
    "data",
    [b"", b"rubbish", b"\0" * 300, b"a\nb\nc\n\n", bytes(range(256))],
    ids=["empty", "text", "zeros", "3", "all"],
)
@pytest.mark.parametrize("name", ["checkpoint", "checkpoints/10", "anchors/x"])
def test_a_file_that_is_no_note_vouches_for_nothing_and_accuses_nobody(signed, name, data):
    signed.place(name, data)
    report = signed.verify()
    assert (report.verdict, report.sealed_to, report.anchoring) == ("verified", None, "none")
    assert codes(report) == {"anchor_unreadable" if "anchors" in name else "checkpoint_unreadable"}


def test_a_checkpoint_of_a_stranger_vouches_for_nothing(signed):
    signed.seal(10, STRANGER)
    signed.place("checkpoints/11", note_of(signed.lines()[1:], 11, STRANGER))
    report = signed.verify()
    assert (report.verdict, report.sealed_to, codes(report)) == ("verified", None, {"checkpoint_unverified"})


def test_a_checkpoint_of_another_ledger_vouches_for_nothing(signed):
    signed.place("checkpoint", note_of(signed.lines(), 10, OWN, origin="enforcer/" + "f" * 32))
    report = signed.verify()
    assert (report.sealed_to, codes(report)) == (None, {"checkpoint_unreadable"})


def test_what_a_write_left_behind_is_passed_over(signed):
    signed.place("checkpoints/10.abcd.new", b"half")
    assert signed.verify().findings == ()


def test_a_ledger_without_a_key_is_sealed_by_nobody(tmp_path):
    history = History(tmp_path)
    tell(history)
    signed = Signed(history, None)
    signed.seal(10)
    report = signed.verify()
    assert (report.verdict, report.key, report.sealed_to) == ("verified", "none", None)


# Keys


def test_a_pinned_key_that_is_the_ledgers_is_shown_as_such(signed):
    signed.seal(LENGTH)
    report = signed.verify(keys=(OWN.verifier,), require_key=True)
    assert (report.verdict, report.key, report.findings) == ("verified", "pinned", ())


def test_a_ledger_under_another_key_than_the_pinned_one_is_tampered(signed):
    """Signed anew from its first line, with a new key and a new `ledger.json`."""
    signed.seal(LENGTH)
    report = signed.verify(keys=(STRANGER.verifier,))
    assert (report.verdict, report.key, codes(report)) == ("tampered", "self-declared", {"key_mismatch"})


def test_a_ledger_whose_key_was_taken_away_is_tampered(tmp_path):
    history = History(tmp_path)
    tell(history)
    report = Signed(history, None).verify(keys=(OWN.verifier,))
    assert (report.verdict, report.key, codes(report)) == ("tampered", "none", {"key_mismatch"})


def test_a_key_that_is_required_has_to_have_signed_something(signed):
    for keys in ((), (OWN.verifier,)):
        report = signed.verify(keys=keys, require_key=True)
        assert (report.exit_status, codes(report)) == (2, {"key_required"})
    signed.seal(3)
    assert signed.verify(keys=(OWN.verifier,), require_key=True).verdict == "verified"
    assert signed.verify(require_key=True).exit_status == 2


# Rotation


def test_a_key_passes_on_to_the_next(signed):
    seq = signed.rotate(cap=LENGTH + 3)
    signed.seal(seq)
    signed.seal(seq + 1, OWN, NEXT)
    report = signed.verify()
    assert (report.verdict, report.sealed_to, report.findings) == ("verified", seq + 1, ())
    for pinned in (OWN, NEXT):
        report = signed.verify(keys=(pinned.verifier,), require_key=True)
        assert (report.verdict, report.key) == ("verified", "pinned")


def test_the_new_key_does_not_count_for_what_was_before_it(signed):
    """Who has it cannot backdate."""
    seq = signed.rotate(cap=LENGTH + 3)
    signed.seal(seq, NEXT)
    report = signed.verify()
    assert (report.verdict, report.sealed_to, codes(report)) == ("verified", None, {"key_not_in_force"})


def test_the_old_key_does_not_count_beyond_its_cap(signed):
    seq = signed.rotate(cap=LENGTH + 1)
    signed.rotate(LENGTH + 9, NEXT, Key(5))
    signed.seal(seq + 1)
    assert signed.verify().sealed_to == seq + 1
    signed.seal(seq + 2)
    assert codes(signed.verify()) == {"key_not_in_force"}


@pytest.mark.parametrize(
    "changes",
    [
        {"seq": 3},
        {"cap": LENGTH},
        {"old": STRANGER.vkey},
        {"new": OWN.vkey},
        {"new": Key(9, "enforcer/other").vkey},
        {"new": "rubbish"},
        {"old_signature": "AAAA"},
        {"old_signature": "not base64"},
        {"new_signature": base64.b64encode(bytes(64)).decode()},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_a_rotation_that_does_not_hold_changes_no_key(signed, changes):
    seq = signed.rotate(LENGTH + 5, changes=changes)
    signed.seal(seq + 1, NEXT)
    report = signed.verify()
    assert (report.verdict, report.integrity, report.sealed_to) == ("tampered", "tampered", None)
    assert (seq, "rotation_invalid") in {(one.seq, one.code) for one in report.findings}
    signed.seal(seq + 1, OWN)
    assert signed.verify().sealed_to == seq + 1


def test_a_retired_key_does_not_come_back(signed):
    signed.rotate(cap=LENGTH + 5)
    signed.rotate(LENGTH + 5, NEXT, OWN)
    assert codes(signed.verify()) == {"rotation_invalid"}


def test_a_ledger_without_a_key_passes_none_on(tmp_path):
    history = History(tmp_path)
    tell(history)
    signed = Signed(history, None)
    signed.rotate(cap=LENGTH + 5)
    assert codes(signed.verify()) == {"rotation_invalid"}


# Anchors


def test_an_anchor_out_of_reach_counts(signed):
    report = signed.verify(anchors=(anchor(signed, 10), anchor(signed, 20)), require_anchor=True, max_unanchored=2)
    assert (report.verdict, report.anchoring, report.anchored_to, report.unanchored) == ("verified", "anchored", 20, 20)
    whole = signed.verify(anchors=(anchor(signed, LENGTH),))
    assert (whole.anchored_to, whole.unanchored) == (LENGTH, None)


def test_an_anchor_within_reach_is_shown_and_does_not_count(signed):
    signed.place("anchors/one", note_of(signed.lines(), 10, OWN))
    report = signed.verify(anchors=(anchor(signed, 20, local=True),), require_anchor=True)
    assert (report.anchoring, report.anchored_to, report.unanchored) == ("local", None, 0)
    assert (report.exit_status, codes(report), report.integrity) == (2, {"anchor_required"}, "verified")


def test_more_entries_after_the_last_anchor_than_may_be_are_told(signed):
    report = signed.verify(anchors=(anchor(signed, 10),), max_unanchored=11)
    assert (report.exit_status, codes(report)) == (2, {"unanchored_too_many"})
    assert signed.verify(max_unanchored=LENGTH - 1).exit_status == 2
    assert signed.verify(max_unanchored=LENGTH).exit_status == 0


def test_a_ledger_that_was_cut_below_an_anchor_is_rolled_back(signed):
    far = anchor(signed, 20)
    signed.put(signed.lines()[:19])
    report = signed.verify(anchors=(far,))
    assert (report.verdict, report.anchoring, codes(report)) == ("tampered", "none", {"rolled_back"})
    assert report.findings[0].seq == 19


@pytest.mark.parametrize("key", [OWN, STRANGER], ids=["own key", "another key"])
def test_a_history_told_anew_is_not_the_anchored_one_whoever_signs_it_now(signed, key):
    far = anchor(signed, 20)
    again = Signed(signed.history, key)
    again.put(again.lines(), lambda seq, entry: entry.update(ts=entry["ts"] + 1) if seq > 15 else None)
    again.seal(LENGTH, key)
    report = again.verify(anchors=(far,))
    assert (report.verdict, report.anchoring) == ("tampered", "none")
    assert "anchor_mismatch" in codes(report)


def test_an_anchor_of_nobody_known_does_not_count(signed):
    report = signed.verify(anchors=(anchor(signed, 20, STRANGER),))
    assert (report.exit_status, report.anchoring, codes(report)) == (2, "none", {"anchor_unverified"})


def test_an_anchor_of_another_ledger_is_a_contradiction(signed):
    report = signed.verify(anchors=(anchor(signed, 20, origin="enforcer/" + "f" * 32),))
    assert (report.verdict, codes(report)) == ("tampered", {"anchor_foreign"})


def test_an_anchor_that_cannot_be_read_leaves_it_open(signed):
    report = signed.verify(anchors=(Anchor("elsewhere", b"rubbish"),))
    assert (report.exit_status, codes(report)) == (2, {"anchor_unreadable"})


def test_a_pinned_witness_vouches_and_is_named(signed):
    cosigned = anchor(signed, 20, OWN, WITNESS)
    report = signed.verify(anchors=(cosigned,), keys=(OWN.verifier, WITNESS.verifier))
    assert (report.verdict, report.cosigned) == ("verified", (Cosigned("witness.example", 20),))
    assert signed.verify(anchors=(cosigned,)).cosigned == ()
    alone = signed.verify(anchors=(anchor(signed, 20, WITNESS),), keys=(WITNESS.verifier,))
    assert (alone.anchoring, alone.sealed_to, alone.anchored_to) == ("anchored", None, 20)


# What was seen, and another copy


def test_a_ledger_smaller_than_it_was_seen_is_rolled_back(signed):
    seen = (20, root(signed, 20))
    assert signed.verify(seen=seen).findings == ()
    signed.put(signed.lines()[:15])
    report = signed.verify(seen=seen)
    assert (report.verdict, report.integrity, codes(report)) == ("tampered", "tampered", {"rolled_back"})


def test_a_ledger_that_is_not_the_one_that_was_seen_is_rewritten(signed):
    report = signed.verify(seen=(20, bytes(32)))
    assert (report.verdict, codes(report)) == ("tampered", {"rewritten"})


@pytest.mark.parametrize(
    "size,other,base,exit_status,found",
    [
        (LENGTH, False, "same", 0, set()),
        (12, False, "extends", 0, set()),
        (LENGTH + 1, True, "behind", 0, {"base_behind"}),
        (12, True, "forked", 1, {"forked"}),
        (LENGTH, True, "forked", 1, {"forked"}),
    ],
)
def test_how_a_ledger_stands_to_its_base(signed, size, other, base, exit_status, found):
    report = signed.verify(base=(size, bytes(32) if other else root(signed, size)))
    assert (report.base, report.exit_status, codes(report)) == (base, exit_status, found)


def test_heads_are_not_held_against_a_tree_that_is_not_whole(signed: Any):
    """Lines are missing, which is said; nothing is known of the roots after them."""
    signed.seal(5)
    signed.seal(20)
    lines = signed.lines()
    signed.history.put(lines[:7])
    later = signed.history.segment.with_name(f"{15:020}.jsonl")
    later.write_bytes(b"".join(line + b"\n" for line in lines[15:]))
    report = signed.verify(base=(20, bytes(32)))
    assert (report.root, report.sealed_to, report.base) == (None, 5, "")
    assert {"segment_missing", "base_unchecked", "checkpoint_ahead"} & codes(report) == {
        "segment_missing",
        "base_unchecked",
    }


# Many of them


def test_a_note_of_many_names_is_checked_once_and_so_is_a_line_that_stands_often(signed):
    signed.seal(20)
    folder = Path(signed.history.folder) / "checkpoints"
    text, _, line = (folder / "20").read_bytes().partition(b"\n\n")
    for number in range(100, 150):
        (folder / str(number)).write_bytes(text + b"\n\n" + line * 100)
    checked = []

    def check(public: bytes, signature: bytes, message: bytes) -> bool:
        checked.append(message)
        return verify_ed25519(public, signature, message)

    history = signed.history
    report = verify(history.folder, disk=SystemDisk(), objects=history.objects, processes=history.process, check=check)

    assert (report.verdict, report.sealed_to) == ("verified", 20)
    assert checked == [text + b"\n"] * 2  # Two notes: the true one, and the one with many lines.
