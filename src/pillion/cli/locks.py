"""`pillion locks`: who holds what, a command under a lock, and a lock taken from its holder."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from pillion.cli.door import open_door
from pillion.cli.instances import add_instance_argument
from pillion.cli.json_output import print_json
from pillion.cli.lock_run import check_command, run_locked
from pillion.cli.table import Cell, has_colour, printable, render, write_lines
from pillion.errors import UsageError
from pillion.settings.units import parse_duration

if TYPE_CHECKING:
    from pillion.cli.door import Door

NAME = "locks"
SUMMARY = "list locks, run a command under one, or release one"

_TIMEOUT_S = 15.0


class _Held(msgspec.Struct, kw_only=True):
    name: str
    token: int
    holder: str
    instance: str
    bind: str = "lease"
    since: str = ""
    ttl_s: float = 0.0
    waiting: int = 0


class _List(msgspec.Struct):
    items: list[_Held]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    parser.add_argument(
        "action",
        choices=("list", "run", "release"),
        nargs="?",
        default="list",
        help="list: who holds what; run: a command while the lock is held; release: take it from its holder",
    )
    parser.add_argument("name", metavar="NAME", nargs="?", help="the lock that is meant")
    parser.add_argument(
        "words",
        metavar="[OPTIONS] -- COMMAND",
        nargs=argparse.REMAINDER,
        help="run: the command with its arguments",
    )
    _add_options(parser)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--ttl",
        metavar="TIME",
        default="15s",
        help="run: free it when so long not renewed; default: 15s",
    )
    parser.add_argument(
        "--wait", metavar="TIME", default="0s", help="run: how long to wait for it; default: 0s"
    )
    parser.add_argument("--holder", metavar="TEXT", help="run: who holds it, for people")
    add_instance_argument(parser)


def run(args: argparse.Namespace) -> int:
    """List, run or release."""
    command = own_words(args)
    if args.action == "list":
        if args.name is not None:
            raise UsageError(f"cannot list {args.name} alone: pillion locks lists them all")
        return _list(open_door(args), json=args.json)
    if args.name is None:
        raise UsageError(f"cannot {args.action} without a name: pillion locks {args.action} NAME")
    if args.action == "release":
        if command:
            raise UsageError(f"cannot release {' '.join(command)} as well: one lock at a time")
        return _release(open_door(args), args.name, json=args.json)
    check_command(command)
    return run_locked(
        open_door(args),
        args.name,
        command,
        ttl_s=_seconds("--ttl", args.ttl),
        wait_s=_seconds("--wait", args.wait),
        holder=args.holder or f"{os.path.basename(command[0])} (pid {os.getpid()})",
    )


def own_words(args: argparse.Namespace) -> list[str]:
    """Take the options that follow the name into `args`, and return the command: argparse cannot tell whose they are."""
    words: list[str] = args.words
    if "--" in words:
        at = words.index("--")
        own, command = words[:at], words[at + 1 :]
    elif words and words[0].startswith("-"):
        own, command = words, []
    else:
        own, command = [], words
    if own:
        parser = argparse.ArgumentParser(prog=f"pillion {NAME}", allow_abbrev=False)
        _add_options(parser)
        parser.parse_args(own, args)
    return command


def _list(door: Door, *, json: bool) -> int:
    found = door.api("GET", "/v1/locks", _List, timeout_s=_TIMEOUT_S)
    if json:
        print_json(found)
        return 0
    heads = ("NAME", "HOLDER", "INSTANCE", "TOKEN", "SINCE", "WAITING")
    rows = [
        (
            one.name,
            printable(one.holder),
            one.instance,
            Cell(str(one.token), right=True),
            one.since,
            Cell(str(one.waiting), right=True),
        )
        for one in found.items
    ]
    write_lines(render(heads, rows, colour=has_colour(sys.stdout)))
    return 0


def _release(door: Door, name: str, *, json: bool) -> int:
    path = f"/v1/locks/{quote(name, safe='')}?force=true"
    answer = door.api("DELETE", path, dict, timeout_s=_TIMEOUT_S)
    if json:
        print_json(answer)
    else:
        write_lines([f"{name}: released"])
    return 0


def _seconds(option: str, text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"cannot read {option} {text}: {error}; write 15s or 1m") from error
