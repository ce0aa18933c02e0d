"""An event loop whose time passes when it is told to, for tests of what happens after a while."""

from __future__ import annotations

import asyncio
import selectors


class _Selector(selectors.DefaultSelector):
    """Never waits: the time that would be waited passes at once."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout > 0:
            self.loop.now_s += timeout
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """`now_s` is its time; `pass_time` lets it run that long."""

    def __init__(self) -> None:
        selector = _Selector()
        self.now_s = 1000.0
        super().__init__(selector)
        selector.loop = self

    def time(self) -> float:
        return self.now_s

    def pass_time(self, seconds: float) -> None:
        """Run for `seconds` of virtual time."""
        self.run_until_complete(asyncio.sleep(seconds))

    def timers(self) -> int:
        """How many timers are set."""
        return sum(not handle.cancelled() for handle in self._scheduled)  # type: ignore[attr-defined]
