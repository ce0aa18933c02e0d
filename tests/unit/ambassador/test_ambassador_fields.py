import pytest

from ambassador_messages import request, response
from pillion.ambassador.field_rules import FieldRules, compile_rules
from pillion.ambassador.fields import (
    DROP,
    KEEP,
    REFUSE,
    max_forwards,
    request_block,
    response_block,
    trailer_fields,
    upgrade_of,
)
from pillion.ambassador.forwarded import FORWARDED, X_FORWARDED
from pillion.http.codec import CodecError, Headers, RequestHead

CHUNKED = b"POST / HTTP/1.1"


def sent(
    head: RequestHead,
    *,
    hops: int = 0,
    forwarded: int = 0,
    underscores: int = KEEP,
    extra: bytes = b"",
    rules: FieldRules | None = None,
) -> list[bytes]:
    """The lines that go on, without Host, which is always the first."""
    block = request_block(
        head, b"up:80", b"192.0.2.1", b"http", hops, forwarded, underscores, extra, rules
    )
    assert block.endswith(b"\r\n")
    lines = block[:-2].split(b"\r\n")
    assert lines[0] == b"host: up:80"
    return lines[1:]


def test_end_to_end_fields_go_on_in_their_order() -> None:
    head = request(b"B: 2", b"a: 1", b"Accept: x", b"B: 3", b"Cookie: u=1", b"Cookie: v=2")
    assert sent(head) == [b"b: 2", b"a: 1", b"accept: x", b"b: 3", b"cookie: u=1", b"cookie: v=2"]


def test_an_empty_value_stays_an_empty_value() -> None:
    assert sent(request(b"X-Empty:", b"X-After: 1")) == [b"x-empty: ", b"x-after: 1"]


def test_host_is_written_once_whatever_was_asked_for() -> None:
    assert sent(request(host=b"evil.example:81")) == []


@pytest.mark.parametrize(
    "line",
    [
        b"Keep-Alive: timeout=5",
        b"Proxy-Connection: keep-alive",
        b"Proxy-Authorization: Basic eDp5",
        b"Proxy-Authenticate: Basic",
        b"HTTP2-Settings: AAMAAABkAAQAAP__",
        b"Upgrade: websocket",  # Connection does not name it: it is meant for someone else
        b"TE: deflate",
        b"Expect: 100-continue",
        b"Content_Length: 5",
        b"Transfer_Encoding: chunked",
        b"Connection: close",
        b"Connection: keep-alive",
    ],
)
def test_fields_of_one_connection_end_here(line: bytes) -> None:
    assert sent(request(line, b"X-After: 1")) == [b"x-after: 1"]


def test_framing_is_left_to_the_caller() -> None:
    head = request(b"Transfer-Encoding: chunked", line=CHUNKED)
    assert sent(head) == []
    head = request(b"Content-Length: 3", line=CHUNKED)
    assert sent(head) == []


def test_what_connection_names_goes_with_it() -> None:
    head = request(b"X-Mine: 1", b"Connection: close, x-mine, X-Other", b"x-other: 2", b"X-Kept: 3")
    assert sent(head) == [b"x-kept: 3"]


def test_names_in_every_connection_line_count() -> None:
    assert sent(request(b"Connection: keep-alive", b"X-A: 1", b"Connection: x-a")) == []


@pytest.mark.parametrize(
    "name",
    [
        b"Host",
        b"Content-Length",
        b"transfer-encoding",
        b"Authorization",
        b"cookie",
        b"X-Forwarded-For",
        b"Cache-Control",
    ],
)
def test_connection_cannot_take_out_what_is_meant_for_everyone(name: bytes) -> None:
    head = request(b"Connection: close, " + name)
    with pytest.raises(CodecError, match="its connection field names") as caught:
        sent(head)
    assert caught.value.status == 400


def test_te_trailers_is_passed_on_and_named() -> None:
    head = request(b"TE: deflate;q=0.5, trailers", b"Connection: TE")
    assert sent(head) == [b"te: trailers", b"connection: te"]


def test_te_is_passed_on_once() -> None:
    head = request(b"TE: trailers", b"TE: trailers", b"Connection: te")
    assert sent(head) == [b"te: trailers", b"connection: te"]


def test_te_of_http_1_0_ends_here() -> None:
    assert sent(request(b"TE: trailers", line=b"GET / HTTP/1.0")) == []


def test_trailers_with_a_weight_are_not_asked_for() -> None:
    assert sent(request(b"TE: trailers;q=0")) == []


def test_trailer_goes_with_a_chunked_body_only() -> None:
    chunked = request(b"Transfer-Encoding: chunked", b"Trailer: X-Sum", line=CHUNKED)
    assert sent(chunked) == [b"trailer: X-Sum"]
    assert sent(request(b"Content-Length: 1", b"Trailer: X-Sum", line=CHUNKED)) == []


