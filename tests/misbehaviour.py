"""The ways in which `misbehaving` fails, one function each; the path of a request is the function's name with hyphens."""

from __future__ import annotations

from misbehaving_talk import Left, Talk, fault

_HEAD = b"HTTP/1.1 200 OK\r\n"
_TEN = _HEAD + b"Content-Length: 10\r\n\r\n"
_CHUNKED = _HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
_HUGE = 100 << 20


@fault(executes=True)
def ok(talk: Talk) -> None:
    """No fault: the other side of every comparison."""
    talk.answer(talk.execute()[:1000] or b"ok")


@fault(executes=True)
def stream(talk: Talk) -> None:
    """Send as many mebibytes as the query says (`/stream/256`), as fast as they are taken."""
    talk.execute()
    count = int(talk.target.rpartition("/")[2])
    talk.send(_HEAD + f"Content-Length: {count << 20}\r\n\r\n".encode())
    piece = bytes(1 << 20)
    for _ in range(count):
        talk.send(piece)


@fault(executes=True)
def sip(talk: Talk) -> None:
    """Take a body in sips, more slowly than anybody sends."""
    size = sum(len(piece) for piece in talk.pieces(1 << 19, 0.01))
    talk.server.executed(talk.request_id)
    talk.answer(str(size).encode())


# Nothing, or nothing in time.


@fault(executes=True)
def silent(talk: Talk) -> None:
    """Take the request and never answer."""
    talk.execute()
    talk.hold()


@fault(executes=False)
def unread(talk: Talk) -> None:
    """Read the head, never the body, and never answer."""
    talk.hold_unread()


@fault(executes=True)
def drip_head(talk: Talk) -> None:
    """A head that comes byte by byte, and never ends."""
    talk.execute()
    talk.send(_HEAD + b"X: ")
    while True:
        talk.send(b"x")
        talk.pause(0.02)


@fault(executes=True)
def drip_body(talk: Talk) -> None:
    """A body that comes byte by byte and is whole in the end."""
    talk.execute()
    talk.send(_TEN)
    for _ in range(10):
        talk.pause(0.03)
        talk.send(b"x")


@fault(executes=True)
def drip_forever(talk: Talk) -> None:
    """A body that comes byte by byte and has no end."""
    talk.execute()
    talk.send(_CHUNKED)
    while True:
        talk.send(b"1\r\nx\r\n")
        talk.pause(0.02)


@fault(executes=True)
def stall_in_body(talk: Talk) -> None:
    """Half of the body, and silence."""
    talk.execute()
    talk.send(_TEN + b"12345")
    talk.hold()


@fault(executes=True)
def flood_1xx(talk: Talk) -> None:
    """Interim answers without an end."""
    talk.execute()
    while True:
        talk.send(b"HTTP/1.1 102 Processing\r\n\r\n" * 100)


# Ends too early.


@fault(executes=False)
def reset_at_once(talk: Talk) -> None:
    """Reset as soon as the head is there: nothing was done."""
    talk.reset()


@fault(executes=False)
def close_at_once(talk: Talk) -> None:
    """An orderly end in place of an answer: nothing was done."""
    talk.body()
    talk.close()


@fault(executes=True)
def reset_after_work(talk: Talk) -> None:
    """The work is done, and no answer comes of it."""
    talk.execute()
    talk.reset()


@fault(executes=True)
def reset_in_head(talk: Talk) -> None:
    """Reset amid a header line."""
    talk.execute()
    talk.send(_HEAD + b"Content-Le")
    talk.reset()


@fault(executes=True)
def close_in_head(talk: Talk) -> None:
    """End in order amid a header line."""
    talk.execute()
    talk.send(_HEAD + b"Content-Le")
    talk.close()


@fault(executes=True)
def reset_in_body(talk: Talk) -> None:
    """Reset amid a body whose length was told."""
    talk.execute()
    talk.send(_TEN + b"12345")
    talk.reset()


@fault(executes=True)
def reset_in_chunks(talk: Talk) -> None:
    """Reset amid a chunked body."""
    talk.execute()
    talk.send(_CHUNKED + b"5\r\n12345\r\n")
    talk.reset()


@fault(executes=True)
def close_in_chunks(talk: Talk) -> None:
    """End in order without the last chunk."""
    talk.execute()
    talk.send(_CHUNKED + b"5\r\n12345\r\n")
    talk.close()


@fault(executes=True)
def until_close(talk: Talk) -> None:
    """A body that ends with the connection, in order."""
    talk.execute()
    talk.send(_HEAD + b"Connection: close\r\n\r\n12345")
    talk.close()


@fault(executes=True)
def until_reset(talk: Talk) -> None:
    """A body that should end with the connection, which is reset."""
    talk.execute()
    talk.send(_HEAD + b"Connection: close\r\n\r\n12345")
    talk.reset()


@fault(executes=True)
def stale(talk: Talk) -> None:
    """One answer; then the connection ends just as the next request goes out, of which nothing is read."""
    talk.answer(talk.execute()[:1000] or b"ok")
    talk.wait_for_bytes()
    raise Left  # closing with bytes unread is a reset


@fault(executes=True)
def close_idle(talk: Talk) -> None:
    """One answer, and the end of the connection while nothing is under way."""
    talk.answer(talk.execute()[:1000] or b"ok")
    talk.close()


# Answers that are no success.


@fault(executes=True)
def error_500(talk: Talk) -> None:
    """An honest failure."""
    talk.execute()
    talk.answer(b"no", "500 Internal Server Error")


