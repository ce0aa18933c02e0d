"""From fork to exec with real programs: what a shell would say when it fails, and exactly what was asked for when it does not."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from pillion.keeper import posix
from pillion.keeper.launch import Failure, Launch, explain, lookup_ids, start

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BOUND_S = 40.0
ENV = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/"}
PYTHON = [sys.executable, "-I", "-S", "-c"]
NOBODY = 65534
# What a program finds of itself, told as JSON on its descriptor 1.
TELL = """
import json, os, signal, sys
facts = {
    "fds": {int(n): os.readlink("/proc/self/fd/" + n) for n in os.listdir("/proc/self/fd")
            if os.path.exists("/proc/self/fd/" + n)},
    "env": dict(os.environ), "pid": os.getpid(), "sid": os.getsid(0), "cwd": os.getcwd(),
    "ids": [os.getresuid(), os.getresgid(), os.getgroups()],
    "status": dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines()),
    "oom": open("/proc/self/oom_score_adj").read().strip(),
}
os.write(1, json.dumps(facts).encode())
"""


def wait(pid: int, report: int) -> tuple[int, bytes]:
    """Exit code and report of a child, within the bound."""
    pidfd = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    assert poll.poll(BOUND_S * 1000), f"{pid} did not end"
    os.close(pidfd)
    _, status = os.waitpid(pid, 0)
    text = os.read(report, 4096)
    os.close(report)
    return os.waitstatus_to_exitcode(status), text


def failure(*argv: str, env: dict[str, str] | None = None, **options: Any) -> Failure:
    """What is told of a program that cannot be started."""
    code, text = wait(*start(Launch(list(argv), env or ENV, {}, **options)))
    assert code == 126
    assert text
    return explain(text)


def tell(**options: Any) -> dict[str, Any]:
    """What a program finds that was started with these options."""
    read, write = os.pipe()
    env = options.pop("env", ENV)
    fds = {1: write, **options.pop("fds", {})}
    argv = options.pop("argv", [*PYTHON, TELL])
    pid, report = start(Launch(argv, env, fds, **options))
    os.close(write)
    parts = []
    while part := os.read(read, 65536):
        parts.append(part)
    os.close(read)
    code, text = wait(pid, report)
    assert (code, text) == (0, b"")
    facts: dict[str, Any] = json.loads(b"".join(parts))
    return facts


def test_a_program_that_starts_reports_nothing() -> None:
    assert wait(*start(Launch(["true"], ENV, {}))) == (0, b"")
    assert wait(*start(Launch(["false"], ENV, {}))) == (1, b"")


def test_a_missing_command_is_127() -> None:
    told = failure("no-such-command")
    assert (str(told), told.code) == ("cannot start no-such-command: no such command", 127)


def test_a_missing_path_is_127(tmp_path: Path) -> None:
    told = failure(f"{tmp_path}/absent")
    assert (str(told), told.code) == (f"cannot start {tmp_path}/absent: no such command", 127)


def test_the_path_of_the_new_environment_is_searched(tmp_path: Path) -> None:
    script = tmp_path / "hello"
    script.write_text("#!/bin/sh\nexit 5\n")
    script.chmod(0o755)
    launch = Launch(["hello"], {"PATH": str(tmp_path)}, {})
    assert wait(*start(launch)) == (5, b"")


def test_what_is_not_executable_is_126(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    told = failure(str(script))
    assert told.code == 126
    assert str(told) == f"cannot start {script}: Permission denied; make it executable (chmod +x)"


def test_a_directory_is_126(tmp_path: Path) -> None:
    told = failure(str(tmp_path))
    assert (str(told), told.code) == (f"cannot start {tmp_path}: it is a directory", 126)


def test_a_missing_interpreter_is_told_as_such(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    told = failure(str(script))
    assert told.code == 127
    assert (
        str(told) == f"cannot start {script}: its interpreter is missing (first line of the script)"
    )


def test_a_script_without_a_first_line_is_told_as_such(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("echo hello\n")
    script.chmod(0o755)
    told = failure(str(script))
    assert told.code == 126
    assert str(told).endswith("Exec format error; a script needs a first line such as #!/bin/sh")


def test_a_missing_working_directory_is_named(tmp_path: Path) -> None:
    told = failure("true", workdir=f"{tmp_path}/absent")
    assert told.code == 126
    assert str(told) == f"cannot enter {tmp_path}/absent for true: No such file or directory"


def test_a_group_that_cannot_be_joined_is_named(tmp_path: Path) -> None:
    told = failure("true", procs_files=[f"{tmp_path}/cgroup.procs"])
    assert str(told) == f"cannot join {tmp_path}/cgroup.procs for true: No such file or directory"


def test_an_argument_that_is_none_is_told_and_does_not_return_here() -> None:
    told = failure("true", "a\0b")
    assert told.code == 126
    assert "embedded null byte" in str(told)


@pytest.mark.parametrize(
    "report", [b"", b"x", b"2", b"\xff\0\xff", b"999999\0start\0x", b"2\0start"]
)
def test_a_report_of_any_kind_is_explained(report: bytes) -> None:
    assert explain(report).code in (126, 127)


def test_the_program_has_a_session_of_its_own_and_its_working_directory(tmp_path: Path) -> None:
    facts = tell(workdir=str(tmp_path))
    assert facts["sid"] == facts["pid"]
    assert facts["cwd"] == str(tmp_path)


def test_the_environment_is_what_was_given() -> None:
    facts = tell(env={"A": "1", "B": ""})
    found = {k: v for k, v in facts["env"].items() if k != "LC_CTYPE"}
    assert found == {"A": "1", "B": ""}


def test_a_program_that_is_passed_sockets_is_told_its_own_pid() -> None:
    facts = tell(env={**ENV, "LISTEN_FDS": "1"}, listen_fds=True)
    assert facts["env"]["LISTEN_PID"] == str(facts["pid"])


def test_nothing_but_the_descriptors_named_is_open_in_the_program() -> None:
    null = os.open("/dev/null", os.O_RDWR)
    extra = os.open("/proc/version", os.O_RDONLY)
    facts = tell(fds={0: null, 2: null})
    # What whoever started the tests has left open for all is not ours to close.
    before = {fd for fd in map(int, os.listdir("/proc/self/fd")) if _passes(fd)}
    os.close(null)
    os.close(extra)
    assert {int(fd) for fd in facts["fds"]} == {0, 1, 2} | before


def _passes(fd: int) -> bool:
    try:
        return os.get_inheritable(fd)
    except OSError:
        return False


def test_descriptors_take_their_places_though_their_numbers_collide() -> None:
    pipes = [os.pipe() for _ in range(4)]
    reads = [read for read, _ in pipes]
    links = [os.readlink(f"/proc/self/fd/{fd}") for fd in reads]
    turned = reads[1:] + reads[:1]
    facts = tell(fds=dict(zip(turned, reads, strict=True)))
    for target, link in zip(turned, links, strict=True):
        assert facts["fds"][str(target)] == link
    for fds in pipes:
        for fd in fds:
            os.close(fd)


def test_a_descriptor_may_stay_in_its_place_or_be_given_twice() -> None:
    read, write = os.pipe()
    link = os.readlink(f"/proc/self/fd/{read}")
    facts = tell(fds={read: read, 0: read, 100: read})
    assert [facts["fds"][str(n)] for n in (0, read, 100)] == [link] * 3
    assert not os.get_inheritable(read), "only the child's copy is for the program"
    os.close(read)
    os.close(write)


def test_descriptors_to_keep_pass_through_by_number() -> None:
    read, write = os.pipe()
    link = os.readlink(f"/proc/self/fd/{read}")
    facts = tell(keep=(read,))
    assert facts["fds"][str(read)] == link
    os.close(read)
    os.close(write)


def test_open_files_are_limited() -> None:
    code = "import resource, sys; sys.exit(resource.getrlimit(resource.RLIMIT_NOFILE) != (77, 77))"
    launch = Launch([sys.executable, "-I", "-c", code], ENV, {}, open_files=77)
    assert wait(*start(launch)) == (0, b"")
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] != 77


def test_the_score_of_the_oom_killer_is_the_usual_one_again() -> None:
    assert tell(oom_score="123")["oom"] == "123"


def test_the_child_is_in_its_group_before_it_runs(tmp_path: Path) -> None:
    procs = tmp_path / "cgroup.procs"
    procs.write_text("")
    tell(procs_files=[str(procs)])
    assert procs.read_text() == "0"


def test_signals_are_as_a_program_expects_them(signals_restored: None) -> None:
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGTTOU, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    read, write = os.pipe()
    assert wait(*start(Launch(["cat", "/proc/self/status"], ENV, {1: write}))) == (0, b"")
    os.close(write)
    lines = dict(line.split(":\t", 1) for line in os.read(read, 8192).decode().splitlines())
    os.close(read)
    # 32 and 33 are the C library's own: nobody can set them back, and make ignores them for its children.
    ours = ~(0b11 << 31)
    assert {name: int(lines[name], 16) & ours for name in ("SigBlk", "SigIgn", "SigCgt")} == {
        "SigBlk": 0,
        "SigIgn": 0,
        "SigCgt": 0,
    }
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) >= {signal.SIGUSR2}, "ours is as it was"


def test_a_signal_in_the_middle_of_a_start_reaches_the_program_and_not_our_handlers(
    signals_restored: None,
) -> None:
    handled: list[int] = []
    signal.signal(signal.SIGTERM, lambda n, _: handled.append(n))
    for _ in range(20):
        pid, report = start(Launch(["sleep", "600"], ENV, {}))
        os.kill(pid, signal.SIGTERM)
        assert wait(pid, report)[0] == -signal.SIGTERM
    assert handled == []


def test_another_user_has_its_ids_and_groups_and_no_others() -> None:
    facts = tell(
        ids=(NOBODY, NOBODY, [NOBODY, 12345]), argv=["/usr/bin/python3", "-I", "-S", "-c", TELL]
    )
    assert facts["ids"] == [[NOBODY] * 3, [NOBODY] * 3, [12345, NOBODY]]


def test_a_user_that_may_not_be_changed_to_is_told() -> None:
    pid = os.fork()
    if pid == 0:
        os.setresuid(NOBODY, NOBODY, NOBODY)
        told = failure("true", ids=(0, 0, [0]))
        os._exit(
            0 if str(told) == "cannot change the user for true: Operation not permitted" else 1
        )
    assert os.waitpid(pid, 0)[1] == 0


def dies_with_its_starter(ids: tuple[int, int, list[int]] | None, death_signal: int) -> bool:
    """Start a program from a process that is then killed; whether the program follows it."""
    posix.prctl(posix.PR_SET_CHILD_SUBREAPER, 1)
    read, write = os.pipe()
    keeper = os.fork()
    if keeper == 0:
        launch = Launch(["sleep", "600"], ENV, {}, ids=ids, death_signal=death_signal)
        pid, report = start(launch)
        poll = select.poll()
        poll.register(report, select.POLLIN | select.POLLHUP)
        poll.poll(BOUND_S * 1000)
        os.write(write, str(pid).encode())
        os.close(write)
        signal.pause()
    pid = int(os.read(read, 100))
    os.close(read)
    os.close(write)
    pidfd = os.pidfd_open(pid)
    os.kill(keeper, signal.SIGKILL)
    os.waitpid(keeper, 0)
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    followed = bool(poll.poll(BOUND_S * 1000 if death_signal else 300))
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    os.close(pidfd)
    os.waitpid(pid, 0)
    posix.prctl(posix.PR_SET_CHILD_SUBREAPER, 0)
    return followed


@pytest.mark.parametrize("ids", [None, (NOBODY, NOBODY, [])])
def test_the_program_dies_with_the_keeper_also_as_another_user(
    ids: tuple[int, int, list[int]] | None,
) -> None:
    assert dies_with_its_starter(ids, int(signal.SIGTERM))


def test_without_a_death_signal_it_lives_on() -> None:
    assert not dies_with_its_starter(None, 0)


def test_a_start_leaves_no_descriptor_behind() -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        wait(*start(Launch(["true"], ENV, {})))
        failure("no-such-command")
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_start_never_waits(tmp_path: Path) -> None:
    """The program's own directory hangs, say: the keeper's loop does not."""
    pid, report = start(Launch([*PYTHON, "import time; time.sleep(600)"], ENV, {}))
    assert not os.get_blocking(report)
    os.kill(pid, signal.SIGKILL)
    wait(pid, report)


def test_no_further_process_is_told_with_its_remedy() -> None:
    """RLIMIT_NPROC counts a user's processes and does not bind root."""
    pid = os.fork()
    if pid == 0:
        os.setresuid(NOBODY - 7, NOBODY - 7, NOBODY - 7)
        resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
        try:
            start(Launch(["true"], ENV, {}))
        except Failure as told:
            wanted = (
                "cannot start true: Resource temporarily unavailable; raise the limit of processes"
            )
            os._exit(0 if (str(told), told.code) == (wanted, 126) else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_no_user_named_is_no_change() -> None:
    assert lookup_ids(None, None) is None


@pytest.mark.parametrize("user", ["nobody", str(NOBODY)])
def test_a_user_is_found_by_name_and_number(user: str) -> None:
    found = lookup_ids(user, None)
    assert found is not None
    assert found[0] == NOBODY


def test_a_group_replaces_the_users_own() -> None:
    found = lookup_ids("nobody", "daemon")
    assert found is not None
    assert found[1] == 1
    assert 1 in found[2]


@pytest.mark.parametrize(
    ("user", "group", "text"),
    [
        ("no-such-user", None, "cannot run the app as no-such-user: no such user; set app.user"),
        ("99999", None, "cannot run the app as 99999: no such user; set app.user"),
        (None, "no-such", "cannot run the app as group no-such: no such group; set app.group"),
    ],
)
def test_who_does_not_exist_is_named(user: str | None, group: str | None, text: str) -> None:
    with pytest.raises(Failure) as caught:
        lookup_ids(user, group)
    assert (str(caught.value), caught.value.code) == (text, 126)


@pytest.fixture
def on_terminal() -> Callable[[Callable[[], None]], int]:
    """Run something as the leader of a session with a terminal; returns its exit code."""

    def run(what: Callable[[], None]) -> int:
        pid, terminal = os.forkpty()
        if pid == 0:
            try:
                what()
                os._exit(0)
            except BaseException as error:  # noqa: BLE001 # a child must not return into pytest
                os.write(2, repr(error).encode())
                os._exit(1)
        deadline_s = time.monotonic() + BOUND_S
        while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
            assert time.monotonic() < deadline_s
            select.select([terminal], [], [], 0.01)
        os.close(terminal)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    return run


def test_with_a_terminal_the_program_is_its_foreground_group(
    on_terminal: Callable[[Callable[[], None]], int],
) -> None:
    code = "import os, sys; sys.exit(not (os.tcgetpgrp(0) == os.getpgrp() == os.getpid() != os.getsid(0)))"

    def lead() -> None:
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        pid, report = start(Launch([*PYTHON, code], ENV, {}, foreground=0))
        assert wait(pid, report) == (0, b"")

    assert on_terminal(lead) == 0
