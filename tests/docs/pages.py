"""The pages of `docs/` that are made from the source, and how to make them: `python -m tests.docs.pages`.

They are committed, because people read them where the code is hosted; `test_pages` holds them against their makers.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.docs import commands, moves

DOCS = Path(__file__).resolve().parents[2] / "docs"

# page → what makes it
PAGES: dict[str, Callable[[], str]] = {
    "commands.md": commands.render,
    "moves.md": moves.render,
}


def write() -> None:
    """Make every page anew."""
    for name, render in PAGES.items():
        (DOCS / name).write_text(render(), encoding="utf-8")


if __name__ == "__main__":
    write()
