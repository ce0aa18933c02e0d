"""Locks and elections over the API of two real instances that share a store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from instance import Host, Instance, wait_for
from lock_client import ask, socket_of
from pillion.http.blocking import BlockingClient

TESTS = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
TAKER = """
import json, sys, time
sys.path.insert(0, sys.argv[4])
from lock_client import ask
from pillion.http.blocking import BlockingClient
client = BlockingClient.unix(sys.argv[1])
print(json.dumps(ask(client, "PUT", sys.argv[2], json.loads(sys.argv[3]))), flush=True)
time.sleep(1000)
"""
# The app takes a lock as the app does: by its URL and token.
APP = f"""
import os, sys, time
sys.path.insert(0, {TESTS!r})
from lock_client import ask
from pillion.http.blocking import BlockingClient
port = int(os.environ["PILLION_URL"].rstrip("/").rpartition(":")[2])
token = ("Bearer " + os.environ["PILLION_TOKEN"]).encode()
client = BlockingClient.tcp("127.0.0.1", port)
print(ask(client, "PUT", "/v1/locks/app-lock", {{"ttl": "1h"}}, (b"authorization", token)), flush=True)
print(ask(client, "DELETE", "/v1/locks/app-lock?force=true", None, (b"authorization", token)), flush=True)
time.sleep(1000)
"""


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


class Waiting:
    """A request that waits, in a thread."""

    def __init__(self, instance: Instance, path: str, body: dict[str, Any]) -> None:
        self.status = 0
        self.answer: dict[str, Any] = {}
        self.ended_s = 0.0
        self._thread = threading.Thread(target=self._ask, args=(instance, path, body))
        self._thread.start()

    def _ask(self, instance: Instance, path: str, body: dict[str, Any]) -> None:
        with client_of(instance) as client:
            self.status, self.answer = ask(client, "PUT", path, body)
        self.ended_s = time.monotonic()

    def end(self) -> dict[str, Any]:
        self._thread.join(30)
        assert not self._thread.is_alive()
        return self.answer


def waiting_for(instance: Instance, name: str) -> int:
    with client_of(instance) as client:
        status, held = ask(client, "GET", f"/v1/locks/{name}")
    return int(held["waiting"]) if status == 200 else -1


def test_taken_renewed_refused_and_released(pair: tuple[Instance, Instance]) -> None:
    one, two = pair
    lease = take(one, "x", holder="the importer", ttl="20s")
    assert lease["holder"] == "the importer"
    assert 15 < lease["expires_in_s"] <= 20
    with client_of(one) as mine, client_of(two) as other:
        status, refused = ask(other, "PUT", "/v1/locks/x", {})
        assert status == 409
        assert refused["held_by"]["holder"] == "the importer"
        assert refused["held_by"]["instance"] == "one"
        assert ask(mine, "GET", "/v1/locks/x")[1]["token"] == lease["token"]
        status, renewed = ask(mine, "PUT", "/v1/locks/x", {"lease": lease["lease"], "ttl": "20s"})
        assert (status, renewed["token"]) == (200, lease["token"])
        assert ask(mine, "PUT", "/v1/locks/x", {"lease": lease["lease"], "ttl": "9s"})[0] == 422
        assert ask(mine, "PUT", "/v1/locks/x", {"lease": "another"})[0] == 409
        assert ask(mine, "PUT", "/v1/locks/y", {"lease": lease["lease"]})[0] == 404
        assert ask(mine, "DELETE", "/v1/locks/x?lease=another")[0] == 409
        assert ask(mine, "DELETE", "/v1/locks/x")[0] == 400
        assert ask(mine, "DELETE", f"/v1/locks/x?lease={lease['lease']}")[0] == 200
        assert ask(mine, "DELETE", f"/v1/locks/x?lease={lease['lease']}")[0] == 404
        assert ask(mine, "GET", "/v1/locks/x")[0] == 404
        assert ask(other, "GET", "/v1/locks")[1] == {"items": []}
        status, next_lease = ask(other, "PUT", "/v1/locks/x", {})
    assert status == 201
    assert next_lease["token"] > lease["token"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"ttl": "1ms"}, 422),
        ({"ttl": "2h"}, 422),
        ({"ttl": "soon"}, 422),
        ({"wait": "1h"}, 422),
        ({"holder": "x" * 300}, 422),
        ({"bind": "nothing"}, 422),
        ({"tll": "1s"}, 422),
        ([], 422),
    ],
)
def test_what_cannot_be_is_refused(
    pair: tuple[Instance, Instance], body: object, status: int
) -> None:
    with client_of(pair[0]) as client:
        assert ask(client, "PUT", "/v1/locks/x", body)[0] == status
        assert ask(client, "PUT", "/v1/locks/a%2Fb", {})[0] == 400
        assert ask(client, "GET", "/v1/locks")[1] == {"items": []}


def test_who_waits_has_it_in_the_order_of_asking(pair: tuple[Instance, Instance]) -> None:
    one, two = pair
    lease = take(one, "x")
    waiting = []
    for number in range(6):
        instance = pair[number % 2]
        waiting.append(Waiting(instance, "/v1/locks/x", {"wait": "20s", "holder": f"{number}"}))
        wait_for("it waits", lambda n=number: waiting_for(one, "x") == n + 1)  # type: ignore[misc]
    order = []
    with client_of(one) as first, client_of(two) as second:
        clients = [first, second]
        ask(first, "DELETE", f"/v1/locks/x?lease={lease['lease']}")
        for number, waiter in enumerate(waiting):
            got = waiter.end()
            order.append((waiter.status, got["holder"], got["token"]))
            ask(clients[number % 2], "DELETE", f"/v1/locks/x?lease={got['lease']}")
    assert [(status, holder) for status, holder, _ in order] == [(201, f"{n}") for n in range(6)]
    tokens = [token for _, _, token in order]
    assert tokens == sorted(set(tokens))


def test_a_wait_that_is_over_says_who_has_it(pair: tuple[Instance, Instance]) -> None:
    one, two = pair
    take(one, "x", holder="somebody")
    waiter = Waiting(two, "/v1/locks/x", {"wait": "300ms"})
    assert waiter.end()["held_by"]["holder"] == "somebody"
    assert waiter.status == 409
    wait_for("it waits no more", lambda: waiting_for(one, "x") == 0)


def test_a_client_that_leaves_waits_no_more(pair: tuple[Instance, Instance]) -> None:
    one, two = pair
    take(one, "x")
    command = [sys.executable, "-c", TAKER, socket_of(two), "/v1/locks/x", '{"wait": "60s"}', TESTS]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as leaver:
        wait_for("it waits", lambda: waiting_for(one, "x") == 1)
        leaver.kill()
    wait_for("it waits no more", lambda: waiting_for(one, "x") == 0)
    # Nor was it given what it no longer wants.
    with client_of(one) as client:
        assert ask(client, "GET", "/v1/locks/x")[1]["instance"] == "one"


def test_a_lease_that_is_not_renewed_passes_on(pair: tuple[Instance, Instance]) -> None:
    one, two = pair
    lease = take(one, "x", ttl="1s", holder="forgetful")
    assert Waiting(two, "/v1/locks/x", {"wait": "20s"}).end()["token"] > lease["token"]
    with client_of(one) as client:
        assert ask(client, "PUT", "/v1/locks/x", {"lease": lease["lease"]})[0] == 409
    (lost,) = wait_for("the journal", lambda: [e for e in one.events() if e["kind"] == "lock-lost"])
    assert "not renewed" in lost["reason"]
    assert lost["data"]["token"] == lease["token"]


def test_the_end_of_the_process_that_asked_releases(pair: tuple[Instance, Instance]) -> None:
    one, two = pair
    body = '{"bind": "process", "ttl": "1h"}'
    command = [sys.executable, "-c", TAKER, socket_of(one), "/v1/locks/x", body, TESTS]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        status, lease = json.loads(holder.stdout.readline())
        assert (status, lease["bind"]) == (201, "process")
        waiter = Waiting(two, "/v1/locks/x", {"wait": "20s"})
        wait_for("it waits", lambda: waiting_for(one, "x") == 1)
        holder.kill()
        killed_s = time.monotonic()
        holder.wait()
    assert waiter.end()["token"] > lease["token"]
    assert waiter.ended_s - killed_s < 5


def test_the_end_of_the_app_releases_what_the_app_took(host: Host) -> None:
    instance = host.run(sys.executable, "-u", "-c", APP, name="app")
    instance.wait_state("agent")
    lines = wait_for(
        "the app's words",
        lambda: (found := instance.spooled("stdout").decode().splitlines())[1:] and found,
    )
    assert lines[0].startswith("(201, ")
    assert "'bind': 'app'" in lines[0]
    assert lines[1].startswith("(403, ")
    with client_of(instance) as client:
        token = ask(client, "GET", "/v1/locks/app-lock")[1]["token"]
        host.pillion("restart", "app")
        wait_for(
            "the lock of the new app",
            lambda: ask(client, "GET", "/v1/locks/app-lock")[1].get("token", 0) > token,
        )


def test_the_operator_takes_it_from_its_holder(host: Host, pair: tuple[Instance, Instance]) -> None:
    one, _ = pair
    lease = take(one, "x")
    assert "x: released" in host.pillion("locks", "release", "x", "--instance", "two").stdout
    with client_of(one) as client:
        assert ask(client, "PUT", "/v1/locks/x", {"lease": lease["lease"]})[0] == 404
    assert host.pillion("locks", "release", "x", "--instance", "one", check=False).returncode == 1
    wait_for("the journal", lambda: "lock-lost" in one.kinds())


def test_an_upgrade_keeps_the_lock(host: Host, pair: tuple[Instance, Instance]) -> None:
    one, two = pair
    lease = take(one, "x", ttl="20s")
    host.pillion("upgrade", "--instance", "one", timeout=60)
    with client_of(one) as client, client_of(two) as other:
        status, renewed = ask(client, "PUT", "/v1/locks/x", {"lease": lease["lease"]})
        assert (status, renewed.get("token")) == (200, lease["token"]), renewed
        assert ask(other, "PUT", "/v1/locks/x", {})[0] == 409
        assert ask(client, "DELETE", f"/v1/locks/x?lease={lease['lease']}")[0] == 200
    assert "lock-lost" not in one.kinds()


def test_a_leader_is_seen_by_who_observes(pair: tuple[Instance, Instance]) -> None:
    one, two = pair
    path = "/v1/elections/master"
    told: list[dict[str, Any]] = []

    def observe() -> None:
        fields = [(b"accept", b"text/event-stream")]
        with client_of(two) as client, client.request("GET", path, fields) as answer:
            rest = b""
            for piece in answer:
                *blocks, rest = (rest + piece).split(b"\n\n")
                for block in blocks:
                    lines = block.split(b"\n")
                    told.extend(json.loads(x[6:]) for x in lines if x.startswith(b"data: "))
                if len(told) >= 4:
                    answer.close()
                    return

    observer = threading.Thread(target=observe)
    observer.start()
    wait_for("that nobody leads", lambda: told)
    with client_of(one) as first, client_of(two) as second:
        status, lease = ask(first, "PUT", path, {"value": {"address": "10.0.0.1"}})
        assert status == 201
        wait_for("the first leader", lambda: len(told) >= 2)
        campaign = Waiting(two, path, {"value": "second", "wait": "20s"})
        wait_for("it campaigns", lambda: ask(first, "GET", path)[1]["leader"]["waiting"] == 1)
        status, renewed = ask(first, "PUT", path, {"value": "other", "lease": lease["lease"]})
        assert (status, renewed["token"]) == (200, lease["token"])
        wait_for("the other value", lambda: len(told) >= 3)
        assert ask(second, "GET", path)[1]["leader"]["value"] == "other"
        assert len(ask(second, "GET", "/v1/elections")[1]["items"]) == 1
        assert ask(first, "DELETE", f"{path}?lease={lease['lease']}")[0] == 200
        won = campaign.end()
        status, seen = ask(second, "GET", f"{path}?wait=10s&token={lease['token']}")
        assert (seen["token"], seen["leader"]["value"]) == (won["token"], "second")
    observer.join(20)
    assert not observer.is_alive()
    assert [one["token"] for one in told[:3]] == [0, lease["token"], lease["token"]]
    assert told[3]["token"] in (0, won["token"])
    assert told[2]["leader"]["value"] == "other"


def test_a_poll_for_another_leader_ends_with_its_time(pair: tuple[Instance, Instance]) -> None:
    with client_of(pair[0]) as client:
        status, seen = ask(client, "GET", "/v1/elections/nobody?wait=100ms&token=0")
    assert (status, seen) == (200, {"name": "nobody", "token": 0, "leader": None})
