"""Whoever of keeper and scribe is killed: nothing of the tree survives that should not, and no line is lost."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from held import hold
from instance import alive, wait_for

if TYPE_CHECKING:
    from instance import Host, Instance

# Prints numbered lines as fast as it is let, and leaves a double-forked grandchild in a session of its own.
APP = """
import os, sys, time
pid_file = sys.argv[1]
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        with open(pid_file + ".new", "w") as file:
            file.write(str(os.getpid()))
        os.rename(pid_file + ".new", pid_file)
        while True:
            time.sleep(60)
    os._exit(0)
os.wait()
number = 0
while True:
    for _ in range(200):
        os.write(1, b"line %d\\n" % number)
        number += 1
    time.sleep(0.01)
"""


def start(host: Host, **options: object) -> tuple[Instance, int]:
    """Start the app and return the instance and the grandchild's pid."""
    pid_file = os.path.join(host.root, "grandchild")
    with open(os.devnull, "wb") as null:
        instance = host.run(sys.executable, "-c", APP, pid_file, stdout=null, **options)
    wait_for("the grandchild is there", lambda: os.path.exists(pid_file))
    wait_for("lines are in the spool", lambda: len(instance.spooled("stdout")) > 100_000)
    with open(pid_file) as file:
        return instance, int(file.read())


def check_lines(data: bytes, at_least: int = 1) -> int:
    """Every line from 0 on, none missing, none torn but the last; returns how many."""
    lines = data.split(b"\n")[:-1]
    assert len(lines) >= at_least
    assert lines == [b"line %d" % i for i in range(len(lines))]
    return len(lines)


def test_nothing_survives_the_keeper_and_no_line_is_left_unspooled(host: Host) -> None:
    instance, grandchild = start(host)
    app = instance.component("app")["pid"]
    everyone = [instance.component(n)["pid"] for n in ("app", "agent", "scribe")]
    instance.signal(signal.SIGKILL)
    instance.wait()
    wait_for("everything has ended", lambda: not any(alive(p) for p in [*everyone, grandchild]), 20)
    assert instance.pids() == []
    # The app died at its own pace: what it wrote before is all there.
    assert check_lines(instance.spooled("stdout")) > 100
    assert instance.kinds()[-1] == "guard"
    assert not alive(app)
    wait_for(
        "the instance is no longer listed",
        lambda: not os.path.exists(f"{instance.runtime}/instance.json"),
    )


def test_an_app_that_is_to_be_left_ends_by_itself_and_loses_nothing(host: Host) -> None:
    script = "import os,time\nfor i in range(3000):\n os.write(1, b'line %d\\n' % i)\n time.sleep(0.0005)\n"
    instance = host.run(sys.executable, "-c", script, overrides=['app.on_keeper_death="leave"'])
    wait_for("lines are in the spool", lambda: len(instance.spooled("stdout")) > 2000)
    app = instance.component("app")["pid"]
    instance.signal(signal.SIGKILL)
    instance.wait()
    assert alive(app)
    wait_for("the app has ended", lambda: not alive(app))
    wait_for("all is in the spool", lambda: instance.spooled("stdout").endswith(b"line 2999\n"))
    check_lines(instance.spooled("stdout"), 3000)


def test_the_app_does_not_notice_that_the_scribe_is_killed(host: Host) -> None:
    instance, _ = start(host)
    app = instance.wait_state("app")
    for _ in range(5):
        before = instance.component("scribe")
        os.kill(before["pid"], signal.SIGKILL)
        wait_for(
            "another scribe reads on",
            lambda before=before: (
                instance.component("scribe").get("pid") not in (0, None, before["pid"])
            ),
        )
        size = len(instance.spooled("stdout"))
        wait_for(
            "the spool grows", lambda size=size: len(instance.spooled("stdout")) > size + 50_000
        )
    after = instance.component("app")
    assert (after["pid"], after["started"]) == (app["pid"], app["started"])
    assert instance.component("scribe")["restarts"] == 5
    instance.signal(signal.SIGTERM)
    instance.wait()
    check_lines(instance.spooled("stdout"), 1000)


