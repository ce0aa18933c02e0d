"""The offload of a real instance: files, the app behind them, and who is told what while the app is not ready."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from instance import wait_for
from offload_instance import TEXT, address_of, ask, begun, started

if TYPE_CHECKING:
    from instance import Host


def test_files_are_served_before_the_app_is_ready(host: Host) -> None:
    offload, well = started(host, "precompress = true")
    assert ask(offload, "/")[2] == b"entry"
    status, headers, _ = ask(offload, "/api")
    assert (status, headers["retry-after"], headers["content-type"]) == (
        503,
        "5",
        "application/problem+json",
    )
    with open(well, "w"):
        pass
    wait_for("the app is asked", lambda: ask(offload, "/api")[0] == 200)
    assert ask(offload, "/style.css")[2] == TEXT
    wait_for(
        "it is compressed beforehand",
        lambda: ask(offload, "/style.css", Accept_Encoding="br")[1].get("content-encoding") == "br",
    )


def test_through_inbound(host: Host) -> None:
    rest = '[inbound]\nlisten = "127.0.0.1:0"\n[ambassador.http]\ntrusted_hops = 1\n'
    offload, well = started(host, rest=rest)
    with open(well, "w"):
        pass
    wait_for(
        "the app is asked",
        lambda: ask(offload, "/api")[0] == 200,
        state=lambda: ask(offload, "/api"),
    )
    _, _, seen = ask(offload, "/api", X_Forwarded_For="6.6.6.6", Host="shop.example:8443")
    # nginx's word about the client, then nginx itself.
    assert b"('x-forwarded-for', '127.0.0.1, 127.0.0.1')" in seen
    assert b"('host', 'shop.example:8443')" in seen
    assert b"6.6.6.6" not in seen


RULES = """
[inbound]
listen = "127.0.0.1:0"
[ambassador.http]
trusted_hops = 1
[[ambassador.routes]]
name = "dear"
listener = "inbound"
match = { path = "/dear/" }
to = "app"
rate = "1/h"
"""


def test_the_rules_of_inbound_hold_for_what_is_not_a_file(host: Host) -> None:
    offload, well = started(host, rest=RULES)
    with open(well, "w"):
        pass
    wait_for("the app is asked", lambda: ask(offload, "/api")[0] == 200)
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    status, headers, seen = ask(
        offload, "/dear/1", Traceparent=parent, X_Request_Id="one-that-holds.9"
    )
    assert (status, headers["x-request-id"]) == (200, "one-that-holds.9")
    # The trace goes on through both, with a span of inbound's own.
    assert b"00-4bf92f3577b34da6a3ce929d0e0e4736-" in seen
    assert b"('x-request-id', 'one-that-holds.9')" in seen
    status, headers, body = ask(offload, "/dear/2")
    assert status == 429
    assert int(headers["retry-after"]) > 1
    assert b"the route dear" in body
    for _ in range(3):
        assert ask(offload, "/style.css")[2] == TEXT
        assert ask(offload, "/api")[0] == 200


def test_an_app_that_is_restarted_is_sent_nothing_before_it_is_stopped(host: Host) -> None:
    os.chmod(host.root, 0o755)
    instance = begun(host, rest='[service]\ndrain = "1s"\n')
    offload = address_of(instance)
    with open(os.path.join(host.root, "well"), "w"):
        pass
    wait_for("the app is asked", lambda: ask(offload, "/api")[0] == 200)
    pid = instance.component("app")["pid"]
    seen: list[tuple[int, str | None]] = []
    files: set[bytes] = set()
    over = threading.Event()

    def knock() -> None:
        while not over.is_set():
            status, headers, _ = ask(offload, "/api")
            seen.append((status, headers.get("retry-after")))
            files.add(ask(offload, "/style.css")[2])

    client = threading.Thread(target=knock, name="client")
    client.start()
    try:
        host.pillion("restart", "app")
        wait_for("another runs", lambda: instance.component("app")["pid"] not in (pid, None))
        wait_for("it is asked again", lambda: seen[-1][0] == 200 and (503, "5") in seen)
    finally:
        over.set()
        client.join()
    assert set(seen) == {(200, None), (503, "5")}
    assert files == {TEXT}
