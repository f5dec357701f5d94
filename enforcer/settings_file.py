"""The door of `enforcer.toml`: bytes → `Settings`, or every fault of the file at once.

Apart from `settings`, because it needs a TOML parser and pydantic, which light commands must not load.
"""

from __future__ import annotations

import json
import os
import tomllib
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from enforcer.errors import RequestError
from enforcer.settings import MAX_SIZE, MAX_TTL_SECONDS, Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn


def _plain(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must be printable text on one line")
    return text


def _inner_folder(text: str) -> str:
    folder = os.path.normpath(text)
    if not text or os.path.isabs(folder) or folder.split(os.sep)[0] in (os.curdir, os.pardir):
        raise ValueError("must be the relative path of a folder inside this project")
    return folder


_Text = Annotated[str, AfterValidator(_plain)]
_InnerFolder = Annotated[_Text, AfterValidator(_inner_folder)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Lease(_Section):
    auto: bool = Settings.defaults["lease_auto"]
    ttl_seconds: int = Field(default=Settings.defaults["lease_ttl_seconds"], ge=1, le=MAX_TTL_SECONDS)


class _Guard(_Section):
    no_task: Literal["read-only", "off"] = Settings.defaults["no_task"]


class _File(_Section):
    process: Annotated[_Text, Field(min_length=1)] = Settings.defaults["process"]
    projects: list[_InnerFolder] = []
    store: _Text = Settings.defaults["store"]
    lease: _Lease = _Lease()
    guard: _Guard = _Guard()


_KEYS = (
    "process",
    "projects",
    "store",
    *(f"lease.{name}" for name in _Lease.model_fields),
    *(f"guard.{name}" for name in _Guard.model_fields),
)


def parse(data: bytes, path: str) -> Settings:
    """The settings in the bytes of an `enforcer.toml`; `path` is shown in errors.

    Raises `RequestError` `bad_settings` with every fault: by line and column where the file is no TOML, by dotted key
    where its content is not what settings are.
    """
    if len(data) > MAX_SIZE:
        _refuse(f"more than {MAX_SIZE} bytes", path)
    document = _read_toml(data, path)
    try:
        file = _File.model_validate(document)
    except ValidationError as error:
        _refuse("; ".join(_describe(fault) for fault in error.errors()), path)
    return Settings(
        process=file.process,
        projects=tuple(file.projects),
        store=file.store,
        lease_auto=file.lease.auto,
        lease_ttl_seconds=file.lease.ttl_seconds,
        no_task=file.guard.no_task,
    )


def _read_toml(data: bytes, path: str) -> dict[str, Any]:
    try:
        return tomllib.loads(data.decode())
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        _refuse(f"no UTF-8 (at line {line}, byte {error.start} of the file)", path)
    except RecursionError:
        _refuse("nested too deeply", path)
    except ValueError as error:
        _refuse(f"no TOML: {str(error).replace('end of document', _end(data.decode()))}", path)


def _end(text: str) -> str:
    """The position behind the last character, which the parser calls the end of the document."""
    lines = text.replace("\r\n", "\n").split("\n")
    return f"line {len(lines)}, column {len(lines[-1]) + 1}"


def _describe(fault: Any) -> str:
    key = _dotted(fault["loc"])
    if fault["type"] == "extra_forbidden":
        return f"{key}: unknown key"
    return f"{key}: {fault['msg'].removeprefix('Value error, ')}"


def _dotted(location: tuple[str | int, ...]) -> str:
    """A key as TOML would spell it; a quoted one is escaped, so that it can be shown."""
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
            continue
        bare = part.isascii() and part.replace("-", "").replace("_", "").isalnum()
        text += ("." if text else "") + (part if bare else json.dumps(part))
    return text


def _refuse(faults: str, path: str) -> NoReturn:
    raise RequestError(
        "bad_settings", f"{faults}.", fix=f"correct the file; its keys are {', '.join(_KEYS)}", where=path
    )
