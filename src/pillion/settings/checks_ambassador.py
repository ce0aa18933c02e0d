"""What the sections of the ambassador say together: upstreams, the ways in, and what others of the file have to do with them."""

from pillion.settings.checks_infrastructure import exactly_one
from pillion.settings.checks_routes import route_contradictions, route_notices
from pillion.settings.policies import Breaker, Fault, Limit, Retry, Timeouts
from pillion.settings.problems import Finding, Path
from pillion.settings.routes import RESERVED_NAMES
from pillion.settings.tree import Settings
from pillion.settings.upstream_urls import split_upstream_url
from pillion.settings.upstreams import UPSTREAM_SOURCES, ClientTls, Upstream, upstream_variable

_PROXY_VARIABLES = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")


def ambassador_contradictions(settings: Settings) -> list[Finding]:
    """Settings of these sections that cannot hold together."""
    found = []
    for name, upstream in settings.ambassador.upstreams.items():
        path: Path = ("ambassador", "upstreams", name)
        found += [
            *exactly_one(upstream, UPSTREAM_SOURCES, path),
            *_urls(upstream, path),
            *_hash(upstream, path),
            *_check(upstream, path),
            *_tls(upstream, path),
            *_policy(upstream.retry, upstream.breaker, upstream.limit, path),
            *_fault(upstream.fault, path),
        ]
    for at, route in enumerate(settings.ambassador.routes):
        found += _fault(route.fault, ("ambassador", "routes", at))
    return [
        *found,
        *_names(settings),
        *_proxy(settings),
        *_inbound(settings),
        *route_contradictions(settings),
    ]


def ambassador_notices(settings: Settings) -> list[Finding]:
    """Settings of these sections that few would want."""
    found = []
    for name, upstream in settings.ambassador.upstreams.items():
        path: Path = ("ambassador", "upstreams", name)
        found += [*_unwise(upstream, path), *_slow(upstream.timeout, path)]
        if upstream.fault is not None:
            found.append(Finding((*path, "fault"), "requests fail or are late on purpose"))
    for at, route in enumerate(settings.ambassador.routes):
        if route.fault is not None and route.to:
            found.append(
                Finding(
                    ("ambassador", "routes", at, "fault"), "requests fail or are late on purpose"
                )
            )
    proxy = settings.ambassador.proxy
    if proxy is not None and proxy.hosts and proxy.egress != "list":
        found.append(
            Finding(("ambassador", "proxy", "hosts"), 'without effect unless egress is "list"')
        )
    trace = settings.ambassador.trace
    if trace.sample and trace.export and settings.telemetry.otlp is None:
        found.append(
            Finding(
                ("ambassador", "trace", "sample"),
                "without effect until telemetry.otlp says where to ship",
            )
        )
    return [*found, *_variables(settings), *_passed_by(settings), *route_notices(settings)]


def _urls(upstream: Upstream, path: Path) -> list[Finding]:
    here = (*path, "urls")
    schemes = {split_upstream_url(url).scheme for url in upstream.urls}
    listed = " and ".join(sorted(schemes))
    if len(schemes - {"unix"}) > 1 or schemes == {"https", "unix"}:
        return [
            Finding(here, f"cannot mix {listed}; all endpoints of an upstream are spoken to alike")
        ]
    if upstream.protocol == "tcp" and schemes & {"http", "https"}:
        return [
            Finding(
                (*path, "protocol"),
                f"cannot pass bytes to an {listed} URL; write tcp://, with tls = {{}} where TLS is wanted",
            )
        ]
    if upstream.protocol == "http" and "tcp" in schemes:
        return [
            Finding(
                (*path, "protocol"), "cannot speak HTTP to a tcp URL; write http:// or https://"
            )
        ]
    if upstream.tls is not None and upstream.tls.alpn and upstream.protocol == "http":
        return [
            Finding(
                (*path, "tls", "alpn"),
                'cannot offer this: HTTP is always offered as http/1.1; use protocol = "tcp" to pass HTTP/2',
            )
        ]
    if upstream.tls is not None and schemes and not schemes & {"https", "tcp"}:
        return [Finding((*path, "tls"), "cannot use TLS with these URLs; write https://")]
    return []


def _hash(upstream: Upstream, path: Path) -> list[Finding]:
    if upstream.balance == "hash" and upstream.hash is None:
        return [
            Finding(
                (*path, "balance"),
                'cannot balance by hash without hash; set hash = "header:NAME", "cookie:NAME" or "address"',
            )
        ]
    if upstream.protocol == "tcp" and upstream.hash not in (None, "address"):
        return [Finding((*path, "hash"), 'cannot read headers and cookies in tcp; use "address"')]
    return []


def _check(upstream: Upstream, path: Path) -> list[Finding]:
    check = upstream.check
    if check is None or (check.http is not None) != check.tcp:
        return []
    had = "http and tcp" if check.tcp else "none of them"
    return [Finding((*path, "check"), f"cannot use {had}", "exactly one of http and tcp")]


def _tls(upstream: Upstream, path: Path) -> list[Finding]:
    tls = upstream.tls or ClientTls()
    if (tls.cert_file is None) == (tls.key_file is None):
        return []
    missing, given = ("key", "cert") if tls.key_file is None else ("cert", "key")
    return [
        Finding(
            (*path, "tls", f"{given}_file"),
            f"cannot use it without the other; set {missing}_file as well",
        )
    ]


