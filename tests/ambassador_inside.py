"""An ambassador in this process: real sockets, its own policy, and endpoints that answer when the test says so."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from typing import TYPE_CHECKING, Any, Self

from ambassador_edges import listening, until
from pillion.ambassador.doors import Doors
from pillion.ambassador.hub import Hub
from pillion.ambassador.metrics import Red
from pillion.ambassador.reporting import report
from pillion.ambassador.request_log import RequestLog
from pillion.ambassador.runtime import Runtime
from pillion.ambassador.snapshot import (
    EndpointSpec,
    Snapshot,
    UpstreamEndpoints,
    decode_raw,
    encode,
)
from pillion.ambassador.wire import HEADER_BYTES, Report, to_agent
from pillion.base.tasks import RootTasks, TaskEnd
from pillion.settings.ambassador import Ambassador
from pillion.settings.edges import Inbound
from pillion.settings.shapes import Table

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from pillion.ambassador.wire import UpstreamReport
    from pillion.settings.upstreams import Upstream

_AMBASSADOR = Table(Ambassador())
_INBOUND = Table(Inbound())


def written(report: Generator[None, None, bytes]) -> Report:
    """The report as the agent reads it."""
    while True:
        try:
            next(report)
        except StopIteration as end:
            read = to_agent(end.value[HEADER_BYTES:])
            assert isinstance(read, Report)
            return read


class Inside:
    """With a way in for each of `names` (upstreams, or `inbound`); `put` says where they lead. `run` is the id of its run."""

    def __init__(self, *names: str, run: str = "here") -> None:
        self._sockets: dict[str, socket.socket] = {}
        for name in names:
            kind = name if name in ("inbound", "proxy") else f"upstream:{name}"
            self._sockets[kind] = listening()
        self._revision = 0
        self._run = run
        self._written = bytearray()
        self._unexpected: list[TaskEnd] = []

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        defaults = Ambassador()
        self.tasks = RootTasks(self._unexpected.append)
        self.hub = Hub(self.tasks, defaults.http, defaults.trace, lambda: None)
        self.hub.log = RequestLog(defaults.log, self._write, loop)
        self.hub.red = Red()
        self.hub.spans = None
        self.runtime = Runtime(self.hub, lambda *_: None, lambda _event: None, self._run)
        self._doors = Doors(self.hub, self.runtime, self.tasks)
        for name, sock in self._sockets.items():
            self._doors.add(name, sock)
        self._doors.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._doors.close()
        self.hub.close()
        for upstream in self.runtime.upstreams.live.values():
            for endpoint in upstream.group.endpoints:
                if endpoint.pool is not None:
                    endpoint.pool.close()
        await self.tasks.close(5.0)
        await until(lambda: not self.hub.outward_open, "every connection is closed")
        self.hub.log.close()
        assert not self._unexpected, [str(end) for end in self._unexpected]

    def port(self, name: str) -> int:
        """The local port of a way in."""
        for kind, sock in self._sockets.items():
            if kind.rpartition(":")[2] == name:
                port: int = sock.getsockname()[1]
                return port
        raise KeyError(name)

    async def put(
        self,
        upstreams: Mapping[str, tuple[Upstream, tuple[int, ...]]],
        *,
        app_port: int | None = None,
        **more: Any,
    ) -> None:
        """Put in force: for each upstream its settings, and the ports of its endpoints."""
        self._revision += 1
        found = {name: ports for name, (_, ports) in upstreams.items()}
        if app_port is not None:
            found["app"] = (app_port,)
        settings = Ambassador(upstreams={n: one for n, (one, _) in upstreams.items()}, **more)
        snapshot = Snapshot(
            revision=self._revision,
            ambassador=_AMBASSADOR.encode(settings),  # type: ignore[arg-type]
            inbound=_INBOUND.encode(Inbound(listen="127.0.0.1:0")) if app_port else None,  # type: ignore[arg-type]
            app_port=app_port,
            listeners={
                name: f"127.0.0.1:{sock.getsockname()[1]}" for name, sock in self._sockets.items()
            },
            upstreams=tuple(
                UpstreamEndpoints(
                    name, tuple(EndpointSpec(str(port), "127.0.0.1", port) for port in ports)
                )
                for name, ports in found.items()
            ),
        )
        why = await self.runtime.apply(decode_raw(encode(snapshot)))
        assert why is None, why
        self._doors.changed()
        await self.runtime.tidy()

    def told(self, name: str) -> UpstreamReport:
        """What the worker says of an upstream now."""
        told = written(report(self.hub, self.runtime))
        return next(one for one in told.upstreams if one.name == name)

    def records(self) -> list[dict[str, Any]]:
        """The request log."""
        self.hub.log.outlet.flush()
        return [json.loads(line) for line in bytes(self._written).splitlines()]

    def _write(self, data: bytes) -> bool:
        self._written += data
        return True


class Holding:
    """An endpoint that keeps its answers back until `answer`. `asked` are the heads of the requests in the order of their coming."""

    def __init__(self) -> None:
        self._sock = listening()
        self.port: int = self._sock.getsockname()[1]
        self.asked: list[bytes] = []
        self.connections = 0
        self.most = 0
        self._waiting: list[asyncio.StreamWriter] = []
        self._open: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, sock=self._sock)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in tuple(self._open):
            writer.transport.abort()
        await until(lambda: not self._open, "every connection of the endpoint is closed")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        self.connections += 1
        self.most = max(self.most, len(self._open))
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.asked.append(head)
                self._waiting.append(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the other side has closed
        finally:
            self._open.discard(writer)
            writer.transport.abort()

    def paths(self) -> list[str]:
        """What was asked for."""
        return [head.split(b" ", 2)[1].decode() for head in self.asked]

    async def answer(self, *, fields: bytes = b"", status: bytes = b"200 OK") -> None:
        """Answer the request that waits longest, once there is one."""
        await until(lambda: self._waiting, "the endpoint has been asked")
        writer = self._waiting.pop(0)
        writer.write(b"HTTP/1.1 %b\r\n%bContent-Length: 2\r\n\r\nok" % (status, fields))

    def cut(self) -> None:
        """End the connection of the request that waits longest."""
        self._waiting.pop(0).transport.abort()


class Call:
    """One request over a connection of its own, and its answer once it is there."""

    def __init__(
        self,
        port: int,
        path: str = "/",
        fields: str = "",
        method: str = "GET",
        *,
        host: str = "here",
    ) -> None:
        self._port = port
        self._text = (
            f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{fields}\r\n"
        )
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(self._text.encode())
            return await reader.read()
        except asyncio.CancelledError:
            # A reset: an end alone could be that of the request, with the answer still wanted.
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raise
        finally:
            writer.transport.abort()

    async def answer(self) -> tuple[int, str]:
        """Its status, and the reason when the answer is the ambassador's own."""
        async with asyncio.timeout(20):
            data = await self._task
        lines = data.partition(b"\r\n\r\n")[0].decode().split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines[1:])
        return int(lines[0].split(" ")[1]), fields.get("pillion-reason", "")

    async def leave(self) -> None:
        """Give up."""
        self._task.cancel()
        await asyncio.wait([self._task])
