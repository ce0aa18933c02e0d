"""The server over real sockets: framing of answers, bodies, order, limits, and errors."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Awaitable

import pytest
from http_serving import GET, run, serving, until

from pillion.http.blocking import BlockingClient
from pillion.http.server import Refusal, Request, Response, ServerLimits

POST = b"POST /echo HTTP/1.1\r\nHost: a\r\n"


def hello(request: Request) -> Response:
    return Response(200, [(b"content-type", b"text/plain")], f"{request.path}".encode())


async def echo(request: Request) -> Response:
    return Response(200, [], await request.read(1 << 20))


def test_an_answer_on_both_kinds_of_socket() -> None:
    peers = []

    def handler(request: Request) -> Response:
        peers.append((request.peer, request.listener))
        return hello(request)

    async def main() -> None:
        async with serving(handler) as site:
            for client in (await site.unix(), await site.tcp()):
                for _ in range(3):
                    answer = await client.get(GET.replace(b"/ ", b"/a/../b?c=1 "))
                    assert (answer.status, answer.body) == (200, b"/b")
                    assert answer.headers.get(b"content-type") == b"text/plain"
                    assert answer.headers.get(b"date")
                await client.close()
            counters = site.server.counters
            assert (counters.accepted, counters.requests, counters.responses["2xx"]) == (2, 6, 6)
            await until(lambda: counters.open == 0)

    run(main())
    assert peers[0][1] == "unix"
    assert (peers[0][0].uid, peers[0][0].pid) == (os.getuid(), os.getpid())
    assert peers[3][1] == "tcp"
    assert peers[3][0].address == "127.0.0.1"


def test_pipelined_requests_are_answered_in_order() -> None:
    async def handler(request: Request) -> Response:
        await asyncio.sleep(0.02 if request.path == "/slow" else 0)
        return hello(request)

    def either(request: Request) -> "Response | Awaitable[Response]":
        return hello(request) if request.path == "/now" else handler(request)

    async def main() -> None:
        async with serving(either) as site:
            client = await site.unix()
            paths = ["/slow", "/now", "/x", "/now", "/now", "/slow"] + ["/now"] * 50
            client.send(b"".join(GET.replace(b"/ ", p.encode() + b" ") for p in paths))
            for path in paths:
                assert (await client.answer()).body == path.encode()
            await client.close()

    run(main())


def test_bodies_in_every_framing() -> None:
    async def main() -> None:
        async with serving(echo) as site:
            client = await site.tcp()
            client.send(POST + b"Content-Length: 5\r\n\r\nhello")
            assert (await client.answer()).body == b"hello"
            client.send(POST + b"Transfer-Encoding: chunked\r\n\r\n")
            for piece in (b"2\r\nhe\r\n", b"3;x\r\nllo\r\n", b"0\r\nA: b\r\n\r\n"):
                client.send(piece)
                await client.writer.drain()
            assert (await client.answer()).body == b"hello"
            big = os.urandom(900_000)
            client.send(POST + b"Content-Length: %d\r\n\r\n" % len(big) + big)
            assert (await client.answer()).body == big
            await client.close()

    run(main())


def test_a_body_is_read_no_faster_than_the_handler_takes_it() -> None:
    go = asyncio.Event()
    total = 32 << 20

    async def slow(request: Request) -> Response:
        await go.wait()
        size = 0
        async for chunk in request:
            size += len(chunk)
        return Response(200, [], b"%d" % size)

    async def main() -> None:
        async with serving(slow) as site:
            client = await site.unix()
            client.send(POST + b"Content-Length: %d\r\n\r\n" % total)
            client.send(bytes(total))
            await until(lambda: site.server.counters.requests)
            for _ in range(20):
                await asyncio.sleep(0)
            assert site.server.counters.bytes_in < 2 << 20
            go.set()
            assert (await client.answer()).body == b"%d" % total
            await client.close()

    run(main())


def test_trailers_of_a_request_and_of_an_answer() -> None:
    async def handler(request: Request) -> Response:
        await request.read(100)
        assert request.trailers is not None
        value = request.trailers.get(b"sum") or b""

        async def body() -> AsyncIterator[bytes]:
            yield b"x"

        return Response(200, [], body(), trailers=lambda: [(b"sum", value)])

    async def main() -> None:
        async with serving(handler) as site:
            client = await site.unix()
            client.send(POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nSum: 7\r\n\r\n")
            answer = await client.answer()
            assert answer.trailers.items == [(b"sum", b"7")]
            await client.close()

    run(main())


def test_a_stream_arrives_as_it_is_made_and_is_chunked() -> None:
    step = asyncio.Event()

    async def events() -> AsyncIterator[bytes]:
        yield b"one"
        await step.wait()
        yield b""
        yield b"two"

    async def main() -> None:
        async with serving(lambda _: Response(200, [], events())) as site:
            client = await site.unix()
            client.send(GET)
            head = await client.head()
            assert head.headers.get(b"transfer-encoding") == b"chunked"
            assert await client.piece() == b"one"
            step.set()
            assert await client.piece() == b"two"
            await client.close()

    run(main())


def test_a_stream_is_close_delimited_for_http_1_0_and_counted_when_its_length_is_known() -> None:
    async def events() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    def handler(request: Request) -> Response:
        return Response(200, [], events(), length=6 if request.path == "/known" else None)

    async def main() -> None:
        async with serving(handler) as site:
            client = await site.unix()
            answer = await client.get(GET.replace(b"1.1", b"1.0"))
            assert answer.body == b"onetwo"
            assert answer.headers.get(b"transfer-encoding") is None
            assert await client.closed()
            await client.close()
            client = await site.unix()
            answer = await client.get(GET.replace(b"/ ", b"/known "))
            assert answer.headers.get(b"content-length") == b"6"
            await client.close()

    run(main())


@pytest.mark.parametrize("half", [False, True])
def test_a_stream_ends_when_the_client_leaves(half: bool) -> None:
    left = asyncio.Event()

    async def events() -> AsyncIterator[bytes]:
        try:
            yield b"one"
            await asyncio.Event().wait()
        finally:
            left.set()

    async def main() -> None:
        async with serving(lambda _: Response(200, [], events())) as site:
            client = await site.tcp()
            client.send(GET)
            await client.head()
            await client.piece()
            if half:
                client.writer.write_eof()
            else:
                client.writer.transport.abort()
            await left.wait()
            await until(lambda: site.server.counters.open == 0)
            await until(lambda: site.server.counters.busy == 0)
            await client.close()

    run(main())


@pytest.mark.parametrize("half", [False, True])
def test_a_handler_that_waits_does_so_for_somebody(half: bool) -> None:
    waiting, left = asyncio.Event(), asyncio.Event()

    async def wait(request: Request) -> Response:
        request.waits = True
        waiting.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()
        raise AssertionError

    async def main() -> None:
        async with serving(wait) as site:
            client = await site.unix()
            client.send(GET)
            await waiting.wait()
            if half:
                client.writer.write_eof()
            else:
                await client.close()
            await left.wait()
            await until(lambda: site.server.counters.open == 0)
            await client.close()

    run(main())


def test_a_stream_waits_for_a_slow_client() -> None:
    made = 0

    async def events() -> AsyncIterator[bytes]:
        nonlocal made
        for _ in range(400):
            made += 1
            yield bytes(65536)

    async def main() -> None:
        async with serving(lambda _: Response(200, [], events())) as site:
            client = await site.unix()
            client.send(GET)
            await client.head()
            await asyncio.sleep(0.05)
            assert made < 100
            while made < 400:
                await client.piece()
            await client.close()

    run(main())


def test_a_stream_that_fails_is_truncated_and_reported() -> None:
    async def events() -> AsyncIterator[bytes]:
        yield b"one"
        raise ValueError("broken")

    async def main() -> None:
        async with serving(lambda _: Response(200, [], events())) as site:
            client = await site.unix()
            client.send(GET)
            await client.head()
            assert not await client.closed() or client.parser.buffered
            assert site.server.counters.truncated == 1
            assert isinstance(site.errors[0], ValueError)
            await client.close()

    run(main())


def test_head_has_the_headers_of_get_and_no_body() -> None:
    async def main() -> None:
        async with serving(hello) as site:
            client = await site.unix()
            client.send(GET.replace(b"GET", b"HEAD"))
            answer = await client.answer("HEAD")
            assert answer.headers.get(b"content-length") == b"1"
            assert (await client.get()).body == b"/"
            await client.close()

    run(main())


def test_100_continue_comes_only_when_the_body_is_read() -> None:
    def handler(request: Request) -> "Response | Awaitable[Response]":
        return echo(request) if request.path == "/echo" else Response(403)

    async def main() -> None:
        async with serving(handler) as site:
            client = await site.unix()
            client.send(POST + b"Content-Length: 2\r\nExpect: 100-Continue\r\n\r\n")
            assert (await client.head()).status == 100
            client.send(b"hi")
            assert (await client.answer()).body == b"hi"
            client.send(POST.replace(b"echo", b"no") + b"Content-Length: 2\r\n")
            client.send(b"Expect: 100-continue\r\n\r\n")
            answer = await client.answer()
            assert answer.status == 403
            assert not answer.keep_alive
            assert await client.closed()
            await client.close()
            client = await site.unix()
            answer = await client.get(GET[:-2] + b"Expect: 200-ok\r\n\r\n")
            assert answer.status == 417
            await client.close()

    run(main())


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: a\n\n", 400),
        (b"\x16\x03\x01", 400),
        (b"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (GET[:-2] + b"A: " + b"x" * 40000 + b"\r\n\r\n", 431),
        (POST + b"Content-Length: 99999999999\r\n\r\n", 413),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (POST + b"Content-Length: 2000000\r\n\r\n", 413),
    ],
)
def test_errors_are_problem_documents_that_the_client_can_read(data: bytes, status: int) -> None:
    async def main() -> None:
        async with serving(echo) as site:
            client = await site.tcp()
            # More than fits into any buffer: without lingering the answer would be lost to a reset.
            client.send(data + b"x" * 300_000)
            answer = await client.answer()
            assert answer.status == status
            assert not answer.keep_alive
            assert answer.headers.get(b"content-type") == b"application/problem+json"
            problem = json.loads(answer.body)
            assert problem["status"] == status
            assert problem["detail"].startswith("cannot ")
            assert await client.closed()
            await client.close()

    run(main())


def test_a_handler_that_raises_is_answered_500_and_reported() -> None:
    def handler(request: Request) -> "Response | Awaitable[Response]":
        if request.path == "/refuse":
            raise Refusal(409, "cannot do it", [(b"retry-after", b"1")])
        if request.path == "/later":
            return later(request)
        raise ZeroDivisionError

    async def later(request: Request) -> Response:
        raise LookupError

    async def main() -> None:
        async with serving(handler) as site:
            client = await site.unix()
            assert (await client.get()).status == 500
            answer = await client.get(GET.replace(b"/ ", b"/refuse "))
            assert (answer.status, answer.headers.get(b"retry-after")) == (409, b"1")
            assert (await client.get(GET.replace(b"/ ", b"/later "))).status == 500
            assert [type(e) for e in site.errors] == [ZeroDivisionError, LookupError]
            assert site.server.counters.failures == 2
            await client.close()

    run(main())


@pytest.mark.parametrize(
    "response",
    [
        Response(200, [(b"a", b"b\r\nc: d")]),
        Response(200, [(b"content-length", b"1")]),
        Response(204, [], b"x"),
        Response(101),
        Response(700),
    ],
)
def test_an_answer_that_is_no_http_becomes_500(response: Response) -> None:
    async def main() -> None:
        async with serving(lambda _: response) as site:
            client = await site.unix()
            assert (await client.get()).status == 500
            assert len(site.errors) == 1
            await client.close()

    run(main())


@pytest.mark.parametrize("path", [b"/sync", b"/async"])
def test_a_handler_that_answers_with_something_else_is_reported(path: bytes) -> None:
    async def nothing() -> None:
        return None

    def handler(request: Request) -> "Response | Awaitable[Response]":
        return nothing() if request.path == "/async" else None  # type: ignore[return-value]

    async def main() -> None:
        async with serving(handler) as site:
            client = await site.unix()
            for _ in range(2):
                assert (await client.get(GET.replace(b"/ ", path + b" "))).status == 500
            assert all(isinstance(error, TypeError) for error in site.errors)
            await client.close()

    run(main())


def test_a_large_answer_arrives_whole() -> None:
    body = os.urandom(3 << 20)

    async def main() -> None:
        async with serving(lambda _: Response(200, [], body)) as site:
            client = await site.tcp()
            client.send(GET * 3)
            for _ in range(3):
                assert (await client.answer()).body == body
            await client.close()

    run(main())


@pytest.mark.parametrize("status", [204, 304])
def test_answers_without_a_body_keep_the_connection(status: int) -> None:
    async def main() -> None:
        async with serving(lambda _: Response(status)) as site:
            client = await site.unix()
            for _ in range(2):
                answer = await client.get()
                assert answer.status == status
                assert answer.headers.get(b"content-length") is None
            await client.close()

    run(main())


def test_connection_close_and_http_1_0() -> None:
    async def main() -> None:
        async with serving(hello) as site:
            for lines, alive in ((b"Connection: close\r\n", False), (b"", True)):
                client = await site.unix()
                answer = await client.get(GET[:-2] + lines + b"\r\n")
                assert answer.keep_alive is alive
                if not alive:
                    assert await client.closed()
                await client.close()
            client = await site.unix()
            answer = await client.get(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            assert answer.headers.get(b"connection") == b"keep-alive"
            assert (await client.get(b"GET / HTTP/1.0\r\n\r\n")).keep_alive is False
            assert await client.closed()
            await client.close()

    run(main())


def test_a_client_that_half_closes_gets_its_answer() -> None:
    async def main() -> None:
        async with serving(echo) as site:
            client = await site.tcp()
            client.send(POST + b"Content-Length: 2\r\n\r\nhi")
            client.writer.write_eof()
            assert (await client.answer()).body == b"hi"
            assert await client.closed()
            await client.close()

    run(main())


def test_no_more_connections_than_the_bound_and_the_rest_wait() -> None:
    async def main() -> None:
        async with serving(hello, ServerLimits(max_connections=2)) as site:
            first, second, third = [await site.unix() for _ in range(3)]
            await first.get()
            await second.get()
            third.send(GET)
            assert not site.server.accepting
            assert site.server.counters.open == 2
            await first.close()
            assert (await third.answer()).status == 200
            await second.close()
            await third.close()

    run(main())


def test_accepting_can_pause_and_nobody_is_refused() -> None:
    async def main() -> None:
        async with serving(hello) as site:
            site.server.pause_accepting()
            client = await site.unix()
            client.send(GET)
            assert site.server.counters.accepted == 0
            site.server.resume_accepting()
            assert (await client.answer()).status == 200
            await client.close()

    run(main())


def test_an_unread_body_ends_the_connection_after_the_answer() -> None:
    async def main() -> None:
        async with serving(lambda _: Response(401)) as site:
            client = await site.unix()
            client.send(POST + b"Content-Length: 5\r\n\r\nhello")
            assert (await client.answer()).keep_alive
            client.send(POST + b"Content-Length: 5\r\n\r\nhe")
            assert not (await client.answer()).keep_alive
            await client.close()

    run(main())


def test_the_blocking_client() -> None:
    async def stream() -> AsyncIterator[bytes]:
        for number in range(3):
            yield b"%d\n" % number

    def handler(request: Request) -> "Response | Awaitable[Response]":
        if request.path == "/stream":
            return Response(200, [], stream())
        return echo(request)

    def talk(client: BlockingClient) -> None:
        with client:
            with client.request("GET", "/stream") as answer:
                assert b"".join(answer) == b"0\n1\n2\n"
            assert client.request("POST", "/", body=b"x").read() == b"x"
            assert client.request("POST", "/", body=iter([b"x", b"y"])).read() == b"xy"
            assert client.request("HEAD", "/stream").read() == b""
            assert client.request("PUT", "/", [(b"a", b"b")], b"").read() == b""

    async def main() -> None:
        async with serving(handler) as site:
            await asyncio.to_thread(talk, BlockingClient.unix(site.path))
            await asyncio.to_thread(talk, BlockingClient.tcp("127.0.0.1", site.port))

    run(main())


def test_the_blocking_client_takes_a_new_connection_when_its_own_has_gone_stale() -> None:
    async def main() -> None:
        async with serving(hello, ServerLimits(idle_timeout_s=0.05)) as site:
            client = BlockingClient.unix(site.path)

            def twice() -> None:
                with client:
                    assert client.request("GET", "/").read() == b"/"
                    stop.wait(10)
                    assert client.request("GET", "/").read() == b"/"

            import threading

            stop = threading.Event()
            task = asyncio.create_task(asyncio.to_thread(twice))
            await until(lambda: site.server.counters.requests == 1)
            await until(lambda: site.server.counters.open == 0)
            stop.set()
            await task

    run(main())


def test_the_plain_event_loop_serves_too() -> None:
    async def main() -> None:
        async with serving(echo) as site:
            client = await site.unix()
            client.send(POST + b"Content-Length: 2\r\n\r\nhi")
            assert (await client.answer()).body == b"hi"
            await client.close()

    asyncio.run(asyncio.wait_for(main(), 10))


def test_sockets_are_left_open() -> None:
    async def main() -> None:
        async with serving(hello) as site:
            await site.server.close()
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(site.path)  # the backlog takes it

    run(main())
