"""The fixtures of the tests of surfaces."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.surfaces.command import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)
