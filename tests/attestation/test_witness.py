"""A witness gives a log's heads its word once: for one history, under one key, and never for less than before."""

from __future__ import annotations

import errno
import json
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tlog_scales.signing import Vkey, VkeySet
from tlog_scales.tlog import Checkpoint as TheirCheckpoint

from enforcer.attestation.signatures import verify_ed25519
from enforcer.attestation.signer import Key, encode_signature
from enforcer.attestation.witness import Witness, Witnessed
from enforcer.errors import DamagedError, EnforcerError, RequestError, UnavailableError
from enforcer.ledger.checkpoint import Checkpoint, format_checkpoint, parse_checkpoint
from enforcer.ledger.cosignatures import cosignatures_in, merge_cosignatures, time_of
from enforcer.ledger.entry import format_event, format_leaf
from enforcer.ledger.merkle import leaf_hash, root_of
from enforcer.ledger.note import (
    COSIGNATURE,
    NoteFault,
    Signature,
    VerifierKey,
    format_note,
    parse_note,
    parse_vkey,
    verified_by,
)
from enforcer.ledger.terms import rotation_statement
from enforcer.workflow.events import KeyRotated
from tests.faults import CountingEntropy, FaultyDisk, ManualClock

ORIGIN = "enforcer/" + "0123456789abcdef" * 2
NAME = "host.example/w1"
LEAVES = [b'{"seq":%d}' % number for number in range(700)]


