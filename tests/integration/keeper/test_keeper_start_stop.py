"""The order of start and stop, restarts, limits, and the changes of a running instance."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING

import pytest

from instance import alive, wait_for
from otlp_receiver import Receiver

if TYPE_CHECKING:
    from pathlib import Path

    from instance import Host


def test_the_app_is_not_started_before_the_sidecar_is_ready(host: Host) -> None:
    instance = host.run("sh", "-c", "echo up")
    assert instance.wait() == 0
    events = [(e["kind"], e["component"]) for e in instance.events()]
    assert events.index(("ready", "agent")) < events.index(("started", "app"))


def test_an_app_that_waits_too_long_is_started_anyway_and_loudly(host: Host) -> None:
    # An agent of 2 MiB is killed by its limit before it can be ready.
    instance = host.run(
        "sh", "-c", "echo up; exit 3", overrides=["agent.wait=300ms", "agent.limits.memory=2M"]
    )
    out, err = instance.output()
    assert instance.wait() == 3
    assert out == b"up\n"
    assert b"starting the app without its sidecar: agent not ready within 0.3 s" in err
    wait_for("it is told", lambda: "not-ready" in instance.kinds("agent"))


def test_an_app_that_requires_its_sidecar_is_not_started_without(host: Host) -> None:
    instance = host.run(
        "sh",
        "-c",
        "echo up",
        overrides=["agent.wait=300ms", "agent.limits.memory=2M", "agent.required=true"],
    )
    out, err = instance.output()
    assert instance.wait() == 1
    assert out == b""
    assert b"cannot start the app: agent not ready within 0.3 s, and agent.required is true" in err


def test_on_stop_the_last_line_of_the_app_reaches_the_receiver(host: Host, tmp_path: Path) -> None:
    with Receiver(str(tmp_path / "records")) as receiver:
        instance = host.run(
            "sh", "-c", "trap 'echo the very last; exit 5' TERM; echo first; while :; do sleep 0.05; done",
            overrides=[f'telemetry.otlp="{receiver.url}"'],
        )  # fmt: skip
        wait_for("the app is up", lambda: b"first" in instance.spooled("stdout"))
        instance.signal(signal.SIGTERM)
        assert instance.wait() == 5
        bodies = [r["body"] for r in receiver.records() if r["stream"] == "stdout"]
        assert bodies == ["first", "the very last"]
        events = [(e["kind"], e["component"]) for e in instance.events()]
        assert events.index(("exited", "app")) < events.index(("exited", "shipper"))


def test_a_failing_app_is_restarted_with_backoff_up_to_its_limit(host: Host) -> None:
    restart = 'app.restart={policy="on-failure", initial="20ms", max="50ms", limit=3}'
    instance = host.run("sh", "-c", "echo run; exit 7", overrides=[restart])
    out, err = instance.output()
    assert instance.wait() == 7
    assert out == b"run\n" * 4
    assert b"failed for good: gave up after 3 restarts" in err
    assert instance.kinds("app").count("restarting") == 3
    assert instance.kinds("app")[-2:].count("failed") == 1 or "failed" in instance.kinds("app")


def test_a_successful_end_is_no_failure(host: Host) -> None:
    instance = host.run("sh", "-c", "echo run", overrides=['app.restart="on-failure"'])
    out, _ = instance.output()
    assert (instance.wait(), out) == (0, b"run\n")


def test_a_restart_kills_what_the_run_before_left_behind(host: Host) -> None:
    script = f"sleep 600 & echo $! >>{host.root}/pids; echo run; sleep 0.1; exit 1"
    restart = 'app.restart={policy="always", initial="10ms", limit=2}'
    instance = host.run("sh", "-c", script, overrides=[restart])
    assert instance.wait() == 1
    with open(f"{host.root}/pids") as file:
        pids = [int(line) for line in file]
    assert len(pids) == 3
    assert not any(alive(p) for p in pids)


def test_components_are_stopped_started_and_restarted_on_request(host: Host) -> None:
    instance = host.run("sleep", "600")
    first = instance.wait_state("app")["pid"]
    assert instance.call("restart", name="app")["result"]["pid"] != first
    agent = instance.wait_state("agent")["pid"]
    assert instance.call("restart", name="agent")["result"]["pid"] != agent
    instance.wait_state("agent")
    assert instance.call("stop", name="app")["result"]["state"] == "stopped"
    assert instance.component("app")["pid"] is None
    instance.call("start", name="app")
    instance.wait_state("app")
    assert instance.call("signal", name="app", signal="USR1")["result"]["name"] == "app"
    instance.wait(20)
    assert instance.wait() == 128 + signal.SIGUSR1


@pytest.mark.parametrize(
    ("method", "params", "status"),
    [
        ("nonsense", {}, 404),
        ("restart", {"name": "nobody"}, 404),
        ("start", {"name": "app"}, 409),
        ("signal", {"name": "app", "signal": "NONE"}, 422),
        ("limits", {"name": "app", "limits": {"memory": -1}}, 422),
        ("limits", {"name": "app", "limits": {"colour": 1}}, 422),
        ("limits", {"name": "app", "limits": {"memory": 4096}}, 409),
        ("upgrade", {"components": ["app"]}, 422),
    ],
)
def test_calls_that_cannot_be_carried_out_are_refused(
    host: Host, method: str, params: dict[str, object], status: int
) -> None:
    instance = host.run("sleep", "600")
    instance.wait_state("app")
    error = instance.call(method, **params)["error"]
    assert error["status"] == status
    assert "cannot" in error["detail"]


def test_garbage_on_the_keepers_socket_does_no_harm(host: Host) -> None:
    instance = host.run("sleep", "600")
    instance.wait_state("app")
    for garbage in (
        b"\0",
        b"{",
        b"[]",
        b"null",
        b'{"op": 7}',
        b'{"op": "call"}',
        b"x" * 100_000,
        b"[" * 50_000,
    ):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
            sock.connect(f"{instance.runtime}/keeper.sock")
            sock.send(garbage)
    assert instance.component("app")["state"] == "running"


def test_sd_notify_is_heard_and_a_barrier_answered(host: Host) -> None:
    script = """
