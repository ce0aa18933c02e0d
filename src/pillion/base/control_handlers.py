"""What a child does when its keeper speaks: the seam between the wire and a process's composition root."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from pillion.model.component import Status


def _nothing() -> None:
    return None


def _no_retire(_drain_s: float, successor: socket.socket | None) -> None:
    if successor is not None:
        successor.close()


def _no_drain(_pid: int) -> float:
    return 0.0


def _no_stop(_grace_s: float) -> None:
    return None


def _no_listeners(added: dict[str, socket.socket], _gone: list[str]) -> None:
    for sock in added.values():
        sock.close()


def _no_state(_state: Status) -> None:
    return None


class Handlers(msgspec.Struct):
    """One callback per message of the keeper; every one is called from the loop and returns at once.

    `retire` gets the drain's bound in seconds and the socket to the successor (None when there is none;
    the handler owns it). `drain` gets the pid of the app's process that is about to be stopped, and returns how many
    seconds are to pass once nobody finds it any more. `stop` gets the seconds left. `listeners` gets the listening
    sockets that are new (the handler owns them; one in place of another of that name replaces it) and the names of those that are served no
    more: what waits in their backlogs is to be accepted, then they are to be closed. `state` gets what changed. `lost` is called once,
    when the keeper's end closes.
    """

    promote: Callable[[], None] = _nothing
    retire: Callable[[float, socket.socket | None], None] = _no_retire
    drain: Callable[[int], float] = _no_drain
    stop: Callable[[float], None] = _no_stop
    reload: Callable[[], None] = _nothing
    listeners: Callable[[dict[str, socket.socket], list[str]], None] = _no_listeners
    state: Callable[[Status], None] = _no_state
    lost: Callable[[], None] = _nothing
