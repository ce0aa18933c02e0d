"""`pillion services`: which services there are, their instances, and registering by hand what has no sidecar."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from pillion.api.services_view import ServiceAnswer, ServiceList
from pillion.cli import api_client
from pillion.cli.door import open_door
from pillion.cli.instances import add_instance_argument
from pillion.cli.json_output import print_json
from pillion.cli.measures import age_s, human_age
from pillion.cli.table import Cell, has_colour, printable, render, write_lines
from pillion.discovery.instance import STATUSES, ServiceInstance, endpoint
from pillion.errors import UsageError
from pillion.keeper.places import API_SOCKET

if TYPE_CHECKING:
    import argparse

    from pillion.cli.door import Door

NAME = "services"
SUMMARY = "list services and their instances, or register one by hand"

_PATIENCE_S = 10.0
_LIST, _REGISTER, _DEREGISTER = "list", "register", "deregister"
_STYLES = {"passing": "green", "warning": "yellow", "critical": "red"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    parser.add_argument(
        "action",
        choices=(_LIST, _REGISTER, _DEREGISTER),
        nargs="?",
        default=_LIST,
        help="list: the services, or one's instances; register and deregister: what has no sidecar",
    )
    parser.add_argument("service", metavar="SERVICE", nargs="?", help="the name of a service")
    parser.add_argument("id", metavar="ID", nargs="?", help="which of its instances is meant")
    parser.add_argument("--address", metavar="ADDRESS", help="where it is reached")
    parser.add_argument(
        "--port", metavar="PORT", type=int, help="on which port; none when left out"
    )
    parser.add_argument("--status", choices=STATUSES, help="default: passing")
    parser.add_argument("--weight", metavar="N", type=int, help="its share of the traffic")
    parser.add_argument(
        "--tag", metavar="TAG", action="append", default=[], help="a tag; may be repeated"
    )
    parser.add_argument("--zone", metavar="ZONE", help="where it runs")
    parser.add_argument(
        "--meta",
        metavar="WORD=TEXT",
        action="append",
        default=[],
        help="more about it; may be repeated",
    )
    parser.add_argument(
        "--ttl", metavar="DURATION", help="it ends unless it is registered again within this time"
    )
    add_instance_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Do it."""
    if args.action == _LIST:
        return _list(args)
    if args.service is None or args.id is None:
        raise UsageError(
            f"cannot {args.action} without a name: pillion services {args.action} SERVICE ID"
        )
    door = open_door(args)
    if args.action == _REGISTER:
        return _register(door, args)
    api_client.request(
        door.found.path(API_SOCKET),
        "DELETE",
        _path(args.service, args.id),
        None,
        timeout_s=_PATIENCE_S,
    )
    if not args.json:
        write_lines([f"{args.service}: {args.id} is deregistered"])
    return 0


def _list(args: argparse.Namespace) -> int:
    if args.id is not None:
        raise UsageError(f"cannot list {args.id} alone: pillion services list {args.service}")
    door = open_door(args)
    colour = has_colour(sys.stdout)
    if args.service is None:
        services = door.api("GET", "/v1/services", ServiceList, timeout_s=_PATIENCE_S)
        if args.json:
            print_json(services)
        else:
            write_lines(_services_table(services, colour=colour))
        return 0
    path = f"/v1/services/{quote(args.service, safe='')}?status=any"
    answer = door.api("GET", path, ServiceAnswer, timeout_s=_PATIENCE_S)
    if args.json:
        print_json(answer)
    else:
        write_lines(_instances_table(answer, time.time(), colour=colour))
    return 0


def _services_table(services: ServiceList, *, colour: bool) -> list[str]:
    rows = [
        [
            Cell(one.name),
            *(Cell(str(n), right=True) for n in (one.passing, one.warning, one.critical)),
            Cell("stale", "yellow") if one.stale else Cell("-"),
        ]
        for one in services.items
    ]
    return render(("SERVICE", "PASSING", "WARNING", "CRITICAL", "MARKS"), rows, colour=colour)


def _instances_table(answer: ServiceAnswer, now_s: float, *, colour: bool) -> list[str]:
    rows = []
    for one in answer.instances:
        status = f"{one.status}, stale" if one.stale else one.status
        rows.append(
            [
                Cell(one.id),
                Cell(endpoint(one)),
                Cell(status, "yellow" if one.stale else _STYLES[one.status]),
                Cell(str(one.weight), right=True),
                Cell(printable(",".join(one.tags)) or "-"),
                Cell(printable(one.zone) or "-"),
                Cell(human_age(age_s(one.since or None, now_s)), right=True),
                Cell("announced" if one.is_announced else "by hand"),
            ]
        )
    heads = ("ID", "ADDRESS", "STATUS", "WEIGHT", "TAGS", "ZONE", "AGE", "HOW")
    return render(heads, rows, colour=colour)


def _register(door: Door, args: argparse.Namespace) -> int:
    if args.address is None:
        raise UsageError(f"cannot register {args.id} without its address: add --address")
    body: dict[str, object] = {"address": args.address, "tags": args.tag, "meta": _meta(args.meta)}
    for name in ("port", "status", "weight", "zone", "ttl"):
        value = getattr(args, name)
        if value is not None:
            body[name] = value
    data = api_client.request(
        door.found.path(API_SOCKET),
        "PUT",
        _path(args.service, args.id),
        msgspec.json.encode(body),
        timeout_s=_PATIENCE_S,
    )
    instance = msgspec.json.decode(data, type=ServiceInstance)
    if args.json:
        print_json(instance)
    else:
        write_lines([f"{instance.service}: {instance.id} is at {endpoint(instance)}"])
    return 0


def _meta(words: list[str]) -> dict[str, str]:
    meta = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise UsageError(f"cannot read --meta {word}: write a word, = and a text")
        meta[key] = value
    return meta


def _path(service: str, instance: str) -> str:
    return f"/v1/services/{quote(service, safe='')}/instances/{quote(instance, safe='')}"
