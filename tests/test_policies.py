"""Process files at the door: what ships loads, what is wrong is told all at once, and nothing outside is read."""

from __future__ import annotations

import binascii
import hashlib
import json
import os
import tomllib
from pathlib import Path

import pytest

from enforcer import policies, process_file, resources
from enforcer.errors import RequestError
from enforcer.evidence import schema
from enforcer.ledger.codec import parse_line
from enforcer.workflow.process import Approval, Observation, Process
from enforcer.workflow.rules.table import RULES

NAMES = ("default", "lean")
PHASES = ("STRATEGIZE", "SPEC", "PLAN", "THINK", "IMPLEMENT", "VERIFY", "REVIEW", "PR", "MONITOR")

SMALL = """
name = "small"
[[phases]]
name = "DO"
[[phases.artifacts]]
name = "done.md"
format = "markdown"
rules = [{ id = "done", kind = "sections", headings = ["Done"] }]
[[phases]]
name = "CHECK"
[[phases.artifacts]]
name = "check.json"
format = "json"
schema = "smoke_test_results"
rules = [{ id = "passed", kind = "every", list = "checks", member = "status", values = ["passed"] }]
"""


def refused(text: str | bytes, folder: Path) -> str:
    (folder / "mine.toml").write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(RequestError) as caught:
        policies.load("mine.toml", root=str(folder))
    assert caught.value.code == "bad_process"
    assert caught.value.fix
    assert caught.value.message.isprintable()
    return caught.value.message


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_process_has_the_nine_phases_and_is_stored_by_digest(name: str, tmp_path: Path) -> None:
    loaded = policies.load(name, root=str(tmp_path))
    assert loaded.process.order == PHASES
    assert loaded.digest == hashlib.sha256(loaded.data).hexdigest()
    assert Process.unpack(parse_line(loaded.data)) == loaded.process
    assert policies.load(name, root=str(tmp_path)) == loaded
    assert Process.unpack(loaded.process.pack()) == loaded.process


@pytest.mark.parametrize("name", NAMES)
def test_every_artifact_that_ships_has_rules_and_a_form_and_json_has_a_schema(name: str, tmp_path: Path) -> None:
    loaded = policies.load(name, root=str(tmp_path))
    stored = {hashlib.sha256(document).hexdigest() for document in loaded.objects}
    for phase, artifact in loaded.process.artifacts():
        assert any(rule.artifact == artifact.name and rule.mode == "enforce" for rule in phase.rules)
        assert artifact.scaffold
        assert (artifact.format == "json") == bool(artifact.schema)
        assert not artifact.schema or artifact.schema in stored


def test_the_tools_and_drift_of_the_default_process_are_those_of_the_agreement(tmp_path: Path) -> None:
    process = policies.load("default", root=str(tmp_path)).process
    tools = {phase.name: phase.tools for phase in process.phases if phase.tools}
    assert tools == {
        "IMPLEMENT": ("write", "run", "commit"),
        "VERIFY": ("run",),
        "PR": ("commit", "push", "network"),
        "MONITOR": ("run", "network", "deploy"),
    }
    assert [phase.name for phase in process.phases if phase.drift == "enforce"] == ["VERIFY", "REVIEW", "MONITOR"]
    assert not process.self_review
    assert policies.load("lean", root=str(tmp_path)).process.self_review


def test_ratios_are_stored_as_whole_basis_points(tmp_path: Path) -> None:
    process = policies.load("default", root=str(tmp_path)).process
    rules = {rule.id: rule for phase in process.phases for rule in phase.rules}
    assert rules["coverage-changed-lines"].params == {"field": "changed_line_rate", "ratio_bp": 8000}
    assert rules["tests-ran"].params == {"field": "passed", "value": 1}
    assert all(rule.version == RULES[rule.kind].version for rule in rules.values())


def test_a_file_of_the_project_is_named_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "process").mkdir()
    (tmp_path / "process" / "mine.toml").write_text(SMALL)
    (tmp_path / "link.toml").symlink_to("process/mine.toml")
    loaded = policies.load("process/mine.toml", root=str(tmp_path))
    assert loaded.process.order == ("DO", "CHECK")
    assert policies.load("link.toml", root=str(tmp_path)) == loaded
    assert len(loaded.objects) == 1


