"""`enforcer verify`: does the record hold, and against what?"""

from __future__ import annotations

import sys
from contextlib import ExitStack, contextmanager

import click

from enforcer.surfaces.cli.options import reading
from enforcer.surfaces.cli.output import counted, line, show_json
from enforcer.verification import Asked
from enforcer.verification import verify as verify_ledger

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from click._termui_impl import ProgressBar

    from enforcer.ledger.report import Report

    Progress = Callable[[int, int], None]

LONG = 32 << 20  # Bytes; a shorter ledger is read before a bar could be seen.


@click.command()
@click.option(
    "--key", "keys", multiple=True, metavar="VKEY|FILE", help="Pin a verifier key, of the ledger or a witness."
)
@click.option("--require-key", is_flag=True, help="Without a head signed by a pinned key the answer is 2.")
@click.option(
    "--anchor",
    "anchors",
    multiple=True,
    metavar="SOURCE",
    help="A checkpoint kept elsewhere: a file, git:<remote, URL or path>, or git:refs/… of this clone, which is local.",
)
@click.option("--require-anchor", is_flag=True, help="Without an anchor that counts the answer is 2.")
@click.option(
    "--max-unanchored", type=click.IntRange(min=0), metavar="N", help="With more later entries it is 2 as well."
)
@click.option("--require-sealed", is_flag=True, help="With entries that no checkpoint vouches for it is 2 as well.")
@click.option("--ref", default="", metavar="REF", help="Verify a published ledger, not the one in state/.")
@click.option(
    "--base",
    default="",
    metavar="REF",
    help="Compare with a published ledger: same, extends, behind; forked is 1, absent 2.",
)
@click.option(
    "--keep",
    default="",
    metavar="FILE",
    help="If it holds, leave its newest checkpoint in FILE for the next time; the one that is there now is an anchor.",
)
@click.option("--incremental", is_flag=True, help="Go on where the last incremental run ended, and say where that was.")
@click.option("--cores", type=click.IntRange(min=1), metavar="N", help="Processes to use. [default: as many as pay]")
@reading
def verify(
    keys: tuple[str, ...],
    require_key: bool,
    anchors: tuple[str, ...],
    require_anchor: bool,
    max_unanchored: int | None,
    require_sealed: bool,
    ref: str,
    base: str,
    keep: str,
    incremental: bool,
    cores: int | None,
    root: str | None,
    as_json: bool,
) -> int:
    """Check every byte of the ledger and replay what it tells.

    Exit status 1: something contradicts. 2: something could not be read or judged, or was required and is absent.
    """
    asked = Asked(
        keys=keys,
        require_key=require_key,
        anchors=anchors,
        require_anchor=require_anchor,
        max_unanchored=max_unanchored,
        require_sealed=require_sealed,
        ref=ref,
        base=base,
        keep=keep,
        incremental=incremental,
        cores=cores or 0,
    )
    with _progress() as progress:
        report = verify_ledger(root=root, asked=asked, progress=progress)
    if as_json:
        show_json(report.pack(complete=True))
    else:
        _tell(report)
    return report.exit_status


def _tell(report: Report) -> None:
    found = f", with {counted(len(report.findings), 'finding')} below" if report.findings else ""
    head = f", head {report.head[:16]}" if report.head else ""
    line(f"{report.verdict}{found}: {counted(report.entries, 'entry')}{head}")
    for part in ("integrity", "legality", "evidence", "anchoring", "key"):
        line(f"  {part:10} {getattr(report, part)}")
    if report.checked_from:
        line(f"  checked from entry {report.checked_from} on; what is before was checked by an earlier run")
    if report.base:
        line(f"  base       {report.base}")
    if report.entries:
        sealed = f"sealed to {counted(report.sealed_to, 'entry')}" if report.sealed_to else "unsealed"
        line(f"  {sealed}{f', anchored to {report.anchored_to}' if report.anchored_to else ''}")
    for one in report.cosigned:
        line(f"  cosigned   by {one.witness}, to {counted(one.size, 'entry')}")
    if report.unanchored is not None:
        line(f"  unanchored since entry {report.unanchored}: a cut or rewritten end would not show")
    for finding in report.findings:
        where = "ledger" if finding.seq is None else f"entry {finding.seq}"
        line(f"  {finding.code} at {where}: {finding.message}")


@contextmanager
def _progress() -> Iterator[Progress | None]:
    """A bar on stderr, where somebody looks at it and there is enough to read."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield None
        return
    with ExitStack() as stack:
        bars: list[ProgressBar[int]] = []

        def advance(done: int, total: int) -> None:
            if total < LONG:
                return
            if not bars:
                bars.append(stack.enter_context(click.progressbar(length=total, label="verifying", file=sys.stderr)))
            bars[0].update(done - bars[0].pos)

        yield advance
