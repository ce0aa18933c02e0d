"""Connecting to an endpoint: socket, PROXY header, TLS and the check of the server's names, within one bound."""

import asyncio
import contextlib
import ipaddress
import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar, cast

from .listener import SHUTDOWN_S
from .patience import Patience
from .snapshot import EndpointSpec
from .transports import hold_little

if TYPE_CHECKING:
    import ssl

    from .tls import TlsClient

CONNECT_FAILED = "connect-failed"
CONNECT_TIMEOUT = "connect-timeout"
TLS_FAILED = "tls-failed"
LOOP_DETECTED = "loop-detected"

NO_LIMIT_S = 3600.0
"""Where the settings want no bound: the kernel gives up earlier (two minutes), a silent TLS peer does not."""

P = TypeVar("P", bound=asyncio.Protocol)


class ConnectFailed(Exception):
    """No connection. Not a byte of a request has been sent, so another endpoint may be tried.

    `reason` is `connect-failed` (refused, unreachable, out of descriptors), `connect-timeout`, `tls-failed` (no handshake, a
    certificate that does not verify or bears another name), or `loop-detected` (it is our own proxy); the text says more, for people.
    """

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class Connector:
    """Makes connections; made inside a running loop. It keeps nothing: pools are others' work.

    `own` are addresses and ports that nothing is to be sent to, since what comes there comes back here; `0.0.0.0` and `::` stand for
    every address of this host.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.own: frozenset[tuple[str, int]] = frozenset()

    async def connect(
        self,
        spec: EndpointSpec,
        protocol_factory: Callable[[], P],
        *,
        timeout_s: float,
        tls: "TlsClient | None" = None,
        server_name: str = "",
        proxy_header: bytes = b"",
    ) -> tuple[asyncio.Transport, P]:
        """Connect to `spec` and return transport and protocol; with `tls` after the handshake, when names are checked.

        `timeout_s` bounds the whole, 0 is no bound. `server_name` is sent as SNI and must be in the certificate; without
        one it is the endpoint's host, or its address. `proxy_header` goes first, before TLS (PROXY protocol, section 2).
        Raises ConnectFailed. A protocol that was made for a connection that then failed is never told of it.
        """
        if tls is not None and not tls.ready:
            raise ConnectFailed(TLS_FAILED, f"cannot set up TLS with {spec.key}: {tls.why}")
        name = server_name or spec.host or spec.address
        if spec.unix_path is not None and name == spec.address:
            name = "localhost"
        sock: socket.socket | None = None
        try:
            async with Patience(timeout_s or NO_LIMIT_S):
                sock = await self._socket(spec)
                if self.own and self._is_own(sock):
                    raise ConnectFailed(
                        LOOP_DETECTED,
                        f"cannot connect to {spec.key}: it is this ambassador's own proxy, and the request would come back",
                    )
                if proxy_header:
                    await self._loop.sock_sendall(sock, proxy_header)
                if tls is None:
                    return await self._plain(spec, sock, protocol_factory)
                return await self._secure(
                    sock, protocol_factory, tls, tls.context, name, timeout_s or NO_LIMIT_S
                )
        except TimeoutError as error:
            _close(sock)
            # The kernel's own ETIMEDOUT is a TimeoutError, too.
            within = f" within {timeout_s:g} s" if timeout_s else ""
            raise ConnectFailed(
                CONNECT_TIMEOUT, f"cannot connect to {spec.key}{within}: it does not answer"
            ) from error
        except _Mismatch as error:
            raise ConnectFailed(
                TLS_FAILED, f"cannot trust {spec.key}: its certificate {error}"
            ) from error
        except OSError as error:
            _close(sock)
            raise _failed(spec, error, secure=tls is not None and sock is not None) from error
        except BaseException:
            _close(sock)
            raise

    async def _socket(self, spec: EndpointSpec) -> socket.socket:
        path = spec.unix_path
        if path is not None:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            where: str | tuple[str, int] = path
        elif ":" in spec.address:
            sock = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
            where = (spec.address, spec.port)
        else:
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            where = (spec.address, spec.port)
        try:
            sock.setblocking(False)
            await self._loop.sock_connect(sock, where)
        except BaseException:
            sock.close()
            raise
        return sock

    def _is_own(self, sock: socket.socket) -> bool:
        """Whether the other end is one of `own`. A name may hide it, so the question is asked when the connection stands."""
        if sock.family == socket.AF_UNIX:
            return False
        address, port = sock.getpeername()[:2]
        if (address, port) in self.own:
            return True
        if ("0.0.0.0", port) not in self.own and ("::", port) not in self.own:  # noqa: S104 - compared
            return False
        # Who connects to an address of this host has that address as well; within 127.0.0.0/8 mostly 127.0.0.1.
        mine = sock.getsockname()[0]
        return bool(address == mine or ipaddress.ip_address(address).is_loopback)

    async def _plain(
        self, spec: EndpointSpec, sock: socket.socket, protocol_factory: Callable[[], P]
    ) -> tuple[asyncio.Transport, P]:
        if spec.unix_path is not None:
            return await self._loop.create_unix_connection(protocol_factory, sock=sock)
        return await self._loop.create_connection(protocol_factory, sock=sock)

    async def _secure(
        self,
        sock: socket.socket,
        protocol_factory: Callable[[], P],
        tls: "TlsClient",
        context: "ssl.SSLContext",
        name: str,
        handshake_s: float,
    ) -> tuple[asyncio.Transport, P]:
        gate = _Gate(tls, protocol_factory)
        connect = (
            self._loop.create_unix_connection
            if sock.family == socket.AF_UNIX
            else self._loop.create_connection
        )
        transport, _ = await connect(
            lambda: gate,
            sock=sock,
            ssl=context,
            server_hostname=name,
            # Ours comes first, and does not count the time in which we did not look.
            ssl_handshake_timeout=2 * handshake_s + SHUTDOWN_S,
            ssl_shutdown_timeout=SHUTDOWN_S,
        )
        if gate.refused:
            raise _Mismatch(gate.refused)
        assert gate.protocol is not None
        return transport, cast("P", gate.protocol)


class _Mismatch(Exception):
    """The chain is good, the name is not."""


class _Gate(asyncio.Protocol):
    """Stands in for the real protocol until the handshake is over and the server's names are known."""

    __slots__ = ("_factory", "_tls", "protocol", "refused")

    def __init__(self, tls: "TlsClient", factory: Callable[[], asyncio.Protocol]) -> None:
        self._tls = tls
        self._factory = factory
        self.protocol: asyncio.Protocol | None = None
        self.refused = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)
        self.refused = self._tls.refuses(transport.get_extra_info("peercert"))
        if self.refused:
            transport.abort()
            return
        hold_little(transport)
        self.protocol = self._factory()
        transport.set_protocol(self.protocol)
        self.protocol.connection_made(transport)


def _close(sock: socket.socket | None) -> None:
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.close()


def _failed(spec: EndpointSpec, error: OSError, *, secure: bool) -> ConnectFailed:
    """Say what went wrong; after the socket was connected it is the handshake."""
    if secure:
        why = getattr(error, "verify_message", None) or getattr(error, "reason", None)
        return ConnectFailed(
            TLS_FAILED, f"cannot set up TLS with {spec.key}: {why or _text(error)}"
        )
    return ConnectFailed(CONNECT_FAILED, f"cannot connect to {spec.key}: {_text(error)}")


def _text(error: OSError) -> str:
    if error.errno is not None and error.errno > 0 and type(error).__module__ == "builtins":
        return os.strerror(error.errno).lower()
    return str(error) or type(error).__name__
