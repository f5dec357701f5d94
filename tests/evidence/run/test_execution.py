"""A command is run, seen and ended; every process here is a real one."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from enforcer.errors import EnforcerError, RequestError, UnavailableError
from enforcer.evidence.run import execution
from enforcer.evidence.run.keeper import children_by_parent
from tests.evidence.run.commands import command, marked, program, python, run, sh
from tests.faults import ManualClock

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux finds what leaves its process group")


# --- What was seen ---------------------------------------------------------------------------------------------------


def test_status_and_output_are_seen() -> None:
    ran = sh("echo made; exit 3")
    assert (ran.status, ran.signal, ran.output, ran.ended, ran.orphans) == (3, "", b"made\n", "", 0)


def test_both_outputs_come_in_the_order_in_which_they_were_written() -> None:
    assert sh("for i in 1 2 3; do echo out $i; echo err $i >&2; done").output == (
        b"out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n"
    )


def test_output_is_shown_while_the_command_runs(tmp_path) -> None:
    """The command waits until what it wrote was shown: it would never end if that came at its end."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)

    def show(data: bytes) -> None:
        if b"ready" in data:
            gate.write_bytes(b"go\n")

    ran = run(command("/bin/sh", "-c", f"echo ready; read word < {gate}; echo $word"), show=show)
    assert ran.output == b"ready\ngo\n"


def test_large_binary_output_is_kept_byte_for_byte() -> None:
    ran = python("import os\nfor i in range(5 * 16):\n    os.write(1, bytes(range(256)) * 256)")
    assert ran.output == bytes(range(256)) * 256 * 80
    assert ran.status == 0


def test_a_signal_that_ends_a_command_is_named_and_is_no_status() -> None:
    assert (ran := sh("kill -SEGV $$")).status is None
    assert ran.signal == "SIGSEGV"


def test_status_127_is_a_status_like_any_other() -> None:
    assert sh("no-such-program-here 2>/dev/null").status == 127


def test_a_command_reads_nothing_and_leads_a_session_of_its_own() -> None:
    ran = python("import os, sys; print(sys.stdin.read(), os.getsid(0) == os.getpid(), sorted(os.listdir('/dev/fd')))")
    # The last number is the descriptor of the listing itself.
    assert ran.output == b" True ['0', '1', '2', '3']\n"


def test_a_command_gets_its_environment_and_nothing_else() -> None:
    assert run(command("/usr/bin/env", A="1")).output == b"PATH=/usr/bin:/bin\nA=1\n"


def test_words_and_variables_that_are_not_text_pass_unchanged() -> None:
    word = os.fsdecode(b"\xff\xfe")
    assert run(command("/bin/sh", "-c", 'printf %s "$0$A"', word, A=word)).output == b"\xff\xfe\xff\xfe"


@linux
def test_signals_are_as_a_program_expects_them() -> None:
    """Python ignores SIGPIPE, and a thread may block others; a command inherits neither."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    try:
        ran = run(command("/bin/grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"))
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
    # The C library keeps signals above the usual ones for itself, and whoever started us may have ignored them.
    masks = dict(line.split(b":") for line in ran.output.splitlines())
    assert masks.keys() == {b"SigBlk", b"SigIgn"}
    assert all(not int(mask, 16) & 0x7FFFFFFF for mask in masks.values()), masks


def test_the_time_is_that_of_the_clock() -> None:
    clock = ManualClock(now=77)
    ran = run(command("/bin/echo", "x"), show=lambda data: clock.pass_us(5), clock=clock)
    assert (ran.started, ran.duration_us) == (77, 5)


def test_the_output_is_redacted_before_it_is_shown_or_kept() -> None:
    shown: list[bytes] = []
    ran = run(command("/bin/echo", "key=hunter2;"), show=shown.append, redact=("hunter[0-9]",))
    assert b"".join(shown) == ran.output == b"key=[redacted];\n"


@linux
def test_what_was_written_is_whole_although_all_who_wrote_it_have_ended() -> None:
    """The first bytes are looked at when the command and its keeper are gone, and most of them still in the pipe."""
    size = 1 << 20
    script = f"""
