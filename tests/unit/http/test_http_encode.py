"""The encoder: nothing of the caller's breaks out of its field, and bodies keep to their framing."""

from types import ModuleType

import pytest


def test_a_response_head(codec: ModuleType) -> None:
    head = codec.encode_response_head(200, [(b"A", b"b")], 3, b"date: now\r\n")
    assert head == b"HTTP/1.1 200 OK\r\nA: b\r\ndate: now\r\ncontent-length: 3\r\n\r\n"
    assert codec.encode_response_head(299, [], codec.CHUNKED).startswith(b"HTTP/1.1 299 \r\n")
    assert b"content-length" not in codec.encode_response_head(204, [], codec.NONE)


def test_a_request_head(codec: ModuleType) -> None:
    head = codec.encode_request_head("GET", "/a?b", [(b"host", b"x")], codec.NONE)
    assert head == b"GET /a?b HTTP/1.1\r\nhost: x\r\n\r\n"
    for method, target in (("CONNECT", "a:1"), ("OPTIONS", "*"), ("GET", "http://a/b")):
        assert codec.encode_request_head(method, target, [], codec.NONE)


def test_what_is_encoded_is_read_again(codec: ModuleType) -> None:
    fields = [(b"host", b"a"), (b"x", b"\xff\t 1")]
    body = codec.BodyEncoder(codec.CHUNKED)
    parser = codec.RequestParser(codec.Limits())
    parser.receive(codec.encode_request_head("PUT", "/", fields, codec.CHUNKED))
    assert parser.next_event().headers.items[:2] == fields
    parser.receive(body.data(b"") + body.data(b"x" * 300) + body.end([(b"t", b"1")]))
    assert parser.next_event() == b"x" * 300
    assert parser.next_event().trailers.items == [(b"t", b"1")]


@pytest.mark.parametrize(
    "value",
    [b"a\r\nb: c", b"a\nb: c", b"a\rb", b"\x00", b"a\r\n", b"\r\n", b"a\r\n\r\nHTTP/1.1 200"],
)
def test_values_cannot_break_out(codec: ModuleType, value: bytes) -> None:
    for fields in ([(b"a", value)], [(b"x", b"y"), (b"a", value), (b"z", b"")]):
        with pytest.raises(codec.CodecError):
            codec.encode_response_head(200, fields, 0)
        with pytest.raises(codec.CodecError):
            codec.encode_request_head("GET", "/", fields, codec.NONE)
        with pytest.raises(codec.CodecError):
            codec.BodyEncoder(codec.CHUNKED).end(fields)


@pytest.mark.parametrize(
    "name", ["", "a b", "a:", "a\r\n", "ä", "content-length", "Transfer-Encoding", "a\n"]
)
def test_names_that_are_refused(codec: ModuleType, name: str) -> None:
    for _ in range(2):
        with pytest.raises(codec.CodecError):
            codec.encode_fields([(name.encode(), b"1")])


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("", "/"),
        ("G T", "/"),
        ("GET\r\n", "/"),
        ("GÄT", "/"),
        ("GET", ""),
        ("GET", "a"),
        ("GET", "/a b"),
        ("GET", "/a\r\nX: y"),
        ("GET", "/ä"),
        ("GET", "http://a/ b"),
        ("GET", "http://a\r\nb/"),
        ("CONNECT", "/"),
    ],
)
def test_start_lines_that_are_refused(codec: ModuleType, method: str, target: str) -> None:
    with pytest.raises(codec.CodecError):
        codec.encode_request_head(method, target, [], codec.NONE)


def test_bodies_where_none_may_be_are_refused(codec: ModuleType) -> None:
    for status, length in ((204, 0), (204, codec.CHUNKED), (100, 0), (99, 0), (600, 0)):
        with pytest.raises(codec.CodecError):
            codec.encode_response_head(status, [], length)
    with pytest.raises(codec.CodecError):
        codec.encode_request_head("GET", "/", [], codec.CLOSE)


def test_a_body_keeps_to_its_length(codec: ModuleType) -> None:
    body = codec.BodyEncoder(3)
    assert body.data(b"ab") == b"ab"
    with pytest.raises(codec.CodecError):
        body.end()
    with pytest.raises(codec.CodecError):
        body.data(b"cd")
    body = codec.BodyEncoder(codec.NONE)
    assert body.end() == b""
    with pytest.raises(codec.CodecError):
        body.data(b"x")


def test_empty_data_does_not_end_a_chunked_body(codec: ModuleType) -> None:
    body = codec.BodyEncoder(codec.CHUNKED)
    assert body.data(b"") == b""
    assert body.data(b"x" * 16) == b"10\r\n" + b"x" * 16 + b"\r\n"
    assert body.end() == b"0\r\n\r\n"
