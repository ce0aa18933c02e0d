"""The frame of a sidecar process: its name, a trace when it hangs, its loop, and a bounded end."""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import signal
import sys
from typing import TYPE_CHECKING

import uvloop

from pillion.base.process_name import set_process_name
from pillion.errors import PillionError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def run_process(role: str, main: Callable[[], Awaitable[int]]) -> int:
    """Run `main` on uvloop as the process `pillion-<role>` and return its exit code.

    SIGABRT, which the keeper sends to a hung process, writes every thread's trace to stderr before it
    kills. SIGINT is ignored: a terminal sends it to the app's group, and the keeper decides what
    becomes of the sidecar. A `PillionError` ends in one line on stderr and exit code 1.
    """
    set_process_name(f"pillion-{role}")
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # While a process starts, next to nothing of what it makes is garbage; `freeze_collector` sees to that.
    gc.disable()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_awaited(main))
    except PillionError as error:
        sys.stderr.write(f"pillion-{role}: {error}\n")
        return 1


def freeze_collector() -> None:
    """Call once after start: what lives now lives to the end, and is never walked by the collector again, which begins its work."""
    gc.collect()
    gc.freeze()
    gc.enable()


async def _awaited(main: Callable[[], Awaitable[int]]) -> int:
    return await main()
