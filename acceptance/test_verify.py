"""`enforcer verify`: what it is asked on the command line, what it answers, and the bar it shows meanwhile."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from acceptance.world import World, plain_process

SCHEMAS = [
    json.loads(path.read_bytes()) for path in (Path(__file__).parent.parent / "schemas" / "output").glob("*.json")
]
REGISTRY: Registry[Any] = Registry().with_resources(
    (schema["$id"], Resource.from_contents(schema)) for schema in SCHEMAS
)
VALIDATOR = Draft202012Validator(
    next(schema for schema in SCHEMAS if schema["title"] == "enforcer verify"), registry=REGISTRY
)
LONG = 33 << 20


@pytest.fixture
def sealed(tmp_path: Path) -> World:
    world = World(tmp_path, process=plain_process(), git=True).init()
    world.given_task("T", "SPEC")
    assert world.ask("checkpoint").status == 0
    return world


def anchor(world: World) -> Path:
    path = world.root.parent / "anchor"
    assert world.ask("anchor", "file", str(path)).status == 0
    return path


def key_of(world: World) -> str:
    return str(json.loads((world.root / "state" / "ledger" / "ledger.json").read_bytes())["key"])


def test_every_demand_that_is_met_is_told_in_json_and_in_words(sealed: World) -> None:
    path = anchor(sealed)
    sealed.ask("publish")
    asked = ["verify", "--key", key_of(sealed), "--require-key", "--anchor", str(path), "--require-anchor"]
    asked += ["--max-unanchored", "0", "--require-sealed", "--cores", "1"]
    asked += ["--base", f"refs/enforcer/{sealed.ask('status').json['ledger']}"]

    reply = sealed.ask(*asked)

    VALIDATOR.validate(reply.json)
    told = {name: reply.json[name] for name in ("verdict", "anchoring", "key", "base", "unanchored", "findings")}
    assert reply.status == 0
    assert told == {
        "verdict": "verified",
        "anchoring": "anchored",
        "key": "pinned",
        "base": "same",
        "unanchored": None,
        "findings": [],
    }
    words = sealed.ask(*asked, text=True).out
    for part in (
        "verified",
        "key        pinned",
        "anchoring  anchored",
        "base       same",
        f"anchored to {len(sealed.lines())}",
    ):
        assert part in words


@pytest.mark.parametrize(
    "asked, status, code",
    [
        (("--require-anchor",), 2, "anchor_required"),
        (("--max-unanchored", "0"), 2, "unanchored_too_many"),
        (("--require-key",), 2, "key_required"),
        (("--base", "refs/enforcer/none"), 2, "base_absent"),
    ],
)
def test_what_is_required_and_absent_is_no_pass(sealed: World, asked: tuple[str, ...], status: int, code: str) -> None:
    reply = sealed.ask("verify", *asked)

    VALIDATOR.validate(reply.json)
    assert (reply.status, code in {one["code"] for one in reply.json["findings"]}) == (status, True)


@pytest.mark.parametrize(
    "asked, code",
    [
        (("--key", "nonsense"), "bad_vkey"),
        (("--key", "a+b+c"), "bad_vkey"),
        (("--key", "/dev/zero"), "bad_vkey"),
        (("--anchor", "nowhere"), "anchor_unreadable"),
        (("--anchor", "git:refs/heads/none"), "anchor_missing"),
        (("--anchor", "git:/nowhere"), "remote_unreachable"),
        (("--anchor", "git:--upload-pack=touch planted"), "bad_remote"),
        (("--ref", "refs/enforcer/none"), "ref_missing"),
        (("--ref", "-x"), "ref_missing"),
        (("--ref", "HEAD", "--incremental"), "usage"),
        (("--max-unanchored", "-1"), "usage"),
        (("--cores", "0"), "usage"),
    ],
)
def test_what_cannot_be_asked_is_an_error_and_no_traceback(sealed: World, asked: tuple[str, ...], code: str) -> None:
    before = sealed.snapshot()
    reply = sealed.ask("verify", *asked)

    assert (reply.status, reply.codes) == (2, [code])
    assert "Traceback" not in reply.out + reply.err
    assert sealed.snapshot() == before


def test_a_ledger_that_was_put_back_is_no_pass(sealed: World) -> None:
    older = sealed.root.parent / "older"
    shutil.copytree(sealed.root / "state", older)
    sealed.ask("open", "U")
    sealed.ask("checkpoint")
    shutil.rmtree(sealed.root / "state")
    shutil.copytree(older, sealed.root / "state")

    reply = sealed.ask("verify")

    assert (reply.status, [one["code"] for one in reply.json["findings"]]) == (1, ["rolled_back"])


def test_what_holds_is_kept_for_the_next_time(sealed: World) -> None:
    kept = sealed.root.parent / "kept"
    assert sealed.ask("verify", "--keep", str(kept)).status == 0
    sealed.ask("open", "U")
    reply = sealed.ask("verify", "--keep", str(kept), "--require-anchor")

    assert (reply.status, reply.json["anchored_to"]) == (0, len(sealed.lines()) - 1)
    assert "anchoring  anchored" in sealed.ask("verify", "--keep", str(kept), text=True).out


# The bar


def lengthen(world: World) -> None:
    """A write that a crash cut off, of many bytes: quick to read, and long enough for a bar."""
    os.truncate(world.segments()[0], LONG)


def watched(world: World, terminal: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "enforcer", "verify", "--root", str(world.root), "--json"],
        env={**world.process_environment(), "TERM": "xterm", "COLUMNS": "80"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=terminal,
    )


def on_a_terminal(world: World) -> tuple[int, bytes, bytes]:
    """Exit status, stdout, and what stood on the terminal that stderr was."""
    mine, theirs = pty.openpty()
    process = watched(world, theirs)
    os.close(theirs)
    assert process.stdout is not None
    shown, out = b"", b""
    left = {mine, process.stdout.fileno()}
    while left:
        for fd in select.select(left, [], [])[0]:
            try:
                data = os.read(fd, 1 << 16)
            except OSError:  # How a terminal says that the other side is gone.
                data = b""
            if not data:
                left.discard(fd)
            elif fd == mine:
                shown += data
            else:
                out += data
    os.close(mine)
    process.stdout.close()
    return process.wait(), out, shown


def test_a_long_ledger_is_verified_under_a_bar_where_somebody_looks(sealed: World) -> None:
    lengthen(sealed)

    status, out, shown = on_a_terminal(sealed)

    assert status == 0
    assert [one["code"] for one in json.loads(out)["findings"]] == ["torn_tail"]
    assert b"verifying" in shown
    assert b"100%" in shown
    assert shown.endswith(b"\n")


def test_a_short_ledger_is_verified_without_a_bar(sealed: World) -> None:
    status, out, shown = on_a_terminal(sealed)

    assert (status, json.loads(out)["verdict"], shown) == (0, "verified", b"")


def test_where_nobody_looks_there_is_no_bar(sealed: World) -> None:
    lengthen(sealed)

    reply = sealed.run("verify", actor=None)

    assert (reply.status, reply.err) == (0, "")
