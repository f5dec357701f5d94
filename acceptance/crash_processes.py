"""Processes, and what happens to their system calls.

Each is forked from one that has everything imported, and is under `strace` before it does anything.

Short writes are the kernel's own: a limit on the size of files (`RLIMIT_FSIZE`) is set around the one write that it is
to cut.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from enforcer.ports import SystemDisk

CALLS = (
    *("write", "pwrite64", "fdatasync", "fsync", "ftruncate"),
    *("open", "openat", "rename", "renameat", "renameat2", "unlink", "unlinkat", "mkdir", "mkdirat"),
)
KILL, SHORT = "kill", "short"
ERRORS = {"EIO": "error=EIO:when={}", "ENOSPC": "error=ENOSPC:when={}"}
LASTING = {"EIO on": "error=EIO:when={}+", "ENOSPC on": "error=ENOSPC:when={}+"}
EXPRESSIONS = {KILL: "signal=KILL:when={}", **ERRORS, **LASTING}
PATIENCE = 60  # Seconds after which a process that does not end is taken to hang.


_PR_SET_PTRACER = 0x59616D61
_PR_SET_PDEATHSIG = 1
TOLD = "sendto"  # By which a child tells of an acknowledgement.
_TRACED = "trace=" + ",".join(f"?{call}" for call in (*CALLS, TOLD))
_CALL = re.compile(r"(?P<name>\w+)\((?P<rest>.*)")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_HELD = re.compile(r"(?:^|[ (])(?:AT_FDCWD|\d+)<([^>]*)>")


Tell = Callable[[dict[str, Any]], None]


class Call(NamedTuple):
    """The n-th call of its kind that a process makes, and the file it is on."""

    name: str
    number: int
    file: str
    injected: bool = False


class Case(NamedTuple):
    """A fault on a call; of a short write, `kept` bytes arrive."""

    scenario: str
    call: Call
    fault: str
    kept: int = -1

    @property
    def id(self) -> str:
        kept = f" {self.kept}" if self.kept >= 0 else ""
        return f"{self.scenario}|{self.call.name}|{self.call.number}|{self.call.file}|{self.fault}{kept}"


def can_trace() -> str:
    """Why processes cannot be traced here; empty where they can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    process = Child(lambda tell: None)
    try:
        with attached(process.pid, Path(os.devnull)):
            process.go()
    except NotTraced as error:
        return str(error)
    finally:
        process.finish()
    return ""


class NotTraced(Exception):
    """`strace` could not be attached."""


class ShortDisk(SystemDisk):
    """The real disk; its `number`-th write, counted from 1, gets no further than `kept` bytes. Lists its writes."""

    def __init__(self, number: int = 0, kept: int = 0, strike: Callable[[str], None] = lambda path: None) -> None:
        self._number, self._kept, self._strike = number, kept, strike
        self.writes: list[tuple[str, int]] = []

    def append(self, fd: int, data: bytes) -> None:
        self._cut(fd, os.fstat(fd).st_size, data, lambda: super(ShortDisk, self).append(fd, data))

    def overwrite(self, fd: int, data: bytes) -> None:
        self._cut(fd, 0, data, lambda: super(ShortDisk, self).overwrite(fd, data))

    def replace(self, fd: int, data: bytes, offset: int) -> None:
        self._cut(fd, offset, data, lambda: super(ShortDisk, self).replace(fd, data, offset))

    def _cut(self, fd: int, offset: int, data: bytes, write: Callable[[], None]) -> None:
        self.writes.append((os.readlink(f"/proc/self/fd/{fd}"), len(data)))
        if len(self.writes) != self._number:
            return write()
        self._strike(self.writes[-1][0])
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (offset + self._kept, before[1]))
        try:
            write()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)


