"""Every `--json` output keeps to its schema in `schemas/output/`, and every command has one."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from enforcer.surfaces import demo
from enforcer.surfaces.cli.table import group
from enforcer.surfaces.demo.reckoning import Finding
from tests.surfaces.command import ROOT, Project, Reply, process

SCHEMAS = ROOT / "schemas" / "output"

# Schemas that belong to no command of their own: shared parts, errors, and the second shapes of `status` and `approve`.
BESIDES = {"common", "error", "status-all", "approve-show"}

# Commands that may answer "no" have these members besides their own; DESIGN and README name them as stable.
STABLE = {
    "advance": {"ok", "task", "from", "to", "seq", "hash", "refusals"},
    "verify": {
        *("verdict", "integrity", "legality", "evidence", "anchoring", "key", "entries", "head"),
        *("sealed_to", "anchored_to", "unanchored", "findings"),
    },
    "status": {"task", "state", "phase", "attempt", "attempt_id", "lease", "accepted", "invalidated", "last_refusal"},
}


def load(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))
    return schema


NAMES = sorted(path.name.removesuffix(".schema.json") for path in SCHEMAS.iterdir())
REGISTRY: Registry = Registry().with_resources(
    [(schema["$id"], Resource.from_contents(schema)) for schema in map(load, NAMES)]
)


def faults(name: str, value: Any) -> list[str]:
    validator = Draft202012Validator(load(name), registry=REGISTRY)
    return [f"{fault.json_path}: {fault.message}" for fault in validator.iter_errors(value)]


def check(name: str, reply: Reply, status: int = 0) -> Any:
    """The answer, which has to keep to the schema and to have this exit status."""
    assert reply.status == status, reply
    assert faults(name, reply.json) == []
    return reply.json


def leaves(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Every command that can be called, as `group-command`."""
    if not isinstance(command, click.Group):
        yield "-".join(path), command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        child = command.get_command(context, name)
        assert child is not None
        yield from leaves(child, (*path, name))


COMMANDS = dict(leaves(group))


# Schemas


def test_every_command_has_a_schema_and_every_schema_a_command() -> None:
    assert set(NAMES) - BESIDES == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_takes_json(name: str) -> None:
    assert "--json" in {option for parameter in COMMANDS[name].params for option in parameter.opts}


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_valid_and_named_after_its_file(name: str) -> None:
    schema = load(name)
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"https://enforcer.dev/schemas/output/{name}.schema.json"
    assert schema["title"]
    assert schema["description"]