import fcntl, os
fcntl.fcntl(1, {fcntl.F_SETPIPE_SZ}, {size})
os.write(1, f"{{os.getppid():<10}}".encode().ljust({size}, b"."))
"""
    gone: list[bool] = []

    def show(data: bytes) -> None:
        if not gone:
            keeper = os.pidfd_open(int(data[:10]))
            gone.append(bool(select.select([keeper], [], [], 30)[0]))
            os.close(keeper)

    ran = run(command(sys.executable, "-I", "-S", "-c", script), show=show)
    assert (gone, len(ran.output), ran.status) == ([True], size, 0)


# --- What cannot be run ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "argv0, said",
    [
        ("no-such-program", "is in no folder of the search path"),
        ("./no-such-program", "is not there"),
        ("/etc/passwd", "is no executable file"),
        ("/etc", "is no executable file"),
        ("", "is in no folder of the search path"),
    ],
)
def test_what_is_no_program_is_missing(argv0, said) -> None:
    with pytest.raises(UnavailableError, match=said) as raised:
        run(command(argv0))
    assert raised.value.code == "command_missing"


@pytest.mark.parametrize("text", ["#!/no/such/interpreter\n", "no format that runs\n"])
def test_a_file_that_the_system_does_not_run_is_missing(tmp_path, text) -> None:
    with pytest.raises(UnavailableError, match="cannot be run") as raised:
        run(command(str(program(tmp_path / "odd", text))))
    assert raised.value.code == "command_missing"


@pytest.mark.parametrize("argv", [(), ("/bin/echo", "a\0b")])
def test_words_that_are_no_command_are_the_callers_mistake(argv) -> None:
    with pytest.raises(RequestError) as raised:
        run(command(*argv))
    assert raised.value.code == "bad_command"


def test_a_folder_that_is_not_there_is_named(tmp_path) -> None:
    with pytest.raises(UnavailableError, match="its folder could not be set") as raised:
        run(command("/bin/true", folder=str(tmp_path / "gone")))
    assert (raised.value.code, raised.value.where) == ("run_failed", str(tmp_path / "gone"))


def test_too_many_words_are_not_a_missing_program() -> None:
    with pytest.raises(UnavailableError, match="too long") as raised:
        run(command("/bin/true", "x" * (8 << 20)))
    assert raised.value.code == "run_failed"


# --- What is cut short -----------------------------------------------------------------------------------------------


def test_a_command_that_takes_too_long_is_ended_kindly() -> None:
    clock = ManualClock()
    script = "trap 'echo bye; exit 0' TERM; echo hi; while :; do :; done"
    ran = run(
        command("/bin/sh", "-c", script, seconds=5),
        show=lambda data: clock.pass_us(1_000_000 * data.count(b"hi") * 5),
        clock=clock,
    )
    assert (ran.ended, ran.output, ran.status) == ("timeout", b"hi\nbye\n", 0)


def test_a_command_that_ignores_being_ended_is_killed() -> None:
    """The clock stands still until the command was asked to end, so it is the second step that ends it."""
    clock = ManualClock()
    script = "trap 'echo asked' TERM; echo ready; while :; do :; done"

    def show(data: bytes) -> None:
        clock.pass_us(10_000_000)

    ran = run(command("/bin/sh", "-c", script, seconds=5), show=show, clock=clock)
    assert (ran.ended, ran.signal, ran.output) == ("timeout", "SIGKILL", b"ready\nasked\n")


@pytest.mark.parametrize("limit", [0, 1, 70_000])
def test_output_beyond_the_limit_is_cut_and_ends_the_command(limit) -> None:
    shown: list[bytes] = []
    ran = run(command("/bin/sh", "-c", "yes", limit=limit), show=shown.append)
    assert (ran.ended, ran.output) == ("output_limit", (b"y\n" * limit)[:limit])
    assert b"".join(shown) == ran.output


def test_output_of_exactly_the_limit_is_whole() -> None:
    assert (ran := sh("printf 12345", limit=5)).output == b"12345"
    assert ran.ended == ""


def test_output_over_the_limit_is_seen_although_the_command_has_ended() -> None:
    assert (ran := sh("printf 123456", limit=5)).ended == "output_limit"
    assert ran.output == b"12345"


def test_redaction_cannot_make_the_output_longer_than_its_limit() -> None:
    shown: list[bytes] = []
    ran = run(command("/bin/sh", "-c", "echo y; echo y; printf y", limit=10), redact=("y",), show=shown.append)
    assert (ran.ended, ran.output, b"".join(shown)) == ("output_limit", b"[redacted]", b"[redacted]")


# --- Nothing is left -------------------------------------------------------------------------------------------------


@linux
@pytest.mark.parametrize(
    "script",
    [
        "sleep 60 & echo $!",
        "sleep 60 >/dev/null 2>&1 & echo $!",
        "setsid sleep 60 & echo $!",
        "(setsid sh -c 'setsid sleep 60 & sleep 60' &) ; echo x",
        "nohup sleep 60 & echo $!",
        "sh -c 'kill -STOP $$' & echo $!",
    ],
    ids=["pipe held open", "background", "own session", "detached twice", "deaf to hang-up", "stopped"],
)
def test_nothing_outlives_the_command(tmp_path, script) -> None:
    ran = sh(script, MARK=str(tmp_path))
    assert ran.status == 0
    assert ran.orphans >= 1
    assert marked(str(tmp_path)) == []


@linux
@pytest.mark.parametrize("detach", ["", "os.setsid()"], ids=["in its group", "in new sessions"])
def test_what_forks_and_ends_over_and_over_is_killed(tmp_path, detach) -> None:
    script = f"import os\nwhile True:\n    if os.fork(): os._exit(0)\n    {detach}"
    assert python(script, MARK=str(tmp_path)).orphans >= 1
    assert marked(str(tmp_path)) == []


@linux
def test_what_multiplies_is_killed(tmp_path) -> None:
    script = (
        "import os, time\nfor _ in range(7): os.fork()\nos.getsid(0) == os.getpid() or os.setpgid(0, 0)\ntime.sleep(60)"
    )
    assert python(script, seconds=0.5, MARK=str(tmp_path)).ended == "timeout"
    assert marked(str(tmp_path)) == []


@linux
def test_orphans_that_ended_by_themselves_are_not_counted() -> None:
    assert sh("(sh -c 'exit 1' &); (true &); sleep 0.1").orphans == 0


def test_what_ends_when_it_is_asked_to_is_no_orphan() -> None:
    ran = sh("sleep 60 & sleep 60", seconds=0.2)
    assert (ran.ended, ran.signal, ran.orphans) == ("timeout", "SIGTERM", 0)


def test_a_keeper_that_cannot_start_is_told(monkeypatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/true")
    with pytest.raises(UnavailableError, match="ended at once") as raised:
        sh("true")
    assert raised.value.code == "run_failed"
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(UnavailableError, match="could be started") as raised:
        sh("true")
    assert raised.value.code == "run_failed"


@linux
def test_children_that_the_caller_has_are_left_alone() -> None:
    other = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        assert sh("sleep 60 & true").orphans == 1
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


@linux
def test_an_error_of_the_caller_ends_the_command_and_passes(tmp_path) -> None:
    class CallerError(Exception):
        pass

    def show(data: bytes) -> None:
        raise CallerError

    with pytest.raises(CallerError):
        run(command("/bin/sh", "-c", "echo x; (setsid sleep 60 &); sleep 60", MARK=str(tmp_path)), show=show)
    assert marked(str(tmp_path)) == []


@linux
def test_nothing_outlives_a_caller_that_left_without_a_word_being_read(tmp_path) -> None:
    """A socket that is closed with something unread in it ends with an error at the other side."""
    script = ("/bin/sh", "-c", "(setsid sleep 60 &); sleep 60")
    request = {
        "program": script[0],
        "argv": script,
        "environment": {"MARK": str(tmp_path)},
        "folder": "/",
        "limits": {},
    }
    with execution._kept(request) as (control, _):
        assert select.select([control], [], [], 30)[0]
        assert marked(str(tmp_path)) != []
    assert marked(str(tmp_path)) == []


CALLER = """
import sys
from enforcer.evidence.run import Command, Redaction, execute
from enforcer.ports import SystemClock
script = "(setsid sleep 60 &); echo ready; sleep 60"
command = Command(("/bin/sh", "-c", script), "/", {"PATH": "/usr/bin:/bin", "MARK": sys.argv[1]}, 60_000_000, 1000)
def show(data):
    sys.stdout.buffer.write(data)
    sys.stdout.flush()
