"""A process of its own with one listener and few descriptors: says its counters when a line comes on its input."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import socket
import sys
from typing import TYPE_CHECKING, cast

import uvloop

from pillion.ambassador.listener import EdgeCounters, Listener
from pillion.base.tasks import RootTasks

if TYPE_CHECKING:
    from pillion.ambassador.peer import Peer


class Echo(asyncio.Protocol):
    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._peer.left()


async def main() -> None:
    sock = socket.socket(fileno=int(sys.argv[1]))
    counters = EdgeCounters()
    tasks = RootTasks(lambda end: os._exit(3))
    listener = Listener("edge", sock, factory=Echo, counters=counters, tasks=tasks)
    used = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + int(sys.argv[2]),) * 2)
    listener.resume()
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def asked() -> None:
        if os.read(0, 100):
            told = {**counters.as_dict(), "cpu_s": sum(os.times()[:2])}
            os.write(1, json.dumps(told).encode() + b"\n")
        else:
            loop.remove_reader(0)
            ended.set_result(None)

    loop.add_reader(0, asked)
    os.write(1, b"ready\n")
    await ended


uvloop.run(main())
