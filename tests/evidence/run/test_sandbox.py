"""What runs in bubblewrap sees a copy of the project, and reaches nothing else. All of it is tried for real."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from enforcer.errors import RequestError, UnavailableError
from enforcer.evidence.run import Command, Ran, Sandbox, environment
from tests.evidence.run.commands import SECOND, program, run


class Stage:
    """A project with its copy, and folders around it that nothing inside may reach."""

    def __init__(self, top: Path, sandbox: Sandbox | None = None) -> None:
        self.top = top
        self.project, self.scratch, self.out = top / "home" / "project", top / "scratch", top / "out"
        self.home, self.keys, self.state = top / "home", top / "keys", top / "home" / "project" / "state"
        for folder in (self.project, self.scratch, self.out, self.keys, self.state, self.project / ".venv" / "bin"):
            folder.mkdir(parents=True)
        for place in (self.project / "real", self.keys / "key", self.state / "ledger", self.home / "private"):
            place.write_text("secret")
        (self.scratch / "copy").write_text("copy")
        self.sandbox = sandbox or Sandbox(hidden=(str(self.keys), str(self.state)))

    def environment(self, *names: str, **variables: str) -> dict[str, str]:
        inherited = {"PATH": "/usr/bin:/bin", "HOME": str(self.home), **variables}
        return environment(names, (".venv/bin",), inherited, str(self.out), str(self.project))

    def wrap(self, *argv: str, keep=(), seconds: float = 30, variables: dict[str, str] | None = None) -> Command:
        command = Command(argv, str(self.project), variables or self.environment(), int(seconds * SECOND), 1 << 20)
        return self.sandbox.wrap(
            command, project=str(self.project), scratch=str(self.scratch), out=str(self.out), keep=keep
        )

    def sh(self, script: str, **options) -> Ran:
        return run(self.wrap("/bin/sh", "-c", script, **options))


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    found = Sandbox()
    if reason := found.available():
        if os.environ.get("CI") == "true" and sys.platform == "linux":
            pytest.fail(f"the sandbox cannot be tried: {reason}")
        pytest.skip(reason)
    return found


@pytest.fixture
def stage(sandbox, tmp_path) -> Stage:
    return Stage(tmp_path.resolve())


# --- What it sees and may write --------------------------------------------------------------------------------------


def test_the_copy_stands_at_the_path_of_the_project_and_can_be_written(stage) -> None:
    ran = stage.sh("pwd; ls; echo new > made")
    assert (ran.output, ran.status) == (f"{stage.project}\ncopy\n".encode(), 0)
    assert (stage.scratch / "made").read_text() == "new\n"
    assert not (stage.project / "made").exists()


def test_reports_are_left_in_the_folder_for_them(stage) -> None:
    assert stage.sh("echo report > $ENFORCER_OUT/junit.xml").status == 0
    assert (stage.out / "junit.xml").read_text() == "report\n"


@pytest.mark.parametrize("place", ["/etc", "/usr", "/var", "/"])
def test_the_rest_of_the_system_is_read_only(stage, place) -> None:
    ran = stage.sh(f"echo x > {place}/enforcer-test")
    assert ran.status != 0
    assert b"Read-only file system" in ran.output
    assert not Path(place, "enforcer-test").exists()


def test_temporary_folders_and_the_home_folder_are_empty_and_forgotten(stage) -> None:
    script = 'for each in /tmp /var/tmp "$HOME"; do echo x > $each/enforcer-test || exit 1; done; ls -A "$HOME"'
    ran = stage.sh(script)
    assert (ran.output, ran.status) == (b"enforcer-test\nproject\n", 0)
    assert not any(Path(each, "enforcer-test").exists() for each in ("/tmp", "/var/tmp", stage.home))


@pytest.mark.parametrize("place", ["keys/key", "home/project/state/ledger", "home/project/real", "home/private"])
def test_keys_ledger_and_private_files_cannot_be_read(stage, place) -> None:
    assert (stage.top / place).read_text() == "secret"
    ran = stage.sh(f"cat {stage.top}/{place}")
    assert ran.status != 0
    assert b"secret" not in ran.output


def test_keys_are_hidden_wherever_they_lie(sandbox, tmp_path) -> None:
    """`/tmp` and the home folder are empty anyway; a folder of the system is in neither."""
    stage = Stage(tmp_path.resolve(), Sandbox(hidden=("/usr/share",)))
    assert stage.sh("ls -A /usr/share").output == b""
    assert Stage(tmp_path.resolve() / "2", sandbox).sh("ls -A /usr/share").output != b""


def test_folders_to_keep_are_read_only_and_others_are_not_there(stage) -> None:
    (stage.project / ".venv" / "lib").write_text("library")
    (stage.project / "other").mkdir()
    ran = stage.sh("cat .venv/lib; echo x > .venv/lib; ls other", keep=(".venv", "node_modules"))
    assert b"library" in ran.output
    assert b"Read-only file system" in ran.output
    assert (stage.project / ".venv" / "lib").read_text() == "library"
    assert b"other" in ran.output.splitlines()[-1]
    assert ran.status != 0


@pytest.mark.parametrize("folder", [".", "..", "../../keys", "/etc", "state", "link", "stray"])
def test_what_is_no_folder_below_the_project_cannot_be_kept(stage, folder) -> None:
    (stage.project / "link").symlink_to(stage.keys)
    (stage.project / "stray").symlink_to(stage.top / "scratch")
    with pytest.raises(RequestError) as raised:
        stage.wrap("/bin/true", keep=(folder,))
    assert raised.value.code == "bad_folder"


# --- What it cannot do -----------------------------------------------------------------------------------------------


def test_there_is_no_network_not_even_to_this_machine(stage) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        reach = f"import socket; socket.create_connection(('127.0.0.1', {port}), 5); print('reached')"
        outside = subprocess.run([sys.executable, "-c", reach], capture_output=True, check=False)
        ran = run(stage.wrap(sys.executable, "-I", "-S", "-c", reach))
    assert outside.stdout == b"reached\n"
    assert b"reached" not in ran.output
    assert b"ConnectionRefusedError" in ran.output or b"unreachable" in ran.output


def test_it_has_no_capability_and_can_gain_none(stage) -> None:
    lines = stage.sh("grep -E '^(Cap|NoNewPrivs)' /proc/self/status").output.decode().split("\n")
    values = dict(line.split(":\t") for line in lines if line)
    assert values.pop("NoNewPrivs") == "1"
    assert set(values.values()) == {"0" * 16}


def test_it_sees_no_other_process(stage) -> None:
    ran = stage.sh("ls /proc | grep -c '^[0-9]'; kill -KILL " + str(os.getpid()))
    assert int(ran.output.split()[0]) <= 5
    assert b"No such process" in ran.output


def test_its_limits_are_lowered_for_good(stage) -> None:
    script = "import resource as r; print(r.getrlimit(r.RLIMIT_CORE), r.getrlimit(r.RLIMIT_FSIZE)[1] <= 4 << 30)"
    assert run(stage.wrap(sys.executable, "-I", "-S", "-c", script)).output == b"(0, 0) True\n"


def test_sockets_of_daemons_are_out_of_reach(stage) -> None:
    assert stage.sh("ls -A /run").output == b""


# --- Its programs ----------------------------------------------------------------------------------------------------


def test_an_interpreter_below_a_hidden_folder_runs_with_its_libraries(stage) -> None:
    """The one that runs these tests may lie anywhere: in a home folder, in `/tmp`."""
    ran = run(stage.wrap(sys.executable, "-c", "import pytest; print(pytest.__name__)"))
    assert (ran.output, ran.status) == (b"pytest\n", 0)


def test_a_program_of_an_installation_in_the_home_folder_runs_and_its_neighbours_stay_hidden(stage) -> None:
    program(stage.home / "sdk" / "bin" / "tool", '#!/bin/sh\ncat "${0%/*}/../lib/data"\nls $HOME\n')
    (stage.home / "sdk" / "lib").mkdir()
    (stage.home / "sdk" / "lib" / "data").write_text("data\n")
    variables = stage.environment(PATH=f"{stage.home}/sdk/bin:/usr/bin:/bin")
    assert run(stage.wrap("tool", variables=variables)).output == b"data\nproject\nsdk\n"


def test_the_folder_for_a_users_own_programs_does_not_bring_the_rest_with_it(stage) -> None:
    program(stage.home / ".local" / "bin" / "tool", "#!/bin/sh\nls $HOME/.local\n")
    (stage.home / ".local" / "share").mkdir()
    variables = stage.environment(PATH=f"{stage.home}/.local/bin:/usr/bin:/bin")
    assert run(stage.wrap("tool", variables=variables)).output == b"bin\n"


def test_a_program_of_a_kept_folder_runs_and_one_that_is_not_kept_is_missing(stage) -> None:
    program(stage.project / ".venv" / "bin" / "tool", "#!/bin/sh\necho kept\n")
    assert run(stage.wrap("tool", keep=(".venv",))).output == b"kept\n"
    with pytest.raises(UnavailableError, match="keep") as raised:
        stage.wrap("tool")
    assert raised.value.code == "command_missing"


def test_a_program_of_the_copy_is_the_one_that_runs(stage) -> None:
    program(stage.project / "check", "#!/bin/sh\necho project\n")
    program(stage.scratch / "check", "#!/bin/sh\necho copy\n")
    assert run(stage.wrap("./check")).output == b"copy\n"


def test_what_preloads_code_does_not_touch_bubblewrap(stage) -> None:
    wrapped = stage.wrap("/usr/bin/env", variables=stage.environment("LD_PRELOAD", LD_PRELOAD="/nonexistent.so"))
    assert "LD_PRELOAD" not in wrapped.environment
    assert b"LD_PRELOAD=/nonexistent.so\n" in run(wrapped).output


# --- Its end ---------------------------------------------------------------------------------------------------------


def test_its_status_is_that_of_the_command(stage) -> None:
    assert stage.sh("exit 3").status == 3
    assert stage.sh("kill -KILL $$").status == 128 + 9


def test_nothing_in_it_outlives_its_end(stage) -> None:
    """What runs inside holds the write end of a named pipe, which can be read to its end when it is gone."""
    pipe = stage.out / "pipe"
    os.mkfifo(pipe)
    descriptor = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    ran = stage.sh("exec 3> $ENFORCER_OUT/pipe; echo x >&3; (setsid sleep 60 &); sleep 60", seconds=0.3)
    os.set_blocking(descriptor, True)
    with open(descriptor, "rb") as file:
        assert file.read() == b"x\n"
    assert ran.ended == "timeout"


# --- Where there is none ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "script, reason",
    [
        (None, "not installed"),
        ("#!/bin/sh\necho 'No permissions to create new namespace' >&2\nexit 1\n", "No permissions to create"),
        ("#!/bin/sh\nexit 7\n", "status 7"),
        ("no program at all", "does not run"),
        ("#!/bin/sh\nprintf '\\033[31mred' >&2\nexit 1\n", r"\\x1b\[31mred"),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is never one")
def test_without_bubblewrap_nothing_runs_and_the_reason_is_told(tmp_path, script, reason) -> None:
    bwrap = tmp_path / "bwrap"
    if script is not None:
        program(bwrap, script)
    stage = Stage(tmp_path / "stage", Sandbox(programs=(str(bwrap),)))
    with pytest.raises(UnavailableError, match=reason) as raised:
        stage.wrap("/bin/true")
    assert (raised.value.code, bool(raised.value.fix)) == ("sandbox_missing", True)
    assert "\x1b" not in raised.value.message


def test_bubblewrap_is_not_looked_for_where_the_worker_may_put_one(stage) -> None:
    program(stage.project / ".venv" / "bin" / "bwrap")
    wrapped = stage.wrap("/bin/true", variables=stage.environment(PATH=f"{stage.project}/.venv/bin"))
    assert not wrapped.argv[0].startswith(str(stage.top))
