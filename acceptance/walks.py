"""Honest walks: a worker and a reviewer who do real work in a real repository and hand in true evidence.

A gate that refuses everything passes every attack test, so every refusal in a walk from here is a failure. What is
written is drawn at random, from a seed, out of what honest people write: other prose and another layout each time,
Unicode, odd file names, code with placeholders in it, documents and changes of some size, changes of every kind that
git knows. Workers hand over to each other, commit when it suits them, and go back, at times for no fault of the change.
The generator knows `docs/evidence.md` and the JSON Schemas, and nothing of the package.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from acceptance import prose, runner
from acceptance.model import PHASES
from acceptance.repositories import Change, commit_all, plan_change
from acceptance.world import ADA, BOB, World

CARL = "carl"  # Works beside the first worker where a walk is shared.
REVIEWED = ("REVIEW", "PR", "MONITOR")  # the phases that the reviewer works in
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
CRITERIA = ("readability", "maintainability", "performance", "security", "governance")


class Walk:
    """One task from STRATEGIZE on. Everything it writes follows from its seed.

    `shared`: another worker takes over here and there before the review. `backtracks` and `outages` are how often it
    goes back, because of second thoughts and because VERIFY could not be done.
    """

    def __init__(
        self,
        world: World,
        name: str,
        seed: int,
        *,
        extra_file: str = "",
        committed: bool = True,
        shared: bool = False,
        backtracks: int = 0,
        outages: int = 0,
    ) -> None:
        self.world = world
        self.name = name
        self.chance = random.Random(seed)
        self.change: Change = plan_change(world.root, self.chance, extra_file)
        self.implemented = False
        self.backtracks, self.outages = backtracks, outages
        self.is_wordy = self.chance.random() < 0.15
        self.kept: set[str] = set()  # Phases whose evidence stays as it is when they come up again.
        self.handles = {actor: world.library(actor) for actor in (ADA, BOB, CARL)}
        workers = {phase: self.chance.choice((ADA, CARL)) if shared else ADA for phase in PHASES}
        self.workers = workers | dict.fromkeys(REVIEWED, BOB)
        if committed:
            commit_all(world, "Before the work")
        self.handles[ADA].open_task(name, title=prose.sentence(self.chance))

    @property
    def task(self) -> Any:
        """The task in the hands of whoever works on its phase."""
        return self.handles[self.workers[self.phase]].task(self.name)

    @property
    def phase(self) -> str:
        return str(self._status().phase)

    @property
    def is_open(self) -> bool:
        return bool(self._status().state == "open")

    def to(self, phase: str) -> Walk:
        """Walk on until `phase`, refused nowhere."""
        while self.phase != phase:
            self.write()
            self.step()
        return self

    def whole(self) -> None:
        """The whole walk."""
        while self.is_open:
            self.go_on()

    def go_on(self) -> None:
        """Do the work of a phase and leave it, perhaps after going back from one that lets one doubt."""
        if self.outages and self.phase == "VERIFY":
            self.outages -= 1
            self.meet_outage()
        elif self.backtracks and self.phase in PHASES[5:] and self.chance.random() < 0.4:
            self.backtracks -= 1
            self.back(self.chance.choice(PHASES[: PHASES.index(self.phase)]))
        self.write()
        if self.phase != "PR":  # What CI said there is about the commit that is checked out.
            self._commit_sometimes()
        self.step()
        self._commit_sometimes()

    def step(self) -> None:
        """Leave the phase; hand the lease over where another one works in the next."""
        task = self.task
        task.advance().require()
        if self.is_open and self.task.actor != task.actor:
            task.release().require()

    def meet_outage(self) -> None:
        """VERIFY fails for no fault of the change. The worker goes back, leaves all as it is, and comes forward."""
        down = self.world.home / runner.DOWN.name
        down.touch()
        self.write()
        down.unlink()
        to = self.chance.choice(PHASES[: PHASES.index("VERIFY")])
        self.back(to, changed=False)
        self.kept = set(PHASES[PHASES.index(to) : PHASES.index("VERIFY")])

    def back(self, to: str, *, changed: bool = True) -> None:
        """Go back. Whoever holds the task in IMPLEMENT counts as an implementer, so a reviewer does not go that far:
        the task is handed over, and the worker goes back."""
        task = self.task
        if PHASES.index(to) <= PHASES.index("IMPLEMENT") and task.actor == BOB:
            task.release().require()
            task = self.handles[ADA].task(self.name)
        task.backtrack(to, prose.sentence(self.chance)).require()
        if self.task.actor != task.actor:
            task.release().require()
        if changed and PHASES.index(to) <= PHASES.index("IMPLEMENT"):
            self.implemented = False
        if changed and PHASES.index(to) <= PHASES.index("PLAN"):
            self.change.revise(self.chance)

    def write(self) -> None:
        """Put the evidence of the current phase in place, where it does not stand there from before."""
        if self.phase in self.kept:
            self.kept.remove(self.phase)
        else:
            getattr(self, f"_{self.phase.lower()}")()

    # One method for each phase

    def _strategize(self) -> None:
        sections = ("Problem", "Objectives", "Scope", "Non-Goals", "Risks", "Strategy")
        self._document("strategy.md", sections)

    def _spec(self) -> None:
        self._document("spec.md", ("Acceptance Criteria", "KPIs"), lists=("Acceptance Criteria",))

    def _plan(self) -> None:
        sections = ("Work Breakdown", "Dependencies", "Estimates")
        self._document("plan.md", sections)
        files = [
            {"path": path, "action": action, "why": prose.sentence(self.chance)}
            for path, action in self.change.planned.items()
        ]
        self.chance.shuffle(files)
        self._put_json("file_map.json", {"files": files, **self._sometimes(notes=prose.sentence(self.chance))})

    def _think(self) -> None:
        sections = ("Edge Cases", "Mitigations")
        self._document("edge_cases.md", sections, lists=sections)

    def _implement(self) -> None:
        if not self.implemented:
            self.change.apply()
            self.implemented = True
            if self.chance.random() < 0.5:
                commit_all(self.world, "The change")
        base = self._base()
        self._put("git_diff.patch", self._diff(base))
        changed = self._changed_files(base)
        self.chance.shuffle(changed)
        surprises = [path for path in changed if path not in self.change.planned]
        deviations = [{"path": path, "reason": prose.sentence(self.chance)} for path in surprises]
        self._put_json("modified_files.json", {"files": changed, **({"deviations": deviations} if deviations else {})})

    def _verify(self) -> None:
        for outcome in self.task.run():
            outcome.require()

    def _review(self) -> None:
        digest = hashlib.sha256(self._path("git_diff.patch", "implement").read_bytes()).hexdigest()
        bound = {"attempt_id": self._attempt_id(), "diff_digest": digest}
        criteria = {name: {"pass": True, "note": prose.sentence(self.chance)} for name in CRITERIA}
        rubric = {
            **bound,
            "reviewer": BOB,
            "criteria": criteria,
            **self._sometimes(summary=prose.sentence(self.chance)),
        }
        self._put_json("review_rubric.json", rubric)
        score = self.chance.choice((70, 70.5, 88, 99.9, 100, self.chance.randint(70, 100)))
        self._put_json("code_quality_score.json", {**bound, "score": score, **self._sometimes(tool="manual")})

    def _pr(self) -> None:
        commit_all(self.world, "The change, as reviewed")
        number = self.chance.randint(1, 99_999)
        end = self.chance.choice(("", "\n"))
        self._put("pr_url.txt", f"https://git.example.org/group/pr-{number}/merge_requests/{number}{end}")
        self._document("pr_template_filled.md", ("Summary", "Risks", "Rollback", "Evidence"))
        if self.change.is_risky or self.chance.random() < 0.2:
            self._document("rollback_plan.md", ("Trigger", "Steps", "Data"))
        ci = {"attempt_id": self._attempt_id(), "commit": self.world.git("rev-parse", "HEAD").strip()}
        self._put_json("ci_results.json", {**ci, "checks": self._checks()})

    def _monitor(self) -> None:
        self._put_json("smoke_test_results.json", {"attempt_id": self._attempt_id(), "checks": self._checks()})
        version = self.chance.choice(("2.1.1", "v0.9.0-rc.1+build.7", self.world.git("rev-parse", "HEAD").strip()))
        deployed = {"attempt_id": self._attempt_id(), "status": "healthy", "version": version}
        extra = self._sometimes(environment="staging", deployed_at="2025-06-03T10:15:00Z")
        self._put_json("deployment_status.json", {**deployed, **extra})

    # Parts of evidence

    def _document(self, name: str, sections: Sequence[str], lists: Sequence[str] = ()) -> None:
        text = prose.document(self.chance, sections, lists)
        self._put(name, text + (prose.appendix(self.chance) if self.is_wordy else ""))

    def _checks(self) -> list[dict[str, Any]]:
        names = ("tests (Python 3.11)", "lint", "Übersicht / größe", "0 failed, 0 errors", "docs → pages")
        chosen = self.chance.sample(names, self.chance.randint(1, len(names)))
        url = f"https://ci.example.org/runs/{self.chance.randint(1, 9_999)}?view=log#end"
        return [{"name": name, "status": "passed", **self._sometimes(url=url, detail="as expected")} for name in chosen]

    def _diff(self, base: str) -> str:
        """What git says, in one of the ways in which people ask it."""
        self.world.git("add", "--intent-to-add", "--all", "--", ".", ":(exclude)state")
        ways = ("", "--no-renames", "-U8", "--patience", "--full-index", "--no-renames -U0")
        way = self.chance.choice(ways).split()
        return self.world.git("diff", "--binary", *way, base, "--", ".", ":(exclude)state")

    def _changed_files(self, base: str) -> list[str]:
        self.world.git("add", "--intent-to-add", "--all", "--", ".", ":(exclude)state")
        args = ("diff", "--name-only", "--no-renames", "-z", base, "--", ".", ":(exclude)state")
        return [path for path in self.world.git(*args).split("\0") if path]

    def _commit_sometimes(self) -> None:
        if self.chance.random() < 0.3:
            self.world.git("add", "--all")
            self.world.git("commit", "--quiet", "--allow-empty", "--message", prose.sentence(self.chance))

    def _base(self) -> str:
        """The commit at which the task was opened, as its first entry says; without one, the empty tree."""
        return str(self.world.events("task.opened", self.name)[0]["data"].get("base") or EMPTY_TREE)

    def _attempt_id(self) -> str:
        return str(self._status().attempt_id)

    def _status(self) -> Any:
        return self.handles[ADA].task(self.name).status()

    def _sometimes(self, **members: Any) -> dict[str, Any]:
        return {name: value for name, value in members.items() if self.chance.random() < 0.5}

    def _put(self, name: str, text: str) -> None:
        # `git diff` may print bytes that are no UTF-8; they came in as surrogate escapes and leave as they were.
        self.world.write(self.name, self.phase, text.encode("utf-8", "surrogateescape"), name)

    def _put_json(self, name: str, value: dict[str, Any]) -> None:
        items = list(value.items())
        self.chance.shuffle(items)
        indent, plain = self.chance.choice((None, 2, "\t")), self.chance.random() < 0.5
        end = self.chance.choice(("", "\n"))
        self._put(name, json.dumps(dict(items), indent=indent, ensure_ascii=plain) + end)

    def _path(self, name: str, phase: str) -> Path:
        return self.world.evidence(self.name, phase, name)