def a_key(seed: int, origin: str = ORIGIN) -> Key:
    return Key(origin, Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


LOG, NEXT, THIEF = a_key(1), a_key(2), a_key(3)


class Log:
    """Lines and heads of a log, whatever they are."""

    def __init__(self, leaves: list[bytes] | None = None, keys: tuple[Key, ...] = (LOG,)) -> None:
        self.leaves, self.keys = leaves if leaves is not None else list(LEAVES), keys

    def note(self, size: int, root: bytes | None = None) -> bytes:
        root = root_of([leaf_hash(leaf) for leaf in self.leaves[:size]]) if root is None else root
        text = format_checkpoint(Checkpoint(self.keys[0].origin, size, root))
        return format_note(text, [key.note_signature(text) for key in self.keys])

    def batches(self, count: int = 97) -> Iterator[tuple[list[bytes], list[bytes]]]:
        for begin in range(0, len(self.leaves), count):
            part = self.leaves[begin : begin + count]
            yield part, [leaf_hash(leaf) for leaf in part]

    def ask(self, witness: Witness, size: int, *keys: Key) -> Witnessed:
        return witness.cosign(self.note(size), self.batches(), [key.verifier for key in keys])


@pytest.fixture
def disk() -> FaultyDisk:
    return FaultyDisk()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def witness(tmp_path: Path, disk: FaultyDisk, clock: ManualClock) -> Witness:
    return Witness.create(str(tmp_path), NAME, disk=disk, entropy=CountingEntropy(), clock=clock)


def reopened(tmp_path: Path, seed: int = 1) -> Witness:
    return Witness(str(tmp_path), disk=FaultyDisk(), entropy=CountingEntropy(seed), clock=ManualClock())


def refused(witness: Witness, log: Log, size: int, *keys: Key) -> str:
    """The code of a refusal, after which the witness remembers what it did before."""
    before = witness.logs()
    with pytest.raises(EnforcerError) as caught:
        log.ask(witness, size, *keys)
    assert caught.value.fix
    assert witness.logs() == before
    return caught.value.code


# The key


def test_a_witness_is_made_once_and_its_key_is_its_owners_alone(tmp_path: Path, witness: Witness) -> None:
    key = tmp_path / "witness" / "key.pem"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    before = key.read_bytes()

    with pytest.raises(RequestError) as caught:
        Witness.create(str(tmp_path), "other", disk=FaultyDisk(), entropy=CountingEntropy(5), clock=ManualClock())

    assert caught.value.code == "key_exists"
    assert key.read_bytes() == before
    assert reopened(tmp_path).vkey == witness.vkey
    assert parse_vkey(witness.vkey, (COSIGNATURE,)).name == NAME


def test_a_witness_without_a_name_gets_one_of_its_own(tmp_path: Path) -> None:
    made = [
        Witness.create(str(tmp_path / name), disk=FaultyDisk(), entropy=CountingEntropy(seed), clock=ManualClock())
        for seed, name in enumerate(("a", "b"))
    ]
    assert made[0].name.startswith("witness/")
    assert made[0].name != made[1].name


@pytest.mark.parametrize("name", ["two words", "a+b", "a\nb", "\x1b[2J", "\ud800"])
def test_a_name_that_no_note_can_carry_makes_no_witness(tmp_path: Path, name: str) -> None:
    with pytest.raises(RequestError) as caught:
        Witness.create(str(tmp_path), name, disk=FaultyDisk(), entropy=CountingEntropy(), clock=ManualClock())
    assert caught.value.code == "bad_vkey"
    assert not (tmp_path / "witness").exists()


def test_a_crash_while_it_is_made_leaves_none_and_the_next_call_makes_it(tmp_path: Path) -> None:
    disk = FaultyDisk()
    disk.fail("rename", nth=2)
    with pytest.raises(UnavailableError):
        Witness.create(str(tmp_path), NAME, disk=disk, entropy=CountingEntropy(), clock=ManualClock())
    with pytest.raises(UnavailableError) as caught:
        reopened(tmp_path)
    assert caught.value.code == "witness_missing"

    made = Witness.create(str(tmp_path), "second", disk=disk, entropy=CountingEntropy(7), clock=ManualClock())
    assert made.name == "second"


def test_a_key_that_others_may_read_signs_nothing(tmp_path: Path, witness: Witness) -> None:
    os.chmod(tmp_path / "witness" / "key.pem", 0o640)
    with pytest.raises(UnavailableError) as caught:
        reopened(tmp_path)
    assert caught.value.code == "key_exposed"


# Cosigning


def test_a_cosigned_note_has_the_logs_line_and_the_witnesss(witness: Witness, clock: ManualClock) -> None:
    done = Log().ask(witness, 300, LOG)

    note = parse_note(done.note)
    assert verified_by(note, [LOG.verifier, parse_vkey(witness.vkey, (COSIGNATURE,))], verify_ed25519)
    assert [each.name for each in note.signatures] == [ORIGIN, NAME]
    assert done.time == clock.now() // 1_000_000
    assert (done.origin, done.size, done.root) == (ORIGIN, 300, parse_checkpoint(note.text).root)


def test_an_outside_verifier_accepts_the_cosigned_note(witness: Witness) -> None:
    theirs = TheirCheckpoint.from_text(Log().ask(witness, 300, LOG).note.decode())

    keys = Vkey.from_string(LOG.vkey), Vkey.from_string(witness.vkey)
    for key in keys:
        theirs.verify(key)
    assert {key for key, _ in VkeySet(*keys).verify(theirs.signatures, theirs)} == set(keys)
    changed = TheirCheckpoint.from_text(Log().ask(witness, 301).note.decode().replace("\n301\n", "\n302\n"))
    for key in keys:
        with pytest.raises(InvalidSignature):
            changed.verify(key)


def test_lines_of_others_are_not_passed_on(witness: Witness) -> None:
    log = Log()
    note = parse_note(log.note(9))
    other = Signature("other.example", b"1234", b"5" * 72)
    data = format_note(note.text, [*note.signatures, other])

    done = witness.cosign(data, log.batches(), [LOG.verifier])
    assert [each.name for each in parse_note(done.note).signatures] == [ORIGIN, NAME]


def test_a_log_that_is_new_needs_a_key_and_is_known_afterwards(tmp_path: Path, witness: Witness) -> None:
    log = Log()
    assert refused(witness, log, 9) == "log_key_needed"
    assert refused(witness, log, 9, a_key(1, "enforcer/" + "f" * 32)) == "log_key_needed"
    log.ask(witness, 9, LOG)

    assert log.ask(reopened(tmp_path), 12).size == 12


@pytest.mark.parametrize("sizes", [(1, 2, 3), (255, 256, 257), (97, 98, 194, 195), (1, 700), (5, 5, 5), (512, 699)])
def test_heads_that_extend_each_other_are_cosigned(witness: Witness, sizes: tuple[int, ...]) -> None:
    for size in sizes:
        assert Log().ask(witness, size, LOG).size == size
    [known] = witness.logs()
    assert known.size == sizes[-1]


def test_the_same_head_again_is_cosigned_with_a_later_time(witness: Witness, clock: ManualClock) -> None:
    first = Log().ask(witness, 9, LOG)
    clock.pass_us(60_000_000)

    again = Log().ask(witness, 9)
    assert (again.root, again.time) == (first.root, first.time + 60)


@pytest.mark.parametrize("size", [9, 10, 300, 700])
@pytest.mark.parametrize("changed", [0, 4, 8])
def test_a_rewritten_history_is_refused(witness: Witness, size: int, changed: int) -> None:
    Log().ask(witness, 9, LOG)
    leaves = list(LEAVES)
    leaves[changed] = b"other"

    assert refused(witness, Log(leaves), size) == "history_rewritten"
    assert Log().ask(witness, 10).size == 10


def test_an_older_head_is_refused(witness: Witness) -> None:
    Log().ask(witness, 9, LOG)

    assert refused(witness, Log(), 8) == "rolled_back"
    assert refused(witness, Log(LEAVES[:3]), 3) == "rolled_back"


def test_lines_that_are_missing_or_of_another_root_are_refused(witness: Witness) -> None:
    log = Log()
    short = Log(LEAVES[:8])
    with pytest.raises(DamagedError) as caught:
        witness.cosign(log.note(9), short.batches(), [LOG.verifier])
    assert caught.value.code == "lines_missing"
    with pytest.raises(DamagedError) as caught:
        witness.cosign(log.note(9, bytes(32)), log.batches(), [LOG.verifier])
    assert caught.value.code == "checkpoint_contradicted"
    assert witness.logs() == ()


def test_hashes_are_of_the_lines_that_come_with_them_alone(witness: Witness) -> None:
    """A head over a tree of other lines than there are gets nothing, though the log's key has signed it."""
    forged = Log([b"other", *LEAVES[1:]])
    with pytest.raises(DamagedError) as caught:
        witness.cosign(forged.note(9), Log().batches(), [LOG.verifier])
    assert caught.value.code == "checkpoint_contradicted"


def test_a_head_that_another_key_signed_is_refused(witness: Witness) -> None:
    assert refused(witness, Log(keys=(THIEF,)), 9, LOG) == "log_key_changed"
    Log().ask(witness, 9, LOG)
    assert refused(witness, Log(keys=(THIEF,)), 10) == "log_key_changed"


def test_another_key_that_is_given_later_is_refused(witness: Witness) -> None:
    Log().ask(witness, 9, LOG)
    assert refused(witness, Log(keys=(THIEF,)), 10, THIEF) == "log_key_conflict"
    assert refused(witness, Log(), 10, THIEF) == "log_key_conflict"
    assert Log().ask(witness, 10, LOG).size == 10


def test_a_signature_that_does_not_hold_is_refused(witness: Witness) -> None:
    log = Log()
    note = parse_note(log.note(9))
    forged = format_note(note.text, [note.signatures[0].replace(value=bytes(64))])
    with pytest.raises(DamagedError) as caught:
        witness.cosign(forged, log.batches(), [LOG.verifier])
    assert caught.value.code == "checkpoint_forged"


@pytest.mark.parametrize("data", [b"", b"\xff", b"no note\n", b"a\n\n\xe2\x80\x94 n QUJDREU=\n"])
def test_what_is_no_checkpoint_is_refused(witness: Witness, data: bytes) -> None:
    with pytest.raises(DamagedError) as caught:
        witness.cosign(data, Log().batches(), [LOG.verifier])
    assert caught.value.code == "checkpoint_malformed"


def test_two_logs_are_remembered_apart(witness: Witness) -> None:
    other = a_key(6, "enforcer/" + "f" * 32)
    Log().ask(witness, 9, LOG)
    Log([b"x", b"y"], (other,)).ask(witness, 2, other)

    assert [(log.origin, log.size) for log in witness.logs()] == [(ORIGIN, 9), (other.origin, 2)]


# Rotations


def rotation(seq: int, old: Key, new: Key, *, cap: int | None = None, signers: tuple[Key, Key] | None = None) -> bytes:
    """The line of a change of keys."""
    cap = seq + 5 if cap is None else cap
    bare = KeyRotated(actor="ada", old=old.vkey, new=new.vkey, seq=seq, cap=cap, old_signature="", new_signature="")
    statement = rotation_statement(ORIGIN, bare)
    first, second = signers or (old, new)
    event = bare.replace(
        old_signature=encode_signature(first.sign(statement)), new_signature=encode_signature(second.sign(statement))
    )
    data = format_event(event, task=None, key=".r", source=ORIGIN)
    return format_leaf(data, prev="0" * 64, seq=seq, task_prev=None, task_seq=None, ts=1)


def with_line(seq: int, line: bytes, leaves: list[bytes] = LEAVES) -> list[bytes]:
    return [*leaves[:seq], line, *leaves[seq + 1 :]]


def test_a_key_that_was_rotated_is_followed(tmp_path: Path, witness: Witness) -> None:
    leaves = with_line(10, rotation(10, LOG, NEXT))
    Log(leaves).ask(witness, 9, LOG)

    both = Log(leaves, (NEXT, LOG)).ask(witness, 12)
    assert [each.name for each in parse_note(both.note).signatures] == [ORIGIN, ORIGIN, NAME]
    alone = Log(leaves, (NEXT,))
    assert alone.ask(reopened(tmp_path), 40).size == 40
    assert alone.ask(witness, 41, NEXT).size == 41
    assert alone.ask(witness, 42, LOG).size == 42


def test_a_retired_key_counts_for_nothing_after_its_cap(witness: Witness) -> None:
    log = Log(with_line(10, rotation(10, LOG, NEXT)))
    log.ask(witness, 15, LOG)
    assert refused(witness, log, 16) == "log_key_changed"


def test_a_log_may_be_met_first_under_its_newest_key(witness: Witness) -> None:
    leaves = with_line(20, rotation(20, NEXT, THIEF), with_line(10, rotation(10, LOG, NEXT)))
    assert Log(leaves, (NEXT,)).ask(witness, 15, NEXT).size == 15
    assert Log(leaves, (THIEF,)).ask(witness, 40).size == 40


def test_a_rotation_that_the_old_key_did_not_sign_is_refused(witness: Witness) -> None:
    leaves = with_line(10, rotation(10, LOG, THIEF, signers=(THIEF, THIEF)))
    assert refused(witness, Log(leaves, (THIEF,)), 12, LOG) == "rotation_invalid"


def test_a_retired_key_cannot_write_itself_back_into_force(witness: Witness) -> None:
    """An entry that names the pinned key as the new one does not begin the chain anew."""
    leaves = with_line(10, rotation(10, LOG, NEXT))
    leaves = with_line(30, rotation(30, NEXT, LOG, signers=(LOG, LOG)), leaves)
    Log(leaves, (NEXT,)).ask(witness, 20, LOG)
    assert refused(witness, Log(leaves), 40) == "rotation_invalid"


def test_a_line_that_only_looks_like_a_rotation_is_refused(witness: Witness) -> None:
    leaves = with_line(10, b'{"type":"dev.enforcer.key.rotated"}')
    assert refused(witness, Log(leaves), 12, LOG) == "rotation_invalid"


# Memory


def memory_of(tmp_path: Path) -> Path:
    [path] = (tmp_path / "witness").glob("*.json")
    return path


def test_a_head_is_durable_before_it_is_given_away(tmp_path: Path, witness: Witness, disk: FaultyDisk) -> None:
    Log().ask(witness, 9, LOG)
    before = memory_of(tmp_path).read_bytes()
    for call, times in (("append", 1), ("sync", 1), ("rename", 1)):
        disk.fail(call, nth=times, error=errno.EIO)
        with pytest.raises(UnavailableError) as caught:
            Log().ask(witness, 12)
        assert caught.value.code == "user_state_unwritable"
        assert memory_of(tmp_path).read_bytes() == before
    disk.fail("sync_folder")
    with pytest.raises(UnavailableError):
        Log().ask(witness, 12)
    assert Log().ask(witness, 12).size == 12


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:-20],
        lambda data: b"[]",
        lambda data: b'{"key": 1, "note": 2, "origin": 3}',
        lambda data: data.replace(b'"origin"', b'"more"'),
        lambda data: json.dumps({**json.loads(data), "key": a_key(4, "other").vkey}).encode(),
        lambda data: json.dumps({**json.loads(data), "note": Log().note(3).decode()}).encode(),
        lambda data: data.replace(b"\\n9\\n", b"\\n8\\n"),
    ],
)
def test_a_witness_that_does_not_know_what_it_signed_signs_nothing(
    tmp_path: Path, witness: Witness, damage: Callable[[bytes], bytes]
) -> None:
    Log().ask(witness, 9, LOG)
    path = memory_of(tmp_path)
    path.write_bytes(damage(path.read_bytes()))

    with pytest.raises(DamagedError) as caught:
        Log().ask(witness, 12, LOG)
    assert caught.value.code == "witness_memory_damaged"


