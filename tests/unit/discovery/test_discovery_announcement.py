"""When the app is announced, and as what."""

from __future__ import annotations

import msgspec
import pytest

from pillion.base.neighbours import Session
from pillion.discovery.addresses import reachable_address
from pillion.discovery.announcement import Standing, announcement
from pillion.discovery.instance import ServiceInstance
from pillion.model.component import AppFacts, Component, KeeperFacts, Status
from pillion.settings import parse

SESSION = Session("orders-1", "r1")
NOW = "2026-01-31T12:00:00Z"


def status(
    state: str = "running", *, ready: bool = True, pid: int | None = 4711, stopping: bool = False
) -> Status:
    app = Component(name="app", state=state, ready=ready, pid=pid)
    facts = AppFacts(ready=ready, stopping=stopping)
    keeper = KeeperFacts(pid=1)
    return Status(instance="orders-1", run="r1", keeper=keeper, app=facts, components=[app])


def of(
    standing: Standing, text: str = "", address: str | None = "127.0.0.1"
) -> ServiceInstance | None:
    settings = parse(f'[app]\nname = "orders"\nport = 3000\n{text}')
    return announcement(settings, SESSION, standing, address, NOW)


def test_a_running_ready_and_healthy_app() -> None:
    assert of(Standing(status())) == ServiceInstance(
        id="orders-1",
        service="orders",
        address="127.0.0.1",
        port=3000,
        instance="orders-1",
        run="r1",
        since=NOW,
    )


@pytest.mark.parametrize(
    "standing",
    [
        Standing(None),
        Standing(Status(instance="a", run="r", keeper=KeeperFacts(pid=1))),
        Standing(status(ready=False)),
        Standing(status("starting")),
        Standing(status("stopping")),
        Standing(status("backoff", pid=None)),
        Standing(status(pid=None)),
        Standing(status(stopping=True)),
        Standing(msgspec.structs.replace(status(), stopping=True)),
        Standing(status(), health="critical"),
        Standing(status(), health="unheard of"),
        Standing(status(), drained=4711),
    ],
)
def test_what_cannot_serve_is_not_announced(standing: Standing) -> None:
    assert of(standing) is None


def test_a_new_process_after_a_drained_one() -> None:
    assert of(Standing(status(pid=4712), drained=4711)) is not None


def test_a_warning_is_announced_as_one() -> None:
    found = of(Standing(status(), health="warning"))
    assert found is not None
    assert found.status == "warning"


def test_what_the_settings_say() -> None:
    found = of(
        Standing(status()),
        '[service]\nname = "api"\nport = 8080\ntags = ["v2"]\nzone = "eu-1"\nweight = 5\nmeta = { a = "b" }\n',
        "10.0.0.7",
    )
    assert found is not None
    assert (found.service, found.address, found.port, found.weight) == ("api", "10.0.0.7", 8080, 5)
    assert (found.tags, found.zone, found.meta) == (("v2",), "eu-1", {"a": "b"})
    assert of(Standing(status()), "[service]\nregister = false\n") is None
    assert of(Standing(status()), address=None) is None


def test_an_app_without_a_port() -> None:
    found = announcement(
        parse('[app]\nname = "worker"\n'), SESSION, Standing(status()), "127.0.0.1", NOW
    )
    assert found is not None
    assert found.port == 0


def test_addresses() -> None:
    assert reachable_address(None) == "127.0.0.1"
    assert reachable_address("lo") == "127.0.0.1"
    assert reachable_address("10.0.0.7") == "10.0.0.7"
    assert reachable_address("db.example.org") == "db.example.org"
