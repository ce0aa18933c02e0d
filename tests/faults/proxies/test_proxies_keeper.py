"""Whoever dies around a managed proxy: it serves again, nothing of it is left over, and the others notice nothing."""

from __future__ import annotations

import os
import signal
import socket
import stat
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from held import hold
from instance import alive, wait_for
from proxies_components import (
    KINDS,
    SLEEPER,
    ask,
    begin,
    configuration,
    listens,
    place,
    proxy,
    renew,
    serving,
    session,
    settle,
)

if TYPE_CHECKING:
    from instance import Host, Instance

# No hierarchy can be seen: what belongs together must be found by other means.
HIDDEN = (
    "unshare", "-m", "--propagation", "private", "sh", "-c", 'umount -l -R /sys/fs/cgroup; exec "$@"', "sh",
)  # fmt: skip
# Leaves a child that hears nothing, and says at its start whether that of the one before it still lives.
PARENT = """#!/bin/sh
if [ -e {root}/child ] && kill -0 $(cat {root}/child); then echo "left over" >&2; fi
(trap '' TERM QUIT HUP; while :; do sleep 0.05; done) &
echo $! > {root}/child
echo "begins" >&2
wait
"""
EATER = """#!{python}
import sys, time
sys.stderr.write("begins\\n")
held = []
while True:
    held.append(bytearray(8 << 20))
    time.sleep(0.02)
"""


def program(host: Host, text: str) -> str:
    """A program of the test's own that stands in for a proxy."""
    path = os.path.join(host.root, "program")
    with open(path, "w") as file:
        file.write(text.format(root=host.root, python=sys.executable))
    os.chmod(path, stat.S_IRWXU)
    return path


def offloaded(host: Host) -> tuple[Instance, int]:
    """An instance whose offload serves on a socket of the keeper's."""
    instance = begin(host, '[offload]\nroot = "/tmp"\n')
    listener = instance.call("status")["result"]["listeners"]["offload"]
    port = int(listener.rpartition(":")[2])
    place(instance, "offload", "nginx", configuration("nginx", port, "one"))
    instance.call("start", name="offload")
    wait_for("it serves", lambda: ask(port) == "one", state=lambda: instance.spooled("sidecar"))
    return instance, port


def another(instance: Instance, name: str, pid: int) -> int:
    """The pid of the one that follows `pid`."""

    def look() -> int:
        component = instance.component(name)
        new = component.get("pid")
        return int(new) if new not in (None, pid) and component["state"] == "running" else 0

    return wait_for(f"another {name} runs", look)


def begun(instance: Instance, count: int) -> None:
    wait_for("it runs", lambda: instance.spooled("sidecar").count(b"begins") == count)


def all_gone(pids: list[int]) -> None:
    wait_for("nothing of it lives", lambda: not any(alive(pid) for pid in pids))


# --- the proxy -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", [(), HIDDEN], ids=["cgroups", "none"])
@pytest.mark.parametrize("kind", KINDS)
def test_killed_it_serves_again_and_leaves_no_worker(
    host: Host, kind: str, prefix: tuple[str, ...]
) -> None:
    instance, port = serving(host, kind, prefix=prefix)
    assert (instance.component("edge")["limits_by"] == "sampling") is bool(prefix)
    others = {name: instance.component(name)["pid"] for name in ("app", "agent", "scribe")}
    before = session(instance.component("edge")["pid"])
    os.kill(before[0], signal.SIGKILL)
    new = another(instance, "edge", before[0])
    all_gone(before)
    wait_for("it serves", lambda: ask(port) == "one")
    assert instance.component("edge")["restarts"] == 1
    assert instance.component("edge")["last_exit"] == {"signal": "KILL"}
    assert session(new)[0] == new
    assert {name: instance.component(name)["pid"] for name in others} == others
    reasons = [
        e["reason"]
        for e in instance.events()
        if (e["component"], e["kind"]) == ("edge", "restarting")
    ]
    assert reasons == ["at once"]


@pytest.mark.parametrize("prefix", [(), HIDDEN], ids=["cgroups", "none"])
def test_what_a_killed_one_leaves_is_ended_before_the_next_begins(
    host: Host, prefix: tuple[str, ...]
) -> None:
    settings = proxy("edge", "nginx", f'binary = "{program(host, PARENT)}"')
    instance = begin(host, settings, prefix=prefix)
    instance.call("start", name="edge")
    for count in (1, 2, 3):
        begun(instance, count)
        pid = instance.wait_state("edge")["pid"]
        assert len(session(pid)) >= 2
        os.kill(pid, signal.SIGKILL)
    begun(instance, 4)
    assert b"left over" not in instance.spooled("sidecar")