def test_two_processes_never_cosign_one_log_at_once(tmp_path: Path, witness: Witness) -> None:
    """While one is reading the lines, another one gets no answer, and a stopped one makes nobody wait."""
    log, other = Log(), reopened(tmp_path)
    log.ask(witness, 9, LOG)

    def batches() -> Iterator[tuple[list[bytes], list[bytes]]]:
        with pytest.raises(UnavailableError) as caught:
            log.ask(other, 9)
        assert caught.value.code == "witness_busy"
        yield from log.batches()

    assert witness.cosign(log.note(12), batches()).size == 12
    assert log.ask(other, 12).size == 12


# The log takes it back


def cosigned(size: int = 9, time_us: int = 0, seed: int = 0, name: str = NAME) -> tuple[bytes, str]:
    """A cosigned note and the witness's vkey."""
    clock = ManualClock()
    clock.pass_us(time_us)
    with tempfile.TemporaryDirectory() as folder:
        made = Witness.create(folder, name, disk=FaultyDisk(), entropy=CountingEntropy(seed), clock=clock)
        return Log().ask(made, size, LOG).note, made.vkey


def key_of(vkey: str) -> VerifierKey:
    return parse_vkey(vkey, (COSIGNATURE,))


def test_cosignatures_are_taken_over_and_say_who_was_verified() -> None:
    standing = parse_note(Log().note(9))
    (first, known), (second, _) = cosigned(), cosigned(seed=3, name="stranger")

    note, told = merge_cosignatures(standing, parse_note(first), [key_of(known)], verify_ed25519)
    note, told = merge_cosignatures(parse_note(note), parse_note(second), [key_of(known)], verify_ed25519)

    assert [(one.name, one.verified) for one in told] == [(NAME, True), ("stranger", False)]
    assert parse_note(note).signatures[:1] == standing.signatures
    assert told[0].key_id == known.split("+")[1]


