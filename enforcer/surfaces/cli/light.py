"""What is asked at every step of a worker, answered without the parser's library: `enforcer status TASK`.

Loading the library takes longer than the answer itself. So the plain form of the call is read here; every other form
(help, a mistake, an abbreviation) is left to the table of commands, which reads the plain form in the same way.
"""

from __future__ import annotations

from enforcer.enforcer import Enforcer
from enforcer.surfaces.cli.costs import show_cost
from enforcer.surfaces.cli.output import for_task, line, shell_note, show_json
from enforcer.workflow.record import Record
from enforcer.workflow.state import OPEN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from enforcer.task import Status


class Asked(Record):
    """A call of `enforcer status TASK`."""

    task: str
    root: str | None = None
    as_json: bool = False


def read(words: Sequence[str]) -> Asked | None:
    """The call that the words make, where they are the plain form of one; else None."""
    if len(words) < 2 or words[0] != "status":
        return None
    tasks: list[str] = []
    root, as_json = None, False
    rest = iter(words[1:])
    for word in rest:
        if word == "--json":
            as_json = True
        elif word == "--root":
            root = next(rest, None)
            if root is None:
                return None
        elif word.startswith("--root="):
            root = word.removeprefix("--root=")
        elif word.startswith("-"):
            return None
        else:
            tasks.append(word)
    return Asked(tasks[0], root, as_json) if len(tasks) == 1 else None


def show_status(asked: Asked) -> int:
    """Print how a task stands; the exit status."""
    with Enforcer.open(root=asked.root) as enforcer:
        found = enforcer.task(asked.task).status()
    if asked.as_json:
        members = found.pack(complete=True)
        if found.last_refusal:
            members["last_refusal"] = {**found.last_refusal, "fix": for_task(found.last_refusal["fix"], found.task)}
        show_json(members)
    else:
        _show(found)
    return 0


def _show(found: Status) -> None:
    line(f"{found.task}  {found.title}")
    line(
        f"  state     {found.state}, {found.phase}"
        + (f" → {found.next or 'completion'}" if found.state == OPEN else "")
    )
    line(f"  attempt   {found.attempt} of {found.phase}, id {found.attempt_id}")
    line(f"  process   {found.process}")
    if found.base:
        line(f"  base      {found.base}")
    if found.lease:
        seconds = found.lease.remaining_us // 1_000_000
        left = f"{seconds} s left" if found.lease.remaining_us else "expired"
        line(f"  lease     {found.lease.holder}, token {found.lease.token}, {left}")
    line(f"  allowed   {', '.join(found.tools)}{shell_note(found.tools)}")
    for one in found.accepted:
        line(f"  accepted  {one['phase']}/{one['artifact']} {one['digest'][:12]} ({one['origin']})")
    for name in found.changed:
        line(f"  changed   {name} is no longer what was accepted")
    for name in found.falls:
        line(f"  falls     {name} stands on it")
    if found.cost is not None:
        show_cost(found.cost)
    for name in found.invalidated:
        line(f"  set aside {name}, to be earned again")
    if found.stalled_minutes:
        line(f"  stalled   no progress for {found.stalled_minutes} minutes")
    if found.last_refusal:
        last = found.last_refusal
        line(f"  refused   last, in {last['phase'] or found.phase}: {last['code']}: {last['message']}")
    if found.state == OPEN:
        line(f"  next      enforcer explain {found.task}")
