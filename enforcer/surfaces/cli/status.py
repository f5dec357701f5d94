"""`enforcer status`: how a task stands, or all of them."""

from __future__ import annotations

import click

from enforcer.sealing import read_sealing
from enforcer.surfaces.cli import light
from enforcer.surfaces.cli.options import opened, reading
from enforcer.surfaces.cli.output import counted, line, show_json
from enforcer.workflow.state import OPEN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from enforcer.enforcer import Enforcer
    from enforcer.sealing import Sealing


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
    entries, sealing = enforcer.ledger.head.size, read_sealing(enforcer)
    trouble = sealing.trouble
    if as_json:
        rows = [
            {"task": one.task, "title": one.title, "state": one.status, "phase": one.phase, "attempt": one.attempt}
            for one in states
        ]
        show_json(
            {
                "ledger": enforcer.identity.id,
                "entries": entries,
                "sealed_to": sealing.sealed_to,
                "anchored_to": sealing.anchored_to,
                "unsealable": {"code": trouble.code, "message": trouble.message, "fix": trouble.fix}
                if trouble is not None
                else None,
                "tasks": rows,
            }
        )
        return
    for one in states:
        where = one.phase if one.status == OPEN else one.status
        line(f"{one.task:24} {where:12} {one.title}")
    line(f"{counted(len(states), 'task')}, {counted(entries, 'entry')} ({_sealed(sealing, entries)})")
    if trouble is not None:
        line(f"not sealed here: {trouble.code}: {trouble.message} {trouble.fix}")
    if not states:
        line('next: enforcer open TASK --title "..."')


def _sealed(sealing: Sealing, entries: int) -> str:
    """How far the ledger is sealed and anchored, in short."""
    if sealing.sealed_to is None:
        sealed = "unsealed"
    else:
        sealed = "sealed" if sealing.sealed_to >= entries else f"sealed to {sealing.sealed_to}"
    if sealing.anchored_to is None:
        return sealed
    # The copies lie beside the ledger; what was kept elsewhere, and whether it holds, is for `verify` to say.
    return f"{sealed}, anchored to {sealing.anchored_to} by its own word"
