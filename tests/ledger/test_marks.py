"""An incremental verification begins where the last one ended, says so, and never builds on what it cannot trust."""

from __future__ import annotations

import json
from typing import Any

import pytest

from enforcer.ledger.cache import Cache
from enforcer.ledger.marks import NAME
from enforcer.ledger.report import Report
from enforcer.ledger.verify import Anchor, Demands, verify
from enforcer.ports import SystemDisk
from enforcer.workflow.commands import Advance, ClaimLease
from tests.faults import CountingEntropy, FaultyDisk
from tests.ledger.histories import BOB, ID, IDENTITY, KEY, History, rewrite
from tests.ledger.signing import OWN, Signed, note_of
from tests.ledger.test_verify import LENGTH, codes, edit, split, tell


@pytest.fixture
def history(tmp_path) -> History:
    history = History(tmp_path)
    tell(history)
    return history


def cache(history: History, key: bytes = KEY) -> Cache:
    return Cache(f"{history.folder}/.cache", ledger=ID, key=key, disk=SystemDisk(), entropy=CountingEntropy(seed=7))


def check(history: History, disk: Any = None, key: bytes = KEY, **demands: Any) -> Report:
    return verify(
        history.folder,
        disk=disk or SystemDisk(),
        objects=history.objects,
        processes=history.process,
        demands=Demands(**demands),
        cache=cache(history, key),
    )


def test_the_second_look_begins_where_the_first_one_ended(history):
    first = check(history)
    assert (first.checked_from, codes(first)) == (0, {"checked_fully"})
    second = check(history)
    assert (second.checked_from, second.findings) == (LENGTH, ())
    assert second.replace(checked_from=0) == history.verify()


def test_what_was_read_is_not_read_again(history):
    check(history)
    disk = FaultyDisk()
    assert check(history, disk).verdict == "verified"
    # The identity, twice at most; and the last line, which has to stand where it stood.
    assert disk.read_bytes < history.segment.stat().st_size + 1000
    assert disk.counts["read"] < 5


def test_new_entries_are_judged_in_the_state_of_the_old_ones(history):
    for task in "TU":
        history.do(ClaimLease(), task=task, actor=BOB)
    check(history)
    history.open_task("V", key="v-1")
    history.do(Advance(), task="V")
    report = check(history)
    assert (report.verdict, report.checked_from, report.entries) == ("verified", LENGTH + 2, LENGTH + 4)
    assert report.replace(checked_from=0) == history.verify()


def test_a_forgery_in_what_is_new_is_found(history):
    lines = history.lines()
    history.put(lines[:10])
    assert check(history).verdict == "verified"
    for change in (
        lambda seq, entry: entry.update(ts=entry["ts"] - 10**9) if seq == 12 else None,
        edit(history_seq(lines, "phase.advanced", 3), to="SPEC"),
        lambda seq, entry: entry["event"].update(id="T/open-1") if seq == 15 else None,
    ):
        history.put([*lines[:10], *rewrite(lines, change, IDENTITY.data())[10:]])
        report, whole = check(history), history.verify()
        assert (report.checked_from, report.verdict) == (10, "tampered")
        assert report.findings == whole.findings


def history_seq(lines: list[bytes], type_name: str, number: int) -> int:
    return [seq for seq, line in enumerate(lines) if f'"dev.enforcer.{type_name}"'.encode() in line][number]


def test_nothing_is_remembered_of_a_ledger_that_does_not_hold(history):
    lines = history.lines()
    history.put([*lines[:5], b"rubbish", *lines[6:]])
    assert check(history).verdict == "tampered"
    assert cache(history).get(NAME) is None


def test_a_torn_tail_is_not_taken_for_read(history):
    whole = history.segment.read_bytes()
    history.segment.write_bytes(whole[:-20])
    assert (check(history).entries, check(history).checked_from) == (LENGTH - 1, LENGTH - 1)
    history.segment.write_bytes(whole)
    report = check(history)
    assert (report.verdict, report.entries, report.checked_from) == ("verified", LENGTH, LENGTH - 1)


def test_a_mark_that_does_not_fit_means_that_everything_is_read_and_that_this_is_said(history):
    lines = history.lines()
    whole = history.segment.read_bytes()

    def told_anew() -> None:
        history.put(rewrite(lines, edit(1, title="Something else"), IDENTITY.data()))

    def cut() -> None:
        history.put(lines[:-1])

    def another_key() -> None:
        cache(history, b"x" * 32).put(NAME, cache(history).get(NAME) or b"")

    def nonsense() -> None:
        cache(history).put(NAME, b'{"version":1}')

    def another_release() -> None:
        cache(history).put(NAME, b'{"version":2}')

    def other_segments() -> None:
        split(history, 0, 7, 15)

    for change in (told_anew, cut, another_key, nonsense, another_release, other_segments):
        history.segment.write_bytes(whole)
        for path in history.segment.parent.iterdir():
            if path != history.segment:
                path.unlink()
        cache(history).put(NAME, b"{}")
        check(history)
        assert check(history).checked_from == LENGTH, change.__name__
        change()
        report = check(history)
        assert (report.checked_from, codes(report)) == (0, {"checked_fully"}), change.__name__


def test_a_mark_whose_state_does_not_unpack_changes_nothing(history):
    check(history)
    mark = json.loads(cache(history).get(NAME) or b"")
    replay: dict[str, Any]
    for replay in ({}, {"tasks": {"T": {}}}, {"tasks": 3}, {**mark["replay"], "rotations": [[0]]}):
        cache(history).put(NAME, json.dumps({**mark, "replay": replay}).encode())
        report = check(history)
        assert (report.verdict, report.checked_from, codes(report)) == ("verified", 0, {"checked_fully"})


def test_segments_before_the_last_are_not_read_again_and_must_be_there(history):
    paths = split(history, 0, 7, 15)
    check(history)
    assert check(history).checked_from == LENGTH
    paths[0].write_bytes(paths[0].read_bytes()[:-1])
    assert check(history).checked_from == 0
    paths[0].unlink()
    assert (check(history).checked_from, check(history).verdict) == (0, "unverifiable")


def test_heads_of_before_still_count(history):
    signed = Signed(history)
    signed.seal(10)
    signed.rotate(cap=LENGTH + 5)
    first = check(history)
    second = check(history)
    assert (second.checked_from, second.sealed_to, second.key) == (LENGTH + 1, 10, "self-declared")
    assert second.findings == ()
    assert first.verdict == "verified"


def test_a_root_that_was_not_kept_means_that_everything_is_read(history):
    """It is asked for, and whoever does so has reason to."""
    check(history)
    report = check(history, seen=(12, bytes(32)))
    assert (report.checked_from, report.verdict) == (0, "tampered")
    assert {"checked_fully", "rewritten"} <= codes(report)
    anchor = Anchor("elsewhere", note_of(history.lines(), 9, OWN))
    assert check(history, anchors=(anchor,)).checked_from == 0
