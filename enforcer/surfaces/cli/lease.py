"""`enforcer lease` and `leases`: who may act on a task now."""

from __future__ import annotations

import click

from enforcer.surfaces.cli.options import opened, reading, task_argument, writing
from enforcer.surfaces.cli.output import answer, line, show_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from enforcer.gate import Outcome


@click.group()
def lease() -> None:
    """Claim, renew and release the lease of a task."""


@lease.command()
@task_argument
@writing
def claim(task: str, root: str | None, actor: str | None, key: str, as_json: bool) -> int:
    """Claim a free or expired lease. Commands that need one claim it themselves."""
    with opened(root, actor) as enforcer:
        outcome = enforcer.task(task).claim(key=key)
        token = _token(outcome)
        yes = f"{enforcer.actor} holds {task}, token {token}"
    return answer(outcome, "lease claim", as_json=as_json, yes=yes, extra={"token": token})


@lease.command()
@task_argument
@writing
def renew(task: str, root: str | None, actor: str | None, key: str, as_json: bool) -> int:
    """Let your own lease live for a whole lifetime from now."""
    with opened(root, actor) as enforcer:
        outcome = enforcer.task(task).renew(key=key)
        token = _token(outcome)
    return answer(outcome, "lease renew", as_json=as_json, yes=f"renewed the lease of {task}", extra={"token": token})


def _token(outcome: Outcome) -> int | None:
    return outcome.state.lease.token if outcome and outcome.state and outcome.state.lease else None


@lease.command()
@task_argument
@click.option("--force", is_flag=True, help="Release somebody else's lease: an operator's act.")
@click.option("--reason", default="", metavar="TEXT", help="Why; needed with --force.")
@writing
def release(task: str, force: bool, reason: str, root: str | None, actor: str | None, key: str, as_json: bool) -> int:
    """Give the lease back."""
    with opened(root, actor) as enforcer:
        outcome = enforcer.task(task).release(force=force, reason=reason, key=key)
    return answer(outcome, "lease release", as_json=as_json, yes=f"{task} is free", extra={"token": None})


@click.command()
@reading
def leases(root: str | None, as_json: bool) -> int:
    """Every lease, and how long it still lives."""
    with opened(root) as enforcer:
        held = [(state.task, state.lease) for state in enforcer.states() if state.lease]
        left = [enforcer.leases.remaining_us(task, lease.token) for task, lease in held]
    if as_json:
        rows = [
            {"task": task, "holder": lease.holder, "token": lease.token, "remaining_us": remaining}
            for (task, lease), remaining in zip(held, left, strict=True)
        ]
        show_json({"leases": rows})
        return 0
    for (task, lease), remaining in zip(held, left, strict=True):
        alive = f"{remaining // 1_000_000} s left" if remaining else "expired"
        line(f"{task:24} {lease.holder}, token {lease.token}, {alive}")
    if not held:
        line("No task is held.")
    return 0