def test_an_upgrade_is_passed_on_and_named() -> None:
    head = request(
        b"Upgrade: websocket", b"Connection: keep-alive, Upgrade", b"Sec-WebSocket-Key: k"
    )
    assert sent(head) == [b"sec-websocket-key: k", b"upgrade: websocket", b"connection: upgrade"]


def test_an_upgrade_together_with_te() -> None:
    head = request(b"Upgrade: websocket", b"TE: trailers", b"Connection: upgrade, te")
    assert sent(head) == [b"te: trailers", b"upgrade: websocket", b"connection: te, upgrade"]


@pytest.mark.parametrize(
    ("value", "passed"),
    [
        (b"websocket", b"websocket"),
        (b"WebSocket", b"WebSocket"),
        (b"h2c", None),
        (b"H2C", None),
        (b"h2c, websocket", b"websocket"),
        (b"HTTP/2.0", None),
        (b"TLS/1.3", None),
        (b"irc/6.9, x", b"irc/6.9, x"),
        (b"not a token", None),
        (b"", None),
    ],
)
def test_protocols_that_we_pass_on(value: bytes, passed: bytes | None) -> None:
    head = request(b"Upgrade: " + value, b"Connection: Upgrade")
    assert upgrade_of(head) == passed


def test_http2_by_upgrade_leaves_no_trace() -> None:
    head = request(b"Upgrade: h2c", b"HTTP2-Settings: AAMA", b"Connection: Upgrade, HTTP2-Settings")
    assert sent(head) == []


def test_underscores_kept_dropped_or_refused() -> None:
    head = request(b"X_User: 1", b"X-User: 2")
    assert sent(head) == [b"x_user: 1", b"x-user: 2"]
    assert sent(head, underscores=DROP) == [b"x-user: 2"]
    with pytest.raises(CodecError, match="underscore") as caught:
        sent(head, underscores=REFUSE)
    assert caught.value.status == 400


def test_trace_context_is_replaced_by_ours() -> None:
    head = request(b"Traceparent: 00-1-2-00", b"Tracestate: a=b")
    ours = b"traceparent: 00-3-4-01\r\n"
    assert sent(head, extra=ours) == [b"traceparent: 00-3-4-01"]
    assert sent(head) == [b"traceparent: 00-1-2-00", b"tracestate: a=b"]
    assert sent(head, extra=b"expect: 100-continue\r\n") == [
        b"traceparent: 00-1-2-00",
        b"tracestate: a=b",
        b"expect: 100-continue",
    ]


def test_nothing_that_came_is_believed_without_trusted_hops() -> None:
    head = request(
        b"X-Forwarded-For: 203.0.113.9",
        b"X-Forwarded-Proto: https",
        b"X_Forwarded_For: 203.0.113.9",
        b"X-Forwarded-Port: 443",
        b"X-Real-IP: 203.0.113.9",
        b"Forwarded: for=203.0.113.9",
        host=b"shop.example",
    )
    assert sent(head, forwarded=X_FORWARDED) == [
        b"x-forwarded-for: 192.0.2.1",
        b"x-forwarded-proto: http",
        b"x-forwarded-host: shop.example",
    ]
    assert sent(head, forwarded=FORWARDED) == [
        b"forwarded: for=192.0.2.1;proto=http;host=shop.example"
    ]


def test_with_a_trusted_hop_its_entry_is_kept() -> None:
    head = request(
        b"X-Forwarded-For: 10.6.6.6, 203.0.113.9",
        b"X-Forwarded-Proto: https",
        b"X-Forwarded-Host: shop.example",
        b"X-Forwarded-Port: 443",
    )
    assert sent(head, forwarded=X_FORWARDED, hops=1) == [
        b"x-forwarded-port: 443",
        b"x-forwarded-for: 203.0.113.9, 192.0.2.1",
        b"x-forwarded-proto: https",
        b"x-forwarded-host: shop.example",
    ]


def test_without_forwarded_fields_of_ours_they_pass_as_they_came() -> None:
    head = request(b"X-Forwarded-For: 203.0.113.9", b"Forwarded: for=x", b"X-Real-IP: 203.0.113.9")
    assert sent(head) == [
        b"x-forwarded-for: 203.0.113.9",
        b"forwarded: for=x",
        b"x-real-ip: 203.0.113.9",
    ]


def test_a_client_without_an_address_is_unknown() -> None:
    block = request_block(request(), b"up", b"", b"http", 0, X_FORWARDED, KEEP)
    assert b"x-forwarded-for: unknown\r\n" in block


def test_rules_remove_set_and_add() -> None:
    rules = compile_rules({"X-Set": "new"}, {"X-Add": "more"}, ["X-Gone", "X-Forwarded-Host"])
    head = request(b"X-Set: old", b"X-Add: one", b"X-Gone: 1", b"X-Kept: 1")
    assert sent(head, rules=rules, forwarded=X_FORWARDED) == [
        b"x-add: one",
        b"x-kept: 1",
        b"x-forwarded-for: 192.0.2.1",
        b"x-forwarded-proto: http",
        b"x-set: new",
        b"x-add: more",
    ]


