"""`enforcer explain` and `scaffold`: what the phase of a task asks for, and a start on it."""

from __future__ import annotations

import click

from enforcer.surfaces.cli.costs import show_cost
from enforcer.surfaces.cli.options import acting, opened, reading, task_argument
from enforcer.surfaces.cli.output import line, refusals_json, refusals_text, shell_note, show_json
from enforcer.workflow.process import ENFORCE, OBSERVED
from enforcer.workflow.state import OPEN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from enforcer.enforcer import Enforcer
    from enforcer.task import Task
    from enforcer.workflow.cost import Cost
    from enforcer.workflow.events import Refusal
    from enforcer.workflow.facts import EvidenceFacts
    from enforcer.workflow.process import Phase

Rows = list[tuple["dict[str, Any]", "list[Refusal]"]]


@click.command()
@task_argument
@click.option(
    "--if-edited", "edited", multiple=True, metavar="PHASE/ARTIFACT", help="What an edit of this would cost, alone."
)
@reading
@acting
def explain(task: str, edited: tuple[str, ...], root: str | None, as_json: bool, actor: str | None) -> int:
    """What the phase of TASK needs, what is there, and what advance would answer now. Records nothing.

    Where an accepted document was edited, and with --if-edited, it says what falls with that and how it is earned back.
    """
    with opened(root, actor) as enforcer:
        handle = enforcer.task(task)
        found = handle.status()
        rows = artifact_rows(enforcer, handle) if found.state == OPEN else []
        event, _ = handle.preview()
        costs = handle.cost(*map(_accepted_name, edited)) if edited else found.cost
    refusals = event.refused if event is not None else ()
    members = {
        "task": task,
        "state": found.state,
        "phase": found.phase,
        "next": found.next,
        "attempt_id": found.attempt_id,
        "tools": list(found.tools),
        "artifacts": [row for row, _ in rows],
        "changed": list(found.changed),
        "falls": list(found.falls),
        "cost": costs.pack(complete=True) if costs is not None else None,
        "would": "refuse" if refusals else "advance",
        "refusals": refusals_json(refusals, task),
    }
    if as_json:
        show_json(members)
    elif edited and costs is not None:
        line(f"If {', '.join(costs.names)} of {task} is edited:")
        for name in costs.falls:
            line(f"  falls     {name} stands on it")
        show_cost(costs)
    else:
        _explained(members, rows, refusals, costs)
    return 0


def _accepted_name(text: str) -> str:
    """`PHASE/artifact` as the ledger writes it; a phase may be given in any case."""
    phase, slash, artifact = text.partition("/")
    return f"{phase.upper()}{slash}{artifact}"


def artifact_rows(enforcer: Enforcer, handle: Task, facts: EvidenceFacts | None = None) -> Rows:
    """Each artifact of the current phase as it stands, with the reasons that speak against it."""
    facts, phase = facts or handle.evidence(), handle.phase()
    folder = evidence_folder(enforcer, handle.name, phase.name)
    return [_row(handle.name, phase, artifact.name, f"{folder}/{artifact.name}", facts) for artifact in phase.artifacts]


def evidence_folder(enforcer: Enforcer, task: str, phase: str) -> str:
    """Where the evidence of a phase belongs: from the project's folder, or absolute for a state that lies elsewhere.

    A linked worktree shares the state of the main one, so `state/` beside its own files would be the wrong place.
    """
    project = enforcer.project
    inside = project.state == f"{project.root}/state"
    return f"{'state' if inside else project.state}/evidence/{task}/{phase.lower()}"


