"""Health is told when it changes; attempts come ever more seldom, and end with the trouble."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from pillion.store.recovery import Recovery, backoff_s

if TYPE_CHECKING:
    from pillion.store.interface import Health


def waits(recovery: Recovery) -> bool:
    return recovery._timer is not None


@pytest.mark.parametrize(
    ("attempt", "least", "most"),
    [(0, 0.05, 0.1), (1, 0.1, 0.2), (3, 0.4, 0.8), (6, 2.5, 5.0), (10_000, 2.5, 5.0)],
)
def test_the_wait_doubles_up_to_its_bound(attempt: int, least: float, most: float) -> None:
    assert backoff_s(attempt, lambda: 0.0) == pytest.approx(least)
    assert backoff_s(attempt, lambda: 1.0) == pytest.approx(most)


def test_changes_are_told_and_nothing_else() -> None:
    async def main() -> None:
        told: list[Health] = []
        recovery = Recovery(lambda: None)
        recovery.on_health(told.append)
        assert not recovery.health.readable
        recovery.set(readable=True, writable=True, reason="")
        recovery.set(readable=True, writable=True, reason="")
        recovery.set(readable=True, writable=False, reason="full")
        recovery.set(readable=True, writable=False, reason="full")
        recovery.set(readable=True, writable=True, reason="")
        assert [(one.readable, one.writable, one.reason) for one in told] == [
            (True, True, ""),
            (True, False, "full"),
            (True, True, ""),
        ]
        recovery.close()

    asyncio.run(main())


def test_it_is_tried_again_until_it_is_well() -> None:
    async def main() -> None:
        tried = asyncio.Event()
        attempts = 0

        def again() -> None:
            nonlocal attempts
            attempts += 1
            recovery.set(readable=attempts >= 2, writable=attempts >= 2, reason="")
            if attempts == 2:
                tried.set()

        recovery = Recovery(again)
        recovery.set(readable=False, writable=False, reason="gone")
        async with asyncio.timeout(5):
            await tried.wait()
        assert not waits(recovery)
        recovery.set(readable=False, writable=False, reason="gone")
        assert waits(recovery)
        recovery.close()
        recovery.set(readable=False, writable=False, reason="gone for good")
        assert not waits(recovery)

    asyncio.run(main())


def test_a_hint_shortens_a_long_wait() -> None:
    async def main() -> None:
        recovery = Recovery(lambda: None)
        recovery.soon()
        for _ in range(10):
            recovery._timer = None
            recovery.set(readable=False, writable=False, reason="gone")
        timer = recovery._timer
        assert timer is not None
        now = asyncio.get_running_loop().time()
        assert timer.when() - now > 1
        recovery.soon()
        assert recovery._timer is not None
        assert recovery._timer.when() - now <= 0.2
        recovery.close()

    asyncio.run(main())
