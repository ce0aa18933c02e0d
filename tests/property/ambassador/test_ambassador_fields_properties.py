"""Header fields on their way through: what goes on reads back, once, and nothing breaks out of its line."""

from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from ambassador_messages import request
from pillion.ambassador.credentials import Credentials
from pillion.ambassador.field_rules import compile_rules
from pillion.ambassador.fields import (
    KEEP,
    REFUSE,
    request_block,
    response_block,
    trailer_fields,
)
from pillion.ambassador.forwarded import FORWARDED, client_address, trusted_elements, trusted_nodes
from pillion.ambassador.proxy_protocol import (
    SIGNATURE,
    V2_BYTES,
    Addresses,
    ProxyProtocolError,
    encode_v1,
    encode_v2,
    read_header,
)
from pillion.http.codec import (
    CodecError,
    Headers,
    Limits,
    RequestHead,
    RequestParser,
    ResponseHead,
    ResponseParser,
)

TOKEN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~"
HOP_BY_HOP = {
    b"connection",
    b"keep-alive",
    b"proxy-connection",
    b"transfer-encoding",
    b"content-length",
    b"upgrade",
    b"te",
}
NAMES = st.one_of(
    st.sampled_from(
        [
            "Accept", "Connection", "Keep-Alive", "TE", "Trailer", "Upgrade", "Cookie", "Set-Cookie", "Expect", "X-A", "X_A",
            "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded", "X-Real-IP", "Traceparent",
            "Proxy-Authorization", "Proxy-Connection", "Max-Forwards", "Content-Length", "Transfer-Encoding",
        ]
    ),
    st.text(TOKEN, min_size=1, max_size=12),
)  # fmt: skip
TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)
VALUES = st.one_of(
    st.sampled_from(
        [
            "",
            "close",
            "keep-alive, x-a",
            "x-a, te",
            "upgrade",
            "trailers",
            "websocket",
            "h2c",
            "1",
            "chunked",
            "a, b, c",
        ]
    ),
    st.lists(NAMES, max_size=3).map(", ".join),
    TEXT,
)
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=12)
FLAGS = st.integers(0, 3)
HOPS = st.integers(0, 4)
UNDERSCORES = st.integers(KEEP, REFUSE)


def lines_of(fields: list[tuple[str, str]]) -> list[bytes]:
    return [f"{name}: {value}".encode("latin-1") for name, value in fields]


def read_request(
    fields: list[tuple[str, str]], line: bytes = b"POST / HTTP/1.1"
) -> RequestHead | None:
    try:
        return request(*lines_of(fields), line=line)
    except CodecError:
        return None


