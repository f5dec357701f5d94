"""Whether a command's exit status and the report that it wrote can both be true."""

from __future__ import annotations

from enforcer.evidence.readers.fault import plural

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

NO_TESTS = 5
"""What pytest exits with when it found no test, which is what its report says as well."""


def disagrees(reader: str, document: Mapping[str, Any], status: int | None) -> str:
    """Why a report and an exit status contradict each other; empty where they do not. `status` is None after a signal.

    Zero means success to every tool that is read here, and nothing else does. So a zero beside a failed test is a
    contradiction, and so is a failure that the report of it knows nothing of: a crash, a threshold, a broken build.
    """
    if reader == "log":
        return ""  # A log says nothing but the status.
    if status is None:
        return "a signal ended the command, so its report may tell of a part of the run only"
    if reader == "junit":
        return _of_tests(document, status)
    if reader == "sarif":
        return _of_analysis(document, status)
    return f"the exit status is {status}, so the coverage may be that of a part of the run only" if status else ""


def _of_tests(document: Mapping[str, Any], status: int) -> str:
    bad = document["failed"] + document["errors"]
    if status == 0 and bad:
        return f"the exit status is 0, and the report shows {plural(bad, 'test')} that failed"
    if status == 0 or bad or (status == NO_TESTS and not document["total"]):
        return ""
    return (
        f"the exit status is {status}, and the report shows no test that failed;"
        " something else did, a file that does not load or a coverage threshold for example"
    )


def _of_analysis(document: Mapping[str, Any], status: int) -> str:
    """Tools differ in which results they call a failure, so a zero beside results is none of ours to judge."""
    if status == 0 and document["incomplete_runs"]:
        return "the exit status is 0, and the report says that the tool did not get to the end"
    if status and not document["total"] and not document["incomplete_runs"]:
        return f"the exit status is {status}, and the report shows nothing that was found"
    return ""
