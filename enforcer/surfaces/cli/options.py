"""The options that commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from enforcer.enforcer import Enforcer

if TYPE_CHECKING:
    from collections.abc import Callable

    F = TypeVar("F", bound=Callable[..., Any])

task_argument = click.argument("task")


def reading(command: F) -> F:
    """For commands that only read: --root, --json."""
    command = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")(command)
    return click.option("--root", help="The project's folder; by default the nearest one upward.")(command)


def writing(command: F) -> F:
    """For commands that write: besides, --actor and --key."""
    command = click.option("--key", default="", help="An idempotency key: repeating the call gives the first answer.")(command)
    return reading(acting(command))


def acting(command: F) -> F:
    return click.option("--actor", help="Who acts: principal[/session]. [default: $ENFORCER_ACTOR, else the login name]")(command)


def opened(root: str | None, actor: str | None = None) -> Enforcer:
    """The project that the command is about."""
    return Enforcer.open(root=root, actor=actor)
