"""JUnit XML: what pytest, jest, vitest, mocha, node, gotestsum, go-junit-report, maven and their kin write.

The format has no specification, only habits: `testsuites` holds `testsuite`s, which hold `testcase`s and at times
further suites. A `testcase` without a child that says otherwise passed; `failure`, `error` and `skipped` say otherwise.
Every number in the document made here is counted from the cases. The numbers that writers put into attributes are only
compared with them: where those tell of more than the cases show, the report was cut, and where they tell of nothing
wrong beside a case that failed, one of both was edited.

Habits of real writers, each seen in the outputs that the tests keep:

- pytest writes a case twice when it fails and then cannot be torn down, and adds passing subtests to `tests` alone.
- pytest writes an expected failure as `<skipped type="pytest.xfail">`. One that passed is not marked at all.
- jest-junit lists a `todo` as a case like one that passed, and leaves it out of `tests`; a file that does not load is
  an `error` and a `failure` of one name.
- node counts a nested suite as one test of the suite around it.
- mocha's own reporter calls every failure an error in its attributes.
- surefire tells of earlier tries of a test in `rerun…` and `flaky…` elements; the last one decides. Its attributes
  count what ran in the last round, which are only the tests that had failed before.
- gotestsum counts a package that does not build as an error of the whole, without a case.
"""

from __future__ import annotations

from enforcer.evidence.readers.elements import walk
from enforcer.evidence.readers.fault import Unreadable, count, plural, shown
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_CASES = 200_000

_SUITES = ("testsuite", "testsuites")
_BAD = ("failure", "error")
_TRIES = ("flakyFailure", "flakyError", "rerunFailure", "rerunError")
_TOLD = ("tests", "failures", "errors", "skipped")

# Children of a case that do not change how it ended. A child that is not known might, so it is refused.
_ASIDE = ("system-out", "system-err", "properties", "attachments", "assertions")

# How some writers say it in an attribute, as googletest does of a test that is switched off.
_ATTRIBUTES = ("status", "result")
_WORDS = {
    "error": ("error", "errored", "broken"),
    "failure": ("failed", "failure", "fail"),
    "skipped": ("notrun", "skipped", "disabled", "suppressed", "ignored", "pending"),
}

_PYTEST = "pytest tests"  # What pytest calls the outermost element, whatever the suite is called.


class Tally(Record):
    """How many cases ended in which way. `reruns` counts earlier tries, which decide nothing."""

    passed: int = 0
    failed: int = 0
    errors: int = 0
    skipped: int = 0
    xfailed: int = 0
    uncounted: int = 0
    reruns: int = 0

    @property
    def total(self) -> int:
        return self.passed + self.failed + self.errors + self.skipped + self.xfailed

    def plus(self, other: Tally) -> Tally:
        """Both together."""
        return Tally(*(getattr(self, field) + getattr(other, field) for field in Tally.fields))


class _Case:
    """One `testcase` while it is read."""

    def __init__(self, attributes: Mapping[str, str]) -> None:
        self.name = (attributes.get("classname", ""), attributes.get("name", ""))
        self.instant = not attributes.get("time", "").strip("0.")
        self.marks = {"failure": 0, "error": 0, "skipped": 0}
        self.reruns = 0
        self.expected = False
        self._said = _said(attributes)

    def settle(self) -> str:
        """How it ended: the worst that was said of it."""
        if not any(self.marks.values()) and self._said:
            self.marks[self._said] = 1
        if self.marks["error"]:
            return "errors"
        if self.marks["failure"]:
            return "failed"
        return ("xfailed" if self.expected else "skipped") if self.marks["skipped"] else "passed"


def _said(attributes: Mapping[str, str]) -> str:
    """The mark that a case has in its attributes, and need not have in a child; empty for none."""
    said = {attributes.get(name, "").strip().lower() for name in _ATTRIBUTES}
    return next((mark for mark, words in _WORDS.items() if said.intersection(words)), "")


class _Suite:
    """What is counted of one suite: its own cases, and those of the suites within it."""

    def __init__(self, attributes: Mapping[str, str], place: str) -> None:
        self.place = place
        self.told = {
            name: count(attributes[name].strip(), f"the attribute {name} at {place}")
            for name in _TOLD
            if name in attributes
        }
        self.ended = dict.fromkeys(("passed", "failed", "errors", "skipped", "xfailed"), 0)
        self.marks = {"failure": 0, "error": 0, "skipped": 0}
        self.instant = 0  # Cases that passed and took no time.
        self.twice = 0  # Cases that only repeat the name of the case before, which had failed.
        self.reruns = 0
        self.uncounted = 0
        self.inner: list[_Suite] = []
        self.last: tuple[tuple[str, str], bool] = (("", ""), False)

    def add(self, case: _Case) -> None:
        ended = case.settle()
        self.ended[ended] += 1
        for mark, times in case.marks.items():
            self.marks[mark] += times
        self.instant += ended == "passed" and case.instant
        self.twice += ended == "errors" and self.last == (case.name, True)
        self.reruns += case.reruns
        self.last = (case.name, ended == "failed")

    def absorb(self, inner: _Suite) -> None:
        """Count what an inner suite holds as within this one."""
        self.inner.append(inner)
        for mine, theirs in ((self.ended, inner.ended), (self.marks, inner.marks)):
            for key, number in theirs.items():
                mine[key] += number
        self.instant += inner.instant
        self.reruns += inner.reruns
        self.uncounted += inner.uncounted

    @property
    def cases(self) -> int:
        return sum(self.ended.values())

    @property
    def bad(self) -> int:
        return self.ended["failed"] + self.ended["errors"]


