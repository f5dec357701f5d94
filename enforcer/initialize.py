"""Putting a project under the gate: settings, state folder, keys, and the first entry of a ledger.

Only this makes a ledger, and only where none was seen before. Every step can be repeated: what is there is left as it
is, so an interrupted start is finished by starting again.
"""

from __future__ import annotations

import os

from enforcer import __version__
from enforcer.attestation.keys import create_keys
from enforcer.enforcer import Enforcer
from enforcer.errors import RequestError, UnavailableError
from enforcer.ledger import files
from enforcer.ledger.entry import format_event
from enforcer.ledger.store import Identity, parse_identity
from enforcer.policies import load
from enforcer.ports import SystemDisk, SystemEntropy, read_file, write_durably
from enforcer.project import check_not_nested, place, user_folder
from enforcer.settings_file import parse
from enforcer.userstate import UserState
from enforcer.workflow.events import LedgerCreated
from enforcer.workflow.evolve import GENERATED_KEY
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from enforcer.ports import Disk, Entropy
    from enforcer.project import Project

BEGIN, END = "<!-- enforcer: begin -->", "<!-- enforcer: end -->"

SETTINGS = """\
# The gate of this project. Unknown keys are errors. See `enforcer --help`.
process = "{process}"   # a shipped process (default, lean) or the path of one inside the project

[lease]
auto = true             # commands claim a free or expired lease themselves
ttl_seconds = 300

[guard]
no_task = "read-only"   # what a tool may do where no task is bound: read-only, or off
"""

AGENTS = """\
{begin}
## Working under the gate

Work here goes through Enforcer, one phase after the other; no phase can be skipped, and each is left on evidence.

1. `enforcer status TASK` says where a task stands; `enforcer explain TASK` says what its phase still needs.
2. `enforcer scaffold TASK` writes a starting text for each artifact into `state/evidence/TASK/<phase>/`. Fill them in
   truthfully: an untouched or invented one is refused, and the refusal stays on the record.
3. `enforcer advance TASK` leaves the phase. A refusal names every reason and its fix; read them before trying again.
4. When something earlier has to change: `enforcer backtrack TASK --to PHASE --reason "…"`. Going back is normal.

Never edit below `state/` outside the evidence folder of the current phase, nor `enforcer.toml`. Set `ENFORCER_ACTOR` to
your own name, so that it is clear who did what.
{end}
"""

STATE_README = "# Nothing in here is for version control; `enforcer publish` shares a ledger.\n*\n"


class Initialized(Record, kw_only=True):
    """What now stands. `created` lists what this call made; it is empty when all was there."""

    root: str
    state: str
    ledger: str
    key: str | None
    created: tuple[str, ...]


def initialize(
    root: str = ".",
    *,
    process: str = "default",
    actor: str = "",
    environ: Mapping[str, str] | None = None,
    disk: Disk | None = None,
    entropy: Entropy | None = None,
    new_ledger: bool = False,
    accept_ledger: bool = False,
) -> Initialized:
    """Put the folder `root` under the gate. Raises `RequestError`, `UnavailableError` or `DamagedError`.

    `new_ledger` begins a history where another one was seen and is gone; `accept_ledger` takes the ledger that stands
    there for the one that belongs there.
    """
    environ = os.environ if environ is None else environ
    disk, entropy = disk or SystemDisk(), entropy or SystemEntropy()
    project = place(root)
    check_not_nested(project.root, lambda path: parse(read_file(disk, path), path).projects)
    load(_process_of(project, process, disk), root=project.root)
    created: list[str] = []
    try:
        _write_settings(project, process, created, disk=disk, entropy=entropy)
        _write_state(project, created, disk=disk, entropy=entropy)
        user = UserState(user_folder(environ), disk, entropy)
        _write_ledger(
            project, user, user_folder(environ), created, new_ledger, accept_ledger, disk=disk, entropy=entropy
        )
        _write_agents(project, created, disk=disk, entropy=entropy)
    except OSError as error:
        message = f"The project cannot be written: {error.strerror}."
        raise UnavailableError("project_unwritable", message, where=str(error.filename or project.root)) from error
    with Enforcer.open(root=project.root, actor=actor or None, environ=environ, disk=disk, entropy=entropy) as enforcer:
        _first_entry(enforcer, created)
        enforcer.settle()
        identity = enforcer.identity
    return Initialized(
        root=project.root, state=project.state, ledger=identity.id, key=identity.key, created=tuple(created)
    )


