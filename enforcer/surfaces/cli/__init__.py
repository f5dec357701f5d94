"""The command `enforcer`: parses, asks the library, prints. It decides nothing.

What is asked at every step of an agent (`light`) is answered without the parser's library, which costs more than the
answer. Everything else goes through the table of commands (`table`), which loads a command's module when it is called.
"""

from __future__ import annotations

import os
import sys

from enforcer.errors import EnforcerError
from enforcer.surfaces.cli import light
from enforcer.surfaces.cli.output import Unread, abandon, failed, finish

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit. No input leads to a traceback: an error is a code, a message and a fix."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if arguments is None:
        _open_standard_streams()
    try:
        status = _run(words)
        finish()
    except Unread:
        status = 2
    except (Exception, KeyboardInterrupt) as error:
        status = 2
        if os.environ.get("ENFORCER_DEBUG") and not isinstance(error, EnforcerError | KeyboardInterrupt):
            raise
        failed(_told(error), as_json="--json" in words)
    abandon()
    sys.exit(status)


def _run(words: list[str]) -> int:
    asked = light.read(words)
    if asked is not None:
        return light.show_status(asked)
    from enforcer.surfaces.cli import table

    return table.run(words)


def _told(error: BaseException) -> EnforcerError:
    """An error as callers are told of it."""
    if isinstance(error, EnforcerError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return EnforcerError("interrupted", "Stopped before an answer was given.")
    if isinstance(error, OSError):
        message = f"The system says: {error.strerror or error}."
        return EnforcerError("system", message, where=os.fsdecode(error.filename or ""))
    message = f"A bug in Enforcer: {type(error).__name__}: {error}"
    return EnforcerError("internal", message, fix="Run it again with ENFORCER_DEBUG=1 and report what it prints.")


def _open_standard_streams() -> None:
    """Give stdin, stdout and stderr a descriptor where the caller closed theirs.

    The system hands out the lowest free number, so the ledger could otherwise become what the next program, or a
    dying interpreter, takes for its stderr.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
