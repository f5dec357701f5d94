"""How answers look: text for people, JSON for programs, and one rule for both: no control character gets through."""

from __future__ import annotations

import json
import os
import sys

from enforcer.errors import UnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, TextIO

    from enforcer.errors import EnforcerError
    from enforcer.gate import Outcome
    from enforcer.workflow.events import Refusal

# What stands for the few signs of ours where the terminal's character set lacks them.
_SIGNS = str.maketrans({"→": "->", "…": "...", "≥": ">=", "≤": "<=", "·": "-"})


class Unread(Exception):
    """Nobody reads the answer any more: the other end of the pipe is closed."""


# Streams -------------------------------------------------------------------------------------------------------------


def plain(text: object) -> str:
    """Text on one line, with every control, format and bidirectional character shown as an escape and not obeyed."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in str(text))


def line(text: object = "") -> None:
    """One line of an answer."""
    _write(sys.stdout, plain(text))


def counted(number: int, what: str) -> str:
    """A number of things: `1 entry`, `2 entries`."""
    if number == 1:
        return f"1 {what}"
    return f"{number} {what[:-1]}ies" if what.endswith("y") else f"{number} {what}s"


def show_json(value: Any) -> None:
    """The whole answer of a command that was given `--json`: one value, ASCII only."""
    _write(sys.stdout, json.dumps(value, indent=2, ensure_ascii=True))


def show_bytes(data: bytes) -> None:
    """The whole answer of a command whose answer is a file."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
    except BrokenPipeError as error:
        raise Unread from error
    except OSError as error:
        raise _unwritable(error) from error


def tell(text: str) -> None:
    """A line of a story that is told while it happens, in colour where the teller chose so."""
    _write(sys.stdout, text)
    finish()


def finish() -> None:
    """Hand over what was written. Raises `Unread`, or `UnavailableError` (`output_unwritable`)."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError as error:
        raise Unread from error
    except OSError as error:
        raise _unwritable(error) from error


def abandon() -> None:
    """Let go of a stdout that takes nothing any more, so that the interpreter does not complain about it at its end."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError):
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except (OSError, ValueError):
            return


def _write(stream: TextIO | None, text: str) -> None:
    if stream is None:
        return  # The caller closed it, and goes by the exit status alone.
    try:
        stream.write(_fitting(text, stream.encoding or "ascii") + "\n")
    except BrokenPipeError as error:
        raise Unread from error
    except OSError as error:
        raise _unwritable(error) from error


def _fitting(text: str, encoding: str) -> str:
    """The text in the characters of an encoding; whatever has none is escaped."""
    try:
        text.encode(encoding)
        return text
    except UnicodeEncodeError:
        return text.translate(_SIGNS).encode(encoding, "backslashreplace").decode(encoding)


def _unwritable(error: OSError) -> UnavailableError:
    message = f"The answer could not be written: {error.strerror or error}."
    return UnavailableError("output_unwritable", message, fix="What was done is on the ledger: enforcer log")


# Errors and answers --------------------------------------------------------------------------------------------------


def failed(error: EnforcerError, *, as_json: bool) -> None:
    """Say that no answer could be given: for people on stderr, and as JSON on stdout besides where that was asked for.

    Raises nothing: there is nobody left to tell.
    """
    told = {"code": error.code, "message": plain(error.message), "fix": plain(error.fix), "where": plain(error.where)}
    try:
        _write(sys.stderr, plain(f"error {error.code}: {error.message}"))
        for name in ("where", "fix"):
            if told[name]:
                _write(sys.stderr, f"  {name}: {told[name]}")
        if sys.stderr is not None:
            sys.stderr.flush()
        if as_json and error.code != "output_unwritable":
            show_json({"error": told})
    except (OSError, ValueError, UnavailableError, Unread):
        return


def refusals_text(refusals: Iterable[Refusal], task: str) -> list[str]:
    """Each reason with the spot it is about and what to do; a piece of advice that several share stands once."""
    lines: list[str] = []
    reasons = list(refusals)
    for number, one in enumerate(reasons):
        spot = f" [{one.artifact}]" if one.artifact else ""
        lines.append(f"  {one.code}{spot}: {one.message}")
        following = reasons[number + 1].fix if number + 1 < len(reasons) else ""
        if one.fix and one.fix != following:
            lines.append(f"      fix: {for_task(one.fix, task)}")
    return lines


def for_task(fix: str, task: str) -> str:
    """Advice with the task's name in the commands it names, so that they can be copied as they stand."""
    words = fix.split(" ")
    return " ".join(word.replace("TASK", task) if word.rstrip(".,;`") == "TASK" else word for word in words)


def refusals_json(refusals: Iterable[Refusal], task: str) -> list[dict[str, Any]]:
    return [{**one.pack(complete=True), "fix": for_task(one.fix, task)} for one in refusals]


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
        "refusals": refusals_json(outcome.refusals, outcome.task),
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
    """A "no" for people: where it stands, every reason, and what to do."""
    where = f" in {outcome.state.phase}" if outcome.state else ""
    line(f"refused: {command} {outcome.task}{where} ({receipt(outcome)})")
    for text in refusals_text(outcome.refusals, outcome.task):
        line(text)
    escalation = getattr(outcome.event, "escalation", ())
    if escalation:
        line(f"  escalated: {', '.join(escalation)} for the third time in a row. Stop, and ask for help.")


def shell_note(tools: Iterable[str]) -> str:
    """What a reader of the allowed tools would otherwise learn from a refusal."""
    allowed = set(tools)
    if {"run", "write"} <= allowed or not allowed - {"read"}:
        return ""
    return " (a shell command passes the guard only where run and write are both allowed)"
