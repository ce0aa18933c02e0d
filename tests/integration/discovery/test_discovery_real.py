"""Real instances find each other, and lose each other at once: the keeper's lock is the only truth there is."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from held import hold
from instance import PILLION, Host, wait_for
from own_time import OwnTime
from pillion.http.blocking import BlockingClient

if TYPE_CHECKING:
    from collections.abc import Iterator

    from instance import Instance

SLEEPER = ("sleep", "300")
# Bounds of the design; the second for a keeper that was killed is what the whole takes, with everything on a busy machine.
GONE_S = 1.0

# When it is told to stop it writes down whether it can still be found: in the file, through its own sidecar, and through others.
RECORDER = """
import http.client, json, os, signal, socket, sys, time
own = os.environ["PILLION_SOCKET"]
def found(path):
    connection = http.client.HTTPConnection("localhost", timeout=10)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(path)
    connection.request("GET", "/v1/services/orders")
    names = [one["id"] for one in json.loads(connection.getresponse().read())["instances"]]
    connection.close()
    return names
def look(*_):
    file = os.path.exists(os.path.dirname(own) + "/service.json")
    return [file, *(found(path) for path in [own, *sys.argv[2:]])]
def term(number, frame):
    with open(sys.argv[1], "w") as file:
        json.dump(look(), file)
    sys.exit(0)
signal.signal(signal.SIGTERM, term)
print("up", flush=True)
while True:
    time.sleep(60)
