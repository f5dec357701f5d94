"""`enforcer demo`: a real change to a real package, from STRATEGIZE to MONITOR, with every attempt to cheat on the way.

It takes iniconfig 2.3.1 as it is published, makes it a git repository, and walks one small change to it through the
process that ships as the default, with the package's own tests. Nothing in it is staged but the two workers' texts:
the gate is the real command, and every figure is measured. It doubles as the widest test of a fresh installation.
"""

from __future__ import annotations

import json
import os
import signal
import tempfile
import time
from contextlib import contextmanager

from enforcer.errors import EnforcerError, RequestError
from enforcer.surfaces.demo import approver, commands, documents, measure, package
from enforcer.surfaces.demo.desk import ADA, TASK, Desk, Place, Unexpected
from enforcer.surfaces.demo.reckoning import Finding, reckon, show_record, show_summary
from enforcer.surfaces.demo.screen import Screen
from enforcer.surfaces.demo.story import Story
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType
    from typing import Any

PASSED, DIFFERS, IMPOSSIBLE, INTERRUPTED = 0, 1, 2, 130

# The commit of the package as published has the same id on every machine.
_PUBLISHED = "2026-10-06T22:47:10+00:00"


class Options(Record):
    """`keep`: a folder that the project is left in; `sdist` and `python`: what would otherwise come through pip.

    `as_json`: write one JSON object instead of the story.
    """

    keep: str | None = None
    sdist: str | None = None
    python: str | None = None
    as_json: bool = False


class Ending(Record):
    """How the story ended: exit status, what was counted, and what differed from what the story stands on."""

    status: int
    findings: tuple[Finding, ...] = ()
    difference: str = ""


def run(options: Options, out: Callable[[str], None]) -> int:
    """Tell the story on `out`, a line a call.

    Answers 0 where everything went as it must, 1 where something differs, 2 where something needed is missing, and
    130 after an interruption. Where the answer is JSON, what is missing is raised, so that it is told as any command's
    error is.
    """
    screen = Screen.of_terminal((lambda _line: None) if options.as_json else out)
    began = time.monotonic()
    screen.title(f"Enforcer: a real change to {package.NAME} {package.VERSION} walks nine phases, and cannot skip one.")
    try:
        with _terminable(), _folders(options.keep or "") as (project, home):
            ending = _tell(options, project, home, screen)
            if options.keep:
                _show_kept(project, home, screen)
    except EnforcerError as error:
        if options.as_json:
            raise
        show_error(error, screen)
        return IMPOSSIBLE
    except KeyboardInterrupt:
        screen.say("Interrupted." if options.keep else "Interrupted; nothing is left behind but the cache.")
        return INTERRUPTED
    screen.say(f"Done in {time.monotonic() - began:.0f} seconds, exit status {ending.status}.")
    if options.as_json:
        out(json.dumps(as_json(ending, options), indent=2))
    return ending.status


def show_error(error: EnforcerError, screen: Screen) -> None:
    screen.heading("NOT POSSIBLE HERE")
    screen.answer(f"{error.code}: {error.message}", refused=True)
    for name, text in (("where", error.where), ("fix", error.fix)):
        if text:
            screen.answer(f"    {name}: {text}", refused=True)


def as_json(ending: Ending, options: Options) -> dict[str, Any]:
    findings = [{**finding.pack(), "agrees": finding.agrees} for finding in ending.findings]
    kept = os.path.abspath(options.keep) if options.keep else None
    return {"ok": ending.status == PASSED, "findings": findings, "difference": ending.difference or None, "kept": kept}


def _tell(options: Options, project: str, home: str, screen: Screen) -> Ending:
    desk = Desk(_prepare(options, project, home, screen), screen)
    try:
        _open(desk)
        Story(desk).tell()
        screen.heading("THE RECORD")
        show_record(desk)
        findings = tuple(reckon(desk))
    except Unexpected as difference:
        screen.heading("THIS DIFFERS FROM WHAT MUST BE")
        screen.answer(str(difference), refused=True)
        return Ending(DIFFERS, difference=str(difference))
    screen.heading("SUMMARY")
    show_summary(desk, findings)
    differing = ", ".join(finding.what for finding in findings if not finding.agrees)
    if differing:
        screen.answer(f"This differs: {differing}.", refused=True)
        return Ending(DIFFERS, findings, f"This differs: {differing}.")
    screen.say("Every attempt to cheat was refused and is on the record; the change came by the only way there is.")
    return Ending(PASSED, findings)


