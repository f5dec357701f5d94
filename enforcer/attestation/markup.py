"""HTML put together from texts that nobody vouches for.

Whatever is a plain `str` is text: it is escaped where it is put in, and so is the value of an attribute. Only what
`tag` itself has made is markup. Putting two pieces together in any other way gives a plain `str` again, which is
escaped once more: a mistake shows in the page, and never opens it.

Characters that a reader would obey and not see (control and format characters, those that turn the direction of
writing, lone surrogates) are shown as escapes. A `bdi` around quoted text keeps what is left from moving what is
beside it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeAlias

    Child: TypeAlias = "str | Iterable[Child] | None"

# Elements that a newline follows, which nobody sees, so that the page can be read as a file as well.
_BLOCKS = frozenset(
    {
        *("html", "head", "meta", "body", "header", "main", "footer", "section", "aside", "div", "p", "h1", "h2", "h3"),
        *("ul", "ol", "li", "dl", "dt", "dd", "table", "thead", "tbody", "tr"),
    }
)
_SIGNS = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"})
_VOID = frozenset({"meta"})


class Html(str):
    """Markup that `tag` has made."""

    __slots__ = ()


def tag(name: str, /, *children: Child, **attributes: str | None) -> Html:
    """An element. Children that are None or empty are left out; a name that is reserved ends in an underscore.

    Names of elements and attributes are never taken from a ledger, values and children are.
    """
    named = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items() if value is not None}
    written = "".join(f' {key}="{escape(value)}"' for key, value in named.items())
    if name in _VOID:
        return Html(f"<{name}{written}>\n")
    return Html(f"<{name}{written}>{join(children)}</{name}>" + ("\n" if name in _BLOCKS else ""))


def join(children: Iterable[Child]) -> Html:
    """Pieces one after the other: markup as it is, text escaped."""
    parts: list[str] = []
    for child in children:
        if isinstance(child, Html):
            parts.append(child)
        elif isinstance(child, str):
            parts.append(escape(child))
        elif child is not None:
            parts.append(join(child))
    return Html("".join(parts))


def escape(text: str) -> str:
    """Text as it stands in HTML, between tags or in a quoted attribute."""
    shown = text if text.isprintable() else "".join(map(_shown, text))
    return shown.translate(_SIGNS)


def quoted(text: str) -> Html:
    """Words of others."""
    return tag("bdi", text)


def lines(*texts: str, **attributes: str | None) -> Html:
    """Preformatted text, a line for each."""
    return tag("pre", tag("code", Html("\n".join(map(escape, texts)))), **attributes)


def raw_style(sheet: str) -> Html:
    """The one style element. Its content is no text: it is left as it is, since a digest of it is what admits it."""
    if "</" in sheet:
        raise ValueError("a style sheet cannot close its own element")
    return Html(f"<style>{sheet}</style>\n")


def _shown(letter: str) -> str:
    return letter if letter.isprintable() else ascii(letter)[1:-1]
