"""The shipper: telemetry. It carries the spool to its receivers, and may die at any moment without losing a line.

This is the composition root: it puts the parts together, and holds no policy of its own.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from pillion.base.control import Control
from pillion.base.control_handlers import Handlers
from pillion.base.process import freeze_collector, run_process
from pillion.base.tasks import RootTasks
from pillion.keeper.streams import SPANS
from pillion.logs.waker import Waker
from pillion.model.place import Place, read_place
from pillion.processes.shipper_parts import (
    build_shippings,
    build_trace_shipping,
    read_settings,
)
from pillion.processes.shipper_stats import shipping_stats

if TYPE_CHECKING:
    import socket

    from pillion.base.tasks import TaskEnd
    from pillion.logs.shipping import Shipping
    from pillion.model.event import Json
    from pillion.model.stats import Stats

ROLE = "shipper"

_CLEANUP_S = 1.0
_TERM_GRACE_S = 5.0
# The predecessor holds the positions until it has flushed; who waits longer says so.
_LOCK_EVERY_S = 0.05
_LOCK_TELL_S = 15.0
# Disk is read and written in these; one that hangs takes one of them, not the loop.
_THREADS = 4


def main() -> int:
    """Run the shipper in the place that the keeper gave it; return the exit code."""
    code = run_process(ROLE, _run)
    sys.stderr.flush()
    # Not `return`: the interpreter would join a thread that waits for a disk that hangs.
    os._exit(code)


async def _run() -> int:
    return await Shipper(read_place(os.environ)).run()


class Shipper:
    """One shipper process, from its start to its end; make it inside the running loop."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._end: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._ending = False
        self._shipping = False
        self._tasks = RootTasks(self._task_ended)
        handlers = Handlers(
            promote=self._begin, retire=self._retire, stop=self._stop, lost=self._lost
        )
        self._control = Control(place, handlers, stats=self._stats)
        self._waker = Waker()
        self._executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="disk")
        settings = read_settings(place)
        self._shippings: list[Shipping] = build_shippings(
            place, settings, self._waker, self._executor, self._tell, self._stream_found
        )
        # Begun when the first span is there: most instances have none, and what does not run costs nothing.
        self._traces = build_trace_shipping(
            place, settings, self._waker, self._executor, self._tell
        )

    async def run(self) -> int:
        """Ship until told to go; return the exit code."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stop, _TERM_GRACE_S)
        self._control.start()
        if not self._place.passive:
            self._begin()
        self._control.ready()
        freeze_collector()
        code = await self._end
        await self._tasks.close(_CLEANUP_S)
        await self._control.flush(_CLEANUP_S)
        self._control.close()
        self._waker.close()
        return code

    def _begin(self) -> None:
        if self._ending or self._shipping:
            return
        self._shipping = True
        for shipping in self._shippings:
            self._start(shipping)

    def _start(self, shipping: Shipping) -> None:
        self._tasks.start(f"ship to {shipping.sink.name}", self._ship(shipping), may_end=True)

    def _stream_found(self, stream: str) -> None:
        traces = self._traces
        if stream == SPANS and traces is not None and traces not in self._shippings:
            # Also while we end: what a short run has left is flushed with the rest.
            self._shippings.append(traces)
            self._start(traces)

    async def _ship(self, shipping: Shipping) -> None:
        await self._own_positions(shipping)
        await asyncio.get_running_loop().run_in_executor(self._executor, shipping.positions.load)
        if shipping.positions.damaged:
            self._tell(
                "failed",
                f"cannot read {shipping.positions.path}: everything in the spool is shipped again",
                {"sink": shipping.sink.name},
            )
        self._tasks.start(f"positions of {shipping.sink.name}", shipping.write_positions())
        await shipping.run()

    async def _own_positions(self, shipping: Shipping) -> None:
        """Wait until a predecessor has let go of the positions."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        told = False
        while True:
            try:
                if await loop.run_in_executor(self._executor, shipping.positions.lock):
                    return
            except OSError as error:
                # A full disk: rather ship twice than not at all.
                self._tell(
                    "failed",
                    f"cannot lock {shipping.positions.path}: {error}; shipping begins without",
                    {"sink": shipping.sink.name},
                )
                return
            if not told and loop.time() - started > _LOCK_TELL_S:
                told = True
                self._tell(
                    "shipping-stalled",
                    "another shipper of this instance holds the positions; shipping begins when it ends",
                    {"sink": shipping.sink.name},
                )
            await asyncio.sleep(_LOCK_EVERY_S)

    def _retire(self, drain_s: float, successor: socket.socket | None) -> None:
        if successor is not None:
            successor.close()  # a shipper has no connections to hand over
        if self._go():
            self._tasks.start("retire", self._hand_over(drain_s), may_end=True)

    async def _hand_over(self, drain_s: float) -> None:
        try:
            begun = [one for one in self._shippings if one.begun]
            await asyncio.gather(*(one.retire(drain_s) for one in begun))
            self._control.retired(0, 0)
        finally:
            self._finish(0)

    def _stop(self, grace_s: float) -> None:
        if self._go():
            self._tasks.start("stop", self._flush_and_end(grace_s), may_end=True)

    async def _flush_and_end(self, grace_s: float) -> None:
        try:
            if self._shipping:
                await self._flush(grace_s)
        finally:
            self._finish(0)

    async def _flush(self, grace_s: float) -> None:
        """Stop every shipping, within `grace_s` seconds; also one that begins meanwhile.

        And what has not begun yet: a shipper that has just been restarted has the most to flush.
        """
        now_s = asyncio.get_running_loop().time
        deadline_s = now_s() + grace_s
        stopped: list[Shipping] = []
        while left := [one for one in self._shippings if one not in stopped]:
            stopped += left
            left_s = max(0.1, deadline_s - now_s())
            await asyncio.gather(*(one.stop(left_s) for one in left))

    def _lost(self) -> None:
        # The keeper is gone: ship what is there, and end before anybody has to end us.
        self._stop(_TERM_GRACE_S)

    def _go(self) -> bool:
        """Begin to end, once."""
        if self._ending:
            return False
        self._ending = True
        return True

    def _finish(self, code: int) -> None:
        if not self._end.done():
            self._end.set_result(code)

    def _tell(self, kind: str, reason: str, data: dict[str, Json]) -> None:
        self._control.event(kind, reason, data=data)

    def _stats(self) -> Stats:
        return shipping_stats(self._shippings, self._tasks)

    def _task_ended(self, end: TaskEnd) -> None:
        sys.stderr.write(f"pillion-shipper: {end}\n")
        if end.error is not None:
            traceback.print_exception(end.error)
        self._control.event("failed", str(end))
        # Nothing is lost by starting anew, and a shipper that does not ship helps nobody.
        self._finish(1)


if __name__ == "__main__":
    sys.exit(main())
