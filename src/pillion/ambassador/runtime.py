"""What a worker runs by: a snapshot put in force as a whole, or refused as a whole, while requests under way go on with the one before.

It is prepared in small steps, each a turn of the loop, so that no request waits for thousands of endpoints; then one turn makes it the
policy, for every way in at once.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec

from pillion.settings.ambassador import Ambassador
from pillion.settings.kinds import UnfitError
from pillion.settings.upstreams import ClientTls

from .breaker import CLOSED, OPEN
from .connect import Tunneller
from .credentials import Credentials
from .egress import Egress
from .hops import token_of
from .live import LimitState, LiveRoute
from .reading import Reader
from .router import CompiledRoute, Router
from .snapshot import APP, UpstreamEndpoints
from .upstreams import Upstreams
from .ways import FRONT, PROXY, UPSTREAM, Way

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from pillion.settings.edges import Inbound, ServerTls
    from pillion.settings.routes import RouteSpec
    from pillion.settings.upstreams import Upstream

    from .hub import Hub
    from .live import LiveUpstream
    from .reading import Policy
    from .snapshot import RawSnapshot
    from .tls import Tls, TlsServer
    from .tls_files import TlsEvent, TlsFiles
    from .upstreams import Wanted

_PREFIX = "upstream:"
_IN_A_ROW = 20
"""Routes and ways in that are made in one turn."""
_HTTP = ("http/1.1",)
_MOST_WHYS = 10_000

_ClientWanted = tuple[ClientTls, tuple[str, ...]]


class Needed(msgspec.Struct, frozen=True):
    """TLS that a policy needs: it takes longer than a turn to build, so whoever can wait has it built in a thread."""

    servers: tuple[ServerTls, ...]
    clients: tuple[_ClientWanted, ...]


class Runtime:
    """The policy in force. `ways` are by the names of their listening sockets; `settings` and `inbound` those of the snapshot.

    `changed` is told of breakers: upstream, endpoint, old state, new state, why; `tls_told` of certificates. `run` tells this run from
    every other one.
    """

    def __init__(
        self,
        hub: Hub,
        changed: Callable[[str, str, str, str, str], None],
        tls_told: Callable[[TlsEvent], None],
        run: str = "",
    ) -> None:
        self._hub = hub
        self._run = run
        self._tls_told = tls_told
        self._tunneller = Tunneller(hub, lambda: self.tls_files().client(ClientTls()))
        self._reader = Reader()
        self._told = changed
        self._whys: dict[tuple[str, str], str] = {}
        self._route_limits: dict[str, LimitState] = {}
        self._compiled: dict[int, CompiledRoute] = {}
        self._routers: dict[str, Router] = {}
        self._live_routes: dict[str, LiveRoute] = {}
        self._files: TlsFiles | None = None
        self.upstreams = Upstreams(self._breaker_changed, hub.random)
        self.revision = 0
        self.settings = Ambassador()
        self.inbound: Inbound | None = None
        self.ways: Mapping[str, Way] = MappingProxyType({})
        self.routes: tuple[str, ...] = ()
        self.server_tls: TlsServer | None = None

    async def apply(self, snapshot: RawSnapshot) -> str | None:
        """Put a snapshot in force. Returns why that cannot be; then nothing has changed.

        When this returns, no other callback has run since the policy became another. One snapshot at a time.
        """
        steps = self.steps(snapshot)
        while True:
            try:
                needed = next(steps)
            except StopIteration as end:
                why: str | None = end.value
                return why
            if needed is None:
                await asyncio.sleep(0)
            else:
                await self.tls_files().prepare(needed.servers, needed.clients)

    async def tidy(self) -> None:
        """Do what a policy in force leaves to be done, a little in each turn."""
        for _ in self.upstreams.rest(monotonic()):
            await asyncio.sleep(0)

    def steps(self, snapshot: RawSnapshot) -> Generator[Needed | None, None, str | None]:
        """As `apply`, with a turn for others at every yield; at one that needs TLS it may be built first. The last step changes all."""
        try:
            policy = yield from self._reader.steps(snapshot)
            settings, inbound = policy.settings, policy.inbound
            needed = _needed(policy)
            if needed.servers or needed.clients:
                yield needed
            wanted = yield from self._wanted(policy)
            server = None
            if inbound is not None and inbound.tls is not None:
                server = self.tls_files().server(inbound.tls)
            routes = yield from self._compile(settings.routes, wanted)
            routers = yield from self._route(policy, routes)
            egress = None if settings.proxy is None else Egress(settings.proxy)
        except UnfitError as unfit:
            return f"cannot read the snapshot: {unfit.message}"
        except (ValueError, OSError) as error:
            return str(error)
        # Nothing fails from here on.
        yield from self.upstreams.steps(wanted, monotonic())
        limits, changed_limits = self._limits(settings.routes)
        yield None
        live_routes = yield from self._live(routes, limits)
        ways = yield from self._make_ways(policy, routers, live_routes, egress)
        yield None
        # One turn for all of it.
        now = monotonic()
        self._compiled = dict(enumerate(routes, 1))
        self._routers, self._live_routes, self._route_limits = routers, live_routes, limits
        self.settings, self.inbound = settings, inbound
        self.revision = policy.revision
        self.server_tls = server
        self.routes = tuple(live_routes)
        if self._files is not None:
            used: list[Tls] = [tls for _, _, tls, _ in wanted.values() if tls is not None]
            used += [] if server is None else [server]
            self._files.follow([*used, *self._tunneller.tls])
        self._hub.connector.own = _own(policy.listeners)
        self._hub.configure(settings.http, settings.trace)
        self.upstreams.put(now)
        for limit, spec in changed_limits:
            limit.configure(spec.rate, 0, spec.client_rate, now)
        self.ways = ways
        return None

    def _wanted(self, policy: Policy) -> Generator[None, None, dict[str, Wanted]]:
        wanted: dict[str, Wanted] = {}
        for at, (name, upstream) in enumerate(policy.owners.items(), 1):
            if at % _IN_A_ROW == 0:
                yield
            found = policy.endpoints.get(name) or _nobody(name)
            tls = None
            if name in policy.secure:
                tls = self.tls_files().client(upstream.tls or ClientTls(), alpn=_alpn(upstream))
            wanted[name] = (upstream, found, tls, policy.zone)
        return wanted

    def tls_files(self) -> TlsFiles:
        """All TLS of this worker; made when there is some, since most have none."""
        if self._files is None:
            from .tls_files import TlsFiles

            # A worker that starts must not fail as a whole because one listener cannot speak TLS.
            starting = self.revision == 0
            self._files = TlsFiles(self._hub.tasks, self._tls_told, lenient=starting)
        return self._files

    def _compile(
        self, specs: tuple[RouteSpec, ...], upstreams: Mapping[str, Wanted]
    ) -> Generator[None, None, list[CompiledRoute]]:
        """The routes in their order; those that were compiled before are the same objects."""
        routes = []
        for order, spec in enumerate(specs, 1):
            route = self._compiled.get(order)
            if (
                route is None
                or route.spec is not spec
                or not all(name in upstreams for name in route.targets)
            ):
                route = CompiledRoute(spec, order, upstreams)
            routes.append(route)
            if order % _IN_A_ROW == 0:
                yield
        return routes

    def _route(
        self, policy: Policy, routes: list[CompiledRoute]
    ) -> Generator[None, None, dict[str, Router]]:
        """Who looks for routes by the short names of the ways in; one whose routes are the same goes on with what it has sorted."""
        by_way: dict[str, list[CompiledRoute]] = {}
        for at, route in enumerate(routes, 1):
            if at % _IN_A_ROW == 0:
                yield
            for way in route.spec.ways_in:
                by_way.setdefault(way, []).append(route)
        routers = {}
        for name in policy.listeners:
            word = _kind(name)[1]
            mine = tuple(by_way.get(word, ()))
            if mine:
                yield
                before = self._routers.get(word)
                same = before is not None and before.routes == mine
                routers[word] = before if before is not None and same else Router.of(mine)
        return routers

    def _limits(
        self, specs: tuple[RouteSpec, ...]
    ) -> tuple[dict[str, LimitState], list[tuple[LimitState, RouteSpec]]]:
        limits = {}
        changed = []
        for order, spec in enumerate(specs, 1):
            name = spec.name or f"#{order}"
            limit = limits[name] = self._route_limits.get(name) or LimitState()
            before = self._compiled.get(order)
            if before is None or before.spec is not spec or name not in self._route_limits:
                changed.append((limit, spec))
        return limits, changed

    def _live(
        self, routes: list[CompiledRoute], limits: dict[str, LimitState]
    ) -> Generator[None, None, dict[str, LiveRoute]]:
        upstreams = self.upstreams.planned
        live_routes = {}
        for at, compiled in enumerate(routes, 1):
            if at % _IN_A_ROW == 0:
                yield
            found = self._live_routes.get(compiled.name)
            if (
                found is None
                or found.compiled is not compiled
                or any(found.to[name].upstream is not upstreams[name] for name in compiled.targets)
            ):
                found = LiveRoute(compiled, limits.get(compiled.name), upstreams)
            live_routes[compiled.name] = found
        return live_routes

    def _make_ways(
        self,
        policy: Policy,
        routers: dict[str, Router],
        live_routes: dict[str, LiveRoute],
        egress: Egress | None,
    ) -> Generator[None, None, Mapping[str, Way]]:
        live = self.upstreams.planned
        settings = policy.settings
        proxy = settings.proxy
        named: dict[str, LiveUpstream] = {}
        if proxy is not None:
            yield from _name(live, named)
        ways = {}
        for at, name in enumerate(policy.listeners, 1):
            if at % _IN_A_ROW == 0:
                yield
            kind, word = _kind(name)
            if kind == UPSTREAM and word not in live:
                continue
            ways[name] = Way(
                kind,
                word,
                settings.http,
                router=routers.get(word),
                live_routes=live_routes,
                default=live.get(APP) if kind == FRONT else live.get(word),
                named=named if kind == PROXY else None,
                credentials=(
                    Credentials(policy.proxy_token)
                    if kind == PROXY and proxy is not None and proxy.credentials
                    else None
                ),
                egress=egress if kind == PROXY else None,
                tunneller=self._tunneller,
                hop=token_of(self._run, name),
            )
        return MappingProxyType(ways)

    def why(self, upstream: str, endpoint: str) -> str:
        """Why the breaker of an endpoint is not closed; empty when it is."""
        return self._whys.get((upstream, endpoint), "")

    def _breaker_changed(self, upstream: str, endpoint: str, old: str, new: str, why: str) -> None:
        key = (upstream, endpoint)
        if new == CLOSED:
            self._whys.pop(key, None)
        elif new == OPEN:
            # Half-open it is still for this that it is not closed. An endpoint that goes takes no leave: the oldest make room.
            if len(self._whys) >= _MOST_WHYS:
                del self._whys[next(iter(self._whys))]
            self._whys[key] = why
        self._told(upstream, endpoint, old, new, why)

    def force(self, upstream: str, endpoint: str, action: str) -> None:
        """Open or close a breaker by hand, or give it back ("auto")."""
        live = self.upstreams.live.get(upstream)
        found = None if live is None else live.group.find(endpoint)
        if found is not None:
            state = None if action == "auto" else {"open": OPEN, "close": CLOSED}[action]
            found.breaker.force(state, monotonic())


def _kind(listener: str) -> tuple[int, str]:
    """Kind and short name of a listening socket."""
    if listener == "proxy":
        return PROXY, listener
    if listener == "inbound":
        return FRONT, listener
    return UPSTREAM, listener.removeprefix(_PREFIX)


def _own(listeners: dict[str, str]) -> frozenset[tuple[str, int]]:
    """Where a request of ours would come back to us for ever. The other ways in lead somewhere: to an upstream, or the app."""
    where = listeners.get("proxy", "")
    host, _, port = where.rpartition(":")
    return frozenset([(host.strip("[]"), int(port))]) if port.isdigit() else frozenset()


def _name(live: dict[str, LiveUpstream], named: dict[str, LiveUpstream]) -> Iterator[None]:
    """By which names the proxy is asked for upstreams."""
    for at, (name, upstream) in enumerate(live.items(), 1):
        if at % _IN_A_ROW == 0:
            yield
        if name != APP:
            named[name.lower()] = upstream
            named.setdefault((upstream.settings.service or name).lower(), upstream)


def _nobody(name: str) -> UpstreamEndpoints:
    return UpstreamEndpoints(name, (), known=False, reason="there is no such upstream")


def _alpn(upstream: Upstream) -> tuple[str, ...]:
    if upstream.protocol == "http":
        return _HTTP
    return () if upstream.tls is None else upstream.tls.alpn


def _needed(policy: Policy) -> Needed:
    inbound = policy.inbound
    return Needed(
        () if inbound is None or inbound.tls is None else (inbound.tls,),
        tuple(
            (upstream.tls or ClientTls(), _alpn(upstream))
            for name, upstream in policy.owners.items()
            if name in policy.secure
        ),
    )
