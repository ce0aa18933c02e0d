"""Requests: what is read, what is refused and with which status, whatever way the bytes arrive."""

from types import ModuleType
from typing import Any

import pytest

HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"


def run(
    codec: ModuleType,
    data: bytes,
    *,
    step: int | None = None,
    limits: Any = None,
    eof: bool = False,
) -> list[Any]:
    """Feed `data` (in pieces of `step`); return the events of every message in it."""
    parser = codec.RequestParser(limits or codec.Limits())
    events: list[Any] = []
    pieces = [data] if step is None else [data[i : i + step] for i in range(0, len(data), step)]
    for piece in [*pieces, None]:
        if piece is None:
            if not eof:
                break
            parser.receive_eof()
        else:
            parser.receive(piece)
        while True:
            event = parser.next_event()
            if event is codec.NEED_DATA or (event is codec.PAUSED and parser.closed):
                break
            if event is codec.PAUSED:
                parser.next_message()
            elif isinstance(event, bytes) and events and isinstance(events[-1], bytes):
                events[-1] += event
            else:
                events.append(event)
    return events


def refusal(codec: ModuleType, data: bytes, **kwargs: Any) -> int:
    """Return the status with which `data` is refused, the same for every way it arrives."""
    statuses = set()
    for step in (None, 1, 2, 3, 7):
        with pytest.raises(codec.CodecError) as caught:
            run(codec, data, step=step, **kwargs)
        statuses.add(caught.value.status)
        assert caught.value.reason.startswith("cannot ")
    assert len(statuses) == 1, statuses
    status: int = statuses.pop()
    return status


@pytest.mark.parametrize("step", [None, 1, 2, 3, 7])
def test_a_request_without_a_body(codec: ModuleType, step: int | None) -> None:
    head, end = run(codec, b"GET /a?b=c HTTP/1.1\r\nHost: a:80\r\nX-Y:  z \t\r\n\r\n", step=step)
    assert (head.method, head.target, head.minor) == ("GET", "/a?b=c", 1)
    assert head.headers.items == [(b"host", b"a:80"), (b"x-y", b"z")]
    assert head.headers.get(b"x-y") == b"z"
    assert (head.length, head.keep_alive, head.authority) == (0, True, b"a:80")
    assert end is codec.END


@pytest.mark.parametrize("step", [None, 1, 2, 3, 7])
def test_a_counted_body(codec: ModuleType, step: int | None) -> None:
    head, body, end = run(codec, POST + b"Content-Length: 5\r\n\r\nhello", step=step)
    assert head.length == 5
    assert body == b"hello"
    assert end is codec.END


@pytest.mark.parametrize("step", [None, 1, 2, 3, 7])
def test_a_chunked_body_with_extensions_and_trailers(codec: ModuleType, step: int | None) -> None:
    data = (
        POST + b"Transfer-Encoding: Chunked\r\n\r\n"
        b'5;a;b=c;d="e f\\""\r\nhello\r\n0006\r\n world\r\n0\r\nX-Sum: 1\r\nB:2\r\n\r\n'
    )
    head, body, end = run(codec, data, step=step)
    assert head.length == codec.CHUNKED
    assert body == b"hello world"
    assert end.trailers.items == [(b"x-sum", b"1"), (b"b", b"2")]


@pytest.mark.parametrize("step", [None, 1, 2, 3, 7])
def test_pipelined_requests_are_read_one_at_a_time(codec: ModuleType, step: int | None) -> None:
    data = HEAD + b"\r\n" + POST + b"Content-Length: 2\r\n\r\nhi" + HEAD + b"\r\n"
    events = run(codec, data, step=step)
    assert [e.method for e in events if isinstance(e, codec.RequestHead)] == ["GET", "POST", "GET"]


