"""`enforcer attest` and `baseline`: what a worker was given, and what was accepted of it."""

from __future__ import annotations

import click

from enforcer.errors import RequestError
from enforcer.surfaces.cli.options import opened, read_bytes, reading, task_argument, writing
from enforcer.surfaces.cli.output import answer, line, show_json
from enforcer.workflow.events import PromptAttested

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PARTS = ("prompt", "header", "role", "tools", "model", "persona", "volatile")
MAX_PART = 64 << 20  # Bytes; far above any prompt, and a bound on what a mistaken path can make us read.

_HELP = {
    "prompt": "The whole prompt, where it is one piece.",
    "volatile": "What changes from turn to turn; never drift.",
}


def _parts(command: Any) -> Any:
    for part in reversed(PARTS):
        told = _HELP.get(part, f"The {part} part.")
        command = click.option(f"--{part}", metavar="FILE", help=told)(command)
    return command


@click.command()
@task_argument
@_parts
@writing
def attest(task: str, root: str | None, actor: str | None, key: str, as_json: bool, **parts: str | None) -> int:
    """Present what the worker was given, each part apart; a FILE may be - for stdin.

    Digests go on the record, the text does not. It proves what was presented, not that a model obeyed it.

    \b
    Example:
      enforcer attest TASK --header system.txt --tools tools.json --model model.txt
    """
    if not any(parts.values()):
        known = ", ".join(f"--{part}" for part in PARTS)
        raise RequestError("bad_attestation", "No part of a prompt was given.", fix=f"Give at least one of {known}.")
    if list(parts.values()).count("-") > 1:
        raise RequestError("bad_attestation", "Only one part can come from stdin.", fix="Put the others into files.")
    given = {part: read_bytes(path, MAX_PART) for part, path in parts.items() if path is not None}
    with opened(root, actor) as enforcer:
        outcome = enforcer.task(task).attest(given, key=key)
    event = outcome.event
    if isinstance(event, PromptAttested):
        drift, first = list(event.drift), list(event.first)
    else:
        drift, first = [one.artifact for one in outcome.refusals if one.code == "prompt_drift"], []
    notes = f"; first use of {', '.join(first)}" if first else ""
    notes += f"; drift in {', '.join(drift)}" if drift else ""
    extra = {"drift": drift, "first": first}
    return answer(outcome, "attest", as_json=as_json, yes=f"attested {task}{notes}", extra=extra)


@click.group()
def baseline() -> None:
    """Show and accept the baselines of prompts."""


@baseline.command()
@task_argument
@reading
def show(task: str, root: str | None, as_json: bool) -> int:
    """The accepted digests of TASK, by principal and part (role and tools by phase too), and what was attested last."""
    with opened(root) as enforcer:
        state = enforcer.task(task).state()
    if as_json:
        attested = {
            name: {"phase": one.phase, "attempt_id": one.attempt_id, "parts": dict(one.parts)}
            for name, one in state.attestations.items()
        }
        show_json({"task": task, "baselines": dict(state.baselines), "attestations": attested})
        return 0
    for name, digest in state.baselines.items():
        line(f"baseline {name} {digest}")
    for name, last in state.attestations.items():
        line(f"attested {name} {', '.join(f'{part} {digest[:12]}' for part, digest in last.parts.items())}")
    if not state.attestations:
        line(f"Nothing was attested yet: enforcer attest {task} --prompt FILE")
    return 0


@baseline.command()
@task_argument
@click.argument("phase")
@click.option("--reason", required=True, metavar="TEXT", help="Why the change is right.")
@click.option("--approver", required=True, metavar="WHO", help="Who accepts it; not the holder.")
@click.option("--principal", default="", metavar="WHO", help="Whose prompt. [default: the holder's]")
@writing
def accept(
    task: str,
    phase: str,
    reason: str,
    approver: str,
    principal: str,
    root: str | None,
    actor: str | None,
    key: str,
    as_json: bool,
) -> int:
    """Take what was last attested in PHASE as the new baseline."""
    with opened(root, actor) as enforcer:
        handle = enforcer.task(task)
        outcome = handle.accept_baseline(phase, reason=reason, approver=approver, principal=principal, key=key)
    parts = sorted(getattr(outcome.event, "parts", {}))
    dropped = list(getattr(outcome.event, "dropped", ()))
    yes = "the baselines are these already"
    if outcome.event is not None:
        without = f", without {', '.join(dropped)}" if dropped else ""
        what = f"{', '.join(parts) or 'no new part'} of {task} in {phase.upper()}{without}"
        yes = f"accepted {what} (approved by {approver}, declared)"
    extra = {"parts": parts, "dropped": dropped, "approval": "declared"}
    return answer(outcome, "baseline accept", as_json=as_json, yes=yes, extra=extra)
