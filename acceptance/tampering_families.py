"""All classes of cases, the largest last."""

from __future__ import annotations

from acceptance.tampering_caches import CACHES
from acceptance.tampering_files import FILES
from acceptance.tampering_histories import HISTORIES
from acceptance.tampering_lines import BITS, LINES
from acceptance.tampering_trials import Family

FAMILIES: tuple[Family, ...] = (*(family for family in LINES if family is not BITS), *HISTORIES, *FILES, *CACHES, BITS)
