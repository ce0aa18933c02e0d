"""Peers that are slow, half-open, gone or greedy, and a process without descriptors."""

import asyncio
import contextlib
import os
import resource
import socket
import struct
import threading
from collections.abc import AsyncIterator

import pytest
from http_serving import GET, run, serving, until

from pillion.http.blocking import BlockingClient, BlockingError
from pillion.http.server import Request, Response, ServerLimits

POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
QUICK = ServerLimits(
    header_timeout_s=0.1,
    idle_timeout_s=0.1,
    body_timeout_s=0.1,
    write_timeout_s=0.1,
    linger_s=0.1,
)


def hello(request: Request) -> Response:
    return Response(200, [], b"x")


async def read(request: Request) -> Response:
    return Response(200, [], await request.read(1 << 20))


async def flood() -> AsyncIterator[bytes]:
    while True:
        yield bytes(65536)


def test_a_header_that_comes_too_slowly_is_answered_408() -> None:
    async def main() -> None:
        async with serving(hello, QUICK) as site:
            for warm in (False, True):
                client = await site.tcp()
                if warm:
                    await client.get()

                client.send(b"GET / HTTP/1.1\r\nA")
                answer = await client.answer()
                assert answer.status == 408
                assert await client.closed()
                await client.close()
            assert site.server.counters.timeouts == 2

    run(main())


def test_bytes_that_keep_dripping_do_not_extend_the_time_for_a_header() -> None:
    async def main() -> None:
        async with serving(hello, QUICK) as site:
            client = await site.tcp()
            client.send(b"GET / HTTP/1.1\r\nA: ")

            async def drip() -> None:
                while True:
                    client.send(b"x")
                    await asyncio.sleep(0.01)

            task = asyncio.create_task(drip())
            assert (await client.answer()).status == 408
            task.cancel()
            await client.close()

    run(main())


def test_connections_that_say_nothing_are_closed() -> None:
    async def main() -> None:
        async with serving(hello, QUICK) as site:
            fresh, idle = await site.unix(), await site.unix()
            await idle.get()
            assert await fresh.closed()
            assert await idle.closed()
            await fresh.close()
            await idle.close()
            await until(lambda: site.server.counters.open == 0)

    run(main())


def test_a_body_that_stops_coming_is_answered_408() -> None:
    async def main() -> None:
        async with serving(read, QUICK) as site:
            client = await site.unix()
            client.send(POST + b"Content-Length: 5\r\n\r\nhe")
            answer = await client.answer()
            assert answer.status == 408
            assert not answer.keep_alive
            await client.close()

    run(main())


def test_a_body_that_keeps_coming_is_waited_for() -> None:
    async def main() -> None:
        async with serving(read, QUICK) as site:
            client = await site.unix()
            client.send(POST + b"Content-Length: 10\r\n\r\n")
            for _ in range(10):
                client.send(b"x")
                await asyncio.sleep(0.03)
            assert (await client.answer()).body == b"x" * 10
            await client.close()

    run(main())


@pytest.mark.parametrize("body", ["stream", "bytes", "pipelined"])
def test_a_client_that_does_not_read_is_cut(body: str) -> None:
    def handler(request: Request) -> Response:
        return Response(200, [], flood() if body == "stream" else bytes(8 << 20))

    async def main() -> None:
        async with serving(handler, QUICK) as site:
            client = await site.unix()
            client.reader._transport.pause_reading()  # type: ignore[attr-defined]
            client.send(GET * (100 if body == "pipelined" else 1))
            await until(lambda: site.server.counters.timeouts == 1)
            await until(lambda: site.server.counters.open == 0)
            assert site.server.counters.requests < 10
            await until(lambda: site.server.counters.busy == 0)
            await client.close()

    run(main())


