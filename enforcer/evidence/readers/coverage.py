"""From the report of a coverage tool, and the diff of a change, to evidence: `coverage_report.json`.

Every count is made from the lines that a report lists. Its own sums are only compared with them.

What it does not show: a tool lists the lines on which statements begin, so a change inside a longer statement may
touch no line that counts, and a file that the tool never saw has no lines at all. Changed files of the second kind are
named in the notes, so that a reader sees what was not measured.
"""

from __future__ import annotations

from enforcer.evidence.readers import cobertura, coveragepy, lcov
from enforcer.evidence.readers.fault import Unreadable, plural, shown
from enforcer.evidence.readers.lines import Lines
from enforcer.evidence.readers.paths import Places
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from typing import Any

_READERS = {"coverage-json": coveragepy.read, "cobertura": cobertura.read, "lcov": lcov.read}

_NAMED = 20  # Files that a note names.


class Coverage(Record):
    """The executable lines of each file of the project, by its path with `/`, relative to the root.

    `outside` counts files of the report that are not in the project, whose lines count for nothing.
    """

    files: Mapping[str, Lines]
    outside: int = 0
    tool: str = ""


def read_coverage(
    reader: str, data: bytes, *, root: str, folder: str = ".", files: Collection[str] | None = None
) -> Coverage:
    """The lines that a report tells of, by file. Raises `Unreadable`, also for a report that measured no line.

    `root` is the absolute path, without links, of the folder that paths in the answer, and so in a diff, are relative
    to; `folder`, relative to it, is where the tool ran; `files` are the files there, where they are known.
    """
    if reader not in _READERS:
        raise Unreadable(f"{shown(reader)} reads no coverage; one of {', '.join(_READERS)} does")
    report = _READERS[reader](data)
    places = Places(root, folder, files)
    found: dict[str, Lines] = {}
    outside = 0
    for path, lines in report.files:
        name = places.find(path, report.sources)
        if name is None:
            outside += 1
        else:
            found[name] = found[name].merged(lines) if name in found else lines
    if files is not None and not any(name in files for name in found):
        raise Unreadable("it names no file of the project" + (_left_out(outside) if outside else ""))
    if not any(lines.total for lines in found.values()):
        raise Unreadable("it lists no executable line of the project" + (_left_out(outside) if outside else ""))
    return Coverage(found, outside, report.tool)


# Endings of files that programs are written in.
_PROGRAMS = {
    *(".py", ".js", ".mjs", ".cjs", ".jsx", ".ts", ".tsx", ".go", ".java", ".kt", ".scala", ".rb", ".rs", ".php"),
    *(".c", ".h", ".cc", ".cpp", ".hpp", ".cs", ".swift", ".sh", ".pl", ".lua", ".ex", ".dart", ".sql"),
}


def unmeasured(coverage: Coverage, changed: Mapping[str, frozenset[int]]) -> tuple[str, ...]:
    """The changed sources that the report says nothing of, of kinds that it measured or that are programs; sorted."""
    endings = ({_ending(path) for path in coverage.files} | _PROGRAMS) - {""}
    return tuple(sorted(path for path in changed if path not in coverage.files and _ending(path) in endings))


def coverage_document(coverage: Coverage, changed: Mapping[str, frozenset[int]]) -> dict[str, Any]:
    """A document of `schemas/evidence/coverage_report.schema.json`.

    A rate is the exact quotient, never rounded up to a threshold. Where a change has no executable line its rate is 1.
    """
    covered = sum(len(lines.executed) for lines in coverage.files.values())
    total = sum(lines.total for lines in coverage.files.values())
    touched = [(coverage.files[path], lines) for path, lines in changed.items() if path in coverage.files]
    changed_covered = sum(len(lines.executed & numbers) for lines, numbers in touched)
    changed_total = changed_covered + sum(len(lines.missing & numbers) for lines, numbers in touched)
    document = {
        "line_rate": _rate(covered, total),
        "changed_line_rate": _rate(changed_covered, changed_total),
        "lines_covered": covered,
        "lines_total": total,
        "changed_lines_covered": changed_covered,
        "changed_lines_total": changed_total,
    }
    notes = _notes(coverage, unmeasured(coverage, changed))
    return document | ({"tool": coverage.tool} if coverage.tool else {}) | ({"notes": notes[:4000]} if notes else {})


def _rate(part: int, whole: int) -> float | int:
    return part / whole if part < whole else 1


def _notes(coverage: Coverage, missed: tuple[str, ...]) -> str:
    notes = []
    if missed:
        named = ", ".join(shown(path)[1:-1] for path in missed[:_NAMED])
        more = f" and {len(missed) - _NAMED} more" if len(missed) > _NAMED else ""
        notes.append(f"Changed, and not in the report: {named}{more}.")
    if coverage.outside:
        notes.append(_left_out(coverage.outside).removeprefix("; ").capitalize() + ".")
    return " ".join(notes)


def _left_out(outside: int) -> str:
    return f"; {plural(outside, 'file')} outside of the project left out"


def _ending(path: str) -> str:
    name = path.rpartition("/")[2]
    return name.rpartition(".")[2] if "." in name[1:] else ""
