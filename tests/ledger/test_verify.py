"""`verify` names what was done to a ledger and accuses no honest one: each kind of tampering, on small real ones."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from enforcer.errors import EnforcerError
from enforcer.ledger import report as reports
from enforcer.ledger.codec import canonical
from enforcer.ledger.entry import MAX_LEAF, genesis_hash, leaf_hash
from enforcer.ledger.note import format_vkey
from enforcer.ledger.report import Report
from enforcer.ledger.verify import verify
from enforcer.ports import SystemDisk
from enforcer.workflow.commands import (
    Abandon,
    AcceptBaseline,
    AdoptProcess,
    Advance,
    Attest,
    Backtrack,
    ClaimLease,
    Command,
    ReleaseLease,
    RestoreEvidence,
    UseTool,
)
from tests.faults import FaultyDisk
from tests.ledger.histories import ADA, BOB, CARL, ID, IDENTITY, History, a_process, digest, phase, rewrite
from tests.sources import ROOT

SEED = IDENTITY.data()
LENGTH = 22  # Entries of the history that `tell` writes.

Change = Callable[[int, dict[str, Any]], None]


def tell(history: History) -> None:
    """A task from its opening to its end, with everything on the way that can be recorded; and two more, unfinished."""
    history.open_task("T", key="open-1")
    history.open_task("U")
    history.do(Attest({"header": "a" * 64, "role": "b" * 64, "volatile": "c" * 64}))
    assert history.do(Advance(), key="move-1")
    assert not history.do(Advance(to="REVIEW"))
    assert not history.do(Advance(), actor=BOB)
    history.do(Advance(to="PLAN"), task="U", actor=CARL)
    assert history.do(Advance())
    history.margins.answer("T", "s-1", {"call": "1", "verdict": "deny"}, durable=True)
    assert not history.do(UseTool(tool="Edit", needs=("write",), session="s-1"))
    assert history.do(Backtrack("PLAN", "The plan was wrong."))
    history.do(
        RestoreEvidence("", {"SPEC/note.md": digest(history.note)}, {"SPEC/note.md": history.objects.put(b"other")})
    )
    history.note = b"# Another plan\n"
    for _ in range(2):
        assert history.do(Advance())
    history.do(ReleaseLease())
    history.do(ClaimLease(), actor=BOB)
    history.do(Attest({"header": "a" * 64}), actor=BOB)
    more = a_process("longer", more=(phase("PR"),))
    adopt = AdoptProcess("longer", history.store(more), "We publish.", "dora", more.order)
    history.do(adopt, actor=CARL)
    assert history.do(Advance(), actor=BOB)
    assert history.do(Advance(), actor=BOB)
    assert not history.do(Advance(), actor=BOB)
    history.do(Abandon("No time."), task="U", actor=CARL)


@pytest.fixture
def history(tmp_path) -> History:
    history = History(tmp_path)
    tell(history)
    return history


def codes(report: Report) -> set[str]:
    return {finding.code for finding in report.findings}


def named(report: Report) -> set[int | None]:
    return {finding.seq for finding in report.findings}


def forge(history: History, change: Change) -> Report:
    """Every hash made to fit again after `change`."""
    history.put(rewrite(history.lines(), change, SEED))
    return history.verify()


def forge_anew(history: History, lines: list[bytes], change: Change) -> Report:
    history.put(rewrite(lines, change, SEED))
    return history.verify()


def edit(seq: int, **data: Any) -> Change:
    """A forger's edit of what one event says."""

    def change(at: int, entry: dict[str, Any]) -> None:
        if at == seq:
            entry["event"]["data"] |= data

    return change


# Honest ledgers


def test_an_honest_ledger_is_verified(history):
    report = history.verify()

    assert report.findings == ()
    assert (report.verdict, report.exit_status) == ("verified", 0)
    assert (report.integrity, report.legality, report.evidence) == ("verified",) * 3
    assert report.entries == len(history.lines()) == LENGTH
    assert report.head == history.ledger.head.hash


def test_nobody_vouches_for_an_unsigned_ledger_and_the_report_says_so(history):
    report = history.verify()
    assert (report.anchoring, report.key) == ("none", "none")
    assert (report.sealed_to, report.anchored_to, report.unanchored) == (None, None, 0)


def test_the_report_is_the_documented_json(history):
    assert list(history.verify().pack(complete=True)) == [
        "verdict",
        "integrity",
        "legality",
        "evidence",
        "anchoring",
        "key",
        "entries",
        "head",
        "root",
        "sealed_to",
        "anchored_to",
        "unanchored",
        "checked_from",
        "base",
        "cosigned",
        "findings",
    ]
    history.put(history.lines()[1:])
    assert list(history.verify().pack(complete=True)["findings"][0]) == ["seq", "code", "message"]


@pytest.mark.parametrize("seed", range(6))
def test_whatever_the_gate_writes_is_legal(tmp_path, seed):
    """Random commands of several actors on several tasks, with time passing: no honest history is ever accused."""
    history, chance = History(tmp_path), random.Random(seed)
    second = a_process("longer", more=(phase("PR"),))
    history.store(second)
    prompts = [{"header": letter * 64, "role": letter * 64} for letter in "ab"]

    def some_command(task: str) -> Command:
        phases = ("SPEC", "PLAN", "IMPLEMENT", "REVIEW")
        return chance.choice(
            [
                Advance(),
                Advance(),
                Advance(),
                Advance(to=chance.choice(phases)),
                Backtrack(chance.choice(phases), "again"),
                Attest(chance.choice(prompts)),
                Attest(prompts[0]),
                AcceptBaseline(chance.choice(phases), "fine", "dora"),
                ClaimLease(),
                ReleaseLease(force=chance.random() < 0.3, reason="stuck"),
                UseTool(tool="Edit", needs=(chance.choice(("write", "run", "push")),), session="s"),
                AdoptProcess("longer", history.store(second), "more", "dora", second.order),
                Abandon("enough") if chance.random() < 0.1 else Advance(to="REVIEW"),
            ]
        )

    for step in range(400):
        task = chance.choice("TU")
        if chance.random() < 0.03:
            history.clock.pass_us(chance.choice((-10_000_000, 61_000_000, 400_000_000, 6_000_000_000)))
        if chance.random() < 0.1:
            history.note = b"# Note %d\n" % chance.randrange(3)
        if chance.random() < 0.1:
            history.margins.answer(task, chance.choice(("s", "r")), {"step": step}, durable=False)
        try:
            if history.ledger.task(task) is None or chance.random() < 0.01:
                history.open_task(chance.choice("TUVW"), key=chance.choice(("", f"o-{step}")))
            else:
                actor = chance.choice((ADA, ADA, ADA, BOB, CARL))
                history.do(some_command(task), task=task, actor=actor, key=chance.choice(("", "", f"k-{step}")))
        except EnforcerError:
            pass  # A malformed request, which is not recorded.

    report = history.verify()
    assert report.findings == ()
    assert (report.verdict, report.entries) == ("verified", history.ledger.head.size)
    assert report.entries > 100


