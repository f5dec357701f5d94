"""Reads a Markdown document as sections.

Only what the rules ask about is read: headings (ATX and setext), fenced code, comments, front matter, list items. It
stands among the pure modules because what counts as a section with text in it is part of what is enforced. Every
pattern is linear, and a document that is no Markdown at all is simply one without headings.
"""

from __future__ import annotations

import re

from enforcer.workflow.record import Record
from enforcer.workflow.rules.prose import ITEM, count, count_code, placeholder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

TEXT, CODE = "text", "code"

# Patterns are text here, so that only a document that needs one has it compiled.
_FENCE = r"[ \t]*(?:[-*+>][ \t]+)*(`{3,}|~{3,})(.*)"
_ATX = r" {0,3}(#{1,6})(?:[ \t]+(.*))?$"
_UNDERLINE = r" {0,3}(?:=+|-+)[ \t]*$"
_NUMBER = r"(?:[0-9]+(?:\.[0-9]+)*[.):]?|[A-Za-z][.)]|[IVXivx]{1,5}[.)])[ \t]+"
_JOINT = r"(?i)[ \t]+and[ \t]+|[&/,+]"

_LOOKED_AT = 400  # Characters of a title that may hold a name.


class Line(Record):
    """One line outside comments; `number` counts from 1, `kind` is `text` or `code`."""

    number: int
    text: str
    kind: str = TEXT


class Section(Record):
    """A heading and the lines below it, up to the next heading of any level. `level` 0 stands before any heading.

    `names` is what the heading may be called: the whole first, then its parts where it joins several names.
    """

    level: int
    title: str
    number: int
    names: tuple[str, ...]
    lines: tuple[Line, ...]


def sections(text: str) -> tuple[Section, ...]:
    """The document cut at its headings, in order; the first has level 0 and what stands before any heading."""
    found = []
    level, title, number, names, lines = 0, "", 0, tuple[str, ...](), list[Line]()
    for item in _with_headings(tuple(_visible(text))):
        if isinstance(item, Line):
            lines.append(item)
            continue
        found.append(Section(level, title, number, names, tuple(lines)))
        (level, title, number), names, lines = item, _names(item[1]), []
    return (*found, Section(level, title, number, names, tuple(lines)))


def named(document: Iterable[Section], wanted: str, others: Iterable[str] = ()) -> tuple[Line, ...] | None:
    """The lines of every section called `wanted`, with those of its sub-sections; None when there is none.

    Case, numbering, punctuation and emphasis of a heading do not matter. A heading that joins names ("Edge Cases and
    Mitigations") stands for each of them where none stands for it alone. A sub-section whose name is among `others`
    is another section, so that a title over the whole document takes nothing from the sections below it.
    """
    parts = tuple(document)
    key = _key(wanted)
    exact = any(key in part.names[:1] for part in parts)
    keys = {_key(other) for other in others} - {key}
    found: list[Line] | None = None
    level = 0
    for part in parts:
        if key in (part.names[:1] if exact else part.names):
            found, level = found or [], part.level
        elif part.level <= level or keys.intersection(part.names):
            level = 0
        if level and found is not None:
            found += part.lines
    return None if found is None else tuple(found)


def sharing(document: Iterable[Section], wanted: str, others: Iterable[str]) -> int:
    """How many of the names asked for, `wanted` among them, rest on one heading that joins names, and on no other."""
    parts = tuple(document)
    exact = {part.names[0] for part in parts if part.names}
    key = _key(wanted)
    keys = {key, *map(_key, others)} - exact
    if key in exact:
        return 1
    return max((len(keys.intersection(part.names)) for part in parts if key in part.names), default=1)


def words(lines: Iterable[Line], enough: int) -> int:
    """How many words of real text the lines hold, counted no further than `enough`.

    Placeholders do not count, code does. Text is read across lines, as a tag or a target may be.
    """
    kept = [line for line in lines if not placeholder(line.text)]
    found = count("\n".join(line.text for line in kept if line.kind == TEXT))
    return min(found + sum(count_code(line.text) for line in kept if line.kind == CODE), enough)


