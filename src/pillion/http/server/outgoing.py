# cython: annotation_typing=False, auto_pickle=False
"""Answers to bytes: the head of an answer, and a streamed body with its backpressure."""

from typing import TYPE_CHECKING

from pillion.http.codec import CHUNKED, CLOSE, NONE, BodyEncoder, CodecError
from pillion.http.codec.encode import encode_response_head  # where its C side is declared

if TYPE_CHECKING:
    from .connection import Connection
    from .messages import Request, Response

_CLOSE_LINE = b"connection: close\r\n"
_KEEP_LINE = b"connection: keep-alive\r\n"


def encode_head(
    request: "Request", response: "Response", length: int, keep: bool, date_line: bytes
) -> bytes:
    """Return the head of an answer, with Connection where it says something.

    `length` is that of the body as for `encode_response_head`; `keep` whether the connection lives
    on. Raise CodecError(500) for an answer that must not be sent.
    """
    status = response.status
    if status < 300 and (status < 200 or request.method == "CONNECT"):
        raise CodecError(500, f"cannot answer {request.method} with {status}")
    if status == 204 or status == 304:
        if isinstance(response.body, bytes) and response.body:
            raise CodecError(500, f"cannot send a body with status {status}")
        if status == 204 or response.length is None:
            length = NONE
    if not keep:
        date_line += _CLOSE_LINE
    elif request.minor == 0:
        date_line += _KEEP_LINE
    return encode_response_head(status, response.headers, length, date_line)


def stream_length(request: "Request", response: "Response") -> int:
    """Return how a streamed body is framed: counted if its length is known, else chunked.

    HTTP/1.0 knows no chunks: there the end of the connection ends it.
    """
    if response.length is not None:
        return response.length
    return CHUNKED if request.minor else CLOSE


async def send_stream(
    connection: "Connection", request: "Request", response: "Response", length: int
) -> None:
    """Send a streamed body, as fast as the client takes it.

    Raise whatever the iterator raises, and CodecError(500) for a body not as long as announced.
    """
    if request.method == "HEAD" or response.status in (204, 304):
        return
    body = response.body
    assert not isinstance(body, bytes)
    encoder = BodyEncoder(length)
    async for chunk in body:
        connection.write(encoder.data(chunk))
        if connection.write_paused:
            await connection.writable()
    trailers = response.trailers
    connection.write(encoder.end(trailers() if callable(trailers) else trailers))
