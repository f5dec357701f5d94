"""The composition root: finds a project, and joins the gate to the adapters that its settings name.

One table says which adapter stands behind each protocol; each is loaded when it is first used, so that a command pays
only for what it needs. This is the only module that knows them all.
"""

from __future__ import annotations

import os
import pwd
from hashlib import sha256

from enforcer.errors import DamagedError, RequestError, UnavailableError
from enforcer.evidence.folder import Folder
from enforcer.evidence.objects import Objects
from enforcer.evidence.processes import StoredProcesses
from enforcer.gate import Gate
from enforcer.leases.files import FileLeases
from enforcer.ledger.cache import Cache
from enforcer.ledger.files import FileLedger
from enforcer.ledger.margins import Margins
from enforcer.ledger.store import parse_identity
from enforcer.ports import SystemClock, SystemDisk, SystemEntropy, read_file
from enforcer.project import check_actor, check_key, check_task_id, find, user_folder
from enforcer.settings import encode, load
from enforcer.task import Task
from enforcer.userstate import UserState
from enforcer.workflow.commands import Open
from enforcer.workflow.events import ToolRefused
from enforcer.workflow.process import Process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import ModuleType
    from typing import Any, Self

    from enforcer.attestation.signer import FileSigner
    from enforcer.evidence.audit import AuditReport
    from enforcer.evidence.git import Repository
    from enforcer.gate import Outcome
    from enforcer.ledger.entry import Entry
    from enforcer.ledger.seal import Sealer
    from enforcer.ledger.store import Identity
    from enforcer.ledger.verify import Report
    from enforcer.policies import Loaded
    from enforcer.ports import Clock, Disk, Entropy
    from enforcer.project import Project
    from enforcer.settings import Settings
    from enforcer.telemetry.follower import Follower
    from enforcer.telemetry.metrics import Measures
    from enforcer.verification import Asked
    from enforcer.workflow.commands import UseTool
    from enforcer.workflow.cost import Cost
    from enforcer.workflow.events import Event
    from enforcer.workflow.process import Artifact
    from enforcer.workflow.state import TaskState

# What stands behind each name, and is loaded when it is first asked for.
_ADAPTERS = {
    "settings_file": "enforcer.settings_file",
    "policies": "enforcer.policies",
    "judge": "enforcer.evidence.judge",
    "verdicts": "enforcer.evidence.verdicts",
    "schema": "enforcer.evidence.schema",
    "git": "enforcer.evidence.git",
    "heartbeat": "enforcer.leases.heartbeat",
    "law": "enforcer.ledger.law",
    "seal": "enforcer.ledger.seal",
    "signer": "enforcer.attestation.signer",
    "verification": "enforcer.verification",
    "audit": "enforcer.evidence.audit",
    "calls": "enforcer.tools.calls",
    "scaffold": "enforcer.evidence.scaffold",
    "difference": "enforcer.workflow.difference",
    "cost": "enforcer.workflow.cost",
    "follower": "enforcer.telemetry.follower",
    "report": "enforcer.telemetry.report",
    "observing": "enforcer.observing",
    "tailoring": "enforcer.tailoring",
}

SUCCESSOR = "ledger.next"  # Below `state`: a new ledger, until it takes the place of the one before it.

# What `store` in the settings names; files are the default.
STORES = {"": FileLedger, "files": FileLedger}


def adapter(name: str) -> ModuleType:
    """The module behind a name of the table."""
    return __import__(_ADAPTERS[name], fromlist=["*"])