def test_a_project_can_bring_its_own_schema(tmp_path: Path) -> None:
    document = json.dumps(
        {"type": "object", "required": ["checks"], "properties": {"checks": {"type": "array"}}}
    ).encode()
    (tmp_path / "own.json").write_bytes(document)
    (tmp_path / "mine.toml").write_text(SMALL.replace('"smoke_test_results"', '"own.json"'))
    loaded = policies.load("mine.toml", root=str(tmp_path))
    assert loaded.objects == (document,)
    assert loaded.process.phases[1].artifacts[0].schema == hashlib.sha256(document).hexdigest()


@pytest.mark.parametrize(
    "path", ["state/evidence/T/verify/q.toml", "./src/../state/evidence/T/verify/q.toml", "link.toml", "folder/q.toml"]
)
def test_a_process_is_not_read_from_where_workers_write(tmp_path: Path, path: str) -> None:
    own = tmp_path / "state" / "evidence" / "T" / "verify"
    own.mkdir(parents=True)
    (tmp_path / "src").mkdir()
    (own / "q.toml").write_text(SMALL)
    (tmp_path / "link.toml").symlink_to(own / "q.toml")
    (tmp_path / "folder").symlink_to(own)

    with pytest.raises(RequestError, match="below state/") as caught:
        policies.load(path, root=str(tmp_path))

    assert caught.value.code == "bad_process"


def test_a_process_is_not_read_through_a_name_in_the_state_folder_or_in_other_letters(tmp_path: Path) -> None:
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "q.toml").write_text(SMALL)
    assert policies.load("ours/q.toml", root=str(tmp_path)).process.name == "small"
    (tmp_path / "State").symlink_to("ours")

    with pytest.raises(RequestError, match="below state/"):
        policies.load("State/q.toml", root=str(tmp_path))


def test_a_schema_is_not_read_from_where_workers_write(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "any.json").write_text("{}")

    assert "below state/" in refused(SMALL.replace('"smoke_test_results"', '"state/any.json"'), tmp_path)


