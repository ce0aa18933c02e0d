"""The keeper looks like the command that it runs: exit codes, signals, output, terminal."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from itertools import zip_longest
from typing import TYPE_CHECKING

import pytest

from held import hold
from instance import PILLION, wait_for

if TYPE_CHECKING:
    from instance import Host

NO_WAIT = ("agent.wait=0s",)


def expect_codes(host: Host, codes: list[int]) -> None:
    """Run a few at a time: each has a sidecar that starts with it."""
    for first in range(0, len(codes), 8):
        running = [
            (code, host.run("sh", "-c", f"exit {code}", name=f"x{code}", overrides=NO_WAIT))
            for code in codes[first : first + 8]
        ]
        for code, instance in running:
            assert instance.wait() == code


def test_exit_codes_pass_through(host: Host) -> None:
    expect_codes(host, [0, 1, 2, 64, 77, 126, 127, 128, 129, 137, 143, 255])


@pytest.mark.soak
def test_every_exit_code_passes_through(host: Host) -> None:
    expect_codes(host, list(range(256)))


@pytest.mark.parametrize("name", ["TERM", "KILL", "SEGV", "HUP", "ABRT"])
def test_a_death_by_signal_is_128_and_its_number(host: Host, name: str) -> None:
    instance = host.run("sh", "-c", f"kill -{name} $$", overrides=NO_WAIT)
    assert instance.wait() == 128 + signal.Signals[f"SIG{name}"]


def test_a_missing_command_ends_with_127_and_one_line(host: Host) -> None:
    instance = host.run("no-such-command-here")
    out, err = instance.output()
    assert instance.wait() == 127
    assert out == b""
    assert err.decode() == "pillion: cannot start no-such-command-here: no such command\n"


def test_a_missing_interpreter_is_told_apart(host: Host) -> None:
    script = os.path.join(host.root, "script")
    with open(script, "w") as file:
        file.write("#!/no/such/interpreter\n")
    os.chmod(script, 0o755)
    instance = host.run(script)
    _, err = instance.output()
    assert instance.wait() == 127
    assert b"its interpreter is missing" in err


def test_what_is_not_executable_ends_with_126_and_one_line(host: Host) -> None:
    instance = host.run("/etc/passwd")
    _, err = instance.output()
    assert instance.wait() == 126
    assert err.decode() == (
        "pillion: cannot start /etc/passwd: Permission denied; make it executable (chmod +x)\n"
    )


@pytest.mark.parametrize("name", ["TERM", "INT", "HUP", "USR1", "USR2"])
def test_signals_reach_the_app_and_its_children_behind_a_shell(host: Host, name: str) -> None:
    child = f"trap 'echo child {name}; exit 0' {name}; echo child up; while :; do sleep 0.05; done"
    script = f"trap 'echo parent {name}' {name}; echo parent up; sh -c \"{child}\"; exit 3"
    instance = host.run("sh", "-c", script)
    wait_for(
        "both are up",
        lambda: (
            b"child up" in instance.spooled("stdout") and b"parent up" in instance.spooled("stdout")
        ),
    )
    instance.signal(signal.Signals[f"SIG{name}"])
    out, _ = instance.output()
    assert instance.wait() == 3
    assert f"child {name}".encode() in out
    assert f"parent {name}".encode() in out


def test_an_app_that_ignores_term_is_killed_at_its_deadline(host: Host) -> None:
    instance = host.run(
        "sh",
        "-c",
        "trap '' TERM; echo up; while :; do sleep 0.05; done",
        overrides=["app.stop_timeout=300ms"],
    )
    wait_for("the app is up", lambda: b"up" in instance.spooled("stdout"))
    instance.signal(signal.SIGTERM)
    assert instance.wait() == 137
    killed = [e for e in instance.events() if e["kind"] == "killed"]
    assert [e["component"] for e in killed] == ["app"]


def test_a_stop_in_the_middle_of_the_start_does_not_hang(host: Host) -> None:
    # An interpreter that never becomes ready holds the app in its waiting state.
    instance = host.run("sh", "-c", "echo started", overrides=["agent.wait=60s"])
    wait_for("the agent is being started", lambda: instance.component("agent").get("pid"))
    hold(instance.component("agent")["pid"])
    instance.signal(signal.SIGTERM)
    assert instance.wait() in (143, 0)


def test_output_and_input_are_as_without_pillion(host: Host) -> None:
    read, write = os.pipe()
    instance = host.run("sh", "-c", "cat; echo problem >&2", stdin=read)
    os.close(read)
    os.write(write, b"one\ntwo without end")
    os.close(write)
    out, err = instance.output()
    assert instance.wait() == 0
    assert out == b"one\ntwo without end"
    assert err == b"problem\n"


def first_difference(lines: list[bytes], wanted: list[bytes]) -> tuple[int, bytes, bytes] | None:
    """Where two lists of lines part: to have millions of bytes compared and shown takes minutes."""
    pairs = zip_longest(lines, wanted, fillvalue=b"")
    return next(((at, one, two) for at, (one, two) in enumerate(pairs) if one != two), None)


def test_all_output_passes_in_order(host: Host) -> None:
    instance = host.run(sys.executable, "-c", "for i in range(200000): print('line', i)")
    out, _ = instance.output()
    assert instance.wait() == 0
    wanted = [b"line %d" % i for i in range(200000)]
    assert first_difference(out.splitlines(), wanted) is None
    assert first_difference(instance.spooled("stdout").splitlines(), wanted) is None


def test_output_to_a_file_is_not_overwritten_by_what_follows(host: Host) -> None:
    path = os.path.join(host.root, "out")
    script = f"{PILLION} run --set agent.wait=0s -- echo first >{path}.1; ( {PILLION} run --set agent.wait=0s -- echo one; echo two ) >{path}"
    subprocess.run(["sh", "-c", script], env=host.env(), check=True, timeout=20, cwd=host.root)
    with open(path) as file:
        assert file.read() == "one\ntwo\n"


def test_a_stream_is_a_terminal_when_asked_for(host: Host) -> None:
    script = "import os; print(os.isatty(1), os.isatty(2)); os.write(2, b'two\\n')"
    instance = host.run(sys.executable, "-c", script, overrides=["logs.stdout.pty=true"])
    out, err = instance.output()
    assert (instance.wait(), out, err) == (0, b"True False\n", b"two\n")


def test_standard_descriptors_that_are_closed_do_no_harm(host: Host) -> None:
    instance = host.run(
        "sh", "-c", "echo x; exit 5", prefix=["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"]
    )
    assert instance.wait() == 5
    assert instance.spooled("stdout") == b"x\n"


def test_orphans_are_reaped_and_do_not_outlive_the_app(host: Host) -> None:
    pid_file = os.path.join(host.root, "pid")
    orphan = (
        f"setsid sh -c 'echo $$ >{pid_file}.new; mv {pid_file}.new {pid_file}; exec sleep 600' &"
    )
    instance = host.run(
        "sh", "-c", f"({orphan}) ; while [ ! -e {pid_file} ]; do sleep 0.01; done; exit 4"
    )
    assert instance.wait() == 4
    with open(pid_file) as file:
        assert not os.path.exists(f"/proc/{file.read().strip()}")


def test_with_a_terminal_the_app_is_its_foreground_group_and_stop_and_continue_work(
    host: Host,
) -> None:
    """A shell with job control starts it; Ctrl-Z stops the job, fg continues it, Ctrl-C ends the app."""
    master, slave = pty.openpty()
    app = "import signal,sys,time,os\nprint('foreground', os.tcgetpgrp(0) == os.getpgrp(), flush=True)\nwhile True: time.sleep(0.05); print('tick', flush=True)"
    shell = subprocess.Popen(
        ["bash", "--norc", "-i"], stdin=slave, stdout=slave, stderr=slave, env=host.env(PS1="$ ", TERM="dumb"),
        start_new_session=True, cwd=host.root, preexec_fn=lambda: __import__("fcntl").ioctl(0, 0x540E, 0),
    )  # fmt: skip
    os.close(slave)
    os.set_blocking(master, False)
    seen = b""

    def read() -> bytes:
        nonlocal seen
        try:
            while data := os.read(master, 65536):
                seen += data
        except OSError:
            return seen
        return seen

    try:
        script = os.path.join(host.root, "app.py")
        with open(script, "w") as file:
            file.write(app)
        os.write(
            master,
            f"{PILLION} run --name tty --set agent.wait=0s -- {sys.executable} {script}\n".encode(),
        )
        wait_for(
            "the app ticks in the foreground",
            lambda: b"foreground True" in read() and b"tick" in read(),
        )
        os.write(master, b"\x1a")
        wait_for("the shell says stopped", lambda: b"Stopped" in read())
        time.sleep(0.2)  # whatever was on its way has come; from here on nothing may tick
        read()
        mark = len(seen)
        time.sleep(0.3)
        assert b"tick" not in read()[mark:]
        os.write(master, b"fg\n")
        wait_for("it ticks again", lambda: b"tick" in read()[mark:])
        os.write(master, b"\x03")
        os.write(master, b'echo "code=$?"\n')
        wait_for(
            "the shell has the code of SIGINT",
            lambda: b"code=130" in read() or b"code=1\r" in read(),
        )
    finally:
        os.write(master, b"\nexit\n")
        try:
            shell.wait(5)
        except subprocess.TimeoutExpired:
            shell.kill()
            shell.wait()
        os.close(master)
