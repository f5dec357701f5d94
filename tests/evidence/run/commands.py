"""Small real commands for the tests, and a look at what is left of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from enforcer.evidence.run import Command, Ran, Redaction, execute
from enforcer.ports import Clock, SystemClock

SECOND = 1_000_000
ENVIRONMENT = {"PATH": "/usr/bin:/bin"}


def command(
    *argv: str,
    folder: str = "/",
    seconds: float = 30,
    limit: int = 64 << 20,
    variables: Mapping[str, str] = MappingProxyType({}),
    **environment: str,
) -> Command:
    return Command(argv, folder, ENVIRONMENT | dict(variables) | environment, int(seconds * SECOND), limit)


def run(
    what: Command,
    *,
    show: Callable[[bytes], None] = lambda data: None,
    redact: tuple[str, ...] = (),
    clock: Clock | None = None,
) -> Ran:
    return execute(what, show=show, redact=Redaction(redact), clock=clock or SystemClock())


def sh(script: str, **options) -> Ran:
    return run(command("/bin/sh", "-c", script, **options))


def python(script: str, **options) -> Ran:
    return run(command(sys.executable, "-I", "-S", "-c", script, **options))


def marked(mark: str) -> list[int]:
    """The live processes that have `mark` in their environment, which a child inherits however it detaches."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if f"MARK={mark}\0".encode() in Path(f"/proc/{name}/environ").read_bytes():
                found.append(int(name))
        except OSError:
            continue  # It ended meanwhile, or is another user's.
    return found


def program(path: Path, text: str = "#!/bin/sh\necho shim\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return path


def usual(inherited: Mapping[str, str]) -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **inherited}
