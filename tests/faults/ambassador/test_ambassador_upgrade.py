"""An upgrade of the worker under two hundred connections: nobody sees it, long downloads and kept connections included."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from ambassador_instance import Ambassador
from free_ports import free_ports
from instance import wait_for

KEPT = 150
LONG = 50
_PIECES = 40
_PIECE = bytes(8192)
_BOUND_S = 60.0


class Outcome(msgspec.Struct):
    """What the clients saw."""

    small: int = 0
    reconnects: int = 0
    long: int = 0
    failures: list[str] = []


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An upstream: `/long` takes four seconds, everything else is answered at once."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if head.startswith(b"GET /long"):
                length = _PIECES * len(_PIECE)
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % length)
                for _ in range(_PIECES):
                    writer.write(_PIECE)
                    await writer.drain()
                    await asyncio.sleep(0.1)
            else:
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass  # the worker has closed it: it needs it no more
    finally:
        writer.close()


async def _read(reader: asyncio.StreamReader) -> tuple[bytes, int]:
    head = await reader.readuntil(b"\r\n\r\n")
    fields = dict(
        line.lower().split(b": ", 1) for line in head.strip().split(b"\r\n")[1:] if b": " in line
    )
    body = await reader.readexactly(int(fields[b"content-length"]))
    return head.lower(), len(body)


async def _kept(port: int, outcome: Outcome, over: asyncio.Event) -> None:
    """A client that keeps its connection until it is told to close it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while not over.is_set():
        writer.write(b"GET /small HTTP/1.1\r\nhost: a\r\n\r\n")
        try:
            head, length = await _read(reader)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            outcome.failures.append(f"small: {error!r}")
            break
        if not head.startswith(b"http/1.1 200") or length != 2:
            outcome.failures.append(f"small: {head!r}")
        outcome.small += 1
        if b"connection: close" in head:
            writer.close()
            outcome.reconnects += 1
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.sleep(0.02)
    writer.close()


async def _long(port: int, outcome: Outcome) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /long HTTP/1.1\r\nhost: a\r\n\r\n")
    try:
        _, length = await _read(reader)
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        outcome.failures.append(f"long: {error!r}")
    else:
        assert length == _PIECES * len(_PIECE)
        outcome.long += 1
    writer.close()


async def _under_load(ambassador: Ambassador, upstream_port: int) -> Outcome:
    outcome, over = Outcome(), asyncio.Event()
    port = ambassador.ports["orders"]
    server = await asyncio.start_server(_answer, "127.0.0.1", upstream_port)
    before = ambassador.pid
    async with server, asyncio.timeout(_BOUND_S), asyncio.TaskGroup() as group:
        downloads = [group.create_task(_long(port, outcome)) for _ in range(LONG)]
        for _ in range(KEPT):
            group.create_task(_kept(port, outcome, over))
        while outcome.small < KEPT * 2:  # noqa: ASYNC110 - a count that many tasks raise
            await asyncio.sleep(0.01)
        host = ambassador.instance.host
        await asyncio.to_thread(host.pillion, "upgrade", "--instance", "app")
        await asyncio.to_thread(
            wait_for, "another worker serves", lambda: ambassador.pid not in (before, 0)
        )
        served = outcome.small
        await asyncio.gather(*downloads)
        while outcome.small < served + KEPT * 2:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)
        over.set()
    return outcome


@pytest.mark.timeout(120)
def test_an_upgrade_under_two_hundred_connections_fails_none() -> None:

    (upstream_port,) = free_ports(1)
    # The upstream shares an interpreter with two hundred clients: it may be slow, and that is not the matter here.
    policy = f"""
        urls = ["http://127.0.0.1:{upstream_port}"]
        retry = "off"
        breaker = "off"
        timeout = {{ connect = "30s", try = "30s", total = "60s" }}
    """
    with Ambassador({"orders": policy}) as ambassador:
        outcome = asyncio.run(_under_load(ambassador, upstream_port))
    assert outcome.failures == []
    assert outcome.long == LONG
    # The hand-over passes them on: hardly any has to connect again.
    assert outcome.reconnects <= KEPT
