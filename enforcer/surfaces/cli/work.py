"""`enforcer open`, `advance`, `backtrack`, `abandon`: the moves of a task."""

from __future__ import annotations

import click

from enforcer.gate import Outcome
from enforcer.surfaces.cli.options import opened, task_argument, writing
from enforcer.surfaces.cli.output import (
    answer,
    counted,
    line,
    outcome_json,
    receipt,
    refusals_json,
    refusals_text,
    refused,
    show_json,
)
from enforcer.workflow.events import CommandRefused, PhaseAdvanced

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from enforcer.task import Task


@click.command()
@task_argument
@click.option("--title", default="", metavar="TEXT", help="What the task is about.")
@click.option("--process", default="", metavar="P", help="A shipped process or a path. [default: enforcer.toml's]")
@click.option("--base", default="", metavar="REV", help="The git revision that the work starts from. [default: HEAD]")
@writing
def open_(
    task: str,
    title: str,
    process: str,
    base: str,
    root: str | None,
    actor: str | None,
    key: str,
    as_json: bool,
) -> int:
    """Open TASK. Opening it again with the same arguments changes nothing.

    \b
    Example:
      enforcer open TASK-1 --title "Say what a bad line was"
    """
    with opened(root, actor) as enforcer:
        outcome = enforcer.submit_open(task, title=title, process=process, base=base, key=key)
    phase = outcome.state.phase if outcome.state else ""
    standing = outcome.state.status if outcome.state else ""
    yes = f"opened {task} in {phase}" if outcome.event else f"{task} was opened before, and is {standing} in {phase}"
    status = answer(outcome, "open", as_json=as_json, yes=yes)
    if status == 0 and not as_json:
        line(f"next: enforcer explain {task}")
    return status


@click.command()
@task_argument
@click.option("--to", metavar="PHASE", help="The phase to go to. [default: the next one, the only one that can be]")
@click.option("--dry-run", is_flag=True, help="Say what the answer would be; record nothing.")
@writing
def advance(
    task: str, to: str | None, dry_run: bool, root: str | None, actor: str | None, key: str, as_json: bool
) -> int:
    """Leave the phase of TASK on its evidence. Out of the last phase, this completes the task.

    \b
    Example:
      enforcer advance TASK-1 --dry-run && enforcer advance TASK-1
    """
    with opened(root, actor) as enforcer:
        outcome, start = _advance(enforcer.task(task), to, dry_run, key)
    if as_json:
        show_json(advance_json(outcome, start, dry_run))
    elif outcome:
        _advanced(outcome, start, dry_run)
    elif dry_run:
        line(f"would be refused: advance {task} in {start} (nothing recorded)")
        for text in refusals_text(outcome.refusals, task):
            line(text)
    else:
        refused(outcome, "advance")
    return 0 if outcome else 1


def _advance(handle: Task, to: str | None, dry_run: bool, key: str) -> tuple[Outcome, str]:
    """The outcome, and the phase that the command found the task in."""
    if dry_run:
        event, state = handle.preview(to)
        outcome = Outcome(task=handle.name, event=event, state=state)
    else:
        outcome = handle.advance(to, key=key)
    event = outcome.event
    if isinstance(event, PhaseAdvanced):
        return outcome, event.start
    if isinstance(event, CommandRefused):
        return outcome, event.phase
    return outcome, outcome.state.phase if outcome.state else ""


def advance_json(outcome: Outcome, start: str, dry_run: bool) -> dict[str, Any]:
    """`to` is null on completion and where a refused call named no phase; where nothing was done, it is the phase."""
    event = outcome.event
    to = (event.to or None) if isinstance(event, PhaseAdvanced | CommandRefused) else start
    return {
        **outcome_json(outcome, "advance"),
        "from": start,
        "to": to,
        "completed": bool(getattr(event, "completed", False)),
        "dry_run": dry_run,
        "warnings": refusals_json(getattr(event, "warnings", ()), outcome.task),
        "labels": list(getattr(event, "labels", ())),
    }


def _advanced(outcome: Outcome, start: str, dry_run: bool) -> None:
    event = outcome.event
    if not isinstance(event, PhaseAdvanced):
        line(f"{outcome.task} is in {start} already ({receipt(outcome)})")
        return
    would = "would advance" if dry_run else "completed" if event.completed else "advanced"
    stands = "nothing recorded" if dry_run else receipt(outcome)
    line(f"{would} {outcome.task}: {start} → {event.to or 'done'} ({stands})")
    for one in event.evidence:
        again = ", reaffirmed" if one.reaffirmed else ""
        line(f"  accepted {one.artifact} {one.digest[:12]} ({one.size} bytes, {one.origin}{again})")
    if event.warnings:
        line("  would be refused under enforcement:")
        for text in refusals_text(event.warnings, outcome.task):
            line(f"  {text}")
    declared = [label for label in event.labels if label.startswith(("claimed: ", "declared: ", "self-review"))]
    if declared:
        line(f"  rests on declaration: {', '.join(declared)}")
    if event.approved:
        line(f"  rests on {counted(len(event.approved), 'approval')}")
    noted = [label for label in event.labels if label not in declared]
    if noted:
        line(f"  to be looked at: {', '.join(noted)}")
    if event.to and not dry_run:
        line(f"next: enforcer explain {outcome.task}")


@click.command()
@task_argument
@click.option("--to", required=True, metavar="PHASE", help="The earlier phase to go back to.")
@click.option("--reason", required=True, metavar="TEXT", help="Why; it goes on the record.")
@writing
def backtrack(task: str, to: str, reason: str, root: str | None, actor: str | None, key: str, as_json: bool) -> int:
    """Go back to an earlier phase, whatever the state of this one. What was accepted from there on is earned again.

    \b
    Example:
      enforcer backtrack TASK-1 --to IMPLEMENT --reason "a test fails"
    """
    with opened(root, actor) as enforcer:
        outcome = enforcer.task(task).backtrack(to, reason, key=key)
    return answer(outcome, "backtrack", as_json=as_json, yes=f"{task} is back in {to.upper()}")


@click.command()
@task_argument
@click.option("--reason", required=True, metavar="TEXT", help="Why; it goes on the record.")
@writing
def abandon(task: str, reason: str, root: str | None, actor: str | None, key: str, as_json: bool) -> int:
    """Give TASK up for good. Its history stays."""
    with opened(root, actor) as enforcer:
        outcome = enforcer.task(task).abandon(reason, key=key)
    return answer(outcome, "abandon", as_json=as_json, yes=f"abandoned {task}")
