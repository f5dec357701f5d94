"""`enforcer demo`."""

from __future__ import annotations

import click

from enforcer.surfaces.cli.output import tell
from enforcer.surfaces.demo import Options, run


@click.command()
@click.option("--keep", metavar="DIR", help="Leave the project, with its state, in DIR.")
@click.option("--sdist", metavar="FILE", help="The package's sdist, where it cannot be fetched.")
@click.option("--python", metavar="EXE", help="A Python with pytest and coverage, where they cannot be installed.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON, at the end.")
def demo(keep: str | None, sdist: str | None, python: str | None, as_json: bool) -> int:
    """Walk a real change to a real package through all nine phases, with every attempt to cheat refused.

    Needs git and, at the first run, a network for pip. Exit status 1: something differs from what must be.
    """
    return run(Options(keep=keep, sdist=sdist, python=python, as_json=as_json), tell)
