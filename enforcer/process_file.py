"""The door of a process file: bytes → `ProcessFile`, or every fault of the file at once.

Apart from `policies`, which turns it into the process that is stored and enforced: this module says how a process is
written, in one class a table. Each kind of rule has its own, with its parameters beside its id, so that a misspelt one
is a fault of the file and not a rule that checks nothing. `schemas/process.schema.json` is generated from here.
"""

from __future__ import annotations

import json
import tomllib
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from enforcer.evidence.descent import MAX_NAME, is_name
from enforcer.evidence.schema import DIALECT
from enforcer.workflow.paths import check_pattern
from enforcer.workflow.process import IN_PROJECT

MAX_FILE = 256 << 10

_NOT_PARAMS = frozenset({"id", "kind", "mode", "ratio"})


class Malformed(Exception):
    """The faults of a file, each with the line and column, or the dotted key, where it stands."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


def _evidence_name(text: str) -> str:
    if not is_name(text):
        raise ValueError("may hold letters, digits, dot, underscore and hyphen, a letter or digit first, and no slash")
    return text


def _inner_path(text: str) -> str:
    if text != "." and (text.startswith("/") or any(part in ("", ".", "..") for part in text.split("/"))):
        raise ValueError("must be a relative path that stays inside the project")
    return text


def _line(text: str) -> str:
    if not text.isprintable() or not text.strip():
        raise ValueError("must be printable text on one line")
    return text


def _word(text: str) -> str:
    if any((letter < " " and letter not in "\t\n") or letter == "\x7f" for letter in text):
        raise ValueError("must hold no control characters")
    return text


def _report(text: str) -> str:
    if text:
        _inner_path(_line(text.removeprefix(IN_PROJECT)))
    return text


def _pattern(text: str) -> str:
    fault = check_pattern(text)
    if fault:
        raise ValueError(fault)
    return text


_ArtifactName = Annotated[str, Field(min_length=1, max_length=MAX_NAME), AfterValidator(_evidence_name)]
_PhaseName = Annotated[str, Field(pattern="^[A-Z][A-Z0-9_]*$", max_length=32)]
_Id = Annotated[str, Field(pattern="^[a-z0-9][a-z0-9._-]*$", max_length=64)]
_Line = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_line)]
_Path = Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(_line), AfterValidator(_inner_path)]
_SchemaName = Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(_line)]
_Earlier = Annotated[str, Field(pattern="^[A-Z][A-Z0-9_]*/[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=170)]
_Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$", max_length=64)]
_Mode = Literal["enforce", "observe", "off"]
_Capability = Literal["read", "write", "run", "commit", "push", "network", "deploy"]
_Principal = Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9@._+-]*$", max_length=64)]
_Variable = Annotated[str, Field(pattern="^[A-Za-z_][A-Za-z0-9_]*$", max_length=128)]
_Pattern = Annotated[str, Field(min_length=1, max_length=400), AfterValidator(_line), AfterValidator(_pattern)]
_Word = Annotated[str, Field(max_length=4096), AfterValidator(_word)]
_Report = Annotated[str, Field(max_length=400), AfterValidator(_report)]
_Lines = Annotated[list[_Line], Field(min_length=1, max_length=50)]
_Folders = Annotated[list[_Path], Field(max_length=50)]
_Count = Annotated[int, Field(ge=1, le=1000)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Rule(_Table):
    """What all rules have: an id that is unique in the file, and a mode."""

    formats: ClassVar[tuple[str, ...]] = ("json",)
    id: _Id
    mode: _Mode = "enforce"

    def params(self) -> dict[str, Any]:
        """The parameters as they are stored: those that are set, without floats."""
        return {name: value for name, value in self.model_dump(exclude_none=True).items() if name not in _NOT_PARAMS}


class Sections(_Rule):
    """Each heading stands in the document, with at least `words` words of real text below it."""

    formats = ("markdown",)
    kind: Literal["sections"]
    headings: _Lines
    words: _Count = 3


class List(_Rule):
    """Below each heading stands a list of at least `items` items."""

    formats = ("markdown",)
    kind: Literal["list"]
    headings: _Lines
    items: _Count = 1


class NoPlaceholder(_Rule):
    """Nothing still waits for its text; of JSON the strings of the named `members` are read."""

    formats = ("markdown", "json")
    kind: Literal["no_placeholder"]
    members: Annotated[list[_Line], Field(max_length=50)] = []


class Url(_Rule):
    """The file is one https URL."""

    formats = ("text",)
    kind: Literal["url"]


class ExitStatus(_Rule):
    """The last line of a log is `exit status: N` with this N."""

    formats = ("text",)
    kind: Literal["exit_status"]
    status: Annotated[int, Field(ge=0, le=255)] = 0


class Sum(_Rule):
    """The member `total` is the sum of the members `parts`; a part that is left out is 0."""

    kind: Literal["sum"]
    total: _Line
    parts: _Lines


class _Threshold(_Rule):
    field: _Line
    value: Annotated[int, Field(ge=-(2**53) + 1, le=2**53 - 1)] | None = None
    ratio: Annotated[float, Field(ge=0, le=1)] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.value is None) == (self.ratio is None):
            raise ValueError("give either `value`, a whole number, or `ratio`, from 0 to 1")
        if self.ratio is not None and self.ratio != round(self.ratio * 10_000) / 10_000:
            raise ValueError("a ratio has at most four decimals")
        return self

    def params(self) -> dict[str, Any]:
        if self.ratio is None:
            return super().params()
        return {**super().params(), "ratio_bp": round(self.ratio * 10_000)}


class Minimum(_Threshold):
    """The number `field` is at least `value`, or at least `ratio`."""

    kind: Literal["minimum"]


class Maximum(_Threshold):
    """The number `field` is at most `value`, or at most `ratio`."""

    kind: Literal["maximum"]


class Rate(_Rule):
    """The member `rate` is `covered` / `total`, give or take `within_bp` hundredths of a percent."""

    kind: Literal["rate"]
    rate: _Line
    covered: _Line
    total: _Line
    within_bp: Annotated[int, Field(ge=0, le=10_000)] = 50


class Part(_Rule):
    """The count `field` is no greater than the count `of` that it is a part of."""

    kind: Literal["part"]
    field: _Line
    of: _Line


class OneOf(_Rule):
    """The member `field` is one of `values`."""

    kind: Literal["one_of"]
    field: _Line
    values: _Lines


class Every(_Rule):
    """The member `list` has at least one entry, and `member` of each is one of `values`."""

    kind: Literal["every"]
    list: _Line
    member: _Line
    values: _Lines


class Criteria(_Rule):
    """In the object `field` each of `names` has `pass` true and a `note` of at least `words` words."""

    kind: Literal["criteria"]
    field: _Line
    names: _Lines
    words: _Count = 2


class Paths(_Rule):
    """The entries of `list`, or `member` of each, are paths in the repository, out of `.git` and `outside`."""

    kind: Literal["paths"]
    list: _Line
    member: Annotated[str, Field(max_length=200)] = ""
    outside: _Folders = []


class Attempt(_Rule):
    """The member `field` is the id of the current attempt; with `optional` it may be left out."""

    kind: Literal["attempt"]
    field: _Line = "attempt_id"
    optional: bool = False


class Diff(_Rule):
    """Applied to the task's base commit, the diff gives the files as they are now."""

    formats = ("diff",)
    kind: Literal["diff"]