def _process_of(project: Project, process: str, disk: Disk) -> str:
    """The process that will be in force: settings that stand already are not overruled."""
    if not disk.exists(project.settings_path):
        return process
    return parse(read_file(disk, project.settings_path), project.settings_path).process


def _write_settings(project: Project, process: str, created: list[str], *, disk: Disk, entropy: Entropy) -> None:
    if not disk.exists(project.settings_path):
        data = SETTINGS.format(process=process).encode()
        parse(data, project.settings_path)
        write_durably(disk, project.settings_path, data, entropy=entropy)
        created.append(project.settings_path)


def _write_state(project: Project, created: list[str], *, disk: Disk, entropy: Entropy) -> None:
    if os.path.islink(project.state):
        raise RequestError(
            "state_is_link", "The state folder is a symbolic link.", where=project.state, fix="Remove it."
        )
    for folder in ("", "/evidence", "/objects", "/leases", "/ledger"):
        disk.make_folder(project.state + folder)
    ignore = f"{project.state}/.gitignore"
    if not disk.exists(ignore):
        write_durably(disk, ignore, STATE_README.encode(), entropy=entropy)
        created.append(ignore)


def _write_ledger(
    project: Project,
    user: UserState,
    keys: str,
    created: list[str],
    new_ledger: bool,
    accept_ledger: bool,
    *,
    disk: Disk,
    entropy: Entropy,
) -> None:
    folder = f"{project.state}/ledger"
    path = f"{folder}/ledger.json"
    # Not the lock that appends take: `files.create` takes that one itself, and `flock` does not nest.
    lock = disk.open(f"{project.state}/init.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW)
    try:
        disk.lock(lock)
        known = user.ledger_of(project.state)
        if disk.exists(path):
            identity = parse_identity(read_file(disk, path), path)
            if known is None or accept_ledger:
                _remember(user, project.state, identity.id)
            return
        if known is not None and not new_ledger:
            message = f"The ledger {known} was here and is gone, and history is never begun anew in silence."
            fix = "Restore state/ledger from a copy. If a new history is meant: enforcer init --new-ledger"
            raise UnavailableError("ledger_missing", message, where=path, fix=fix)
        identity = _new_identity(keys, disk=disk, entropy=entropy)
        files.create(folder, identity, disk=disk, entropy=entropy)
        _remember(user, project.state, identity.id)
        created.append(path)
    finally:
        disk.close(lock)


def _new_identity(keys: str, *, disk: Disk, entropy: Entropy) -> Identity:
    ledger = entropy.token(16).hex()
    origin = f"enforcer/{ledger}"
    try:
        vkey: str | None = create_keys(keys, ledger, origin, entropy, disk)
    except UnavailableError:
        vkey = None  # A ledger without a key works, unsealed; `status` and `verify` say so.
    return Identity(ledger, vkey, origin)


def _remember(user: UserState, state: str, ledger: str) -> None:
    try:
        user.remember(state, ledger)
    except UnavailableError:
        return  # Without a user folder a vanished ledger cannot be noticed; the ledger itself still works.


def _first_entry(enforcer: Enforcer, created: list[str]) -> None:
    with enforcer.ledger.writing():
        if enforcer.ledger.head.size:
            return
        event = LedgerCreated(actor=enforcer.actor, version=__version__)
        key = GENERATED_KEY + enforcer.entropy.token(16).hex()
        data = format_event(event, task=None, key=key, source=enforcer.identity.origin)
        enforcer.ledger.append(event, data, task=None, key=key)
    enforcer.ledger.sync()


def _write_agents(project: Project, created: list[str], *, disk: Disk, entropy: Entropy) -> None:
    path = f"{project.root}/AGENTS.md"
    section = AGENTS.format(begin=BEGIN, end=END)
    text = read_file(disk, path).decode("utf-8", "surrogateescape") if disk.exists(path) else ""
    if BEGIN in text:
        return
    joined = f"{text.rstrip()}\n\n{section}" if text.strip() else f"# Agents\n\n{section}"
    write_durably(disk, path, joined.encode("utf-8", "surrogateescape"), entropy=entropy)
    created.append(path)
