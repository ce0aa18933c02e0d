"""A span as the ambassador wrote it into the spool, with the names that OpenTelemetry has for what is in it.

Semantic conventions 1.x, "HTTP spans": an inbound request is a server span, an outbound one a client span; a server's span
is an error from 500 on, a client's from 400 on, and error.type says which.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

# opentelemetry/proto/trace/v1/trace.proto, Span.SpanKind and Status.StatusCode.
SERVER, CLIENT = 2, 3
STATUS_ERROR = 2
# Span.flags: the trace's sampled flag, and that it is known whether the parent is in another process, and it is.
_SAMPLED = 0x001
_REMOTE_KNOWN, _REMOTE = 0x100, 0x200

# Others are told as "_OTHER", so that a client cannot invent names of spans.
_METHODS = frozenset(
    ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY")
)


class _Line(msgspec.Struct):
    """The line, as `pillion.ambassador.spans` writes it: a request's record and what a span has beside it."""

    trace_id: str
    span_id: str
    start_ns: int
    end_ns: int
    parent_id: str = ""
    direction: str = ""
    listener: str = ""
    route: str = ""
    upstream: str = ""
    endpoint: str = ""
    method: str = ""
    host: str = ""
    path: str = ""
    query: str = ""
    version: str = ""
    status: int = 0
    reason: str = ""
    attempts: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    peer: str = ""
    note: str = ""


class Span(msgspec.Struct, frozen=True):
    """One span. Ids are 16 and 8 bytes, `parent` is empty or 8; times are nanoseconds since the epoch."""

    trace: bytes
    span: bytes
    parent: bytes
    name: str
    kind: int
    start_ns: int
    end_ns: int
    flags: int
    failed: bool
    message: str
    attributes: Mapping[str, object]


_decode = msgspec.json.Decoder(_Line).decode


def read_span(data: bytes) -> Span | None:
    """Return the span of a line; None when it is none."""
    try:
        line = _decode(data)
        trace, span = bytes.fromhex(line.trace_id), bytes.fromhex(line.span_id)
        parent = bytes.fromhex(line.parent_id)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError):
        return None
    if len(trace) != 16 or len(span) != 8 or len(parent) not in (0, 8):
        return None
    if not 0 < line.start_ns <= line.end_ns < 1 << 63:
        return None
    kind = SERVER if line.direction == "inbound" else CLIENT
    known = line.method in _METHODS
    error = _error_type(line, kind)
    return Span(
        trace=trace,
        span=span,
        parent=parent,
        name=line.method if known else "HTTP",
        kind=kind,
        start_ns=line.start_ns,
        end_ns=line.end_ns,
        flags=_SAMPLED | (_REMOTE_KNOWN | _REMOTE if parent else 0),
        failed=error != "",
        message=line.reason if error else "",
        attributes=_attributes(line, kind, error),
    )


def _error_type(line: _Line, kind: int) -> str:
    if line.status >= (500 if kind == SERVER else 400) or line.status == 0:
        return line.reason or str(line.status or "no-answer")
    # The head was there, and then something went wrong.
    return line.reason if line.note else ""


def _attributes(line: _Line, kind: int, error: str) -> dict[str, object]:
    known = line.method in _METHODS
    host, port = _authority(line.host)
    found: dict[str, object] = {
        "http.request.method": line.method if known else "_OTHER",
        "url.path": line.path,
        "server.address": host,
        "pillion.direction": line.direction,
        "pillion.attempts": line.attempts,
    }
    if not known:
        found["http.request.method_original"] = line.method
    if port:
        found["server.port"] = port
    if line.status:
        found["http.response.status_code"] = line.status
    if error:
        found["error.type"] = error
    if line.query:
        found["url.query"] = line.query
    if line.version:
        found["network.protocol.version"] = line.version
    if kind == SERVER and line.peer:
        found["client.address"] = _authority(line.peer)[0]
    if kind == CLIENT and line.endpoint:
        peer, peer_port = _authority(line.endpoint)
        found["network.peer.address"] = peer
        if peer_port:
            found["network.peer.port"] = peer_port
    if kind == CLIENT and line.attempts > 1:
        found["http.request.resend_count"] = line.attempts - 1
    if line.bytes_in:
        found["http.request.body.size"] = line.bytes_in
    if line.bytes_out:
        found["http.response.body.size"] = line.bytes_out
    for name in ("listener", "route", "upstream", "reason", "note"):
        if value := getattr(line, name):
            found[f"pillion.{name}"] = value
    return found


def _authority(text: str) -> tuple[str, int]:
    """Host and port of `host:port`, `[v6]:port` or `host`; port 0 when there is none."""
    if text.startswith("unix:"):
        return text, 0
    host, colon, port = text.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()) or len(port) > 5:
        return text.strip("[]"), 0
    if ":" in host and not host.startswith("["):
        return text, 0  # a bare IPv6 address
    return host.strip("[]"), int(port)
