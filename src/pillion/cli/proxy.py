"""`pillion proxy`: how the managed proxies stand, what would change, and applying or going back by hand."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING
from urllib.parse import quote

from pillion.cli.door import open_door
from pillion.cli.instances import add_instance_argument
from pillion.cli.json_output import print_json
from pillion.cli.proxy_lines import attempt_lines, history_lines, list_lines, status_lines
from pillion.cli.table import has_colour, printable, write_lines
from pillion.errors import RefusedError, UsageError
from pillion.proxies.overview import (
    GOOD,
    HistoryList,
    HistoryVersion,
    ProxyAttempt,
    ProxyList,
    ProxyPreview,
)

if TYPE_CHECKING:
    import argparse

    from pillion.cli.door import Door

NAME = "proxy"
SUMMARY = "show managed proxies, what would change, and apply or roll back"

_PATIENCE_S = 10.0
_USAGE = {
    "list": "list",
    "status": "status [NAME]",
    "render": "render NAME",
    "diff": "diff NAME [VERSION]",
    "apply": "apply NAME [--force]",
    "history": "history NAME",
    "rollback": "rollback NAME [VERSION]",
}
_WITHOUT_NAME = frozenset({"list", "status"})
_WITH_VERSION = frozenset({"diff", "rollback"})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    parser.epilog = "actions: " + " · ".join(_USAGE.values())
    parser.add_argument(
        "action",
        choices=tuple(_USAGE),
        nargs="?",
        default="list",
        help="render and diff: what would change; apply and rollback wait for the outcome",
    )
    parser.add_argument(
        "name", metavar="PROXY", nargs="?", help="which proxy; needless when there is one"
    )
    parser.add_argument("version", metavar="VERSION", nargs="?", help="one of its history")
    parser.add_argument(
        "--force",
        action="store_true",
        help="apply: also what is held back because a source has turned empty or lost most of its members",
    )
    add_instance_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Do it; 1 when it did not come to serve."""
    action: str = args.action
    if args.force and action != "apply":
        raise UsageError(f"cannot use --force with {action}: it means nothing there")
    if args.version is not None and action not in _WITH_VERSION:
        raise UsageError(f"cannot {action} a version: write pillion proxy {_USAGE[action]}")
    if action == "list" and args.name is not None:
        raise UsageError("cannot list one proxy: write pillion proxy status NAME")
    door = open_door(args)
    if action in _WITHOUT_NAME:
        return _show(door, args)
    name = args.name or _only(door, action)
    path = f"/v1/proxies/{quote(name, safe='')}"
    if action == "history":
        found = door.api("GET", f"{path}/history", HistoryList, timeout_s=_PATIENCE_S)
        _print(args, found, history_lines(found, colour=has_colour(sys.stdout)))
        return 0
    if action == "render" or (action == "diff" and args.version is None):
        return _preview(args, door.api("POST", f"{path}/render", ProxyPreview, body={}))
    if action == "diff":
        version = quote(args.version, safe="")
        shown = door.api("GET", f"{path}/history/{version}", HistoryVersion, timeout_s=_PATIENCE_S)
        _print(args, shown, _text(shown.diff))
        return 0
    body: dict[str, object] = {"force": True} if args.force else {}
    if args.version is not None:
        body["version"] = args.version
    attempt = door.api("POST", f"{path}/{action}", ProxyAttempt, body=body)
    _print(args, attempt, attempt_lines(attempt, colour=has_colour(sys.stdout)))
    return 0 if attempt.outcome in GOOD else 1


def _show(door: Door, args: argparse.Namespace) -> int:
    found = door.api("GET", "/v1/proxies", ProxyList, timeout_s=_PATIENCE_S)
    if args.name is not None:
        items = [one for one in found.items if one.name == args.name]
        if not items:
            there = ", ".join(one.name for one in found.items) or "none"
            raise RefusedError(
                404, "Not Found", f"cannot find the proxy {args.name!r}; there is {there}"
            )
        found = ProxyList(items)
    colour = has_colour(sys.stdout)
    lines = list_lines(found, colour=colour)
    if args.action == "status" and found.items:
        lines = [line for one in found.items for line in status_lines(one, colour=colour)]
    _print(args, found, lines)
    return 0


def _preview(args: argparse.Namespace, preview: ProxyPreview) -> int:
    if args.json:
        print_json(preview)
    elif preview.problem:
        sys.stderr.write(f"pillion: {printable(preview.problem)}\n")
    elif args.action == "diff":
        write_lines(_text(preview.diff))
    else:
        several = len(preview.files) > 1
        for name, text in preview.files.items():
            if several:
                write_lines([f"# {name}"])
            write_lines(_text(text))
    return 1 if preview.problem else 0


def _only(door: Door, action: str) -> str:
    """The name of the only proxy that there is."""
    found = door.api("GET", "/v1/proxies", ProxyList, timeout_s=_PATIENCE_S)
    if len(found.items) != 1:
        there = ", ".join(one.name for one in found.items) or "none"
        raise UsageError(
            f"cannot tell which proxy is meant: pillion proxy {_USAGE[action]}; there is {there}"
        )
    return found.items[0].name


def _print(args: argparse.Namespace, answer: object, lines: list[str]) -> None:
    if args.json:
        print_json(answer)
    else:
        write_lines(lines)


def _text(text: str) -> list[str]:
    """Lines of a file or a diff, as a terminal can show them; tabs are the files' own."""
    return ["\t".join(map(printable, line.split("\t"))) for line in text.splitlines()]
