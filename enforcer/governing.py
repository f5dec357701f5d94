"""`enforcer certify --change`: was this change governed at all?

The files of a commit, without `state/`, have to be those that a task has verified (`evidence.governed`). The ledger is
the project's own or a published one, which needs no checkout and no key: so a clone in CI can ask. Everything is read
from one copy, and nothing is believed of a ledger that does not verify.
"""

from __future__ import annotations

import tempfile

from enforcer.auditing import load_anywhere
from enforcer.certificate import FAILED, PASSED, Certificate, Check, Nearest, ledger_check, unasked
from enforcer.enforcer import locate
from enforcer.errors import EnforcerError, RequestError
from enforcer.evidence.git import Repository
from enforcer.evidence.governed import bounds, way_on
from enforcer.evidence.objects import Objects
from enforcer.evidence.observation import contents_seen, differing
from enforcer.evidence.processes import StoredProcesses
from enforcer.ledger.files import FileLedger
from enforcer.ports import SystemClock, SystemDisk, SystemEntropy
from enforcer.published import check_out
from enforcer.verification import Asked, verify_copy, verify_project
from enforcer.workflow.events import Refusal
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from enforcer.evidence.governed import Bound
    from enforcer.project import Project

GOVERNED = "governed"

EXCLUDED = ("state",)  # Paths below the project that are no part of a change.

MOST_COMPARED = 200  # Trees that a change is compared with, the newest ones.
MOST_NAMED = 20  # Files that a refusal names one by one.


class Terms(Record):
    """What a change is held against.

    `ref` names a published ledger, in place of the one in `state/`. With `keys` (vkeys, or files with one a line) the
    ledger has to be signed by one of them. With `processes` (shipped names, or paths) only tasks under one of
    these, as it is now, speak for a change.
    """

    ref: str = ""
    keys: tuple[str, ...] = ()
    processes: tuple[str, ...] = ()


def certify_change(revision: str = "HEAD", *, root: str | None = None, terms: Terms | None = None) -> Certificate:
    """Whether a task speaks for the content of a commit.

    Raises `RequestError` (`no_repository`, `unknown_revision`, a process or key that is none), `UnavailableError`
    (`ref_missing`, `git_failed`, …), and `DamagedError` where a ref that was named holds no ledger.
    """
    terms = terms or Terms()
    project, user = locate(root=root)
    repository = Repository.find(project.root)
    if repository is None:
        message = "There is no git repository around the project, so it has no changes."
        raise RequestError("no_repository", message, where=project.root, fix="Ask where the repository is.")
    with repository:
        commit = repository.resolve(revision)
        asked = Certificate(
            task="", checks=(), revision=revision, commit=commit, tree=repository.tree_of(commit, EXCLUDED)
        )
        pinned = tuple(load_anywhere(name, project.root).digest for name in terms.processes)
        with tempfile.TemporaryDirectory(prefix="enforcer-certify-") as folder:
            return _Question(project, user, terms, repository, pinned).answer(asked, folder)