def test_nothing_outside_the_project_is_read(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "in-sibling"
    inside.mkdir()
    outside.mkdir()
    (outside / "mine.toml").write_text(SMALL)
    (inside / "link.toml").symlink_to(outside / "mine.toml")
    (inside / "folder").symlink_to(outside)
    os.mkfifo(inside / "pipe.toml")
    (inside / "dir.toml").mkdir()
    absolute = str(outside / "mine.toml")
    for name in (
        "../in-sibling/mine.toml",
        absolute,
        "link.toml",
        "folder/mine.toml",
        "pipe.toml",
        "dir.toml",
        "no.toml",
    ):
        with pytest.raises(RequestError) as caught:
            policies.load(name, root=str(inside))
        assert caught.value.code == "bad_process"
    for name in ("", "none", "..", "default\0", "default\0.toml", "/", "\x1b[2J"):
        with pytest.raises(RequestError) as caught:
            policies.load(name, root=str(inside))
        assert caught.value.code == "bad_process"
        assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "change, told",
    [
        (('name = "small"', 'name = "small"\ncolour = 1'), "colour: unknown key"),
        (('format = "markdown"', 'format = "markdown"\ncolour = 1'), "phases[0].artifacts[0].colour: unknown key"),
        (
            ('headings = ["Done"]', 'headings = ["Done"], colour = 1'),
            "phases[0].artifacts[0].rules[0].colour: unknown key",
        ),
        (('headings = ["Done"]', 'heading = ["Done"]'), "phases[0].artifacts[0].rules[0].headings: Field required"),
        (('kind = "sections"', 'kind = "section"'), "phases[0].artifacts[0].rules[0].kind: no kind of rule is called"),
        (('kind = "sections", ', ""), "phases[0].artifacts[0].rules[0].kind: is missing"),
        (('id = "done"', 'id = "passed"'), "phases[1].artifacts[0].rules[0].id: the rule passed stands at phases[0]"),
        (('id = "done"', 'id = "schema"'), "the name of a rule that always holds"),
        (('"CHECK"', '"DO"'), "phases[1].name: the phase DO stands at phases[0].name already"),
        (('"CHECK"', '"check"'), "phases[1].name: String should match pattern"),
        (('"check.json"', '"../check.json"'), "phases[1].artifacts[0].name: may hold letters"),
        (('"check.json"', '"a/b.json"'), "phases[1].artifacts[0].name: may hold letters"),
        (('schema = "smoke_test_results"', 'schema = "smoke"'), "phases[1].artifacts[0].schema: no schema of the name"),
        (('schema = "smoke_test_results"', 'schema = "no.json"'), "phases[1].artifacts[0].schema: cannot read"),
        (('schema = "smoke_test_results"', 'schema = "../no.json"'), "is not a path inside the project"),
        (('format = "markdown"', 'format = "markdown"\nschema = "file_map"'), "a schema holds for JSON"),
        (('kind = "sections", headings = ["Done"]', 'kind = "url"'), "url reads text, and the artifact is markdown"),
        (('kind = "sections", headings = ["Done"]', 'kind = "no_placeholder", members = ["x"]'), "only of JSON"),
        (('headings = ["Done"]', "headings = []"), "at least 1 item"),
        (('headings = ["Done"]', 'headings = ["Done"], words = 0'), "greater than or equal to 1"),
        (('headings = ["Done"]', 'headings = ["Done"], mode = "warn"'), "rules[0].mode"),
        (('headings = ["Done"]', 'headings = ["Done"], mode = "observe"'), "none has a rule that is enforced"),
        (('rules = [{ id = "done", kind = "sections", headings = ["Done"] }]', ""), "has neither rules nor a schema"),
        (('format = "markdown"', 'format = "markdown"\nrequired = false'), "none is required"),
        (
            ('format = "json"', 'format = "json"\nstands_on = ["DO/other.md"]'),
            "stands_on[0]: DO/other.md is no artifact of an earlier phase",
        ),
        (
            ('format = "markdown"', 'format = "markdown"\nstands_on = ["CHECK/check.json"]'),
            "is no artifact of an earlier phase",
        ),
        (('format = "json"', 'format = "json"\nscaffold = "{"'), "phases[1].artifacts[0].scaffold: is not strict JSON"),
        (('name = "CHECK"', 'name = "CHECK"\ntools = ["sudo"]'), "phases[1].tools[0]"),
        (('name = "CHECK"', 'name = "CHECK"\ndrift = "loud"'), "phases[1].drift"),
        (
            ('name = "small"', 'name = "small"\n[observe."x.json"]\nargv = ["x"]\nreader = "junit"\nreport = "x"'),
            'observe."x.json": no phase has',
        ),
        (('name = "small"', 'name = "small"\n[observe."check.json"]\nargv = []'), "argv"),
        (
            ('name = "small"', 'name = "small"\n[observe."check.json"]\nargv = ["x"]\nfolder = "../x"'),
            "folder: must be",
        ),
        (('name = "small"', 'name = "small"\n[pins]\nvolatile = "x"'), "pins.volatile"),
        (('name = "small"', 'name = "small"\n[pins]\nheader = "x"'), "pins.header"),
        (('name = "small"', 'name = "small"\n[personas]\nadmin = ["root"]'), "personas.admin[0]"),
        (('name = "small"', 'name = "small"\nself_review = "yes"'), "self_review"),
        (
            ('values = ["passed"] }', 'values = ["passed"] }, { id = "n", kind = "minimum", field = "n" }'),
            "either `value`",
        ),
        (
            ('values = ["passed"] }', 'values = ["passed"] }, { id = "n", kind = "minimum", field = "n", ratio = 80 }'),
            "ratio",
        ),
        (
            (
                'values = ["passed"] }',
                'values = ["passed"] }, { id = "n", kind = "minimum", field = "n", ratio = 0.33333 }',
            ),
            "four decimals",
        ),
        (
            (
                'values = ["passed"] }',
                'values = ["passed"] }, { id = "b", kind = "bound", field = "d", to = "CHECK/x" }',
            ),
            "rules[1].to",
        ),
        (('name = "small"', 'name = "small"\nname = "again"'), "line 3"),
        (('name = "small"', "name = small"), "line 2, column 8"),
    ],
)
def test_a_malformed_file_is_told_with_its_key_or_line(change: tuple[str, str], told: str, tmp_path: Path) -> None:
    assert change[0] in SMALL
    assert told in refused(SMALL.replace(*change, 1), tmp_path)


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    shape = refused(
        SMALL.replace('"small"', '"small"\ncolour = 1').replace('format = "json"', 'format = "xml"'), tmp_path
    )
    assert "colour: unknown key" in shape
    assert "phases[1].artifacts[0].format" in shape
    meaning = refused(SMALL.replace('"CHECK"', '"DO"').replace('"smoke_test_results"', '"smoke"'), tmp_path)
    assert "phases[1].name" in meaning
    assert "phases[1].artifacts[0].schema" in meaning


