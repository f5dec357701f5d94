"""The command `enforcer`: parses, asks the library, prints. It decides nothing.

The table below names every command and the module that holds it; a command's module is loaded when the command is
called, so that `enforcer status` does not pay for `enforcer init`.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING

import click

from enforcer import __version__
from enforcer.errors import EnforcerError, UnavailableError
from enforcer.surfaces.cli.output import failed

if TYPE_CHECKING:
    from collections.abc import Sequence

# command → (module in this folder, attribute, what it does)
COMMANDS = {
    "init": ("project", "init", "put a folder under the gate"),
    "open": ("work", "open_", "open a task"),
    "status": ("status", "status", "how a task stands, or all of them"),
    "explain": ("evidence", "explain", "what a phase still needs, and what an answer would be now"),
    "scaffold": ("evidence", "scaffold", "write a starting text for each artifact of the phase"),
    "advance": ("work", "advance", "leave the phase on its evidence"),
    "backtrack": ("work", "backtrack", "go back to an earlier phase"),
    "abandon": ("work", "abandon", "give a task up"),
    "evidence": ("evidence", "evidence", "list, check and restore evidence"),
    "lease": ("lease", "lease", "claim, renew and release a task's lease"),
    "leases": ("lease", "leases", "who holds what"),
    "attest": ("prompt", "attest", "present the digests of a prompt"),
    "baseline": ("prompt", "baseline", "show and accept prompt baselines"),
    "process": ("project", "process", "show and adopt a process"),
    "guard": ("guard", "guard", "may this tool call be made now? (JSON on stdin)"),
    "log": ("journal", "log", "the decision journal"),
    "telemetry": ("journal", "telemetry", "write spans and metrics, and show the measures"),
    "verify": ("checks", "verify", "check the ledger"),
    "audit": ("checks", "audit", "hold evidence folders against the ledger"),
    "demo": ("show", "demo", "walk a real change to a real package through all nine phases"),
}


class LazyGroup(click.Group):
    """Loads a command's module when the command is called; lists them without loading any."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(f"enforcer.surfaces.cli.{module}"), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in COMMANDS.items()])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="enforcer")
def group() -> None:
    """The work process that an agent cannot skip.

    Exit status: 0 yes, 1 a recorded no, 2 no answer could be given. Every command takes --json.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit. No input leads to a traceback: an error is a code, a message and a fix."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in words
    try:
        status = group.main(words, prog_name="enforcer", standalone_mode=False)
        sys.exit(status if isinstance(status, int) else 0)
    except EnforcerError as error:
        failed(error.code, error.message, fix=error.fix, where=error.where, as_json=as_json)
    except click.ClickException as error:
        fix = f"See: {error.ctx.command_path} --help" if isinstance(error, click.UsageError) and error.ctx else ""
        failed("usage", error.format_message(), fix=fix, as_json=as_json)
    except (click.Abort, KeyboardInterrupt):
        failed("interrupted", "Stopped before an answer was given.", as_json=as_json)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        trouble = UnavailableError("system", f"The system says: {error.strerror or error}.", where=str(error.filename or ""))
        failed(trouble.code, trouble.message, where=trouble.where, as_json=as_json)
    except Exception as error:
        if os.environ.get("ENFORCER_DEBUG"):
            raise
        message = f"A bug in Enforcer: {type(error).__name__}: {error}"
        failed("internal", message, fix="Run it again with ENFORCER_DEBUG=1 and report what it prints.", as_json=as_json)
    sys.exit(2)
