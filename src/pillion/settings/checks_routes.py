"""What routes say together: whom they name, what they shadow, and what of them can never be."""

from pillion.settings.problems import Finding, Path, nearest
from pillion.settings.route_patterns import is_prefix, placeholders, template_names
from pillion.settings.routes import APP, INBOUND, PROXY, Match, Redirect, Rewrite, RouteSpec
from pillion.settings.tree import Settings

_EVERY_PATH = ("", "/", "/*")


def route_contradictions(settings: Settings) -> list[Finding]:
    """Routes that cannot hold."""
    found = []
    names: set[str] = set()
    for at, route in enumerate(settings.ambassador.routes):
        path: Path = ("ambassador", "routes", at)
        found += _one_end(route, path)
        found += _listeners(settings, route, path)
        found += _targets(settings, route, path)
        found += _rewrite(route.match, route.rewrite, path)
        if route.redirect is not None:
            found += _redirect(route.match, route.redirect, path)
        if route.name in names:
            found.append(
                Finding((*path, "name"), "cannot use a name twice; logs and metrics go by it")
            )
        names |= {route.name} - {""}
    return found


def route_notices(settings: Settings) -> list[Finding]:
    """Routes that hold, but that few would want."""
    found = []
    routes = settings.ambassador.routes
    ways = [frozenset(route.ways_in) for route in routes]
    for at, route in enumerate(routes):
        path: Path = ("ambassador", "routes", at)
        for before in range(at):
            if covers(routes[before].match, route.match) and ways[at] <= ways[before]:
                found.append(
                    Finding(
                        path,
                        f"never reached: ambassador.routes[{before}] before it matches all of it",
                    )
                )
                break
        if not route.to:
            found += [
                Finding((*path, name), "without effect: nothing is sent to an upstream")
                for name, held in (
                    ("rewrite", route.rewrite != Rewrite()),
                    ("timeout", route.timeout is not None),
                    ("retry", route.retry is not None),
                    ("fault", route.fault is not None),
                )
                if held
            ]
    return found


def covers(one: Match, other: Match) -> bool:
    """Whether `one` matches every request that `other` does. In doubt (two templates, say) it is said not to."""
    return (
        # Of many routes, most differ in this.
        _covers_path(one.path, other.path)
        and _covers_hosts(one.host, other.host)
        and (not one.methods or (bool(other.methods) and set(other.methods) <= set(one.methods)))
        and _covers_values(_lower(one.headers), _lower(other.headers))
        and _covers_values(dict(one.query), dict(other.query))
    )


def _covers_hosts(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    if not one or "*" in one:
        return True
    return bool(other) and all(
        host in one
        or any(
            pattern.startswith("*.")
            and host.removeprefix("*").endswith(pattern[1:])
            and host != pattern[2:]
            for pattern in one
        )
        for host in other
    )


def _covers_path(one: str, other: str) -> bool:
    if one in _EVERY_PATH or one == other:
        return True
    if "{" in one or not is_prefix(one):
        return False
    return other.startswith(one.removesuffix("*"))


def _covers_values(one: dict[str, str], other: dict[str, str]) -> bool:
    return all(name in other and value in ("*", other[name]) for name, value in one.items())


def _lower(headers: object) -> dict[str, str]:
    assert hasattr(headers, "items")
    return {name.lower(): value for name, value in headers.items()}


def _one_end(route: RouteSpec, path: Path) -> list[Finding]:
    given = [
        name
        for name, held in (
            ("to", bool(route.to)),
            ("redirect", route.redirect is not None),
            ("answer", route.answer is not None),
        )
        if held
    ]
    if len(given) == 1:
        return []
    had = " and ".join(given) if given else "none of them"
    return [Finding(path, f"cannot use {had}", "exactly one of to, redirect and answer")]


def _listeners(settings: Settings, route: RouteSpec, path: Path) -> list[Finding]:
    found = []
    upstreams = settings.ambassador.upstreams
    for at, name in enumerate(route.listener):
        here = (*path, "listener", at)
        if name == PROXY:
            if settings.ambassador.proxy is None:
                found.append(
                    Finding(here, "cannot come in by the proxy: there is no ambassador.proxy")
                )
        elif name == INBOUND:
            if settings.inbound is None:
                found.append(Finding(here, "cannot come in by inbound: there is no [inbound]"))
        elif name not in upstreams:
            found.append(_unknown(here, name, (PROXY, INBOUND, *upstreams), "no such way in"))
        elif upstreams[name].listen is None:
            found.append(Finding(here, "cannot come in by this upstream: its listen is off"))
        elif upstreams[name].protocol == "tcp":
            found.append(
                Finding(here, "cannot route what comes in by this upstream: its protocol is tcp")
            )
    if not route.listener and settings.ambassador.proxy is None:
        found.append(
            Finding(
                path,
                "cannot be reached: without listener a route is the proxy's, and there is none",
                'ambassador.proxy, or a listener such as "inbound" or the name of an upstream',
            )
        )
    return found


def _targets(settings: Settings, route: RouteSpec, path: Path) -> list[Finding]:
    found = []
    upstreams = settings.ambassador.upstreams
    inward = route.ways_in == (INBOUND,)
    for at, target in enumerate(route.to):
        here = (*path, "to", at, "upstream")
        if target.upstream == APP:
            if not inward:
                found.append(
                    Finding(
                        here,
                        'cannot send to the app what does not come in by inbound; set listener = "inbound"',
                    )
                )
        elif target.upstream not in upstreams:
            names = (*upstreams, APP) if inward else tuple(upstreams)
            found.append(_unknown(here, target.upstream, names, "no such upstream"))
        elif upstreams[target.upstream].protocol == "tcp":
            found.append(Finding(here, "cannot route to an upstream whose protocol is tcp"))
    if route.to and not any(target.weight for target in route.to):
        found.append(Finding((*path, "to"), "cannot send to none: all weights are 0"))
    return found


def _unknown(path: Path, name: str, known: tuple[str, ...], why: str) -> Finding:
    near = nearest(name, known)
    if not known:
        expected = "an upstream in ambassador.upstreams"
    else:
        shown = ", ".join(f'"{one}"' for one in known[:8])
        expected = f"one of {shown}" + (" and others" if len(known) > 8 else "")
    return Finding(path, f'cannot use "{name}": {why}', expected, f'"{near}"' if near else None)


def _rewrite(match: Match, rewrite: Rewrite, path: Path) -> list[Finding]:
    here = (*path, "rewrite")
    if rewrite.path and rewrite.prefix:
        return [Finding(here, "cannot use path and prefix", "one of path and prefix, or none")]
    if rewrite.prefix and not (match.path and is_prefix(match.path)):
        return [
            Finding(
                (*here, "prefix"),
                "cannot replace a prefix where match.path is none; end it with / or *",
            )
        ]
    written, name = (rewrite.path, "path") if rewrite.path else (rewrite.prefix, "prefix")
    return _names(match, written, (*here, name))


def _redirect(match: Match, redirect: Redirect, path: Path) -> list[Finding]:
    return _names(match, redirect.to, (*path, "redirect", "to"))


def _names(match: Match, written: str, path: Path) -> list[Finding]:
    known = template_names(match.path)
    return [
        Finding(
            path,
            f"cannot fill {{{name}}}: match.path has no such part",
            suggestion=f"{{{near}}}" if (near := nearest(name, known)) else None,
        )
        for name in placeholders(written)
        if name not in known
    ]