def test_bytes_that_are_no_text_and_endless_nesting_are_told(tmp_path: Path) -> None:
    assert "no UTF-8 (at line 3" in refused(b"\n\n\xff", tmp_path)
    assert refused("a = " + "[" * 100_000, tmp_path)
    assert "limit" in refused("#" * (1 << 20), tmp_path)
    assert refused("", tmp_path)
    assert "phases" in refused('name = "x"\nphases = []', tmp_path)


@pytest.mark.parametrize(
    "document, told",
    [
        ({"$ref": "https://example.org/x.json"}, "refers to another document"),
        ({"properties": {"x": {"$ref": "other.json#/x"}}}, "refers to another document"),
        ({"$ref": "#/$defs/none"}, "refers to nothing"),
        ({"properties": {"x": {"pattern": "(a+)+$"}}}, "repeats a group"),
        ({"patternProperties": {"(a|a)*": {}}}, "repeats a group"),
        ({"pattern": "(a)\\1"}, "refers back"),
        ({"pattern": "x" * 300}, "the limit is 256"),
        ({"pattern": "("}, "is not a valid 2020-12 schema"),
        ({"type": "text"}, "is not a valid 2020-12 schema"),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, "another dialect"),
        ([], "is not a JSON object"),
    ],
)
def test_a_schema_that_cannot_be_trusted_is_refused(document: object, told: str, tmp_path: Path) -> None:
    (tmp_path / "own.json").write_text(json.dumps(document))
    message = refused(SMALL.replace('"smoke_test_results"', '"own.json"'), tmp_path)
    assert "phases[1].artifacts[0].schema: own.json" in message
    assert told in message


def test_the_schema_of_process_files_is_generated_from_the_model() -> None:
    shipped = resources.read("schemas", "process.schema.json")
    assert shipped == process_file.json_schema()
    assert schema.problems(shipped) == ()


@pytest.mark.parametrize("name", [name for name in resources.names("schemas") if name.startswith("evidence/")])
def test_a_shipped_schema_is_sound_documented_and_keeps_its_own_examples(name: str) -> None:
    data = resources.read("schemas", name)
    document = json.loads(data)
    assert schema.problems(data) == ()
    assert document["$id"] == f"https://enforcer.dev/schemas/{name}"
    assert document["examples"]
    assert [schema.faults(data, example) for example in document["examples"]] == [()] * len(document["examples"])
    for where, item in _subschemas(document):
        assert item.get("description"), where
        assert item.get("type") != "string" or "maxLength" in item, where
        assert item.get("type") != "array" or "maxItems" in item, where
        assert item.get("type") != "object" or "additionalProperties" in item, where


def _subschemas(item: dict, where: str = "$") -> list[tuple[str, dict]]:
    found = [(where, item)]
    for name, inner in item.get("properties", {}).items():
        found += _subschemas(inner, f"{where}.{name}")
    for entry in [item["items"]] if "items" in item else []:
        found += [one for one in _subschemas(entry, f"{where}[]") if one[0] != f"{where}[]"]
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_process_keeps_to_the_schema_of_process_files(name: str) -> None:
    document = tomllib.loads(resources.read("policies", f"{name}.toml").decode())
    shipped = resources.read("schemas", "process.schema.json")
    assert schema.faults(shipped, document) == ()
    assert schema.faults(shipped, {**document, "colour": 1})


REVIEWED = """
[[phases]]
name = "REVIEW"
tools = ["write"]
[[phases.artifacts]]
name = "review.json"
format = "json"
rules = [{ id = "independent", kind = "reviewer" }]
"""


def test_a_review_without_authors_before_it_is_refused(tmp_path: Path) -> None:
    told = refused(SMALL + REVIEWED, tmp_path)

    assert "phases[2]" in told
    assert "authors = true" in told


def test_a_phase_cannot_have_its_own_authors_review(tmp_path: Path) -> None:
    mixed = REVIEWED.replace('tools = ["write"]', "authors = true")

    assert "phases[2].authors" in refused(SMALL + mixed, tmp_path)


