"""Holders, agents and keepers that are killed, and a store that is away: who has the lock then, and who knows it."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from held import hold
from instance import Host, Instance, wait_for
from lock_client import ask, socket_of
from own_time import OwnTime
from pillion.http.blocking import BlockingClient

CLIENT = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(__file__))), "lock_client.py")
WORKERS = 5
CONTENTION_S = 6.0


@pytest.fixture
def pair(host: Host) -> tuple[Instance, Instance]:
    """Two instances whose agents serve."""
    two = host.run("sleep", "1000", name="one"), host.run("sleep", "1000", name="two")
    for instance in two:
        instance.wait_state("agent")
        instance.wait_state("app")
    return two


def client_of(instance: Instance) -> BlockingClient:
    return BlockingClient.unix(socket_of(instance), 30.0)


def take(instance: Instance, name: str, **wanted: Any) -> dict[str, Any]:
    with client_of(instance) as client:
        status, lease = ask(client, "PUT", f"/v1/locks/{name}", wanted)
    assert status == 201, lease
    return lease


def kill_agent(instance: Instance) -> None:
    """SIGKILL the agent, and wait until another serves."""
    pid = instance.wait_state("agent")["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_for("another agent", lambda: instance.wait_state("agent")["pid"] != pid)


def told(path: str) -> list[dict[str, Any]]:
    """What the workers wrote; a line that a killed one left behind is left out."""
    found = []
    with open(path) as file:
        for line in file:
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
    return found


def test_contended_by_processes_that_are_killed(
    host: Host, pair: tuple[Instance, Instance]
) -> None:
    log = f"{host.root}/log"
    open(log, "w").close()
    chance = random.Random(7)

    def start(number: int) -> subprocess.Popen[bytes]:
        line = [sys.executable, CLIENT, socket_of(pair[number % 2]), "x", log, "1000000"]
        return subprocess.Popen(line, stdout=subprocess.PIPE)

    workers = [start(number) for number in range(WORKERS)]
    try:
        end_s = time.monotonic() + CONTENTION_S
        kills = 0
        while time.monotonic() < end_s:
            number = chance.randrange(WORKERS)
            assert workers[number].stdout is not None
            # It has begun; where it is by now is anybody's guess.
            assert workers[number].stdout.readline()  # type: ignore[union-attr]
            before = len(told(log))
            wait_for("somebody was in", lambda n=before: len(told(log)) > n)  # type: ignore[misc]
            workers[number].kill()
            workers[number].wait()
            workers[number].stdout.close()  # type: ignore[union-attr]
            workers[number] = start(number)
            kills += 1
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
            assert worker.stdout is not None
            worker.stdout.close()
    entries = told(log)
    assert kills > 3
    assert len(entries) > kills
    assert all(entry["alone"] for entry in entries)
    tokens = [entry["token"] for entry in entries]
    assert tokens == sorted(set(tokens))
    with client_of(pair[0]) as client:
        wait_for("nothing is left", lambda: ask(client, "GET", "/v1/locks")[1] == {"items": []})


def test_a_killed_keeper_releases_within_a_second(pair: tuple[Instance, Instance]) -> None:
    one, two = pair
    token = take(one, "x", ttl="1h")["token"]
    with client_of(two) as client, OwnTime() as took:
        one.process.kill()
        status, lease = ask(client, "PUT", "/v1/locks/x", {"wait": "20s"})
    assert (status, lease["token"] > token) == (201, True)
    assert took.seconds < 1.0


def test_a_killed_agent_does_not_release(pair: tuple[Instance, Instance]) -> None:
    one, two = pair
    lease = take(one, "x", ttl="20s")
    for _ in range(2):
        kill_agent(one)
        with client_of(two) as other:
            assert ask(other, "PUT", "/v1/locks/x", {})[0] == 409
        with client_of(one) as client:
            status, renewed = ask(client, "PUT", "/v1/locks/x", {"lease": lease["lease"]})
            assert (status, renewed.get("token")) == (200, lease["token"]), renewed
            assert renewed["expires_in_s"] > 15
    with client_of(one) as client:
        assert ask(client, "DELETE", f"/v1/locks/x?lease={lease['lease']}")[0] == 200
    assert "lock-lost" not in one.kinds()


def test_a_new_agent_watches_time_and_process_of_what_it_took_over(
    pair: tuple[Instance, Instance],
) -> None:
    one, two = pair
    lease = take(one, "by-time", ttl="2s")
    line = [sys.executable, "-c", _HOLDER, socket_of(one), os.path.dirname(CLIENT)]
    with subprocess.Popen(line, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert json.loads(holder.stdout.readline())[0] == 201
        kill_agent(one)
        with client_of(two) as client:
            status, passed = ask(client, "PUT", "/v1/locks/by-time", {"wait": "20s"})
            assert (status, passed["token"] > lease["token"]) == (201, True)
            assert ask(client, "PUT", "/v1/locks/by-process", {})[0] == 409
            holder.kill()
            assert ask(client, "PUT", "/v1/locks/by-process", {"wait": "20s"})[0] == 201


_HOLDER = """
import json, sys, time
sys.path.insert(0, sys.argv[2])
from lock_client import ask
from pillion.http.blocking import BlockingClient
client = BlockingClient.unix(sys.argv[1])
wanted = {"bind": "process", "ttl": "1h"}
print(json.dumps(ask(client, "PUT", "/v1/locks/by-process", wanted)), flush=True)
time.sleep(1000)
"""


def test_who_waits_at_a_killed_agent_leaves_the_queue(pair: tuple[Instance, Instance]) -> None:
    one, two = pair
    take(two, "x", ttl="1h")
    line = [sys.executable, CLIENT, socket_of(one), "x", f"{two.host.root}/log", "1"]
    with subprocess.Popen(line, stdout=subprocess.PIPE) as waiter, client_of(two) as client:
        wait_for("it waits", lambda: ask(client, "GET", "/v1/locks/x")[1]["waiting"] == 1)
        kill_agent(one)
        waiter.kill()
        wait_for("nobody waits", lambda: ask(client, "GET", "/v1/locks/x")[1]["waiting"] == 0)


def test_a_hung_agent_gives_up_what_ran_out_meanwhile(pair: tuple[Instance, Instance]) -> None:
    one, two = pair
    lease = take(one, "x", ttl="1s")
    pid = one.wait_state("agent")["pid"]
    hold(pid)
    try:
        # The instance lives and its agent says nothing: better late than twice.
        with client_of(two) as client:
            assert ask(client, "PUT", "/v1/locks/x", {"wait": "1500ms"})[0] == 409
    finally:
        os.kill(pid, signal.SIGCONT)
    with client_of(two) as client:
        assert ask(client, "PUT", "/v1/locks/x", {"wait": "20s"})[0] == 201
    with client_of(one) as client:
        assert ask(client, "PUT", "/v1/locks/x", {"lease": lease["lease"]})[0] == 409


def test_with_the_store_away_it_says_so_and_comes_back(pair: tuple[Instance, Instance]) -> None:
    one, _ = pair
    lease = take(one, "x", ttl="60s")
    store = f"{one.host.state}/.store"
    os.rename(store, f"{store}.away")
    with client_of(one) as client:
        status, refused = ask(client, "PUT", "/v1/locks/y", {"wait": "100ms"})
        assert (status, refused["status"]) == (503, 503)
        assert "store" in refused["detail"]
        # The time of a lease of this engine is kept by the agent: renewals go on without the file.
        status, renewed = ask(client, "PUT", "/v1/locks/x", {"lease": lease["lease"]})
        assert (status, renewed["token"]) == (200, lease["token"])
        assert ask(client, "GET", "/v1/locks")[0] == 503
        os.rename(f"{store}.away", store)
        wait_for(
            "the store is back",
            lambda: ask(client, "PUT", "/v1/locks/x", {"lease": lease["lease"]})[0] == 200,
        )
        renewed = ask(client, "PUT", "/v1/locks/x", {"lease": lease["lease"]})[1]
        assert renewed["token"] == lease["token"]
        assert ask(client, "PUT", "/v1/locks/y", {"wait": "5s"})[0] == 201
