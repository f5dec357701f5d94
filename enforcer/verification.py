"""What a verification is asked, gathered from where it stands: pinned keys, anchors, a published ledger, a base.

Verifying itself knows nothing of projects, git or users (`ledger.verify`). Here is settled what it is held against, and
what a verifier remembers: the largest head that was seen whole, so that a ledger which was put back is noticed.
"""

from __future__ import annotations

import os
import tempfile

from enforcer.attestation.signatures import verify_ed25519
from enforcer.enforcer import check_state, locate
from enforcer.errors import DamagedError, RequestError
from enforcer.evidence.objects import Objects
from enforcer.evidence.processes import StoredProcesses
from enforcer.ledger import verify as ledger_verify
from enforcer.ledger.cache import Cache
from enforcer.ledger.checkpoint import parse_checkpoint
from enforcer.ledger.heads import Anchor, Demands
from enforcer.ledger.note import NoteFault, parse_note, parse_vkey
from enforcer.ledger.report import UNVERIFIABLE, VERIFIED, Finding, Report
from enforcer.ledger.store import parse_identity
from enforcer.ports import SystemDisk, SystemEntropy, read_file
from enforcer.publication import check_out_ref, load_anchor, published_head, refs_around
from enforcer.userstate import UserState
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from enforcer.ledger.note import VerifierKey
    from enforcer.ports import Disk, Entropy
    from enforcer.project import Project

    Progress = Callable[[int, int], None]

ABSENT = "absent"
KEY_FILE_LIMIT = 1 << 16


class Asked(Record, kw_only=True):
    """What the verifier wants to hold the ledger against.

    `keys` are vkeys, or files with one a line. `anchors` are sources as `publication.load_anchor` takes them. `ref`
    names a published ledger to verify in place of the one in `state/`, `base` one that it has to extend. `cores` 0:
    as many as there are.
    """

    keys: tuple[str, ...] = ()
    require_key: bool = False
    anchors: tuple[str, ...] = ()
    require_anchor: bool = False
    max_unanchored: int | None = None
    ref: str = ""
    base: str = ""
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

    Raises `RequestError` for a key, ref or remote that is none, and `UnavailableError` where an anchor that was named
    cannot be had.
    """
    project, user = locate(None if start is None else os.fspath(start), root=root, environ=environ)
    return verify_project(project, user, asked, disk=SystemDisk(), entropy=SystemEntropy(), progress=progress)


def verify_project(
    project: Project, user: str, asked: Asked, *, disk: Disk, entropy: Entropy, progress: Progress | None = None
) -> Report:
    """The same, for a project that was found."""
    check_state(project.state)
    asker = _Verification(project, user, asked, disk, entropy, progress)
    if not asked.ref:
        return asker.report(project.state)
    with tempfile.TemporaryDirectory(prefix="enforcer-verify-") as folder:
        check_out_ref(project.root, asked.ref, folder)
        return asker.report(folder)


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

    def report(self, state: str) -> Report:
        ledger = self._ledger_id(state)
        objects = Objects(f"{state}/objects", self._disk, self._entropy)
        base = self._base()
        report = ledger_verify.verify(
            f"{state}/ledger",
            disk=self._disk,
            objects=objects,
            processes=StoredProcesses(objects),
            known=self._memory.ledger_of(self._project.state),
            progress=self._progress,
            demands=self._demands(ledger, base),
            check=verify_ed25519,
        )
        if base == ABSENT:
            report = _without_base(report, self._asked.base)
        if ledger and report.integrity == VERIFIED and report.root:
            self._memory.saw(ledger, report.entries, bytes.fromhex(report.root))
        return report

    def _demands(self, ledger: str, base: tuple[int, bytes] | str | None) -> Demands:
        asked = self._asked
        return Demands(
            keys=tuple(key for text in asked.keys for key in read_keys(text)),
            require_key=asked.require_key,
            anchors=tuple(self._anchor(source, ledger) for source in asked.anchors),
            require_anchor=asked.require_anchor,
            max_unanchored=asked.max_unanchored,
            seen=self._seen(ledger) if not asked.ref else None,  # What was published may lag behind.
            base=base if isinstance(base, tuple) else None,
        )

    def _anchor(self, source: str, ledger: str) -> Anchor:
        project = self._project
        return load_anchor(source, project=project.root, state=project.state, user=self._user, ledger=ledger)

    def _seen(self, ledger: str) -> tuple[int, bytes] | None:
        """The largest head that this user saw, or signed for."""
        if not ledger:
            return None
        heads = [self._memory.seen(ledger), self._signed(ledger)]
        return max((head for head in heads if head is not None), default=None)

    def _signed(self, ledger: str) -> tuple[int, bytes] | None:
        try:
            head = parse_checkpoint(parse_note(read_file(self._disk, os.path.join(self._user, ledger, "head"))).text)
        except (OSError, NoteFault):
            return None
        return head.size, head.root

    def _base(self) -> tuple[int, bytes] | str | None:
        if not self._asked.base:
            return None
        refs = refs_around(self._project.root)
        commit = refs.commit_of(self._asked.base)
        return published_head(refs, commit) if commit is not None else ABSENT

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


def _without_base(report: Report, base: str) -> Report:
    """The report, where there is nothing to hold the ledger against."""
    message = f"There is no {base} in this clone, so whether the ledger extends it was not judged."
    verdict = UNVERIFIABLE if report.verdict == VERIFIED else report.verdict
    findings = (Finding(None, "base_absent", message), *report.findings)
    return report.replace(base=ABSENT, verdict=verdict, findings=findings)


def read_keys(text: str) -> tuple[VerifierKey, ...]:
    """The verifier keys of a vkey, or of a file that holds one a line. Raises `RequestError` `bad_vkey`."""
    if text.count("+") >= 2 and not os.path.lexists(text):
        return (parse_vkey(text),)
    try:
        with open(text, encoding="utf-8") as file:
            lines = file.read(KEY_FILE_LIMIT).splitlines()
    except (OSError, ValueError) as error:
        message = f"This is no verifier key, and no file that holds one: {getattr(error, 'strerror', None) or error}."
        fix = "Give the whole line that `enforcer key show` printed, or a file with such lines."
        raise RequestError("bad_vkey", message, where=text[:200], fix=fix) from error
    keys = tuple(parse_vkey(line.strip()) for line in lines if line.strip() and not line.startswith("#"))
    if not keys:
        raise RequestError("bad_vkey", "The file holds no verifier key.", where=text, fix="One a line.")
    return keys
