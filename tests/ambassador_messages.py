"""Heads as the codec reads them, from the lines of a message."""

from pillion.http.codec import Limits, RequestHead, RequestParser, ResponseHead, ResponseParser

LIMITS = Limits()


def request(*lines: bytes, line: bytes = b"GET / HTTP/1.1", host: bytes = b"shop") -> RequestHead:
    """The head of a request with these header lines, after its Host."""
    parser = RequestParser(LIMITS)
    parser.receive(b"\r\n".join([line, b"Host: " + host, *lines, b"", b""]))
    head = parser.next_event()
    assert isinstance(head, RequestHead)
    return head


def response(*lines: bytes, status: int = 200, upgrade: bool = False) -> ResponseHead:
    """The head of an answer to a GET with these header lines."""
    parser = ResponseParser(LIMITS)
    parser.expect("GET", upgrade=upgrade)
    parser.receive(b"\r\n".join([b"HTTP/1.1 %d X" % status, *lines, b"", b""]))
    head = parser.next_event()
    assert isinstance(head, ResponseHead)
    return head
