"""Checks from settings and requests."""

from __future__ import annotations

import pytest

from pillion.errors import RefusedError
from pillion.health.check import Check, Exec, Grpc, Http, Process, Tcp, Ttl
from pillion.health.definitions import from_request, from_settings
from pillion.settings import parse


def request(body: dict[str, object], port: int | None = 3000) -> Check:
    return from_request("db", body, port)


@pytest.mark.parametrize(
    ("body", "probe"),
    [
        ({"http": "/healthz"}, Http("http://127.0.0.1:3000/healthz")),
        ({"http": "http://db:8080/"}, Http("http://db:8080/")),
        (
            {"http": "/", "method": "HEAD", "headers": {"host": "x"}, "status": ["204", "300-301"]},
            Http("http://127.0.0.1:3000/", "HEAD", (("host", "x"),), ((204, 204), (300, 301))),
        ),
        ({"tcp": "127.0.0.1:5432"}, Tcp("127.0.0.1", 5432)),
        ({"tcp": 5432}, Tcp("127.0.0.1", 5432)),
        ({"tcp": "[::1]:5432"}, Tcp("::1", 5432)),
        ({"exec": ["pg_isready", "-q"]}, Exec(("pg_isready", "-q"))),
        ({"exec": "pg_isready -q"}, Exec(("pg_isready", "-q"))),
        ({"ttl": "30s"}, Ttl(30.0)),
        ({"process": "app"}, Process(None)),
        ({"process": "/run/x.pid"}, Process("/run/x.pid")),
        ({"grpc": "127.0.0.1:50051"}, Grpc("127.0.0.1:50051")),
        ({"grpc": "127.0.0.1:50051/shop.v1.Orders"}, Grpc("127.0.0.1:50051", "shop.v1.Orders")),
    ],
)
def test_every_sort(body: dict[str, object], probe: object) -> None:
    assert request(body).probe == probe


def test_the_words_of_the_settings_mean_the_same_in_a_request() -> None:
    settings = parse(
        '[health.checks.db]\ntcp = 5432\nkind = "liveness"\ninterval = "2s"\ntimeout = "500ms"\nrise = 2\n'
        'fall = 4\njitter = "20%"\ngrace = "1m"\nrestart = true'
    )
    (check,) = from_settings(settings.health.checks, None).values()
    assert check == request(
        {
            "tcp": 5432,
            "kind": "liveness",
            "interval": "2s",
            "timeout": "500ms",
            "rise": 2,
            "fall": 4,
            "jitter": "20%",
            "grace": "1m",
            "restart": True,
        }
    )


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({}, "cannot use none of them; expected exactly one of http"),
        ({"tcp": 1, "ttl": "1s"}, "cannot use tcp and ttl"),
        ({"tcp": "nowhere"}, "tcp: cannot use"),
        ({"ttl": "0s"}, "ttl: "),
        ({"tcp": 1, "interval": "1"}, "interval: "),
        ({"tcp": 1, "fall": 0}, "fall: "),
        ({"tcp": 1, "kind": "dead"}, "kind: "),
        ({"tcp": 1, "restart": True}, "restart: cannot restart the app for a readiness check"),
        ({"http": "/\r\nx: y"}, "http: "),
        ({"http": "/", "headers": {"a b": "c"}}, "headers"),
        ({"exec": []}, "exec: "),
        ({"exec": "'"}, "exec: "),
        ({"tcp": 1, "colour": "red"}, "colour: unknown setting"),
    ],
)
def test_what_is_no_check_is_refused_with_its_reason(body: dict[str, object], problem: str) -> None:
    with pytest.raises(RefusedError) as caught:
        request(body)
    assert caught.value.status == 422
    assert problem in caught.value.detail


def test_a_path_needs_a_port() -> None:
    with pytest.raises(RefusedError, match=r"without app\.port"):
        request({"http": "/"}, None)
