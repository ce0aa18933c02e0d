"""A loop that was late: what the kernel has done meanwhile counts, and our own lateness is no fault of the endpoint."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time

import pytest

from ambassador_edges import listening, run
from pillion.ambassador.connector import CONNECT_TIMEOUT, ConnectFailed, Connector
from pillion.ambassador.patience import GRACE_S, Patience
from pillion.ambassador.snapshot import EndpointSpec

LATE_S = 0.3


def test_a_connection_that_stands_wins_over_its_own_timer() -> None:
    """The process does something else for longer than `timeout.connect`; the endpoint has long answered."""

    async def work() -> None:
        with listening() as sock:
            spec = EndpointSpec("a", *sock.getsockname()[:2])
            for _ in range(5):
                connecting = asyncio.create_task(
                    Connector().connect(spec, asyncio.Protocol, timeout_s=LATE_S / 3)
                )
                await asyncio.sleep(0)
                # Nothing else can make a loop late: this is the host that does everything else.
                time.sleep(LATE_S)  # noqa: ASYNC251
                transport, _ = await connecting
                transport.abort()

    run(work())


def test_who_is_silent_is_given_up_all_the_same() -> None:
    async def work() -> None:
        with socket.socket() as full, contextlib.ExitStack() as stack:
            # A backlog that is full: the kernel answers nobody.
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            for _ in range(3):
                one = stack.enter_context(socket.socket())
                one.setblocking(False)
                one.connect_ex(full.getsockname())
            spec = EndpointSpec("a", *full.getsockname()[:2])
            loop = asyncio.get_running_loop()
            began_s = loop.time()
            with pytest.raises(ConnectFailed) as failed:
                await Connector().connect(spec, asyncio.Protocol, timeout_s=0.2)
            assert failed.value.reason == CONNECT_TIMEOUT
            assert 0.2 <= loop.time() - began_s < 5.0

    run(work())


def test_lateness_is_given_back_once_and_has_a_bound() -> None:
    """However late the loop was, no more than the time itself is added."""

    async def work() -> None:
        loop = asyncio.get_running_loop()
        began_s = loop.time()

        async def late() -> None:
            async with Patience(0.05):
                await asyncio.sleep(0)
                time.sleep(2 * LATE_S)  # noqa: ASYNC251
                await asyncio.sleep(60)

        with pytest.raises(TimeoutError):
            await late()
        assert loop.time() - began_s < 2 * LATE_S + 0.05 + 10 * GRACE_S + 1.0

    run(work())


def test_no_time_is_no_bound() -> None:
    async def work() -> None:
        async with Patience(None):
            await asyncio.sleep(0)

    run(work())
