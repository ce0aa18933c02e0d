"""`pillion config schema get|set|delete|list`: what values have to keep to."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import msgspec

from pillion.cli.config_service import ConfigService, conditions, path_of, shown
from pillion.cli.json_output import print_json
from pillion.cli.table import Cell, has_colour, printable, render, write_lines
from pillion.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

_LARGEST_BYTES = 1 << 20


class _Schema(msgspec.Struct):
    key: str
    schema: object
    revision: int


class _SchemaList(msgspec.Struct):
    items: list[_Schema]


def schema(args: argparse.Namespace) -> int:
    """Do what the word after `schema` says."""
    verb, *words = args.words
    action = _ACTIONS.get(verb)
    if action is None:
        raise UsageError(
            f"cannot do schema {verb}: there are get KEY, set KEY FILE, delete KEY and list"
        )
    run, count, usage = action
    if len(words) not in count:
        raise UsageError(f"cannot do schema {verb}: write pillion config schema {usage}")
    return run(ConfigService(args), args, words)


def _get(service: ConfigService, args: argparse.Namespace, words: list[str]) -> int:
    found = service.get(path_of("schemas", words[0]), _Schema)
    print_json(found if args.json else found.schema)
    return 0


def _set(service: ConfigService, args: argparse.Namespace, words: list[str]) -> int:
    key, path = words
    answer = service.exchange(
        "PUT",
        path_of("schemas", key),
        {"schema": msgspec.Raw(_read(path))},
        query={"force": "true" if args.force else None},
        fields=conditions(args),
    )
    found = service.read(answer, _Schema)
    if args.json:
        print_json(found)
    else:
        print(f"{found.key} has a schema (schema:{found.revision})")
    return 0


def _delete(service: ConfigService, args: argparse.Namespace, words: list[str]) -> int:
    (key,) = words
    service.exchange("DELETE", path_of("schemas", key), fields=conditions(args))
    if args.json:
        print_json({"key": key})
    else:
        print(f"{key} has no schema any more")
    return 0


def _list(service: ConfigService, args: argparse.Namespace, words: list[str]) -> int:
    found = service.get("/v1/schemas", _SchemaList, prefix=words[0] if words else None)
    if args.json:
        print_json(found)
        return 0
    rows = [
        (printable(one.key), Cell(str(one.revision), right=True), printable(shown(one.schema)))
        for one in found.items
    ]
    write_lines(render(("KEY", "REVISION", "SCHEMA"), rows, colour=has_colour(sys.stdout)))
    return 0


def _read(path: str) -> bytes:
    """The JSON text of a file, or of stdin for `-`."""
    if path == "-":
        data = sys.stdin.buffer.read(_LARGEST_BYTES + 1)
    else:
        with open(path, "rb") as file:
            data = file.read(_LARGEST_BYTES + 1)
    if len(data) > _LARGEST_BYTES:
        raise UsageError(f"cannot use {path}: a schema of more than 1M is none")
    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path} as JSON: {error}") from error
    return data


_ACTIONS: dict[
    str, tuple[Callable[[ConfigService, argparse.Namespace, list[str]], int], range, str]
] = {
    "get": (_get, range(1, 2), "get KEY"),
    "set": (_set, range(2, 3), "set KEY FILE"),
    "delete": (_delete, range(1, 2), "delete KEY"),
    "list": (_list, range(2), "list [PREFIX]"),
}
