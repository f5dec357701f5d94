"""Fixtures: an empty world, and a governed project that walks the plain nine-phase process."""

from __future__ import annotations

from pathlib import Path

import pytest

from acceptance.repositories import governed
from acceptance.world import World, plain_process


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A governed project whose process asks for one short note a phase."""
    return World(tmp_path, process=plain_process()).init()


@pytest.fixture
def bare(tmp_path: Path) -> World:
    """A project that nobody has initialized."""
    return World(tmp_path, process=plain_process())


@pytest.fixture
def repository(tmp_path: Path) -> World:
    """A small package in a git repository, governed by the process that ships as the default."""
    return governed(World(tmp_path, git=True), 1)
