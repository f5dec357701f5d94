"""`enforcer run`: let Enforcer run a command itself, and record what it saw."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager

import click

from enforcer.surfaces.cli.options import opened, task_argument, writing
from enforcer.surfaces.cli.output import counted, line, refusals_json, refusals_text, show_bytes, show_json
from enforcer.workflow.events import CommandRefused, RunObserved

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType
    from typing import Any

    from enforcer.gate import Outcome


@click.command(context_settings={"ignore_unknown_options": False})
@task_argument
@click.option(
    "--as", "artifact", default="", metavar="ARTIFACT", help="Make this artifact. [default: all of the phase]"
)
@click.option(
    "--redact", multiple=True, metavar="PATTERN", help="A regular expression; what it matches is shown nowhere."
)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@writing
def run(
    task: str,
    artifact: str,
    redact: tuple[str, ...],
    command: tuple[str, ...],
    root: str | None,
    actor: str | None,
    key: str,
    as_json: bool,
) -> int:
    """Run what the process of TASK names for its phase, and make evidence of it; or COMMAND, after `--`.

    Only what the process names counts as evidence that has to be observed. Exit status 1: it was refused, or the
    command failed.

    \b
    Example:
      enforcer run TASK-1
      enforcer run TASK-1 --as test_results.json
      enforcer run TASK-1 -- make lint
    """
    with _terminable(), opened(root, actor) as enforcer:
        outcomes = enforcer.task(task).run(
            artifact, command, redact=redact, show=_show_aside if as_json else show_bytes, key=key
        )
    ok = all(_passed(outcome) for outcome in outcomes)
    if as_json:
        show_json({"ok": ok, "task": task, "runs": [_run_json(outcome) for outcome in outcomes]})
    else:
        for outcome in outcomes:
            _show(outcome)
    return 0 if ok else 1


@contextmanager
def _terminable() -> Iterator[None]:
    """Be told to stop as by Ctrl-C: what was started is ended, and temporary folders go. Only a main thread can be."""

    def stop(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)  # Told once; what is under way now is the end.
        raise KeyboardInterrupt

    before = {}
    try:
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:  # Whoever has it ignored, as nohup(1), meant that.
                before[number] = signal.signal(number, stop)
    except ValueError:
        pass
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _show_aside(data: bytes) -> None:
    """The output of the command, where standard output belongs to the answer."""
    if sys.stderr is not None:
        sys.stderr.buffer.write(data)
        sys.stderr.flush()


def _passed(outcome: Outcome) -> bool:
    event = outcome.event
    return bool(outcome) and isinstance(event, RunObserved) and not event.status and not event.signal


def _run_json(outcome: Outcome) -> dict[str, Any]:
    """One run. What was seen of one that counts for nothing is in its observation alone."""
    event = outcome.event
    seen = event if isinstance(event, RunObserved) else None
    return {
        "ok": _passed(outcome),
        "seq": outcome.seq if outcome.seq >= 0 else None,
        "hash": outcome.hash or None,
        "refusals": refusals_json(outcome.refusals, outcome.task),
        "observation": getattr(event, "observation", "") or None,
        "artifacts": [one.pack(complete=True) for one in seen.made] if seen else [],
        "configured": seen.configured if seen else None,
        "status": seen.status if seen and not seen.signal else None,
        "signal": (seen.signal or None) if seen else None,
        "duration_us": seen.duration_us if seen else None,
        "tree": (seen.tree or None) if seen else None,
        "sandbox": seen.sandbox if seen else None,
        "labels": list(seen.labels) if seen else [],
    }


def _show(outcome: Outcome) -> None:
    event = outcome.event
    if isinstance(event, CommandRefused):
        line("refused:")
        for text in refusals_text(event.refusals, outcome.task):
            line(text)
    if not isinstance(event, RunObserved):
        return
    ended = f"by {event.signal}" if event.signal else f"with exit status {event.status}"
    seconds = f"{event.duration_us / 1_000_000:.1f} s"
    line(f"ended {ended} after {seconds}, seen by Enforcer: entry {outcome.seq}, sandbox {event.sandbox}")
    for one in event.made:
        line(f"  made {one.artifact}, {counted(one.size, 'byte')}, SHA-256 {one.digest[:16]}…")
    for label in event.labels:
        line(f"  {label}")
