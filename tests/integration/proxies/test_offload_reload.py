"""Other settings of the offload while it serves: what clients see, and that nobody is refused meanwhile; and the log of requests."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from instance import wait_for
from offload_instance import TEXT, address_of, ask, begun
from steady_load import steady_load

if TYPE_CHECKING:
    from instance import Host, Instance


def reload_with(host: Host, instance: Instance, old: str, new: str) -> None:
    """Put other settings in force."""
    path = os.path.join(host.root, f"{instance.name}.toml")
    with open(path) as file:
        text = file.read()
    assert old in text
    with open(path, "w") as file:
        file.write(text.replace(old, new))
    host.pillion("reload", "--instance", instance.name)


def coding(address: str, accepted: str) -> tuple[str | None, bool]:
    """In which coding the style sheet is sent, and whether it was ready beforehand."""
    _, headers, _ = ask(address, "/style.css", Accept_Encoding=accepted)
    return headers.get("content-encoding"), "content-length" in headers


def test_precompressing_is_switched_on_and_off(host: Host) -> None:
    os.chmod(host.root, 0o755)
    instance = begun(host, "precompress = false")
    address = address_of(instance)
    assert coding(address, "gzip") == ("gzip", False)
    with steady_load(int(address.rpartition(":")[2]), kept=3, fresh=2) as load:
        reload_with(host, instance, "precompress = false", "precompress = true")
        for accepted in ("br", "gzip"):
            wait_for(
                f"{accepted} is there beforehand",
                lambda accepted=accepted: coding(address, accepted) == (accepted, True),  # type: ignore[misc]
                state=instance.events,
            )
        assert ask(address, "/style.css")[2] == TEXT
        reload_with(host, instance, "precompress = true", "precompress = false")
        wait_for(
            "it is compressed on the way again",
            lambda: coding(address, "gzip") == ("gzip", False) and coding(address, "br")[0] is None,
            state=instance.events,
        )
        seen = load.stop()
    assert (seen.failed, set(seen.bodies)) == ({}, {"entry"})
    assert instance.component("offload")["restarts"] == 0


def records(instance: Instance) -> list[dict[str, Any]]:
    """What the log has of requests."""
    lines = instance.spooled("sidecar").decode().splitlines()
    found = [json.loads(line) for line in lines if line.startswith('{"time"')]
    return [one for one in found if "app_status" in one]


def test_each_request_is_written_down_without_its_query(host: Host) -> None:
    os.chmod(host.root, 0o755)
    instance = begun(host, "access_log = true")
    address = address_of(instance)
    with open(os.path.join(host.root, "well"), "w"):
        pass
    wait_for("the app is asked", lambda: ask(address, "/api")[0] == 200)
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    ask(
        address,
        "/style.css?token=planted-query",
        X_Request_Id="request-7",
        traceparent=parent,
        Host="shop.example",
        Cookie="planted-cookie",
    )
    ask(address, "/api/orders?token=planted-query", X_Request_Id="request-8")

    def of(request_id: str) -> dict[str, Any]:
        return next((one for one in records(instance) if one["request_id"] == request_id), {})

    file = wait_for("the file's line", lambda: of("request-7"), state=lambda: records(instance))
    app = wait_for("the app's line", lambda: of("request-8"))
    assert (file["method"], file["host"], file["path"]) == ("GET", "shop.example", "/style.css")
    assert (file["status"], file["app_status"], file["traceparent"]) == ("200", "", parent)
    assert file["bytes"] == str(len(TEXT))
    assert (app["path"], app["status"], app["app_status"]) == ("/api/orders", "200", "200")
    assert float(app["duration_s"]) >= 0
    assert b"planted-" not in instance.spooled("sidecar")
