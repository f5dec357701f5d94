"""`enforcer telemetry`: what the ledger adds up to, for people and for collectors."""

from __future__ import annotations

import time

import click

from enforcer.surfaces.cli.options import opened, reading
from enforcer.surfaces.cli.output import line, show_json

FOLLOW_SECONDS = 1.0


@click.command()
@click.option("--follow", is_flag=True, help="Go on until interrupted.")
@reading
def telemetry(follow: bool, root: str | None, as_json: bool) -> int:
    """Write what is new to state/telemetry (OTLP JSON lines), and show the measures and service levels."""
    with opened(root) as enforcer:
        follower = enforcer.follower()
        if follow:
            try:
                follower.follow(lambda: time.sleep(FOLLOW_SECONDS))
            except KeyboardInterrupt:
                pass  # This is how it is ended.
        progress = follower.run()
        measures = follower.measures()
        report, table = enforcer.measured(measures)
    if as_json:
        show_json({**report, "told": progress.pack(complete=True)})
        return 0
    for row in table.splitlines():
        line(row)
    line(f"{progress.entries} new entries told in {progress.spans} spans")
    return 0
