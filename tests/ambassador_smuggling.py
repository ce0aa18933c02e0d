"""Messages that two parsers could read in two ways, in the words of those who have found them, and harmless ones beside them.

Each is all that a client sends before it half-closes its connection. `SMUGGLED` is the request that must never be one
of its own. The cases follow what is known of parsers in use (RFC 9112 section 11.2, the published research on request
smuggling, the list of bugs found by the HTTP Garden).
"""

from random import Random

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
AFTER = b"GET /after HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /first HTTP/1.1\r\nHost: a\r\n"
GET = b"GET /first HTTP/1.1\r\nHost: a\r\n"
CL = b"Content-Length: 5\r\n"
TE = b"Transfer-Encoding: chunked\r\n"
CHUNKED = POST + TE + b"\r\n"
END = b"0\r\n\r\n"


def _framed(lines: bytes) -> bytes:
    """A request with these framing fields, and a body that is nothing in one reading and a request in another."""
    return POST + lines + b"\r\n" + END + SMUGGLED


def _length(value: bytes) -> bytes:
    return _framed(b"Content-Length: " + value + b"\r\n")


def _coding(value: bytes) -> bytes:
    return _framed(CL + b"Transfer-Encoding: " + value + b"\r\n")


def _coding_alone(value: bytes) -> bytes:
    return _framed(b"Transfer-Encoding: " + value + b"\r\n")


def _chunks(body: bytes) -> bytes:
    return CHUNKED + body + SMUGGLED


