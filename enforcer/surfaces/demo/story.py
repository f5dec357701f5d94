"""The story: one real change walks all nine phases, with every attempt to cheat on the way.

Each phase is one function that does what a worker does in it, in order. What the gate must answer is said where it is
asked, so the story fails at the first answer that differs.
"""

from __future__ import annotations

import hashlib
import os

from enforcer.surfaces.demo import change, documents, measure
from enforcer.surfaces.demo.desk import ADA, GRACE, TASK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from enforcer.surfaces.demo.desk import Desk

BRANCH = "name-the-first-duplicate"
# Nothing is pushed to the package's real home, so the address says of itself that it leads nowhere.
PR_URL = "https://demo.invalid/iniconfig/pull/1"

_SMOKE = """\
import iniconfig
config = iniconfig.IniConfig.parse("smoke.ini", "[one]\\nkey = 1 # comment\\n")
print(config["one"]["key"])
try:
    iniconfig.IniConfig("smoke.ini", "[one]\\nkey = 1\\nkey = 2\\n")
except iniconfig.ParseError as error:
    print(error)
"""
_SMOKE_ANSWERS = ["1", "smoke.ini:3: duplicate name 'key', first on line 2"]


class Story:
    """The worker's notes from phase to phase: the commit they began with, and what was measured last."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.screen = desk.screen
        self.project = desk.place.project
        self.home = desk.place.home
        self.python = desk.place.python.executable
        self.base = measure.git(self.project, "rev-parse", "HEAD").strip()
        self.patch = ""
        self.counts: dict[str, int] = {}
        self.rates: dict[str, Any] = {}
        self.commit = ""

    def tell(self) -> None:
        for number, phase in enumerate(PHASES, 1):
            self.screen.heading(f"{number} {phase.__name__.upper()}")
            phase(self)

    @property
    def diff_digest(self) -> str:
        return hashlib.sha256(self.patch.encode()).hexdigest()

    def scratch(self, name: str) -> str:
        folder = os.path.join(self.home, name)
        os.makedirs(folder, exist_ok=True)
        return folder

    def advance(self, who: str = ADA) -> None:
        self.desk.accepted(who, "advance", TASK)


def strategize(story: Story) -> None:
    desk = story.desk
    story.screen.say(
        "Ada shows what she was told, in parts. Only the digests are kept: from now on a change is noticed."
    )
    desk.accepted(ADA, *attestation(story, ADA))
    story.screen.say("She would rather begin to write code at once.")
    desk.refused(ADA, "phase_skip", "advance", TASK, "--to", "IMPLEMENT")
    story.screen.say("So she writes down what is wrong and what is to be reached, and moves on by one phase.")
    desk.hand_in(ADA, "STRATEGIZE", {"strategy.md": documents.STRATEGY})
    story.advance()


def spec(story: Story) -> None:
    desk = story.desk
    story.screen.say("Her editor asks the guard whether it may write to the source already now.")
    desk.refused(ADA, "tool_out_of_phase", "guard", TASK, stdin=tool_call("c1"))
    desk.hand_in(ADA, "SPEC", {"spec.md": documents.SPEC})
    story.advance()


def plan(story: Story) -> None:
    desk = story.desk
    desk.hand_in(ADA, "PLAN", {"plan.md": documents.PLAN, "file_map.json": documents.as_json(documents.file_map())})
    story.screen.say("The evidence is there, and Grace tries to move the task on. It is Ada's: she holds the lease.")
    desk.refused(GRACE, "lease_held", "advance", TASK)
    story.advance()


def think(story: Story) -> None:
    story.desk.hand_in(ADA, "THINK", {"edge_cases.md": documents.EDGE_CASES})
    story.advance()


def implement(story: Story) -> None:
    desk = story.desk
    story.screen.say("The same question to the guard, now in its phase.")
    desk.accepted(ADA, "guard", TASK, stdin=tool_call("c2"))
    story.screen.say("Ada writes the tests and the change. It looks right; whether it is, VERIFY will tell.")
    change.apply(change.FIRST_VERSION, story.project)
    desk.git(ADA, "diff", "--stat", story.base, "--", ".", measure.STATE)
    desk.hand_in(ADA, "IMPLEMENT", difference(story))
    story.advance()


def verify(story: Story) -> None:
    desk = story.desk
    desk.accepted(ADA, *attestation(story, ADA))
    story.screen.say("Ada is sure that the tests pass, and writes down what they would say. It adds up this time.")
    desk.hand_in(ADA, "VERIFY", documents.forged(desk.attempt()))
    desk.refused(ADA, "evidence_unobserved", "advance", TASK, because="claimed")
    story.screen.say("Nobody saw these tests run. So Enforcer runs what the process names, as it is there.")
    desk.failed(ADA, "run", TASK)
    show_results(story)
    story.screen.say("Four new tests fail, and that is now on the record.")
    desk.refused(ADA, "evidence_invalid", "advance", TASK, because="failed")
    story.screen.say("The gate does not open for a failed test, but the way back always does.")
    desk.accepted(ADA, "backtrack", TASK, "--to", "IMPLEMENT", "--reason", documents.BACKTRACK_REASON)

    story.screen.heading("5 IMPLEMENT, second attempt")
    implement_again(story)
    story.screen.heading("6 VERIFY, second attempt")
    verify_again(story)


def implement_again(story: Story) -> None:
    desk = story.desk
    story.screen.say(
        "The parser noted each line before it looked for a duplicate: the first was overwritten. One line moves."
    )
    before = read(story, change.SOURCE)
    change.apply(change.SECOND_VERSION, story.project)
    story.screen.difference(before, read(story, change.SOURCE))
    story.screen.say("The diff of the first attempt still lies in its folder. It does not count for this one.")
    desk.refused(ADA, "evidence_stale", "advance", TASK)
    desk.hand_in(ADA, "IMPLEMENT", difference(story))
    story.advance()


def verify_again(story: Story) -> None:
    desk = story.desk
    desk.accepted(ADA, "run", TASK)
    show_results(story)
    told = documents.CHANGED_HEADER.strip()
    story.screen.say(
        f"Meanwhile somebody has changed the header of Ada's prompt: “{told}” She shows what she was told."
    )
    desk.refused(ADA, "prompt_drift", *attestation(story, ADA, header=documents.CHANGED_HEADER))
    story.screen.say("With the prompt that she began with, and these results, the phase can be left.")
    desk.accepted(ADA, *attestation(story, ADA))
    story.advance()


def review(story: Story) -> None:
    desk = story.desk
    story.screen.say("Nobody reviews their own work: Ada gives the task out of her hands, and Grace takes it.")
    desk.accepted(ADA, "lease", "release", TASK)
    desk.accepted(GRACE, *attestation(story, GRACE))
    attempt = desk.attempt()
    rubric = documents.rubric(attempt, GRACE, story.diff_digest, story.counts, story.rates)
    score = documents.quality_score(attempt, story.diff_digest)
    story.screen.say(f"Both judgements are bound to the diff with the digest {story.diff_digest[:16]}…")
    desk.hand_in(
        GRACE,
        "REVIEW",
        {"review_rubric.json": documents.as_json(rubric), "code_quality_score.json": documents.as_json(score)},
    )
    story.screen.say("The process wants more than her word for it, and nothing of this is signed yet.")
    desk.refused(GRACE, "approval_missing", "advance", TASK)
    desk.accepted(GRACE, "approve", TASK, *desk.approver, "--yes")
    story.advance(GRACE)
    desk.accepted(GRACE, "lease", "release", TASK)


def pr(story: Story) -> None:
    desk = story.desk
    story.screen.say(
        "Ada commits exactly what was reviewed. Nothing leaves this machine: she pushes to a bare repository beside it."
    )
    remote = desk.place.beside("remote.git")
    measure.git(story.home, "init", "--quiet", "--bare", "remote.git")
    desk.git(ADA, "switch", "--quiet", "--create", BRANCH)
    desk.git(ADA, "commit", "--quiet", "--all", "--message", documents.TITLE)
    desk.git(ADA, "push", "--quiet", remote, BRANCH)
    story.commit = measure.git(story.project, "rev-parse", "HEAD").strip()
    story.screen.say("CI is a fresh clone of what was pushed, in which the package's tests run once more.")
    ci = documents.checks(desk.attempt(), continuous_integration(story), commit=story.commit)
    text = documents.pull_request(story.counts, story.rates, story.diff_digest, story.commit)
    desk.hand_in(
        ADA,
        "PR",
        {"pr_url.txt": f"{PR_URL}\n", "pr_template_filled.md": text, "ci_results.json": documents.as_json(ci)},
    )
    story.advance()


def monitor(story: Story) -> None:
    desk = story.desk
    desk.accepted(ADA, *attestation(story, ADA))
    story.screen.say("The commit is exported into a release folder, and imported and tried out from there.")
    found = released(story)
    attempt = desk.attempt()
    smoke = documents.checks(attempt, found, version=story.commit, environment="a release folder on this machine")
    health = documents.deployment(attempt, story.commit)
    desk.hand_in(
        ADA,
        "MONITOR",
        {"smoke_test_results.json": documents.as_json(smoke), "deployment_status.json": documents.as_json(health)},
    )
    story.advance()


PHASES = (strategize, spec, plan, think, implement, verify, review, pr, monitor)


# What the phases share


def attestation(story: Story, who: str, *, header: str = documents.PROMPTS["header"]) -> list[str]:
    """The command that attests a worker's prompt, whose parts are put into files first."""
    folder = story.scratch(who)
    for part, text in {**documents.PROMPTS, "header": header}.items():
        with open(os.path.join(folder, part), "w", encoding="utf-8") as file:
            file.write(text)
    files = ((f"--{part}", story.desk.place.beside(who, part)) for part in documents.PROMPTS)
    return ["attest", TASK, *(word for pair in files for word in pair)]


