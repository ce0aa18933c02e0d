"""What the process is asked, around its driver: to load a version and to prove it, and in what it differs from its file."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import msgspec

from pillion.proxies.driver import Verdict
from pillion.proxies.templating.rendered import explain

if TYPE_CHECKING:
    from pillion.proxies.applying.world import World
    from pillion.proxies.templating.rendered import Rendered

# A process that cannot be proved is looked for so often, since nobody tells that it has come.
_LOOK_S = 0.05


@runtime_checkable
class Drifting(Protocol):
    """A driver whose process can come to differ from its file."""

    async def drift(self, rendered: Rendered) -> str:
        """In what it does, in words; empty for nothing."""


@runtime_checkable
class Minding(Protocol):
    """A driver that has something to do while nothing is applied."""

    async def mind(self) -> None:
        """Do it until cancelled, or return when there is nothing."""


async def load(world: World, rendered: Rendered | None, version: str) -> Verdict:
    """Load what is in place, which is `rendered`, and prove that it serves."""
    loaded = await world.driver.load()
    return await prove(world, rendered, version) if loaded.ok else said(loaded, rendered)


async def prove(world: World, rendered: Rendered | None, version: str) -> Verdict:
    """Whether the process serves `version`, or where nothing says which one it serves, whether it runs."""
    settings = world.settings
    if not settings.prove or rendered is None or "proof" in rendered.functions:
        # Where no version is asked for, the driver sees by other means whether the load has failed.
        return said(await world.driver.prove(version, settings.prove_timeout_s), rendered)
    deadline_s = world.clock() + settings.prove_timeout_s
    while not (await world.driver.status()).running:
        if world.clock() >= deadline_s:
            return Verdict(False, f"{settings.name} does not run", passing=True)
        await asyncio.sleep(_LOOK_S)
    return Verdict(True)


async def drift(world: World, live: Rendered | None) -> str:
    """In what the process differs from `live`, in words; empty when in nothing, or when it cannot be said."""
    driver = world.driver
    if live is None or not isinstance(driver, Drifting):
        return ""
    return await driver.drift(live)


def said(verdict: Verdict, rendered: Rendered | None) -> Verdict:
    """The verdict with the lines of the templates in its reason, and no secret in it."""
    if verdict.ok or rendered is None:
        return verdict
    words = [explain(rendered, one.file, one.line, one.message) for one in verdict.places]
    reason = "; ".join(words) or rendered.masked(verdict.reason)
    return msgspec.structs.replace(verdict, reason=reason)
