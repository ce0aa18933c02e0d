"""Which instances a reader gets, and in which order: those that can take work, the reader's own zone first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pillion.discovery.instance import STATUSES, USABLE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pillion.discovery.instance import ServiceInstance

ANY = "any"
_RANKS = {status: rank for rank, status in enumerate(STATUSES)}


class Selection(msgspec.Struct, frozen=True):
    """What is asked for: every one of `tags`, one of `statuses`, and `zone` alone unless it is None."""

    tags: frozenset[str] = frozenset()
    zone: str | None = None
    statuses: frozenset[str] = USABLE

    def matches(self, instance: ServiceInstance) -> bool:
        """Whether `instance` is one of those."""
        return (
            instance.status in self.statuses
            and self.tags.issubset(instance.tags)
            and (self.zone is None or instance.zone == self.zone)
        )

    def select(
        self, instances: Iterable[ServiceInstance], own_zone: str = ""
    ) -> list[ServiceInstance]:
        """Those that match: the zone `own_zone` first, then by status from passing on, then by id."""
        found = [one for one in instances if self.matches(one)]
        found.sort(
            key=lambda one: (
                bool(own_zone) and one.zone != own_zone,
                _RANKS[one.status],
                one.id,
            )
        )
        return found


EVERYTHING = frozenset(STATUSES)


def statuses_of(text: str | None) -> frozenset[str]:
    """The statuses that `passing`, `passing,warning` or `any` mean; those usable for None.

    Raises `ValueError` for what is no status.
    """
    if text is None:
        return USABLE
    if text == ANY:
        return EVERYTHING
    wanted = frozenset(text.split(","))
    if not wanted <= EVERYTHING:
        raise ValueError(f"write {', '.join(STATUSES)}, some of them with commas, or {ANY}")
    return wanted
