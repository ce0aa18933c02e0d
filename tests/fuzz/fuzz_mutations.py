"""New inputs from old ones: bytes, ranges and whole lines changed, and words of the protocol put in."""

from random import Random

WORDS = b"""
GET POST HEAD CONNECT OPTIONS HTTP/1.1 HTTP/1.0 200 204 304 100 101 103 407 http://a / * a:80 ?x=y
Host: Connection: Content-Length: Transfer-Encoding: Upgrade: Expect: TE: Trailer: Max-Forwards:
X-Forwarded-For: Forwarded: Keep-Alive: Set-Cookie: Proxy-Connection: X_A: chunked gzip close
keep-alive upgrade websocket h2c trailers 100-continue identity for=a;host="b" [::1]:80 0 00 5 0x5 +5
-1 a fffffffffffffff 999999999999999999 PROXY TCP4 TCP6 UNKNOWN 192.0.2.1 ::1 65535 65536
""".split()
BITS = [
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\r\n ",
    b" ",
    b"\t",
    b"\0",
    b":",
    b": ",
    b",",
    b", ",
    b";",
    b"=",
    b'"',
]
BITS += [b"\\", b"%41", b"#", b"_", b"\x7f", b"\x85", b"\xa0", b"\xff", b"\x0b", b"0\r\n\r\n", b"5\r\nhello\r\n"]  # fmt: skip


def mutate(data: bytes, other: bytes, random: Random, most: int) -> bytes:
    """Return `data` changed in one to six places, `most` bytes at most; `other` lends pieces."""
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 3, 6))):
        _change(changed, other, random)
    return bytes(changed[:most])


def _change(data: bytearray, other: bytes, random: Random) -> None:
    at = random.randint(0, len(data))
    end = min(len(data), at + random.choice((1, 1, 2, 4, 16, 64)))
    match random.randrange(11):
        case 0:
            data[at:end] = b""
        case 9:
            del data[at:]
        case 1 if at < len(data):
            data[at] ^= 1 << random.randrange(8)
        case 2 if at < len(data):
            data[at] = random.randrange(256)
        case 3:
            data[at:at] = random.choice(WORDS)
        case 4:
            data[at:at] = random.choice(BITS)
        case 5:
            data[at:end] = random.choice(BITS + WORDS)
        case 6:
            data[at:at] = data[at:end] * random.choice((1, 1, 2, 40))
        case 7 if other:
            start = random.randrange(len(other))
            data[at:] = other[start:]
        case 8:
            lines = bytes(data).split(b"\r\n")
            first, second = random.randrange(len(lines)), random.randrange(len(lines))
            lines[first], lines[second] = lines[second], lines[first]
            data[:] = b"\r\n".join(lines)
        case _:
            lines = bytes(data).split(b"\r\n")
            theirs = other.split(b"\r\n")
            lines.insert(random.randrange(len(lines) + 1), random.choice(theirs))
            data[:] = b"\r\n".join(lines)
