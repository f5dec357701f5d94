"""The follower tells everything once, whatever happens to it on the way."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from enforcer.errors import DamagedError, UnavailableError
from enforcer.ledger.entry import Entry
from enforcer.ports import Disk, SystemDisk, SystemEntropy
from enforcer.telemetry import follower as module
from enforcer.telemetry.follower import Follower, Progress, Source
from tests.telemetry.story import SECOND, START, Hands, Shelf, Story, call, metrics_in, noted, spans_in, walk


class Stopped(BaseException):
    """The process ends here."""


class FragileDisk(SystemDisk):
    """Stops the process at the call with that number; of a write, half still reaches the disk."""

    def __init__(self, at: int) -> None:
        self.at, self.calls = at, 0

    def _step(self) -> bool:
        self.calls += 1
        return self.calls == self.at

    def append(self, fd: int, data: bytes) -> None:
        if self._step():
            super().append(fd, data[: len(data) // 2])
            raise Stopped
        super().append(fd, data)

    def datasync(self, fd: int) -> None:
        if self._step():
            raise Stopped
        super().datasync(fd)

    def sync(self, fd: int) -> None:
        if self._step():
            raise Stopped
        super().sync(fd)

    def rename(self, source: str, target: str) -> None:
        if self._step():
            raise Stopped
        super().rename(source, target)
        if self._step():
            raise Stopped


class FullDisk(SystemDisk):
    def append(self, fd: int, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")


def followed(ledger: Source, state: Path, disk: Disk | None = None) -> Follower:
    return Follower(ledger, str(state), disk=disk or SystemDisk(), clock=Hands(), entropy=SystemEntropy())


def lines(state: Path, name: str) -> list[dict[str, Any]]:
    path = state / "telemetry" / name
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def gaps(state: Path) -> list[str]:
    return [gap["code"] for gap in lines(state, "gaps.jsonl")]


def traces(state: Path) -> bytes:
    return (state / "telemetry" / "traces.jsonl").read_bytes()


def last_metrics(state: Path) -> dict[str, Any]:
    return metrics_in(lines(state, "metrics.jsonl")[-1])


def summed(state: Path, name: str) -> int:
    return sum(int(point["asInt"]) for point in last_metrics(state)[name]["sum"]["dataPoints"])


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 3)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What `walk()` is told as in one go."""
    state = tmp_path_factory.mktemp("whole")
    followed(walk().ledger, state).run()
    return traces(state)


# Telling -------------------------------------------------------------------------------------------------------------


def test_a_run_tells_the_whole_ledger(tmp_path: Path) -> None:
    story = walk()

    told = followed(story.ledger, tmp_path).run()

    assert told == Progress(len(story.entries()), 11, len(story.entries()) - 1)
    assert len(spans_in(lines(tmp_path, "traces.jsonl"))) == 11
    assert summed(tmp_path, "phase_skips_attempted") == 1
    assert gaps(tmp_path) == []


def test_a_second_run_adds_nothing(tmp_path: Path) -> None:
    story = walk()
    followed(story.ledger, tmp_path).run()
    before = {path.name: path.read_bytes() for path in (tmp_path / "telemetry").iterdir()}

    assert followed(story.ledger, tmp_path).run() == Progress(0, 0, len(story.entries()) - 1)
    assert {path.name: path.read_bytes() for path in (tmp_path / "telemetry").iterdir()} == before


def test_an_empty_ledger_is_told_as_nothing(tmp_path: Path) -> None:
    assert followed(Story().ledger, tmp_path).run() == Progress(0, 0, -1)
    assert lines(tmp_path, "metrics.jsonl") == []


def test_the_spans_are_the_same_bytes_however_often_the_follower_stopped(tmp_path: Path, whole: bytes) -> None:
    story = walk()
    for size in range(1, story.ledger.head.size + 1):
        followed(story.shelf(size), tmp_path).run()

    assert traces(tmp_path) == whole
    assert last_metrics(tmp_path) == metrics_in(fresh_metrics(tmp_path / "again", story))


def fresh_metrics(state: Path, story: Story) -> dict[str, Any]:
    followed(story.ledger, state).run()
    return lines(state, "metrics.jsonl")[-1]


