"""What a worker runs by: a snapshot put in force as a whole, or refused as a whole, while requests under way go on with the one before."""

from __future__ import annotations

from time import monotonic
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

from pillion.settings.ambassador import Ambassador
from pillion.settings.edges import Inbound
from pillion.settings.kinds import UnfitError
from pillion.settings.shapes import Table
from pillion.settings.upstreams import ClientTls, Upstream

from .breaker import CLOSED, OPEN
from .connect import Tunneller
from .credentials import Credentials
from .egress import Egress
from .live import LimitState, LiveRoute, Upstreams
from .router import Router
from .snapshot import APP, UpstreamEndpoints
from .ways import FRONT, PROXY, UPSTREAM, Way

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .hub import Hub
    from .live import LiveUpstream
    from .snapshot import Snapshot
    from .tls import Tls, TlsClient, TlsServer
    from .tls_files import TlsEvent, TlsFiles

_AMBASSADOR = Table(Ambassador())
_INBOUND = Table(Inbound())
_PREFIX = "upstream:"

Wanted = dict[str, tuple[Upstream, UpstreamEndpoints, "TlsClient | None"]]


class Runtime:
    """The policy in force. `ways` are by the names of their listening sockets; `settings` and `inbound` those of the snapshot.

    `changed` is told of breakers: upstream, endpoint, old state, new state, why; `tls_told` of certificates.
    """

    def __init__(
        self,
        hub: Hub,
        changed: Callable[[str, str, str, str, str], None],
        tls_told: Callable[[TlsEvent], None],
    ) -> None:
        self._hub = hub
        self._tls_told = tls_told
        self._tunneller = Tunneller(hub, lambda: self.tls_files().client(ClientTls()))
        self._route_limits: dict[str, LimitState] = {}
        self._files: TlsFiles | None = None
        self.upstreams = Upstreams(changed, hub.random)
        self.revision = 0
        self.settings = Ambassador()
        self.inbound: Inbound | None = None
        self.ways: Mapping[str, Way] = MappingProxyType({})
        self.routes: tuple[str, ...] = ()
        self.server_tls: TlsServer | None = None

    def apply(self, snapshot: Snapshot) -> str | None:
        """Put a snapshot in force. Returns why that cannot be; then nothing has changed."""
        try:
            settings = cast("Ambassador", _AMBASSADOR.decode(snapshot.ambassador))
            inbound = (
                None
                if snapshot.inbound is None
                else cast("Inbound", _INBOUND.decode(snapshot.inbound))
            )
            wanted = self._wanted(snapshot, settings, inbound)
            server = None
            if inbound is not None and inbound.tls is not None:
                server = self.tls_files().server(inbound.tls)
            routers = _routers(snapshot, settings, wanted)
            egress = None
            if settings.proxy is not None:
                egress = Egress(settings.proxy)
        except UnfitError as unfit:
            return f"cannot read the snapshot: {unfit.message}"
        except (ValueError, OSError) as error:
            return str(error)
        # Nothing fails from here on.
        now = monotonic()
        self.settings, self.inbound = settings, inbound
        self.revision = snapshot.revision
        self.server_tls = server
        if self._files is not None:
            used: list[Tls] = [tls for _, _, tls in wanted.values() if tls is not None]
            used += [] if server is None else [server]
            self._files.follow([*used, *self._tunneller.tls])
        self._hub.configure(settings.http, settings.trace)
        self.upstreams.apply(wanted, snapshot.zone, now)
        self._configure_routes(settings, now)
        self.ways = self._make_ways(snapshot, settings, routers, egress)
        return None

    def _wanted(self, snapshot: Snapshot, settings: Ambassador, inbound: Inbound | None) -> Wanted:
        wanted: Wanted = {}
        for name, upstream in settings.upstreams.items():
            found = snapshot.endpoints(name)
            tls = self._client_tls(upstream, found)
            wanted[name] = (upstream, found, tls)
        for found in snapshot.upstreams:
            # Services that nobody has configured, but the proxy may be asked for.
            if found.name not in wanted and found.name != APP:
                wanted[found.name] = (Upstream(service=found.name), found, None)
        if inbound is not None and snapshot.app_port is not None:
            wanted[APP] = (inbound.upstream(snapshot.app_port), snapshot.endpoints(APP), None)
        return wanted

    def _client_tls(self, upstream: Upstream, found: UpstreamEndpoints) -> TlsClient | None:
        if upstream.tls is None and not any(one.tls for one in found.endpoints):
            return None
        alpn = ("http/1.1",) if upstream.protocol == "http" else ()
        return self.tls_files().client(upstream.tls or ClientTls(), alpn=alpn)

    def tls_files(self) -> TlsFiles:
        """All TLS of this worker; made when there is some, since most have none."""
        if self._files is None:
            from .tls_files import TlsFiles

            # A worker that starts must not fail as a whole because one listener cannot speak TLS.
            starting = self.revision == 0
            self._files = TlsFiles(self._hub.tasks, self._tls_told, lenient=starting)
        return self._files

    def _configure_routes(self, settings: Ambassador, now: float) -> None:
        limits = {}
        for number, spec in enumerate(settings.routes, 1):
            name = spec.name or f"#{number}"
            limit = self._route_limits.get(name) or LimitState()
            limit.configure(spec.rate, 0, spec.client_rate, now)
            limits[name] = limit
        self._route_limits = limits

    def _make_ways(
        self,
        snapshot: Snapshot,
        settings: Ambassador,
        routers: dict[str, Router],
        egress: Egress | None,
    ) -> Mapping[str, Way]:
        live = self.upstreams.live
        live_routes = {
            compiled.name: LiveRoute(compiled, self._route_limits.get(compiled.name), live)
            for router in routers.values()
            for compiled in router.routes
        }
        self.routes = tuple(live_routes)
        named: dict[str, LiveUpstream] = {}
        for name, upstream in live.items():
            if name != APP:
                named[name.lower()] = upstream
                named.setdefault((upstream.settings.service or name).lower(), upstream)
        proxy = settings.proxy
        ways = {}
        for name in snapshot.listeners:
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
                    Credentials(snapshot.proxy_token)
                    if kind == PROXY and proxy is not None and proxy.credentials
                    else None
                ),
                egress=egress if kind == PROXY else None,
                tunneller=self._tunneller,
            )
        return MappingProxyType(ways)

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


def _routers(snapshot: Snapshot, settings: Ambassador, wanted: Wanted) -> dict[str, Router]:
    routers = {}
    for name in snapshot.listeners:
        _, word = _kind(name)
        router = Router(settings.routes, wanted, listener=word)
        if router.routes:
            routers[word] = router
    return routers
