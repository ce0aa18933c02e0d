"""The socket module's C half with what the keeper uses of its Python half: `with`, accept, pairs, and descriptors sent along."""

from __future__ import annotations

import _socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from _typeshed import ReadableBuffer


class Socket(_socket.socket):
    """A socket as the standard module has it, without files, timeouts by default, and enumerations."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def accept(self) -> tuple[Socket, object]:
        """Return a new, blocking socket and the peer's address (accept4(2), close-on-exec)."""
        fd, address = self._accept()  # type: ignore[attr-defined]
        return Socket(fileno=fd), address


def _socketpair(family: int, kind: int) -> tuple[Socket, Socket]:
    one, other = _socket.socketpair(family, kind)
    return Socket(fileno=one.detach()), Socket(fileno=other.detach())


def _send_fds(sock: Socket, buffers: Sequence[ReadableBuffer], fds: Sequence[int]) -> int:
    data = b"".join(fd.to_bytes(4, "little") for fd in fds)
    return sock.sendmsg(buffers, [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, data)])


socket = type(_socket)(__name__)
socket.__dict__.update(vars(_socket))
socket.__dict__.update({"socket": Socket, "socketpair": _socketpair, "send_fds": _send_fds})
if not hasattr(_socket.socket, "_accept"):
    raise ImportError("the C half of socket is not as expected")
