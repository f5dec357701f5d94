"""What a tool call would do: the names that hosts give their tools, as capabilities and paths.

A call is JSON: {"tool": NAME, "input": {…}, "session": …, "call": …, "persona": …}; the last three may be left out. A
tool that is not in the table needs a capability that no phase gives, so it is denied by name. Nothing is run here, and
of the disk only links are read.
"""

from __future__ import annotations

import os

from enforcer.errors import RequestError
from enforcer.ledger.codec import JsonFault, parse
from enforcer.tools.paths import patched, places
from enforcer.tools.words import mentions_own_call, own_call, read_words
from enforcer.workflow.commands import UseTool
from enforcer.workflow.process import COMMIT, DEPLOY, NETWORK, PUSH, READ, RUN, WRITE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_CALL = 5 << 20  # Bytes of a call; the content of a file that is written may come with it.
MAX_PATH = 4096
MAX_NAME = 256

UNKNOWN = "unknown"  # Needed by tools that are not in the tables; no phase can allow it.

# Tools whose input changes nothing of the judgement.
_SIMPLE: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("Read", "Glob", "Grep", "LS", "NotebookRead", "read", "glob", "grep", "list"), (READ,)),
    # They keep lists, wait, ask, or hand work to an agent whose own calls are guarded.
    **dict.fromkeys(("TodoRead", "TodoWrite", "ExitPlanMode", "AskUserQuestion", "BashOutput", "Task"), (READ,)),
    **dict.fromkeys(("KillShell", "KillBash"), (RUN,)),
    **dict.fromkeys(("WebFetch", "WebSearch", "fetch"), (NETWORK,)),
    "commit": (COMMIT,),
    "push": (PUSH,),
    "deploy": (DEPLOY,),
}

# Tools that write one file → the members of their input that may name it.
_WRITING: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("Write", "Edit", "MultiEdit"), ("file_path", "path")),
    "NotebookEdit": ("notebook_path", "file_path"),
    **dict.fromkeys(("write", "edit"), ("file_path", "path")),
}

_SHELLS = frozenset(("Bash", "bash", "shell", "run"))
_PATCHING = frozenset(("apply_patch",))


def read_call(data: bytes, *, root: str, protected: tuple[str, ...], state: str = "") -> UseTool:
    """What a tool call asks for. Raises `RequestError` (`bad_tool_call`) where it is not one.

    `root` is the project's folder, `state` its state folder (by default `root/state`), `protected` further paths that
    no tool may write, told as the paths of a call are.
    """
    call = _object(data)
    tool, given = _name(call, "tool"), call.get("input", {})
    if not tool:
        raise _bad("it does not name its tool")
    if not isinstance(given, dict):
        raise _bad("its input is not an object")
    return UseTool(
        tool=tool,
        protected=protected,
        session=_name(call, "session"),
        call=_name(call, "call"),
        persona=_name(call, "persona"),
        **_asked(tool, given, root, state or os.path.join(root, "state")),
    )


def _asked(tool: str, given: dict[str, Any], root: str, state: str) -> dict[str, Any]:
    if tool in _SIMPLE:
        return {"needs": _SIMPLE[tool]}
    if tool in _SHELLS:
        return _shell(given, root)
    if tool in _PATCHING:
        return _patch(given, root, state)
    if tool in _WRITING:
        named = [_path(given[member], member) for member in _WRITING[tool] if member in given]
        if not named:
            raise _bad(f"{tool} names no file", f"Give it as {_WRITING[tool][0]}.")
        return {"needs": (WRITE,), "writes": _written(named, root, state)}
    return {"needs": (UNKNOWN,)}


def _shell(given: dict[str, Any], root: str) -> dict[str, Any]:
    """A shell command may do anything that running and writing can, unless it is a plain call of `enforcer`."""
    command = given.get("command")
    if isinstance(command, str) and command.strip():
        words = read_words(command.strip())
    elif isinstance(command, list) and command and all(isinstance(word, str) for word in command):
        words = tuple(command)
        command = " ".join(command)
    else:
        raise _bad("its command is neither text nor a list of words")
    anything = {"needs": (RUN, WRITE), "opaque": True}
    # `python -m` looks into the current folder first, where something else may bear the name.
    planted = any(os.path.lexists(os.path.join(root, name)) for name in ("enforcer", "enforcer.py"))
    own = own_call(words, module=not planted) if words else None
    if own is None:
        return {**anything, "mixed": mentions_own_call(command)}
    own = _without_root(own, root)
    if "--" not in own:
        return {"needs": (), "enforcer": own}
    # After `--` stands a command that Enforcer would run, and it is judged as itself.
    return {**anything, "enforcer": own, "mixed": mentions_own_call(" ".join(own[own.index("--") + 1 :]))}


def _without_root(words: tuple[str, ...], root: str) -> tuple[str, ...]:
    """The words without a `--root` that names this very project, as installed hooks have it."""
    for at, word in enumerate(words):
        if word == "--":
            break
        value, length = (word[7:], 1) if word.startswith("--root=") else ("", 0)
        if word == "--root" and at + 1 < len(words):
            value, length = words[at + 1], 2
        if length and os.path.isabs(value) and os.path.realpath(value) == os.path.realpath(root):
            return words[:at] + words[at + length :]
    return words


def _patch(given: dict[str, Any], root: str, state: str) -> dict[str, Any]:
    texts = [given[member] for member in ("patch", "input", "diff") if member in given]
    if len(texts) != 1 or not isinstance(texts[0], str):
        raise _bad("its patch is not one text")
    named = patched(texts[0])
    if named is None:
        return {"needs": (WRITE,), "opaque": True}
    return {"needs": (WRITE,), "writes": _written([_path(name, "patch") for name in named], root, state)}


def _written(named: list[str], root: str, state: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(place for path in named for place in places(path, root=root, state=state)))


# Reading -------------------------------------------------------------------------------------------------------------


def _object(data: bytes) -> dict[str, Any]:
    try:
        call = parse(data, max_bytes=MAX_CALL)
    except JsonFault as fault:
        raise _bad(f"it cannot be read: {fault}") from None
    if not isinstance(call, dict):
        raise _bad("it is not an object")
    # A misspelled `persona` would otherwise allow more than was meant.
    unknown = sorted(call.keys() - {"tool", "input", "session", "call", "persona"})
    if unknown:
        raise _bad(f"it has the unknown member {unknown[0][:60]!a}")
    return call


def _name(call: dict[str, Any], member: str) -> str:
    value = call.get(member, "")
    if not isinstance(value, str) or len(value) > MAX_NAME:
        raise _bad(f"its {member} is not a text of at most {MAX_NAME} characters")
    return value


def _path(value: Any, member: str) -> str:
    if not isinstance(value, str) or not value or len(value) > MAX_PATH or "\0" in value:
        raise _bad(f"its {member} is not a path of at most {MAX_PATH} characters")
    return value


def _bad(what: str, fix: str = "") -> RequestError:
    usual = 'Send {"tool": NAME, "input": {…}, "session": …, "call": …, "persona": …}.'
    return RequestError("bad_tool_call", f"The tool call was not understood: {what}.", fix=fix or usual)
