"""The process between Enforcer and a command: it starts the command, and nothing of the command outlives it.

It is a program of its own, started as `python -I -S keeper.py`, for three reasons. Orphans of the command become its
children (on Linux it is their subreaper), so they are told apart from every other child that Enforcer has. Enforcer may
be killed at any moment, even by a signal that cannot be caught: its end of the control socket closes, and all that was
started ends. And nothing is changed in the process that calls the library: no signal handler, no attribute.

On the control socket (descriptor 0) it says `R` when it is ready. It is given one line of JSON, `{"program", "argv",
"environment", "folder", "limits"}`, and then single bytes: `T` to end the command kindly, `K` to end everything now. It
answers with two lines of JSON:

    {"pid": …}   the command runs; or {"failed": <step>, "errno": …}, and it does not, and no other line follows
    {"status": <wait status>, "killed": …, "left": …, "interrupted": …}   all has ended

`killed` counts what was alive after the command had ended, `left` what could not be killed. `interrupted`: somebody
else asked the keeper to end, while the command ran.

The command inherits no descriptor but its three, and cannot open the socket through /proc, as it could a pipe: it
cannot write an answer of its own. Its output goes where the keeper's own standard output leads.

On macOS, which has no subreaper, what leaves the command's process group is not found.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import select
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

READY, TERMINATE, KILL = b"R", b"T", b"K"

# How long to go on killing before what remains is reported: only what cannot be killed, or multiplies faster, does.
PATIENCE_S = 5.0

_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36

_ENDING = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


class Keeper:
    """One command and all that descends from it."""

    def __init__(self, control: int, wakeup: int) -> None:
        self._control, self._wakeup = control, wakeup
        self._main = 0
        self._status: int | None = None
        self._killed = 0
        self._interrupted = False

    def start(self, request: dict[str, Any]) -> dict[str, Any]:
        """Start the command; the first answer."""
        read_end, write_end = os.pipe()
        self._main = os.fork()
        if not self._main:
            become(request, write_end)
        os.close(write_end)
        failure = os.read(read_end, 64).decode()
        os.close(read_end)
        if not failure:
            return {"pid": self._main}
        os.waitpid(self._main, 0)
        step, _, number = failure.partition(" ")
        return {"failed": step, "errno": int(number)}

    def watch(self) -> None:
        """Wait until the command ends, or is to be ended."""
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(self._wakeup, select.POLLIN)
        while self._status is None:
            ready = {descriptor for descriptor, _ in poll.poll()}
            if self._wakeup in ready and set(os.read(self._wakeup, 4096)) & set(_ENDING):
                self._interrupted = True
                return
            if self._control in ready:
                if read(self._control, 1) != TERMINATE:
                    return
                signal_group(self._main, signal.SIGTERM)
            self._reap()

    def end(self) -> dict[str, Any]:
        """Kill and reap whatever there is; the last answer."""
        deadline = time.monotonic() + PATIENCE_S
        left = self._children()
        while self._reap() and time.monotonic() < deadline:
            # No pause: whoever forks and ends, over and over, has to be met between two forks.
            for pid in self._children():
                kill(pid)
            left = self._children()
        remain = len(left) if self._reap() else 0
        return {"status": self._status, "killed": self._killed, "left": remain, "interrupted": self._interrupted}

    def _reap(self) -> bool:
        """Whether there is a child still, after all that ended were reaped."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if not pid:
                return True
            if pid == self._main:
                self._status = status
            elif self._status is not None and os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
                self._killed += 1

    def _children(self) -> list[int]:
        if sys.platform != "linux":
            # The number of the group stays taken while anything is in it, also after its leader was reaped.
            return [self._main]
        try:
            with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
                return [int(pid) for pid in file.read().split()]
        except FileNotFoundError:
            return children_by_parent(os.getpid())


def children_by_parent(parent: int) -> list[int]:
    """The children of a process, found as ps(1) does, for kernels that keep no list of them."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                # The name of the program stands in parentheses and may hold anything.
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.append(int(name))
    return found


def become(request: dict[str, Any], failures: int) -> None:
    """Turn this process into the command, in a session of its own. Never returns; a failure is told and ends it."""
    step = "session"
    try:
        os.setsid()
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            if signal.getsignal(number) is not signal.SIG_DFL:
                signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(1, 2)
        step = "folder"
        os.chdir(request["folder"])
        step = "limits"
        for name, value in request["limits"].items():
            lower(getattr(resource, name), value)
        step = "program"
        os.execve(request["program"], request["argv"], request["environment"])
    except OSError as error:
        os.write(failures, f"{step} {error.errno or 0}".encode())
    except BaseException:
        os.write(failures, f"{step} 0".encode())
    finally:
        os._exit(127)


def lower(kind: int, value: int) -> None:
    """Lower a resource limit for good; one that is lower already stays."""
    hard = resource.getrlimit(kind)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


def kill(pid: int) -> None:
    """Kill a child and its process group, unless that is our own: the child has not left it yet."""
    try:
        group = os.getpgid(pid)
    except OSError:
        group = pid
    if group != os.getpgid(0):
        signal_group(group, signal.SIGKILL)
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        pass


def signal_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except OSError:
        pass


def adopt_orphans() -> None:
    """Become the parent of every orphan below this process, and be out of reach of a tracer of the same user."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) or libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")


def listen() -> int:
    """A descriptor from which the numbers of arriving signals can be read."""
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    for number in (signal.SIGCHLD, *_ENDING):
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    return read_end


def read(descriptor: int, size: int) -> bytes:
    """What Enforcer says; nothing where it is gone. It may go without having read our answer, which is an error."""
    try:
        return os.read(descriptor, size)
    except OSError:
        return b""


def read_line(descriptor: int) -> bytes:
    """One line, and not a byte more."""
    parts: list[bytes] = []
    while not parts or not parts[-1].endswith(b"\n"):
        part = read(descriptor, 65_536)
        if not part:
            return b""
        parts.append(part)
    return b"".join(parts)


def answer(control: int, message: dict[str, Any]) -> None:
    try:
        os.write(control, json.dumps(message).encode() + b"\n")
    except OSError:
        pass  # Nobody listens any more.


def main() -> None:
    # Duplicates are closed when the command starts; the originals become its own standard streams.
    control = os.dup(0)
    adopt_orphans()
    wakeup = listen()
    os.write(control, READY)
    request = read_line(control)
    if not request:
        return
    keeper = Keeper(control, wakeup)
    started = keeper.start(json.loads(request))
    answer(control, started)
    if "pid" in started:
        try:
            keeper.watch()
        finally:
            answer(control, keeper.end())


if __name__ == "__main__":
    main()
