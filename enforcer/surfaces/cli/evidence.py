"""`enforcer explain`, `scaffold` and `evidence`: what a phase asks for, and what stands there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from enforcer.errors import RequestError
from enforcer.surfaces.cli.options import acting, opened, reading, task_argument, writing
from enforcer.surfaces.cli.output import answer, line, refusals_json, refusals_text, show_json
from enforcer.workflow.process import ENFORCE

if TYPE_CHECKING:
    from enforcer.task import Task
    from enforcer.workflow.events import Refusal
    from enforcer.workflow.facts import EvidenceFacts
    from enforcer.workflow.process import Phase


@click.command()
@task_argument
@reading
@acting
def explain(task: str, root: str | None, as_json: bool, actor: str | None) -> int:
    """What the phase of TASK needs, what is there, and what advance would answer now. Records nothing."""
    with opened(root, actor) as enforcer:
        handle = enforcer.task(task)
        found = handle.status()
        artifacts = _artifacts(handle.phase(), handle.evidence(), f"state/evidence/{task}") if found.state == "open" else []
        event, _ = handle.preview()
        refusals = event.refused if event is not None else ()
    members = {
        "task": task,
        "state": found.state,
        "phase": found.phase,
        "next": found.next,
        "attempt_id": found.attempt_id,
        "tools": list(found.tools),
        "artifacts": artifacts,
        "changed": list(found.changed),
        "falls": list(found.falls),
        "would": "refuse" if refusals else "advance",
        "refusals": refusals_json(refusals),
    }
    if as_json:
        show_json(members)
    else:
        _explained(members, refusals)
    return 0


def _artifacts(phase: Phase, facts: EvidenceFacts, folder: str) -> list[dict[str, Any]]:
    read = {one.artifact: one for one in facts.files}
    rows = []
    for artifact in phase.artifacts:
        problems = [one for one in facts.problems if one.artifact == artifact.name]
        for verdict in facts.verdicts:
            if verdict.artifact == artifact.name and verdict.mode == ENFORCE:
                problems += verdict.refusals
        rows.append(
            {
                "name": artifact.name,
                "path": f"{folder}/{phase.folder}/{artifact.name}",
                "origin": artifact.origin,
                "required": artifact.required,
                "state": "missing" if artifact.name not in read else "refused" if problems else "ready",
                "digest": read[artifact.name].digest if artifact.name in read else None,
                "rules": [{"id": rule.id, "kind": rule.kind, "mode": rule.mode} for rule in phase.rules if rule.artifact == artifact.name],
                "problems": refusals_json(problems),
            }
        )
    return rows


def _explained(members: dict[str, Any], refusals: tuple[Refusal, ...]) -> None:
    task = members["task"]
    line(f"{task} is {members['state']} in {members['phase']}; next comes {members['next'] or 'completion'}.")
    line(f"Attempt id for JSON evidence: {members['attempt_id']}")
    line(f"Tools allowed now: {', '.join(members['tools'])}")
    for row in members["artifacts"]:
        line(f"  {row['state']:8} {row['path']} ({row['origin']}{'' if row['required'] else ', optional'})")
        for rule in row["rules"]:
            line(f"             {rule['kind']} ({rule['mode']})")
    for name in members["changed"]:
        line(f"  changed  {name}; restore it, or backtrack to earn it again")
    for name in members["falls"]:
        line(f"           {name} stands on it")
    if refusals:
        line("advance would be refused now:")
        for text in refusals_text(refusals):
            line(text)
    else:
        line(f"advance would pass now: enforcer advance {task}")


@click.command()
@task_argument
@reading
@acting
def scaffold(task: str, root: str | None, as_json: bool, actor: str | None) -> int:
    """Write a starting text for each artifact of the phase that is not there. Nothing is overwritten."""
    with opened(root, actor) as enforcer:
        handle = enforcer.task(task)
        state = handle.state()
        written = [f"state/evidence/{task}/{state.phase.lower()}/{name}" for name in handle.scaffold()]
    if as_json:
        show_json({"task": task, "phase": state.phase, "attempt_id": state.attempt_id, "written": written})
    else:
        for path in written:
            line(f"wrote {path}")
        line(f"Fill them in, then: enforcer explain {task}" if written else "Every artifact has a file already.")
    return 0


@click.group()
def evidence() -> None:
    """List, check and restore evidence."""


@evidence.command("list")
@task_argument
@click.argument("phase", required=False)
@reading
def list_(task: str, phase: str | None, root: str | None, as_json: bool) -> int:
    """What was accepted for TASK and what stands in its folders."""
    with opened(root) as enforcer:
        handle = enforcer.task(task)
        state, process = handle.state(), handle.process()
        accepted = state.accepted_files()
        rows = []
        for one in process.phases:
            if phase and one.name != _known(phase, process.order):
                continue
            present, _ = enforcer.folder.listing(task, one.name)
            names = dict.fromkeys([*(entry.name for entry in present), *(file.artifact for file in state.accepted.get(one.name, ()))])
            read, _ = enforcer.folder.read(task, one.name, names)
            for name in names:
                there, counts = read.get(name), accepted.get(f"{one.name}/{name}")
                rows.append(
                    {
                        "phase": one.name,
                        "artifact": name,
                        "digest": there.digest if there else None,
                        "accepted": counts.digest if counts else None,
                        "state": _standing(there.digest if there else None, counts.digest if counts else None),
                    }
                )
    if as_json:
        show_json({"task": task, "evidence": rows})
    else:
        for row in rows:
            line(f"{row['state']:9} {row['phase']}/{row['artifact']} {(row['digest'] or '')[:12]}")
    return 0


def _standing(digest: str | None, accepted: str | None) -> str:
    if accepted is None:
        return "pending" if digest else "unsafe"
    return "accepted" if digest == accepted else "changed" if digest else "missing"


def _known(phase: str, order: tuple[str, ...]) -> str:
    if phase.upper() not in order:
        raise RequestError("unknown_phase", f"The process has no phase {phase.upper()}.", fix=f"One of: {', '.join(order)}")
    return phase.upper()


@evidence.command()
@task_argument
@click.argument("phase", required=False)
@reading
@acting
def check(task: str, phase: str | None, root: str | None, as_json: bool, actor: str | None) -> int:
    """Judge the evidence of the current phase as the gate would. Records nothing; exit status 1 when it would not pass."""
    with opened(root, actor) as enforcer:
        handle: Task = enforcer.task(task)
        state = handle.state()
        if phase and _known(phase, handle.process().order) != state.phase:
            message = f"{task} is in {state.phase}; only the evidence of the current phase is judged."
            raise RequestError("phase_not_current", message, fix=f"enforcer audit {task} compares what was accepted earlier.")
        rows = _artifacts(handle.phase(), handle.evidence(), f"state/evidence/{task}")
    ok = all(not row["problems"] for row in rows)
    if as_json:
        show_json({"ok": ok, "task": task, "phase": state.phase, "attempt_id": state.attempt_id, "artifacts": rows})
        return 0 if ok else 1
    for row in rows:
        line(f"{row['state']:8} {row['name']}")
        for problem in row["problems"]:
            line(f"  {problem['code']}: {problem['message']}")
            line(f"      fix: {problem['fix']}")
    return 0 if ok else 1


@evidence.command()
@task_argument
@click.argument("phase", required=False)
@writing
def restore(task: str, phase: str | None, root: str, actor: str, key: str, as_json: bool) -> int:
    """Put accepted evidence back as it was accepted. What stood there is kept as an object."""
    with opened(root, actor) as enforcer:
        outcome = enforcer.task(task).restore(phase or "", key=key)
        restored = dict(getattr(outcome.event, "restored", {}))
        replaced = dict(getattr(outcome.event, "replaced", {}))
    extra = {"restored": restored, "replaced": replaced}
    yes = f"restored {', '.join(restored)}" if restored else "all accepted evidence stands as it was accepted"
    return answer(outcome, "evidence restore", as_json=as_json, yes=yes, extra=extra)
