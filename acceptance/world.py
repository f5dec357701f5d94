"""Given / when / then: a project in a temporary folder, the workers in it, and what they put into the evidence folder.

Everything here goes through the real command (in this process or in its own) and the real library. The formats it
knows are public ones: the process file, the tool call on the guard's stdin, `--json` outputs and the ledger's lines.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from acceptance.model import PHASES, STRICT
from enforcer import Enforcer

ADA, BOB = "ada", "bob"
GOOD = "# Note\n\n## Findings\n\nThe parser drops the last field of a record; a guard clause keeps it.\n"
BAD = "# Note\n\nNothing was found.\n"

TOOLS = {"IMPLEMENT": ["write", "run", "commit"], "VERIFY": ["run"], "PR": ["commit", "push", "network"]}
TOOLS["MONITOR"] = ["run", "network", "deploy"]

GIT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
}


def plain_process(name: str = "plain", *, section: str = "Findings", drift: tuple[str, ...] = STRICT) -> str:
    """A process file with the nine phases, each of which asks for `note.md` with one section that holds real text."""
    lines = [f'name = "{name}"', ""]
    for phase in PHASES:
        lines += [
            "[[phases]]",
            f'name = "{phase}"',
            f"tools = {json.dumps(TOOLS.get(phase, []))}",
            f'drift = "{"enforce" if phase in drift else "observe"}"',
            "",
            "[[phases.artifacts]]",
            'name = "note.md"',
            'format = "markdown"',
            f'rules = [{{ id = "{phase.lower()}-sections", kind = "sections", headings = ["{section}"], words = 3 }}]',
            "",
        ]
    return "\n".join(lines)


@dataclass(frozen=True)
class Reply:
    """What a command answered."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def codes(self) -> list[str]:
        """The codes of a "no", in order and without repetition, or the one code of an error."""
        answer = self.json
        if "error" in answer:
            return [answer["error"]["code"]]
        return list(dict.fromkeys(refusal["code"] for refusal in answer["refusals"]))


