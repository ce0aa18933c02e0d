# cython: annotation_typing=False, auto_pickle=False
"""The ways in, each under one snapshot: where a request goes that comes by a port of an upstream, by the proxy, or to the app.

upstream   a local port of one upstream: there it goes, unless a route of this port says otherwise
proxy      routes by host and path, then services and upstreams by name, then the world under the egress rule
inbound    in front of the app's port
"""

from typing import TYPE_CHECKING

from pillion.http.codec import CodecError
from pillion.http.codec.grammar import METHODS
from pillion.http.codec.names import PILLION_VIA
from pillion.http.paths import BadPathError, normalise, split_target

from .answers import OwnAnswer
from .credentials import CHALLENGE
from .egress import split_authority
from .facts import INBOUND, OUTBOUND, Facts
from .fields import UNDERSCORES, max_forwards, write_answer, write_request
from .forwarded import client_address, forwarded_flags
from .hops import FIELD as HOPS
from .hops import continued, line_of
from .hops import refusal as looped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pillion.http.codec.block import Block
    from pillion.http.codec.events import ResponseHead
    from pillion.settings.edges import HttpLimits

    from .connect import Tunneller
    from .credentials import Credentials
    from .egress import Egress
    from .exchange import Exchange
    from .inward import Inward
    from .live import LimitState, LiveRoute, LiveUpstream
    from .outward import Outward
    from .router import RouteMatch, Router

UPSTREAM, PROXY, FRONT = range(3)

_DIRECTION = {UPSTREAM: OUTBOUND, PROXY: OUTBOUND, FRONT: INBOUND}
_EXPECT_LINE = b"expect: 100-continue\r\n"
# Of these not everything is as with others; CONNECT goes another way from the beginning.
_SPECIAL = frozenset(("CONNECT", "OPTIONS", "TRACE"))
_METHOD_BYTES = {name: spelled for spelled, name in METHODS.items()}


