"""Shell commands that are plain words, read without a shell; everything else is left unread.

A command is read only where every POSIX shell would pass exactly these words to one program: no expansion, no
operator, no redirection, no comment, nothing that could be either. The rest may do anything, and is judged so.
"""

from __future__ import annotations

_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
_PLAIN = _LETTERS | frozenset("._/@:=+,-")
_LIVE = frozenset("$`\\!\n\r\0")  # What stays alive between double quotes, and what no word can hold.
_OPERATORS = frozenset(";&|()<>{}\n`")

# Words that may stand before the command that is really run.
_BEFORE = frozenset(
    (
        "builtin",
        "command",
        "do",
        "doas",
        "else",
        "env",
        "exec",
        "if",
        "nice",
        "nohup",
        "sudo",
        "then",
        "time",
        "while",
        "xargs",
        "!",
    )
)


def read_words(command: str) -> tuple[str, ...] | None:
    """The words of a plain command; None where it is not one. An assignment in front makes it one that is not."""
    words: list[str] = []
    word: str | None = None
    quote = ""
    for letter in command:
        if quote:
            if letter == quote:
                quote = ""
            elif letter == "\0" or (quote == '"' and letter in _LIVE):
                return None
            else:
                word = (word or "") + letter
        elif letter in ("'", '"'):
            quote, word = letter, word or ""
        elif letter == " ":
            words += [word] if word is not None else []
            word = None
        elif letter in _PLAIN:
            word = (word or "") + letter
        else:
            return None
    if quote:
        return None
    words += [word] if word is not None else []
    return None if words and _is_assignment(words[0]) else tuple(words)


def own_call(words: tuple[str, ...]) -> tuple[str, ...] | None:
    """What follows the bare word `enforcer`; None where the words call something else.

    `python -m enforcer` is something else: it runs what the working folder holds under the names that are imported.
    """
    return words[1:] if words[:1] == ("enforcer",) else None


def mentions_own_call(command: str) -> bool:
    """Whether some program in a command that was not read seems to be `enforcer`: a guess, on the side of caution."""
    return any(_calls(piece.split()) for piece in _pieces(command))


def _pieces(command: str) -> list[str]:
    return "".join("\n" if letter in _OPERATORS else letter for letter in command).split("\n")


def _calls(words: list[str]) -> bool:
    words = [word.strip("'\"") for word in words]
    while words and (words[0] in _BEFORE or _is_assignment(words[0])):
        words = words[1:]
    if not words:
        return False
    program = words[0].rpartition("/")[2]
    return program == "enforcer" or (program.startswith("python") and _module(words[1:]) == "enforcer")


def _module(words: list[str]) -> str:
    """The package whose module Python is told to run: `-m x`, `-mx`, `-Im x`, `-I -m x.y`; empty where it is not."""
    for at, word in enumerate(words):
        flags, given, attached = word.partition("m")
        if given and flags.startswith("-") and (flags[1:] or "I").isalpha():
            module = attached or "".join(words[at + 1 : at + 2])
            return module.partition(".")[0]
    return ""


def _is_assignment(word: str) -> bool:
    name, given, _ = word.partition("=")
    return bool(given) and name.replace("_", "a").isalnum() and not name[0].isdigit()
