"""From sources to a rendered version: what the templates ask for is fetched and rendered again until nothing is missing, and what went into it is
what is watched from then on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from pillion.proxies.templating.references import Reference
from pillion.proxies.templating.rendered import Missing, Rendered, RenderError, masked
from pillion.proxies.templating.sources import MOST_REFERENCES, SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pillion.proxies.templating.facts import Facts
    from pillion.proxies.templating.sources import Sources

    Renderer: TypeAlias = Callable[[Mapping[Reference, object], Facts], Rendered | Missing]

# A name that was made of a value is found in the round after; templates that go deeper are a mistake.
_ROUNDS = 50


class Made(msgspec.Struct, frozen=True):
    """What came of it: `rendered`, or the `words` why there is none. `used` is what a change of may make a difference.

    `secrets` are the values by name. `passing` when it may go better another time without any change. `stale_s` is the age of what may be wrong.
    """

    used: frozenset[Reference]
    rendered: Rendered | None = None
    words: str = ""
    passing: bool = False
    secrets: dict[str, str] = {}
    stale_s: int | None = None


async def make(
    render: Renderer, sources: Sources, facts: Facts, used: frozenset[Reference]
) -> Made:
    """Render with the values of now; `used` is what was used the last time, fetched in advance."""
    # Files are left to the templates: the templates themselves are among what was used.
    wanted = frozenset(one for one in used if one.kind != "file")
    values: dict[Reference, object] = {}
    found: Rendered | Missing | None = None
    watched = used
    try:
        for _ in range(_ROUNDS):
            if len(values) + len(wanted) > MOST_REFERENCES:
                return Made(
                    watched,
                    words=f"cannot render {facts.name}: its templates use more than {MOST_REFERENCES} "
                    'values; ask for all of them at once with tree("…")',
                )
            values |= await sources.fetch(sorted(wanted - values.keys()))
            found = await asyncio.to_thread(render, values, facts)
            watched = _watched(found.used, found.templates)
            if isinstance(found, Rendered):
                return Made(
                    watched,
                    found,
                    secrets=_secrets(values, found.used),
                    stale_s=sources.stale_s(found.used),
                )
            watched |= found.references
            wanted = found.references
    except SourceError as error:
        return Made(watched | wanted, words=f"{error}", passing=True)
    except RenderError as error:
        watched = _watched(error.used, error.templates) or watched
        return Made(watched, words=_masked(f"{error}", values), passing=error.passing)
    return Made(watched, words=f"cannot render {facts.name}: its templates never have enough")


def _watched(used: frozenset[Reference], templates: frozenset[str]) -> frozenset[Reference]:
    """References to all that was used; a template is watched like any file."""
    return used | {Reference("file", path) for path in templates}


def _secrets(values: Mapping[Reference, object], used: frozenset[Reference]) -> dict[str, str]:
    return {
        one.name: value
        for one, value in values.items()
        if one.kind == "secret" and one in used and isinstance(value, str)
    }


def _masked(text: str, values: Mapping[Reference, object]) -> str:
    secrets = {value for one, value in values.items() if one.kind == "secret"}
    return masked(text, {one for one in secrets if isinstance(one, str)})
