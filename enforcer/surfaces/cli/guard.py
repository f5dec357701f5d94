"""`enforcer guard`: may this tool call be made now?"""

from __future__ import annotations

import click

from enforcer.surfaces.cli.options import acting, opened, read_bytes, reading, task_argument
from enforcer.surfaces.cli.output import line, outcome_json, refused, show_json

MAX_CALL = 5 << 20


@click.command()
@task_argument
@reading
@acting
def guard(task: str, root: str | None, as_json: bool, actor: str | None) -> int:
    """Judge a tool call, given as JSON on stdin. Exit status 1 denies it, on the record; 2 is a no as well.

    \b
    Example:
      echo '{"tool": "Write", "input": {"file_path": "a.py"}}' | enforcer guard TASK

    Besides tool and input, a call may name its session, its own id (call) and a persona.
    """
    data = read_bytes("-", MAX_CALL)
    with opened(root, actor) as enforcer:
        outcome, opaque = enforcer.task(task).guard(data)
    if as_json:
        verdict = "allow" if outcome else "deny"
        show_json({**outcome_json(outcome, "guard"), "verdict": verdict, "opaque": opaque})
    elif outcome:
        note = " (what the shell command writes was not judged)" if opaque else ""
        line(f"allowed in {outcome.state.phase if outcome.state else ''}{note}")
    else:
        refused(outcome, "guard")
    return 0 if outcome else 1