def _policy(retry: Retry, breaker: Breaker, limit: Limit, path: Path) -> list[Finding]:
    found = []
    if retry.initial_s > retry.max_s:
        found.append(
            Finding(
                (*path, "retry"),
                "cannot wait longer at first than at most; raise max or lower initial",
            )
        )
    if breaker.open_s > breaker.open_max_s:
        found.append(
            Finding(
                (*path, "breaker"),
                "cannot stay open longer at first than at most; raise open_max or lower open",
            )
        )
    if breaker.ratio == 0.0:
        found.append(
            Finding(
                (*path, "breaker", "ratio"),
                'cannot open at no failures at all; for never, write "off"',
            )
        )
    if limit.queue and not limit.concurrency:
        found.append(
            Finding(
                (*path, "limit", "queue"),
                "cannot wait for a turn where any number goes at once; set concurrency",
            )
        )
    return found


def _fault(fault: Fault | None, path: Path) -> list[Finding]:
    if fault is None or fault.delay_s or fault.abort is not None:
        return []
    return [Finding((*path, "fault"), "cannot do without a fault", "delay, abort or both")]


def _names(settings: Settings) -> list[Finding]:
    found = []
    held: dict[str, str] = {}
    for name in settings.ambassador.upstreams:
        path = ("ambassador", "upstreams", name)
        variable = upstream_variable(name)
        if name.lower() in RESERVED_NAMES:
            found.append(
                Finding(
                    path, "cannot use this name: it has a meaning of its own here; take another"
                )
            )
        if (other := held.setdefault(variable, name)) != name:
            found.append(
                Finding(
                    path,
                    f"cannot tell it from {other}: both are {variable} for the app; rename one",
                )
            )
    return found


def _variables(settings: Settings) -> list[Finding]:
    """What the user sets for the app is not overwritten by what the ambassador has to tell it."""
    ambassador = settings.ambassador
    names = [
        upstream_variable(name)
        for name, upstream in ambassador.upstreams.items()
        if upstream.listen is not None
    ]
    if ambassador.proxy is not None and ambassador.proxy.env:
        names += _PROXY_VARIABLES
    return [
        Finding(
            (section, "env", name), "keeps the app from learning what the ambassador has for it"
        )
        for section, held in (("app", settings.app.env), ("config", settings.config.env))
        for name in names
        if name in held
    ]


def _proxy(settings: Settings) -> list[Finding]:
    proxy = settings.ambassador.proxy
    if proxy is None or proxy.egress != "list" or proxy.hosts:
        return []
    return [
        Finding(
            ("ambassador", "proxy", "egress"),
            'cannot go by a list without hosts; set hosts, or "deny"',
        )
    ]


def _inbound(settings: Settings) -> list[Finding]:
    inbound = settings.inbound
    if inbound is None:
        return []
    path: Path = ("inbound",)
    found = _policy(inbound.retry, inbound.breaker, inbound.limit, path)
    if settings.app.port is None:
        found.append(
            Finding(path, "cannot stand in front of an app whose port is not known; set app.port")
        )
    tls = inbound.tls
    if tls is not None and tls.allowed_names and tls.client_ca_file is None:
        found.append(
            Finding(
                (*path, "tls", "allowed_names"),
                "cannot go by the names in certificates that nobody is asked for; set client_ca_file",
            )
        )
    return found


def _unwise(upstream: Upstream, path: Path) -> list[Finding]:
    found = []
    tls = upstream.tls
    if tls is not None and not tls.verify:
        found.append(
            Finding(
                (*path, "tls", "verify"),
                "anybody on the way can be taken for this upstream; ca_file makes its own certificates known",
            )
        )
    if tls is not None and not tls.verify:
        found += [
            Finding((*path, "tls", name), "without effect: nothing is verified")
            for name, held in (("ca_file", tls.ca_file), ("names", tls.names))
            if held
        ]
    if upstream.retry.unsafe and upstream.retry.attempts:
        found.append(
            Finding((*path, "retry", "unsafe"), "what is not safe to repeat may take effect twice")
        )
    if upstream.hash is not None and upstream.balance != "hash":
        found.append(Finding((*path, "hash"), 'without effect unless balance is "hash"'))
    if upstream.limit.burst and upstream.limit.rate is None and upstream.limit.client_rate is None:
        found.append(Finding((*path, "limit", "burst"), "without effect without a rate"))
    if upstream.protocol == "tcp":
        found += [
            Finding((*path, name), "without effect: the protocol is tcp")
            for name, held in (("host", upstream.host), ("fault", upstream.fault))
            if held is not None
        ]
    return found


def _slow(timeout: Timeouts, path: Path) -> list[Finding]:
    here = (*path, "timeout")
    if timeout.total_s and timeout.try_s > timeout.total_s:
        return [Finding((*here, "try"), "without effect: total is over before")]
    if timeout.try_s and timeout.connect_s > timeout.try_s:
        return [Finding((*here, "connect"), "without effect: try is over before")]
    return []


def _passed_by(settings: Settings) -> list[Finding]:
    """Inbound is of use only to those who come to it; discovery sends them where `service.port` says."""
    inbound, service = settings.inbound, settings.service
    if inbound is None or not service.register:
        return []
    port = inbound.listen.rpartition(":")[2]
    found_at = service.port or settings.app.port
    if str(found_at) == port:
        return []
    return [
        Finding(
            ("inbound", "listen"),
            f"others find the app at port {found_at}, past this listener; set service.port to this one's",
        )
    ]