@pytest.mark.usefixtures("small_batches")
def test_batches_leave_no_mark_on_the_spans(tmp_path: Path, whole: bytes) -> None:
    assert followed(walk().ledger, tmp_path).run().entries == 11
    assert traces(tmp_path) == whole
    assert len(lines(tmp_path, "metrics.jsonl")) == 4


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("limit", [0, 1, 3, 4, 6, 100])
def test_a_limited_run_tells_no_more_than_its_limit(tmp_path: Path, limit: int, whole: bytes) -> None:
    story = walk()
    assert followed(story.ledger, tmp_path).run(limit).entries == min(limit, 11)
    followed(story.ledger, tmp_path).run()
    assert traces(tmp_path) == whole


def test_deleting_the_folder_tells_the_ledger_again(tmp_path: Path, whole: bytes) -> None:
    followed(walk().ledger, tmp_path).run()
    for path in (tmp_path / "telemetry").iterdir():
        path.unlink()

    followed(walk().ledger, tmp_path).run()

    assert traces(tmp_path) == whole


def test_deleting_the_cursor_tells_the_ledger_again_and_not_twice(tmp_path: Path, whole: bytes) -> None:
    followed(walk().ledger, tmp_path).run()
    (tmp_path / "telemetry" / "cursor.json").unlink()

    followed(walk().ledger, tmp_path).run()

    assert traces(tmp_path) == whole
    assert len(lines(tmp_path, "metrics.jsonl")) == 1


# Crashes -------------------------------------------------------------------------------------------------------------


def crashes(run: Callable[[Disk], object]) -> Iterator[int]:
    """Runs until a run is not stopped any more, and yields the number of each call at which one was."""
    for at in range(1, 1000):
        try:
            run(FragileDisk(at))
        except Stopped:
            yield at
        else:
            return


@pytest.mark.usefixtures("small_batches")
def test_a_crash_at_any_call_tells_nothing_twice_and_leaves_nothing_out(tmp_path: Path, whole: bytes) -> None:
    story = walk()
    stops = 0
    for at in range(1, 1000):
        state = tmp_path / str(at)
        try:
            followed(story.ledger, state, FragileDisk(at)).run()
        except Stopped:
            stops += 1
        else:
            break
        followed(story.ledger, state).run()
        assert traces(state) == whole
        assert summed(state, "phase_backtracks") == 1
        assert list(state.glob("telemetry/*.new")) == []
    # Four batches of at least two writes, two syncs, and a cursor that is written, synced and renamed.
    assert stops >= 4 * 7


def test_a_follower_that_is_stopped_again_and_again_gets_there(tmp_path: Path, whole: bytes) -> None:
    """Each stop is one call further than the one before, in the same folder, recoveries included."""
    story = walk()
    stops = list(crashes(lambda disk: followed(story.ledger, tmp_path, disk).run()))

    assert len(stops) > 5
    assert traces(tmp_path) == whole
    assert len(lines(tmp_path, "metrics.jsonl")) == 1


def test_what_an_unfinished_run_left_is_cut_away(tmp_path: Path, whole: bytes) -> None:
    story = walk()
    followed(story.shelf(4), tmp_path).run()
    for name in ("traces.jsonl", "metrics.jsonl"):
        with open(tmp_path / "telemetry" / name, "ab") as file:
            file.write(b'{"resourceSpans":[{"torn')

    followed(story.ledger, tmp_path).run()

    assert traces(tmp_path) == whole
    assert len(lines(tmp_path, "metrics.jsonl")) == 2


def test_a_failed_sync_is_reported_and_told_again_once(tmp_path: Path, whole: bytes) -> None:
    class Failing(SystemDisk):
        def datasync(self, fd: int) -> None:
            raise OSError(errno.EIO, "input/output error")

    with pytest.raises(UnavailableError) as caught:
        followed(walk().ledger, tmp_path, Failing()).run()
    assert caught.value.code == "telemetry_unavailable"

    followed(walk().ledger, tmp_path).run()

    assert traces(tmp_path) == whole


# Two followers -------------------------------------------------------------------------------------------------------


