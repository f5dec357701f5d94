"""All classes of cases, small ones first."""

from __future__ import annotations

from acceptance.tampering_files import FILES
from acceptance.tampering_lines import BITS, LINES, Family

FAMILIES: tuple[Family, ...] = (*(family for family in LINES if family is not BITS), *FILES, BITS)
