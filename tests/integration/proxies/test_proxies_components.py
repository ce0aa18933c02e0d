"""Managed proxies as components: asked for, kept, told, limited, changed by a reload and stopped in their turn, with real programs."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import socket
import stat
from typing import TYPE_CHECKING

import pytest

from free_ports import free_port
from instance import alive, wait_for
from proxies_components import (
    KINDS,
    SLEEPER,
    SlowBackend,
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
    from collections.abc import Iterator

    from instance import Host, Instance

OFFLOAD = '[offload]\nroot = "/tmp"\nlisten = "{listen}"\n'
# Tells what it is, and ends when it is told.
PROGRAM = """#!/bin/sh
{trap}
echo "started as $0 with $*" >&2
while :; do sleep 0.05; done
"""


@pytest.fixture
def backend() -> Iterator[SlowBackend]:
    made = SlowBackend()
    yield made
    made.close()


def program(host: Host, name: str, trap: str = "") -> str:
    """A program of the test's own that stands in for a proxy."""
    path = os.path.join(host.root, name)
    with open(path, "w") as file:
        file.write(PROGRAM.format(trap=trap))
    os.chmod(path, stat.S_IRWXU)
    return path


def pid_of(instance: Instance, name: str = "edge") -> int:
    return int(instance.wait_state(name)["pid"])


def request(port: int, path: str) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), 20)
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    return sock


def answer_of(sock: socket.socket) -> bytes:
    with sock:
        data = b""
        while part := sock.recv(4096):
            data += part
        return data


# --- asked for -------------------------------------------------------------------------------------------------------------


def test_from_the_start_it_waits_until_it_is_asked_for(host: Host) -> None:
    settings = proxy("edge", "nginx") + proxy("other", "haproxy")
    instance = host.run(*SLEEPER, settings=settings)
    instance.wait_state("app")
    assert [instance.component(name)["state"] for name in ("edge", "other")] == ["waiting"] * 2
    assert "edge" not in {
        event["component"] for event in instance.events() if event["kind"] == "started"
    }
    port = free_port()
    place(instance, "edge", "nginx", configuration("nginx", port, "one"))
    assert host.pillion("start", "edge").stdout.startswith("edge: ")
    wait_for("it serves", lambda: ask(port) == "one")
    edge = instance.component("edge")
    assert (edge["state"], edge["ready"], edge["restarts"]) == ("running", True, 0)
    assert instance.component("other")["state"] == "waiting"
    offered = host.pillion("completion", "--list", "components").stdout.split()
    assert offered == ["app", "agent", "shipper", "ambassador", "edge", "other"]


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_a_component_with_a_group_and_a_session_of_its_own(host: Host, kind: str) -> None:
    instance, _ = serving(host, kind)
    pid = pid_of(instance)
    assert os.getsid(pid) == pid
    assert len(session(pid)) == (3 if kind == "nginx" else 2)
    edge = instance.component("edge")
    assert edge["usage"]["processes"] == len(session(pid))
    assert edge["limits_by"] == instance.component("agent")["limits_by"]
    with open(f"/proc/{pid}/oom_score_adj") as ours, open("/proc/self/oom_score_adj") as usual:
        assert ours.read() == usual.read()


def test_it_may_open_as_many_files_as_the_kernel_lets_us(host: Host) -> None:
    narrow = ("sh", "-c", 'ulimit -Sn 300; exec "$@"', "sh")
    instance, _ = serving(host, "nginx", prefix=narrow)
    soft, hard = resource.prlimit(pid_of(instance), resource.RLIMIT_NOFILE)
    assert soft == hard > 300


def test_what_it_writes_is_the_sidecar_s_output(host: Host) -> None:
    edge = program(host, "teller")
    instance = begin(host, proxy("edge", "nginx", f'binary = "{edge}"'))
    instance.call("start", name="edge")
    line = f"started as {edge} with -c {host.state}/app/proxies/edge/conf/nginx.conf -p"
    wait_for("it is in the spool", lambda: line.encode() in instance.spooled("sidecar"))
    assert b"started as" not in instance.spooled("stdout") + instance.spooled("stderr")


