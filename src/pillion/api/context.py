"""What the handlers of the API stand on; the agent's composition root fills it, tests with their own keeper do too."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeVar

import msgspec

from pillion import __version__
from pillion.errors import RefusedError, UnreachableError
from pillion.model.component import Status

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pillion.ambassador.control_plane import ControlPlane
    from pillion.api.access import Access
    from pillion.api.route import Role
    from pillion.base.control import Control
    from pillion.config.configuration import Configuration
    from pillion.discovery.services import Services
    from pillion.environment.surroundings import Surroundings
    from pillion.health.health import Health
    from pillion.http.server import Request
    from pillion.lifecycle.reload import ReloadAnswer
    from pillion.locks.locks import Locks
    from pillion.logs.inlet import Inlet
    from pillion.model.stats import Stats
    from pillion.proxies.fleet import Fleet
    from pillion.secrets.secrets import Secrets
    from pillion.telemetry.measurement import Measurement

T = TypeVar("T")

# What the keeper answers from memory; it never waits for anything.
ASK_TIMEOUT_S = 2.0
# An action waits for processes: a stop_timeout, a drain.
ACT_TIMEOUT_S = 120.0


def given(part: T | None) -> T:
    """The part of the agent that a handler stands on; 501 when this agent was made without it."""
    if part is None:
        raise RefusedError(501, "Not Implemented", "cannot do this: this agent has no such part")
    return part


async def _no_reload() -> ReloadAnswer:
    raise RefusedError(501, "Not Implemented", "cannot reload: this agent was given no settings")


class Context(msgspec.Struct):
    """One agent's view of its instance.

    `state` is what the keeper said last, None before it has said anything. `closing` is set when this
    agent retires or stops: streams end themselves then. `reload` does the work of `POST /v1/reload`, and
    `stats` gives the agent's own numbers as they are now; `measure` looks at processes and host, and raises `UnreachableError`.
    """

    control: Control
    reload: Callable[[], Awaitable[ReloadAnswer]] = _no_reload
    stats: Callable[[], Stats] = dict
    state: Status | None = None
    closing: asyncio.Event = msgspec.field(default_factory=asyncio.Event)
    started_s: float = msgspec.field(default_factory=time.time)
    version: str = __version__
    streams: int = 0
    inlet: Inlet | None = None
    surroundings: Surroundings | None = None
    measure: Callable[[], Awaitable[list[Measurement]]] | None = None
    access: Access | None = None
    health: Health | None = None
    secrets: Secrets | None = None
    config: Configuration | None = None
    locks: Locks | None = None
    services: Services | None = None
    ambassador: ControlPlane | None = None
    proxies: Fleet | None = None

    @property
    def state_dir(self) -> str:
        """Where the spool is."""
        return self.control.place.state_dir

    @property
    def run(self) -> str:
        """The id of the present run."""
        return self.control.place.run

    def role_of(self, request: Request) -> Role:
        """Who asks, where more than the route's role is to be known."""
        return given(self.access).role_of(request)

    async def call_while_serving(
        self, method: str, params: object, result: type[T], *, timeout_s: float, grace_s: float
    ) -> T | None:
        """Call the keeper; None when this agent is told to go, and no reply comes within `grace_s` seconds of that.

        For calls that may end this very agent: the keeper waits for our end before it replies, and we would
        wait for its reply before we end. One of the two has to be bounded. Raises what a call raises.
        """
        call = asyncio.ensure_future(self.control.call(method, params, result, timeout_s=timeout_s))
        told_to_go = asyncio.ensure_future(self.closing.wait())
        try:
            await asyncio.wait({call, told_to_go}, return_when=asyncio.FIRST_COMPLETED)
            if not call.done():
                await asyncio.wait({call}, timeout=grace_s)
            return call.result() if call.done() else None
        finally:
            told_to_go.cancel()
            call.cancel()

    async def fresh_status(self) -> Status:
        """What the keeper says now; `UnreachableError` when it does not answer within 2 s."""
        self.state = await self.control.call("status", {}, Status, timeout_s=ASK_TIMEOUT_S)
        return self.state

    async def best_status(self) -> Status | None:
        """What the keeper says now, else what it said last, else None."""
        try:
            return await self.fresh_status()
        except UnreachableError:
            return self.state
