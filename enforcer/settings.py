"""The settings of a project, and their light way in.

`enforcer.toml` is judged by `settings_file`, which loads a TOML parser and pydantic and so costs many times what a
guard call may. Most commands therefore read the form that an earlier command stored after judging the same bytes: it is
found by their digest, so an edited file is never answered from an old form.
"""

from __future__ import annotations

import hashlib
import json
import os

from enforcer.errors import RequestError, UnavailableError
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from enforcer.ports import Disk

# What a tool call may do where no task is bound to its session.
NO_TASK = ("read-only", "off")

# Longest lease: a day. A longer one would outlive the reason for having leases at all.
MAX_TTL_SECONDS = 86_400

# In bytes. The TOML parser takes quadratic time for a long dotted key: half a second at this size, minutes at 1 MB.
MAX_SIZE = 16_384


class Settings(Record):
    """What `enforcer.toml` says, with a default for all that it does not say.

    `process` is a shipped name or a path inside the project; `projects` are normalized relative paths of projects
    nested in this one; an empty `store` means files.
    """

    process: str = "default"
    projects: tuple[str, ...] = ()
    store: str = ""
    lease_auto: bool = True
    lease_ttl_seconds: int = 300
    no_task: str = "read-only"


def load(
    path: str,
    *,
    disk: Disk,
    cached: Callable[[str], bytes | None],
    parse: Callable[[bytes, str], Settings],
) -> tuple[Settings, bool]:
    """The settings at `path`, and whether `cached` had no usable form of them.

    `cached` takes the digest of the file's bytes and returns what `encode` made of them before, or None. It is trusted:
    whoever stores the form guards it. `parse` is the slow way, `settings_file.parse`. Raises `RequestError`
    `bad_settings` or `not_initialized`, `UnavailableError` `settings_unreadable`.
    """
    data = _read(path, disk)
    form = cached(hashlib.sha256(data).hexdigest())
    settings = None if form is None else decode(form)
    if settings is not None:
        return settings, False
    return parse(data, path), True


def encode(settings: Settings) -> bytes:
    """The form that `load` reads again."""
    return json.dumps(settings.pack(), sort_keys=True, separators=(",", ":")).encode()


def decode(form: bytes) -> Settings | None:
    """The inverse of `encode`; None for anything that is no form of settings, such as one of a later release."""
    try:
        settings = Settings.unpack(json.loads(form))
    except (ValueError, RecursionError):
        return None
    sound = 0 < settings.lease_ttl_seconds <= MAX_TTL_SECONDS and settings.no_task in NO_TASK
    return settings if sound else None


def _read(path: str, disk: Disk) -> bytes:
    try:
        # Without O_NONBLOCK a FIFO put in the file's place would hang the command.
        fd = disk.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            # One byte too many is enough for `parse` to refuse a file that is too long.
            return disk.read(fd, MAX_SIZE + 1, 0)
        finally:
            disk.close(fd)
    except FileNotFoundError as error:
        raise RequestError("not_initialized", "There is no settings file.", fix="enforcer init", where=path) from error
    except OSError as error:
        raise UnavailableError(
            "settings_unreadable",
            f"The settings file cannot be read: {error.strerror}.",
            fix="make it a readable file",
            where=path,
        ) from error
