"""A verification on two cores finds what one core finds, whatever was done to the ledger, and needs no second core."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from enforcer.errors import DamagedError
from enforcer.ledger.entry import MAX_LEAF
from enforcer.ledger.passes import list_segments
from enforcer.ledger.report import Findings, Report
from enforcer.ledger.share import Job
from enforcer.ledger.verify import raw_pass, verify
from enforcer.ledger.workers import Worker
from enforcer.ports import SystemDisk
from tests.faults import FaultyDisk
from tests.ledger.histories import IDENTITY, History, rewrite
from tests.ledger.signing import Signed
from tests.ledger.test_verify import LENGTH, codes, edit, objects_of, split, tell

LINES = 8


@pytest.fixture
def history(tmp_path) -> History:
    history = History(tmp_path)
    tell(history)
    return history


def check(history: History, cores: int, disk: Any = None) -> Report:
    return verify(
        history.folder,
        disk=disk or SystemDisk(),
        objects=history.objects,
        processes=history.process,
        cores=cores,
        segment_lines=LINES,
    )


def job(history: History, part: int = 1, **changes: Any) -> Job:
    segments = tuple(list_segments(f"{history.folder}/seg", SystemDisk(), Findings()))
    return Job(
        folder=history.folder, segments=segments, part=part, parts=2, origin=IDENTITY.origin, lines=LINES
    ).replace(**changes)


def put_in_segments(history: History, lines: list[bytes]) -> None:
    history.put(lines)
    split(history, 0, LINES, 2 * LINES)


def flip(lines: list[bytes], seq: int, at: int) -> list[bytes]:
    return [*lines[:seq], lines[seq][:at] + bytes([lines[seq][at] ^ 1]) + lines[seq][at + 1 :], *lines[seq + 1 :]]


def forged(change: Callable[[int, dict[str, Any]], None]) -> Callable[[list[bytes]], list[bytes]]:
    return lambda lines: rewrite(lines, change, IDENTITY.data())


def renamed(seq: int, entry: dict[str, Any]) -> None:
    if seq == 11:
        entry["event"]["id"] = "T/open-1"


def dated_back(seq: int, entry: dict[str, Any]) -> None:
    if seq == 8:
        entry["ts"] -= 10**9


DAMAGES: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "none": lambda lines: lines,
    "bits of lines that end and begin segments": lambda lines: flip(flip(lines, 7, 60), 16, -40),
    "lines of one segment taken out": lambda lines: lines[:3] + lines[4:9] + lines[8:],
    "neighbours across segments swapped": lambda lines: [*lines[:7], lines[8], lines[7], *lines[9:]],
    "no line at all": lambda lines: [*lines[:9], b"rubbish", *lines[10:]],
    "too long a line": lambda lines: [*lines[:9], b"x" * (MAX_LEAF + 1), *lines[10:]],
    "a later version": lambda lines: [*lines[:5], lines[5].replace(b'"v":1', b'"v":2'), *lines[6:]],
    "another ledger": lambda lines: [*lines[:5], lines[5].replace(IDENTITY.id.encode(), b"f" * 32), *lines[6:]],
    "a phase skipped": forged(edit(4, to="REVIEW")),
    "more than ASCII": forged(edit(1, title="Größe, 数, 😀")),
    "a key that was there": forged(renamed),
    "time that goes back between segments": forged(dated_back),
    "an event of a later release": forged(edit(9, weather="fine")),
    "a process that is none": forged(edit(1, digest="a" * 64)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_two_cores_find_what_one_finds(history, damage):
    put_in_segments(history, DAMAGES[damage](history.lines()))
    one = check(history, 1)
    assert (one.verdict == "verified") is (damage in ("none", "more than ASCII"))
    assert check(history, 2) == one


def test_two_cores_find_the_same_missing_objects_and_margins(history):
    put_in_segments(history, history.lines())
    for path in objects_of(history).values():
        path.unlink()
    (history.state / "guard" / "s-1.jsonl").unlink()
    one = check(history, 1)
    assert {"object_missing", "margin_missing", "legality_unchecked"} <= codes(one)
    assert check(history, 2) == one


def test_two_cores_seal_and_know_the_roots_alike(history):
    signed = Signed(history)
    for size in (1, 7, 8, 9, 16, LENGTH):
        signed.seal(size)
    put_in_segments(history, history.lines())
    one = check(history, 1)
    assert (one.sealed_to, one.findings) == (LENGTH, ())
    assert check(history, 2) == one
    signed.place("checkpoints/9", (history.state / "ledger/checkpoints/8").read_bytes().replace(b"\n8\n", b"\n9\n"))
    assert check(history, 2) == check(history, 1)
    assert "checkpoint_forged" in codes(check(history, 2))


def test_the_other_process_does_its_share(history):
    put_in_segments(history, history.lines())
    with Worker(job(history)) as worker:
        result = worker.result()
    assert result is not None
    assert [(run.first, run.count) for run in result.runs.values()] == [(8, 8)]
    assert len(result.contents) == 3
    assert result.found["count"] == 0


def test_a_share_names_the_faults_of_its_own_tasks_alone(history):
    """Every task falls to one of the two."""
    put_in_segments(history, rewrite(history.lines(), edit(4, to="REVIEW"), IDENTITY.data()))
    counts = []
    for part in (0, 1):
        with Worker(job(history, part)) as worker:
            result = worker.result()
        assert result is not None
        counts.append(result.found["count"])
    assert 0 in counts
    assert max(counts) > 0


@pytest.mark.parametrize("program", ["/bin/false", "/bin/true", "/nowhere/python", "/bin/cat"])
def test_a_process_that_is_of_no_use_costs_nothing_but_time(history, monkeypatch, program):
    """It fails, answers nothing, is not there, or gives back what it was told."""
    put_in_segments(history, history.lines())
    monkeypatch.setattr(sys, "executable", program)
    with Worker(job(history)) as worker:
        assert worker.result() is None
    assert check(history, 2) == check(history, 1)
    assert check(history, 2).verdict == "verified"


def test_a_process_that_cannot_read_its_share_is_of_no_use(history):
    put_in_segments(history, history.lines())
    with Worker(job(history, folder=f"{history.folder}/nowhere")) as worker:
        assert worker.result() is None


def test_leaving_ends_the_other_process(history):
    put_in_segments(history, history.lines())
    worker = Worker(job(history))
    process = worker._process
    assert process is not None
    with worker:
        pass
    assert process.returncode is not None


def test_what_the_caller_runs_is_not_run_again(history, tmp_path, monkeypatch):
    """Neither its script nor what the environment would load."""
    put_in_segments(history, history.lines())
    (tmp_path / "json.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with Worker(job(history)) as worker:
        assert worker.result() is not None
    assert not Path(tmp_path / "ran").exists()


def test_segments_that_are_not_full_are_read_on_one_core(history):
    split(history, 0, 7, 15)
    assert check(history, 2) == check(history, 1)
    assert check(history, 2).verdict == "verified"


def test_a_segment_with_more_lines_than_its_name_gives_it_is_found_on_two_cores_too(history):
    lines = history.lines()
    paths = split(history, 0, LINES, 2 * LINES)
    paths[0].write_bytes(paths[0].read_bytes() + lines[8] + b"\n")
    one = check(history, 1)
    assert (one.verdict, check(history, 2)) == ("tampered", one)


def test_a_disk_of_its_own_is_never_shared(history):
    """The other process would read another one."""
    put_in_segments(history, history.lines())
    disk = FaultyDisk()
    disk.fail("read", nth=3)
    assert codes(check(history, 2, disk)) >= {"segment_unreadable"}


def test_a_job_is_json(history):
    put_in_segments(history, history.lines())
    told = job(history, wanted=(1, 2))
    assert Job.unpack(json.loads(json.dumps(told.pack()))) == told


def test_the_raw_pass_alone_gives_entries_and_root(history):
    report = check(history, 1)
    assert raw_pass(history.folder, disk=SystemDisk()) == (LENGTH, report.root)
    history.put([*history.lines()[:5], b"rubbish", *history.lines()[6:]])
    with pytest.raises(DamagedError, match="chain_broken"):
        raw_pass(history.folder, disk=SystemDisk())


LIAR = """#!{python}
import json, subprocess, sys
done = subprocess.run([{python!r}, *sys.argv[1:]], input=sys.stdin.buffer.read(), capture_output=True, check=True)
told = json.loads(done.stdout)
told["contents"] = {{name: digest[::-1] for name, digest in told["contents"].items()}}
told["found"]["words"]["integrity"] = "tampered"
json.dump(told, sys.stdout)
"""


def test_two_processes_that_have_not_read_the_same_are_not_put_together(history, tmp_path, monkeypatch):
    put_in_segments(history, history.lines())
    liar = tmp_path / "liar"
    liar.write_text(LIAR.format(python=sys.executable))
    liar.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(liar))
    with Worker(job(history)) as worker:
        result = worker.result()
    assert result is not None
    assert result.found["words"]["integrity"] == "tampered"
    assert check(history, 2).verdict == "verified"