# Getting ready


def _prepare(options: Options, project: str, home: str, screen: Screen) -> Place:
    """The package as a repository whose first commit is what was published."""
    screen.heading("GETTING READY")
    screen.say("The package and the tools for its tests come through your own pip, and then stay in the cache.")
    python = package.check_python(options.python) if options.python else package.make_python()
    screen.gap()
    screen.facts([("python", f"{python.version} with pytest {python.pytest} and coverage {python.coverage}")])
    sdist = package.read_sdist(options.sdist) if options.sdist else package.fetch_sdist(python.executable)
    screen.facts([("sdist ", f"{package.SDIST}, {sdist.origin}, SHA-256 {package.SHA256[:16]}… as pinned")])
    count = package.unpack(sdist, project)
    measure.git(project, "init", "--quiet", "--initial-branch=main")
    measure.git(project, "add", "--all")
    measure.git(project, "commit", "--quiet", "-m", f"{package.NAME} {package.VERSION} as published", when=_PUBLISHED)
    commit = measure.git(project, "rev-parse", "--short", "HEAD").strip()
    screen.facts([("git   ", f"{count} files, commit {commit}: {package.NAME} {package.VERSION} as published")])
    return Place(project, home, python)


def _open(desk: Desk) -> None:
    screen = desk.screen
    screen.heading("THE GATE")
    screen.say("The repository comes under the gate, and a task is opened for the change.")
    commands.write(desk)
    desk.set_up(*commands.OBSERVED)
    screen.say("A review has to be approved. Grace has an SSH key for that, and the process lists it.")
    desk.approver = approver.admit(desk)
    desk.git(ADA, "add", "--all")
    desk.git(ADA, "commit", "--quiet", "--message", "Come under the gate")
    desk.accepted(ADA, "open", TASK, "--title", documents.TITLE)


@contextmanager
def _folders(keep: str) -> Iterator[tuple[str, str]]:
    """The project's folder and the one beside it; temporary, and gone afterwards, unless they are to be kept."""
    if not keep:
        with tempfile.TemporaryDirectory(prefix="enforcer-demo-", ignore_cleanup_errors=True) as folder:
            yield _empty(os.path.join(folder, package.NAME)), _empty(os.path.join(folder, "home"))
        return
    project = os.path.abspath(keep)
    yield _empty(project), _empty(f"{project}-home")


def _empty(folder: str) -> str:
    """The folder, made where it is missing. Raises `RequestError` where something stands in it already."""
    try:
        os.makedirs(folder, exist_ok=True)
        found = os.listdir(folder)
    except OSError as error:
        raise RequestError("demo_folder_unusable", f"The folder cannot be used: {error}.", where=folder) from error
    if found:
        fix = "name a folder that is empty or does not exist"
        raise RequestError("demo_folder_not_empty", "Something stands in the folder already.", fix=fix, where=folder)
    return folder


def _show_kept(project: str, home: str, screen: Screen) -> None:
    screen.heading("KEPT")
    screen.gap()
    screen.facts(
        [
            ("project", f"{project}, with its state/ (ledger, evidence, objects, telemetry)"),
            ("keys   ", f"{os.path.join(home, 'keys')}: the ledger's own, made for this run; yours were not touched"),
            ("beside ", f"{home}: the prompts, the pushed repository, CI's clone, the release"),
        ]
    )
    screen.command("you", ("cd", project))
    screen.command("you", (f"ENFORCER_HOME={os.path.join(home, 'keys')}", "enforcer", "status", TASK))


@contextmanager
def _terminable() -> Iterator[None]:
    """Be told to stop as by Ctrl-C, so that temporary folders go; only a main thread can be."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
