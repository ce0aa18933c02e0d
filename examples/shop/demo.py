"""A small shop of three services in three languages, each with its sidecar, and none with a library of it.

`make demo` starts them, lets customers in, shows status, services, health, logs and requests until Ctrl-C (or for DEMO_SECONDS), changes a price
in the configuration, kills an agent on the way, upgrades a sidecar, kills the orders service and shows how the shop closes and opens again, moves
customers to a second version of it, and at the end proves that every request was answered, and that the line about it is in the logs and has reached the receiver.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from collector import Collector
from sidecars import DemoFailed, Service, shown
from traffic import Traffic

_ROUND_S = 5.0


def main() -> int:
    """Run the demo. 0 when everything that it promises was seen, 1 with the reason otherwise."""
    seconds = float(os.environ.get("DEMO_SECONDS") or 0)
    # Not in /tmp, which may be memory: the spool belongs on a disk.
    base = Path(tempfile.mkdtemp(prefix="pillion-demo-", dir="/var/tmp"))
    end = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: end.set())
    collector = Collector()
    services, next_version = _services(base, collector.url)
    traffic = Traffic(f"http://127.0.0.1:{services[-1].port}")
    failure = ""
    collector.start()
    try:
        _open(services)
        traffic.start()
        _play(services, next_version, traffic, collector, end, seconds)
        traffic.stop()
        _prove_kept(services[-1], traffic)
    except DemoFailed as failed:
        failure = str(failed)
    finally:
        traffic.stop()
        failure = "\n".join(filter(None, [failure, _close([services[0], next_version, *services[1:]])]))
        # The sidecars are the last to go, with a final flush: only now everything has been shipped.
        failure = failure or _prove_shipped(traffic, collector)
        collector.stop()
    if failure:
        print(f"\ndemo failed: {failure}\nwhat the services left is in {base}", file=sys.stderr)
        return 1
    shutil.rmtree(base)
    print("\ndone: everything stopped in order, nothing left behind")
    return 0


def _services(base: Path, receiver: str) -> tuple[list[Service], Service]:
    """In the order of their dependence: whom others call comes first. And another version of the orders service, for later."""
    billing, orders, storefront, following = _free_ports(4)
    ship = {"telemetry.otlp": receiver, "telemetry.protocol": "http/json", "telemetry.batch.wait": "500ms"}
    to_billing = {"app.env.BILLING_URL": f"http://127.0.0.1:{billing}", **ship}
    services = [
        Service(
            "billing",
            billing,
            base,
            {"app.ready.tcp": str(billing), "health.checks.port.tcp": f"127.0.0.1:{billing}", **ship},
        ),
        Service("orders", orders, base, to_billing),
        # Where orders are taken, its sidecar knows.
        Service("storefront", storefront, base, {"ambassador.upstreams.orders.urls": f"http://127.0.0.1:{orders}", **ship}),
    ]
    name = "orders-next"
    return services, Service(name, following, base, {"app.name": name, "app.env.SERVICE": name, **to_billing}, "orders")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _open(services: list[Service]) -> None:
    for service in services:
        _title(f"cd examples/shop/{service.folder}; pillion run --settings pillion.toml")
        began = time.monotonic()
        service.start()
        service.wait_until_ready(30)
        print(f"{service.name} is ready on port {service.port}, {time.monotonic() - began:.1f} s after its start")


def _play(
    services: list[Service],
    next_version: Service,
    traffic: Traffic,
    collector: Collector,
    end: threading.Event,
    seconds: float,
) -> None:
    """Status and logs in rounds; after the first one a new price, then the kill, then the upgrade, an outage, and a new version."""
    began = time.monotonic()
    round_s = min(_ROUND_S, seconds / 5) if seconds else _ROUND_S
    acts = [
        _change_a_price,
        _kill_the_agent,
        _upgrade,
        _kill_the_orders,
        lambda services, traffic: _move_to(next_version, services, traffic),
    ]
    most = len(acts)
    while not end.wait(round_s):
        for service in services:
            service.expect_alive()
        # Between the acts a line will do.
        if len(acts) in (0, most):
            _show(services, traffic, collector)
        _count(traffic, collector)
        if acts:
            acts.pop(0)(services, traffic)
        elif seconds and time.monotonic() - began >= seconds:
            return


def _show(services: list[Service], traffic: Traffic, collector: Collector) -> None:
    for service in services:
        _title(shown("status", "--instance", service.name))
        _print(_done(service, "status"))
    for words in (("services",), ("health",)):
        _title(shown(*words, "--instance", services[-1].name))
        _print(_done(services[-1], *words))
    for service in services:
        _title(shown("logs", "--instance", service.name, "-n", "4"))
        _print(_done(service, "logs", "-n", "4"))
    # Where calls go out: by the upstream's port from the storefront, by http_proxy from billing.
    for service in (services[-1], services[0]):
        _title(shown("requests", "--instance", service.name, "-n", "2"))
        _print(_done(service, "requests", "-n", "2"))


def _count(traffic: Traffic, collector: Collector) -> None:
    answered, sold, failed = traffic.counts()
    print(f"\n{answered} requests answered, {sold} purchases among them, {failed} failed")
    shipped = ", ".join(f"{count} of {name}" for name, count in sorted(collector.counts().items()))
    print(f"log records at the receiver: {shipped or 'none yet'}", flush=True)


def _change_a_price(services: list[Service], traffic: Traffic) -> None:
    """The orders service reads its prices from the configuration: a new one holds from the next order on."""
    orders = next(service for service in services if service.name == "orders")
    for words in (("config", "set", "prices/kettle", "2990"), ("config", "history", "prices/kettle")):
        _title(shown(*words, "--instance", orders.name))
        _print(_done(orders, *words))
    line = "kettle for 29.90"
    _title(shown("logs", "--instance", orders.name, "--grep", line, "-n", "1"))
    deadline = time.monotonic() + 15
    while not (found := _done(orders, "logs", "--grep", line, "-n", "1")).stdout:
        if time.monotonic() > deadline:
            raise DemoFailed("no kettle was sold for 29.90 within 15 s of its new price")
        time.sleep(0.1)
    _print(found)
    _expect_no_failures(traffic)


def _kill_the_agent(services: list[Service], traffic: Traffic) -> None:
    service = services[-1]
    app, agent = service.component("app"), service.component("agent")
    _title(f"kill -KILL {agent['pid']}    # the agent of {service.name}, while customers buy")
    os.kill(int(str(agent["pid"])), signal.SIGKILL)
    began = time.monotonic()
    while (now := service.component("agent"))["pid"] in (agent["pid"], None) or now["state"] != "running":
        if time.monotonic() - began > 15:
            raise DemoFailed(f"the agent of {service.name} was not back within 15 s; its state is {now['state']}")
        time.sleep(0.05)
    print(f"a new agent (pid {now['pid']}) was seen after {time.monotonic() - began:.1f} s, starting `pillion status` included")
    _expect_untouched(service, app, traffic)


def _upgrade(services: list[Service], traffic: Traffic) -> None:
    service = services[-1]
    app, *sidecar = (service.component(name) for name in ("app", "agent", "shipper", "ambassador"))
    _title(shown("upgrade", "--instance", service.name))
    _print(_done(service, "upgrade"))
    for before in sidecar:
        now = service.component(str(before["name"]))
        if now["pid"] == before["pid"]:
            raise DemoFailed(f"after the upgrade the {before['name']} is still pid {before['pid']}")
        print(f"{before['name']}: pid {before['pid']} -> {now['pid']}")
    _expect_untouched(service, app, traffic)


def _kill_the_orders(services: list[Service], traffic: Traffic) -> None:
    """An outage: the circuit opens, the page says so, and when the service is back, so is the shop."""
    orders = next(service for service in services if service.name == "orders")
    storefront = services[-1]
    pid = int(str(orders.component("app")["pid"]))
    traffic.patient = True
    _title(f"kill -KILL {pid}    # the orders service itself")
    os.kill(pid, signal.SIGKILL)
    began = time.monotonic()
    ordering = _wait_for_page(storefront, lambda said: "circuit-open" in said, 10)
    took_s = time.monotonic() - began
    print(f"the page says after {took_s:.2f} s: ordering is {ordering}")
    if took_s > 1:
        raise DemoFailed(f"the page said only after {took_s:.1f} s that nothing can be ordered")
    _title(shown("breakers", "--instance", storefront.name))
    _print(_done(storefront, "breakers"))
    ordering = _wait_for_page(storefront, lambda said: said == "open", 20)
    print(f"ordering is {ordering} again after {time.monotonic() - began:.1f} s; {traffic.turned_away} customers were turned away meanwhile")
    sold = traffic.sold
    while traffic.sold < sold + 10:
        if time.monotonic() - began > 30:
            raise DemoFailed("nothing was sold after the orders service was back")
        time.sleep(0.05)
    traffic.patient = False
    _expect_no_failures(traffic)


def _move_to(service: Service, services: list[Service], traffic: Traffic) -> None:
    """A second version gets half of the orders, then all, by a change of configuration: nothing is reloaded, nobody notices."""
    storefront = services[-1]
    _open([service])
    for old, new in ((50, 50), (0, 100)):
        weights = [{"upstream": "orders", "weight": old}, {"upstream": service.name, "weight": new}]
        words = ("config", "set", "ambassador/routes/0/to", json.dumps(weights))
        _title(shown(*words, "--instance", storefront.name))
        _print(_done(storefront, *words))
        wanted = {"orders", service.name} if old else {service.name}
        found = _wait_for_upstreams(storefront, wanted)
        print(f"of the latest 20 orders {', '.join(f'{count} went to {name}' for name, count in sorted(found.items()))}")
    _expect_no_failures(traffic)
    print(f"every order goes to {service.name} now; no request failed")


def _wait_for_upstreams(storefront: Service, wanted: set[str]) -> dict[str, int]:
    """How many of the latest requests each upstream had, as soon as it is these that have them."""
    deadline = time.monotonic() + 15
    while True:
        done = _done(storefront, "requests", "-n", "20", "--json")
        found = Counter(json.loads(line)["upstream"] for line in done.stdout.splitlines())
        if found.keys() == wanted:
            return dict(found)
        if time.monotonic() > deadline:
            raise DemoFailed(f"15 s after the change of weights orders go to {', '.join(sorted(found))}")


def _wait_for_page(storefront: Service, wanted: Callable[[str], bool], within_s: float) -> str:
    """What the storefront's page says of ordering, as soon as it is what is wanted."""
    deadline = time.monotonic() + within_s
    while True:
        with urllib.request.urlopen(f"http://127.0.0.1:{storefront.port}/", timeout=5) as answer:
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
    _expect_no_failures(traffic)
    print(f"{service.name} itself did not notice: still pid {now['pid']}; no request failed")