class World:
    """One project with its own user state folder; nothing of the user's real home is read or written."""

    def __init__(self, base: Path, *, process: str | None = None, git: bool = False) -> None:
        self.root = base / "project"
        self.home = base / "home"
        self.state = self.root / "state"
        self.root.mkdir(parents=True, exist_ok=True)
        self.home.mkdir(exist_ok=True)
        if git:
            self.git("init", "--quiet", "--initial-branch=main")
        if process is not None:
            (self.root / "process.toml").write_text(process, encoding="utf-8")

    @classmethod
    def at(cls, root: Path, home: Path, *, state: Path | None = None) -> World:
        """The same user in another folder; in a linked worktree `state` is that of the main one."""
        world = cls.__new__(cls)
        world.root, world.home, world.state = root, home, state or root / "state"
        return world

    @property
    def environment(self) -> dict[str, str]:
        """The variables that a command sees besides the caller's own."""
        return {"ENFORCER_HOME": str(self.home / "enforcer"), "HOME": str(self.home), **GIT}

    def init(self, *, observe: Iterable[str] = ()) -> World:
        """Make the project governed; with a process file of its own where the world has one.

        `observe` are the commands that Enforcer runs for evidence, each as `init --observe` takes it.
        """
        own = ("--process", "process.toml") if (self.root / "process.toml").exists() else ()
        commands = [word for each in observe for word in ("--observe", each)]
        reply = self.ask("init", *own, *commands, actor=None)
        assert reply.status == 0, reply
        return self

    def ask(self, *args: str, actor: str | None = ADA, stdin: str = "", text: bool = False) -> Reply:
        """Run the command in this process: the same code as in a process of its own, without its start."""
        from enforcer.surfaces.cli import main

        with self._environment(), CliRunner().isolation(input=stdin) as (out, err, _):
            try:
                main(self._arguments(args, actor, text))
            except SystemExit as end:
                status = end.code
            out_bytes, err_bytes = out.getvalue(), err.getvalue()
        assert isinstance(status, int)
        return Reply(status, out_bytes.decode(), err_bytes.decode())

    def run(self, *args: str, actor: str | None = ADA, stdin: str = "", text: bool = False) -> Reply:
        """Run the command in a process of its own."""
        argv = [sys.executable, "-m", "enforcer", *self._arguments(args, actor, text)]
        done = subprocess.run(
            argv,
            input=stdin,
            capture_output=True,
            text=True,
            env=self.process_environment(),
            cwd=self.root,
            check=False,
        )
        return Reply(done.returncode, done.stdout, done.stderr)

    def process_environment(self) -> dict[str, str]:
        """The whole environment of a process that acts in this world."""
        here = str(Path(__file__).resolve().parent.parent)
        path = os.pathsep.join(each for each in (here, os.environ.get("PYTHONPATH", "")) if each)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("ENFORCER_")}
        return {**inherited, **self.environment, "PYTHONPATH": path}

    def library(self, actor: str = ADA, **ports: Any) -> Enforcer:
        """The library as a worker opens it; `ports` are a clock, disk or entropy of the test's own."""
        with self._environment():
            return Enforcer.open(root=str(self.root), actor=actor, environ=dict(os.environ), **ports)

    def git(self, *args: str) -> str:
        """What git prints; bytes that are no UTF-8 become surrogate escapes, and line ends stay as they are."""
        environment = {**os.environ, **GIT}
        done = subprocess.run(["git", *args], cwd=self.root, env=environment, capture_output=True, check=True)
        return done.stdout.decode("utf-8", "surrogateescape")

    # Evidence

    def evidence(self, task: str, phase: str, name: str = "note.md") -> Path:
        return self.state / "evidence" / task / phase.lower() / name

    def write(self, task: str, phase: str, content: str | bytes = GOOD, name: str = "note.md") -> Path:
        path = self.evidence(task, phase, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def edit(self, task: str, phase: str, name: str, **changes: Any) -> None:
        """Change members of a JSON document of evidence."""
        path = self.evidence(task, phase, name)
        path.write_text(json.dumps({**json.loads(path.read_bytes()), **changes}), encoding="utf-8")

    # Given

    def given_task(self, name: str = "T", phase: str = PHASES[0], actor: str = ADA, **ports: Any) -> Any:
        """A task that came to `phase` honestly, phase by phase, through the library."""
        enforcer = self.library(actor, **ports)
        task = enforcer.open_task(name, title="Keep the last field")
        for left in PHASES[: PHASES.index(phase)]:
            self.write(name, left)
            task.advance().require()
        return task

    # Then

    def status(self, task: str = "T") -> dict[str, Any]:
        return self.ask("status", task).json

    def verdict(self) -> str:
        return self.ask("verify").json["verdict"]

    def lines(self) -> list[bytes]:
        """The ledger's lines, without their line ends."""
        return [line for segment in self.segments() for line in segment.read_bytes().splitlines()]

    def segments(self) -> list[Path]:
        return sorted((self.state / "ledger" / "seg").glob("*.jsonl"))

    def events(self, kind: str = "", task: str | None = None) -> list[dict[str, Any]]:
        """The `event` objects of the ledger, of one type (without its prefix) and one task if so asked."""
        found = [json.loads(line)["event"] for line in self.lines()]
        return [
            event for event in found if event["type"].endswith(kind) and (task is None or event.get("subject") == task)
        ]

    def guard(self, task: str, tool: str, session: str = "s1", call: str = "c1", **given: Any) -> Reply:
        """Ask the guard about a tool call whose input is `given`."""
        asked = {"tool": tool, "input": given, "session": session, "call": call}
        return self.ask("guard", task, stdin=json.dumps(asked))

    def snapshot(self) -> dict[str, tuple[str, str]]:
        """Every name below the project and the user's folder, with its kind and content: equal means untouched."""
        found = {}
        for top in (self.root, self.home):
            for path in sorted(top.rglob("*")):
                if ".git" not in path.relative_to(top).parts:
                    found[str(path)] = _content(path)
        return found

    def forget_caches(self) -> None:
        """Delete what can be rebuilt, as anybody may at any time."""
        shutil.rmtree(self.state / "ledger" / ".cache", ignore_errors=True)

    def metrics(self) -> dict[str, int]:
        """The counters as the telemetry follower reports them, summed over their attributes."""
        reply = self.ask("telemetry")
        assert reply.status == 0, reply
        return metric_sums(self.state / "telemetry" / "metrics.jsonl")

    def _arguments(self, args: tuple[str, ...], actor: str | None, text: bool) -> list[str]:
        given = [] if text else ["--json"]
        if actor is not None and args[0] in WRITING:
            given += ["--actor", actor]
        head, tail = list(args), []
        if "--" in head:
            cut = head.index("--")
            head, tail = head[:cut], head[cut:]
        return [*head, "--root", str(self.root), *given, *tail]

    @contextmanager
    def _environment(self) -> Iterator[None]:
        before = dict(os.environ)
        for name in [name for name in os.environ if name.startswith("ENFORCER_")]:
            del os.environ[name]
        os.environ.update(self.environment)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


WRITING = (
    *("open", "advance", "backtrack", "abandon", "run", "approve", "evidence"),
    *("lease", "attest", "baseline", "process", "guard"),
)


def metric_sums(path: Path) -> dict[str, int]:
    """The last cumulative value of each metric in an OTLP JSON lines file, summed over its data points."""
    values: dict[str, int] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        for resource in json.loads(line)["resourceMetrics"]:
            for metric in (metric for scope in resource["scopeMetrics"] for metric in scope["metrics"]):
                kind = next(kind for kind in ("sum", "gauge", "histogram") if kind in metric)
                values[metric["name"]] = sum(_value(point) for point in metric[kind]["dataPoints"])
    return values


def _value(point: Mapping[str, Any]) -> int:
    return int(point.get("asInt", point.get("asDouble", point.get("count", 0))))


def digest(content: str | bytes) -> str:
    return hashlib.sha256(content if isinstance(content, bytes) else content.encode()).hexdigest()


def codes(outcome: Any) -> set[str]:
    """The codes of a library outcome's refusals."""
    return {refusal.code for refusal in outcome.refusals}


def rewrite(lines: list[bytes], seed: bytes, edit: Mapping[int, Mapping[str, Any]] | None = None) -> list[bytes]:
    """The forger: the same history with some entries' event data changed and every hash computed anew.

    `seed` is the bytes of `ledger.json`, `edit` maps seq to members of `event.data` to replace. Everything it needs
    is in the published format, which is why a chain alone convinces nobody.
    """
    previous = hashlib.sha256(b"enforcer/ledger/v1\n" + seed).hexdigest()
    by_task: dict[str, str] = {}
    forged = []
    for seq, line in enumerate(lines):
        entry = json.loads(line)
        entry["event"]["data"].update((edit or {}).get(seq, {}))
        entry["prev"] = previous
        subject = entry["event"].get("subject")
        if subject is not None:
            entry["task_prev"] = by_task.get(subject)
        new = canonical(entry)
        previous = hashlib.sha256(b"\0" + new).hexdigest()
        if subject is not None:
            by_task[subject] = previous
        forged.append(new)
    return forged


def canonical(value: Any) -> bytes:
    """RFC 8785 for values without floats and with ASCII keys."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _content(path: Path) -> tuple[str, str]:
    if path.is_symlink():
        return "link", os.readlink(path)
    if path.is_file():
        return "file", digest(path.read_bytes())
    return "folder" if path.is_dir() else "other", ""
