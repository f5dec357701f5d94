"""What `docs/evidence.md` shows passes, and what it lists is all there is."""

from __future__ import annotations

import json
import re

from enforcer import policies, resources
from enforcer.workflow.rules.markdown import named, sections, words
from enforcer.workflow.rules.table import RULES
from tests.sources import ROOT

PAGE = (ROOT / "docs" / "evidence.md").read_text(encoding="utf-8")
PROCESS = policies.load("default", root=str(ROOT)).process


def test_each_example_of_json_is_the_one_of_its_schema() -> None:
    shown = dict(re.findall(r"### ([a-z_]+)\.json\n\n```json\n(.*?)```", PAGE, flags=re.DOTALL))
    assert set(shown) == {artifact.name.removesuffix(".json") for _, artifact in PROCESS.artifacts() if artifact.schema}
    for name, text in shown.items():
        assert json.loads(text) in json.loads(resources.read("schemas", f"evidence/{name}.schema.json"))["examples"]


def test_the_document_that_is_said_to_pass_passes() -> None:
    (text,) = re.findall(r"```markdown\n(.*?)```", PAGE, flags=re.DOTALL)
    document = sections(text)
    for heading in PROCESS.phases[0].rules[0].params["headings"]:
        assert words(named(document, heading) or (), 3) == 3


def test_every_kind_of_rule_is_listed_and_no_other() -> None:
    table = PAGE.partition("## Rules")[2]
    assert set(re.findall(r"^\| `([a-z_]+)` \|", table, flags=re.MULTILINE)) == set(RULES)


def test_every_artifact_and_heading_of_the_default_process_is_listed() -> None:
    table = PAGE.partition("## The default process")[2].partition("## Documents")[0]
    rows = {name: row for row in table.splitlines() for name in re.findall(r"^\|[^|]*\| `([^`]+)` \|", row)}
    assert set(rows) == {artifact.name for _, artifact in PROCESS.artifacts()}
    for phase in PROCESS.phases:
        for rule in phase.rules:
            for heading in rule.params.get("headings", ()):
                assert heading in rows[rule.artifact]
