"""`enforcer guard`: may this tool call be made now?"""

from __future__ import annotations

import sys

import click

from enforcer.errors import RequestError
from enforcer.surfaces.cli.options import acting, opened, reading, task_argument
from enforcer.surfaces.cli.output import line, outcome_json, refused, show_json

MAX_CALL = 5 << 20


@click.command()
@task_argument
@reading
@acting
def guard(task: str, root: str | None, as_json: bool, actor: str | None) -> int:
    """Judge a tool call, given as JSON on stdin: {"tool": …, "input": {…}, "session": …, "call": …, "persona": …}.

    Exit status 0 allows it, 1 denies it (recorded), 2 could not judge it, which is a no as well.
    """
    data = sys.stdin.buffer.read(MAX_CALL + 1)
    if len(data) > MAX_CALL:
        raise RequestError("bad_tool_call", f"The call is longer than {MAX_CALL} bytes.", fix="Send the call without file contents.")
    with opened(root, actor) as enforcer:
        outcome, opaque = enforcer.task(task).guard(data)
    if as_json:
        show_json({**outcome_json(outcome, "guard"), "verdict": "allow" if outcome else "deny", "opaque": opaque})
    elif outcome:
        note = " (what the shell command writes was not judged)" if opaque else ""
        line(f"allowed in {outcome.state.phase if outcome.state else ''}{note}")
    else:
        refused(outcome, "guard")
    return 0 if outcome else 1
