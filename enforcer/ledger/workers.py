"""A second core for a verification: another interpreter that does a share of it.

A plain process and a pipe, nothing inherited: no module of the caller is imported again, whatever its script is, and
no lock of its threads can be copied while it is held. It runs isolated from the environment (`-I`) and is told where
this very package stands, so that both sides are one release. A process that fails, dies or is never heard of costs
time and nothing else: its share is done here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

from enforcer.ledger.chain import Run
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from enforcer.ledger.share import Job

_START = "import sys; sys.path.insert(0, sys.argv[1]); from enforcer.ledger.share import serve; serve()"
_PACKAGES = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# How long an answer is waited for once the own share is done: so many times as long as that took, and a minute.
_PATIENCE = 3
_GRACE_S = 60.0


class Result(Record):
    """What came of a share: its runs and the digests of all segments, by their names, its findings, and the signatures
    that are left to be checked, both packed."""

    runs: Mapping[str, Run]
    contents: Mapping[str, str]
    found: Mapping[str, Any]
    signings: str


class Worker:
    """Another process at work on a job, to be asked once. Leaving the context ends it."""

    def __init__(self, job: Job) -> None:
        self._began = time.monotonic()
        self._process: subprocess.Popen[bytes] | None = None
        command = [sys.executable, "-I", "-c", _START, _PACKAGES]
        pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
        try:
            self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=nowhere)
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(job.pack()).encode())
            self._process.stdin.close()
            self._process.stdin = None
        except OSError:
            self.end()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *error: object) -> None:
        self.end()

    def result(self) -> Result | None:
        """What came out; None where nothing did that can be used."""
        if self._process is None:
            return None
        patience = _PATIENCE * (time.monotonic() - self._began) + _GRACE_S
        try:
            data, _ = self._process.communicate(timeout=patience)
            packed = json.loads(data)
            runs = {name: Run.unpack(run) for name, run in packed["runs"].items()}
            result = Result(runs, packed["contents"], packed["found"], packed["signings"])
            return result if self._process.returncode == 0 else None
        except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def end(self) -> None:
        """Stop the process where it still runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
            self._process = None