def test_the_parser_pauses_after_a_message_and_keeps_the_rest(codec: ModuleType) -> None:
    parser = codec.RequestParser(codec.Limits())
    parser.receive(HEAD + b"\r\n" + b"\x00garbage")
    assert isinstance(parser.next_event(), codec.RequestHead)
    assert parser.next_event() is codec.END
    for _ in range(3):
        assert parser.next_event() is codec.PAUSED
    assert parser.buffered == 8
    parser.next_message()
    with pytest.raises(codec.CodecError):
        parser.next_event()
    with pytest.raises(codec.CodecError):
        parser.next_event()


def test_next_message_is_refused_in_the_middle_of_one(codec: ModuleType) -> None:
    parser = codec.RequestParser(codec.Limits())
    parser.receive(POST + b"Content-Length: 2\r\n\r\n")
    parser.next_event()
    with pytest.raises(RuntimeError):
        parser.next_message()


def test_what_follows_an_accepted_connect_is_not_http(codec: ModuleType) -> None:
    parser = codec.RequestParser(codec.Limits())
    parser.receive(b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n\x16\x03\x01")
    assert parser.next_event().target == "a:443"
    assert parser.next_event() is codec.END
    parser.tunnel()
    assert parser.next_event() is codec.PAUSED
    assert parser.take_rest() == b"\x16\x03\x01"


def test_an_upgrade_counts_only_when_connection_names_it(codec: ModuleType) -> None:
    named = HEAD + b"Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\r\n"
    assert run(codec, named)[0].upgrade == b"websocket"
    assert run(codec, HEAD + b"Upgrade: websocket\r\n\r\n")[0].upgrade is None


def test_the_end_of_the_stream_between_messages_is_no_error(codec: ModuleType) -> None:
    assert len(run(codec, HEAD + b"\r\n", eof=True)) == 2


@pytest.mark.parametrize(
    "data",
    [
        b"G",
        HEAD,
        HEAD + b"\r",
        POST + b"Content-Length: 2\r\n\r\n",
        POST + b"Content-Length: 2\r\n\r\na",
        POST + b"Transfer-Encoding: chunked\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n",
    ],
)
def test_truncation_is_an_error(codec: ModuleType, data: bytes) -> None:
    assert refusal(codec, data, eof=True) == 400


@pytest.mark.parametrize(
    ("lines", "minor", "alive"),
    [
        (b"", 1, True),
        (b"Connection: close\r\n", 1, False),
        (b"Connection: Keep-Alive, Close\r\n", 1, False),
        (b"Connection: x\r\nConnection: close\r\n", 1, False),
        (b"", 0, False),
        (b"Connection: keep-alive\r\n", 0, True),
        (b"Connection: close, keep-alive\r\n", 0, False),
    ],
)
def test_persistence(codec: ModuleType, lines: bytes, minor: int, alive: bool) -> None:
    head = run(codec, b"GET / HTTP/1.%d\r\nHost: a\r\n%b\r\n" % (minor, lines))[0]
    assert head.keep_alive is alive


@pytest.mark.parametrize(
    ("line", "authority"),
    [
        (b"GET / HTTP/1.1", b"a"),
        (b"GET /%41;x=1/..//[?q={}|\\^`[]%%%/? HTTP/1.1".replace(b"[?", b"?"), b"a"),
        (b"GET http://A/x HTTP/1.1", b"A"),
        (b"GET https://a?x HTTP/1.1", b"a"),
        (b"OPTIONS * HTTP/1.1", b"a"),
        (b"CONNECT a:1 HTTP/1.1", b"a:1"),
        (b"CONNECT [::1]:65535 HTTP/1.1", b"[::1]:65535"),
        (b"get / HTTP/1.1", b"a"),
    ],
)
def test_targets_that_are_read(codec: ModuleType, line: bytes, authority: bytes) -> None:
    assert run(codec, line + b"\r\nHost: a\r\n\r\n")[0].authority == authority


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b" GET / HTTP/1.1",
        b"GET  / HTTP/1.1",
        b"GET /  HTTP/1.1",
        b"GET / HTTP/1.1 ",
        b"GET\t/ HTTP/1.1",
        b"GET / a HTTP/1.1",
        b"GET /",
        b"GET HTTP/1.1",
        b"G(T / HTTP/1.1",
        b"G\xc4T / HTTP/1.1",
        b"GET a HTTP/1.1",
        b"GET * HTTP/1.1",
        b"GET a:80 HTTP/1.1",
        b"CONNECT / HTTP/1.1",
        b"CONNECT a HTTP/1.1",
        b"CONNECT a: HTTP/1.1",
        b"CONNECT a:65536 HTTP/1.1",
        b"CONNECT http://a/ HTTP/1.1",
        b"GET ftp://a/ HTTP/1.1",
        b"GET http:///x HTTP/1.1",
        b"GET http://u@a/ HTTP/1.1",
        b"GET http://b/ HTTP/1.1",
        b"GET http://a/# HTTP/1.1",
        b"GET http://a/%zz HTTP/1.1",
        b"GET /# HTTP/1.1",
        b"GET /%zz HTTP/1.1",
        b"GET /% HTTP/1.1",
        b"GET /<x> HTTP/1.1",
        b'GET /?" HTTP/1.1',
        b"GET /\\x HTTP/1.1",
        b"GET /\xe4 HTTP/1.1",
        b"GET /\x00 HTTP/1.1",
        b"GET / http/1.1",
        b"GET / HTTP/1.a",
        b"GET / HTTP/11",
        b"GET / HTTP/1.1\r",
        b"GET / HTTP/1.1\x0b",
        b"GET / HTTQ/1.1",
        b"GET / HTTP/\xb2.1",
    ],
)
def test_start_lines_that_are_refused(codec: ModuleType, line: bytes) -> None:
    assert refusal(codec, line + b"\r\nHost: a\r\n\r\n") == 400


