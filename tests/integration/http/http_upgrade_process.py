"""One server process of the upgrade test: argv is role, unix socket fd, TCP fd, hand-over fd, control fd.

The old one serves until a byte comes on the control socket, then drains with the hand-over and
reports; the new one adopts and receives first, and accepts when its control socket says so.
"""

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator

import uvloop

from pillion.http.handover import HandoverReceiver
from pillion.http.server import Request, Response, Server, ServerLimits


def handler_of(role: bytes):  # noqa: ANN201 - a handler, of whichever kind the request asks for
    async def slow(request: Request) -> Response:
        body = await request.read(1 << 20)
        await asyncio.sleep(0.03)
        return Response(200, [(b"role", role)], body or b"slow")

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b"x"
            await asyncio.sleep(0.01)

    def handler(request: Request):  # noqa: ANN202 - as above
        if request.path == "/slow":
            return slow(request)
        if request.path == "/stream":
            return Response(200, [(b"role", role)], pieces())
        return Response(200, [(b"role", role)], b"fast")

    return handler


async def main() -> None:
    role, *numbers = sys.argv[1:]
    unix, tcp, handover, control = (socket.socket(fileno=int(n)) for n in numbers)
    control.setblocking(False)
    loop = asyncio.get_running_loop()
    server = Server(handler_of(role.encode()), ServerLimits(idle_timeout_s=30), name=role)
    report: dict[str, object] = {}
    if role == "new":
        server.pause_accepting()
    server.serve(unix)
    server.serve(tcp)
    await loop.sock_sendall(control, b"r")
    await loop.sock_recv(control, 1)
    if role == "old":
        drained = await server.drain(10.0, handover)
        report = {"handed": drained.handed, "closed": drained.closed, "cut": drained.cut}
    else:
        server.resume_accepting()
        received = await HandoverReceiver(handover, server.adopt).run()
        report = {"adopted": received.adopted, "complete": received.complete}
        await loop.sock_recv(control, 1)
    report["failures"] = server.counters.failures
    report["requests"] = server.counters.requests
    await loop.sock_sendall(control, json.dumps(report).encode())
    await server.close()
    for sock in (unix, tcp, handover, control):
        sock.close()


if __name__ == "__main__":
    uvloop.run(main())
