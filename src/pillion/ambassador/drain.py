"""The end of a worker: nothing is refused, idle connections go to the successor, busy ones are waited for, within a bound.

A connection whose next bytes may be under way is never closed from our side: it is passed on between two requests, or told to close
with its next answer. One that has not asked anything yet counts as busy. Tunnels are waited for; what the bound cuts is counted.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, cast

import msgspec

from pillion.http.handover import HandoverError, HandoverSender

if TYPE_CHECKING:
    import socket

    from .doors import Doors
    from .hub import Hub
    from .inward import Inward

_LAST_WRITES_S = 0.5


class Drained(msgspec.Struct, frozen=True):
    """What became of the connections: passed on, and cut at the bound."""

    handed: int
    cut: int


async def drain(
    hub: Hub, doors: Doors, within_s: float, successor: socket.socket | None
) -> Drained:
    """Stop accepting and end every connection without failing a request, within `within_s` seconds."""
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + within_s
    doors.shut()
    await doors.settled()
    hub.draining = True
    sender = None if successor is None else HandoverSender(successor)
    hub.closing_answers = sender is None
    handed = 0
    while len(hub):
        hub.changed.clear()
        if sender is not None:
            try:
                async with asyncio.timeout_at(deadline_s):
                    handed += await _hand_over(hub, sender, fresh=False)
            except (HandoverError, TimeoutError):
                sender = None
                hub.closing_answers = True
        elif not hub.busy:
            # Nobody is asking anything: whoever wanted to has the time to.
            deadline_s = min(deadline_s, loop.time() + _LAST_WRITES_S)
        try:
            async with asyncio.timeout_at(deadline_s):
                await hub.changed.wait()
        except TimeoutError:
            break
    if sender is not None:
        with contextlib.suppress(HandoverError, TimeoutError):
            async with asyncio.timeout(_LAST_WRITES_S):
                handed += await _hand_over(hub, sender, fresh=True)
                await sender.end(handed)
    cut = hub.cut()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LAST_WRITES_S):
            while len(hub):
                hub.changed.clear()
                await hub.changed.wait()
    return Drained(handed, cut)


async def _hand_over(hub: Hub, sender: HandoverSender, *, fresh: bool) -> int:
    """Pass on what is idle and plain; with `fresh` also those that have not asked anything yet."""
    handed = 0
    for client in hub.connections:
        if not client.idle and not (fresh and client.silent):
            continue
        descriptor = _descriptor(client)
        if descriptor < 0:
            continue  # TLS: its keys cannot go along
        # What arrives from now on stays in the kernel, and goes along.
        client.pause_reading()
        try:
            await sender.send(client.door.name, descriptor)
        except BaseException:
            client.resume_reading()
            raise
        client.abort()
        handed += 1
    return handed


def _descriptor(client: Inward) -> int:
    transport = client.transport
    if transport is None or transport.get_extra_info("ssl_object") is not None:
        return -1
    sock = transport.get_extra_info("socket")
    return -1 if sock is None else cast("int", sock.fileno())
