"""Evidence folders held against the ledger: what is gone, changed or unknown is named, and what is pending is not."""

from __future__ import annotations

import os

import pytest

from enforcer.errors import RequestError, UnavailableError
from enforcer.evidence import findings as module
from enforcer.evidence.audit import AuditReport, Finding
from enforcer.workflow.state import ABANDONED, COMPLETED
from tests.evidence.audits import NOTE, Project, a_process


@pytest.fixture
def project(tmp_path) -> Project:
    return Project(tmp_path)


def only(report: AuditReport) -> Finding:
    [finding] = report.findings
    return finding


def test_evidence_as_it_was_accepted_is_clean(project):
    assert project.audit() == AuditReport(verdict="clean", tasks=1, artifacts=2)
    assert project.audit().exit_status == 0


def test_the_report_is_the_documented_json(project):
    project.path("T", "spec", "note.md").unlink()
    report = project.audit().pack(complete=True)
    assert list(report) == ["verdict", "tasks", "artifacts", "judged", "findings", "unjudged", "courses"]
    members = ["task", "phase", "artifact", "code", "message", "fix", "level", "seq"]
    assert list(report["findings"][0]) == members


def test_missing_evidence_is_found_with_what_falls_with_it(project):
    project.path("T", "spec", "note.md").unlink()
    report = project.audit()
    finding = only(report)
    assert (report.verdict, report.exit_status) == ("violated", 1)
    assert (finding.task, finding.phase, finding.artifact, finding.code) == ("T", "SPEC", "note.md", "evidence_missing")
    assert "With it falls what was accepted in PLAN." in finding.message
    assert "enforcer evidence restore T SPEC" in finding.fix


@pytest.mark.parametrize("data", [b"", b"# A notf\n", NOTE + b"\n", NOTE[:-1]])
def test_changed_evidence_is_found_by_every_byte(project, data):
    project.path("T", "spec", "note.md").write_bytes(data)
    finding = only(project.audit())
    assert (finding.phase, finding.artifact, finding.code) == ("SPEC", "note.md", "evidence_changed")
    assert "SPEC/note.md" in finding.message
    assert "enforcer evidence restore T SPEC" in finding.fix


def test_every_fault_is_found_and_not_only_the_first(project):
    project.path("T", "spec", "note.md").unlink()
    project.path("T", "plan", "note.md").write_bytes(b"other")
    project.path("T", "plan", "more.md").write_bytes(b"more")
    project.path("U").mkdir()
    assert [(finding.phase, finding.code) for finding in project.audit().findings] == [
        ("SPEC", "evidence_missing"),
        ("PLAN", "evidence_changed"),
        ("PLAN", "evidence_unrecorded"),
        ("", "evidence_unrecorded"),
    ]


@pytest.mark.parametrize("kind", ["link", "hard link", "pipe", "folder"])
def test_evidence_that_may_not_be_read_is_found(project, tmp_path, kind):
    path = project.path("T", "spec", "note.md")
    outside = tmp_path / "outside"
    path.rename(outside)
    if kind == "link":
        path.symlink_to(outside)
    elif kind == "hard link":
        os.link(outside, path)
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    finding = only(project.audit())
    assert (finding.phase, finding.artifact, finding.code) == ("SPEC", "note.md", "evidence_unsafe")


def test_a_phase_folder_that_is_a_link_is_found(project, tmp_path):
    project.path("T", "spec").rename(tmp_path / "spec")
    project.path("T", "spec").symlink_to(tmp_path / "spec")
    report = project.audit()
    assert {finding.code for finding in report.findings} == {"evidence_unsafe"}
    assert report.verdict == "violated"


# What the ledger does not know


@pytest.mark.parametrize("name", ["more.md", "other.txt", ".hidden", "note.md.bak"])
def test_a_file_in_the_folder_of_an_accepted_phase_that_was_not_accepted_is_unrecorded(project, name):
    project.path("T", "spec", name).write_bytes(b"x")
    finding = only(project.audit())
    assert (finding.task, finding.phase, finding.code) == ("T", "SPEC", "evidence_unrecorded")
    assert name in finding.message


def test_files_of_the_current_and_later_phases_are_pending(tmp_path):
    project = Project(tmp_path)
    state = project.task("T", {"SPEC": NOTE}, "PLAN")
    for phase in ("plan", "build"):
        for name in ("note.md", "other.txt"):
            project.path("T", phase).mkdir(exist_ok=True)
            project.path("T", phase, name).write_bytes(b"x")
    assert project.audit(state).verdict == "clean"


