"""Whatever the command is called with, and wherever it writes: an answer or an error with a code, never a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from enforcer.errors import InternalError
from enforcer.surfaces.cli.output import plain
from enforcer.surfaces.cli.table import COMMANDS
from tests.surfaces.command import PHASES, Project, Reply

NASTY = "\x1b[31mred\x07\r\n  state  completed\u202eedoc\u2066\u200b\x9b\udcff\u2028"

# Control, format, surrogate, and the separators of lines and paragraphs.
OBEYED = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def assert_sober(reply: Reply) -> None:
    """No character that a terminal would obey, and no fault of ours."""
    for text in (reply.out, reply.err):
        assert not [letter for letter in text if letter != "\n" and unicodedata.category(letter) in OBEYED], text
        assert "Traceback" not in text
        assert "error internal" not in text
        assert '"code": "internal"' not in text


def run(project: Project, *words: str, cwd: Path | None = None, **more: object) -> subprocess.CompletedProcess[bytes]:
    """The command in a process of its own."""
    environment = more.pop("environment", {})
    assert isinstance(environment, dict)
    argv = [sys.executable, "-m", "enforcer", *words]
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    env = project.whole_environment(**environment)
    return subprocess.run(argv, cwd=cwd or project.root, env=env, check=False, timeout=60, **streams)  # type: ignore[call-overload]


# Arguments

NAMES = ("T", "NONE", "claim", "release", "list", "check", "restore", "show", "accept", *PHASES)
OPTIONS = ("--json", "--root", "--root=", "--to", "--reason", "--actor", "--key", "--format", "--help", "--approver")
MORE = (
    "--anchor",
    "--overlap",
    "--embed",
    "rotate",
    "--prompt",
    "--process",
    "--title",
    "--base",
    "--force",
    "--dry-run",
    "--",
    "-",
    "",
)
ODD = (NASTY, "\0", "a\0b", "../..", "/", "x" * 70_000, "\u017f", "-\x1b", "--\x1b=\u202e", "\udcff", "~", "ß")
# Neither --out nor --tiles is drawn: with "/" they would write there.
WORDS = st.one_of(st.sampled_from((*COMMANDS, *NAMES)), st.sampled_from((*OPTIONS, *MORE, *ODD)), st.text(max_size=20))


# These run elsewhere or until they are interrupted.
@given(st.lists(WORDS, max_size=7).filter(lambda words: "demo" not in words and "--follow" not in words))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_argument_vector_leads_to_a_traceback(project: Project, words: list[str]) -> None:
    project.given()
    reply = project.call(*words, stdin=b"\xff\x00")
    assert reply.status in (0, 1, 2)
    assert_sober(reply)
    if reply.status == 2 and "--json" in words and "--help" not in words:
        assert json.loads(reply.out)["error"]["code"] if reply.out.startswith('{\n  "error"') else reply.out
    if reply.status == 2 and not reply.out:
        assert reply.err


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ("init", "demo")])
def test_a_nasty_task_name_is_refused_and_shown_escaped(project: Project, name: str) -> None:
    project.given()
    reply = project.call(name, NASTY)
    assert reply.status == 2
    assert_sober(reply)


def test_text_that_utf_8_cannot_express_is_a_request_error(project: Project) -> None:
    project.given()
    for words in (
        ("open", "U", "--title", "\udcff"),
        ("abandon", "T", "--reason", "\udcff"),
        ("key", "compromised", "--reason", "\udcff", "--no-anchor"),
    ):
        assert project.ask(*words).json["error"]["code"] == "bad_text"


def test_nothing_that_came_from_others_reaches_the_terminal_raw(project: Project) -> None:
    """Titles, reasons and file names are free text; actors and task names are not."""
    nasty = NASTY.replace("\udcff", "")
    project.given(phase="CHECK")
    project.done("open", "U", "--title", nasty)
    project.done("lease", "release", "T", "--force", "--reason", nasty, "--actor", "bob")
    project.done("backtrack", "T", "--to", "DRAFT", "--reason", nasty)
    (project.root / "state" / "evidence" / "T" / "draft" / "\x1b[31m\n\u202e").write_text("x")
    (project.root / "state" / "evidence" / "\x1b[31m\n\u202e").mkdir()
    project.call("guard", "T", stdin=json.dumps({"tool": nasty, "input": {"command": nasty}, "persona": nasty}))
    for words in (
        *(("status",), ("status", "T"), ("status", "U"), ("explain", "T"), ("evidence", "list", "T")),
        *(("evidence", "check", "T"), ("log",), ("log", "--format", "markdown"), ("log", "--format", "jsonl")),
        *(("audit",), ("verify",), ("leases",), ("advance", "T"), ("process", "show", "T"), ("telemetry",)),
        *(("key", "show"), ("prove", "1"), ("export", "T", "--out", str(project.home))),
        *(("key", "rotate"), ("verify-proof", "process.toml"), ("export", "U", "--out", nasty)),
        ("key", "compromised", "--reason", nasty, "--no-anchor"),
    ):
        reply = project.call(*words)
        assert reply.status in (0, 1, 2)
        assert_sober(reply)
        assert "  state  completed" not in "\n".join(reply.out.splitlines()[1:]).split("\n"), "a title forged a line"


def test_a_title_cannot_forge_a_table_of_the_journal(project: Project) -> None:
    project.done("init", "--process", "process.toml")
    project.done("open", "T", "--title", "a | b\n| 9 | <b>x</b> [y](javascript:z) `q`")
    rows = project.call("log", "T", "--format", "markdown").out.splitlines()[4:]
    assert len(rows) == 1
    assert "a \\| b\\\\n\\| 9 \\| \\<b\\>x\\</b\\> \\[y\\](javascript:z) \\`q\\`" in rows[0]


@pytest.mark.parametrize(
    "letter", ["\n", "\t", "\x1b", "\x7f", "\x9b", "\u200b", "\u202e", "\u2066", "\ud800", "\ufeff"]
)
def test_a_letter_that_would_be_obeyed_is_escaped(letter: str) -> None:
    assert plain(f"a{letter}b") == f"a{ascii(letter)[1:-1]}b"


def test_letters_of_any_script_are_shown_as_they_are() -> None:
    assert plain("Ünïcode 漢字 → 😀") == "Ünïcode 漢字 → 😀"


# Streams


def test_an_answer_that_cannot_be_written_is_an_error(project: Project) -> None:
    project.given()
    for words in (("status", "T"), ("log",), ("status", "T", "--json"), ("log", "--wrong", "--json")):
        with open("/dev/full", "wb") as full:
            done = run(project, *words, stdout=full)
        code = b"usage" if "--wrong" in words else b"output_unwritable"
        assert (done.returncode, done.stderr.count(b"\n")) == (2, 2)
        assert done.stderr.startswith(b"error %s: " % code)
    with open("/dev/full", "wb") as full:
        done = run(project, "--help", stdout=full)
    assert (done.returncode, done.stderr) == (2, b"error system: The system says: No space left on device.\n")


def test_what_was_done_stands_though_the_answer_could_not_be_written(project: Project) -> None:
    project.given()
    project.write("T", "DRAFT")
    with open("/dev/full", "wb") as full:
        assert run(project, "advance", "T", stdout=full).returncode == 2
    assert project.done("status", "T")["phase"] == "CHECK"


@pytest.mark.parametrize(
    "words", [("status", "T"), ("log",), ("log", "--json"), ("--help",), ("advance", "--wrong", "--json")]
)
def test_a_reader_that_went_away_is_no_news(project: Project, words: tuple[str, ...]) -> None:
    project.given()
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as pipe:
        done = run(project, *words, stdout=pipe, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr
    assert b"Exception" not in done.stderr
    assert b"roken" not in done.stderr


@pytest.mark.parametrize("words", ["status T", "advance T", "guard T", "attest T --prompt -", "--help", "nonsense"])
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_change_nothing_but_what_is_seen(project: Project, words: str, closed: str) -> None:
    project.given()
    done = subprocess.run(
        ["sh", "-c", f'"$0" -m enforcer {words} {closed}', sys.executable],
        cwd=project.root,
        env=project.whole_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    expected = {"status T": 0, "advance T": 1, "guard T": 2, "attest T --prompt -": 0, "--help": 0, "nonsense": 2}
    assert done.returncode == expected[words]
    assert b"Traceback" not in done.stderr + done.stdout
    assert project.done("verify")["verdict"] == "verified"


CLOSED = """
import os, sys
os.closerange(0, 3)
from enforcer.surfaces import cli
nothing = os.stat(os.devnull)
cli.light.show_status = lambda asked: int(not all(os.path.samestat(os.fstat(number), nothing) for number in range(3)))
sys.argv = ["enforcer", "status", "T"]
cli.main()
"""


def test_no_file_of_the_ledger_can_become_a_standard_stream(project: Project) -> None:
    """The lowest free descriptor goes to the next file that is opened; what is printed would go there."""
    done = subprocess.run([sys.executable, "-c", CLOSED], env=project.whole_environment(), timeout=60, check=False)
    assert done.returncode == 0


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "C"},
    ],
)
def test_a_terminal_without_our_signs_gets_others(project: Project, environment: dict[str, str]) -> None:
    project.given(phase="CHECK")
    project.done("open", "Ü".encode().hex(), "--title", "Ünïcode 漢字")
    for words in (("status", "T"), ("status",), ("log",), ("explain", "T"), ("advance", "T"), ("telemetry",)):
        done = run(project, *words, environment=environment)
        assert done.returncode in (0, 1), done
        assert done.stderr == b""
    status = run(project, "status", "T", environment=environment).stdout
    assert b"CHECK -> SHIP" in status or "CHECK → SHIP".encode() in status


def test_a_prompt_that_cannot_be_read_is_a_request_error(project: Project) -> None:
    project.given()
    for path in ("none", ".", "a\0b"):
        assert project.ask("attest", "T", "--prompt", path).json["error"]["code"] == "input_unreadable"


def test_an_endless_file_is_not_read_to_its_end(project: Project) -> None:
    project.given()
    with open("/dev/zero", "rb") as endless:
        done = run(project, "guard", "T", "--json", stdin=endless)
    assert json.loads(done.stdout)["error"]["code"] == "input_unreadable"


# Surroundings


@pytest.mark.parametrize("words", [("status", "T"), ("init",), ("open", "T"), ("leases",), ("nonsense",)])
def test_a_current_folder_that_is_gone_is_an_error_with_a_code(project: Project, words: tuple[str, ...]) -> None:
    gone = project.root / "gone"
    gone.mkdir()
    done = subprocess.run(
        ["sh", "-c", 'rmdir "$PWD" && exec "$0" -m enforcer "$@"', sys.executable, *words],
        cwd=gone,
        env=project.whole_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(b"error ")
    assert b"Traceback" not in done.stderr
    assert b"error internal" not in done.stderr


def test_a_bug_is_told_as_one_and_shown_whole_where_that_is_asked_for(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a\x1bb")

    monkeypatch.setattr("enforcer.surfaces.cli.light.show_status", broken)
    reply = project.ask("status", "T")
    assert (reply.status, reply.json["error"]["code"]) == (2, "internal")
    assert "A bug in Enforcer: RuntimeError: a\\x1bb" in reply.err
    with pytest.raises(RuntimeError):
        project.call("status", "T", environment={"ENFORCER_DEBUG": "1"})


def test_an_interruption_is_no_answer(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("enforcer.surfaces.cli.light.show_status", interrupted)
    reply = project.ask("status", "T")
    assert (reply.status, reply.json["error"]["code"]) == (2, "interrupted")


def test_an_error_of_ours_keeps_its_code(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise InternalError("evidence_unread", "It was not read.", where="here")

    monkeypatch.setattr("enforcer.surfaces.cli.light.show_status", broken)
    reply = project.call("status", "T")
    assert (reply.status, reply.err) == (2, "error evidence_unread: It was not read.\n  where: here\n")
