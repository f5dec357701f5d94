"""Patterns of paths, as risk classes name them, in the manner of `.gitignore`.

- `*` stands for any characters of one name, `?` for one character, `**` as a whole name for any number of folders.
- A pattern with a slash at its start or within begins at the top of the project; any other is looked for in every
  folder.
- What matches a folder matches everything in it. A pattern that ends in a slash means folders only, and one that ends
  in `/**` means what is in the folder and not a file of that name.
- Letter case counts. There are no brackets, escapes or negations, so a reader sees at once what a pattern leaves out.

No pattern takes longer than its own length times that of the path: each name of a pattern is held against each name of
a path at most once, and within the two names the same holds for their characters.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LONGEST = 256
"""Characters of a pattern."""

_MANY = "**"
_UNKNOWN = frozenset("[]{}\\!")


def check_pattern(pattern: str) -> str:
    """Why `pattern` is none, as the end of a sentence that begins with it; "" where it is one."""
    names = pattern.removeprefix("/").removesuffix("/").split("/")
    if not pattern.strip("/"):
        return "is empty"
    if len(pattern) > LONGEST:
        return f"is longer than {LONGEST} characters"
    if not pattern.isprintable() or pattern != pattern.strip():
        return "has control characters, or white space around it"
    if found := sorted(_UNKNOWN.intersection(pattern)):
        return f"has {found[0]}, which has no meaning here; a pattern knows *, ? and **"
    if not all(names):
        return "has two slashes in a row"
    if "." in names or ".." in names:
        return "has . or .. as a name, which no path has"
    if any(_MANY in name and name != _MANY for name in names):
        return "has ** as a part of a name; it stands alone between slashes"
    return ""


def matches(pattern: str, path: str) -> bool:
    """Whether `pattern` matches a file's path, relative to the project, with slashes between its names.

    The `./` that git's answers put before a path which is not UTF-8 does not count.
    """
    return _fits(_names(pattern), path.removeprefix("./").split("/"), _MANY, _is_named)


def _names(pattern: str) -> list[str]:
    """The names that a file's path has to have, from the top of the project to the file itself."""
    folder = pattern.endswith("/")
    names = pattern.removesuffix("/").removeprefix("/").split("/")
    if len(names) == 1 and not pattern.startswith("/"):
        names.insert(0, _MANY)
    if names[-1] == _MANY:
        names[-1:] = ["*"]
    return [*names, *(["*"] if folder else []), _MANY]


def _is_named(pattern: str, name: str) -> bool:
    return _fits(pattern, name, "*", _is_character)


def _is_character(pattern: str, character: str) -> bool:
    return pattern in ("?", character)


def _fits(pattern: Sequence[str], text: Sequence[str], many: str, one: Callable[[str, str], bool]) -> bool:
    """Whether `text` is made as `pattern` says, where `many` stands for any number of parts.

    Where a part does not fit, only the last `many` takes one part more: whatever an earlier one could still take, the
    last one can as well.
    """
    at = done = 0
    star, taken = -1, 0
    while done < len(text):
        if at < len(pattern) and pattern[at] == many:
            star, taken = at, done
            at += 1
        elif at < len(pattern) and one(pattern[at], text[done]):
            at += 1
            done += 1
        elif star >= 0:
            taken += 1
            at, done = star + 1, taken
        else:
            return False
    return all(part == many for part in pattern[at:])
