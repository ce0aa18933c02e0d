"""The codec against llhttp and h11, and against itself: compiled and interpreted, whole and split.

What we read, others must read the same way; what h11 refuses for its framing, we must not read.
"""

from types import ModuleType
from typing import Any

import h11
import httptools
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from messages import pieces, requests, responses, splits
from two_codecs import BOTH, compiled, source

BUDGET = settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


def read_one(parser: Any, codec: ModuleType, parts: list[bytes], *, eof: bool = False) -> Any:
    """Return (head, body, trailers, consumed), or a status, or None when it is incomplete."""
    head: Any = None
    body = b""
    fed = 0
    try:
        for part in [*parts, None]:
            if part is not None:
                parser.receive(part)
                fed += len(part)
            elif eof:
                parser.receive_eof()
            while True:
                event = parser.next_event()
                if event is codec.NEED_DATA:
                    break
                if isinstance(event, bytes):
                    body += event
                elif isinstance(event, (codec.RequestHead, codec.ResponseHead)):
                    if not getattr(event, "informational", False):
                        head = event
                elif isinstance(event, codec.End):
                    rest = b"".join(parts)[fed:]
                    return head, body, event.trailers.items, fed - parser.buffered, rest
                else:
                    return (head, body, [], fed - parser.buffered, b"") if head else None
    except codec.CodecError as error:
        return error.status
    return None


def meaning(result: Any) -> Any:
    """Return what two readers of one message must agree on."""
    if not isinstance(result, tuple):
        return result
    head, body, trailers, consumed, _ = result
    what = (head.method, head.target) if hasattr(head, "method") else (head.status, head.reason)
    return what, head.minor, head.headers.items, head.keep_alive, body, trailers, consumed


@BUDGET
@given(data=requests, cuts=splits)
def test_every_split_and_both_speeds_read_a_request_alike(data: bytes, cuts: list[int]) -> None:
    seen = [
        meaning(read_one(codec.RequestParser(codec.Limits()), codec, parts))
        for codec in BOTH.values()
        for parts in ([data], pieces(data, cuts), [data[i : i + 1] for i in range(len(data))])
    ]
    # Feeding more than one error holds may show another one first; a refusal is a refusal.
    seen = ["refused" if isinstance(s, int) else s for s in seen]
    assert all(s == seen[0] for s in seen), seen


@BUDGET
@given(data=responses, cuts=splits, method=st.sampled_from(["GET", "HEAD", "CONNECT"]))
def test_every_split_and_both_speeds_read_an_answer_alike(
    data: bytes, cuts: list[int], method: str
) -> None:
    seen = []
    for codec in BOTH.values():
        for parts in ([data], pieces(data, cuts), [data[i : i + 1] for i in range(len(data))]):
            parser = codec.ResponseParser(codec.Limits())
            parser.expect(method)
            seen.append(meaning(read_one(parser, codec, parts, eof=True)))
    seen = ["refused" if isinstance(s, int) else s for s in seen]
    assert all(s == seen[0] for s in seen), seen


@BUDGET
@given(data=st.binary(max_size=300), cuts=splits)
@example(data=b"\r\n\r\n", cuts=[])
def test_nothing_but_its_own_error_comes_out(data: bytes, cuts: list[int]) -> None:
    for codec in (compiled, source):
        for prefix in (b"", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"):
            parts = pieces(prefix + data, cuts)
            read_one(codec.RequestParser(codec.Limits()), codec, parts, eof=True)
        parser = codec.ResponseParser(codec.Limits())
        parser.expect("GET")
        read_one(parser, codec, pieces(data, cuts), eof=True)


def h11_reads(connection: h11.Connection, data: bytes) -> tuple[Any, bytes, Any]:
    """Return head, body and end; raise h11.RemoteProtocolError."""
    connection.receive_data(data)
    head: Any = None
    body = b""
    while True:
        event = connection.next_event()
        if isinstance(event, (h11.Request, h11.Response)):
            head = event
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            return head, body, event
        elif not isinstance(event, h11.InformationalResponse):
            pytest.fail(f"h11 does not see the end of a message that we have read: {event!r}")


@BUDGET
@given(data=requests)
def test_what_we_read_h11_reads_alike(data: bytes) -> None:
    result = read_one(compiled.RequestParser(compiled.Limits()), compiled, [data])
    if not isinstance(result, tuple):
        return
    head, body, trailers, consumed, _ = result
    theirs, their_body, end = h11_reads(h11.Connection(h11.SERVER), data[:consumed])
    assert theirs.method.decode() == head.method
    assert theirs.target.decode() == head.target
    assert theirs.http_version == b"1.%d" % head.minor
    assert [(bytes(n), bytes(v)) for n, v in theirs.headers] == [
        (n, v.lower() if n == b"transfer-encoding" else v) for n, v in head.headers
    ]
    assert their_body == body
    assert [(bytes(n), bytes(v)) for n, v in end.headers] == trailers


class Collector:
    """What llhttp says about one message."""

    def __init__(self) -> None:
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.complete = 0

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value.rstrip(b" \t")))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.complete += 1


@BUDGET
@given(data=requests)
def test_what_we_read_llhttp_reads_alike(data: bytes) -> None:
    result = read_one(compiled.RequestParser(compiled.Limits()), compiled, [data])
    if not isinstance(result, tuple):
        return
    head, body, trailers, consumed, _ = result
    theirs = Collector()
    parser = httptools.HttpRequestParser(theirs)
    try:
        parser.feed_data(data[:consumed])
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserInvalidMethodError:
        return  # it knows a fixed list of methods
    assert theirs.complete == 1
    assert parser.get_method().decode() == head.method
    assert theirs.url.decode() == head.target
    assert theirs.headers == head.headers.items + trailers
    assert theirs.body == body


@BUDGET
@given(data=responses)
def test_answers_that_we_read_h11_and_llhttp_read_alike(data: bytes) -> None:
    parser = compiled.ResponseParser(compiled.Limits(), allow_close=False)
    parser.expect("GET")
    result = read_one(parser, compiled, [data])
    if not isinstance(result, tuple):
        return
    head, body, _trailers, consumed, _ = result
    ours = h11.Connection(h11.CLIENT)
    ours.send(h11.Request(method="GET", target="/", headers=[("host", "a")]))
    ours.send(h11.EndOfMessage())
    theirs, their_body, _end = h11_reads(ours, data[:consumed])
    assert theirs.status_code == head.status
    assert their_body == body
    collector = Collector()
    llhttp = httptools.HttpResponseParser(collector)
    try:
        llhttp.feed_data(data[:consumed])
    except httptools.HttpParserUpgrade:
        return  # it takes any answer with Upgrade for one
    assert llhttp.get_status_code() == head.status
    assert collector.body == body
