"""`enforcer certify`: is the task verifiably complete, or was this change governed?"""

from __future__ import annotations

import sys

import click

from enforcer.surfaces.cli.options import opened, reading
from enforcer.surfaces.cli.output import for_task, line, refusals_json, refusals_text, show_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from enforcer.certificate import Certificate, Check


@click.command()
@click.argument("task", metavar="[TASK | --change [REV]]", required=False)
@click.option("--change", is_flag=True, help="Ask about the content of the commit REV. [default: HEAD]")
@click.option("--ref", default="", metavar="REF", help="With --change: ask a published ledger, not the one in state/.")
@click.option(
    "--key",
    "keys",
    multiple=True,
    metavar="VKEY|FILE",
    help="With --change: a key that the ledger has to be signed by.",
)
@click.option(
    "--process",
    "processes",
    multiple=True,
    metavar="P",
    help="With --change: only tasks under this process, as it is now, count.",
)
@reading
def certify(
    task: str | None,
    change: bool,
    ref: str,
    keys: tuple[str, ...],
    processes: tuple[str, ...],
    root: str | None,
    as_json: bool,
) -> int:
    """Say whether TASK is verifiably complete; or whether a task has verified exactly the content of REV.

    For TASK, the commands of its process are run again. Nothing is recorded. Exit status 1: a check failed, 2: a check
    could not be made.

    \b
    Example:
      enforcer certify TASK-1
      enforcer certify --change HEAD
      enforcer certify --change --ref refs/enforcer/LEDGER --key enforcer.key
    """
    # With --change, the word is a revision. Each of the two loads what the other does not need.
    if change:
        from enforcer.governing import Terms, certify_change

        found = certify_change(task or "HEAD", root=root, terms=Terms(ref, keys, processes))
    elif task is None:
        raise click.UsageError("Name a task, or ask about a change with --change.")
    elif ref or keys or processes:
        raise click.UsageError("--ref, --key and --process are about a change.")
    else:
        from enforcer.certifying import certify_task

        with opened(root) as enforcer:
            found = certify_task(enforcer, task, show=_show_aside)
    if as_json:
        show_json(_members(found))
    else:
        _show(found)
    return found.exit_status


def _show_aside(data: bytes) -> None:
    """The output of the commands, beside the answer."""
    if sys.stderr is not None:
        sys.stderr.buffer.write(data)
        sys.stderr.flush()


def _members(found: Certificate) -> dict[str, Any]:
    near = found.nearest
    return {
        "ok": found.exit_status == 0,
        "verdict": found.verdict,
        "task": found.task or None,
        "change": {"revision": found.revision, "commit": found.commit, "tree": found.tree} if found.commit else None,
        "checks": [
            {
                "name": one.name,
                "verdict": one.verdict,
                "note": for_task(one.note, found.task),
                "reasons": refusals_json(one.reasons, found.task or "TASK"),
            }
            for one in found.checks
        ],
        "nearest": {**near.pack(complete=True), "differing": _listed(near.differing)} if near is not None else None,
    }


def _listed(names: tuple[str, ...] | None) -> list[str] | None:
    return None if names is None else list(names)


def _show(found: Certificate) -> None:
    told = {0: "certified", 1: "refused", 2: "not certified"}[found.exit_status]
    what = f"{found.revision} ({found.commit[:12]})" if found.commit else found.task
    by = f" by {found.task}" if found.commit and found.task else ""
    line(f"{told}: {what}{by}")
    for check in found.checks:
        _show_check(check, found.task)


def _show_check(check: Check, task: str) -> None:
    line(f"  {check.verdict:8} {check.name}{f': {check.note}' if check.note else ''}")
    for text in refusals_text(check.reasons, task or "TASK"):
        line(f"  {text}")