def test_a_ledger_that_names_a_key_declares_it_itself(tmp_path):
    history = History(tmp_path)
    path = history.state / "ledger" / "ledger.json"
    public = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    identity = IDENTITY.replace(key=format_vkey(IDENTITY.origin, public))
    history.put(rewrite(history.lines(), lambda seq, entry: None, identity.data()))
    path.write_bytes(identity.data())
    assert (history.verify().verdict, history.verify().key) == ("verified", "self-declared")

    other = IDENTITY.replace(key=format_vkey("enforcer/other", public))
    history.put(rewrite(history.lines(), lambda seq, entry: None, other.data()))
    path.write_bytes(other.data())
    report = history.verify()
    assert (report.verdict, report.key, codes(report)) == ("unverifiable", "self-declared", {"bad_vkey"})

    none = IDENTITY.replace(key="my key")
    history.put(rewrite(history.lines(), lambda seq, entry: None, none.data()))
    path.write_bytes(none.data())
    assert (history.verify().verdict, codes(history.verify())) == ("unverifiable", {"bad_vkey"})


def test_progress_is_told_in_bytes(history):
    told: list[tuple[int, int]] = []
    verify(
        history.folder,
        disk=SystemDisk(),
        objects=history.objects,
        processes=history.process,
        progress=lambda done, total: told.append((done, total)),
    )
    size = history.segment.stat().st_size
    assert told[-1] == (size, size)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_verifying_writes_nothing_and_trusts_no_running_store(history):
    before = {path: path.read_bytes() for path in history.state.rglob("*") if path.is_file()}
    disk = FaultyDisk()
    verify(history.folder, disk=disk, objects=history.objects, processes=history.process)
    assert {path: path.read_bytes() for path in history.state.rglob("*") if path.is_file()} == before
    assert disk.read_bytes >= history.segment.stat().st_size
    assert not {"append", "overwrite", "rename", "lock", "sync", "datasync"} & disk.counts.keys()


# Edited bytes (nobody made the hashes fit)


def test_every_changed_byte_is_found_and_its_entry_named(history):
    """One bit of every byte of every line; the last line has none after it that would vouch for it."""
    lines = history.lines()
    for seq in range(0, len(lines) - 1, 3):
        for position in range(0, len(lines[seq]), 7):
            flipped = bytearray(lines[seq])
            flipped[position] ^= 1 << position % 8
            if b"\n" in flipped:
                continue
            history.put([*lines[:seq], bytes(flipped), *lines[seq + 1 :]])
            report = history.verify()
            assert report.exit_status == 1 or "unknown_version" in codes(report), (seq, position)
            assert {seq, seq - 1} & named(report), (seq, position)


def test_the_same_value_in_other_bytes_is_found(history):
    lines = history.lines()
    for seq in range(len(lines)):
        other = json.dumps(json.loads(lines[seq])).encode()
        history.put([*lines[:seq], other, *lines[seq + 1 :]])
        report = history.verify()
        assert (report.verdict, report.integrity) == ("tampered", "tampered")
        assert (seq, "not_canonical") in {(finding.seq, finding.code) for finding in report.findings}


def test_every_single_and_pair_of_line_operations_is_found(history):
    """Delete, insert, repeat and swap, alone and after each other, everywhere but at the very end."""
    lines = history.lines()
    last = len(lines) - 1

    def delete(some: list[bytes], at: int) -> list[bytes]:
        return some[:at] + some[at + 1 :]

    def repeat(some: list[bytes], at: int) -> list[bytes]:
        return [*some[: at + 1], some[at], *some[at + 1 :]]

    def swap(some: list[bytes], at: int) -> list[bytes]:
        return [*some[:at], some[at + 1], some[at], *some[at + 2 :]]

    def insert(some: list[bytes], at: int) -> list[bytes]:
        return [*some[:at], some[(at * 7 + 3) % last], *some[at:]]

    operations = (delete, repeat, swap, insert)
    for first in operations:
        for at in range(last):
            history.put(first(lines, at))
            report = history.verify()
            assert report.verdict == "tampered", (first.__name__, at)
            assert {at - 1, at, at + 1} & named(report), (first.__name__, at)
            for second in operations:
                changed = second(first(lines, at), (at * 5 + 1) % (last - 2))
                if changed != lines:
                    history.put(changed)
                    assert history.verify().verdict == "tampered", (first.__name__, second.__name__, at)


def test_one_fault_does_not_hide_the_next(history):
    lines = history.lines()
    lines[4] = lines[4].replace(b'"v":1', b'"v":1 ')
    lines[9] = b"rubbish"
    lines[15] = lines[15].replace(ID.encode(), b"e" * 32)
    history.put(lines)
    report = history.verify()
    assert {(4, "not_canonical"), (9, "malformed"), (15, "foreign")} <= {
        (finding.seq, finding.code) for finding in report.findings
    }
    assert report.entries == len(lines)


def test_a_line_longer_than_any_is_found_and_the_next_one_still_held_against_it(history):
    lines = history.lines()
    for length in (MAX_LEAF + 1, 3 << 20):
        history.put([*lines[:3], b"x" * length, *lines[4:]])
        report = history.verify()
        found = {(finding.seq, finding.code) for finding in report.findings}
        assert (report.verdict, report.entries) == ("tampered", len(lines))
        assert (3, "too_long") in found
        assert (3, "chain_broken") in found


