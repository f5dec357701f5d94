"""`enforcer init` and `process`: putting a folder under the gate, and what its tasks run under."""

from __future__ import annotations

import os

import click

from enforcer.initialize import initialize
from enforcer.surfaces.cli.options import acting, opened, reading, task_argument, writing
from enforcer.surfaces.cli.output import answer, line, show_json
from enforcer.tailoring import option


@click.command()
@click.option("--process", default="", metavar="P", help="A shipped process or a path inside. [default: default]")
@click.option(
    "--observe",
    multiple=True,
    metavar="ARTIFACT=COMMAND",
    help="A command that Enforcer runs to make an artifact. May be given several times.",
)
@click.option("--new-ledger", is_flag=True, help="Begin a new history where one was seen and is gone.")
@click.option("--accept-ledger", is_flag=True, help="Take the ledger that stands here for the right one.")
@reading
@acting
def init(
    process: str,
    observe: tuple[str, ...],
    new_ledger: bool,
    accept_ledger: bool,
    root: str | None,
    as_json: bool,
    actor: str | None,
) -> int:
    """Put the current folder, or --root, under the gate. What is there already is left as it is."""
    made = initialize(
        root or ".",
        process=process,
        observe=observe,
        actor=actor or "",
        new_ledger=new_ledger,
        accept_ledger=accept_ledger,
    )
    if as_json:
        show_json(made.pack(complete=True))
        return 0
    for path in made.created:
        line(f"wrote {os.path.relpath(path, made.root) if path.startswith(made.root + os.sep) else path}")
    if not made.created:
        line(f"{made.root} is under the gate already.")
    line(f"ledger {made.ledger}")
    if made.key is None:
        line("no signing key: the user's state folder cannot be written, so the ledger stays unsealed")
    for warning in made.warnings:
        line(f"look: {warning}")
    if made.created:
        own = ", the process" if observe else ""
        line(f"next: commit enforcer.toml{own} and AGENTS.md, so that they are no part of a task's change")
    if made.unnamed:
        line(f"no command yet makes {', '.join(made.unnamed)}, which Enforcer has to see being made")
        line(f"next: enforcer init {' '.join(map(option, made.unnamed))}")
        return 0
    line('next: enforcer open TASK --title "..."')
    return 0


@click.group()
def process() -> None:
    """Show and adopt the process that governs a task."""


@process.command()
@task_argument
@reading
def show(task: str, root: str | None, as_json: bool) -> int:
    """The process stored when TASK was opened, or adopted since."""
    with opened(root) as enforcer:
        handle = enforcer.task(task)
        state, found = handle.state(), handle.process()
    if as_json:
        show_json({"task": task, "name": state.process, "digest": state.digest, "process": found.pack(complete=True)})
        return 0
    line(f"{task} runs under {state.process}, stored as {state.digest}")
    for phase in found.phases:
        line(f"{phase.name}: tools {', '.join(phase.tools) or 'none'}; prompt drift {phase.drift}")
        for rule in phase.rules:
            line(f"  {rule.artifact}: {rule.kind} ({rule.mode})")
    return 0


@process.command()
@task_argument
@click.option(
    "--process", "name", default="", metavar="P", help="A shipped process or a path. [default: enforcer.toml's]"
)
@click.option("--reason", required=True, metavar="TEXT", help="Why; it goes on the record.")
@click.option("--approver", required=True, metavar="WHO", help="Who approves it; not the holder.")
@writing
def adopt(
    task: str,
    name: str,
    reason: str,
    approver: str,
    root: str | None,
    actor: str | None,
    key: str,
    as_json: bool,
) -> int:
    """Move TASK to a process as its file is now. Each weakening is marked on the record."""
    with opened(root, actor) as enforcer:
        handle = enforcer.task(task)
        outcome = handle.adopt_process(name or enforcer.settings.process, reason=reason, approver=approver, key=key)
    difference = list(getattr(outcome.event, "difference", ()))
    weakenings = list(getattr(outcome.event, "weakenings", ()))
    vouched = getattr(outcome.event, "vouched", "declared")
    yes = f"{task} runs under this process already"
    if outcome.event is not None:
        yes = f"{task} runs under the new process (approved by {approver}, {vouched})"
    extra = {"difference": difference, "weakenings": weakenings, "approval": vouched}
    status = answer(outcome, "process adopt", as_json=as_json, yes=yes, extra=extra)
    if not as_json:
        for text in difference:
            line(f"  {'weaker: ' if text in weakenings else ''}{text}")
    return status
