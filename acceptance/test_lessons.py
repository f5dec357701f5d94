"""What went wrong around the ledger of the first implementation, one test for each defect, named by what happened."""

from __future__ import annotations

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

from acceptance import runner
from acceptance.doubles import SECOND, FailingDisk, ManualClock
from acceptance.model import PHASES
from acceptance.walks import Walk
from acceptance.world import ADA, BAD, BOB, World, codes, digest
from enforcer.errors import EnforcerError


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
        log = "compiled 12 files: 0 errors, 0 warnings\n51 tests: 51 passed, 0 failed, no FAILURES\n"
        (repository.root / runner.BANNER).write_text(log, encoding="utf-8")
        walk = Walk(repository, "T", seed=5).to("VERIFY")
        walk.write()

        assert log in repository.evidence("T", "VERIFY", "build_output.log").read_text(encoding="utf-8")
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
        shutil.rmtree(repository.root / "tests")
        tests = "".join(f"def test_{number}():\n    assert {number} < 0\n\n\n" for number in range(10))
        (repository.root / "tests").mkdir()
        (repository.root / "tests" / "test_ten.py").write_text(tests, encoding="utf-8")
        walk = Walk(repository, "T", seed=5).to("VERIFY")
        walk.write()

        results = json.loads(repository.evidence("T", "VERIFY", "test_results.json").read_bytes())
        assert (results["failed"], results["errors"]) == (10, 0)
        refused = walk.task.advance().refusals
        assert {(one.code, one.artifact) for one in refused} >= {("evidence_invalid", "test_results.json")}
        assert {one.code for one in refused} == {"evidence_invalid"}

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
        task = world.given_task("T", "VERIFY")
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