"""


def settings(name: str, port: int | None = None, more: str = "") -> str:
    listening = "" if port is None else f"port = {port}\n"
    return f'[app]\nname = "{name}"\n{listening}{more}'


def ask(
    instance: Instance, method: str, path: str, body: object = None
) -> tuple[int, Any, dict[str, str]]:
    """One request to the agent of `instance`: status, JSON, fields."""
    data = None if body is None else json.dumps(body).encode()
    fields = [] if body is None else [(b"content-type", b"application/json")]
    with (
        BlockingClient.unix(f"{instance.runtime}/api.sock", 20.0) as client,
        client.request(method, path, fields, data) as answer,
    ):
        text = answer.read()
        headers = {name.decode(): value.decode() for name, value in answer.headers}
        return answer.status, json.loads(text) if text else None, headers


def ids(instance: Instance, service: str, query: str = "") -> list[str]:
    """The ids that `instance` knows of `service`; empty while its agent does not answer."""
    try:
        _, answer, _ = ask(instance, "GET", f"/v1/services/{quote(service)}{query}")
    except OSError:
        return []
    return [one["id"] for one in answer["instances"]]


def wait_known(instance: Instance, wanted: list[str]) -> None:
    wait_for(
        f"{instance.name} knows all",
        lambda: sorted(ids(instance, "orders")) == wanted,
        120,
        lambda: f"it knows {sorted(ids(instance, 'orders'))}",
    )


def started(host: Host, name: str, text: str, *command: str, **options: Any) -> Instance:
    instance = host.run(*(command or SLEEPER), name=name, settings=text, **options)
    instance.wait_state("agent")
    instance.wait_state("app")
    return instance


class Watcher:
    """A client of the event stream, in a thread: every event with the time at which it came."""

    def __init__(self, instance: Instance, path: str, last: str | None = None) -> None:
        self.events: list[tuple[int, dict[str, str]]] = []
        self._client = BlockingClient.unix(f"{instance.runtime}/api.sock", None)
        fields = [(b"accept", b"text/event-stream")]
        if last is not None:
            fields.append((b"last-event-id", last.encode()))
        self._answer = self._client.request("GET", path, fields)
        assert self._answer.status == 200
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        rest = b""
        try:
            for piece in self._answer:
                *blocks, rest = (rest + piece).split(b"\n\n")
                now = time.time_ns()
                for block in blocks:
                    lines = [line for line in block.decode().split("\n") if ": " in line]
                    fields = dict(line.split(": ", 1) for line in lines if line[0] != ":")
                    if fields:
                        self.events.append((now, fields))
        except OSError:
            return  # the agent, or this test, has closed it

    def find(self, kind: str, key: str = "") -> tuple[int, dict[str, str]] | None:
        for at, event in self.events:
            if event.get("event") == kind and (not key or json.loads(event["data"])["id"] == key):
                return at, event
        return None

    def wait(self, kind: str, key: str = "", bound_s: float = 40.0) -> tuple[int, dict[str, str]]:
        found: tuple[int, dict[str, str]] | None = wait_for(
            f"{kind} {key}", lambda: self.find(kind, key), bound_s
        )
        assert found is not None
        return found

    def kinds(self) -> list[str]:
        return [event["event"] for _, event in self.events]

    def close(self) -> None:
        # The reader waits in recv: shutting down is what wakes it.
        sock = self._client._sock
        if sock is not None:
            sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._client.close()


@pytest.fixture
def watchers() -> Iterator[list[Watcher]]:
    made: list[Watcher] = []
    yield made
    for watcher in made:
        watcher.close()


def test_two_apps_find_each_other(host: Host) -> None:
    orders = started(host, "orders-1", settings("orders", 3000, "[service]\ntags = ['v1']\n"))
    shop = started(host, "shop", settings("shop", 4000))
    wait_for("shop finds orders", lambda: ids(shop, "orders") == ["orders-1"])
    wait_for("orders finds shop", lambda: ids(orders, "shop") == ["shop"])
    _, answer, _ = ask(shop, "GET", "/v1/services/orders")
    (found,) = answer["instances"]
    assert (found["address"], found["port"], found["tags"]) == ("127.0.0.1", 3000, ["v1"])
    assert (found["status"], found["instance"]) == ("passing", "orders-1")
    _, services, _ = ask(shop, "GET", "/v1/services")
    assert [(one["name"], one["passing"]) for one in services["items"]] == [
        ("orders", 1),
        ("shop", 1),
    ]
    assert ids(shop, "orders", "?tag=v2") == []
    assert ask(shop, "GET", "/v1/services/nobody")[:2][0] == 200
    assert ids(shop, "nobody") == []
    assert host.pillion("resolve", "orders", "--instance", "shop").stdout == "127.0.0.1:3000\n"


def test_the_app_can_be_found_when_it_is_ready_and_not_before(
    host: Host, watchers: list[Watcher]
) -> None:
    shop = started(host, "shop", settings("shop"))
    watcher = Watcher(shop, "/v1/services/orders")
    watchers.append(watcher)
    watcher.wait("current")
    flag = f"{host.root}/flag"
    ready = f"ready = {{ exec = ['test', '-e', '{flag}'], interval = '50ms' }}\n"
    orders = host.run(*SLEEPER, name="orders-1", settings=settings("orders", 3000, ready))
    wait_for("the app runs", lambda: orders.component("app").get("state") == "running")
    assert ids(shop, "orders") == []
    with open(flag, "w"):
        pass
    watcher.wait("put", "orders-1")
    assert "ready" in orders.kinds("app")


def test_a_killed_keeper_takes_its_instance_along_within_a_second(
    host: Host, watchers: list[Watcher]
) -> None:
    shop = started(host, "shop", settings("shop"))
    orders = started(host, "orders-1", settings("orders", 3000))
    wait_for("found", lambda: ids(shop, "orders") == ["orders-1"])
    watcher = Watcher(shop, "/v1/services/orders")
    watchers.append(watcher)
    watcher.wait("current")
    killed_ns = time.time_ns()
    orders.process.kill()
    at_ns, _ = watcher.wait("delete", "orders-1")
    assert at_ns - killed_ns < GONE_S * 1e9
    assert ids(shop, "orders") == []


def test_a_killed_agent_takes_nothing_along(host: Host, watchers: list[Watcher]) -> None:
    shop = started(host, "shop", settings("shop"))
    orders = started(host, "orders-1", settings("orders", 3000))
    wait_for("found", lambda: ids(shop, "orders") == ["orders-1"])
    watcher = Watcher(shop, "/v1/services/orders")
    watchers.append(watcher)
    watcher.wait("current")
    file = f"{orders.runtime}/service.json"
    before = os.stat(file)
    agent = orders.component("agent")["pid"]
    os.kill(agent, signal.SIGKILL)
    wait_for("another agent", lambda: orders.component("agent").get("pid") not in (agent, None))
    orders.wait_state("agent")
    wait_for("it knows itself", lambda: ids(orders, "orders") == ["orders-1"])
    assert ids(shop, "orders") == ["orders-1"]
    assert watcher.kinds() == ["put", "current"]
    # Nor has the next one written anything.
    after = os.stat(file)
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_it_is_out_of_the_list_before_it_is_told_to_stop(host: Host) -> None:
    told = f"{host.root}/told"
    shop = started(host, "shop", settings("shop"))
    line = (sys.executable, "-c", RECORDER, told, f"{shop.runtime}/api.sock")
    orders = started(host, "orders-1", settings("orders", 3000), *line)
    wait_for("it listens to signals", lambda: orders.spooled("stdout") == b"up\n")
    wait_for("found", lambda: ids(orders, "orders") == ids(shop, "orders") == ["orders-1"])
    orders.signal(signal.SIGTERM)
    assert orders.wait() == 0
    with open(told) as file:
        assert json.load(file) == [False, [], []]
    kinds = orders.kinds()
    assert kinds.index("stopping") < kinds.index("deregistered") < kinds.index("exited")


def test_a_drain_lets_time_pass_for_those_who_have_the_address(host: Host) -> None:
    text = settings("orders", 3000, "[service]\ndrain = '400ms'\n")
    orders = started(host, "orders-1", text)
    wait_for("found", lambda: ids(orders, "orders") == ["orders-1"])
    orders.signal(signal.SIGTERM)
    wait_for("out of the list", lambda: "deregistered" in orders.kinds())
    assert ids(orders, "orders") == []
    assert orders.wait() == 143
    at = {
        one["kind"]: datetime.fromisoformat(one["time"])
        for one in orders.events()
        if one["component"] == "app"
    }
    assert (at["exited"] - at["deregistered"]).total_seconds() >= 0.3


def test_a_restart_drains_first_and_comes_back(host: Host, watchers: list[Watcher]) -> None:
    told = f"{host.root}/told"
    shop = started(host, "shop", settings("shop"))
    orders = started(
        host, "orders-1", settings("orders", 3000), sys.executable, "-c", RECORDER, told
    )
    wait_for("it listens to signals", lambda: orders.spooled("stdout") == b"up\n")
    wait_for("found", lambda: ids(shop, "orders") == ["orders-1"])
    watcher = Watcher(shop, "/v1/services/orders")
    watchers.append(watcher)
    watcher.wait("current")
    host.pillion("restart", "app", "--instance", "orders-1")
    watcher.wait("delete", "orders-1")
    wait_for("back", lambda: watcher.kinds() == ["put", "current", "delete", "put"])
    with open(told) as file:
        assert json.load(file) == [False, []]
    assert [one["kind"] for one in orders.events() if "registered" in one["kind"]] == [
        "registered",
        "deregistered",
        "registered",
    ]


def test_a_hung_agent_holds_the_stop_for_a_second_at_most(host: Host) -> None:
    orders = started(host, "orders-1", settings("orders", 3000))
    shop = started(host, "shop", settings("shop"))
    wait_for("found", lambda: ids(shop, "orders") == ["orders-1"])
    agent = orders.component("agent")["pid"]
    hold(agent)
    try:
        with OwnTime() as took:
            orders.call("stop", name="app")
        assert took.seconds < 5.0
        assert not os.path.exists(f"{orders.runtime}/service.json")
    finally:
        os.kill(agent, signal.SIGCONT)


def test_an_app_that_ends_by_itself_is_gone(host: Host) -> None:
    flag = f"{host.root}/end"
    script = f"while [ ! -e {flag} ]; do sleep 0.05; done; rm {flag}; exit 1"
    restart = 'restart = { policy = "on-failure", initial = "60s", max = "60s" }\n'
    orders = started(host, "orders-1", settings("orders", 3000, restart), "sh", "-c", script)
    shop = started(host, "shop", settings("shop"))
    wait_for("found", lambda: ids(shop, "orders") == ["orders-1"])
    with open(flag, "w"):
        pass
    wait_for("gone", lambda: ids(shop, "orders") == [])
    assert orders.component("app")["state"] == "backoff"


@pytest.mark.timeout(240)
def test_twenty_instances_of_one_service(host: Host) -> None:
    instances = [
        host.run(*SLEEPER, name=f"orders-{n}", settings=settings("orders", 3000 + n))
        for n in range(20)
    ]
    every = sorted(f"orders-{n}" for n in range(20))
    for one in instances:
        wait_known(one, every)
    victims = instances[5:10]
    for victim in victims:
        victim.process.kill()
    gone = {victim.name for victim in victims}
    rest = sorted(set(every) - gone)
    for one in instances:
        if one.name not in gone:
            wait_known(one, rest)


def test_an_upgrade_of_the_agent_changes_nothing(host: Host, watchers: list[Watcher]) -> None:
    shop = started(host, "shop", settings("shop"))
    orders = started(host, "orders-1", settings("orders", 3000))
    wait_for("found", lambda: ids(shop, "orders") == ["orders-1"])
    watcher = Watcher(shop, "/v1/services/orders")
    watchers.append(watcher)
    watcher.wait("current")
    host.pillion("upgrade", "--instance", "orders-1")
    orders.wait_state("agent")
    assert ids(orders, "orders") == ["orders-1"]
    assert watcher.kinds() == ["put", "current"]


def test_a_reload_changes_what_is_announced(host: Host) -> None:
    shop = started(host, "shop", settings("shop"))
    orders = started(host, "orders-1", settings("orders", 3000))
    wait_for("found", lambda: ids(shop, "orders") == ["orders-1"])
    with open(f"{host.root}/orders-1.toml", "w") as file:
        file.write(settings("orders", 3000, "[service]\ntags = ['v2']\nweight = 7\n"))
    host.pillion("reload", "--instance", "orders-1")
    wait_for("with its tag", lambda: ids(shop, "orders", "?tag=v2") == ["orders-1"])
    _, answer, _ = ask(shop, "GET", "/v1/services/orders")
    assert answer["instances"][0]["weight"] == 7
    assert orders.component("app")["restarts"] == 0


def test_a_watcher_goes_on_where_it_was_cut_off(host: Host, watchers: list[Watcher]) -> None:
    shop = started(host, "shop", settings("shop"))
    path = "/v1/services/db/instances/"
    for key in ("a", "b"):
        assert ask(shop, "PUT", f"{path}{key}", {"address": "10.0.0.1", "port": 1})[0] == 201
    first = Watcher(shop, "/v1/services/db")
    watchers.append(first)
    _, current = first.wait("current")
    assert first.kinds() == ["put", "put", "current"]
    assert ask(shop, "DELETE", f"{path}a")[0] == 204
    _, deleted = first.wait("delete", "a")
    # Cut off before the last event: it comes again, and nothing else.
    second = Watcher(shop, "/v1/services/db", current["id"])
    watchers.append(second)
    assert second.wait("delete", "a")[1] == deleted
    assert ask(shop, "PUT", f"{path}c", {"address": "10.0.0.3"})[0] == 201
    second.wait("put", "c")
    assert second.kinds() == ["delete", "put"]
    # A place that this agent has never given out.
    agent = shop.component("agent")["pid"]
    os.kill(agent, signal.SIGKILL)
    wait_for("another agent", lambda: shop.component("agent").get("pid") not in (agent, None))
    shop.wait_state("agent")
    third = Watcher(shop, "/v1/services/db", deleted["id"])
    watchers.append(third)
    third.wait("current")
    wait_for("both", lambda: {"b", "c"} == set(ids(shop, "db")))
    assert third.kinds()[0] == "reset"


def test_a_long_poll(host: Host) -> None:
    shop = started(host, "shop", settings("shop"))
    _, answer, _ = ask(shop, "GET", "/v1/services/db")
    revision = answer["revision"]
    _, same, _ = ask(shop, "GET", f"/v1/services/db?wait=50ms&revision={revision}")
    assert same["instances"] == []
    for foreign in (0, 1, revision + 1000, 10**15):
        assert ask(shop, "GET", f"/v1/services/db?wait=5m&revision={foreign}")[0] == 200
    answers: list[Any] = []
    thread = threading.Thread(
        target=lambda: answers.append(
            ask(shop, "GET", f"/v1/services/db?wait=20s&revision={same['revision']}")[1]
        )
    )
    thread.start()
    put = {"address": "10.0.0.1", "port": 5432}
    assert ask(shop, "PUT", "/v1/services/db/instances/db-1", put)[0] == 201
    thread.join(20)
    (woken,) = answers
    assert [one["id"] for one in woken["instances"]] == ["db-1"]
    assert woken["revision"] > revision


def test_the_commands(host: Host) -> None:
    started(host, "shop", settings("shop", 4000))
    more = ["--address", "10.0.0.7", "--port", "5432", "--tag", "primary", "--zone", "eu-1"]
    done = host.pillion("services", "register", "db", "db-1", *more, "--meta", "a=b")
    assert done.stdout == "db: db-1 is at 10.0.0.7:5432\n"
    host.pillion("services", "register", "db", "db-2", "--address", "::1", "--status", "critical")
    assert host.pillion("resolve", "db").stdout == "10.0.0.7:5432\n"
    assert host.pillion("resolve", "db", "--all").stdout == "10.0.0.7:5432\n::1\n".replace(
        "::1", "[::1]"
    )
    assert host.pillion("resolve", "db", "--tag", "other", check=False).returncode == 1
    listed = host.pillion("services").stdout.splitlines()
    assert listed[1].split() == ["db", "1", "0", "1", "-"]
    assert listed[2].split() == ["shop", "1", "0", "0", "-"]
    table = host.pillion("services", "list", "db").stdout
    assert "10.0.0.7:5432" in table
    assert "by hand" in table
    found = json.loads(host.pillion("services", "list", "db", "--json").stdout)
    assert found["instances"][0]["meta"] == {"a": "b"}
    refused = host.pillion("services", "deregister", "shop", "shop", check=False)
    assert refused.returncode == 1
    assert "its sidecar announces it" in refused.stderr
    host.pillion("services", "deregister", "db", "db-1")
    assert host.pillion("services", "deregister", "db", "db-1", check=False).returncode == 1
    assert host.pillion("services", "register", "db", check=False).returncode == 2


def test_resolve_waits_and_watches(host: Host) -> None:
    shop = started(host, "shop", settings("shop"))
    environment = host.env()
    watch = subprocess.Popen(
        [PILLION, "resolve", "db", "--watch"], env=environment, stdout=subprocess.PIPE, text=True
    )
    wait = subprocess.Popen(
        [PILLION, "resolve", "db", "--wait", "20s"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert watch.stdout is not None
    try:
        assert watch.stdout.readline() == "\n"
        for port, shown in ((1, "10.0.0.1:1\n"), (2, "10.0.0.1:2\n")):
            put = {"address": "10.0.0.1", "port": port}
            ask(shop, "PUT", "/v1/services/db/instances/db-1", put)
            assert watch.stdout.readline() == shown
        out, _ = wait.communicate(timeout=20)
        assert out.startswith("10.0.0.1:")
        # It ends with the instance.
        shop.signal(signal.SIGTERM)
        assert watch.wait(20) == 0
    finally:
        for process in (watch, wait):
            process.kill()
            process.wait(10)
        watch.stdout.close()
        assert wait.stdout is not None
        wait.stdout.close()


REGISTER = "/v1/services/db/instances/"


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PUT", f"{REGISTER}a", {}, 422),
        ("PUT", f"{REGISTER}a", [], 422),
        ("PUT", f"{REGISTER}a", {"address": "a b"}, 422),
        ("PUT", f"{REGISTER}a", {"address": "1.2.3"}, 422),
        ("PUT", f"{REGISTER}a", {"address": "10.0.0.1", "port": 65536}, 422),
        ("PUT", f"{REGISTER}a", {"address": "10.0.0.1", "ttl": "1x"}, 422),
        ("PUT", f"{REGISTER}a", {"address": "10.0.0.1", "ttl": "1ms"}, 422),
        ("PUT", f"{REGISTER}a", {"address": "10.0.0.1", "tags": ["a\n"]}, 422),
        ("PUT", f"{REGISTER}a", {"address": "10.0.0.1", "run": "r"}, 422),
        ("PUT", f"{REGISTER}a%0a", {"address": "10.0.0.1"}, 422),
        ("PUT", f"{REGISTER}%2e%2e%2fa", {"address": "10.0.0.1"}, 422),
        ("DELETE", f"{REGISTER}nobody", None, 404),
        ("DELETE", "/v1/services/shop/instances/shop", None, 409),
        ("GET", "/v1/services/a%2fb", None, 400),
        ("GET", "/v1/services/db?status=well", None, 400),
        ("GET", "/v1/services/db?revision=-1", None, 400),
        ("GET", "/v1/services/db?wait=6m", None, 400),
        ("GET", "/v1/services/db?wait=1x", None, 400),
        ("GET", f"/v1/services/db?wait=5m&revision={'9' * 5000}", None, 200),
    ],
)
def test_what_is_refused(shop: Instance, method: str, path: str, body: object, status: int) -> None:
    found, problem, _ = ask(shop, method, path, body)
    assert found == status
    assert status == 200 or problem["detail"].startswith("cannot ")


@pytest.fixture(scope="module")
def shop() -> Iterator[Instance]:
    """One instance for all that changes nothing."""
    with Host() as host:
        yield started(host, "shop", settings("shop"))


def test_a_store_that_is_away_marks_the_answers(host: Host) -> None:
    one = started(host, "shop", settings("shop"))
    put = {"address": "10.0.0.1", "port": 5432}
    assert ask(one, "PUT", f"{REGISTER}db-1", put)[0] == 201
    assert "pillion-stale" not in ask(one, "GET", "/v1/services/db")[2]
    for name in os.listdir(f"{host.state}/.store"):
        os.unlink(f"{host.state}/.store/{name}")
    status, problem, fields = ask(one, "PUT", f"{REGISTER}db-2", put)
    assert (status, problem["status"]) == (503, 503)
    assert "retry-after" in fields
    # What was known is still told, and marked; what needs no store goes on.
    assert ids(one, "db") == ["db-1"]
    assert ids(one, "shop") == ["shop"]
    assert int(ask(one, "GET", "/v1/services/db")[2]["pillion-stale"]) >= 0


def test_an_app_is_found_while_it_is_healthy_and_only_then(host: Host) -> None:
    flag = f"{host.root}/flag"
    check = f"exec = ['test', '-e', '{flag}']\ninterval = '100ms'\nfall = 2\nrise = 1\n"
    one = started(host, "shop", settings("shop", 4000, f"[health.checks.flag]\n{check}"))
    assert ids(one, "shop") == []
    for _ in range(2):
        with open(flag, "w"):
            pass
        wait_for("healthy and found", lambda: ids(one, "shop") == ["shop"])
        os.unlink(flag)
        wait_for("critical and gone", lambda: ids(one, "shop") == [])
    assert one.component("app")["restarts"] == 0
