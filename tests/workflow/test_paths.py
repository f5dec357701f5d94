"""Which paths a pattern means, against a reference that tries every way, and how much work it takes."""

from __future__ import annotations

import sys
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enforcer.workflow.paths import LONGEST, check_pattern, matches

NAMED = {
    # pattern: (paths that it means, paths that it does not)
    "*.sql": (["a.sql", "deep/er/a.sql", ".sql", "a.sql/inside"], ["a.sq", "a.sqlx", "sql"]),
    "Dockerfile": (["Dockerfile", "web/Dockerfile"], ["dockerfile", "Dockerfile2", "web/aDockerfile"]),
    "migrations/": (["migrations/1.py", "app/migrations/x/y"], ["migrations", "app/migrations", "migrations2/x"]),
    "tests": (["tests", "tests/a.py", "app/tests/a"], ["test", "tests.py"]),
    "/tests": (["tests", "tests/a.py"], ["app/tests/a"]),
    ".github/workflows": ([".github/workflows/ci.yml", ".github/workflows"], ["app/.github/workflows/ci.yml"]),
    ".github/**": ([".github/a", ".github/a/b"], [".github", "x/.github/a"]),
    "**/secrets/*.env": (["secrets/a.env", "a/b/secrets/.env"], ["secrets/a/b.env", "secret/a.env"]),
    "a/**/b": (["a/b", "a/x/b", "a/x/y/b", "a/x/b/inside"], ["a", "ab", "a/xb", "x/a/b"]),
    "src/*/config.py": (["src/a/config.py"], ["src/config.py", "src/a/b/config.py"]),
    "v?.txt": (["v1.txt", "a/vü.txt"], ["v.txt", "v12.txt", "v/.txt"]),
    "**": (["a", "a/b"], []),
    "*": (["a", "a/b"], []),
    "/*": (["a", "a/b"], []),
    "/*.py": (["a.py"], ["b/a.py"]),
    "a/**/": (["a/b/c"], ["a/b", "a"]),
    "*a*b*c": (["abc", "xaybzc", "d/aabbcc"], ["acb", "abcd"]),
    "a.b": (["a.b"], ["axb"]),
    "a+(b)|$": (["a+(b)|$"], ["aab"]),
}


@pytest.mark.parametrize("pattern", NAMED)
def test_a_pattern_means_the_paths_it_says_and_no_others(pattern):
    meant, others = NAMED[pattern]
    assert check_pattern(pattern) == ""
    assert [path for path in meant if not matches(pattern, path)] == []
    assert [path for path in others if matches(pattern, path)] == []


def test_a_path_that_is_not_utf_8_is_meant_as_any_other():
    assert matches("/migrations/", "./migrations/\\xff.py")
    assert not matches("/migrations/", "./other/\\xff.py")


@pytest.mark.parametrize(
    "pattern",
    [
        *("", "/", "//", "a//b", "./a", "a/../b", "..", "a/.", "[ab]", "a]", "{a,b}", "!a", "a\\b", " a", "a ", "a\nb"),
        *("\x1b[0m", "a**", "**a/b", "a/b**c", "***", "a" * (LONGEST + 1), "\u202ea"),
    ],
    ids=ascii,
)
def test_what_is_no_pattern_is_told_why(pattern):
    reason = check_pattern(pattern)
    assert reason
    assert reason.isprintable()


PATTERNS = st.builds(
    lambda start, names, end: start + "/".join(names) + end,
    st.sampled_from(["", "/"]),
    st.lists(st.sampled_from(["**", "*", "a", "b", "?", "a*", "*b", "*a*b", "?*"]), min_size=1, max_size=5),
    st.sampled_from(["", "/"]),
)
PATHS = st.lists(st.text("ab*?", min_size=1, max_size=4), min_size=1, max_size=6).map("/".join)


@given(PATTERNS, PATHS)
def test_a_pattern_means_what_trying_every_way_finds(pattern, path):
    assert check_pattern(pattern) == ""
    assert matches(pattern, path) == _tried(pattern, tuple(path.split("/")))


def _tried(pattern: str, path: tuple[str, ...]) -> bool:
    """The definition itself: the file, or a folder that it is in, is one that the pattern names."""
    names = tuple(pattern.strip("/").split("/"))
    starts = range(len(path)) if len(names) == 1 and not pattern.startswith("/") else [0]
    longest = len(path) - 1 if pattern.endswith("/") else len(path)
    return any(_named(names, path[start:end]) for start in starts for end in range(start + 1, longest + 1))


@cache
def _named(names: tuple[str, ...], path: tuple[str, ...]) -> bool:
    if not names or not path:
        return not names and not path
    if names == ("**",):
        return True
    if names[0] == "**":
        return _named(names[1:], path) or _named(names, path[1:])
    return _alike(names[0], path[0]) and _named(names[1:], path[1:])


@cache
def _alike(name: str, text: str) -> bool:
    if not name:
        return not text
    if name[0] == "*":
        return _alike(name[1:], text) or (bool(text) and _alike(name, text[1:]))
    return bool(text) and name[0] in ("?", text[0]) and _alike(name[1:], text[1:])


HARD = {
    "stars in a name": ("*a" * 60 + "b", "a" * 2000),
    "folders in a row": ("/".join(["**", "a"] * 40) + "/b", "/".join("a" * 1000)),
    "both": ("/".join(["**", "*a*a*a"] * 20) + "/b", "/".join(["a" * 40] * 100)),
    "question marks": ("*" + "?" * 100 + "b", "a" * 2000),
}


@pytest.mark.parametrize("name", HARD)
def test_no_pattern_takes_more_steps_than_its_length_times_that_of_the_path(name):
    pattern, path = HARD[name]
    few, many = _steps(pattern, path[: len(path) // 2]), _steps(pattern, path)
    assert many < 8 * len(pattern) * len(path)
    assert many < 3 * few, "twice the path is about twice the work"


def _steps(pattern: str, path: str) -> int:
    """The lines that are executed, which is a measure that no other load of the machine changes."""
    steps = 0

    def count(frame, event, _argument):
        nonlocal steps
        steps += event == "line"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        assert not matches(pattern, path)
    finally:
        sys.settrace(before)
    return steps
