"""The parts of the demonstration that need neither the network nor the gate."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shlex
import sys
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from enforcer.errors import DamagedError, EnforcerError, InternalError, RequestError, UnavailableError
from enforcer.surfaces import demo
from enforcer.surfaces.demo import change, documents, measure, package, reckoning
from enforcer.surfaces.demo.screen import Screen

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas" / "evidence"
ATTEMPT, DIGEST, COMMIT = "0" * 32, "a" * 64, "b" * 40
COUNTS = {"total": 9, "passed": 8, "failed": 0, "errors": 0, "skipped": 1}
RATES = {
    "line_rate": 0.9,
    "changed_line_rate": 1,
    "lines_covered": 90,
    "lines_total": 100,
    "changed_lines_covered": 7,
    "changed_lines_total": 7,
}


def valid(name: str, value: Any) -> None:
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(json.loads(documents.as_json(value)))


def archive(*members: tuple[tarfile.TarInfo, bytes]) -> package.Sdist:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as file:
        for member, content in members:
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    return package.Sdist(stream.getvalue(), "made here")


# Evidence


@pytest.mark.parametrize(
    "name, value",
    [
        ("file_map", documents.file_map()),
        ("modified_files", {"files": list(change.FILES)}),
        ("review_rubric", documents.rubric(ATTEMPT, "grace", DIGEST, COUNTS, RATES)),
        ("code_quality_score", documents.quality_score(ATTEMPT, DIGEST)),
        ("ci_results", documents.checks(ATTEMPT, [("tests", "8 of 9 passed.")], commit=COMMIT)),
        ("smoke_test_results", documents.checks(ATTEMPT, [("imports", "It did.")], version=COMMIT, environment="here")),
        ("deployment_status", documents.deployment(ATTEMPT, COMMIT)),
    ],
)
def test_every_json_artifact_keeps_to_its_schema(name: str, value: Any) -> None:
    valid(name, value)


def test_the_forged_results_are_right_but_for_nobody_having_seen_them() -> None:
    """Otherwise the story would show a refusal for another reason than the one it tells."""
    forged = documents.forged(ATTEMPT)
    results, rates = (json.loads(forged[name]) for name in ("test_results.json", "coverage_report.json"))

    valid("test_results", results)
    valid("coverage_report", rates)
    assert results["passed"] == results["total"]
    assert rates["lines_covered"] == rates["lines_total"]
    assert forged["build_output.log"].endswith("\nexit status: 0\n")


# The change


def test_an_edit_that_finds_its_text_twice_or_never_is_an_error_and_writes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "code.py"
    for text in ("same\nsame\n", "other\n"):
        file.write_text(text)
        with pytest.raises(InternalError):
            change.apply((change.Edit("code.py", "same\n", "new\n"),), str(tmp_path))
        assert file.read_text() == text


def test_the_second_version_differs_from_the_first_by_one_line_that_moved(tmp_path: Path) -> None:
    first = tmp_path / change.SOURCE
    first.parent.mkdir(parents=True)
    first.write_text(
        f"{change.NOTING}        if name is None:\n            pass\n"
        '            sections_data[section][name] = "\\n".join(value)\n'
    )
    before = first.read_text().splitlines()

    change.apply(change.SECOND_VERSION, str(tmp_path))

    assert sorted(first.read_text().splitlines()) == sorted(before)
    assert first.read_text().endswith(change.NOTING)


# The package


def test_an_sdist_with_another_digest_is_refused_with_both_digests(tmp_path: Path) -> None:
    wrong = tmp_path / package.SDIST
    wrong.write_bytes(b"not the archive")

    with pytest.raises(DamagedError) as caught:
        package.read_sdist(str(wrong))

    assert caught.value.code == "demo_sdist_wrong"
    assert hashlib.sha256(b"not the archive").hexdigest() in caught.value.message
    assert package.SHA256 in caught.value.message


def test_a_missing_sdist_says_what_to_provide(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError) as caught:
        package.read_sdist(str(tmp_path / "none.tar.gz"))

    assert "--sdist" in caught.value.fix
    assert "--python" in caught.value.fix


def test_an_archive_is_unpacked_without_its_top_folder(tmp_path: Path) -> None:
    folder = tarfile.TarInfo("iniconfig-2.3.1/src")
    folder.type = tarfile.DIRTYPE
    files = [(tarfile.TarInfo(f"iniconfig-2.3.1/{name}"), name.encode()) for name in ("LICENSE", "src/a/b.py")]

    assert package.unpack(archive((folder, b""), *files), str(tmp_path)) == 2

    assert (tmp_path / "LICENSE").read_bytes() == b"LICENSE"
    assert (tmp_path / "src" / "a" / "b.py").read_bytes() == b"src/a/b.py"


@pytest.mark.parametrize("name", ["../out", "iniconfig-2.3.1/../../out", "/out", "iniconfig-2.3.1", "other/file"])
def test_an_archive_member_outside_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()

    with pytest.raises(DamagedError):
        package.unpack(archive((tarfile.TarInfo(name), b"x")), str(inside))

    assert list(tmp_path.rglob("*")) == [inside]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_an_archive_member_that_is_no_plain_file_is_refused(tmp_path: Path, kind: bytes) -> None:
    member = tarfile.TarInfo("iniconfig-2.3.1/link")
    member.type, member.linkname = kind, "LICENSE"

    with pytest.raises(DamagedError):
        package.unpack(archive((member, b"")), str(tmp_path))

    assert list(tmp_path.iterdir()) == []


def test_a_python_without_the_tools_says_what_is_missing(tmp_path: Path) -> None:
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    bare.chmod(0o755)

    with pytest.raises(UnavailableError) as caught:
        package.check_python(str(bare))

    assert caught.value.code == "demo_python_unsuitable"
    assert "No module named 'pytest'" in caught.value.message


def test_a_python_that_does_not_exist_is_unsuitable(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError) as caught:
        package.check_python(str(tmp_path / "none"))

    assert caught.value.code == "demo_python_unsuitable"


def test_the_cache_lies_where_the_user_keeps_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for setting in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", setting)
        assert package.cache_folder() == str(tmp_path / ".cache" / "enforcer" / "demo")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    assert package.cache_folder() == str(tmp_path / "elsewhere" / "enforcer" / "demo")
    assert (tmp_path / "elsewhere" / "enforcer" / "demo").is_dir()


def test_a_cache_that_cannot_be_written_is_no_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))

    with pytest.raises(UnavailableError) as caught:
        package.cache_folder()

    assert caught.value.code == "demo_cache_unwritable"


# Measuring


def test_counts_and_failures_come_from_the_report_that_pytest_writes(tmp_path: Path) -> None:
    (tmp_path / "test_all.py").write_text(
        "import pytest\n"
        "def test_good(): pass\n"
        "def test_bad(): assert 1 == 2\n"
        "@pytest.mark.skip\ndef test_left_out(): pass\n"
        "@pytest.fixture\ndef broken(): raise OSError\n"
        "def test_error(broken): pass\n"
    )
    report = tmp_path / "junit.xml"
    os.spawnv(
        os.P_WAIT,
        sys.executable,
        [sys.executable, "-m", "pytest", "-q", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", str(tmp_path)],
    )

    counts, failures, seconds = measure.read_junit(str(report))

    assert counts == {"total": 4, "passed": 1, "failed": 1, "errors": 1, "skipped": 1}
    assert set(failures) == {"test_bad", "test_error"}
    assert seconds > 0


def test_git_is_asked_without_the_settings_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other"))
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Somebody")
    (tmp_path / ".gitconfig").write_text("[user]\nname = Somebody\n[commit]\ngpgsign = true\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "file").write_text("text\n")

    measure.git(str(folder), "init", "--quiet")
    measure.git(str(folder), "add", "--all")
    measure.git(str(folder), "commit", "--quiet", "-m", "One", when="2026-01-01T00:00:00+00:00")

    assert measure.git(str(folder), "log", "--format=%an %cn %ct").split("\n")[0] == (
        "Enforcer Demonstration Enforcer Demonstration 1767225600"
    )


def test_a_program_that_fails_tells_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError) as caught:
        measure.git(str(tmp_path), "rev-parse", "HEAD")

    assert "not a git repository" in caught.value.message


# Reckoning


def moved(kind: str, start: str, to: str) -> dict[str, Any]:
    return {"type": f"dev.enforcer.phase.{kind}", "data": {"start": start, **({"to": to} if to else {})}}


WALK = [moved("advanced", start, to) for start, to in zip(reckoning.PHASES, (*reckoning.PHASES[1:], ""), strict=True)]


def test_an_honest_walk_has_nine_phases_and_no_illegal_move() -> None:
    back = [moved("backtracked", "REVIEW", "VERIFY"), moved("advanced", "VERIFY", "REVIEW")]
    events = [*WALK[:6], *back, *WALK[6:]]

    assert reckoning.phases_walked(events) == 9
    assert reckoning.illegal_moves(events) == 0


@pytest.mark.parametrize(
    "events",
    [
        [moved("advanced", "STRATEGIZE", "PLAN")],
        [moved("advanced", "SPEC", "PLAN")],
        [WALK[0], moved("backtracked", "SPEC", "SPEC")],
        [WALK[0], WALK[0]],
        [*WALK[:3], moved("backtracked", "THINK", "REVIEW")],
    ],
)
def test_a_move_that_skips_repeats_or_starts_elsewhere_is_counted(events: list[dict[str, Any]]) -> None:
    assert reckoning.illegal_moves(events) == 1


def test_an_entry_with_two_reasons_of_one_code_is_one_refusal() -> None:
    reasons = [{"code": "evidence_invalid"}, {"code": "evidence_invalid"}, {"code": "evidence_missing"}]
    events = [{"type": "dev.enforcer.command.refused", "data": {"refusals": reasons}}, *WALK]

    assert reckoning.refusals(events) == {"evidence_invalid": 1, "evidence_missing": 1}


def test_metrics_are_the_last_value_of_each_counter_summed_over_its_attributes(tmp_path: Path) -> None:
    def line(*values: str) -> str:
        metric = {"name": "phase_backtracks", "sum": {"dataPoints": [{"asInt": value} for value in values]}}
        return json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}) + "\n"

    (tmp_path / "metrics.jsonl").write_text(line("1") + line("2", "3"))

    assert reckoning.read_metrics(str(tmp_path / "metrics.jsonl")) == {"phase_backtracks": 5}


BACK = [moved("backtracked", "VERIFY", "IMPLEMENT"), moved("advanced", "IMPLEMENT", "VERIFY")]
SKIP = {"type": "dev.enforcer.command.refused", "data": {"refusals": [{"code": "phase_skip"}]}}
TOLD = [SKIP, *WALK[:5], *BACK, *WALK[5:]]
METRICS = {"phase_skips_attempted": 1, "phase_backtracks": 1}


def differing(asked: dict[str, int], events: list[dict[str, Any]], metrics: dict[str, int] | None) -> list[str]:
    return [each.what for each in reckoning.compare(Counter(asked), events, metrics) if not each.agrees]


def test_an_honest_record_agrees_with_the_story() -> None:
    assert differing({"phase_skip": 1}, TOLD, METRICS) == []
    assert differing({"phase_skip": 1}, TOLD, None) == []


@pytest.mark.parametrize(
    "events, metrics, what",
    [
        (TOLD[1:], METRICS, ["skips attempted, refused"]),
        ([SKIP, *TOLD], METRICS, ["skips attempted, refused"]),
        (
            [*TOLD, moved("refused", "", "") | {"data": {"refusals": [{"code": "lease_held"}]}}],
            METRICS,
            ["refusals lease_held"],
        ),
        (TOLD[:-1], METRICS, ["phases walked"]),
        ([SKIP, *WALK], METRICS, ["ways back"]),
        (TOLD, {**METRICS, "phase_skips_attempted": 0}, ["metric phase_skips_attempted"]),
        (TOLD, {"phase_skips_attempted": 1}, ["metric phase_backtracks"]),
        (TOLD, {**METRICS, "phase_lease_contention": 1}, ["metric phase_lease_contention"]),
    ],
)
def test_a_record_that_lacks_or_invents_something_differs(
    events: list[dict[str, Any]], metrics: dict[str, int], what: list[str]
) -> None:
    assert differing({"phase_skip": 1}, events, metrics) == what


# The screen


def test_no_line_is_wider_than_the_screen_and_no_word_is_lost() -> None:
    lines: list[str] = []
    screen = Screen(lines.append, width=72)
    text = "word " * 60

    screen.say(text)
    screen.answer(text, refused=True)
    screen.note(text)
    screen.facts([("name", text)])
    screen.command(
        "ada", ["enforcer", "attest", *(word for n in range(9) for word in (f"--part-{n}", f"../home/file-{n}"))]
    )

    assert max(len(line) for line in lines) <= 72
    assert sum(line.count("word") for line in lines) == 240


def test_a_folded_command_is_the_command() -> None:
    lines: list[str] = []
    argv = ["enforcer", "open", "INI-1", "--title", "It's a title with spaces", *(f"--option-{n}" for n in range(12))]

    Screen(lines.append, width=60).command("ada", argv)

    typed = " ".join(line.strip().removesuffix("\\") for line in lines)
    assert shlex.split(typed)[2:] == argv


def test_colour_is_off_unless_asked_for_and_control_characters_never_pass() -> None:
    plain: list[str] = []
    coloured: list[str] = []

    for lines, colour in ((plain, False), (coloured, True)):
        Screen(lines.append, colour=colour).answer("\x1b[31mred\r\x00", refused=True)

    assert not any("\x1b" in line for line in plain)
    assert "\x1b[31m  ✗ \x1b[0m" in coloured[0]
    assert "\x1b[31mred" not in coloured[0]


# Where it takes place


def test_a_folder_that_holds_something_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    lines: list[str] = []

    assert demo.run(demo.Options(keep=str(tmp_path)), lines.append) == 2

    assert "demo_folder_not_empty" in "\n".join(lines)
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")

    with pytest.raises(RequestError), demo._folders(str(tmp_path / "file")):
        pytest.fail("the folder was handed out")


def test_an_interruption_leaves_no_folder_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def work() -> None:
        with demo._folders("") as (project, home):
            Path(project, "file").write_text("x")
            Path(home, "file").write_text("x")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()

    assert list(tmp_path.iterdir()) == []


def test_what_is_missing_is_raised_where_the_answer_is_json(tmp_path: Path) -> None:
    lines: list[str] = []
    options = demo.Options(python=str(tmp_path / "none"), as_json=True)

    with pytest.raises(EnforcerError) as caught:
        demo.run(options, lines.append)

    assert (caught.value.code, lines) == ("demo_python_unsuitable", [])
