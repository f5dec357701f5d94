"""`enforcer log`: what happened, in order."""

from __future__ import annotations

import json
import time

import click

from enforcer.surfaces.cli.options import opened, reading
from enforcer.surfaces.cli.output import line, plain, show_json
from enforcer.telemetry.spans import span_of, trace_of
from enforcer.workflow.events import (
    ApprovalGranted,
    ApprovalRejected,
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
    RulesWaived,
    RunObserved,
    TaskAbandoned,
    TaskOpened,
    ToolRefused,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from enforcer.ledger.entry import Entry

# Characters that mean something to a markdown reader, or to the browser it writes for.
_MARKDOWN = str.maketrans({sign: f"\\{sign}" for sign in "\\`*[]<>|&#~"})


@click.command()
@click.argument("task", required=False)
@click.option("--format", "form", type=click.Choice(["text", "jsonl", "markdown"]), default="text", show_default=True)
@reading
def log(task: str | None, form: str, root: str | None, as_json: bool) -> int:
    """The journal of TASK, or of the whole ledger: every move, refusal and override, in order."""
    with opened(root) as enforcer:
        entries = enforcer.entries(task or "")
        if as_json:
            show_json({"entries": [_members(entry) for entry in entries]})
        elif form == "jsonl":
            for entry in entries:
                line(json.dumps(_members(entry), ensure_ascii=True, sort_keys=True))
        elif form == "markdown":
            _show_markdown(entries, task)
        else:
            for entry in entries:
                # A journal of one task need not name it in every line.
                who = f"{entry.event.actor:12}" if task else f"{entry.task or '-':12} {entry.event.actor:12}"
                line(f"{entry.seq:5} {_time(entry.ts)[:19]} {who} {sentence(entry)}")
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
        "trace_id": trace_of(entry),
        "span_id": span_of(entry),
        "summary": sentence(entry),
        "data": entry.event.pack(),
    }


def _show_markdown(entries: Iterable[Entry], task: str | None) -> None:
    line(f"# Journal of {task or 'the ledger'}")
    line()
    line("| entry | time (UTC) | task | actor | what | hash |")
    line("|---|---|---|---|---|---|")
    for entry in entries:
        told = (entry.task or "-", entry.event.actor, sentence(entry))
        cells = (str(entry.seq), _time(entry.ts), *(plain(one).translate(_MARKDOWN) for one in told))
        line(f"| {' | '.join(cells)} | `{entry.hash[:12]}` |")


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
            return _refusal(event)
        case LeaseClaimed() | LeaseTakenOver() | LeaseReleased():
            return _lease(event)
        case PromptAttested():
            drift = f"; drift in {', '.join(event.drift)}" if event.drift else ""
            return f"attested {', '.join(sorted(event.parts))} in {event.phase}{drift}"
        case BaselineAccepted():
            dropped = f", without {', '.join(event.dropped)}" if event.dropped else ""
            parts = ", ".join(sorted(event.parts)) or "no new part"
            what = f"{parts} of {event.principal} in {event.phase}{dropped}"
            return f"accepted {what}: {event.reason} (approved by {event.approver}, declared)"
        case ProcessAdopted():
            weaker = f"; weaker: {'; '.join(event.weakenings)}" if event.weakenings else ""
            approved = f"(approved by {event.approver}, {event.vouched})"
            return f"adopted the process {event.process}: {event.reason} {approved}{weaker}"
        case EvidenceRestored():
            return f"restored {', '.join(event.restored)}"
        case RunObserved():
            return _run(event)
        case ApprovalGranted() | ApprovalRejected() | RulesWaived():
            return _word(event)
    return event.type.replace(".", " ")


def _refusal(event: CommandRefused | ToolRefused) -> str:
    if isinstance(event, CommandRefused):
        what = f"{event.command} to {event.to}" if event.to else event.command
    else:
        what = event.tool
    codes = ", ".join(dict.fromkeys(one.code for one in event.refusals))
    return f"refused {what} in {event.phase}: {codes}{'; escalated' if event.escalation else ''}"


def _run(event: RunObserved) -> str:
    ended = f"ended by {event.signal}" if event.signal else f"exit status {event.status}"
    files = ", ".join(f"{one.artifact} {one.digest[:12]}" for one in event.made)
    counts = "" if event.configured else ", not configured"
    return f"ran what makes {files or 'no evidence'}: {ended} in sandbox {event.sandbox}{counts}"


def _word(event: ApprovalGranted | ApprovalRejected | RulesWaived) -> str:
    how = f"signed with {event.fingerprint}" if event.signature else "declared"
    why = f": {event.reason}" if event.reason else ""
    match event:
        case RulesWaived():
            what = f"waived {', '.join(event.rules)} of {event.artifact}"
        case ApprovalRejected():
            what = f"rejected leaving {event.phase}"
        case _:
            what = "approved another process" if event.process else f"approved leaving {event.phase}"
    return f"{event.principal} {what}{why} ({how})"


def _lease(event: LeaseClaimed | LeaseTakenOver | LeaseReleased) -> str:
    match event:
        case LeaseTakenOver():
            return f"took the lease over from {event.previous}, token {event.token}"
        case LeaseReleased():
            forced = f" of {event.holder} by force: {event.reason}" if event.forced else ""
            return f"released the lease{forced}, token {event.token}"
    return f"claimed the lease, token {event.token}"