def test_it_learns_no_secret_and_nothing_that_was_said_to_others(host: Host) -> None:
    teller = os.path.join(host.root, "teller")
    with open(teller, "w") as file:
        file.write("#!/bin/sh\nenv >&2\necho end >&2\nsleep 600\n")
    os.chmod(teller, stat.S_IRWXU)
    settings = proxy("edge", "nginx", f'binary = "{teller}"')
    env = {"HIDDEN": "hunter2", "NGINX": "7;", "NOTIFY_SOCKET": "@nobody", "SHOWN": "yes"}
    instance = host.run(*SLEEPER, settings='secrets.a.env = "HIDDEN"\n' + settings, env=env)
    instance.wait_state("app")
    instance.call("start", name="edge")
    wait_for("it has told", lambda: b"end\n" in instance.spooled("sidecar"))
    said = instance.spooled("sidecar").decode().splitlines()
    assert "SHOWN=yes" in said
    assert not [line for line in said if line.startswith(("HIDDEN=", "NGINX=", "NOTIFY_SOCKET="))]
    (path,) = [line for line in said if line.startswith("PATH=")]
    assert path.endswith(":/usr/sbin:/sbin")


def test_commands_and_completion_know_it(host: Host) -> None:
    instance, _ = serving(host, "nginx")
    pid = pid_of(instance)
    for command in (["status"], ["components"], ["top", "--count", "1"]):
        assert any(
            line.split()[:3] == ["edge", "running", str(pid)]
            for line in host.pillion(*command).stdout.splitlines()
        ), command
    assert f'"pid": {pid}' in host.pillion("components", "--json").stdout


def test_one_that_runs_is_not_started_twice(host: Host) -> None:
    instance, _ = serving(host, "nginx")
    error = instance.call("start", name="edge")["error"]
    assert (error["status"], error["title"]) == (409, "Already running")


