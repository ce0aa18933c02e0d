"""Discovery as the API sees it: the registry, what waits for it, what is registered in the store, and how far to trust that."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pillion.discovery.feed import Feed

if TYPE_CHECKING:
    from collections.abc import Callable

    from pillion.discovery.registrations import Registrations
    from pillion.discovery.registry import Registry
    from pillion.store.interface import Store


class Services:
    """One agent's view of all services; `zone` is where its own app is."""

    def __init__(
        self,
        registry: Registry,
        registrations: Registrations,
        store: Store,
        *,
        zone: str = "",
        time_s: Callable[[], float] = time.time,
    ) -> None:
        self.registry = registry
        self.registrations = registrations
        self.feed = Feed(registry)
        self.zone = zone
        self._store = store
        self.time_s = time_s

    @property
    def stale_s(self) -> int | None:
        """Whole seconds for which registrations may have changed unseen, since the store is away; None when it is there."""
        health = self._store.health
        if health.readable:
            return None
        as_of_s = self.registrations.as_of_s
        since_s = health.since_s if as_of_s is None else as_of_s
        return max(0, int(self.time_s() - since_s))
