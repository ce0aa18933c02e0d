"""Messages for the differential tests: right ones, and ones that went wrong in a few places."""

import itertools

from hypothesis import strategies as st

METHODS = [b"GET", b"POST", b"POST", b"HEAD", b"PUT", b"OPTIONS", b"CONNECT", b"DELETE", b"PATCH"]
TARGETS = [b"/"] * 4
TARGETS += [b"/a/b?c=d", b"*", b"http://a/x", b"a:80", b"/%41", b"/a%2fb;x", b"//b"]
LINES = [
    b"Host: a",
    b"Accept: */*",
    b"Content-Length: 0",
    b"Content-Length: 5",
    b"Content-Length: 11",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Connection: close",
    b"Connection: keep-alive, Upgrade",
    b"Upgrade: websocket",
    b"Expect: 100-continue",
    b"X-Empty:",
    b"X-Space: \t a b \t",
    b"X-High: \xe4\xff",
    b"Trailer: A",
]
BODIES = [
    b"",
    b"hello",
    b"hello world",
    b"0\r\n\r\n",
    b"5\r\nhello\r\n0\r\n\r\n",
    b"5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nA: b\r\n\r\n",
    b"000A\r\n0123456789\r\n0\r\n\r\n",
]
# Framings with bodies that fit them, so that what is read is not only what has no body.
FITTING = [(b"Content-Length: 5", BODIES[1]), (b"Content-Length: 11", BODIES[2])]
FITTING += [(b"Transfer-Encoding: chunked", body) for body in BODIES[3:]]
_FRAMING = (b"Content-Length", b"Transfer-Encoding", b"Upgrade", b"Connection", b"Expect")
STATUS = [b"200 OK", b"204 No Content", b"304 Not Modified", b"100 Continue", b"101 S", b"404 "]
SPLICES = [b"\r", b"\n", b"\r\n", b" ", b"\t", b"\x00", b":", b",", b";", b"0", b"x", b"\x0b"]
SPLICES += [b"\r\n ", b"chunked", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"]
SPLICES += [b"\xa0", b"\x85", b"+", b"-", b"_", b'"', b"\\", b"%", b"#", b"\x7f", b"HTTP/1.0"]

_lines = st.lists(st.sampled_from(LINES), max_size=5)
_version = st.sampled_from([b"HTTP/1.1"] * 6 + [b"HTTP/1.0"])


@st.composite
def _fitting(draw: st.DrawFn) -> tuple[list[bytes], bytes]:
    lines = [line for line in draw(_lines) if not line.startswith(_FRAMING)]
    framing, body = draw(st.sampled_from(FITTING))
    return [*lines, framing], body


_any = st.tuples(_lines, st.sampled_from(BODIES))


@st.composite
def mutated(draw: st.DrawFn, base: st.SearchStrategy[bytes]) -> bytes:
    """Return a message with up to three bytes or splices changed, put in, or taken out."""
    data = draw(base)
    for _ in range(draw(st.sampled_from([0, 0, 1, 1, 2, 3]))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        splice = draw(st.sampled_from(SPLICES))
        cut = draw(st.integers(0, 2))
        data = data[:at] + (splice if draw(st.booleans()) else b"") + data[at + cut :]
    return data


@st.composite
def _request(draw: st.DrawFn) -> bytes:
    fits = draw(st.booleans())
    lines, body = draw(_fitting() if fits else _any)
    if draw(st.integers(0, 9)) and b"Host: a" not in lines:
        lines.insert(draw(st.integers(0, len(lines))), b"Host: a")
    start = b" ".join(
        (draw(st.sampled_from(METHODS)), draw(st.sampled_from(TARGETS)), draw(_version))
    )
    rest = draw(st.sampled_from([b"", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"]))
    return b"\r\n".join([start, *lines, b"", b""]) + body + rest


@st.composite
def _response(draw: st.DrawFn) -> bytes:
    lines, body = draw(st.one_of(_fitting(), _any))
    start = draw(_version) + b" " + draw(st.sampled_from(STATUS))
    return b"\r\n".join([start, *lines, b"", b""]) + body


requests = mutated(_request())
responses = mutated(_response())


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """Split `data` at `cuts`."""
    edges = [0, *sorted({c for c in cuts if 0 < c < len(data)}), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


splits = st.lists(st.integers(1, 200), max_size=6)
