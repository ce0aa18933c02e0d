"""Answers: where their bodies end, for every method and status, and what is refused."""

from types import ModuleType
from typing import Any

import pytest


def run(
    codec: ModuleType,
    data: bytes,
    *,
    method: str = "GET",
    upgrade: bool = False,
    step: int | None = None,
    eof: bool = False,
    **options: Any,
) -> list[Any]:
    parser = codec.ResponseParser(codec.Limits(), **options)
    parser.expect(method, upgrade=upgrade)
    pieces = [data] if step is None else [data[i : i + step] for i in range(0, len(data), step)]
    events: list[Any] = []
    for piece in [*pieces, None]:
        if piece is not None:
            parser.receive(piece)
        elif eof:
            parser.receive_eof()
        while True:
            event = parser.next_event()
            if event is codec.NEED_DATA or event is codec.PAUSED:
                break
            if isinstance(event, bytes) and events and isinstance(events[-1], bytes):
                events[-1] += event
            else:
                events.append(event)
    return events


def refused(codec: ModuleType, data: bytes, **kwargs: Any) -> None:
    for step in (None, 1, 3):
        with pytest.raises(codec.CodecError):
            run(codec, data, step=step, **kwargs)


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize("step", [None, 1, 3])
def test_a_counted_body(codec: ModuleType, step: int | None) -> None:
    head, body, end = run(codec, OK + b"Content-Length: 2\r\n\r\nhi", step=step)
    assert (head.status, head.reason, head.minor, head.length) == (200, b"OK", 1, 2)
    assert body == b"hi"
    assert end is codec.END
    assert head.keep_alive


@pytest.mark.parametrize("step", [None, 1, 3])
def test_a_chunked_body(codec: ModuleType, step: int | None) -> None:
    data = OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nA: b\r\n\r\n"
    _, body, end = run(codec, data, step=step)
    assert body == b"hi"
    assert end.trailers.items == [(b"a", b"b")]


@pytest.mark.parametrize("step", [None, 1, 3])
def test_a_body_that_the_end_of_the_stream_ends(codec: ModuleType, step: int | None) -> None:
    head, body, end = run(codec, OK + b"\r\nhi", step=step, eof=True)
    assert head.length == codec.CLOSE
    assert not head.keep_alive
    assert body == b"hi"
    assert end is codec.END


def test_such_a_body_is_refused_where_it_is_not_allowed(codec: ModuleType) -> None:
    refused(codec, OK + b"\r\nhi", allow_close=False)


@pytest.mark.parametrize(
    ("method", "status", "lines"),
    [
        ("HEAD", 200, b"Content-Length: 5\r\n"),
        ("HEAD", 200, b"Transfer-Encoding: chunked\r\n"),
        ("HEAD", 200, b""),
        ("GET", 204, b""),
        ("GET", 204, b"Content-Length: 0\r\n"),
        ("GET", 304, b"Content-Length: 5\r\n"),
        ("GET", 304, b""),
        ("GET", 200, b"Content-Length: 0\r\n"),
    ],
)
def test_answers_without_a_body(codec: ModuleType, method: str, status: int, lines: bytes) -> None:
    events = run(codec, b"HTTP/1.1 %d X\r\n%b\r\n" % (status, lines), method=method)
    assert len(events) == 2
    assert events[0].keep_alive
    assert events[1] is codec.END


@pytest.mark.parametrize("step", [None, 1])
def test_interim_answers_come_before_the_answer(codec: ModuleType, step: int | None) -> None:
    data = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 \r\nLink: x\r\n\r\n" + OK
    events = run(codec, data + b"Content-Length: 0\r\n\r\n", step=step)
    assert [e.status for e in events[:3]] == [100, 103, 200]
    assert [e.informational for e in events[:3]] == [True, True, False]


def test_a_change_of_protocol_ends_http(codec: ModuleType) -> None:
    parser = codec.ResponseParser(codec.Limits())
    parser.expect("GET", upgrade=True)
    parser.receive(b"HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nraw")
    assert parser.next_event().tunnel
    assert parser.next_event() is codec.PAUSED
    assert parser.take_rest() == b"raw"


def test_connect_that_is_accepted_ends_http_whatever_its_header_says(codec: ModuleType) -> None:
    parser = codec.ResponseParser(codec.Limits())
    parser.expect("CONNECT")
    parser.receive(OK + b"Content-Length: 5\r\n\r\nraw")
    assert parser.next_event().tunnel
    assert parser.take_rest() == b"raw"


def test_connect_that_is_declined_has_a_body(codec: ModuleType) -> None:
    data = b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno"
    assert run(codec, data, method="CONNECT")[1] == b"no"


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 101 S\r\n\r\n",
        b"HTTP/1.1 100 C\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 100 C\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 204 N\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 204 N\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        OK + b"Content-Length: 5, 5\r\n\r\nhello",
        OK + b"Transfer-Encoding: gzip\r\n\r\n",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"A: b\n\r\n",
        OK + b"A : b\r\n\r\n",
        OK + b"A: b\r\n c\r\n\r\n",
        b"HTTP/1.1 200\r\n\r\n",
        b"HTTP/1.1  200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 600 OK\r\n\r\n",
        b"HTTP/1.1 099 OK\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 200 O\x00K\r\n\r\n",
        b"HTTP/1.1 200 O\rK\r\n\r\n",
        b"http/1.1 200 OK\r\n\r\n",
        b"\r\nHTTP/1.1 200 OK\r\n\r\n",
        b"\x15\x03\x01",
        b"SSH-2.0-x\r\n\r\n",
    ],
)
def test_what_is_refused(codec: ModuleType, data: bytes) -> None:
    refused(codec, data)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP",
        OK,
        OK + b"Content-Length: 2\r\n\r\nh",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n",
    ],
)
def test_truncation_is_an_error(codec: ModuleType, data: bytes) -> None:
    refused(codec, data, eof=True)


def test_an_answer_nobody_asked_for_is_refused(codec: ModuleType) -> None:
    parser = codec.ResponseParser(codec.Limits())
    parser.receive(OK + b"Content-Length: 0\r\n\r\n")
    with pytest.raises(codec.CodecError):
        parser.next_event()


def test_a_header_without_end_is_refused(codec: ModuleType) -> None:
    refused(codec, OK + b"A: " + b"x" * 40000)
    refused(codec, b"HTTP/1.1 200 " + b"x" * 40000)


def test_the_end_of_the_stream_before_an_answer_is_seen(codec: ModuleType) -> None:
    parser = codec.ResponseParser(codec.Limits())
    parser.expect("GET")
    parser.receive_eof()
    assert parser.next_event() is codec.PAUSED
    assert parser.closed