def test_a_number_that_is_left_out_is_found_even_where_all_hashes_fit(history):
    """Every link holds, but the lines count past one that is not there."""
    prev, tasks, written = genesis_hash(SEED), dict[str, str](), []
    for seq, line in enumerate(history.lines()):
        entry = json.loads(line)
        task = entry["event"].get("subject", "-")
        entry |= {"seq": seq + (seq > 8), "prev": prev, "task_prev": tasks.get(task) if task != "-" else None}
        written.append(canonical(entry))
        prev = tasks[task] = leaf_hash(written[-1])
    history.put(written)
    report = history.verify()
    assert [(finding.seq, finding.code) for finding in report.findings] == [(9, "out_of_order")]
    assert report.verdict == "tampered"


def test_an_event_that_cannot_be_read_is_found_even_where_all_hashes_fit(history):
    seq = history.seq_of("phase.advanced")
    report = forge(history, edit(seq, evidence={}))
    assert (seq, "malformed") in {(finding.seq, finding.code) for finding in report.findings}
    assert (report.verdict, report.integrity) == ("tampered", "tampered")


def test_time_that_goes_back_is_found_even_where_all_hashes_fit(history):
    report = forge(history, lambda seq, entry: entry.update(ts=entry["ts"] - 10**9) if seq == 5 else None)
    assert [(finding.seq, finding.code) for finding in report.findings] == [(5, "time_reversed")]
    assert report.verdict == "tampered"


def test_a_line_of_another_ledger_is_found_even_where_all_hashes_fit(history):
    def change(seq: int, entry: dict[str, Any]) -> None:
        if seq == 6:
            entry["event"]["source"] = "enforcer/" + "f" * 32

    report = forge(history, change)
    assert [(finding.seq, finding.code) for finding in report.findings] == [(6, "foreign")]


def test_a_history_spliced_from_another_project_is_found(history, tmp_path):
    """The whole of another ledger's lines in the place of this one's."""
    description = history.state / "ledger" / "ledger.json"
    other = IDENTITY.replace(id="f" * 32, origin="enforcer/" + "f" * 32)
    description.write_bytes(other.data())
    report = history.verify()
    assert (report.verdict, report.integrity) == ("tampered", "tampered")
    assert {(0, "genesis_broken"), (0, "foreign"), (LENGTH - 1, "foreign")} <= {
        (finding.seq, finding.code) for finding in report.findings
    }


def test_the_entries_of_one_task_moved_to_another_are_found(history):
    def change(seq: int, entry: dict[str, Any]) -> None:
        if seq == history.seq_of("lease.claimed"):
            entry["event"] |= {"subject": "U", "id": "U/" + entry["event"]["id"].partition("/")[2]}

    report = forge(history, change)
    assert (report.verdict, report.legality) == ("tampered", "tampered")


def test_a_task_entry_taken_out_and_the_main_chain_mended_is_found(history):
    """Whoever mends `prev` and `seq` but not the task's own chain."""
    victim = history.seq_of("phase.advanced", 1)
    lines = [json.loads(line) for line in history.lines()]
    del lines[victim]
    prev, mended = genesis_hash(SEED), []
    for seq, entry in enumerate(lines):
        leaf = canonical(entry | {"prev": prev, "seq": seq})
        prev = leaf_hash(leaf)
        mended.append(leaf)
    history.put(mended)
    report = history.verify()
    assert (report.verdict, report.integrity) == ("tampered", "tampered")
    assert "task_chain_broken" in codes(report)
    assert min(seq for seq in named(report) if seq is not None) >= 1


def test_a_repeated_key_is_found_even_where_all_hashes_fit(history):
    def change(seq: int, entry: dict[str, Any]) -> None:
        if seq == victim:
            entry["event"]["id"] = "T/open-1"

    victim = history.seq_of("phase.advanced", 2)
    report = forge(history, change)
    assert (victim, "key_repeated") in {(finding.seq, finding.code) for finding in report.findings}
    assert report.integrity == "tampered"


# What nothing in the files can tell


@pytest.mark.parametrize("length", range(1, LENGTH))
def test_a_ledger_cut_at_a_line_is_verified_and_said_to_be_unanchored(history, length):
    history.put(history.lines()[:length])
    report = history.verify()
    assert (report.verdict, report.entries, report.unanchored) == ("verified", length, 0)


def test_a_history_told_anew_is_verified_and_said_to_be_unanchored(history):
    report = forge(history, edit(1, title="Something else"))
    assert (report.verdict, report.unanchored, report.anchored_to) == ("verified", 0, None)


# Ends


def test_a_torn_tail_is_found_and_changes_no_verdict(history):
    whole = history.segment.read_bytes()
    start = whole.rindex(b"\n", 0, -1) + 1
    for cut in (start + 1, start + 40, len(whole) - 2, len(whole) - 1):
        history.segment.write_bytes(whole[:cut])
        report = history.verify()
        assert (report.verdict, report.exit_status, report.entries) == ("verified", 0, LENGTH - 1)
        [finding] = report.findings
        assert (finding.seq, finding.code) == (LENGTH - 1, "torn_tail")
        assert f"byte {start}" in finding.message


def test_a_tail_of_megabytes_without_a_line_is_torn(history):
    with history.segment.open("ab") as file:
        file.write(b"\0" * (5 << 20))
    report = history.verify()
    assert (report.verdict, codes(report), report.entries) == ("verified", {"torn_tail"}, LENGTH)
    assert str(5 << 20) in report.findings[0].message


def test_a_missing_ledger_is_unverifiable(history):
    (history.state / "ledger" / "ledger.json").unlink()
    report = history.verify()
    assert (report.exit_status, codes(report), report.entries, report.head) == (2, {"ledger_missing"}, 0, None)
    assert (report.integrity, report.legality, report.evidence) == ("unverifiable",) * 3
    assert report.unanchored is None


def test_an_empty_ledger_is_unverifiable(history):
    history.put([])
    report = history.verify()
    assert (report.exit_status, codes(report), report.unanchored) == (2, {"ledger_empty"}, None)
    assert (report.integrity, report.legality, report.evidence) == ("unverifiable",) * 3


