"""`pillion config get|set|delete|list|history|rollback|diff`: single values, and what became of them."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

import msgspec

from pillion.cli.config_service import ConfigService, Item, Items, conditions, path_of, shown
from pillion.cli.json_output import print_json
from pillion.cli.table import Cell, has_colour, printable, render, write_lines
from pillion.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

_SHORTEST = 20
_WIDE = 10_000


class _Past(msgspec.Struct, kw_only=True, omit_defaults=True):
    revision: int
    layer: str
    value: object = None
    deleted: bool = False
    omitted: str = ""
    time: str
    writer: str


class _PastList(msgspec.Struct):
    items: list[_Past]


class _Side(msgspec.Struct, omit_defaults=True):
    revision: int
    layer: str
    value: object = None
    omitted: str = ""


class _Difference(msgspec.Struct, rename={"before": "from", "after": "to"}):
    key: str
    before: _Side | None = None
    after: _Side | None = None


class _DifferenceList(msgspec.Struct, rename={"before": "from", "after": "to"}):
    before: str
    after: str
    items: list[_Difference]


def get(args: argparse.Namespace) -> int:
    """Print one value: text as it is, anything else as JSON."""
    (key,) = args.words
    item = ConfigService(args).get(path_of("config", key), Item, layer=args.layer)
    if args.json:
        print_json(item)
    else:
        _print_value(item.value)
    return 0


def put(args: argparse.Namespace) -> int:
    """Write one value."""
    key, text = args.words
    value = read_value(sys.stdin.read() if text == "-" else text, plain=args.string)
    service = ConfigService(args)
    answer = service.exchange(
        "PUT",
        path_of("config", key),
        {"value": value},
        query={"layer": args.layer},
        fields=conditions(args),
    )
    item = service.read(answer, Item)
    if args.json:
        print_json(item)
    else:
        print(f"{item.key} = {shown(item.value)} ({item.layer}:{item.revision})")
    return 0


def delete(args: argparse.Namespace) -> int:
    """Take one value out of a layer."""
    (key,) = args.words
    service = ConfigService(args)
    answer = service.exchange(
        "DELETE",
        path_of("config", key),
        query={"layer": args.layer},
        fields=conditions(args),
    )
    revision = int(answer.headers.get(b"pillion-revision") or 0)
    if args.json:
        print_json({"key": key, "revision": revision})
    else:
        print(f"{key} is deleted (revision {revision})")
    return 0


def list_values(args: argparse.Namespace) -> int:
    """Print every value below a prefix."""
    prefix = args.words[0] if args.words else None
    items = ConfigService(args).get("/v1/config", Items, prefix=prefix, layer=args.layer)
    if args.json:
        print_json(items)
        return 0
    rows = [
        (
            printable(item.key),
            item.layer,
            Cell(str(item.revision), right=True),
            _value_cell(item.value, item.omitted),
        )
        for item in items.items
    ]
    _print_table(("KEY", "LAYER", "REVISION", "VALUE"), rows)
    return 0


def history(args: argparse.Namespace) -> int:
    """Print what a key was, newest first."""
    (key,) = args.words
    found = ConfigService(args).get(
        path_of("history", key), _PastList, layer=args.layer, limit=args.limit
    )
    if args.json:
        print_json(found)
        return 0
    rows = [
        (
            Cell(str(past.revision), right=True),
            past.time,
            past.layer,
            printable(past.writer),
            Cell("deleted", "dim") if past.deleted else _value_cell(past.value, past.omitted),
        )
        for past in found.items
    ]
    _print_table(("REVISION", "TIME", "LAYER", "WRITER", "VALUE"), rows)
    return 0


def rollback(args: argparse.Namespace) -> int:
    """Write again what a key was at a revision."""
    key, revision = args.words
    if not revision.isdecimal():
        raise UsageError(
            f"cannot go back to {revision}: write a revision, as `pillion config history {key}` lists them"
        )
    body: dict[str, object] = {"revision": int(revision)}
    if args.layer is not None:
        body["layer"] = args.layer
    service = ConfigService(args)
    answer = service.exchange("POST", path_of("rollback", key), body, fields=conditions(args))
    raw = service.read(answer, dict[str, object])
    if args.json:
        print_json(raw)
        return 0
    item = service.read(answer, Item)
    now = f"= {shown(item.value)}" if "value" in raw else "is deleted"
    print(f"{item.key} {now} ({item.layer}:{item.revision})")
    return 0


def difference(args: argparse.Namespace) -> int:
    """Print the keys on which two views do not agree, a line for each side."""
    query = {"from": getattr(args, "from"), "to": args.to, "layer": args.layer}
    path = path_of("diff", args.words[0]) if args.words else "/v1/diff"
    found = ConfigService(args).get(path, _DifferenceList, **query)
    if args.json:
        print_json(found)
        return 0
    lines = [f"--- {found.before}", f"+++ {found.after}"] if found.items else []
    for one in found.items:
        lines += [
            f"{mark} {printable(one.key)} = {_text(side.value, side.omitted)} ({side.layer}:{side.revision})"
            for mark, side in (("-", one.before), ("+", one.after))
            if side is not None
        ]
    write_lines(lines)
    return 0


def read_value(text: str, *, plain: bool) -> object:
    """The JSON value that `text` is; text that is no JSON, and with `plain` any, is a string."""
    if plain:
        return text
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return text


def _print_value(value: object) -> None:
    if isinstance(value, str):
        # Byte for byte in a pipe; a terminal gets its line feed, and nothing that would steer it.
        terminal = sys.stdout.isatty()
        sys.stdout.write(f"{_harmless(value)}\n" if terminal else value)
    else:
        print_json(value)


def _harmless(text: str) -> str:
    return "\n".join(printable(line) for line in text.split("\n"))


def _value_cell(value: object, omitted: str) -> Cell:
    return Cell(_text(value, omitted), "dim" if omitted else "")


def _text(value: object, omitted: str) -> str:
    return f"({printable(omitted)})" if omitted else printable(shown(value))


def _print_table(heads: tuple[str, ...], rows: Sequence[tuple[Cell | str, ...]]) -> None:
    """A table whose last column is cut at the terminal's edge, and whole in a pipe."""
    colour = has_colour(sys.stdout)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else _WIDE
    others = [list(row[:-1]) for row in rows]
    taken = max((len(line) for line in render(heads[:-1], others, colour=False)), default=0) + 2
    room = max(_SHORTEST, width - taken)
    cut = []
    for row in rows:
        last = row[-1] if isinstance(row[-1], Cell) else Cell(row[-1])
        whole = len(last.text) <= room or width == _WIDE
        cut.append([*row[:-1], last if whole else Cell(last.text[: room - 1] + "…", last.style)])
    write_lines(render(heads, cut, colour=colour))
