"""`pillion config`: the configuration of an instance, read, written, watched, compared, and moved in and out of files."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from pillion.cli.config_reading import FORMATS
from pillion.cli.instances import add_instance_argument
from pillion.config.keys import LAYERS
from pillion.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

NAME = "config"
SUMMARY = "read and write the configuration"


class _Action(NamedTuple):
    """What a word means: where it is done, how many words it takes and how they are written, which options it knows."""

    where: str
    words: range
    usage: str
    options: frozenset[str] = frozenset()


_VALUES = "config_values"
_LAYER = frozenset({"layer"})
_WRITE = frozenset({"layer", "if_match", "if_absent"})

ACTIONS = {
    "get": _Action(f"{_VALUES}.get", range(1, 2), "get KEY", _LAYER),
    "set": _Action(f"{_VALUES}.put", range(2, 3), "set KEY VALUE", _WRITE | {"string"}),
    "delete": _Action(f"{_VALUES}.delete", range(1, 2), "delete KEY", _WRITE),
    "list": _Action(f"{_VALUES}.list_values", range(2), "list [PREFIX]", _LAYER),
    "watch": _Action("config_watch.watch", range(2), "watch [KEY | PREFIX/]", _LAYER),
    "history": _Action(f"{_VALUES}.history", range(1, 2), "history KEY", _LAYER | {"limit"}),
    "rollback": _Action(f"{_VALUES}.rollback", range(2, 3), "rollback KEY REVISION", _WRITE),
    "diff": _Action(
        f"{_VALUES}.difference", range(2), "diff [KEY | PREFIX/]", _LAYER | {"from", "to"}
    ),
    "import": _Action(
        "config_files.import_values",
        range(1, 2),
        "import FILE",
        _LAYER | {"format", "flat", "prefix", "dry_run"},
    ),
    "export": _Action(
        "config_files.export_values",
        range(2),
        "export [PREFIX]",
        _LAYER | {"format", "flat", "prefix"},
    ),
    "schema": _Action(
        "config_schemas.schema",
        range(1, 4),
        "schema get|set|delete|list …",
        frozenset({"if_match", "if_absent", "force"}),
    ),
}
_OPTIONS = frozenset().union(*(action.options for action in ACTIONS.values()))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    parser.usage = "%(prog)s ACTION [WORDS] [OPTIONS]"
    parser.epilog = "actions: " + " · ".join(action.usage for action in ACTIONS.values())
    parser.add_argument("action", choices=tuple(ACTIONS), metavar="ACTION", help="see below")
    parser.add_argument("words", nargs="*", metavar="WORD", help="what the action is about")
    parser.add_argument(
        "--layer", choices=LAYERS, help="this layer alone; writes go to service without it"
    )
    parser.add_argument("--if-match", metavar="ETAG", help="only if it is at this ETag: service:17")
    parser.add_argument("--if-absent", action="store_true", help="only if there is none yet")
    parser.add_argument(
        "--string", action="store_true", help="set: a string, also if it could be read as JSON"
    )
    parser.add_argument("--limit", metavar="N", type=int, help="history: how many of the last")
    parser.add_argument(
        "--from", metavar="VIEW", help="diff: 17, service, service@17 or now; default: default"
    )
    parser.add_argument("--to", metavar="VIEW", help="diff: likewise; default: now")
    parser.add_argument(
        "--format", choices=FORMATS, help="import: instead of the file's ending; export: toml"
    )
    parser.add_argument(
        "--prefix", metavar="PREFIX", help="import: put before every key; export: left out of them"
    )
    parser.add_argument(
        "--flat", action="store_true", help="keys as they are, instead of a tree of tables"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="import: show what would change, and change nothing"
    )
    parser.add_argument(
        "--force", action="store_true", help="schema set: though values that are there break it"
    )
    add_instance_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Do the action, if its words and options are its own."""
    action = ACTIONS[args.action]
    if len(args.words) not in action.words:
        raise UsageError(f"cannot {args.action} this: write pillion config {action.usage}")
    for option in sorted(_OPTIONS - action.options):
        if getattr(args, option) not in (None, False):
            name = option.replace("_", "-")
            raise UsageError(f"cannot use --{name} with {args.action}: it means nothing there")
    module, _, function = action.where.partition(".")
    do: Callable[[argparse.Namespace], int] = getattr(
        import_module(f"pillion.cli.{module}"), function
    )
    return do(args)