def test_a_ledger_of_another_format_is_unverifiable(history):
    (history.state / "ledger" / "ledger.json").write_bytes(SEED.replace(b"ledger/v1", b"ledger/v2"))
    report = history.verify()
    assert (report.exit_status, codes(report)) == (2, {"ledger_unknown_format"})


def test_a_changed_description_is_found(history):
    path = history.state / "ledger" / "ledger.json"
    for data in (SEED.replace(b"0123", b"0124", 1), SEED[:-5], b"", SEED + b" "):
        path.write_bytes(data)
        report = history.verify()
        assert (report.exit_status, report.integrity) == (1, "tampered")
        assert "genesis_broken" in codes(report)


def test_a_description_in_other_bytes_is_found_even_where_all_hashes_fit(history):
    data = json.dumps(json.loads(SEED), indent=1).encode()
    (history.state / "ledger" / "ledger.json").write_bytes(data)
    history.put(rewrite(history.lines(), lambda seq, entry: None, data))
    report = history.verify()
    assert (report.verdict, codes(report)) == ("tampered", {"ledger_identity_damaged"})


def test_a_missing_segment_is_unverifiable(history):
    history.segment.unlink()
    report = history.verify()
    assert (report.exit_status, codes(report)) == (2, {"segment_missing", "ledger_empty"})


def split(history: History, *starts: int) -> list[Any]:
    lines, paths = history.lines(), []
    history.segment.unlink()
    for first, end in zip(starts, (*starts[1:], len(lines)), strict=True):
        path = history.segment.with_name(f"{first:020}.jsonl")
        path.write_bytes(b"".join(line + b"\n" for line in lines[first:end]))
        paths.append(path)
    return paths


def test_the_chain_is_followed_across_segments(history):
    split(history, 0, 7, 15)
    report = history.verify()
    assert (report.verdict, report.entries) == ("verified", LENGTH)


def test_a_missing_segment_in_the_middle_is_unverifiable_and_not_an_accusation(history):
    split(history, 0, 7, 15)[1].unlink()
    report = history.verify()
    assert (report.verdict, report.integrity, report.entries) == ("unverifiable", "unverifiable", LENGTH - 8)
    assert (7, "segment_missing") in {(finding.seq, finding.code) for finding in report.findings}


def test_a_torn_end_of_an_inner_segment_is_damage(history):
    paths = split(history, 0, 7, 15)
    paths[0].write_bytes(paths[0].read_bytes() + b"{")
    report = history.verify()
    assert (report.verdict, codes(report)) == ("tampered", {"segment_torn"})


def test_a_segment_under_a_wrong_name_is_found(history):
    paths = split(history, 0, 7, 15)
    paths[1].rename(paths[1].with_name(f"{6:020}.jsonl"))
    assert "segment_misplaced" in codes(history.verify())
    assert history.verify().verdict == "tampered"


def test_a_file_that_is_no_segment_is_named_and_not_read(history):
    (history.segment.parent / "notes\x1b[2J.txt").write_bytes(b"rubbish")
    report = history.verify()
    assert (report.verdict, codes(report)) == ("verified", {"segment_unexpected"})
    assert report.findings[0].message.isprintable()


@pytest.mark.parametrize("call", ["open", "read"])
@pytest.mark.parametrize("nth", [1, 2, 3, 4])
def test_a_disk_that_gives_no_answer_is_unverifiable_and_accuses_nobody(history, call, nth):
    """The description, then each of three segments in turn."""
    split(history, 0, 7, 15)
    disk = FaultyDisk()
    disk.fail(call, nth=nth)
    report = verify(history.folder, disk=disk, objects=history.objects, processes=history.process)
    assert report.verdict == "unverifiable"
    assert codes(report) >= {"ledger_unreadable" if nth == 1 else "segment_unreadable"}


# Later releases


def test_a_line_of_a_later_version_is_unverifiable_and_not_an_accusation(history):
    lines = history.lines()
    last = lines[-1].replace(b'"v":1', b'"v":2')
    history.put([*lines[:-1], last])
    report = history.verify()
    assert (report.verdict, codes(report)) == ("unverifiable", {"unknown_version"})


def test_an_event_of_a_later_release_is_unverifiable_and_keeps_its_place_in_the_chains(history):
    seq = history.seq_of("phase.backtracked")

    def change(at: int, entry: dict[str, Any]) -> None:
        if at == seq:
            entry["event"]["type"] = "dev.enforcer.phase.dreamed"

    report = forge(history, change)
    assert (report.verdict, report.integrity, report.legality) == ("unverifiable", "verified", "unverifiable")
    assert codes(report) == {"unknown_event", "legality_unchecked"}


def test_a_field_of_a_later_release_is_unverifiable(history):
    report = forge(history, edit(history.seq_of("phase.advanced"), weather="fine"))
    assert (report.verdict, report.integrity) == ("unverifiable", "verified")
    assert "unknown_event" in codes(report)


# Forged histories (every hash fits)


