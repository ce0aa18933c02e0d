"""What may stand in an announcement or a registration, and what is refused."""

from __future__ import annotations

import msgspec
import pytest

from pillion.discovery.instance import (
    RECORD_BYTES,
    ServiceInstance,
    complaint_of,
    decode,
    encode,
    endpoint,
    is_address,
    is_name,
)

ORDERS = ServiceInstance(id="orders-1", service="orders", address="127.0.0.1", port=3000)


def test_there_and_back() -> None:
    full = msgspec.structs.replace(
        ORDERS, tags=("v2",), zone="eu-1", meta={"version": "1.2"}, weight=0, ttl_s=30.0
    )
    assert decode(encode(full)) == full


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"\xff\xfe",
        b"{",
        b'{"id": "a", "service": "b"}',
        b'{"id": "a", "service": "b", "address": "1.2.3.4", "port": 65536}',
        b'{"id": "a", "service": "b", "address": "1.2.3.4", "port": -1}',
        b'{"id": "a", "service": "b", "address": "1.2.3.4", "status": "well"}',
        b'{"id": "../a", "service": "b", "address": "1.2.3.4"}',
        b'{"id": "a\\n", "service": "b", "address": "1.2.3.4"}',
        b'{"id": "a", "service": "b", "address": "1.2.3.4\\n"}',
        b'{"id": "a", "service": "b", "address": "example.org; rm"}',
        b'{"id": "a", "service": "b", "address": "1.2.3.4", "zone": "a\\nb"}',
        b'{"id": "a", "service": "b", "address": "1.2.3.4", "meta": {"a": "\\u0000"}}',
        b'{"id": "a", "service": "b", "address": "1.2.3.4", "tags": ["a\\r"]}',
        b"[" * 5000,
        b" " * (RECORD_BYTES + 1),
    ],
)
def test_garbage_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="cannot"):
        decode(data)


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("fe80::1%eth0", False),
        ("999.0.0.1", False),
        ("1.2.3", False),
        ("db.example.org", True),
        ("db.example.org.", True),
        ("db_1", True),
        ("-db", False),
        ("a..b", False),
        ("", False),
        ("a" * 64, False),
        ("exämple", False),
        ("1::2::3", False),
    ],
)
def test_an_address(text: str, fits: bool) -> None:
    assert is_address(text) is fits


@pytest.mark.parametrize("name", ["orders", "orders-1", "a.b_c", "1", "_start"])
def test_a_name(name: str) -> None:
    assert is_name(name)
    assert complaint_of(msgspec.structs.replace(ORDERS, id=name)) == ""


@pytest.mark.parametrize("name", ["", "-a", ".a", "a/b", "a b", "a\n", "a" * 129, "ä"])
def test_no_name(name: str) -> None:
    assert not is_name(name)


def test_an_endpoint() -> None:
    assert endpoint(ORDERS) == "127.0.0.1:3000"
    assert endpoint(msgspec.structs.replace(ORDERS, address="::1")) == "[::1]:3000"
    assert endpoint(msgspec.structs.replace(ORDERS, port=0)) == "127.0.0.1"
