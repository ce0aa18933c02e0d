"""What the API says of services: made from the registry at one moment, with the revision of that moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pillion.discovery.instance import ServiceInstance  # noqa: TC001 - msgspec reads it

if TYPE_CHECKING:
    from pillion.discovery.registry import Registry
    from pillion.discovery.selection import Selection

_encoder = msgspec.json.Encoder()


class ServiceAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `GET /v1/services/{name}`; `stale` when some instances are kept although their leases have ended."""

    name: str
    revision: int
    instances: list[ServiceInstance]
    stale: bool = False


class ServiceSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One service: how many instances it has, and how many of each status."""

    name: str
    instances: int
    passing: int
    warning: int
    critical: int
    stale: bool = False


class ServiceList(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `GET /v1/services`, by name."""

    revision: int
    items: list[ServiceSummary]


def service_answer(
    registry: Registry, name: str, selection: Selection, own_zone: str
) -> ServiceAnswer:
    """The instances of one service that are asked for."""
    return ServiceAnswer(
        name=name,
        revision=registry.revision,
        instances=selection.select(registry.instances(name), own_zone),
        stale=registry.is_stale(name),
    )


def service_summary(registry: Registry, name: str) -> ServiceSummary:
    """The counts of one service; none for one that nobody knows."""
    counts = dict.fromkeys(("passing", "warning", "critical"), 0)
    for instance in registry.instances(name):
        counts[instance.status] += 1
    return ServiceSummary(
        name=name,
        instances=sum(counts.values()),
        passing=counts["passing"],
        warning=counts["warning"],
        critical=counts["critical"],
        stale=registry.is_stale(name),
    )


def service_list(registry: Registry) -> ServiceList:
    """Every service that has an instance."""
    names = sorted(registry.names)
    return ServiceList(
        revision=registry.revision, items=[service_summary(registry, name) for name in names]
    )


def instance_json(instance: ServiceInstance) -> bytes:
    """An instance as every answer shows it."""
    return _encoder.encode(instance)
