"""`enforcer log` and `telemetry`: what happened, in order, and what it adds up to."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import click

from enforcer.surfaces.cli.options import opened, reading
from enforcer.surfaces.cli.output import line, plain, show_json
from enforcer.workflow.events import (
    BaselineAccepted,
    CommandRefused,
    EvidenceRestored,
    LeaseClaimed,
    LeaseReleased,
    LeaseTakenOver,
    PhaseAdvanced,
    PhaseBacktracked,
    ProcessAdopted,
    PromptAttested,
    TaskAbandoned,
    TaskOpened,
    ToolRefused,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from enforcer.ledger.entry import Entry

FOLLOW_SECONDS = 1.0


@click.command()
@click.argument("task", required=False)
@click.option("--format", "form", type=click.Choice(["text", "jsonl", "markdown"]), default="text", help="jsonl: CloudEvents.")
@reading
def log(task: str | None, form: str, root: str | None, as_json: bool) -> int:
    """The decision journal of TASK, or of the whole ledger: every move, refusal and override, in order."""
    with opened(root) as enforcer:
        entries = enforcer.entries(task or "")
        if as_json:
            show_json({"entries": [_members(entry) for entry in entries]})
        elif form == "jsonl":
            _print_lines(entries)
        elif form == "markdown":
            _print_markdown(entries, task)
        else:
            for entry in entries:
                line(f"{entry.seq:6} {_time(entry.ts)} {entry.task or '-':16} {entry.event.actor:16} {sentence(entry)}")
    return 0


def _members(entry: Entry) -> dict[str, Any]:
    return {
        "seq": entry.seq,
        "ts": entry.ts,
        "task": entry.task,
        "task_seq": entry.task_seq,
        "hash": entry.hash,
        "key": entry.key,
        "type": f"dev.enforcer.{entry.event.type}",
        "summary": sentence(entry),
        "data": entry.event.pack(),
    }


def _print_lines(entries: Iterable[Entry]) -> None:
    for entry in entries:
        click.echo(json.dumps(_members(entry), ensure_ascii=True, sort_keys=True))


def _print_markdown(entries: Iterable[Entry], task: str | None) -> None:
    line(f"# Journal of {task or 'the ledger'}\n")
    line("| entry | time (UTC) | task | actor | what | hash |")
    line("|---|---|---|---|---|---|")
    for entry in entries:
        cells = (entry.seq, _time(entry.ts), entry.task or "-", entry.event.actor, sentence(entry), f"`{entry.hash[:12]}`")
        line("| " + " | ".join(plain(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")


def _time(ts: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(ts // 1_000_000)) + f".{ts % 1_000_000:06}"


def sentence(entry: Entry) -> str:
    """What an entry says, in one line."""
    event = entry.event
    match event:
        case TaskOpened():
            return f"opened in {event.phase} under {event.process}" + (f": {event.title}" if event.title else "")
        case PhaseAdvanced():
            files = ", ".join(f"{one.artifact} {one.digest[:12]}" for one in event.evidence)
            return f"advanced {event.start} → {event.to or 'completion'} on {files or 'no evidence'}"
        case PhaseBacktracked():
            return f"went back {event.start} → {event.to}: {event.reason}"
        case TaskAbandoned():
            return f"abandoned in {event.phase}: {event.reason}"
        case CommandRefused() | ToolRefused():
            name = event.command if isinstance(event, CommandRefused) else event.tool
            target = f" to {event.to}" if isinstance(event, CommandRefused) and event.to else ""
            escalated = "; escalated" if event.escalation else ""
            return f"refused {name}{target} in {event.phase}: {', '.join(dict.fromkeys(one.code for one in event.refusals))}{escalated}"
        case LeaseClaimed():
            return f"claimed the lease, token {event.token}"
        case LeaseTakenOver():
            return f"took the lease over from {event.previous}, token {event.token}"
        case LeaseReleased():
            forced = f" of {event.holder} by force: {event.reason}" if event.forced else ""
            return f"released the lease{forced}, token {event.token}"
        case PromptAttested():
            drift = f"; drift in {', '.join(event.drift)}" if event.drift else ""
            return f"attested {', '.join(sorted(event.parts))} in {event.phase}{drift}"
        case BaselineAccepted():
            return f"accepted {', '.join(sorted(event.parts))} of {event.principal} in {event.phase}: {event.reason} (approved by {event.approver})"
        case ProcessAdopted():
            weaker = f"; weaker: {'; '.join(event.weakenings)}" if event.weakenings else ""
            return f"adopted the process {event.process}: {event.reason} (approved by {event.approver}){weaker}"
        case EvidenceRestored():
            return f"restored {', '.join(event.restored)}"
    return event.type.replace(".", " ")


@click.command()
@click.option("--follow", is_flag=True, help="Go on until interrupted.")
@reading
def telemetry(follow: bool, root: str | None, as_json: bool) -> int:
    """Write what is new to state/telemetry (OTLP JSON lines), and show the measures and service levels."""
    with opened(root) as enforcer:
        follower = enforcer.follower()
        if follow:
            follower.follow(lambda: time.sleep(FOLLOW_SECONDS))
        progress = follower.run()
        measures = follower.measures()
        report, table = enforcer.measured(measures)
    if as_json:
        show_json({**report, "told": progress.pack(complete=True)})
    else:
        click.echo(plain(table))
        line(f"{progress.entries} new entries told in {progress.spans} spans")
    return 0
