# cython: annotation_typing=False, auto_pickle=False
"""Upstreams and routes at work: the settings of one snapshot joined with what lives longer than it.

A snapshot makes new `LiveUpstream`s and `LiveRoute`s; endpoints with their breakers and connections, budgets and places go on. A request
keeps the ones that it began with, and so ends under the policy under which it began.
"""

from typing import TYPE_CHECKING

from .answers import OwnAnswer
from .budget import Budget
from .concurrency import Gate
from .conditions import Conditions
from .endpoints import EndpointGroup
from .pool import Pool
from .proxy_protocol import Addresses, encode_v1, encode_v2
from .rate import Bucket, Buckets
from .retry import RetryPolicy
from .snapshot import APP

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pillion.settings.policies import Fault, Limit, Retry, Timeouts
    from pillion.settings.upstreams import Upstream as UpstreamSettings

    from .endpoint import Endpoint
    from .peer import Peer
    from .router import CompiledRoute
    from .tls import TlsClient


_LEAST_FAULT = 429


class Times:
    """The settings' `timeout` where it is read for every request; seconds, 0.0: no bound."""

    __slots__ = ("connect_s", "idle_s", "total_s", "try_s")

    def __init__(self, settings: "Timeouts") -> None:
        self.connect_s = settings.connect_s
        self.try_s = settings.try_s
        self.idle_s = settings.idle_s
        self.total_s = settings.total_s


class LimitState:
    """Buckets of one `limit` or of a route's rates, kept from snapshot to snapshot while their numbers stay the same."""

    __slots__ = ("_numbers", "bucket", "clients")

    def __init__(self) -> None:
        self._numbers: tuple[object, ...] = ()
        self.bucket: Bucket | None = None
        self.clients: Buckets | None = None

    def configure(
        self, rate: float | None, burst: int, client_rate: float | None, now: float
    ) -> None:
        """Take these rates (a second) from now on."""
        numbers = (rate, burst, client_rate)
        if numbers == self._numbers:
            return
        self._numbers = numbers
        self.bucket = None if rate is None else Bucket(rate, burst or max(1.0, rate), now)
        self.clients = (
            None if client_rate is None else Buckets(client_rate, burst or max(1.0, client_rate))
        )

    def wait_s(self, client: str | bytes, now: float) -> float:
        """0.0 when the request may pass, and is counted; else the seconds until one may."""
        if self.clients is not None:
            wait_s = self.clients.take(client, now)
            if wait_s:
                return wait_s
        return 0.0 if self.bucket is None else self.bucket.take(now)


class Lasting:
    """Of one upstream, by name: what goes on from snapshot to snapshot."""

    __slots__ = ("budget", "gate", "group", "limit", "rejected", "requests", "retries", "waiting")

    def __init__(self, group: EndpointGroup, retry: "Retry") -> None:
        self.group = group
        self.budget = Budget(retry.budget, retry.budget_minimum)
        self.gate: Gate | None = None
        self.limit = LimitState()
        self.requests = 0
        self.retries = 0
        self.rejected = 0
        self.waiting = 0
        """For a connection, in the lines of all endpoints."""

    def configure(self, limit: "Limit", retry: "Retry", now: float) -> None:
        """Take other numbers; who waits goes on waiting."""
        self.budget.configure(retry.budget, retry.budget_minimum)
        if self.gate is not None:
            self.gate.configure(limit.concurrency, limit.queue)
        elif limit.concurrency:
            self.gate = Gate(limit.concurrency, limit.queue)
        self.limit.configure(limit.rate, limit.burst, limit.client_rate, now)


