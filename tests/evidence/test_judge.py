"""The judge over a real evidence folder, a real object store and a real git repository."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from enforcer import policies
from enforcer.errors import DamagedError, UnavailableError
from enforcer.evidence import schema
from enforcer.evidence.folder import Folder
from enforcer.evidence.git import Repository
from enforcer.evidence.judge import Judge, Reading
from enforcer.evidence.objects import Objects
from enforcer.evidence.scaffold import scaffold
from enforcer.evidence.verdicts import MemoryVerdicts, StoredVerdicts
from enforcer.ledger.codec import canonical
from enforcer.ports import SystemClock, SystemDisk, SystemEntropy
from enforcer.workflow.events import Accepted
from enforcer.workflow.process import Approval, Artifact, Phase, Process, Rule
from enforcer.workflow.state import Run, TaskState, Word
from tests.evidence.repositories import Work, find

ATTEMPT = "0123456789abcdef0123456789abcdef"
CASES = Path(__file__).parent / "cases" / "honest"


class Bench:
    """A project in its second attempt at everything, with helpers to hand in evidence and to ask the judge."""

    def __init__(self, top: Path, process: str = "default") -> None:
        self.top = top
        loaded = policies.load(process, root=str(top))
        self.process: Process = loaded.process
        self.folder = Folder(f"{top}/state/evidence")
        self.objects = Objects(f"{top}/state/objects", SystemDisk(), SystemEntropy())
        (top / "state/evidence").mkdir(parents=True)
        self.objects.put_many(loaded.objects)
        self.schema_calls = 0
        self.git_calls = 0
        self.verdicts: Any = MemoryVerdicts()
        self.state = TaskState(
            task="T-1",
            title="",
            process=process,
            digest=loaded.digest,
            base="",
            phase="STRATEGIZE",
            attempt_id=ATTEMPT,
            opened="",
            held={"IMPLEMENT": ("ann",)},
        )
        self.judge = self.new_judge()

    def new_judge(self) -> Judge:
        return Judge(
            self.folder,
            self.objects,
            self.verdicts,
            schema_faults=self._faults,
            repository=self._repository,
            excluded=("state",),
            clock=SystemClock(),
        )

    def _faults(self, document: bytes, value: Any) -> tuple[str, ...]:
        self.schema_calls += 1
        return schema.faults(document, value)

    def _repository(self) -> Repository | None:
        self.git_calls += 1
        return Repository.find(str(self.top))

    def put(self, phase: str, name: str, data: bytes | str | dict) -> str:
        if isinstance(data, dict):
            data = json.dumps(data)
        data = data.encode() if isinstance(data, str) else data
        self.folder.write("T-1", phase, name, data)
        return hashlib.sha256(data).hexdigest()

    def accept(self, phase: str, name: str, data: bytes | str | dict) -> Accepted:
        """Hand in a file and take it as accepted."""
        digest = self.put(phase, name, data)
        one = Accepted(name, digest, 1)
        self.state = self.state.replace(
            accepted={**self.state.accepted, phase: (*self.state.accepted.get(phase, ()), one)},
            walked=tuple(dict.fromkeys((*self.state.walked, phase))),
        )
        return one

    def ask(self, phase: str, actor: str = "bob") -> Reading:
        self.state = self.state.replace(phase=phase)
        return self.judge.observe(self.state, self.process, actor)

    def refused(self, phase: str, actor: str = "bob") -> dict[str, str]:
        """The rules that would refuse now, with their codes; a missing file under its own name."""
        facts = self.ask(phase, actor).facts
        found = {problem.artifact: problem.code for problem in facts.problems}
        return found | {
            one.rule: one.refusals[0].code for one in facts.verdicts if one.refusals and one.mode == "enforce"
        }


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def honest(phase: str, name: str) -> bytes:
    return next(iter(sorted((CASES / phase.lower() / name).glob("plain.*")))).read_bytes()


def test_a_missing_file_is_a_problem_and_an_honest_one_is_not(bench: Bench) -> None:
    assert bench.refused("STRATEGIZE") == {"strategy.md": "evidence_missing"}
    digest = bench.put("STRATEGIZE", "strategy.md", honest("STRATEGIZE", "strategy.md"))
    reading = bench.ask("STRATEGIZE")
    assert bench.refused("STRATEGIZE") == {}
    assert reading.files["strategy.md"].digest == digest == reading.facts.files[0].digest
    assert reading.facts.attempt_id == ATTEMPT
    assert {one.rule for one in reading.facts.verdicts} == {
        "format",
        "scaffold",
        "strategy-sections",
        "strategy-written",
    }


def test_the_bytes_handed_on_are_the_bytes_that_were_judged(bench: Bench) -> None:
    data = honest("STRATEGIZE", "strategy.md")
    bench.put("STRATEGIZE", "strategy.md", data)
    assert bench.ask("STRATEGIZE").files["strategy.md"].data == data


@pytest.mark.parametrize("name", ["default", "lean"])
def test_an_untouched_form_is_refused_in_every_phase(name: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path, name)
    for phase, artifact in bench.process.artifacts():
        for attempt, actor in ((ATTEMPT, "bob"), ("f" * 32, "somebody-else")):
            bench.put(phase.name, artifact.name, scaffold(artifact, attempt, actor))
            facts = bench.ask(phase.name).facts
            refusing = {one.rule for one in facts.verdicts if one.refusals and one.artifact == artifact.name}
            assert "scaffold" in refusing, artifact.name


def test_a_form_stays_untouched_however_its_lines_end(bench: Bench) -> None:
    artifact = bench.process.phase("SPEC").artifacts[0]
    form = scaffold(artifact, ATTEMPT, "bob")
    for data in (form.replace(b"\n", b"\r\n"), form + b"\n\n", form.replace(b"\n\n", b"\n")):
        bench.put("SPEC", "spec.md", data)
        assert "scaffold" in bench.refused("SPEC")


def test_what_a_schema_says_is_a_refusal_with_its_path(bench: Bench) -> None:
    bench.put("MONITOR", "deployment_status.json", {"attempt_id": ATTEMPT, "status": "fine", "version": "1"})
    refusals = [one for verdict in bench.ask("MONITOR").facts.verdicts for one in verdict.refusals]
    (found,) = [one for one in refusals if "schema" in one.message]
    assert found.message.startswith("deployment_status.json does not keep to its schema at $.status")
    assert (found.code, found.phase, found.artifact) == ("evidence_invalid", "MONITOR", "deployment_status.json")
    assert found.fix


def test_nothing_is_judged_twice_by_itself_and_a_changed_byte_is_judged_anew(bench: Bench) -> None:
    report = {"total": 1, "passed": 1, "failed": 0, "errors": 0, "skipped": 0}
    bench.put("VERIFY", "test_results.json", report)
    first = bench.ask("VERIFY").facts
    assert bench.schema_calls == 1
    assert bench.ask("VERIFY").facts == first
    assert bench.schema_calls == 1
    bench.put("VERIFY", "test_results.json", {**report, "failed": 1})
    assert bench.refused("VERIFY")["tests-none-failed"] == "evidence_invalid"
    assert bench.schema_calls == 2


def test_a_rule_that_changed_is_asked_anew(bench: Bench) -> None:
    bench.put("REVIEW", "code_quality_score.json", {"attempt_id": ATTEMPT, "diff_digest": "9" * 64, "score": 75})
    assert "quality-score" not in bench.refused("REVIEW")
    strict = tuple(
        phase.replace(
            rules=tuple(
                rule.replace(params={"field": "score", "value": 80}) if rule.id == "quality-score" else rule
                for rule in phase.rules
            )
        )
        for phase in bench.process.phases
    )
    bench.process = bench.process.replace(phases=strict)
    assert bench.refused("REVIEW")["quality-score"] == "evidence_invalid"


def test_a_rule_of_mode_observe_is_told_and_one_that_is_off_is_not_asked(bench: Bench) -> None:
    def mode(name: str) -> set[str]:
        phases = tuple(
            phase.replace(rules=tuple(rule.replace(mode=name) for rule in phase.rules))
            for phase in bench.process.phases
        )
        facts = bench.judge.observe(bench.state, bench.process.replace(phases=phases), "bob").facts
        return {f"{one.rule} {one.mode}" for one in facts.verdicts if one.refusals}

    bench.put("STRATEGIZE", "strategy.md", "## Problem\n\nTBD\n")
    assert mode("observe") == {"strategy-sections observe", "strategy-written observe"}
    assert mode("off") == set()


def test_a_rule_that_this_release_does_not_know_is_no_yes(bench: Bench) -> None:
    bench.put("STRATEGIZE", "strategy.md", honest("STRATEGIZE", "strategy.md"))
    for changes in ({"version": 99}, {"kind": "vibes"}):
        phases = tuple(
            phase.replace(rules=tuple(rule.replace(**changes) for rule in phase.rules))
            for phase in bench.process.phases
        )
        facts = bench.judge.observe(bench.state, bench.process.replace(phases=phases), "bob").facts
        assert {one.rule for one in facts.verdicts if one.refusals} == {"strategy-sections", "strategy-written"}


def test_a_file_that_cannot_be_read_gets_no_further(bench: Bench) -> None:
    bench.put("VERIFY", "test_results.json", b'{"total": 1, "total": 2}')
    found = bench.refused("VERIFY")
    assert found["format"] == "evidence_invalid"
    assert "schema" not in found
    assert bench.schema_calls == 0
    bench.put("STRATEGIZE", "strategy.md", b"\xff")
    assert bench.refused("STRATEGIZE") == {"format": "evidence_invalid"}


def test_an_unsafe_file_is_refused_even_where_none_is_required(bench: Bench) -> None:
    def optional(phase: Any) -> Any:
        return phase.replace(artifacts=tuple(one.replace(required=False) for one in phase.artifacts))

    bench.process = bench.process.replace(phases=tuple(map(optional, bench.process.phases)))
    assert bench.refused("STRATEGIZE") == {}
    folder = bench.top / "state/evidence/T-1/strategize"
    folder.mkdir(parents=True)
    (folder / "strategy.md").symlink_to("/etc/hostname")
    assert bench.refused("STRATEGIZE") == {"strategy.md": "evidence_unsafe"}


def test_what_stands_below_is_told_as_it_is_now(bench: Bench) -> None:
    one = bench.accept("STRATEGIZE", "strategy.md", "as accepted")
    assert bench.ask("SPEC").facts.standing == {"STRATEGIZE/strategy.md": one.digest}
    changed = bench.put("STRATEGIZE", "strategy.md", "changed")
    assert bench.ask("SPEC").facts.standing == {"STRATEGIZE/strategy.md": changed}
    path = bench.top / "state/evidence/T-1/strategize/strategy.md"
    path.unlink()
    assert bench.ask("SPEC").facts.standing == {"STRATEGIZE/strategy.md": ""}
    path.symlink_to("/etc/hostname")
    assert bench.ask("SPEC").facts.standing == {"STRATEGIZE/strategy.md": ""}


def test_a_review_is_bound_to_attempt_diff_and_reviewer(bench: Bench) -> None:
    diff = bench.accept("IMPLEMENT", "git_diff.patch", "diff --git a/x b/x\n")
    rubric = json.loads(honest("REVIEW", "review_rubric.json"))
    rubric |= {"attempt_id": ATTEMPT, "diff_digest": diff.digest, "reviewer": "bob"}
    bench.put("REVIEW", "review_rubric.json", rubric)
    bench.put("REVIEW", "code_quality_score.json", {"attempt_id": ATTEMPT, "diff_digest": diff.digest, "score": 90})
    assert bench.refused("REVIEW") == {}
    assert bench.ask("REVIEW").facts.labels == ("declared: reviewer",)
    assert bench.refused("REVIEW", "ann") == {"review-reviewer": "evidence_invalid"}
    bench.put("REVIEW", "review_rubric.json", {**rubric, "reviewer": "ann"})
    assert bench.refused("REVIEW", "ann/2") == {"review-reviewer": "reviewer_is_author"}
    bench.process = bench.process.replace(self_review=True)
    assert bench.refused("REVIEW", "ann/2") == {}
    assert "self-review" in bench.ask("REVIEW", "ann/2").facts.labels
    bench.put("REVIEW", "review_rubric.json", {**rubric, "attempt_id": "f" * 32, "diff_digest": "1" * 64})
    assert bench.refused("REVIEW") == {"review-attempt": "evidence_stale", "review-bound": "evidence_stale"}


def test_what_is_only_claimed_is_labelled(bench: Bench) -> None:
    bench.put("VERIFY", "build_output.log", "exit status: 0\n")
    facts = bench.ask("VERIFY").facts
    assert facts.labels == ("claimed: build_output.log",)
    (observed,) = [one for one in facts.verdicts if one.rule == "build-observed"]
    assert [one.code for one in observed.refusals] == ["evidence_unobserved"]
    assert observed.mode == "enforce"
    assert [one.origin for one in facts.files] == ["claimed"]


def test_git_is_asked_only_where_a_rule_needs_it_and_its_absence_is_told_with_the_fix(bench: Bench) -> None:
    bench.put("STRATEGIZE", "strategy.md", honest("STRATEGIZE", "strategy.md"))
    bench.ask("STRATEGIZE")
    assert bench.git_calls == 0
    bench.put("IMPLEMENT", "git_diff.patch", "diff --git a/x b/x\n")
    refusals = [one for verdict in bench.ask("IMPLEMENT").facts.verdicts for one in verdict.refusals]
    assert bench.git_calls == 1
    assert [one.code for one in refusals] == ["evidence_invalid"]
    assert "git init" in refusals[0].fix


def test_a_change_is_walked_from_diff_to_commit(bench: Bench) -> None:
    work = Work(bench.top)
    work.write(".gitignore", "*.pyc\n")
    work.write("a.py", "one = 1\n")
    work.write("state/.gitignore", "*\n")
    work.git("add", "-A")
    work.git("commit", "-qm", "base")
    bench.state = bench.state.replace(base=work.git("rev-parse", "HEAD"))
    bench.accept("PLAN", "file_map.json", {"files": [{"path": "a.py", "action": "modify", "why": "it is wrong"}]})

    bench.put("IMPLEMENT", "git_diff.patch", "diff --git a/a.py b/a.py\n")
    bench.put("IMPLEMENT", "modified_files.json", {"files": ["a.py"]})
    assert bench.refused("IMPLEMENT")["diff-current"] == "evidence_invalid"

    work.write("a.py", "one = 2\n")
    work.write("new file.txt", "neu: größer\n")
    work.git("add", "-AN")
    diff = work.git_bytes("diff", "--binary", "--no-renames", bench.state.base)
    bench.put("IMPLEMENT", "git_diff.patch", diff)
    assert bench.refused("IMPLEMENT") == {"files-current": "evidence_stale"}
    bench.put("IMPLEMENT", "modified_files.json", {"files": ["a.py", "new file.txt"]})
    assert bench.refused("IMPLEMENT") == {"files-planned": "evidence_invalid"}
    deviations = [{"path": "new file.txt", "reason": "The change needs it."}]
    bench.put("IMPLEMENT", "modified_files.json", {"files": ["a.py", "new file.txt"], "deviations": deviations})
    assert bench.refused("IMPLEMENT") == {}
    reading = bench.ask("IMPLEMENT")
    assert reading.git_us > 0
    assert reading.facts.tree
    work.write("a.py", "one = 3\n")
    assert bench.refused("IMPLEMENT") == {"diff-current": "evidence_stale"}
    refusals = [one for verdict in bench.ask("IMPLEMENT").facts.verdicts for one in verdict.refusals]
    assert bench.state.base in refusals[0].fix
    assert bench.ask("IMPLEMENT").facts.tree == ""
    work.write("a.py", "one = 2\n")

    bench.state = bench.state.replace(tree=reading.facts.tree, commit=reading.facts.commit)
    ci = json.loads(honest("PR", "ci_results.json")) | {"attempt_id": ATTEMPT}
    bench.put("PR", "pr_url.txt", honest("PR", "pr_url.txt"))
    bench.put("PR", "pr_template_filled.md", honest("PR", "pr_template_filled.md"))
    bench.put("PR", "ci_results.json", {**ci, "commit": bench.state.base})
    assert bench.refused("PR") == {"ci-commit": "evidence_stale"}
    work.git("add", "-A")
    work.git("commit", "-qm", "change")
    assert bench.refused("PR") == {"ci-commit": "evidence_stale"}
    bench.put("PR", "ci_results.json", {**ci, "commit": work.git("rev-parse", "HEAD")})
    assert bench.refused("PR") == {}
    facts = bench.ask("PR").facts
    assert (facts.tree, facts.commit) == (reading.facts.tree, work.git("rev-parse", "HEAD"))
    work.write("left-behind.txt", "not part of the commit\n")
    assert bench.refused("PR") == {}
    work.git("add", "-A")
    work.git("commit", "-qm", "slipped in after the review")
    bench.put("PR", "ci_results.json", {**ci, "commit": work.git("rev-parse", "HEAD")})
    assert bench.refused("PR") == {"ci-commit": "evidence_stale"}


# Runs -----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def work(bench: Bench) -> Work:
    """The bench's project under git, with one change since the task's base."""
    work = Work(bench.top)
    work.write("state/.gitignore", "*\n")
    work.write("a.py", "one = 1\n")
    bench.state = bench.state.replace(base=work.commit("base"))
    work.write("a.py", "one = 2\n")
    return work


def saw(bench: Bench, name: str, digest: str, /, **changes: Any) -> None:
    """Take it as seen by a run that Enforcer made just now."""
    with find(bench.top) as repository:
        now = repository.observe(bench.state.base, ("state",))
    observation = bench.objects.put(canonical({"contents": sorted([list(pair) for pair in now.contents.items()])}))
    run = Run(5, ATTEMPT, digest, now.tree, observation, True).replace(**changes)
    bench.state = bench.state.replace(runs={**bench.state.runs, name: run})


def test_what_a_run_made_is_observed_and_bound_to_the_files_that_it_saw(bench: Bench, work: Work) -> None:
    log = bench.put("VERIFY", "build_output.log", "exit status: 0\n")
    saw(bench, "VERIFY/build_output.log", log)

    facts = bench.ask("VERIFY").facts

    assert "build-observed" not in bench.refused("VERIFY")
    assert [one.origin for one in facts.files] == ["observed"]
    assert facts.labels == ()
    assert facts.tree == bench.state.runs["VERIFY/build_output.log"].tree


def test_an_edit_after_the_run_names_the_files_and_a_commit_of_the_same_content_keeps_it(
    bench: Bench, work: Work
) -> None:
    saw(bench, "VERIFY/build_output.log", bench.put("VERIFY", "build_output.log", "exit status: 0\n"))
    work.commit("the same content")
    assert "build-observed" not in bench.refused("VERIFY")

    work.write("a.py", "one = 3\n")
    work.write("new.py")

    told = next(one for one in bench.ask("VERIFY").facts.verdicts if one.rule == "build-observed").refusals
    assert [one.code for one in told] == ["evidence_stale"] * 2
    assert [one.message for one in told] == [
        f"build_output.log was observed before {path!r} was changed." for path in ("a.py", "new.py")
    ]
    assert bench.ask("VERIFY").facts.tree == ""


def test_an_edit_is_told_though_the_record_of_the_run_is_gone(bench: Bench, work: Work) -> None:
    log = bench.put("VERIFY", "build_output.log", "exit status: 0\n")
    saw(bench, "VERIFY/build_output.log", log, observation="0" * 64)
    work.write("a.py", "one = 3\n")

    assert bench.refused("VERIFY")["build-observed"] == "evidence_stale"


@pytest.mark.parametrize(
    "changes, code",
    [
        ({"attempt_id": "f" * 32}, "evidence_stale"),
        ({"digest": "0" * 64}, "evidence_unobserved"),
        ({"configured": False}, "evidence_unobserved"),
    ],
    ids=["another attempt", "other bytes", "another command"],
)
def test_a_run_that_does_not_count_makes_nothing_observed(
    bench: Bench, work: Work, changes: dict[str, Any], code: str
) -> None:
    log = bench.put("VERIFY", "build_output.log", "exit status: 0\n")
    saw(bench, "VERIFY/build_output.log", log, **changes)

    assert bench.refused("VERIFY")["build-observed"] == code
    facts = bench.ask("VERIFY").facts
    assert [one.origin for one in facts.files] == ["claimed"]
    assert facts.labels == ("claimed: build_output.log",)


def test_where_a_commit_is_asked_for_as_well_the_files_that_were_seen_are_what_counts(bench: Bench, work: Work) -> None:
    rules = (Rule("seen", "observed", "ci.json"), Rule("commit", "commit", "ci.json"))
    bench.process = Process("both", (Phase("CHECK", (Artifact("ci.json", "json"),), rules),))
    head = work.commit("reviewed")
    with find(bench.top) as repository:
        bound = repository.tree_of(head, ("state",))
    bench.state = bench.state.replace(tree=bound)
    work.write("left-behind.txt")
    saw(bench, "CHECK/ci.json", bench.put("CHECK", "ci.json", {"commit": head}))

    assert bench.refused("CHECK") == {}
    assert bench.ask("CHECK").facts.tree == bench.state.runs["CHECK/ci.json"].tree != bound


# Risk classes and approvals -------------------------------------------------------------------------------------------


def test_a_change_of_a_risk_class_is_asked_for_more_and_another_is_not(bench: Bench, work: Work) -> None:
    assert "rollback_plan.md" not in bench.refused("PR")
    assert bench.ask("PR").facts.risks == ()

    work.write("migrations/0002_drop.py")

    assert bench.refused("PR")["rollback_plan.md"] == "evidence_missing"
    facts = bench.ask("PR").facts
    assert facts.risks == ("migrations",)
    assert "risk: migrations" in facts.labels
    bench.put("PR", "rollback_plan.md", "## Trigger\n\n")
    assert bench.refused("PR")["rollback-sections"] == "evidence_invalid"


def test_a_risk_that_was_seen_before_stays_one_though_the_files_were_put_back(bench: Bench, work: Work) -> None:
    """What is merged is the commit; the working files are whatever somebody left there."""
    bench.state = bench.state.replace(risks={"IMPLEMENT": ("ci", "money")})

    assert bench.ask("PR").facts.risks == ("ci",)
    assert bench.refused("PR")["rollback_plan.md"] == "evidence_missing"


def test_risks_are_looked_for_where_the_change_is_made(bench: Bench, work: Work) -> None:
    work.write(".github/workflows/ci.yml")
    note = Rule("note", "url", "note.txt")
    phases = tuple(
        Phase(name, (Artifact("note.txt", "text"),), (note,), approvals=approvals)
        for name, approvals in (("SPEC", ()), ("IMPLEMENT", ()), ("PR", (Approval(risks=("ci",)),)))
    )
    bench.process = Process("short", phases, risks={"ci": (".github/**",)})

    assert bench.ask("IMPLEMENT").facts.risks == ("ci",)
    bench.git_calls = 0
    assert bench.ask("SPEC").facts.risks == ()
    assert bench.git_calls == 0


def test_a_change_that_nobody_can_tell_is_risky_in_every_way(bench: Bench) -> None:
    assert bench.ask("PR").facts.risks == ("ci", "configuration", "migrations", "secrets", "tests")
    assert bench.refused("PR")["rollback_plan.md"] == "evidence_missing"
    assert bench.ask("SPEC").facts.risks == ()


def test_the_working_files_are_named_where_somebody_has_to_approve_or_has_spoken(bench: Bench, work: Work) -> None:
    with find(bench.top) as repository:
        tree = repository.observe(bench.state.base, ("state",)).tree
    assert bench.ask("SPEC").facts.working == ""

    bench.state = bench.state.replace(words={"0" * 32: Word("reject", 3, "zoe", 9, True)})
    assert bench.ask("SPEC").facts.working == tree
    bench.state = bench.state.replace(words={})
    phases = tuple(one.replace(approvals=(Approval(),)) if one.name == "SPEC" else one for one in bench.process.phases)
    bench.process = bench.process.replace(phases=phases)
    assert bench.ask("SPEC").facts.working == tree


def test_the_plan_is_read_as_it_was_accepted_though_the_file_is_gone(bench: Bench) -> None:
    planned = json.dumps({"files": [{"path": "a.py", "action": "modify", "why": "it is wrong"}]}).encode()
    bench.accept("PLAN", "file_map.json", planned)
    bench.put("PLAN", "file_map.json", {"files": [{"path": "b.py", "action": "modify", "why": "slipped in"}]})
    bench.put("IMPLEMENT", "modified_files.json", {"files": ["b.py"]})
    assert bench.refused("IMPLEMENT")["files-planned"] == "evidence_invalid"
    bench.objects.put(planned)
    (refusal,) = next(one for one in bench.ask("IMPLEMENT").facts.verdicts if one.rule == "files-planned").refusals
    assert "'b.py'" in refusal.message


def test_a_stored_schema_that_is_gone_or_damaged_is_no_answer(bench: Bench) -> None:
    bench.put("MONITOR", "deployment_status.json", honest("MONITOR", "deployment_status.json"))
    digest = next(
        one.schema for one in bench.process.phase("MONITOR").artifacts if one.name == "deployment_status.json"
    )
    path = bench.top / "state/objects" / digest[:2] / digest[2:]
    path.chmod(0o644)
    path.write_bytes(b"{}")
    with pytest.raises(DamagedError):
        bench.ask("MONITOR")
    path.unlink()
    with pytest.raises(UnavailableError):
        bench.ask("MONITOR")


class _Cache(dict[str, bytes]):
    def get(self, name: str) -> bytes | None:  # type: ignore[override]
        return super().get(name)

    def put(self, name: str, content: bytes) -> None:
        self[name] = content


def test_verdicts_outlive_the_process_once_they_are_flushed(bench: Bench) -> None:
    cache = _Cache()
    bench.put("VERIFY", "test_results.json", {"total": 1, "passed": 0, "failed": 1, "errors": 0, "skipped": 0})
    bench.verdicts = StoredVerdicts(cache)
    bench.judge = bench.new_judge()
    first = bench.ask("VERIFY").facts
    assert not cache
    bench.verdicts.flush()
    assert len(cache) == 1
    bench.verdicts = StoredVerdicts(cache)
    bench.judge = bench.new_judge()
    bench.schema_calls = 0
    assert bench.ask("VERIFY").facts == first
    assert bench.schema_calls == 0
    bench.verdicts.flush()


def test_verdicts_are_kept_for_a_bounded_number_of_artifacts() -> None:
    verdicts = MemoryVerdicts(limit=2)
    for artifact in ("a", "b", "c"):
        verdicts.put(artifact, "rule", ())
    assert verdicts.get("a", "rule") is None
    assert verdicts.get("c", "rule") == ()
    assert verdicts.get("c", "other") is None