@fault(executes=True)
def busy_503(talk: Talk) -> None:
    """Come back in a second."""
    talk.execute()
    talk.answer(b"no", "503 Service Unavailable", "Retry-After: 1")


@fault(executes=True)
def not_found(talk: Talk) -> None:
    """There is no such thing, and nothing wrong."""
    talk.execute()
    talk.answer(b"no", "404 Not Found")


@fault(executes=False)
def early_413(talk: Talk) -> None:
    """Refuse before the body has come, and end the connection in order."""
    talk.answer(b"too much", "413 Content Too Large", "Connection: close")
    talk.close()


@fault(executes=True)
def early_200(talk: Talk) -> None:
    """Answer before the body has come, and read it all the same."""
    talk.answer(b"early")
    talk.execute()


# Lies about its length, or its kind.


@fault(executes=True)
def length_too_long(talk: Talk) -> None:
    """Ten bytes are told, five come."""
    talk.execute()
    talk.send(_TEN + b"12345")
    talk.close()


@fault(executes=True)
def length_too_short(talk: Talk) -> None:
    """Two bytes are told, and what follows looks like an answer to nobody."""
    talk.execute()
    talk.send(_HEAD + b"Content-Length: 2\r\n\r\nok" + _TEN + b"not for you")
    talk.hold()


@fault(executes=True)
def unasked(talk: Talk) -> None:
    """A second answer follows the first one a little later, when nobody has asked."""
    talk.answer(talk.execute()[:1000] or b"ok")
    talk.pause(0.05)
    talk.send(_TEN + b"notforyou!")
    talk.hold()


@fault(executes=True)
def head_with_body(talk: Talk) -> None:
    """A body where HEAD allows none."""
    talk.execute()
    talk.send(_TEN + b"0123456789")


@fault(executes=True)
def length_with_204(talk: Talk) -> None:
    """A body is told where 204 allows none."""
    talk.execute()
    talk.send(b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n12345")
    talk.hold()


@fault(executes=True)
def body_with_204(talk: Talk) -> None:
    """A body follows where 204 allows none."""
    talk.execute()
    talk.send(b"HTTP/1.1 204 No Content\r\n\r\n" + _TEN + b"12345")
    talk.hold()


@fault(executes=True)
def switch_unasked(talk: Talk) -> None:
    """101 to a request that asked for no other protocol."""
    talk.execute()
    talk.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: tea\r\nConnection: upgrade\r\n\r\nhot")
    talk.hold()


# Not HTTP.


@fault(executes=True)
def garbage(talk: Talk) -> None:
    """Bytes of no protocol."""
    talk.execute()
    talk.send(bytes(range(256)) * 40)
    talk.hold()


@fault(executes=True)
def another_protocol(talk: Talk) -> None:
    """The greeting of something else."""
    talk.execute()
    talk.send(b"220 mail.example.org ESMTP\r\n")
    talk.hold()


@fault(executes=True)
def huge_header(talk: Talk) -> None:
    """100 MiB in a single field."""
    talk.execute()
    talk.send(_HEAD + b"X: ")
    piece = b"x" * 65536
    for _ in range(_HUGE // len(piece)):
        talk.send(piece)
    talk.send(b"\r\nContent-Length: 2\r\n\r\nok")


@fault(executes=True)
def many_headers(talk: Talk) -> None:
    """100 MiB in short fields."""
    talk.execute()
    talk.send(_HEAD)
    piece = b"X-Field: of no use\r\n" * 3200
    for _ in range(_HUGE // len(piece)):
        talk.send(piece)
    talk.send(b"Content-Length: 2\r\n\r\nok")


@fault(executes=True)
def huge_trailer(talk: Talk) -> None:
    """100 MiB of trailers."""
    talk.execute()
    talk.send(_CHUNKED + b"2\r\nok\r\n0\r\n")
    piece = b"X-Field: of no use\r\n" * 3200
    for _ in range(_HUGE // len(piece)):
        talk.send(piece)
    talk.send(b"\r\n")


@fault(executes=True)
def two_lengths(talk: Talk) -> None:
    """Two lengths that differ."""
    talk.execute()
    talk.send(_HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok!")
    talk.hold()


@fault(executes=True)
def length_and_chunked(talk: Talk) -> None:
    """Two framings at once."""
    talk.execute()
    talk.send(
        _HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    )
    talk.hold()


@fault(executes=True)
def unknown_coding(talk: Talk) -> None:
    """A transfer coding that nobody knows."""
    talk.execute()
    talk.send(_HEAD + b"Transfer-Encoding: tea\r\n\r\nhot")
    talk.hold()


@fault(executes=True)
def bad_chunk(talk: Talk) -> None:
    """A chunk whose size is no number, after a good one."""
    talk.execute()
    talk.send(_CHUNKED + b"5\r\n12345\r\n")
    talk.pause(0.05)
    talk.send(b"zz\r\n")
    talk.hold()


@fault(executes=True)
def bad_chunk_at_once(talk: Talk) -> None:
    """The same, all in one piece with the head."""
    talk.execute()
    talk.send(_CHUNKED + b"5\r\n12345\r\nzz\r\n")
    talk.hold()


@fault(executes=True)
def bare_line_feeds(talk: Talk) -> None:
    """Lines without carriage returns."""
    talk.execute()
    talk.send(b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok")
    talk.hold()