# --- kept ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_told_by_signals(host: Host, kind: str) -> None:
    instance, port = serving(host, kind)
    pid = pid_of(instance)
    place(instance, "edge", kind, configuration(kind, port, "two"))
    assert instance.call("signal", name="edge", signal="HUP")["result"]["pid"] == pid
    wait_for("the new configuration serves", lambda: ask(port) == "two")
    assert pid_of(instance) == pid
    settle(instance, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_stopped_it_finishes_what_is_under_way_and_stays_stopped(
    host: Host, kind: str, backend: SlowBackend
) -> None:
    instance, port = serving(host, kind, backend=backend.port)
    pid = pid_of(instance)
    client = request(port, "/slow")
    backend.taken()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as operator:
        operator.connect(f"{instance.runtime}/keeper.sock")
        operator.send(b'{"op": "call", "id": 1, "method": "stop", "params": {"name": "edge"}}')
        wait_for("nobody listens", lambda: not listens(port))
        assert instance.component("edge")["state"] == "stopping"
        backend.answer()
        assert answer_of(client).endswith(b"slow")
        operator.settimeout(20)
        assert b'"stopped"' in operator.recv(1 << 16)
    edge = instance.component("edge")
    assert (edge["state"], edge["pid"], edge["last_exit"]) == ("stopped", None, {"code": 0})
    assert session(pid) == []
    assert "result" in instance.call("start", name="edge")
    wait_for("it serves again", lambda: ask(port) == "one")
    settle(instance, kind)


def test_restarted_it_is_another(host: Host) -> None:
    instance, port = serving(host, "nginx")
    pid = pid_of(instance)
    assert "result" in instance.call("restart", name="edge")
    wait_for("it serves", lambda: ask(port) == "one")
    edge = instance.component("edge")
    assert edge["pid"] != pid
    assert edge["restarts"] == 1
    assert not alive(pid)


def test_wanted_again_while_it_stops_it_starts_when_it_has(host: Host) -> None:
    slow = program(host, "slow", 'trap "sleep 0.5; exit 0" QUIT')
    instance = begin(host, proxy("edge", "nginx", f'binary = "{slow}"'))
    instance.call("start", name="edge")
    wait_for("it runs", lambda: b"started as" in instance.spooled("sidecar"))
    pid = pid_of(instance)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as operator:
        operator.connect(f"{instance.runtime}/keeper.sock")
        operator.send(b'{"op": "call", "id": 1, "method": "stop", "params": {"name": "edge"}}')
        wait_for("it stops", lambda: instance.component("edge")["state"] == "stopping")
        again = instance.call("start", name="edge")["result"]
        assert again["pid"] not in (None, pid)
        assert b'"id":1,' in operator.recv(1 << 16)
    assert pid_of(instance) != pid


def test_a_program_that_is_not_there_is_said_and_tried_again(host: Host) -> None:
    missing = os.path.join(host.root, "later")
    instance = begin(host, proxy("edge", "nginx", f'binary = "{missing}"'))
    instance.call("start", name="edge")
    (exited, *_) = wait_for(
        "it is said",
        lambda: [e for e in instance.events() if (e["component"], e["kind"]) == ("edge", "exited")],
    )
    assert f"cannot start {missing}: no such command" in exited["reason"]
    wait_for("tries are further apart", lambda: instance.component("edge")["restarts"] >= 3)
    assert instance.component("app")["state"] == "running"
    program(host, "later")
    edge = instance.wait_state("edge")
    assert edge["pid"] is not None


@pytest.mark.parametrize("kind", KINDS)
def test_limits_hold_at_once_for_all_of_it(host: Host, kind: str) -> None:
    instance, port = serving(host, kind)
    host.pillion("limits", "edge", "memory=200M", "open_files=500")
    edge = instance.component("edge")
    assert edge["limits"] == {"memory": 200 << 20, "open_files": 500}
    # Workers that have become another user take it from their master when the next ones are made.
    assert resource.prlimit(pid_of(instance), resource.RLIMIT_NOFILE) == (500, 500)
    assert ask(port) == "one"


# --- stopped in its turn ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_it_ends_after_the_app_and_before_the_agent(host: Host, kind: str) -> None:
    instance, port = serving(host, kind)
    pids = session(pid_of(instance))
    instance.process.terminate()
    instance.wait()
    assert not listens(port)
    assert not any(alive(pid) for pid in pids)
    ended = [e["component"] for e in instance.events() if e["kind"] == "exited"]
    assert ended == ["app", "edge", "agent"]
    (edge,) = [e for e in instance.events() if (e["component"], e["kind"]) == ("edge", "exited")]
    assert edge["data"]["code"] == 0


def test_the_agent_is_there_until_the_last_proxy_has_ended(host: Host) -> None:
    slow = program(host, "slow", 'trap "sleep 0.7; exit 0" QUIT')
    instance = begin(host, proxy("edge", "nginx", f'binary = "{slow}"'))
    instance.call("start", name="edge")
    wait_for("it runs", lambda: b"started as" in instance.spooled("sidecar"))
    instance.process.terminate()
    instance.wait()
    ended = [e["component"] for e in instance.events() if e["kind"] == "exited"]
    assert ended == ["app", "edge", "agent"]


def test_one_that_does_not_stop_is_killed_with_all_of_it(host: Host) -> None:
    deaf = program(host, "deaf", "trap '' QUIT TERM; sleep 600 &")
    instance = begin(host, proxy("edge", "nginx", f'binary = "{deaf}"\nstop_timeout = "300ms"'))
    instance.call("start", name="edge")
    wait_for("it runs", lambda: b"started as" in instance.spooled("sidecar"))
    pids = session(pid_of(instance))
    assert len(pids) >= 2
    instance.process.terminate()
    assert instance.wait() == 128 + signal.SIGTERM
    assert not any(alive(pid) for pid in pids)
    (killed,) = [e for e in instance.events() if e["kind"] == "killed"]
    assert (killed["component"], killed["reason"]) == ("edge", "did not stop within 0.3 s")


def test_one_that_only_waits_holds_nothing_up(host: Host) -> None:
    instance = begin(host, proxy("edge", "nginx"))
    instance.process.terminate()
    assert instance.wait() == 128 + signal.SIGTERM
    assert "stopped" in instance.kinds("app")


# --- changed by a reload ---------------------------------------------------------------------------------------------------


def test_what_is_added_waits_and_what_is_gone_finishes(host: Host, backend: SlowBackend) -> None:
    instance, port = serving(host, "nginx", backend=backend.port)
    client = request(port, "/slow")
    backend.taken()
    assert "result" in renew(instance, proxy("second", "haproxy"))
    assert instance.component("second")["state"] == "waiting"
    wait_for("nobody listens", lambda: not listens(port))
    error = instance.call("start", name="edge")["error"]
    assert error["status"] == 409
    backend.answer()
    assert answer_of(client).endswith(b"slow")
    wait_for("it is forgotten", lambda: not instance.component("edge"))
    assert "result" in renew(instance, "")
    assert not instance.component("second")


def test_one_that_is_back_before_it_has_gone_waits(host: Host) -> None:
    slow = program(host, "slow", 'trap "sleep 0.5; exit 0" QUIT')
    settings = proxy("edge", "nginx", f'binary = "{slow}"')
    instance = begin(host, settings)
    instance.call("start", name="edge")
    wait_for("it runs", lambda: b"started as" in instance.spooled("sidecar"))
    pid = pid_of(instance)
    renew(instance, "")
    renew(instance, settings)
    instance.wait_state("edge", "waiting")
    assert not alive(pid)
    assert "result" in instance.call("start", name="edge")
    assert pid_of(instance) != pid


def test_another_program_takes_its_place_and_limits_hold_at_once(host: Host) -> None:
    instance, port = serving(host, "nginx")
    pid = pid_of(instance)
    limits = 'limits.memory = "300M"'
    assert "result" in renew(instance, proxy("edge", "nginx", limits))
    edge = instance.component("edge")
    assert (edge["pid"], edge["limits"]) == (pid, {"memory": 300 << 20})
    other = os.path.join(host.root, "nginx")
    shutil.copy("/usr/sbin/nginx", other)
    assert "result" in renew(instance, proxy("edge", "nginx", f'binary = "{other}"'))
    wait_for("it is another", lambda: instance.component("edge")["pid"] not in (None, pid))
    wait_for("it serves", lambda: ask(port) == "one")
    assert os.readlink(f"/proc/{pid_of(instance)}/exe") == other
    assert instance.component("edge")["limits"] == {}


def test_another_kind_waits_for_a_configuration_of_its_own(host: Host) -> None:
    instance, port = serving(host, "nginx")
    assert "result" in renew(instance, proxy("edge", "haproxy"))
    instance.wait_state("edge", "waiting")
    assert not listens(port)
    place(instance, "edge", "haproxy", configuration("haproxy", port, "two"))
    instance.call("start", name="edge")
    wait_for("it serves", lambda: ask(port) == "two")
    settle(instance, "haproxy")


def test_one_that_was_stopped_by_hand_stays_so_over_a_reload(host: Host) -> None:
    instance, _ = serving(host, "nginx")
    instance.call("stop", name="edge")
    renew(instance, proxy("edge", "nginx", f'binary = "{host.root}/other"'))
    assert instance.component("edge")["state"] == "stopped"


def test_a_limit_that_cannot_hold_changes_nothing(host: Host) -> None:
    instance, port = serving(host, "nginx")
    pid = pid_of(instance)
    error = renew(instance, proxy("edge", "haproxy", 'limits.memory = "1M"'))["error"]
    assert error["status"] == 409
    assert pid_of(instance) == pid
    assert ask(port) == "one"


# --- a listener of ours ----------------------------------------------------------------------------------------------------


def offloaded(host: Host, listen: str = "127.0.0.1:0") -> tuple[Instance, int]:
    """An instance whose offload serves on a socket that the keeper bound."""
    instance = begin(host, OFFLOAD.format(listen=listen))
    port = offload_port(instance)
    place(instance, "offload", "nginx", configuration("nginx", port, "one"))
    instance.call("start", name="offload")
    wait_for("it serves", lambda: ask(port) == "one", state=lambda: instance.spooled("sidecar"))
    return instance, port


def offload_port(instance: Instance) -> int:
    listeners = instance.call("status")["result"]["listeners"]
    return int(listeners["offload"].rpartition(":")[2])


def inode_of(port: int) -> str:
    """The listening socket's inode (proc(5), /proc/net/tcp)."""
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table]
    (found,) = [row[9] for row in rows if row[1] == f"0100007F:{port:04X}" and row[3] == "0A"]
    return found