def test_what_a_backtrack_set_aside_is_pending_again(project):
    state = project.state.replace(phase="PLAN", walked=("SPEC",), accepted={"SPEC": project.state.accepted["SPEC"]})
    project.path("T", "plan", "note.md").write_bytes(b"rewritten")
    assert project.audit(state) == AuditReport(verdict="clean", tasks=1, artifacts=1)


def test_a_folder_that_is_no_phase_is_unrecorded(project):
    project.path("T", "extra").mkdir()
    project.path("T", "SPEC").mkdir()
    project.path("T", "stray.md").write_bytes(b"x")
    report = project.audit()
    assert {(finding.artifact, finding.code) for finding in report.findings} == {
        ("extra", "evidence_unrecorded"),
        ("SPEC", "evidence_unrecorded"),
        ("stray.md", "evidence_unrecorded"),
    }


def test_a_task_that_the_ledger_does_not_know_is_unrecorded(project):
    project.path("T-2", "spec").mkdir(parents=True)
    project.path("stray.md").write_bytes(b"x")
    report = project.audit()
    assert {(finding.artifact, finding.code) for finding in report.findings} == {
        ("T-2", "evidence_unrecorded"),
        ("stray.md", "evidence_unrecorded"),
    }
    assert project.audit(task="T").verdict == "clean"


def test_a_folder_of_a_task_that_is_a_link_is_unrecorded_or_unsafe(project, tmp_path):
    project.path("T").rename(tmp_path / "T")
    project.path("T").symlink_to(tmp_path / "T")
    report = project.audit()
    assert report.verdict == "violated"
    assert {finding.code for finding in report.findings} == {"evidence_unsafe", "evidence_unrecorded"}


def test_names_are_shown_fit_for_a_terminal(project):
    for name in ("\x1b[2J", "a\u202eb", "line\nbreak", "x" * 200):
        project.path("T", "spec", name).write_bytes(b"x")
    (project.path("T", "spec") / os.fsdecode(b"\xff\xfe")).write_bytes(b"x")
    report = project.audit()
    assert len(report.findings) == 5
    for finding in report.findings:
        assert finding.message.isprintable()
        assert finding.artifact.isprintable()
        assert len(finding.message) < 200


# Tasks in other states


def test_a_completed_task_has_nothing_pending(project):
    state = project.state.replace(status=COMPLETED, phase="PLAN")
    assert project.audit(state).verdict == "clean"
    project.path("T", "plan", "more.md").write_bytes(b"x")
    assert only(project.audit(state)).code == "evidence_unrecorded"


def test_an_abandoned_task_is_audited_as_far_as_it_came(project):
    state = project.state.replace(status=ABANDONED)
    assert project.audit(state).verdict == "clean"
    project.path("T", "spec", "note.md").write_bytes(b"x")
    assert only(project.audit(state)).code == "evidence_changed"


def test_a_task_without_a_folder_and_without_evidence_is_clean(tmp_path):
    project = Project(tmp_path)
    other = project.task("new", {}, "SPEC")
    assert project.audit(project.state, other) == AuditReport(verdict="clean", tasks=2, artifacts=2)


def test_one_task_can_be_audited_alone(project):
    other = project.task("U", {"SPEC": NOTE}, "PLAN")
    project.path("U", "spec", "note.md").write_bytes(b"x")
    assert project.audit(project.state, other, task="T") == AuditReport(verdict="clean", tasks=1, artifacts=2)
    assert only(project.audit(project.state, other, task="U")).task == "U"
    assert project.audit(project.state, other).tasks == 2


def test_a_task_that_nothing_is_told_of_is_not_clean(project):
    with pytest.raises(RequestError) as raised:
        project.audit_of(task="T")
    assert raised.value.code == "unknown_task"


def test_nothing_at_all_is_clean(project):
    project.path("T").rename(project.root.parent / "gone")
    assert project.audit_of() == AuditReport(verdict="clean")


# Stored copies


def test_a_stored_copy_that_is_gone_or_damaged_is_found(project):
    [accepted] = project.state.accepted["PLAN"]
    path = project.objects_root / accepted.digest[:2] / accepted.digest[2:]
    path.chmod(0o644)
    path.write_bytes(b"x")
    finding = only(project.audit())
    assert (finding.phase, finding.artifact, finding.code) == ("PLAN", "note.md", "object_damaged")
    path.unlink()
    finding = only(project.audit())
    assert (finding.phase, finding.artifact, finding.code) == ("PLAN", "note.md", "object_missing")
    assert finding.fix
    assert project.audit().exit_status == 1


