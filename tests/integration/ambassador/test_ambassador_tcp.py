"""Raw TCP through the ambassador's parts: a listener, the policy, and real servers that do well or badly."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from concurrent.futures import ThreadPoolExecutor
from random import Random
from time import monotonic
from typing import TYPE_CHECKING, Any, Self

import grpc
import pytest

from ambassador_edges import Edge, listening, run, until
from pillion.ambassador.connector import Connector
from pillion.ambassador.endpoints import EndpointGroup
from pillion.ambassador.live import Lasting, LiveUpstream
from pillion.ambassador.snapshot import EndpointSpec
from pillion.ambassador.tcp import TcpProxy
from pillion.ambassador.tunnel import Tunnels
from pillion.settings.policies import Breaker, Fault, Limit, Retry, Timeouts
from pillion.settings.upstreams import Upstream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pillion.ambassador.facts import Facts

    Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send back what comes, and end when the other side has ended."""
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accept, and reset at once."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    writer.transport.abort()


def refusing() -> int:
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


class Site:
    """Servers, an upstream of them, and a listener in front."""

    def __init__(self, *handlers: Handler | int, **settings: Any) -> None:
        self._handlers = handlers
        self.settings = Upstream(service="db", protocol="tcp", **settings)
        self.facts: list[Facts] = []
        self.transitions: list[tuple[str, str]] = []
        self.servers: list[asyncio.Server] = []

    async def __aenter__(self) -> Self:
        specs = []
        for at, handler in enumerate(self._handlers):
            if isinstance(handler, int):
                port = handler
            else:
                server = await asyncio.start_server(handler, "127.0.0.1", 0)
                self.servers.append(server)
                port = server.sockets[0].getsockname()[1]
            specs.append(EndpointSpec(id=str(at), address="127.0.0.1", port=port))
        now = monotonic()
        self.group = EndpointGroup(self.settings, "", Random(1), self._changed)
        self.group.update(specs, self.settings, now)
        lasting = Lasting(self.group, self.settings.retry)
        lasting.configure(self.settings.limit, self.settings.retry, now)
        self.upstream = LiveUpstream("db", self.settings, lasting, None, "")
        self.tunnels = Tunnels()
        sock = listening()
        # The factory is wanted before its proxy can be made of the edge's tasks.
        self.edge = Edge(lambda peer: self.proxy.accept(peer), sock=sock)
        self.proxy = TcpProxy(
            "upstream:db",
            self.upstream,
            connector=Connector(),
            tunnels=self.tunnels,
            tasks=self.edge.tasks,
            random=Random(1),
            ended=self.facts.append,
            wall_ns=lambda now: int(now * 1e9),
        )
        return self

    def _changed(self, endpoint: object, old: str, new: str, why: str) -> None:
        self.transitions.append((old, new))

    async def client(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*self.edge.address)

    async def told(self, count: int = 1) -> Facts:
        await until(lambda: len(self.facts) >= count, f"{count} accounts")
        assert len(self.facts) == count
        return self.facts[-1]

    async def __aexit__(self, kind: object, *_: object) -> None:
        self.tunnels.abort()
        await until(lambda: self.edge.counters.open == 0, "all clients to be gone")
        if kind is None:
            assert all(endpoint.active == 0 for endpoint in self.group.endpoints)
            assert self.upstream.gate is None or self.upstream.gate.active == 0
        async with self.edge:
            pass
        for server in self.servers:
            server.close()


async def read_reset(reader: asyncio.StreamReader) -> None:
    with pytest.raises(ConnectionResetError):
        await reader.read()


