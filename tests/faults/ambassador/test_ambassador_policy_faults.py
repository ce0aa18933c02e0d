"""The agent under fire while its ambassador works: killed, stopped, its disk full, its socket stolen. No call notices."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING, Self

from ambassador_instance import Ambassador
from ambassador_policy import ORDERS, named, policy, register, who
from held import hold
from instance import wait_for
from plain_client import ask

if TYPE_CHECKING:
    from instance import Instance


class Traffic:
    """Calls one after the other in a thread, until told to stop; `wrong` is whatever was not answered 200."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.calls = 0
        self.wrong: list[object] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(20)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stop.is_set():
            answer = ask(self._port, "/")
            self.calls += 1
            if answer.status != 200:
                self.wrong.append((answer.status, answer.field("pillion-reason")))

    def goes_on(self, calls: int = 30) -> None:
        """Wait for so many more calls."""
        target = self.calls + calls
        wait_for("calls go on", lambda: self.calls >= target or self.wrong)
        assert self.wrong == []


def kill_agent(instance: Instance) -> None:
    pid = instance.component("agent")["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_for("another agent", lambda: instance.component("agent").get("pid") not in (None, pid))
    instance.wait_state("agent")


def test_an_agent_that_is_killed_again_and_again_costs_no_call() -> None:
    with named("one", "two") as (one, two), Ambassador(ORDERS) as ambassador:
        instance = ambassador.instance
        register(instance, "orders", "one", one.port)
        wait_for("it answers", lambda: who(ambassador, 1) == {"one"})
        with Traffic(ambassador.ports["orders"]) as traffic:
            for at in range(3):
                kill_agent(instance)
                traffic.goes_on()
                # What changes just then arrives by the next agent.
                register(instance, "orders", "two", two.port, weight=at + 1)
                wait_for("two answers as well", lambda: "two" in who(ambassador, 20))
        assert traffic.wrong == []
        assert "policy-refused" not in instance.kinds()


def test_an_agent_that_stands_still_holds_nobody_up() -> None:
    with named("one") as (one,), Ambassador(ORDERS) as ambassador:
        instance = ambassador.instance
        register(instance, "orders", "one", one.port)
        wait_for("it answers", lambda: who(ambassador, 1) == {"one"})
        agent = instance.component("agent")["pid"]
        with Traffic(ambassador.ports["orders"]) as traffic:
            hold(agent)
            try:
                traffic.goes_on(300)
            finally:
                os.kill(agent, signal.SIGCONT)
            traffic.goes_on()


def test_a_policy_file_that_cannot_be_written_holds_nobody_up() -> None:
    with named("one", "two") as (one, two), Ambassador(ORDERS) as ambassador:
        instance = ambassador.instance
        register(instance, "orders", "one", one.port)
        wait_for("it answers", lambda: who(ambassador, 1) == {"one"})
        wait_for("the file", lambda: policy(instance)["upstreams"][0].get("endpoints"))
        path = os.path.join(instance.runtime, "ambassador.json")
        os.unlink(path)
        os.mkdir(path)
        os.mkdir(os.path.join(path, "full"))
        register(instance, "orders", "two", two.port)
        wait_for("the change all the same", lambda: who(ambassador, 40) == {"one", "two"})
        # A worker that starts now has no file, and asks the agent.
        os.kill(worker := ambassador.pid, signal.SIGKILL)
        wait_for(
            "another worker",
            lambda: instance.component("ambassador").get("pid") not in (None, worker),
        )
        instance.wait_state("ambassador")
        assert who(ambassador, 40) == {"one", "two"}


def test_a_socket_that_somebody_takes_away_is_there_again_with_the_next_agent() -> None:
    with named("one", "two") as (one, two), Ambassador(ORDERS) as ambassador:
        instance = ambassador.instance
        register(instance, "orders", "one", one.port)
        wait_for("it answers", lambda: who(ambassador, 1) == {"one"})
        os.unlink(os.path.join(instance.runtime, "policy.sock"))
        assert who(ambassador, 20) == {"one"}
        kill_agent(instance)
        register(instance, "orders", "two", two.port)
        wait_for("the change", lambda: who(ambassador, 40) == {"one", "two"})
