"""`docs/certify.md` names every check of a certificate, and every reason that a check alone gives."""

from __future__ import annotations

import re

from enforcer.certificate import LEDGER
from enforcer.certifying import CHECKS
from tests.docs.codes import REFUSALS, _gather
from tests.docs.pages import DOCS
from tests.sources import read_package

PAGE = (DOCS / "certify.md").read_text(encoding="utf-8")


def test_each_check_of_a_task_has_a_row_in_the_order_in_which_it_is_asked() -> None:
    assert tuple(re.findall(r"^\| `([a-z ]+)` \|", PAGE, flags=re.MULTILINE)) == CHECKS
    assert CHECKS[0] == LEDGER


def test_each_code_that_a_check_gives_stands_on_the_page() -> None:
    found = _gather(read_package(), {"Reason": 0}, {"one.code": [], "error.code": []})
    assert found.unknown == []
    assert {"work_open", "task_unfinished", "command_failed"} <= set(found.known)
    given = set(found.known) - {"no_repository"}  # An error as well, and told as one.
    assert {code for code in given if f"`{code}`" not in PAGE} == set()
    assert "Reason" not in REFUSALS
