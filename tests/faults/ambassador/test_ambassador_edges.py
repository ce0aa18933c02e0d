"""The edges against peers that are silent, many, garbage or gone, and without descriptors."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from ambassador_certificates import Authority
from ambassador_edges import Catcher, Edge, listening, run, until
from pillion.ambassador.tls import TlsServer
from pillion.ambassador.tunnel import CUT, IDLE, Relay, RelayEnd, Tunnels

if TYPE_CHECKING:
    from pathlib import Path

    from pillion.ambassador.peer import Peer

_PROCESS = os.path.join(os.path.dirname(__file__), "edge_process.py")


class Site:
    def __init__(self) -> None:
        self.made: list[Catcher] = []

    def factory(self, peer: Peer) -> Catcher:
        self.made.append(Catcher(peer))
        return self.made[-1]

    def ready(self, number: int) -> bool:
        return sum(one.transport is not None for one in self.made) >= number


def test_without_descriptors_nothing_spins_and_nobody_is_lost() -> None:
    with contextlib.ExitStack() as stack:
        sock = stack.enter_context(listening())
        child = stack.enter_context(
            subprocess.Popen(
                [sys.executable, _PROCESS, str(sock.fileno()), "20"],
                pass_fds=[sock.fileno()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        )
        stdin, stdout = child.stdin, child.stdout
        assert stdin is not None
        assert stdout is not None

        def told() -> dict[str, Any]:
            stdin.write(b"?")
            stdin.flush()
            answer: dict[str, Any] = json.loads(stdout.readline())
            return answer

        assert stdout.readline() == b"ready\n"
        clients = [
            stack.enter_context(socket.create_connection(sock.getsockname(), timeout=20))
            for _ in range(50)
        ]
        for at in range(20):
            clients[at].sendall(b"hello")
            assert clients[at].recv(5) == b"hello"
        for client in clients[20:]:
            client.sendall(b"hello")
        before = told()
        deadline = time.monotonic() + 20
        while told()["accept_errors"] < before["accept_errors"] + 3:
            assert time.monotonic() < deadline, "nobody tried to accept again"
            time.sleep(0.02)
        after = told()
        assert (before["open"], after["open"]) == (20, 20)
        # Three pauses are 0.6 s; whoever spins has used most of it, and tried thousands of times.
        assert after["accept_errors"] <= 20
        # Whoever waited in the backlog is served as soon as others leave.
        for at in range(30):
            clients[at].close()
            assert clients[at + 20].recv(5) == b"hello"
        stdin.close()
        assert child.wait(10) == 0


def test_a_crowd_of_silent_handshakes_is_cut_and_a_good_one_served(tmp_path: Path) -> None:
    pair = Authority(tmp_path).issue("shop", dns=("shop.internal",))

    async def work() -> None:
        site = Site()
        tls = TlsServer(cert_file=pair.cert, key_file=pair.key)
        async with (
            Edge(site.factory, tls=tls, handshake_s=1.5, most=400) as edge,
            contextlib.AsyncExitStack() as stack,
        ):
            for _ in range(300):
                stack.enter_context(socket.create_connection(edge.address))
            import ssl

            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            _, writer = await asyncio.open_connection(*edge.address, ssl=context)
            writer.write(b"hello")
            await until(lambda: site.made and site.made[0].data == b"hello", "the good one")
            await until(lambda: edge.counters.handshake_timeouts == 300, "the silent ones' end")
            await until(lambda: edge.listener.opening == 0, "the end of their tasks")
            assert edge.counters.open == 1
            writer.transport.abort()
            await until(lambda: edge.counters.open == 0, "the good one's end")

    run(work())


def test_garbage_is_no_handshake(tmp_path: Path) -> None:
    pair = Authority(tmp_path).issue("shop", dns=("shop.internal",))
    chance = random.Random(7)

    async def work() -> None:
        site = Site()
        tls = TlsServer(cert_file=pair.cert, key_file=pair.key)
        async with Edge(site.factory, tls=tls) as edge:
            for at in range(100):
                data = chance.randbytes(chance.randrange(1, 3000))
                if at % 3 == 0:  # as if it were TLS
                    data = b"\x16\x03\x01" + len(data).to_bytes(2, "big") + b"\x01" + data
                with socket.create_connection(edge.address) as sock:
                    sock.sendall(data)
            await until(lambda: edge.counters.accepted == 100, "all of them")
            await until(lambda: edge.counters.open == 0, "their end")
            assert edge.counters.handshake_errors == 100
            assert not site.made

    run(work())


def test_a_peer_that_takes_nothing_cannot_hold_a_tunnel_that_is_over() -> None:
    async def work() -> None:
        site = Site()
        async with Edge(site.factory) as edge:
            with (
                socket.create_connection(edge.address) as a,
                socket.create_connection(edge.address) as b,
            ):
                await until(lambda: site.ready(2), "both")
                ends: list[RelayEnd] = []
                tunnels = Tunnels()
                one, other = (caught.transport for caught in site.made)
                assert one is not None
                assert other is not None
                Relay(one, other, idle_s=0.4, ended=ends.append, tunnels=tunnels)
                # b says more than a's buffers take, and both end; a never reads.
                b.setblocking(False)
                loop = asyncio.get_running_loop()
                a.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.3):
                        await loop.sock_sendall(b, bytes(32 << 20))
                a.shutdown(socket.SHUT_WR)
                b.shutdown(socket.SHUT_WR)
                await until(lambda: ends, "the end")
                assert ends[0].why == IDLE
                assert len(tunnels) == 0
                for caught in site.made:
                    assert caught.peer is not None
                    caught.peer.left()

    run(work())


@pytest.mark.parametrize("how", ["abort", "leave"])
def test_hundreds_of_tunnels_end_at_once(how: str) -> None:
    async def work() -> None:
        site = Site()
        tunnels = Tunnels()
        ends: list[RelayEnd] = []
        async with Edge(site.factory) as edge, contextlib.AsyncExitStack() as stack:
            socks = [
                stack.enter_context(socket.create_connection(edge.address)) for _ in range(400)
            ]
            await until(lambda: site.ready(400), "all of them")
            for at in range(0, 400, 2):
                one, other = site.made[at].transport, site.made[at + 1].transport
                assert one is not None
                assert other is not None
                Relay(one, other, idle_s=60.0, ended=ends.append, tunnels=tunnels)
            assert len(tunnels) == 200
            if how == "abort":
                assert tunnels.abort() == 200
            else:
                for sock in socks[::2]:
                    linger = b"\1\0\0\0\0\0\0\0"
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    sock.close()
            await until(lambda: len(ends) == 200, "all ends")
            assert len(tunnels) == 0
            if how == "abort":
                assert {end.why for end in ends} == {CUT}
            for caught in site.made:
                assert caught.peer is not None
                caught.peer.left()

    run(work())
