"""The Unix sockets that somebody else's nginx leaves when it is killed: it cannot be started again while they are there, and it does not remove them itself.

What the keeper runs needs none of this: the keeper removes them before each start.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING

from pillion.proxies.proof import remove_dead_socket

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pillion.proxies.driver import Runner

# A starting nginx tries for 2.5 s to bind (ngx_open_listening_sockets()); while it is away its sockets are looked at that often.
_AWAY_S = 1.0


async def clear_leftovers(runner: Runner, sockets: Sequence[str]) -> None:
    """Remove those of `sockets` that nobody listens on, whenever its master is gone; until cancelled.

    While there is one its death is waited for, and nothing is looked at.
    """
    while True:
        pid = runner.running()
        if pid is not None:
            await _death(pid)
        for path in sockets:
            with contextlib.suppress(OSError):  # its start says what is in its way
                remove_dead_socket(path)
        if runner.running() is None:
            # Also: workers that outlive their master still listen.
            await asyncio.sleep(_AWAY_S)


async def _death(pid: int) -> None:
    """Wait until the process has ended; at once when it has."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    dead = asyncio.Event()
    loop.add_reader(descriptor, dead.set)
    try:
        await dead.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