class Way:
    """One way in under one snapshot.

    `default` is where requests go that no route takes. `named` finds upstreams by the host that is asked for, for the
    proxy alone. `hop` is the token by which it knows a request that has been here before.
    """

    __slots__ = (
        "credentials",
        "default",
        "direction",
        "egress",
        "forwarded",
        "hop",
        "hop_line",
        "hops",
        "keeps_host",
        "kind",
        "listener",
        "live_routes",
        "named",
        "normalise",
        "router",
        "tunneller",
        "underscores",
    )

    def __init__(
        self,
        kind: int,
        listener: str,
        limits: "HttpLimits",
        *,
        router: "Router | None",
        live_routes: "Mapping[str, LiveRoute]",
        default: "LiveUpstream | None" = None,
        named: "Mapping[str, LiveUpstream] | None" = None,
        credentials: "Credentials | None" = None,
        egress: "Egress | None" = None,
        tunneller: "Tunneller",
        hop: bytes,
    ) -> None:
        self.kind = kind
        self.listener = listener
        self.direction = _DIRECTION[kind]
        self.router = router
        self.live_routes = live_routes
        self.default = default
        self.named = named or {}
        self.credentials = credentials
        self.egress = egress
        self.tunneller = tunneller
        self.hop = hop
        self.hop_line = line_of(hop)
        self.hops = limits.trusted_hops
        self.forwarded = forwarded_flags(limits.forwarded)
        self.underscores = UNDERSCORES[limits.underscores]
        self.normalise = limits.normalise
        # Whoever comes by an upstream's own port asks for our address; the proxy and the app are asked for by name.
        self.keeps_host = kind != UPSTREAM

    # Where it goes.

    def resolve(self, exchange: "Exchange", now: float) -> OwnAnswer | None:
        """Set upstream, route, target and times of a request, or return what it is answered."""
        head = exchange.head
        client = exchange.client
        if client.asked is not head.authority:
            client.asked = head.authority
            client.asked_text = head.authority.decode("latin-1")
        authority = client.asked_text
        exchange.host = authority
        if head.expect is not None and head.expect.lower() != b"100-continue":
            return OwnAnswer("bad-request", "cannot meet this expectation, only 100-continue", 417)
        if self.credentials is not None and not self.credentials.check(
            head.headers.get(b"proxy-authorization")
        ):
            return OwnAnswer(
                "credentials-required",
                "cannot be used without credentials: take them from PILLION_PROXY in the app's environment",
                fields=((b"proxy-authenticate", CHALLENGE),),
            )
        via = head.headers.known(PILLION_VIA)
        if via is not None:
            refusal = looped(via, self.hop)
            if refusal is not None:
                return refusal
        special = head.method in _SPECIAL
        if special and head.method == "CONNECT":
            return self._connect(exchange, authority)
        try:
            path, query = split_target(head.target)
            if self.normalise and ("%" in path or "/." in path):
                path = normalise(path)
        except BadPathError as error:
            return OwnAnswer("bad-request", str(error), 400)
        exchange.path, exchange.query = path, query
        if special and max_forwards_over(exchange):
            return OwnAnswer("direct-answer", "Max-Forwards ends here", 200, body=b"")
        match = None
        if self.router is not None:
            match = self.router.match(authority, path, query, head.method, head.headers)
        if match is None:
            upstream = self.default
            if upstream is None:
                found = self._by_name(authority, head.target)
                if isinstance(found, OwnAnswer):
                    return found
                upstream = found
            exchange.timeouts = upstream.timeouts
            exchange.retry = upstream.retry
            exchange.target = f"{path}?{query}" if query else path
            if special and head.method == "OPTIONS" and path == "/" and _names_all(head.target):
                exchange.target = "*"
        else:
            compiled = match.route
            route = self.live_routes[compiled.name]
            exchange.live_route = route
            refusal = self._limited(route.limit, exchange, now, f"the route {route.name}")
            if refusal is not None:
                return refusal
            if not compiled.targets:
                return self._answered(match, path, query)
            followed = route.to[compiled.pick_target(exchange.hub.random)]
            upstream = followed.upstream
            exchange.target = compiled.target_for(match, path, query)
            exchange.timeouts = followed.timeouts
            exchange.retry = followed.retry
        if upstream.is_tcp:
            return OwnAnswer(
                "no-route", f"cannot send HTTP to {upstream.name}: its protocol is tcp", 502
            )
        exchange.live_upstream = upstream
        return self._limited(upstream.limit, exchange, now, upstream.name)

    def _limited(
        self, limit: "LimitState | None", exchange: "Exchange", now: float, what: str
    ) -> OwnAnswer | None:
        if limit is None or (limit.bucket is None and limit.clients is None):
            return None
        client = exchange.client.peer_bytes
        if self.hops and limit.clients is not None:
            client = client_address(exchange.head.headers, client, self.hops, self.forwarded)
        wait_s = limit.wait_s(client, now)
        if not wait_s:
            return None
        return OwnAnswer(
            "rate-limited", f"cannot take more requests for {what} now", retry_after_s=wait_s
        )

    def _answered(self, match: "RouteMatch", path: str, query: str) -> OwnAnswer:
        compiled = match.route
        where = compiled.redirect_to(match, path, query)
        if where is not None:
            return OwnAnswer(
                "redirect",
                "",
                compiled.redirect_status,
                fields=((b"location", where),),
                body=b"",
            )
        answer = compiled.spec.answer
        assert answer is not None
        return OwnAnswer(
            "direct-answer",
            "",
            answer.status,
            body=answer.body.encode(),
            content_type=answer.type.encode(),
        )

    def _by_name(self, authority: str, target: str) -> "LiveUpstream | OwnAnswer":
        if self.kind != PROXY:
            return OwnAnswer("no-route", "no route takes this request")
        secure = target[:6].lower() == "https:"
        host, port = split_authority(authority, 443 if secure else 80)
        if not host:
            return OwnAnswer("bad-request", "cannot send this anywhere: it names no host", 400)
        upstream = self.named.get(host.lower())
        if upstream is not None:
            return upstream
        if target.startswith("/"):
            return OwnAnswer(
                "no-route",
                f"no route takes {host}; a proxy is asked with the whole URL (RFC 9112, section 3.2.2)",
            )
        if self.egress is None or not self.egress.allows(host, port):
            return OwnAnswer(
                "egress-denied",
                f"cannot go to {host}:{port}: ambassador.proxy.egress does not allow it, and no service has this name",
            )
        return self.tunneller.outside(host, port, secure=secure)

    def _connect(self, exchange: "Exchange", authority: str) -> OwnAnswer | None:
        if self.kind != PROXY:
            return OwnAnswer("bad-request", "cannot CONNECT here, only through the proxy", 405)
        host, port = split_authority(authority, 443)
        upstream = self.named.get(host.lower())
        if upstream is None:
            if self.egress is None or not self.egress.allows_connect(host, port):
                return OwnAnswer(
                    "egress-denied",
                    f"cannot go to {host}:{port}: ambassador.proxy does not allow it, and no service has this name",
                )
            upstream = self.tunneller.outside(host, port, secure=False)
        exchange.live_upstream = upstream
        exchange.timeouts = upstream.timeouts
        exchange.retry = upstream.retry
        refusal = self._limited(upstream.limit, exchange, exchange.began_s, upstream.name)
        if refusal is None:
            self.tunneller.open(exchange)
        return refusal

    # What is sent.

    def write_request_head(self, block: "Block", exchange: "Exchange", conn: "Outward") -> None:
        """Write request line and header lines, without framing and the empty line. Raise CodecError as `write_request` does."""
        head = exchange.head
        upstream = exchange.live_upstream
        trace = exchange.trace
        assert upstream is not None
        assert trace is not None
        route = exchange.live_route
        compiled = None if route is None else route.compiled
        if compiled is not None and compiled.host is not None:
            host = compiled.host
        elif upstream.host or not self.keeps_host:
            host = upstream.host_for(conn.endpoint)
        else:
            host = head.authority or upstream.host_for(conn.endpoint)
        method = _METHOD_BYTES.get(head.method)
        if method is None:
            method = head.method.encode("ascii")
        block.put(method)
        block.put(b" ")
        block.put_ascii(exchange.target)
        block.put(b" HTTP/1.1")
        write_request(
            block,
            head,
            host,
            exchange.client.peer_bytes,
            exchange.client.scheme,
            self.hops,
            self.forwarded,
            self.underscores,
            trace.span_id != "",
            None if compiled is None else compiled.request_rules,
        )
        trace.write(block)
        if upstream.tells_hops and (
            compiled is None
            or compiled.request_rules is None
            or HOPS not in compiled.request_rules.removed
        ):
            via = head.headers.known(PILLION_VIA)
            block.put(self.hop_line if via is None else continued(via, self.hop))
        if head.expect is not None and exchange.attempts == 1:
            block.put(_EXPECT_LINE)

    def write_answer_head(self, block: "Block", exchange: "Exchange", head: "ResponseHead") -> None:
        """Write the header lines of an answer on its way back behind a status line without its end; without framing."""
        route = exchange.live_route
        write_answer(block, head, None if route is None else route.compiled.response_rules)

    def refused_facts(self, client: "Inward", status: int, why: str) -> Facts:  # noqa: ARG002 - told to the client
        """What is known of a message that was refused before it became a request."""
        facts = Facts(self.direction, self.listener)
        facts.status = status
        facts.reason = "bad-request"
        facts.peer = client.peer.address
        return facts


def max_forwards_over(exchange: "Exchange") -> bool:
    """Whether a TRACE or OPTIONS may not be sent on (RFC 9110 section 7.6.2)."""
    try:
        return max_forwards(exchange.head) == 0
    except CodecError:
        return False  # refused where the fields are read


def _names_all(target: str) -> bool:
    """Whether an OPTIONS is for the whole server: an absolute target without a path (RFC 9112 section 3.2.4)."""
    return target == "*" or ("://" in target and target.count("/") == 2 and "?" not in target)
