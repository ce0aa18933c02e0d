"""Blocking work on files, which is done to its end or not begun: a thread cannot be stopped in the middle of its renames."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_P = ParamSpec("_P")
_T = TypeVar("_T")


async def whole(work: Callable[_P, _T], *args: _P.args, **named: _P.kwargs) -> _T:
    """Run `work` in a thread to its end, also when this is cancelled: the next agent begins where it has ended."""
    future = asyncio.ensure_future(asyncio.to_thread(work, *args, **named))
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait({future})
        raise
