"""`python -m bench [--folder DIR]`: one JSON line a figure; exit status 1 when a limit is missed."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from bench.figures import figures
from bench.world import World


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--folder", help="measure on the disk of this folder [default: the current one's]")
    folder = parser.parse_args().folder or "."
    held = True
    with tempfile.TemporaryDirectory(dir=folder, prefix=".bench-") as scratch:
        world = World(Path(scratch).resolve())
        for figure in figures(world):
            print(figure.line(), flush=True)
            held = held and figure.holds
        report = world.enforcer.verify()
        if report.verdict != "verified":
            print(f"the ledger that was measured does not verify: {report.findings[:3]}", file=sys.stderr)
            held = False
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
