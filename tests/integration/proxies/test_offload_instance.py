"""The offload of a real instance: files, the app behind them, and who is told what while the app is not ready."""

from __future__ import annotations

from typing import TYPE_CHECKING

from instance import wait_for
from offload_instance import TEXT, ask, started

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
