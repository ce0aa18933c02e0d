"""The agent's API: who may use it, its table of routes, and the server on the sockets that the keeper has bound.

A module of its own, since it is the larger half of the agent's code and the app's start needs none of it: connections wait in the
backlog while it is loaded, beside the app's own start.
"""

from __future__ import annotations

import socket
import sys
import traceback
from typing import TYPE_CHECKING

from pillion.api.access import PROBE, TCP, UNIX
from pillion.api.application import Application
from pillion.api.table import ROUTES
from pillion.http.handover import HandoverError, HandoverReceiver
from pillion.http.server import Server, ServerLimits
from pillion.processes.agent_access import read_access
from pillion.processes.agent_stats import server_stats

if TYPE_CHECKING:
    from pillion.api.context import Context
    from pillion.http.server import Request
    from pillion.http.server.listener import Drained
    from pillion.model.event import Json
    from pillion.model.place import Place
    from pillion.model.stats import Stats
    from pillion.settings import Settings

# Which inherited descriptor is served under which name.
_LISTENERS = (("api_unix", UNIX), ("api_tcp", TCP), ("probe", PROBE))
# Local clients are quick, and what they send is small.
_LIMITS = ServerLimits(header_timeout_s=5.0, body_bytes=1 << 20)
# For clients that have been answered to take their answer and close, when nothing is under way any more.
LAST_BYTES_S = 0.2


class AgentApi:
    """The API of one agent; made inside the running loop. Raises `PillionError` when a token cannot be read."""

    def __init__(self, place: Place, settings: Settings, context: Context) -> None:
        self._sockets = {
            name: socket.socket(fileno=place.fds[key])
            for key, name in _LISTENERS
            if key in place.fds
        }
        access = read_access(place, settings, self._sockets.get(TCP))
        context.access = access
        self._context = context
        self._application = Application(context, access, ROUTES)
        self._server = Server(self._application, _LIMITS, on_error=_failed, name="api")

    def serve(self) -> None:
        """Accept on every socket."""
        for name, sock in self._sockets.items():
            self._server.serve(sock, name)

    async def take_over(self, sock: socket.socket) -> None:
        """Adopt the connections that the predecessor passes on, until it says that it was all; closes `sock`."""
        with sock:
            try:
                received = await HandoverReceiver(sock, self._server.adopt).run()
            except HandoverError as error:
                self._context.control.event("handed-over", f"{error}", data={"complete": False})
                return
        if not received.complete:
            # The predecessor was killed: what it had not passed on went with it.
            data: dict[str, Json] = {"adopted": received.adopted, "complete": False}
            self._context.control.event(
                "handed-over", "the predecessor ended while handing over", data=data
            )

    async def hand_over(self, drain_s: float, successor: socket.socket | None) -> Drained:
        """Give the connections to the successor, or end them, within `drain_s` seconds."""
        return await self._server.drain(drain_s, successor)

    async def answer_and_end(self, grace_s: float) -> None:
        """What is under way is answered within `grace_s` seconds; idle connections have nothing to wait for."""
        self._server.pause_accepting()
        await self._application.quiet(max(0.0, grace_s - LAST_BYTES_S))
        await self._server.drain(LAST_BYTES_S)

    def stats(self) -> Stats:
        """What the server counts."""
        return server_stats(self._server)

    async def close(self) -> None:
        """End every connection, and give the sockets back."""
        await self._server.close()
        for sock in self._sockets.values():
            sock.close()


def _failed(error: BaseException, request: Request | None) -> None:
    where = "a connection" if request is None else f"{request.method} {request.path[:128]}"
    sys.stderr.write(f"pillion-agent: cannot answer {where}:\n")
    traceback.print_exception(error)
