"""The changed lines of a diff are those that git itself says differ, in any file and under any name."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enforcer.evidence.readers import Unreadable, changed_lines
from tests.evidence.readers.kept import answer
from tests.evidence.repositories import Work, find

NAMES = [
    "a b",
    "ü.txt",
    'quo"te',
    "back\\slash",
    "new\nline",
    "tab\tx",
    "end\t",
    "-dash",
    " lead",
    "b/b",
    "@@ -1 +1 @@",
    "\udcff",
    "\udcff\\x",
]

PATCH = b"""diff --git a/f b/f
index 1..2 100644
--- a/f
+++ b/f
@@ -1,3 +1,4 @@ def f():
 one
-two
+2
+2.5
 three
"""


@pytest.fixture(scope="module")
def works(tmp_path_factory):
    """Empty repositories, one after the other."""
    return (Work(tmp_path_factory.mktemp("work")) for _ in itertools.count())


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return Work(tmp_path_factory.mktemp("work"))


def test_added_and_modified_lines_have_their_numbers_in_the_new_file():
    assert changed_lines(PATCH) == {"f": frozenset({2, 3})}


def test_every_odd_name_is_the_name_of_its_file(works):
    work = next(works)
    base = work.commit("empty")
    for number, name in enumerate(NAMES, 1):
        work.write(name, "line\n" * number)
    with find(work.top) as repository:
        observed = repository.observe(base, exclude=())
    changed = changed_lines(observed.diff)
    assert list(changed) == [change.path for change in observed.changes]
    assert sorted(max(lines) for lines in changed.values()) == list(range(1, len(NAMES) + 1))
    assert max(changed["new\nline"]) == NAMES.index("new\nline") + 1


def test_what_is_deleted_binary_empty_or_only_of_another_mode_has_no_changed_lines(works):
    work = next(works)
    work.write("gone", "a\nb\n")
    work.write("mode", "a\n")
    work.write("emptied", "a\n")
    work.write("shortened", "a\nb\nc\n")
    base = work.commit()
    (work.top / "gone").unlink()
    work.write("mode", "a\n", 0o755)
    work.write("emptied", "")
    work.write("shortened", "a\nc\n")
    work.write("binary", bytes(range(256)) * 40)
    work.write("new", "")
    with find(work.top) as repository:
        observed = repository.observe(base, exclude=())
    assert len(observed.changes) == 6
    assert changed_lines(observed.diff) == {}


def test_content_that_looks_like_a_header_is_content(works):
    work = next(works)
    work.write("f", "keep\n-- a/x\n")
    base = work.commit()
    work.write("f", "keep\n++ b/x\n@@ -1 +1,9 @@\ndiff --git a/x b/x\n")
    with find(work.top) as repository:
        observed = repository.observe(base, exclude=())
    assert changed_lines(observed.diff) == {"f": frozenset({2, 3, 4})}


_LINE = st.sampled_from(
    [b"a", b"b", b"", b"a\r", b"-", b"+", b"++ b/x", b"-- a/x", b"@@ -1 +1 @@", b"\\ No", b"\xff", b"\x0c"]
)
_FILE = st.tuples(st.lists(_LINE, max_size=14), st.booleans())


@given(old=_FILE, new=_FILE)
@settings(max_examples=40)
def test_the_unchanged_lines_that_remain_are_those_of_the_old_file_in_their_order(shared, old, new):
    """With and without context: what is left of the new file without its changed lines is a part of the old one."""
    before, after = (b"\n".join(lines) + (b"\n" if lines and ends else b"") for lines, ends in (old, new))
    (shared.top / "old").write_bytes(before)
    (shared.top / "new").write_bytes(after)
    answers = []
    for context in (0, 3):
        options = ("diff", "--no-index", "--text", f"--unified={context}", "--no-renames", "--diff-algorithm=myers")
        diff = shared.git_bytes(*options, "old", "new", check=False)
        answers.append(changed_lines(diff))
    assert answers[0] == answers[1]
    numbers = answers[0].get("new", frozenset())
    pieces = _lines(after)
    assert all(1 <= number <= len(pieces) for number in numbers)
    kept = [line for number, line in enumerate(pieces, 1) if number not in numbers]
    rest = iter(_lines(before))
    assert all(line in rest for line in kept)
    added = [line for line in diff.split(b"\n") if line.startswith(b"+")]
    assert len(numbers) == max(0, len(added) - added.count(b"+++ b/new"))


NO_DIFF = {
    "a merge": (b"diff --cc f\n", "diff of a merge"),
    "a hunk of no file": (b"@@ -1 +1 @@\n+a\n", "hunk of no file"),
    "a hunk that is cut": (PATCH[:-12], "inside of a hunk|belong"),
    "a header that is none": (PATCH.replace(b"+1,4", b"+x"), "no header"),
    "numbers that are too long": (PATCH.replace(b"+1,4", b"+1," + b"9" * 99), "no header"),
    "another line within a hunk": (PATCH.replace(b"-two", b"two"), "does not belong"),
    "names without prefixes": (PATCH.replace(b"+++ b/f", b"+++ f"), "without the prefix"),
}


@pytest.mark.parametrize("name", NO_DIFF)
def test_what_is_no_such_diff_is_refused_with_the_reason(name):
    data, reason = NO_DIFF[name]
    with pytest.raises(Unreadable, match=reason):
        changed_lines(data)


@given(st.lists(st.sampled_from([*PATCH.split(b"\n"), b"+++ /dev/null", b'+++ "b/\\303', b"\xff", b"\\"]), max_size=14))
def test_no_bytes_are_more_than_unreadable(lines):
    changed, refusal = answer(changed_lines, b"\n".join(lines))
    assert refusal.isprintable()
    assert refusal or all(changed.values())


def _lines(data: bytes) -> list[bytes]:
    """Lines as git counts them: only a line feed ends one."""
    parts = data.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])
