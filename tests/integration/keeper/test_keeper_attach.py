"""Adopting a process that someone else started: it is watched and followed, never ended by us, and we retire with it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from instance import alive, wait_for
from otlp_receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from instance import Host, Instance


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process of ours that Pillion has nothing to do with; a line on its input ends it with that code."""
    with subprocess.Popen(["sh", "-c", "read code; exit $code"], stdin=subprocess.PIPE) as process:
        yield process
        if process.poll() is None:
            process.kill()


def attach(host: Host, pid: int, **options: object) -> Instance:
    """Start `pillion attach`."""
    return host.run(verb="attach", words=["--pid", str(pid)], **options)  # type: ignore[arg-type]


def end(process: subprocess.Popen[bytes], code: int) -> None:
    """Let the stranger end, and be its parent that reaps it."""
    assert process.stdin is not None
    process.stdin.write(b"%d\n" % code)
    process.stdin.flush()
    assert process.wait(10) == code


def kernel_tells_exit_codes() -> bool:
    """Whether PIDFD_GET_INFO knows the exit status (Linux 6.15)."""
    release = os.uname().release.split(".")
    return (int(release[0]), int(release[1])) >= (6, 15)


def test_it_retires_with_what_it_is_attached_to(
    host: Host, stranger: subprocess.Popen[bytes]
) -> None:
    instance = attach(host, stranger.pid)
    app = instance.wait_state("app")
    assert app["pid"] == stranger.pid
    end(stranger, 6)
    assert instance.wait() == (6 if kernel_tells_exit_codes() else 0)
    exited = next(e for e in instance.events() if e["kind"] == "exited" and e["component"] == "app")
    assert ("code 6" in exited["reason"]) == kernel_tells_exit_codes()
    assert ("unknown" in exited["reason"]) != kernel_tells_exit_codes()


def test_ending_the_sidecar_leaves_the_process_alone(
    host: Host, stranger: subprocess.Popen[bytes]
) -> None:
    instance = attach(host, stranger.pid)
    instance.wait_state("agent")
    instance.signal(signal.SIGTERM)
    assert instance.wait() == 0
    assert alive(stranger.pid)


def test_killing_the_sidecar_leaves_the_process_alone(
    host: Host, stranger: subprocess.Popen[bytes]
) -> None:
    instance = attach(host, stranger.pid)
    agent = instance.wait_state("agent")["pid"]
    instance.signal(signal.SIGKILL)
    instance.wait()
    wait_for("the agent has ended", lambda: not alive(agent))
    assert alive(stranger.pid)


@pytest.mark.parametrize("method", ["stop", "restart", "signal", "limits"])
def test_what_is_not_ours_is_not_controlled(
    host: Host, stranger: subprocess.Popen[bytes], method: str
) -> None:
    instance = attach(host, stranger.pid)
    instance.wait_state("app")
    error = instance.call(method, name="app", signal="TERM", limits={"memory": 1 << 30})["error"]
    assert (error["status"], "someone else" in error["detail"]) == (409, True)
    assert alive(stranger.pid)


def test_it_outlives_an_upgrade_of_keeper_and_sidecar(
    host: Host, stranger: subprocess.Popen[bytes]
) -> None:
    instance = attach(host, stranger.pid)
    instance.wait_state("agent")
    assert "result" in instance.call("upgrade", components=["keeper"])
    assert "result" in instance.call("upgrade")
    assert instance.component("app")["pid"] == stranger.pid
    end(stranger, 3)
    assert instance.wait() == (3 if kernel_tells_exit_codes() else 0)


def test_a_process_that_is_gone_is_refused(host: Host) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    instance = attach(host, gone.pid)
    _, err = instance.output()
    assert instance.wait() == 1
    assert err.decode() == f"pillion: cannot attach to pid {gone.pid}: no such process\n"


def test_its_log_files_are_followed_over_rotation_and_truncation(
    host: Host, stranger: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    log = os.path.join(host.root, "app.log")
    with open(log, "w") as file:
        file.write("one\n")
    with Receiver(str(tmp_path / "records")) as receiver:
        instance = attach(
            host, stranger.pid,
            overrides=[f'telemetry.otlp="{receiver.url}"', f"logs.files={json.dumps([f'{host.root}/*.log'])}"],
        )  # fmt: skip

        def bodies() -> list[str]:
            return [
                r["body"] for r in receiver.records() if r["stream"] not in ("events", "sidecar")
            ]

        wait_for("the first line", lambda: "one" in bodies())
        with open(log, "a") as file:
            file.write("two\n")
        os.rename(log, f"{log}.1")
        with open(f"{log}.1", "a") as file:
            file.write("three, behind the rename\n")
        with open(log, "w") as file:
            file.write("four\n")
        wait_for("four lines", lambda: len(bodies()) >= 4)
        with open(log, "w") as file:
            file.write("5\n")
        wait_for("the line behind the truncation", lambda: "5" in bodies())
        assert bodies() == ["one", "two", "three, behind the rename", "four", "5"]
        end(stranger, 0)
        assert instance.wait() == 0
