"""Publishing as users do it: from any worktree, with several ledgers in one repository, and pushed with plain git."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from acceptance.world import ADA, BAD, GIT, World, canonical, digest, plain_process, rewrite

SCHEMAS = Path(__file__).parent.parent / "schemas" / "output"


@pytest.fixture
def governed(tmp_path: Path) -> World:
    world = World(tmp_path, process=plain_process(), git=True).init()
    world.git("add", "-A")
    world.git("commit", "--quiet", "-m", "Begin")
    world.given_task("T", "SPEC")
    return world


def ledger_of(world: World) -> str:
    return str(world.ask("status").json["ledger"])


def fits(name: str, answer: object) -> bool:
    Draft202012Validator(json.loads((SCHEMAS / f"{name}.schema.json").read_bytes())).validate(answer)
    return True


def test_publishing_says_where_and_then_that_there_is_nothing_new(governed: World) -> None:
    first = governed.ask("publish")
    again = governed.ask("publish")

    assert (first.status, again.status) == (0, 0)
    assert fits("publish", first.json)
    assert (first.json["moved"], again.json["moved"]) == (True, False)
    assert first.json["ref"] == f"refs/enforcer/{ledger_of(governed)}"
    assert "nothing new since" in governed.ask("publish", text=True).out
    assert f"git push origin {first.json['ref']}" in governed.ask("publish", text=True).out


def test_what_was_published_is_pushed_fetched_and_verified_elsewhere(governed: World, tmp_path: Path) -> None:
    ref = governed.ask("publish").json["ref"]
    governed.git("init", "--quiet", "--bare", str(tmp_path / "far.git"))
    governed.git("push", "--quiet", str(tmp_path / "far.git"), "HEAD:refs/heads/main", ref)
    governed.git("clone", "--quiet", "--branch=main", str(tmp_path / "far.git"), str(tmp_path / "clone"))
    (tmp_path / "nobody").mkdir()
    elsewhere = World.at(tmp_path / "clone", tmp_path / "nobody")
    elsewhere.git("fetch", "--quiet", "origin", f"{ref}:{ref}")
    before = elsewhere.snapshot()

    report = elsewhere.ask("verify", "--ref", ref)
    audit = elsewhere.ask("audit", "--ref", ref, "--rejudge")

    assert (report.status, report.json["entries"], audit.status) == (0, len(governed.lines()), 0)
    assert audit.json["judged"] == 1
    assert elsewhere.snapshot() == before
    assert elsewhere.ask("verify", "--ref", "refs/enforcer/none").codes == ["ref_missing"]
    assert elsewhere.ask("verify", "--ref", "HEAD").codes == ["not_published"]
    assert elsewhere.ask("audit", "--ref", "HEAD").codes == ["not_published"]
    assert elsewhere.ask("audit", "NONE", "--ref", ref).codes == ["unknown_task"]


def test_a_linked_worktree_publishes_the_ledger_of_the_clone(governed: World, tmp_path: Path) -> None:
    governed.git("worktree", "add", "--quiet", str(tmp_path / "linked"))
    linked = World.at(tmp_path / "linked", governed.home)

    first = linked.ask("publish")
    linked.ask("open", "U", actor=ADA)
    again = linked.ask("publish")

    assert (first.status, again.status) == (0, 0)
    assert first.json["ref"] == again.json["ref"] == f"refs/enforcer/{ledger_of(governed)}"
    assert governed.ask("publish").json == {**again.json, "moved": False}
    assert governed.ask("verify", "--ref", again.json["ref"]).json["entries"] == len(governed.lines())
    assert linked.ask("verify", "--base", again.json["ref"]).json["base"] == "same"


def test_an_anchor_in_the_shared_state_is_local_from_every_worktree(governed: World, tmp_path: Path) -> None:
    governed.git("worktree", "add", "--quiet", str(tmp_path / "linked"))
    linked = World.at(tmp_path / "linked", governed.home)
    assert governed.ask("anchor", "file", str(governed.root / "state" / "kept")).status == 0
    (governed.root / "beside").write_bytes((governed.root / "state" / "kept").read_bytes())

    for path in (governed.root / "state" / "kept", governed.root / "beside"):
        reply = linked.ask("verify", "--anchor", str(path), "--require-anchor")
        assert (reply.status, reply.json["anchoring"]) == (2, "local")


def test_two_ledgers_in_one_repository_are_published_side_by_side(tmp_path: Path) -> None:
    top = World(tmp_path, git=True)
    worlds = []
    for name in ("one", "two"):
        folder = top.root / name
        folder.mkdir()
        (folder / "process.toml").write_text(plain_process(), encoding="utf-8")
        world = World.at(folder, top.home).init()
        world.given_task("T", "SPEC")
        worlds.append(world)

    refs = [world.ask("publish").json["ref"] for world in worlds]
    worlds[0].ask("open", "U")

    assert len(set(refs)) == 2
    assert [world.ask("publish").json["moved"] for world in worlds] == [True, False]
    for world, ref in zip(worlds, refs, strict=True):
        assert world.ask("verify", "--ref", ref, "--base", ref).json["base"] == "same"
        assert world.ask("verify", "--ref", ref).json["entries"] == len(world.lines())
    assert worlds[0].ask("verify", "--base", refs[1]).json["base"] == "forked"


def test_an_outer_and_an_inner_project_do_not_meet(tmp_path: Path) -> None:
    outer = World(tmp_path, process=plain_process(), git=True).init()
    inner = World.at(outer.root / "parts" / "inner", outer.home)
    inner.root.mkdir(parents=True)
    (inner.root / "process.toml").write_text(plain_process(), encoding="utf-8")
    settings = outer.root / "enforcer.toml"
    settings.write_text('projects = ["parts/inner"]\n' + settings.read_text(encoding="utf-8"), encoding="utf-8")
    inner.init()

    refs = {world.ask("publish").json["ref"] for world in (outer, inner)}

    assert refs == {f"refs/enforcer/{ledger_of(world)}" for world in (outer, inner)}
    assert all(
        world.ask("verify", "--ref", f"refs/enforcer/{ledger_of(world)}").status == 0 for world in (outer, inner)
    )


def test_a_rewritten_history_is_refused_and_what_was_published_stays(governed: World) -> None:
    ref = governed.ask("publish").json["ref"]
    before = governed.git("rev-parse", ref)
    seed = (governed.root / "state" / "ledger" / "ledger.json").read_bytes()
    forged = rewrite(governed.lines(), seed, {1: {"title": "Something else"}})
    governed.segments()[0].write_bytes(b"".join(line + b"\n" for line in forged))
    governed.forget_caches()

    reply = governed.ask("publish")

    assert (reply.status, reply.codes) == (2, ["publish_forked"])
    assert governed.git("rev-parse", ref) == before
    assert governed.ask("verify", "--base", ref).json["base"] == "forked"
    assert governed.ask("verify", "--base", ref).status == 1


def test_no_key_and_no_cache_is_published(governed: World) -> None:
    names = governed.git("ls-tree", "-r", "--name-only", governed.ask("publish").json["commit"]).splitlines()
    content = governed.git("log", "--all", "-p", "--format=", "--", *names)

    assert not [name for name in names if ".cache" in name or name.endswith(("lock", "commit", ".pem"))]
    assert "PRIVATE KEY" not in content


def test_an_audit_of_what_was_published_judges_the_accepted_bytes_again(governed: World) -> None:
    lines = governed.lines()
    last = json.loads(lines[-1])
    assert last["event"]["type"].endswith("phase.advanced")
    name = digest(BAD)
    path = governed.root / "state" / "objects" / name[:2] / name[2:]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(BAD.encode())
    last["event"]["data"]["evidence"] = [{"artifact": "note.md", "digest": name, "size": len(BAD.encode())}]
    governed.segments()[0].write_bytes(b"".join(line + b"\n" for line in [*lines[:-1], canonical(last)]))
    shutil.rmtree(governed.home)
    governed.home.mkdir()
    for name in ("checkpoint", "checkpoints"):
        path = governed.root / "state" / "ledger" / name
        shutil.rmtree(path, ignore_errors=True)
        path.unlink(missing_ok=True)
    governed.forget_caches()
    ref = governed.ask("publish").json["ref"]

    assert governed.ask("verify", "--ref", ref).status == 0
    assert governed.ask("audit", "--ref", ref).status == 0
    reply = governed.ask("audit", "--ref", ref, "--rejudge")
    assert (reply.status, [one["code"] for one in reply.json["findings"]]) == (1, ["evidence_invalid"])


def test_an_audit_of_lines_that_are_none_has_no_answer(governed: World) -> None:
    path = governed.segments()[0]
    lines = governed.lines()
    commit = governed.ask("publish").json["commit"]
    path.write_bytes(b"\n".join([lines[0], b"{}", *lines[2:]]) + b"\n")
    forged = forged_commit(governed, commit, path)

    assert governed.ask("verify", "--ref", forged).status == 1
    reply = governed.ask("audit", "--ref", forged)
    assert (reply.status, reply.json["error"]["code"].startswith("ledger_")) == (2, True)


def forged_commit(world: World, commit: str, segment: Path) -> str:
    """The commit with the segment as it stands on the disk."""

    def run(*words: str) -> str:
        done = subprocess.run(
            ["git", f"--git-dir={world.root / '.git'}", *words],
            cwd=world.root / "state",
            env={**os.environ, **GIT, "GIT_INDEX_FILE": str(world.home / "index")},
            check=True,
            capture_output=True,
        )
        return done.stdout.decode().strip()

    run("read-tree", commit)
    blob = run("hash-object", "-w", "--no-filters", str(segment))
    run("update-index", "--cacheinfo", f"100644,{blob},ledger/seg/{segment.name}")
    return run("commit-tree", "-m", "m", run("write-tree"))
