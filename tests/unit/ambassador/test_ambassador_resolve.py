"""Endpoints from registry, URLs and DNS: what is known is used, what is not known takes nothing away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pillion.ambassador.resolve import (
    MOST_ENDPOINTS,
    Answer,
    Sources,
    Target,
    app_endpoints,
    endpoints_of,
    host_names,
    names_of,
    target_of,
)
from pillion.ambassador.snapshot import EndpointSpec, UpstreamEndpoints
from pillion.discovery.instance import ServiceInstance
from pillion.settings import parse

if TYPE_CHECKING:
    from pillion.settings.upstreams import Upstream


def upstream(text: str) -> Upstream:
    return parse(f"[ambassador.upstreams.u]\n{text}\n").ambassador.upstreams["u"]


def instance(name: str, address: str, port: int = 3000, **more: object) -> ServiceInstance:
    return ServiceInstance(id=name, service="orders", address=address, port=port, **more)  # type: ignore[arg-type]


def sources(
    instances: list[ServiceInstance] | None = None, names: dict[str, Answer] | None = None
) -> Sources:
    return Sources(lambda _: instances, lambda name: (names or {}).get(name, Answer(None)))


BEFORE = UpstreamEndpoints("u", (EndpointSpec("old", "10.0.0.9", 80),))


def test_instances_of_a_service_in_a_steady_order() -> None:
    there = [
        instance("b", "10.0.0.2", weight=3, zone="west"),
        instance("a", "10.0.0.1", status="critical"),
        instance("c", "::1", status="warning"),
    ]
    found = endpoints_of("u", upstream('service = "orders"'), sources(there), BEFORE)
    assert found == UpstreamEndpoints(
        "u",
        (
            EndpointSpec("a", "10.0.0.1", 3000, healthy=False),
            EndpointSpec("b", "10.0.0.2", 3000, weight=3, zone="west"),
            EndpointSpec("c", "::1", 3000),
        ),
    )


def test_what_listens_nowhere_or_is_drained_gets_nothing() -> None:
    there = [instance("a", "10.0.0.1", 0), instance("b", "10.0.0.2", weight=0)]
    found = endpoints_of("u", upstream('service = "orders"'), sources(there), None)
    assert (found.endpoints, found.known) == ((), True)
    assert found.reason == "nobody offers the service orders"


def test_a_registry_that_was_not_read_yet_keeps_the_last_endpoints() -> None:
    found = endpoints_of("u", upstream('service = "orders"'), sources(None), BEFORE)
    assert found is BEFORE
    first = endpoints_of("u", upstream('service = "orders"'), sources(None), None)
    assert (first.endpoints, first.known, first.reason) == ((), False, "not looked up yet")


def test_a_registered_name_is_looked_up() -> None:
    there = [instance("a", "db.internal")]
    assert host_names(there) == {"db.internal"}
    answer = Answer(("10.1.0.1", "10.1.0.2"))
    found = endpoints_of(
        "u", upstream('service = "orders"\ntls = {}'), sources(there, {"db.internal": answer}), None
    )
    assert [(one.key, one.tls, one.host) for one in found.endpoints] == [
        ("10.1.0.1:3000", True, ""),
        ("10.1.0.2:3000", True, ""),
    ]


def test_urls_of_every_sort() -> None:
    text = 'urls = ["http://10.0.0.7:3000", "http://api.internal", "http://[::1]:80", "unix:/run/a.sock"]'
    names = {"api.internal": Answer(("10.2.0.1", "fd00::1"))}
    found = endpoints_of("u", upstream(text), sources(names=names), None)
    assert [(one.key, one.host, one.id) for one in found.endpoints] == [
        ("10.0.0.7:3000", "10.0.0.7", "10.0.0.7:3000"),
        ("10.2.0.1:80", "api.internal", "api.internal:80"),
        ("[fd00::1]:80", "api.internal", "api.internal:80"),
        ("[::1]:80", "::1", "[::1]:80"),
        ("unix:/run/a.sock", "localhost", "unix:/run/a.sock"),
    ]


def test_https_is_tls_and_has_its_port() -> None:
    assert target_of("https://api.example.org") == Target("api.example.org", 443, tls=True)
    assert target_of("http://a:81") == Target("a", 81)
    assert target_of("tcp://db:5432", tls=True) == Target("db", 5432, tls=True)


def test_a_name_that_was_never_found_leaves_the_others_usable() -> None:
    text = 'urls = ["http://10.0.0.7:3000", "http://api.internal:3000"]'
    names = {"api.internal": Answer(None, "cannot resolve api.internal: unknown")}
    found = endpoints_of("u", upstream(text), sources(names=names), BEFORE)
    assert [one.key for one in found.endpoints] == ["10.0.0.7:3000"]
    assert (found.known, found.reason) == (True, "cannot resolve api.internal: unknown")


def test_when_no_name_was_ever_found_the_last_endpoints_stay() -> None:
    wanted = upstream('dns = "api.internal:3000"')
    assert endpoints_of("u", wanted, sources(), BEFORE) is BEFORE
    names = {"api.internal": Answer(None, "cannot resolve api.internal: timed out")}
    found = endpoints_of("u", wanted, sources(names=names), BEFORE)
    assert (found.endpoints, found.known) == (BEFORE.endpoints, False)
    assert found.reason == "cannot resolve api.internal: timed out"


def test_the_last_good_answer_stays_and_the_failure_is_told() -> None:
    names = {"api.internal": Answer(("10.2.0.1",), "cannot resolve api.internal: timed out")}
    found = endpoints_of("u", upstream('dns = "api.internal:3000"'), sources(names=names), None)
    assert [one.key for one in found.endpoints] == ["10.2.0.1:3000"]
    assert (found.known, found.reason) == (True, "cannot resolve api.internal: timed out")


def test_an_endpoint_is_there_once_and_there_are_not_too_many() -> None:
    twice = upstream('urls = ["http://10.0.0.7:3000", "http://10.0.0.7:3000"]')
    assert len(endpoints_of("u", twice, sources(), None).endpoints) == 1
    many = [
        instance(f"i{at:05}", f"10.{at // 65536}.{at // 256 % 256}.{at % 256}")
        for at in range(10_000)
    ]
    found = endpoints_of("u", upstream('service = "orders"'), sources(many), None)
    assert len(found.endpoints) == MOST_ENDPOINTS
    assert f"only the first {MOST_ENDPOINTS}" in found.reason


def test_names_are_wanted_as_often_as_the_most_eager_upstream_wants() -> None:
    settings = parse(
        """
[ambassador.upstreams.a]
dns = "api.internal:1"
dns_interval = "60s"
[ambassador.upstreams.b]
urls = ["http://api.internal:2", "http://10.0.0.1:3"]
dns_interval = "5s"
[ambassador.upstreams.c]
service = "orders"
"""
    )
    assert names_of(settings.ambassador.upstreams) == {"api.internal": 5.0}


@pytest.mark.parametrize(("port", "keys"), [(3000, ["127.0.0.1:3000"]), (None, [])])
def test_the_app_itself(port: int | None, keys: list[str]) -> None:
    assert [one.key for one in app_endpoints(port).endpoints] == keys
