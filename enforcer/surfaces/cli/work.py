"""`enforcer open`, `advance`, `backtrack`, `abandon`: the moves of a task."""

from __future__ import annotations

from typing import Any

import click

from enforcer.gate import Outcome
from enforcer.surfaces.cli.options import opened, task_argument, writing
from enforcer.surfaces.cli.output import answer, line, outcome_json, receipt, refused, refusals_json, refusals_text, show_json
from enforcer.workflow.events import CommandRefused, PhaseAdvanced


@click.command()
@task_argument
@click.option("--title", default="", help="What the task is about.")
@click.option("--process", default="", help="A shipped process or the path of one. [default: that of enforcer.toml]")
@click.option("--base", default="", help="The git revision that the work starts from. [default: HEAD]")
@writing
def open_(task: str, title: str, process: str, base: str, root: str, actor: str, key: str, as_json: bool) -> int:
    """Open TASK. Opening it again with the same arguments changes nothing."""
    with opened(root, actor) as enforcer:
        outcome = enforcer.submit_open(task, title=title, process=process, base=base, key=key)
        phase = outcome.state.phase if outcome.state else ""
        return answer(outcome, "open", as_json=as_json, yes=f"opened {task} in {phase}")


@click.command()
@task_argument
@click.option("--to", help="The phase to go to: the next one. Without it, the next one too.")
@click.option("--dry-run", is_flag=True, help="Say what the answer would be; record nothing.")
@writing
def advance(task: str, to: str | None, dry_run: bool, root: str, actor: str, key: str, as_json: bool) -> int:
    """Leave the phase of TASK on its evidence. Out of the last phase, this completes the task."""
    with opened(root, actor) as enforcer:
        handle = enforcer.task(task)
        if dry_run:
            event, state = handle.preview(to)
            outcome = Outcome(task=task, event=event, state=state)
        else:
            before = handle.state().phase
            outcome = handle.advance(to, key=key)
        start = getattr(outcome.event, "start", "") or getattr(outcome.event, "phase", "") or (outcome.state.phase if outcome.state else before)
        members = advance_json(outcome, start, dry_run)
        if as_json:
            show_json(members)
        elif outcome:
            _advanced(outcome, start, dry_run)
        else:
            refused(outcome, "advance")
        return 0 if outcome else 1


def advance_json(outcome: Outcome, start: str, dry_run: bool) -> dict[str, Any]:
    """`to` is null on completion, and the phase itself where nothing had to be done."""
    event = outcome.event
    if isinstance(event, PhaseAdvanced):
        to: str | None = event.to or None
    elif isinstance(event, CommandRefused):
        to = event.to or None
    else:
        to = start
    return {
        **outcome_json(outcome, "advance"),
        "from": start,
        "to": to,
        "completed": bool(getattr(event, "completed", False)),
        "dry_run": dry_run,
        "warnings": refusals_json(getattr(event, "warnings", ())),
        "labels": list(getattr(event, "labels", ())),
    }


def _advanced(outcome: Outcome, start: str, dry_run: bool) -> None:
    event = outcome.event
    if not isinstance(event, PhaseAdvanced):
        line(f"{outcome.task} is in {start} already ({receipt(outcome)})")
        return
    would = "would advance" if dry_run else "completed" if event.completed else "advanced"
    line(f"{would} {outcome.task}: {start} → {event.to or 'done'} ({'nothing recorded' if dry_run else receipt(outcome)})")
    for one in event.evidence:
        again = ", reaffirmed" if one.reaffirmed else ""
        line(f"  accepted {one.artifact} {one.digest[:12]} ({one.size} bytes, {one.origin}{again})")
    if event.warnings:
        line("  would be refused under enforcement:")
        for text in refusals_text(event.warnings):
            line(f"  {text}")
    if event.labels:
        line(f"  rests on declaration: {', '.join(event.labels)}")


@click.command()
@task_argument
@click.option("--to", required=True, help="The earlier phase to go back to.")
@click.option("--reason", required=True, help="Why; it goes on the record.")
@writing
def backtrack(task: str, to: str, reason: str, root: str, actor: str, key: str, as_json: bool) -> int:
    """Go back to an earlier phase, whatever the state of this one."""
    with opened(root, actor) as enforcer:
        outcome = enforcer.task(task).backtrack(to, reason, key=key)
        return answer(outcome, "backtrack", as_json=as_json, yes=f"{task} is back in {to.upper()}")


@click.command()
@task_argument
@click.option("--reason", required=True, help="Why; it goes on the record.")
@writing
def abandon(task: str, reason: str, root: str, actor: str, key: str, as_json: bool) -> int:
    """Give TASK up. Its history stays."""
    with opened(root, actor) as enforcer:
        outcome = enforcer.task(task).abandon(reason, key=key)
        return answer(outcome, "abandon", as_json=as_json, yes=f"abandoned {task}")