def test_a_rule_replaces_what_the_trace_would_say() -> None:
    rules = compile_rules({}, {}, ["traceparent"])
    assert sent(request(b"Traceparent: 00-1-2-00"), rules=rules) == []


@pytest.mark.parametrize(
    "name",
    [
        "Content-Length",
        "transfer-encoding",
        "Connection",
        "Host",
        "TE",
        "Upgrade",
        "",
        "a b",
        "x:y",
        "x\r\ny",
    ],
)
def test_rules_never_frame_nor_break_out(name: str) -> None:
    with pytest.raises(ValueError, match=r"^cannot change header"):
        compile_rules({name: "1"}, {}, [])
    with pytest.raises(ValueError, match=r"^cannot change header"):
        compile_rules({}, {}, [name])


@pytest.mark.parametrize("value", ["a\r\nx: 1", "a\nb", "a\x00b", "\x7f"])
def test_values_of_rules_hold_no_control_character(value: str) -> None:
    with pytest.raises(ValueError, match="a control character"):
        compile_rules({}, {"x-a": value}, [])


def test_no_rules_are_none() -> None:
    assert compile_rules({}, {}, []) is None


@pytest.mark.parametrize("method", [b"OPTIONS", b"TRACE"])
def test_max_forwards_is_counted_down(method: bytes) -> None:
    head = request(b"Max-Forwards: 3", line=method + b" / HTTP/1.1")
    assert max_forwards(head) == 3
    assert sent(head) == [b"max-forwards: 2"]


def test_max_forwards_of_other_methods_means_nothing() -> None:
    head = request(b"Max-Forwards: x")
    assert max_forwards(head) is None
    assert sent(head) == [b"max-forwards: x"]


@pytest.mark.parametrize("value", [b"x", b"-1", b"1, 2", b"9" * 10, b""])
def test_max_forwards_that_is_no_number(value: bytes) -> None:
    head = request(b"Max-Forwards: " + value, line=b"OPTIONS * HTTP/1.1")
    with pytest.raises(CodecError) as caught:
        max_forwards(head)
    assert caught.value.status == 400


def test_an_answer_keeps_its_fields_in_order_and_apart() -> None:
    head = response(b"Set-Cookie: a=1", b"X-A: 1", b"Set-Cookie: b=2; Path=/", b"Content-Length: 0")
    assert response_block(head) == b"set-cookie: a=1\r\nx-a: 1\r\nset-cookie: b=2; Path=/\r\n"


@pytest.mark.parametrize(
    "line",
    [
        b"Connection: close",
        b"Keep-Alive: timeout=5",
        b"Proxy-Authenticate: Basic",
        b"Upgrade: h2c",
        b"TE: trailers",
        b"Trailer: X-Sum",
    ],
)
def test_fields_of_one_connection_end_here_in_answers(line: bytes) -> None:
    assert response_block(response(line, b"Content-Length: 0", b"X-A: 1")) == b"x-a: 1\r\n"


def test_what_connection_names_goes_with_it_in_answers() -> None:
    head = response(b"Connection: x-a, close", b"X-A: 1", b"X-B: 1", b"Content-Length: 0")
    assert response_block(head) == b"x-b: 1\r\n"


def test_an_answer_whose_connection_names_its_framing_is_refused() -> None:
    head = response(b"Connection: content-length", b"Content-Length: 0")
    with pytest.raises(CodecError) as caught:
        response_block(head)
    assert caught.value.status == 502


def test_trailer_of_a_chunked_answer_goes_on() -> None:
    head = response(b"Transfer-Encoding: chunked", b"Trailer: X-Sum")
    assert response_block(head) == b"trailer: X-Sum\r\n"


@pytest.mark.parametrize("status", [101, 426])
def test_an_answer_to_an_upgrade_keeps_what_belongs_to_it(status: int) -> None:
    lines = [b"Upgrade: websocket", b"Connection: Upgrade"]
    head = response(
        *lines, *([b"Content-Length: 0"] * (status == 426)), status=status, upgrade=True
    )
    assert response_block(head) == b"upgrade: websocket\r\nconnection: upgrade\r\n"


def test_rules_for_answers() -> None:
    rules = compile_rules({"Server": "shop"}, {"Set-Cookie": "c=3"}, ["x-powered-by"])
    head = response(b"Server: x", b"X-Powered-By: y", b"Set-Cookie: a=1", b"Content-Length: 0")
    assert response_block(head, rules) == b"set-cookie: a=1\r\nserver: shop\r\nset-cookie: c=3\r\n"


def test_trailers_that_could_be_taken_for_the_header_stay_behind() -> None:
    fields = [
        (b"x-sum", b"1"),
        (b"authorization", b"Bearer x"),
        (b"x-forwarded-for", b"10.0.0.1"),
        (b"set-cookie", b"a=1"),
        (b"connection", b"x-hop"),
        (b"x-hop", b"1"),
        (b"grpc-status", b"0"),
    ]
    assert trailer_fields(Headers(fields)) == [(b"x-sum", b"1"), (b"grpc-status", b"0")]
