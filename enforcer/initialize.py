"""Putting a project under the gate: settings, state folder, keys, and the first entry of a ledger.

Only this makes a ledger, and only where none was seen before. Every step can be repeated: what is there is left as it
is, so an interrupted start is finished by starting again.
"""

from __future__ import annotations

import errno
import os
import re

from enforcer import __version__
from enforcer.attestation.keys import create_keys
from enforcer.enforcer import Enforcer, check_state, emptied, login_name, no_ledger, unfinished
from enforcer.errors import RequestError, UnavailableError
from enforcer.ledger import files
from enforcer.ledger.entry import format_event
from enforcer.ledger.store import Identity, parse_identity
from enforcer.policies import load
from enforcer.ports import SystemClock, SystemDisk, SystemEntropy, read_file, write_durably
from enforcer.project import check_not_nested, place, user_folder
from enforcer.resources import read as read_resource
from enforcer.settings import load as load_settings
from enforcer.settings_file import parse
from enforcer.tailoring import FOLDER, at_home, doubtful, parse_observe, tailored
from enforcer.userstate import UserState
from enforcer.workflow.events import LedgerCreated
from enforcer.workflow.evolve import GENERATED_KEY
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from enforcer.ledger.store import Store
    from enforcer.ports import Disk, Entropy
    from enforcer.project import Project
    from enforcer.settings import Settings
    from enforcer.tailoring import Named
    from enforcer.workflow.events import Predecessor

DEFAULT = "default"

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

Call `enforcer` on its own and in plain words, without `cd … &&`, pipes or variables: a guarded shell call that mixes it
with something else is denied. Never edit below `state/` outside the evidence folder of the current phase, nor
`enforcer.toml`. Set `ENFORCER_ACTOR` to your own name, so that it is clear who did what.
{end}
"""

# A disk that is full or fails now need not be so tomorrow, and a ledger that is begun without a key has none for good.
_PASSING = (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

_PROCESS_LINE = re.compile(r'^process[ \t]*=[ \t]*(?:"[^"\n]*"|\'[^\'\n]*\')', re.MULTILINE)

IGNORE = "# Nothing in here is for version control.\n*\n"


class Initialized(Record, kw_only=True):
    """What now stands. `created` lists what this call made; it is empty when all was there.

    `unnamed` are the artifacts that have to be observed and have no command yet, `warnings` what to look at first.
    """

    root: str
    state: str
    ledger: str
    key: str | None
    created: tuple[str, ...]
    unnamed: tuple[str, ...]
    warnings: tuple[str, ...]


def initialize(
    root: str = ".",
    *,
    process: str = "",
    observe: Sequence[str] = (),
    actor: str = "",
    environ: Mapping[str, str] | None = None,
    disk: Disk | None = None,
    entropy: Entropy | None = None,
    new_ledger: bool = False,
    accept_ledger: bool = False,
) -> Initialized:
    """Put the folder `root` under the gate. Raises `RequestError`, `UnavailableError` or `DamagedError`.

    `process` is by default what the settings name, else `default`. `observe` are commands for observed artifacts, each
    `ARTIFACT=COMMAND` as `tailoring.parse_observe` reads it: with them a copy of the shipped process is written, and is
    the project's from then on; a file of its own is added to, and never changed otherwise.

    `new_ledger` begins a history where another one was seen and is gone; `accept_ledger` takes the ledger that stands
    there for the one that belongs there.
    """
    environ = os.environ if environ is None else environ
    disk, entropy = disk or SystemDisk(), entropy or SystemEntropy()
    project = place(root)
    check_not_nested(project.root, lambda path: _settings(path, disk).projects)
    start = _Start(project, user_folder(environ), disk, entropy)
    process = _process_of(project, process, disk)
    commands = [at_home(parse_observe(each), project.root, environ) for each in observe]
    own = start.tailor(process, commands) if commands else None
    if own is None:
        load(process, root=project.root)
    try:
        start.refuse_unfinished()
        if not new_ledger:
            start.refuse_vanished()
        start.write_settings(own.path if own else process)
        if own is not None:
            start.write_process(own)
        start.write_state()
        start.write_ledger(new=new_ledger, accept=accept_ledger)
        start.write_first_entry(actor, environ)
        start.write_agents()
    except OSError as error:
        message = f"The project cannot be written: {error.strerror}."
        where = str(error.filename or project.root)
        raise UnavailableError("project_unwritable", message, where=where, fix="Make the folder writable.") from error
    with Enforcer.open(root=project.root, actor=actor or None, environ=environ, disk=disk, entropy=entropy) as enforcer:
        enforcer.settle()
        identity = enforcer.identity
    return Initialized(
        root=project.root,
        state=project.state,
        ledger=identity.id,
        key=identity.key,
        created=tuple(start.created),
        unnamed=load(own.path if own else process, root=project.root).process.unobservable,
        warnings=tuple(doubtful(commands)),
    )


def _process_of(project: Project, process: str, disk: Disk) -> str:
    """The process that will be in force. Raises `RequestError` `process_settled`: settings that stand are not
    overruled, and not in silence."""
    if not disk.exists(project.settings_path):
        return process or DEFAULT
    named = _settings(project.settings_path, disk).process
    if process in ("", named) or named == f"{FOLDER}/{process}.toml":
        return named
    message = f"The settings name the process {named[:80]!a}, and not {process[:80]!a}."
    fix = "Leave --process out. What new tasks go by is changed in enforcer.toml, by hand."
    raise RequestError("process_settled", message, where=project.settings_path, fix=fix)


def _settings(path: str, disk: Disk) -> Settings:
    return load_settings(path, disk=disk, cached=lambda digest: None, parse=parse)[0]


class _Own(Record):
    """A process of the project's own: its path below the project, its absolute place, its text, and what it was."""

    path: str
    place: str
    data: bytes
    before: str