def test_a_follower_that_saw_less_of_the_ledger_does_not_take_it_for_replaced(tmp_path: Path, whole: bytes) -> None:
    """The cursor may stand beyond what this process has seen: it looks again before it judges."""
    story = walk()

    class Late(Shelf):
        def catch_up(self) -> None:
            self.seen = 11

    late = story.shelf(2, kind=Late)
    followed(story.ledger, tmp_path).run()

    assert followed(late, tmp_path).run().entries == 0
    assert gaps(tmp_path) == []
    assert traces(tmp_path) == whole


def test_an_entry_that_arrives_during_a_run_is_told_by_the_next(tmp_path: Path, whole: bytes) -> None:
    story = walk()
    followed(story.shelf(5), tmp_path).run()
    assert followed(story.ledger, tmp_path).run().entries == 6
    assert traces(tmp_path) == whole


# A ledger that is another one ----------------------------------------------------------------------------------------


def other(story: Story) -> list[Source]:
    rewritten = Story()
    rewritten.open("X")
    for _ in range(20):
        rewritten.skip(task="X")
    foreign = Story("f" * 32)
    foreign.open()
    return [story.shelf(3), rewritten.ledger, foreign.ledger]


@pytest.mark.parametrize("kind", [0, 1, 2], ids=["shorter", "rewritten", "foreign"])
def test_a_ledger_that_was_replaced_is_told_from_the_start_and_the_gap_recorded(tmp_path: Path, kind: int) -> None:
    followed(walk().ledger, tmp_path / "a").run()
    old = traces(tmp_path / "a")
    ledger = other(walk())[kind]

    told = followed(ledger, tmp_path / "a").run()
    followed(ledger, tmp_path / "b").run()

    assert told.entries == ledger.head.size
    assert traces(tmp_path / "a") == traces(tmp_path / "b")
    assert (tmp_path / "a" / "telemetry" / "traces.1.jsonl").read_bytes() == old
    [gap] = lines(tmp_path / "a", "gaps.jsonl")
    assert (gap["code"], gap["seq"], gap["ts"]) == ("ledger_replaced", 10, START)


def test_a_crash_while_starting_over_loses_nothing_of_either_ledger(tmp_path: Path) -> None:
    foreign = Story("f" * 32)
    foreign.open()
    followed(foreign.ledger, tmp_path / "expected").run()
    for at in range(1, 1000):
        state = tmp_path / str(at)
        followed(walk().ledger, state).run()
        old = traces(state)
        try:
            followed(foreign.ledger, state, FragileDisk(at)).run()
        except Stopped:
            followed(foreign.ledger, state).run()
        else:
            break
        assert traces(state) == traces(tmp_path / "expected")
        assert [path.read_bytes() for path in (state / "telemetry").glob("traces.?.jsonl")] == [old]
    assert at > 10


# What others do to the files -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"{}\n", b"not json", b'{"version":1}\n' + b"0" * 64 + b"\n", b"\xff\xfe"])
def test_a_damaged_cursor_tells_the_ledger_again_and_says_so(tmp_path: Path, content: bytes, whole: bytes) -> None:
    followed(walk().ledger, tmp_path).run()
    (tmp_path / "telemetry" / "cursor.json").write_bytes(content)

    followed(walk().ledger, tmp_path).run()

    assert traces(tmp_path) == whole
    assert gaps(tmp_path) == ["cursor_damaged"]


def test_a_changed_cursor_is_a_damaged_one(tmp_path: Path, whole: bytes) -> None:
    followed(walk().ledger, tmp_path).run()
    path = tmp_path / "telemetry" / "cursor.json"
    path.write_bytes(path.read_bytes().replace(b'"entries":11', b'"entries":12'))

    assert followed(walk().ledger, tmp_path).measures().entries == 0
    followed(walk().ledger, tmp_path).run()

    assert (traces(tmp_path), gaps(tmp_path)) == (whole, ["cursor_damaged"])


def test_an_output_that_was_rotated_away_begins_anew_where_it_stopped(tmp_path: Path, whole: bytes) -> None:
    story = walk()
    followed(story.shelf(6), tmp_path).run()
    rotated = traces(tmp_path)
    (tmp_path / "telemetry" / "traces.jsonl").unlink()

    followed(story.ledger, tmp_path).run()

    assert rotated + traces(tmp_path) == whole
    assert gaps(tmp_path) == ["output_shortened"]


