"""What went wrong with the ledger of the first implementation, one test for each defect, named by what happened."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from acceptance.doubles import CountingDisk, FailingDisk
from acceptance.world import ADA, BOB, GOOD, World, digest, plain_process, rewrite
from enforcer.errors import EnforcerError


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

    def test_a_torn_last_line_is_kept_cut_off_and_told_and_never_built_upon(self, worked: World) -> None:
        """Torn last line → the next start resets to genesis and appends onto the torn line; history returns nothing."""
        [segment] = worked.segments()
        whole = segment.read_bytes()
        start = whole.rindex(b"\n", 0, -1) + 1
        torn = whole[start:-20]
        segment.write_bytes(whole[:-20])
        assert any(finding["code"] == "torn_tail" for finding in worked.ask("verify").json["findings"])
        assert segment.read_bytes() == whole[:-20]

        worked.run("advance", "T")

        assert segment.read_bytes().startswith(whole[:start])
        [recovered] = [event["data"] for event in worked.events("ledger.recovered")]
        assert (recovered["kind"], recovered["offset"], recovered["size"]) == ("torn", start, len(torn))
        kept = worked.root / "state" / "ledger" / "quarantine" / recovered["quarantine"]
        assert kept.read_bytes() == torn
        assert worked.verdict() == "verified"

    def test_a_line_that_was_torn_in_the_middle_is_refused_with_its_position(self, worked: World) -> None:
        """Torn last line → the next start appends onto it. Behind such a line nothing was ever written honestly."""
        worked.forget_caches()
        [segment] = worked.segments()
        lines = segment.read_bytes().splitlines(keepends=True)
        damaged = b"".join((*lines[:2], lines[2][:-20], *lines[3:]))
        segment.write_bytes(damaged)

        reply = worked.run("advance", "T")

        assert reply.status == 2
        assert f"byte {len(b''.join(lines[:2]))}, entry 2" in reply.json["error"]["where"]
        assert segment.read_bytes() == damaged

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

    @pytest.mark.parametrize(
        "kind, changes",
        [("phase.advanced", {"to": "MONITOR"}), ("task.opened", {"phase": "MONITOR"}), ("task.opened", {"phase": "X"})],
    )
    def test_no_command_builds_on_a_line_that_was_never_decided(
        self, world: World, kind: str, changes: dict[str, str]
    ) -> None:
        """An illegal STRATEGIZE→MONITOR append is accepted. It chains, and still no command goes on from it."""
        world.given_task("T", "SPEC")
        lines = world.lines()
        [seq] = [at for at, line in enumerate(lines) if f'"type":"dev.enforcer.{kind}"'.encode() in line]
        put(world, rewrite(lines, seed(world), {seq: changes}))
        world.write("T", "MONITOR")
        forged = world.lines()

        for command in (["status"], ["status", "T"], ["explain", "T"], ["advance", "T"], ["log"], ["open", "U"]):
            reply = world.ask(*command)
            assert (reply.status, reply.codes) == (2, ["ledger_illegal"]), command
            assert f"entry {seq}" in reply.json["error"]["where"]
        assert world.guard("T", "Bash", command="curl https://example.org").status == 2
        assert world.lines() == forged
        assert world.ask("verify").json["legality"] == "tampered"

    def test_a_task_whose_process_is_nowhere_gives_a_clear_answer(self, world: World) -> None:
        """A forged opening may name a process that was never stored: no line of it can be judged, and none is used."""
        world.given_task("T")
        lines = world.lines()
        put(world, rewrite(lines, seed(world), {len(lines) - 1: {"digest": "1" * 64, "phase": "NOPE"}}))

        for command in ("status", "explain", "advance"):
            reply = world.ask(command, "T")
            assert (reply.status, reply.codes) == (2, ["object_missing"]), command
        assert world.ask("verify").status != 0

    @pytest.mark.parametrize("how", ["blanked", "deleted and done again", "padded"])
    def test_counted_refusals_are_sealed_by_content(self, world: World, how: str) -> None:
        """A count alone is kept by any lines of the same number."""
        task = world.given_task("T", "SPEC")
        for _ in range(16):
            task.advance(to="PR")
        world.write("T", "SPEC")
        task.advance().require()
        path = world.root / "state" / "refusals" / "T.jsonl"
        count = len(path.read_bytes().splitlines())
        assert count == 7
        if how == "padded":
            path.write_bytes(path.read_bytes() + b"\n" * 5000)
        else:
            path.write_bytes(b"\n" * count) if how == "blanked" else path.unlink()
        for _ in range(9 + count if how == "deleted and done again" else 0):
            task.advance(to="PR")
        world.write("T", "PLAN")
        task.advance().require()

        if how == "padded":
            assert "coalesced" not in world.events("phase.advanced", "T")[-1]["data"]["notes"]
            assert world.verdict() == "verified"
        else:
            assert world.verdict() == "tampered"

    def test_another_ledger_in_its_place_is_tampered_with(self, world: World, tmp_path: Path) -> None:
        """Another ledger, whole in itself, stands where the project's own one was."""
        world.given_task("T", "SPEC")
        other = World(tmp_path / "other", process=plain_process()).init()
        for name in ("ledger", "objects"):
            shutil.rmtree(world.root / "state" / name)
            shutil.copytree(other.root / "state" / name, world.root / "state" / name)

        assert world.ask("status").codes == ["ledger_replaced"]
        reply = world.ask("verify")
        assert (reply.status, reply.json["verdict"], reply.json["integrity"]) == (1, "tampered", "verified")
        assert [finding["code"] for finding in reply.json["findings"]] == ["ledger_replaced"]

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


def test_the_promised_figures_are_of_calls_that_reached_the_ledger(tmp_path: Path, world: World) -> None:
    """The "full transition" benchmark timed rejected calls: none reached the ledger. An answer given is on it."""
    task = world.given_task("T")
    world.write("T", "STRATEGIZE")
    for number in range(20):
        outcome = task.advance() if number % 2 == 0 else task.backtrack("STRATEGIZE", "Once more")
        assert outcome
        assert digest(b"\0" + world.lines()[outcome.seq]) == outcome.hash
