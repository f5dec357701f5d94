"""How answers look: text for people, JSON for programs, and one rule for both: no control character gets through."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterable

    from enforcer.gate import Outcome
    from enforcer.workflow.events import Refusal


def plain(text: object) -> str:
    """Text with every control, format and bidirectional character shown as an escape instead of obeyed."""
    return "".join(letter if letter.isprintable() or letter == "\n" else ascii(letter)[1:-1] for letter in str(text))


def line(text: object = "") -> None:
    click.echo(plain(text))


def show_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=True))


def failed(code: str, message: str, *, fix: str = "", where: str = "", as_json: bool = False) -> None:
    """Say that no answer could be given."""
    if as_json:
        show_json({"error": {"code": code, "message": message, "fix": fix, "where": where}})
    click.echo(plain(f"error {code}: {message}"), err=True)
    if where:
        click.echo(plain(f"  where: {where}"), err=True)
    if fix:
        click.echo(plain(f"  fix: {fix}"), err=True)


def refusals_text(refusals: Iterable[Refusal]) -> list[str]:
    """Each reason with the spot it is about and what to do."""
    lines = []
    for one in refusals:
        spot = f" [{one.artifact}]" if one.artifact else ""
        lines.append(f"  {one.code}{spot}: {one.message}")
        if one.fix:
            lines.append(f"      fix: {one.fix}")
    return lines


def refusals_json(refusals: Iterable[Refusal]) -> list[dict[str, Any]]:
    return [one.pack(complete=True) for one in refusals]


def outcome_json(outcome: Outcome, command: str) -> dict[str, Any]:
    """The members that every answer of a writing command has."""
    state = outcome.state
    return {
        "ok": bool(outcome),
        "task": outcome.task,
        "command": command,
        "phase": state.phase if state else None,
        "attempt_id": state.attempt_id if state else None,
        "seq": outcome.seq if outcome.seq >= 0 else None,
        "hash": outcome.hash or None,
        "key": outcome.key or None,
        "repeated": outcome.repeated,
        "coalesced": outcome.coalesced,
        "escalation": list(getattr(outcome.event, "escalation", ())),
        "refusals": refusals_json(outcome.refusals),
    }


def receipt(outcome: Outcome) -> str:
    """Where the answer stands."""
    if outcome.seq < 0:
        return "nothing to record"
    again = ", the answer given before" if outcome.repeated else ""
    again += ", counted beside the ledger" if outcome.coalesced else ""
    return f"entry {outcome.seq}, {outcome.hash[:12]}{again}"


def answer(outcome: Outcome, command: str, *, as_json: bool, yes: str, extra: dict[str, Any] | None = None) -> int:
    """Print the outcome of a writing command; the exit status. `yes` is the sentence for success."""
    if as_json:
        show_json({**outcome_json(outcome, command), **(extra or {})})
    elif outcome:
        line(f"{yes} ({receipt(outcome)})")
    else:
        refused(outcome, command)
    return 0 if outcome else 1


def refused(outcome: Outcome, command: str) -> None:
    where = f" in {outcome.state.phase}" if outcome.state else ""
    line(f"refused: {command} {outcome.task}{where} ({receipt(outcome)})")
    for text in refusals_text(outcome.refusals):
        line(text)
    escalation = getattr(outcome.event, "escalation", ())
    if escalation:
        line(f"  escalated: {', '.join(escalation)} for the third time in a row. Stop, and ask for help.")