try:
    execute(command, show=show, redact=Redaction(), clock=SystemClock())
except KeyboardInterrupt:
    print("interrupted")
"""


@linux
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_nothing_outlives_its_caller(tmp_path, number) -> None:
    """Not even where the caller is killed without a chance to do anything about it."""
    argv = [sys.executable, "-c", CALLER, str(tmp_path)]
    root = Path(__file__).parents[3]
    with subprocess.Popen(argv, cwd=root, stdout=subprocess.PIPE, env={"PYTHONPATH": str(root)}) as caller:
        assert caller.stdout is not None
        assert caller.stdout.readline() == b"ready\n"
        keepers = children_by_parent(caller.pid)
        ended = [os.pidfd_open(pid) for pid in keepers]
        caller.send_signal(number)
        said = caller.stdout.read()
        assert (caller.wait(), said) == ((0, b"interrupted\n") if number == signal.SIGINT else (-number, b""))
    assert len(keepers) == 1
    for descriptor in ended:
        # It is readable when the process has ended.
        _wait_readable(descriptor)
    assert marked(str(tmp_path)) == []


def _wait_readable(descriptor: int) -> None:
    assert select.select([descriptor], [], [], 30)[0]
    os.close(descriptor)


@linux
def test_a_command_that_kills_its_keeper_has_no_result() -> None:
    ran = sh("kill -KILL $PPID; sleep 60")
    assert (ran.status, ran.signal, ran.ended) == (None, "", "interrupted")


@linux
def test_a_command_whose_keeper_is_asked_to_end_is_killed(tmp_path) -> None:
    ran = sh("trap '' TERM; kill -TERM $PPID; sleep 60", MARK=str(tmp_path))
    assert (ran.status, ran.signal, ran.ended) == (None, "SIGKILL", "interrupted")
    assert marked(str(tmp_path)) == []


@linux
def test_a_command_cannot_answer_for_its_keeper() -> None:
    script = """