def test_bytes_and_ends_pass_and_are_told_of() -> None:
    async def work() -> None:
        async with Site(echo) as site:
            reader, writer = await site.client()
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"
            assert site.group.endpoints[0].active == 1
            writer.write_eof()
            assert await reader.read() == b""
            facts = await site.told()
            assert (facts.bytes_in, facts.bytes_out) == (5, 5)
            assert (facts.version, facts.status, facts.reason, facts.note) == ("tcp", 0, "", "")
            assert facts.upstream == "db"
            assert facts.endpoint == site.group.endpoints[0].key
            assert facts.attempts == 1
            assert 0 <= facts.connect_s <= facts.first_s <= facts.total_s
            assert facts.peer == "127.0.0.1"
            writer.close()

    run(work())


def test_a_question_that_ends_at_once_gets_its_answer() -> None:
    """The client half-closes before the endpoint is even connected."""

    async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        question = await reader.read()
        writer.write(b"answer to " + question)
        writer.close()

    async def work() -> None:
        async with Site(answers) as site:
            reader, writer = await site.client()
            writer.write(b"all")
            writer.write_eof()
            assert await reader.read() == b"answer to all"
            assert (await site.told()).reason == ""
            writer.close()

    run(work())


def test_a_banner_that_is_all_there_is_arrives() -> None:
    async def banner(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"x" * 100_000)
        writer.close()

    async def work() -> None:
        async with Site(banner) as site:
            reader, writer = await site.client()
            assert len(await reader.read()) == 100_000
            writer.close()
            facts = await site.told()
            assert (facts.bytes_out, facts.reason) == (100_000, "")

    run(work())


def test_another_endpoint_is_tried_when_one_refuses() -> None:
    async def work() -> None:
        async with Site(refusing(), echo, retry=Retry(attempts=1, initial_s=0.0)) as site:
            for count in range(1, 9):
                reader, writer = await site.client()
                writer.write(b"ping")
                assert await reader.readexactly(4) == b"ping"
                writer.close()
                facts = await site.told(count)
                assert facts.reason == ""
                assert facts.attempts in (1, 2)
            assert any(facts.attempts == 2 for facts in site.facts)

    run(work())


def test_where_nothing_answers_the_client_is_reset_and_the_circuit_opens() -> None:
    async def work() -> None:
        breaker = Breaker(consecutive=3, ratio=None, open_s=60.0)
        async with Site(refusing(), retry=Retry(attempts=0), breaker=breaker) as site:
            for count in range(1, 6):
                reader, writer = await site.client()
                await read_reset(reader)
                writer.close()
                facts = await site.told(count)
                assert facts.reason == ("connect-failed" if count <= 3 else "circuit-open")
            assert site.transitions == [("closed", "open")]

    run(work())


def test_an_endpoint_that_resets_before_it_says_anything_has_failed() -> None:
    async def work() -> None:
        breaker = Breaker(consecutive=2, ratio=None, open_s=60.0)
        async with Site(resets, breaker=breaker) as site:
            for count in (1, 2, 3):
                reader, writer = await site.client()
                await read_reset(reader)
                writer.close()
                await site.told(count)
            assert [facts.reason for facts in site.facts] == [
                "upstream-reset",
                "upstream-reset",
                "circuit-open",
            ]

    run(work())


def test_silence_is_connect_timeout_and_no_endpoint_is_said() -> None:
    async def work() -> None:
        full = socket.create_server(("127.0.0.1", 0), backlog=0)
        fill = []
        for _ in range(3):  # the kernel drops what does not fit into the backlog
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(full.getsockname())
            fill.append(one)
        port = full.getsockname()[1]
        async with Site(port, retry=Retry(attempts=0), timeout=Timeouts(connect_s=0.2)) as site:
            reader, writer = await site.client()
            await read_reset(reader)
            writer.close()
            assert (await site.told()).reason == "connect-timeout"
            site.group.update((), site.settings, monotonic())
            reader, writer = await site.client()
            await read_reset(reader)
            writer.close()
            assert (await site.told(2)).reason == "no-endpoint"
            site.proxy.upstream = None
            reader, writer = await site.client()
            await read_reset(reader)
            writer.close()
            assert (await site.told(3)).reason == "no-endpoint"
        for one in (full, *fill):
            one.close()

    run(work())


