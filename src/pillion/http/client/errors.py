"""What can go wrong on the way to an answer.

ClientError
├── ConnectError     no connection: nothing has been sent, so anyone may try again
├── Timeout          connect, pool, read or total; the text says which
└── ProtocolError    an answer that is not valid, or ends before its end
"""


class ClientError(Exception):
    """No answer, or not a whole one. The text names the origin and the cause."""


class ConnectError(ClientError):
    """No connection could be made; no byte of the request has been sent."""


class Timeout(ClientError):
    """Something took longer than its bound."""


class ProtocolError(ClientError):
    """The other side broke HTTP, or the connection, in the middle of an answer."""
