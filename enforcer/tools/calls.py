"""What a tool call would do: the names that hosts give their tools, as capabilities and paths.

A call is JSON: {"tool": NAME, "input": {…}, "session": …, "call": …, "persona": …}; the last three may be left out. A
tool that is not in the table needs a capability that no phase gives, so it is denied by name. Nothing is run here, and
of the disk only links are read.
"""

from __future__ import annotations

import os
from hashlib import sha256

from enforcer.errors import RequestError
from enforcer.ledger.codec import JsonFault, parse
from enforcer.tools.patches import patched
from enforcer.tools.paths import places, shared
from enforcer.tools.words import mentions_own_call, own_call, read_words
from enforcer.workflow.commands import UseTool
from enforcer.workflow.guard import shown
from enforcer.workflow.process import COMMIT, DEPLOY, NETWORK, PUSH, READ, RUN, WRITE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
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

# Tools that write files → the members of their input one of which must name one.
_WRITING: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("Write", "Edit", "MultiEdit"), ("file_path", "path")),
    "NotebookEdit": ("notebook_path", "file_path"),
    **dict.fromkeys(("write", "edit"), ("file_path", "path")),
}

# Endings of members that name a file, at any depth of the input and however they are spelled otherwise, and of those
# that name the folder where paths begin. What they hold is judged, or the call is not one.
_PATHS = ("path", "paths", "file", "files", "filename", "filenames", "notebook", "uri", "target", "destination")
_FOLDERS = ("cwd", "workdir", "dir", "directory", "folder")

# Members of a shell call that change nothing of what a plain call of `enforcer` does; an environment would.
_HARMLESS = frozenset(
    ("command", "description", "explanation", "justification", "timeout", "timeout_ms", "run_in_background")
)

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
        if not any(member in given for member in _WRITING[tool]):
            raise _bad(f"{tool} names no file", f"Give it as {_WRITING[tool][0]}.")
        return _writing(list(_named(given, root)), root, state)
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
    own = own_call(words) if words else None
    if own is None or _elsewhere(given, root) or not _is_plain(given):
        return {**anything, "text": _digest(command), "mixed": own is not None or mentions_own_call(command)}
    own = _without_root(own, root)
    if "--" not in own:
        return {"needs": (), "enforcer": own}
    # After `--` stands a command that Enforcer would run, and it is judged as itself.
    mixed = mentions_own_call(" ".join(own[own.index("--") + 1 :]))
    return {**anything, "text": _digest(command), "enforcer": own, "mixed": mixed}


def _digest(command: str) -> str:
    return sha256(command.encode("utf-8", "surrogatepass")).hexdigest()


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
        return {"needs": (WRITE,), "unreadable": True}
    return _writing([*(_path(name, "patch") for name in named), *_named(given, root)], root, state)


def _writing(named: list[str], root: str, state: str) -> dict[str, Any]:
    told = {path: places(path, root=root, state=state) for path in named}
    return {
        "needs": (WRITE,),
        "writes": tuple(dict.fromkeys(place for found in told.values() for place in found)),
        "shared": tuple(dict.fromkeys(told[path][0] for path in told if shared(path, root=root))),
    }


def _named(given: Any, root: str) -> Iterator[str]:
    """Every path in the input of a writing tool, whatever its member is called. Texts that are content hold none."""
    if isinstance(given, list):
        for each in given:
            yield from _named(each, root)
    elif isinstance(given, dict):
        if _elsewhere(given, root):
            raise _bad("its paths do not begin in the project's folder", "Name paths relative to the project.")
        for member, value in given.items():
            if _ends(member, _PATHS) and not isinstance(value, bool):
                yield _path(value, member)
            else:
                yield from _named(value, root)


def _elsewhere(given: dict[str, Any], root: str) -> bool:
    """Whether the input names a folder to start from that is not the project's, or that cannot be read."""
    named = [value for member, value in given.items() if _ends(member, _FOLDERS) and value not in (None, False, True)]
    top = os.path.realpath(root)
    return any(not isinstance(each, str) or os.path.realpath(os.path.join(top, each)) != top for each in named)


def _is_plain(given: dict[str, Any]) -> bool:
    """Whether nothing stands beside the command that could change what it does: no environment, no second text."""
    return all(member in _HARMLESS or _ends(member, _FOLDERS) for member in given)


def _ends(member: str, endings: tuple[str, ...]) -> bool:
    return member.casefold().replace("_", "").replace("-", "").endswith(endings)


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
        raise _bad(f"its {shown(member)} is not a path of at most {MAX_PATH} characters")
    if "://" in value:
        raise _bad(f"its {shown(member)} is an address, not a path")
    return value


def _bad(what: str, fix: str = "") -> RequestError:
    usual = 'Send {"tool": NAME, "input": {…}, "session": …, "call": …, "persona": …}.'
    return RequestError("bad_tool_call", f"The tool call was not understood: {what}.", fix=fix or usual)
