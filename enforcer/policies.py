"""A process file → the process that is stored, enforced and named by digest.

The slow door, passed when a task is opened or adopts a process. Behind it stands a value that needs no checking again:
schemas are objects named by digest, ratios are whole basis points, each artifact has its form, and every rule carries
the version it was written for. What is wrong with a file is told all at once, each fault with its key.
"""

from __future__ import annotations

import hashlib
import os
import stat

from enforcer import resources
from enforcer.attestation.signers import SignersFault, parse_allowed_signers
from enforcer.errors import RequestError
from enforcer.evidence import scaffold, schema
from enforcer.ledger import codec
from enforcer.process_file import ArtifactTable, Malformed, ObservationTable, PhaseTable, ProcessFile, parse
from enforcer.workflow.process import (
    ENFORCE,
    JSON,
    LOG,
    MARKDOWN,
    TEXT,
    Approval,
    Artifact,
    Observation,
    Phase,
    Process,
    Rule,
)
from enforcer.workflow.record import Record
from enforcer.workflow.rules.table import RESERVED, RULES
from enforcer.workflow.rules.text import read
from enforcer.workflow.state import folded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import NoReturn

_FIX = "Correct the file; policies/default.toml shows every key, and docs/evidence.md every kind of rule."


class Loaded(Record):
    """A process, ready to be stored. `data` is its stored form and `digest` that form's SHA-256.

    `objects` are the schemas that it names by digest; they and `data` are stored before an entry names them.
    """

    process: Process
    data: bytes
    digest: str
    objects: tuple[bytes, ...]


def load(name_or_path: str, *, root: str) -> Loaded:
    """The process that `name_or_path` stands for: a shipped one by name, or a file by path inside the project `root`.

    Raises `RequestError` `bad_process` with every fault that was found.
    """
    try:
        data, shipped = _read_file(name_or_path, root)
        return build(data, "" if shipped else root)
    except Malformed as error:
        _refuse(error, name_or_path)


def build(data: bytes, root: str) -> Loaded:
    """The process in the bytes of a file. `root` is where paths of schemas begin; empty allows shipped ones only.

    Raises `process_file.Malformed`.
    """
    file = parse(data)
    builder = _Builder(file, root)
    process = builder.process()
    if builder.faults:
        raise Malformed(tuple(builder.faults))
    form = codec.canonical(process.pack())
    if len(form) > codec.MAX_BYTES:
        raise Malformed((f"the stored form has {len(form)} bytes; the limit is {codec.MAX_BYTES}",))
    # Read back, so that a process is the same value whether it was just written or comes from the store.
    process = Process.unpack(codec.parse_line(form))
    return Loaded(process, form, digest(form), tuple(builder.schemas.values()))


def digest(data: bytes) -> str:
    """The name of an object."""
    return hashlib.sha256(data).hexdigest()