@pytest.mark.parametrize("key", ["authors = true", 'tools = ["write"]'])
def test_a_process_names_its_authoring_phases_or_they_are_those_that_write(key: str, tmp_path: Path) -> None:
    text = SMALL.replace('name = "DO"', f'name = "DO"\n{key}') + REVIEWED
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8")

    assert policies.load("mine.toml", root=str(tmp_path)).process.authoring == ("DO",)


@pytest.mark.parametrize("name", NAMES)
def test_the_shipped_processes_have_their_authors_in_implement(name: str, tmp_path: Path) -> None:
    assert policies.load(name, root=str(tmp_path)).process.authoring == ("IMPLEMENT",)


# Commands, risk classes and approvals ---------------------------------------------------------------------------------

CHECKED = SMALL.replace('format = "json"\n', 'format = "json"\nrisks = ["ci"]\n', 1).replace(
    '[[phases]]\nname = "CHECK"',
    '[[phases]]\nname = "CHECK"\napprovals = [{ count = 2, by = ["maria", "zoe"], risks = ["ci"] }]',
) + (
    '[[phases.artifacts]]\nname = "log.txt"\nformat = "text"\nrules = [{ id = "seen", kind = "observed" }]\n'
    '[observe."log.txt"]\nargv = ["make", "check", ""]\nreader = "log"\n'
    '[observe."check.json"]\nargv = ["make", "{out}"]\nreader = "junit"\nreport = "a/b.xml"\nfolder = "sub"\n'
    'timeout = 9\noutput = 2048\nenvironment = ["A_1"]\npath = ["bin"]\nsandbox = "bubblewrap"\nkeep = [".venv"]\n'
    '[risks]\nci = [".github/**", "Makefile"]\n'
)
CHECKED = 'signers = "signers"\nbreak_glass = ["zoe"]\n' + CHECKED

# Public keys that nobody has the private half of: their points were counted, not made.
KEYS = [
    "ssh-ed25519 " + binascii.b2a_base64(_blob, newline=False).decode()
    for _blob in (b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes([number]) * 32 for number in range(3))
]
SIGNERS = f"maria {KEYS[0]}\nzoe {KEYS[1]}\n"


def checked(folder: Path, text: str = CHECKED, signers: str = SIGNERS) -> Process:
    (folder / "signers").write_text(signers)
    (folder / "mine.toml").write_text(text)
    return policies.load("mine.toml", root=str(folder)).process


def test_commands_risk_classes_and_approvals_are_stored_as_they_were_written(tmp_path: Path) -> None:
    process = checked(tmp_path)

    assert process.observe["log.txt"] == Observation(("make", "check", ""), reader="log")
    assert process.observe["check.json"] == Observation(
        ("make", "{out}"), "sub", "junit", "a/b.xml", 9, 2048, ("A_1",), ("bin",), "bubblewrap", (".venv",)
    )
    assert process.risks == {"ci": (".github/**", "Makefile")}
    assert process.phase("CHECK").approvals == (Approval(2, ("maria", "zoe"), ("ci",)),)
    assert [artifact.risks for artifact in process.phase("CHECK").artifacts] == [("ci",), ()]
    assert (process.signers, process.break_glass) == (SIGNERS, ("zoe",))
    assert process.approves
    assert process.phase("CHECK").weighs_risks


