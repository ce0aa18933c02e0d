"""Long polls: how long a client wants to wait, and an end to it when this agent goes."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from pillion.api.query import text
from pillion.errors import RefusedError
from pillion.settings.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from pillion.api.context import Context
    from pillion.http.server import Request


def wait_s(request: Request, most_s: float, name: str = "wait") -> float | None:
    """Seconds of the parameter `name` (`30s`), None when it is not there; more than `most_s` is refused."""
    value = text(request, name)
    if value is None:
        return None
    try:
        wanted_s = parse_duration(value)
    except ValueError as error:
        raise _bad(f"cannot read {name}={value[:64]!r}: write 30s or 1m") from error
    if wanted_s > most_s:
        raise _bad(f"cannot wait {value[:64]}: at most {most_s:g}s; ask again afterwards")
    return wanted_s


async def unless_closing(context: Context, waiting: Coroutine[object, object, None]) -> None:
    """Wait, but no longer than this agent serves: what is asked for is then answered as it is."""
    task = asyncio.ensure_future(waiting)
    closing = asyncio.ensure_future(context.closing.wait())
    try:
        await asyncio.wait({task, closing}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
    finally:
        closing.cancel()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await task  # its end belongs to nobody any more, and its watches are given back


def _bad(detail: str) -> RefusedError:
    return RefusedError(400, "Bad Request", detail)
