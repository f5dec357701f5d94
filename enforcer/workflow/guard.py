"""Whether a tool call may be made in the phase a task is in.

Three sets decide, in this order: what no guarded tool may ever do, what a worker may always do, and what the phase
allows besides. A persona narrows the last. What is not known to be harmless is denied. The judge is advisory where
the worker could act around it (`docs/threat-model.md`); it never depends on a model's opinion.
"""

from __future__ import annotations

from enforcer.workflow import invocation
from enforcer.workflow.events import Refusal
from enforcer.workflow.process import CAPABILITIES, READ, WRITE
from enforcer.workflow.state import OPEN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from enforcer.workflow.commands import UseTool
    from enforcer.workflow.process import Process
    from enforcer.workflow.state import TaskState

CODE = "tool_out_of_phase"

# Names that decide what the gate, git and the hosts' hooks enforce, wherever they stand: a settings file planted in a
# subfolder counts there as much as the one at the top. In small letters, because some file systems ignore case.
PROTECTED = ("enforcer.toml", ".git", ".claude", ".codex", ".cursor", ".gemini", ".github/hooks")

LISTED = 20  # Reasons and paths that one denial names: a line of the ledger has a bound, a tool call has not.
SHOWN = 200  # Characters of a path or name that are shown.


def judge(call: UseTool, state: TaskState, process: Process) -> tuple[Refusal, ...]:
    """Every reason, up to a limit, why the call may not be made now; none where it may."""
    reasons = _invocation(call, state)
    reasons += [_unreadable(call, state)] if call.unreadable else []
    reasons += [_shared(path, state) for path in call.shared]
    reasons += [_protected(path, state) for path in call.writes if _is_protected(path, call, state)]
    told = bool(call.writes) and not (call.opaque or call.unreadable or call.shared)
    own_evidence = told and all(is_own_evidence(path, state) for path in call.writes)
    if own_evidence and state.status == OPEN:
        needs = [need for need in call.needs if need != WRITE]
    else:
        needs = list(call.needs)
    allowed = allowed_now(call.persona, state, process)
    reasons += [_missing(need, call, state, process) for need in dict.fromkeys(needs) if need not in allowed]
    return tuple(reasons[:LISTED])


def forbidden(call: UseTool, state: TaskState) -> bool:
    """Whether some of the call is for no guarded tool, in whatever phase: each such attempt is worth an entry."""
    return bool(_invocation(call, state)) or any(_is_protected(path, call, state) for path in call.writes)


def allowed_now(persona: str, state: TaskState, process: Process) -> tuple[str, ...]:
    """The capabilities that the phase allows, narrowed by the persona; only reading on a closed task."""
    if state.status != OPEN:
        return (READ,)
    tools = (READ, *process.phase(state.phase).tools)
    if not persona:
        return tools
    return tuple(tool for tool in tools if tool == READ or tool in process.personas.get(persona, ()))


def is_own_evidence(path: str, state: TaskState) -> bool:
    """Whether a path lies below the evidence folder of the task's current phase. Case counts: `t` is not task `T`."""
    return path.startswith(f"state/evidence/{state.task}/{state.phase.lower()}/")


def shown(text: str) -> str:
    """Text from outside, fit for a line: no control or direction character, and not without end."""
    text = text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
    return text if text.isprintable() else ascii(text)[1:-1][:SHOWN]


def _is_protected(path: str, call: UseTool, state: TaskState) -> bool:
    if any(_below(path, guarded) for guarded in call.protected):
        return True
    inside = f"/{path.casefold()}/"
    if any(f"/{name}/" in inside for name in PROTECTED):
        return True
    return _below(path, "state") and not is_own_evidence(path, state)


def _below(path: str, folder: str) -> bool:
    """Whether `path` is `folder` or lies below it. Letter case is ignored, as some file systems do."""
    inside, outer = path.casefold().rstrip("/"), folder.casefold().rstrip("/")
    return inside == outer or inside.startswith(outer + "/")


def _invocation(call: UseTool, state: TaskState) -> list[Refusal]:
    if call.mixed:
        message = "`enforcer` is called with other commands, as a module, or in words that the guard does not read."
        fix = "Call it on its own, by its bare name and in plain words: enforcer status TASK"
        return [Refusal(CODE, message, state.phase, fix=fix)]
    if not call.enforcer or invocation.allowed(call.enforcer):
        return []
    command = shown(invocation.command_of(call.enforcer))
    message = f"This call of `enforcer{' ' if command else ''}{command}` is not for a guarded tool."
    if command in invocation.ALLOWED:
        fix = "Leave out options that are not a worker's: --root, --actor, --force, --process, and --base of open."
    else:
        fix = "A person runs it, in a terminal of their own."
    return [Refusal(CODE, message, state.phase, fix=fix)]


def _protected(path: str, state: TaskState) -> Refusal:
    folder = f"state/evidence/{state.task}/{state.phase.lower()}/"
    fix = f"Evidence of this phase goes below {folder}; the rest is changed by people, outside guarded tools."
    return Refusal(CODE, f"No guarded tool writes {shown(path)}.", state.phase, shown(path), fix)


def _shared(path: str, state: TaskState) -> Refusal:
    message = f"{shown(path)} is one file under several names, and writing it changes what the others hold."
    fix = "Put a copy in its place that has no other name, then write that; or write a new file."
    return Refusal(CODE, message, state.phase, shown(path), fix)


def _unreadable(call: UseTool, state: TaskState) -> Refusal:
    message = f"The patch given to {shown(call.tool)} does not say plainly which files it writes."
    return Refusal(CODE, message, state.phase, fix="Write it as a plain unified diff, or use the edit tool.")


def _missing(need: str, call: UseTool, state: TaskState, process: Process) -> Refusal:
    tool = shown(call.tool)
    if need not in CAPABILITIES:
        message = f"{tool} is not a tool that the guard knows."
        return Refusal(CODE, message, state.phase, fix="Use a tool that it knows.")
    if state.status != OPEN:
        message = f"The task is {state.status}: {need} is not allowed any more."
        return Refusal(CODE, message, state.phase, fix="Open a new task.")
    phases = [phase.name for phase in process.phases if need in phase.tools]
    where = f"It is allowed in {', '.join(phases)}." if phases else "No phase of this process allows it."
    who = f" for the persona {shown(call.persona)}" if call.persona else ""
    unread = " What it writes cannot be told, so it counts as writing." if call.opaque and need == WRITE else ""
    return Refusal(
        CODE, f"{tool} needs {need}, which {state.phase} does not allow{who}.{unread}", state.phase, fix=where
    )
