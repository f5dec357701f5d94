"""Running a command: what it wrote, how it ended, and that nothing of it is left.

No shell stands between. The command has a session of its own and nothing to read; what it writes to its two outputs
comes through one pipe, in the order in which it was written, and is redacted before it is shown or kept. A process of
ours, the keeper (`keeper.py`), starts it and ends all that descends from it.

A run has a result only where `ended` is empty. What was cut short is recorded as such and proves nothing.
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager

from enforcer.errors import RequestError, UnavailableError
from enforcer.evidence.run import keeper
from enforcer.evidence.run.executables import locate, missing
from enforcer.evidence.run.output import Output
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from enforcer.evidence.run.redaction import Redaction
    from enforcer.ports import Clock

TIMEOUT, INTERRUPTED = "timeout", "interrupted"

GRACE_US = 2_000_000  # Between the kind signal and the one that cannot be caught.

_CHUNK = 65_536
_GLANCE_MS = 250  # The longest wait before the clock is looked at again.
_FAREWELL_S = keeper.PATIENCE_S + 5  # The keeper ends by itself well before.

# A pipe holds a mebibyte at most, unless root says otherwise: what is read after the end comes from somewhere else.
_LAST_CHUNKS = 64


class Command(Record):
    """What to run: `folder` is absolute, the timeout in µs, `output_limit` in bytes of both outputs together.

    `limits` names resource limits (`RLIMIT_…`, setrlimit(2)) and the value to lower each to.
    """

    argv: tuple[str, ...]
    folder: str
    environment: Mapping[str, str]
    timeout_us: int
    output_limit: int
    limits: Mapping[str, int] = {}


class Ran(Record):
    """How it went.

    Either `status` is the exit status or `signal` names the signal that ended it; both are without a value where
    nobody saw the end. `started` is in UTC µs. `output` is redacted. `ended` is empty, or why the run was cut short:
    `timeout`, `output_limit`, `interrupted`. `orphans` counts processes that were alive after the command had ended
    and were killed.
    """

    status: int | None
    signal: str
    started: int
    duration_us: int
    output: bytes
    ended: str = ""
    orphans: int = 0


def execute(command: Command, *, show: Callable[[bytes], None], redact: Redaction, clock: Clock) -> Ran:
    """Run a command to its end; `show` is given the redacted output as it comes.

    Raises `UnavailableError`: `command_missing` where there is no such program, `run_failed` where the system would not
    start it, `run_not_ended` where something of it could not be killed. Whatever is raised, also by `show` or by a
    signal, everything that was started has been ended before.
    """
    program = _check(command)
    request = {
        "program": program,
        "argv": command.argv,
        "environment": dict(command.environment),
        "folder": command.folder,
        "limits": dict(command.limits),
    }
    with _kept(request) as (control, pipe):
        run = _Run(command, control, pipe, Output(command.output_limit, show, redact), clock)
        report = run.follow()
        output = run.output.finish()
    status, name = _ending(report.get("status"))
    return Ran(
        status=status,
        signal=name,
        started=run.started,
        duration_us=run.duration_us,
        output=output,
        ended=run.ended or run.output.overflow or (INTERRUPTED if report.get("interrupted") else ""),
        orphans=report.get("killed", 0),
    )


class _Run:
    """The dialogue with a keeper, from its first answer to its last."""

    def __init__(self, command: Command, control: socket.socket, pipe: int, output: Output, clock: Clock) -> None:
        self._command, self._control, self._pipe, self._clock = command, control, pipe, clock
        self.started, self._began = clock.now(), self._now()
        self._deadline = self._began + command.timeout_us
        self._answers = bytearray()
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._poll.register(pipe, select.POLLIN)
        self._main = 0
        self.output = output
        self.ended = ""
        self.duration_us = 0

    def follow(self) -> dict[str, Any]:
        """Read on until all has ended; the keeper's last answer, empty where the keeper itself was killed."""
        report: dict[str, Any] | None = None
        while report is None:
            ready = {descriptor for descriptor, _ in self._poll.poll(self._patience())}
            if self._pipe in ready:
                self._read()
            if self._control.fileno() in ready:
                report = self._listen()
            self._hurry()
        self.duration_us = self._now() - self._began
        self._drain()
        if report.get("left"):
            message = f"{report['left']} processes of the command could not be ended."
            fix = "End them by hand. A command must not start processes faster than they can be killed."
            raise UnavailableError("run_not_ended", message, where=self._command.folder, fix=fix)
        return report

    def _now(self) -> int:
        return self._clock.boot()[1] // 1000

    def _patience(self) -> int:
        """How long to wait for something to happen, in ms."""
        return max(1, min(_GLANCE_MS, (self._deadline - self._now()) // 1000 + 1))

    def _hurry(self) -> None:
        """End what has taken too long or written too much: kindly at first, then not."""
        reason = self.output.overflow or (TIMEOUT if self._now() >= self._deadline else "")
        if self.ended:
            if self._now() >= self._deadline:
                self._tell(keeper.KILL)
        elif reason:
            self.ended, self._deadline = reason, self._now() + GRACE_US
            self._tell(keeper.TERMINATE)

    def _tell(self, order: bytes) -> None:
        try:
            self._control.send(order)
        except OSError:
            pass  # It has ended already, and its last answer can still be read.

    def _read(self) -> None:
        data = os.read(self._pipe, _CHUNK)
        if data:
            self.output.take(data)
        else:
            self._poll.unregister(self._pipe)

    def _listen(self) -> dict[str, Any] | None:
        """The keeper's last answer, once it is there."""
        try:
            data = self._control.recv(4096)
        except ConnectionError:
            data = b""
        self._answers += data
        *lines, _ = self._answers.split(b"\n")
        messages = [json.loads(line) for line in lines]
        if messages and not self._main:
            self._begin(messages[0])
        if len(messages) > 1:
            return dict(messages[1])
        return None if data else self._bereft()

    def _begin(self, message: dict[str, Any]) -> None:
        self._main = message.get("pid", 0)
        if not self._main:
            raise _start_failure(self._command, message["failed"], message["errno"])

    def _bereft(self) -> dict[str, Any]:
        """Somebody killed the keeper. Nobody saw how the command ends; its group is ended from here."""
        if self._main:
            try:
                # Only while it leads its own session is it still the process that the keeper started.
                if os.getsid(self._main) == self._main:
                    os.killpg(self._main, signal.SIGKILL)
            except OSError:
                pass
        self.ended = INTERRUPTED
        return {}

    def _drain(self) -> None:
        """Take what stands in the pipe, and wait for nothing: whoever holds it open now is none of the command's."""
        os.set_blocking(self._pipe, False)
        for _ in range(_LAST_CHUNKS):
            try:
                data = os.read(self._pipe, _CHUNK)
            except BlockingIOError:
                return
            if not data:
                return
            self.output.take(data)


@contextmanager
def _kept(request: dict[str, Any]) -> Iterator[tuple[socket.socket, int]]:
    """A keeper that was given its command: the socket to talk to it, and the pipe with the command's output.

    When the block is left the keeper has ended, and with it everything that it kept.
    """
    ours, theirs = socket.socketpair()
    pipe, write_end = os.pipe()
    process: subprocess.Popen[bytes] | None = None
    try:
        try:
            process = _start_keeper(theirs.fileno(), write_end)
        finally:
            theirs.close()
            os.close(write_end)
        # It says that it is ready, so that no time of its own counts as the command's.
        if ours.recv(len(keeper.READY)) != keeper.READY:
            raise _run_failed("the process that was to keep it ended at once")
        try:
            ours.sendall(json.dumps(request).encode() + b"\n")
        except ConnectionError:
            pass  # Somebody killed it; the missing answer tells.
        yield ours, pipe
    finally:
        ours.close()
        os.close(pipe)
        if process is not None:
            _see_off(process)


def _start_keeper(control: int, output: int) -> subprocess.Popen[bytes]:
    """It has a session of its own, so that what a terminal sends reaches it through us alone."""
    argv = (sys.executable, "-I", "-S", keeper.__file__)
    try:
        return subprocess.Popen(
            argv, stdin=control, stdout=output, stderr=subprocess.DEVNULL, cwd="/", start_new_session=True
        )
    except OSError as error:
        raise _run_failed(f"no process could be started: {error}") from error


def _see_off(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(_FAREWELL_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _check(command: Command) -> str:
    """The program that the command runs."""
    if not command.argv or any("\0" in word for word in command.argv):
        message = "The command is empty or holds a NUL byte."
        raise RequestError("bad_command", message, fix="Give a program and its arguments.")
    return locate(command.argv[0], command.environment, command.folder)


def _start_failure(command: Command, step: str, number: int) -> UnavailableError:
    reason = os.strerror(number) if number else "the system refused"
    if step == "program" and number != errno.E2BIG:
        return missing(command.argv[0], command.folder, f"cannot be run: {reason}")
    return _run_failed(f"its {step} could not be set: {reason}", command.folder)


def _run_failed(reason: str, where: str = "") -> UnavailableError:
    fix = "Correct `folder` in `[observe]`, or free what the system is short of, and run again."
    return UnavailableError("run_failed", f"The command was not started: {reason}.", where=where, fix=fix)


def _ending(status: int | None) -> tuple[int | None, str]:
    """Exit status and signal name of a wait status."""
    if status is None:
        return None, ""
    code = os.waitstatus_to_exitcode(status)
    return (code, "") if code >= 0 else (None, _signal_name(-code))


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"