import os, socket, sys
sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sock.connect(os.environ["NOTIFY_SOCKET"])
for i in range(500):
    sock.send(b"STATUS=number %d" % i)
sock.send(b"READY=1\\nSTATUS=serving")
read, write = os.pipe()
socket.send_fds(sock, [b"BARRIER=1"], [write])
os.close(write)
assert os.read(read, 1) == b""
print("barrier passed", flush=True)
sys.stdin.read()
"""
    read, write = os.pipe()
    instance = host.run(
        sys.executable, "-c", script, overrides=["app.ready={notify=true}"], stdin=read
    )
    os.close(read)
    wait_for("the barrier is passed", lambda: b"barrier passed" in instance.spooled("stdout"))
    app = instance.call("status")["result"]["app"]
    assert (app["ready"], app["status_text"]) == (True, "serving")
    os.close(write)
    assert instance.wait() == 0


def test_a_stranger_cannot_notify(host: Host) -> None:
    instance = host.run("sleep", "600", overrides=["app.ready={notify=true}"])
    wait_for("the app runs", lambda: instance.component("app").get("state") == "running")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.connect(f"{instance.runtime}/notify.sock")
        sock.send(b"READY=1\nSTATUS=stolen")
    app = instance.call("status")["result"]["app"]
    assert (app["ready"], app["status_text"]) == (False, "")


def test_readiness_is_passed_on_to_an_outer_service_manager(host: Host) -> None:
    path = f"{host.root}/outer"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as outer:
        outer.bind(path)
        outer.settimeout(20)
        host.run("sh", "-c", 'echo "$NOTIFY_SOCKET"; sleep 600', env={"NOTIFY_SOCKET": path})
        assert outer.recv(1000) == b"READY=1"


def test_passed_sockets_reach_the_app(host: Host) -> None:
    """What systemd does for a socket unit: descriptor 3, LISTEN_FDS, and LISTEN_PID of the process itself."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        app = "import os,socket; s=socket.socket(fileno=3); print(s.getsockname()[1], os.environ['LISTEN_FDS'], int(os.environ['LISTEN_PID'])==os.getpid())"
        starter = 'import os,sys; os.dup2(int(sys.argv[1]),3); os.environ.update(LISTEN_FDS="1",LISTEN_PID=str(os.getpid())); os.execv(sys.argv[2],sys.argv[2:])'
        instance = host.run(
            sys.executable, "-c", app,
            prefix=[sys.executable, "-c", starter, str(listener.fileno())], pass_fds=[listener.fileno()],
        )  # fmt: skip
        out, err = instance.output()
        assert (out, err) == (b"%d 1 True\n" % port, b"")


def test_the_app_finds_its_sidecar_in_its_environment(host: Host) -> None:
    script = "import json,os; print(json.dumps({k: v for k, v in os.environ.items() if k.startswith(('PILLION', 'OTEL', 'NOTIFY'))}))"
    instance = host.run(sys.executable, "-c", script, env={"OTEL_RESOURCE_ATTRIBUTES": "a=b"})
    out, _ = instance.output()
    env = json.loads(out)
    assert env["PILLION_SOCKET"] == f"{instance.runtime}/api.sock"
    assert env["PILLION_URL"].startswith("http://127.0.0.1:")
    assert len(env["PILLION_TOKEN"]) >= 32
    assert env["NOTIFY_SOCKET"] == f"{instance.runtime}/notify.sock"
    assert env["OTEL_RESOURCE_ATTRIBUTES"].startswith("a=b,service.instance.id=")
    assert "PILLION_CHILD" not in env


def test_python_settings_of_the_app_do_not_reach_the_keeper(host: Host) -> None:
    instance = host.run(
        "sh",
        "-c",
        'echo "$PYTHONHOME $PYTHONPATH"',
        env={"PYTHONHOME": "/nowhere", "PYTHONPATH": "/nowhere"},
    )
    out, _ = instance.output()
    assert (instance.wait(), out) == (0, b"/nowhere /nowhere\n")


def test_every_role_bears_its_name(host: Host) -> None:
    instance = host.run("sleep", "600", overrides=[f'logs.file.path="{host.root}/shipped"'])
    instance.wait_state("app")
    names = {}
    for name in ("keeper", "scribe", "agent", "shipper"):
        with open(f"/proc/{instance.component(name)['pid']}/comm") as file:
            names[name] = file.read().strip()
    assert names == {n: f"pillion-{n}" for n in names}
