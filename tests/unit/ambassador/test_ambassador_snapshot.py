"""A snapshot comes back from its JSON as it was, and nothing else is taken for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from pillion.ambassador import snapshot as snapshots
from pillion.ambassador.policy import Policy
from pillion.ambassador.snapshot import EndpointSpec, Forced, Snapshot, UpstreamEndpoints
from pillion.settings import parse

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = """
[app]
port = 3000

[ambassador]
proxy = { egress = "list", hosts = ["*.example.org"] }
log = { sample = "20%", redact = "token" }

[ambassador.upstreams.orders]
service = "orders"
retry = "off"
breaker = { ratio = "off" }
check = "/healthz"
limit = { rate = "200/s" }

[ambassador.upstreams.db]
urls = ["tcp://10.0.0.5:5432"]
tls = {}

[[ambassador.routes]]
match = { path = "/v2/", headers = { x-version = "2" } }
to = [{ upstream = "orders", weight = 90 }]
timeout = { total = "5s" }

[inbound]
listen = "127.0.0.1:8080"
"""


def some() -> Snapshot:
    policy = Policy(parse(SETTINGS))
    return Snapshot(
        revision=7,
        ambassador=policy.encoded,
        inbound=policy.encoded_inbound,
        app_port=3000,
        listeners={"proxy": "127.0.0.1:4000"},
        upstreams=(
            UpstreamEndpoints(
                "orders", (EndpointSpec("a", "10.0.0.1", 80, weight=3, zone="z", healthy=False),)
            ),
            UpstreamEndpoints("db", known=False, reason="nobody knows"),
        ),
        proxy_token="t",
        forced=(Forced("orders", "", "open"),),
        overlay={"ambassador/routes": [{"to": "orders"}]},
    )


@pytest.mark.parametrize(
    ("spec", "key"),
    [
        (EndpointSpec("a", "10.0.0.1", 80), "10.0.0.1:80"),
        (EndpointSpec("a", "::1", 80), "[::1]:80"),
        (EndpointSpec("a", "unix:/run/a.sock"), "unix:/run/a.sock"),
    ],
)
def test_an_endpoint_is_known_by_where_it_is(spec: EndpointSpec, key: str) -> None:
    assert spec.key == key
    assert spec.unix_path == (key.removeprefix("unix:") if key.startswith("unix:") else None)


def test_it_comes_back_as_it_was() -> None:
    made = some()
    back = snapshots.decode(snapshots.encode(made))
    assert back == made
    assert back.says_the_same(msgspec.structs.replace(made, revision=8))
    assert not back.says_the_same(msgspec.structs.replace(made, zone="elsewhere"))


def test_an_upstream_that_is_not_there_has_no_endpoints() -> None:
    found = some().endpoints("nobody")
    assert (found.endpoints, found.known) == ((), False)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[" * 100_000,
        b'{"v": 2, "revision": 1, "ambassador": {}}',
        b'{"v": 1, "revision": "1", "ambassador": {}}',
        b'{"v": 1, "revision": 1, "ambassador": {}, "upstreams": [{"name": 3}]}',
    ],
)
def test_what_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="cannot read"):
        snapshots.decode(data)


def test_one_that_is_too_long_is_refused_before_it_is_read() -> None:
    with pytest.raises(ValueError, match="cannot take a snapshot of more than"):
        snapshots.decode(b" " * (snapshots.MOST_BYTES + 1))


def test_fields_of_a_later_version_are_ignored() -> None:
    found = snapshots.decode(b'{"v":1,"revision":1,"ambassador":{},"colour":"red"}')
    assert found.revision == 1


def test_no_file_is_no_snapshot(tmp_path: Path) -> None:
    assert snapshots.read_file(str(tmp_path / "none")) is None
    torn = tmp_path / "torn"
    torn.write_bytes(snapshots.encode(some())[:-5])
    with pytest.raises(ValueError, match="cannot read"):
        snapshots.read_file(str(torn))
