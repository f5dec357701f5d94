"""What do the reports that tools write already say, counted from what they list and not from what they sum up?

Pure functions from bytes to evidence: they open no file, run nothing and fetch nothing. What they are given was written
by a command that ran on a worker's code, so every report is untrusted: bounded, strictly read, and refused with
`Unreadable` where it contradicts itself.
"""

from __future__ import annotations

from enforcer.evidence.readers.contradiction import disagrees
from enforcer.evidence.readers.coverage import Coverage, coverage_document, read_coverage, unmeasured
from enforcer.evidence.readers.diff import changed_lines
from enforcer.evidence.readers.fault import Unreadable
from enforcer.evidence.readers.lines import Lines
from enforcer.evidence.readers.log import log_text
from enforcer.evidence.readers.sarif import read_findings
from enforcer.evidence.readers.testing import read_tests

__all__ = [
    "Coverage",
    "Lines",
    "Unreadable",
    "changed_lines",
    "coverage_document",
    "disagrees",
    "log_text",
    "read_coverage",
    "read_findings",
    "read_tests",
    "unmeasured",
]