def objects(node: Any) -> Iterator[dict[str, Any]]:
    """Every subschema that names members."""
    if isinstance(node, dict):
        if isinstance(node.get("properties"), dict):
            yield node
        for item in node.values():
            yield from objects(item)
    elif isinstance(node, list):
        for item in node:
            yield from objects(item)


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_describes_each_member_and_admits_no_other(name: str) -> None:
    shared = load("common")["$defs"]
    for node in objects(load(name)):
        assert node["additionalProperties"] is False
        assert node["required"] == list(node["properties"]), "every member is always there"
        for member, schema in node["properties"].items():
            target = shared[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
            assert "description" in schema or "description" in target, member


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for item in node.values():
            yield from references(item)
    elif isinstance(node, list):
        for item in node:
            yield from references(item)


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_refers_to_nothing_outside_its_folder(name: str) -> None:
    for reference in references(load(name)):
        file, _, pointer = reference.partition("#/$defs/")
        assert pointer in load(file.removesuffix(".schema.json") if file else name)["$defs"]


def test_a_member_that_the_schema_does_not_know_is_found(project: Project) -> None:
    answer = project.given().done("status", "T")
    assert faults("status", answer) == []
    assert faults("status", {**answer, "mood": "fine"})
    del answer["attempt_id"]
    assert faults("status", answer)


@pytest.mark.parametrize("name", STABLE)
def test_the_stable_members_are_there(name: str) -> None:
    assert STABLE[name] <= set(load(name)["required"])


# Outputs


def test_init(project: Project) -> None:
    assert check("init", project.ask("init"))["created"]
    assert check("init", project.ask("init"))["created"] == []


def test_open(project: Project) -> None:
    project.done("init", "--process", "process.toml")
    assert check("open", project.ask("open", "T"))["seq"] == 1
    assert check("open", project.ask("open", "T"))["seq"] is None
    assert check("open", project.ask("open", "T", "--title", "else"), 1)["refusals"][0]["code"] == "task_exists"


def test_status(project: Project) -> None:
    project.given(phase="CHECK")
    assert check("status", project.ask("status", "T"))["lease"]["holder"] == "ada"
    project.call("advance", "T", "--to", "SHIP")
    assert check("status", project.ask("status", "T"))["last_refusal"]["code"] == "evidence_missing"
    project.done("backtrack", "T", "--to", "DRAFT", "--reason", "again")
    assert check("status", project.ask("status", "T"))["invalidated"] == ["DRAFT/note.md"]
    assert len(check("status-all", project.ask("status"))["tasks"]) == 1
    project.done("abandon", "T", "--reason", "no need")
    assert check("status", project.ask("status", "T"))["state"] == "abandoned"


def test_status_of_an_empty_ledger(project: Project) -> None:
    project.done("init")
    assert check("status-all", project.ask("status"))["tasks"] == []


def test_explain(project: Project) -> None:
    project.given()
    missing = check("explain", project.ask("explain", "T"))
    assert (missing["would"], missing["artifacts"][0]["state"]) == ("refuse", "missing")
    project.write("T", "DRAFT", "nothing")
    assert check("explain", project.ask("explain", "T"))["artifacts"][0]["state"] == "refused"
    path = project.write("T", "DRAFT")
    ready = check("explain", project.ask("explain", "T"))
    assert (ready["would"], ready["artifacts"][0]["state"]) == ("advance", "ready")
    assert project.root / ready["artifacts"][0]["path"] == path
    project.done("advance", "T")
    path.write_text("changed", encoding="utf-8")
    assert check("explain", project.ask("explain", "T"))["changed"] == ["DRAFT/note.md"]
    project.done("abandon", "T", "--reason", "no need")
    assert check("explain", project.ask("explain", "T"))["artifacts"] == []


def test_scaffold(project: Project) -> None:
    project.given()
    assert check("scaffold", project.ask("scaffold", "T"))["written"] == ["state/evidence/T/draft/note.md"]
    assert check("scaffold", project.ask("scaffold", "T"))["written"] == []


def test_advance(project: Project) -> None:
    project.given()
    skip = check("advance", project.ask("advance", "T", "--to", "ship"), 1)
    assert (skip["from"], skip["to"], skip["refusals"][0]["code"]) == ("DRAFT", "SHIP", "phase_skip")
    assert check("advance", project.ask("advance", "T"), 1)["to"] is None
    project.write("T", "DRAFT")
    dry = check("advance", project.ask("advance", "T", "--dry-run"))
    assert (dry["seq"], dry["to"], dry["dry_run"]) == (None, "CHECK", True)
    first = check("advance", project.ask("advance", "T", "--key", "k"))
    assert (first["from"], first["to"]) == ("DRAFT", "CHECK")
    again = check("advance", project.ask("advance", "T", "--key", "k"))
    assert (again["seq"], again["repeated"]) == (first["seq"], True)
    noop = check("advance", project.ask("advance", "T", "--to", "CHECK"))
    assert (noop["from"], noop["to"], noop["seq"]) == ("CHECK", "CHECK", None)
    for phase in ("CHECK", "SHIP"):
        project.write("T", phase)
        last = check("advance", project.ask("advance", "T"))
    assert (last["to"], last["completed"]) == (None, True)
    assert check("advance", project.ask("advance", "T"), 1)["refusals"][0]["code"] == "task_closed"


def test_a_long_streak_of_refusals(project: Project) -> None:
    project.given()
    answers = [check("advance", project.ask("advance", "T"), 1) for _ in range(11)]
    assert [answer["escalation"] for answer in answers[:4]] == [[], [], ["evidence_missing"], []]
    assert answers[-1]["coalesced"]


BUILT = """
[[phases.artifacts]]
name = "build.log"
format = "text"
rules = [{ id = "built", kind = "exit_status", status = 0 }]
"""
BUILD = """
[observe."build.log"]
argv = ["true"]
reader = "log"
"""


def test_run(project: Project) -> None:
    before, check_phase, after = process().partition('[[phases]]\nname = "CHECK"')
    (project.root / "process.toml").write_text(before + BUILT + check_phase + after + BUILD, encoding="utf-8")
    project.given()
    done = check("run", project.ask("run", "T"))
    assert [run["artifacts"][0]["artifact"] for run in done["runs"]] == ["build.log"]
    assert (done["runs"][0]["status"], done["runs"][0]["configured"]) == (0, True)
    failed = check("run", project.call("run", "T", "--json", "--", "false"), 1)["runs"][0]
    assert (failed["status"], failed["configured"]) == (1, False)
    killed = check("run", project.call("run", "T", "--json", "--", "sh", "-c", "kill -9 $$"), 1)["runs"][0]
    assert (killed["status"], killed["signal"]) == (None, "SIGKILL")
    held = check("run", project.ask("run", "T", "--actor", "bob"), 1)["runs"][0]
    assert (held["observation"], held["refusals"][0]["code"]) == (None, "lease_held")


def test_approve(project: Project) -> None:
    demand = process().replace('name = "CHECK"', 'name = "CHECK"\napprovals = [{ count = 1, signed = false }]')
    (project.root / "process.toml").write_text(demand, encoding="utf-8")
    project.given(phase="CHECK").write("T", "CHECK")
    shown = check("approve-show", project.ask("approve", "T", "--show", "--actor", "eve"))
    assert (shown["statement"]["kind"], shown["statement"]["principal"]) == ("approve", "eve")
    said = check("approve", project.ask("approve", "T", "--unsigned", "--yes", "--actor", "eve"))
    assert (said["principal"], said["signed"], said["signature"]) == ("eve", False, None)
    assert (said["counts"], said["demands"]) == (True, [{"demand": "1 approval", "met": 1, "needed": 1}])
    assert check("approve", project.ask("approve", "T", "--unsigned", "--yes"), 1)["refusals"], "one's own work"


def test_backtrack_and_abandon(project: Project) -> None:
    project.given(phase="CHECK")
    assert check("backtrack", project.ask("backtrack", "T", "--to", "SHIP", "--reason", "r"), 1)["seq"]
    assert check("backtrack", project.ask("backtrack", "T", "--to", "DRAFT", "--reason", "r"))["phase"] == "DRAFT"
    assert check("abandon", project.ask("abandon", "T", "--reason", "r"))["ok"]
    assert check("abandon", project.ask("abandon", "T", "--reason", "r"), 1)["refusals"][0]["code"] == "task_closed"


def test_evidence(project: Project) -> None:
    project.given()
    assert check("evidence-list", project.ask("evidence", "list", "T"))["evidence"] == []
    assert check("evidence-check", project.ask("evidence", "check", "T"), 1)["refusals"]
    path = project.write("T", "DRAFT")
    assert check("evidence-check", project.ask("evidence", "check", "T"))["ok"]
    assert check("evidence-list", project.ask("evidence", "list", "T"))["evidence"][0]["state"] == "pending"
    project.done("advance", "T")
    assert check("evidence-restore", project.ask("evidence", "restore", "T"))["restored"] == {}
    path.write_text("changed", encoding="utf-8")
    assert check("evidence-list", project.ask("evidence", "list", "T", "draft"))["evidence"][0]["state"] == "changed"
    restored = check("evidence-restore", project.ask("evidence", "restore", "T"))
    assert list(restored["restored"]) == ["DRAFT/note.md"]
    path.unlink()
    assert check("evidence-list", project.ask("evidence", "list", "T"))["evidence"][0]["state"] == "missing"
    assert check("evidence-restore", project.ask("evidence", "restore", "T"))["replaced"] == {"DRAFT/note.md": ""}
    path.unlink()
    path.symlink_to("/etc/passwd")
    assert check("evidence-list", project.ask("evidence", "list", "T"))["evidence"][0]["state"] == "unsafe"


def test_the_check_of_evidence_tells_of_what_the_phase_stands_on(project: Project) -> None:
    project.given(phase="CHECK")
    project.write("T", "CHECK")
    project.write("T", "DRAFT", "changed")
    answer = check("evidence-check", project.ask("evidence", "check", "T"), 1)
    assert [one["code"] for one in answer["refusals"]] == ["upstream_changed"]
    assert answer["refusals"][0]["fix"].startswith("Put it back: enforcer evidence restore T DRAFT.")


def test_leases(project: Project) -> None:
    project.given()
    assert check("leases", project.ask("leases"))["leases"] == []
    assert check("lease-renew", project.ask("lease", "renew", "T"), 1)["refusals"][0]["code"] == "lease_stale"
    assert check("lease-claim", project.ask("lease", "claim", "T"))["token"] == 1
    assert check("lease-claim", project.ask("lease", "claim", "T"))["seq"] is None
    assert check("lease-claim", project.ask("lease", "claim", "T", "--actor", "bob"), 1)["token"] is None
    assert check("lease-renew", project.ask("lease", "renew", "T"))["token"] == 1
    assert check("leases", project.ask("leases"))["leases"][0]["holder"] == "ada"
    assert check("lease-release", project.ask("lease", "release", "T", "--actor", "bob"), 1)["refusals"]
    assert check("lease-release", project.ask("lease", "release", "T"))["seq"] is not None
    assert check("lease-release", project.ask("lease", "release", "T"))["seq"] is None


def test_prompts(project: Project) -> None:
    project.given(phase="CHECK")
    assert check("baseline-show", project.ask("baseline", "show", "T"))["attestations"] == {}
    assert check("attest", project.ask("attest", "T", "--prompt", "-", stdin="be good"))["first"] == ["header"]
    assert check("attest", project.ask("attest", "T", "--prompt", "-", stdin="be bad"), 1)["drift"] == ["header"]
    shown = check("baseline-show", project.ask("baseline", "show", "T"))
    assert list(shown["attestations"]) == ["ada/CHECK"]
    accept = ("baseline", "accept", "T", "check", "--reason", "r", "--approver", "eve")
    assert check("baseline-accept", project.ask(*accept))["parts"] == ["header"]
    assert check("baseline-accept", project.ask(*accept))["seq"] is None


def test_process(project: Project) -> None:
    project.given()
    assert check("process-show", project.ask("process", "show", "T"))["name"] == "process.toml"
    adopt = ("process", "adopt", "T", "--reason", "r", "--approver", "eve")
    assert check("process-adopt", project.ask(*adopt))["seq"] is None
    (project.root / "process.toml").write_text(process(words=2), encoding="utf-8")
    adopted = check("process-adopt", project.ask(*adopt))
    assert adopted["difference"]
    assert adopted["difference"] == adopted["weakenings"]


OBSERVED = ("test_results.json", "build_output.log", "coverage_report.json")


@pytest.mark.parametrize("name,observed", [("default", OBSERVED), ("lean", ())])
def test_a_shipped_process_is_shown(project: Project, name: str, observed: tuple[str, ...]) -> None:
    commands = [word for artifact in observed for word in ("--observe", f"{artifact}=make")]
    project.done("init", "--process", name, *commands)
    project.done("open", "T")
    check("process-show", project.ask("process", "show", "T"))
    check("explain", project.ask("explain", "T"))


def test_guard(project: Project) -> None:
    project.given()
    call = json.dumps({"tool": "Bash", "input": {"command": "make"}})
    assert check("guard", project.ask("guard", "T", stdin=call), 1)["verdict"] == "deny"
    call = json.dumps({"tool": "Write", "input": {"file_path": "a.py"}})
    assert check("guard", project.ask("guard", "T", stdin=call))["verdict"] == "allow"


def test_the_journal(project: Project) -> None:
    project.given(phase="CHECK")
    entries = check("log", project.ask("log"))["entries"]
    assert [entry["seq"] for entry in entries] == list(range(len(entries)))
    assert check("log", project.ask("log", "T"))["entries"] == entries[1:]
    lines = project.call("log", "--format", "jsonl").out.splitlines()
    assert [json.loads(line) for line in lines] == entries


def test_telemetry(project: Project) -> None:
    project.given()
    project.call("advance", "T")
    assert check("telemetry", project.ask("telemetry"))["told"]["entries"] == 3
    assert check("telemetry", project.ask("telemetry"))["told"]["entries"] == 0


def test_verify_and_audit(project: Project) -> None:
    project.given(phase="CHECK")
    assert check("verify", project.ask("verify"))["verdict"] == "verified"
    assert check("audit", project.ask("audit"))["verdict"] == "clean"
    project.write("T", "DRAFT", "changed")
    assert check("audit", project.ask("audit", "T"), 1)["verdict"] == "violated"
    segment = next((project.root / "state" / "ledger" / "seg").iterdir())
    segment.write_bytes(segment.read_bytes().replace(b'"title":"Keep', b'"title":"Lose'))
    assert check("verify", project.ask("verify"), 1)["verdict"] == "tampered"
    segment.unlink()
    assert check("verify", project.ask("verify"), 1)["verdict"] == "tampered", "a checkpoint tells of lines"
    (project.root / "state" / "ledger" / "ledger.json").unlink()
    assert check("verify", project.ask("verify"), 2)["verdict"] == "unverifiable"


def test_witness(project: Project, tmp_path: Path) -> None:
    project.given()
    assert check("checkpoint", project.ask("checkpoint"))["cosignatures"] == []
    key = project.ask("key", "show").json["keys"][0]["vkey"]
    made = check("witness-init", project.ask("witness", "init"))
    assert made["logs"] == []
    ledger, note = str(project.root / "state" / "ledger"), str(tmp_path / "note")
    done = check("witness-cosign", project.ask("witness", "cosign", ledger, "--key", key, "--out", note))
    assert [log["size"] for log in check("witness-show", project.ask("witness", "show"))["logs"]] == [done["size"]]
    taken = check("checkpoint", project.ask("checkpoint", "--cosigned", note, "--key", made["vkey"]))
    assert [one["verified"] for one in taken["cosignatures"]] == [True]
    assert check("export", project.ask("export", "T", "--format", "html", "--out", str(tmp_path)))["format"] == "html"


def test_the_key(project: Project) -> None:
    project.given()
    shown = check("key-show", project.ask("key", "show"))
    assert (shown["here"], shown["trouble"]) == (shown["keys"][0]["vkey"], None)
    turned = check("key-rotate", project.ask("key", "rotate", "--overlap", "5"))
    assert turned["cap"] == turned["seq"] + 6
    assert [one["vkey"] for one in check("key-show", project.ask("key", "show"))["keys"]] == [
        turned["old"],
        turned["new"],
    ]
    key = next(project.home.glob("*/signing-key.pem"))
    key.chmod(0o644)
    assert check("key-show", project.ask("key", "show"))["trouble"]["code"] == "key_exposed"
    assert check("status-all", project.ask("status"))["unsealable"]["code"] == "key_exposed"
    done = check("key-compromised", project.ask("key", "compromised", "--reason", "exposed", "--no-anchor"))
    assert (done["trusted"], done["open_tasks"], done["resumed"]) == (0, ["T"], False)
    assert len(check("key-show", project.ask("key", "show"))["keys"]) == 1


def test_the_key_where_it_is_not(project: Project) -> None:
    project.given()
    for key in project.home.glob("*/signing-key.pem"):
        key.unlink()
    shown = check("key-show", project.ask("key", "show"))
    assert (shown["here"], shown["trouble"]["code"], len(shown["keys"])) == (None, "key_missing", 1)
    assert check("error", project.ask("key", "rotate"), 2)["error"]["code"] == "key_missing"
    status = check("status-all", project.ask("status"))
    assert (status["sealed_to"], status["unsealable"]["code"]) == (None, "key_missing")


def test_how_far_a_ledger_is_sealed_and_anchored(project: Project) -> None:
    project.given()
    assert check("status-all", project.ask("status"))["sealed_to"] is None
    project.done("checkpoint")
    sealed = check("status-all", project.ask("status"))
    assert (sealed["sealed_to"], sealed["entries"], sealed["anchored_to"], sealed["unsealable"]) == (2, 2, None, None)
    project.done("anchor", "file", str(project.home / "kept"))
    project.done("open", "U")
    anchored = check("status-all", project.ask("status"))
    assert (anchored["sealed_to"], anchored["entries"], anchored["anchored_to"]) == (2, 3, 2)
    assert "(sealed to 2, anchored to 2 by its own word)" in project.call("status").out
    (project.root / "state" / "ledger" / "checkpoint").write_bytes(b"x")
    (project.root / "state" / "ledger" / "anchors" / "9").write_bytes(b"x")
    broken = check("status-all", project.ask("status"))
    assert (broken["sealed_to"], broken["anchored_to"]) == (None, 2)


def test_a_ledger_that_was_cut_off_is_not_sealed_and_says_why(project: Project) -> None:
    project.given()
    project.done("checkpoint")
    segment = next((project.root / "state" / "ledger" / "seg").iterdir())
    segment.write_bytes(segment.read_bytes().splitlines(keepends=True)[0])
    for folder in (project.root / "state" / "ledger" / ".cache",):
        shutil.rmtree(folder, ignore_errors=True)
    assert check("status-all", project.ask("status"))["unsealable"]["code"] == "ledger_rolled_back"


def test_exports(project: Project) -> None:
    project.given(phase="CHECK")
    out = str(project.home / "out")
    for form in ("receipt", "statements", "layout", "cloudevents"):
        made = check("export", project.ask("export", "T", "--format", form, "--out", out))
        assert all(os.path.isfile(path) for path in made["files"])
    assert check("export", project.ask("export", "--tiles", f"{out}/site"))["format"] == "tiles"
    proof = check("prove", project.ask("prove", "1", "--out", f"{out}/deep/p.tlog-proof"))
    assert Path(proof["file"]).read_text(encoding="utf-8") == proof["proof"]
    assert check("prove", project.ask("prove", "1"))["file"] is None
    vkey = project.done("key", "show")["here"]
    for path in (proof["file"], f"{out}/T.receipt.json"):
        assert check("verify-proof", project.ask("verify-proof", path, "--key", vkey))["key"] == "pinned"
        assert check("verify-proof", project.ask("verify-proof", path), 2)["key"] in ("none", "self-declared")


@pytest.mark.parametrize(
    "words, code",
    [
        (("export",), "usage"),
        (("export", "T", "--tiles", "x"), "usage"),
        (("export", "--tiles", "x", "--embed"), "usage"),
        (("export", "T", "--format", "layout", "--out", "-"), "usage"),
        (("export", "T", "--out", "-"), "usage"),
        (("export", "T", "--format", "layout", "--embed"), "usage"),
        (("export", "NONE"), "unknown_task"),
        (("export", "../T"), "unknown_task"),
        (("export", "T", "--out", "process.toml"), "export_unwritable"),
        (("export", "T", "--out", "a\0b"), "export_unwritable"),
        (("export", "--tiles", "process.toml"), "export_unwritable"),
        (("export", "--tiles", "."), "site_foreign"),
        (("prove", "99"), "unknown_entry"),
        (("prove", "-1"), "usage"),
        (("prove", "1", "--out", "process.toml/p"), "export_unwritable"),
        (("verify-proof", "none"), "input_unreadable"),
        (("verify-proof", "process.toml", "--key", "x"), "bad_vkey"),
        (("key", "rotate", "--overlap", "-1"), "bad_overlap"),
        (("key", "compromised", "--reason", "r"), "anchor_needed"),
        (("key", "compromised", "--reason", "r", "--anchor", "none", "--no-anchor"), "usage"),
        (("key", "compromised", "--reason", "r", "--anchor", "none"), "anchor_unreadable"),
        (("key", "compromised", "--reason", "r", "--anchor", "state/ledger/checkpoint"), "anchor_not_held"),
    ],
)
def test_a_key_or_an_export_that_cannot_be_is_an_error(project: Project, words: tuple[str, ...], code: str) -> None:
    project.given(phase="CHECK")
    assert check("error", project.ask(*words), 2)["error"]["code"] == code


def test_a_file_that_is_no_proof_is_an_answer(project: Project) -> None:
    answer = check("verify-proof", project.ask("verify-proof", "process.toml"), 2)
    assert (answer["verdict"], answer["origin"], answer["entries"]) == ("unverifiable", None, 0)


def test_without_the_key_a_sealed_ledger_gives_receipts_and_no_signatures(project: Project) -> None:
    project.given(phase="CHECK")
    for key in project.home.glob("*/signing-key.pem"):
        key.unlink()
    out = str(project.home / "out")
    check("export", project.ask("export", "T", "--out", out))
    check("export", project.ask("export", "T", "--format", "cloudevents", "--out", out))
    check("prove", project.ask("prove", "1"))
    for form in ("statements", "layout"):
        reply = project.ask("export", "T", "--format", form, "--out", out)
        assert check("error", reply, 2)["error"]["code"] == "key_missing"
    project.done("open", "LATER")
    for words in (("export", "LATER", "--out", out), ("prove", "5")):
        assert check("error", project.ask(*words), 2)["error"]["code"] in ("unsealed", "unknown_entry")


@pytest.mark.parametrize(
    "ending",
    [
        demo.Ending(0, (Finding("ways back", "1", "1"),)),
        demo.Ending(1, (Finding("ways back", "1", "2"),), "This differs: ways back."),
        demo.Ending(1, difference="The gate said yes."),
    ],
)
def test_demo(ending: demo.Ending) -> None:
    assert faults("demo", demo.as_json(ending, demo.Options())) == []
    assert faults("demo", demo.as_json(ending, demo.Options(keep="here"))) == []


def test_a_demo_that_cannot_be_given_is_an_error(project: Project) -> None:
    reply = project.ask("demo", "--python", str(project.home / "none"))
    assert check("error", reply, 2)["error"]["code"] == "demo_python_unsuitable"
    assert "demo_python_unsuitable" in reply.err


# Errors

ARGUMENTS: dict[str, tuple[str, ...]] = {
    "backtrack": ("--to", "DRAFT", "--reason", "r"),
    "abandon": ("--reason", "r"),
    "attest": ("--prompt", "/dev/null"),
    "baseline-accept": ("DRAFT", "--reason", "r", "--approver", "eve"),
    "process-adopt": ("--reason", "r", "--approver", "eve"),
    "anchor-file": ("kept",),
    "prove": ("0",),
    "key-compromised": ("--reason", "r"),
    "approve": ("--unsigned", "--yes"),
}


# Groups that need no project.
NO_PROJECT = ("init", "demo", "witness", "verify-proof")


@pytest.mark.parametrize("name", [name for name in COMMANDS if not {name, name.partition("-")[0]} & {*NO_PROJECT}])
def test_an_error_has_one_form_for_every_command(project: Project, name: str) -> None:
    takes_task = any(parameter.name == "task" for parameter in COMMANDS[name].params)
    words = [*name.split("-"), *(["T"] if takes_task else []), *ARGUMENTS.get(name, ())]
    reply = project.ask(*words, stdin='{"tool": "Read"}')
    error = check("error", reply, 2)["error"]
    assert error["code"] == "not_initialized"
    assert f"error not_initialized: {error['message']}" in reply.err
    assert f"  fix: {error['fix']}" in reply.err


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_mistaken_call_is_an_error_like_any_other_wherever_json_was_asked_for(project: Project, place: int) -> None:
    words = ["advance", "T", "--wrong"]
    words.insert(place + 1, "--json")
    assert check("error", project.call(*words), 2)["error"]["code"] == "usage"


def test_nothing_but_the_answer_is_on_stdout(project: Project) -> None:
    reply = project.call("status", "T")
    assert (reply.status, reply.out) == (2, "")