def test_one_that_dies_again_and_again_is_tried_ever_later_and_never_given_up(host: Host) -> None:
    instance = begin(host, proxy("edge", "nginx"))
    place(instance, "edge", "nginx", "nonsense;")
    instance.call("start", name="edge")

    def waited() -> list[float]:
        return [
            0.0 if e["reason"] == "at once" else float(e["reason"].split()[3])
            for e in instance.events()
            if (e["component"], e["kind"]) == ("edge", "restarting")
        ]

    wait_for("some tries are told", lambda: len(waited()) >= 4)
    waits = waited()
    assert waits[0] == 0.0
    assert waits == sorted(waits)
    assert waits[3] > 0.4
    assert b'unknown directive "nonsense"' in instance.spooled("sidecar")
    assert instance.component("app")["state"] == "running"
    place(instance, "edge", "nginx", configuration("nginx", 0, "x").replace("127.0.0.1:0", f"unix:{host.root}/s"))  # fmt: skip
    instance.wait_state("edge")
    # Asked to stop while it waits for its next try, it does not come back.
    os.kill(instance.component("edge")["pid"], signal.SIGKILL)
    instance.call("stop", name="edge")
    assert instance.component("edge")["state"] == "stopped"


def test_nobody_is_refused_while_the_offload_is_killed_again_and_again(host: Host) -> None:
    instance, port = offloaded(host)
    counts = {"one": 0, "reset": 0, "refused": 0}
    over = threading.Event()

    def knock() -> None:
        while not over.is_set():
            try:
                with socket.create_connection(("127.0.0.1", port), 20) as sock:
                    sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                    data = b""
                    while part := sock.recv(4096):
                        data += part
                # One that a killed worker had accepted; nothing can change that.
                counts["one" if data.endswith(b"one") else "reset"] += 1
            except ConnectionRefusedError:
                counts["refused"] += 1
            except ConnectionError:
                counts["reset"] += 1
            over.wait(0.005)

    client = threading.Thread(target=knock)
    client.start()
    try:
        pid = instance.component("offload")["pid"]
        for _ in range(4):
            os.kill(pid, signal.SIGKILL)
            pid = another(instance, "offload", pid)
        served = counts["one"]
        wait_for("it serves on", lambda: counts["one"] > served + 5)
    finally:
        over.set()
        client.join()
    assert counts["refused"] == 0
    assert counts["reset"] <= 4
    assert instance.component("offload")["restarts"] == 4


def test_one_that_needs_too_much_memory_is_ended_with_the_cause(host: Host) -> None:
    settings = proxy("edge", "nginx", f'binary = "{program(host, EATER)}"\nlimits.memory = "64M"')
    instance = begin(host, settings)
    instance.call("start", name="edge")
    (cause, *_) = wait_for(
        "it is told", lambda: [e for e in instance.events() if e["kind"] == "out-of-memory"]
    )
    assert cause["component"] == "edge"
    assert "the limit of edge is 67108864 bytes" in cause["reason"]
    wait_for("it is tried again", lambda: instance.spooled("sidecar").count(b"begins") >= 2)
    assert instance.component("app")["state"] == "running"


def test_a_stopped_one_is_woken_to_end(host: Host) -> None:
    instance, _ = serving(host, "nginx")
    pid = instance.component("edge")["pid"]
    hold(pid)
    instance.signal(signal.SIGTERM)
    instance.wait()
    (exited,) = [e for e in instance.events() if (e["component"], e["kind"]) == ("edge", "exited")]
    assert exited["data"]["code"] == 0


# --- the agent -------------------------------------------------------------------------------------------------------------


def test_it_runs_on_while_the_agent_dies_and_is_upgraded(host: Host) -> None:
    instance, port = serving(host, "nginx")
    pid = instance.component("edge")["pid"]
    agent = instance.component("agent")["pid"]
    os.kill(agent, signal.SIGKILL)
    assert ask(port) == "one"
    agent = another(instance, "agent", agent)
    instance.wait_state("agent")
    assert "result" in instance.call("upgrade", components=["agent"])
    assert instance.component("agent")["pid"] != agent
    assert instance.component("edge")["pid"] == pid
    assert ask(port) == "one"


def test_without_an_agent_it_is_started_again(host: Host) -> None:
    instance, port = serving(host, "nginx")
    agent, pid = instance.component("agent")["pid"], instance.component("edge")["pid"]
    hold(agent)
    os.kill(pid, signal.SIGKILL)
    another(instance, "edge", pid)
    wait_for("it serves", lambda: ask(port) == "one")
    os.kill(agent, signal.SIGCONT)


# --- the keeper ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", [(), HIDDEN], ids=["cgroups", "none"])
@pytest.mark.parametrize("kind", KINDS)
def test_it_ends_with_the_sidecar_when_the_keeper_is_killed(
    host: Host, kind: str, prefix: tuple[str, ...]
) -> None:
    instance, port = serving(host, kind, prefix=prefix)
    pids = session(instance.component("edge")["pid"])
    instance.signal(signal.SIGKILL)
    instance.wait()
    all_gone(pids)
    assert not listens(port)


