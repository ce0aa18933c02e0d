"""`pillion config import|export`: a tree of values from a file, and into one."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import msgspec

from pillion.cli.config_reading import format_of, plan_import, read_tree
from pillion.cli.config_service import ConfigService, Item, Items, shown
from pillion.cli.json_output import print_json
from pillion.cli.table import printable, write_lines
from pillion.config.projection_formats import rendered
from pillion.config.projection_tree import below, flattened, nested
from pillion.errors import UsageError
from pillion.settings.names import check_key

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from pillion.cli.config_reading import Plan

DEFAULT_LAYER = "service"

_LARGEST_BYTES = 64 << 20
# Of a request; the API takes 1 MiB, and a value of half of that.
_BATCH_BYTES = 256 << 10
_BATCH_ITEMS = 500


class _Written(msgspec.Struct, kw_only=True, omit_defaults=True):
    key: str
    status: int
    revision: int | None = None
    detail: str = ""
    problems: list[str] = []


class _Answer(msgspec.Struct):
    items: list[_Written]
    failed: int = 0


def import_values(args: argparse.Namespace) -> int:
    """Write what a file has and the layer has not; nothing that the file does not name is touched."""
    (path,) = args.words
    wanted = _read(args, path)
    service = ConfigService(args)
    layer = args.layer or DEFAULT_LAYER
    prefix = below(args.prefix or "") or None
    present = service.get("/v1/config", Items, prefix=prefix, layer=layer).items
    held = {item.key: item for item in present}
    plan = plan_import(wanted, {key: item.value for key, item in held.items()})
    if args.dry_run:
        _show(plan, held, json=args.json)
        return 0
    failed: list[_Written] = []
    progress = _Progress(len(plan.values))
    for batch in _batches(plan.values, held, layer):
        answer = service.exchange("POST", "/v1/config", {"items": batch})
        results = service.read(answer, _Answer).items
        failed += [one for one in results if one.status >= 400]
        progress.add(len(results))
    progress.end()
    _tell(args, layer, plan, failed)
    return 1 if failed else 0


def export_values(args: argparse.Namespace) -> int:
    """Print the values below a prefix as one file."""
    prefix = below(args.words[0]) if args.words else ""
    form = args.format or ("json" if args.json else "toml")
    found = ConfigService(args).get("/v1/config", Items, prefix=prefix or None, layer=args.layer)
    without = [item.key for item in found.items if item.omitted]
    if without:
        raise UsageError(
            f"cannot export {without[0]}: it is held without its value; `pillion config get` says why"
        )
    values = {item.key: item.value for item in found.items}
    start = below(args.prefix) if args.prefix is not None else ""
    if not all(key.startswith(start) for key in values):
        raise UsageError(f"cannot leave {start} out: not every key begins with it")
    tree = (
        {key.removeprefix(start): value for key, value in values.items()}
        if args.flat
        else nested(values, start)
    )
    sys.stdout.buffer.write(rendered(tree, form))
    return 0


def _read(args: argparse.Namespace, path: str) -> dict[str, object]:
    """The keys and values of the file."""
    source = "stdin" if path == "-" else path
    form = format_of(path, args.format)
    if path == "-":
        data = sys.stdin.buffer.read(_LARGEST_BYTES + 1)
    else:
        with open(path, "rb") as file:
            data = file.read(_LARGEST_BYTES + 1)
    if len(data) > _LARGEST_BYTES:
        raise UsageError(f"cannot import {source}: more than 64M")
    tree = read_tree(data, form, source)
    if not args.flat:
        return flattened(tree, args.prefix or "")
    keys = {below(args.prefix or "") + name: value for name, value in tree.items()}
    for key in keys:
        try:
            check_key(key)
        except ValueError as error:
            raise UsageError(f"cannot import {key[:100]!r} of {source}: {error}") from error
    return keys


def _batches(
    values: dict[str, object], held: dict[str, Item], layer: str
) -> Iterator[list[dict[str, object]]]:
    """Requests of a size that the API takes. Each item says what it was compared with: who writes meanwhile is not undone."""
    batch: list[dict[str, object]] = []
    size = 0
    for key, value in values.items():
        raw = msgspec.json.encode(value)
        if batch and (size + len(raw) > _BATCH_BYTES or len(batch) >= _BATCH_ITEMS):
            yield batch
            batch, size = [], 0
        revision = held[key].revision if key in held else 0
        batch.append({"key": key, "value": msgspec.Raw(raw), "layer": layer, "revision": revision})
        size += len(raw) + len(key)
    if batch:
        yield batch


def _show(plan: Plan, held: dict[str, Item], *, json: bool) -> None:
    """What an import would change."""
    if json:
        items = [
            {"key": key, "from": held[key].value if key in held else None, "to": value}
            for key, value in plan.values.items()
        ]
        print_json({"items": items, "unchanged": plan.unchanged, "not_in_the_file": plan.others})
        return
    lines = []
    for key, value in plan.values.items():
        if key in held:
            lines.append(f"- {printable(key)} = {printable(shown(held[key].value))}")
        lines.append(f"+ {printable(key)} = {printable(shown(value))}")
    lines.append(f"would write {_counts(plan)}")
    write_lines(lines)


def _tell(args: argparse.Namespace, layer: str, plan: Plan, failed: list[_Written]) -> None:
    written = len(plan.values) - len(failed)
    if args.json:
        print_json(
            {
                "layer": layer,
                "written": written,
                "unchanged": plan.unchanged,
                "not_in_the_file": plan.others,
                "failed": failed,
            }
        )
        return
    for one in failed:
        sys.stderr.write(f"pillion: {printable(one.detail) or f'status {one.status}'}\n")
        for problem in one.problems:
            sys.stderr.write(f"    {printable(problem)}\n")
    if failed:
        print(
            f"{written} of {len(plan.values)} written to the layer {layer}, {len(failed)} refused"
        )
    else:
        print(f"wrote {_counts(plan)} to the layer {layer}")


def _counts(plan: Plan) -> str:
    text = f"{len(plan.new)} new and {len(plan.changed)} changed, {plan.unchanged} unchanged"
    return f"{text}; {plan.others} not in the file stay" if plan.others else text


class _Progress:
    """One line on a terminal, written over itself; nothing anywhere else."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._shown = False

    def add(self, count: int) -> None:
        """So many more are done."""
        self._done += count
        if sys.stderr.isatty() and self._done < self._total:
            self._shown = True
            sys.stderr.write(f"\r{self._done} of {self._total} written")
            sys.stderr.flush()

    def end(self) -> None:
        """Take the line away."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
