"""Cobertura XML, the form of coverage-04.dtd: what coverage.py, istanbul, c8, gocover-cobertura and others write.

A `class` names a file, relative to one of the `source` folders, and lists lines; several classes may name one file, as
those of Java and of Go do. The lines of its methods are listed a second time, and by some writers with numbers that
are no executable lines, so only the list of the class itself counts.
"""

from __future__ import annotations

from enforcer.evidence.readers.elements import walk
from enforcer.evidence.readers.fault import Unreadable, count, shown
from enforcer.evidence.readers.lines import Lines, Report, check_rate, check_told, line_number, of_hits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_LINES_OF_CLASS = ["classes", "class", "lines"]


def read(data: bytes) -> Report:
    """What the report lists. Raises `Unreadable`."""
    report = _Report()
    walk(data, report)
    report.check()
    return Report(tuple(report.files), tuple(report.sources))


class _Report:
    """The visitor."""

    def __init__(self) -> None:
        self.files: list[tuple[str, Lines]] = []
        self.sources: list[str] = []
        self._told: Mapping[str, str] = {}
        self._path: list[str] = []
        self._class: tuple[str, Mapping[str, str]] = ("", {})
        self._hits: dict[int, int] = {}
        self._source: list[str] | None = None

    def open(self, name: str, attributes: Mapping[str, str], place: str) -> None:
        if not self._path:
            self._begin(name, attributes)
        elif name == "class":
            self._begin_class(attributes, place)
        elif name == "source":
            self._source = []
        elif name == "line" and self._path[-3:] == _LINES_OF_CLASS:
            number = line_number(attributes.get("number", ""), f"a line's number at {place}")
            hits = count(attributes.get("hits", ""), f"the hits of line {number} at {place}")
            self._hits[number] = self._hits.get(number, 0) + hits
        self._path.append(name)

    def text(self, data: str) -> None:
        if self._source is not None:
            self._source.append(data)

    def close(self, name: str) -> None:
        self._path.pop()
        if name == "class":
            self._end_class()
        elif name == "source" and self._source is not None:
            self.sources.append("".join(self._source).strip())
            self._source = None

    def check(self) -> None:
        """The sums of the report are those of its classes, or of its files where classes share one."""
        files: dict[str, Lines] = {}
        for path, lines in self.files:
            files[path] = files[path].merged(lines) if path in files else lines
        tellings = ([lines for _, lines in self.files], list(files.values()))
        covered = [sum(len(one.executed) for one in telling) for telling in tellings]
        valid = [sum(one.total for one in telling) for telling in tellings]
        for name, found in (("lines-covered", covered), ("lines-valid", valid)):
            if name in self._told:
                check_told(count(self._told[name], name), found, name)
        if "line-rate" in self._told:
            check_rate(self._told["line-rate"], covered[0], valid[0], "the line-rate of the whole")

    def _begin(self, name: str, attributes: Mapping[str, str]) -> None:
        if name != "coverage":
            raise Unreadable(f"its outermost element is {shown(name)} and not `coverage`")
        self._told = attributes

    def _begin_class(self, attributes: Mapping[str, str], place: str) -> None:
        path = attributes.get("filename", "")
        if not path or "class" in self._path:
            raise Unreadable(f"a class names no file, or stands inside another, at {place}")
        self._class, self._hits = (path, attributes), {}

    def _end_class(self) -> None:
        path, told = self._class
        lines = of_hits(self._hits)
        if "line-rate" in told:
            check_rate(told["line-rate"], len(lines.executed), lines.total, f"the line-rate of {shown(path)}")
        self.files.append((path, lines))