def test_an_output_that_was_shortened_is_kept_and_not_continued(tmp_path: Path, whole: bytes) -> None:
    story = walk()
    followed(story.shelf(6), tmp_path).run()
    before = traces(tmp_path)
    os.truncate(tmp_path / "telemetry" / "traces.jsonl", 40)

    followed(story.ledger, tmp_path).run()

    assert before + traces(tmp_path) == whole
    assert (tmp_path / "telemetry" / "traces.1.jsonl").read_bytes() == before[:40]
    assert gaps(tmp_path) == ["output_shortened"]


# Failure -------------------------------------------------------------------------------------------------------------


def test_a_folder_that_cannot_be_written_is_an_error_for_who_asked_and_nothing_for_a_command(tmp_path: Path) -> None:
    (tmp_path / "telemetry").write_text("in the way", encoding="utf-8")
    follower = followed(walk().ledger, tmp_path)

    with pytest.raises(UnavailableError) as caught:
        follower.run()

    assert caught.value.code == "telemetry_unavailable"
    assert follower.run_quietly() is None


def test_a_full_disk_keeps_the_cursor_where_it_was(tmp_path: Path, whole: bytes) -> None:
    story = walk()
    followed(story.shelf(4), tmp_path).run()
    cursor = (tmp_path / "telemetry" / "cursor.json").read_bytes()

    assert followed(story.ledger, tmp_path, FullDisk()).run_quietly() is None
    assert (tmp_path / "telemetry" / "cursor.json").read_bytes() == cursor

    assert followed(story.ledger, tmp_path).run_quietly() is not None
    assert traces(tmp_path) == whole


class Damaged(Shelf):
    """A ledger whose seventh line cannot be read."""

    def entries(self, start: int = 0) -> Iterator[Entry]:
        for entry in super().entries(start):
            if entry.seq == 6:
                raise DamagedError("ledger_damaged", "Line 6 is damaged.")
            yield entry


@pytest.mark.usefixtures("small_batches")
def test_a_damaged_ledger_is_told_up_to_the_batch_before_and_the_gap_recorded_once(tmp_path: Path) -> None:
    ledger = walk().shelf(kind=Damaged)

    with pytest.raises(DamagedError):
        followed(ledger, tmp_path).run()
    assert followed(ledger, tmp_path).run_quietly() is None

    assert gaps(tmp_path) == ["ledger_damaged"]
    assert summed(tmp_path, "phase_backtracks") == 1


def test_a_fault_of_ours_does_not_reach_the_command(tmp_path: Path) -> None:
    class Broken(Shelf):
        def catch_up(self) -> None:
            raise ZeroDivisionError("a bug")

    assert followed(walk().shelf(kind=Broken), tmp_path).run_quietly() is None
    assert gaps(tmp_path) == ["telemetry_failed"]


def test_without_the_extra_the_command_goes_on_and_the_gap_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: bytes
) -> None:
    with monkeypatch.context() as patch:
        for name in [name for name in sys.modules if name.startswith("opentelemetry")]:
            patch.delitem(sys.modules, name)
        patch.setitem(sys.modules, "opentelemetry", None)
        with pytest.raises(UnavailableError) as caught:
            followed(walk().ledger, tmp_path).run()
        assert caught.value.code == "telemetry_extra_missing"
        assert followed(walk().ledger, tmp_path).run_quietly() is None
    assert gaps(tmp_path) == ["telemetry_extra_missing"]

    followed(walk().ledger, tmp_path).run()

    assert traces(tmp_path) == whole


def test_a_gap_that_was_torn_spoils_no_other(tmp_path: Path) -> None:
    (tmp_path / "telemetry").mkdir()
    path = tmp_path / "telemetry" / "gaps.jsonl"
    path.write_bytes(b'{"code":"to')
    (tmp_path / "telemetry" / "cursor.json").write_bytes(b"damaged")

    followed(walk().ledger, tmp_path).run()

    assert json.loads(path.read_bytes().splitlines()[-1])["code"] == "cursor_damaged"


# Following -----------------------------------------------------------------------------------------------------------


