"""Those who wait are woken for what concerns them, at once when they come with a foreign revision, and never twice for nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from pillion.discovery.feed import DELETE, PUT, Feed, services_after, steps_after
from pillion.discovery.instance import ServiceInstance
from pillion.discovery.registry import MOST_CHANGES, Registry
from pillion.discovery.selection import EVERYTHING, Selection

if TYPE_CHECKING:
    from collections.abc import Coroutine

FIRST = 100
BOUND_S = 40.0
ALL = Selection(statuses=EVERYTHING)


def one(key: str, service: str = "orders", **more: object) -> ServiceInstance:
    made = ServiceInstance(id=key, service=service, address="10.0.0.1")
    return msgspec.structs.replace(made, **more)


async def settle() -> None:
    """Let every task that can run do so."""
    for _ in range(10):
        await asyncio.sleep(0)


def run(scenario: Coroutine[object, object, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(BOUND_S):
            await scenario

    asyncio.run(bounded())


def test_a_change_wakes_its_readers_alone() -> None:
    async def scenario() -> None:
        registry = Registry(FIRST)
        feed = Feed(registry)
        orders = asyncio.create_task(feed.after(FIRST, "orders"))
        shop = asyncio.create_task(feed.after(FIRST, "shop"))
        every = asyncio.create_task(feed.after(FIRST))
        await settle()
        assert len(feed) == 3
        registry.register(one("a"), 0.0)
        await settle()
        assert orders.done()
        assert every.done()
        assert not shop.done()
        registry.register(one("b", "shop"), 0.0)
        # It stands before its own change, and behind those that did not concern it.
        assert await shop == FIRST + 1
        assert len(feed) == 0

    run(scenario())


def test_what_has_changed_already_is_not_waited_for() -> None:
    async def scenario() -> None:
        registry = Registry(FIRST)
        feed = Feed(registry)
        registry.register(one("a"), 0.0)
        assert await feed.after(FIRST, "orders") == FIRST

    run(scenario())


def test_a_foreign_revision_is_answered_at_once() -> None:
    async def scenario() -> None:
        feed = Feed(Registry(FIRST))
        for revision in (0, FIRST - 1, FIRST + 1, 1 << 60, -1):
            await feed.after(revision, "orders")

    run(scenario())


def test_waiting_is_bounded_and_leaves_nothing_behind() -> None:
    async def scenario() -> None:
        feed = Feed(Registry(FIRST))
        await feed.within(0.001, FIRST, "orders")
        assert len(feed) == 0
        waiting = asyncio.create_task(feed.after(FIRST, "orders"))
        await settle()
        waiting.cancel()
        await settle()
        assert len(feed) == 0

    run(scenario())


def test_a_quiet_service_outlives_the_changes_of_others() -> None:
    async def scenario() -> None:
        registry = Registry(FIRST)
        feed = Feed(registry)
        waiting = asyncio.create_task(feed.after(FIRST, "orders"))
        await settle()
        for n in range(MOST_CHANGES + 5):
            registry.register(one("x", "shop", weight=n), 0.0)
        registry.register(one("a"), 0.0)
        at = await waiting
        assert steps_after(registry, at, "orders", ALL) == [(PUT, registry.revision, one("a"))]

    run(scenario())


def test_steps_of_a_selection() -> None:
    registry = Registry(FIRST)
    usable = Selection()
    registry.register(one("a"), 0.0)
    registry.register(one("a", status="critical"), 0.0)
    registry.register(one("a", status="critical", weight=2), 0.0)
    registry.register(one("a", status="warning"), 0.0)
    registry.unregister("orders", "a", 0.0, certain=True)
    steps = steps_after(registry, FIRST, "orders", usable)
    assert steps is not None
    assert [(step.kind, step.revision - FIRST) for step in steps] == [
        (PUT, 1),
        (DELETE, 2),
        (PUT, 4),
        (DELETE, 5),
    ]
    assert steps_after(registry, FIRST, "shop", usable) == []
    assert steps_after(registry, FIRST - 1, "orders", usable) is None
    assert steps_after(registry, FIRST + 6, "orders", usable) is None


def test_services_in_the_order_of_their_last_change() -> None:
    registry = Registry(FIRST)
    registry.register(one("a"), 0.0)
    registry.register(one("b", "shop"), 0.0)
    registry.register(one("c"), 0.0)
    assert services_after(registry, FIRST) == [("shop", FIRST + 2), ("orders", FIRST + 3)]
    assert services_after(registry, FIRST + 2) == [("orders", FIRST + 3)]
    assert services_after(registry, 0) is None
