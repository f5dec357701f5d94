"""Evidence without a ledger: what a process would say, of honest folders and of hostile ones."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from enforcer.errors import RequestError
from enforcer.evidence import schema
from enforcer.evidence.audit import AuditReport, Finding
from enforcer.evidence.unledgered import audit_folder
from enforcer.workflow.process import Artifact, Phase, Process, Rule

NOTE = b"## Findings\n\nThe parser drops the last field of a record.\n"
BARE = b"## Findings\n\nTODO\n"
MAP = json.dumps({"files": [{"path": "a.py"}]}).encode()
FILES = json.dumps({"files": ["a.py"]}).encode()
SCHEMA = json.dumps({"type": "object", "required": ["files"]}).encode()

NAMES = {"SPEC": ("note.md", "map.json"), "WORK": ("files.json",), "REVIEW": ("review.json",)}


def a_process(**rules: Rule) -> Process:
    """A note and a map; files held against the map; a review; `rules` are more over the note."""
    note = Rule("sections", "sections", "note.md", params={"headings": ("Findings",), "words": 3})
    return Process(
        "short",
        (
            Phase("SPEC", (Artifact("note.md", "markdown"), Artifact("map.json", "json")), (note, *rules.values())),
            Phase(
                "WORK",
                (Artifact("files.json", "json", schema="s"), Artifact("more.md", "markdown", required=False)),
                (Rule("planned", "planned", "files.json", params={"map": "SPEC/map.json", "words": 2}),),
            ),
            Phase(
                "REVIEW",
                (Artifact("review.json", "json"),),
                (
                    Rule("bound", "bound", "review.json", params={"field": "files", "to": "WORK/files.json"}),
                    Rule("attempt", "attempt", "review.json"),
                    Rule("who", "reviewer", "review.json"),
                    Rule("tree", "tree", "review.json", mode="observe"),
                    Rule("seen", "observed", "review.json", mode="observe"),
                ),
            ),
        ),
    )


class Case:
    """A folder of evidence, and the process that it is put to."""

    def __init__(self, root: Path) -> None:
        self.root = root / "evidence"
        self.root.mkdir()
        self.process = a_process()

    def put(self, task: str, phase: str, name: str, data: bytes) -> Path:
        path = self.root / task / phase.lower() / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def given(self, task: str = "T", **changed: bytes) -> None:
        """SPEC and WORK, as they would pass."""
        files = {"note": ("SPEC", "note.md", NOTE), "map": ("SPEC", "map.json", MAP)}
        files["files"] = ("WORK", "files.json", FILES)
        for key, (phase, name, data) in files.items():
            self.put(task, phase, name, changed.get(key, data))

    def audit(self, task: str | None = None, schemas: Mapping[str, bytes] | None = None) -> AuditReport:
        given = schemas or {"s": SCHEMA}
        return audit_folder(str(self.root), self.process, given, schema_faults=schema.faults, task=task)


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def only(report: AuditReport) -> Finding:
    [finding] = report.findings
    return finding


def test_evidence_that_would_pass_is_clean_as_far_as_it_goes(case: Case) -> None:
    case.given()
    report = case.audit()
    assert (report.verdict, report.tasks, report.artifacts, report.findings) == ("clean", 1, 3, ())
    [course] = report.courses
    assert (course.task, course.passed, course.refused, course.absent) == ("T", ("SPEC", "WORK"), (), ("REVIEW",))


def test_what_only_some_changes_need_may_be_missing_where_nothing_says_what_changed(case: Case) -> None:
    first, *others = case.process.phases
    risky = Artifact("rollback.md", "markdown", risks=("migrations",))
    case.process = case.process.replace(
        phases=(first.replace(artifacts=(*first.artifacts, risky)), *others), risks={"migrations": ("*.sql",)}
    )
    case.given()

    report = case.audit()

    assert (report.verdict, report.findings) == ("clean", ())
    assert [(one.artifact, one.kind) for one in report.unjudged] == [("rollback.md", "risks")]
    assert report.courses[0].partly == ("SPEC",)


def test_every_refusal_of_every_phase_is_found(case: Case) -> None:
    case.given(note=BARE, files=b'{"files": ["a.py", "b.py"]}')
    case.given("U", map=b"{")
    report = case.audit()
    assert [(one.task, one.phase, one.artifact, one.code) for one in report.findings] == [
        ("T", "SPEC", "note.md", "evidence_invalid"),
        ("T", "WORK", "files.json", "evidence_invalid"),
        ("U", "SPEC", "map.json", "evidence_invalid"),
        ("U", "WORK", "files.json", "evidence_invalid"),
    ]
    assert report.exit_status == 1
    assert report.courses[0].refused == ("SPEC", "WORK")


def test_a_schema_is_asked(case: Case) -> None:
    case.given(files=b'{"file": []}')
    assert "schema" in only(case.audit()).message


def test_a_phase_that_was_left_out_is_refused(case: Case) -> None:
    case.put("T", "WORK", "files.json", FILES)
    report = case.audit()
    assert {(one.phase, one.artifact) for one in report.findings if one.code == "evidence_missing"} == {
        ("SPEC", "note.md"),
        ("SPEC", "map.json"),
    }
    missing = report.findings[0]
    assert str(case.root) in missing.message
    assert "state/evidence" not in missing.message + missing.fix
    assert report.courses[0].refused == ("SPEC", "WORK")


def test_a_task_with_nothing_in_it_is_refused_in_the_first_phase(case: Case) -> None:
    (case.root / "T").mkdir()
    report = case.audit()
    assert report.courses[0].refused == ("SPEC",)
    assert report.courses[0].absent == ("WORK", "REVIEW")
    assert report.exit_status == 1


def test_what_only_a_ledger_or_git_could_tell_is_said_not_to_be_judged(case: Case) -> None:
    case.given()
    digest = hashlib.sha256(FILES).hexdigest()
    case.put("T", "REVIEW", "review.json", json.dumps({"files": digest}).encode())
    report = case.audit()
    assert {(one.rule, one.kind, one.count) for one in report.unjudged} == {
        ("attempt", "attempt", 1),
        ("who", "reviewer", 1),
        ("tree", "tree", 1),
        ("seen", "observed", 1),
    }
    assert report.courses[0].partly == ("REVIEW",)
    assert report.courses[0].passed == ("SPEC", "WORK")
    assert report.findings == ()


def test_later_phases_are_held_against_the_files_of_earlier_ones(case: Case) -> None:
    case.given()
    case.put("T", "REVIEW", "review.json", b'{"files": "0"}')
    assert [one.code for one in case.audit().findings if one.level == "violation"] == ["evidence_stale"]


def test_without_any_task_there_is_no_answer(case: Case) -> None:
    assert (case.audit().verdict, only(case.audit()).code) == ("unverifiable", "no_evidence")
    for name in ("T", "..", "../evidence", "\x1b[2J"):
        with pytest.raises(RequestError) as refused:
            case.audit(name)
        assert refused.value.code == "no_evidence"
        assert refused.value.message.isprintable()
    case.root.rmdir()
    with pytest.raises(RequestError):
        case.audit()


def test_one_task_can_be_asked_for(case: Case) -> None:
    case.given()
    case.given("U", note=BARE)
    assert case.audit("T").verdict == "clean"
    assert case.audit("U").verdict == "violated"


def test_what_the_process_does_not_ask_for_is_noted(case: Case) -> None:
    case.given()
    case.put("T", "SPEC", "more.txt", b"")
    case.put("T", "EXTRA", "note.md", b"")
    (case.root / "stray").write_bytes(b"")
    report = case.audit()
    assert report.verdict == "clean"
    assert {(one.artifact, one.code, one.level) for one in report.findings} == {
        ("more.txt", "evidence_unasked", "note"),
        ("extra", "evidence_unasked", "note"),
        ("stray", "evidence_unasked", "note"),
    }


@pytest.mark.parametrize("kind", ["link", "hard link", "pipe", "folder", "huge"])
def test_what_may_not_be_read_is_refused(case: Case, tmp_path: Path, kind: str) -> None:
    case.given()
    path = case.root / "T" / "spec" / "note.md"
    path.unlink()
    (tmp_path / "outside").write_bytes(NOTE)
    if kind == "link":
        path.symlink_to(tmp_path / "outside")
    elif kind == "hard link":
        os.link(tmp_path / "outside", path)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.touch()
        os.truncate(path, 1 << 40)
    report = case.audit()
    assert {(one.phase, one.artifact, one.code) for one in report.findings} == {("SPEC", "note.md", "evidence_unsafe")}
    assert report.exit_status == 1


def test_a_task_or_phase_that_is_a_link_is_not_followed(case: Case, tmp_path: Path) -> None:
    case.given()
    case.root.joinpath("T").rename(tmp_path / "T")
    case.root.joinpath("T").symlink_to(tmp_path / "T")
    assert {one.code for one in case.audit().findings} == {"evidence_unsafe", "no_evidence"}
    case.given("U")
    case.root.joinpath("U", "spec").rename(tmp_path / "spec")
    case.root.joinpath("U", "spec").symlink_to(tmp_path / "spec")
    found = [one for one in case.audit().findings if one.task == "U"]
    assert {one.code for one in found if one.level == "violation"} >= {"evidence_unsafe"}
    assert case.audit().courses[0].refused[0] == "SPEC"


@pytest.mark.parametrize(
    "data",
    [b'{"files": NaN}', b'{"files": 1e999}', b'{"a": 1, "a": 2}', b'{"a": "\\ud800"}', b"[" * 9000, b"\xff", b""],
)
def test_bad_json_is_refused_as_at_the_gate(case: Case, data: bytes) -> None:
    case.given(map=data)
    assert ("map.json", "evidence_invalid") in {(one.artifact, one.code) for one in case.audit().findings}


def test_names_and_contents_are_shown_fit_for_a_terminal(case: Case) -> None:
    case.given(files=json.dumps({"files": ["\x1b[2Jx\u202e"]}).encode())
    case.put("T", "SPEC", "\x1b[2J", b"")
    (case.root / "a\u202eb").mkdir()
    (case.root / os.fsdecode(b"\xff")).write_bytes(b"")
    report = case.audit()
    assert len(report.findings) >= 4
    for finding in report.findings:
        assert finding.message.isprintable()
        assert finding.artifact.isprintable()


def test_a_rule_of_another_release_leaves_the_answer_open(case: Case) -> None:
    case.process = a_process(more=Rule("new", "telepathy", "note.md"))
    case.given()
    report = case.audit()
    assert (report.verdict, only(report).code) == ("unverifiable", "rule_unknown")
    assert report.courses[0].partly == ("SPEC",)


def test_a_phase_that_asks_nothing_lets_nothing_pass(case: Case) -> None:
    process = a_process()
    case.process = process.replace(phases=(process.phases[0].replace(rules=()), *process.phases[1:]))
    case.given()
    assert (only(case.audit()).code, case.audit().courses[0].refused) == ("evidence_missing", ("SPEC",))


def test_each_file_is_read_once(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that changes while it is audited cannot be judged as one thing and stood on as another."""
    case.given()
    case.put("T", "REVIEW", "review.json", b"{}")
    opened: list[str] = []
    before = os.open

    def watched(path: str, flags: int, *rest: int, **named: int) -> int:
        opened.append(os.fspath(path))
        return before(path, flags, *rest, **named)

    monkeypatch.setattr(os, "open", watched)
    case.audit()
    assert {name: opened.count(name) for names in NAMES.values() for name in names} == dict.fromkeys(
        (name for names in NAMES.values() for name in names), 1
    )


def test_auditing_writes_nothing(case: Case) -> None:
    case.given(note=BARE)
    before = sorted(case.root.rglob("*"))
    case.audit()
    assert sorted(case.root.rglob("*")) == before
