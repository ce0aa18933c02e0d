"""What must be said to a transport of uvloop so that no byte is lost and no cut looks like an end."""

import asyncio
import contextlib
import socket
import struct

_LINGER_ZERO = struct.pack("ii", 1, 0)
_KEEP_ALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 20),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)


SEALED_BYTES = 64 * 1024
"""What one write gives TLS to seal at most."""


def hold_little(transport: asyncio.Transport) -> None:
    """Have a TLS transport of uvloop keep no more than one read (256 KiB) for a protocol that has paused reading, and tell one that
    writes to pause with the first 64 KiB that have been sealed and wait, not with 512.

    It is not only memory: uvloop drops what it has read and not yet delivered when the peer's end of file comes, so a
    slow reader would lose the end of a stream. With this, it does not read on before what it has is delivered.
    """
    set_limits = getattr(transport, "set_read_buffer_limits", None)
    if set_limits is not None:
        set_limits(high=1, low=0)
        transport.set_write_buffer_limits(high=SEALED_BYTES, low=SEALED_BYTES // 4)


def write_sealed(transport: asyncio.Transport, pieces: list[bytes]) -> None:
    """Write to a TLS transport of uvloop: joined, for each write is a record of its own, and 64 KiB at a time.

    What one write gives is sealed as a whole into a buffer that keeps the size it grew to until the connection ends.
    """
    data = b"".join(pieces)
    if len(data) <= SEALED_BYTES:
        transport.write(data)
        return
    view = memoryview(data)
    for at in range(0, len(view), SEALED_BYTES):
        transport.write(view[at : at + SEALED_BYTES])


def reset_on_close(transport: asyncio.BaseTransport) -> None:
    """Have the transport's socket end with a reset, not with an end of file: the peer shall see that this is no proper end."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):  # it is gone already
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)


def keep_alive(transport: asyncio.BaseTransport) -> None:
    """Have the kernel ask a silent TCP peer after a minute whether it is still there, and end the connection after two."""
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.family != socket.AF_UNIX:
        with contextlib.suppress(OSError):  # it is gone already
            for option in _KEEP_ALIVE:
                sock.setsockopt(*option)