@pytest.mark.parametrize("kind", KINDS)
def test_it_ends_when_keeper_and_scribe_are_killed_at_once(host: Host, kind: str) -> None:
    instance, port = serving(host, kind)
    pids = session(instance.component("edge")["pid"])
    scribe = instance.component("scribe")["pid"]
    instance.signal(signal.SIGSTOP)
    os.kill(scribe, signal.SIGKILL)
    instance.signal(signal.SIGKILL)
    instance.wait()
    all_gone(pids)
    assert not listens(port)


@pytest.mark.parametrize("prefix", [(), HIDDEN], ids=["cgroups", "none"])
@pytest.mark.parametrize("kind", KINDS)
def test_it_serves_an_app_that_is_left_until_that_ends(
    host: Host, kind: str, prefix: tuple[str, ...]
) -> None:
    instance, port = serving(
        host, kind, overrides=['app.on_keeper_death="leave"'], keeper_death="leave", prefix=prefix
    )
    app = instance.component("app")["pid"]
    pids = session(instance.component("edge")["pid"])
    instance.signal(signal.SIGKILL)
    instance.wait()
    assert ask(port) == "one"
    os.kill(app, signal.SIGKILL)
    all_gone(pids)
    assert not listens(port)


@pytest.mark.parametrize("prefix", [(), HIDDEN], ids=["cgroups", "none"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_next_start_empties_what_both_left(
    host: Host, kind: str, prefix: tuple[str, ...]
) -> None:
    instance, port = serving(
        host, kind, overrides=['app.on_keeper_death="leave"'], keeper_death="leave", prefix=prefix
    )
    pids = session(instance.component("edge")["pid"])
    scribe = instance.component("scribe")["pid"]
    instance.signal(signal.SIGSTOP)
    os.kill(scribe, signal.SIGKILL)
    instance.signal(signal.SIGKILL)
    instance.wait()
    assert ask(port) == "one"
    again = host.run(*SLEEPER, prefix=prefix)
    again.wait_state("app")
    assert not any(alive(pid) for pid in pids)
    assert not listens(port)


@pytest.mark.parametrize("kind", KINDS)
def test_an_upgrade_of_the_keeper_leaves_it_alone_and_keeps_it(host: Host, kind: str) -> None:
    instance, port = serving(host, kind)
    pid = instance.component("edge")["pid"]
    assert "result" in renew(instance, proxy("edge", kind) + proxy("later", "nginx"))
    assert "result" in instance.call("upgrade", components=["keeper"])
    edge = instance.component("edge")
    assert (edge["pid"], edge["state"], edge["ready"]) == (pid, "running", True)
    assert instance.component("later")["state"] == "waiting"
    os.kill(pid, signal.SIGKILL)
    pid = another(instance, "edge", pid)
    wait_for("it serves", lambda: ask(port) == "one")
    settle(instance, kind)
    assert instance.call("stop", name="edge")["result"]["state"] == "stopped"
    assert "result" in instance.call("upgrade", components=["keeper"])
    assert instance.component("edge")["state"] == "stopped"
    assert not alive(pid)


def test_an_upgrade_of_the_keeper_keeps_the_offload_s_socket(host: Host) -> None:
    instance, port = offloaded(host)
    assert "result" in instance.call("upgrade", components=["keeper"])
    pid = instance.component("offload")["pid"]
    assert ask(port) == "one"
    os.kill(pid, signal.SIGKILL)
    # A worker may have accepted what is asked while it is ended with its master: that is cut, and nothing is refused.
    wait_for("it answers again", lambda: ask(port) == "one")
    another(instance, "offload", pid)
    assert ask(port) == "one"
    assert instance.call("status")["result"]["listeners"] == {"offload": f"127.0.0.1:{port}"}


def test_an_upgrade_while_it_stops_goes_on_with_that(host: Host) -> None:
    deaf = "#!/bin/sh\ntrap '' QUIT\necho begins >&2\nwhile :; do sleep 0.05; done\n"
    more = f'binary = "{program(host, deaf)}"\nstop_timeout = "2s"'
    instance = begin(host, proxy("edge", "nginx", more))
    instance.call("start", name="edge")
    wait_for("it runs", lambda: b"begins" in instance.spooled("sidecar"))
    pids = session(instance.wait_state("edge")["pid"])
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as operator:
        operator.connect(f"{instance.runtime}/keeper.sock")
        operator.send(b'{"op": "call", "id": 1, "method": "stop", "params": {"name": "edge"}}')
        wait_for("it stops", lambda: instance.component("edge")["state"] == "stopping")
    assert "result" in instance.call("upgrade", components=["keeper"])
    instance.wait_state("edge", "stopped")
    assert not any(alive(pid) for pid in pids)
