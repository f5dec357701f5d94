"""A whole walk leaves the ledger in every form, and each convinces somebody who has nothing but the key."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from in_toto.exceptions import LinkNotFoundError  # type: ignore[import-untyped]
from in_toto.models.metadata import Metadata  # type: ignore[import-untyped]
from in_toto.verifylib import in_toto_verify  # type: ignore[import-untyped]
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey  # type: ignore[attr-defined]

from acceptance.model import PHASES
from acceptance.repositories import governed
from acceptance.walks import Walk
from acceptance.world import World
from enforcer.surfaces.cli import main


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A task that went through all nine phases, with a change of keys on the way."""
    world = governed(World(tmp_path_factory.mktemp("walked"), git=True), 7)
    walk = Walk(world, "T", 7).to("IMPLEMENT")
    assert world.ask("key", "rotate", "--overlap", "0", actor=None).status == 0
    walk.whole()
    return world


def export(world: World, out: Path, form: str, *more: str) -> list[Path]:
    reply = world.ask("export", "T", "--format", form, "--out", str(out), *more, actor=None)
    assert reply.status == 0, reply
    return [Path(path) for path in reply.json["files"]]


def vkeys(world: World) -> list[str]:
    return [one["vkey"] for one in world.ask("key", "show", actor=None).json["keys"]]


def ssl_key(vkey: str) -> SSlibKey:
    public = base64.b64decode(vkey.split("+", 2)[2])[1:].hex()
    return SSlibKey("", "ed25519", "ed25519", {"public": public})


def check(path: Path, *keys: str) -> dict[str, Any]:
    """What another one is told who has no project and no user's folder of the ledger."""
    words = ["verify-proof", str(path), "--json", *(word for key in keys for word in ("--key", key))]
    with CliRunner().isolation(env={"ENFORCER_HOME": "/nonexistent"}) as (out, _, _):
        with suppress(SystemExit):
            main(words)
        answer: dict[str, Any] = json.loads(out.getvalue())
        return answer


@pytest.mark.parametrize("number", [0, 1])
def test_a_receipt_convinces_whoever_pins_the_first_key_or_the_last(walked: World, tmp_path: Path, number: int) -> None:
    for more in ((), ("--embed",)):
        [path] = export(walked, tmp_path, "receipt", *more)
        answer = check(path, vkeys(walked)[number])
        assert (answer["verdict"], answer["key"], answer["closed"]) == ("verified", "pinned", True)
        assert answer["artifacts"] == len(walked.status()["accepted"])
        assert answer["embedded"] == (answer["artifacts"] if more else 0)


def test_a_changed_receipt_convinces_nobody(walked: World, tmp_path: Path) -> None:
    [path] = export(walked, tmp_path, "receipt")
    path.write_bytes(path.read_bytes().replace(b"phase.advanced", b"phase.advancee", 1))
    assert check(path, vkeys(walked)[0])["verdict"] == "tampered"


def test_a_stranger_key_accuses_nobody_and_vouches_for_nothing(walked: World, tmp_path: Path) -> None:
    [path] = export(walked, tmp_path, "receipt")
    other = World(tmp_path / "other").init()
    answer = check(path, vkeys(other)[0])
    assert (answer["verdict"], answer["key"]) == ("unverifiable", "none")


def test_in_toto_follows_the_walk_and_misses_a_phase_that_is_gone(walked: World, tmp_path: Path) -> None:
    files = export(walked, tmp_path, "layout")
    assert len(files) == len(PHASES) + 1
    key = ssl_key(vkeys(walked)[-1])
    envelope = json.loads((tmp_path / "root.layout").read_bytes())
    key.keyid = envelope["signatures"][0]["keyid"]

    def verify() -> None:
        layout = Metadata.load(str(tmp_path / "root.layout"))
        in_toto_verify(layout, {key.keyid: {**key.to_dict(), "keyid": key.keyid}}, link_dir_path=str(tmp_path))

    verify()
    next(path for path in files if path.name.startswith("REVIEW.")).unlink()
    with pytest.raises(LinkNotFoundError, match="REVIEW"):
        verify()


def test_every_statement_is_an_envelope_that_others_verify(walked: World, tmp_path: Path) -> None:
    [path] = export(walked, tmp_path, "statements")
    lines = path.read_bytes().splitlines()
    assert len(lines) == len(PHASES)
    for line in lines:
        envelope = json.loads(line)
        key = ssl_key(vkeys(walked)[-1])
        key.keyid = envelope["signatures"][0]["keyid"]
        Envelope.from_dict(envelope).verify([key], 1)
        statement = json.loads(base64.b64decode(envelope["payload"]))
        assert statement["_type"] == "https://in-toto.io/Statement/v1"


def test_events_are_the_tasks_lines_one_for_one(walked: World, tmp_path: Path) -> None:
    [path] = export(walked, tmp_path, "cloudevents")
    told = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [one["id"] for one in told] == [one["id"] for one in walked.events(task="T")]