class Enforcer:
    """A project under the gate. Use `Enforcer.open`; close it, or use it in a `with` block, when done."""

    def __init__(
        self,
        project: Project,
        *,
        actor: str,
        environ: Mapping[str, str],
        clock: Clock,
        disk: Disk,
        entropy: Entropy,
        founding: bool = False,
    ) -> None:
        """`founding` is for `initialize` alone: it lets a ledger be opened that has no entry yet."""
        check_state(project.state)
        self.project, self.actor = project, check_actor(actor)
        self.clock, self.disk, self.entropy = clock, disk, entropy
        self.environ = environ
        self.user_folder = user_folder(environ)
        self.identity = self._identity()
        key = UserState(self.user_folder, disk, entropy).cache_key(self.identity.id)
        self.cache = Cache(f"{self.ledger_folder}/.cache", ledger=self.identity.id, key=key, disk=disk, entropy=entropy)
        self.settings, self._unsettled = self._load_settings()
        store = STORES.get(self.settings.store)
        if store is None:
            message = f"There is no store {self.settings.store!r} in this release."
            raise RequestError("unknown_store", message, fix='Use store = "files".', where=project.settings_path)
        self.folder = Folder(f"{project.state}/evidence")
        self.objects = Objects(f"{project.state}/objects", disk, entropy)
        self.margins = Margins(project.state, disk=disk)
        self._processes = StoredProcesses(self.objects)
        self.ledger = store(
            self.ledger_folder, disk=disk, clock=clock, entropy=entropy, cache_key=key, judge=_Judge(self._processes)
        )
        if not founding and not self.ledger.begun:
            self.ledger.close()
            raise emptied(self.ledger_folder)
        self.leases = FileLeases(
            f"{project.state}/leases", disk=disk, clock=clock, ttl_us=self.settings.lease_ttl_seconds * 1_000_000
        )
        self.gate = Gate(
            store=self.ledger,
            leases=self.leases,
            observer=self,
            objects=self.objects,
            margins=self.margins,
            processes=self.process,
            clock=clock,
            entropy=entropy,
            lease_auto=self.settings.lease_auto,
            follow=self._follow,
        )
        self._sealer: Sealer | None = None
        self._judge: Any = None
        self._verdicts: Any = None

    @classmethod
    def open(
        cls,
        start: str | os.PathLike[str] | None = None,
        *,
        root: str | None = None,
        actor: str | None = None,
        environ: Mapping[str, str] | None = None,
        clock: Clock | None = None,
        disk: Disk | None = None,
        entropy: Entropy | None = None,
    ) -> Self:
        """The project that governs the folder `start` (by default the current one), or the one at `root`.

        `actor` is `principal[/session]`; by default `ENFORCER_ACTOR`, else the login name. Raises `RequestError`
        (`not_initialized`, `root_nested`, `bad_settings`, `bad_actor`), `UnavailableError` (`ledger_missing`) or
        `DamagedError` (`ledger_unknown_format`, `ledger_replaced`, …).
        """
        environ = os.environ if environ is None else environ
        disk = disk or SystemDisk()
        where = None if start is None else os.fspath(start)
        project = find(where, root=root, environ=environ, projects_of=lambda path: _settings(path, disk).projects)
        return cls(
            project,
            actor=actor or environ.get("ENFORCER_ACTOR") or login_name(),
            environ=environ,
            clock=clock or SystemClock(),
            disk=disk,
            entropy=entropy or SystemEntropy(),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back what is open, and keep new verdicts for later. All that counts is on the ledger already."""
        if self._sealer is not None:
            self._sealer.settle()
        if self.gate.answered:
            self.settle()
            if self._verdicts is not None:
                self._verdicts.flush()
        self.ledger.close()

    # Tasks -----------------------------------------------------------------------------------------------------------

    def open_task(
        self, name: str, *, title: str = "", process: str = "", base: str = "", actor: str = "", key: str = ""
    ) -> Task:
        """Open a task, or find it again where it was opened with the same arguments.

        Raises `Refused` (`task_exists`) where it was opened with others, and `RequestError` for a malformed process or
        an unknown revision. `enforcer.task(name)` is for a task that should be there already.
        """
        self.submit_open(name, title=title, process=process, base=base, actor=actor, key=key).require()
        return self.task(name, actor=actor)

    def submit_open(
        self, name: str, *, title: str = "", process: str = "", base: str = "", actor: str = "", key: str = ""
    ) -> Outcome:
        """The same, with the answer as a value."""
        check_task_id(name)
        loaded = self.load_process(process or self.settings.process)
        self._check_observable(loaded.process, process or self.settings.process)
        self.objects.put_many((loaded.data, *loaded.objects))
        command = Open(
            process=process or self.settings.process,
            digest=loaded.digest,
            phase=loaded.process.order[0],
            title=title,
            revision=base,
            base=self._base(base),
            authoring=loaded.process.authoring,
        )
        key = check_key(key) if key else ""
        return self.gate.submit(name, command, actor=check_actor(actor or self.actor), key=key)

    def task(self, name: str, *, actor: str = "") -> Task:
        """A task of this ledger. Whether it exists is asked when it is used."""
        return Task(self, check_task_id(name), check_actor(actor or self.actor))

    def states(self) -> Iterator[TaskState]:
        """Every task as it is now, by name."""
        self.ledger.catch_up()
        return self.ledger.tasks()

    def entries(self, task: str = "", start: int = 0) -> Iterator[Entry]:
        """The ledger's entries in order, of one task or of all."""
        self.ledger.catch_up()
        if task and self.ledger.task(check_task_id(task)) is None:
            raise _unknown(task)
        return self.ledger.task_entries(task) if task else self.ledger.entries(start)

    # Answers about the whole -----------------------------------------------------------------------------------------

    def verify(self, asked: Asked | None = None, *, progress: Callable[[int, int], None] | None = None) -> Report:
        """Check every byte of the ledger and replay what it tells, held against what was `asked`."""
        verification = adapter("verification")
        report: Report = verification.verify_project(
            self.project,
            self.user_folder,
            asked or verification.NOTHING,
            disk=self.disk,
            entropy=self.entropy,
            progress=progress,
        )
        return report

    def audit(self, task: str = "", *, rejudge: bool = False, stored: bool = False) -> AuditReport:
        """Hold the evidence folders, and the stored copies of what was accepted, against the ledger.

        With `rejudge`, every accepted artifact is judged again. With `stored`, the copies alone are looked at: for a
        place to which ledger and objects were brought, and no folder of evidence.
        """
        report: AuditReport = adapter("audit").audit(
            self.entries(task),
            None if stored else self.folder,
            self.objects,
            self.process,
            task=task or None,
            tree=None if stored else self.working_tree,
            schema_faults=adapter("schema").faults if rejudge else None,
        )
        return report

    # What the gate and the task ask for ------------------------------------------------------------------------------

    @property
    def ledger_folder(self) -> str:
        return f"{self.project.state}/ledger"

    @property
    def sealer(self) -> Sealer:
        """Who makes the checkpoints of this ledger."""
        if self._sealer is None:
            self._sealer = adapter("seal").Sealer(
                self.ledger_folder, self.ledger, self.signer, disk=self.disk, entropy=self.entropy, clock=self.clock
            )
        return self._sealer

    def signer(self) -> FileSigner:
        """Who signs for this ledger. Raises `UnavailableError` where this user has no key of it: `key_missing`, …"""
        self.check_home()
        signer: FileSigner = adapter("signer").FileSigner(
            self.user_folder, self.identity.id, disk=self.disk, entropy=self.entropy
        )
        signer.settle(self._standing)
        signer.check_belongs(self.identity.key)
        UserState(self.user_folder, self.disk, self.entropy).settle_home(self.identity.id, self.project.state)
        return signer

    def check_home(self) -> None:
        """One history is sealed in one place. Raises `UnavailableError` `ledger_copied` where this is a copy of it.

        A ledger whose former place is gone was moved, and is at home here from now on.
        """
        home = UserState(self.user_folder, self.disk, self.entropy).other_home(self.identity.id, self.project.state)
        if home is not None:
            message = f"This is a copy of the ledger in {home}, and one history can be sealed in one place alone."
            fix = "Work on there. If this is the one that goes on: enforcer init --accept-ledger"
            raise UnavailableError("ledger_copied", message, where=self.project.state, fix=fix)

    def _standing(self, seq: int) -> Event | None:
        """The entry with a number, once it is on stable storage; None where there is none yet."""
        self.ledger.catch_up()
        if seq >= self.ledger.head.size:
            return None
        self.ledger.sync()
        return self.ledger.entry(seq).event

    def _follow(self, event: Event | None) -> None:
        if not isinstance(event, ToolRefused):  # A guarded call waits for its answer, and loads nothing for this.
            self.sealer.follow(event)

    def observing(self) -> Any:
        """What runs commands and watches them."""
        return adapter("observing")

    def observe(self, state: TaskState, process: Process, actor: str) -> Any:
        """Read and judge a phase's evidence (`gate.Observer`); the judge is loaded when evidence is first asked for."""
        return self.judge.observe(state, process, actor)

    @property
    def judge(self) -> Any:
        if self._judge is None:
            self._verdicts = adapter("verdicts").StoredVerdicts(self.cache)
            self._judge = adapter("judge").Judge(
                self.folder,
                self.objects,
                self._verdicts,
                schema_faults=lambda schema, value: adapter("schema").faults(schema, value),
                repository=self.repository,
                excluded=self.excluded,
                clock=self.clock,
            )
        return self._judge

    def process(self, digest: str) -> Process:
        """A stored process. Raises `DamagedError` or `UnavailableError` when its object is not what it was, or gone."""
        return self._processes(digest)

    def load_process(self, name: str) -> Loaded:
        """A process file by shipped name or path inside the project, checked."""
        loaded: Loaded = adapter("policies").load(name, root=self.project.root)
        return loaded

    def salt(self) -> bytes:
        """What makes digests of this ledger's secrets worthless elsewhere; a passing one where this user has none."""
        key = UserState(self.user_folder, self.disk, self.entropy).cache_key(self.identity.id)
        return sha256(b"enforcer/environment\0" + (key or self.entropy.token(32))).digest()

    def repository(self) -> Repository | None:
        """The git repository around the project; None where there is none."""
        repository: Repository | None = adapter("git").Repository.find(self.project.root)
        return repository

    @property
    def excluded(self) -> tuple[str, ...]:
        """Paths below the project that no diff, file set or tree counts."""
        return ("state",)

    def protected(self) -> tuple[str, ...]:
        """Paths besides the usual ones that no guarded tool may write."""
        inside = [self.user_folder]
        if self.settings.process.endswith(".toml"):
            inside.append(os.path.join(self.project.root, self.settings.process))
        return tuple(_shown(self.project.root, path) for path in inside)

    def follower(self) -> Follower:
        """The follower that tells this ledger as telemetry."""
        follower: Follower = adapter("follower").Follower(
            self.ledger, self.project.state, disk=self.disk, clock=self.clock, entropy=self.entropy
        )
        return follower

    def measured(self, measures: Measures) -> tuple[dict[str, Any], str]:
        """Measures for programs and for people."""
        report = adapter("report")
        return report.report(measures), report.render(measures)

    def heartbeat(self, renew: Callable[[], bool]) -> Any:
        """A sign of life three times in the lifetime of a lease."""
        return adapter("heartbeat").Heartbeat(renew, self.settings.lease_ttl_seconds / 3)

    def scaffold(self, artifact: Artifact, state: TaskState, actor: str) -> bytes:
        """The starting text of an artifact."""
        text: bytes = adapter("scaffold").scaffold(artifact, state.attempt_id, actor)
        return text

    def differences(self, old: Process, new: Process) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What differs between two processes in words, and which of it is a weakening."""
        found: tuple[tuple[str, ...], tuple[str, ...]] = adapter("difference").difference(old, new)
        return found

    def cost(self, state: TaskState, process: Process, *names: str) -> Cost:
        """What the edit of accepted documents costs."""
        found: Cost = adapter("cost").cost(state, process, *names)
        return found

    def read_call(self, data: bytes) -> UseTool:
        """A tool call as the guard judges it."""
        project = self.project
        call: UseTool = adapter("calls").read_call(
            data, root=project.root, protected=self.protected(), state=project.state
        )
        return call

    def settle(self) -> None:
        """Keep the validated settings for light commands. Called by writing commands only."""
        if self._unsettled:
            self.cache.put(f"settings-{self._unsettled}", encode(self.settings))
            self._unsettled = ""

    def _load_settings(self) -> tuple[Settings, str]:
        asked: list[str] = []

        def cached(digest: str) -> bytes | None:
            asked.append(digest)
            return self.cache.get(f"settings-{digest}")

        settings, missed = load(
            self.project.settings_path,
            disk=self.disk,
            cached=cached,
            parse=lambda data, path: adapter("settings_file").parse(data, path),
        )
        return settings, asked[-1] if missed else ""

    def _identity(self) -> Identity:
        path = f"{self.ledger_folder}/ledger.json"
        known = UserState(self.user_folder, self.disk, self.entropy).ledger_of(self.project.state)
        try:
            identity = parse_identity(read_file(self.disk, path), path)
        except FileNotFoundError:
            raise unfinished(self.project.state, known, self.disk) or no_ledger(path, known) from None
        except OSError as error:
            message = f"The ledger cannot be read: {error.strerror}."
            raise UnavailableError("ledger_unreadable", message, where=path, fix="Make it readable.") from error
        if known is not None and known != identity.id:
            change = unfinished(self.project.state, known, self.disk)
            if change is not None:
                raise change
            message = f"Another ledger stands here than the one that was seen before ({known})."
            fix = "Restore the former one from a copy. If the change is meant: enforcer init --accept-ledger"
            raise DamagedError("ledger_replaced", message, where=path, fix=fix)
        return identity

    def head_commit(self) -> str:
        """The commit that is checked out; empty before the first one, and where there is no repository."""
        repository = self.repository()
        if repository is None:
            return ""
        with repository:
            return repository.head() or ""

    def working_tree(self) -> str:
        """The id of the working files' tree; empty where there is no repository."""
        repository = self.repository()
        if repository is None:
            return ""
        with repository:
            return repository.tree(self.excluded)

    def _check_observable(self, process: Process, name: str) -> None:
        """A process that wants evidence observed, and names no command for it, could never be walked."""
        missing = process.unobservable
        if not missing:
            return
        message = f"The process wants {', '.join(missing)} observed, and names no command that makes "
        fix = f"Name them: enforcer init {' '.join(map(adapter('tailoring').option, missing))}"
        if name != self.settings.process:  # Which is the one that `init` adds to.
            fix = "Write them into [observe] tables of a process file in the project, and open the task under that one."
        raise RequestError("command_unnamed", message + ("it." if len(missing) == 1 else "them."), where=name, fix=fix)

    def _base(self, revision: str) -> str:
        repository = self.repository()
        if repository is None:
            if revision:
                message = f"There is no git repository here, so {revision!r} names nothing."
                raise RequestError("unknown_revision", message, fix="Leave --base out, or work in a repository.")
            return ""
        return repository.resolve(revision) if revision else repository.head() or ""


def locate(
    start: str | None = None, *, root: str | None = None, environ: Mapping[str, str] | None = None
) -> tuple[Project, str]:
    """The project that governs `start`, or the one at `root`, and the user's folder; neither need be fit for use."""
    environ = os.environ if environ is None else environ
    disk = SystemDisk()
    project = find(start, root=root, environ=environ, projects_of=lambda path: _settings(path, disk).projects)
    return project, user_folder(environ)


def emptied(folder: str) -> UnavailableError:
    """The answer where a ledger stands without its first entry, which `init` writes before anybody else can."""
    message = "The ledger of this project has lost its entries, and history is never begun anew in silence."
    fix = "Restore state/ledger from a copy. If a new history is meant: remove state/ and enforcer init --new-ledger"
    return UnavailableError("ledger_emptied", message, where=folder, fix=fix)


def check_state(state: str) -> None:
    """Refuse a state folder that is a symbolic link: what it led to today need not be what it leads to tomorrow."""
    if os.path.islink(state):
        raise RequestError("state_is_link", "The state folder is a symbolic link.", where=state, fix="Remove it.")


class _Judge:
    """Asks the law of the lines of others, from the first one on: a command that reads none does not load it."""

    def __init__(self, processes: StoredProcesses) -> None:
        self._processes = processes
        self._law: Any = None

    def __call__(self, state: TaskState | None, entry: Entry) -> list[str]:
        if self._law is None:
            self._law = adapter("law").Law(self._processes)
        faults: list[str] = self._law(state, entry)
        return faults


def _unknown(task: str) -> RequestError:
    message = "There is no such task on this ledger."
    return RequestError("unknown_task", message, where=task, fix="enforcer status lists the tasks there are.")


def login_name() -> str:
    """The login name, in the characters that an actor may have."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = f"uid-{os.getuid()}"
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in "@._+-") else "-" for letter in name)[
        :64
    ]


def _settings(path: str, disk: Disk) -> Settings:
    settings, _ = load(
        path,
        disk=disk,
        cached=lambda digest: None,
        parse=lambda data, where: adapter("settings_file").parse(data, where),
    )
    return settings


def no_ledger(path: str, known: str | None) -> UnavailableError | RequestError:
    """The answer where no ledger stands: it vanished, if `known` was seen here, or there never was one."""
    if known is not None:
        message = f"The ledger {known} was here and is gone, and history is never begun anew in silence."
        fix = "Restore state/ledger from a copy. If a new history is meant: enforcer init --new-ledger"
        return UnavailableError("ledger_missing", message, where=path, fix=fix)
    message = "This project has settings and no ledger yet."
    return RequestError("not_initialized", message, where=path, fix="enforcer init")


def unfinished(state: str, known: str | None, disk: Disk) -> UnavailableError | None:
    """The answer where a change to another ledger was interrupted: that ledger is known and not yet in its place."""
    path = f"{state}/{SUCCESSOR}/ledger.json"
    try:
        identity = parse_identity(read_file(disk, path), path)
    except (OSError, DamagedError):
        return None
    if identity.id != known:
        return None  # What an attempt has left that came to nothing, or what somebody else has put there.
    message = "A change to a new ledger was interrupted here."
    fix = 'Finish it, as the one who began it: enforcer key compromised --reason "..."'
    return UnavailableError("change_unfinished", message, where=path, fix=fix)


def _shown(root: str, path: str) -> str:
    path = os.path.realpath(path)
    return os.path.relpath(path, root).replace(os.sep, "/") if path.startswith(root + os.sep) else path
