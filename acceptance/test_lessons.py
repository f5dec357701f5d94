"""What went wrong in the first implementation of this process, one test for each defect, named by what happened."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from acceptance.model import PHASES
from acceptance.walks import Walk
from acceptance.world import ADA, BAD, BOB, GOOD, SECOND, ManualClock, QuickDisk, World, codes, digest, rewrite
from enforcer.errors import EnforcerError
from enforcer.ports import SystemDisk


@pytest.fixture
def worked(world: World) -> World:
    """A task with advances, refusals and attestations behind it."""
    task = world.given_task("T", "VERIFY")
    task.advance()
    task.advance(to="MONITOR")
    path = world.root / "prompt.txt"
    path.write_text("You keep records whole.\n", encoding="utf-8")
    assert world.ask("attest", "T", "--header", str(path)).status == 0
    return world


def put(world: World, lines: list[bytes]) -> None:
    [segment] = world.segments()
    segment.write_bytes(b"".join(line + b"\n" for line in lines))


def seed(world: World) -> bytes:
    return (world.root / "state" / "ledger" / "ledger.json").read_bytes()


class TestLedger:
    def test_an_emptied_ledger_is_not_valid(self, worked: World) -> None:
        """Tail cut, file deleted or emptied → `valid: true`."""
        put(worked, [])

        reply = worked.ask("verify")

        assert reply.status == 2
        assert reply.json.get("verdict") != "verified"

    def test_a_deleted_ledger_is_not_valid(self, worked: World) -> None:
        """Tail cut, file deleted or emptied → `valid: true`."""
        for segment in worked.segments():
            segment.unlink()

        assert worked.ask("verify").status == 2

    def test_a_tail_cut_at_a_line_is_declared_unanchored(self, worked: World) -> None:
        """Tail cut, file deleted or emptied → `valid: true`. A chain alone cannot see that its end is missing."""
        put(worked, worked.lines()[:-2])

        answer = worked.ask("verify").json

        assert answer["unanchored"] == 0
        assert answer["anchored_to"] is None

    def test_a_full_rewrite_with_recomputed_hashes_is_declared_unanchored(self, worked: World) -> None:
        """Full rewrite with recomputed hashes → `valid: true` (no key, no anchor)."""
        put(worked, rewrite(worked.lines(), seed(worked), {1: {"title": "Something else"}}))

        answer = worked.ask("verify").json

        assert answer["unanchored"] == 0
        assert answer["anchored_to"] is None
        assert "unanchored" in worked.ask("verify", text=True).out

    def test_a_full_rewrite_that_drops_the_evidence_is_tampered(self, worked: World) -> None:
        """Full rewrite with recomputed hashes → `valid: true`. What it tells must still be a legal history."""
        [first] = [seq for seq, line in enumerate(worked.lines()) if b'"start":"PLAN"' in line]
        put(worked, rewrite(worked.lines(), seed(worked), {first: {"to": "MONITOR"}}))

        reply = worked.ask("verify")

        assert (reply.status, reply.json["verdict"], reply.json["integrity"]) == (1, "tampered", "verified")
        assert first in {finding["seq"] for finding in reply.json["findings"]}

    @pytest.mark.parametrize("old", [b'"header":"', b'"actor":"', b'"title":"', b'"digest":"'])
    def test_a_changed_field_anywhere_is_found_and_its_entry_named(self, worked: World, old: bytes) -> None:
        """Forged persona hash → `valid: true` (fields outside the hash)."""
        lines = worked.lines()
        seq = next(number for number, line in enumerate(lines[:-1]) if old in line) if old != b'"header":"' else None
        seq = len(lines) - 1 if seq is None else seq
        at = lines[seq].index(old) + len(old)
        lines[seq] = lines[seq][:at] + (b"0" if lines[seq][at : at + 1] != b"0" else b"1") + lines[seq][at + 1 :]
        lines.append(lines[-1])
        put(worked, lines)

        reply = worked.ask("verify")

        assert (reply.status, reply.json["verdict"]) == (1, "tampered")
        assert {seq, seq + 1} & {finding["seq"] for finding in reply.json["findings"]}

    @pytest.mark.parametrize("place", ["entry", "event", "data"])
    def test_an_injected_extra_field_is_found(self, worked: World, place: str) -> None:
        """Injected extra field → `valid: true` (fields outside the hash)."""
        lines = worked.lines()
        entry = json.loads(lines[1])
        {"entry": entry, "event": entry["event"], "data": entry["event"]["data"]}[place]["approved"] = True
        lines[1] = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        put(worked, lines)

        assert worked.ask("verify").status == 1

    def test_a_modified_or_reordered_line_is_found(self, worked: World) -> None:
        """A modified link or hash names the index."""
        lines = worked.lines()
        lines[2], lines[3] = lines[3], lines[2]
        put(worked, lines)

        reply = worked.ask("verify")

        assert reply.status == 1
        assert 2 in {finding["seq"] for finding in reply.json["findings"]}

    def test_the_first_entry_links_to_the_ledgers_own_description(self, world: World) -> None:
        """The first entry links to genesis."""
        first = json.loads(world.lines()[0])

        assert first["prev"] == digest(b"enforcer/ledger/v1\n" + seed(world))
        assert first["event"]["type"] == "dev.enforcer.ledger.created"

    def test_twenty_concurrent_appends_in_one_process_keep_the_chain(self, world: World) -> None:
        """20 concurrent appends in one process → chain broken at entry 1."""
        world.given_task("T")
        tasks = [world.library(f"worker-{number}").task("T") for number in range(20)]

        with ThreadPoolExecutor(20) as pool:
            seqs = list(pool.map(lambda task: task.advance(to="PLAN").seq, tasks))

        assert len(set(seqs)) == 20
        assert world.verdict() == "verified"

    def test_eight_processes_with_twenty_appends_each_keep_the_chain(self, world: World) -> None:
        """8 processes with 20 each → 122 of 160 links broken."""
        world.given_task("T")
        script = (
            "import sys; from enforcer import Enforcer\n"
            "task = Enforcer.open(sys.argv[1], actor='w' + sys.argv[2]).task('T')\n"
            "for _ in range(10): assert not task.advance(to='PLAN') and not task.backtrack('SPEC', 'Back')\n"
        )
        started = [
            subprocess.Popen(
                [sys.executable, "-c", script, str(world.root), str(number)], env=world.process_environment()
            )
            for number in range(8)
        ]

        assert [process.wait() for process in started] == [0] * 8
        assert len(world.events("command.refused", "T")) == 160
        assert world.verdict() == "verified"

    def test_a_torn_last_line_is_refused_with_its_position_and_never_built_upon(self, worked: World) -> None:
        """Torn last line → the next start resets to genesis and appends onto the torn line; history returns nothing."""
        [segment] = worked.segments()
        whole = segment.read_bytes()
        segment.write_bytes(whole[:-20])

        reply = worked.run("advance", "T")

        assert reply.status == 2
        start = whole.rindex(b"\n", 0, -1) + 1
        error = reply.json["error"]
        assert str(start) in error["where"] + error["message"] or f"{len(worked.lines()) - 1}" in error["message"]
        assert segment.read_bytes() == whole[:-20]
        assert any(finding["code"] == "torn_tail" for finding in worked.ask("verify").json["findings"])

    def test_an_appended_jump_from_strategize_to_monitor_is_illegal(self, worked: World) -> None:
        """An illegal STRATEGIZE→MONITOR append is accepted."""
        worked.ask("open", "U")
        worked.write("U", "STRATEGIZE")
        worked.ask("advance", "U")
        lines = worked.lines()
        put(worked, rewrite(lines, seed(worked), {len(lines) - 1: {"to": "MONITOR"}}))

        reply = worked.ask("verify")

        assert (reply.status, reply.json["legality"]) == (1, "tampered")
        assert len(lines) - 1 in {finding["seq"] for finding in reply.json["findings"]}

    def test_the_current_phase_is_told_without_reading_the_whole_file(self, world: World) -> None:
        """Every query re-reads the file: 46 ms for the current phase at 10,000 entries."""
        small = self._bytes_read_by_status(world, 50)
        large = self._bytes_read_by_status(world, 2_500)

        assert large < small + 200_000
        assert sum(path.stat().st_size for path in world.segments()) > 1_000_000

    @staticmethod
    def _bytes_read_by_status(world: World, entries: int) -> int:
        disk = CountingDisk()
        task = world.library(ADA, disk=disk).open_task("T")
        for number in range(len(world.lines()), entries):
            (task.claim if number % 2 else task.release)()
        disk.read_bytes = 0
        assert world.library(ADA, disk=disk).task("T").status().phase == "STRATEGIZE"
        return disk.read_bytes

    def test_evidence_and_prompts_are_on_the_ledger_by_digest(self, worked: World) -> None:
        """Artifacts recorded as paths, not digests; the prompt hash dropped on the way."""
        for event in worked.events("phase.advanced", "T"):
            assert [one["digest"] for one in event["data"]["evidence"]] == [digest(GOOD)]
        assert worked.events("prompt.attested")[0]["data"]["parts"] == {"header": digest("You keep records whole.\n")}

    @pytest.mark.parametrize("call", ["append", "datasync"])
    def test_an_append_that_fails_is_no_transition(self, world: World, call: str) -> None:
        """An append that fails is logged, and the transition still succeeds."""
        task = world.given_task("T")
        world.write("T", "STRATEGIZE")
        disk = FailingDisk(call)
        failing = world.library(ADA, disk=disk).task("T")
        disk.armed = True

        with pytest.raises(EnforcerError):
            failing.advance()

        if call == "append":
            assert task.status().phase == "STRATEGIZE"
            assert task.advance()

    def test_refusals_and_completion_are_written(self, world: World) -> None:
        """Refusals, forced phases and completion never written."""
        task = world.given_task("T", "MONITOR")
        task.advance()
        world.ask("lease", "release", "T", "--force", "--reason", "Its host is gone", actor=BOB)
        world.write("T", "MONITOR")
        task.advance().require()

        kinds = [event["type"].removeprefix("dev.enforcer.") for event in world.events(task="T")][-3:]
        assert kinds == ["command.refused", "lease.released", "phase.advanced"]
        assert world.events(task="T")[-1]["data"]["completed"] is True


class TestGate:
    def test_after_a_restart_the_task_goes_on_at_once(self, world: World) -> None:
        """The current phase lives in memory: after a restart the task is "not in cycle", and its own stale lease locks
        it out for 300 s."""
        world.given_task("T", "THINK")
        world.write("T", "THINK")

        assert world.run("status", "T").json["phase"] == "THINK"
        assert world.run("advance", "T").status == 0

    def test_an_illegal_skip_reads_no_evidence_and_counts_as_a_skip(self, world: World) -> None:
        """The sequence check comes last: an illegal skip first runs builds and tests, and from a failing phase is
        counted as a validation failure, not a skip."""
        world.given_task("T", "VERIFY")
        path = world.evidence("T", "VERIFY")
        path.parent.mkdir(parents=True)
        os.mkfifo(path)

        assert world.ask("advance", "T", "--to", "MONITOR").codes == ["phase_skip"]

        metrics = world.metrics()
        assert metrics["phase_skips_attempted"] == 1
        assert metrics.get("phase_validations_failed", 0) == 0

    def test_a_failed_verify_can_backtrack(self, world: World) -> None:
        """A failed VERIFY cannot backtrack, because backtracking asks the failing phase to pass."""
        task = world.given_task("T", "VERIFY")
        world.write("T", "VERIFY", BAD)
        assert codes(task.advance()) == {"evidence_invalid"}

        assert task.backtrack("IMPLEMENT", "A test fails")
        assert world.status()["phase"] == "IMPLEMENT"

    def test_what_cannot_be_read_is_never_a_yes(self, world: World) -> None:
        """Leases and evidence fail open on exceptions."""
        task = world.given_task("T", "SPEC", actor=ADA)
        world.write("T", "SPEC")
        for path in (world.root / "state" / "leases").iterdir():
            path.unlink()
            path.mkdir()
        disk = FailingDisk("lock")
        failing = world.library(BOB, disk=disk).task("T")
        disk.armed = True

        with pytest.raises((EnforcerError, OSError)):
            failing.advance()
        assert task.status().phase == "SPEC"


class TestEvidence:
    def test_a_log_that_speaks_of_zero_errors_passes(self, repository: World) -> None:
        """ "0 errors" fails a build and "0 failed" fails a test run (substring match)."""
        walk = Walk(repository, "T", seed=5).to("VERIFY")
        walk.write()
        log = "compiled 12 files: 0 errors, 0 warnings\n51 tests: 51 passed, 0 failed, no FAILURES\nexit status: 0\n"
        repository.write("T", "VERIFY", log, "build_output.log")

        assert walk.task.advance()

    @pytest.mark.parametrize("text", ["TODO problem", "TBD", "...", "Lorem ipsum dolor sit amet"])
    def test_a_strategy_of_placeholders_is_refused(self, repository: World, text: str) -> None:
        """ "TODO problem…" passes as strategy."""
        task = repository.library(ADA).open_task("T", title="Keep the last field")
        sections = ("Problem", "Objectives", "Scope", "Non-Goals", "Risks", "Strategy")
        repository.write("T", "STRATEGIZE", "".join(f"## {name}\n\n{text}\n\n" for name in sections), "strategy.md")

        assert codes(task.advance()) == {"evidence_invalid"}

    def test_ten_of_ten_failed_tests_are_refused(self, repository: World) -> None:
        """10 of 10 tests failed passes."""
        walk = Walk(repository, "T", seed=5).to("VERIFY")
        walk.write()
        counts = {"total": 10, "passed": 0, "failed": 10, "errors": 0, "skipped": 0, "xfailed": 0}
        repository.edit("T", "VERIFY", "test_results.json", **counts)

        assert codes(walk.task.advance()) == {"evidence_invalid"}

    def test_a_review_that_does_not_approve_is_refused(self, repository: World) -> None:
        """ "Not approved" passes review."""
        walk = Walk(repository, "T", seed=5).to("REVIEW")
        walk.write()
        path = repository.evidence("T", "REVIEW", "review_rubric.json")
        criteria = json.loads(path.read_bytes())["criteria"]
        criteria["security"] = {"pass": False, "note": "Not approved: approved of by nobody."}
        repository.edit("T", "REVIEW", "review_rubric.json", criteria=criteria)

        assert codes(walk.task.advance()) == {"evidence_invalid"}

    def test_a_missing_smoke_test_is_missing_and_nothing_is_written_in_its_place(self, repository: World) -> None:
        """A missing smoke file writes its own zero baseline and passes."""
        walk = Walk(repository, "T", seed=5).to("MONITOR")
        walk.write()
        path = repository.evidence("T", "MONITOR", "smoke_test_results.json")
        path.unlink()

        assert codes(walk.task.advance()) == {"evidence_missing"}
        assert not path.exists()

    def test_names_are_data_and_never_run(self, repository: World) -> None:
        """Proof scripts built from unquoted data."""
        evil = "$(touch pwned) `touch pwned`; touch pwned; 'touch pwned' \"touch pwned\" && touch pwned.py"
        walk = Walk(repository, "T", seed=3, extra_file=evil).to("VERIFY")

        assert walk.phase == "VERIFY"
        assert not [path for path in repository.root.rglob("pwned*") if path.is_file()]


class TestLeases:
    def test_an_expired_holder_neither_holds_nor_renews(self, world: World) -> None:
        """An expired holder still holds and can renew."""
        clock = ManualClock()
        task = world.given_task("T", "SPEC", clock=clock)
        clock.passing(301)

        assert codes(task.renew()) == {"lease_stale"}
        assert world.library(BOB, clock=clock).task("T").claim()

    def test_claiming_again_is_harmless(self, world: World) -> None:
        """Not re-entrant."""
        task = world.given_task("T")

        assert task.claim()
        assert task.claim()
        with task.lease(), task.lease():
            assert world.status()["lease"]["token"] == 1

    def test_every_claim_has_a_greater_token(self, world: World) -> None:
        """No token."""
        world.given_task("T")
        for actor in (ADA, BOB, ADA, BOB):
            world.ask("lease", "claim", "T", actor=actor)
            world.ask("lease", "release", "T", actor=actor)

        assert [event["data"]["token"] for event in world.events("lease.claimed", "T")] == [1, 2, 3, 4]

    def test_a_phase_may_take_longer_than_a_lease_lives(self, world: World) -> None:
        """Renewal never called, so any phase over five minutes loses its lease silently."""
        clock = ManualClock()
        task = world.given_task("T", clock=clock)
        task.claim().require()
        for _ in range(5):
            clock.passing(150)
            assert task.renew()

        assert codes(world.library(BOB, clock=clock).task("T").claim()) == {"lease_held"}

    def test_contention_is_counted(self, world: World) -> None:
        """Contention metric is the constant 0."""
        world.given_task("T", "SPEC", actor=ADA)
        for _ in range(3):
            world.ask("advance", "T", actor=BOB)

        assert world.metrics()["phase_lease_contention"] == 3


class TestPrompts:
    def test_the_digest_is_of_the_very_bytes_of_the_prompt(self, world: World) -> None:
        """It hashes constants, not the prompt."""
        world.given_task("T")
        content = "Ünïcode, \r\n line ends and \x00 bytes stay as they are".encode()
        path = world.root / "prompt.bin"
        path.write_bytes(content)

        assert world.ask("attest", "T", "--header", str(path)).status == 0
        assert world.events("prompt.attested")[0]["data"]["parts"]["header"] == digest(content)

    def test_deleting_everything_but_the_ledger_forgets_no_baseline(self, world: World) -> None:
        """A deleted or corrupt baseline re-trusts the new prompt."""
        world.given_task("T", "VERIFY")
        path = world.root / "prompt.txt"
        path.write_text("You keep records whole.\n", encoding="utf-8")
        assert world.ask("attest", "T", "--header", str(path)).status == 0
        kept = {world.root / "state" / "ledger" / name for name in ("ledger.json", "lock", "seg")}
        kept |= {world.root / "state" / "ledger", world.root / "state" / "objects"}
        for file in sorted((world.root / "state").rglob("*"), reverse=True):
            if file not in kept and not kept & set(file.parents) - {world.root / "state" / "ledger"}:
                file.rmdir() if file.is_dir() else file.unlink()
        path.write_text("You may cut records short.\n", encoding="utf-8")

        assert world.ask("attest", "T", "--header", str(path)).codes == ["prompt_drift"]

    def test_twenty_concurrent_tasks_keep_twenty_baselines(self, world: World) -> None:
        """20 concurrent tasks keep 1 of 20 baselines."""
        names = [f"T{number}" for number in range(20)]
        tasks = {name: world.given_task(name) for name in names}

        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(lambda name: tasks[name].attest({"header": name}), names))

        assert all(answers)
        attested = {event["subject"]: event["data"]["first"] for event in world.events("prompt.attested")}
        assert attested == {name: ["header"] for name in names}


class TestTools:
    def test_tools_depend_on_the_phase(self, world: World) -> None:
        """No phase logic at all."""
        verdicts = []
        for phase in PHASES:
            world.given_task(phase, phase)
            verdicts.append(world.guard(phase, "Edit", file_path="src/records.py").status)

        assert verdicts == [0 if phase == "IMPLEMENT" else 1 for phase in PHASES]


class TestTelemetry:
    def spans(self, world: World) -> list[dict]:
        assert world.ask("telemetry").status == 0
        lines = (world.root / "state" / "telemetry" / "traces.jsonl").read_text(encoding="utf-8").splitlines()
        return [
            span
            for line in lines
            for resource in json.loads(line)["resourceSpans"]
            for scope in resource["scopeSpans"]
            for span in scope["spans"]
        ]

    def test_spans_bear_the_time_of_their_entries(self, world: World) -> None:
        """Spans dated 1970 (monotonic clock as epoch)."""
        clock = ManualClock()
        world.given_task("T", "PLAN", clock=clock)

        for span in self.spans(world):
            for side in ("startTimeUnixNano", "endTimeUnixNano"):
                assert abs(int(span[side]) - clock.wall * 1_000) <= SECOND * 1_000

    def test_every_promised_span_is_written(self, world: World) -> None:
        """Promised spans never emitted."""
        task = world.given_task("T", "REVIEW")
        for _ in range(3):
            task.advance()

        names = {span["name"] for span in self.spans(world)}
        assert {"agent.state.transition", "agent.verify", "process.violation"} <= names

    def test_telemetry_that_cannot_be_written_says_so_and_changes_no_answer(self, world: World) -> None:
        """Write errors swallowed."""
        world.given_task("T")
        world.write("T", "STRATEGIZE")
        folder = world.root / "state" / "telemetry"
        if folder.exists():
            for file in folder.iterdir():
                file.unlink()
            folder.rmdir()
        folder.write_text("in the way", encoding="utf-8")

        assert world.run("advance", "T").status == 0
        reply = world.run("telemetry")
        assert reply.status == 2
        assert reply.codes


class CountingDisk(QuickDisk):
    """A disk that counts what is read."""

    def __init__(self) -> None:
        self.read_bytes = 0

    def read(self, fd: int, size: int, offset: int) -> bytes:
        data = super().read(fd, size, offset)
        self.read_bytes += len(data)
        return data


class FailingDisk(SystemDisk):
    """A disk on which, once armed, one kind of call fails."""

    def __init__(self, call: str) -> None:
        self.call = call
        self.armed = False

    def _fail(self, call: str) -> None:
        if self.armed and self.call == call:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def append(self, fd: int, data: bytes) -> None:
        self._fail("append")
        super().append(fd, data)

    def datasync(self, fd: int) -> None:
        self._fail("datasync")
        super().datasync(fd)

    def lock(self, fd: int) -> None:
        self._fail("lock")
        super().lock(fd)


def test_the_promised_figures_are_of_calls_that_reached_the_ledger(tmp_path: Path, world: World) -> None:
    """The "full transition" benchmark timed rejected calls: none reached the ledger. An answer given is on it."""
    task = world.given_task("T")
    world.write("T", "STRATEGIZE")
    for number in range(20):
        outcome = task.advance() if number % 2 == 0 else task.backtrack("STRATEGIZE", "Once more")
        assert outcome
        assert digest(b"\0" + world.lines()[outcome.seq]) == outcome.hash
