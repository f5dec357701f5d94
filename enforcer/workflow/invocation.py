"""Which calls of the command `enforcer` a guarded tool may make: a worker moves its own task, and looks at anything.

Everything else that the command can do is a person's decision, made outside of guarded tools. The table lists what may
be said, word for word: an option that is not in it, such as `--actor` (to act as somebody else), `--root` (to act in
another project), `--process` and `--base` of `open` (to choose what one is judged by) or `--force`, makes the call one
that is not allowed, and so does a command that a later release adds.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_EVERYWHERE = ("--json", "--help", "-h")
_PROMPT = ("--prompt=", "--header=", "--role=", "--tools=", "--model=", "--persona=", "--volatile=")

# Command → its options; those that end in "=" take a value.
ALLOWED: dict[str, tuple[str, ...]] = {
    # What moves the worker's own task.
    "open": ("--title=", "--key="),
    "scaffold": (),
    "advance": ("--to=", "--dry-run", "--key="),
    "backtrack": ("--to=", "--reason=", "--key="),
    "run": ("--as=", "--key="),
    "attest": (*_PROMPT, "--key="),
    "evidence list": (),
    "evidence check": (),
    "evidence restore": ("--key=",),
    "lease claim": ("--key=",),
    "lease renew": ("--key=",),
    "lease release": ("--key=",),
    # What only reads.
    "": ("--version",),
    "status": (),
    "explain": ("--if-edited=",),
    "leases": (),
    "log": ("--format=",),
    "verify": ("--ref=", "--base=", "--incremental"),
    "certify": ("--change", "--ref="),
    "audit": ("--rejudge", "--stored", "--format=", "--evidence="),
    "prove": (),
    "verify-proof": (),
    "baseline show": (),
    "process show": (),
    "key show": ("--current",),
    "doctor": (),
}

# Options that take a value as well, and that no call may have: they let it act elsewhere, as somebody else, or under
# rules of its own choice.
FOREIGN = ("--root=", "--actor=", "--process=")

GROUPS = frozenset(name.partition(" ")[0] for name in ALLOWED if " " in name)


def allowed(words: tuple[str, ...]) -> bool:
    """Whether `enforcer` may be called with `words`. What follows a `--` is another command, and not judged here."""
    command, options = _read(words)
    if command not in ALLOWED and not (command in GROUPS and set(options) <= set(_EVERYWHERE)):
        return False
    known = (*_EVERYWHERE, *ALLOWED.get(command, ()))
    return all(option in known for option in options)


def command_of(words: tuple[str, ...]) -> str:
    """The command that is called, as the table writes it."""
    return _read(words)[0]


def _read(words: tuple[str, ...]) -> tuple[str, list[str]]:
    """The command and its options, as the table writes them; the values of options are left out."""
    plain: list[str] = []
    options: list[str] = []
    rest = iter(words)
    for word in rest:
        if word == "--":
            # A command of its own follows, and `run` alone takes one.
            options += [] if plain[:1] == ["run"] else ["--"]
            break
        if word.startswith("-") and word != "-":
            options.append(_option(word, rest))
        else:
            plain.append(word)
    return " ".join(plain[:2] if plain[:1] and plain[0] in GROUPS else plain[:1]), options


def _option(word: str, rest: Iterator[str]) -> str:
    """An option as the table writes it; a value that is a word of its own is taken from `rest`."""
    name, given, _ = word.partition("=")
    takes_value = any(f"{name}=" in options for options in (FOREIGN, *ALLOWED.values()))
    if takes_value and not given:
        next(rest, "")
    return f"{name}=" if takes_value or given else name
