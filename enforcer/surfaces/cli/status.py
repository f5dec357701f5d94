"""`enforcer status`: how a task stands, or all of them. Kept light: it is asked often."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from enforcer.surfaces.cli.options import opened, reading
from enforcer.surfaces.cli.output import line, show_json
from enforcer.workflow.state import OPEN

if TYPE_CHECKING:
    from enforcer.enforcer import Enforcer
    from enforcer.task import Status


@click.command()
@click.argument("task", required=False)
@reading
def status(task: str | None, root: str | None, as_json: bool) -> int:
    """How TASK stands; without TASK, one line a task."""
    with opened(root) as enforcer:
        if task is None:
            _all(enforcer, as_json)
            return 0
        found = enforcer.task(task).status()
        if as_json:
            show_json(found.pack(complete=True))
        else:
            _one(found)
        return 0


def _all(enforcer: Enforcer, as_json: bool) -> None:
    states = list(enforcer.states())
    if as_json:
        rows = [{"task": one.task, "title": one.title, "state": one.status, "phase": one.phase, "attempt": one.attempt} for one in states]
        show_json({"ledger": enforcer.identity.id, "entries": enforcer.ledger.head.size, "sealed": False, "tasks": rows})
        return
    for one in states:
        where = one.phase if one.status == OPEN else one.status
        line(f"{one.task:24} {where:12} {one.title}")
    key = "no key: unsealed" if enforcer.identity.key is None else "unsealed"
    line(f"{len(states)} tasks, {enforcer.ledger.head.size} entries ({key})")


def _one(found: Status) -> None:
    line(f"{found.task}  {found.title}")
    line(f"  state     {found.state}, {found.phase}" + (f" → {found.next or 'completion'}" if found.state == OPEN else ""))
    line(f"  attempt   {found.attempt} of {found.phase}, id {found.attempt_id}")
    line(f"  process   {found.process}")
    if found.lease:
        seconds = found.lease.remaining_us // 1_000_000
        line(f"  lease     {found.lease.holder}, token {found.lease.token}, {f'{seconds} s left' if seconds else 'expired'}")
    line(f"  allowed   {', '.join(found.tools)}")
    for one in found.accepted:
        line(f"  accepted  {one['phase']}/{one['artifact']} {one['digest'][:12]} ({one['origin']})")
    for name in found.changed:
        line(f"  changed   {name} is no longer what was accepted")
    for name in found.falls:
        line(f"  falls     {name} stands on it")
    for name in found.invalidated:
        line(f"  set aside {name}, to be earned again")
    if found.stalled_minutes:
        line(f"  stalled   no progress for {found.stalled_minutes} minutes")
    if found.last_refusal:
        line(f"  refused   {found.last_refusal['code']}: {found.last_refusal['message']}")
    if found.state == OPEN:
        line(f"  next      enforcer explain {found.task}")