class _Question:
    """One change, on the way to its answer."""

    def __init__(
        self, project: Project, user: str, terms: Terms, repository: Repository, pinned: tuple[str, ...]
    ) -> None:
        self._project, self._user, self._terms = project, user, terms
        self._repository, self._pinned = repository, pinned
        self._disk, self._entropy = SystemDisk(), SystemEntropy()
        self._contents: dict[str, Mapping[str, str] | EnforcerError] = {}

    def answer(self, asked: Certificate, folder: str) -> Certificate:
        state, ledger = self._ledger(folder)
        if ledger.verdict != PASSED:
            why = "the ledger does not verify, so it speaks for nothing"
            return asked.replace(checks=(ledger, *unasked((GOVERNED,), why)))
        self._objects = Objects(f"{state}/objects", self._disk, self._entropy)
        found = list(self._bounds(state))
        same = [one for one in found if one.tree == asked.tree and not one.against]
        if same:
            last = same[-1]
            note = f"{last.task} has verified exactly this content in {last.phase}; entry {last.seq} accepted it"
            return asked.replace(task=last.task, checks=(ledger, Check(GOVERNED, PASSED, note=note)))
        nearest = self._nearest(asked, found)
        check = Check(GOVERNED, FAILED, (_ungoverned(asked, nearest),))
        return asked.replace(checks=(ledger, check), nearest=nearest)

    def _ledger(self, folder: str) -> tuple[str, Check]:
        """The state folder to read, and whether the ledger in it holds."""
        terms = self._terms
        asked = Asked(ref=terms.ref, keys=terms.keys, require_key=bool(terms.keys))
        if not terms.ref:
            report = verify_project(self._project, self._user, asked, disk=self._disk, entropy=self._entropy)
            return self._project.state, self._advised(ledger_check(report))
        check_out(self._project.root, terms.ref, folder)
        report = verify_copy(self._project, self._user, asked, folder, disk=self._disk, entropy=self._entropy)
        return folder, ledger_check(report)

    def _advised(self, check: Check) -> Check:
        """Where no ledger stands, as in a clone, a published one can answer."""
        if self._disk.exists(f"{self._project.state}/ledger/ledger.json"):
            return check
        fix = "Name a published ledger: enforcer certify --change --ref refs/enforcer/LEDGER --key FILE"
        return check.replace(reasons=tuple(one.replace(fix=fix) for one in check.reasons))

    def _bounds(self, state: str) -> Iterator[Bound]:
        """In the order of the entries that accepted them."""
        ledger = FileLedger(
            f"{state}/ledger", disk=self._disk, clock=SystemClock(), entropy=self._entropy, cache_key=None
        )
        try:
            ledger.catch_up()
            found = bounds(ledger.entries(), StoredProcesses(self._objects), self._pinned)
            yield from sorted(found, key=lambda one: one.seq)
        finally:
            ledger.close()

    # What is nearest -------------------------------------------------------------------------------------------------

    def _nearest(self, asked: Certificate, found: list[Bound]) -> Nearest | None:
        """The verified tree with the fewest differing files; of several, of a task that counts, and the newest."""
        ranked = []
        for age, one in enumerate(reversed(found[-MOST_COMPARED:])):
            near = self._compared(asked, one)
            far = len(near.differing) if near.differing is not None else 1 << 30
            ranked.append((far, bool(one.against), age, near))
        return min(ranked, key=lambda each: each[:3])[3] if ranked else None

    def _compared(self, asked: Certificate, bound: Bound) -> Nearest:
        near = Nearest(bound.task, bound.seq, bound.tree, bound.against, None)
        if bound.tree == asked.tree:
            return near.replace(differing=())
        try:
            seen = contents_seen(self._objects.get(bound.observation))
            now = self._contents_since(bound.base, asked.commit)
        except EnforcerError as error:
            return near.replace(untold=_why(bound.base, error))
        if seen is None:
            return near.replace(untold="the record of the run does not list them")
        return near.replace(differing=differing(seen, now))

    def _contents_since(self, base: str, commit: str) -> Mapping[str, str]:
        """What each file that differs from a base commit is in the change; asked once for each base."""
        if base not in self._contents:
            try:
                self._contents[base] = self._repository.contents(base or None, commit, EXCLUDED)
            except EnforcerError as error:
                self._contents[base] = error
        found = self._contents[base]
        if isinstance(found, EnforcerError):
            raise found
        return found


def _why(base: str, error: EnforcerError) -> str:
    if error.code.startswith("object"):
        return f"the record of the run is not there: {error.message}"
    return f"the commit {base[:12]} that the task began with is not in this clone, which may be shallow"


def _ungoverned(asked: Certificate, nearest: Nearest | None) -> Refusal:
    told = f"No task that reached PR has verified the content of {asked.revision} ({asked.commit[:12]})."
    fix = "Take the change through a task, or undo what was changed after VERIFY."
    if nearest is None:
        return Refusal("change_ungoverned", f"{told} No task has verified anything on this ledger.", fix=fix)
    where = f"{nearest.task} (entry {nearest.seq}{f'; {nearest.against}' if nearest.against else ''})"
    if nearest.differing is None:
        message = f"{told} {where} has verified another one; which files differ cannot be told: {nearest.untold}."
        return Refusal("change_ungoverned", message, fix="Fetch the whole history, and ask again, to see the files.")
    if not nearest.differing:
        message = f"{told} {nearest.task} has verified exactly it in entry {nearest.seq}, but {nearest.against}."
        return Refusal("change_ungoverned", message, fix=way_on(nearest.task, nearest.against))
    names = ", ".join(ascii(name)[1:-1] for name in nearest.differing[:MOST_NAMED])
    rest = len(nearest.differing) - MOST_NAMED
    more = f" and {rest} more" if rest > 0 else ""
    message = f"{told} The nearest is {where}, from which it differs in {names}{more}."
    return Refusal("change_ungoverned", message, fix=fix)
