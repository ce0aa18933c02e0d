"""What stands in front: the storefront's nginx, which serves the page itself, and the edge, a HAProxy before every instance of orders.

Both are written, checked, started and proved by the storefront's sidecar; pillion.toml there has all that was said about them.
"""

import os
import re
import signal
import time
import urllib.request

from acts import expect_no_failures
from shop import Shop
from sidecars import DemoFailed, Service
from stage import done, open_service, perform, title
from traffic import Partners, Traffic


def wait_until_open(shop: Shop, within_s: float = 15.0) -> None:
    """Return when nginx lets customers through to the storefront, which it does as soon as that is ready and healthy."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            _get(f"{shop.front}/healthz")
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise DemoFailed(f"{shop.front} let nobody through to the storefront within {within_s:g} s: {error}") from error
        time.sleep(0.05)


def visit(shop: Shop, _traffic: Traffic) -> None:
    """The page, and what it needs: files that the app never hears of."""
    front = shop.front
    title(f"curl {front}/    # the page, from the nginx in front of the storefront")
    page, fields = _get(f"{front}/")
    _say(fields)
    asset = re.search(r'src="(/assets/[\w.]+)"', page)
    if asset is None:
        raise DemoFailed(f"the page names no script:\n{page}")
    for path, wanted in ((asset[1], "immutable"), ("/shop.css", "max-age=")):
        title(f"curl {front}{path}")
        _, fields = _get(front + path)
        _say(fields)
        if wanted not in fields.get("Cache-Control", ""):
            raise DemoFailed(f"{path} is sent without {wanted}: {fields}")
    if done(shop.storefront, "logs", "--grep", "GET (/assets/|/shop.css|/ )").stdout:
        raise DemoFailed("the storefront itself was asked for a file of public/")
    print("the app has not heard of any of it")


def balance(shop: Shop, traffic: Traffic) -> None:
    """A second instance of orders comes, is killed, and comes again, while partners read prices through the edge."""
    storefront, second = shop.storefront, shop.second
    perform(storefront, "proxy", "status", "edge")
    workers = _workers(storefront)
    with Partners(f"{shop.edge}/prices") as partners:
        open_service(second)
        _wait_for_instances(partners, {"orders", second.name})
        perform(storefront, "proxy", "status", "edge")
        pid = int(str(second.component("app")["pid"]))
        changes = _changes(storefront)
        title(f"kill -KILL {pid}    # the second instance of orders")
        os.kill(pid, signal.SIGKILL)
        _wait_for_changes(storefront, changes + 1, "without it")
        perform(storefront, "proxy", "status", "edge")
        # Its own sidecar starts it again.
        _wait_for_changes(storefront, changes + 2, "with it")
        _wait_for_instances(partners, {"orders", second.name})
        perform(storefront, "events", "--component", "edge")
    if partners.failures:
        raise DemoFailed(f"{len(partners.failures)} requests through the edge failed, the first: {partners.failures[0]}")
    if _workers(storefront) != workers:
        raise DemoFailed("HAProxy was reloaded, though members come and go without it")
    expect_no_failures(traffic)
    shares = ", ".join(f"{count} by {name}" for name, count in sorted(partners.answered.items()))
    print(f"{sum(partners.answered.values())} requests through the edge answered ({shares}), 0 failed; HAProxy was never reloaded")


def _get(url: str) -> tuple[str, dict[str, str]]:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read().decode(), dict(answer.headers)


def _say(fields: dict[str, str]) -> None:
    for name in ("Content-Type", "Content-Length", "ETag", "Cache-Control"):
        if name in fields:
            print(f"{name}: {fields[name]}")


def _workers(storefront: Service) -> list[str]:
    """The processes of the edge: a reload would bring others."""
    master = storefront.component("edge")["pid"]
    with open(f"/proc/{master}/task/{master}/children") as file:
        return file.read().split()


def _changes(storefront: Service) -> int:
    """How often the edge was changed while it ran."""
    return len(done(storefront, "events", "--component", "edge", "--kind", "proxy-changed").stdout.splitlines())


def _wait_for_changes(storefront: Service, count: int, how: str) -> None:
    began = time.monotonic()
    while _changes(storefront) < count:
        if time.monotonic() - began > 30:
            raise DemoFailed(f"30 s later the edge does not go on {how}")
    print(f"the edge goes on {how}, seen after {time.monotonic() - began:.1f} s")


def _wait_for_instances(partners: Partners, wanted: set[str]) -> None:
    """Return when the latest answers are from these, and from nobody else."""
    began = time.monotonic()
    while (found := partners.latest()) != wanted:
        if time.monotonic() - began > 20:
            raise DemoFailed(f"20 s later the edge asks {', '.join(sorted(found)) or 'nobody'} instead of {', '.join(sorted(wanted))}")
        time.sleep(0.02)
    print(f"the edge asks {' and '.join(sorted(wanted))}")