def tool_call(call: str) -> str:
    """What a host sends to the guard before an editor's write."""
    return f'{{"tool": "Write", "session": "ada-1", "call": "{call}",\n "input": {{"file_path": "{change.SOURCE}"}}}}\n'


def read(story: Story, path: str) -> str:
    with open(os.path.join(story.project, path), encoding="utf-8") as file:
        return file.read()


def difference(story: Story) -> dict[str, str]:
    """The evidence of IMPLEMENT, from git."""
    story.patch = measure.diff(story.project, story.base)
    files = {"files": measure.changed_files(story.project, story.base)}
    return {"git_diff.patch": story.patch, "modified_files.json": documents.as_json(files)}


def show_results(story: Story) -> None:
    """Read what the run made of the reports; the review and the pull request speak of it."""
    folder = os.path.join(story.project, "state", "evidence", TASK, "verify")
    results, rates = (documents.read_json(folder, name) for name in ("test_results.json", "coverage_report.json"))
    kinds = ("total", "passed", "failed", "errors", "skipped")
    story.counts, story.rates = {kind: results.get(kind, 0) for kind in kinds}, rates
    changed = f"{rates['changed_lines_covered']} of {rates['changed_lines_total']} changed"
    counts = ", ".join(f"{count} {kind}" for kind, count in story.counts.items() if count)
    rows = [("tests", counts), ("lines", f"{rates['lines_covered']} of {rates['lines_total']} run, {changed} ones")]
    story.screen.gap()
    story.screen.facts(rows)


