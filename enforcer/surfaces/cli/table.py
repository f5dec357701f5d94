"""The table of commands, and the parser that goes by it.

A command's module is loaded when the command is called, so that `enforcer lease` does not pay for `enforcer init`.
What the parser's library has to say about a call becomes an error like any other.
"""

from __future__ import annotations

import difflib
import importlib
import sys

import click

from enforcer import __version__
from enforcer.errors import RequestError
from enforcer.surfaces.cli.output import Unread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# command → (module in this folder, attribute, what it does)
COMMANDS = {
    "init": ("project", "init", "put a folder under the gate"),
    "open": ("work", "open_", "open a task"),
    "status": ("status", "status", "how a task stands, or all of them"),
    "explain": ("phase", "explain", "what the phase still needs, and what advance would answer"),
    "scaffold": ("phase", "scaffold", "write a form for each artifact of the phase"),
    "advance": ("work", "advance", "leave the phase on its evidence"),
    "backtrack": ("work", "backtrack", "go back to an earlier phase"),
    "abandon": ("work", "abandon", "give a task up"),
    "run": ("running", "run", "let Enforcer run a command and make evidence of it"),
    "evidence": ("evidence", "evidence", "list, check and restore evidence"),
    "lease": ("lease", "lease", "claim, renew and release a task's lease"),
    "leases": ("lease", "leases", "who holds what"),
    "attest": ("prompt", "attest", "present the digests of a prompt"),
    "baseline": ("prompt", "baseline", "show and accept prompt baselines"),
    "approve": ("approving", "approve", "approve, reject or waive, over exactly what is there"),
    "process": ("project", "process", "show and adopt a process"),
    "guard": ("guard", "guard", "may this tool call be made now? (JSON on stdin)"),
    "log": ("journal", "log", "the decision journal"),
    "telemetry": ("measures", "telemetry", "write spans and metrics, and show the measures"),
    "verify": ("verifying", "verify", "check the ledger"),
    "certify": ("certifying", "certify", "is a task verifiably complete, or was a change governed?"),
    "audit": ("checks", "audit", "hold evidence folders against the ledger"),
    "checkpoint": ("seals", "checkpoint", "sign the ledger's head"),
    "anchor": ("seals", "anchor", "keep the signed head elsewhere"),
    "publish": ("seals", "publish", "commit the ledger to a git ref"),
    "prove": ("exporting", "prove", "write the proof of an entry"),
    "verify-proof": ("exporting", "verify_proof", "check a proof or a receipt with nothing but a key"),
    "export": ("exporting", "export", "receipts, in-toto statements and layouts, CloudEvents, HTML, tiles"),
    "key": ("keys", "key", "show and change the key that signs"),
    "witness": ("witnessing", "witness", "cosign the heads of logs that others keep"),
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

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name in COMMANDS or name.startswith("-"):
            return super().resolve_command(ctx, args)
        near = difflib.get_close_matches(name, COMMANDS, n=3, cutoff=0.6)
        meant = f" Did you mean {' or '.join(near)}?" if near else ""
        raise click.UsageError(f"No such command {name[:64]!r}.{meant}", ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in COMMANDS.items()])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="enforcer", message="%(prog)s %(version)s")
def group() -> None:
    """The work process that an agent cannot skip.

    Exit status: 0 yes, 1 no (recorded where it is about a task), 2 no answer could be given.
    Every command takes --json; see `enforcer COMMAND --help`.
    """


def run(words: Sequence[str]) -> int:
    """Carry out a call; the exit status. Raises `RequestError` (`usage`) where it is not one."""
    for stream in (sys.stdout, sys.stderr):
        # The library writes help by itself, in whatever character set it finds.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        status = group.main(list(words), prog_name="enforcer", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        if "--json" not in words:
            error.show()
            return 2
        raise RequestError("usage", "A command is missing.", fix=f"See: {_path(error)} --help") from error
    except click.NoSuchOption as error:
        fix = "Give it after the command: enforcer status --json" if error.option_name == "--json" else ""
        message = "--json belongs to a command." if fix else error.format_message()
        raise RequestError("usage", message, fix=fix or f"See: {_path(error)} --help") from error
    except click.ClickException as error:
        raise RequestError("usage", error.format_message(), fix=f"See: {_path(error)} --help") from error
    except click.Abort as error:
        raise KeyboardInterrupt from error
    except SystemExit as error:  # The library's own answer to a broken pipe; its exit status 1 would mean a "no".
        raise Unread from error
    return status if isinstance(status, int) else 0


def _path(error: click.ClickException) -> str:
    """The command that an error is about, as it is called."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    return context.command_path if context is not None else "enforcer"
