"""`enforcer evidence`: what stands in a task's folders, whether it would pass, and putting it back."""

from __future__ import annotations

import click

from enforcer.errors import RequestError
from enforcer.surfaces.cli.options import acting, opened, reading, task_argument, writing
from enforcer.surfaces.cli.output import answer, line, refusals_json, refusals_text, show_json
from enforcer.surfaces.cli.phase import artifact_rows, show_row
from enforcer.workflow.accepting import evidence_stage
from enforcer.workflow.process import CLAIMED
from enforcer.workflow.running import origin
from enforcer.workflow.state import OPEN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from enforcer.enforcer import Enforcer
    from enforcer.task import Task

phase_argument = click.argument("phase", required=False)


@click.group()
def evidence() -> None:
    """List, check and restore evidence."""


@evidence.command("list")
@task_argument
@phase_argument
@reading
def list_(task: str, phase: str | None, root: str | None, as_json: bool) -> int:
    """What was accepted for TASK and what stands in its folders, of PHASE or of all."""
    with opened(root) as enforcer:
        handle = enforcer.task(task)
        order = handle.process().order
        phases = (_known(phase, order),) if phase is not None else order
        rows = [row for name in phases for row in _standing(enforcer, handle, name)]
    if as_json:
        show_json({"task": task, "evidence": rows})
        return 0
    for row in rows:
        line(f"{row['state']:9} {row['phase']}/{row['artifact']} {(row['digest'] or '')[:12]} {_made(row)}".rstrip())
    if not rows:
        line(f"No evidence yet. For a form to start from: enforcer scaffold {task}")
    return 0


def _made(row: dict[str, Any]) -> str:
    return f"({row['origin']})" if row["origin"] else ""


def _standing(enforcer: Enforcer, handle: Task, phase: str) -> Iterator[dict[str, Any]]:
    """What stands in a phase's folder, and what was accepted there."""
    state = handle.state()
    accepted = {one.artifact: one.digest for one in state.accepted.get(phase, ())}
    present, _ = enforcer.folder.listing(handle.name, phase)
    names = dict.fromkeys([*(entry.name for entry in present), *accepted])
    files, _ = enforcer.folder.read(handle.name, phase, names)
    for name in names:
        digest = files[name].digest if name in files else None
        here = state.phase == phase and digest is not None
        made = {one.artifact: one.origin for one in state.accepted.get(phase, ()) if one.digest == digest}
        yield {
            "phase": phase,
            "artifact": name,
            "digest": digest,
            "accepted": accepted.get(name),
            "origin": made.get(name, origin(state, name, digest) if here else CLAIMED) if digest else None,
            "state": _word(digest, accepted.get(name), name in (entry.name for entry in present)),
        }


def _word(digest: str | None, accepted: str | None, present: bool) -> str:
    if digest is None:
        return "unsafe" if present else "missing"
    if accepted is None:
        return "pending"
    return "accepted" if digest == accepted else "changed"


def _known(phase: str, order: tuple[str, ...]) -> str:
    if phase.upper() not in order:
        message = f"The process has no phase {phase.upper()}."
        raise RequestError("unknown_phase", message, fix=f"One of: {', '.join(order)}")
    return phase.upper()


@evidence.command()
@task_argument
@phase_argument
@reading
@acting
def check(task: str, phase: str | None, root: str | None, as_json: bool, actor: str | None) -> int:
    """Judge the evidence of the current phase as the gate would, whoever holds the lease. Records nothing.

    Exit status 1: it would not pass.
    """
    with opened(root, actor) as enforcer:
        handle = enforcer.task(task)
        state, process = handle.state(), handle.process()
        _check_current(task, state.status, state.phase, phase, process.order)
        facts = handle.evidence()
        rows = artifact_rows(enforcer, handle, facts)
        refusals = evidence_stage(state, handle.phase(), facts, process, actor=handle.actor, now=enforcer.clock.now())
    members = {
        "ok": not refusals,
        "task": task,
        "phase": state.phase,
        "attempt_id": state.attempt_id,
        "artifacts": [row for row, _ in rows],
        "refusals": refusals_json(refusals, task),
    }
    if as_json:
        show_json(members)
        return 1 if refusals else 0
    for row, _ in rows:
        show_row(row)
    for text in refusals_text(refusals, task):
        line(text)
    line("This would not pass." if refusals else "This would pass.")
    return 1 if refusals else 0


def _check_current(task: str, status: str, current: str, asked: str | None, order: tuple[str, ...]) -> None:
    """Raises `RequestError` (`phase_not_current`) where there is nothing that the gate would judge."""
    earlier = f"enforcer audit {task} compares what was accepted with what is there."
    if status != OPEN:
        raise RequestError("phase_not_current", f"{task} is {status}; nothing of it is judged any more.", fix=earlier)
    if asked is not None and _known(asked, order) != current:
        message = f"{task} is in {current}; only the evidence of the current phase is judged."
        raise RequestError("phase_not_current", message, fix=earlier)


@evidence.command()
@task_argument
@phase_argument
@writing
def restore(task: str, phase: str | None, root: str | None, actor: str | None, key: str, as_json: bool) -> int:
    """Put accepted evidence back as it was accepted. What stood there is kept as an object."""
    with opened(root, actor) as enforcer:
        outcome = enforcer.task(task).restore(phase or "", key=key)
    restored = dict(getattr(outcome.event, "restored", {}))
    replaced = dict(getattr(outcome.event, "replaced", {}))
    extra = {"restored": restored, "replaced": replaced}
    yes = f"restored {', '.join(restored)}" if restored else "all accepted evidence stands as it was accepted"
    return answer(outcome, "evidence restore", as_json=as_json, yes=yes, extra=extra)
