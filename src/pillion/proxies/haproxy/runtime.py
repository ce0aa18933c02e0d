"""Changes the servers of a running HAProxy without a reload: carries plans out, believes none of the answers, and sees that who left is gone.

What the process has been brought level with is kept in the process itself, in a variable: it survives the agent, and is gone with the worker
that it is true of.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from typing import TYPE_CHECKING

import msgspec

from pillion.errors import PillionError, UnreachableError
from pillion.proxies.driver import Level
from pillion.proxies.haproxy.drift import Drift, find_drift
from pillion.proxies.haproxy.file import Unreadable
from pillion.proxies.haproxy.level import Place, Remove, Say, make_plan
from pillion.proxies.haproxy.running import Garbage, read_servers_state
from pillion.proxies.haproxy.servers import read_configuration, same_frame

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pillion.base.tasks import RootTasks
    from pillion.proxies.haproxy.level import Plan
    from pillion.proxies.haproxy.running import Running
    from pillion.proxies.haproxy.servers import Configuration
    from pillion.proxies.haproxy.socket import CommandSocket, Session

REPLACE_S = 1.0
"""For the sessions of a server that gets other options; when they last longer, a reload cuts none of them."""
LEAVING_S = 30.0
_VARIABLE = "proc.pillion_level"
_VALUE = re.compile(r"value=<([0-9A-Za-z._-]+)>")
_VERSION = re.compile(r"[0-9A-Za-z._-]{1,64}\Z")
_ASK_S = 1.0
_FIRST_WAIT_S = 0.02
_LAST_WAIT_S = 1.0
_GROWTH = 1.5
# After its sessions were shut down; a server that stays even then takes no requests, and goes with the next reload.
_AFTERWARDS_S = 5.0


class _Refused(Exception):
    """A command that HAProxy did not carry out."""


class _Left(msgspec.Struct, frozen=True):
    """A server that left: its options, when they are known, and when it was first seen to leave (monotonic seconds)."""

    options: tuple[str, ...] | None
    since_s: float


class Runtime:
    """The servers of one running HAProxy, behind its admin socket.

    `leaving_s` is how long a server that left may keep its sessions. `stayed` counts those that could not be removed even then.
    """

    def __init__(
        self,
        name: str,
        socket: CommandSocket,
        tasks: RootTasks,
        *,
        leaving_s: float = LEAVING_S,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._socket = socket
        self._tasks = tasks
        self._leaving_s = leaving_s
        self._clock_s = clock_s
        self._leaving: dict[Place, _Left] = {}
        self._sweeper: asyncio.Task[None] | None = None
        # A removal must not meet a server that has just come back.
        self._turn = asyncio.Lock()
        self._read: dict[str, Configuration] = {}
        self.stayed = 0

    @property
    def leaving(self) -> tuple[Place, ...]:
        """The servers that take no requests any more, and wait for the end of their sessions."""
        return tuple(self._leaving)

    def forget(self) -> None:
        """The process loads a file: who was leaving is gone with the old worker."""
        self._leaving.clear()

    async def level_version(self) -> str:
        """The version with which the present worker was brought level at run time; empty when it never was, or does not say."""
        try:
            async with asyncio.timeout(_ASK_S), self._socket.session() as session:
                found = _VALUE.search(await session.say(f"get var {_VARIABLE}"))
        except (UnreachableError, TimeoutError):
            return ""
        return found[1] if found is not None else ""

    async def bring_level(self, old: str, new: str, version: str) -> Level:
        """Change the servers from those of the file `old` to those of `new`, which is `version`. Raises nothing."""
        try:
            before, wanted = self._configuration(old), self._configuration(new)
            # The next change begins where this one ends.
            self._read = {new: wanted, old: before}
        except Unreadable as error:
            return Level(False, why=f"only HAProxy can read this file: {error}")
        why = same_frame(before, wanted)
        if why:
            return Level(False, why=why)
        try:
            async with self._turn:
                try:
                    return await self._bring_level(before, wanted, version)
                except _Refused:
                    # The last word of whoever was cut off before us may be done only after we have looked: look again, once.
                    return await self._bring_level(before, wanted, version)
        except (UnreachableError, Garbage, _Refused) as error:
            return Level(False, why=str(error))
        finally:
            self._sweep_on()

    async def drift(self, text: str) -> Drift | str:
        """What differs between the file `text` and the process; why that cannot be said, as a string. Raises nothing."""
        try:
            wanted = self._configuration(text)
            async with self._turn, self._socket.session() as session:
                drift = find_drift(wanted, await _running(session), self._known())
        except (Unreadable, UnreachableError, Garbage) as error:
            return str(error)
        for place in drift.leaving:
            self._leaving.setdefault(place, _Left(None, self._clock_s()))
        self._sweep_on()
        return drift

    def _configuration(self, text: str) -> Configuration:
        found = self._read.get(text)
        return read_configuration(text) if found is None else found

    async def _bring_level(
        self, before: Configuration, wanted: Configuration, version: str
    ) -> Level:
        async with self._socket.session() as session:
            plan = make_plan(before, wanted, await _running(session), self._known())
            if plan.why:
                return Level(False, why=plan.why)
            await self._carry_out(session, plan)
            self._note_leaving(before, wanted, plan)
            await self._remove_leaving(session)
            if plan.steps:
                drift = find_drift(wanted, await _running(session), self._known())
                if not drift.level:
                    return Level(False, why=f"HAProxy did not do it: {drift.differences[0]}")
            if _VERSION.match(version):
                await session.say("experimental-mode on")
                await session.say(f"set var {_VARIABLE} str({version})")
            return Level(True, changes=len(plan.changes))

    async def _carry_out(self, session: Session, plan: Plan) -> None:
        for step in plan.steps:
            match step:
                case Say(command):
                    answer = await session.say(command)
                    if not accepted(command, answer):
                        raise _Refused(f"HAProxy refuses {_short(command)}: {_short(answer)}")
                case Remove(place):
                    await self._remove(session, place)

    async def _remove(self, session: Session, place: Place) -> None:
        """Remove a server as soon as it has no sessions."""
        end_s = self._clock_s() + REPLACE_S
        wait_s = _FIRST_WAIT_S
        while True:
            answer = await session.say(_deletion(place))
            if accepted(_deletion(place), answer):
                self._leaving.pop(place, None)
                return
            if _busy(answer):
                await _drop_idle(session, place)
            if self._clock_s() >= end_s:
                raise _Refused(f"{'/'.join(place)} still has sessions: {_short(answer)}")
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * _GROWTH, _LAST_WAIT_S)

    def _note_leaving(self, before: Configuration, wanted: Configuration, plan: Plan) -> None:
        for place in [one for one in self._leaving if _has(wanted, one)]:
            del self._leaving[place]
        for place in plan.leaving:
            backend = before.backends.get(place[0])
            server = None if backend is None else backend.servers.get(place[1])
            left = _Left(None if server is None else server.options, self._clock_s())
            self._leaving.setdefault(place, left)

    def _known(self) -> Mapping[Place, tuple[str, ...]]:
        return {
            place: left.options for place, left in self._leaving.items() if left.options is not None
        }

    def _sweep_on(self) -> None:
        if self._leaving and (self._sweeper is None or self._sweeper.done()):
            # In an agent that ends nothing can be started; the next one finds those who leave.
            with contextlib.suppress(PillionError):
                self._sweeper = self._tasks.start(
                    f"proxy-{self._name}-leaving", self._sweep(), may_end=True
                )

    async def _sweep(self) -> None:
        """Remove who leaves, until nobody does."""
        wait_s = _FIRST_WAIT_S
        while self._leaving:
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * _GROWTH, _LAST_WAIT_S)
            async with self._turn:
                try:
                    async with self._socket.session() as session:
                        await self._remove_leaving(session)
                except UnreachableError:
                    # It restarts, and then has none of them; or it is looked for again.
                    pass
                self._give_up()

    async def _remove_leaving(self, session: Session) -> None:
        for place, left in list(self._leaving.items()):
            answer = await session.say(_deletion(place))
            if not _busy(answer):
                # It is gone, or somebody has set it to work again, which is a drift and none of our business here.
                del self._leaving[place]
            elif self._clock_s() - left.since_s >= self._leaving_s:
                await session.say(f"shutdown sessions server {'/'.join(place)}")
            else:
                await _drop_idle(session, place)

    def _give_up(self) -> None:
        now_s = self._clock_s()
        for place, left in list(self._leaving.items()):
            if now_s - left.since_s >= self._leaving_s + _AFTERWARDS_S:
                del self._leaving[place]
                self.stayed += 1


def accepted(command: str, answer: str) -> bool:
    """Whether HAProxy says that it has carried `command` out; most of them answer nothing then."""
    if command.startswith("add server "):
        return "New server registered" in answer
    if command.startswith("del server "):
        return "Server deleted" in answer
    if " addr " in command:
        return "changed from" in answer or "no need to change" in answer
    return not answer


async def _running(session: Session) -> Mapping[str, Mapping[str, Running]]:
    return read_servers_state(await session.say("show servers state"))


def _busy(refusal: str) -> bool:
    """Whether a server in maintenance is not removed because of its connections; anything else has other reasons."""
    return "connections attached" in refusal


async def _drop_idle(session: Session, place: Place) -> None:
    """Have HAProxy close the idle connections of a server in maintenance, when no request is under way on the others.

    It closes those that are idle when the maintenance begins, and keeps what was in use then for several `pool-purge-delay`; a server whose
    address changes loses them at once. A plan that brings the server back corrects the address first.
    """
    used = idle_server(await session.say(f"show servers conn {place[0]}"), "/".join(place))
    if used is not None:
        await session.say(f"set server {'/'.join(place)} addr {used[0]} port {used[1] ^ 1 or 2}")


def idle_server(answer: str, name: str) -> tuple[str, int] | None:
    """The address and port of the server `name` (backend/server) in the answer of `show servers conn`, when it has no connection in use."""
    header, *rows = answer.splitlines() or [""]
    columns = header.removeprefix("# ").split()
    for row in rows:
        fields = dict(zip(columns, row.split(), strict=False))
        if fields.get("bkname/svname") == name and fields.get("used_cur") == "0":
            port = fields.get("port", "")
            if port.isdecimal() and int(port):
                return fields.get("addr", ""), int(port)
    return None


def _deletion(place: Place) -> str:
    return f"del server {'/'.join(place)}"


def _has(configuration: Configuration, place: Place) -> bool:
    backend = configuration.backends.get(place[0])
    return backend is not None and place[1] in backend.servers


def _short(text: str) -> str:
    # The options of a server may hold what nobody should read: its name is enough.
    return (
        " ".join(text.split(" ")[:3])[:120]
        if text.startswith("add ")
        else " ".join(text.split())[:200]
    )