def test_a_client_that_resets_in_the_middle_of_everything_leaves_nothing_behind() -> None:
    cancelled = 0

    async def handler(request: Request) -> Response:
        nonlocal cancelled
        try:
            await request.read(1 << 20)
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled += 1
            raise
        raise AssertionError

    async def main() -> None:
        async with serving(handler) as site:
            for data in (b"", GET[:9], GET, POST + b"Content-Length: 9\r\n\r\nx"):
                with socket.create_connection(("127.0.0.1", site.port)) as sock:
                    sock.sendall(data)
                    wanted = site.server.counters.accepted
                    await until(lambda wanted=wanted: site.server.counters.accepted >= wanted)
                    await asyncio.sleep(0.02)
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            await until(lambda: site.server.counters.accepted == 4)
            await until(lambda: site.server.counters.open == 0)
            await until(lambda: site.server.counters.busy == 0)
            assert site.errors == []

    run(main())
    assert cancelled == 2


def test_without_descriptors_accepting_pauses_and_goes_on() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_UNIX) as client:
            async with serving(hello, QUICK) as site:
                client.setblocking(False)
                soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
                held: list[int] = []
                counters = site.server.counters
                resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
                try:
                    with contextlib.suppress(OSError):
                        while True:
                            held.append(os.dup(0))
                    client.connect(site.path)
                    # Each sweep tries again, and pauses again.
                    await until(lambda: counters.accept_errors and not site.server.accepting)
                    errors, began_s = counters.accept_errors, loop.time()
                    for _ in range(100):
                        await asyncio.sleep(0)
                    sweeps = (loop.time() - began_s) / QUICK.sweep_s()
                    assert counters.accept_errors <= errors + sweeps + 1, "it spins"
                finally:
                    for descriptor in held:
                        os.close(descriptor)
                    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                await loop.sock_sendall(client, GET)
                assert (await loop.sock_recv(client, 4096)).startswith(b"HTTP/1.1 200")

    run(main())


def test_a_client_that_never_closes_after_its_last_answer_is_closed() -> None:
    async def main() -> None:
        async with serving(hello, QUICK) as site:
            client = await site.unix()
            await client.get(GET[:-2] + b"Connection: close\r\n\r\n")
            await until(lambda: site.server.counters.open == 0)
            await client.close()

    run(main())


def test_a_flood_after_the_last_answer_is_bounded() -> None:
    async def main() -> None:
        async with serving(hello, ServerLimits(linger_s=60)) as site:
            client = await site.unix()
            client.send(b"\x00")
            await client.answer()
            with contextlib.suppress(ConnectionError):
                for _ in range(256):
                    client.send(bytes(65536))
                    await client.writer.drain()
            await until(lambda: site.server.counters.open == 0)
            assert site.server.counters.bytes_in < 6 << 20
            await client.close()

    run(main())


def test_the_sweep_stops_when_there_is_nobody() -> None:
    async def main() -> None:
        async with serving(hello, QUICK) as site:
            client = await site.unix()
            await client.get()
            await client.close()
            await until(lambda: site.server.counters.open == 0)
            await asyncio.sleep(0.1)
            tick = site.server.tick
            await asyncio.sleep(0.1)
            assert site.server.tick == tick

    run(main())


@pytest.mark.parametrize(
    "reply", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", b"SSH-2.0-x\r\n\r\n"]
)
def test_the_blocking_client_says_what_is_wrong(reply: bytes) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()

        def serve() -> None:
            sock, _ = listening.accept()
            with sock:
                sock.recv(4096)
                sock.sendall(reply)

        thread = threading.Thread(target=serve)
        thread.start()
        port = listening.getsockname()[1]
        with (
            BlockingClient.tcp("127.0.0.1", port) as client,
            pytest.raises(BlockingError, match=f"cannot talk to 127.0.0.1:{port}: "),
        ):
            client.request("GET", "/").read()
        thread.join()


def test_the_blocking_client_waits_no_longer_than_its_bound() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        client = BlockingClient.tcp("127.0.0.1", listening.getsockname()[1], timeout_s=0.05)
        with client, pytest.raises(BlockingError, match=r"no answer within 0\.05 s"):
            client.request("GET", "/")
    with pytest.raises(BlockingError, match="cannot talk to /nowhere: No such file"):
        BlockingClient.unix("/nowhere").request("GET", "/")