@given(FIELDS, HOPS, FLAGS, UNDERSCORES, st.sampled_from([b"", b"traceparent: 00-1-2-00\r\n"]))
def test_a_request_that_goes_on_reads_back_without_what_ended_here(
    fields: list[tuple[str, str]], hops: int, flags: int, underscores: int, extra: bytes
) -> None:
    head = read_request(fields)
    if head is None:
        return
    try:
        block = request_block(head, b"up", b"192.0.2.1", b"http", hops, flags, underscores, extra)
    except CodecError:
        return
    parser = RequestParser(Limits(header_bytes=1 << 20, header_count=1000))
    parser.receive(b"POST / HTTP/1.1\r\n" + block + b"\r\n")
    read = parser.next_event()
    assert isinstance(read, RequestHead)
    assert read.length == 0
    assert read.headers.get_all(b"host") == [b"up"]
    # Of the fields of a connection, only what we say ourselves is left.
    for name in HOP_BY_HOP - {b"connection", b"upgrade", b"te"}:
        assert name not in read.headers
    assert read.headers.get_all(b"connection") in (
        [],
        [b"te"],
        [b"upgrade"],
        [b"te, upgrade"],
        [b"upgrade, te"],
    )
    assert (read.upgrade is not None) == (b"upgrade" in read.headers)
    assert read.headers.get_all(b"te") in ([], [b"trailers"])
    if flags & 1:
        for name in (b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"):
            assert len(read.headers.get_all(name)) == 1
        entries = read.headers.get_all(b"x-forwarded-for")[0].split(b", ")
        assert entries[-1] == b"192.0.2.1"
        assert len(entries) <= hops + 1
    if flags & 2:
        assert len(read.headers.get_all(b"forwarded")) == 1
    if extra:
        assert read.headers.get_all(b"traceparent") == [b"00-1-2-00"]


@given(FIELDS, FLAGS)
def test_what_goes_on_twice_is_the_same_again(fields: list[tuple[str, str]], flags: int) -> None:
    head = read_request(fields)
    if head is None:
        return
    try:
        once = request_block(head, b"shop", b"192.0.2.1", b"http", 0, flags, KEEP)
    except CodecError:
        return
    parser = RequestParser(Limits(header_bytes=1 << 20, header_count=1000))
    parser.receive(b"POST / HTTP/1.1\r\n" + once + b"\r\n")
    again = parser.next_event()
    assert isinstance(again, RequestHead)
    twice = request_block(again, b"shop", b"192.0.2.1", b"http", 0, flags, KEEP)
    assert sorted(twice.split(b"\r\n")) == sorted(once.split(b"\r\n"))


@given(FIELDS)
def test_fields_meant_for_the_end_arrive_in_their_order(fields: list[tuple[str, str]]) -> None:
    plain = [(f"x-{name.lower().replace('_', '-')}-end", value) for name, value in fields]
    head = request(*lines_of(plain))
    block = request_block(head, b"up", b"", b"http", 0, 0, KEEP)
    wanted = [f"{name}: {value.strip()}".encode() for name, value in plain]
    assert block.split(b"\r\n")[1:-1] == wanted


@given(FIELDS)
def test_an_answer_that_goes_on_reads_back(fields: list[tuple[str, str]]) -> None:
    parser = ResponseParser(Limits())
    parser.expect("GET")
    parser.receive(b"\r\n".join([b"HTTP/1.1 200 OK", *lines_of(fields), b"", b""]))
    try:
        head = parser.next_event()
        assert isinstance(head, ResponseHead)
        block = response_block(head)
    except CodecError:
        return
    again = ResponseParser(Limits())
    again.expect("GET")
    again.receive(b"HTTP/1.1 200 OK\r\n" + block + b"content-length: 0\r\n\r\n")
    read = again.next_event()
    assert isinstance(read, ResponseHead)
    assert read.length == 0
    assert b"connection" not in read.headers
    if b"connection" not in head.headers:
        assert read.headers.get_all(b"set-cookie") == head.headers.get_all(b"set-cookie")


@given(
    st.dictionaries(st.text(max_size=8), st.text(max_size=12), max_size=3),
    st.lists(st.text(max_size=8), max_size=2),
)
def test_a_rule_is_refused_or_harmless(added: dict[str, str], removed: list[str]) -> None:
    try:
        rules = compile_rules({}, added, removed)
    except ValueError:
        return
    block = request_block(request(), b"up", b"", b"http", 0, 0, KEEP, b"", rules)
    parser = RequestParser(Limits())
    parser.receive(b"POST / HTTP/1.1\r\n" + block + b"\r\n")
    read = parser.next_event()
    assert isinstance(read, RequestHead)
    assert (read.length, read.upgrade, len(read.headers)) == (0, None, 1 + len(added))


@given(st.lists(st.tuples(NAMES, TEXT), max_size=6))
def test_trailers_never_frame(fields: list[tuple[str, str]]) -> None:
    kept = trailer_fields(Headers([(n.lower().encode(), v.strip().encode()) for n, v in fields]))
    assert not {name for name, _ in kept} & (
        HOP_BY_HOP | {b"host", b"authorization", b"x-forwarded-for"}
    )


@given(st.binary(max_size=80), st.integers(1, 5))
def test_no_list_of_addresses_is_longer_than_it_may_be(value: bytes, hops: int) -> None:
    headers = Headers([(b"x-forwarded-for", value), (b"forwarded", value)])
    assert len(trusted_nodes(headers, hops)) <= hops
    assert len(trusted_elements(headers, hops)) <= hops
    for flags in (0, 1, 2, 3):
        assert b"," not in client_address(headers, b"192.0.2.1", hops, flags)


QUOTED = st.text('abc,;="\\ ', max_size=8).map(
    lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
)
ELEMENTS = st.lists(
    st.one_of(st.just("for=a"), QUOTED.map(lambda q: f"for={q};by=x")), min_size=1, max_size=5
)


@given(ELEMENTS, st.integers(1, 6))
def test_commas_in_quotes_part_nothing(elements: list[str], hops: int) -> None:
    raw = [element.encode() for element in elements]
    headers = Headers([(b"forwarded", b", ".join(raw))])
    assert trusted_elements(headers, hops) == raw[-hops:]
    assert isinstance(client_address(headers, b"", hops, FORWARDED), bytes)


@given(st.binary(max_size=60), st.text(max_size=20))
def test_credentials_of_any_kind_are_an_answer(value: bytes, token: str) -> None:
    Credentials("token").check(value)
    assert not Credentials("token-that-is-not-sent").check(b"Basic " + value)


@given(
    st.one_of(
        st.binary(max_size=40),
        st.binary(max_size=40).map(lambda b: SIGNATURE + b),
        st.binary(max_size=120).map(lambda b: b"PROXY " + b),
    )
)
def test_any_bytes_are_a_header_or_none_or_wait(data: bytes) -> None:
    # Said of the whole, nothing else may be said of a beginning than the same, or nothing yet.
    def say(part: bytes) -> object:
        try:
            return read_header(part)
        except ProxyProtocolError:
            return "refused"

    whole = say(data)
    for end in range(len(data)):
        part = say(data[:end])
        assert part is None or part == whole
    assert len(data) < V2_BYTES + 16 or whole is not None


ADDRESS = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)


@given(ADDRESS, st.integers(0, 65535), ADDRESS, st.integers(0, 65535), st.binary(max_size=20))
def test_addresses_arrive(
    source: str, from_port: int, destination: str, to_port: int, rest: bytes
) -> None:
    addresses = Addresses(source, from_port, destination, to_port)
    for encode in (encode_v1, encode_v2):
        header = encode(addresses)
        found = read_header(header + rest)
        assert found is not None
        read, used = found
        assert used == len(header)
        assert (read.source_port, read.destination_port) == (from_port, to_port)
        if (":" in source) == (":" in destination):
            said = ip_address(read.source), ip_address(read.destination)
            assert said == (ip_address(source), ip_address(destination))
