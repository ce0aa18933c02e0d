"""What the fuzz program begins with: right messages of every kind, and what the unit tests see refused."""

import itertools
import os
import struct
import sys
from collections.abc import Iterator

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "unit", "http"))

import test_http_requests
import test_http_responses
import test_http_smuggling

_BODIES = {
    b"Content-Length: 0\r\n": b"",
    b"Content-Length: 5\r\n": b"hello",
    b"Transfer-Encoding: chunked\r\n": b'5;a="b"\r\nhello\r\nA\r\n0123456789\r\n0\r\nX-T: t\r\n\r\n',
}
_LINES = [
    b"",
    b"Connection: close\r\nX-A: 1\r\nX-A: 2\r\n",
    b"Connection: x-b, TE\r\nTE: trailers\r\nX-B: gone\r\nKeep-Alive: timeout=5\r\nTrailer: X-T\r\n",
    b'X-Forwarded-For: 192.0.2.9, 198.51.100.1\r\nForwarded: for="[::1]";proto=https\r\nX_A: b\r\n',
    b"Cookie: a=b\r\nExpect: 100-continue\r\nX-High: \xe4\xff\r\nX-Empty:\r\n",
]
_UPGRADE = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"


def requests() -> Iterator[bytes]:
    """Yield requests, the first two bytes of each being what the program decides by."""
    for flags, (lines, (framing, body)) in enumerate(itertools.product(_LINES, _BODIES.items())):
        start = b"POST /a/%%41?b=c HTTP/1.%d\r\nHost: a:80\r\n" % (flags % 4 != 3)
        message = start + lines + framing + b"\r\n" + body
        yield bytes([flags, 1]) + message
        yield bytes([flags | 0x80, 5]) + message + b"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n"
    yield b"\0\0GET / HTTP/1.1\r\nHost: a\r\n" + _UPGRADE + b"\r\nraw\0bytes"
    yield b"\0\1GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c, x/1\r\n\r\n"
    yield b"\0\0CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n\x16\x03\x01"
    yield b"\0\0OPTIONS * HTTP/1.1\r\nHost: [::1]\r\nMax-Forwards: 3\r\n\r\n"
    yield b"\0\0GET /" + b"a" * 300 + b" HTTP/1.1\r\nHost: a\r\nX: " + b"b" * 300 + b"\r\n\r\n"
    # Close to every limit of the small ones.
    for count in (5, 6, 7):
        yield b"\x40\0GET / HTTP/1.1\r\nHost: a\r\n" + b"X: 1\r\n" * (count - 1) + b"\r\n"
        line = b"X: " + b"b" * (170 + 3 * count)
        yield b"\x40\0GET / HTTP/1.1\r\nHost: a\r\n" + line + b"\r\n\r\n"
        yield b"\x40\0GET /" + b"a" * (57 + count) + b" HTTP/1.1\r\nHost: a\r\n\r\n"
        body = b"Content-Length: %d\r\n\r\n" % (58 + count) + b"c" * 70
        yield b"\x40\1" + test_http_requests.POST + body
    yield b"\xc0\0GET /" + b"a" * 350
    yield b"\xc0\0GET / HTTP/1.1\r\nHost: a\r\nX: " + b"b" * 350
    for second in (b"5;aaaaaaaa\r\nhello\r\n", b"f;b\r\n0123456789abcde\r\n"):
        yield b"\xc0\1" + test_http_smuggling.CHUNKED + second * 3 + b"0\r\n\r\n"
        yield b"\xc0\1" + test_http_smuggling.CHUNKED + second + b"0\r\nT: " + b"t" * 40
        yield b"\x40\1" + test_http_smuggling.CHUNKED + second + b"0\r\nT: t\r\n\r\n"
    for framing in test_http_smuggling.FRAMING.values():
        yield b"\0\1" + test_http_requests.POST + framing + b"\r\n4\r\nGET \r\n0\r\n\r\n"
    for chunks in test_http_smuggling.CHUNKS.values():
        yield b"\0\1" + test_http_smuggling.CHUNKED + chunks
    for refused in _marked(test_http_requests.test_start_lines_that_are_refused):
        yield b"\0\1" + refused + b"\r\nHost: a\r\n\r\n"
    for refused in _marked(test_http_requests.test_header_lines_that_are_refused):
        yield b"\0\1" + test_http_requests.HEAD + refused + b"\r\n\r\n"
    for refused in _marked(test_http_requests.test_hosts_that_are_refused):
        yield b"\0\1GET / HTTP/1.1\r\nHost: " + refused + b"\r\n\r\n"


def answers() -> Iterator[bytes]:
    """Yield answers, two bytes before each as above."""
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 \r\nLink: x\r\n\r\n"
    statuses = (b"200 OK", b"204 No", b"304 ", b"404 Not Found", b"426 Up", b"101 S")
    for flags, (status, lines) in enumerate(itertools.product(statuses, _LINES)):
        for framing, body in [(b"", b"until the end"), *_BODIES.items()]:
            message = b"HTTP/1.%d %b\r\n" % (flags % 4 != 3, status) + lines + framing + b"\r\n"
            yield (
                bytes([flags | len(body) % 2 << 7, flags // 3])
                + interim * (flags % 2)
                + message
                + body
            )
    yield b"\0\4HTTP/1.1 101 S\r\n" + _UPGRADE + b"\r\nraw\0bytes"
    yield b"\0\2HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nraw\0bytes"
    yield b"\0\0HTTP/1.1 200 OK\r\nX: " + b"b" * 400 + b"\r\n\r\n"
    yield b"\xc0\0HTTP/1.1 200 OK\r\nX: " + b"b" * 1300
    for refused in _marked(test_http_responses.test_what_is_refused):
        yield b"\0\0" + refused
    for refused in _marked(test_http_responses.test_truncation_is_an_error):
        yield b"\0\x08" + refused


def preludes() -> Iterator[bytes]:
    """Yield headers of the PROXY protocol, right ones and others."""
    signature = b"\r\n\r\n\0\r\nQUIT\n"
    yield b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\nGET /"
    yield b"PROXY TCP6 2001:db8::1 ::ffff:192.0.2.1 1 65535\r\n"
    yield b"PROXY UNKNOWN ffff:f:f 1\r\n"
    yield b"PROXY UNKNOWN\r\n"
    yield b"PROXY TCP4 " + b"1" * 100
    for family, size in ((0, 0), (0x11, 12), (0x21, 36), (0x12, 12), (0x31, 216)):
        for values in (b"", b"\x04\0\x02ab", b"\x03\0\x04abcd", b"\x02\0\x09a"):
            body = bytes(range(size % 200)).ljust(size, b"\x07") + values
            yield signature + struct.pack("!BBH", 0x21, family, len(body)) + body + b"rest"
    yield signature + b"\x20\0\0\0"
    yield signature + b"\x21\x11\xff\xff"


def _marked(test: object) -> Iterator[bytes]:
    """Yield the bytes that a test is parametrized with."""
    for mark in getattr(test, "pytestmark", ()):
        if mark.name == "parametrize":
            for case in mark.args[1]:
                if isinstance(case, bytes):
                    yield case
