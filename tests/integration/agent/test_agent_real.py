"""Agent, API and commands in a whole instance: the real keeper starts them, as a user would."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest

from instance import wait_for

if TYPE_CHECKING:
    from instance import Host, Instance

SLEEPER = ("sh", "-c", "echo up; while :; do sleep 1; done")

# What an app in any language does with what it finds in its environment.
ASKS = """
import json, os, sys, time, urllib.error, urllib.request
def ask(path, method="GET"):
    headers = {"Authorization": "Bearer " + os.environ["PILLION_TOKEN"]}
    request = urllib.request.Request(os.environ["PILLION_URL"] + path, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())
status, components = ask("/v1/components")
print(json.dumps([status, sorted(one["name"] for one in components["items"]), ask("/v1/shutdown", "POST")[0]]), flush=True)
time.sleep(60)
"""


class OverUnix(http.client.HTTPConnection):
    """A client that has never heard of Pillion, on its Unix socket."""

    def __init__(self, instance: Instance) -> None:
        super().__init__("localhost", timeout=20)
        self._path = f"{instance.runtime}/api.sock"

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(self._path)

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        headers = {} if body is None else {"Content-Type": "application/json"}
        self.request(method, path, None if body is None else json.dumps(body), headers)
        answer = self.getresponse()
        return answer.status, json.loads(answer.read())


def started(host: Host, *command: str, settings: str | None = None) -> Instance:
    instance = host.run(*(command or SLEEPER), settings=settings)
    wait_for("the instance is there", lambda: os.path.exists(f"{instance.runtime}/instance.json"))
    instance.wait_state("agent")
    instance.wait_state("app")
    return instance


def test_an_app_finds_and_uses_its_api(host: Host) -> None:
    instance = started(host, sys.executable, "-c", ASKS)
    text = wait_for("the app's line", lambda: instance.spooled("stdout"))
    status, names, shutdown = json.loads(text)
    assert status == 200
    assert {"agent", "app", "keeper", "scribe"} <= set(names)
    assert shutdown == 403


def test_commands_reach_a_real_instance(host: Host) -> None:
    started(host)
    status = json.loads(host.pillion("status", "--json").stdout)
    assert status["app"]["ready"] is True
    kinds = [
        json.loads(line)["kind"] for line in host.pillion("events", "--json").stdout.splitlines()
    ]
    assert kinds[0] == "started"
    assert "ready" in kinds
    before = next(one for one in status["components"] if one["name"] == "app")
    assert host.pillion("restart", "app").stdout.startswith("app: ")
    after = wait_for(
        "another pid", lambda: _app(host, lambda pid: pid not in (None, before["pid"]))
    )
    assert after["restarts"] == 1
    assert host.pillion("stop").stdout == "app: ended\n"
    assert "start one with" in host.pillion("components", check=False).stderr


def _app(host: Host, fits: Any) -> dict[str, Any]:
    items = json.loads(host.pillion("components", "--json").stdout)["items"]
    app: dict[str, Any] = next(one for one in items if one["name"] == "app")
    return app if fits(app["pid"]) else {}


def test_a_killed_agent_is_back_and_nobody_is_refused(host: Host) -> None:
    instance = started(host)
    before = instance.component("app")
    agent = instance.component("agent")
    os.kill(agent["pid"], signal.SIGKILL)
    # The connection waits in the backlog of the keeper's socket until the next agent accepts.
    connection = OverUnix(instance)
    status, overview = wait_for("an answer", lambda: _answer(connection, "/v1/components"))
    connection.close()
    assert status == 200
    by_name = {one["name"]: one for one in overview["items"]}
    assert by_name["agent"]["pid"] != agent["pid"]
    assert by_name["app"]["pid"] == before["pid"]
    assert by_name["app"]["restarts"] == 0


def _answer(connection: OverUnix, path: str) -> tuple[int, Any] | None:
    try:
        return connection.ask("GET", path)
    except (http.client.HTTPException, ConnectionError):
        connection.close()  # accepted by the one that was killed; nothing can change that
        return None


@pytest.mark.timeout(60)
def test_an_upgrade_asked_for_over_the_api_keeps_its_connection(host: Host) -> None:
    instance = started(host)
    agent = instance.component("agent")["pid"]
    connection = OverUnix(instance)
    assert connection.ask("GET", "/livez")[0] == 200
    status, answer = connection.ask("POST", "/v1/upgrade", {"components": ["agent"]})
    assert status == 200
    assert answer["upgraded"][0]["name"] == "agent"
    # The same connection, now in the hands of the successor.
    status, overview = connection.ask("GET", "/v1/components")
    connection.close()
    assert status == 200
    by_name = {one["name"]: one for one in overview["items"]}
    assert by_name["agent"]["pid"] not in (agent, None)
    assert by_name["agent"]["restarts"] == 0


def test_a_broken_new_version_changes_nothing(host: Host) -> None:
    instance = started(host)
    agent = instance.component("agent")["pid"]
    refused = host.pillion("upgrade", "--python", "/bin/false", check=False)
    assert refused.returncode == 1
    assert refused.stderr.startswith("pillion: cannot upgrade: ")
    assert "the old version carries on" in refused.stderr
    assert instance.component("agent")["pid"] == agent
    assert "upgrade-failed" in host.pillion("events").stdout


def test_readiness_that_the_agent_finds_out(host: Host) -> None:
    flag = f"{host.root}/flag"
    settings = f"[app]\nready = {{ exec = ['test', '-e', '{flag}'], interval = '50ms' }}\n"
    instance = host.run(*SLEEPER, settings=settings)
    wait_for("the app runs", lambda: instance.component("app").get("state") == "running")
    connection = OverUnix(instance)
    status, problem = connection.ask("GET", "/readyz")
    assert (status, problem["status"]) == (503, 503)
    with open(flag, "w"):
        pass
    instance.wait_state("app")
    wait_for("readyz", lambda: connection.ask("GET", "/readyz")[0] == 200)
    connection.close()


def test_limits_hold_and_say_by_which_means(host: Host) -> None:
    instance = started(host)
    text = host.pillion("limits", "app", "memory=64M", "open_files=512").stdout
    assert text.startswith("app: memory 64M, open_files 512 (by ")
    pid = instance.component("app")["pid"]
    with open(f"/proc/{pid}/limits") as limits:
        (line,) = (one for one in limits if one.startswith("Max open files"))
    assert line.split()[3:5] == ["512", "512"]
    assert host.pillion("limits", "app", "memory=none").stdout.startswith("app: open_files 512")
