"""Whether a tool call may be made in the phase a task is in.

Three sets decide, in this order: what no guarded tool may ever do, what a worker may always do, and what the phase
allows besides. A persona narrows the last. What is not known to be harmless is denied. The judge is advisory where
the worker could act around it (`docs/threat-model.md`); it never depends on a model's opinion.
"""

from __future__ import annotations

from enforcer.workflow.events import Refusal
from enforcer.workflow.process import CAPABILITIES, READ, WRITE
from enforcer.workflow.state import OPEN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from enforcer.workflow.commands import UseTool
    from enforcer.workflow.process import Process
    from enforcer.workflow.state import TaskState

CODE = "tool_out_of_phase"

# Files and folders of the project that decide what the gate and the hosts enforce.
PROTECTED = (".git", "enforcer.toml", ".claude", ".codex", ".cursor", ".gemini", ".github/hooks")

# `enforcer` commands that move a worker's own task, by their first words.
OWN_COMMANDS = ("open", "scaffold", "evidence", "advance", "backtrack", "attest", "lease", "run")

# `enforcer` commands that only read.
READING_COMMANDS = (
    "status",
    "explain",
    "leases",
    "log",
    "verify",
    "audit",
    "prove",
    "verify-proof",
    "baseline show",
    "process show",
    "key show",
    "doctor",
    "reconcile",
    "--version",
    "--help",
)


def judge(call: UseTool, state: TaskState, process: Process) -> tuple[Refusal, ...]:
    """Every reason why the call may not be made now; empty where it may."""
    if call.enforcer:
        return _enforcer(call, state)
    reasons = [_protected(path, state) for path in call.writes if _is_protected(path, call, state, process)]
    evidence = f"state/evidence/{state.task}/{state.phase.lower()}/"
    own_evidence = bool(call.writes) and all(_below(path, evidence) for path in call.writes)
    allowed = allowed_now(call.persona, state, process)
    missing = [need for need in call.needs if need not in allowed and not (need == WRITE and own_evidence and not call.opaque)]
    if own_evidence and state.status != OPEN:
        missing.append(WRITE)
    reasons += [_missing(need, call, state, process) for need in dict.fromkeys(missing)]
    return tuple(reasons)


def allowed_now(persona: str, state: TaskState, process: Process) -> tuple[str, ...]:
    """The capabilities that the phase allows, narrowed by the persona; only reading on a closed task."""
    if state.status != OPEN:
        return (READ,)
    tools = (READ, *process.phase(state.phase).tools)
    if not persona:
        return tools
    return tuple(tool for tool in tools if tool == READ or tool in process.personas.get(persona, ()))


def _is_protected(path: str, call: UseTool, state: TaskState, process: Process) -> bool:
    if any(_below(path, guarded) for guarded in (*PROTECTED, *call.protected)):
        return True
    if "/.git/" in f"/{path.casefold()}/":
        return True
    return _below(path, "state") and not _below(path, f"state/evidence/{state.task}/{state.phase.lower()}/")


def _below(path: str, folder: str) -> bool:
    """Whether `path` is `folder` or lies below it. Letter case is ignored, as some file systems do."""
    inside, outer = path.casefold().rstrip("/"), folder.casefold().rstrip("/")
    return inside == outer or inside.startswith(outer + "/")


def _protected(path: str, state: TaskState) -> Refusal:
    fix = "Evidence of this phase goes below state/evidence/{}/{}/; the rest is changed by people, outside guarded tools."
    return Refusal(CODE, f"No guarded tool writes {path}.", state.phase, path, fix.format(state.task, state.phase.lower()))


def _missing(need: str, call: UseTool, state: TaskState, process: Process) -> Refusal:
    if state.status != OPEN:
        return Refusal(CODE, f"The task is {state.status}: {need} is not allowed any more.", state.phase, fix="Open a new task.")
    if need not in CAPABILITIES:
        return Refusal(CODE, f"{call.tool} is not a tool that the guard knows.", state.phase, fix="Use a known tool, or name it in the process.")
    phases = [phase.name for phase in process.phases if need in phase.tools]
    where = f"It is allowed in {', '.join(phases)}." if phases else "No phase of this process allows it."
    who = f" for the persona {call.persona}" if call.persona else ""
    unknown = " What a shell command writes is not judged, so it counts as writing." if call.opaque and need == WRITE else ""
    return Refusal(CODE, f"{call.tool} needs {need}, which {state.phase} does not allow{who}.{unknown}", state.phase, fix=where)


def _enforcer(call: UseTool, state: TaskState) -> tuple[Refusal, ...]:
    words = [word for word in call.enforcer if not word.startswith("-")] or list(call.enforcer[:1])
    first, pair = (words[0], " ".join(words[:2])) if words else ("", "")
    if first in READING_COMMANDS or pair in READING_COMMANDS:
        return ()
    if first in OWN_COMMANDS and "--force" not in call.enforcer and "--" not in call.enforcer:
        return ()
    message = f"`enforcer {pair or first}` is not for a guarded tool."
    return (Refusal(CODE, message, state.phase, fix="A person runs it, in their own terminal."),)
