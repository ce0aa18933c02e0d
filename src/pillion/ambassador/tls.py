"""The TLS of our listeners and of our connections to upstreams: contexts that are built and checked before they are used.

A context is never changed. When files change, a new one is built of them; only when its certificate and key belong together and its
trusted certificates can be read does it take the place of the one in use, and connections that were made under
that one go on. ALPN offers http/1.1 and nothing else: HTTP/2 passes as TCP.

What uvloop tells a protocol of the end of a stream: close_notify is `eof_received` and then `connection_lost(None)`; an end of file
without it is `connection_lost(None)` alone, as is a connection that we have cut. So a protocol that was not told of an end
of file has a truncated stream, with TLS as without. TLS on uvloop cannot half-close: after the peer's close_notify both directions end.
"""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING

from .certificate import is_allowed, names_of, not_after

if TYPE_CHECKING:
    import datetime
    from collections.abc import Mapping

HTTP = ("http/1.1",)
MOST_FILE_BYTES = 1 << 20

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_BEGIN = "-----BEGIN CERTIFICATE-----"
_END = "-----END CERTIFICATE-----"

Stamp = tuple[tuple[int, int, int], ...]


class Built:
    """A context that was built of files as they were at `stamp`. `expires` is when our own certificate does; None without one."""

    __slots__ = ("context", "expires", "stamp")

    def __init__(
        self, context: ssl.SSLContext, stamp: Stamp, expires: datetime.datetime | None
    ) -> None:
        self.context = context
        self.stamp = stamp
        self.expires = expires


class Tls:
    """What both sides share: the files, the context for the next connection, and how one takes the place of another.

    `build` reads files, and is to be called where a disk may be waited for; `take` is not. Both constructors build, and
    raise ValueError with a sentence for people; a `lenient` one keeps it in `why` instead, and has no context until its
    files are good: a process that starts must not fail as a whole because one listener cannot speak TLS.
    """

    def __init__(self, files: tuple[str | None, ...], *, lenient: bool) -> None:
        self.files = tuple(file for file in files if file)
        self.taken = 0
        """How often the context was replaced."""
        self.why = ""
        """What is wrong with the files, when there is no context."""
        self._built: Built | None = None
        try:
            self._built = self.build()
        except ValueError as error:
            if not lenient:
                raise
            self.why = str(error)

    @property
    def ready(self) -> bool:
        """Whether there is a context."""
        return self._built is not None

    @property
    def context(self) -> ssl.SSLContext:
        """The context for the next connection; only when `ready`."""
        assert self._built is not None
        return self._built.context

    @property
    def expires(self) -> datetime.datetime | None:
        """Until when our certificate is good; None without one."""
        return None if self._built is None else self._built.expires

    @property
    def stale(self) -> bool:
        """Whether the files are others than those that the context was built of."""
        return self._built is None or _stamp(self.files) != self._built.stamp

    def build(self) -> Built:
        """Build a context of the files as they are now. Raise ValueError: "cannot", the file, and what is wrong with it."""
        stamp = _stamp(self.files)  # before they are read: a change while we read is a change
        for file in self.files:
            _readable(file)
        try:
            return self._build(stamp)
        except ssl.SSLError as error:
            raise ValueError(f"cannot set up TLS with {', '.join(self.files)}: {error}") from error
        except OSError as error:
            raise ValueError(f"cannot read {', '.join(self.files)}: {error}") from error

    def take(self, built: Built) -> None:
        """Use this context for connections from now on."""
        self._built = built
        self.why = ""
        self.taken += 1

    def _build(self, stamp: Stamp) -> Built:
        raise NotImplementedError


class TlsServer(Tls):
    """The TLS of one listener. With `client_ca_file`, clients must show a certificate; with `allowed_names`, one of these names."""

    def __init__(
        self,
        *,
        cert_file: str,
        key_file: str,
        client_ca_file: str | None = None,
        allowed_names: tuple[str, ...] = (),
        min_version: str = "1.2",
        alpn: tuple[str, ...] = HTTP,
        lenient: bool = False,
    ) -> None:
        self._cert_file = cert_file
        self._key_file = key_file
        self._client_ca_file = client_ca_file
        self._allowed = allowed_names
        self._min_version = min_version
        self._alpn = alpn
        super().__init__((cert_file, key_file, client_ca_file), lenient=lenient)

    def names_of(self, peercert: Mapping[str, object] | None) -> tuple[str, ...]:
        """The names of a client's verified certificate; none without one."""
        return names_of(peercert)

    def allows(self, names: tuple[str, ...]) -> bool:
        """Whether a client with these names may come in: any, where no list is set."""
        return not self._allowed or is_allowed(names, self._allowed)

    def _build(self, stamp: Stamp) -> Built:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        _strict(context)
        context.minimum_version = _VERSIONS[self._min_version]
        context.set_alpn_protocols(list(self._alpn))
        # OpenSSL gives two, each for a sixteenth of the handshake; a client that uses each once is given another one with
        # every connection (RFC 8446, 4.6.1).
        context.num_tickets = 1
        expires = _load_pair(context, self._cert_file, self._key_file)
        if self._client_ca_file:
            _load_trusted(context, self._client_ca_file)
            context.verify_mode = ssl.CERT_REQUIRED
            # A session that is taken up again is not verified again: a certificate that has expired would go on.
            context.options |= ssl.OP_NO_TICKET
            context.num_tickets = 0
        return Built(context, stamp, expires)