REFUSED = {
    # Two framings.
    "CL.TE": _framed(CL + TE),
    "TE.CL": _framed(TE + CL),
    "CL.0 and TE": _framed(b"Content-Length: 0\r\n" + TE),
    "CL twice, different": _framed(b"Content-Length: 0\r\n" + CL),
    "CL twice, the other way round": _framed(CL + b"Content-Length: 0\r\n"),
    "CL twice, the same": _framed(CL + CL),
    "CL empty, then right": _framed(b"Content-Length:\r\n" + CL),
    # Lengths that some number parser likes.
    "CL list": _length(b"5, 5"),
    "CL plus": _length(b"+5"),
    "CL minus": _length(b"-5"),
    "CL minus zero": _length(b"-0"),
    "CL hexadecimal": _length(b"0x5"),
    "CL octal": _length(b"005"),
    "CL underscore": _length(b"0_5"),
    "CL letters behind": _length(b"5Z"),
    "CL fraction": _length(b"5.0"),
    "CL exponent": _length(b"5e0"),
    "CL empty": _length(b""),
    "CL of 2**64 + 5": _length(b"18446744073709551621"),
    "CL of 2**32 digits": _length(b"4" * 400),
    "CL with a space in it": _length(b"5 5"),
    "CL quoted": _length(b'"5"'),
    "CL other digits": _length("\uff15".encode()),
    "CL vertical tab": _length(b"\x0b5"),
    "CL NUL behind": _length(b"5\x00"),
    # Codings that are chunked for some.
    "TE x": _coding(b"xchunked"),
    "TE comma before": _coding(b",chunked"),
    "TE comma behind": _coding(b"chunked,"),
    "TE identity": _coding(b"identity"),
    "TE identity, chunked": _coding(b"identity, chunked"),
    "TE chunked, identity": _coding(b"chunked, identity"),
    "TE chunked twice in a list": _coding_alone(b"chunked, chunked"),
    "TE gzip, chunked": _coding_alone(b"gzip, chunked"),
    "TE gzip": _coding_alone(b"gzip"),
    "TE cow": _coding_alone(b"cow"),
    "TE empty": _coding_alone(b""),
    "TE parameter": _coding_alone(b"chunked;q=1"),
    "TE quoted": _coding_alone(b'"chunked"'),
    "TE vertical tab": _coding_alone(b"\x0bchunked"),
    "TE form feed behind": _coding_alone(b"chunked\x0c"),
    "TE no-break space": _coding_alone(b"\xa0chunked\xa0"),
    "TE next line": _coding_alone(b"\x85chunked"),
    "TE byte above ASCII": _coding_alone(b"\xffchunked\xff"),
    "TE Kelvin sign": _coding_alone("chun\u212aed".encode()),
    "TE NUL behind": _coding_alone(b"chunked\x00"),
    "TE carriage return behind": _coding_alone(b"chunked\r"),
    "TE twice": _framed(TE + TE),
    "TE twice, the second unknown": _framed(TE + b"Transfer-Encoding: x\r\n"),
    "TE of HTTP/1.0": b"POST /first HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n" + TE + b"\r\n" + END + SMUGGLED,
    # Names that are framing for some.
    "CL space before the colon": _framed(b"Content-Length : 5\r\n"),
    "TE space before the colon": _framed(CL + b"Transfer-Encoding : chunked\r\n"),
    "TE tab before the colon": _framed(CL + b"Transfer-Encoding\t: chunked\r\n"),
    "TE next line before the colon": _framed(CL + b"Transfer-Encoding\x85: chunked\r\n"),
    "TE NUL in the name": _framed(CL + b"Transfer-\x00Encoding: chunked\r\n"),
    "TE folded value": _framed(CL + b"Transfer-Encoding:\r\n chunked\r\n"),
    "TE folded name": _framed(CL + b"Transfer-\r\nEncoding: chunked\r\n"),
    "TE as a folded line": _framed(CL + b"X: y\r\n Transfer-Encoding: chunked\r\n"),
    "TE without colon": _framed(CL + b"Transfer-Encoding chunked\r\n"),
    "white space before the first field": b"POST /first HTTP/1.1\r\n Host: a\r\n" + CL + b"\r\n" + END + SMUGGLED,
    "empty name": _framed(b": x\r\n" + CL),
    "a colon alone": _framed(b":\r\n" + CL),
    "separators in a name": _framed(b"a(b): x\r\n" + CL),
    "byte above ASCII in a name": _framed(b"\xefoo: x\r\n" + CL),
    # Line ends.
    "bare LF hides TE": _framed(CL + b"X: y\nTransfer-Encoding: chunked\r\n"),
    "bare CR hides TE": _framed(CL + b"X: y\rTransfer-Encoding: chunked\r\n"),
    "bare LF everywhere": b"GET /first HTTP/1.1\nHost: a\n\n" + SMUGGLED,
    "bare LF ends the header": GET + b"X: y\n\n" + SMUGGLED,
    "CR CR LF ends a line": GET + b"X: y\r\r\n\r\n" + SMUGGLED,
    "CR and a letter end the header": GET + b"\rX" + SMUGGLED,
    "NUL in a value": GET + b"X: a\x00b\r\n\r\n" + SMUGGLED,
    "DEL in a value": GET + b"X: a\x7fb\r\n\r\n" + SMUGGLED,
    "empty lines within a value": GET + b"X:\n\n" + SMUGGLED,
    # Request lines.
    "HTTP/0.9": b"GET /first\r\n\r\n" + SMUGGLED,
    "HTTP/0.9 with LF": b"GET /first\n" + SMUGGLED,
    "HTTP/2.0": b"GET /first HTTP/2.0\r\nHost: a\r\n\r\n" + SMUGGLED,
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SMUGGLED,
    "HTTP/1.10": b"GET /first HTTP/1.10\r\nHost: a\r\n\r\n" + SMUGGLED,
    "http/1.1": b"GET /first http/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
    "two spaces": b"GET  /first HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
    "tab": b"GET\t/first HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
    "space in the target": b"GET /first /x HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
    "space behind the version": b"GET /first HTTP/1.1 \r\nHost: a\r\n\r\n" + SMUGGLED,
    "LF in the request line": b"GET /first\nHTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
    "a method that is no token": b"GE(T /first HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
    "an empty method": b" /first HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
    "NUL in the target": b"GET /fi\x00rst HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
    "byte above ASCII in the target": b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
    "fragment": b"GET /first#x HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
    "a target without a slash": b"GET first HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
    "encoded NUL": b"GET /fi%00rst HTTP/1.1\r\nHost: a\r\n\r\n",
    "half an escape": b"GET /first%4 HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
    "an empty line, then LF": b"\r\n\n" + SMUGGLED,
    # Hosts.
    "no Host": b"GET /first HTTP/1.1\r\n\r\n" + SMUGGLED,
    "Host twice": GET + b"Host: b\r\n\r\n" + SMUGGLED,
    "Host twice, the same": GET + b"Host: a\r\n\r\n" + SMUGGLED,
    "Host list": b"GET /first HTTP/1.1\r\nHost: a, b\r\n\r\n" + SMUGGLED,
    "Host with a path": b"GET /first HTTP/1.1\r\nHost: a/b\r\n\r\n" + SMUGGLED,
    "Host with a user": b"GET /first HTTP/1.1\r\nHost: a@b\r\n\r\n" + SMUGGLED,
    "Host with a space": b"GET /first HTTP/1.1\r\nHost: a b\r\n\r\n" + SMUGGLED,
    "Host empty": b"GET /first HTTP/1.1\r\nHost:\r\n\r\n" + SMUGGLED,
    "Host behind a space": b"GET /first HTTP/1.1\r\nHost : a\r\n\r\n" + SMUGGLED,
    "absolute target and another Host": b"GET http://b/first HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
    "absolute target with a user": b"GET http://a@b/first HTTP/1.1\r\nHost: b\r\n\r\n" + SMUGGLED,
    # Chunks.
    "chunk size empty": _chunks(b"\r\n\r\n"),
    "chunk size with 0x": _chunks(b"0x5\r\nhello\r\n" + END),
    "chunk size with an underscore": _chunks(b"0_5\r\nhello\r\n" + END),
    "chunk size with a plus": _chunks(b"+5\r\nhello\r\n" + END),
    "chunk size negative": _chunks(b"-1\r\n" + END),
    "chunk size behind a space": _chunks(b" 5\r\nhello\r\n" + END),
    "chunk size before a space": _chunks(b"5 \r\nhello\r\n" + END),
    "chunk size before a tab": _chunks(b"5\t\r\nhello\r\n" + END),
    "chunk size with letters behind": _chunks(b"5z\r\nhello\r\n" + END),
    "chunk size of 2**64 + 5": _chunks(b"10000000000000005\r\nhello\r\n" + END),
    "chunk size of 2**32 zeros": _chunks(b"0" * 400 + b"5\r\nhello\r\n" + END),
    "chunk too long": _chunks(b"4\r\nhello\r\n" + END),
    "chunk too short": CHUNKED + b"6\r\nhello\r\n" + END + SMUGGLED,
    "chunk without its line end": _chunks(b"5\r\nhello" + END),
    "chunk ended by LF": _chunks(b"5\r\nhello\n" + END),
    "chunk line ended by LF": _chunks(b"5\nhello\r\n" + END),
    "chunk line ended by CR": _chunks(b"5\rXhello\r\n" + END),
    "chunk line with CR CR": _chunks(b"5\r\r;ABCD\r\n34\r\nE\r\n0\r\n\r\n"),
    "chunk ended by two letters": _chunks(b"5\r\nhelloXX" + END),
    "chunk extension with LF": _chunks(b"5;a\nhello\r\n" + END),
    "chunk extension with a bare CR": _chunks(b"5;a=b\r\rXhello\r\n" + END),
    "chunk extension with NUL": _chunks(b"5;a=\x00\r\nhello\r\n" + END),
    "chunk extension with spaces": _chunks(b"5 ; a = b\r\nhello\r\n" + END),
    "chunk extension unquoted": _chunks(b'5;a="b\r\nhello\r\n' + END),
    "chunk extension too long": _chunks(b"5;" + b"a" * 5000 + b"\r\nhello\r\n" + END),
    "last chunk ended by LF": _chunks(b"5\r\nhello\r\n0\n\n"),
    "last chunk with letters behind": _chunks(b"5\r\nhello\r\n0\r\nX:"),
    "trailer without colon": _chunks(b"0\r\nX\r\n\r\n"),
    "trailer with LF": _chunks(b"0\r\nX: y\n\r\n"),
    "trailer folded": _chunks(b"0\r\nX: y\r\n z\r\n\r\n"),
    "Content-Length as a trailer": _chunks(b"0\r\nContent-Length: 5\r\n\r\n"),
    "Transfer-Encoding as a trailer": _chunks(b"0\r\nTransfer-Encoding: chunked\r\n\r\n"),
    "Host as a trailer": _chunks(b"0\r\nHost: b\r\n\r\n"),
    # Changes of protocol.
    "body on an upgrade": POST + b"Connection: upgrade\r\nUpgrade: websocket\r\n" + CL + b"\r\n" + END + SMUGGLED,
    "chunked body on an upgrade": POST + b"Connection: upgrade\r\nUpgrade: h2c\r\n" + TE + b"\r\n" + END + SMUGGLED,
    "body on CONNECT": b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n" + CL + b"\r\n" + END + SMUGGLED,
    # Ends.
    "body cut off": POST + b"Content-Length: 50\r\n\r\nhello",
    "chunks cut off": CHUNKED + b"5\r\nhello\r\n",
    "chunk cut off": CHUNKED + b"50\r\nhello",
    "last chunk cut off": CHUNKED + b"5\r\nhello\r\n0\r\n",
    "header cut off": GET + b"X: y\r\n",
}  # fmt: skip
"""None of these is an own request in full: the first is refused, and whatever follows it is not read."""

