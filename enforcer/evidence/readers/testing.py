"""From the report of a test run to evidence: `test_results.json`."""

from __future__ import annotations

from enforcer.evidence.readers import junit
from enforcer.evidence.readers.fault import Unreadable, plural, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_READERS = {"junit": junit.read}


def read_tests(reader: str, *reports: bytes) -> dict[str, Any]:
    """A document of `schemas/evidence/test_results.schema.json`, counted from the cases of all reports together.

    Tools that write a file for each class, as surefire does, need several. A report without a test is a document with
    total 0, which the rules of a process refuse. Raises `Unreadable`.
    """
    if reader not in _READERS:
        raise Unreadable(f"{shown(reader)} reads no test reports; one of {', '.join(_READERS)} does")
    tally = junit.Tally()
    for report in reports:
        tally = tally.plus(_READERS[reader](report))
    document: dict[str, Any] = {
        "total": tally.total,
        "passed": tally.passed,
        "failed": tally.failed,
        "errors": tally.errors,
        "skipped": tally.skipped,
        "xfailed": tally.xfailed,
        "xpassed": 0,
    }
    notes = _notes(tally)
    return document | ({"notes": notes} if notes else {})


def _notes(tally: junit.Tally) -> str:
    notes = []
    if tally.reruns:
        notes.append(f"Tests were tried again {plural(tally.reruns, 'time')}; the last try counts.")
    if tally.uncounted:
        what = plural(tally.uncounted, "case")
        notes.append(f"{what} that the report lists and does not count as tests are shown as skipped.")
    return " ".join(notes)