class LiveUpstream:
    """One upstream under one snapshot."""

    __slots__ = (
        "_service",
        "budget",
        "fault",
        "faults",
        "gate",
        "group",
        "hash_kind",
        "hash_name",
        "host",
        "idle_connections",
        "idle_s",
        "is_tcp",
        "lasting",
        "limit",
        "most_connections",
        "name",
        "proxy_protocol",
        "queue",
        "queue_timeout_s",
        "requests_each",
        "retry",
        "server_name",
        "settings",
        "tells_hops",
        "timeouts",
        "tls",
        "why_empty",
    )

    def __init__(
        self,
        name: str,
        settings: "UpstreamSettings",
        lasting: Lasting,
        tls: "TlsClient | None",
        why_empty: str,
    ) -> None:
        self.name = name
        self._service = name.encode() if settings.service is not None else b""
        self.settings = settings
        self.lasting = lasting
        self.group = lasting.group
        self.budget = lasting.budget
        self.gate = lasting.gate if settings.limit.concurrency else None
        self.limit = lasting.limit
        self.timeouts = Times(settings.timeout)
        self.retry = RetryPolicy(settings.retry)
        self.faults = Conditions(settings.breaker.on)
        self.fault: Fault | None = settings.fault
        self.queue = settings.limit.queue
        self.queue_timeout_s = settings.limit.queue_timeout_s
        self.most_connections = settings.pool.connections
        self.idle_s = settings.pool.idle_s
        self.idle_connections = settings.pool.idle_connections
        self.requests_each = settings.pool.requests
        self.is_tcp = settings.protocol == "tcp"
        # What the app does next is a request of its own, and the world outside need not know of our way in.
        self.tells_hops = name != APP
        self.proxy_protocol = settings.proxy_protocol
        self.tls = tls
        self.host = b"" if settings.host is None else settings.host.encode()
        self.server_name = (settings.tls.server_name if settings.tls is not None else None) or ""
        kind, _, word = (settings.hash or "").partition(":")
        self.hash_kind = kind if settings.balance == "hash" else ""
        self.hash_name = word.lower().encode() if kind == "header" else word.encode()
        self.why_empty = why_empty or "it has no endpoint"

    def pool_for(self, endpoint: "Endpoint") -> Pool:
        """The connections to one of its endpoints."""
        pool = Pool(self.idle_s, self.idle_connections, self.requests_each, self.most_connections)
        endpoint.pool = pool
        return pool

    def is_fault(self, kind: str, status: int) -> bool:
        """Whether this outcome is the endpoint's failure, for its breaker."""
        if 0 < status < _LEAST_FAULT:
            return False
        return self.faults.matches(kind, status)

    def nowhere(self, now: float) -> OwnAnswer:
        """What a request is answered for which there is no endpoint; to be asked right after `pick` has given none."""
        if not self.group.endpoints:
            return OwnAnswer("no-endpoint", f"cannot reach {self.name}: {self.why_empty}")
        self.lasting.rejected += 1
        return OwnAnswer(
            "circuit-open",
            f"cannot call {self.name}: the circuit is open after failures of its endpoints",
            retry_after_s=self.group.retry_after(now),
        )

    def header_for(self, peer: "Peer") -> bytes:
        """What is said of the client before its first byte (PROXY protocol), where the upstream wants it."""
        if self.proxy_protocol == "off":
            return b""
        addresses = Addresses(peer.address, peer.port, peer.server_address, peer.server_port)
        return encode_v1(addresses) if self.proxy_protocol == "v1" else encode_v2(addresses)

    def host_for(self, endpoint: "Endpoint") -> bytes:
        """The Host to send where the client's own is not meant for it."""
        if self.host:
            return self.host
        if self._service and not endpoint.named:
            return self._service
        return endpoint.authority


class Followed:
    """How a route calls one of its upstreams: what it says itself, and the upstream's own where it says nothing."""

    __slots__ = ("retry", "timeouts", "upstream")

    def __init__(self, upstream: LiveUpstream, timeouts: Times, retry: RetryPolicy) -> None:
        self.upstream = upstream
        self.timeouts = timeouts
        self.retry = retry


class LiveRoute:
    """One route under one snapshot. `to` is how it calls each of its upstreams; a `fault` of None is the upstream's."""

    __slots__ = ("compiled", "fault", "limit", "name", "to")

    def __init__(
        self,
        compiled: "CompiledRoute",
        limit: LimitState | None,
        upstreams: "Mapping[str, LiveUpstream]",
    ) -> None:
        spec = compiled.spec
        self.compiled = compiled
        self.name = compiled.name
        self.fault: Fault | None = spec.fault
        self.limit = limit
        self.to: dict[str, Followed] = {}
        for name in compiled.targets:
            upstream = upstreams[name]
            timeouts, retry = upstream.timeouts, upstream.retry
            if spec.timeout is not None:
                timeouts = Times(spec.timeout.over(upstream.settings.timeout))
            if spec.retry is not None:
                retry = RetryPolicy(spec.retry.over(upstream.settings.retry))
            self.to[name] = Followed(upstream, timeouts, retry)
