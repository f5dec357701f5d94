"""What a verification is asked, gathered from where it stands: pinned keys, anchors, a published ledger, a base.

Verifying itself knows nothing of projects, git or users (`ledger.verify`). Here is settled what it is held against, and
what a verifier remembers: of the project's own ledger the largest head that was seen whole, so that one which was put
back is noticed, and on demand the largest head that was vouched for, as the anchor of the next time.
"""

from __future__ import annotations

import os
import sys
import tempfile

from enforcer.enforcer import check_state, locate
from enforcer.errors import DamagedError, RequestError
from enforcer.evidence.objects import Objects
from enforcer.evidence.processes import StoredProcesses
from enforcer.keeping import keep
from enforcer.ledger import verify as ledger_verify
from enforcer.ledger.cache import Cache
from enforcer.ledger.checkpoint import parse_checkpoint
from enforcer.ledger.heads import Demands
from enforcer.ledger.note import COSIGNATURE, ED25519, NoteFault, parse_note
from enforcer.ledger.report import TAMPERED, UNVERIFIABLE, VERIFIED, Finding, Report
from enforcer.ledger.segments import SUFFIX
from enforcer.ledger.store import parse_identity
from enforcer.pinned import read_keys
from enforcer.ports import SystemDisk, SystemEntropy, read_file
from enforcer.publication import load_anchors
from enforcer.published import check_out, refs_around, tree_of
from enforcer.userstate import UserState, is_ledger_id
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from enforcer.ledger.heads import Anchor, Head
    from enforcer.ports import Disk, Entropy
    from enforcer.project import Project

    Progress = Callable[[int, int], None]

ABSENT, BEHIND, FORKED = "absent", "behind", "forked"
_PIECE = 1 << 20  # Bytes of a segment that are held at a time.


class Asked(Record, kw_only=True):
    """What the verifier wants to hold the ledger against.

    `keys` are vkeys, or files with one a line. `anchors` are sources as `publication.load_anchors` takes them. `ref`
    names a published ledger to verify in place of the one in `state/`, `base` one that it has to extend. `keep` is a
    file that an earlier verification has left: it is held against the ledger like an anchor, and then replaced by
    the newest checkpoint if everything holds. `cores` 0: as many as there are.
    """

    keys: tuple[str, ...] = ()
    require_key: bool = False
    anchors: tuple[str, ...] = ()
    require_anchor: bool = False
    max_unanchored: int | None = None
    require_sealed: bool = False
    ref: str = ""
    base: str = ""
    keep: str = ""
    incremental: bool = False
    cores: int = 0


NOTHING = Asked()


def verify(
    start: str | os.PathLike[str] | None = None,
    *,
    root: str | None = None,
    environ: Mapping[str, str] | None = None,
    asked: Asked = NOTHING,
    progress: Progress | None = None,
) -> Report:
    """Verify the ledger of a project that need not be fit for use: whatever is wrong with it is in the report.

    Raises `RequestError` for a key, ref or remote that is none, `UnavailableError` where an anchor that was named
    cannot be had, and `DamagedError` where a ref that was named holds no ledger.
    """
    project, user = locate(None if start is None else os.fspath(start), root=root, environ=environ)
    return verify_project(project, user, asked, disk=SystemDisk(), entropy=SystemEntropy(), progress=progress)


def verify_project(
    project: Project, user: str, asked: Asked, *, disk: Disk, entropy: Entropy, progress: Progress | None = None
) -> Report:
    """The same, for a project that was found."""
    check_state(project.state)
    if asked.ref and asked.incremental:
        message = "A published ledger is always read from its first byte on."
        raise RequestError("usage", message, fix="Leave --incremental out, or --ref.")
    asker = _Verification(project, user, asked, disk, entropy, progress)
    if not asked.ref:
        return asker.report(project.state)
    with tempfile.TemporaryDirectory(prefix="enforcer-verify-") as folder:
        check_out(project.root, asked.ref, folder)
        return asker.report(folder)


def verify_copy(project: Project, user: str, asked: Asked, folder: str, *, disk: Disk, entropy: Entropy) -> Report:
    """The same, of the published ledger `asked.ref` that was checked out into `folder` already: for whoever goes on to
    read that very copy."""
    return _Verification(project, user, asked, disk, entropy, None).report(folder)


