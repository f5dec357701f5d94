"""What a run stood on besides its tree is told, and a run that stood on nothing else is told nothing."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from enforcer.evidence.footing import LISTED, stamps, told

HOME = pwd.getpwuid(os.getuid()).pw_dir


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """A repository's folder; what lies above it is the test's own, up to the system's temporary folder."""
    (tmp_path / "top").mkdir()
    (tmp_path / "top/a.py").write_text("a\n")
    return tmp_path / "top"


def labels(top: Path, *paths: str, project: str = ".", home: str = HOME, edited: str = "") -> list[str]:
    before = stamps(str(top), paths)
    if edited:
        content = (top / edited).read_bytes()
        (top / edited).write_bytes(b"another\n")
        (top / edited).write_bytes(content)
        os.utime(top / edited, ns=(0, 0))
    return list(told(str(top), str(top / project), before, stamps(str(top), paths), {"HOME": home}))


def test_a_run_that_stood_on_its_tree_alone_has_no_label(top: Path) -> None:
    assert labels(top, "a.py") == []


def test_an_edit_that_was_undone_is_told_though_content_and_time_are_as_before(top: Path) -> None:
    assert labels(top, "a.py", edited="a.py") == ["touched: while it ran, somebody wrote to a.py"]


def test_a_file_that_is_gone_or_was_put_in_anothers_place_was_touched(top: Path) -> None:
    before = stamps(str(top), ["a.py"])
    (top / "b.py").write_text("a\n")
    (top / "b.py").rename(top / "a.py")
    assert [each.split(":")[0] for each in told(str(top), str(top), before, stamps(str(top), ["a.py"]), {})] == [
        "touched"
    ]
    (top / "a.py").unlink()
    assert [each.split(":")[0] for each in told(str(top), str(top), before, stamps(str(top), ["a.py"]), {})] == [
        "touched"
    ]


def test_a_link_that_leads_out_is_told_and_one_that_stays_is_not(top: Path) -> None:
    (top.parent / "outside.py").write_text("b\n")
    (top / "out.py").symlink_to("../outside.py")
    (top / "in.py").symlink_to("a.py")
    assert labels(top, "a.py", "in.py", "out.py") == ["links: out.py leads out of the repository"]


def test_files_above_the_project_are_told_also_those_inside_the_repository(top: Path) -> None:
    (top / "sub").mkdir()
    (top / "conftest.py").write_text("")
    (top.parent / "package.json").write_text("{}")
    above = [str(top.resolve() / "conftest.py"), str(top.parent.resolve() / "package.json")]
    assert labels(top, "a.py", project="sub") == [f"above: the run could load {', '.join(above)}"]


def test_another_home_is_told(top: Path) -> None:
    assert labels(top, "a.py", home=str(top)) == [f"home: it is {top}, and not the user's own"]


def test_a_long_list_is_cut_with_a_count_and_names_are_escaped(top: Path) -> None:
    names = [f"{number}\n.py" for number in range(LISTED + 2)]
    for name in names:
        (top / name).symlink_to("/etc/hostname")
    (label,) = labels(top, *names)
    assert "\n" not in label
    assert label.endswith("and 2 more lead out of the repository")