class Child:
    """A child that does `work` once it is told to go, and tells of it line by line."""

    def __init__(self, work: Callable[[Tell], None]) -> None:
        self._ours, theirs = socket.socketpair()
        self._heard = b""
        self.pid = os.fork()
        if not self.pid:
            self._ours.close()
            _be(theirs, work)
        theirs.close()

    def go(self) -> None:
        self._ours.sendall(b"\n")

    def hear(self, count: int) -> list[dict[str, Any]]:
        """The next things that it tells, so many unless it ends before."""
        while self._heard.count(b"\n") < count and (more := self._more()):
            self._heard += more
        *lines, rest = self._heard.split(b"\n")
        self._heard = b"\n".join([*lines[count:], rest])
        return [json.loads(line) for line in lines[:count]]

    def told(self) -> list[dict[str, Any]]:
        """Everything else that it tells, once it has ended."""
        while more := self._more():
            self._heard += more
        return [json.loads(line) for line in self._heard.split(b"\n")[:-1]]

    def _more(self) -> bytes:
        try:
            return self._ours.recv(1 << 16)
        except ConnectionResetError:
            return b""  # It ended before it was told to go.

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def finish(self) -> None:
        self._ours.close()
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def _be(line: socket.socket, work: Callable[[Tell], None]) -> None:
    """The child's whole life. It ends without going back into the code that it was forked from."""

    def tell(one: dict[str, Any]) -> None:
        line.sendall(json.dumps(one).encode() + b"\n")

    try:
        end_with_parent()
        _let_anybody_trace()
        signal.alarm(PATIENCE)
        # `send` and `recv` are not among the traced calls, so that what is told is never what is struck.
        if line.recv(1):
            work(tell)
    except BaseException:
        tell({"crash": traceback.format_exc()})
    finally:
        os._exit(0)


def _let_anybody_trace() -> None:
    """Where only parents may trace their children (the Yama module), a sibling has to be let."""
    _prctl(_PR_SET_PTRACER, (1 << 64) - 1)


def end_with_parent() -> None:
    """Let this process be killed when the one that began it ends."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(option, ctypes.c_ulong(value), 0, 0, 0)


@contextmanager
def attached(pid: int, log: Path, injections: tuple[str, ...] = ()) -> Iterator[None]:
    """`strace` on a process, from here on until it ends."""
    inject = [word for injection in injections for word in ("-e", injection)]
    argv = ["strace", "-y", "-s", "0", "-o", str(log), "-e", _TRACED, *inject, "-p", str(pid)]
    strace = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert strace.stderr is not None
    try:
        said = strace.stderr.readline()
        # By then the process has been stopped, and makes no call that is not traced.
        if "attached" not in said:
            raise NotTraced(said.strip() or "strace does not start")
        yield
    finally:
        try:
            strace.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            strace.kill()
            strace.wait()
        strace.stderr.close()


def calls_in(log: Path) -> Iterator[tuple[str, str]]:
    """Name and arguments, with what came of it, of each call in a trace."""
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        found = _CALL.match(line)
        if found is not None:
            yield found["name"], found["rest"]


def paths_of(name: str, rest: str) -> list[str]:
    """The files that a traced call is on: those it names, or the one by which its descriptor was opened."""
    held = _HELD.findall(f" {rest}")
    quoted = [] if name in ("write", "pwrite64", TOLD) else _QUOTED.findall(rest.rpartition(" = ")[0] or rest)
    return [os.path.join(held[0] if held else "", path) for path in quoted] or held[:1] or [""]


class Unsynced:
    """Follows a trace: the files that were written, and the names that were given, and not synced since."""

    def __init__(self) -> None:
        self._files: set[str] = set()
        self._names: set[str] = set()

    @property
    def paths(self) -> set[str]:
        return self._files | self._names

    def see(self, name: str, rest: str) -> None:
        """Take in a call that succeeded."""
        first = paths_of(name, rest)[0]
        if name in ("write", "pwrite64", "ftruncate"):
            self._files.add(first)
        elif name.startswith("mkdir") or (name.startswith("open") and "O_EXCL" in rest):
            self._names.add(first)
        elif name in ("fsync", "fdatasync"):
            self._files.discard(first)
            self._names = {path for path in self._names if os.path.dirname(path) != first or name == "fdatasync"}
        elif name.startswith("rename"):
            self._rename(first, paths_of(name, rest)[1])
        elif name.startswith("unlink"):
            self._files.discard(first)
            self._names.discard(first)

    def _rename(self, old: str, new: str) -> None:
        def moved(path: str) -> str:
            return new + path[len(old) :] if path == old or path.startswith(f"{old}/") else path

        self._files = set(map(moved, self._files))
        self._names = {*map(moved, self._names), new}
