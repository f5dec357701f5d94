"""`python -m enforcer` is the command `enforcer`."""

from __future__ import annotations

from enforcer.surfaces.cli import main

if __name__ == "__main__":
    main()