def test_following_tells_what_came_while_it_waited_and_survives_a_failure(tmp_path: Path, whole: bytes) -> None:
    class Growing(Shelf):
        def catch_up(self) -> None:
            if self.seen == 5:
                raise OSError(errno.EIO, "for now")

    ledger = walk().shelf(2, kind=Growing)

    def poll() -> None:
        if ledger.seen == 11:
            raise Stopped
        ledger.seen += 1

    with pytest.raises(Stopped):
        followed(ledger, tmp_path).follow(poll)

    assert traces(tmp_path) == whole
    assert gaps(tmp_path) == ["telemetry_unavailable"]


# What stands beside the ledger ---------------------------------------------------------------------------------------


def write_lines(path: Path, *items: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", encoding="utf-8") as file:
        file.writelines(json.dumps(item) + "\n" for item in items)


def test_the_guards_answers_are_taken_in_once(tmp_path: Path) -> None:
    story = walk()
    path = tmp_path / "guard" / "s1.jsonl"
    write_lines(path, call("s1", "deny", START))
    (tmp_path / "guard" / ".tasks").mkdir()
    followed(story.ledger, tmp_path).run()
    write_lines(path, call("s1", "allow", START + 3 * SECOND))
    with open(path, "ab") as file:
        file.write(b'{"call":')
    followed(story.ledger, tmp_path).run()
    followed(story.ledger, tmp_path).run()

    repairs = followed(story.ledger, tmp_path).measures().repairs

    assert (repairs.calls, repairs.count, repairs.total_us) == (2, 1, 3 * SECOND)
    [point] = last_metrics(tmp_path)["tool_repair_time"]["histogram"]["dataPoints"]
    assert point["sum"] == 3.0
    assert len(lines(tmp_path, "metrics.jsonl")) == 2


def test_a_line_of_the_guard_that_is_no_json_is_counted(tmp_path: Path) -> None:
    write_lines(tmp_path / "guard" / "s1.jsonl", call("s1", "allow", START))
    with open(tmp_path / "guard" / "s1.jsonl", "ab") as file:
        file.write(b"{]\n")
    followed(walk().ledger, tmp_path).run()
    assert followed(walk().ledger, tmp_path).measures().repairs.unreadable == 1


def test_a_guard_file_that_lost_lines_is_a_gap_and_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "guard" / "s1.jsonl"
    write_lines(path, call("s1", "allow", START), call("s1", "allow", START))
    followed(walk().ledger, tmp_path).run()
    path.unlink()
    write_lines(path, call("s1", "allow", START))

    followed(walk().ledger, tmp_path).run()

    assert gaps(tmp_path) == ["lines_lost"]
    assert followed(walk().ledger, tmp_path).measures().repairs.calls == 3


def test_an_unreadable_guard_file_does_not_keep_the_ledger_from_being_told(tmp_path: Path, whole: bytes) -> None:
    (tmp_path / "guard").mkdir()
    (tmp_path / "guard" / "s1.jsonl").symlink_to(tmp_path / "elsewhere")

    followed(walk().ledger, tmp_path).run()

    assert traces(tmp_path) == whole
    assert gaps(tmp_path) == ["guard_unreadable"]


def test_refusals_without_an_entry_count_at_once_and_once(tmp_path: Path) -> None:
    story = Story()
    story.open()
    for _ in range(9):
        story.skip()
    followed(story.ledger, tmp_path).run()
    refused = {"actor": "ada", "codes": ["phase_skip"], "command": "advance", "hash": "0" * 64, "seq": 9, "ts": START}
    padding: tuple[object, ...] = (None, {}, {"codes": ["phase_skip"]})
    write_lines(tmp_path / "refusals" / "T.jsonl", *(refused for _ in range(5)), *padding)

    followed(story.ledger, tmp_path).run()
    assert summed(tmp_path, "phase_skips_attempted") == 14

    story.advance("SPEC", "PLAN", notes=noted(5))
    followed(story.ledger, tmp_path).run()
    assert summed(tmp_path, "phase_skips_attempted") == 14
    assert summed(tmp_path, "refusals_coalesced") == 5


def test_many_lines_are_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("enforcer.telemetry.lines.BLOCK", 64)
    write_lines(tmp_path / "guard" / "s1.jsonl", *(call("s1", "allow", START + i) for i in range(50)))
    followed(walk().ledger, tmp_path).run()
    assert followed(walk().ledger, tmp_path).measures().repairs.calls == 50
