"""`pillion secrets list|get NAME`: which secrets there are, and the value of one for who asks for it."""

from __future__ import annotations

import base64
import binascii
import sys
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from pillion.cli.door import open_door
from pillion.cli.instances import add_instance_argument
from pillion.cli.json_output import print_json
from pillion.cli.table import Cell, has_colour, render, write_lines
from pillion.errors import UnreachableError, UsageError

if TYPE_CHECKING:
    import argparse

    from pillion.cli.door import Door

NAME = "secrets"
SUMMARY = "list secrets, or read one"

_TIMEOUT_S = 15.0


class _Facts(msgspec.Struct, kw_only=True):
    name: str
    kind: str
    access: str = "app"
    present: bool = False
    version: str | None = None
    changed: str | None = None
    problem: str | None = None


class _List(msgspec.Struct):
    items: list[_Facts]


class _Value(msgspec.Struct, kw_only=True, omit_defaults=True):
    name: str
    value: str
    version: str
    encoding: str | None = None

    def content(self) -> bytes:
        """The value's own bytes."""
        if self.encoding is None:
            return self.value.encode()
        try:
            return base64.b64decode(self.value, validate=True)
        except binascii.Error as error:
            raise UnreachableError(
                f"cannot read the agent's answer: {error}; is it of another version?"
            ) from error


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    parser.add_argument(
        "action",
        choices=("list", "get"),
        nargs="?",
        default="list",
        help="list: names, never values; get: the value of one",
    )
    parser.add_argument("name", metavar="NAME", nargs="?", help="the secret that is to be read")
    parser.add_argument(
        "--show", action="store_true", help="let a terminal show the value; a pipe gets it anyway"
    )
    add_instance_argument(parser)


def run(args: argparse.Namespace) -> int:
    """List them, or print one."""
    if args.action == "get":
        if args.name is None:
            raise UsageError("cannot read a secret without its name: pillion secrets get NAME")
        # What is on a screen is in its scroll-back, in recordings, and behind somebody's shoulder.
        if sys.stdout.isatty() and not args.show:
            raise UsageError(
                f"cannot show the secret {args.name} on a terminal unasked: add --show, or send it to a pipe"
            )
        return _get(open_door(args), args.name, json=args.json)
    if args.name is not None:
        raise UsageError(f"cannot list {args.name} alone: pillion secrets get {args.name} reads it")
    return _list(open_door(args), json=args.json)


def _get(door: Door, name: str, *, json: bool) -> int:
    path = f"/v1/secrets/{quote(name)}"
    value = door.api("GET", path, _Value, timeout_s=_TIMEOUT_S)
    if json:
        print_json(value)
        return 0
    # Byte for byte: the one line feed that a terminal needs is no part of it.
    sys.stdout.buffer.write(value.content() + (b"\n" if sys.stdout.isatty() else b""))
    sys.stdout.flush()
    return 0


def _list(door: Door, *, json: bool) -> int:
    found = door.api("GET", "/v1/secrets", _List, timeout_s=_TIMEOUT_S)
    if json:
        print_json(found)
        return 0
    rows = [
        (one.name, one.kind, one.access, _state(one), one.version or "-", one.changed or "-")
        for one in found.items
    ]
    heads = ("NAME", "KIND", "ACCESS", "STATE", "VERSION", "CHANGED")
    write_lines(render(heads, rows, colour=has_colour(sys.stdout)))
    return 0


def _state(facts: _Facts) -> Cell:
    if facts.problem is not None:
        return Cell("unusable", "red")
    return Cell("present", "green") if facts.present else Cell("absent", "yellow")
