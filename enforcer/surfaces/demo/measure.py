"""What the demonstration's workers measure: the package's own tests, its coverage, its build, and what git says.

Every figure in the evidence comes from here, and so from a run that really took place.
"""

from __future__ import annotations

import os
import re
import subprocess
import xml.etree.ElementTree as ElementTree

from enforcer.errors import UnavailableError
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STATE = ":(exclude)state"

_IDENTITY = {
    "GIT_AUTHOR_NAME": "Enforcer Demonstration",
    "GIT_AUTHOR_EMAIL": "demo@example.invalid",
    "GIT_COMMITTER_NAME": "Enforcer Demonstration",
    "GIT_COMMITTER_EMAIL": "demo@example.invalid",
}
_GIT = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
# What would give the tests options, plugins or modules that are not of the package under test.
_FOREIGN = re.compile("GIT_|PYTEST_|COVERAGE_|PYTHON")
_HUNK = re.compile(r"@@ -\d+(?:,\d+)? \+(\d+)(?:,(\d+))? @@")
_TIMEOUT = 300


class Tests(Record):
    """One run of the test suite: its counts, and what failed."""

    counts: Mapping[str, int]
    failures: tuple[str, ...]
    seconds: float


def environment(**changes: str) -> dict[str, str]:
    """The user's environment without what would bend git or the tests."""
    kept = {name: value for name, value in os.environ.items() if not _FOREIGN.match(name)}
    return {**kept, **_GIT, **_IDENTITY, **changes}


# Git


def git(folder: str, *args: str, when: str = "") -> str:
    """What git prints. `when` fixes the dates of a commit, and so its id."""
    dates = {"GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when} if when else {}
    return _run(["git", "-c", "core.hooksPath=/dev/null", *args], folder, environment(**dates)).stdout


def diff(folder: str, base: str, *options: str) -> str:
    """The difference between a commit and the working files. Nothing here is untracked, so git sees all of it."""
    fixed = ("--binary", "--full-index", "--no-renames", "--no-ext-diff", "--no-textconv", "--no-color")
    return git(folder, "diff", *fixed, *options, base, "--", ".", STATE)


def changed_files(folder: str, base: str) -> list[str]:
    return diff(folder, base, "--name-only", "-z").rstrip("\0").split("\0")


# Tests


def run_tests(python: str, folder: str, scratch: str) -> Tests:
    """Run the package's own test suite below `folder`; what the run leaves behind goes to `scratch`."""
    junit = os.path.join(scratch, "junit.xml")
    argv = [python, "-m", "pytest", "testing", "-p", "no:cacheprovider", f"--junitxml={junit}", "--quiet"]
    setting = environment(
        PYTHONPATH="src", PYTHONDONTWRITEBYTECODE="1", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", TMPDIR=scratch
    )
    done = _run(argv, folder, setting, expected=(0, 1))
    counts, failures, seconds = read_junit(junit)
    if (done.returncode == 0) != (counts["failed"] + counts["errors"] == 0):
        raise UnavailableError("demo_tests_unclear", f"pytest ended with {done.returncode} and reports {counts}.")
    return Tests(counts, failures, seconds)


def read_junit(path: str) -> tuple[dict[str, int], tuple[str, ...], float]:
    """The counts, the names of what failed, and the seconds of the JUnit XML report that pytest wrote."""
    suites = list(ElementTree.parse(path).getroot().iter("testsuite"))
    total, failed, errors, skipped = (
        sum(int(suite.get(name, "0")) for suite in suites) for name in ("tests", "failures", "errors", "skipped")
    )
    passed = total - failed - errors - skipped
    failures = tuple(
        case.get("name", "")
        for case in suites[0].iter("testcase")
        if any(case.find(kind) is not None for kind in ("failure", "error"))
    )
    counts = {"total": total, "passed": passed, "failed": failed, "errors": errors, "skipped": skipped}
    return counts, failures, sum(float(suite.get("time", "0")) for suite in suites)


def ask_python(python: str, folder: str, program: str) -> str:
    """What a short program prints that imports the package from `folder`."""
    setting = environment(PYTHONPATH=os.path.join(folder, "src"), PYTHONDONTWRITEBYTECODE="1")
    return _run([python, "-W", "error", "-c", program], folder, setting).stdout


def _run(
    argv: Sequence[str], folder: str, setting: Mapping[str, str], expected: tuple[int, ...] = (0,)
) -> subprocess.CompletedProcess[str]:
    """Raises `UnavailableError` where a program is missing, takes too long or ends otherwise than expected."""
    try:
        done = subprocess.run(
            argv, cwd=folder, env=setting, capture_output=True, text=True, check=False, timeout=_TIMEOUT
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        fix = f"Install {argv[0]}." if isinstance(error, FileNotFoundError) else ""
        raise UnavailableError("demo_program_failed", f"{argv[0]} could not be run: {error}.", fix=fix) from error
    if done.returncode not in expected:
        words = (done.stderr or done.stdout).strip()[-400:]
        raise UnavailableError(
            "demo_program_failed", f"{' '.join(argv[:6])} … ended with {done.returncode}: {words}", where=folder
        )
    return done
