"""One attempt of an active check, by the way that requests take: same address, same PROXY header, same TLS."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from pillion import __version__
from pillion.ambassador.connector import ConnectFailed, Connector
from pillion.ambassador.proxy_protocol import UNKNOWN, encode_v1, encode_v2
from pillion.http.client.wire import Lost, Wire
from pillion.http.codec import NONE, CodecError, Limits, ResponseHead, encode_request_head
from pillion.settings.upstreams import ClientTls

if TYPE_CHECKING:
    from pillion.ambassador.snapshot import EndpointSpec
    from pillion.ambassador.tls import TlsClient
    from pillion.settings.upstreams import ActiveCheck, Upstream

MOST_CONTEXTS = 64
_AGENT = f"pillion/{__version__} (health check)".encode()
_LIMITS = Limits()
_SCHEME_PORTS = {False: 80, True: 443}


class Probe:
    """Makes attempts; made inside a running loop. It keeps what TLS needs, for as long as an upstream wants it so."""

    def __init__(self) -> None:
        self._connector = Connector()
        self._contexts: dict[tuple[object, ...], TlsClient] = {}

    async def attempt(self, upstream: Upstream, spec: EndpointSpec, check: ActiveCheck) -> str:
        """What is wrong with the endpoint; empty when nothing is. Takes `check.timeout_s` seconds at most."""
        try:
            async with asyncio.timeout(check.timeout_s):
                return await self._ask(upstream, spec, check)
        except TimeoutError:
            return f"no answer within {check.timeout_s:g} s"

    async def _ask(self, upstream: Upstream, spec: EndpointSpec, check: ActiveCheck) -> str:
        try:
            tls = await self._tls(upstream) if spec.tls else None
        except (OSError, ValueError) as error:
            return f"cannot read its TLS files: {error}"
        wanted = upstream.tls or ClientTls()
        try:
            transport, wire = await self._connector.connect(
                spec,
                lambda: Wire(_LIMITS),
                timeout_s=check.timeout_s,
                tls=tls,
                server_name=wanted.server_name or upstream.host or "",
                proxy_header=_preface(upstream),
            )
        except ConnectFailed as error:
            return str(error)
        try:
            return "" if check.http is None else await _answer(wire, upstream, spec, check)
        finally:
            transport.abort()

    async def _tls(self, upstream: Upstream) -> TlsClient:
        from pillion.ambassador.tls import HTTP, TlsClient  # with `ssl`, which few agents need

        wanted = upstream.tls or ClientTls()
        files = (wanted.ca_file, wanted.cert_file, wanted.key_file)
        # Certificates are renewed by replacing their files.
        alpn = HTTP if upstream.protocol == "http" else wanted.alpn
        key = (repr(wanted), alpn, *(os.stat(one).st_mtime_ns for one in files if one is not None))
        known = self._contexts.get(key)
        if known is None:
            # Reads files, and the system's certificates: 20 ms.
            known = await asyncio.to_thread(
                TlsClient,
                ca_file=wanted.ca_file,
                verify=wanted.verify,
                cert_file=wanted.cert_file,
                key_file=wanted.key_file,
                names=wanted.names,
                alpn=alpn,
            )
            if len(self._contexts) >= MOST_CONTEXTS:
                self._contexts.clear()
            self._contexts[key] = known
        return known


async def _answer(wire: Wire, upstream: Upstream, spec: EndpointSpec, check: ActiveCheck) -> str:
    assert check.http is not None
    fields = [
        (b"host", host_of(upstream, spec).encode()),
        (b"user-agent", _AGENT),
        (b"accept", b"*/*"),
        (b"connection", b"close"),
    ]
    try:
        wire.parser.expect("GET")
        wire.send(encode_request_head("GET", check.http, fields, NONE))
        while True:
            head = await wire.event()
            if isinstance(head, ResponseHead) and not head.informational:
                break
    except (CodecError, Lost) as error:
        return f"{error}"
    if any(_includes(one, head.status) for one in check.status):
        return ""
    return f"GET {check.http} is answered {head.status}"


def host_of(upstream: Upstream, spec: EndpointSpec) -> str:
    """The Host that an endpoint is asked for: the setting, the name that it was found under, else the service's."""
    if upstream.host is not None:
        return upstream.host
    if upstream.service is not None:
        return upstream.service
    if not spec.host or spec.unix_path is not None:
        return spec.host or "localhost"
    host = f"[{spec.host}]" if ":" in spec.host else spec.host
    return host if spec.port == _SCHEME_PORTS[spec.tls] else f"{host}:{spec.port}"


def _includes(statuses: str, status: int) -> bool:
    low, _, high = statuses.partition("-")
    return int(low) <= status <= int(high or low)


def _preface(upstream: Upstream) -> bytes:
    """A PROXY header of nobody: the connection is our own (sections 2.1 and 2.2)."""
    if upstream.proxy_protocol == "v1":
        return encode_v1(UNKNOWN)
    return encode_v2(UNKNOWN) if upstream.proxy_protocol == "v2" else b""
