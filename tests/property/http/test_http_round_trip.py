"""What our encoder writes, our parsers read: the same events, however the bytes are split.

The messages are made part by part, so that it is known what must come out: several on a connection,
every framing, trailers, interim answers before the answer, and connections that stop being HTTP.
"""

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from messages import pieces, splits
from two_codecs import BOTH

from pillion.http.codec import CHUNKED, NONE

BUDGET = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
TOKEN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~"
TEXT = frozenset((9, *range(32, 127), *range(128, 256)))  # RFC 9110 section 5.5
FRAMING = {"content-length", "transfer-encoding"}
OWN = {"host", "connection", "upgrade", "expect"}  # written by the test where they mean something

Fields = list[tuple[bytes, bytes]]
Events = list[Any]


class Message(NamedTuple):
    """One message as it is said; `length` and `body` are what goes to the encoder."""

    method: str
    target: str
    status: int
    fields: Fields
    length: int
    body: list[bytes]
    trailers: Fields


@pytest.fixture(params=sorted(BOTH))
def codec(request: pytest.FixtureRequest) -> ModuleType:
    """The compiled codec, and its source."""
    return BOTH[str(request.param)]


NAMES = (
    st.one_of(
        st.text(TOKEN, min_size=1, max_size=12),
        st.sampled_from(["Accept", "Set-Cookie", "X-A", "x-a", "Keep-Alive", "Trailer", "TE"]),
    )
    .filter(lambda name: name.lower() not in FRAMING | OWN)
    .map(str.encode)
)
VALUES = st.one_of(
    st.sampled_from([b"", b"close, chunked", b'"a\\"b"', b"\xe4\xff", b"a\tb  c", b"0"]),
    st.binary(max_size=20).map(lambda v: bytes(b for b in v if b in TEXT).strip(b" \t")),
)
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=6)
BODY = st.lists(st.binary(max_size=40), max_size=4)
METHODS = st.one_of(
    st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE"]),
    st.text(TOKEN, min_size=1, max_size=32).filter(lambda name: name != "CONNECT"),
)
TARGETS = st.one_of(
    st.sampled_from(
        ["/", "/a/b?c=d", "/%41;p?{x}|", "http://a", "HTTPS://a?b", "http://a/b", "//x"]
    ),
    st.text("abcXYZ019-._~!$&'()*+,;=:@/", max_size=30).map(lambda text: "/" + text),
)


@st.composite
def requests(draw: st.DrawFn) -> Message:
    """A request with any body that a request may have."""
    body = draw(BODY)
    size = sum(map(len, body))
    length = draw(st.sampled_from([CHUNKED, size, size, NONE]))
    if length == NONE:
        body = []
    trailers = draw(FIELDS) if length == CHUNKED else []
    fields: Fields = [*draw(FIELDS), (b"Host", b"a")]
    if draw(st.booleans()):
        fields.append((b"expect", b"100-continue"))
    return Message(draw(METHODS), draw(TARGETS), 0, fields, length, body, trailers)


@st.composite
def answers(draw: st.DrawFn) -> Message:
    """An answer to a GET or a HEAD that leaves the connection as it is."""
    method = draw(st.sampled_from(["GET", "GET", "POST", "HEAD"]))
    status = draw(st.sampled_from([200, 201, 204, 206, 299, 304, 404, 426, 500, 599]))
    body = draw(BODY)
    size = sum(map(len, body))
    length = draw(st.sampled_from([CHUNKED, size]))
    if status == 204 or (status == 304 and draw(st.booleans())):
        length = NONE
    bodiless = method == "HEAD" or status in (204, 304)
    trailers = draw(FIELDS) if length == CHUNKED and not bodiless else []
    fields = draw(FIELDS)
    return Message(method, "", status, fields, length, [] if bodiless else body, trailers)


INTERIM = st.lists(st.tuples(st.sampled_from([100, 102, 103, 199]), FIELDS), max_size=3)


def lowered(fields: Fields) -> Fields:
    """Return the fields as a parser gives them."""
    return [(name.lower(), value) for name, value in fields]


def framed(codec: ModuleType, message: Message) -> bytes:
    """Return the body and its end as our encoder writes them."""
    encoder = codec.BodyEncoder(message.length)
    return b"".join(map(encoder.data, message.body)) + bytes(encoder.end(message.trailers))


def bare(fields: Fields) -> Fields:
    """Return the fields without those that the encoder has added."""
    return [field for field in fields if field[0].decode("latin-1") not in FRAMING]


def ending(message: Message) -> Events:
    """Return the events after the head: body data in one piece, and the trailers."""
    body = b"".join(message.body)
    return [*([body] if body else []), ("end", lowered(message.trailers))]


def read(
    codec: ModuleType,
    parser: Any,
    parts: list[bytes],
    *,
    eof: bool = False,
    go_on: Callable[[], None] | None = None,
) -> Events:
    """Feed `parts` and return the events; `go_on` leaves a pause between two messages."""
    events: Events = []
    for part in [*parts, None] if eof else parts:
        if part is None:
            parser.receive_eof()
        else:
            parser.receive(part)
        while (event := parser.next_event()) is not codec.NEED_DATA:
            if event is not codec.PAUSED:
                gather(codec, events, event)
            elif parser.closed or go_on is None:
                break
            else:
                go_on()
    return events


