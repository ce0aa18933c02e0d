"""What one proxy is managed with: handed in, so that a test brings its own clock, driver and sources."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import msgspec

from pillion.proxies.applying.steps import Rules

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pillion.proxies.driver import Driver
    from pillion.proxies.files.site import Site
    from pillion.proxies.templating.facts import Facts
    from pillion.proxies.templating.making import Renderer
    from pillion.proxies.templating.sources import Sources
    from pillion.settings.proxies import ManagedProxy


class World(msgspec.Struct, frozen=True):
    """What one proxy is managed with. `stop` has the keeper end a proxy that has never had a good version; `clock` is monotonic, in seconds."""

    settings: ManagedProxy
    site: Site
    driver: Driver
    sources: Sources
    render: Renderer
    facts: Callable[[], Facts]
    stop: Callable[[], Awaitable[None]]
    clock: Callable[[], float]


def rules_of(settings: ManagedProxy, spread: float | None = None) -> Rules:
    """What the settings say about waiting."""
    return Rules(
        wait_min_s=settings.wait.min_s,
        wait_max_s=settings.wait.max_s,
        retry_initial_s=settings.retry_initial_s,
        retry_max_s=settings.retry_max_s,
        levels=settings.kind == "haproxy" and settings.runtime_changes,
        corrects=settings.correct,
        spread=random.uniform(0.75, 1.25) if spread is None else spread,
    )