def test_places_are_bounded_and_those_who_wait_get_theirs() -> None:
    async def work() -> None:
        limit = Limit(concurrency=1, queue=1, queue_timeout_s=30.0)
        async with Site(echo, limit=limit) as site:
            first = await site.client()
            first[1].write(b"a")
            assert await first[0].readexactly(1) == b"a"
            second = await site.client()
            gate = site.upstream.gate
            assert gate is not None
            await until(lambda: gate.waiting == 1, "the second to wait")
            third = await site.client()
            await read_reset(third[0])
            assert (await site.told()).reason == "overloaded"
            second[1].write(b"b")
            first[1].close()
            assert await second[0].readexactly(1) == b"b"
            assert gate.active == 1
            for _, writer in (second, third):
                writer.close()

    run(work())


def test_who_waits_too_long_is_reset() -> None:
    async def work() -> None:
        limit = Limit(concurrency=1, queue=1, queue_timeout_s=0.1)
        async with Site(echo, limit=limit) as site:
            first = await site.client()
            first[1].write(b"a")
            assert await first[0].readexactly(1) == b"a"
            second = await site.client()
            await read_reset(second[0])
            assert (await site.told()).reason == "queue-timeout"
            for _, writer in (first, second):
                writer.close()

    run(work())


def test_who_leaves_frees_the_queue() -> None:
    async def work() -> None:
        limit = Limit(concurrency=1, queue=1, queue_timeout_s=600.0)
        async with Site(echo, limit=limit) as site:
            first = await site.client()
            first[1].write(b"a")
            assert await first[0].readexactly(1) == b"a"
            gate = site.upstream.gate
            assert gate is not None
            second = await site.client()
            await until(lambda: gate.waiting == 1, "the second to wait")
            sock = second[1].get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            second[1].transport.abort()
            await until(lambda: gate.waiting == 0, "the queue to be free")
            assert (await site.told()).note == "client-left"
            first[1].close()

    run(work())


def test_rate_and_fault_are_refusals_that_say_so() -> None:
    async def work() -> None:
        async with Site(echo, limit=Limit(rate=0.01, burst=1)) as site:
            first = await site.client()
            first[1].write(b"a")
            assert await first[0].readexactly(1) == b"a"
            second = await site.client()
            await read_reset(second[0])
            assert (await site.told()).reason == "rate-limited"
            for _, writer in (first, second):
                writer.close()
        async with Site(echo, fault=Fault(abort=503)) as site:
            reader, writer = await site.client()
            await read_reset(reader)
            assert (await site.told()).reason == "fault-injected"
            writer.close()

    run(work())


def test_an_idle_connection_is_cut_and_named() -> None:
    async def work() -> None:
        async with Site(echo, timeout=Timeouts(idle_s=0.2)) as site:
            reader, writer = await site.client()
            writer.write(b"a")
            assert await reader.readexactly(1) == b"a"
            with pytest.raises(ConnectionResetError):
                await reader.readexactly(1)
            assert (await site.told()).reason == "idle-timeout"
            writer.close()

    run(work())


