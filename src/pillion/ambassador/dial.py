"""Connecting to names that only the moment of connecting resolves: what the app asks of the world through the proxy."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import TYPE_CHECKING, TypeVar

import msgspec

from .connector import CONNECT_FAILED, CONNECT_TIMEOUT, ConnectFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from .connector import Connector
    from .snapshot import EndpointSpec
    from .tls import TlsClient

P = TypeVar("P", bound=asyncio.Protocol)

_MOST_ADDRESSES = 8


def is_address(text: str) -> bool:
    """Whether nothing has to be resolved."""
    if text.startswith("unix:"):
        return True
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


async def dial(
    connector: Connector,
    spec: EndpointSpec,
    protocol_factory: Callable[[], P],
    *,
    timeout_s: float,
    tls: TlsClient | None,
    server_name: str,
    proxy_header: bytes = b"",
) -> tuple[asyncio.Transport, P]:
    """As `Connector.connect`, for a spec whose address may be a name: its addresses are tried in the resolver's order.

    Raises ConnectFailed; `timeout_s` bounds the whole.
    """
    loop = asyncio.get_running_loop()
    if is_address(spec.address):
        return await connector.connect(
            spec,
            protocol_factory,
            timeout_s=timeout_s,
            tls=tls,
            server_name=server_name,
            proxy_header=proxy_header,
        )
    deadline_s = loop.time() + timeout_s if timeout_s else None
    try:
        async with asyncio.timeout_at(deadline_s):
            found = await loop.getaddrinfo(spec.address, spec.port, type=socket.SOCK_STREAM)
    except TimeoutError as error:
        raise ConnectFailed(CONNECT_TIMEOUT, f"cannot resolve {spec.address} in time") from error
    except (OSError, UnicodeError) as error:
        raise ConnectFailed(CONNECT_FAILED, f"cannot resolve {spec.address}: {error}") from error
    failed: ConnectFailed | None = None
    addresses = list(dict.fromkeys(str(one[4][0]) for one in found))[:_MOST_ADDRESSES]
    for at, address in enumerate(addresses):
        left_s = 0.0
        if deadline_s is not None:
            # A silent address must leave time for the others.
            left_s = max(deadline_s - loop.time(), 0.001) / (len(addresses) - at)
        try:
            return await connector.connect(
                msgspec.structs.replace(spec, address=address, host=spec.host or spec.address),
                protocol_factory,
                timeout_s=left_s,
                tls=tls,
                server_name=server_name,
                proxy_header=proxy_header,
            )
        except ConnectFailed as error:
            failed = error
    raise failed or ConnectFailed(CONNECT_FAILED, f"cannot resolve {spec.address}: no address")