def test_the_next_start_empties_what_both_left(host: Host) -> None:
    instance, grandchild = start(host, overrides=['app.on_keeper_death="leave"'])
    app, scribe = instance.component("app")["pid"], instance.component("scribe")["pid"]
    hold(instance.process.pid)
    os.kill(scribe, signal.SIGKILL)
    instance.signal(signal.SIGKILL)
    instance.wait()
    assert alive(app)
    assert alive(grandchild)
    again = host.run("sh", "-c", "echo new", name=instance.name)
    out, err = again.output()
    assert again.wait() == 0
    assert out == b"new\n"
    assert b"had left" in err
    assert not alive(app)
    assert not alive(grandchild)


def test_a_second_keeper_for_the_same_instance_is_refused(host: Host) -> None:
    instance = host.run("sleep", "600")
    instance.wait_state("app")
    second = host.run("sleep", "600", name=instance.name)
    _, err = second.output()
    assert second.wait() == 1
    assert f"it is running already (keeper pid {instance.process.pid})".encode() in err
    assert instance.component("app")["state"] == "running"


@pytest.mark.parametrize("role", ["agent", "shipper"])
def test_a_stopped_sidecar_is_noticed_and_mended(host: Host, role: str) -> None:
    settings = (
        '[agent]\nheartbeat = "100ms"\n[shipper]\nheartbeat = "100ms"\n'
        f'[logs.file]\npath = "{host.root}/shipped.log"\n'
    )
    instance = host.run("sleep", "600", settings=settings)
    app = instance.wait_state("app")
    before = instance.wait_state(role)["pid"]
    hold(before)
    wait_for(
        "another takes its place", lambda: instance.component(role).get("pid") not in (None, before)
    )
    instance.wait_state(role)
    assert not alive(before)
    wait_for("it is told", lambda: "hung" in instance.kinds(role))
    assert instance.component("app")["pid"] == app["pid"]


def test_a_paused_app_is_not_mistaken_for_a_dead_one(host: Host) -> None:
    instance = host.run("sleep", "600", overrides=["agent.heartbeat=100ms"])
    app = instance.wait_state("app")
    hold(app["pid"])
    ticks = instance.component("agent")["usage"].get("cpu_s", 0.0)
    wait_for(
        "the agent has beaten on", lambda: instance.component("agent")["usage"]["cpu_s"] > ticks
    )
    assert instance.component("app")["state"] == "running"
    os.kill(app["pid"], signal.SIGCONT)
    instance.signal(signal.SIGTERM)
    assert instance.wait() == 143


def test_a_paused_container_is_not_mistaken_for_a_hang(host: Host) -> None:
    instance = host.run("sleep", "600", overrides=["agent.heartbeat=100ms"])
    instance.wait_state("app")
    agent = instance.wait_state("agent")["pid"]
    everyone = [
        instance.process.pid,
        *(instance.component(n)["pid"] for n in ("scribe", "agent", "app")),
    ]
    for pid in everyone:
        hold(pid)
    # Far more heartbeats than would be missed by elapsed time.
    signal.sigtimedwait([signal.SIGUSR2], 3)
    for pid in everyone:
        os.kill(pid, signal.SIGCONT)
    instance.wait_state("agent")
    assert instance.component("agent")["pid"] == agent
    assert "hung" not in instance.kinds()


def test_a_hung_scribe_is_replaced(host: Host) -> None:
    instance = host.run("sleep", "600", overrides=["agent.heartbeat=100ms"])
    instance.wait_state("app")
    scribe = instance.component("scribe")["pid"]
    hold(scribe)
    wait_for(
        "another takes its place",
        lambda: instance.component("scribe").get("pid") not in (None, 0, scribe),
    )
    assert not alive(scribe)


def test_a_scribe_that_is_stopped_again_and_again_goes_on(host: Host) -> None:
    script = "n=0; while :; do echo line $n; n=$((n+1)); sleep 0.01; done"
    instance = host.run("sh", "-c", script)
    instance.wait_state("app")
    scribe = instance.component("scribe")["pid"]
    wait_for("lines are in the spool", lambda: instance.spooled("stdout"))
    for _ in range(300):
        hold(scribe)
        wait_for("it is stopped", lambda: state_of(scribe) == "T")
        os.kill(scribe, signal.SIGCONT)
    before = len(instance.spooled("stdout"))
    wait_for("lines go on", lambda: len(instance.spooled("stdout")) > before)
    assert instance.component("scribe")["pid"] == scribe
    check_lines(instance.spooled("stdout"))


def state_of(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]
