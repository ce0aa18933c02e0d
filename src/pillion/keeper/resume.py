"""The other side of the keeper's own upgrade: a fresh interpreter in the old process, which takes over from a snapshot."""

from __future__ import annotations

import gc
import os
import sys

from pillion import __version__

from . import snapshot
from .lean import json, signal, socket
from .wire import Channel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .keeper import Keeper
    from .wire import Json


def _read(memory: int) -> dict[str, Json]:
    state = json.loads(os.pread(memory, os.fstat(memory).st_size, 0))
    if not isinstance(state, dict):
        raise snapshot.Unreadable("cannot take over: the running keeper's state is no object")
    return state


def trial(memory: int) -> int:
    """Read the state and touch nothing: 0 when this version could take over, else 1 with the reason on stderr."""
    try:
        # All of it, as the real one will: its descriptors are this child's own copies.
        snapshot.load(_read(memory))
    except (snapshot.Unreadable, ValueError) as error:
        print(f"pillion: {error}", file=sys.stderr)
        return 1
    return 0


def resume(memory: int, failure: str | None = None) -> Keeper:
    """Take over and return the keeper, ready to run. With `failure` this is the old version, back again.

    Whatever is raised before the takeover is complete sends the caller back to the old version; all descriptors are then as they came.
    """
    state = _read(memory)
    fds = snapshot.descriptors(state)
    # Objects that are thrown away close what they hold: copies, from which everything is put back if this version fails.
    copies = {fd: os.dup(fd) for fd in fds}
    try:
        keeper = snapshot.load(state)
    except BaseException:
        gc.collect()
        for fd, copy in copies.items():
            os.dup2(copy, fd, inheritable=True)
        raise
    for copy in copies.values():
        os.close(copy)
    # From here on nothing is to fail: what the old version held is ours.
    keeper.version = __version__
    reply = state.get("reply")
    for fd in (*fds, *([int(str(reply["fd"]))] if isinstance(reply, dict) else [])):
        os.set_inheritable(fd, False)
    os.close(memory)
    keeper.take_over()
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    keeper.exits.reap()
    _answer(keeper, reply, str(state.get("version")), failure)
    return keeper


def _answer(keeper: Keeper, reply: Json, before: str, failure: str | None) -> None:
    """Tell the journal, and whoever asked, how it went."""
    if failure is None:
        keeper.event(
            "keeper-upgraded", "keeper", f"{before} to {__version__}", {"pid": os.getpid()}
        )
    else:
        keeper.event("upgrade-failed", "keeper", f"{failure}; the old version carries on")
    if not isinstance(reply, dict):
        return
    component = keeper.components.get(str(reply["of"]))
    if (
        component is not None
        and component.process is not None
        and component.process.channel is not None
    ):
        channel = component.process.channel
    else:
        channel = Channel(socket.socket(fileno=int(str(reply["fd"]))))
        keeper.inbox.add_operator(channel)
    if failure is None:
        upgraded: list[Json] = [
            {"name": "keeper", "from": before, "to": __version__, "pid": os.getpid()}
        ]
        channel.send({"op": "reply", "id": reply["id"], "result": {"upgraded": upgraded}})
    else:
        detail = f"cannot upgrade the keeper: {failure}; the old version carries on"
        channel.send(
            {
                "op": "reply",
                "id": reply["id"],
                "error": {"status": 500, "title": "Upgrade failed", "detail": detail},
            }
        )
