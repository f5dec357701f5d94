"""The pages that are made from the source say what the source says."""

from __future__ import annotations

import pytest

from tests.docs.pages import DOCS, PAGES


@pytest.mark.parametrize("name", PAGES)
def test_a_page_that_is_made_from_the_source_is_up_to_date(name: str) -> None:
    fresh = (DOCS / name).read_text(encoding="utf-8") == PAGES[name]()
    assert fresh, f"docs/{name} is stale. Make it anew: python -m tests.docs.pages"
