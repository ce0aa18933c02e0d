"""What people do to breakers by hand. It belongs to the policy: it holds in every worker, also in one that starts later, until it is taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pillion.ambassador.snapshot import Forced

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pillion.ambassador.snapshot import UpstreamEndpoints

OPEN = "open"
CLOSE = "close"
AUTO = "auto"
ACTIONS = (OPEN, CLOSE, AUTO)
"""Open and closed stay so until `auto` gives the breaker back to its own judgement."""
MOST_FORCED = 1000


def force(
    forced: tuple[Forced, ...], upstream: str, endpoint: str, action: str
) -> tuple[Forced, ...]:
    """`forced` after `action` (one of `ACTIONS`) on one endpoint, or on the whole upstream when `endpoint` is empty.

    What is said of the upstream replaces what was said of its endpoints. Raises `ValueError` beyond `MOST_FORCED`.
    """
    if endpoint:
        left = [one for one in forced if (one.upstream, one.endpoint) != (upstream, endpoint)]
        # Beside what holds for all of them, `auto` is an exception and has to be kept.
        of_all = any(one.upstream == upstream and not one.endpoint for one in left)
    else:
        left = [one for one in forced if one.upstream != upstream]
        of_all = False
    if action != AUTO or of_all:
        left.append(Forced(upstream, endpoint, action))
    if len(left) > MOST_FORCED:
        raise ValueError(f"cannot hold more than {MOST_FORCED} breakers by hand; give some back")
    return tuple(left)


def still_there(forced: tuple[Forced, ...], upstreams: frozenset[str]) -> tuple[Forced, ...]:
    """`forced` without what concerns upstreams that there are no more; an endpoint that is away may come back."""
    return tuple(one for one in forced if one.upstream in upstreams)


def in_force(
    forced: tuple[Forced, ...], upstreams: Iterable[UpstreamEndpoints]
) -> dict[tuple[str, str], str]:
    """What is wanted of each endpoint of these, by upstream and key; nothing for those left to themselves."""
    said = {(one.upstream, one.endpoint): one.action for one in forced}
    if not said:
        return {}
    wanted = {}
    for upstream in upstreams:
        of_all = said.get((upstream.name, ""), AUTO)
        for endpoint in upstream.endpoints:
            action = said.get((upstream.name, endpoint.key), of_all)
            if action != AUTO:
                wanted[upstream.name, endpoint.key] = action
    return wanted
