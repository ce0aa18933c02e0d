import struct

import pytest

from pillion.ambassador.proxy_protocol import (
    SIGNATURE,
    UNKNOWN,
    V1_BYTES,
    V2_BYTES,
    Addresses,
    ProxyProtocolError,
    crc32c,
    encode_v1,
    encode_v2,
    read_header,
)

V4 = Addresses("192.0.2.1", 4711, "198.51.100.2", 80)
V6 = Addresses("2001:db8::1", 4711, "2001:db8::2", 443)
MIXED = Addresses("192.0.2.1", 4711, "2001:db8::2", 443)


def v2(command: int, family: int, body: bytes) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(body)) + body


@pytest.mark.parametrize("encode", [encode_v1, encode_v2])
@pytest.mark.parametrize("addresses", [V4, V6])
def test_what_is_sent_is_read(encode: object, addresses: Addresses) -> None:
    assert callable(encode)
    header = encode(addresses)
    assert read_header(header + b"GET / HTTP/1.1") == (addresses, len(header))


@pytest.mark.parametrize("encode", [encode_v1, encode_v2])
@pytest.mark.parametrize("addresses", [V4, V6])
def test_every_beginning_waits_for_more(encode: object, addresses: Addresses) -> None:
    assert callable(encode)
    header = encode(addresses)
    for end in range(len(header)):
        assert read_header(header[:end]) is None


def test_lines_of_version_1() -> None:
    assert encode_v1(V4) == b"PROXY TCP4 192.0.2.1 198.51.100.2 4711 80\r\n"
    assert encode_v1(MIXED) == b"PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 4711 443\r\n"
    assert encode_v1(Addresses("", 0, "127.0.0.1", 80)) == b"PROXY UNKNOWN\r\n"
    assert (
        encode_v1(Addresses("fe80::1%eth0", 1, "fe80::2", 2))
        == b"PROXY TCP6 fe80::1 fe80::2 1 2\r\n"
    )


def test_an_unknown_source_is_local_in_version_2() -> None:
    assert encode_v2(UNKNOWN) == SIGNATURE + b"\x20\x00\x00\x00"


@pytest.mark.parametrize(
    "line", [b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n"]
)
def test_unknown_says_nothing(line: bytes) -> None:
    assert read_header(line + b"x") == (UNKNOWN, len(line))


def test_the_longest_line_is_read() -> None:
    full = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
    line = f"PROXY TCP6 {full} {full} 65535 65535\r\n".encode()
    assert len(line) <= V1_BYTES
    assert read_header(line) == (Addresses(full, 65535, full, 65535), len(line))


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01\x02\x00",
        b"PROXX",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n",
        b"PROXY TCP4 1.2.3.4  5.6.7.8 1 2\r\n",
        b"PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n",
        b"PROXY TCP4 1.2.3.400 5.6.7.8 1 2\r\n",
        b"PROXY TCP4 ::1 ::2 1 2\r\n",
        b"PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 -1 2\r\n",
        b"PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n",
        b"PROXY " + b"x" * V1_BYTES,
        SIGNATURE + b"\x11",
        SIGNATURE + b"\x22\x11\x00\x0c",
        SIGNATURE + b"\x21\x11" + struct.pack("!H", V2_BYTES + 1),
        v2(0x21, 0x11, b"\x01" * 11),
        v2(0x21, 0x41, b"\x01" * 12),
        v2(0x21, 0x13, b"\x01" * 12),
        v2(0x21, 0x11, b"\x01" * 12 + b"\x04\x00"),
        v2(0x21, 0x11, b"\x01" * 12 + b"\x04\x00\x09x"),
        v2(0x21, 0x11, b"\x01" * 12 + b"\x03\x00\x04\x00\x00\x00\x00"),
    ],
)
def test_what_is_no_header(data: bytes) -> None:
    with pytest.raises(ProxyProtocolError, match=r"^cannot read"):
        read_header(data)


def test_local_says_nothing_whatever_follows() -> None:
    header = v2(0x20, 0x11, b"anything")
    assert read_header(header + b"x") == (UNKNOWN, len(header))


def test_unix_sockets_and_datagrams_say_nothing() -> None:
    for family, size in ((0x31, 216), (0x12, 12), (0x00, 3)):
        header = v2(0x21, family, b"\x01" * size)
        assert read_header(header) == (UNKNOWN, len(header))


def test_a_right_checksum_is_accepted() -> None:
    body = b"\xc0\x00\x02\x01\xc6\x33\x64\x02" + struct.pack("!HH", 4711, 80) + b"\x04\x00\x00"
    blank = v2(0x21, 0x11, body + b"\x03\x00\x04\x00\x00\x00\x00")
    header = blank[:-4] + crc32c(blank).to_bytes(4, "big")
    assert read_header(header) == (V4, len(header))


def test_the_checksum_of_the_specification() -> None:
    assert crc32c(b"123456789") == 0xE3069283
