"""Tunnels over real sockets: both ends play, the Relay is between."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Self

from ambassador_edges import Catcher, Edge, run, until
from pillion.ambassador.tunnel import CUT, EOF, IDLE, RESET, Held, Relay, RelayEnd, Tunnels

if TYPE_CHECKING:
    from pillion.ambassador.peer import Peer


class Tunnel:
    """Client ends `a` and `b` as asyncio streams, joined by a Relay in the middle."""

    def __init__(self, idle_s: float = 30.0, first_a: bytes = b"", first_b: bytes = b"") -> None:
        self.ends: list[RelayEnd] = []
        self.tunnels = Tunnels()
        self.peers: list[Catcher] = []
        self._options = (idle_s, first_a, first_b)

    async def __aenter__(self) -> Self:
        self.edge = Edge(self._accepted)
        self.a = await asyncio.open_connection(*self.edge.address)
        await until(lambda: len(self.peers) == 1, "the first connection")
        self.b = await asyncio.open_connection(*self.edge.address)
        await until(lambda: len(self.peers) == 2, "the second connection")
        a, b = (catcher.transport for catcher in self.peers)
        assert a is not None
        assert b is not None
        idle_s, first_a, first_b = self._options
        self.relay = Relay(
            a,
            b,
            first_a=first_a,
            first_b=first_b,
            idle_s=idle_s,
            ended=self.ends.append,
            tunnels=self.tunnels,
        )
        return self

    def _accepted(self, peer: Peer) -> Catcher:
        catcher = _Accepted(self.peers)
        self.peer = peer
        return catcher

    async def end(self) -> RelayEnd:
        await until(lambda: self.ends, "the end of the tunnel")
        assert len(self.ends) == 1
        assert len(self.tunnels) == 0
        return self.ends[0]

    async def __aexit__(self, *_: object) -> None:
        for _reader, writer in (self.a, self.b):
            writer.close()
        self.tunnels.abort()
        await until(lambda: len(self.tunnels) == 0, "the end of all tunnels")
        async with self.edge:
            pass


class _Accepted(Catcher):
    def __init__(self, made: list[Catcher]) -> None:
        super().__init__()
        self._made = made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._made.append(self)


def test_bytes_pass_both_ways_and_those_read_before_come_first() -> None:
    async def work() -> None:
        async with Tunnel(first_a=b"early ", first_b=b"first ") as tunnel:
            (a_in, a_out), (b_in, b_out) = tunnel.a, tunnel.b
            a_out.write(b"to b")
            b_out.write(b"to a")
            assert await b_in.readexactly(10) == b"early to b"
            assert await a_in.readexactly(10) == b"first to a"
            a_out.write_eof()
            b_out.write_eof()
            end = await tunnel.end()
            assert (end.bytes_ab, end.bytes_ba, end.why) == (10, 10, EOF)
            assert await a_in.read() == b""
            assert await b_in.read() == b""

    run(work())


def test_a_half_close_is_kept() -> None:
    async def work() -> None:
        async with Tunnel() as tunnel:
            (a_in, a_out), (b_in, b_out) = tunnel.a, tunnel.b
            a_out.write(b"question")
            a_out.write_eof()
            assert await b_in.read() == b"question"
            assert not tunnel.ends
            # The other direction goes on for as long as it likes.
            for _ in range(5):
                b_out.write(b"answer")
                assert await a_in.readexactly(6) == b"answer"
            b_out.write_eof()
            assert await a_in.read() == b""
            end = await tunnel.end()
            assert (end.bytes_ab, end.bytes_ba, end.why) == (8, 30, EOF)

    run(work())


def test_a_reset_is_passed_on_as_a_reset() -> None:
    async def work() -> None:
        async with Tunnel() as tunnel:
            (_, a_out), (b_in, b_out) = tunnel.a, tunnel.b
            a_out.write(b"half a mess")
            assert await b_in.readexactly(11) == b"half a mess"
            b_out.write(b"unread")  # what is unread makes a close a reset
            sock = a_out.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            a_out.transport.abort()
            end = await tunnel.end()
            assert (end.why, end.side) == (RESET, "a")
            try:
                rest = await b_in.read()
            except ConnectionResetError:
                rest = None
            assert rest is None, "the cut looked like an end"

    run(work())


def test_a_slow_reader_holds_the_other_side_and_costs_no_memory() -> None:
    async def work() -> None:
        async with Tunnel() as tunnel:
            (_, a_out), (b_in, _) = tunnel.a, tunnel.b
            b_in._transport.pause_reading()  # type: ignore[attr-defined]
            sent = 0
            chunk = bytes(65536)
            while a_out.transport.get_write_buffer_size() < 1 << 20 and sent < 64 << 20:
                a_out.write(chunk)
                sent += len(chunk)
                await asyncio.sleep(0)
            assert sent < 64 << 20, "nothing held the writer back"
            b = tunnel.peers[1].transport
            assert b is not None
            await until(lambda: tunnel.relay._a.held, "the reading side to be held")
            assert b.get_write_buffer_size() <= (256 + 256) * 1024
            b_in._transport.resume_reading()  # type: ignore[attr-defined]
            a_out.write_eof()
            got = 0
            while data := await b_in.read(1 << 20):
                got += len(data)
            assert got == sent

    run(work())


def test_a_silent_tunnel_is_cut_and_a_busy_one_is_not() -> None:
    async def work() -> None:
        async with Tunnel(idle_s=0.4) as tunnel:
            (a_in, a_out), (b_in, _) = tunnel.a, tunnel.b
            loop = asyncio.get_running_loop()
            busy_until = loop.time() + 1.0
            while loop.time() < busy_until:
                a_out.write(b"x")
                await b_in.readexactly(1)
                await asyncio.sleep(0.05)
            assert not tunnel.ends
            last = loop.time()
            end = await tunnel.end()
            assert end.why == IDLE
            assert loop.time() - last >= 0.3
            assert tunnel.tunnels.idle == 1
            with contextlib.suppress(ConnectionResetError):
                assert await a_in.read() == b""

    run(work())


def test_draining_waits_and_then_cuts() -> None:
    async def work() -> None:
        async with Tunnel() as tunnel:
            assert await tunnel.tunnels.drained(0.1) == 1
            assert (await tunnel.end()).why == CUT
            assert await tunnel.tunnels.drained(0.1) == 0

    run(work())


def test_a_side_that_is_gone_already_ends_the_tunnel() -> None:
    async def work() -> None:
        async with Tunnel() as tunnel:
            await asyncio.sleep(0)
        edge = Edge(tunnel._accepted)
        tunnel.peers.clear()
        streams = [await asyncio.open_connection(*edge.address) for _ in range(2)]
        await until(lambda: len(tunnel.peers) == 2, "both connections")
        a, b = (catcher.transport for catcher in tunnel.peers)
        assert a is not None
        assert b is not None
        a.abort()
        ends: list[RelayEnd] = []
        tunnels = Tunnels()
        Relay(a, b, first_b=b"x", idle_s=1.0, ended=ends.append, tunnels=tunnels)
        assert not ends, "told before the Relay was handed out"
        await until(lambda: ends, "the end")
        assert ends[0].why == RESET
        assert len(tunnels) == 0
        for _, writer in streams:
            writer.close()
        async with edge:
            pass

    run(work())


def test_a_tunnel_that_may_be_silent_for_long_is_watched_by_the_kernel() -> None:
    async def work() -> None:
        for idle_s, watched in ((0.0, True), (3600.0, True), (30.0, False)):
            async with Tunnel(idle_s=idle_s) as tunnel:
                for caught in tunnel.peers:
                    assert caught.transport is not None
                    sock = caught.transport.get_extra_info("socket")
                    alive = sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                    assert bool(alive) is watched

    run(work())


def _other_end(one: Held) -> object:
    assert one.transport is not None
    return one.transport.get_extra_info("peername")


def test_data_and_end_that_came_before_the_tunnel_are_kept() -> None:
    async def work() -> None:
        made: list[Held] = []

        def factory(peer: Peer) -> Held:
            made.append(Held())
            return made[-1]

        async with Edge(factory) as edge:
            streams = [await asyncio.open_connection(*edge.address) for _ in range(2)]
            await until(lambda: len(made) == 2 and made[1].transport, "both")
            # One says something and ends, the other ends at once. A pause after the first bytes leaves the end in the kernel.
            for said, (_, writer) in zip((b"banner", b""), streams, strict=True):
                writer.write(said)
                writer.write_eof()
            mine = streams[0][1].get_extra_info("sockname")
            made.sort(key=lambda one: _other_end(one) != mine)
            await until(lambda: made[0].first and made[1].finished, "what came first")
            a, b = made
            assert a.transport is not None
            assert b.transport is not None
            assert not a.lost
            ends: list[RelayEnd] = []
            tunnels = Tunnels()
            Relay(
                a.transport,
                b.transport,
                first_a=a.first,
                first_b=b.first,
                idle_s=30.0,
                ended=ends.append,
                tunnels=tunnels,
            )
            for said, (reader, writer) in zip((b"", b"banner"), streams, strict=True):
                assert await reader.read() == said
                writer.close()
            await until(lambda: ends, "the end")
            assert (ends[0].bytes_ab, ends[0].bytes_ba, ends[0].why) == (6, 0, EOF)

    run(work())
