"""`pillion status`: one instance in detail, or all of them from their files alone, at no agent's cost."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

from pillion.cli.component_table import component_lines, instance_lines
from pillion.cli.door import Door
from pillion.cli.instances import (
    SOCKET_VARIABLE,
    Found,
    add_instance_argument,
    all_instances,
    chosen_instance,
)
from pillion.cli.json_output import print_json
from pillion.cli.measures import age_s, human_age
from pillion.cli.table import STATE_STYLES, Cell, has_colour, printable, render, write_lines
from pillion.errors import PillionError

if TYPE_CHECKING:
    import argparse

NAME = "status"
SUMMARY = "show an instance, or all of them"

_PATIENCE_S = 2.0
_HEADS = ("INSTANCE", "STATE", "KEEPER", "AGE", "COMMAND")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    add_instance_argument(parser)
    parser.add_argument("--all", action="store_true", help="list every instance of this user")


def run(args: argparse.Namespace) -> int:
    """Show what is asked for; with several instances and no name, all of them."""
    if args.all:
        return _list(all_instances(), as_json=args.json)
    if args.instance is None and SOCKET_VARIABLE not in os.environ:
        found = all_instances()
        if sum(one.running for one in found) != 1:
            return _list(found, as_json=args.json)
    door = Door(chosen_instance(args.instance))
    status = door.status()
    if args.json:
        print_json(status)
        return 0
    colour = has_colour(sys.stdout)
    lines = instance_lines(status, colour=colour)
    components = component_lines(status.components, time.time(), colour=colour)
    write_lines([*lines, *components, *_proxies(door, colour=colour)])
    return 0


def _proxies(door: Door, *, colour: bool) -> list[str]:
    """The managed proxies, where there are some and the agent answers."""
    from pillion.cli.proxy_lines import list_lines
    from pillion.proxies.overview import ProxyList

    try:
        found = door.api("GET", "/v1/proxies", ProxyList, timeout_s=_PATIENCE_S)
    except PillionError:
        return []  # the components say that there is no agent, or an older one
    return ["", *list_lines(found, colour=colour)] if found.items else []


def _list(found: list[Found], *, as_json: bool) -> int:
    if as_json:
        print_json({"items": [_item(one) for one in found]})
        return 0
    if not found:
        write_lines(["no instance; start one with `pillion run -- COMMAND`"])
        return 0
    now_s = time.time()
    rows = [_row(one, now_s) for one in found]
    write_lines(render(_HEADS, rows, colour=has_colour(sys.stdout)))
    return 0


def _item(one: Found) -> dict[str, object]:
    record = one.record
    return {
        "instance": one.name,
        "state": _state(one),
        "run": record.run,
        "pid": record.keeper.pid,
        "started": record.started,
        "version": record.version,
        "command": record.command,
        "runtime_dir": one.runtime_dir,
    }


def _row(one: Found, now_s: float) -> list[Cell]:
    state = _state(one)
    pid = str(one.record.keeper.pid or "-") if one.running else "-"
    age = age_s(one.record.started, now_s) if one.running else None
    command = printable(" ".join(one.record.command))
    return [
        Cell(one.name),
        Cell(state, STATE_STYLES.get(state, "")),
        Cell(pid, right=True),
        Cell(human_age(age), right=True),
        Cell(command if len(command) <= 60 else command[:59] + "…"),
    ]


def _state(one: Found) -> str:
    # A record without a held lock: the keeper is dead, and the next start will clean up.
    return "running" if one.running else "ended"
