"""Values for every option of every shipped template, for the tests that have real programs look at what comes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxies_rendering import member

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pillion.proxies.templating.facts import ProxyKind

SERVICES = {
    "orders": (
        member("a", 1001),
        member("b", 1002, weight=3),
        member("c", 1003, status="critical"),
    ),
    "api": (member("d", 1004),),
    "next": (member("n", 1005), member("six", 1006, address="::1")),
}
ALL_OPTIONS: dict[str, object] = {
    "listen": ["127.0.0.1:8080", "127.0.0.1:8081"],
    "hosts": ["shop.example", "*.shop.example"],
    "trusted": ["10.0.0.0/8", "::1"],
    "access_log": True,
    "timeout": "5s",
    "connect_timeout": 1,
    "body_size": "1M",
    "check": "/healthz",
    "maxconn": 1000,
    "workers": 1,
    "connections": 512,
    "user": "www-data",
    "retry_after": 7,
    "tries": 1,
}


def cases(kind: ProxyKind, directory: Path) -> Iterator[tuple[str, dict[str, object]]]:
    """Each template's name with values for it; `directory` has `cert.pem`, `key.pem` and `both.pem`."""
    for name, some in _own(kind, directory).items():
        for values in some:
            yield name, values
            shared = (
                {**ALL_OPTIONS, "listen": "127.0.0.1:8082"} if "redirect" in values else ALL_OPTIONS
            )
            yield name, {**shared, **values}
    for balance in {"nginx": ("round_robin", "ip_hash", "random")}.get(
        kind, ("roundrobin", "source", "random")
    ):
        yield "load-balancer", {"service": "orders", "balance": balance}


def _own(kind: ProxyKind, directory: Path) -> dict[str, list[dict[str, object]]]:
    nginx = kind == "nginx"
    tls: dict[str, object] = {
        "certificate": str(directory / ("cert.pem" if nginx else "both.pem")),
        "key": str(directory / "key.pem"),
        "redirect": "127.0.0.1:8083",
    }
    client_ca = str(directory / "cert.pem")
    both: dict[str, object] = {"stable": "orders", "canary": "next"}
    found: dict[str, list[dict[str, object]]] = {
        "reverse-proxy": [{}, {"to": "127.0.0.1:3001"}, {"to": ["127.0.0.1:3001", "[::1]:3002"]}],
        "load-balancer": [
            {"service": "orders"},
            {"service": "nobody"},
            {"service": "orders", "unusable": "maint", "tags": ["blue"]},
            {
                "service": "orders",
                "unusable": "drain",
                "routes": [{"path": "/o/", "service": "orders"}],
            },
            {
                "service": "orders",
                "routes": [
                    {"path": "/api/", "service": "api"},
                    {"path": "/x", "service": "nobody"},
                ],
            },
        ],
        "tls-termination": [
            tls,
            {**tls, "redirect": False, "http2": False, "service": "nobody"},
            {
                **tls,
                "service": "orders",
                "hsts": 63072000,
                "hsts_subdomains": True,
                "public_port": 8443,
                "client_ca": client_ca,
            },
        ],
        "canary": [
            *({**both, "weight": weight} for weight in (0, 10, 33.3, 100)),
            {**both, "weight": {"config": "shop/canary", "default": 5}, "by": "client"},
            {**both, "weight": 100, "header": "X-Canary"},
            {**both, "weight": 10, "header": "X-Canary"},
            {"stable": "orders", "canary": "nobody", "weight": 10},
            {"stable": "nobody", "canary": "next", "weight": 10},
            {"stable": "nobody", "canary": "nobody", "weight": 10, "header": "X-Canary"},
        ],
        "rate-limit": [
            {},
            {"by": "X-Api-Key", "concurrent": 10, "exempt": ["10.0.0.0/8", "::1"], "status": 503},
            {"service": "nobody", "burst": 0, "rate": 1, "clients": 1000},
        ],
        "maintenance": [
            {},
            {"enabled": False},
            {"enabled": {"config": "shop/maintenance", "default": True}, "service": "nobody"},
            {"allow": ["127.0.0.1"], "title": "a \"b\" $c %[x] 'd' <e>; {", "retry_after": 60},
            {"allow": ["::1"], "open": ["/healthz"], "html": str(directory / "page.html")},
            {"open": ["/healthz", "/livez"]},
        ],
    }
    if not nginx:
        found["grpc"] = [
            {"service": "orders"},
            {"service": "nobody"},
            {
                "service": "orders",
                "certificate": tls["certificate"],
                "client_ca": client_ca,
                "tls_to_members": client_ca,
                "per_member": 10,
                "eject": 0,
                "methods": [
                    {"path": "/shop.Orders/", "retry": True, "timeout": "2s", "rate": 10},
                    {"path": "/shop.Orders/Get", "service": "next"},
                ],
            },
        ]
    return found