def _expect_no_failures(traffic: Traffic) -> None:
    if traffic.failures:
        raise DemoFailed(f"{len(traffic.failures)} requests failed, the first: {traffic.failures[0]}")


def _prove_kept(service: Service, traffic: Traffic) -> None:
    """Every answered request has its access line in the logs, which survived the kill and the upgrade."""
    _expect_no_failures(traffic)
    _title(shown("logs", "--instance", service.name, "--grep", " HTTP/1.1\" ") + "    # every answer must be there")
    missing = traffic.answered
    deadline = time.monotonic() + 10
    # The last lines may still be on their way from the pipe to the spool.
    while missing and time.monotonic() < deadline:
        missing = traffic.answered - _ids(_done(service, "logs", "--grep", " HTTP/1.1\" ").stdout)
    count = len(traffic.answered)
    if missing:
        raise DemoFailed(f"{len(missing)} of {count} answers are not in the logs, such as id={min(missing)}")
    print(f"{count} requests answered, 0 failed, {count} found in the logs")


def _prove_shipped(traffic: Traffic, collector: Collector) -> str:
    """Every one of those lines has reached the receiver as well, and so has the last line of each service."""
    _title("at the receiver")
    missing = traffic.answered - collector.ids()
    if missing:
        return f"{len(missing)} of {len(traffic.answered)} answers have not reached the receiver, such as id={min(missing)}"
    for name, last in (
        ("storefront", "closed"),
        ("orders", "no more orders"),
        ("billing", "billing ends"),
    ):
        if not collector.seen(name, last):
            return f'the last line of {name}, "{last}", has not reached the receiver'
    print(f"all {len(traffic.answered)} have arrived, {collector.duplicates()} of them twice; so has the last line of each service")
    return ""


