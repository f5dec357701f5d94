"""A process of the project's own: a shipped one, with the commands that make its observed artifacts.

The shipped file is copied as it is, comments included, so that whoever changes the copy finds every choice explained
where it is made.
"""

from __future__ import annotations

import json
import re
import shlex

from enforcer.errors import RequestError
from enforcer.policies import build
from enforcer.process_file import Malformed
from enforcer.resources import read
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

FOLDER = "process"

# What is read of an artifact where the caller does not say: the reader, and the report that it reads.
_USUAL = {
    "test_results.json": ("junit", "junit.xml"),
    "coverage_report.json": ("coverage-json", "coverage.json"),
    "build_output.log": ("log", ""),
}

# What makes a tool write its report, where the command does not say so itself: how the tool is called, and the option.
_PYTEST = re.compile(r"(?:^|/)(?:pytest|py\.test)$")

_FIRST_PHASE = re.compile(r"^\[\[phases\]\]$", re.MULTILINE)


class Named(Record):
    """A command for an artifact, with the reader and the report that it reads."""

    artifact: str
    argv: tuple[str, ...]
    reader: str
    report: str


def parse_observe(text: str) -> Named:
    """`ARTIFACT=COMMAND` or `ARTIFACT:READER[:REPORT]=COMMAND`, as `init --observe` takes it; raises `RequestError`."""
    what, equals, command = text.partition("=")
    artifact, *reading = what.split(":", 2)
    try:
        argv = tuple(shlex.split(command))
    except ValueError as error:
        raise _bad(text, f"the command cannot be split into words: {error}") from None
    if not equals or not artifact or not argv:
        raise _bad(text, "it names no artifact, or no command")
    reader, report = _USUAL.get(artifact, ("", ""))
    if reading:
        reader, report = reading[0], reading[1] if len(reading) > 1 else ""
    if not reader:
        raise _bad(text, f"what is read of {artifact[:80]!a} has to be said")
    return Named(artifact, _reporting(argv, report) if reader == "junit" else argv, reader, report)


def _reporting(argv: tuple[str, ...], report: str) -> tuple[str, ...]:
    """The command with the option that makes pytest write its report, where it is pytest and nothing asks for one."""
    if any("{out}" in word or "junit" in word for word in argv) or not any(_PYTEST.search(word) for word in argv[:4]):
        return argv
    return (*argv, f"--junitxml={{out}}/{report}")


def tailored(process: str, commands: Iterable[Named]) -> bytes:
    """The text of the shipped `process` with these commands in it.

    Raises `RequestError` `bad_process` where the two do not fit together.
    """
    text = read("policies", f"{process}.toml").decode()
    tables = "\n".join(_table(each) for each in commands)
    at = _FIRST_PHASE.search(text)
    assert at is not None, "a shipped process has phases"
    data = f"{text[: at.start()].rstrip()}\n\n{tables}\n\n{text[at.start() :]}".encode()
    try:
        build(data, "")
    except Malformed as error:
        raise RequestError("bad_process", f"{error}.", fix="Correct what --observe says.") from None
    return data


def _table(named: Named) -> str:
    lines = [f'[observe."{named.artifact}"]', f"argv = {json.dumps(list(named.argv), ensure_ascii=False)}"]
    lines.append(f"reader = {json.dumps(named.reader)}")
    if named.report:
        lines.append(f"report = {json.dumps(named.report)}")
    return "\n".join(lines) + "\n"


def _bad(text: str, why: str) -> RequestError:
    fix = "Write --observe 'test_results.json=python -m pytest', or ARTIFACT:READER:REPORT=COMMAND."
    return RequestError("bad_observe", f"{text[:80]!a} cannot be used: {why}.", fix=fix)
