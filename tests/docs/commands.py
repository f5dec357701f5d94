"""`docs/commands.md`: what every command says of itself, from the command's own help."""

from __future__ import annotations

from collections.abc import Iterator

import click

from enforcer.surfaces.cli.table import COMMANDS, group

WIDTH = 100

INTRO = """\
# Commands

Every command answers as text for people, and with `--json` as one JSON value that keeps to `schemas/output/`.

| exit status | means | where it is told |
|---|---|---|
| 0 | yes | stdout |
| 1 | no; of a command about a task and of `guard`, recorded on the ledger | stdout, each reason with a fix |
| 2 | no answer could be given, and nothing was recorded | stderr; with `--json` stdout too, as `{"error": …}` |

The codes of both are listed in [refusals.md](refusals.md). One exception to the last row: where only the answer could
not be written (`output_unwritable`, or a reader that went away), what was done stands on the ledger. With a `--key` of
your own, asking again gives the first answer.

The project is the nearest folder upward with `enforcer.toml`, or `--root`, or `ENFORCER_ROOT`. Who acts is `--actor`,
or `ENFORCER_ACTOR`, or the login name. Keys are kept in `ENFORCER_HOME`, by default `~/.local/state/enforcer`. Phases
may be written in any case.
"""


def render() -> str:
    """The page."""
    settings = {**group.context_settings, "terminal_width": WIDTH, "max_content_width": WIDTH}
    context = click.Context(group, info_name="enforcer", **settings)
    parts = [INTRO, _help(context)]
    for name in COMMANDS:
        command = group.get_command(context, name)
        assert command is not None
        parts += _sections(click.Context(command, info_name=name, parent=context), 2)
    return "\n".join(parts)


def _sections(context: click.Context, level: int) -> Iterator[str]:
    command = context.command
    yield f"{'#' * level} {context.command_path}\n"
    yield _help(context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from _sections(click.Context(child, info_name=name, parent=context), level + 1)


def _help(context: click.Context) -> str:
    told = "\n".join(line.rstrip() for line in context.get_help().splitlines())
    return f"```text\n{told}\n```\n"