def test_a_process_that_is_gone_leaves_the_answer_open(project):
    (project.objects_root / project.digest[:2] / project.digest[2:]).unlink()
    report = project.audit()
    assert (report.verdict, report.exit_status, only(report).code) == ("unverifiable", 2, "object_missing")
    project.path("T", "spec", "note.md").unlink()
    assert project.audit().exit_status == 1


def test_a_disk_that_gives_no_answer_leaves_the_answer_open(project, monkeypatch):
    def fail(*_args, **_named):
        raise UnavailableError("evidence_unreadable", "The disk is gone.", fix="Check it.")

    monkeypatch.setattr(project.folder, "read", fail)
    report = project.audit()
    assert (report.verdict, report.exit_status) == ("unverifiable", 2)
    assert {finding.code for finding in report.findings} == {"evidence_unreadable"}


# Claimed where it should be observed


@pytest.mark.parametrize(
    "mode, verdict, codes",
    [
        ("off", "clean", set()),
        ("observe", "clean", {"evidence_unobserved"}),
        ("enforce", "violated", {"evidence_unobserved"}),
    ],
)
def test_claimed_evidence_is_named_where_the_process_wants_to_see_it(project, mode, verdict, codes):
    digest = project.keep(a_process(mode))
    report = project.audit(project.state.replace(digest=digest))
    assert (report.verdict, {finding.code for finding in report.findings}) == (verdict, codes)


def test_observed_evidence_is_not_called_claimed(project):
    digest = project.keep(a_process("enforce"))
    accepted = {
        phase: tuple(one.replace(origin="observed") for one in files) for phase, files in project.state.accepted.items()
    }
    assert project.audit(project.state.replace(digest=digest, accepted=accepted)).findings == ()


# Bounds


def test_findings_without_end_are_counted(project, monkeypatch):
    monkeypatch.setattr(module, "LISTED", 5)
    for number in range(20):
        project.path("T", "spec", f"f{number}").write_bytes(b"")
    report = project.audit()
    assert len(report.findings) == 6
    assert (report.findings[-1].code, report.verdict) == ("findings_omitted", "violated")
    assert "15" in report.findings[-1].message


def test_auditing_writes_nothing(project):
    project.path("T", "spec", "note.md").write_bytes(b"x")
    before = {path: path.read_bytes() for path in project.root.parent.rglob("*") if path.is_file()}
    project.audit()
    assert {path: path.read_bytes() for path in project.root.parent.rglob("*") if path.is_file()} == before


def test_junk_about_one_task_pushes_no_finding_about_another_out_of_the_report(project):
    other = project.task("U", {"SPEC": NOTE}, "PLAN")
    project.path("U", "spec", "note.md").write_bytes(b"x")
    for number in range(module.LISTED + 1):
        project.path("T", "spec", f"f{number}").write_bytes(b"")
    report = project.audit(project.state, other)
    assert ("U", "evidence_changed") in {(finding.task, finding.code) for finding in report.findings}
    assert report.count("violation") == module.LISTED + 2


# What is on record, and what is looked at


def test_a_copy_of_another_size_than_is_on_record_is_found(project):
    [accepted] = project.state.accepted["SPEC"]
    told = {**project.state.accepted, "SPEC": (accepted.replace(size=accepted.size + 1),)}
    finding = only(project.audit(project.state.replace(accepted=told)))
    assert (finding.phase, finding.code, finding.level) == ("SPEC", "size_wrong", "violation")


def test_a_finding_names_the_entry_that_accepted(project):
    project.path("T", "plan", "note.md").unlink()
    assert only(project.audit()).seq == 11
    project.path("T", "spec", "stray").write_bytes(b"")
    assert [finding.seq for finding in project.audit().findings] == [None, 11]


def test_stored_copies_can_be_audited_where_there_is_no_folder(project):
    project.path("T", "spec", "note.md").unlink()
    assert project.audit(stored=True) == AuditReport(verdict="clean", tasks=1, artifacts=2)
    [accepted] = project.state.accepted["PLAN"]
    (project.objects_root / accepted.digest[:2] / accepted.digest[2:]).unlink()
    assert only(project.audit(stored=True)).code == "object_missing"


def test_a_phase_that_the_process_of_its_time_does_not_have_is_a_violation(project):
    short = a_process()
    digest = project.keep(short.replace(phases=short.phases[1:]))
    report = project.audit(project.state.replace(digest=digest))
    codes = [(finding.phase, finding.code) for finding in report.findings]
    assert codes == [("SPEC", "illegal"), ("", "evidence_unrecorded")]
    again = project.rejudge(project.state.replace(digest=digest))
    assert [(finding.phase, finding.code) for finding in again.findings] == codes