class _Report:
    """The visitor. Suites are judged when they close, so an inner one before the one around it."""

    def __init__(self) -> None:
        self.root: _Suite | None = None
        self.cases = 0
        self._is_pytest = False
        self._open: list[_Suite] = []
        self._case: _Case | None = None
        self._aside = 0  # How deep in an element whose content does not matter.

    def open(self, name: str, attributes: Mapping[str, str], place: str) -> None:
        if self._aside:
            self._pass_over(name, place)
        elif self._case is not None:
            self._note(self._case, name, attributes, place)
            self._pass_over(name, place)
        elif not self._open and (name not in _SUITES or self.root is not None):
            raise Unreadable(f"its outermost element is {shown(name)} and not `testsuites` or `testsuite`")
        elif name in _SUITES:
            self._is_pytest = self._is_pytest if self._open else attributes.get("name") == _PYTEST
            self._open.append(_Suite(attributes, place))
        elif name == "testcase":
            self._begin(attributes, place)
        else:
            if name in _BAD:  # Of the suite itself: what was to be set up for all of its cases.
                self._open[-1].ended["errors"] += 1
                self._open[-1].marks[name] += 1
            self._pass_over(name, place)

    def text(self, data: str) -> None:
        """What a test wrote is nothing that is counted."""

    def close(self, name: str) -> None:
        if self._aside:
            self._aside -= 1
        elif self._case is not None:
            self._open[-1].add(self._case)
            self._case = None
        else:
            self._end()

    def _begin(self, attributes: Mapping[str, str], place: str) -> None:
        self.cases += 1
        if self.cases > MAX_CASES:
            raise Unreadable(f"it holds more than {MAX_CASES} test cases, at {place}")
        self._case = _Case(attributes)

    def _note(self, case: _Case, name: str, attributes: Mapping[str, str], place: str) -> None:
        """Take in what a child says of its case."""
        if name in case.marks:
            case.marks[name] += 1
            case.expected |= name == "skipped" and attributes.get("type") == "pytest.xfail"
        elif name in _TRIES:
            case.reruns += 1
        elif name not in _ASIDE:
            raise Unreadable(f"a test case holds an element {shown(name)} that is not known, at {place}")

    def _pass_over(self, name: str, place: str) -> None:
        """Begin an element whose content does not matter. No case hides in one."""
        if name in (*_SUITES, "testcase"):
            raise Unreadable(f"{name} stands where none belongs, at {place}")
        self._aside += 1

    def _end(self) -> None:
        suite = self._open.pop()
        _check_bad(suite)
        _check_tests(suite, is_pytest=self._is_pytest)
        if self._open:
            self._open[-1].absorb(suite)
        else:
            self.root = suite


def read(data: bytes) -> Tally:
    """What a report says of its cases. Raises `Unreadable`."""
    report = _Report()
    walk(data, report)
    suite = report.root
    assert suite is not None, "a well-formed document has an outermost element"
    ended = dict(suite.ended)
    ended["passed"] -= suite.uncounted
    ended["skipped"] += suite.uncounted
    return Tally(**ended, uncounted=suite.uncounted, reruns=suite.reruns)


def _check_bad(suite: _Suite) -> None:
    """The attributes tell of no more trouble than the cases show, and of some where they show any."""
    told = [suite.told[name] for name in ("failures", "errors") if name in suite.told]
    marks = suite.marks["failure"] + suite.marks["error"]
    if sum(told) > max(marks, suite.bad):
        raise _cut(suite, plural(sum(told), "failure") + " and errors", marks)
    if suite.bad and len(told) == 2 and not sum(told):
        raise Unreadable(
            f"the suite at {suite.place} says that nothing failed, and {plural(suite.bad, 'case')} of it did"
        )
    if suite.told.get("skipped", 0) > max(suite.marks["skipped"], suite.ended["skipped"] + suite.ended["xfailed"]):
        raise _cut(suite, f"{suite.told['skipped']} skipped", suite.marks["skipped"])


def _check_tests(suite: _Suite, *, is_pytest: bool) -> None:
    """`tests` counts the cases, within the habits of writers.

    What failed may stand for more cases than tests. Others that are not counted as tests must have taken no time, and
    are not believed to have passed. After reruns the attributes are those of the last try, which ran some tests only.
    """
    told = suite.told.get("tests")
    within = [suite.cases - sum(one.cases for one in suite.inner) + len(suite.inner), suite.cases]
    if told is None or told in within:
        return
    if is_pytest:
        if told < suite.cases - suite.twice:
            raise _uncounted(suite, told)
        if {"failures", "errors", "skipped"} <= suite.told.keys():
            return
    if told > max(within):
        raise _cut(suite, plural(told, "test"), suite.cases)
    if suite.reruns:
        return
    surplus = suite.cases - told - suite.bad
    if surplus > suite.instant:
        raise _uncounted(suite, told)
    if not suite.inner:
        suite.uncounted = max(0, surplus)


def _cut(suite: _Suite, told: str, found: int) -> Unreadable:
    return Unreadable(
        f"the suite at {suite.place} tells of {told}, and its cases show {found}: the report was cut or edited,"
        " or something failed outside of the tests, a build for example"
    )


def _uncounted(suite: _Suite, told: int) -> Unreadable:
    return Unreadable(f"the suite at {suite.place} counts {plural(told, 'test')} and holds {suite.cases} cases")
