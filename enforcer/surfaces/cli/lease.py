"""`enforcer lease` and `leases`: who may act on a task now."""

from __future__ import annotations

import click

from enforcer.surfaces.cli.options import opened, reading, task_argument, writing
from enforcer.surfaces.cli.output import answer, line, show_json


@click.group()
def lease() -> None:
    """Claim, renew and release the lease of a task."""


@lease.command()
@task_argument
@writing
def claim(task: str, root: str, actor: str, key: str, as_json: bool) -> int:
    """Claim a free or expired lease."""
    with opened(root, actor) as enforcer:
        outcome = enforcer.task(task).claim(key=key)
        token = outcome.state.token if outcome and outcome.state else None
        return answer(outcome, "lease claim", as_json=as_json, yes=f"{enforcer.actor} holds {task}, token {token}", extra={"token": token})


@lease.command()
@task_argument
@writing
def renew(task: str, root: str, actor: str, key: str, as_json: bool) -> int:
    """Let an own lease live for a whole lifetime from now."""
    with opened(root, actor) as enforcer:
        outcome = enforcer.task(task).renew()
        token = outcome.state.token if outcome and outcome.state else None
        return answer(outcome, "lease renew", as_json=as_json, yes=f"renewed the lease of {task}", extra={"token": token})


@lease.command()
@task_argument
@click.option("--force", is_flag=True, help="Release somebody else's lease: an operator's act.")
@click.option("--reason", default="", help="Why; needed with --force.")
@writing
def release(task: str, force: bool, reason: str, root: str, actor: str, key: str, as_json: bool) -> int:
    """Give the lease back."""
    with opened(root, actor) as enforcer:
        outcome = enforcer.task(task).release(force=force, reason=reason, key=key)
        return answer(outcome, "lease release", as_json=as_json, yes=f"{task} is free", extra={"token": None})


@click.command()
@reading
def leases(root: str | None, as_json: bool) -> int:
    """Every lease, and how long it still lives."""
    with opened(root) as enforcer:
        rows = [
            {
                "task": state.task,
                "holder": state.lease.holder,
                "token": state.lease.token,
                "remaining_us": enforcer.leases.remaining_us(state.task, state.lease.token),
            }
            for state in enforcer.states()
            if state.lease
        ]
    if as_json:
        show_json({"leases": rows})
    else:
        for row in rows:
            seconds = int(str(row["remaining_us"])) // 1_000_000
            line(f"{row['task']:24} {row['holder']}, token {row['token']}, {f'{seconds} s left' if seconds else 'expired'}")
    return 0
