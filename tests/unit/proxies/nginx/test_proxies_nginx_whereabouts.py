"""The line that nginx does not name, found by what it does name."""

from __future__ import annotations

import pytest

from pillion.proxies.nginx.messages import Message
from pillion.proxies.nginx.whereabouts import located

FILES = {
    "nginx.conf": """
http {
    # listen 127.0.0.1:8080 is for others
    limit_req_zone $uri zone=one:1m rate=1r/s;
    proxy_cache_path /c keys_zone=pages:1m;
    ssl_session_cache shared:tls:1m;
    upstream u { zone members 64k; }
    server { listen 127.0.0.1:8080; }
    server { listen 8081; listen [::]:8081; listen *:8082; }
    server { listen 10.0.0.1; listen "unix:/run/x" default_server; }
    include more.conf;
}
""",
    "more.conf": "server { listen 127.0.0.1:80801; listen 127.0.0.1:9000; }\n",
}


def where(text: str) -> tuple[str, int]:
    found = located(Message("emerg", text), FILES)
    return found.file, found.line


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("127.0.0.1:8080", ("nginx.conf", 8)),
        ("0.0.0.0:8081", ("nginx.conf", 9)),
        ("[::]:8081", ("nginx.conf", 9)),
        ("0.0.0.0:8082", ("nginx.conf", 9)),
        ("10.0.0.1:80", ("nginx.conf", 10)),
        ("unix:/run/x", ("nginx.conf", 10)),
        ("127.0.0.1:9000", ("more.conf", 1)),
        ("127.0.0.1:808", ("", 0)),
    ],
)
def test_an_address_that_is_taken(address: str, place: tuple[str, int]) -> None:
    assert where(f"bind() to {address} failed (98: Address already in use)") == place


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('limit_req "one" uses the "$uri" key while previously it used the "$args" key', 4),
        ('cache "pages" uses the "/c" cache path while previously it used the "/d" cache path', 5),
        ('the size 2 of shared memory zone "tls" conflicts with already declared size 1', 6),
        ('the shared memory zone "members" is already declared for a different use', 7),
        ('the shared memory zone "nobody" is already declared for a different use', 0),
        ("still could not bind()", 0),
    ],
)
def test_a_zone(text: str, line: int) -> None:
    assert where(text)[1] == line


def test_what_has_a_place_keeps_it() -> None:
    message = Message("emerg", 'the shared memory zone "one" is odd', "other.conf", 3)
    assert located(message, FILES) is message