def items(lines: Iterable[Line]) -> int:
    """How many list items with a word of real text the lines hold, at any depth."""
    found = [re.match(ITEM, line.text) for line in lines if line.kind == TEXT]
    return sum(1 for item in found if item and count(item[1]) and not placeholder(item[1]))


def _visible(text: str) -> Iterator[Line]:
    """The lines outside front matter and comments; what stands in a fence is code, the fences are left out."""
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    start = _after_front_matter(lines)
    fence, commented = "", False
    for number, line in enumerate(lines[start:], start + 1):
        if fence:
            if _closes(line, fence):
                fence = ""
            else:
                yield Line(number, line, CODE)
            continue
        opening = None if commented else re.match(_FENCE, line)
        if opening and not (opening[1][0] == "`" and "`" in opening[2]):
            fence = opening[1]
            continue
        line, commented = _without_comments(line, commented)
        yield Line(number, line)


def _after_front_matter(lines: list[str]) -> int:
    if lines[0].rstrip() != "---":
        return 0
    for number, line in enumerate(lines[1:200], 1):
        if line.rstrip() in ("---", "..."):
            return number + 1
    return 0


def _closes(line: str, fence: str) -> bool:
    text = line.strip(" \t>")
    return len(text) >= len(fence) and not text.strip(fence[0])


def _without_comments(line: str, commented: bool) -> tuple[str, bool]:
    """The line without its comments, and whether one goes on below. `<!--` in a span of code opens none."""
    kept: list[str] = []
    position = 0
    while True:
        if commented:
            end = line.find("-->", position)
            if end < 0:
                return "".join(kept), True
            position, commented = end + 3, False
        start = line.find("<!--", position)
        if start < 0:
            return "".join((*kept, line[position:])), False
        if line.count("`", position, start) % 2:
            kept.append(line[position : start + 4])
            position = start + 4
            continue
        kept.append(line[position:start])
        position, commented = start + 4, True


def _with_headings(lines: tuple[Line, ...]) -> Iterator[Line | tuple[int, str, int]]:
    position = 0
    while position < len(lines):
        line = lines[position]
        heading = re.match(_ATX, line.text) if line.kind == TEXT else None
        if heading:
            yield len(heading[1]), _unclosed(heading[2] or ""), line.number
        elif _is_setext(lines, position):
            underline = lines[position + 1].text.strip()
            yield 1 if underline[0] == "=" else 2, line.text.strip(), line.number
            position += 1
        else:
            yield line
        position += 1


def _unclosed(title: str) -> str:
    """An ATX title without the `#` characters that may close it."""
    bare = title.rstrip(" \t").rstrip("#")
    return bare.rstrip(" \t") if not bare or bare[-1] in " \t" else title.strip(" \t")


def _is_setext(lines: tuple[Line, ...], position: int) -> bool:
    """Whether a heading by underline starts here. A rule below a paragraph of several lines is meant as a rule."""
    if position + 1 >= len(lines) or lines[position].kind == CODE or lines[position + 1].kind == CODE:
        return False
    text = lines[position].text
    if not text.strip() or not re.match(_UNDERLINE, lines[position + 1].text):
        return False
    if re.match(ITEM, text) or text.startswith(("    ", "\t", ">", "|")) or re.match(_UNDERLINE, text):
        return False
    before = lines[position - 1] if position else None
    return before is None or before.kind == CODE or not before.text.strip() or bool(re.match(_ATX, before.text))


def _names(title: str) -> tuple[str, ...]:
    text = re.sub(r"^[^\w(]+", "", title[:_LOOKED_AT])
    text = text[number.end() :] if (number := re.match(_NUMBER, text)) else text
    outside, _, inside = text.partition("(")
    whole = outside.strip() or inside
    joined = [_key(part) for part in re.split(_JOINT, whole)]
    return (
        _key(whole.replace("&", " and ")),
        *(joined if len(joined) > 1 else ()),
        *((_key(inside),) if inside else ()),
    )


def _key(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())
