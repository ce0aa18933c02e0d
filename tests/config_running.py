"""Configuration over a store in memory, started and ended as the agent does it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from pillion.base.tasks import RootTasks
from pillion.config.configuration import Configuration
from pillion.config.keys import Scopes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from memory_store import MemoryStore
    from pillion.model.event import Json

SCOPES = Scopes("", "shop", "shop-1")
PRICE = SCOPES.store_key("service", "price")


class Journal:
    def __init__(self) -> None:
        self.entries: list[tuple[str, dict[str, Json]]] = []

    def __call__(self, kind: str, reason: str, data: dict[str, Json]) -> None:
        self.entries.append((kind, data))


@asynccontextmanager
async def running(
    store: MemoryStore, state: Path, journal: Journal | None = None
) -> AsyncIterator[Configuration]:
    ends: list[object] = []
    tasks = RootTasks(ends.append)
    config = Configuration(
        store, SCOPES, tasks, journal or Journal(), state_dir=str(state), source="memory"
    )
    config.start()
    try:
        yield config
    finally:
        config.retire()
        await tasks.close(5.0)
    assert ends == []


async def until(look: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not look():  # noqa: ASYNC110 - any condition, in any part
            await asyncio.sleep(0.001)
