"""The TLS of our listeners and of our connections to upstreams: contexts that are built and checked before they are used.

A context is never changed. When files change, a new one is built of them; only when its certificate and key belong together and its
trusted certificates can be read does it take the place of the one in use, and connections that were made under
that one go on. ALPN offers http/1.1 and nothing else: HTTP/2 passes as TCP.

What uvloop tells a protocol of the end of a stream: close_notify is `eof_received` and then `connection_lost`; an end of file
without it is `connection_lost(None)` alone, as is a connection that was cut. So a protocol that was not told of an end
of file has a truncated stream, with TLS as without. TLS on uvloop cannot half-close: after close_notify of the peer both directions end.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from .certificate import is_allowed, names_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
HTTP = ("http/1.1",)


class TlsServer:
    """The TLS of one listener. `context` is the one for the next connection."""

    def __init__(
        self,
        *,
        cert_file: str,
        key_file: str,
        client_ca_file: str | None = None,
        allowed_names: tuple[str, ...] = (),
        min_version: str = "1.2",
        alpn: tuple[str, ...] = HTTP,
    ) -> None:
        self._files = (cert_file, key_file, client_ca_file)
        self._allowed = allowed_names
        self._min_version = min_version
        self._alpn = alpn
        self.context = self._build()

    def names_of(self, peercert: Mapping[str, object] | None) -> tuple[str, ...]:
        """The names of a client's verified certificate; none without one."""
        return names_of(peercert)

    def allows(self, names: tuple[str, ...]) -> bool:
        """Whether a client with these names may come in: any, where no list is set."""
        return not self._allowed or is_allowed(names, self._allowed)

    def _build(self) -> ssl.SSLContext:
        cert_file, key_file, client_ca_file = self._files
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = _VERSIONS[self._min_version]
        context.set_alpn_protocols(list(self._alpn))
        context.load_cert_chain(cert_file, key_file)
        if client_ca_file:
            context.load_verify_locations(cafile=client_ca_file)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


class TlsClient:
    """The TLS to one upstream. `context` is the one for the next connection."""

    def __init__(
        self,
        *,
        ca_file: str | None = None,
        verify: bool = True,
        cert_file: str | None = None,
        key_file: str | None = None,
        names: tuple[str, ...] = (),
        alpn: tuple[str, ...] = HTTP,
    ) -> None:
        self._files = (ca_file, cert_file, key_file)
        self._verify = verify
        self._names = names
        self._alpn = alpn
        self.context = self._build()

    def refuses(self, peercert: Mapping[str, object] | None) -> str:
        """Why a server with this verified certificate is refused; empty when it is not."""
        if not self._names or not self._verify:
            return ""
        names = names_of(peercert)
        if is_allowed(names, self._names):
            return ""
        return f"is that of {', '.join(names) or 'nobody'}, not of {' or '.join(self._names)}"

    def _build(self) -> ssl.SSLContext:
        ca_file, cert_file, key_file = self._files
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self._alpn:
            context.set_alpn_protocols(list(self._alpn))
        if not self._verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif ca_file:
            context.load_verify_locations(cafile=ca_file)
        else:
            context.load_default_certs()
        if self._names:
            context.check_hostname = False
        if cert_file:
            context.load_cert_chain(cert_file, key_file)
        return context
