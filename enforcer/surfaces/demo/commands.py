"""What Enforcer runs itself in the demonstration: the package's own tests under coverage, and its build.

pytest stands on the very package that is tested here, so it has to find the one of the project first. Enforcer passes
no variable on that could bend a run; what the run needs is part of the command, and so of the process.
"""

from __future__ import annotations

import shlex

_TESTS = """\
export PYTHONPATH=src PYTHONDONTWRITEBYTECODE=1 COVERAGE_FILE="$ENFORCER_OUT/data"; \
{python} -m coverage run --source=src -m pytest testing --quiet -p no:cacheprovider \
--junitxml="$ENFORCER_OUT/junit.xml"; status=$?; \
{python} -m coverage json -q -o "$ENFORCER_OUT/coverage.json"; exit $status"""

_BUILD = """\
PYTHONPYCACHEPREFIX="$ENFORCER_OUT/compiled" {python} -W error -m compileall -q -f src testing"""


def observed(python: str) -> tuple[str, ...]:
    """The options of `enforcer init` that name the commands, to be run with the interpreter at `python`."""
    tests, build = (f"sh -c {shlex.quote(each.format(python=shlex.quote(python)))}" for each in (_TESTS, _BUILD))
    named = {"test_results.json": tests, "coverage_report.json": tests, "build_output.log": build}
    return tuple(word for name, command in named.items() for word in ("--observe", f"{name}={command}"))
