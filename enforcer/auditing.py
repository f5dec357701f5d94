"""Audits of what is not this project's own state: a folder of evidence without a ledger, and a published ledger.

The audit itself knows nothing of git or of where a process comes from (`evidence.audit`, `evidence.unledgered`). An
audit of one's own project is `Enforcer.audit`.
"""

from __future__ import annotations

import hashlib
import os
import tempfile

from enforcer.enforcer import locate
from enforcer.evidence.audit import audit
from enforcer.evidence.objects import Objects
from enforcer.evidence.processes import StoredProcesses
from enforcer.evidence.schema import faults
from enforcer.evidence.unledgered import audit_folder
from enforcer.ledger.files import FileLedger
from enforcer.policies import load
from enforcer.ports import SystemClock, SystemDisk, SystemEntropy
from enforcer.published import check_out

TYPE_CHECKING = False
if TYPE_CHECKING:
    from enforcer.evidence.findings import AuditReport
    from enforcer.policies import Loaded


def audit_evidence(folder: str, *, process: str = "default", root: str | None = None, task: str = "") -> AuditReport:
    """What a process says of a folder of evidence (`<task>/<phase>/<artifact>`); neither ledger nor project is needed.

    `process` is a shipped one, or the path of a file; the paths of its schemas begin at `root`, by default the current
    folder, or beside the file, where that lies elsewhere. Raises `RequestError` for a folder that is none
    (`no_evidence`) and for a process that is malformed.
    """
    loaded = load_anywhere(process, os.path.realpath(root or "."))
    schemas = {hashlib.sha256(data).hexdigest(): data for data in loaded.objects}
    return audit_folder(folder, loaded.process, schemas, schema_faults=faults, task=task or None)


def load_anywhere(process: str, root: str) -> Loaded:
    """A shipped process, or a file wherever it lies: the paths of its schemas begin at `root`, or beside it."""
    if "/" not in process and not process.endswith(".toml"):
        return load(process, root=root)
    path = os.path.realpath(process)
    top = root if path.startswith(os.path.join(root, "")) else os.path.dirname(path)
    return load(os.path.join(".", os.path.relpath(path, top)), root=top)


def audit_published(ref: str, *, root: str | None = None, task: str = "", rejudge: bool = False) -> AuditReport:
    """Hold the stored copies in a published ledger against its entries. It has no folders of evidence.

    Raises `UnavailableError` `ref_missing`, and `DamagedError` where the lines are not fit to be read: verify first.
    """
    project, _ = locate(root=root)
    disk, entropy = SystemDisk(), SystemEntropy()
    with tempfile.TemporaryDirectory(prefix="enforcer-audit-") as state:
        check_out(project.root, ref, state)
        objects = Objects(f"{state}/objects", disk, entropy)
        ledger = FileLedger(f"{state}/ledger", disk=disk, clock=SystemClock(), entropy=entropy, cache_key=None)
        try:
            ledger.catch_up()
            entries = ledger.task_entries(task) if task else ledger.entries()
            return audit(
                entries,
                None,
                objects,
                StoredProcesses(objects),
                task=task or None,
                schema_faults=faults if rejudge else None,
            )
        finally:
            ledger.close()