@pytest.mark.parametrize("version", [b"HTTP/0.9", b"HTTP/1.2", b"HTTP/2.0", b"HTTP/3.0"])
def test_other_versions_are_answered_505(codec: ModuleType, version: bytes) -> None:
    assert refusal(codec, b"GET / " + version + b"\r\nHost: a\r\n\r\n") == 505


def test_a_method_nobody_has_is_answered_501(codec: ModuleType) -> None:
    assert refusal(codec, b"A" * 33 + b" / HTTP/1.1\r\nHost: a\r\n\r\n") == 501


@pytest.mark.parametrize(
    "host",
    [
        b"",
        b"a b",
        b"a,b",
        b"u@a",
        b"a/",
        b"a:",
        b"a:x",
        b"a:65536",
        b"a:123456",
        b"[::1",
        b"[]",
        b"a%41",
        b"a\xe4",
        b"a?b",
        b"a#b",
        b"[g]",
        b"a:80:80",
    ],
)
def test_hosts_that_are_refused(codec: ModuleType, host: bytes) -> None:
    assert refusal(codec, b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n") == 400


def test_no_host_is_refused_in_1_1_and_read_in_1_0(codec: ModuleType) -> None:
    assert refusal(codec, b"GET / HTTP/1.1\r\nA: b\r\n\r\n") == 400
    assert refusal(codec, b"GET / HTTP/1.1\r\n\r\n") == 400
    assert run(codec, b"GET / HTTP/1.0\r\n\r\n")[0].authority == b""


@pytest.mark.parametrize(
    "line",
    [
        b"A : b",
        b"A\t: b",
        b" A: b",
        b"\tA: b",
        b": b",
        b"A",
        b"A(: b",
        b"A\x00: b",
        b"A: \x00",
        b"A: \x01b",
        b"A: b\x7f",
        b"A: b\rc",
        b"A: b\nc: d",
        b"A: b\r\n folded",
        b"A: b\r\n\tfolded",
        b"A: b\r\n : c",
        b"\xc3\xa4: b",
    ],
)
def test_header_lines_that_are_refused(codec: ModuleType, line: bytes) -> None:
    assert refusal(codec, HEAD + line + b"\r\n\r\n") == 400
    assert refusal(codec, b"GET / HTTP/1.1\r\n" + line + b"\r\nHost: a\r\n\r\n") == 400


@pytest.mark.parametrize("data", [b"\n", b"\r\n", b" ", b"\x16\x03\x01\x02", b"\x00", b"\xff\xfe"])
def test_what_does_not_begin_like_http_is_refused_at_its_first_bytes(
    codec: ModuleType, data: bytes
) -> None:
    parser = codec.RequestParser(codec.Limits())
    parser.receive(data)
    with pytest.raises(codec.CodecError) as caught:
        parser.next_event()
    assert caught.value.status == 400


@pytest.mark.parametrize("step", [1, 10, None])
def test_limits_count_bytes_fed_and_are_exact(codec: ModuleType, step: int | None) -> None:
    limits = codec.Limits(target_bytes=10, header_bytes=40, header_count=3, body_bytes=6)

    def status(data: bytes) -> int | None:
        try:
            run(codec, data, step=step, limits=limits)
        except codec.CodecError as error:
            return error.status
        return None

    assert status(b"GET /234567890 HTTP/1.1\r\nHost: a\r\n\r\n") is None
    assert status(b"GET /2345678901 HTTP/1.1\r\nHost: a\r\n\r\n") == 414
    assert status(HEAD + b"A: " + b"x" * 26 + b"\r\n\r\n") is None
    assert status(HEAD + b"A: " + b"x" * 27 + b"\r\n\r\n") == 431
    assert status(HEAD + b"A:\r\nB:\r\n\r\n") is None
    assert status(HEAD + b"A:\r\nB:\r\nC:\r\n\r\n") == 431
    assert status(POST + b"Content-Length: 6\r\n\r\n123456") is None
    assert status(POST + b"Content-Length: 7\r\n\r\n") == 413
    assert status(b"GET /" + b"x" * 200) == 414
    assert status(HEAD + b"A: " + b"x" * 200) == 431


def test_a_chunked_body_is_refused_at_the_chunk_that_crosses_the_limit(codec: ModuleType) -> None:
    limits = codec.Limits(body_bytes=6)
    head = POST + b"Transfer-Encoding: chunked\r\n\r\n"
    assert run(codec, head + b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n", limits=limits)[1] == b"abcdef"
    assert refusal(codec, head + b"3\r\nabc\r\n4\r\n", limits=limits) == 413


def test_trailers_are_bounded(codec: ModuleType) -> None:
    limits = codec.Limits(trailer_bytes=20, header_count=3)
    head = POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n"
    assert refusal(codec, head + b"A: " + b"x" * 60, limits=limits) == 431
    assert refusal(codec, head + b"A:\r\nB:\r\nC:\r\nD:\r\n\r\n", limits=limits) == 431


def test_a_header_fed_byte_by_byte_is_searched_once(codec: ModuleType) -> None:
    """No quadratic growth: twice the bytes take about twice the looks, not four times."""
    limits = codec.Limits(header_bytes=1 << 20)
    parser = codec.RequestParser(limits)
    parser.receive(HEAD + b"A: ")
    for _ in range(200_000):
        parser.receive(b"x")
        assert parser.next_event() is codec.NEED_DATA


def test_headers_answer_by_lower_case_name(codec: ModuleType) -> None:
    headers = run(codec, HEAD + b"X-A: 1\r\nx-a: 2\r\nSet-Cookie: c\r\n\r\n")[0].headers
    assert headers.get(b"x-a") == b"1, 2"
    assert headers.get_all(b"x-a") == [b"1", b"2"]
    assert headers.get(b"nothing") is None
    assert b"set-cookie" in headers
    assert len(headers) == 4
    assert headers == codec.Headers(list(headers))