class Files(_Rule):
    """The entries of `list`, or `member` of each, are exactly the files that git names as changed since the base."""

    kind: Literal["files"]
    list: _Line
    member: Annotated[str, Field(max_length=200)] = ""


class Planned(_Rule):
    """A path in `files` that the accepted file map `map` does not name stands in `deviations`, with a `reason`."""

    kind: Literal["planned"]
    map: _Earlier
    words: _Count = 2


class Bound(_Rule):
    """The member `field` is the digest of the accepted artifact `to`."""

    kind: Literal["bound"]
    field: _Line
    to: _Earlier


class Reviewer(_Rule):
    """The member `field` names who leaves the phase, and that is none of those who implemented."""

    kind: Literal["reviewer"]
    field: _Line = "reviewer"


class Commit(_Rule):
    """The member `field` is the commit that is checked out, and it holds what IMPLEMENT left."""

    kind: Literal["commit"]
    field: _Line = "commit"


class Tree(_Rule):
    """The working files are those that the accepted diff leads to."""

    formats = ("markdown", "json", "text", "diff")
    kind: Literal["tree"]


class Observed(_Rule):
    """Enforcer ran the command that `observe` names for the artifact."""

    formats = ("markdown", "json", "text", "diff")
    kind: Literal["observed"]


_AnyRule = Annotated[
    Sections | List | NoPlaceholder | Url | ExitStatus | Sum | Minimum | Maximum | Rate | Part | OneOf | Every
    | Criteria | Paths | Attempt | Diff | Files | Planned | Bound | Reviewer | Commit | Tree | Observed,
    Field(discriminator="kind"),
]  # fmt: skip


KINDS: tuple[str, ...] = tuple(
    get_args(kind.model_fields["kind"].annotation)[0] for kind in get_args(get_args(_AnyRule)[0])
)


class ArtifactTable(_Table):
    """One file of evidence, and what is asked of it."""

    name: _ArtifactName
    format: Literal["markdown", "json", "text", "diff"]
    required: bool = True
    schema_: Annotated[_SchemaName | None, Field(alias="schema")] = None
    stands_on: Annotated[list[_Earlier], Field(max_length=1000)] | None = None
    scaffold: Annotated[str, Field(min_length=1, max_length=64 << 10)] | None = None
    rules: Annotated[list[_AnyRule], Field(max_length=100)] = []
    risks: Annotated[list[_Id], Field(max_length=64)] = []