def holds(pid: int, inode: str) -> bool:
    fds = os.listdir(f"/proc/{pid}/fd")
    return f"socket:[{inode}]" in {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in fds}


def test_nginx_serves_on_the_keeper_s_socket(host: Host) -> None:
    instance, port = offloaded(host)
    inode = inode_of(port)
    assert all(
        holds(pid, inode) for pid in (instance.process.pid, *session(pid_of(instance, "offload")))
    )
    assert f"offload 127.0.0.1:{port}" in host.pillion("status").stdout


def test_a_load_of_the_same_addresses_keeps_the_socket(host: Host) -> None:
    instance, port = offloaded(host)
    pid, inode = pid_of(instance, "offload"), inode_of(port)
    for answer in ("two", "three"):
        place(instance, "offload", "nginx", configuration("nginx", port, answer))
        instance.call("signal", name="offload", signal="HUP")
        wait_for("it serves", lambda answer=answer: ask(port) == answer)  # type: ignore[misc]
    assert holds(pid, inode)
    assert b"[emerg]" not in instance.spooled("sidecar")


def test_whoever_comes_before_it_serves_waits(host: Host) -> None:
    instance = begin(host, OFFLOAD.format(listen="127.0.0.1:0"))
    port = offload_port(instance)
    client = request(port, "/")
    place(instance, "offload", "nginx", configuration("nginx", port, "one"))
    instance.call("start", name="offload")
    assert answer_of(client).endswith(b"one")


def test_another_address_is_another_configuration(host: Host) -> None:
    instance, port = offloaded(host)
    other = free_port()
    assert "result" in renew(instance, OFFLOAD.format(listen=f"127.0.0.1:{other}"))
    instance.wait_state("offload", "waiting")
    wait_for("the old address is nobody's", lambda: not listens(port))
    assert offload_port(instance) == other
    client = request(other, "/")
    place(instance, "offload", "nginx", configuration("nginx", other, "two"))
    instance.call("start", name="offload")
    assert answer_of(client).endswith(b"two")


def test_an_address_that_is_taken_changes_nothing(host: Host) -> None:
    instance, port = offloaded(host)
    pid = pid_of(instance, "offload")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        error = renew(instance, OFFLOAD.format(listen=address))["error"]
    assert error["status"] == 409
    assert "set offload.listen or stop it" in error["detail"]
    assert (pid_of(instance, "offload"), ask(port)) == (pid, "one")


def test_without_offload_nobody_listens(host: Host) -> None:
    instance, port = offloaded(host)
    assert "result" in renew(instance, "")
    wait_for("it is forgotten", lambda: not instance.component("offload"))
    wait_for("nobody listens", lambda: not listens(port))
    assert instance.call("status")["result"]["listeners"] == {}
