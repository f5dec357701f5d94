"""A process of the project's own: a shipped one, with the commands that make its observed artifacts.

The shipped file is copied as it is, comments included, so that whoever changes the copy finds every choice explained
where it is made. Commands are added to a file as text, before its phases, and nothing else of it is touched.
"""

from __future__ import annotations

import json
import os
import re
import shlex

from enforcer.errors import RequestError
from enforcer.policies import build
from enforcer.process_file import Malformed
from enforcer.workflow.process import IN_PROJECT, LOG
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from enforcer.workflow.process import Process

FOLDER = "process"

# What is read of an artifact where the caller does not say: the reader, and the report that it reads.
_USUAL = {
    "test_results.json": ("junit", "junit.xml"),
    "coverage_report.json": ("coverage-json", "coverage.json"),
    "build_output.log": ("log", ""),
}

# What makes a tool write its report, where the command does not say so itself: how the tool is called, and the option.
_PYTEST = re.compile(r"(?:^|/)(?:pytest|py\.test)$")

# Where the phases begin, with the comment that stands directly above.
_FIRST_PHASE = re.compile(r"^(?:[ \t]*#.*\n)*[ \t]*\[\[[ \t]*phases[ \t]*\]\]", re.MULTILINE)


class Named(Record):
    """A command for an artifact, with the reader and the report that it reads.

    `path` are the folders below the project that come first on its search path.
    """

    artifact: str
    argv: tuple[str, ...]
    reader: str
    report: str
    path: tuple[str, ...] = ()


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


def option(artifact: str) -> str:
    """What `--observe` has to be given for an artifact, to be copied and filled in."""
    return f"--observe '{artifact}{'' if artifact in _USUAL else ':READER:REPORT'}=COMMAND'"


def at_home(named: Named, root: str, environ: Mapping[str, str]) -> Named:
    """The command with the virtual environment that is active, where that lies in the project and has the program.

    Folders of the project are left off the search path of a run, unless the process names them.
    """
    active, program = environ.get("VIRTUAL_ENV", ""), named.argv[0]
    if not os.path.isabs(active) or "/" in program:
        return named
    folder = os.path.relpath(os.path.join(os.path.realpath(active), "bin"), os.path.realpath(root))
    if folder.split("/")[0] == ".." or not os.access(os.path.join(root, folder, program), os.X_OK):
        return named
    return named.replace(path=(folder,))


def doubtful(commands: Iterable[Named]) -> Iterator[str]:
    """What to look at in commands before they are run, as sentences."""
    for each in commands:
        says = any("{out}" in word or "ENFORCER_OUT" in word for word in each.argv)
        if not says and each.reader != LOG and not each.report.startswith(IN_PROJECT):
            yield (
                f"The command for {each.artifact} does not say where its report goes: unless it writes "
                f"$ENFORCER_OUT/{each.report} by itself, put {{out}}/{each.report} into it."
            )


def tailored(before: bytes, commands: Iterable[Named], *, root: str, where: str) -> bytes:
    """The process file in the bytes `before`, with the commands that it does not name yet; `root` as for `build`.

    Raises `RequestError`: `process_exists` where the file at `where` names another command for an artifact, and
    `bad_process` where the two do not fit together.
    """
    text, process = before.decode(), _built(before, root)
    new = [each for each in commands if not _stands(each, process, where)]
    if not new:
        return before
    at = _FIRST_PHASE.search(text)
    position = at.start() if at else len(text)
    data = (text[:position] + "".join(f"{_table(each)}\n" for each in new) + text[position:]).encode()
    after = _built(data, root)
    # The place was found by its looks, so what stands there now is held against what was meant.
    if after.replace(observe=process.observe) != process or set(after.observe) - set(process.observe) != {
        each.artifact for each in new
    }:
        fix = "Write the commands into [observe] tables of the file by hand."
        raise RequestError("bad_process", "Commands cannot be added to this file.", where=where, fix=fix)
    return data


def _built(data: bytes, root: str) -> Process:
    try:
        return build(data, root).process
    except Malformed as error:
        raise RequestError("bad_process", f"{error}.", fix="Correct what --observe says.") from None


def _stands(named: Named, process: Process, where: str) -> bool:
    """Whether the process names this command already. Raises `RequestError` `process_exists` for another one."""
    one = process.observe.get(named.artifact)
    if one is None:
        return False
    if (one.argv, one.reader, one.report) == (named.argv, named.reader, named.report):
        return True
    message = f"The process names another command for {named.artifact} already: {shlex.join(one.argv)[:200]!a}."
    fix = f'Change its table [observe."{named.artifact}"] by hand.'
    raise RequestError("process_exists", message, where=where, fix=fix)


def _table(named: Named) -> str:
    lines = [f'[observe."{named.artifact}"]', f"argv = {json.dumps(list(named.argv), ensure_ascii=False)}"]
    lines.append(f"reader = {json.dumps(named.reader)}")
    if named.report:
        lines.append(f"report = {json.dumps(named.report)}")
    if named.path:
        lines.append(f"path = {json.dumps(list(named.path), ensure_ascii=False)}")
    return "\n".join(lines) + "\n"


def _bad(text: str, why: str) -> RequestError:
    fix = "Write --observe 'test_results.json=python -m pytest', or ARTIFACT:READER:REPORT=COMMAND."
    return RequestError("bad_observe", f"{text[:80]!a} cannot be used: {why}.", fix=fix)
