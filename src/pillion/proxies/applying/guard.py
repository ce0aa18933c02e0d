"""A source that turns empty or loses most of what it holds at once is not believed at once, since what is broken then is usually the source.

Each source is looked at by itself and has a time of its own: one that has been doubted for long vouches for no other.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

import msgspec

if TYPE_CHECKING:
    from pillion.proxies.templating.rendered import Holdings
    from pillion.settings.proxies import Guard

Held: TypeAlias = Mapping[str, float]
"""Since when each source is doubted, by its name."""
NOBODY: Held = MappingProxyType({})

_MOST_NAMED = 3


class Accept(msgspec.Struct, frozen=True):
    """What the sources say is to be served."""


class Refuse(msgspec.Struct, frozen=True):
    """What is served stays. `held` is for the next decision; `until_s` when to decide again, None: only a change of the sources, or somebody's
    word, brings it on."""

    reason: str
    held: Held
    until_s: float | None


ACCEPT = Accept()


def decide(
    settings: Guard, before: Holdings, after: Holdings, now_s: float, held: Held = NOBODY
) -> Accept | Refuse:
    """Whether what the sources hold `after` may take the place of what is served, which was made of `before`.

    `now_s` is monotonic; `held` comes from the last refusal, and is empty after an acceptance. A source that is new, or no longer
    asked for, is believed.
    """
    doubted: dict[str, float] = {}
    words: list[str] = []
    due_s: float | None = now_s
    for source in sorted(before.keys() & after.keys()):
        doubt = _doubt(settings, source, before[source], after[source])
        if not doubt:
            continue
        since_s = min(held.get(source, now_s), now_s)
        doubted[source] = since_s
        if not settings.hold_s:
            due_s = None
        elif due_s is not None:
            due_s = max(due_s, since_s + settings.hold_s)
        words.append(doubt)
    # Those whose time has come stay in `held` while others have to wait: all of them are believed together, since they are one version.
    if not doubted or (due_s is not None and due_s <= now_s):
        return ACCEPT
    reason = "; ".join(words[:_MOST_NAMED])
    if len(words) > _MOST_NAMED:
        reason += f"; and {len(words) - _MOST_NAMED} more"
    return Refuse(reason, doubted, due_s)


def _doubt(settings: Guard, source: str, before: frozenset[str], after: frozenset[str]) -> str:
    """Why it is not believed; empty when it is."""
    if not before:
        return ""
    if not after:
        return f"{source} has turned empty; it held {len(before)}" if settings.empty else ""
    gone = len(before - after)
    most = settings.share * len(before)
    if settings.share and gone > most and len(after) < gone:
        return f"{source} lost {gone} of {len(before)} at once"
    return ""
