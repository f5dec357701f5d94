"""`enforcer verify` and `audit`: does the record hold, and does the evidence match it?"""

from __future__ import annotations

import click

from enforcer.enforcer import verify as verify_project
from enforcer.surfaces.cli.options import opened, reading
from enforcer.surfaces.cli.output import line, show_json


@click.command()
@reading
def verify(root: str | None, as_json: bool) -> int:
    """Check every byte of the ledger and replay what it tells. Exit status 1: tampered; 2: could not be verified."""
    report = verify_project(root=root)
    if as_json:
        show_json(report.pack(complete=True))
        return report.exit_status
    found = f", with {len(report.findings)} findings below" if report.findings else ""
    line(f"{report.verdict}{found}: {report.entries} entries, head {(report.head or '')[:16]}")
    for part in ("integrity", "legality", "evidence", "anchoring", "key"):
        line(f"  {part:10} {getattr(report, part)}")
    if report.unanchored is not None:
        line(f"  unanchored since entry {report.unanchored}: a cut or rewritten end would not show")
    for finding in report.findings:
        where = "ledger" if finding.seq is None else f"entry {finding.seq}"
        line(f"  {finding.code} at {where}: {finding.message}")
    return report.exit_status


@click.command()
@click.argument("task", required=False)
@reading
def audit(task: str | None, root: str | None, as_json: bool) -> int:
    """Hold the evidence of TASK, or of every task, against the ledger. Exit status 1: something is not as recorded."""
    with opened(root) as enforcer:
        report = enforcer.audit(task or "")
    if as_json:
        show_json(report.pack(complete=True))
        return report.exit_status
    line(f"{report.verdict}: {report.tasks} tasks, {report.artifacts} accepted artifacts")
    for finding in report.findings:
        line(f"  {finding.code} {finding.task} {finding.phase}/{finding.artifact}: {finding.message}")
        if finding.fix:
            line(f"      fix: {finding.fix}")
    return report.exit_status