class _Verification:
    """One verification on its way; `state` is the folder that is verified, the project's own or a published one."""

    def __init__(
        self,
        project: Project,
        user: str,
        asked: Asked,
        disk: Disk,
        entropy: Entropy,
        progress: Progress | None,
    ) -> None:
        self._project, self._user, self._asked = project, user, asked
        self._disk, self._entropy, self._progress = disk, entropy, progress
        self._memory = UserState(user, disk, entropy)
        self._vouching: list[Head] = []

    def report(self, state: str) -> Report:
        known = self._known()
        ledger = self._ledger_id(state)
        base = self._base()
        objects = Objects(f"{state}/objects", self._disk, self._entropy)
        report = ledger_verify.verify(
            f"{state}/ledger",
            disk=self._disk,
            objects=objects,
            processes=StoredProcesses(objects),
            known=known,
            progress=self._progress,
            demands=self._demands(state, ledger, known or "", base),
            vouching=self._vouching,
            cache=self._cache(state, ledger) if self._asked.incremental and ledger else None,
            cores=self._asked.cores or _cores(),
        )
        report = self._against_base(report, base)
        if self._asked.require_sealed:
            report = _all_sealed(report)
        if self._asked.keep and report.verdict == VERIFIED:
            report = self._keep(report)
        if (
            not self._asked.ref
            and ledger
            and report.verdict != TAMPERED
            and report.integrity == VERIFIED
            and report.root
        ):
            root = bytes.fromhex(report.root)
            self._memory.saw(ledger, report.entries, root, state_path=self._project.state)
        return report

    def _known(self) -> str | None:
        """The ledger that has to be here: the one that was seen here before, or the one that the ref is named after."""
        if not self._asked.ref:
            return self._memory.ledger_of(self._project.state)
        name = self._asked.ref.rpartition("/")[2]
        return name if is_ledger_id(name) else None

    def _demands(self, state: str, ledger: str, known: str, base: _Base | None) -> Demands:
        asked = self._asked
        sources = (*asked.anchors, *((asked.keep,) if asked.keep and os.path.lexists(asked.keep) else ()))
        return Demands(
            keys=tuple(key for text in asked.keys for key in read_keys(text, (ED25519, COSIGNATURE))),
            require_key=asked.require_key,
            anchors=tuple(anchor for source in sources for anchor in self._anchors(source, ledger or known)),
            require_anchor=asked.require_anchor,
            max_unanchored=asked.max_unanchored,
            seen=self._seen(state, ledger),
            base=(base.size, base.root) if base is not None and base.commit else None,
        )

    def _anchors(self, source: str, ledger: str) -> tuple[Anchor, ...]:
        project = self._project
        return load_anchors(source, project=project.root, state=project.state, user=self._user, ledger=ledger)

    # What was seen before --------------------------------------------------------------------------------------------

    def _seen(self, state: str, ledger: str) -> tuple[int, bytes] | None:
        """The largest head that this user saw, or signed for. What was published may lag behind it, and not differ."""
        if not ledger:
            return None
        heads = [self._memory.seen(ledger), self._signed(ledger)]
        if self._asked.ref:
            there = _count_lines(f"{state}/ledger/seg", self._disk)
            heads = [head for head in heads if head is not None and head[0] <= there]
        return max((head for head in heads if head is not None), default=None)

    def _signed(self, ledger: str) -> tuple[int, bytes] | None:
        try:
            head = parse_checkpoint(parse_note(read_file(self._disk, os.path.join(self._user, ledger, "head"))).text)
        except (OSError, NoteFault):
            return None
        return head.size, head.root

    # How it stands to another copy -----------------------------------------------------------------------------------

    def _base(self) -> _Base | None:
        name = self._asked.base
        if not name:
            return None
        refs = refs_around(self._project.root)
        commit = refs.commit_of(name)
        if commit is None:
            return _Base("", 0, b"")
        return _Base(commit, *tree_of(refs, commit, name))

    def _against_base(self, report: Report, base: _Base | None) -> Report:
        name = self._asked.base
        if base is None:
            return report
        if not base.commit:
            message = (
                f"There is no {name} in this clone, so whether the ledger extends it was not judged. "
                "Fetch it first: git fetch origin 'refs/enforcer/*:refs/enforcer/*'"
            )
            return _found(report, UNVERIFIABLE, "base_absent", message).replace(base=ABSENT)
        if report.base != BEHIND or not report.root:
            return report
        _, root = tree_of(refs_around(self._project.root), base.commit, name, report.entries)
        if root.hex() == report.root:
            return report
        message = f"The first {report.entries} entries of the base are not those of this ledger."
        rest = tuple(finding for finding in report.findings if finding.code != "base_behind")
        return _found(report.replace(findings=rest, integrity=TAMPERED), TAMPERED, FORKED, message).replace(base=FORKED)

    # What is kept ----------------------------------------------------------------------------------------------------

    def _keep(self, report: Report) -> Report:
        if not self._vouching:
            message = "No checkpoint of this ledger is vouched for, so there is none to keep."
            return _found(report, UNVERIFIABLE, "checkpoint_missing", message)
        keep(self._asked.keep, self._vouching, disk=self._disk, entropy=self._entropy)
        return report

    def _ledger_id(self, state: str) -> str:
        """The ledger's id, as far as it can be told."""
        path = f"{state}/ledger/ledger.json"
        try:
            return parse_identity(read_file(self._disk, path), path).id
        except (OSError, DamagedError):
            return ""

    def _cache(self, state: str, ledger: str) -> Cache:
        key = self._memory.cache_key(ledger)
        return Cache(f"{state}/ledger/.cache", ledger=ledger, key=key, disk=self._disk, entropy=self._entropy)


class _Base(Record):
    """What a ledger is held against: a commit, empty where there is none, and size and root of the tree in it."""

    commit: str
    size: int
    root: bytes


def _found(report: Report, verdict: str, code: str, message: str) -> Report:
    """The report with one finding more; of two verdicts the worse one stands."""
    worse = max(report.verdict, verdict, key=(VERIFIED, UNVERIFIABLE, TAMPERED).index)
    return report.replace(verdict=worse, findings=(Finding(None, code, message), *report.findings))


def _all_sealed(report: Report) -> Report:
    """The report, of a ledger whose every entry has to be vouched for by a checkpoint."""
    after = report.entries - (report.sealed_to or 0)
    if report.entries and not after:
        return report
    message = (
        f"{after} entries follow the last checkpoint that is vouched for: whoever can write could have added them."
    )
    return _found(report, UNVERIFIABLE, "unsealed", message)


def _count_lines(folder: str, disk: Disk) -> int:
    """How many lines the segments in a folder have, if all but the last one are complete."""
    names = [name for name in disk.listing(folder) if name.endswith(SUFFIX) and name.removesuffix(SUFFIX).isdigit()]
    if not names:
        return 0
    fd = disk.open(f"{folder}/{names[-1]}", os.O_RDONLY)
    try:
        pieces = (disk.read(fd, _PIECE, start) for start in range(0, disk.size(fd), _PIECE))
        return int(names[-1].removesuffix(SUFFIX)) + sum(piece.count(b"\n") for piece in pieces)
    finally:
        disk.close(fd)


def _cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
