"""Patches: every file that some program would write is named, or the patch is unreadable. git is an oracle."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from enforcer.tools.patches import patched

PLAIN = "diff --git a/src/n.py b/src/n.py\nnew file mode 100644\n--- /dev/null\n+++ b/src/n.py\n@@ -0,0 +1 @@\n+a\n"


@pytest.mark.parametrize(
    "section, names",
    [
        (
            "diff --git a/enforcer.toml b/enforcer.toml\nindex 1..2 100644\nGIT binary patch\nliteral 0\n",
            "enforcer.toml",
        ),
        ("diff --git a/enforcer.toml b/enforcer.toml\nold mode 100644\nnew mode 100755\n", "enforcer.toml"),
        ("diff --git a/state/x b/state/x\nnew file mode 100644\nindex 0..e\n", "state/x"),
        ("diff --git a/enforcer.toml b/enforcer.toml\ndeleted file mode 100644\n", "enforcer.toml"),
        ("diff --git a/o.py b/n.py\nsimilarity index 100%\nrename from o.py\nrename to n.py\n", "o.py|n.py"),
        ("diff --git a/o.py b/n.py\nrename old o.py\nrename new n.py\n", "o.py|n.py"),
        ("diff --git a/o.py b/n.py\nsimilarity index 100%\ncopy from o.py\ncopy to n.py\n", "o.py|n.py"),
        ("diff --git a/my file b/my file\nold mode 100644\nnew mode 100755\n", "my file"),
        ("diff --git a/my o b/my n\nrename from my o\nrename to my n\n", "my o|my n"),
        ("  diff --git a/my o b/my n\n  rename from my o\n  rename to my n\n", "my o|my n"),
        ("Index: enforcer.toml\n", "enforcer.toml"),
    ],
)
def test_a_section_without_lines_of_its_own_names_its_files_by_what_it_has(section: str, names: str) -> None:
    assert set(patched(section + PLAIN) or ()) == {*names.split("|"), "src/n.py"}
    assert set(patched(PLAIN + section) or ()) == {*names.split("|"), "src/n.py"}


@pytest.mark.parametrize(
    "section",
    [
        "diff --git a/my o b/n\nold mode 100644\nnew mode 100755\n",
        "diff --git a/my o b/n\nrename from my o\n",
        "diff --git a/my o b/n\n--- a/my o\t\n",
        "diff --git\t\ndiff --git \ndiff --git a\n",
        'diff --git "a/\\303\\244" "b/\\303\\244"\nold mode 100644\nnew mode 100755\n',
        'diff --git a/x b/x\nrename from "x\\t"\nrename to x\n',
        '--- "a/\\303\\244.py"\n+++ "b/\\303\\244.py"\n',
        "*** enforcer.toml\tnow\n--- src/a.py\tnow\n***************\n",
        "***Update File: enforcer.toml\n",
        "*** Update  File: enforcer.toml\n",
        "*** Update File: \n",
        "*** Update File: a\x1b[2Jb\n",
        "--- a/x\t/../enforcer.toml\n",
    ],
    ids=ascii,
)
def test_one_section_that_does_not_name_its_files_plainly_spoils_the_patch(section: str) -> None:
    assert patched(section + PLAIN) is None
    assert patched(PLAIN + section) is None


@pytest.mark.parametrize(
    "patch", ["", "x = 1\n", "--- /dev/null\n+++ /dev/null\n", "Binary files a/x and b/x differ\n"]
)
def test_a_patch_that_names_no_file_is_unreadable(patch: str) -> None:
    assert patched(patch) is None


@pytest.mark.parametrize(
    "line",
    [
        "*** Update File: enforcer.toml",
        "  *** Update File: enforcer.toml",
        "\t*** update file: enforcer.toml  ",
        "*** ADD FILE:enforcer.toml",
        "*** delete file: enforcer.toml",
        " *** Move To: enforcer.toml\r",
        "*** Rename to: enforcer.toml",
    ],
)
def test_a_header_of_an_envelope_is_read_in_any_letters_and_at_any_depth(line: str) -> None:
    patch = (
        f"*** Begin Patch\n*** Update File: src/a.py\n@@\n-x\n+y\n{line}\n@@\n-x\n+y\n*** End of File\n*** End Patch\n"
    )

    assert patched(patch) == ("src/a.py", "enforcer.toml")


def test_a_first_folder_that_is_not_gits_may_be_cut_off_or_not() -> None:
    assert patched("--- src/a.py\n+++ src/a.py\n") == ("src/a.py", "a.py")
    assert patched("--- x/state/ledger/lock\n+++ x/state/ledger/lock\n") == ("x/state/ledger/lock", "state/ledger/lock")
    assert patched("--- /dev/null\n+++ state/evidence/T/spec/a.md\n") == ("state/evidence/T/spec/a.md",)


def test_a_name_may_end_at_a_space_where_no_tab_ends_it() -> None:
    assert patched("--- a/enforcer.toml 2025-06-15\n") == ("enforcer.toml 2025-06-15", "enforcer.toml")
    assert patched("--- a/my file\t2025-06-15\n") == ("my file",)
    assert patched("--- a/my file 2025-06-15 00:00\n") == (
        "my file 2025-06-15 00:00",
        "my",
        "my file",
        "my file 2025-06-15",
    )


def test_a_removed_comment_of_any_length_costs_little() -> None:
    names = patched("--- a/x\n+++ b/x\n--- " + "w " * 200_000 + "\n")

    assert names is not None
    assert len(names) < 40


def test_both_readings_of_a_line_end_are_told() -> None:
    assert patched("--- a/src/a.py\n@@ -1 +1 @@\n-x\x0c+++ b/enforcer.toml\n") == ("src/a.py", "enforcer.toml")
    assert patched("--- a/src/a.py\n+++ b/src/a.py\x0c/../../enforcer.toml\n") is None


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    for name in ("text.py", "binary.dat", "mode.sh", "moved.py", "copied.py", "gone.py", "with space.py"):
        (tmp_path / name).write_bytes(b"\0\1" if name == "binary.dat" else f"{name}\n".encode() * 9)
    git(tmp_path, "add", "-A")
    return tmp_path


def git(folder: Path, *args: str) -> str:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    return subprocess.run(
        ["git", *args], cwd=folder, env=environment, capture_output=True, check=True, text=True
    ).stdout


@pytest.mark.parametrize("options", [(), ("--binary",), ("--binary", "-M", "-C", "--find-copies-harder")])
def test_what_git_itself_writes_is_read_and_names_every_file(repository: Path, options: tuple[str, ...]) -> None:
    git(repository, "-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "-qm", "first")
    (repository / "text.py").write_text("-- removed\nx = 1\n")
    (repository / "binary.dat").write_bytes(b"\0\2\3")
    (repository / "mode.sh").chmod(0o755)
    (repository / "moved.py").rename(repository / "deep.py")
    (repository / "copy.py").write_bytes((repository / "copied.py").read_bytes())
    (repository / "gone.py").unlink()
    (repository / "with space.py").write_text("x\n")
    (repository / "empty new.py").write_text("")
    git(repository, "add", "-A")
    changed = set(git(repository, "diff", "--cached", "--name-only", "--no-renames").splitlines())

    assert changed <= set(patched(git(repository, "diff", "--cached", *options)) or ())
    assert "empty new.py" in changed


@pytest.mark.parametrize(
    "disguised",
    [
        "\nX--- enforcer.toml\nX+++ enforcer.toml\nX@@ -1 +1 @@\nX-old\nX+new\n",
        "- --- enforcer.toml\n+++ nonexistent\n@@ -1,1 +1,2 @@\n old\n+new\n",
        "\n  *** enforcer.toml\n  --- nonexistent\n  ***************\n  *** 1 ****\n  ! old\n  --- 1 ----\n  ! new\n",
    ],
)
def test_a_header_that_only_some_programs_find_makes_the_patch_unreadable(disguised: str) -> None:
    innocent = "--- ok\n+++ ok\n@@ -1 +1 @@\n-x\n+y\n"
    assert patched(innocent) is not None
    assert patched(innocent + disguised) is None


@pytest.mark.parametrize("header", ["Index:enforcer.toml", "Index:\tenforcer.toml", "Index: enforcer.toml"])
def test_an_index_line_names_its_file_with_any_space_or_none(header: str) -> None:
    names = patched(f"--- ok\n+++ ok\n@@ -1 +1 @@\n-x\n+y\n{header}\n1c1\n< old\n---\n> new\n")
    assert names is None or "enforcer.toml" in names
