"""`enforcer approve`: say yes or no, or waive rules, over exactly what is there."""

from __future__ import annotations

import re
import sys

import click

from enforcer import approvals
from enforcer.attestation.moments import format_moment
from enforcer.errors import RequestError
from enforcer.surfaces.cli.options import opened, task_argument, writing
from enforcer.surfaces.cli.output import answer, line, show_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from enforcer.approvals import Draft, Standing
    from enforcer.gate import Outcome
    from enforcer.task import Task

_UNITS = {"s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
_DURATION = re.compile(r"([1-9][0-9]{0,5})([smhd])")


@click.command()
@task_argument
@click.option(
    "--sign-with", "key_file", default="", metavar="FILE", help="An SSH key: private, or public with an agent."
)
@click.option(
    "--unsigned", is_flag=True, help="Only declare it. It is shown as declared, and counts where that is enough."
)
@click.option("--as", "principal", default="", metavar="WHO", help="Who says it. [default: whose key it is]")
@click.option("--reject", is_flag=True, help="Say no; --reason says why.")
@click.option("--waive", "rules", multiple=True, metavar="RULE", help="Waive a rule of --artifact. May be repeated.")
@click.option("--artifact", default="", metavar="NAME", help="The artifact whose rules are waived.")
@click.option("--adopt", default="", metavar="P", help="Approve that the task moves to this process.")
@click.option("--reason", default="", metavar="TEXT", help="Why; it goes on the record.")
@click.option(
    "--expires", default="24h", metavar="TIME", show_default=True, help="For how long it counts: 30m, 24h, 7d."
)
@click.option("--show", is_flag=True, help="Show what would be signed; sign and record nothing.")
@click.option("--yes", is_flag=True, help="Do not ask before signing.")
@writing
def approve(
    task: str,
    key_file: str,
    unsigned: bool,
    principal: str,
    reject: bool,
    rules: tuple[str, ...],
    artifact: str,
    adopt: str,
    reason: str,
    expires: str,
    show: bool,
    yes: bool,
    root: str | None,
    actor: str | None,
    key: str,
    as_json: bool,
) -> int:
    """Approve that TASK leaves its phase on exactly the evidence and files that are there now.

    What is signed is shown first, from the real bytes. It counts once, for this attempt, until it expires or anything
    of it changes, and never for your own work.

    \b
    Example:
      enforcer approve TASK-1 --show
      enforcer approve TASK-1 --sign-with ~/.ssh/id_ed25519
      enforcer approve TASK-1 --sign-with ~/.ssh/id_ed25519 --reject --reason "The migration cannot be undone"
    """
    _check_one(show, key_file, unsigned)
    wish = approvals.Wish(
        kind=_kind(reject, rules, adopt),
        principal=principal,
        lasting_us=_duration(expires),
        reason=reason,
        artifact=artifact,
        rules=rules,
        process=adopt,
    )
    with opened(root, actor) as enforcer:
        handle = enforcer.task(task)
        made = approvals.draft(handle, wish, key_file)
        if show:
            return _show(made, as_json)
        if not as_json:
            _print(made)
        if not yes:
            _confirm(task, as_json, signed=bool(key_file))
        outcome = _say(handle, made, key_file, key)
        stands = approvals.standing(handle, made.statement) if outcome else None
    status = _told(outcome, made, stands, as_json, signed=bool(key_file))
    if not as_json:
        _print_standing(stands, signed=bool(key_file))
    return status


def _check_one(show: bool, key_file: str, unsigned: bool) -> None:
    if not show and bool(key_file) == unsigned:
        message = "Say how it is to be vouched for: with a key, or without one."
        raise RequestError("usage", message, fix="Give --sign-with FILE, or --unsigned; --show only shows it.")


def _kind(reject: bool, rules: tuple[str, ...], adopt: str) -> str:
    kinds = [name for name, asked in (("reject", reject), ("waive", rules), ("adopt", adopt)) if asked]
    if len(kinds) > 1:
        raise RequestError(
            "usage", f"It is one or the other: {' and '.join(kinds)}.", fix="See: enforcer approve --help"
        )
    return kinds[0] if kinds else "approve"


def _duration(text: str) -> int:
    """Microseconds."""
    found = _DURATION.fullmatch(text)
    if found is None:
        message = f"{text[:40]!a} is not a duration."
        raise RequestError("bad_duration", message, fix="Write a number and s, m, h or d: 30m, 24h, 7d.")
    return int(found[1]) * _UNITS[found[2]]


def _confirm(task: str, as_json: bool, *, signed: bool) -> None:
    """Ask whoever sees it. Nothing is signed that nobody has said yes to."""
    if as_json or sys.stdin is None or not sys.stdin.isatty():
        message = "Nothing is signed unless somebody says yes to it, and there is nobody here to ask."
        fix = f"Look at it: enforcer approve {task} --show; then give --yes."
        raise RequestError("confirmation_missing", message, fix=fix)
    try:
        agreed = click.confirm("Sign this?" if signed else "Declare this, without a signature?", err=True)
    except click.Abort:  # The end of the input, or an interrupt: that is no yes.
        agreed = False
    if not agreed:
        raise RequestError("not_confirmed", "Nothing was signed." if signed else "Nothing was signed, nor declared.")


def _say(handle: Task, made: Draft, key_file: str, key: str) -> Outcome:
    return approvals.sign(handle, made, key_file, key=key) if key_file else approvals.declare(handle, made, key=key)


def _show(made: Draft, as_json: bool) -> int:
    if as_json:
        show_json({"ok": True, "statement": made.statement.pack(complete=True), "text": made.text})
    else:
        _print(made)
    return 0


def _print(made: Draft) -> None:
    for text in made.text.splitlines():
        line(text)


def _told(outcome: Outcome, made: Draft, stands: Standing | None, as_json: bool, *, signed: bool) -> int:
    said = made.statement
    verb = {"approve": "approved", "reject": "rejected", "waive": "waived rules of", "adopt": "approved a process for"}
    how = "signed" if signed else "declared, not signed"
    yes = f"{said.principal} {verb[said.kind]} {said.task} in {said.phase}, until {format_moment(said.expires)}; {how}"
    extra = {
        "kind": said.kind,
        "principal": said.principal,
        "signed": signed,
        "expires": said.expires,
        "nonce": said.nonce,
        "fingerprint": getattr(outcome.event, "fingerprint", "") or None,
        "statement": getattr(outcome.event, "statement", "") or None,
        "signature": getattr(outcome.event, "signature", "") or None,
        "counts": stands.counts if stands is not None else None,
        "demands": [{"demand": what, "met": met, "needed": all_} for what, met, all_ in stands.demands]
        if stands is not None
        else [],
    }
    return answer(outcome, "approve", as_json=as_json, yes=yes, extra=extra)


def _print_standing(stands: Standing | None, *, signed: bool) -> None:
    if stands is None:
        return
    if not stands.counts:
        why = "nobody asks for it of this principal" if signed else "signatures are asked for here, and it has none"
        line(f"  it will not count: {why}")
    for what, met, needed in stands.demands:
        line(f"  {met} of {needed}: {what}")