class _Builder:
    """Turns one file into a process, and collects what is wrong with it on the way."""

    def __init__(self, file: ProcessFile, root: str) -> None:
        self.faults: list[str] = []
        self.schemas: dict[str, bytes] = {}
        self._file = file
        self._root = root
        self._seen: dict[str, str] = {}
        self._earlier: set[str] = set()
        self._principals: set[str] = set()

    def process(self) -> Process:
        file = self._file
        phases = tuple(self._phase(phase, f"phases[{index}]") for index, phase in enumerate(file.phases))
        names = {artifact.name for phase in file.phases for artifact in phase.artifacts}
        for name in file.observe.keys() - names:
            self._fault(f'observe."{name}"', "no phase has an artifact of this name")
        self._check_observations()
        process = Process(
            name=file.name,
            phases=phases,
            observe={name: _observation(table) for name, table in file.observe.items()},
            personas={name: tuple(tools) for name, tools in file.personas.items()},
            pins={str(part): digest for part, digest in file.pins.items()},
            self_review=file.self_review,
            risks={name: tuple(patterns) for name, patterns in file.risks.items()},
            signers=self._signers(),
            break_glass=tuple(file.break_glass),
        )
        self._check_reviewers(process)
        self._check_approvals(process)
        return process

    def _check_reviewers(self, process: Process) -> None:
        """A review is worth something only where somebody else can be told to have written what is reviewed."""
        authoring = set(process.authoring)
        for index, phase in enumerate(process.phases):
            if not phase.reviews:
                continue
            if phase.name in authoring:
                message = "has a reviewer rule, so whoever comes to leave it would be an author"
                self._fault(f"phases[{index}].authors", f"{phase.name} {message}")
            if not authoring & {before.name for before in process.phases[:index]}:
                message = "asks for a reviewer who is no author, and no phase before it has `authors = true`"
                self._fault(f"phases[{index}]", f"{phase.name} {message}")

    def _check_observations(self) -> None:
        """A reader makes JSON, but for the log, which is text; and it has to be told where the report is."""
        formats = {artifact.name: artifact.format for phase in self._file.phases for artifact in phase.artifacts}
        for name, table in self._file.observe.items():
            key, made = f'observe."{name}"', TEXT if table.reader == LOG else JSON
            if formats.get(name, made) != made:
                self._fault(f"{key}.reader", f"{table.reader} makes {made}, and the artifact is {formats[name]}")
            if not table.argv[0].strip():
                self._fault(f"{key}.argv[0]", "names no command")
            if bool(table.report) == (table.reader == LOG):
                needs = "reads the output, and no report" if table.reader == LOG else "needs the name of the report"
                self._fault(f"{key}.report", f"{table.reader} {needs}")

    def _signers(self) -> str:
        """The text of the allowed-signers file; empty where the process names none, or none that can be used."""
        if not self._file.signers:
            return ""
        try:
            data = _read_inside(self._file.signers, self._root) if self._root else b""
            self._principals = {signer.principal for signer in parse_allowed_signers(data)}
        except (Malformed, SignersFault) as error:
            self._fault("signers", str(error))
            return ""
        return data.decode("ascii")

    def _check_approvals(self, process: Process) -> None:
        """Whoever has to sign needs a key here, and enough of them have to be there."""
        for number, phase in enumerate(process.phases):
            for index, demand in enumerate(phase.approvals):
                key = f"phases[{number}].approvals[{index}]"
                self._check_principals(demand.by if demand.signed else (), f"{key}.by")
                self._check_risks(demand.risks, key)
                # What differs in spelling alone is one principal, and says yes once.
                there = {folded(name) for name in demand.by or self._principals}
                if demand.signed and not self._principals:
                    self._fault(key, "asks for signatures, and the process names no file of `signers`")
                elif len(there) < demand.count and (demand.by or demand.signed):
                    self._fault(f"{key}.count", f"asks for {demand.count} approvals of fewer principals")
        self._check_principals(process.break_glass, "break_glass")

    def _check_principals(self, names: tuple[str, ...], key: str) -> None:
        for index, name in enumerate(names):
            if name not in self._principals:
                self._fault(f"{key}[{index}]", f"{name} has no key in the file of `signers`")

    def _check_risks(self, names: Iterable[str], key: str) -> None:
        for index, name in enumerate(names):
            if name not in self._file.risks:
                self._fault(f"{key}.risks[{index}]", f"there is no risk class {name}")

    def _phase(self, table: PhaseTable, key: str) -> Phase:
        self._once("phase", table.name, f"{key}.name")
        pairs = [
            self._artifact(table, artifact, f"{key}.artifacts[{index}]")
            for index, artifact in enumerate(table.artifacts)
        ]
        rules = tuple(rule for _, rules in pairs for rule in rules)
        if not any(artifact.required and not artifact.risks for artifact in table.artifacts):
            self._fault(f"{key}.artifacts", "none is required, so the phase could be left with nothing")
        if not any(rule.mode == ENFORCE for rule in rules):
            self._fault(f"{key}.artifacts", "none has a rule that is enforced, so the phase would accept anything")
        self._earlier |= {f"{table.name}/{artifact.name}" for artifact in table.artifacts}
        return Phase(
            table.name,
            tuple(artifact for artifact, _ in pairs),
            rules,
            tuple(dict.fromkeys(table.tools)),
            table.drift,
            table.authors,
            tuple(Approval(one.count, tuple(one.by), tuple(one.risks), one.signed) for one in table.approvals),
        )

    def _artifact(self, phase: PhaseTable, table: ArtifactTable, key: str) -> tuple[Artifact, tuple[Rule, ...]]:
        self._once(f"artifact of {phase.name}", table.name, f"{key}.name")
        for index, name in enumerate(table.stands_on or ()):
            self._check_earlier(name, f"{key}.stands_on[{index}]")
        rules = tuple(self._rules(table, key))
        if not rules and not table.schema_:
            self._fault(key, "has neither rules nor a schema, so anything would be accepted")
        document = self._schema(table, key)
        artifact = Artifact(
            table.name,
            table.format,
            required=table.required,
            schema=digest(document) if document else "",
            stands_on=None if table.stands_on is None else tuple(table.stands_on),
            scaffold=table.scaffold or self._form(table, rules, document, key),
            risks=tuple(table.risks),
        )
        self._check_risks(table.risks, key)
        self._check_scaffold(table, key)
        return artifact, rules

    def _rules(self, table: ArtifactTable, key: str) -> Iterator[Rule]:
        for index, rule in enumerate(table.rules):
            where = f"{key}.rules[{index}]"
            self._once("rule", rule.id, f"{where}.id")
            if rule.id in RESERVED:
                self._fault(f"{where}.id", f"{rule.id} is the name of a rule that always holds")
            if table.format not in rule.formats:
                self._fault(
                    f"{where}.kind",
                    f"{rule.kind} reads {' or '.join(rule.formats)}, and the artifact is {table.format}",
                )
            params = rule.params()
            if rule.kind == "no_placeholder" and bool(params["members"]) == (table.format == MARKDOWN):
                self._fault(f"{where}.members", "names members of JSON to read, and only of JSON")
            kind = RULES[rule.kind]
            if kind.earlier:
                self._check_earlier(params[kind.earlier], f"{where}.{kind.earlier}")
            yield Rule(rule.id, rule.kind, table.name, kind.version, rule.mode, params)

    def _schema(self, table: ArtifactTable, key: str) -> bytes:
        """The document of the artifact's schema; empty where it names none, or none that can be used."""
        if table.schema_ is None:
            return b""
        if table.format != JSON:
            self._fault(f"{key}.schema", f"a schema holds for JSON, and the artifact is {table.format}")
            return b""
        try:
            document = _read_schema(table.schema_, self._root)
        except Malformed as error:
            self._fault(f"{key}.schema", str(error))
            return b""
        found = schema.problems(document)
        for problem in found:
            self._fault(f"{key}.schema", f"{table.schema_} {problem}")
        if found:
            return b""
        self.schemas[digest(document)] = document
        return document

    def _form(self, table: ArtifactTable, rules: tuple[Rule, ...], document: bytes, key: str) -> str:
        return scaffold.derive(table.format, rules, codec.parse(document) if document else None)

    def _check_scaffold(self, table: ArtifactTable, key: str) -> None:
        if table.scaffold is not None:
            for fault in read(table.name, table.format, table.scaffold.encode())[1]:
                self._fault(f"{key}.scaffold", fault.message)

    def _check_earlier(self, name: str, key: str) -> None:
        if name not in self._earlier:
            self._fault(key, f"{name} is no artifact of an earlier phase")

    def _once(self, kind: str, name: str, key: str) -> None:
        before = self._seen.setdefault(f"{kind} {name}", key)
        if before != key:
            self._fault(key, f"the {kind} {name} stands at {before} already")

    def _fault(self, key: str, message: str) -> None:
        self.faults.append(f"{key}: {message}")


