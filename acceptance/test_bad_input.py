"""What cannot be answered: exit 2, a code and a fix, no traceback, and nothing changed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from acceptance.doubles import ReadOnlyDisk
from acceptance.world import ADA, BOB, World, plain_process


def assert_error(world: World, *args: str, code: str | None = None, stdin: str = "") -> dict[str, str]:
    """`args` end in exit 2, in JSON and in text, and leave every byte as it was. Returns the error."""
    before = world.snapshot()
    reply = world.run(*args, stdin=stdin)
    text = world.run(*args, stdin=stdin, text=True)
    assert (reply.status, text.status) == (2, 2), (reply, text)
    assert world.snapshot() == before
    error = reply.json["error"]
    assert set(error) == {"code", "message", "fix", "where"}
    assert error["code"]
    assert error["message"]
    assert code in (None, error["code"]), error
    for answer in (reply, text):
        assert "Traceback" not in answer.err + answer.out
    assert error["code"] in text.err
    return error


@pytest.mark.parametrize(
    "args",
    [
        ("status", "NONE"),
        ("explain", "NONE"),
        ("advance", "NONE"),
        ("backtrack", "NONE", "--to", "SPEC", "--reason", "x"),
        ("lease", "claim", "NONE"),
        ("scaffold", "NONE"),
        ("evidence", "check", "NONE"),
    ],
    ids=lambda args: args[0],
)
def test_an_unknown_task(world: World, args: tuple[str, ...]) -> None:
    assert_error(world, *args, code="unknown_task")


def test_an_unknown_phase(world: World) -> None:
    world.given_task("T")

    assert_error(world, "advance", "T", "--to", "DEPLOY", code="unknown_phase")
    assert_error(world, "backtrack", "T", "--to", "DEPLOY", "--reason", "x", code="unknown_phase")


@pytest.mark.parametrize("name", ["", ".", "..", "-x", "a/b", "../T", "a b", "ä", "x" * 65, "T\n", "\x1b[31mT"])
def test_a_malformed_task_id(world: World, name: str) -> None:
    before = world.snapshot()

    reply = world.ask("open", "--", name)

    assert reply.status == 2
    assert reply.codes == ["bad_task_id"]
    assert world.snapshot() == before


@pytest.mark.parametrize("actor", ["a b", "a/b/c", "/x", "x" * 65, "ä"])
def test_a_malformed_actor(world: World, actor: str) -> None:
    before = world.snapshot()

    reply = world.ask("open", "T", actor=actor)

    assert reply.status == 2
    assert world.snapshot() == before


def test_unknown_options_and_commands(world: World) -> None:
    assert world.run("advance").status == 2
    assert world.run("advance", "T", "--sideways").status == 2
    assert world.run("conquer").status == 2


def test_a_process_file_that_is_no_utf_8(world: World) -> None:
    (world.root / "process.toml").write_bytes(b'name = "plain\xff"\n')

    assert_error(world, "open", "T")


def test_a_process_that_is_not_there(world: World) -> None:
    assert_error(world, "open", "T", "--process", "nowhere.toml")


def test_a_process_outside_the_project(world: World, tmp_path: Path) -> None:
    (tmp_path / "outside.toml").write_text(plain_process(), encoding="utf-8")

    assert_error(world, "open", "T", "--process", "../outside.toml")
    assert_error(world, "open", "T", "--process", str(tmp_path / "outside.toml"))


def test_a_process_below_state(world: World) -> None:
    """Where a worker may write evidence, it must not write what decides over evidence."""
    world.given_task("T")
    world.write("T", "STRATEGIZE", plain_process("mine"), name="q.toml")

    assert_error(world, "open", "T2", "--process", "state/evidence/T/strategize/q.toml")


@pytest.mark.parametrize(
    "text",
    [
        'colour = "red"\n',
        "process = 1\n",
        "process = \n",
        '[lease]\nauto = "yes"\n',
        '[guard]\nno_task = "open"\n',
        "\xff",
    ],
    ids=["unknown key", "wrong type", "no TOML", "lease", "guard", "no UTF-8"],
)
def test_malformed_settings(world: World, text: str) -> None:
    world.given_task("T")
    (world.root / "enforcer.toml").write_bytes(text.encode("latin-1"))

    error = assert_error(world, "advance", "T")
    assert "enforcer.toml" in error["where"] + error["message"]


def test_a_project_that_nobody_initialized(bare: World) -> None:
    assert_error(bare, "open", "T", code="not_initialized")
    assert_error(bare, "status", code="not_initialized")
    assert_error(bare, "verify", code="not_initialized")


def test_settings_without_a_state_folder_as_in_a_fresh_clone(world: World, tmp_path: Path) -> None:
    clone = World(tmp_path / "clone")
    for name in ("enforcer.toml", "process.toml"):
        shutil.copy(world.root / name, clone.root / name)

    assert_error(clone, "open", "T", code="not_initialized")

    settings = (clone.root / "enforcer.toml").read_bytes()
    assert clone.ask("init", actor=None).status == 0
    assert (clone.root / "enforcer.toml").read_bytes() == settings
    assert clone.ask("open", "T").status == 0


def test_a_deleted_ledger_is_missing_and_not_begun_again(world: World) -> None:
    world.given_task("T", "SPEC")
    shutil.rmtree(world.root / "state" / "ledger")

    for args in (("advance", "T"), ("open", "U"), ("status",)):
        assert_error(world, *args, code="ledger_missing")
    verified = world.run("verify")
    assert verified.status == 2
    assert "ledger_missing" in verified.out


def test_a_deleted_state_folder_is_a_missing_ledger(world: World) -> None:
    world.given_task("T", "SPEC")
    shutil.rmtree(world.root / "state")

    assert_error(world, "advance", "T", code="ledger_missing")
    assert_error(world, "init", code="ledger_missing")


def test_an_emptied_ledger_is_not_begun_again(world: World) -> None:
    world.given_task("T", "SPEC")
    for segment in world.segments():
        segment.write_bytes(b"")

    assert_error(world, "advance", "T")
    assert world.run("verify").status == 2


def test_a_ledger_of_another_format_version(world: World) -> None:
    world.given_task("T", "SPEC")
    path = world.root / "state" / "ledger" / "ledger.json"
    held = json.loads(path.read_bytes())
    held["format"] = "enforcer/ledger/v2" if isinstance(held["format"], str) else 2
    path.write_bytes(json.dumps(held, sort_keys=True, separators=(",", ":")).encode() + b"\n")

    error = assert_error(world, "advance", "T")
    assert "format" in error["code"] + error["message"]


def test_a_planted_nested_settings_file(world: World) -> None:
    nested = world.root / "vendor" / "lib"
    nested.mkdir(parents=True)
    (nested / "enforcer.toml").write_text("", encoding="utf-8")
    before = world.snapshot()

    argv = [sys.executable, "-m", "enforcer", "status", "--json"]
    done = subprocess.run(
        argv, cwd=nested, env=world.process_environment(), capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["code"] == "root_nested"
    assert "Traceback" not in done.stderr
    assert world.snapshot() == before


def test_a_nested_project_that_the_outer_one_lists(world: World) -> None:
    settings = world.root / "enforcer.toml"
    settings.write_text('projects = ["vendor/lib"]\n' + settings.read_text(encoding="utf-8"), encoding="utf-8")
    inner = world.root / "vendor" / "lib"
    inner.mkdir(parents=True)

    def ask(*args: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "enforcer", *args, "--root", str(inner), "--json"]
        return subprocess.run(argv, env=world.process_environment(), capture_output=True, text=True, check=False)

    done = ask("init", "--process", "lean")
    assert done.returncode == 0, done
    assert ask("open", "T").returncode == 0
    assert (inner / "state" / "ledger" / "ledger.json").exists()


def test_a_read_only_disk_answers_questions_and_takes_no_commands(world: World) -> None:
    from enforcer.errors import EnforcerError

    world.given_task("T", "SPEC")
    world.write("T", "SPEC")
    before = world.snapshot()
    task = world.library(ADA, disk=ReadOnlyDisk()).task("T")

    with pytest.raises(EnforcerError) as caught:
        task.advance()

    assert caught.value.code
    assert task.status().phase == "SPEC"
    assert world.snapshot() == before


@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="needs to mount")
def test_a_read_only_mount(world: World) -> None:
    """A namespace of its own, in which the project is mounted read-only. Skipped where none can be made."""
    world.given_task("T", "SPEC")
    world.write("T", "SPEC")
    before = world.snapshot()
    root = str(world.root)
    advance = f"{sys.executable} -m enforcer advance T --json --actor {ADA} --root '{root}'"
    status = f"{sys.executable} -m enforcer status T --json --root '{root}'"
    mount = f"mount --bind '{root}' '{root}' && mount -o remount,bind,ro '{root}' || exit 77"
    script = f"{mount}; {status} >/dev/null || exit 78; {advance}"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        env=world.process_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 77 or "unshare failed" in done.stderr:
        pytest.skip("no mount namespaces here")

    assert done.returncode == 2, done
    assert json.loads(done.stdout)["error"]["code"]
    assert "Traceback" not in done.stderr
    assert world.snapshot() == before


@pytest.mark.parametrize("damage", ["folder", "link"])
def test_a_ledger_in_whose_place_something_else_stands(world: World, tmp_path: Path, damage: str) -> None:
    world.given_task("T", "SPEC")
    ledger = world.root / "state" / "ledger"
    if damage == "link":
        moved = tmp_path / "moved"
        ledger.rename(moved)
        ledger.symlink_to(moved)
        (moved / "lock").unlink(missing_ok=True)
        for segment in (moved / "seg").iterdir():
            segment.unlink()
    else:
        [segment] = world.segments()
        segment.unlink()
        segment.mkdir()

    assert_error(world, "advance", "T")


def test_two_actors_get_a_recorded_no_and_not_an_error(world: World) -> None:
    world.given_task("T", "SPEC", actor=ADA)
    before = len(world.lines())

    reply = world.run("advance", "T", actor=BOB)

    assert (reply.status, reply.codes) == (1, ["lease_held"])
    assert len(world.lines()) == before + 1


@pytest.mark.parametrize("key", ["a b", "a/b", "ü", "k" * 70])
def test_a_key_that_no_line_could_carry_is_refused_by_open_too(world: World, key: str) -> None:
    reply = world.ask("open", "NEW", "--key", key)

    assert (reply.status, reply.json["error"]["code"]) == (2, "bad_key")
    assert world.verdict() == "verified"


def test_a_ledger_that_was_emptied_is_not_begun_anew_in_silence(world: World) -> None:
    world.given_task("T", "SPEC")
    for segment in (world.root / "state" / "ledger" / "seg").iterdir():
        segment.write_bytes(b"")
    before = world.snapshot()

    for words in (("open", "NEW"), ("status",), ("advance", "T"), ("init",)):
        reply = world.ask(*words)
        assert (reply.status, reply.json["error"]["code"]) == (2, "ledger_emptied"), words

    assert world.ask("verify").status == 2
    assert world.snapshot() == before


def test_a_start_that_was_interrupted_before_the_first_entry_is_finished_by_the_next(world: World) -> None:
    for segment in (world.root / "state" / "ledger" / "seg").iterdir():
        segment.write_bytes(b"")
    for mark in list(world.home.rglob("paths/*")):
        mark.unlink()

    assert world.ask("init").status == 0
    assert world.ask("open", "NEW").status == 0
    assert world.verdict() == "verified"


def test_a_state_folder_that_is_a_link_is_refused(world: World) -> None:
    (world.root / "state").rename(world.root.parent / "elsewhere")
    (world.root / "state").symlink_to(world.root.parent / "elsewhere")

    for words in (("open", "NEW"), ("status",), ("verify",), ("audit",), ("init",)):
        reply = world.ask(*words)
        assert (reply.status, reply.json["error"]["code"]) == (2, "state_is_link"), words