def test_a_cosignature_of_another_checkpoint_is_not_taken_over() -> None:
    with pytest.raises(NoteFault, match="another checkpoint"):
        merge_cosignatures(parse_note(Log().note(9)), parse_note(cosigned(10)[0]), [], verify_ed25519)


def test_a_cosignature_that_does_not_hold_for_its_key_is_refused() -> None:
    data, vkey = cosigned()
    note = parse_note(data)
    forged = note.replace(signatures=(note.signatures[0], note.signatures[1].replace(value=bytes(72))))
    with pytest.raises(NoteFault, match="does not hold"):
        merge_cosignatures(parse_note(Log().note(9)), forged, [key_of(vkey)], verify_ed25519)


def test_only_a_verified_line_takes_the_place_of_another() -> None:
    (early, vkey), (late, _) = cosigned(), cosigned(time_us=5_000_000)
    standing, newer = parse_note(early), parse_note(late)

    def time_after(*keys: str) -> int:
        note, _ = merge_cosignatures(standing, newer, map(key_of, keys), verify_ed25519)
        [line] = cosignatures_in(parse_note(note))
        return time_of(line)

    [first] = cosignatures_in(standing)
    assert time_after() == time_of(first)
    assert time_after(vkey) == time_of(first) + 5
    note, _ = merge_cosignatures(newer, standing, [key_of(vkey)], verify_ed25519)
    assert note == late


def test_a_verified_line_takes_the_place_of_one_that_does_not_hold() -> None:
    data, vkey = cosigned()
    note = parse_note(data)
    spoilt = note.replace(signatures=(note.signatures[0], note.signatures[1].replace(value=b"\x7f" * 72)))

    merged, told = merge_cosignatures(spoilt, note, [key_of(vkey)], verify_ed25519)
    assert merged == data
    assert [one.verified for one in told] == [True]


def test_other_lines_are_not_taken_over() -> None:
    note = parse_note(Log().note(9))
    given = note.replace(signatures=(*note.signatures, Signature("x", b"1234", b"5" * 64), note.signatures[0]))
    merged, told = merge_cosignatures(note, given, [], verify_ed25519)
    assert (merged, told) == (Log().note(9), ())
