import pytest

from pillion.ambassador.forwarded import (
    FORWARDED,
    X_FORWARDED,
    client_address,
    forwarded_fields,
    forwarded_flags,
    trusted_elements,
    trusted_nodes,
)
from pillion.http.codec import Headers


def fields(
    headers: Headers, hops: int, flags: int, peer: bytes = b"192.0.2.1"
) -> dict[bytes, bytes]:
    return dict(forwarded_fields(headers, peer, b"http", b"shop:8080", hops, flags))


def test_flags_of_the_settings() -> None:
    assert forwarded_flags(()) == 0
    assert forwarded_flags(("x-forwarded", "forwarded")) == X_FORWARDED | FORWARDED


def test_without_hops_only_the_peer_is_named() -> None:
    headers = Headers([(b"x-forwarded-for", b"10.0.0.1"), (b"x-forwarded-proto", b"https")])
    assert fields(headers, 0, X_FORWARDED) == {
        b"x-forwarded-for": b"192.0.2.1",
        b"x-forwarded-proto": b"http",
        b"x-forwarded-host": b"shop:8080",
    }


@pytest.mark.parametrize(
    ("value", "hops", "kept"),
    [
        (b"a, b, c", 0, []),
        (b"a, b, c", 1, [b"c"]),
        (b"a, b, c", 2, [b"b", b"c"]),
        (b"a,b ,\tc", 9, [b"a", b"b", b"c"]),
        (b"a, <script>, c", 3, [b"c"]),
        (b"a, , c", 3, [b"c"]),
        (b"a, b,", 1, []),
        (b"", 1, []),
        (b"2001:db8::1, [::1]:80, 10.0.0.1:443", 3, [b"2001:db8::1", b"[::1]:80", b"10.0.0.1:443"]),
        (b"x" * 129, 1, []),
    ],
)
def test_the_last_entries_are_kept(value: bytes, hops: int, kept: list[bytes]) -> None:
    assert trusted_nodes(Headers([(b"x-forwarded-for", value)]), hops) == kept


def test_entries_of_several_lines_are_one_list() -> None:
    headers = Headers([(b"x-forwarded-for", b"a, b"), (b"x-forwarded-for", b"c")])
    assert trusted_nodes(headers, 2) == [b"b", b"c"]


@pytest.mark.parametrize(
    ("value", "hops", "kept"),
    [
        (b"for=a, for=b", 1, [b"for=b"]),
        (b'for="x, for=y", for=b;proto=http', 2, [b'for="x, for=y"', b"for=b;proto=http"]),
        (b'for="_hidden, for=10.0.0.1', 1, []),  # a quote that is never closed
        (b"for=a;;for=b", 1, []),
        (b"for=a,", 1, [b"for=a"]),
        (b"garbage", 1, []),
    ],
)
def test_the_last_elements_of_forwarded_are_kept(
    value: bytes, hops: int, kept: list[bytes]
) -> None:
    assert trusted_elements(Headers([(b"forwarded", value)]), hops) == kept


def test_an_address_with_colons_is_quoted() -> None:
    assert fields(Headers([]), 0, FORWARDED, b"2001:db8::1") == {
        b"forwarded": b'for="[2001:db8::1]";proto=http;host="shop:8080"'
    }


def test_our_element_comes_last() -> None:
    headers = Headers([(b"forwarded", b"for=evil, for=203.0.113.9;proto=https")])
    assert fields(headers, 1, FORWARDED)[b"forwarded"] == (
        b'for=203.0.113.9;proto=https, for=192.0.2.1;proto=http;host="shop:8080"'
    )


@pytest.mark.parametrize("said", [b"javascript", b"", b"https, gopher"])
def test_a_scheme_that_is_none_is_replaced(said: bytes) -> None:
    assert (
        fields(Headers([(b"x-forwarded-proto", said)]), 1, X_FORWARDED)[b"x-forwarded-proto"]
        == b"http"
    )


def test_what_the_nearest_proxy_said_holds() -> None:
    headers = Headers([(b"x-forwarded-proto", b"http, https"), (b"x-forwarded-host", b"a, b:81")])
    found = fields(headers, 1, X_FORWARDED)
    assert (found[b"x-forwarded-proto"], found[b"x-forwarded-host"]) == (b"https", b"b:81")


@pytest.mark.parametrize("said", [b"a b", b"a/b", b'"', b"evil:99999999"])
def test_a_host_that_is_none_is_replaced(said: bytes) -> None:
    found = fields(Headers([(b"x-forwarded-host", said)]), 1, X_FORWARDED)
    assert found[b"x-forwarded-host"] == b"shop:8080"


@pytest.mark.parametrize(
    ("value", "hops", "address"),
    [
        (b"203.0.113.9", 0, b"192.0.2.1"),
        (b"spoofed, 203.0.113.9", 1, b"203.0.113.9"),
        (b"203.0.113.9, 10.0.0.1", 2, b"203.0.113.9"),
        (b"203.0.113.9:4711", 1, b"203.0.113.9"),
        (b"[2001:db8::1]:443", 1, b"2001:db8::1"),
        (b"2001:db8::1", 1, b"2001:db8::1"),
        (b"!", 1, b"192.0.2.1"),
    ],
)
def test_the_client_is_the_first_of_the_believed(value: bytes, hops: int, address: bytes) -> None:
    assert client_address(Headers([(b"x-forwarded-for", value)]), b"192.0.2.1", hops) == address


def test_the_client_by_forwarded() -> None:
    headers = Headers([(b"forwarded", b'proto=https;For="[2001:db8::1]:443"')])
    assert client_address(headers, b"192.0.2.1", 1, FORWARDED) == b"2001:db8::1"
