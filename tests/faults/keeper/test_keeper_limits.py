"""A component that reaches its limit goes alone, as a whole, and the cause is named."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from instance import alive, wait_for

if TYPE_CHECKING:
    from instance import Host

# A child eats memory while the main process sleeps: the limit ends both.
EATER = """
import os, sys, time
if os.fork() == 0:
    time.sleep(float(sys.argv[1]))
    hoard = []
    while True:
        hoard.append(bytearray(os.urandom(1 << 20)))
print("up", flush=True)
time.sleep(600)
"""


def test_an_app_over_its_memory_limit_dies_as_a_whole_and_alone(host: Host) -> None:
    instance = host.run(sys.executable, "-c", EATER, "0.2", overrides=["app.limits.memory=64M"])
    agent = instance.wait_state("agent")["pid"]
    wait_for("the app is up", lambda: b"up" in instance.spooled("stdout"))
    assert instance.component("app")["limits_by"] in ("cgroup-v1", "cgroup-v2")
    assert instance.wait() == 128 + signal.SIGKILL
    events = instance.events()
    exited = next(e for e in events if e["kind"] == "exited" and e["component"] == "app")
    assert "out of memory: the limit of app is 67108864 bytes" in exited["reason"]
    assert "exited" not in [
        e["kind"] for e in events if e["component"] == "agent" and e["time"] < exited["time"]
    ]
    assert agent


def test_an_app_over_its_limit_is_restarted_by_its_policy(host: Host) -> None:
    restart = 'app.restart={policy="on-failure", initial="10ms", limit=2}'
    instance = host.run(
        sys.executable, "-c", EATER, "0", overrides=["app.limits.memory=64M", restart]
    )
    assert instance.wait() == 128 + signal.SIGKILL
    assert instance.kinds("app").count("restarting") == 2
    assert instance.kinds("app").count("out-of-memory") == 3


@pytest.mark.parametrize("role", ["agent", "shipper"])
def test_the_app_does_not_notice_a_sidecar_over_its_limit(host: Host, role: str) -> None:
    instance = host.run("sleep", "600", overrides=[f'logs.file.path="{host.root}/shipped"'])
    app = instance.wait_state("app")
    before = instance.wait_state(role)["pid"]
    # Fill its group from within, as a leak would.
    procs = [f"{d}/cgroup.procs" for d in groups_of(before)]
    eater = "import sys\nfor p in sys.argv[1:]: open(p,'w').write('0')\nh=[]\nwhile True: h.append(bytearray(1<<20))"
    pid = os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, "-c", eater, *procs])
    os.waitpid(pid, 0)
    wait_for(
        "another takes its place", lambda: instance.component(role).get("pid") not in (None, before)
    )
    instance.wait_state(role)
    after = instance.component("app")
    assert (after["pid"], after["started"]) == (app["pid"], app["started"])
    wait_for("it is told", lambda: "out-of-memory" in instance.kinds(role))


def groups_of(pid: int) -> list[str]:
    """Return the directories of a process' control groups that are of Pillion's making."""
    found = []
    with open(f"/proc/{pid}/cgroup") as file:
        for line in file:
            _, controllers, path = line.strip().split(":", 2)
            if "/pillion-" not in path:
                continue
            for mount in ("unified", *controllers.split(",")):
                directory = f"/sys/fs/cgroup/{mount}{path}" if mount else f"/sys/fs/cgroup{path}"
                if os.path.exists(f"{directory}/cgroup.procs") and bool(controllers) == (
                    mount != "unified"
                ):
                    found.append(directory)
    return found


def test_limits_change_while_running_and_say_by_which_means(host: Host) -> None:
    instance = host.run("sleep", "600")
    instance.wait_state("app")
    done = host.pillion(
        "limits",
        "app",
        "memory=300M",
        "cpu=0.5",
        "processes=50",
        "open_files=100",
        "--instance",
        instance.name,
    )
    assert done.returncode == 0
    app = instance.component("app")
    assert app["limits"] == {"memory": 300 << 20, "cpu": 0.5, "processes": 50, "open_files": 100}
    with open(f"/proc/{app['pid']}/limits") as file:
        assert next(line for line in file if line.startswith("Max open files")).split()[3:5] == [
            "100",
            "100",
        ]
    assert app["limits_by"] in host.pillion("status", "--instance", instance.name).stdout
    host.pillion("limits", "app", "memory=none", "--instance", instance.name)
    assert "memory" not in instance.component("app")["limits"]


def test_a_cpu_limit_holds(host: Host) -> None:
    instance = host.run("sh", "-c", "while :; do :; done", overrides=["app.limits.cpu=0.2"])
    instance.wait_state("app")
    started = os.times().elapsed
    before = instance.component("app")["usage"]["cpu_s"]
    wait_for("two seconds have passed", lambda: os.times().elapsed - started > 2)
    used = instance.component("app")["usage"]["cpu_s"] - before
    assert used < 0.35 * (os.times().elapsed - started)


def test_a_limit_of_processes_holds(host: Host) -> None:
    script = "for i in 1 2 3 4 5 6 7 8 9 10; do sleep 600 & done; echo unreachable"
    instance = host.run("sh", "-c", script, overrides=["app.limits.processes=5"])
    _, err = instance.output()
    assert instance.wait() != 0
    assert b"ork" in err


def test_without_control_groups_memory_is_sampled(host: Host) -> None:
    """Where no hierarchy can be seen the tree's resident memory is sampled instead."""
    hidden = [
        "unshare",
        "-m",
        "--propagation",
        "private",
        "sh",
        "-c",
        'umount -l -R /sys/fs/cgroup; exec "$@"',
        "sh",
    ]
    instance = host.run(
        sys.executable, "-c", EATER, "0.3",
        overrides=["app.limits.memory=64M", "agent.heartbeat=100ms"],
        prefix=hidden,
    )  # fmt: skip
    wait_for("the app is up", lambda: b"up" in instance.spooled("stdout"))
    app = instance.component("app")
    assert app["limits_by"] == "sampling"
    assert instance.wait() == 128 + signal.SIGKILL
    assert not alive(app["pid"])
    exited = next(e for e in instance.events() if e["kind"] == "exited" and e["component"] == "app")
    assert "by sampling, its limit is 67108864" in exited["reason"]