@pytest.mark.parametrize(
    "change, told",
    [
        (("break_glass", "breakglass"), "breakglass: unknown key"),
        (('"maria", "zoe"', '"maria", "ann"'), "phases[1].approvals[0].by[1]: ann has no key in the file of `signers`"),
        (('"maria", "zoe"', '"maria"'), "phases[1].approvals[0].count: asks for 2 approvals of fewer principals"),
        (
            ('by = ["maria", "zoe"]', 'by = ["maria", "Maria"], signed = false'),
            "phases[1].approvals[0].count: asks for 2 approvals of fewer principals",
        ),
        (('count = 2, by = ["maria", "zoe"]', "count = 3"), "asks for 3 approvals of fewer principals"),
        (("count = 2", "count = 0"), "phases[1].approvals[0].count: Input should be greater"),
        (('risks = ["ci"] }', 'risks = ["money"] }'), "phases[1].approvals[0].risks[0]: there is no risk class money"),
        (('risks = ["ci"]\n', 'risks = ["money"]\n'), "phases[1].artifacts[0].risks[0]: there is no risk class money"),
        (('["zoe"]\n', '["Zoe"]\n'), "break_glass[0]: Zoe has no key"),
        (('break_glass = ["zoe"]', 'break_glass = ["z*"]'), "break_glass[0]: String should match"),
        (('signers = "signers"', 'signers = "none"'), "signers: cannot read"),
        (('signers = "signers"', 'signers = "../signers"'), "signers: '../signers' is not a path inside the project"),
        (('signers = "signers"', ""), "phases[1].approvals[0]: asks for signatures"),
        (('"Makefile"', '"[M]akefile"'), "risks.ci[1]: has ["),
        (('"Makefile"', '"a/../b"'), "risks.ci[1]: has . or .."),
        (('[".github/**", "Makefile"]', "[]"), "risks.ci: List should have at least 1 item"),
        (('["make", "check", ""]', '["", "check"]'), 'observe."log.txt".argv[0]: names no command'),
        (('["make", "check", ""]', '["make", "a\\u001bb"]'), 'observe."log.txt".argv[1]: must hold no control'),
        (('reader = "log"', 'reader = "log"\nreport = "x"'), "reads the output, and no report"),
        (
            ('reader = "junit"', 'reader = "log"'),
            'observe."check.json".reader: log makes text, and the artifact is json',
        ),
        (('report = "a/b.xml"\n', ""), 'observe."check.json".report: junit needs the name of the report'),
        (('report = "a/b.xml"', 'report = "../b.xml"'), "must be a relative path"),
        (('report = "a/b.xml"', 'report = "project:"'), 'observe."check.json".report: must be printable'),
        (('report = "a/b.xml"', 'report = "project:/etc/passwd"'), "must be a relative path"),
        (('reader = "junit"', 'reader = "guess"'), 'observe."check.json".reader'),
        (("timeout = 9", "timeout = 0"), "timeout"),
        (('sandbox = "bubblewrap"', 'sandbox = "maybe"'), "sandbox"),
        (('["A_1"]', '["A=1"]'), "environment[0]"),
        (('path = ["bin"]', 'path = ["/usr/bin"]'), "path[0]: must be a relative path"),
        (('keep = [".venv"]', 'keep = [".."]'), "keep[0]: must be a relative path"),
    ],
)
def test_a_demand_that_nobody_could_meet_or_a_run_that_proves_nothing_is_told(
    change: tuple[str, str], told: str, tmp_path: Path
) -> None:
    assert change[0] in CHECKED
    (tmp_path / "signers").write_text(SIGNERS)

    assert told in refused(CHECKED.replace(*change, 1), tmp_path)


def test_signers_that_cannot_be_read_are_told_with_their_line(tmp_path: Path) -> None:
    (tmp_path / "signers").write_text(f"maria {KEYS[0]}\n* {KEYS[1]}\n")

    assert "signers: line 2" in refused(CHECKED, tmp_path)


def test_anybody_with_a_key_approves_where_nobody_is_named(tmp_path: Path) -> None:
    process = checked(tmp_path, CHECKED.replace('by = ["maria", "zoe"], ', ""))

    assert process.phase("CHECK").approvals == (Approval(2, (), ("ci",)),)


def test_who_only_declares_needs_no_key(tmp_path: Path) -> None:
    text = CHECKED.replace('risks = ["ci"] }', 'risks = ["ci"], signed = false }')
    text = text.replace('signers = "signers"\nbreak_glass = ["zoe"]\n', "")

    assert checked(tmp_path, text).phase("CHECK").approvals[0].signed is False


def test_a_phase_needs_something_that_is_required_of_every_change(tmp_path: Path) -> None:
    text = SMALL.replace('format = "markdown"', 'format = "markdown"\nrisks = ["ci"]') + '[risks]\nci = ["*"]\n'

    assert "phases[0].artifacts: none is required" in refused(text, tmp_path)


def test_what_has_to_be_observed_and_has_no_command_is_known(tmp_path: Path) -> None:
    process = checked(tmp_path)

    assert process.unobservable == ()
    assert process.phase("CHECK").observed == {"log.txt"}
    assert process.replace(observe={}).unobservable == ("log.txt",)


def test_one_run_serves_what_differs_in_what_is_read_of_it_only() -> None:
    run = Observation(("make",), reader="junit", report="a.xml", environment=("A",))

    assert run.runs_with(run.replace(reader="lcov", report="b"))
    for changes in ({"argv": ("make", "")}, {"folder": "x"}, {"environment": ()}, {"sandbox": "bubblewrap"}):
        assert not run.runs_with(run.replace(**changes))
