"""Connects by TCP and closes: somebody listens. A listener that never accepts passes until its backlog is full."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pillion.health.result import Result, Verdict, clip

if TYPE_CHECKING:
    from pillion.health.check import Tcp


async def connect(target: Tcp, timeout_s: float) -> Result:
    """One connection, made within `timeout_s` seconds, name resolution included."""
    where = f"{target.host}:{target.port}"
    try:
        async with asyncio.timeout(timeout_s):
            transport, _ = await asyncio.get_running_loop().create_connection(
                asyncio.Protocol, target.host, target.port
            )
    except TimeoutError:
        text = f"cannot connect to {where}: not within {timeout_s:g} s"
        return Result(Verdict.FAIL, clip(text))
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        return Result(Verdict.FAIL, clip(f"cannot connect to {where}: {why}"))
    transport.abort()  # nothing was said, so nothing waits to be said
    return Result(Verdict.PASS, f"{where} accepts connections")
