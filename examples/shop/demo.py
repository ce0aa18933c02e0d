"""A small shop of three services in three languages, each with its sidecar, and none with a library of it.

`make demo` starts them, lets customers in, shows status, services, health, proxies, logs and requests until Ctrl-C (or for DEMO_SECONDS), looks at the page that
nginx serves, changes a price in the configuration, kills an agent on the way, upgrades a sidecar, kills the orders service and shows how the shop closes and
opens again, moves customers to a second version of it, lets partners in by a HAProxy while a second instance of orders comes and goes, and at the end proves
that every request was answered, and that the line about it is in the logs and has reached the receiver.
"""

import os
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import acts
import fronts
from collector import Collector
from shop import Shop, make_shop
from sidecars import DemoFailed, Service, shown
from stage import done, open_service, perform, title
from traffic import Traffic

_ROUND_S = 5.0
_ACTS = (
    fronts.visit,
    acts.change_a_price,
    acts.kill_the_agent,
    acts.upgrade,
    acts.kill_the_orders,
    acts.move_to_the_next_version,
    fronts.balance,
)


def main() -> int:
    """Run the demo. 0 when everything that it promises was seen, 1 with the reason otherwise."""
    seconds = float(os.environ.get("DEMO_SECONDS") or 0)
    # Not in /tmp, which may be memory: the spool belongs on a disk.
    base = Path(tempfile.mkdtemp(prefix="pillion-demo-", dir="/var/tmp"))
    end = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: end.set())
    collector = Collector()
    shop = make_shop(base, collector.url)
    traffic = Traffic(shop.front)
    failure = ""
    collector.start()
    try:
        for service in shop.services:
            open_service(service)
        fronts.wait_until_open(shop)
        traffic.start()
        _play(shop, traffic, collector, end, seconds)
        traffic.stop()
        _prove_kept(shop.storefront, traffic)
    except DemoFailed as failed:
        failure = str(failed)
    finally:
        traffic.stop()
        failure = "\n".join(filter(None, [failure, _close([shop.billing, shop.following, shop.second, shop.orders, shop.storefront])]))
        # The sidecars are the last to go, with a final flush: only now everything has been shipped.
        failure = failure or _prove_shipped(traffic, collector)
        collector.stop()
    if failure:
        print(f"\ndemo failed: {failure}\nwhat the services left is in {base}", file=sys.stderr)
        return 1
    shutil.rmtree(base)
    print("\ndone: everything stopped in order, nothing left behind")
    return 0


def _play(shop: Shop, traffic: Traffic, collector: Collector, end: threading.Event, seconds: float) -> None:
    """Status and logs in rounds, and an act after each, until they are over."""
    began = time.monotonic()
    round_s = min(_ROUND_S, seconds / len(_ACTS)) if seconds else _ROUND_S
    left = list(_ACTS)
    while not end.wait(round_s):
        for service in shop.services:
            service.expect_alive()
        # Between the acts a line will do.
        if len(left) in (0, len(_ACTS)):
            _show(shop)
        _count(traffic, collector)
        if left:
            left.pop(0)(shop, traffic)
        elif seconds and time.monotonic() - began >= seconds:
            return


def _show(shop: Shop) -> None:
    for service in shop.services:
        perform(service, "status")
    for words in (("services",), ("health",), ("proxy", "list")):
        perform(shop.storefront, *words)
    for service in shop.services:
        perform(service, "logs", "-n", "4")
    # Where calls go out: by the upstream's port from the storefront, by http_proxy from billing.
    for service in (shop.storefront, shop.billing):
        perform(service, "requests", "-n", "2")


def _count(traffic: Traffic, collector: Collector) -> None:
    answered, sold, failed = traffic.counts()
    print(f"\n{answered} requests answered, {sold} purchases among them, {failed} failed")
    shipped = ", ".join(f"{count} of {name}" for name, count in sorted(collector.counts().items()))
    print(f"log records at the receiver: {shipped or 'none yet'}", flush=True)


def _prove_kept(service: Service, traffic: Traffic) -> None:
    """Every answered request has its access line in the logs, which survived the kill and the upgrade."""
    acts.expect_no_failures(traffic)
    title(shown("logs", "--instance", service.name, "--grep", " HTTP/1.1\" ") + "    # every answer must be there")
    missing = traffic.answered
    deadline = time.monotonic() + 10
    # The last lines may still be on their way from the pipe to the spool.
    while missing and time.monotonic() < deadline:
        missing = traffic.answered - _ids(done(service, "logs", "--grep", " HTTP/1.1\" ").stdout)
    count = len(traffic.answered)
    if missing:
        raise DemoFailed(f"{len(missing)} of {count} answers are not in the logs, such as id={min(missing)}")
    print(f"{count} requests answered, 0 failed, {count} found in the logs")


def _prove_shipped(traffic: Traffic, collector: Collector) -> str:
    """Every one of those lines has reached the receiver as well, and so has the last line of each service."""
    title("at the receiver")
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
        title("kill -TERM each pillion run, the storefront first")
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


if __name__ == "__main__":
    sys.exit(main())