FORGERIES: dict[str, tuple[str, int, dict[str, Any]]] = {
    "a skip": ("phase.advanced", 0, {"to": "REVIEW"}),
    "a phase that is none": ("phase.advanced", 0, {"to": "NOWHERE"}),
    "completion before the last phase": ("phase.advanced", 0, {"completed": True, "to": "", "attempt_id": ""}),
    "leaving a phase the task is not in": ("phase.advanced", 2, {"start": "SPEC"}),
    "no evidence": ("phase.advanced", 0, {"evidence": []}),
    "evidence of another phase": (
        "phase.advanced",
        0,
        {"evidence": [{"artifact": "other.md", "digest": "a" * 64, "size": 1}]},
    ),
    "evidence that the phase does not ask for": (
        "phase.advanced",
        0,
        {
            "evidence": [
                {"artifact": name, "digest": digest(b"# A note\n"), "size": 9} for name in ("note.md", "other.md")
            ]
        },
    ),
    "evidence twice": (
        "phase.advanced",
        0,
        {"evidence": [{"artifact": "note.md", "digest": digest(b"# A note\n"), "size": 9}] * 2},
    ),
    "evidence that was there before": (
        "phase.advanced",
        0,
        {"evidence": [{"artifact": "note.md", "digest": digest(b"# A note\n"), "size": 9, "reaffirmed": True}]},
    ),
    "an attempt with no id": ("phase.advanced", 0, {"attempt_id": ""}),
    "an attempt with a made up id": ("phase.advanced", 0, {"attempt_id": "my attempt"}),
    "an old token": ("phase.advanced", 2, {"token": 0}),
    "a token of the future": ("phase.advanced", 2, {"token": 2}),
    "another's work": ("phase.advanced", 2, {"actor": "mallory"}),
    "a claim nobody knows of": (
        "phase.advanced",
        2,
        {"lease": {"holder": ADA, "token": 5}, "token": 5},
    ),
    "a claim of another token": ("phase.advanced", 2, {"lease": {"holder": ADA, "token": 2}, "token": 1}),
    "a takeover from nobody": (
        "phase.advanced",
        2,
        {"lease": {"holder": ADA, "token": 2, "how": "taken_over", "previous": "zoe"}, "token": 2},
    ),
    "a refusal without a reason": ("command.refused", 0, {"refusals": []}),
    "a refusal in another phase": ("command.refused", 0, {"phase": "REVIEW"}),
    "a refusal under a token": ("command.refused", 0, {"token": 1}),
    "a refusal that claims the lease": ("command.refused", 0, {"lease": {"holder": ADA, "token": 2}, "token": 2}),
    "a refusal that escalates too early": ("command.refused", 0, {"escalation": ["phase_skip"]}),
    "a refusal for a closed task that is open": ("command.refused", 0, {"stage": "task"}),
    "a refusal at a stage the command does not have": ("command.refused", 0, {"command": "abandon"}),
    "a skip that is called a wrong direction": (
        "command.refused",
        0,
        {"refusals": [{"code": "phase_direction", "message": "no"}]},
    ),
    "a skip that was none": ("command.refused", 0, {"to": "IMPLEMENT"}),
    "a lease held by nobody else": ("command.refused", 1, {"actor": ADA}),
    "a denial in another phase": ("tool.refused", 0, {"phase": "SPEC"}),
    "a denial without a reason": ("tool.refused", 0, {"refusals": []}),
    "a seal that skips lines": (
        "tool.refused",
        0,
        {"notes": {"guard": [{"session": "s-1.jsonl", "count": 1, "start": 5, "end": 9, "digest": "a" * 64}]}},
    ),
    "a seal of nothing": (
        "tool.refused",
        0,
        {"notes": {"guard": [{"session": "s-1.jsonl", "count": 0, "start": 0, "end": 0, "digest": "a" * 64}]}},
    ),
    "a seal of a file elsewhere": (
        "tool.refused",
        0,
        {"notes": {"guard": [{"session": "../ledger/lock", "count": 1, "start": 0, "end": 1, "digest": "a" * 64}]}},
    ),
    "refusals that are taken back": ("tool.refused", 0, {"notes": {"coalesced": -3}}),
    "a step back that goes forward": ("phase.backtracked", 0, {"to": "REVIEW"}),
    "a step back to where it was": ("phase.backtracked", 0, {"to": "IMPLEMENT"}),
    "a step back without a reason": ("phase.backtracked", 0, {"reason": " "}),
    "a release of what is not held": ("lease.released", 0, {"token": 9}),
    "a release for another": ("lease.released", 0, {"actor": "mallory"}),
    "a forced release of one's own": ("lease.released", 0, {"forced": True}),
    "a claim for another": ("lease.claimed", 0, {"holder": ADA}),
    "a claim with an old token": ("lease.claimed", 0, {"token": 1}),
    "an attestation of another phase": ("prompt.attested", 0, {"phase": "REVIEW"}),
    "an attestation of another attempt": ("prompt.attested", 0, {"attempt_id": "e" * 32}),
    "an attestation of nothing": ("prompt.attested", 0, {"parts": {}, "first": []}),
    "an attestation of an unknown part": ("prompt.attested", 0, {"parts": {"mood": "a" * 64}, "first": []}),
    "a first use that is kept quiet": ("prompt.attested", 0, {"first": []}),
    "a first use of what was not shown": ("prompt.attested", 0, {"first": ["header", "role", "model"]}),
    "drift that was none": ("prompt.attested", 0, {"drift": ["header"]}),
    "a new process of one's own": ("process.adopted", 0, {"approver": CARL}),
    "a new process of the holder's": ("process.adopted", 0, {"approver": "bob"}),
    "a new process without a reason": ("process.adopted", 0, {"reason": ""}),
    "a new process in the place of another": ("process.adopted", 0, {"previous": "a" * 64}),
    "a restoring of what was never accepted": ("evidence.restored", 0, {"restored": {"SPEC/note.md": "a" * 64}}),
    "an end without a reason": ("task.abandoned", 0, {"reason": ""}),
    "an end in another phase": ("task.abandoned", 0, {"phase": "REVIEW"}),
    "an opening in a later phase": ("task.opened", 0, {"phase": "REVIEW"}),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_event_is_illegal_though_every_hash_fits(history, name):
    type_name, number, data = FORGERIES[name]
    seq = history.seq_of(type_name, number)
    assert json.loads(history.lines()[seq])["event"]["data"] != data

    report = forge(history, edit(seq, **data))

    assert (report.verdict, report.integrity, report.legality) == ("tampered", "verified", "tampered")
    illegal = [finding for finding in report.findings if finding.code in ("illegal", "seal_malformed")]
    assert seq in {finding.seq for finding in illegal}
    assert min(finding.seq for finding in illegal if finding.seq is not None) == seq


def test_a_review_of_ones_own_work_is_illegal(history):
    """The implementer leaves REVIEW, with a lease of its own and nobody's objection."""
    lines = [json.loads(line) for line in history.lines()]
    claim = history.seq_of("lease.claimed")
    for entry in lines[claim:]:
        data = entry["event"]["data"]
        if entry["event"].get("subject") == "T":
            data |= {key: ADA for key in ("actor", "holder") if data.get(key) == BOB}
    history.put(rewrite([canonical(entry) for entry in lines], lambda seq, entry: None, SEED))
    report = history.verify()
    assert any("own work" in finding.message for finding in report.findings)
    assert (report.verdict, report.legality) == ("tampered", "tampered")


def test_a_phase_left_without_the_attestation_it_needs_is_illegal(history):
    seq = history.seq_of("prompt.attested", 1)
    lines = history.lines()
    history.put(rewrite(lines[:seq] + lines[seq + 1 :], lambda seq, entry: None, SEED))
    report = history.verify()
    assert any("attestation_missing" in finding.message for finding in report.findings)


def test_a_phase_left_with_a_prompt_that_drifted_is_illegal(history):
    """The attestation says truly that it drifted, and the phase is left nevertheless."""
    attested = json.loads(history.lines()[history.seq_of("prompt.attested", 1)])
    again = json.loads(history.lines()[history.seq_of("prompt.attested", 1)])
    again["event"]["data"] |= {"parts": {"header": "f" * 64}, "first": [], "drift": ["header"]}
    again["event"]["id"] = "T/.again"
    seq = attested["seq"] + 1
    lines = history.lines()
    history.put(rewrite([*lines[:seq], canonical(again), *lines[seq:]], lambda at, entry: None, SEED))
    report = history.verify()
    assert any(finding.seq == seq and "lets a changed prompt pass" in finding.message for finding in report.findings)
    assert any(finding.seq == seq + 2 and "prompt_drift" in finding.message for finding in report.findings)


def test_a_baseline_accepted_by_its_own_holder_is_illegal(tmp_path):
    history = History(tmp_path)
    history.open_task()
    history.do(Attest({"header": "a" * 64}))
    history.do(Attest({"header": "b" * 64}))
    history.do(AcceptBaseline("SPEC", "fine", "dora"))
    seq = history.seq_of("baseline.accepted")
    assert history.verify().verdict == "verified"
    lines = history.lines()
    edits: tuple[dict[str, Any], ...] = (
        {"approver": ADA},
        {"approver": ADA + "/other"},
        {"parts": {"header": "c" * 64}},
        {"parts": {}},
        {"parts": {"volatile": "b" * 64}},
        {"reason": ""},
        {"principal": BOB},
        {"phase": "PLAN"},
    )
    for data in edits:
        history.put(lines)
        report = forge(history, edit(seq, **data))
        assert (report.legality, seq in named(report)) == ("tampered", True), data


def test_drift_that_is_kept_quiet_is_illegal(tmp_path):
    history = History(tmp_path)
    history.open_task()
    history.do(Attest({"header": "a" * 64}))
    history.do(Attest({"header": "b" * 64}))
    assert history.verify().verdict == "verified"
    seq = history.seq_of("prompt.attested", 1)
    report = forge(history, edit(seq, drift=[]))
    assert (report.legality, named(report)) == ("tampered", {seq})


def test_an_attempt_that_was_there_before_is_illegal(history):
    """Not the last one, which every reader would notice, but any of the task's."""
    first = json.loads(history.lines()[history.seq_of("task.opened")])["event"]["data"]["attempt_id"]
    seq = history.seq_of("phase.advanced", 2)
    report = forge(history, edit(seq, attempt_id=first))
    assert any(finding.seq == seq and "another attempt" in finding.message for finding in report.findings)


def test_refusals_that_belong_beside_the_ledger_are_illegal_on_it(tmp_path):
    """From the tenth identical one on, one a minute: whoever writes more of them hides something, or floods."""
    history = History(tmp_path)
    history.open_task()
    for _ in range(9):
        history.do(Advance(to="REVIEW"))
    assert history.ledger.head.size == 11
    history.clock.pass_us(61_000_000)
    history.do(Advance(to="REVIEW"))
    assert (history.ledger.head.size, history.verify().verdict) == (12, "verified")
    report = forge(history, lambda seq, entry: entry.update(ts=entry["ts"] - 30_000_000) if seq == 11 else None)
    assert (named(report), report.legality) == ({11}, "tampered")


def test_an_escalation_that_is_left_out_is_illegal(tmp_path):
    history = History(tmp_path)
    history.open_task()
    history.do(ClaimLease())
    for _ in range(3):
        history.do(Advance(to="REVIEW"))
    seq = history.ledger.head.size - 1
    assert json.loads(history.lines()[seq])["event"]["data"]["escalation"] == ["phase_skip"]
    report = forge(history, edit(seq, escalation=[]))
    assert (report.legality, named(report)) == ("tampered", {seq})


def test_an_event_after_the_end_is_illegal(history):
    line = json.loads(history.lines()[history.seq_of("lease.claimed")])
    end = json.loads(history.lines()[-1])
    line["event"] |= {"subject": "U", "id": "U/.x"}
    line |= {"ts": end["ts"]}
    history.put(rewrite([*history.lines(), canonical(line)], lambda seq, entry: None, SEED))
    report = history.verify()
    assert (named(report), report.legality) == ({LENGTH}, "tampered")


def test_a_process_that_does_not_fit_cannot_be_adopted(history):
    other = a_process("other").replace(phases=(phase("REVIEW"), phase("SPEC")))
    seq = history.seq_of("process.adopted")
    report = forge(history, edit(seq, digest=history.store(other)))
    assert any(finding.seq == seq and "does not begin with" in finding.message for finding in report.findings)


def test_a_second_beginning_inside_the_ledger_is_illegal(history):
    lines = history.lines()
    history.put(rewrite([*lines[:5], lines[0], *lines[5:]], fix_time, SEED))
    report = history.verify()
    assert (5, "illegal") in {(finding.seq, finding.code) for finding in report.findings}


def fix_time(seq: int, entry: dict[str, Any]) -> None:
    entry["ts"] = 1_700_000_000_000_000 + seq * 1_000


def test_events_that_no_state_can_follow_end_in_a_report_and_not_in_an_exception(history):
    """Random data in random events: whatever a forger writes, the answer is a report."""
    lines, chance = history.lines(), random.Random(7)
    values: list[Any] = [
        None,
        True,
        0,
        -1,
        2**53 - 1,
        "",
        "x",
        "a" * 64,
        [],
        {},
        [None],
        ["x"],
        {"x": "y"},
        [[{}]],
        [{}],
    ]
    for _ in range(400):
        seq = chance.randrange(1, len(lines))
        field = chance.choice(list(json.loads(lines[seq])["event"]["data"]))
        history.put(rewrite(lines, edit(seq, **{field: chance.choice(values)}), SEED))
        assert history.verify().verdict in ("verified", "tampered", "unverifiable")


# Evidence


def objects_of(history: History) -> dict[str, Any]:
    root = history.state / "objects"
    return {path.parent.name + path.name: path for path in root.rglob("*") if path.is_file()}


def test_every_object_the_ledger_names_is_held_against_its_digest(history):
    process = json.loads(history.lines()[history.seq_of("task.opened")])["event"]["data"]["digest"]
    paths = objects_of(history)
    assert len(paths) == 5
    for name, path in paths.items():
        data = path.read_bytes()
        path.chmod(0o644)
        path.write_bytes(data + b" ")
        report = history.verify()
        assert (report.verdict, report.evidence, report.integrity) == ("tampered", "tampered", "verified")
        assert "object_damaged" in codes(report)
        assert any(name in finding.message for finding in report.findings)
        path.unlink()
        report = history.verify()
        assert (report.verdict, report.evidence, report.exit_status) == ("unverifiable", "unverifiable", 2)
        assert "object_missing" in codes(report)
        assert report.legality == ("unverifiable" if name == process or b"longer" in data else "verified")
        path.write_bytes(data)
    assert history.verify().verdict == "verified"


def test_a_task_whose_process_is_gone_is_not_judged_by_it_and_still_by_the_rest(history):
    process = json.loads(history.lines()[1])["event"]["data"]["digest"]
    objects_of(history)[process].unlink()
    report = history.verify()
    assert codes(report) == {"object_missing", "legality_unchecked"}
    assert (report.verdict, report.legality) == ("unverifiable", "unverifiable")
    forged = forge(history, edit(history.seq_of("phase.advanced", 1), actor="mallory"))
    assert (forged.verdict, forged.legality) == ("tampered", "tampered")


def test_the_size_of_accepted_evidence_is_held_against_its_object(history):
    seq = history.seq_of("phase.advanced")
    accepted = [{"artifact": "note.md", "digest": digest(b"# A note\n"), "size": 10}]
    report = forge(history, edit(seq, evidence=accepted))
    assert (report.evidence, (seq, "size_wrong")) == (
        "tampered",
        next((finding.seq, finding.code) for finding in report.findings),
    )


def test_a_digest_that_is_none_is_found(history):
    seq = history.seq_of("evidence.restored")
    for bad in ("../../etc/passwd", "A" * 64, "abc"):
        report = forge(history, edit(seq, replaced={"SPEC/note.md": bad}))
        assert (seq, "digest_malformed") in {(finding.seq, finding.code) for finding in report.findings}


def test_each_object_is_read_once(history):
    class Counting:
        def __init__(self) -> None:
            self.seen: list[str] = []

        def get(self, digest: str) -> bytes:
            self.seen.append(digest)
            return history.objects.get(digest)

    objects = Counting()
    report = verify(history.folder, disk=SystemDisk(), objects=objects, processes=history.process)
    assert report.verdict == "verified"
    assert len(objects.seen) == len(set(objects.seen)) == len(objects_of(history))


def test_a_stored_process_that_cannot_be_read_leaves_legality_open(history):
    report = forge(history, lambda seq, entry: None)
    assert report.verdict == "verified"
    junk = history.objects.put(b'{"name":"x"}')
    report = forge(history, edit(1, digest=junk))
    assert "process_unreadable" in codes(report)
    assert report.legality in ("unverifiable", "tampered")


# Margins


def test_sealed_answers_of_the_guard_that_change_or_vanish_are_found(history):
    path = history.state / "guard" / "s-1.jsonl"
    data = path.read_bytes()
    seq = history.seq_of("tool.refused")
    for changed in (data.replace(b"deny", b"pass"), data[:-1], b"", b"\n" + data):
        path.write_bytes(changed)
        report = history.verify()
        assert [(finding.seq, finding.code) for finding in report.findings] == [(seq, "margin_changed")]
        assert (report.verdict, report.evidence) == ("tampered", "tampered")
    path.unlink()
    report = history.verify()
    assert (report.verdict, codes(report)) == ("unverifiable", {"margin_missing"})
    path.write_bytes(data + b'{"call":"2"}\n')
    assert history.verify().verdict == "verified"


def test_counted_refusals_that_vanish_are_found(tmp_path):
    history = History(tmp_path)
    history.open_task()
    for _ in range(14):
        history.do(Advance(to="REVIEW"))
    history.do(ClaimLease())
    assert history.state_of().coalesced == 5
    assert history.verify().verdict == "verified"
    path = history.state / "refusals" / "T.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[1:]))
    report = history.verify()
    assert (report.verdict, codes(report)) == ("tampered", {"margin_changed"})
    path.unlink()
    assert (history.verify().verdict, codes(history.verify())) == ("unverifiable", {"margin_missing"})
    path.mkdir()
    assert (history.verify().verdict, codes(history.verify())) == ("unverifiable", {"margin_unreadable"})


def coalesced(folder) -> History:
    """Five refusals counted beside the ledger, and the entry that seals them."""
    history = History(folder)
    history.open_task()
    for _ in range(14):
        history.do(Advance(to="REVIEW"))
    history.do(ClaimLease())
    return history


def test_counted_refusals_are_sealed_by_what_they_say(tmp_path):
    history = coalesced(tmp_path)
    path = history.state / "refusals" / "T.jsonl"
    data = path.read_bytes()
    seq = history.seq_of("lease.claimed")
    for changed in (b"\n" * 5, data.replace(b"phase_skip", b"phase_skap", 1), data[:-1], b"", data[::-1]):
        path.write_bytes(changed)
        report = history.verify()
        assert [(finding.seq, finding.code) for finding in report.findings] == [(seq, "margin_changed")]
        assert (report.verdict, report.evidence) == ("tampered", "tampered")
    path.write_bytes(data + b"not sealed yet\n")
    assert history.verify().verdict == "verified"


def test_as_many_new_refusals_do_not_stand_for_those_that_were_deleted(tmp_path):
    history = coalesced(tmp_path)
    (history.state / "refusals" / "T.jsonl").unlink()
    for _ in range(14):
        history.do(Advance(to="PLAN"), actor=BOB)
        history.clock.pass_us(1)
    report = history.verify()
    assert report.verdict == "tampered"
    assert codes(report) >= {"margin_changed", "margin_lost"}


@pytest.mark.parametrize("name", ["refusals/T.jsonl", "guard/s.jsonl"])
def test_a_margin_that_shrank_is_told_of_once_by_the_next_entry(tmp_path, name):
    history = History(tmp_path)
    history.open_task()
    history.margins.answer("T", "s", {"call": "1", "verdict": "deny"}, durable=True)
    for _ in range(14):
        history.do(Advance(to="REVIEW"))
    history.do(ClaimLease())
    (history.state / name).write_bytes(b"")
    history.do(ReleaseLease())
    history.do(ClaimLease())

    notes = [entry.event.notes for entry in history.ledger.task_entries("T")][-2:]
    assert [note and note.margin_lost for note in notes] == [(name,), None]
    report = history.verify()
    assert codes(report) == {"margin_changed", "margin_lost"}
    assert (report.verdict, report.legality) == ("tampered", "verified")


def test_a_seal_that_does_not_fit_its_count_is_illegal(tmp_path):
    history = coalesced(tmp_path)
    seq, lines = history.seq_of("lease.claimed"), history.lines()
    notes = json.loads(lines[seq])["event"]["data"]["notes"]
    seal = notes["refusals"]
    assert (notes["coalesced"], seal["count"], seal["start"]) == (5, 5, 0)
    for forged in (
        {**notes, "coalesced": 4},
        {"coalesced": 5},
        {**notes, "refusals": {**seal, "session": "U.jsonl"}},
        {**notes, "refusals": {**seal, "session": "../T.jsonl"}},
        {**notes, "refusals": {**seal, "start": 1}},
        {**notes, "refusals": {**seal, "end": 0}},
        {**notes, "margin_lost": ["refusals/T.jsonl"]},
    ):
        report = forge_anew(history, lines, edit(seq, notes=forged))
        assert (report.legality, seq in named(report)) == ("tampered", True), forged


def test_another_ledger_than_the_one_seen_before_is_tampered(history):
    named_so = {"disk": SystemDisk(), "objects": history.objects, "processes": history.process}
    assert verify(history.folder, **named_so, known=ID).verdict == "verified"
    report = verify(history.folder, **named_so, known="f" * 32)
    assert (report.verdict, codes(report), report.exit_status) == ("tampered", {"ledger_replaced"}, 1)
    assert (report.integrity, report.legality, report.evidence) == ("verified",) * 3


def test_a_ledger_that_begins_with_a_task_is_illegal(history):
    history.put(rewrite(history.lines()[1:], lambda seq, entry: None, SEED))
    report = history.verify()
    assert (named(report), report.legality) == ({0}, "tampered")


def test_a_margin_that_is_not_a_file_is_unverifiable(history):
    path = history.state / "guard" / "s-1.jsonl"
    path.rename(path.with_name("moved"))
    path.symlink_to(path.with_name("moved"))
    assert (history.verify().verdict, codes(history.verify())) == ("unverifiable", {"margin_unreadable"})
    path.unlink()
    path.mkdir()
    assert (history.verify().verdict, codes(history.verify())) == ("unverifiable", {"margin_unreadable"})


# Bounds


def test_findings_without_end_are_counted(history, monkeypatch):
    monkeypatch.setattr(reports, "LISTED", 10)
    history.put([b"rubbish"] * 500)
    report = history.verify()
    assert len(report.findings) == 11
    assert (report.findings[-1].code, report.entries, report.verdict) == ("findings_omitted", 500, "tampered")
    assert "490" in report.findings[-1].message


def test_messages_are_fit_for_a_terminal(history):
    lines = history.lines()
    esc = "\x1b[2J\u202e"
    forged = rewrite(lines, edit(history.seq_of("phase.advanced"), to=esc, actor=esc), SEED)
    forged[3] = forged[3].replace(b'"v":1', f'"v":1,"{esc}":1'.encode())
    history.put(forged)
    assert {3} <= named(history.verify())
    assert all(finding.message.isprintable() for finding in history.verify().findings)

    report = forge_anew(history, lines, edit(history.seq_of("phase.advanced"), to=esc + "x" * 9_000, actor=esc))
    assert any("\\x1b" in finding.message for finding in report.findings)
    assert all(finding.message.isprintable() and len(finding.message) < 4_000 for finding in report.findings)


def test_what_a_second_core_loads_is_light():
    script = (
        "import sys; before = set(sys.modules); import enforcer.ledger.share; "
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before}))"
    )
    loaded = subprocess.run(
        [sys.executable, "-S", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    heavy = {"dataclasses", "typing", "pathlib", "subprocess", "logging", "click", "pydantic", "jsonschema", "tomllib"}
    assert not {*heavy, "cryptography"} & set(loaded)
    assert "enforcer" in loaded


def test_a_task_with_much_behind_it_is_followed_beyond_its_end(history):
    """Whatever a forger piles up in one task, more than a document may have: folded up at its end, and asked again."""
    lines = history.lines()
    opened, abandoned = json.loads(lines[history.seq_of("task.opened")]), json.loads(lines[-1])
    attested = json.loads(lines[history.seq_of("prompt.attested")])
    piled = [json.loads(json.dumps(opened))]
    for number in range(30):
        entry = json.loads(json.dumps(attested))
        entry["event"]["data"] |= {"actor": f"a{number}", "parts": {"header": "x" * 60_000}, "first": []}
        piled.append(entry)
    piled += [json.loads(json.dumps(abandoned)) for _ in range(2)]
    for number, entry in enumerate(piled):
        entry["event"] |= {"subject": "W", "id": f"W/.{number}"}
        entry["ts"] = json.loads(lines[-1])["ts"]
    report = forge_anew(history, [*lines, *map(canonical, piled)], lambda seq, entry: None)
    assert (report.verdict, report.entries) == ("tampered", LENGTH + len(piled))
    assert any("was abandoned before" in finding.message for finding in report.findings), report.findings