def show_tests(story: Story, tests: measure.Tests) -> None:
    counts = ", ".join(f"{count} {kind}" for kind, count in tests.counts.items() if count)
    rows = [("tests", f"{counts} in {tests.seconds:.2f} s")]
    rows += [("failed", name) for name in tests.failures]
    story.screen.gap()
    story.screen.facts(rows)


def continuous_integration(story: Story) -> list[tuple[str, str]]:
    """Clone what was pushed, check that it is the commit, run the tests there; answer the checks and what they saw."""
    clone = os.path.join(story.home, "ci")
    measure.git(story.home, "clone", "--quiet", "--branch", BRANCH, "remote.git", "ci")
    cloned = measure.git(clone, "rev-parse", "HEAD").strip()
    story.desk.expect("the commit that CI cloned", story.commit, cloned)
    tests = measure.run_tests(story.python, clone, story.scratch("scratch"))
    story.desk.expect("failures in CI", [], list(tests.failures))
    show_tests(story, tests)
    return [
        ("clone", f"The branch {BRANCH} is at {cloned}."),
        (
            f"tests (Python {story.desk.place.python.version})",
            f"{tests.counts['passed']} of {tests.counts['total']} passed.",
        ),
    ]


def released(story: Story) -> list[tuple[str, str]]:
    """Export the commit from CI's clone, use the package from there; answer the checks and what they saw."""
    release = story.scratch("release")
    measure.git(os.path.join(story.home, "ci"), "checkout-index", "--all", f"--prefix={release}/")
    answers = measure.ask_python(story.python, release, _SMOKE).splitlines()
    story.desk.expect("what the released package answers", _SMOKE_ANSWERS, answers)
    story.screen.gap()
    story.screen.answer("\n".join(answers))
    return [
        ("a file with a comment parses", f"The value came back as {answers[0]}."),
        ("a duplicate is reported with both lines", answers[1]),
    ]
