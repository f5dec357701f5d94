"""`enforcer attest` and `baseline`: what a worker was given, and what was accepted of it."""

from __future__ import annotations

from typing import IO, Any

import click

from enforcer.errors import RequestError
from enforcer.surfaces.cli.options import opened, reading, task_argument, writing
from enforcer.surfaces.cli.output import answer, line, show_json
from enforcer.workflow.events import PromptAttested

PARTS = ("prompt", "header", "role", "tools", "model", "persona", "volatile")


def _parts(command: Any) -> Any:
    for part in reversed(PARTS):
        command = click.option(f"--{part}", type=click.File("rb"), help=f"File with the bytes of the {part}; - for stdin.")(command)
    return command


@click.command()
@task_argument
@_parts
@writing
def attest(task: str, root: str, actor: str, key: str, as_json: bool, **parts: IO[bytes] | None) -> int:
    """Present what the worker was given, each part apart. Digests go on the record, the text does not."""
    given = {part: file.read() for part, file in parts.items() if file is not None}
    with opened(root, actor) as enforcer:
        outcome = enforcer.task(task).attest(given, key=key)
        event = outcome.event
        drift = list(event.drift) if isinstance(event, PromptAttested) else [one.artifact for one in outcome.refusals if one.code == "prompt_drift"]
        first = list(event.first) if isinstance(event, PromptAttested) else []
        notes = [f"; first use of {', '.join(first)}" if first else "", f"; drift in {', '.join(drift)}" if drift else ""]
        extra = {"drift": drift, "first": first}
        return answer(outcome, "attest", as_json=as_json, yes=f"attested {task}{''.join(notes)}", extra=extra)


@click.group()
def baseline() -> None:
    """Show and accept the baselines of prompts."""


@baseline.command()
@task_argument
@reading
def show(task: str, root: str | None, as_json: bool) -> int:
    """The accepted digests of TASK: by principal and part, for role and tools by phase too."""
    with opened(root) as enforcer:
        state = enforcer.task(task).state()
        attested = {name: {"phase": one.phase, "attempt_id": one.attempt_id, "parts": dict(one.parts)} for name, one in state.attestations.items()}
    if as_json:
        show_json({"task": task, "baselines": dict(state.baselines), "attestations": attested})
    else:
        for name, digest in state.baselines.items():
            line(f"baseline {name} {digest}")
        for name, one in state.attestations.items():
            line(f"attested {name} {', '.join(f'{part} {digest[:12]}' for part, digest in one.parts.items())}")
    return 0


@baseline.command()
@task_argument
@click.argument("phase")
@click.option("--reason", required=True, help="Why the change is right.")
@click.option("--approver", required=True, help="Who accepts it; not the holder.")
@click.option("--principal", default="", help="Whose prompt. [default: the holder's]")
@writing
def accept(task: str, phase: str, reason: str, approver: str, principal: str, root: str, actor: str, key: str, as_json: bool) -> int:
    """Take what was last attested in PHASE as the new baseline."""
    with opened(root, actor) as enforcer:
        if not phase.strip():
            raise RequestError("unknown_phase", "No phase was named.")
        outcome = enforcer.task(task).accept_baseline(phase, reason=reason, approver=approver, principal=principal, key=key)
        parts = sorted(getattr(outcome.event, "parts", {}))
        yes = f"accepted {', '.join(parts)} of {task} in {phase.upper()}" if parts else "the baselines are these already"
        return answer(outcome, "baseline accept", as_json=as_json, yes=yes, extra={"parts": parts})
