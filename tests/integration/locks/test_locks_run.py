"""`pillion locks run`: a command under a lock, with real processes."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from instance import PILLION, Host, Instance, alive, wait_for


@pytest.fixture
def instance(host: Host) -> Instance:
    """One instance whose agent serves."""
    one = host.run("sleep", "1000")
    one.wait_state("agent")
    one.wait_state("app")
    return one


def listed(host: Host) -> str:
    return host.pillion("locks").stdout


def start(host: Host, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [PILLION, "locks", "run", *words],
        env=host.env(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_command_has_the_token_and_its_exit_code_is_ours(
    host: Host, instance: Instance
) -> None:
    line = ["locks", "run", "x", "--", "sh", "-c"]
    shown = 'echo "$PILLION_LOCK_NAME $PILLION_LOCK_TOKEN"; exit 7'
    first = host.pillion(*line, shown, check=False)
    second = host.pillion(*line, shown, check=False)
    assert (first.returncode, second.returncode) == (7, 7)
    (name, token), (_, next_token) = first.stdout.split(), second.stdout.split()
    assert name == "x"
    assert int(next_token) > int(token)
    assert host.pillion(*line, "kill -INT $$", check=False).returncode == 130
    assert host.pillion("locks", "run", "x", "--", "no-such-command", check=False).returncode == 127
    assert host.pillion("locks", "run", "x", check=False).returncode == 2
    assert listed(host).splitlines()[1:] == []


def test_one_at_a_time(host: Host, instance: Instance) -> None:
    with start(host, "x", "--holder", "the first", "--", "sleep", "1000") as first:
        wait_for("it is held", lambda: "the first" in listed(host))
        refused = host.pillion("locks", "run", "x", "--", "true", check=False)
        assert refused.returncode == 1
        assert "the first holds it" in refused.stderr
        with start(host, "x", "--wait", "20s", "--", "echo", "second") as second:
            wait_for("it waits", lambda: listed(host).splitlines()[1].split()[-1] == "1")
            first.terminate()
            assert first.wait(20) == 128 + signal.SIGTERM
            assert second.communicate(timeout=20)[0] == "second\n"
            assert second.returncode == 0


def test_it_renews_for_as_long_as_the_command_runs(host: Host, instance: Instance) -> None:
    with start(host, "x", "--ttl", "1s", "--", "sleep", "2.5") as running:
        wait_for("it is held", lambda: "sleep" in listed(host))
        with start(host, "x", "--wait", "20s", "--", "true") as other:
            assert running.wait(20) == 0
            assert other.wait(20) == 0
    assert "lock-lost" not in instance.kinds()


def test_a_lost_lock_ends_the_command(host: Host, instance: Instance) -> None:
    with start(host, "x", "--ttl", "1s", "--", "sleep", "1000") as running:
        wait_for("it is held", lambda: "sleep" in listed(host))
        host.pillion("locks", "release", "x")
        assert running.wait(20) == 128 + signal.SIGTERM
        assert running.stderr is not None
        assert "the lock x is lost" in running.stderr.read()


def test_killed_it_leaves_neither_lock_nor_command(host: Host, instance: Instance) -> None:
    with start(host, "x", "--ttl", "1h", "--", "sh", "-c", "echo $$; exec sleep 1000") as running:
        assert running.stdout is not None
        pid = int(running.stdout.readline())
        assert listed(host).splitlines()[1:]
        os.kill(running.pid, signal.SIGKILL)
        wait_for("the command has ended", lambda: not alive(pid))
        wait_for("the lock is free", lambda: not listed(host).splitlines()[1:])


def test_an_agent_that_is_replaced_costs_nothing(host: Host, instance: Instance) -> None:
    with start(host, "x", "--ttl", "2s", "--", "sleep", "4") as running:
        wait_for("it is held", lambda: "sleep" in listed(host))
        os.kill(instance.wait_state("agent")["pid"], signal.SIGKILL)
        assert running.wait(30) == 0
