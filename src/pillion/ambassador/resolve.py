"""From what registry, URLs and DNS say to the endpoints of an upstream: one merge for all three, so that workers see no difference.

Whoever looks things up hands in what is known now; what is not known yet is told apart from what is known to be empty, for an agent that
has just started must not take away the endpoints that workers have.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, NamedTuple, Protocol

from pillion.ambassador.snapshot import APP, EndpointSpec, UpstreamEndpoints
from pillion.settings.addresses import split_address
from pillion.settings.upstream_urls import split_upstream_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pillion.settings.upstreams import Upstream

MOST_ENDPOINTS = 1000
"""Of one upstream; those beyond it are left out, and the reason says so."""

_NOT_YET = "not looked up yet"
_USABLE = ("passing", "warning")


class Instance(Protocol):
    """What is read of an instance of the registry (`pillion.discovery.instance.ServiceInstance`)."""

    @property
    def id(self) -> str:
        """Its name within the service."""

    @property
    def address(self) -> str:
        """An IP address or a host name."""

    @property
    def port(self) -> int:
        """0 for one that listens nowhere."""

    @property
    def status(self) -> str:
        """passing, warning or critical."""

    @property
    def weight(self) -> int:
        """Its share of the traffic, beside the others'."""

    @property
    def zone(self) -> str:
        """Where it is; empty when nobody said."""


class Answer(NamedTuple):
    """The addresses of a name; None while it was never found, then `error` says why, if it was looked for."""

    addresses: tuple[str, ...] | None
    error: str = ""


class Target(NamedTuple):
    """Where a URL or a DNS setting points: `host` is a name or an IP address, `path` that of a Unix socket."""

    host: str
    port: int
    tls: bool = False
    path: str = ""

    @property
    def is_address(self) -> bool:
        """Whether nothing has to be looked up."""
        return bool(self.path) or is_ip(self.host)


class Sources(NamedTuple):
    """What is known now. `instances` gives None for a service while the registry has not been read; `names` answers from memory."""

    instances: Callable[[str], Iterable[Instance] | None]
    names: Callable[[str], Answer]


def is_ip(text: str) -> bool:
    """Whether `text` is an IP address, without brackets."""
    try:
        socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)
    except (OSError, ValueError):
        return False
    return True


def target_of(url: str, *, tls: bool = False) -> Target:
    """What a URL of the settings, which have checked it, points at; `tls`: whether that is wanted where the URL says nothing."""
    parts = split_upstream_url(url)
    if parts.path:
        return Target("localhost", 0, tls, parts.path)
    return Target(parts.host, parts.port, tls or parts.scheme == "https")


def names_of(upstreams: Mapping[str, Upstream]) -> dict[str, float]:
    """The names that have to be looked up, each with the shortest interval in seconds that an upstream wants."""
    wanted: dict[str, float] = {}
    for upstream in upstreams.values():
        for target in _targets(upstream):
            if not target.is_address:
                before = wanted.get(target.host, upstream.dns_interval_s)
                wanted[target.host] = min(before, upstream.dns_interval_s)
    return wanted


def host_names(instances: Iterable[Instance]) -> set[str]:
    """The names among the addresses of registered instances."""
    return {one.address for one in instances if not is_ip(one.address)}


def endpoints_of(
    name: str, upstream: Upstream, sources: Sources, before: UpstreamEndpoints | None
) -> UpstreamEndpoints:
    """The endpoints of `upstream` as things are known; where nothing is known yet, what was said `before`."""
    if upstream.service is not None:
        tls = upstream.tls is not None
        found, reason = _of_service(upstream.service, sources, tls=tls)
    else:
        found, reason = _of_targets(_targets(upstream), sources)
    if found is None:
        if before is not None and not reason:
            return before  # nobody has said anything else yet
        kept = () if before is None else before.endpoints
        return UpstreamEndpoints(name, kept, known=False, reason=reason or _NOT_YET)
    unique = list({one.key: one for one in found}.values())
    if len(unique) > MOST_ENDPOINTS:
        reason = f"{len(unique)} endpoints: only the first {MOST_ENDPOINTS} are used"
        del unique[MOST_ENDPOINTS:]
    if not unique and not reason:
        reason = f"nobody offers the service {upstream.service}"
    return UpstreamEndpoints(name, tuple(unique), known=True, reason=reason)


def app_endpoints(port: int | None) -> UpstreamEndpoints:
    """The upstream of `inbound`: the app itself."""
    if port is None:
        return UpstreamEndpoints(APP, (), known=True, reason="app.port is not set")
    return UpstreamEndpoints(APP, (EndpointSpec(APP, "127.0.0.1", port),))


def _targets(upstream: Upstream) -> list[Target]:
    tls = upstream.tls is not None
    targets = [target_of(url, tls=tls) for url in upstream.urls]
    if upstream.dns is not None:
        host, port = split_address(upstream.dns)
        targets.append(Target(host, port, tls))
    return targets


def _of_service(
    service: str, sources: Sources, *, tls: bool
) -> tuple[list[EndpointSpec] | None, str]:
    instances = sources.instances(service)
    if instances is None:
        return None, ""
    found, reason = [], ""
    for one in sorted(instances, key=lambda one: one.id):
        # Without a port it listens nowhere; with weight 0 it is drained.
        if not one.port or not one.weight:
            continue
        addresses: tuple[str, ...] = (one.address,)
        if not is_ip(one.address):
            answer = sources.names(one.address)
            reason = answer.error or reason
            addresses = answer.addresses or ()
        found += [
            EndpointSpec(
                one.id,
                address,
                one.port,
                weight=one.weight,
                zone=one.zone,
                healthy=one.status in _USABLE,
                tls=tls,
            )
            for address in addresses
        ]
    return found, reason


def _of_targets(targets: list[Target], sources: Sources) -> tuple[list[EndpointSpec] | None, str]:
    """A name that was never found leaves the others usable; when nothing at all is known, that is said."""
    found: list[EndpointSpec] = []
    reason, unknown = "", 0
    for target in targets:
        if target.path:
            path = f"unix:{target.path}"
            found.append(EndpointSpec(path, path, tls=target.tls, host=target.host))
            continue
        if is_ip(target.host):
            addresses: tuple[str, ...] = (target.host,)
        else:
            answer = sources.names(target.host)
            reason = answer.error or reason
            if answer.addresses is None:
                unknown += 1
                continue
            addresses = answer.addresses
        where = f"[{target.host}]" if ":" in target.host else target.host
        found += [
            EndpointSpec(
                f"{where}:{target.port}", address, target.port, tls=target.tls, host=target.host
            )
            for address in addresses
        ]
    if unknown and not found:
        return None, reason
    return found, reason
