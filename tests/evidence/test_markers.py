"""Marks of open work in the lines that a patch adds to production files."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enforcer.evidence.git import Repository
from enforcer.evidence.markers import Marker, is_production, mark_in, markers
from tests.evidence.repositories import ENVIRONMENT

RISKS = {"tests": ("tests/**", "*_test.go")}


@pytest.mark.parametrize(
    "line, mark",
    [
        ("x = 1  # TODO: the rest", "TODO"),
        ("# todo later", "todo"),
        ("// FIXME(bob) this leaks", "FIXME"),
        ("  TODO: in a longer comment", "TODO"),
        (" * @todo describe it", "todo"),
        ("-- TBD", "TBD"),
        ("<!-- TODO -->", "TODO"),
        ("{# FIXME #}", "FIXME"),
        ("raise ValueError  # XXX", "XXX"),
        ("# this is not done, see FIXME below", "FIXME"),
        ("'''TODO fill'''", "TODO"),
        ("# T0DO", "T0DO"),
    ],
)
def test_a_comment_that_leaves_work_open_is_found(line: str, mark: str) -> None:
    assert mark_in(line) == mark


@pytest.mark.parametrize(
    "line",
    [
        "",
        "TODO = []",
        "todo.append(xxx(1))",
        "TODO_LIST = 1  # the list of todos",
        "class Todo:  # a todo item",
        "# TODO comments are removed by the build",
        "# the word 'TODO' is looked for",
        "# `FIXME` stands for open work",
        "url = 'http://example.org//TODO'",
        "pattern = '123-XXX-999'  # of a number",
        "    # Todo el código",
        "print('done')",
    ],
)
def test_a_name_or_a_word_about_such_marks_is_none(line: str) -> None:
    assert mark_in(line) == ""


@given(st.text(max_size=300))
def test_any_line_has_an_answer(line: str) -> None:
    assert mark_in(line) in line


def test_tests_and_documents_are_no_production_files() -> None:
    names = ("src/app.py", "tests/x.py", "a_test.go", "README.md", "docs/x.RST", "Makefile")
    assert [name for name in names if is_production(name, RISKS)] == ["src/app.py", "Makefile"]
    assert not is_production("spec/test_app.py", {}), "without such a class, what is usually a test is one"


def test_content_that_looks_like_a_patch_is_content() -> None:
    patch = (
        b"diff --git a/src/x.py b/src/x.py\n--- a/src/x.py\n+++ b/src/x.py\n@@ -1,2 +4,4 @@\n one\n"
        b"++++ b/README.md\n+@@ -1 +1 @@\n+# TODO\n-diff --git a/y b/y\n"
        b"diff --git a/tests/t.py b/tests/t.py\n@@ -0,0 +1 @@\n+# TODO\n\\ No newline at end of file\n"
    )
    assert markers(patch, RISKS, lambda path: None) == [Marker("src/x.py", 7, "TODO")]


def test_a_patch_that_ends_too_early_has_what_it_has() -> None:
    patch = b"diff --git a/x b/x\n@@ -0,0 +1,9 @@\n+# TODO\n+two"
    assert markers(patch, RISKS, lambda path: None) == [Marker("x", 1, "TODO")]


def test_the_lines_of_a_real_change_are_found_by_their_numbers(tmp_path: Path) -> None:
    """Names of every kind, a text that attributes call binary, a binary, a deleted file, and an old mark."""

    def git(*words: str) -> None:
        subprocess.run(["git", *words], cwd=tmp_path, env=ENVIRONMENT, check=True, capture_output=True)

    git("init", "--quiet")
    (tmp_path / "old.py").write_text("# TODO: an old debt\nx = 1\n")
    (tmp_path / "gone.py").write_text("# TODO: gone\n")
    git("add", "-A")
    git("commit", "--quiet", "-m", "Begin")
    (tmp_path / "old.py").write_text("# TODO: an old debt\nx = 2\n\n\ny = 3  # TODO\n")
    (tmp_path / "gone.py").unlink()
    (tmp_path / 'größe \t"x".py').write_text("# FIXME\n")
    (tmp_path / ".gitattributes").write_text("hidden.* binary\n")
    (tmp_path / "hidden.py").write_text("a = 1\n# TODO hidden\n")
    (tmp_path / "hidden.bin").write_bytes(b"\0# TODO\n")
    with Repository.find(str(tmp_path)) as repository:  # type: ignore[union-attr]
        seen = repository.observe(repository.head())

    found = markers(seen.diff, RISKS, lambda path: (tmp_path / path).read_bytes())

    assert sorted(found, key=lambda one: one.path) == [
        Marker('größe \t"x".py', 1, "FIXME"),
        Marker("hidden.py", 2, "TODO"),
        Marker("old.py", 5, "TODO"),
    ]