def gather(codec: ModuleType, events: Events, event: Any) -> None:
    """Note an event in the form in which the tests say what they await."""
    if isinstance(event, bytes):
        assert event
        if events and isinstance(events[-1], bytes):
            events[-1] += event
        else:
            events.append(event)
    elif isinstance(event, codec.End):
        events.append(("end", event.trailers.items))
    elif isinstance(event, codec.RequestHead):
        said = event.method, event.target, event.upgrade, event.expect, bare(event.headers.items)
        events.append(said)
    else:
        events.append((event.status, event.informational, event.tunnel, bare(event.headers.items)))


def ways(wire: bytes, cuts: list[int]) -> list[list[bytes]]:
    """Return the ways to feed: whole, split at `cuts`, byte by byte."""
    return [[wire], pieces(wire, cuts), [wire[i : i + 1] for i in range(len(wire))]]


@BUDGET
@given(said=st.lists(requests(), min_size=1, max_size=3), cuts=splits)
def test_requests_that_we_write_read_back_from_any_split(
    codec: ModuleType, said: list[Message], cuts: list[int]
) -> None:
    wire = b""
    awaited: Events = []
    for message in said:
        method, target, _, fields, length, _, _ = message
        try:
            head = codec.encode_request_head(method, target, fields, length)
        except codec.CodecError as error:
            pytest.fail(f"cannot write a right request: {error}")
        wire += head + framed(codec, message)
        expect = b"100-continue" if fields[-1][0] == b"expect" else None
        awaited.append((method, target, None, expect, lowered(fields)))
        awaited += ending(message)
    for parts in ways(wire, cuts):
        parser = codec.RequestParser(codec.Limits())
        events = read(codec, parser, parts, eof=True, go_on=parser.next_message)
        assert events == awaited
        assert parser.closed


@BUDGET
@given(said=st.lists(st.tuples(INTERIM, answers()), min_size=1, max_size=3), cuts=splits)
def test_answers_that_we_write_read_back_from_any_split(
    codec: ModuleType, said: list[tuple[list[tuple[int, Fields]], Message]], cuts: list[int]
) -> None:
    wire = b""
    awaited: Events = []
    for interim, message in said:
        for status, fields in interim:
            wire += codec.encode_response_head(status, fields, codec.NONE)
            awaited.append((status, True, False, lowered(fields)))
        _, _, status, fields, length, body, _ = message
        wire += codec.encode_response_head(status, fields, length)
        # Where no body may follow, the length says only what a GET would have got.
        if body or length == 0 or not (message.method == "HEAD" or status in (204, 304)):
            wire += framed(codec, message)
        awaited.append((status, False, False, lowered(fields)))
        awaited += ending(message)
    for parts in ways(wire, cuts):
        parser = codec.ResponseParser(codec.Limits(), allow_close=False)
        asked = iter([message.method for _, message in said])
        parser.expect(next(asked))

        def go_on(parser: Any = parser, asked: Iterator[str] = asked) -> None:
            parser.next_message()
            parser.expect(next(asked, "GET"))

        assert read(codec, parser, parts, eof=True, go_on=go_on) == awaited
        assert parser.closed


@BUDGET
@given(fields=FIELDS, body=BODY, cuts=splits)
def test_an_answer_that_the_end_of_the_stream_ends_reads_back_from_any_split(
    codec: ModuleType, fields: Fields, body: list[bytes], cuts: list[int]
) -> None:
    fields = [*fields, (b"Connection", b"close")]
    message = Message("GET", "", 200, fields, codec.CLOSE, body, [])
    wire = codec.encode_response_head(200, fields, codec.CLOSE) + framed(codec, message)
    for parts in ways(wire, cuts):
        parser = codec.ResponseParser(codec.Limits())
        parser.expect("GET")
        events = read(codec, parser, parts, eof=True)
        assert events == [(200, False, False, lowered(fields)), *ending(message)]


UPGRADE: Fields = [(b"Connection", b"keep-alive, Upgrade"), (b"Upgrade", b"websocket")]


@BUDGET
@given(
    fields=FIELDS, connect=st.booleans(), interim=INTERIM, rest=st.binary(max_size=60), cuts=splits
)
def test_what_follows_a_change_of_protocol_comes_out_untouched_from_any_split(
    codec: ModuleType,
    fields: Fields,
    connect: bool,
    interim: list[tuple[int, Fields]],
    rest: bytes,
    cuts: list[int],
) -> None:
    method, target = ("CONNECT", "a:443") if connect else ("GET", "/")
    change = [] if connect else UPGRADE
    asked = [*fields, (b"host", b"a:443"), *change]
    request = codec.encode_request_head(method, target, asked, codec.NONE) + rest
    for parts in ways(request, cuts):
        parser = codec.RequestParser(codec.Limits())
        events = read(codec, parser, parts)
        protocol = None if connect else b"websocket"
        assert events == [(method, target, protocol, None, lowered(asked)), ("end", [])]
        parser.tunnel()
        assert parser.take_rest() == rest
    status = 200 if connect else 101
    heads = [(code, lines) for code, lines in interim if code != 101]
    answer = b"".join(codec.encode_response_head(c, lines, codec.NONE) for c, lines in heads)
    answer += codec.encode_response_head(status, [*fields, *change], codec.NONE) + rest
    for parts in ways(answer, cuts):
        parser = codec.ResponseParser(codec.Limits())
        parser.expect(method, upgrade=not connect)
        events = read(codec, parser, parts)
        assert events == [
            *((code, True, False, lowered(lines)) for code, lines in heads),
            (status, False, True, lowered([*fields, *change])),
        ]
        assert parser.take_rest() == rest
