"""The HTTP/1.1 codec (RFC 9110, RFC 9112): bytes in, events out, no I/O.

It is our own because a sidecar must pause between pipelined messages, must know what a HEAD, a 204
or a CONNECT does to a body, must notice a truncated stream, and must never let two readings of one
message exist. It is strict: whatever a second parser could read in another way is refused.
"""

from .encode import (
    BodyEncoder,
    encode_fields,
    encode_request_head,
    encode_response_head,
)
from .events import (
    CHUNKED,
    CLOSE,
    END,
    NEED_DATA,
    NONE,
    PAUSED,
    UNBOUNDED,
    CodecError,
    End,
    Headers,
    Limits,
    RequestHead,
    ResponseHead,
    Signal,
)
from .requests import RequestParser
from .responses import ResponseParser

__all__ = [
    "CHUNKED",
    "CLOSE",
    "END",
    "NEED_DATA",
    "NONE",
    "PAUSED",
    "UNBOUNDED",
    "BodyEncoder",
    "CodecError",
    "End",
    "Headers",
    "Limits",
    "RequestHead",
    "RequestParser",
    "ResponseHead",
    "ResponseParser",
    "Signal",
    "encode_fields",
    "encode_request_head",
    "encode_response_head",
]