def _ids(output: str) -> set[str]:
    return set(re.findall(r"ms id=([0-9-]+)", output))


def _close(services: list[Service]) -> str:
    """Stop in the opposite order. Returns what went wrong, or nothing."""
    wrong = []
    if any(service.started for service in services):
        _title("kill -TERM each pillion run, the storefront first")
    for service in reversed(services):
        if not service.started:
            continue
        try:
            code = service.stop()
        except DemoFailed as failed:
            wrong.append(str(failed))
            continue
        print(f"{service.name} ended with code {code}")
        if code != 0:
            wrong.append(f"{service.name} ended with code {code} instead of 0")
    return "\n".join(wrong)


def _done(service: Service, verb: str, *words: str) -> subprocess.CompletedProcess[str]:
    done = service.pillion(verb, *words)
    if done.returncode != 0:
        said = done.stderr.strip() or done.stdout.strip()
        raise DemoFailed(f"pillion {verb} of {service.name} ended with {done.returncode}: {said}")
    return done


def _title(text: str) -> None:
    line = f"── {text} "
    print("\n" + line + "─" * max(0, 100 - len(line)), flush=True)


def _print(done: subprocess.CompletedProcess[str]) -> None:
    for line in done.stdout.splitlines():
        print(line if len(line) <= 160 else line[:159] + "…")
    if done.stderr.strip():
        print(done.stderr.strip())


if __name__ == "__main__":
    sys.exit(main())
