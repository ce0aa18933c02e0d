"""Heartbeats over HTTP, and what the agent measures: real apps that do nothing, hold too much, or say that they are broken."""

from __future__ import annotations

import http.client
import json
import sys
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from instance import wait_for

if TYPE_CHECKING:
    from instance import Host, Instance

RESTART = '[app]\nrestart = { policy = "on-failure", initial = "10ms" }\nstop_timeout = "1s"\n'


def post(instance: Instance, body: Any = None, token: str = "token") -> tuple[int, Any]:
    """POST /v1/watchdog as the app would."""
    with open(f"{instance.runtime}/instance.json") as file:
        url = urlsplit(json.load(file)["url"])
    with open(f"{instance.runtime}/{token}") as file:
        headers = {"Authorization": f"Bearer {file.read()}"}
    data = None
    if body is not None:
        data, headers["Content-Type"] = json.dumps(body), "application/json"
    connection = http.client.HTTPConnection(str(url.hostname), url.port, timeout=10)
    try:
        connection.request("POST", "/v1/watchdog", data, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"null")
    finally:
        connection.close()


def reason_of_hang(instance: Instance) -> str:
    wait_for("it hangs", lambda: "hung" in instance.kinds("app"), 40)
    return str(next(e["reason"] for e in instance.events() if e["kind"] == "hung"))


def test_heartbeats_over_http_count_like_others(host: Host) -> None:
    instance = host.run("sleep", "600", settings=f'{RESTART}watchdog = {{ timeout = "2s" }}\n')
    instance.wait_state("agent")
    pid = instance.wait_state("app")["pid"]
    assert post(instance, {"status": "serving \x1b[2J"}) == (200, {"timeout_s": 2.0, "beats": 1})
    end_s, beats = time.monotonic() + 4, 1

    def fed() -> bool:
        nonlocal beats
        status, facts = post(instance)
        assert status == 200
        assert facts["beats"] > beats
        beats = facts["beats"]
        return time.monotonic() > end_s

    wait_for("twice the timeout has passed", fed)
    assert instance.component("app")["pid"] == pid
    assert instance.call("status")["result"]["app"]["status_text"] == "serving \ufffd[2J"
    assert reason_of_hang(instance) == "no heartbeat for 2 s"
    wait_for("it is restarted", lambda: instance.component("app").get("restarts"))


def test_an_app_without_a_watchdog_may_say_that_it_is_broken(host: Host) -> None:
    instance = host.run("sleep", "600", settings=RESTART)
    instance.wait_state("agent")
    instance.wait_state("app")
    assert post(instance) == (200, {"timeout_s": None, "beats": 1})
    assert post(instance, {"trigger": True})[0] == 200
    assert reason_of_hang(instance) == "it asked for it: POST /v1/watchdog with trigger"
    wait_for("it is restarted", lambda: instance.component("app").get("restarts"))


@pytest.mark.parametrize("body", [{"trigger": "yes"}, {"statuss": "x"}, [], "x"])
def test_a_body_of_another_shape_is_refused(host: Host, body: object) -> None:
    instance = host.run("sleep", "600")
    instance.wait_state("agent")
    instance.wait_state("app")
    assert post(instance, body)[0] == 422
    assert "hung" not in instance.kinds()


def test_descriptors_near_their_limit_are_a_hang(host: Host) -> None:
    script = "import os,time; fds = [os.dup(0) for _ in range(58)]; print(len(fds), flush=True); time.sleep(600)"
    settings = f'{RESTART}limits = {{ open_files = 64 }}\nwatchdog = {{ descriptors = "90%", sustained = "1s" }}\n'
    instance = host.run(sys.executable, "-c", script, settings=settings)
    assert reason_of_hang(instance).startswith("descriptors: ")
    wait_for("it is restarted", lambda: instance.component("app").get("restarts"))


def test_memory_near_its_limit_is_a_hang_before_the_limit_ends_it(host: Host) -> None:
    script = "import time; held = b'x' * (60 << 20); print(len(held), flush=True); time.sleep(600)"
    settings = f'{RESTART}limits = {{ memory = "96M" }}\nwatchdog = {{ memory = "60%", sustained = "1s" }}\n'
    instance = host.run(sys.executable, "-c", script, settings=settings)
    assert reason_of_hang(instance).startswith("memory: ")
    assert "out-of-memory" not in instance.kinds()


def test_an_app_that_does_nothing_has_no_progress(host: Host) -> None:
    instance = host.run("sleep", "600", settings=f'{RESTART}watchdog = {{ progress = "2s" }}\n')
    assert reason_of_hang(instance) == "no progress: no CPU time and no output for 2 s"
    wait_for("it is restarted", lambda: instance.component("app").get("restarts"))


def test_an_app_that_works_or_speaks_has_progress(host: Host) -> None:
    script = "i=0; while [ $i -lt 12 ]; do echo $i; sleep 0.5; i=$((i+1)); done"
    settings = f'{RESTART}watchdog = {{ progress = "2s", memory = "90%", descriptors = "90%" }}\n'
    instance = host.run("sh", "-c", script, settings=settings)
    assert instance.wait() == 0
    assert "hung" not in instance.kinds()
