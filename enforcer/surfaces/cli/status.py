"""`enforcer status`: how a task stands, or all of them."""

from __future__ import annotations

import click

from enforcer.surfaces.cli import light
from enforcer.surfaces.cli.options import opened, reading
from enforcer.surfaces.cli.output import line, show_json
from enforcer.workflow.state import OPEN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from enforcer.enforcer import Enforcer


@click.command()
@click.argument("task", required=False)
@reading
def status(task: str | None, root: str | None, as_json: bool) -> int:
    """How TASK stands; without TASK, one line a task."""
    if task is not None:
        return light.show_status(light.Asked(task, root, as_json))
    with opened(root) as enforcer:
        _show_all(enforcer, as_json)
    return 0


def _show_all(enforcer: Enforcer, as_json: bool) -> None:
    states = list(enforcer.states())
    if as_json:
        rows = [
            {"task": one.task, "title": one.title, "state": one.status, "phase": one.phase, "attempt": one.attempt}
            for one in states
        ]
        show_json(
            {"ledger": enforcer.identity.id, "entries": enforcer.ledger.head.size, "sealed": False, "tasks": rows}
        )
        return
    for one in states:
        where = one.phase if one.status == OPEN else one.status
        line(f"{one.task:24} {where:12} {one.title}")
    key = "no key: unsealed" if enforcer.identity.key is None else "unsealed"
    line(f"{_counted(len(states), 'task')}, {enforcer.ledger.head.size} entries ({key})")
    if not states:
        line('next: enforcer open TASK --title "..."')


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
