"""The worker's listening sockets and what answers on them: opened when a policy knows them, closed when the keeper takes them away."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from .hub import Door
from .inward import Inward
from .listener import EdgeCounters, Listener
from .ways import FRONT

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from pillion.base.tasks import RootTasks

    from .hub import Hub
    from .live import LiveUpstream
    from .peer import Peer
    from .runtime import Runtime
    from .tcp import TcpProxy

_SETTLE_S = 1.0


class Doors:
    """All of them. Nothing is accepted before `open`, nor on a socket that the policy in force does not know."""

    def __init__(self, hub: Hub, runtime: Runtime, tasks: RootTasks) -> None:
        self._hub = hub
        self._runtime = runtime
        self._tasks = tasks
        self._sockets: dict[str, socket.socket] = {}
        self._listeners: dict[str, Listener] = {}
        self._doors: dict[str, Door] = {}
        self._tcps: dict[str, TcpProxy] = {}
        self._open = False
        self.counters = EdgeCounters()

    def add(self, name: str, sock: socket.socket) -> None:
        """Take a listening socket; another one of that name is closed."""
        self.remove(name)
        self._sockets[name] = sock
        self._look(name)

    def remove(self, name: str) -> None:
        """Accept no more on this one, and close it. Connections that came by it go on."""
        listener = self._listeners.pop(name, None)
        if listener is not None:
            listener.close()
        self._doors.pop(name, None)
        sock = self._sockets.pop(name, None)
        if sock is not None:
            sock.close()

    def open(self) -> None:
        """Accept from now on."""
        self._open = True
        for listener in self._listeners.values():
            listener.resume()

    def shut(self) -> None:
        """Leave new connections in the backlog."""
        self._open = False
        for listener in self._listeners.values():
            listener.pause()

    async def settled(self) -> None:
        """Wait until accepts under way have ended, for a bounded time."""
        for listener in tuple(self._listeners.values()):
            await listener.settled(_SETTLE_S)

    def changed(self) -> None:
        """Another policy is in force."""
        for name in self._sockets:
            self._look(name)

    def adopt(self, sock: socket.socket, name: str) -> None:
        """Serve a connection that a predecessor had."""
        door = self._doors.get(name)
        if door is None:
            sock.close()
            return
        self._tasks.start("adopt", self._adopt(sock, door), may_end=True)

    async def _adopt(self, sock: socket.socket, door: Door) -> None:
        from .peer import Peer

        sock.setblocking(False)
        try:
            address, port = sock.getpeername()[:2]
            peer = Peer(str(address), int(port), listener=door.name)
            protocol = cast("asyncio.Protocol", Inward(self._hub, door, peer, served=True))
            await asyncio.get_running_loop().connect_accepted_socket(lambda: protocol, sock)
        except OSError:
            sock.close()

    def close(self) -> None:
        """Close every listening socket."""
        for name in tuple(self._sockets):
            self.remove(name)

    def _look(self, name: str) -> None:
        way = self._runtime.ways.get(name)
        if way is None:
            listener = self._listeners.get(name)
            if listener is not None:
                listener.pause()
            return
        door = self._doors.get(name)
        if door is None:
            door = self._doors[name] = Door(name, way)
        door.way = way
        inbound = self._runtime.inbound if way.kind == FRONT else None
        tls = self._runtime.server_tls if inbound is not None else None
        header = inbound is not None and inbound.proxy_protocol
        most = self._runtime.settings.http.connections
        listener = self._listeners.get(name)
        if listener is not None:
            listener.configure(most=most, tls=tls, proxy_protocol=header)
        else:
            listener = self._listeners[name] = Listener(
                name,
                self._sockets[name],
                factory=self._factory(door),
                tls=tls,
                proxy_protocol=header,
                most=most,
                counters=self.counters,
                tasks=self._tasks,
            )
        if self._open:
            listener.resume()

    def _factory(self, door: Door) -> Callable[[Peer], asyncio.Protocol]:
        hub = self._hub

        def make(peer: Peer) -> asyncio.Protocol:
            upstream = door.way.default
            if upstream is not None and upstream.is_tcp:
                return self._tcp(door.way.listener, upstream).accept(peer)
            # A compiled class cannot be derived from asyncio's, and need not: the methods count.
            return cast("asyncio.Protocol", Inward(hub, door, peer))

        return make

    def _tcp(self, listener: str, upstream: LiveUpstream) -> TcpProxy:
        """The raw TCP of a listener, with the upstream of the present snapshot."""
        proxy = self._tcps.get(listener)
        if proxy is None:
            from .tcp import TcpProxy

            hub = self._hub
            proxy = self._tcps[listener] = TcpProxy(
                listener,
                upstream,
                connector=hub.connector,
                tunnels=hub.tunnels,
                tasks=self._tasks,
                random=hub.random,
                ended=hub.told,
                wall_ns=hub.wall_ns,
            )
        proxy.upstream = upstream
        return proxy
