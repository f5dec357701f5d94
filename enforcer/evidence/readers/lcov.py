"""LCOV's tracefiles: what lcov, geninfo, istanbul, c8, node, `coverage lcov`, llvm-cov and others write.

Source: geninfo(1), section FILES. A section begins with `SF:` and ends with `end_of_record`; `DA:line,count[,checksum]`
tells of a line, `LF:` and `LH:` sum up. A file may have several sections, one for each test (`TN:`); they are merged.
Records about functions and branches, and those of later versions, say nothing about lines and are passed over.
"""

from __future__ import annotations

import re

from enforcer.evidence.readers.fault import Unreadable, bounded, count, shown
from enforcer.evidence.readers.lines import Lines, Report, check_told, line_number, of_hits

_RECORD = re.compile(r"([A-Z]{2,8}):(.*)")


class _Section:
    """One `SF:` … `end_of_record`."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.hits: dict[int, int] = {}
        self.records = 0
        self.sums: dict[str, int] = {}

    def add(self, value: str, where: str) -> None:
        number_text, _, rest = value.partition(",")
        number = line_number(number_text, f"a line's number at {where}")
        hits = count(rest.partition(",")[0], f"the count of line {number} at {where}")
        self.hits[number] = self.hits.get(number, 0) + hits
        self.records += 1

    def settle(self) -> Lines:
        lines = of_hits(self.hits)
        if "LF" in self.sums:
            check_told(self.sums["LF"], (lines.total, self.records), f"LF of {shown(self.path)}")
        if "LH" in self.sums:
            check_told(self.sums["LH"], (len(lines.executed),), f"LH of {shown(self.path)}")
        return lines


def read(data: bytes) -> Report:
    """What the report lists. Raises `Unreadable`."""
    listed: list[tuple[str, Lines]] = []
    section: _Section | None = None
    for index, line in enumerate(_decode(bounded(data)).split("\n"), 1):
        line, where = line.strip(), f"line {index}"
        if line == "end_of_record" and section is not None:
            listed.append((section.path, section.settle()))
            section = None
        elif line and not line.startswith("#"):
            section = _take(section, line, where)
    if section is not None:
        raise Unreadable(f"the section of {shown(section.path)} has no end: the report was cut")
    if not listed:
        raise Unreadable("it has no section of a file")
    return Report(tuple(listed))


def _take(section: _Section | None, line: str, where: str) -> _Section | None:
    """The section that a record belongs to, or begins; None before the first one."""
    record = _RECORD.fullmatch(line)
    if record is None:
        raise Unreadable(f"{where} is no record of a tracefile: {shown(line)}")
    key, value = record[1], record[2]
    if key == "SF":
        if section is not None:
            raise Unreadable(f"the section of {shown(section.path)} has no end before {where}")
        return _Section(value)
    if key in ("DA", "LF", "LH"):
        if section is None:
            raise Unreadable(f"{where} tells of lines outside of a section")
        if key == "DA":
            section.add(value, where)
        else:
            section.sums[key] = count(value, f"{key} at {where}")
    return section


def _decode(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Unreadable(f"it is not UTF-8 at byte {error.start}") from None
