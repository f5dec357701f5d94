"""The options that commands share, and how a command opens its project and reads a file that it was given."""

from __future__ import annotations

import os
import sys

import click

from enforcer.enforcer import Enforcer
from enforcer.errors import RequestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    F = TypeVar("F", bound=Callable[..., Any])

task_argument = click.argument("task")


def reading(command: F) -> F:
    """For commands that only read: --root, --json."""
    command = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")(command)
    return click.option("--root", metavar="DIR", help="The project. [default: the nearest enforcer.toml upward]")(
        command
    )


def writing(command: F) -> F:
    """For commands that write: besides, --actor and --key."""
    key = "Idempotency key: the same call with the same key is carried out once, and answered the same."
    command = click.option("--key", default="", metavar="KEY", help=key)(command)
    return reading(acting(command))


def acting(command: F) -> F:
    """For commands whose answer depends on who asks: --actor."""
    who = "Who acts: principal[/session]. [default: $ENFORCER_ACTOR, else the login name]"
    return click.option("--actor", metavar="WHO", help=who)(command)


def opened(root: str | None, actor: str | None = None) -> Enforcer:
    """The project that the command is about."""
    return Enforcer.open(root=root, actor=actor)


def read_bytes(path: str, limit: int) -> bytes:
    """A file that was named on the command line, `-` for stdin. Raises `RequestError` `input_unreadable`."""
    fix = "Name a file that can be read, or - for stdin."
    try:
        if path == "-":
            data = sys.stdin.buffer.read(limit + 1) if sys.stdin is not None else b""
        else:
            with open(path, "rb") as file:
                data = file.read(limit + 1)
    except (OSError, ValueError) as error:
        message = f"It cannot be read: {getattr(error, 'strerror', None) or error}."
        raise RequestError("input_unreadable", message, where=os.fsdecode(path), fix=fix) from error
    if len(data) > limit:
        raise RequestError("input_unreadable", f"It is longer than {limit} bytes.", where=path, fix="Give less.")
    return data
