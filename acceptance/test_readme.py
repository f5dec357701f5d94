"""What the README shows is what happens."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from acceptance.world import World
from enforcer import Enforcer, Refused

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_library_example_runs_and_is_refused_for_lack_of_evidence(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(world.root)
    monkeypatch.setenv("ENFORCER_ACTOR", "agent-1")
    [code] = blocks("python")

    with pytest.raises(Refused, match="evidence_missing") as refused:
        exec(compile(code, "README.md", "exec"), {})

    assert [one.code for one in refused.value.refusals] == ["evidence_missing"]
    with Enforcer.open(world.root) as enforcer:
        assert enforcer.task("TASK-1").state().lease is None


def test_every_page_that_the_readme_names_is_there() -> None:
    named = re.findall(r"\]\(([^)#:]+)\)", README)
    assert len(named) >= 6
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_command_that_the_readme_names_has_its_help() -> None:
    quoted = "\n".join(re.findall(r"`[^`\n]+`|^    .*$", README, re.MULTILINE))
    named = set(re.findall(r"\benforcer ([a-z]+)\b", quoted))
    commands = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")

    assert {"init", "open", "advance", "verify"} <= named
    assert [name for name in sorted(named) if not re.search(rf"^#+ `?enforcer {name}\b", commands, re.MULTILINE)] == []


def test_the_refusal_that_the_readme_shows_is_the_one_that_is_printed(world: World) -> None:
    world.run("open", "TASK-1", "--process", "lean")
    printed = world.run("advance", "TASK-1", "--to", "IMPLEMENT", text=True)

    reason = "phase_skip: IMPLEMENT cannot be reached from STRATEGIZE without SPEC, PLAN, THINK."
    assert printed.status == 1
    assert reason in README
    assert reason in printed.out
