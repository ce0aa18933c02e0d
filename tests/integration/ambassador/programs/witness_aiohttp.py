"""aiohttp as an upstream that bears witness, with its parser in Python; see witness.mjs."""

import asyncio
import logging
import socket

from aiohttp import web

SEEN: list[list[str]] = []
REFUSED: list[str] = []


class Refusals(logging.Handler):
    """aiohttp tells of what it could not read in its log alone."""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the error, unless a connection has ended within a message: that is no message at all."""
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, OSError):
            REFUSED.append(f"{record.getMessage()}: {error!r}")


async def answer(request: web.BaseRequest) -> web.Response:
    """Write down what has been read in full."""
    if request.raw_path == "/__seen":
        told = {"seen": list(SEEN), "refused": list(REFUSED)}
        SEEN.clear()
        REFUSED.clear()
        return web.json_response(told)
    body = await request.read()
    SEEN.append([request.method, request.raw_path, body.decode("latin-1")])
    return web.Response(text=request.raw_path)


async def main() -> None:
    """Serve until killed."""
    log = logging.getLogger("aiohttp.server")
    log.addHandler(Refusals())
    log.propagate = False
    runner = web.ServerRunner(web.Server(answer), keepalive_timeout=60)
    await runner.setup()
    sock = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, sock).start()
    print(sock.getsockname()[1], flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
