"""What happens while customers buy: a change of price, a killed agent, an upgrade, an outage, and a new version of orders."""

import json
import os
import signal
import time
import urllib.request
from collections import Counter
from collections.abc import Callable

from shop import Shop
from sidecars import DemoFailed, Service, shown
from stage import done, open_service, perform, show, title
from traffic import Traffic


def change_a_price(shop: Shop, traffic: Traffic) -> None:
    """The orders service reads its prices from the configuration: a new one holds from the next order on."""
    orders = shop.orders
    for words in (("config", "set", "prices/kettle", "2990"), ("config", "history", "prices/kettle")):
        perform(orders, *words)
    line = "kettle for 29.90"
    title(shown("logs", "--instance", orders.name, "--grep", line, "-n", "1"))
    deadline = time.monotonic() + 15
    while not (found := done(orders, "logs", "--grep", line, "-n", "1")).stdout:
        if time.monotonic() > deadline:
            raise DemoFailed("no kettle was sold for 29.90 within 15 s of its new price")
        time.sleep(0.1)
    show(found)
    expect_no_failures(traffic)


def kill_the_agent(shop: Shop, traffic: Traffic) -> None:
    service = shop.storefront
    app, agent = service.component("app"), service.component("agent")
    title(f"kill -KILL {agent['pid']}    # the agent of {service.name}, while customers buy")
    os.kill(int(str(agent["pid"])), signal.SIGKILL)
    began = time.monotonic()
    while (now := service.component("agent"))["pid"] in (agent["pid"], None) or now["state"] != "running":
        if time.monotonic() - began > 15:
            raise DemoFailed(f"the agent of {service.name} was not back within 15 s; its state is {now['state']}")
        time.sleep(0.05)
    print(f"a new agent (pid {now['pid']}) was seen after {time.monotonic() - began:.1f} s, starting `pillion status` included")
    _expect_untouched(service, app, traffic)


def upgrade(shop: Shop, traffic: Traffic) -> None:
    service = shop.storefront
    app, *sidecar = (service.component(name) for name in ("app", "agent", "shipper", "ambassador"))
    perform(service, "upgrade")
    for before in sidecar:
        now = service.component(str(before["name"]))
        if now["pid"] == before["pid"]:
            raise DemoFailed(f"after the upgrade the {before['name']} is still pid {before['pid']}")
        print(f"{before['name']}: pid {before['pid']} -> {now['pid']}")
    _expect_untouched(service, app, traffic)


def kill_the_orders(shop: Shop, traffic: Traffic) -> None:
    """An outage: the circuit opens, the page says so, and when the service is back, so is the shop."""
    orders = shop.orders
    storefront = shop.storefront
    pid = int(str(orders.component("app")["pid"]))
    traffic.patient = True
    title(f"kill -KILL {pid}    # the orders service itself")
    os.kill(pid, signal.SIGKILL)
    began = time.monotonic()
    ordering = _wait_for_page(shop, lambda said: "circuit-open" in said, 10)
    took_s = time.monotonic() - began
    print(f"the page says after {took_s:.2f} s: ordering is {ordering}")
    if took_s > 1:
        raise DemoFailed(f"the page said only after {took_s:.1f} s that nothing can be ordered")
    perform(storefront, "breakers")
    ordering = _wait_for_page(shop, lambda said: said == "open", 20)
    print(f"ordering is {ordering} again after {time.monotonic() - began:.1f} s; {traffic.turned_away} customers were turned away meanwhile")
    sold = traffic.sold
    while traffic.sold < sold + 10:
        if time.monotonic() - began > 30:
            raise DemoFailed("nothing was sold after the orders service was back")
        time.sleep(0.05)
    traffic.patient = False
    expect_no_failures(traffic)


def move_to_the_next_version(shop: Shop, traffic: Traffic) -> None:
    """A second version gets half of the orders, then all, by a change of configuration: nothing is reloaded, nobody notices."""
    storefront = shop.storefront
    service = shop.following
    open_service(service)
    # Others hear of it once it is ready and a check has found it healthy. Weight given to it before that is given to nobody: 503.
    _wait_until_found(storefront, service)
    for old, new in ((50, 50), (0, 100)):
        weights = [{"upstream": "orders", "weight": old}, {"upstream": service.name, "weight": new}]
        words = ("config", "set", "ambassador/routes/0/to", json.dumps(weights))
        perform(storefront, *words)
        wanted = {"orders", service.name} if old else {service.name}
        found = _wait_for_upstreams(storefront, wanted)
        print(f"of the latest 20 orders {', '.join(f'{count} went to {name}' for name, count in sorted(found.items()))}")
    expect_no_failures(traffic)
    print(f"every order goes to {service.name} now; no request failed")


def _wait_until_found(storefront: Service, service: Service) -> None:
    """Return when the storefront's sidecar has an instance of the service to send customers to."""
    title(shown("services", "list", service.name, "--instance", storefront.name))
    deadline = time.monotonic() + 30
    while True:
        found = storefront.pillion("services", "list", service.name, "--json")
        instances = json.loads(found.stdout)["instances"] if found.returncode == 0 else []
        if any(one["status"] == "passing" for one in instances):
            show(done(storefront, "services", "list", service.name))
            return
        if time.monotonic() > deadline:
            raise DemoFailed(f"{service.name} was not among the services within 30 s: {found.stderr.strip() or found.stdout.strip()}")
        time.sleep(0.05)


def _wait_for_upstreams(storefront: Service, wanted: set[str]) -> dict[str, int]:
    """How many of the latest requests each upstream had, as soon as it is these that have them."""
    deadline = time.monotonic() + 15
    while True:
        latest = done(storefront, "requests", "-n", "20", "--json").stdout
        found = Counter(json.loads(line)["upstream"] for line in latest.splitlines())
        if found.keys() == wanted:
            return dict(found)
        if time.monotonic() > deadline:
            raise DemoFailed(f"15 s after the change of weights orders go to {', '.join(sorted(found))}")


def _wait_for_page(shop: Shop, wanted: Callable[[str], bool], within_s: float) -> str:
    """What the storefront says of ordering, as soon as it is what is wanted."""
    deadline = time.monotonic() + within_s
    while True:
        with urllib.request.urlopen(f"{shop.front}/catalogue", timeout=5) as answer:
            said = str(json.load(answer)["ordering"])
        if wanted(said):
            return said
        if time.monotonic() > deadline:
            raise DemoFailed(f"the page did not say it within {within_s:g} s, but: ordering is {said}")
        time.sleep(0.02)


def _expect_untouched(service: Service, app: dict[str, object], traffic: Traffic) -> None:
    now = service.component("app")
    if (now["pid"], now["started"]) != (app["pid"], app["started"]):
        raise DemoFailed(f"{service.name} was pid {app['pid']} and is now {now['pid']}: it should not have noticed")
    expect_no_failures(traffic)
    print(f"{service.name} itself did not notice: still pid {now['pid']}; no request failed")


def expect_no_failures(traffic: Traffic) -> None:
    """Raise DemoFailed when a customer saw an error of ours."""
    if traffic.failures:
        raise DemoFailed(f"{len(traffic.failures)} requests failed, the first: {traffic.failures[0]}")