def _row(task: str, phase: Phase, name: str, path: str, facts: EvidenceFacts) -> tuple[dict[str, Any], list[Refusal]]:
    artifact = next(one for one in phase.artifacts if one.name == name)
    file = next((one for one in facts.files if one.artifact == name), None)
    problems = [one for one in facts.problems if one.artifact == name]
    for verdict in facts.verdicts:
        if verdict.artifact == name and verdict.mode == ENFORCE:
            problems += verdict.refusals
    members = {
        "name": name,
        "path": path,
        "origin": file.origin if file else OBSERVED if name in phase.observed else artifact.origin,
        "required": artifact.required_of(facts.risks),
        "state": "refused" if problems and file else "ready" if file else "missing",
        "digest": file.digest if file else None,
        "rules": [
            {"id": rule.id, "kind": rule.kind, "mode": rule.mode, "params": dict(rule.params)}
            for rule in phase.rules
            if rule.artifact == name
        ],
        "problems": refusals_json(problems, task),
    }
    return members, problems


def _explained(members: dict[str, Any], rows: Rows, refusals: Iterable[Refusal], costs: Cost | None) -> None:
    task = members["task"]
    if members["state"] != OPEN:
        line(f"{task} is {members['state']}; it ended in {members['phase']}.")
        return
    line(f"{task} is in {members['phase']}; next comes {members['next'] or 'completion'}.")
    line(f"  attempt id, for JSON evidence: {members['attempt_id']}")
    line(f"  tools allowed: {', '.join(members['tools'])}{shell_note(members['tools'])}")
    for row, problems in rows:
        show_row(row)
        for text in refusals_text(problems, task):
            line(f"    {text}")
    for name in members["changed"]:
        line(f"  changed   {name} is no longer what was accepted")
    for name in members["falls"]:
        line(f"  falls     {name} stands on it")
    if costs is not None:
        show_cost(costs)
    reasons = list(refusals)
    shown = [problem for _, problems in rows for problem in problems]
    if not reasons:
        line(f"advance would pass now: enforcer advance {task}")
        return
    others = [one for one in reasons if one not in shown]
    above = ", for what is said above" if len(others) < len(reasons) else ""
    line(f"advance would be refused now{above}{' and besides' if above and others else ''}{':' if others else '.'}")
    for text in refusals_text(others, task):
        line(text)


def show_row(row: dict[str, Any]) -> None:
    """One artifact for people: where it belongs, how it stands, and what is asked of it."""
    origin = "to be observed" if row["state"] == "missing" and row["origin"] == OBSERVED else row["origin"]
    notes = origin + ("" if row["required"] else ", optional")
    line(f"  {row['state']:8} {row['path']} ({notes})")
    for rule in row["rules"]:
        line(
            f"           {rule['kind']}{_params(rule['params'])}"
            + ("" if rule["mode"] == ENFORCE else f" ({rule['mode']})")
        )


def _params(params: dict[str, Any]) -> str:
    """A rule's arguments in words."""
    told = []
    for name, value in params.items():
        if value in ([], (), {}, ""):
            continue
        shown = ", ".join(str(item) for item in value) if isinstance(value, list | tuple) else str(value)
        told.append(f"{name.replace('_', ' ')} {shown}")
    return f": {'; '.join(told)}" if told else ""


@click.command()
@task_argument
@reading
@acting
def scaffold(task: str, root: str | None, as_json: bool, actor: str | None) -> int:
    """Write a form for each artifact of the phase that is not there. Nothing is overwritten.

    What Enforcer has to see being made is not written: `enforcer run TASK` makes it.
    """
    with opened(root, actor) as enforcer:
        handle = enforcer.task(task)
        state = handle.state()
        folder = evidence_folder(enforcer, task, state.phase)
        written = [f"{folder}/{name}" for name in handle.scaffold()]
        phase = handle.phase()
        observed = [each.name for each in phase.artifacts if each.name in phase.observed]
    if as_json:
        members = {"task": task, "phase": state.phase, "attempt_id": state.attempt_id, "written": written}
        show_json({**members, "observed": observed})
        return 0
    for path in written:
        line(f"wrote {path}")
    if observed:
        line(f"no form for {', '.join(observed)}: Enforcer makes that itself: enforcer run {task}")
    told = "Fill them in; what is still missing then:" if written else "There is nothing to fill in. What is missing:"
    line(f"{told} enforcer explain {task}")
    return 0