class _Start:
    """The steps, each of which leaves alone what is there; `created` are the files that this call made."""

    def __init__(self, project: Project, keys: str, disk: Disk, entropy: Entropy) -> None:
        self._project, self._keys, self._disk, self._entropy = project, keys, disk, entropy
        self._user = UserState(keys, disk, entropy)
        self._ledger = f"{project.state}/ledger"
        self._identity = f"{self._ledger}/ledger.json"
        self.created: list[str] = []

    def refuse_unfinished(self) -> None:
        """A change to another ledger is finished, and nothing else begun meanwhile. Raises `change_unfinished`."""
        change = unfinished(self._project.state, self._user.ledger_of(self._project.state), self._disk)
        if change is not None:
            raise change

    def refuse_vanished(self) -> None:
        """A ledger that was seen here and is gone is never replaced in silence. Raises `ledger_missing`."""
        known = self._user.ledger_of(self._project.state)
        if known is not None and not self._disk.exists(self._identity):
            raise no_ledger(self._identity, known)

    def write_settings(self, process: str) -> None:
        path = self._project.settings_path
        if not self._disk.exists(path):
            data = SETTINGS.format(process=process).encode()
            parse(data, path)
            self._write(path, data)

    def tailor(self, process: str, commands: Sequence[Named]) -> _Own:
        """The project's own process, with these commands. Raises `RequestError` (`bad_process`, `process_exists`)."""
        own, root = process.endswith(".toml"), self._project.root
        path = process if own else f"{FOLDER}/{process}.toml"
        place = f"{root}/{path}"
        stands = self._disk.exists(place)
        if own and stands:
            load(path, root=root)
            return _Own(path, place, tailored(read_file(self._disk, place), commands, root=root, where=place), process)
        # Settings come before the file that they name, so a start may have been interrupted in between.
        shipped = path.removeprefix(f"{FOLDER}/").removesuffix(".toml")
        load(shipped, root=root)
        data = tailored(read_resource("policies", f"{shipped}.toml"), commands, root="", where=place)
        if stands and read_file(self._disk, place) != data:
            message = "A process of the project's own stands there already, and the settings do not name it."
            fix = f'Write process = "{path}" into enforcer.toml, or remove the file.'
            raise RequestError("process_exists", message, where=place, fix=fix)
        return _Own(path, place, data, process)

    def write_process(self, own: _Own) -> None:
        """The file, and only then the settings that name it; of settings that stand, nothing else is touched."""
        if not self._disk.exists(own.place) or read_file(self._disk, own.place) != own.data:
            self._disk.make_folder(os.path.dirname(own.place))
            self._write(own.place, own.data)
        path = self._project.settings_path
        text = read_file(self._disk, path).decode()
        if parse(text.encode(), path).process == own.path:
            return
        changed = re.sub(_PROCESS_LINE, f'process = "{own.path}"', text, count=1)
        if changed == text:
            changed = f'process = "{own.path}"\n{text}'
        if parse(changed.encode(), path).process != own.path:
            fix = f'Write process = "{own.path}" into it.'
            raise RequestError("bad_settings", "The process that it names could not be changed.", where=path, fix=fix)
        self._write(path, changed.encode())

    def write_state(self) -> None:
        state = self._project.state
        check_state(state)
        for folder in ("", "/evidence", "/objects", "/leases", "/ledger"):
            self._disk.make_folder(state + folder)
        if not self._disk.exists(f"{state}/.gitignore"):
            self._write(f"{state}/.gitignore", IGNORE.encode())

    def write_ledger(self, *, new: bool, accept: bool) -> None:
        # Not the lock that appends take: `files.create` takes that one itself, and `flock` does not nest.
        lock = self._disk.open(f"{self._project.state}/init.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW)
        try:
            self._disk.lock(lock)
            if self._disk.exists(self._identity):
                if accept:
                    self._accept(parse_identity(read_file(self._disk, self._identity), self._identity).id)
                return
            if not new:
                self.refuse_vanished()
            identity = new_identity(self._keys, disk=self._disk, entropy=self._entropy)
            files.create(self._ledger, identity, disk=self._disk, entropy=self._entropy)
            if new:
                self._remember(identity.id)
            self.created.append(self._identity)
        finally:
            self._disk.close(lock)

    def _accept(self, ledger: str) -> None:
        self._remember(ledger)
        try:
            self._user.settle_home(ledger, self._project.state)
        except UnavailableError:
            return  # This user has no key of it, so it is not sealed here anyway.

    def write_first_entry(self, actor: str, environ: Mapping[str, str]) -> None:
        """`ledger.created`, and only then the memory of which ledger belongs here.

        So a start that was interrupted in between is finished by the next one, and a ledger that is remembered and has
        no entry was emptied.
        """
        enforcer = Enforcer(
            self._project,
            actor=actor or environ.get("ENFORCER_ACTOR") or login_name(),
            environ=environ,
            clock=SystemClock(),
            disk=self._disk,
            entropy=self._entropy,
            founding=True,
        )
        with enforcer:
            known = self._user.ledger_of(self._project.state)
            if not enforcer.ledger.begun and known is not None and self._identity not in self.created:
                raise emptied(self._ledger)
            begin(enforcer.ledger, enforcer.actor, entropy=self._entropy)
            self._remember(enforcer.identity.id)

    def write_agents(self) -> None:
        path = f"{self._project.root}/AGENTS.md"
        section = AGENTS.format(begin=BEGIN, end=END)
        text = read_file(self._disk, path).decode("utf-8", "surrogateescape") if self._disk.exists(path) else ""
        if BEGIN not in text:
            joined = f"{text.rstrip()}\n\n{section}" if text.strip() else f"# Agents\n\n{section}"
            self._write(path, joined.encode("utf-8", "surrogateescape"))

    def _remember(self, ledger: str) -> None:
        try:
            self._user.remember(self._project.state, ledger)
        except UnavailableError:
            return  # Without a user folder a vanished ledger cannot be noticed; the ledger itself still works.

    def _write(self, path: str, data: bytes) -> None:
        write_durably(self._disk, path, data, entropy=self._entropy)
        self.created.append(path)


def new_identity(user_folder: str, *, disk: Disk, entropy: Entropy) -> Identity:
    """A ledger's name, and its keys where the user has a folder for them.

    Raises `UnavailableError` `user_state_unwritable` where the disk is full or fails.
    """
    ledger = entropy.token(16).hex()
    origin = f"enforcer/{ledger}"
    try:
        vkey: str | None = create_keys(user_folder, ledger, origin, entropy, disk)
    except UnavailableError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno in _PASSING:
            raise
        vkey = None  # A ledger without a key works, unsealed; `status` and `verify` say so.
    return Identity(ledger, vkey, origin)


def begin(ledger: Store, actor: str, *, entropy: Entropy, predecessor: Predecessor | None = None) -> None:
    """Write the first entry of a ledger that has none, durably."""
    with ledger.writing():
        if ledger.head.size:
            return
        event = LedgerCreated(actor=actor, version=__version__, predecessor=predecessor)
        key = GENERATED_KEY + entropy.token(16).hex()
        data = format_event(event, task=None, key=key, source=ledger.identity.origin)
        ledger.append(event, data, task=None, key=key)
    ledger.sync()