import os
for name in ("0", "3", "4", "5", "6", "7"):
    try:
        descriptor = os.open(f"/proc/{os.getppid()}/fd/{name}", os.O_RDWR)
        os.write(descriptor, b'{"status": 0, "killed": 0, "left": 0}\\n' * 2)
    except OSError:
        pass
os._exit(9)
"""
    assert python(script).status == 9


@linux
def test_the_keeper_is_out_of_reach_of_tracers() -> None:
    """The system says so by giving its files in /proc to root, whoever runs it."""
    assert sh("stat -c %u /proc/$PPID/fd").output == b"0\n"


@linux
def test_an_open_pipe_outside_of_the_command_is_not_waited_for() -> None:
    """A process that is none of the command's may be given its output; what it writes later is nobody's evidence."""
    name = "\0enforcer-test-" + str(os.getpid())
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(name)
    listener.listen()
    held: list[int] = []

    def hold() -> None:
        connection, _ = listener.accept()
        held.extend(socket.recv_fds(connection, 1, 1)[1])
        connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    script = f"""
import socket
connection = socket.socket(socket.AF_UNIX)
connection.connect({name!r})
socket.send_fds(connection, [b"x"], [1])
connection.recv(1)
print("done")
"""
    ran = python(script)
    holder.join()
    assert (ran.output, ran.status, len(held)) == (b"done\n", 0, 1)
    listener.close()
    os.close(held[0])


@linux
def test_children_are_found_without_a_list_of_the_kernel() -> None:
    child = subprocess.Popen(["sleep", "60"])
    try:
        assert child.pid in children_by_parent(os.getpid())
    finally:
        child.kill()
        child.wait()
    assert child.pid not in children_by_parent(os.getpid())


def test_no_descriptor_is_left_open() -> None:
    before = len(os.listdir("/dev/fd"))
    sh("true")
    sh("sleep 60", seconds=0.05)
    for argv in (("nope",), ("/bin/true", "x" * (8 << 20))):
        with pytest.raises(EnforcerError):
            run(command(*argv))
    assert len(os.listdir("/dev/fd")) == before
