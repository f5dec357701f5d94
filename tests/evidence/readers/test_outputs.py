"""Every real output says where it comes from, and tells nothing of the machine that it was made on."""

from __future__ import annotations

import re

from tests.evidence.readers.kept import FOLDER


def test_each_output_has_a_line_that_says_who_wrote_it():
    told = set(
        re.findall(r"^\| `([^`]+)` \| .*[0-9]|^\| `([^`]+)` \| .*the same", (FOLDER / "README.md").read_text(), re.M)
    )
    named = {one or other for one, other in told}
    assert named == {path.name for path in FOLDER.iterdir()} - {"README.md"}


def test_no_output_names_a_folder_of_a_machine():
    for path in FOLDER.iterdir():
        assert not re.search(r"/(tmp|root|home|Users)/", path.read_text()), path.name
