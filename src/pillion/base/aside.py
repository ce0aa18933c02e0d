"""Work that may hang with a kernel or a file system, done aside: one at a time, and all who ask meanwhile wait for the same."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Aside(Generic[T]):
    """Runs functions in threads named `name`. Call it from one loop."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._under_way: asyncio.Future[T] | None = None

    async def run(self, work: Callable[[], T], within_s: float) -> T:
        """What `work` returns, or what the call before returns that is still under way; raises what it raises.

        Raises `TimeoutError` after `within_s` seconds; the thread goes on, and who asks next waits for it again.
        """
        if self._under_way is None or self._under_way.done():
            loop = asyncio.get_running_loop()
            under_way: asyncio.Future[T] = loop.create_future()
            self._under_way = under_way
            # A daemon: one that hangs must not keep the process from ending.
            threading.Thread(
                target=_run, args=(loop, under_way, work), name=self._name, daemon=True
            ).start()
        async with asyncio.timeout(within_s):
            return await asyncio.shield(self._under_way)


def _run(loop: asyncio.AbstractEventLoop, to: asyncio.Future[T], work: Callable[[], T]) -> None:
    """The body of the thread."""
    result: T | Exception
    try:
        result = work()
    except Exception as error:  # noqa: BLE001 # told to whoever waits
        result = error

    def tell() -> None:
        if to.done():
            return
        if isinstance(result, Exception):
            to.set_exception(result)
        else:
            to.set_result(result)

    try:
        loop.call_soon_threadsafe(tell)
    except RuntimeError:
        return  # the loop has ended, and nobody waits any more
