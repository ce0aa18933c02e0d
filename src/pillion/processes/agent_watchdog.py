"""Measures the app where its settings ask for more than heartbeats, and tells the keeper when it is to be taken for hung.

Nothing is measured, and nothing wakes, unless one of `memory`, `descriptors` and `progress` is set.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import msgspec

from pillion.errors import PillionError
from pillion.lifecycle.readiness import APP
from pillion.lifecycle.watchdog import Judge, Sample, Wishes
from pillion.lifecycle.watchdog_measure import (
    all_held,
    cpu_seconds,
    descriptor_share,
    output_bytes,
    resident_bytes,
)
from pillion.processes.agent_part import Part

if TYPE_CHECKING:
    from pillion.model.component import Status
    from pillion.model.stats import Stats
    from pillion.processes.agent_part import Outfit
    from pillion.settings import Settings


class AppProcesses(msgspec.Struct, frozen=True):
    """The keeper's answer to `app-processes`: bytes, seconds, None where nobody counts."""

    pid: int | None = None
    pids: list[int] = []
    memory: int | None = None
    memory_limit: int | None = None
    cpu_s: float | None = None


def wishes_of(settings: Settings) -> Wishes:
    """What the settings ask to be measured."""
    watchdog = settings.app.watchdog
    if watchdog is None:
        return Wishes()
    return Wishes(watchdog.memory, watchdog.descriptors, watchdog.sustained_s, watchdog.progress_s)


def measure(found: AppProcesses, wishes: Wishes, run_dir: str) -> Sample | None:
    """One sample of the app; None when it is gone. Reads /proc and the spool's directory: for a thread."""
    if found.pid is None or not found.pids:
        return None
    memory = None
    if wishes.memory is not None and found.memory_limit:
        used = found.memory if found.memory is not None else resident_bytes(found.pids)
        memory = None if used is None else used / found.memory_limit
    descriptors = None if wishes.descriptors is None else descriptor_share(found.pids)
    if wishes.progress_s is None:
        return Sample(found.pid, memory, descriptors)
    cpu_s = found.cpu_s if found.cpu_s is not None else cpu_seconds(found.pids)
    return Sample(
        found.pid, memory, descriptors, cpu_s, output_bytes(run_dir), all_held(found.pids)
    )


class WatchdogPart(Part):
    """One task while there is anything to measure and an app to measure it by."""

    def __init__(self, outfit: Outfit) -> None:
        self._outfit = outfit
        self._judge = Judge(wishes_of(outfit.settings))
        self._run_dir = f"{outfit.place.state_dir}/spool/{outfit.place.run}"
        self._enabled = False
        self._app_runs = False
        self._measuring: asyncio.Task[None] | None = None
        self._hangs = 0
        self._failures = 0

    def enable(self) -> None:
        """Begin to measure."""
        self._enabled = True
        self._follow()

    def disable(self) -> None:
        """Another agent measures, or there is nothing to measure any more."""
        self._enabled = False
        self._follow()

    def state(self, status: Status) -> None:
        """An app that is on its way up or down is not measured: only one that runs and is ready."""
        app = status.component(APP)
        self._app_runs = app is not None and app.state == "running" and app.ready
        self._follow()

    def settings(self, settings: Settings) -> None:
        """Judge anew by what is wished now."""
        wishes = wishes_of(settings)
        if wishes != self._judge.wishes:
            self._judge = Judge(wishes)
            if self._measuring is not None:
                self._measuring.cancel()
                self._measuring = None
            self._follow()

    def stats(self) -> Stats:
        """How often the app was taken for hung here, and how often it could not be measured."""
        if not self._judge.wishes.any:
            return {}
        return {
            "watchdog_hangs_total": self._hangs,
            "watchdog_failures_total": self._failures,
        }

    def _follow(self) -> None:
        wanted = self._enabled and self._app_runs and self._judge.wishes.any
        if wanted and self._measuring is None:
            self._judge.reset()
            self._measuring = self._outfit.tasks.start(
                "watch the app", self._measure_on(), may_end=True
            )
        elif not wanted and self._measuring is not None:
            self._measuring.cancel()
            self._measuring = None

    async def _measure_on(self) -> None:
        while True:
            try:
                await self._measure_once()
            except PillionError as error:
                self._failures += 1
                sys.stderr.write(f"pillion-agent: {error}\n")
            await asyncio.sleep(self._judge.wishes.interval_s)

    async def _measure_once(self) -> None:
        judge = self._judge
        found = await self._outfit.control.call("app-processes", {}, AppProcesses)
        sample = await asyncio.to_thread(measure, found, judge.wishes, self._run_dir)
        if sample is None:
            judge.reset()
            return
        reason = judge.step(sample, asyncio.get_running_loop().time())
        if reason is not None:
            self._hangs += 1
            await self._outfit.control.call("hang", {"reason": reason}, msgspec.Raw)
