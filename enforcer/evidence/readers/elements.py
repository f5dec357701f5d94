"""Walks an XML report, and reads nothing but the report.

Reports come from commands that a worker chose the inputs of, so this is XML without what makes XML dangerous: an
internal subset, where entities are declared that grow or that name files, is refused, and so is a reference to any
entity that a document type elsewhere would declare. A document type that only names its definition, as some writers
of Cobertura reports put one first, is passed over: nothing is fetched. Size and depth are bounded, and a walk takes
time in proportion to the bytes.
"""

from __future__ import annotations

from xml.parsers import expat

from enforcer.evidence.readers.fault import MAX_DEPTH, Unreadable, bounded, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn, Protocol

    class Visitor(Protocol):
        """What a walk calls, in the order of the document. `place` is the line, for messages."""

        def open(self, name: str, attributes: Mapping[str, str], place: str) -> None: ...

        def text(self, data: str) -> None: ...

        def close(self, name: str) -> None: ...


def walk(data: bytes, visitor: Visitor) -> None:
    """Show every element of a document to `visitor`. Raises `Unreadable` for what is not well-formed and bounded."""
    _Walk(visitor).run(bounded(data))


class _Walk:
    def __init__(self, visitor: Visitor) -> None:
        self._visitor = visitor
        self._depth = 0
        self._parser = parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._open
        parser.EndElementHandler = self._close
        parser.CharacterDataHandler = visitor.text
        parser.StartDoctypeDeclHandler = self._doctype
        parser.EntityDeclHandler = self._entity
        parser.SkippedEntityHandler = self._entity
        parser.ExternalEntityRefHandler = self._entity

    def run(self, data: bytes) -> None:
        try:
            self._parser.Parse(data, True)
        except Unreadable:
            raise
        except expat.ExpatError as error:
            raise Unreadable(f"it is not XML: {expat.ErrorString(error.code)} at line {error.lineno}") from None
        except (LookupError, ValueError) as error:  # What an unknown encoding in the declaration becomes.
            raise Unreadable(f"it is not XML that can be decoded: {shown(error)}") from None

    def _open(self, name: str, attributes: Mapping[str, str]) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise Unreadable(f"elements are nested more than {MAX_DEPTH} deep at {self._place()}")
        self._visitor.open(name, attributes, self._place())

    def _close(self, name: str) -> None:
        self._depth -= 1
        self._visitor.close(name)

    def _doctype(self, name: str, system: str | None, public: str | None, internal: bool) -> None:
        if internal:
            self._entity()

    def _entity(self, *declared: object) -> NoReturn:
        raise Unreadable(f"it declares or uses an entity of its own at {self._place()}, which a report has no need of")

    def _place(self) -> str:
        return f"line {self._parser.CurrentLineNumber}"
