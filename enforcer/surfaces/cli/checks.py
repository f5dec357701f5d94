"""`enforcer audit`: does the evidence match the record?"""

from __future__ import annotations

import click

from enforcer.surfaces.cli.findings import FORMATS, show_audit
from enforcer.surfaces.cli.options import opened, reading


@click.command()
@click.argument("task", required=False)
@click.option(
    "--rejudge", is_flag=True, help="Judge again everything that was accepted, under the process then in force."
)
@click.option("--stored", is_flag=True, help="Look at the stored copies alone, where there is no folder of evidence.")
@click.option("--ref", metavar="REF", help="Look at the stored copies in a published ledger.")
@click.option(
    "--evidence", metavar="FOLDER", help="Judge a folder of evidence that has no ledger: TASK/phase/artifact."
)
@click.option(
    "--process", metavar="P", help="With --evidence: a shipped process, or the path of one. [default: default]"
)
@click.option("--format", "form", type=click.Choice(FORMATS), help="How to answer. [default: text]")
@reading
def audit(
    task: str | None,
    rejudge: bool,
    stored: bool,
    ref: str | None,
    evidence: str | None,
    process: str | None,
    form: str | None,
    root: str | None,
    as_json: bool,
) -> int:
    """Hold the evidence of TASK, or of every task, against the ledger; or judge evidence that has no ledger.

    Exit status 1: something is not as recorded, or would be refused. 2: something could not be answered.
    """
    if as_json and form not in (None, "json"):
        raise click.UsageError(f"--json and --format {form} ask for two answers.")
    if process is not None and evidence is None:
        raise click.UsageError("--process is for --evidence: on a ledger, each task has its own process.")
    if evidence is not None and (rejudge or stored or ref is not None):
        raise click.UsageError("--rejudge, --stored and --ref are about a ledger, and --evidence has none.")
    # What these two need besides costs more to load than a plain audit of a small ledger takes.
    if evidence is not None:
        from enforcer.auditing import audit_evidence

        report = audit_evidence(evidence, process=process or "default", root=root, task=task or "")
    elif ref is not None:
        from enforcer.auditing import audit_published

        report = audit_published(ref, root=root, task=task or "", rejudge=rejudge)
    else:
        with opened(root) as enforcer:
            report = enforcer.audit(task or "", rejudge=rejudge, stored=stored)
    return show_audit(report, "json" if as_json else form or "text", evidence or "")
