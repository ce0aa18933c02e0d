"""Restarts the app for a failed liveness check, through the keeper, one at a time and within the bounds of `restarts`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from pillion.errors import PillionError
from pillion.health.restarts import decide
from pillion.settings.supervision import Restart

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pillion.base.tasks import RootTasks
    from pillion.health.board import Change
    from pillion.health.outlet import Outlet


class _Pending(msgspec.Struct):
    check: str
    timer: asyncio.TimerHandle


class Restarter:
    """`restart` asks the keeper and returns when the app runs again. `count` is told to whoever keeps it."""

    def __init__(
        self,
        outlet: Outlet,
        restart: Callable[[], Awaitable[None]],
        tasks: RootTasks,
        random: Callable[[], float],
    ) -> None:
        self.policy = Restart()
        self.count = 0
        self.total = 0
        self._outlet = outlet
        self._restart = restart
        self._tasks = tasks
        self._random = random
        self._pending: _Pending | None = None
        self._busy = False

    def failed(self, change: Change) -> None:
        """A liveness check that may restart the app has become critical."""
        if self._pending is not None or self._busy:
            return
        name = change.check.name
        decision = decide(self.policy, self.count, change.healthy_s, self._random())
        self.count = decision.count
        text = f"liveness check {name} is critical: {decision.reason}"
        kind = "failed" if decision.delay_s is None else "restarting"
        self._outlet.event(kind, text, {"check": name, "restarts": self.count})
        if decision.delay_s is not None:
            loop = asyncio.get_running_loop()
            timer = loop.call_later(decision.delay_s, self._go, name)
            self._pending = _Pending(name, timer)

    def passed(self, name: str) -> None:
        """A check passes again: what waits for its sake is called off."""
        if self._pending is not None and self._pending.check == name:
            self.forget()

    def forget(self) -> None:
        """Another process of the app, or another agent: nothing is pending any more."""
        if self._pending is not None:
            self._pending.timer.cancel()
            self._pending = None

    def _go(self, name: str) -> None:
        self._pending = None
        try:
            self._tasks.start("restart the app", self._carry_out(name), may_end=True)
        except PillionError as error:
            self._outlet.event("failed", f"{error}", {"check": name})

    async def _carry_out(self, name: str) -> None:
        self._busy = True
        try:
            await self._restart()
            self.total += 1
        except PillionError as error:
            text = f"cannot restart the app for the check {name}: {error}"
            self._outlet.event("failed", text, {"check": name})
        finally:
            self._busy = False
