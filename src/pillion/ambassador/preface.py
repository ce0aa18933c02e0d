"""Reading a PROXY header from a socket that has just been accepted, and not one byte of what follows it."""

import asyncio
import socket

from .proxy_protocol import V1_BYTES, V2_BYTES, Addresses, read_header

MOST_BYTES = max(V1_BYTES, V2_BYTES + 16)


async def read_preface(sock: socket.socket, within_s: float) -> Addresses:
    """Take the PROXY header from `sock` and return what it says; the next byte to be read is the first after it.

    The bytes are looked at first and then taken as far as they belong to the header, for the TLS handshake reads the
    socket by itself. Raises ProxyProtocolError for another beginning, TimeoutError when it does not come in time,
    ConnectionError when the peer leaves.
    """
    taken = bytearray()
    async with asyncio.timeout(within_s):
        while True:
            try:
                seen = sock.recv(MOST_BYTES - len(taken), socket.MSG_PEEK)
            except (BlockingIOError, InterruptedError):
                await _readable(sock)
                continue
            if not seen:
                raise ConnectionResetError("it left before its PROXY header")
            before = len(taken)
            taken += seen
            header = read_header(taken)
            # An incomplete header has nothing after it: all of it is taken, or we would be woken up for it again at once.
            used = len(seen) if header is None else header[1] - before
            sock.recv(used)
            if header is not None:
                return header[0]


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    waiting: asyncio.Future[None] = loop.create_future()
    descriptor = sock.fileno()
    loop.add_reader(descriptor, _wake, waiting)
    try:
        await waiting
    finally:
        loop.remove_reader(descriptor)


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