def _observation(table: ObservationTable) -> Observation:
    return Observation(
        tuple(table.argv),
        table.folder,
        table.reader,
        table.report,
        table.timeout,
        table.output,
        tuple(table.environment),
        tuple(table.path),
        table.sandbox,
        tuple(table.keep),
    )


def _read_file(name_or_path: str, root: str) -> tuple[bytes, bool]:
    """The bytes of a process file, and whether it ships. A name has no slash and no ending; all else is a path."""
    if "/" in name_or_path or name_or_path.endswith(".toml"):
        return _read_inside(name_or_path, root), False
    try:
        return resources.read("policies", f"{name_or_path}.toml"), True
    except RequestError:
        known = ", ".join(name.removesuffix(".toml") for name in resources.names("policies") if name.endswith(".toml"))
        raise Malformed((f"no process of this name ships; there are {known}; a file is named by its path",)) from None


def _read_schema(name_or_path: str, root: str) -> bytes:
    if "/" in name_or_path or name_or_path.endswith(".json"):
        if not root:
            raise Malformed((f"{name_or_path} is a path, and a shipped process names shipped schemas",))
        return _read_inside(name_or_path, root)
    try:
        return resources.read("schemas", f"evidence/{name_or_path}.schema.json")
    except RequestError:
        ending = ".schema.json"
        known = [
            name[len("evidence/") : -len(ending)] for name in resources.names("schemas") if name.startswith("evidence/")
        ]
        raise Malformed((f"no schema of the name {name_or_path!a} ships; there are {', '.join(known)}",)) from None


def _read_inside(path: str, root: str) -> bytes:
    """The bytes of a regular file below `root`, wherever links lead on the way as long as they stay inside."""
    top = os.path.realpath(root)
    real = os.path.realpath(os.path.join(top, path)) if "\0" not in path else ""
    if os.path.isabs(path) or os.path.commonpath((top, real or "/")) != top:
        raise Malformed((f"{path!a} is not a path inside the project",))
    if _in_state(os.path.normpath(os.path.join(top, path)), top) or _in_state(real, top):
        # What decides over evidence does not come from where evidence is written.
        raise Malformed((f"{path!a} is below state/, where workers write",))
    try:
        fd = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise Malformed((f"cannot read {path!a}: {os.strerror(error.errno or 0)}",)) from None
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise Malformed((f"{path!a} is not a regular file",))
        if status.st_nlink != 1:
            raise Malformed((f"{path!a} is one file under several names, and another may be one that workers write",))
        if status.st_size > schema.MAX_SCHEMA:
            raise Malformed((f"{path!a} has {status.st_size} bytes; the limit is {schema.MAX_SCHEMA}",))
        with os.fdopen(os.dup(fd), "rb") as file:
            return file.read(schema.MAX_SCHEMA)
    finally:
        os.close(fd)


def _in_state(place: str, top: str) -> bool:
    """Whether a place leads into the state folder. Letter case is ignored, as some file systems do."""
    inside = os.path.relpath(place, top).casefold().split(os.sep)
    return inside[0] == "state" or _below(place, os.path.realpath(os.path.join(top, "state")))


def _below(place: str, folder: str) -> bool:
    return place == folder or place.startswith(folder + os.sep)


def _refuse(error: Malformed, where: str) -> NoReturn:
    raise RequestError("bad_process", f"{error}.", where=ascii(where)[1:-1][:200], fix=_FIX) from None