PASSED = {
    "plain": GET + b"\r\n" + AFTER,
    "counted body": POST + CL + b"\r\nhello" + AFTER,
    "empty body": POST + b"Content-Length: 0\r\n\r\n" + AFTER,
    "a body that looks like a request": POST + b"Content-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED + AFTER,
    "a chunk that looks like a request": CHUNKED + b"%x\r\n" % len(SMUGGLED) + SMUGGLED + b"\r\n" + END + AFTER,
    "a body that looks like the last chunk": POST + CL + b"\r\n" + END + AFTER,
    "GET with a body": GET + CL + b"\r\nhello" + AFTER,
    "GET with chunks": GET + TE + b"\r\n5\r\nhello\r\n" + END + AFTER,
    "many chunks": CHUNKED + b"1\r\na\r\n" * 50 + END + AFTER,
    "leading zeros in chunk sizes": CHUNKED + b"0005\r\nhello\r\n000\r\n\r\n" + AFTER,
    "capital letters in chunk sizes": CHUNKED + b"A\r\n0123456789\r\n" + END + AFTER,
    "chunk extensions": CHUNKED + b'5;a=b;c="d;e\\"";f\r\nhello\r\n0;g\r\n\r\n' + AFTER,
    "trailers": CHUNKED + b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n" + AFTER,
    "trailers named before": POST + TE + b"Trailer: X-Sum\r\nTE: trailers\r\nConnection: TE\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n" + AFTER,
    "spellings of chunked": POST + b"tRANSFER-eNCODING: \tChUnKeD \r\n\r\n5\r\nhello\r\n" + END + AFTER,
    "white space around a length": POST + b"Content-Length:\t5 \r\n\r\nhello" + AFTER,
    "underscores that are no framing": GET + b"Content_Length: 5\r\nTransfer_Encoding: chunked\r\n\r\n" + AFTER,
    "names that resemble framing": GET + b"X-Content-Length: 5\r\nTransfer-Encoding-X: chunked\r\n\r\n" + AFTER,
    "TE is no transfer coding": GET + b"TE: chunked\r\n\r\n" + AFTER,
    "obs-text in a value": GET + b"X: \x80\xa0\xff\r\n\r\n" + AFTER,
    "absolute target": b"GET http://a/first HTTP/1.1\r\nHost: a\r\n\r\n" + AFTER,
    "absolute target in HTTP/1.0": b"GET http://a/first HTTP/1.0\r\n\r\n" + AFTER,
    "HTTP/1.0 kept alive": b"POST /first HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n" + CL + b"\r\nhello" + AFTER,
    "HTTP/1.0 closes": b"GET /first HTTP/1.0\r\nHost: a\r\n\r\n" + SMUGGLED,
    "close": GET + b"Connection: close\r\n\r\n" + SMUGGLED,
    "close in a list": GET + b"Connection: x, Close\r\n\r\n" + SMUGGLED,
    "garbage behind a close": POST + b"Connection: close\r\n" + CL + b"\r\nhello\x00\x01garbage",
    "garbage behind": POST + CL + b"\r\nhello\x00\x01garbage",
    "one byte behind the last chunk": CHUNKED + b"5\r\nhello\r\n" + END + b"X",
    "an upgrade that is declined": GET + b"Connection: Upgrade\r\nUpgrade: something\r\n\r\n" + AFTER,
    "HTTP/2 by upgrade": GET + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n" + AFTER,
    "Upgrade that Connection does not name": POST + b"Upgrade: websocket\r\n" + CL + b"\r\nhello" + AFTER,
    "Connection names a field": GET + b"Connection: x-hop\r\nX-Hop: 1\r\n\r\n" + AFTER,
    "Connection names the framing": POST + b"Connection: content-length\r\n" + CL + b"\r\nhello" + AFTER,
    "Connection names the coding": POST + b"Connection: Transfer-Encoding\r\n" + TE + b"\r\n5\r\nhello\r\n" + END + AFTER,
    "Connection names Host": GET + b"Connection: host\r\n\r\n" + AFTER,
    "Expect": POST + b"Expect: 100-continue\r\n" + CL + b"\r\nhello" + AFTER,
    "another Expect": POST + b"Expect: 200-ok\r\n" + CL + b"\r\nhello" + AFTER,
    "dot segments": b"GET /x/../first/./%2e%2e/%2Fa?b=../c HTTP/1.1\r\nHost: a\r\n\r\n" + AFTER,
    "two slashes": b"GET //a/first HTTP/1.1\r\nHost: a\r\n\r\n" + AFTER,
    "a long queue": AFTER * 40,
    "PUT and DELETE": POST.replace(b"POST", b"PUT") + CL + b"\r\nhelloDELETE /first HTTP/1.1\r\nHost: a\r\n\r\n" + AFTER,
}  # fmt: skip
"""These have one reading: the upstream sees just what the ambassador has read."""

_SPLICES = (b"\r", b"\n", b"\r\n", b" ", b"\t", b"\x00", b":", b",", b";", b"0", b"5", b"x", b"\x0b", b"\r\n ", b"\xa0", b"+", b"-", b"_", b'"', b"\x7f", CL, TE, END, SMUGGLED)  # fmt: skip


def mutated(random: Random) -> bytes:
    """A message that was right, and went wrong in one to three places."""
    data = random.choice(list(PASSED.values()))
    for _ in range(random.randint(1, 3)):
        at = random.randrange(len(data))
        cut = random.choice((0, 0, 1, 2))
        data = data[:at] + random.choice(_SPLICES) + data[at + cut :]
    return data
