"""Which files a patch writes, in any of the forms that tools take; or that it does not say so plainly.

Programs that apply patches differ: in how they count hunks, in which of several names they take, in how much of a
path they cut off, in what they forgive. So a patch is not parsed as one of them would: every line that one of them
could take for a header counts, wherever it stands, and each reading of it. The worst that this does is to name a file
too many. What could not be named without guessing makes the whole patch unreadable.
"""

from __future__ import annotations

_ENVELOPE = ("*** add file:", "*** update file:", "*** delete file:", "*** move to:", "*** rename to:")
_BRACKETS = ("*** begin patch", "*** end patch", "*** end of file")
_GIT = "diff --git "
_MOVED_FROM = ("rename from ", "rename old ", "copy from ")
_MOVED_TO = ("rename to ", "rename new ", "copy to ")

_HEADERS = ("--- ", "+++ ", "*** ", "Index:", _GIT)

_NOTHING = "/dev/null"
_WORDS = 16  # In how many words of a line an end of its name is looked for; a removed comment may look like a header.


class _Unreadable(Exception):
    """The patch may write something that it does not name plainly."""


def patched(patch: str) -> tuple[str, ...] | None:
    """The files that a patch may write, in the order in which it names them; None where it does not say so plainly.

    It does not where it names none, quotes a name, or has a `diff --git` section whose files stand neither in lines
    of their own (`---` and `+++`, `rename`, `copy`) nor unambiguously in the section's first line.
    """
    try:
        # Some programs take form feeds and the like for line ends, and some for a part of a name.
        found = dict.fromkeys((*_read(patch.split("\n")), *_read(patch.splitlines())))
    except _Unreadable:
        return None
    return tuple(found) or None


def _read(lines: list[str]) -> list[str]:
    found: list[str] = []
    owed: set[str] = set()  # The lines that the current section must still have, because its first line is ambiguous.
    indent = ""  # Of the current section: what a patch in a mail has before each line.
    for raw in lines:
        line = raw.strip()
        _check_disguise(raw)
        if line.startswith(_GIT):
            _settle(owed)
            indent = raw[: raw.index(_GIT)]
            pair = _of_header(line[len(_GIT) :].strip())
            owed = set() if pair else {"from", "to"}
            found += [reading for name in pair for reading in _readings(name)]
        elif (side := _side(line, raw.removeprefix(indent))) is not None:
            names = _of_line(line)
            owed -= {side} if names else set()
            found += names
        elif (raw.startswith("***") or line.startswith("*** ")) and not line.lower().startswith(_BRACKETS):
            # The first line of a context diff, or a header of the envelope that is none.
            raise _Unreadable
    _settle(owed)
    return [name for name in found if name != _NOTHING]


def _check_disguise(raw: str) -> None:
    """Some programs look for headers behind an indent of X, as old mailers made it, or behind RFC 934's `- `."""
    bare = raw.lstrip(" \t")
    if not bare.startswith(("X", "- ")):
        return
    while bare.startswith(("X", "- ", " ", "\t")):
        bare = bare[2:] if bare.startswith("- ") else bare[1:]
    if bare.startswith(_HEADERS):
        raise _Unreadable


def _settle(owed: set[str]) -> None:
    if owed:
        raise _Unreadable


def _side(line: str, outdented: str) -> str | None:
    """Which side of a change a line names: "from", "to", or "" where it has but one; None where it names nothing."""
    if line.startswith("--- ") or outdented.startswith(_MOVED_FROM):
        return "from"
    if line.startswith("+++ ") or outdented.startswith(_MOVED_TO):
        return "to"
    return "" if line.startswith("Index:") or line.lower().startswith(_ENVELOPE) else None


def _of_line(line: str) -> list[str]:
    """Every name that a line may be taken to give."""
    if line.startswith(("--- ", "+++ ", "Index:")):
        name, tab, date = line[len("Index:") if line[0] == "I" else len("+++ ") :].strip().partition("\t")
        if "/" in date:
            raise _Unreadable
        ends = (name.strip(),) if tab else _ends(name)
        return [reading for end in ends for reading in _readings(end)]
    for header in (*_ENVELOPE, *_MOVED_FROM, *_MOVED_TO):
        if line.lower().startswith(header):
            return [_plain(line[len(header) :].strip())]
    raise _Unreadable


def _ends(text: str) -> tuple[str, ...]:
    """The names that a text may hold with no tab to end one: all of it, or what is before a space and a date."""
    words = text.split(" ")
    shorter = (" ".join(words[:count]).rstrip() for count in range(1, min(len(words), _WORDS)))
    return tuple(dict.fromkeys((text, *shorter)))


def _of_header(text: str) -> tuple[str, ...]:
    """The two files in the first line of a git section; none where it is not plain where the first one ends."""
    middle = len(text) // 2
    left, space, right = text[:middle], text[middle : middle + 1], text[middle + 1 :]
    if space == " " and _without_prefix(left) == _without_prefix(right):
        return (left, right)
    return tuple(text.split(" ")) if text.count(" ") == 1 else ()


def _readings(name: str) -> tuple[str, ...]:
    """What a name in a diff may mean: `a/` and `b/` are git's; any other first folder may be cut off, or not."""
    name = _plain(name)
    if name == _NOTHING or name.startswith(("/", "state/")):
        return (name,)
    if name.startswith(("a/", "b/")):
        return (_plain(name[2:]),)
    return tuple(dict.fromkeys((name, name.partition("/")[2] or name)))


def _without_prefix(name: str) -> str:
    return name[2:] if name.startswith(("a/", "b/")) else name


def _plain(name: str) -> str:
    if not name or name.startswith('"') or not name.isprintable():
        raise _Unreadable
    return name
