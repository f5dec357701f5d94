"""What Enforcer runs itself in the demonstration: the package's own tests under coverage, and its build.

pytest stands on the very package that is tested here, so it has to find the one of the project first. Enforcer passes
no variable on that could bend a run, so what the run needs stands in the scripts. They lie in `.ci/`, which is a class
of risk: a change to them is labelled, and asks for more.
"""

from __future__ import annotations

import os
import shlex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from enforcer.surfaces.demo.desk import Desk

TESTS, BUILD = ".ci/tests.sh", ".ci/build.sh"

OBSERVED = (
    *("--observe", f"test_results.json=sh {TESTS}"),
    *("--observe", f"coverage_report.json=sh {TESTS}"),
    *("--observe", f"build_output.log=sh {BUILD}"),
)

_SCRIPTS = {
    TESTS: """\
python={python}
export PYTHONPATH=src PYTHONDONTWRITEBYTECODE=1
export TMPDIR="$ENFORCER_OUT" COVERAGE_FILE="$ENFORCER_OUT/data"
"$python" -m coverage run --source=src -m pytest testing --quiet \\
    -p no:cacheprovider --junitxml="$ENFORCER_OUT/junit.xml"
status=$?
"$python" -m coverage json -q -o "$ENFORCER_OUT/coverage.json"
exit $status
""",
    BUILD: """\
python={python}
export PYTHONPYCACHEPREFIX="$ENFORCER_OUT/compiled"
"$python" -W error -m compileall -f src testing
""",
}


def write(desk: Desk) -> None:
    """The scripts, for the interpreter of the demonstration, shown as they are."""
    python = shlex.quote(desk.place.python.executable)
    os.makedirs(os.path.join(desk.place.project, ".ci"))
    for path, text in _SCRIPTS.items():
        script = text.format(python=python)
        with open(os.path.join(desk.place.project, path), "w", encoding="utf-8") as file:
            file.write(script)
        desk.screen.note(f"Ada writes {path}:")
        desk.screen.answer(script)
