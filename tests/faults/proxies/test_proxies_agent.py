"""The agent is killed, upgraded or kept from its store while changes come in: the proxy serves one of the known versions all the time, and the last one at the end."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Self

import pytest

from held import hold
from instance import wait_for
from proxies_edge import Edge
from proxies_running import NAME, ask, count, told

if TYPE_CHECKING:
    from instance import Host

# From before anything has begun to after everything is done: gathering, rendering, check, move, load, proof.
_MOMENTS_S = (0.0, 0.05, 0.1, 0.15, 0.2, 0.22, 0.24, 0.26, 0.28, 0.3, 0.35, 0.4)
_QUICK = 'wait = { min = "50ms", max = "100ms" }'


class Client:
    """Asks all the time, and keeps what it was answered."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._end = threading.Event()
        self.answers: dict[tuple[int, str], int] = {}
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._end.wait(0.005):
            answer = ask(self._port, bound_s=5)
            self.answers[answer] = self.answers.get(answer, 0) + 1

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(10)


def kill(edge: Edge, name: str) -> None:
    """SIGKILL a component, if it runs just now."""
    pid = edge.instance.component(name).get("pid")
    if pid:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)


def pause(seconds: float) -> None:
    """The moment at which something is killed: the subject of the test, not a wait for anything."""
    threading.Event().wait(seconds)


@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
def test_an_agent_killed_at_any_moment_while_changes_come_in(host: Host, kind: str) -> None:
    edge = Edge(host, kind, more=_QUICK)
    with Client(edge.port) as client:
        for number, moment in enumerate(_MOMENTS_S):
            edge.set("shop/greeting", f'"value {number}"')
            pause(moment)
            kill(edge, "agent")
            edge.instance.wait_state("agent")
        edge.serves(f"value {number}")
    assert {status for status, _ in client.answers} == {200}, client.answers
    bodies = {body for _, body in client.answers}
    assert bodies <= {"hello", *(f"value {one}" for one in range(number + 1))}
    wait_for("it is at rest", lambda: edge.proxy()["items"][0]["state"] == "serving")
    [one] = edge.proxy()["items"]
    state = os.path.dirname(one["directory"])
    assert not os.path.exists(os.path.join(state, "intent.json"))
    assert not os.path.exists(os.path.join(state, "conf.candidate"))


def test_an_agent_killed_between_load_and_proof_is_followed_by_one_that_knows(host: Host) -> None:
    """What the next agent finds is in the journal, and nothing is left half done."""
    edge = Edge(host, more=_QUICK)
    state = os.path.join(host.state, "app", "proxies", NAME)
    stop = threading.Event()
    seen = 0

    def kill_in_the_middle() -> None:
        nonlocal seen
        while not stop.is_set():
            if os.path.exists(os.path.join(state, "intent.json")):
                kill(edge, "agent")
                seen += 1
                return
            time.sleep(0.0005)

    for number in range(5):
        stop.clear()
        killer = threading.Thread(target=kill_in_the_middle)
        killer.start()
        edge.set("shop/greeting", f'"value {number}"')
        killer.join(10)
        stop.set()
        edge.instance.wait_state("agent")
        edge.serves(f"value {number}")
        wait_for("nothing is left", lambda: not os.path.exists(os.path.join(state, "intent.json")))
    assert seen == 5


@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
def test_an_upgrade_while_changes_come_in(host: Host, kind: str) -> None:
    edge = Edge(host, kind, more=_QUICK)
    pid = edge.instance.component(NAME)["pid"]
    done = threading.Event()
    last = 0

    def change() -> None:
        nonlocal last
        while not done.is_set():
            last += 1
            host.pillion("config", "set", "shop/greeting", f'"value {last}"', check=False)

    with Client(edge.port) as client:
        changing = threading.Thread(target=change)
        changing.start()
        try:
            for _ in range(2):
                host.pillion("upgrade", timeout=60)
        finally:
            done.set()
            changing.join(30)
        edge.set("shop/greeting", '"the last"')
        edge.serves("the last")
    assert {status for status, _ in client.answers} == {200}, client.answers
    assert edge.instance.component(NAME)["pid"] == pid
    assert count(edge.instance, "proxy-refused", "proxy-returned") == 0, told(edge.instance)


@pytest.mark.parametrize("moment", [0.0, 0.05, 0.1, 0.15, 0.2, 0.3])
def test_a_proxy_killed_in_the_middle_of_a_reload(host: Host, moment: float) -> None:
    edge = Edge(host, more=_QUICK)
    edge.set("shop/greeting", '"after"')
    pause(moment)
    kill(edge, NAME)
    edge.serves("after")
    wait_for("it is at rest", lambda: edge.proxy()["items"][0]["state"] == "serving")


def test_a_proxy_is_started_again_while_there_is_no_agent(host: Host) -> None:
    edge = Edge(host)
    agent = edge.instance.component("agent")["pid"]
    hold(agent)
    try:
        before = edge.instance.component(NAME)["pid"]
        kill(edge, NAME)
        wait_for(
            "there is a new one", lambda: edge.instance.component(NAME)["pid"] not in (before, None)
        )
        edge.serves("hello")
    finally:
        os.kill(agent, signal.SIGCONT)


def test_with_the_store_away_the_last_known_values_are_used_and_said_to_be_old(host: Host) -> None:
    edge = Edge(host)
    edge.set("shop/greeting", '"known"')
    edge.serves("known")
    edge.instance.end()
    broken = 0
    for directory, _, names in os.walk(host.state):
        for name in names:
            if name.endswith(".db"):
                with open(os.path.join(directory, name), "r+b") as file:
                    file.write(b"this is no database" * 100)
                broken += 1
    assert broken
    with open(os.path.join(host.root, edge.template), "w") as file:
        file.write(edge.text.replace("204", "205"))
    again = host.run("sleep", "60", settings=None, words=("--settings", "app.toml"))
    again.wait_state("app")
    edge.instance = again
    edge.serves("known")
    wait_for("the new template", lambda: ask(edge.port, "/limit")[0] == 205)
    edge.serves("known")
    assert edge.proxy()["items"][0]["stale_s"] is not None