def test_the_endpoint_is_told_who_the_client_is() -> None:
    async def says(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        writer.write(b"got " + line)
        writer.close()

    async def work() -> None:
        async with Site(says, proxy_protocol="v1") as site:
            reader, writer = await site.client()
            mine = writer.get_extra_info("sockname")
            answer = (await reader.readline()).decode().split()
            assert answer == [
                *("got", "PROXY", "TCP4", "127.0.0.1", "127.0.0.1"),
                str(mine[1]),
                str(site.edge.address[1]),
            ]
            writer.close()

    run(work())


def test_a_connection_that_stands_closes_a_half_open_circuit() -> None:
    async def work() -> None:
        breaker = Breaker(consecutive=1, ratio=None, open_s=0.1)
        async with Site(echo, retry=Retry(attempts=0), breaker=breaker) as site:
            endpoint = site.group.endpoints[0]
            token = endpoint.breaker.begin(monotonic())
            endpoint.breaker.end(token, False, monotonic())
            assert endpoint.breaker.state == "open"
            await until(lambda: endpoint.breaker.retry_after(monotonic()) == 0.0, "the open time")
            reader, writer = await site.client()
            writer.write(b"a")
            assert await reader.readexactly(1) == b"a"
            assert endpoint.breaker.state == "half-open"
            await until(lambda: endpoint.breaker.state == "closed", "the trial's verdict")
            assert not site.facts, "the connection goes on"
            writer.close()

    run(work())


def test_draining_cuts_what_is_left() -> None:
    async def work() -> None:
        async with Site(echo) as site:
            reader, writer = await site.client()
            writer.write(b"a")
            assert await reader.readexactly(1) == b"a"
            assert await site.tunnels.drained(0.05) == 1
            facts = await site.told()
            assert (facts.reason, facts.note) == ("draining", "truncated")
            writer.close()

    run(work())


def test_draining_gives_up_what_has_no_tunnel_yet() -> None:
    async def work() -> None:
        limit = Limit(concurrency=1, queue=5, queue_timeout_s=600.0)
        async with Site(echo, limit=limit) as site:
            reader, writer = await site.client()
            writer.write(b"a")
            assert await reader.readexactly(1) == b"a"
            waiting = await site.client()
            await until(lambda: len(site.tunnels) == 2, "the second to wait")
            assert await site.tunnels.drained(0.05) == 2
            await site.told(2)
            assert [facts.reason for facts in site.facts] == ["draining", "draining"]
            await until(lambda: len(site.tunnels) == 0, "the end of both")
            assert await site.tunnels.drained(5.0) == 0
            for one in (writer, waiting[1]):
                one.close()

    run(work())


def test_both_directions_at_once_and_not_a_byte_else() -> None:
    chance = random.Random(11)
    questions = [chance.randbytes(chance.randrange(1, 200_000)) for _ in range(60)]
    answers = [chance.randbytes(chance.randrange(1, 200_000)) for _ in range(60)]

    async def send(writer: asyncio.StreamWriter, pieces: list[bytes]) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        writer.write_eof()

    got: list[bytes] = []

    async def both(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data, _ = await asyncio.gather(reader.read(), send(writer, answers))
        got.append(data)
        writer.close()

    async def work() -> None:
        async with Site(both) as site:
            reader, writer = await site.client()
            data, _ = await asyncio.gather(reader.read(), send(writer, questions))
            assert data == b"".join(answers)
            await until(lambda: got, "the other side")
            assert got[0] == b"".join(questions)
            facts = await site.told()
            assert (facts.bytes_in, facts.bytes_out) == (len(got[0]), len(data))
            writer.close()

    run(work())


def test_grpc_passes_calls_and_streams() -> None:
    """HTTP/2 as bytes: a call, and a stream in both directions."""
    handlers = {
        "Echo": grpc.unary_unary_rpc_method_handler(lambda request, _: request * 2),
        "Chat": grpc.stream_stream_rpc_method_handler(
            lambda requests, _: (request[::-1] for request in requests)
        ),
    }
    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("demo", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()

    def calls(address: str) -> None:
        with grpc.insecure_channel(address) as channel:
            echo = channel.unary_unary("/demo/Echo")
            assert echo(b"x" * 500_000, timeout=20) == b"x" * 1_000_000
            chat = channel.stream_stream("/demo/Chat")
            said = [bytes((at,)) * at for at in range(1, 200)]
            assert list(chat(iter(said), timeout=20)) == said

    async def work() -> None:
        async with Site(port) as site:
            await asyncio.to_thread(calls, f"127.0.0.1:{site.edge.address[1]}")
            facts = await site.told()
            assert (facts.version, facts.reason) == ("tcp", "")
            assert facts.bytes_out > 1_000_000

    try:
        run(work())
    finally:
        server.stop(None).wait(10)
