"""The change that the demonstration makes to iniconfig 2.3.1, in the two versions a worker really needs for it.

`ParseError` for a duplicate section or name tells on which line the second one stands, but not where the first is: in
a long file that is the half one has to search for. The first version gets this wrong in an honest way: the parser
notes a line before it looks for duplicates, so the "first" line it reports is the second. The tests that come with the
change find that, and the second version moves one line.
"""

from __future__ import annotations

import os

from enforcer.errors import InternalError
from enforcer.workflow.record import Record

SOURCE, TESTS, CHANGELOG = "src/iniconfig/_parse.py", "testing/test_iniconfig.py", "CHANGELOG"
FILES = (CHANGELOG, SOURCE, TESTS)

NOTING = "        sources[section, name] = lineno\n"


class Edit(Record):
    """Replace the one place where `old` stands in a file with `new`."""

    path: str
    old: str
    new: str


FIRST_VERSION = (
    Edit(
        SOURCE,
        '                raise ParseError(path, lineno, f"duplicate section {section!r}")\n',
        """\
                first = sources[section, None] + 1
                raise ParseError(
                    path,
                    lineno,
                    f"duplicate section {section!r}, first on line {first}",
                )
""",
    ),
    Edit(
        SOURCE,
        '                raise ParseError(path, lineno, f"duplicate name {name!r}")\n',
        """\
                first = sources[section, name] + 1
                raise ParseError(
                    path, lineno, f"duplicate name {name!r}, first on line {first}"
                )
""",
    ),
    Edit(
        TESTS,
        """\
    assert "duplicate name" in str(excinfo.value)

""",
        """\
    assert "duplicate name" in str(excinfo.value)


@pytest.mark.parametrize("read", [IniConfig, IniConfig.parse])
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            "[one]\\nkey = 1\\n\\n[two]\\n[one]\\n",
            "x.ini:5: duplicate section 'one', first on line 1",
        ),
        (
            "# head\\n[one]\\nkey = 1\\nother = 2\\nkey = 3\\n",
            "x.ini:5: duplicate name 'key', first on line 3",
        ),
    ],
    ids=["section", "name"],
)
def test_a_duplicate_says_where_the_first_one_is(
    read: type[IniConfig], data: str, message: str
) -> None:
    with pytest.raises(ParseError) as excinfo:
        read("x.ini", data=data)
    assert str(excinfo.value) == message


def test_one_name_in_two_sections_is_no_duplicate() -> None:
    config = IniConfig("x.ini", data="[one]\\nkey = 1\\n[two]\\nkey = 2\\n")
    assert config.lineof("one", "key") == 2
    assert config.lineof("two", "key") == 4

""",
    ),
    Edit(
        CHANGELOG,
        "2.3.1\n=====\n",
        """\
Unreleased
==========

* errors about duplicate sections and names tell the line of the first one

2.3.1
=====
""",
    ),
)

SECOND_VERSION = (
    Edit(SOURCE, f"{NOTING}        if name is None:\n", "        if name is None:\n"),
    Edit(
        SOURCE,
        '            sections_data[section][name] = "\\n".join(value)\n',
        f'            sections_data[section][name] = "\\n".join(value)\n{NOTING}',
    ),
)


def apply(edits: tuple[Edit, ...], folder: str) -> None:
    """Make the edits in order. Raises `InternalError` where a text to replace does not stand exactly once."""
    for edit in edits:
        path = os.path.join(folder, edit.path)
        with open(path, encoding="utf-8", newline="") as file:
            text = file.read()
        if text.count(edit.old) != 1:
            raise InternalError("demo_edit_misplaced", f"The text to replace does not stand once in {edit.path}.")
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.write(text.replace(edit.old, edit.new))
