"""What `docs/exports.md` has others run convinces them, and fails where it should."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import DOCS
from tests.surfaces.command import PHASES, Project

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")

PEM, STATEMENT, LAYOUT = re.findall(r"```sh\n(.*?)```", (DOCS / "exports.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """The exports of a task that went through a change of keys and is completed, and the key in PEM."""
    project = Project(tmp_path).given(phase=PHASES[-1])
    project.done("key", "rotate")
    project.write("T", PHASES[-1])
    project.done("advance", "T")
    folder = tmp_path / "out"
    for form in ("statements", "layout"):
        project.done("export", "T", "--format", form, "--out", str(folder))
    (folder / "vkey").write_text(project.call("key", "show", "--current").out, encoding="utf-8")
    assert run(PEM, folder) == 0
    return folder


def run(block: str, folder: Path) -> int:
    """The exit status of a block of the page."""
    path = os.pathsep.join((os.path.dirname(sys.executable), os.environ["PATH"]))
    return subprocess.run(
        ["sh", "-ec", block], cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, check=False
    ).returncode


def test_openssl_verifies_a_statement_and_no_changed_one(out: Path) -> None:
    assert run(STATEMENT, out) == 0
    lines = (out / "T.intoto.jsonl").read_bytes()
    (out / "T.intoto.jsonl").write_bytes(lines.replace(b'"payload":"eyJfd', b'"payload":"eyJfe'))
    assert run(STATEMENT, out) != 0


def test_in_toto_verifies_the_layout_and_misses_a_link(out: Path) -> None:
    assert run(LAYOUT, out) == 0
    next(out.glob(f"{PHASES[0]}.*.link")).unlink()
    assert run(LAYOUT, out) == 1