class ApprovalTable(_Table):
    """A demand for approvals: how many, by whom (anybody whose key `signers` has, where empty), and for which risk
    classes (every change, where empty). Without `signed` a declaration counts as well."""

    count: Annotated[int, Field(ge=1, le=64)] = 1
    by: Annotated[list[_Principal], Field(max_length=64)] = []
    risks: Annotated[list[_Id], Field(max_length=64)] = []
    signed: bool = True


class PhaseTable(_Table):
    """One step: its artifacts, the tools that it allows beyond reading, the mode of prompt drift, and whether who holds
    the task in it is an author, whom a `reviewer` rule keeps from reviewing."""

    name: _PhaseName
    tools: Annotated[list[_Capability], Field(max_length=7)] = []
    drift: _Mode = "observe"
    authors: bool = False
    artifacts: Annotated[list[ArtifactTable], Field(min_length=1, max_length=64)]
    approvals: Annotated[list[ApprovalTable], Field(max_length=16)] = []


class ObservationTable(_Table):
    """The command that makes an observed artifact: its working folder below the project, what is read of it and how
    (`reader`, `report`), what it is given (`environment`, `path`), its bounds (`timeout` in seconds, `output` in bytes)
    and what it runs in (`sandbox`, which may read the ignored folders in `keep`)."""

    argv: Annotated[list[_Word], Field(min_length=1, max_length=200)]
    folder: _Path = "."
    reader: Literal["junit", "coverage-json", "cobertura", "lcov", "sarif", "log"]
    report: _Report = ""
    timeout: Annotated[int, Field(ge=1, le=86400)] = 1800
    output: Annotated[int, Field(ge=1024, le=1 << 30)] = 64 << 20
    environment: Annotated[list[_Variable], Field(max_length=64)] = []
    path: Annotated[list[_Path], Field(max_length=16)] = []
    sandbox: Literal["none", "bubblewrap"] = "none"
    keep: Annotated[list[_Path], Field(max_length=16)] = []


class ProcessFile(_Table):
    """A whole process file."""

    name: Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)]
    self_review: bool = False
    phases: Annotated[list[PhaseTable], Field(min_length=1, max_length=64)]
    personas: dict[_Id, list[_Capability]] = {}
    pins: dict[Literal["header", "role", "tools", "model", "persona"], _Digest] = {}
    observe: dict[_ArtifactName, ObservationTable] = {}
    risks: dict[_Id, Annotated[list[_Pattern], Field(min_length=1, max_length=200)]] = {}
    signers: Annotated[str, Field(max_length=400)] = ""
    break_glass: Annotated[list[_Principal], Field(max_length=64)] = []


def parse(data: bytes) -> ProcessFile:
    """The file in `data`.

    Raises `Malformed`: by line and column where it is no TOML, by dotted key where it has not the shape of a process.
    """
    document = _read_toml(data)
    try:
        return ProcessFile.model_validate(document)
    except ValidationError as error:
        raise Malformed(tuple(_described(fault) for fault in error.errors())) from None


def json_schema() -> bytes:
    """What ships as `schemas/process.schema.json`: the shape of a process file once its TOML is read."""
    body = ProcessFile.model_json_schema(by_alias=True)
    head = {"$schema": DIALECT, "$id": "https://enforcer.dev/schemas/process.schema.json", "title": "Process file"}
    return (
        json.dumps({**head, **{key: value for key, value in body.items() if key not in head}}, indent=2).encode()
        + b"\n"
    )


def _read_toml(data: bytes) -> dict[str, Any]:
    if len(data) > MAX_FILE:
        raise Malformed((f"the file has {len(data)} bytes; the limit is {MAX_FILE}",))
    try:
        return tomllib.loads(data.decode())
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Malformed((f"no UTF-8 (at line {line}, byte {error.start} of the file)",)) from None
    except RecursionError:
        raise Malformed(("nested too deeply",)) from None
    except ValueError as error:
        raise Malformed((f"no TOML: {error}",)) from None


def _described(fault: Any) -> str:
    key = dotted(fault["loc"])
    if fault["type"] == "extra_forbidden":
        return f"{key}: unknown key"
    if fault["type"] == "union_tag_invalid":
        tag, known = ascii(fault["ctx"]["tag"])[:80], fault["ctx"]["expected_tags"]
        return f"{key}.kind: no kind of rule is called {tag}; there are {known}"
    if fault["type"] == "union_tag_not_found":
        return f"{key}.kind: is missing"
    return f"{key}: {fault['msg'].removeprefix('Value error, ')}"


def dotted(location: tuple[str | int, ...]) -> str:
    """A key as TOML would spell it; the kind of a rule, which pydantic puts into the path, is left out."""
    text = ""
    for index, part in enumerate(location):
        if isinstance(part, int):
            text += f"[{part}]"
        elif index < 2 or location[index - 2] != "rules":
            bare = part.isascii() and part.replace("-", "").replace("_", "").isalnum()
            text += ("." if text else "") + (part if bare else json.dumps(part))
    return text or "the file"
