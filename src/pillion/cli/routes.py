"""`pillion routes`: where requests go: the routes in their order, and the upstreams with their endpoints."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import msgspec

from pillion.ambassador.overview import RouteList, UpstreamList
from pillion.cli.ambassador_workers import behind_lines
from pillion.cli.door import open_door
from pillion.cli.instances import add_instance_argument
from pillion.cli.json_output import print_json
from pillion.cli.table import Cell, has_colour, paint, printable, render, write_lines

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from pillion.ambassador.overview import EndpointView, RouteView, UpstreamView

NAME = "routes"
SUMMARY = "show where requests go: routes, upstreams, endpoints"

_PATIENCE_S = 10.0
_ROUTE_HEADS = ("ROUTE", "VIA", "MATCH", "TO", "REQUESTS", "FAILED")
_HEADS = ("UPSTREAM", "ENDPOINT", "HEALTH", "CIRCUIT", "ACTIVE", "REQUESTS", "FAILED", "NOTE")
_CIRCUITS = {"closed": "green", "half-open": "yellow", "open": "red"}


class Routing(msgspec.Struct, kw_only=True):
    """What `--json` prints: both answers of the API."""

    routes: RouteList
    upstreams: UpstreamList


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    add_instance_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Show them."""
    door = open_door(args)
    found = Routing(
        routes=door.api("GET", "/v1/ambassador/routes", RouteList, timeout_s=_PATIENCE_S),
        upstreams=door.api("GET", "/v1/ambassador/upstreams", UpstreamList, timeout_s=_PATIENCE_S),
    )
    if args.json:
        print_json(found)
    else:
        write_lines(lines_of(found, colour=has_colour(sys.stdout)))
    return 0


def lines_of(found: Routing, *, colour: bool) -> list[str]:
    """What people are shown."""
    if not found.upstreams.items and not found.routes.items:
        return ["there is no ambassador: set an upstream, a proxy or [inbound] in pillion.toml"]
    lines: list[str] = []
    if found.routes.items:
        rows = [_route_row(one) for one in found.routes.items]
        lines += [*render(_ROUTE_HEADS, rows, colour=colour), ""]
    for upstream in found.upstreams.items:
        lines.append(_headline(upstream, colour=colour))
    rows = [_row(one, each) for one in found.upstreams.items for each in one.endpoints]
    if rows:
        lines += ["", *render(_HEADS, rows, colour=colour)]
    return [*lines, *behind_lines(found.upstreams.workers, colour=colour)]


def _headline(one: UpstreamView, *, colour: bool) -> str:
    listen = f" on {one.listen}" if one.listen else ""
    text = f"{printable(one.name)}{listen}: {one.protocol}, {one.balance}, {printable(one.source)}"
    if not one.known:
        text += paint(" (not known yet)", "yellow", colour=colour)
    if one.reason:
        text += paint(f" {printable(one.reason)}", "yellow", colour=colour)
    return text


def _route_row(one: RouteView) -> list[Cell | str]:
    return [
        printable(one.name),
        printable(",".join(one.listener)) or "proxy",
        printable(_match_text(one.route.get("match"))),
        printable(_to_text(one.route)),
        Cell(str(one.requests), right=True),
        Cell(str(one.failures), "red" if one.failures else "", right=True),
    ]


def _match_text(match: object) -> str:
    if not isinstance(match, dict) or not match:
        return "*"
    return " ".join(f"{key}={_plain(value)}" for key, value in match.items())


def _to_text(route: Mapping[str, object]) -> str:
    for name in ("redirect", "answer"):
        if name in route:
            return f"{name} {_plain(route[name])}"
    targets = route.get("to")
    if not isinstance(targets, list):
        return "-"
    words = []
    for target in targets:
        if isinstance(target, dict):
            weight = target.get("weight")
            words.append(f"{target.get('upstream')}" + ("" if weight is None else f":{weight}"))
    return " ".join(words)


def _plain(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    if isinstance(value, dict):
        return ",".join(f"{key}={one}" for key, one in value.items())
    return str(value)


def _row(upstream: UpstreamView, one: EndpointView) -> list[Cell | str]:
    forced = " by hand" if one.forced else ""
    note = [printable(one.reason)] if one.reason else []
    if one.weight != 1:
        note.append(f"weight {one.weight}")
    if one.zone:
        note.append(f"zone {printable(one.zone)}")
    return [
        printable(upstream.name),
        printable(one.endpoint),
        Cell("healthy", "green") if one.healthy else Cell("unhealthy", "red"),
        Cell(f"{one.state}{forced}", _CIRCUITS.get(one.state, "")),
        Cell(str(one.active), right=True),
        Cell(str(one.requests), right=True),
        Cell(str(one.failures), "red" if one.failures else "", right=True),
        ", ".join(note),
    ]