class TlsClient(Tls):
    """The TLS to endpoints. Certificates are verified against `ca_file`, or what the system trusts, unless `verify` is False.

    The name is the one that each connection is made with, unless `names` says which ones will do instead. `alpn` is
    empty for raw TCP.
    """

    def __init__(
        self,
        *,
        ca_file: str | None = None,
        verify: bool = True,
        cert_file: str | None = None,
        key_file: str | None = None,
        names: tuple[str, ...] = (),
        alpn: tuple[str, ...] = HTTP,
        lenient: bool = False,
    ) -> None:
        self._ca_file = ca_file
        self._verify = verify
        self._cert_file = cert_file
        self._key_file = key_file or cert_file
        self._names = names
        self._alpn = alpn
        super().__init__((ca_file if verify else None, cert_file, key_file), lenient=lenient)

    def refuses(self, peercert: Mapping[str, object] | None) -> str:
        """Why a server with this verified certificate is refused; empty when it is not."""
        if not self._names or not self._verify:
            return ""
        names = names_of(peercert)
        if is_allowed(names, self._names):
            return ""
        return f"is that of {', '.join(names) or 'nobody'}, not of {' or '.join(self._names)}"

    def _build(self, stamp: Stamp) -> Built:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        _strict(context)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self._alpn:
            context.set_alpn_protocols(list(self._alpn))
        if not self._verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif self._ca_file:
            _load_trusted(context, self._ca_file)
        else:
            context.load_default_certs()
        if self._names:
            context.check_hostname = False
        expires = None
        if self._cert_file and self._key_file:
            expires = _load_pair(context, self._cert_file, self._key_file)
        return Built(context, stamp, expires)


def _strict(context: ssl.SSLContext) -> None:
    """No renegotiation, and no end of file that passes for close_notify."""
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF


def _load_pair(context: ssl.SSLContext, cert_file: str, key_file: str) -> datetime.datetime | None:
    """Load certificate and key, which must belong together; return when the certificate expires."""
    chain, key = _text(cert_file), _text(key_file)
    at, end = chain.find(_BEGIN), chain.find(_END)
    if not 0 <= at < end:
        raise ValueError(f"cannot use the certificate {cert_file}: there is none in it, in PEM")
    if "PRIVATE KEY-----" not in key:
        raise ValueError(f"cannot use the key {key_file}: there is none in it, in PEM")
    if "ENCRYPTED" in key:
        raise ValueError(
            f"cannot use the key {key_file}: it is encrypted; store it without password"
        )
    try:
        # Without a password OpenSSL would ask the terminal for one.
        context.load_cert_chain(cert_file, key_file, password=_no_password)
    except ssl.SSLError as error:
        why = "one of them is damaged"
        if error.reason == "KEY_VALUES_MISMATCH":
            why = "they do not belong together; replace both"
        elif error.reason is not None:
            why = error.reason.replace("_", " ").lower()
        raise ValueError(
            f"cannot use the certificate {cert_file} with the key {key_file}: {why}"
        ) from error
    return not_after(ssl.PEM_cert_to_DER_cert(chain[at : end + len(_END)]))


def _load_trusted(context: ssl.SSLContext, ca_file: str) -> None:
    try:
        context.load_verify_locations(cafile=ca_file)
    except ssl.SSLError as error:
        raise ValueError(
            f"cannot use {ca_file} as trusted certificates: there is none in it, or it is damaged"
        ) from error


def _no_password() -> str:
    return ""


def _text(path: str) -> str:
    with open(path, encoding="ascii", errors="replace") as file:
        return file.read(MOST_FILE_BYTES)


def _readable(path: str) -> None:
    """Raise ValueError unless the file can be read and is of a size that makes sense."""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise ValueError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from error
    if not 0 < size <= MOST_FILE_BYTES:
        raise ValueError(
            f"cannot use {path}: it is empty, or has more than {MOST_FILE_BYTES} bytes"
        )


def _stamp(files: tuple[str, ...]) -> Stamp:
    """What tells a file from another one under its name; zeros for one that is not there."""
    stamps = []
    for file in files:
        try:
            found = os.stat(file)
        except OSError:
            stamps.append((0, 0, 0))
        else:
            stamps.append((found.st_mtime_ns, found.st_size, found.st_ino))
    return tuple(stamps)
