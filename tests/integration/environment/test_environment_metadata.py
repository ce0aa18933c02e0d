"""Metadata services over real HTTP: their rules kept, their secrets not asked for, their silence bounded."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import msgspec
import pytest
from metadata_service import SECRET, Foreign, Huge, Service, serving

from pillion.environment.facts import Cloud
from pillion.environment.metadata import fetch


def ask(provider: str, service: str, total_s: float = 3.0) -> Cloud:
    return asyncio.run(fetch(provider, service, total_s))


EXPECTED = {
    "aws": Cloud(
        provider="aws",
        account="123456789012",
        instance="i-0abc",
        kind="t3.micro",
        region="eu-west-1",
        zone="eu-west-1b",
        image="ami-1",
    ),
    "gcp": Cloud(
        provider="gcp",
        account="shop-123",
        instance="4520031799277581759",
        name="shop-1",
        kind="e2-small",
        region="europe-west1",
        zone="europe-west1-b",
    ),
    "azure": Cloud(
        provider="azure",
        account="sub-1",
        instance="02aab8a4",
        name="shop-1",
        kind="Standard_B1s",
        region="westeurope",
        image="debian-12 12",
    ),
}


@pytest.mark.parametrize("provider", EXPECTED)
def test_the_facts_and_nothing_else(provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # A proxy from the environment would be asked for what is link-local.
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with serving() as service:
        found = ask(provider, service)
        asked = list(Service.asked)
    assert found == EXPECTED[provider]
    assert SECRET.encode() not in msgspec.json.encode(found)
    forbidden = ("credential", "user-data", "recursive", "attributes", "token?", "identity?")
    assert [path for path in asked if any(word in path for word in forbidden)] == []


@pytest.mark.parametrize("provider", EXPECTED)
@pytest.mark.parametrize("kind", [Foreign, Huge])
def test_what_is_none_is_an_error_and_no_fact(provider: str, kind: type[Service]) -> None:
    with serving(kind) as service:
        found = ask(provider, service)
    assert found == Cloud(provider=provider, error=found.error)
    assert found.error is not None
    assert found.error.startswith("cannot ask the metadata service: ")


@pytest.mark.parametrize("provider", EXPECTED)
def test_nobody_there(provider: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    found = ask(provider, f"127.0.0.1:{port}")
    assert found.error is not None
    assert found.instance is None


def test_one_that_trickles_is_cut_off() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        stop = threading.Event()

        def trickle() -> None:
            peer, _ = listening.accept()
            with peer:
                for byte in b"HTTP/1.1 200 OK\r\n" + b"X-Filler: y\r\n" * 100:
                    if stop.wait(0.05):
                        return
                    peer.send(bytes([byte]))

        thread = threading.Thread(target=trickle, daemon=True)
        thread.start()
        began = time.monotonic()
        found = ask("azure", f"127.0.0.1:{listening.getsockname()[1]}", 0.5)
        assert time.monotonic() - began < 5
        stop.set()
        thread.join(10)
    assert found.error is not None
